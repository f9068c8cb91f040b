//! One application's side of its coordinator.

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use once_cell::sync::OnceCell;
use seata_protocol::Xid;
use tokio::sync::{Notify, Semaphore, mpsc, watch};

use crate::{
    Degradation, DegradeCheck, FailureHandler, LogAndWatch, ResourceManager, Scope, Scoped, Snapshot,
    TransactionHook, TransactionManager,
    degrade::Probe,
    finisher::{Finisher, Job},
};

/// The longest transaction name in bytes: the width of `transaction_name` in Java's tables.
pub(crate) const MAX_NAME_LENGTH: usize = 128;

/// What the macros use where neither an argument nor the scope names a client.
static INSTALLED: OnceCell<RwLock<Client>> = OnceCell::new();

/// One application's side of its coordinator: what begins, ends and observes global transactions.
///
/// Layers, data sources and scopes carry a clone each; clones are the same client. Applications get
/// theirs from `Seata::builder`; [`Client::builder`] is for those who bring a coordinator of another
/// kind.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    application_id: String,
    transaction_manager: Arc<dyn TransactionManager>,
    resource_manager: Arc<dyn ResourceManager>,
    settings: Settings,
    hooks: Vec<Arc<dyn TransactionHook>>,
    failure_handler: Arc<dyn FailureHandler>,
    jobs: mpsc::Sender<Job>,
    closing: Arc<Notify>,
    under_way: Arc<AtomicUsize>,
    degradation: watch::Receiver<Degradation>,
}

/// What a [`Client`] can be told. Every field has a default.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) timeout: Duration,
    pub(crate) request_timeout: Duration,
    pub(crate) commit_attempts: u32,
    pub(crate) rollback_attempts: u32,
    pub(crate) retry_interval: Duration,
    pub(crate) max_open: usize,
    pub(crate) degrade_check: Option<DegradeCheck>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(60),
            request_timeout: Duration::from_secs(30),
            commit_attempts: 5,
            rollback_attempts: 5,
            retry_interval: Duration::from_millis(100),
            max_open: 65_536,
            degrade_check: None,
        }
    }
}

/// Neither the transaction, nor the scope, nor the process names a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no Seata client here: call `seata.install()` once at start, or run inside `seata.scope(..)`, \
     or name it with `#[global_transactional(client = ..)]`"
)]
pub struct NoClient;

impl Client {
    /// A client with every setting at its default; see [`builder`](Self::builder).
    pub fn new(
        application_id: impl Into<String>,
        transaction_manager: Arc<dyn TransactionManager>,
        resource_manager: Arc<dyn ResourceManager>,
    ) -> (Self, Finisher) {
        Self::builder(application_id, transaction_manager, resource_manager).build()
    }

    /// Starts the description of a client.
    pub fn builder(
        application_id: impl Into<String>,
        transaction_manager: Arc<dyn TransactionManager>,
        resource_manager: Arc<dyn ResourceManager>,
    ) -> ClientBuilder {
        ClientBuilder {
            application_id: application_id.into(),
            transaction_manager,
            resource_manager,
            settings: Settings::default(),
            hooks: Vec::new(),
            failure_handler: Arc::new(LogAndWatch::default()),
        }
    }

    /// The client that a transaction begun here would use: the scope's, else the installed one.
    ///
    /// # Errors
    /// [`NoClient`] when there is neither.
    pub fn current() -> Result<Self, NoClient> {
        let scoped = Scope::with_current(|state| state.client.clone()).flatten();
        scoped
            .or_else(|| Some(INSTALLED.get()?.read().unwrap_or_else(PoisonError::into_inner).clone()))
            .ok_or(NoClient)
    }

    /// Makes this the client of everything in the process that names no other. A later call replaces it.
    pub fn install(&self) {
        let installed = INSTALLED.get_or_init(|| RwLock::new(self.clone()));
        // The one before is dropped when the lock is free again.
        let _replaced =
            std::mem::replace(&mut *installed.write().unwrap_or_else(PoisonError::into_inner), self.clone());
    }

    /// Runs a future in a scope of its own, without a transaction, whose transactions use this client.
    pub fn scope<F>(&self, inner: F) -> Scoped<F> {
        Snapshot::empty().with_client(self.clone()).scope(inner)
    }

    /// The application's name, as operators see it.
    pub fn application_id(&self) -> &str {
        &self.0.application_id
    }

    /// The way to begin and end transactions.
    pub fn transaction_manager(&self) -> &Arc<dyn TransactionManager> {
        &self.0.transaction_manager
    }

    /// The way to register resources and branches.
    pub fn resource_manager(&self) -> &Arc<dyn ResourceManager> {
        &self.0.resource_manager
    }

    /// Whether this transaction belongs to a coordinator that this client reaches.
    pub fn knows(&self, xid: &Xid) -> bool {
        self.0.transaction_manager.knows(xid)
    }

    /// How many transactions that were begun here have not ended yet, those that were dropped and are being
    /// ended in the background among them.
    pub fn open_transactions(&self) -> usize {
        let reserved = self.0.jobs.max_capacity() - self.0.jobs.capacity();
        reserved + self.0.under_way.load(Ordering::Relaxed)
    }

    /// Begins no more transactions. The [`Finisher`] ends when every open one has.
    pub fn close(&self) {
        self.0.closing.notify_one();
    }

    /// Whether annotated functions run without a transaction at this moment, because the coordinator
    /// does not work. Never so without a [`degrade_check`](ClientBuilder::degrade_check), nor when its
    /// [`Finisher`] has ended: nobody would switch transactions on again.
    pub fn degraded(&self) -> bool {
        self.0.settings.degrade_check.is_some()
            && self.0.degradation.borrow().is_degraded()
            && self.0.degradation.has_changed().is_ok()
    }

    /// The state now, and each change from now on. It ends when nobody probes any more, which is at once without a
    /// [`degrade_check`](ClientBuilder::degrade_check).
    pub fn degrade_events(&self) -> watch::Receiver<Degradation> {
        let mut events = self.0.degradation.clone();
        events.mark_unchanged();
        events
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.0.settings
    }

    pub(crate) fn hooks(&self) -> &[Arc<dyn TransactionHook>] {
        &self.0.hooks
    }

    pub(crate) fn failure_handler(&self) -> &dyn FailureHandler {
        &*self.0.failure_handler
    }

    pub(crate) fn jobs(&self) -> &mpsc::Sender<Job> {
        &self.0.jobs
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("application_id", &self.0.application_id).finish_non_exhaustive()
    }
}

/// The description of a [`Client`].
#[must_use]
pub struct ClientBuilder {
    application_id: String,
    transaction_manager: Arc<dyn TransactionManager>,
    resource_manager: Arc<dyn ResourceManager>,
    settings: Settings,
    hooks: Vec<Arc<dyn TransactionHook>>,
    failure_handler: Arc<dyn FailureHandler>,
}

impl ClientBuilder {
    /// How long a transaction may stay undecided when it names no time-out. Default: 60 s.
    pub fn default_timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How long one request to the coordinator may take. Default: 30 s.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.settings.request_timeout = timeout;
        self
    }

    /// How often a commit is asked for before its caller gets an error; at least once. Default: 5.
    pub fn commit_attempts(mut self, attempts: u32) -> Self {
        self.settings.commit_attempts = attempts.max(1);
        self
    }

    /// How often a rollback is asked for before its caller gets an error; at least once. Default: 5.
    pub fn rollback_attempts(mut self, attempts: u32) -> Self {
        self.settings.rollback_attempts = attempts.max(1);
        self
    }

    /// The pause after the first attempt that failed; it doubles with each further one. Default: 100 ms.
    pub fn retry_interval(mut self, interval: Duration) -> Self {
        self.settings.retry_interval = interval;
        self
    }

    /// How many transactions may be open at once; who begins one more waits for a place, at most as
    /// long as a request may take. Default: 65 536.
    pub fn max_open_transactions(mut self, open: usize) -> Self {
        self.settings.max_open = open.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// Probes the coordinator from time to time, and runs annotated functions without a transaction
    /// while it does not work. Default: off; a transaction that cannot be begun is an error.
    pub fn degrade_check(mut self, check: DegradeCheck) -> Self {
        self.settings.degrade_check = Some(check);
        self
    }

    /// Calls this hook at each step of every transaction that this client begins.
    pub fn hook(mut self, hook: impl TransactionHook) -> Self {
        self.hooks.push(Arc::new(hook));
        self
    }

    /// Who is told of transactions that did not end well. Default: [`LogAndWatch`].
    pub fn failure_handler(mut self, handler: impl FailureHandler) -> Self {
        self.failure_handler = Arc::new(handler);
        self
    }

    /// The client, and the [`Finisher`] that its owner has to run.
    pub fn build(self) -> (Client, Finisher) {
        let (jobs, receiver) = mpsc::channel(self.settings.max_open);
        let closing = Arc::new(Notify::new());
        let under_way = Arc::new(AtomicUsize::new(0));
        let (state, degradation) = watch::channel(Degradation::Normal);
        let manager = &self.transaction_manager;
        let probe = self.settings.degrade_check.map(|check| Probe::new(check, manager.clone(), state));
        let finisher = Finisher::new(
            receiver,
            closing.clone(),
            under_way.clone(),
            manager.clone(),
            probe,
            &self.settings,
        );
        let client = Client(Arc::new(Inner {
            application_id: self.application_id,
            transaction_manager: self.transaction_manager,
            resource_manager: self.resource_manager,
            settings: self.settings,
            hooks: self.hooks,
            failure_handler: self.failure_handler,
            jobs,
            closing,
            under_way,
            degradation,
        }));
        (client, finisher)
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("application_id", &self.application_id)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Whatever can stand for a [`Client`] in `#[global_transactional(client = ..)]`.
pub trait IntoClient {
    /// The client.
    fn into_client(self) -> Client;
}

impl IntoClient for &Client {
    fn into_client(self) -> Client {
        self.clone()
    }
}

impl<'a, T: ?Sized> IntoClient for &&'a T
where
    &'a T: IntoClient,
{
    fn into_client(self) -> Client {
        (*self).into_client()
    }
}

impl<'a, T: ?Sized> IntoClient for &'a Arc<T>
where
    &'a T: IntoClient,
{
    fn into_client(self) -> Client {
        (**self).into_client()
    }
}
