//! A whole server.

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, SystemTime},
};

use seata_coordinator::{
    driver::{Driver, SystemClock},
    journal::{JournalStore, OpenError},
    store::{AnyStore, MemoryStore, Store, StoreError},
};

use crate::{
    console::{Console, ConsoleError, ConsoleState, Readiness},
    front::{Bound, Clients, Front},
    metrics::Metrics,
    settings::{Settings, StoreKind},
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
}

/// Why a server did not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The Seata port could not be listened on.
    #[error("the Seata port cannot be listened on: {0}")]
    Bind(#[source] io::Error),
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

impl Server {
    /// Starts a server on the current tokio runtime.
    ///
    /// # Errors
    /// [`StartError`] names the cause.
    pub async fn start(settings: Settings) -> Result<Self, StartError> {
        let bound = Bound::bind(settings.front.clone()).await.map_err(StartError::Bind)?;
        let bound_console = Console::bind(&settings.console).await?;
        let (addresses, console_addresses) = (bound.addresses(), bound_console.addresses());
        let mut coordinator = settings.coordinator.clone();
        let first = addresses.first().copied();
        let host = settings.front.host.clone();
        coordinator.address = first.map(|at| (host.unwrap_or_else(|| at.ip().to_string()), at.port()));
        tracing::info!(?addresses, "listening");
        let store = match settings.store.kind {
            StoreKind::Memory => AnyStore::Memory(MemoryStore::new("server", coordinator.history)),
            StoreKind::Journal => AnyStore::Journal(Box::new(JournalStore::open(
                &settings.store.directory,
                coordinator.history,
            )?)),
        };
        let (clients, metrics) = (Clients::default(), Arc::new(Metrics::default()));
        let jitter = Box::new(|| 0.5);
        let (participants, observer) = (clients.clone(), Arc::clone(&metrics));
        let clock = SystemClock::new();
        let (tc, runner) =
            Driver::start_observed(store, participants, clock, jitter, coordinator, observer).await?;
        let readiness = Readiness::default();
        let console = bound_console.serve(ConsoleState {
            tc: tc.clone(),
            clients: clients.clone(),
            metrics: Arc::clone(&metrics),
            settings: Arc::new(settings),
            started: SystemTime::now(),
            readiness: readiness.clone(),
        })?;
        let runner = tokio::spawn(runner.run());
        let front = bound.serve(tc.clone(), clients, metrics);
        readiness.serving();
        Ok(Self { addresses, console_addresses, tc, console, readiness, front, runner })
    }

    /// Where the Seata port listens.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where the HTTP port listens.
    pub fn console_addresses(&self) -> &[SocketAddr] {
        &self.console_addresses
    }

    /// What makes it impossible to go on; waits as long as all is well.
    pub async fn failure(&mut self) -> StoreError {
        match (&mut self.runner).await {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => StoreError::Closed,
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

/// How long answers of the HTTP port may take at the end.
const LAST_ANSWERS: Duration = Duration::from_secs(2);
