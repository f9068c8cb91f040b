//! A whole server.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use seata_coordinator::{
    driver::{Clock, Driver, Observer, SystemClock, first_id_at},
    journal::{JournalStore, OpenError, Options},
    settings::Settings as CoordinatorSettings,
    store::{AnyStore, MemoryStore, Store, StoreError},
};

use crate::{
    address::{self, AddressError},
    console::{Console, ConsoleError, ConsoleState, Readiness},
    front::{BindError, Bound, Clients, Front},
    listen::ListenError,
    metrics::Metrics,
    settings::{Settings, StoreKind, StoreSettings, TlsSettings},
    tls::{self, TlsError},
};

/// A server at work.
#[derive(Debug)]
pub struct Server {
    addresses: Vec<SocketAddr>,
    tc: crate::Tc,
    console_addresses: Vec<SocketAddr>,
    console: Console,
    readiness: Readiness,
    front: Front,
    runner: tokio::task::JoinHandle<Result<(), StoreError>>,
    /// How many registrations of one connection may wait for rows.
    most_waiters: usize,
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The Seata port could not be listened on.
    #[error(
        "the Seata port cannot be listened on: {address}: {error}; choose another with --port, or another address with \
         --bind"
    )]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What came of it.
        error: io::Error,
    },
    /// The Seata port's certificate or its key cannot be used.
    #[error("the Seata port's {0}")]
    Tls(#[source] TlsError),
    /// There is no address for XIDs.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The HTTP port could not be opened.
    #[error(transparent)]
    Console(#[from] ConsoleError),
    /// The data directory could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<BindError> for StartError {
    fn from(error: BindError) -> Self {
        match error {
            BindError::Tls(error) => Self::Tls(error),
            BindError::Listen(ListenError { address, error }) => Self::Bind { address, error },
        }
    }
}

impl Server {
    /// What a start reads before it opens anything: the certificates.
    ///
    /// # Errors
    /// [`StartError::Tls`] and [`ConsoleError::Tls`] name the file and what is wrong with it.
    pub fn check(settings: &Settings) -> Result<(), StartError> {
        let read = |settings: &Option<TlsSettings>| {
            settings.as_ref().map_or(Ok(()), |settings| tls::acceptor(settings, &[]).map(drop))
        };
        read(&settings.front.tls).map_err(StartError::Tls)?;
        read(&settings.console.tls).map_err(ConsoleError::Tls)?;
        Ok(())
    }

    /// Starts a server on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] names the cause.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let host = address::advertised(&settings.front)?;
        let bound = Bound::bind(settings.front.clone())?;
        let bound_console = Console::bind(&settings.console)?;
        let (addresses, console_addresses) = (bound.addresses(), bound_console.addresses());
        let readiness = Readiness::default();
        // Whether it lives is asked from now on, and to open the store may take a while.
        let console = bound_console.serve(readiness.clone());
        let most_waiters = settings.front.max_requests_per_connection / 2;
        let mut coordinator = with_room(settings.coordinator.clone(), most_waiters);
        coordinator.address = addresses.first().map(|at| (host, at.port()));
        let settings = Arc::new(settings);
        let (clients, metrics) = (Clients::default(), Arc::new(Metrics::default()));
        clients.set_call_limit(settings.coordinator.call_limit);
        let clock = SystemClock::new();
        let mut options = Options::from(coordinator.history);
        options.first_id = first_id_at(clock.now());
        let flushes = Arc::clone(&metrics);
        options.on_flush = Some(Arc::new(move |took, records| flushes.flushed(took, records)));
        let progress = readiness.clone();
        options.on_progress = Some(Arc::new(move |percent| progress.replaying(percent)));
        let store = open(&settings.store, options).await?;
        let jitter = Box::new(rand::random::<f64>);
        let (participants, observer) = (clients.clone(), Arc::clone(&metrics));
        let (tc, runner) =
            Driver::start_observed(store, participants, clock, jitter, coordinator, observer).await?;
        console.open(ConsoleState {
            tc: tc.clone(),
            clients: clients.clone(),
            metrics: Arc::clone(&metrics),
            settings: Arc::clone(&settings),
            started: SystemTime::now(),
        })?;
        let runner = tokio::spawn(runner.run());
        let front = bound.serve(tc.clone(), clients, metrics);
        readiness.serving();
        announce(&addresses, &console_addresses, &tc, &settings);
        Ok(Self { addresses, console_addresses, tc, console, readiness, front, runner, most_waiters })
    }

    /// Where the Seata port listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the HTTP port listens.
    pub fn console_addresses(&self) -> &[SocketAddr] {
        &self.console_addresses
    }

    /// Goes on with those of `settings` that may change while it runs.
    pub fn reconfigure(&self, settings: &Settings) {
        self.tc.reconfigure(with_room(settings.coordinator.clone(), self.most_waiters));
        self.front.set_lock_wait(settings.front.lock_wait);
        self.front.set_call_limit(settings.coordinator.call_limit);
    }

    /// What makes it impossible to go on; waits as long as all is well.
    pub async fn failure(&mut self) -> StoreError {
        match (&mut self.runner).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) => StoreError::Closed,
            Err(panic) => StoreError::Failed { reason: format!("phase two ended: {panic}").into() },
        }
    }

    /// Ends in order, within about `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the store had failed.
    pub async fn shutdown(self, limit: Duration) -> Result<(), StoreError> {
        self.readiness.draining();
        self.front.shutdown(limit).await;
        self.tc.stop();
        if !self.runner.is_finished() {
            let _ = self.runner.await;
        }
        self.console.shutdown(LAST_ANSWERS).await;
        self.tc.store().close().await
    }
}

/// With so many waiters of a client that the requests which free the rows have room beside them.
fn with_room(coordinator: CoordinatorSettings, most_waiters: usize) -> CoordinatorSettings {
    let mut settings = coordinator;
    settings.max_waiters_per_client = settings.max_waiters_per_client.min(most_waiters);
    settings
}

/// How long answers of the HTTP port may take at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);

/// Reading the journal blocks as long as there is much that is open.
async fn open(settings: &StoreSettings, options: Options) -> Result<AnyStore, StartError> {
    if settings.kind == StoreKind::Memory {
        tracing::warn!("store.mode is memory: every transaction is forgotten when this process ends");
        return Ok(AnyStore::Memory(
            MemoryStore::new("server", options.history).with_first_id(options.first_id),
        ));
    }
    let directory = settings.directory.clone();
    let opened = tokio::task::spawn_blocking(move || JournalStore::open(directory, options)).await;
    let store = opened.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
    Ok(AnyStore::Journal(Box::new(store)))
}

/// The line that operators and scripts wait for.
fn announce(addresses: &[SocketAddr], console: &[SocketAddr], tc: &crate::Tc, settings: &Settings) {
    let store = &settings.store;
    let scheme = if settings.console.tls.is_some() { "https" } else { "http" };
    let urls: Vec<_> = console.iter().map(|address| format!("{scheme}://{address}")).collect();
    let (store, directory) = match store.kind {
        StoreKind::Journal => ("journal", std::path::absolute(&store.directory).ok()),
        StoreKind::Memory => ("memory", None),
    };
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        ?addresses,
        xids = tc.address(),
        store,
        directory = directory.map(|path| tracing::field::display(path.display().to_string())),
        open = tc.stats().open,
        console = urls.join(" "),
        "listening"
    );
}
