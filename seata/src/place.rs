//! Where an application's coordinator is: in this process, or on servers of its own.

#[cfg(feature = "embedded")]
use std::path::PathBuf;
use std::{fmt, sync::Arc, time::Duration};

#[cfg(feature = "remote")]
use seata_client::{Link, Report};
use seata_context::{Client, ClientBuilder};
#[cfg(feature = "embedded")]
use seata_coordinator::Coordinator;

#[cfg(feature = "embedded")]
use crate::embedded::Embedded;
#[cfg(feature = "remote")]
use crate::servers::{Connected, Servers};
use crate::{ShutdownError, StartError};

/// Where the coordinator is to be found.
pub(crate) enum Place {
    /// In this process, with its state in this directory.
    #[cfg(feature = "embedded")]
    DataDir(PathBuf),
    /// In this process, and somebody else's too.
    #[cfg(feature = "embedded")]
    Shared(Coordinator),
    /// On servers of its own.
    #[cfg(feature = "remote")]
    Servers(Box<Servers>),
}

/// A coordinator that is there, as one application sees it.
pub(crate) enum Coordination {
    #[cfg(feature = "embedded")]
    Embedded { embedded: Arc<Embedded>, is_own: bool },
    #[cfg(feature = "remote")]
    Remote(Box<Connected>),
}

impl Default for Place {
    #[cfg(feature = "embedded")]
    fn default() -> Self {
        Self::DataDir("./seata-data".into())
    }

    #[cfg(not(feature = "embedded"))]
    fn default() -> Self {
        Self::Servers(Box::default())
    }
}

impl Place {
    /// The servers. Whatever else was said before is forgotten.
    #[cfg(feature = "remote")]
    pub(crate) fn servers(&mut self) -> &mut Servers {
        #[cfg(feature = "embedded")]
        if !matches!(self, Self::Servers(_)) {
            *self = Self::Servers(Box::default());
        }
        match self {
            Self::Servers(servers) => servers,
            #[cfg(feature = "embedded")]
            _ => unreachable!("it was replaced above"),
        }
    }

    pub(crate) async fn open(self, application: &str, group: &str) -> Result<Coordination, StartError> {
        #[cfg(feature = "embedded")]
        let embedded = |coordinator| Arc::new(Embedded::new(coordinator, application, group));
        Ok(match self {
            #[cfg(feature = "embedded")]
            Self::DataDir(directory) => {
                let coordinator = Coordinator::open(directory).await?;
                Coordination::Embedded { embedded: embedded(coordinator), is_own: true }
            }
            #[cfg(feature = "embedded")]
            Self::Shared(coordinator) => {
                Coordination::Embedded { embedded: embedded(coordinator), is_own: false }
            }
            #[cfg(feature = "remote")]
            Self::Servers(servers) => {
                Coordination::Remote(Box::new(servers.connect(application, group).await?))
            }
        })
    }

    /// Walks the way to the coordinator, link by link.
    #[cfg(feature = "remote")]
    pub(crate) async fn check(&self, application: &str, group: &str) -> Report {
        match self {
            #[cfg(feature = "embedded")]
            Self::DataDir(directory) => Embedded::check_directory(directory, application, group).await,
            #[cfg(feature = "embedded")]
            Self::Shared(coordinator) => Embedded::new(coordinator.clone(), application, group).check().await,
            Self::Servers(servers) => servers.check(application, group).await,
        }
    }
}

impl Coordination {
    /// The description of a client of this coordinator.
    pub(crate) fn client(&self, application: String) -> ClientBuilder {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded { embedded, .. } => {
                Client::builder(application, embedded.clone(), embedded.clone())
            }
            #[cfg(feature = "remote")]
            Self::Remote(connected) => {
                let remote = Arc::new(connected.coordinator.clone());
                let builder = Client::builder(application, remote.clone(), remote);
                builder.request_timeout(connected.request_timeout())
            }
        }
    }

    /// Walks the way to the coordinator, link by link.
    #[cfg(feature = "remote")]
    pub(crate) async fn check(&self) -> Report {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded { embedded, .. } => embedded.check().await,
            Self::Remote(connected) => connected.check().await,
        }
    }

    /// Ends it in order, unless it is somebody else's too.
    pub(crate) async fn shutdown(&self, limit: Duration) -> Result<(), ShutdownError> {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded { is_own: false, .. } => Ok(()),
            #[cfg(feature = "embedded")]
            Self::Embedded { embedded, .. } => Ok(embedded.coordinator().shutdown(limit).await?),
            #[cfg(feature = "remote")]
            Self::Remote(connected) => Ok(connected.coordinator.shutdown(limit).await?),
        }
    }
}

impl fmt::Debug for Coordination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            #[cfg(feature = "embedded")]
            Self::Embedded { embedded, .. } => f.write_str(embedded.coordinator().address()),
            #[cfg(feature = "remote")]
            Self::Remote(connected) => f.debug_list().entries(connected.addresses()).finish(),
        }
    }
}

/// The report of a way that is one link long.
#[cfg(feature = "remote")]
pub(crate) fn report_of_one(application: &str, group: &str, link: Link) -> Report {
    Report {
        application: application.to_owned(),
        group: group.to_owned(),
        links: vec![link],
        servers: Vec::new(),
    }
}
