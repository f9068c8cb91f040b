//! One application: its client, its background task, and its coordinator if it has one of its own.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use seata_context::{Client, ClientBuilder, FailureHandler, IntoClient, Scoped, TransactionHook};
use seata_coordinator::{Coordinator, journal::OpenError, store::StoreError};
use tokio::{sync::watch, task::AbortHandle};

use crate::embedded::Embedded;

/// Where a coordinator of its own keeps its state unless told otherwise.
const DEFAULT_DATA_DIR: &str = "./seata-data";

/// The longest application id in bytes: the width of `application_id` in Java's tables.
const MAX_APPLICATION_ID: usize = 32;

/// One application that begins global transactions or takes part in them.
///
/// Cloning is cheap, and all clones are the same one. Keep one for as long as the application runs: when
/// the last is gone, nothing more is begun, also where this one is installed or a layer has its client,
/// and transactions that are dropped from then on are decided by their time-out.
/// [`shutdown`](Self::shutdown) ends in order.
///
/// ```
/// use seata::{Coordinator, Seata};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // Two services of one process on one coordinator.
/// let coordinator = Coordinator::in_memory();
/// let storage = Seata::builder("storage").coordinator(&coordinator).start().await?;
/// let orders = Seata::builder("orders").coordinator(&coordinator).start().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Seata(Arc<Inner>);

struct Inner {
    client: Client,
    finisher: AbortHandle,
    /// Closed when the finisher has ended.
    finished: watch::Receiver<()>,
    coordinator: Coordinator,
    owns_coordinator: bool,
}

/// Why an application could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The application's name does not fit.
    #[error("an application id of {length} bytes is refused: 1 to {MAX_APPLICATION_ID} are allowed")]
    InvalidApplicationId {
        /// Its length in bytes.
        length: usize,
    },
    /// `start` was not awaited inside a tokio runtime.
    #[error("no tokio runtime here: start inside `#[tokio::main]` or `Runtime::block_on`")]
    NoRuntime,
    /// The coordinator's data directory could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Why a shutdown was not complete. Everything acknowledged is safe; what is missing is done at the next
/// start, or at a time-out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ShutdownError {
    /// Transactions that were begun here did not end in time.
    #[error(
        "{open} global transactions were still open after {limit:?}; they are rolled back at their time-out, or at the next start"
    )]
    StillOpen {
        /// How many.
        open: usize,
        /// How long was waited.
        limit: Duration,
    },
    /// The coordinator's store had failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Seata {
    /// Starts the description of an application of this name.
    pub fn builder(application_id: impl Into<String>) -> SeataBuilder {
        SeataBuilder {
            application_id: application_id.into(),
            tx_service_group: "default_tx_group".to_owned(),
            coordinator: Place::DataDir(DEFAULT_DATA_DIR.into()),
            settings: Vec::new(),
        }
    }

    /// Makes this the application of everything in the process that names no other. A later call, of
    /// this or another one, replaces it.
    pub fn install(&self) {
        self.0.client.install();
    }

    /// What begins and observes transactions. Layers and data sources take it, or `&Seata`.
    pub fn client(&self) -> &Client {
        &self.0.client
    }

    /// Runs a future in a scope of its own, without a transaction, whose transactions use this application.
    pub fn scope<F>(&self, inner: F) -> Scoped<F> {
        self.0.client.scope(inner)
    }

    /// The coordinator, for its listings and events.
    pub fn coordinator(&self) -> &Coordinator {
        &self.0.coordinator
    }

    /// A data source in AT mode over this pool, which then takes part in global transactions. The table
    /// `undo_log` is created if it is missing. See [`at`](crate::at) for the options.
    ///
    /// # Errors
    /// A database that cannot take part, with the reason, such as one that lives in memory only.
    #[cfg(feature = "sqlite")]
    pub async fn at(
        &self,
        pool: sqlx::SqlitePool,
    ) -> Result<seata_sqlx::AtSqlitePool, seata_sqlx::AtOpenError> {
        seata_sqlx::AtPool::new(pool, self).await
    }

    /// Begins no more transactions, waits until every open one has ended and the dropped ones are rolled
    /// back, and closes the coordinator if it is this application's own. At most `limit` in all.
    ///
    /// # Errors
    /// [`ShutdownError`] says what is left. A call after a complete one has nothing to do, and succeeds; a
    /// call beside another waits for the same. Dropped half-way, what is under way goes on.
    pub async fn shutdown(&self, limit: Duration) -> Result<(), ShutdownError> {
        let begun = Instant::now();
        self.0.client.close();
        let mut still_open = None;
        let mut finished = self.0.finished.clone();
        if tokio::time::timeout(limit, finished.changed()).await.is_err() {
            still_open = Some(ShutdownError::StillOpen { open: self.0.client.open_transactions(), limit });
            self.0.finisher.abort();
        }
        if self.0.owns_coordinator {
            let left = limit.saturating_sub(begun.elapsed());
            self.0.coordinator.shutdown(left).await?;
        }
        still_open.map_or(Ok(()), Err)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.finisher.abort();
    }
}

impl From<&Seata> for Client {
    fn from(seata: &Seata) -> Self {
        seata.client().clone()
    }
}

impl IntoClient for &Seata {
    fn into_client(self) -> Client {
        self.client().clone()
    }
}

impl fmt::Debug for Seata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Seata")
            .field("application_id", &self.0.client.application_id())
            .field("coordinator", &self.0.coordinator.address())
            .finish()
    }
}

/// The description of a [`Seata`].
#[must_use]
pub struct SeataBuilder {
    application_id: String,
    tx_service_group: String,
    coordinator: Place,
    settings: Vec<Setting>,
}

/// Applied to the client's builder, which exists only when the coordinator does.
type Setting = Box<dyn FnOnce(ClientBuilder) -> ClientBuilder + Send>;

enum Place {
    DataDir(PathBuf),
    Shared(Coordinator),
}

impl SeataBuilder {
    /// The transaction service group, which operators see. Default: `default_tx_group`.
    pub fn tx_service_group(mut self, group: impl Into<String>) -> Self {
        self.tx_service_group = group.into();
        self
    }

    /// Where the coordinator of this application keeps its state. It is created if need be; one process
    /// at a time can have it open. Default: `./seata-data`.
    pub fn data_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.coordinator = Place::DataDir(directory.as_ref().to_owned());
        self
    }

    /// Shares a coordinator with other applications of this process instead of opening one.
    pub fn coordinator(mut self, coordinator: &Coordinator) -> Self {
        self.coordinator = Place::Shared(coordinator.clone());
        self
    }

    /// How long a transaction may stay undecided when it names no time-out. Default: 60 s.
    pub fn default_timeout(self, timeout: Duration) -> Self {
        self.with(move |client| client.default_timeout(timeout))
    }

    /// How many transactions may be open at once. Default: 65 536.
    pub fn max_open_transactions(self, open: usize) -> Self {
        self.with(move |client| client.max_open_transactions(open))
    }

    /// How often a commit is asked for before its caller gets an error. Default: 5.
    pub fn commit_attempts(self, attempts: u32) -> Self {
        self.with(move |client| client.commit_attempts(attempts))
    }

    /// How often a rollback is asked for before its caller gets an error. Default: 5.
    pub fn rollback_attempts(self, attempts: u32) -> Self {
        self.with(move |client| client.rollback_attempts(attempts))
    }

    /// Calls this hook at each step of every transaction that is begun here.
    pub fn hook(self, hook: impl TransactionHook) -> Self {
        self.with(move |client| client.hook(hook))
    }

    /// Who is told of transactions that did not end well. Default: they are logged, and watched.
    pub fn failure_handler(self, handler: impl FailureHandler) -> Self {
        self.with(move |client| client.failure_handler(handler))
    }

    /// Opens the coordinator, which goes on with what an earlier life left, and starts the application.
    ///
    /// # Errors
    /// [`StartError`] names the cause; nothing runs then.
    pub async fn start(self) -> Result<Seata, StartError> {
        let length = self.application_id.len();
        if length == 0 || length > MAX_APPLICATION_ID {
            return Err(StartError::InvalidApplicationId { length });
        }
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let (coordinator, owns_coordinator) = match self.coordinator {
            Place::DataDir(directory) => (Coordinator::open(directory).await?, true),
            Place::Shared(coordinator) => (coordinator, false),
        };
        let embedded =
            Arc::new(Embedded::new(coordinator.clone(), &self.application_id, &self.tx_service_group));
        let builder = Client::builder(self.application_id, embedded.clone(), embedded);
        let (client, finisher) =
            self.settings.into_iter().fold(builder, |client, setting| setting(client)).build();
        let (running, finished) = watch::channel(());
        let run = async move {
            finisher.run().await;
            drop(running);
        };
        let finisher = runtime.spawn(run).abort_handle();
        Ok(Seata(Arc::new(Inner { client, finisher, finished, coordinator, owns_coordinator })))
    }

    fn with(mut self, setting: impl FnOnce(ClientBuilder) -> ClientBuilder + Send + 'static) -> Self {
        self.settings.push(Box::new(setting));
        self
    }
}
