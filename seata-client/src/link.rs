//! One role's connection to one server, kept up for as long as the client lives.

mod complaints;

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use seata_protocol::{Release, ResourceId};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use self::complaints::Complaints;
use crate::{
    RoleState, ServerAddress, Settings,
    connection::{CloseReason, Connection, OpenError},
    pauses::Pauses,
    phase_two::PhaseTwo,
    registration::{Identity, RegistrationError},
};

/// The pause between attempts while somebody waits for a connection.
const SHORTENED_PAUSE: Duration = Duration::from_millis(500);

/// What a connection is for. Java has one for each, and so its servers expect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Begins and ends transactions.
    TransactionManager,
    /// Registers branches and carries out phase two.
    ResourceManager,
}

/// What all links of one client have in common.
pub(crate) struct Context {
    pub(crate) settings: Settings,
    pub(crate) identity: Identity,
    pub(crate) phase_two: PhaseTwo,
    /// Every resource that was ever registered, in that order, each once.
    pub(crate) resources: watch::Sender<Vec<ResourceId>>,
}

/// One role's connection to one server.
pub(crate) struct Link {
    role: Role,
    address: ServerAddress,
    standing: watch::Sender<Standing>,
    peer: Mutex<Option<SocketAddr>>,
    /// Told after each change of `standing`; shared by all links.
    changes: watch::Sender<()>,
    /// How many callers wait for a connection; shared by all links.
    callers: watch::Sender<usize>,
}

enum Standing {
    Unused,
    Connecting,
    Registering,
    Ready(Ready),
    Down(String),
    Stopped,
}

struct Ready {
    connection: Connection,
    version: String,
    release: Release,
    /// How many of [`Context::resources`] the server knows.
    resources: usize,
    /// Why it does not know more, if it was asked.
    refused: Option<String>,
}

impl Link {
    pub(crate) fn new(
        role: Role,
        address: ServerAddress,
        changes: watch::Sender<()>,
        callers: watch::Sender<usize>,
    ) -> Self {
        let standing = match role {
            Role::TransactionManager => Standing::Connecting,
            Role::ResourceManager => Standing::Unused,
        };
        let standing = watch::Sender::new(standing);
        Self { role, address, standing, peer: Mutex::default(), changes, callers }
    }

    /// The connection, while it is registered and open.
    pub(crate) fn connection(&self) -> Option<Connection> {
        self.connection_knowing(0).map(|(connection, _)| connection)
    }

    /// The connection, while it is registered and open, if the server knows the first so many resources, and
    /// the server's release.
    pub(crate) fn connection_knowing(&self, resources: usize) -> Option<(Connection, Release)> {
        match &*self.standing.borrow() {
            Standing::Ready(ready) if ready.connection.is_open() && ready.resources >= resources => {
                Some((ready.connection.clone(), ready.release))
            }
            _ => None,
        }
    }

    /// Whether the server knows the first so many resources.
    pub(crate) fn has_resources(&self, count: usize) -> bool {
        matches!(&*self.standing.borrow(), Standing::Ready(ready) if ready.resources >= count)
    }

    /// Whether an attempt came to an end without a connection.
    pub(crate) fn has_failed(&self) -> bool {
        match &*self.standing.borrow() {
            Standing::Unused | Standing::Connecting | Standing::Registering => false,
            Standing::Ready(ready) => ready.refused.is_some(),
            Standing::Down(_) | Standing::Stopped => true,
        }
    }

    /// The socket address that the server was last reached at.
    pub(crate) fn peer_address(&self) -> Option<SocketAddr> {
        *self.peer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn state(&self) -> RoleState {
        match &*self.standing.borrow() {
            Standing::Unused => RoleState::Unused,
            Standing::Connecting => RoleState::Connecting,
            Standing::Registering => RoleState::Registering,
            Standing::Ready(ready) => {
                RoleState::Connected { version: ready.version.clone(), refused: ready.refused.clone() }
            }
            Standing::Down(error) => RoleState::Disconnected { error: error.clone() },
            Standing::Stopped => RoleState::Stopped,
        }
    }

    /// Keeps the connection up until it is told to stop, then closes it. What is told is when the closing
    /// must be over.
    pub(crate) async fn run(
        self: Arc<Self>,
        context: Arc<Context>,
        mut stop: watch::Receiver<Option<Instant>>,
    ) {
        tokio::select! {
            // First what the server has asked already: it is told to ask again.
            biased;
            () = self.keep_up(&context) => {}
            // An error means that there is nobody left who could tell.
            _ = stop.wait_for(Option::is_some) => {}
        }
        let limit = stop.borrow().map_or(Duration::ZERO, |end| end.saturating_duration_since(Instant::now()));
        self.close(limit).await;
    }

    async fn keep_up(&self, context: &Context) {
        if self.role == Role::ResourceManager {
            // Without a resource a server has nothing to ask for, and Java opens no connection either.
            let mut resources = context.resources.subscribe();
            let first = resources.wait_for(|resources| !resources.is_empty()).await;
            drop(first.expect("the sender is in the context"));
            self.set(Standing::Connecting);
        }
        let reconnect = context.settings.reconnect;
        let mut pauses = Pauses::new(reconnect);
        let mut complaints = Complaints::new(Instant::now());
        loop {
            let began = Instant::now();
            let end = self.session(context).await;
            let was_registered = matches!(*self.standing.borrow(), Standing::Ready(_));
            if was_registered && began.elapsed() > reconnect.max {
                pauses = Pauses::new(reconnect);
                complaints = Complaints::new(Instant::now());
            }
            let pause = pauses.next();
            let (server, role, cause) = (&self.address, self.role, end.to_string());
            // An outage may last for hours, with an attempt each few seconds.
            if complaints.is_news(&cause, Instant::now()) {
                tracing::warn!(
                    %server,
                    %role,
                    cause,
                    reconnecting_in = ?pause,
                    "no connection to the Seata server",
                );
            } else {
                tracing::debug!(%server, %role, cause, reconnecting_in = ?pause, "still no connection");
            }
            self.set(Standing::Down(cause));
            self.pause(pause).await;
        }
    }

    /// A pause between attempts, cut short while somebody waits for a connection.
    async fn pause(&self, pause: Duration) {
        let mut callers = self.callers.subscribe();
        let until_wanted = async {
            sleep(pause.min(SHORTENED_PAUSE)).await;
            callers.wait_for(|count| *count > 0).await.is_ok()
        };
        tokio::select! {
            () = sleep(pause) => {}
            _ = until_wanted => {}
        }
    }

    /// One connection, from the attempt to its end.
    async fn session(&self, context: &Context) -> SessionEnd {
        let deadline = Instant::now() + context.settings.connect_timeout;
        let (connection, incoming) = match Connection::open(&self.address, &context.settings).await {
            Ok(opened) => opened,
            Err(error) => return SessionEnd::Open(error),
        };
        if matches!(*self.standing.borrow(), Standing::Connecting) {
            self.set(Standing::Registering);
        }
        let stay = async {
            let left = deadline.saturating_duration_since(Instant::now());
            let end = match self.role {
                Role::TransactionManager => self.register_once(context, &connection, left).await,
                Role::ResourceManager => self.register_resources(context, &connection, left).await,
            };
            match end {
                Ok(()) => SessionEnd::Lost(connection.closed().await),
                Err(error) => SessionEnd::Registration(error),
            }
        };
        // A server may ask for phase two before it answers the registration.
        let serve = context.phase_two.serve(connection.clone(), incoming);
        let end = tokio::select! {
            end = stay => end,
            () = serve => SessionEnd::Lost(connection.closed().await),
        };
        // Calls of phase two that run may hold it, and a server would go on asking over it.
        connection.close(Duration::ZERO).await;
        end
    }

    async fn register_once(
        &self,
        context: &Context,
        connection: &Connection,
        limit: Duration,
    ) -> Result<(), RegistrationError> {
        let version = context.identity.register_tm(connection, limit).await?;
        let (server, role) = (&self.address, self.role);
        tracing::info!(%server, %role, %version, "registered with the Seata server");
        let connection = connection.clone();
        let release = Release::of(&version);
        self.set(Standing::Ready(Ready { connection, version, release, resources: 0, refused: None }));
        Ok(())
    }

    /// Registers all resources, and each later one when it comes. Ends only with an error, when the first
    /// registration fails.
    async fn register_resources(
        &self,
        context: &Context,
        connection: &Connection,
        mut limit: Duration,
    ) -> Result<(), RegistrationError> {
        let (server, role) = (&self.address, self.role);
        let mut known = context.resources.subscribe();
        let mut resources = 0;
        let mut version = String::new();
        let mut pauses = Pauses::new(context.settings.reconnect);
        loop {
            let fresh = known.borrow_and_update()[resources..].to_vec();
            let registered = context.identity.register_rm(connection, &fresh, limit).await;
            limit = context.settings.connect_timeout;
            let refused = match registered {
                Err(error) if resources == 0 => return Err(error),
                Err(error) => Some(error.to_string()),
                Ok(answered) => {
                    version = answered;
                    resources += fresh.len();
                    tracing::info!(%server, %role, %version, resources = ?fresh, "registered with the Seata server");
                    None
                }
            };
            let ready = Ready {
                connection: connection.clone(),
                version: version.clone(),
                release: Release::of(&version),
                resources,
                refused,
            };
            if let Some(cause) = ready.refused.clone() {
                self.set(Standing::Ready(ready));
                let pause = pauses.next();
                tracing::warn!(
                    %server,
                    %role,
                    cause,
                    resources = ?fresh,
                    trying_again_in = ?pause,
                    "a resource is not registered",
                );
                self.pause(pause).await;
            } else {
                self.set(Standing::Ready(ready));
                known.changed().await.expect("the sender is in the context");
            }
        }
    }

    /// Ends the connection, for good and at once. Who waits for an answer is told.
    pub(crate) async fn cut_off(&self) {
        self.close(Duration::ZERO).await;
    }

    async fn close(&self, limit: Duration) {
        if let Some(connection) = self.connection() {
            connection.close(limit).await;
        }
        self.set(Standing::Stopped);
    }

    fn set(&self, mut standing: Standing) {
        if let Standing::Ready(ready) = &standing {
            *self.peer.lock().unwrap_or_else(PoisonError::into_inner) = Some(ready.connection.peer_address());
        }
        self.standing.send_if_modified(|place| {
            let is_stopped = matches!(place, Standing::Stopped);
            if !is_stopped {
                std::mem::swap(place, &mut standing);
            }
            !is_stopped
        });
        // What was replaced may hold the last handle of a connection: it is dropped outside the lock.
        drop(standing);
        self.changes.send_replace(());
    }
}

/// Why a connection is not there, or not any more.
#[derive(Debug, thiserror::Error)]
enum SessionEnd {
    #[error(transparent)]
    Open(OpenError),
    #[error(transparent)]
    Registration(RegistrationError),
    #[error("the connection was lost: {0}")]
    Lost(Arc<CloseReason>),
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::TransactionManager => "TM",
            Self::ResourceManager => "RM",
        })
    }
}
