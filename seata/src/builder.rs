//! One application: its client, its background task, and its coordinator if it has one of its own.

#[cfg(feature = "embedded")]
use std::path::Path;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

#[cfg(feature = "remote")]
use seata_client::{Link, Report, Settings, Step};
use seata_context::{
    Client, ClientBuilder, DegradeCheck, FailureHandler, IntoClient, Scoped, TransactionHook,
};
#[cfg(feature = "embedded")]
use seata_coordinator::Coordinator;
use tokio::{sync::watch, task::AbortHandle};

#[cfg(feature = "remote")]
use crate::place::report_of_one;
use crate::{
    ShutdownError, StartError,
    error::MAX_APPLICATION_ID,
    place::{Coordination, Place},
};

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
    coordination: Coordination,
}

impl Seata {
    /// Starts the description of an application of this name.
    pub fn builder(application_id: impl Into<String>) -> SeataBuilder {
        SeataBuilder {
            application_id: application_id.into(),
            tx_service_group: "default_tx_group".to_owned(),
            place: Place::default(),
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

    /// The coordinator, for its listings and events, if it lives in this process.
    #[cfg(feature = "embedded")]
    pub fn coordinator(&self) -> Option<&Coordinator> {
        match &self.0.coordination {
            Coordination::Embedded { embedded, .. } => Some(embedded.coordinator()),
            #[cfg(feature = "remote")]
            Coordination::Remote(_) => None,
        }
    }

    /// The servers of the coordinator, with the state of each, if it does not live in this process.
    #[cfg(feature = "remote")]
    pub fn remote(&self) -> Option<&seata_client::RemoteCoordinator> {
        match &self.0.coordination {
            #[cfg(feature = "embedded")]
            Coordination::Embedded { .. } => None,
            Coordination::Remote(connected) => Some(&connected.coordinator),
        }
    }

    /// Walks the way to the coordinator, and tells which links hold: transaction group, cluster, address,
    /// TCP, handshake, registration, a begin and a rollback. With an embedded coordinator there is only the
    /// last. The connections are the check's own. See [`SeataBuilder::check`] for where nothing starts.
    #[cfg(feature = "remote")]
    pub async fn check(&self) -> Report {
        self.0.coordination.check().await
    }

    /// A data source in AT mode over this pool, which then takes part in global transactions. The table
    /// `undo_log` is created if it is missing. See [`at`](crate::at) for the options.
    ///
    /// # Errors
    /// A database that cannot take part, with the reason, such as one that lives in memory only.
    #[cfg(feature = "at")]
    pub async fn at<DB: seata_sqlx::Dialect>(
        &self,
        pool: sqlx::Pool<DB>,
    ) -> Result<seata_sqlx::AtPool<DB>, seata_sqlx::AtOpenError> {
        seata_sqlx::AtPool::new(pool, self).await
    }

    /// Begins no more transactions, waits until every open one has ended and the dropped ones are rolled
    /// back, and closes the coordinator if it is this application's own. To a remote coordinator the
    /// connections are closed when the calls under way are answered, those of phase two among them. At most
    /// `limit` in all.
    ///
    /// # Errors
    /// [`ShutdownError`] says what is left. A call after a complete one has nothing to do, and succeeds; a
    /// call beside another waits for the same, at most as long as the shorter limit. Dropped half-way, what is
    /// under way goes on.
    pub async fn shutdown(&self, limit: Duration) -> Result<(), ShutdownError> {
        let begun = Instant::now();
        self.0.client.close();
        let mut finished = self.0.finished.clone();
        let _ = tokio::time::timeout(limit, finished.changed()).await;
        // Another call may have cut the finisher short, too.
        let open = self.0.client.open_transactions();
        self.0.finisher.abort();
        // A rollback that the finisher sent is on its way before this closes what it travels on.
        let closed = self.0.coordination.shutdown(limit.saturating_sub(begun.elapsed())).await;
        // A store that failed is why transactions are open; a connection that is busy is so because of them.
        #[cfg(feature = "embedded")]
        if matches!(closed, Err(ShutdownError::Store(_))) {
            return closed;
        }
        if open > 0 { Err(ShutdownError::StillOpen { open, limit }) } else { closed }
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
            .field("coordinator", &self.0.coordination)
            .finish()
    }
}

/// The description of a [`Seata`].
#[must_use]
pub struct SeataBuilder {
    application_id: String,
    tx_service_group: String,
    place: Place,
    settings: Vec<Setting>,
}

/// Applied to the client's builder, which exists only when the coordinator does.
type Setting = Box<dyn FnOnce(ClientBuilder) -> ClientBuilder + Send>;

impl SeataBuilder {
    /// The transaction service group, which operators see. Default: `default_tx_group`.
    pub fn tx_service_group(mut self, group: impl Into<String>) -> Self {
        self.tx_service_group = group.into();
        self
    }

    /// Where the coordinator of this application keeps its state. It is created if need be; one process
    /// at a time can have it open. Default: `./seata-data`.
    #[cfg(feature = "embedded")]
    pub fn data_dir(mut self, directory: impl AsRef<Path>) -> Self {
        self.place = Place::DataDir(directory.as_ref().to_owned());
        self
    }

    /// Shares a coordinator with other applications of this process instead of opening one.
    #[cfg(feature = "embedded")]
    pub fn coordinator(mut self, coordinator: &Coordinator) -> Self {
        self.place = Place::Shared(coordinator.clone());
        self
    }

    /// Uses the coordinator on this server, `host:port`, such as a Java Seata server, instead of one in this
    /// process. Called again it names a further server of the same cluster. The addresses serve every
    /// transaction service group; [`remote`](Self::remote) is for more than that.
    #[cfg(feature = "remote")]
    pub fn server(mut self, address: impl Into<String>) -> Self {
        self.place.servers().add(address.into());
        self
    }

    /// Uses a coordinator on servers of its own, with all that can be said about the way to it. Addresses
    /// named with [`server`](Self::server) stand in for those of the settings.
    #[cfg(feature = "remote")]
    pub fn remote(mut self, settings: Settings) -> Self {
        self.place.servers().set(settings);
        self
    }

    /// Uses a coordinator as this configuration says: its transaction service group, its servers and settings,
    /// and where it names them the time-out of transactions, how often their end is asked for, and the degrade
    /// check. The application keeps the name that it was given here.
    #[cfg(feature = "config")]
    pub fn config(mut self, config: seata_client::config::Config) -> Self {
        self.tx_service_group = config.tx_service_group;
        self.place.servers().set(config.settings);
        self.with(move |client| {
            let client = set(client, config.default_timeout, ClientBuilder::default_timeout);
            let client = set(client, config.commit_attempts, ClientBuilder::commit_attempts);
            let client = set(client, config.rollback_attempts, ClientBuilder::rollback_attempts);
            set(client, config.degrade_check, ClientBuilder::degrade_check)
        })
    }

    /// Starts also while none of the coordinator's servers is there: [`start`](Self::start) and data sources wait
    /// for none, both are made known when one comes, and transactions wait for it as
    /// [`wait_for_server`](seata_client::Settings::wait_for_server) says. With
    /// [`degrade_check`](Self::degrade_check) functions run **without a transaction** after a while, until a
    /// server is there. Default: off; a start without a server is an error.
    #[cfg(feature = "remote")]
    pub fn start_without_server(mut self) -> Self {
        self.place.servers().start_without();
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

    /// Probes the coordinator from time to time, and runs annotated functions **without a transaction**
    /// while it does not work. Default: off; a transaction that cannot be begun is an error. What changes
    /// is told by [`Client::degrade_events`](crate::Client::degrade_events).
    pub fn degrade_check(self, check: DegradeCheck) -> Self {
        self.with(move |client| client.degrade_check(check))
    }

    /// Calls this hook at each step of every transaction that is begun here.
    pub fn hook(self, hook: impl TransactionHook) -> Self {
        self.with(move |client| client.hook(hook))
    }

    /// Who is told of transactions that did not end well. Default: they are logged, and watched.
    pub fn failure_handler(self, handler: impl FailureHandler) -> Self {
        self.with(move |client| client.failure_handler(handler))
    }

    /// Starts the application. An embedded coordinator is opened, and goes on with what an earlier life left.
    /// With a remote one this waits until one of its servers has registered the application, at most
    /// [`wait_for_server`](seata_client::Settings::wait_for_server), unless it may
    /// [start without](seata_client::Settings::start_without_server).
    ///
    /// # Errors
    /// [`StartError`] names the cause; nothing runs then.
    pub async fn start(self) -> Result<Seata, StartError> {
        check_application_id(&self.application_id)?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
        let coordination = self.place.open(&self.application_id, &self.tx_service_group).await?;
        let builder = coordination.client(self.application_id);
        let (client, finisher) =
            self.settings.into_iter().fold(builder, |client, setting| setting(client)).build();
        let (running, finished) = watch::channel(());
        let run = async move {
            finisher.run().await;
            drop(running);
        };
        let finisher = runtime.spawn(run).abort_handle();
        Ok(Seata(Arc::new(Inner { client, finisher, finished, coordination })))
    }

    /// Walks the way to the coordinator without starting the application, and tells which links hold: for
    /// when [`start`](Self::start) fails, and for health checks. An embedded coordinator of its own is
    /// opened and closed again.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    #[cfg(feature = "remote")]
    pub async fn check(self) -> Report {
        if let Err(error) = check_application_id(&self.application_id) {
            let link = Link::failed(Step::Settings, error.to_string(), "name it otherwise", Duration::ZERO);
            return report_of_one(&self.application_id, &self.tx_service_group, link);
        }
        self.place.check(&self.application_id, &self.tx_service_group).await
    }

    fn with(mut self, setting: impl FnOnce(ClientBuilder) -> ClientBuilder + Send + 'static) -> Self {
        self.settings.push(Box::new(setting));
        self
    }
}

fn check_application_id(application_id: &str) -> Result<(), StartError> {
    match application_id.len() {
        1..=MAX_APPLICATION_ID => Ok(()),
        length => Err(StartError::InvalidApplicationId { length }),
    }
}

/// Applies a setting that may have been given.
#[cfg(feature = "config")]
fn set<T>(
    client: ClientBuilder,
    given: Option<T>,
    setting: impl FnOnce(ClientBuilder, T) -> ClientBuilder,
) -> ClientBuilder {
    match given {
        Some(value) => setting(client, value),
        None => client,
    }
}
