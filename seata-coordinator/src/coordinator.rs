//! A whole coordinator inside the caller's process.

use std::{
    collections::HashMap,
    path::Path,
    sync::{Arc, Mutex, RwLock},
    time::Duration,
};

use futures_core::future::BoxFuture;
use seata_protocol::{BranchId, BranchStatus, GlobalStatus, ResourceId, RowLock, Xid};
use tokio::{sync::broadcast, task::JoinHandle};

use crate::{
    driver::{
        BeginError, BeginRequest, BranchAnswer, BranchRequest, BranchTask, Clock, Driver, Event, LocksError,
        OperatorError, Participants, Reached, RegisterError, ReportError, SystemClock, TransactionView,
        Unavailable, first_id_at,
    },
    journal::{JournalStore, OpenError, Options},
    record::HeldLock,
    settings::Settings,
    store::{AnyStore, MemoryStore, Store, StoreError},
};

/// What the embedded coordinator calls in phase two. The calls of one resource may come at the same time,
/// twice and late; a call that takes longer than [`Settings::call_limit`] is dropped and comes again.
pub trait Participant: Send + Sync + 'static {
    /// Makes a branch final.
    fn commit(&self, task: BranchTask) -> BoxFuture<'_, BranchAnswer>;

    /// Undoes a branch.
    fn rollback(&self, task: BranchTask) -> BoxFuture<'_, BranchAnswer>;

    /// Makes several AT branches final at once, for instance with one statement. One answer for each, in
    /// the same order.
    fn commit_many(&self, tasks: Vec<BranchTask>) -> BoxFuture<'_, Vec<BranchAnswer>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(tasks.len());
            for task in tasks {
                answers.push(self.commit(task).await);
            }
            answers
        })
    }
}

/// A coordinator that lives in this process. Cloning is cheap, and all clones are the same one.
///
/// When the last clone is gone the coordinator ends as it would in a crash: what was acknowledged is
/// there at the next start. [`shutdown`](Self::shutdown) ends it in order.
///
/// ```
/// use std::{sync::Arc, time::Duration};
///
/// use seata_coordinator::{Coordinator, driver::BeginRequest};
/// use seata_protocol::GlobalStatus;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let coordinator = Coordinator::in_memory();
/// let xid = coordinator
///     .begin(BeginRequest {
///         application: "shop".into(),
///         group: "default_tx_group".into(),
///         name: "purchase".into(),
///         timeout: Duration::from_secs(30),
///         is_local: true,
///     })
///     .await?;
/// assert!(coordinator.knows(&xid));
/// assert_eq!(coordinator.commit(&xid).await?, GlobalStatus::Committed);
/// coordinator.shutdown(Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Coordinator {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    driver: Driver<AnyStore, SystemClock>,
    attached: Attached,
    task: Mutex<Option<JoinHandle<Result<(), StoreError>>>>,
}

impl Coordinator {
    /// Opens the coordinator whose journal is in `directory`, which is created if need be, and goes on with
    /// what an earlier life left. Runs on the current tokio runtime.
    ///
    /// # Errors
    /// [`OpenError`] names the cause, such as another coordinator that has the directory open.
    pub async fn open(directory: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(directory, Settings::default()).await
    }

    /// [`open`](Self::open) with settings of one's own.
    ///
    /// # Errors
    /// As for `open`.
    pub async fn open_with(directory: impl AsRef<Path>, settings: Settings) -> Result<Self, OpenError> {
        let directory = directory.as_ref().to_owned();
        let path = directory.clone();
        let mut options = Options::from(settings.history);
        // Behind an address of one's own there may have been another journal; otherwise its name tells them apart.
        if settings.address.is_some() {
            options.first_id = first_id_at(SystemClock::new().now());
        }
        let opened = tokio::task::spawn_blocking(move || JournalStore::open(&directory, options)).await;
        let failed = |error: &dyn std::error::Error| OpenError::Io {
            path: path.clone(),
            source: std::io::Error::other(error.to_string()),
        };
        let journal = opened.map_err(|error| failed(&error))??;
        Self::start(AnyStore::Journal(Box::new(journal)), settings).await.map_err(|error| failed(&error))
    }

    /// A coordinator that forgets everything when it ends: for tests. Runs on the current tokio runtime.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn in_memory() -> Self {
        Self::in_memory_with(Settings::default())
    }

    /// [`in_memory`](Self::in_memory) with settings of one's own.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn in_memory_with(settings: Settings) -> Self {
        let identity = format!("{:08x}", rand::random::<u32>());
        let mut store = MemoryStore::new(identity, settings.history);
        if settings.address.is_some() {
            store = store.with_first_id(first_id_at(SystemClock::new().now()));
        }
        let store = AnyStore::Memory(store);
        let start = std::pin::pin!(Self::start(store, settings));
        // Nothing in an empty memory store is ever waited for.
        match start.poll_once() {
            Some(Ok(coordinator)) => coordinator,
            Some(Err(_)) | None => unreachable!("an empty memory store is read at once"),
        }
    }

    async fn start(store: AnyStore, settings: Settings) -> Result<Self, StoreError> {
        let attached = Attached::default();
        let jitter = Box::new(rand::random::<f64>);
        let (driver, runner) =
            Driver::start(store, attached.clone(), SystemClock::new(), jitter, settings).await?;
        let task = Mutex::new(Some(tokio::spawn(runner.run())));
        Ok(Self { inner: Arc::new(Inner { driver, attached, task }) })
    }

    /// The name that this coordinator's data directory was given when it was created, as it stands in its
    /// XIDs after `tc-`.
    pub fn identity(&self) -> &str {
        self.inner.driver.store().identity()
    }

    /// `host:port` of the XIDs given out here.
    pub fn address(&self) -> &str {
        self.inner.driver.address()
    }

    /// Whether this coordinator gave out the XID, now or in an earlier life.
    pub fn knows(&self, xid: &Xid) -> bool {
        self.inner.driver.knows(xid)
    }

    /// Makes a resource known, so that phase two can reach it; the same id again replaces the earlier one.
    /// Phase two that waits for it begins.
    pub async fn attach(&self, resource: ResourceId, participant: Arc<dyn Participant>) {
        let replaced = self.inner.attached.write().insert(resource.clone(), participant);
        drop(replaced);
        self.inner.driver.resource_available(&resource);
    }

    /// Takes a resource away, when its data source is closed: phase two then waits until it is back.
    pub fn detach(&self, resource: &ResourceId) {
        let removed = self.inner.attached.write().remove(resource);
        drop(removed);
    }

    /// Opens a global transaction. See [`Driver::begin`].
    ///
    /// # Errors
    /// [`BeginError`] names the cause; nothing is begun then.
    pub async fn begin(&self, request: BeginRequest) -> Result<Xid, BeginError> {
        self.inner.driver.begin(request).await
    }

    /// Adds a branch with its row locks. See [`Driver::register_branch`].
    ///
    /// # Errors
    /// [`RegisterError`] names the cause; nothing is changed then.
    pub async fn register_branch(&self, request: BranchRequest) -> Result<BranchId, RegisterError> {
        self.inner.driver.register_branch(request).await
    }

    /// Keeps how phase one of a branch ended. See [`Driver::report_branch`].
    ///
    /// # Errors
    /// [`ReportError`] when there is no such branch.
    pub async fn report_branch(
        &self,
        xid: &Xid,
        branch: BranchId,
        status: BranchStatus,
        application_data: Option<Arc<str>>,
    ) -> Result<(), ReportError> {
        self.inner.driver.report_branch(xid, branch, status, application_data).await
    }

    /// Succeeds when no transaction other than `xid` holds any of the rows. See [`Driver::query_locks`].
    ///
    /// # Errors
    /// [`LocksError::Conflict`] names the first row held and its holder.
    pub async fn query_locks(&self, xid: Option<&Xid>, locks: &[RowLock]) -> Result<(), LocksError> {
        self.inner.driver.query_locks(xid, locks).await
    }

    /// Decides to commit. See [`Driver::commit`].
    ///
    /// # Errors
    /// [`Unavailable`]: ask again to see whether it was decided.
    pub async fn commit(&self, xid: &Xid) -> Result<GlobalStatus, Unavailable> {
        self.inner.driver.commit(xid).await
    }

    /// Decides to roll back. See [`Driver::rollback`].
    ///
    /// # Errors
    /// [`Unavailable`]: ask again to see whether it was decided.
    pub async fn rollback(&self, xid: &Xid) -> Result<GlobalStatus, Unavailable> {
        self.inner.driver.rollback(xid).await
    }

    /// Where the transaction stands. See [`Driver::status`].
    ///
    /// # Errors
    /// [`Unavailable`] when the store is.
    pub async fn status(&self, xid: &Xid) -> Result<GlobalStatus, Unavailable> {
        self.inner.driver.status(xid).await
    }

    /// Takes note of an outcome that was decided outside (Saga). See [`Driver::report`].
    ///
    /// # Errors
    /// [`Unavailable`] when the store is.
    pub async fn report(&self, xid: &Xid, status: GlobalStatus) -> Result<GlobalStatus, Unavailable> {
        self.inner.driver.report(xid, status).await
    }

    /// Tries a decided transaction again, now, parked or not. Returns whether there was one to be tried.
    ///
    /// # Errors
    /// [`Unavailable`] when the coordinator has ended.
    pub async fn retry(&self, xid: &Xid) -> Result<bool, Unavailable> {
        match self.inner.driver.retry(xid).await {
            Ok(_) => Ok(true),
            Err(OperatorError::Unavailable(error)) => Err(error),
            Err(_) => Ok(false),
        }
    }

    /// All transactions that are not finished, from the oldest, with what keeps them.
    ///
    /// # Errors
    /// [`Unavailable`] when the coordinator has ended.
    pub async fn transactions(&self) -> Result<Vec<TransactionView>, Unavailable> {
        self.inner.driver.transactions(usize::MAX).await
    }

    /// Those of them that a person has to look at.
    ///
    /// # Errors
    /// [`Unavailable`] when the coordinator has ended.
    pub async fn parked(&self) -> Result<Vec<TransactionView>, Unavailable> {
        self.inner.driver.parked().await
    }

    /// All row locks that are held, each with its holder.
    ///
    /// # Errors
    /// [`Unavailable`] when the store is.
    pub async fn locks(&self) -> Result<Vec<HeldLock>, Unavailable> {
        self.inner.driver.locks(usize::MAX).await
    }

    /// What happens from now on. A subscriber that lags behind loses the oldest events.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.driver.events()
    }

    /// Takes no more requests, waits at most `limit` for the calls that are under way, makes everything
    /// durable and frees the data directory. What is unfinished goes on at the next start.
    ///
    /// # Errors
    /// [`StoreError`] when the store had failed.
    pub async fn shutdown(&self, limit: Duration) -> Result<(), StoreError> {
        self.inner.driver.stop();
        let task = self.inner.task.lock().expect("nothing panics under it").take();
        if let Some(mut task) = task
            && tokio::time::timeout(limit, &mut task).await.is_err()
        {
            task.abort();
            let _ = task.await;
        }
        self.inner.driver.store().close().await
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Ok(mut task) = self.task.lock()
            && let Some(task) = task.take()
        {
            task.abort();
        }
        // The task goes when its runtime comes to it; the directory is to be free now.
        self.driver.store().end();
    }
}

/// The resources of this process.
#[derive(Clone, Default)]
struct Attached {
    participants: Arc<RwLock<HashMap<ResourceId, Arc<dyn Participant>>>>,
}

impl Attached {
    fn write(&self) -> std::sync::RwLockWriteGuard<'_, HashMap<ResourceId, Arc<dyn Participant>>> {
        self.participants.write().expect("nothing panics under it")
    }

    fn find(&self, resource: &ResourceId) -> Option<Arc<dyn Participant>> {
        self.participants.read().expect("nothing panics under it").get(resource).cloned()
    }
}

impl Participants for Attached {
    async fn commit(&self, task: BranchTask) -> Reached {
        match self.find(&task.resource) {
            Some(participant) => Reached::Answered(participant.commit(task).await),
            None => Reached::NoSuchResource,
        }
    }

    async fn rollback(&self, task: BranchTask) -> Reached {
        match self.find(&task.resource) {
            Some(participant) => Reached::Answered(participant.rollback(task).await),
            None => Reached::NoSuchResource,
        }
    }

    async fn commit_many(&self, tasks: Vec<BranchTask>) -> Vec<Reached> {
        let Some(first) = tasks.first() else { return Vec::new() };
        match self.find(&first.resource) {
            Some(participant) => {
                participant.commit_many(tasks).await.into_iter().map(Reached::Answered).collect()
            }
            None => vec![Reached::NoSuchResource; tasks.len()],
        }
    }
}

impl std::fmt::Debug for Attached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.participants.read().expect("nothing panics under it").keys()).finish()
    }
}

/// Polls a future that is known not to wait.
trait PollOnce: Future {
    fn poll_once(self: std::pin::Pin<&mut Self>) -> Option<Self::Output> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match self.poll(&mut context) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        }
    }
}

impl<F: Future> PollOnce for F {}
