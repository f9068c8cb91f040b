//! The shell around the state machine: requests, time-outs, phase two.
//!
//! A [`Driver`] takes requests; its [`Runner`] owns every session and has to be run by somebody. Both
//! are generic over the store, the clock and the way to reach resource managers, so that the same code
//! runs in an application, behind the wire and in a simulation.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound,
    sync::{
        Arc, Mutex, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use seata_protocol::{
    BranchId, BranchStatus, BranchType, GlobalStatus, ResourceId, RowLock, TransactionId, Xid,
};
use tokio::sync::{Notify, broadcast, mpsc, oneshot};

use crate::{
    record::{Millis, Snapshot, Transaction},
    session::{Decision, answer_for},
    settings::Settings,
    store::{Decided, Found, Reported, Store, StoreError},
};

pub use clock::{Clock, SystemClock};
pub use error::{BeginError, LocksError, OperatorError, RegisterError, ReportError, Unavailable};
pub use event::{Event, EventKind};
pub use ids::first_id_at;
pub use listing::Known;
pub use observer::{Observer, Unobserved};
pub use operator::GivenUp;
pub use participants::{BranchAnswer, BranchTask, Participants, Reached};
pub use runner::{Jitter, Runner, TransactionView};
pub use stats::{LockWaiter, Stats};

use command::{Command, HandOver};
use deadlines::Deadlines;
use ids::Ids;
use lock_queue::LockQueue;
use stats::Gauges;

mod clock;
mod command;
mod deadlines;
mod error;
mod event;
mod ids;
mod listing;
mod lock_queue;
mod observer;
mod operator;
mod participants;
mod register;
mod report;
mod runner;
mod stats;
#[cfg(all(test, feature = "journal"))]
mod tests;

/// What a starter says of its new global transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginRequest {
    /// The application that begins it.
    pub application: Arc<str>,
    /// Its transaction service group.
    pub group: Arc<str>,
    /// What operators see.
    pub name: Arc<str>,
    /// How long it may stay undecided.
    pub timeout: Duration,
    /// The starter lives in the coordinator's own process and dies with it: after a restart the
    /// transaction is rolled back at once instead of at its time-out.
    pub is_local: bool,
}

/// What a resource manager says of its new branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchRequest {
    /// The global transaction that it joins.
    pub xid: Xid,
    /// How it takes part.
    pub branch_type: BranchType,
    /// Where phase two happens.
    pub resource: ResourceId,
    /// The rows it changed, all of that resource. All or none are locked.
    pub locks: Vec<RowLock>,
    /// Text that comes back in phase two.
    pub application_data: Arc<str>,
    /// Who asks, as Java writes it: `application:ip:port`. Phase two looks there first. Empty for a branch of
    /// this process.
    pub client: Arc<str>,
    /// How long to wait for rows that others hold before the conflict is told. Zero: not at all.
    pub lock_wait: Duration,
}

/// Takes requests for one coordinator. Cloning is cheap; when the last clone is gone, its [`Runner`] ends.
#[derive(Debug)]
pub struct Driver<S, C> {
    shared: Arc<Shared<S, C>>,
    inbox: mpsc::Sender<Command>,
}

struct Shared<S, C> {
    store: S,
    clock: C,
    observer: Arc<dyn Observer>,
    settings: RwLock<Settings>,
    /// `host:port` of the XIDs given out.
    host: String,
    port: u16,
    address: String,
    /// What the clock lags behind the youngest record, because it was set back between two lives.
    lag: AtomicU64,
    ids: Ids,
    deadlines: Deadlines,
    lock_queue: Arc<LockQueue>,
    gauges: Gauges,
    /// Since when which transaction is parked.
    parked: Mutex<BTreeMap<TransactionId, Millis>>,
    /// Resources that became available and that the runner does not know of yet. Not in the inbox: telling of
    /// one must neither wait nor be forgotten when the teller is dropped.
    arrived: Mutex<HashSet<ResourceId>>,
    arrival: Notify,
    events: broadcast::Sender<Event>,
    is_stopping: AtomicBool,
}

impl<S: Store, C: Clock> Driver<S, C> {
    /// Reads what is open in `store` and makes it ready to go on. Nothing happens until the runner runs.
    ///
    /// `jitter` gives numbers from 0 to 1, to spread retries.
    ///
    /// # Errors
    /// [`StoreError`] when the store cannot be read.
    pub async fn start<P: Participants>(
        store: S,
        participants: P,
        clock: C,
        jitter: Jitter,
        settings: Settings,
    ) -> Result<(Self, Runner<S, P, C>), StoreError> {
        Self::start_observed(store, participants, clock, jitter, settings, Arc::new(Unobserved)).await
    }

    /// [`start`](Self::start), with somebody who hears of what is worth counting.
    ///
    /// # Errors
    /// As for `start`.
    pub async fn start_observed<P: Participants>(
        store: S,
        participants: P,
        clock: C,
        jitter: Jitter,
        settings: Settings,
        observer: Arc<dyn Observer>,
    ) -> Result<(Self, Runner<S, P, C>), StoreError> {
        let (host, port) =
            settings.address.clone().unwrap_or_else(|| (format!("tc-{}", store.identity()), 0));
        let (inbox, commands) = mpsc::channel(settings.inbox);
        let shared = Arc::new(Shared {
            address: format!("{host}:{port}"),
            ids: Ids::new(settings.ids_per_block),
            events: broadcast::Sender::new(settings.events),
            lag: AtomicU64::new(0),
            deadlines: Deadlines::default(),
            lock_queue: Arc::default(),
            gauges: Gauges::default(),
            parked: Mutex::default(),
            arrived: Mutex::default(),
            arrival: Notify::new(),
            is_stopping: AtomicBool::new(false),
            store,
            clock,
            observer,
            settings: RwLock::new(settings),
            host,
            port,
        });
        let runner = Runner::recover(Arc::clone(&shared), participants, commands, jitter).await?;
        Ok((Self { shared, inbox }, runner))
    }

    /// `host:port` of the XIDs given out here.
    pub fn address(&self) -> &str {
        &self.shared.address
    }

    /// Where records live.
    pub fn store(&self) -> &S {
        &self.shared.store
    }

    /// Whether this coordinator gave out the XID, now or in an earlier life.
    pub fn knows(&self, xid: &Xid) -> bool {
        xid.coordinator() == self.shared.address
    }

    /// What happens from now on. A subscriber that lags too far behind loses the oldest events, and nothing is
    /// kept for one that is still to come: subscribe before the runner runs to hear of all it does, and read
    /// [`page`](Self::page) for what was open before.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.shared.events.subscribe()
    }

    /// Opens a global transaction.
    ///
    /// # Errors
    /// [`BeginError::TooLong`] for a text beyond its limit; nothing is begun then.
    pub async fn begin(&self, request: BeginRequest) -> Result<Xid, BeginError> {
        self.check_running()?;
        for (what, text) in [
            ("application", &request.application),
            ("transaction service group", &request.group),
            ("name", &request.name),
        ] {
            if text.len() > MAX_NAME {
                return Err(BeginError::TooLong { what, length: text.len(), limit: MAX_NAME });
            }
        }
        let shared = &*self.shared;
        let id = TransactionId(shared.ids.next(&shared.store).await?);
        let xid = Xid::new(&shared.host, shared.port, id)
            .map_err(|error| BeginError::Address { address: shared.address.clone(), error })?;
        let timeout = u64::try_from(request.timeout.as_millis()).unwrap_or(u64::MAX);
        let transaction = Arc::new(Transaction {
            id,
            xid: xid.clone(),
            application: request.application,
            group: request.group,
            name: request.name,
            begun_at: shared.now(),
            timeout,
            incarnation: request.is_local.then(|| shared.store.incarnation()),
        });
        shared.deadlines.watch(&transaction);
        shared.store.begin(Arc::clone(&transaction)).await?;
        // Once more: its deadline may have come and gone while the store held it back.
        shared.deadlines.watch(&transaction);
        tracing::debug!(%xid, name = &*transaction.name, "begun");
        shared.observer.begun(&transaction);
        shared.emit(&transaction, || EventKind::Begun { name: Arc::clone(&transaction.name) });
        Ok(xid)
    }

    /// Keeps how phase one of a branch ended. [`BranchStatus::PhaseOneFailed`] frees its locks.
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
        self.check_running()?;
        let unknown = || ReportError::UnknownTransaction { xid: xid.clone() };
        let id = self.own(xid).await?.ok_or_else(unknown)?;
        let limit = self.shared.settings().max_application_data;
        if let Some(data) = application_data.as_ref().filter(|data| data.len() > limit) {
            return Err(ReportError::DataTooLong { length: data.len(), limit });
        }
        let frees = status == BranchStatus::PhaseOneFailed;
        let report = self.shared.store.report(id, branch, status, application_data);
        let reported = if frees { self.shared.lock_queue.changes(id, report).await } else { report.await };
        match reported? {
            Reported::Done => Ok(()),
            Reported::UnknownBranch => Err(ReportError::UnknownBranch { xid: xid.clone(), branch }),
            Reported::Unknown => Err(unknown()),
        }
    }

    /// Succeeds when no transaction other than `xid` holds any of the rows. Of very many rows each was free when
    /// its turn came.
    ///
    /// # Errors
    /// [`LocksError::Conflict`] names the first row held and its holder, [`LocksError::TooMany`] the limit.
    pub async fn query_locks(&self, xid: Option<&Xid>, locks: &[RowLock]) -> Result<(), LocksError> {
        self.check_running()?;
        let limit = self.shared.settings().max_locks;
        if locks.len() > limit {
            return Err(LocksError::TooMany { count: locks.len(), limit });
        }
        let except = match xid {
            Some(xid) => self.own(xid).await?,
            None => None,
        };
        match self.first_conflict(except, locks).await? {
            None => Ok(()),
            Some(conflict) => Err(LocksError::Conflict(conflict)),
        }
    }

    /// Decides to commit, unless it is decided already, and says where the transaction then stands:
    /// `Committed` once that is durable and every branch that somebody waits for is done;
    /// `Committing` or `CommitRetrying` while it goes on by itself; `TimeoutRollbacking` when it came too
    /// late; the outcome of one that ended; `Finished` for one that is not known.
    ///
    /// # Errors
    /// [`Unavailable`]: whether it was decided is then shown by asking again.
    pub async fn commit(&self, xid: &Xid) -> Result<GlobalStatus, Unavailable> {
        self.settle(xid, Decision::Commit, None).await
    }

    /// Decides to roll back, unless it is decided already, and says where the transaction then stands:
    /// `Rollbacked` when all is undone, `RollbackRetrying` while it goes on by itself, `RollbackFailed` when
    /// a person has to look, the outcome of one that ended, `Finished` for one that is not known.
    ///
    /// # Errors
    /// As for [`commit`](Self::commit).
    pub async fn rollback(&self, xid: &Xid) -> Result<GlobalStatus, Unavailable> {
        self.settle(xid, Decision::Rollback, None).await
    }

    /// Where the transaction stands; the outcome of one that ended while it is kept; else `Finished`.
    ///
    /// # Errors
    /// [`Unavailable`] when the store is.
    pub async fn status(&self, xid: &Xid) -> Result<GlobalStatus, Unavailable> {
        let Some(id) = self.own(xid).await? else { return Ok(GlobalStatus::Finished) };
        Ok(self.shared.store.status(id).await?.unwrap_or(GlobalStatus::Finished))
    }

    /// Tells that a resource can be reached (again): phase two that waits for it goes on.
    pub fn resource_available(&self, resource: &ResourceId) {
        self.shared.arrived.lock().expect("nothing panics under it").insert(resource.clone());
        self.shared.arrival.notify_one();
    }

    /// What it has in hand, in numbers. Cheap, however much that is.
    pub fn stats(&self) -> Stats {
        let shared = &*self.shared;
        let counts = shared.store.counts();
        let parked = shared.parked.lock().expect("nothing panics under it");
        Stats {
            open: counts.open,
            by_status: counts.by_status,
            locks: counts.locks,
            waiting: shared.lock_queue.len(),
            parked: parked.len(),
            oldest_parked: parked.values().min().copied(),
            inbox: self.inbox.max_capacity() - self.inbox.capacity(),
            phase_two_queued: shared.gauges.queued.value(),
            phase_two_under_way: shared.gauges.under_way.value(),
        }
    }

    /// Up to `limit` registrations that wait for rows of others, from the oldest.
    pub fn waiters(&self, limit: usize) -> Vec<LockWaiter> {
        self.shared.lock_queue.list(limit)
    }

    /// Up to `limit` of those that want this row, from the one that gets it next. Cheap, however many wait.
    pub fn waiters_for(&self, row: &RowLock, limit: usize) -> Vec<LockWaiter> {
        self.shared.lock_queue.list_for(row, limit)
    }

    /// How many rows one branch may lock.
    pub fn max_locks(&self) -> usize {
        self.shared.settings().max_locks
    }

    /// Goes on with other settings: what begins from now on follows them, and each next step of what is open; a
    /// call, a wait and a back-off that are under way keep their time. The address, the history, the inbox, the events and the size of a block of numbers stay as they are.
    pub fn reconfigure(&self, settings: Settings) {
        let mut current = self.shared.settings.write().expect("nothing panics under it");
        let kept = Settings {
            address: current.address.take(),
            history: current.history,
            ids_per_block: current.ids_per_block,
            inbox: current.inbox,
            events: current.events,
            ..settings
        };
        *current = kept;
    }

    /// Takes no more requests and lets the runner end when the calls that are under way have answered. What
    /// is unfinished goes on at the next start.
    pub fn stop(&self) {
        self.shared.is_stopping.store(true, Ordering::Release);
        self.shared.lock_queue.close();
        // A full inbox is read by a runner that looks at the flag by itself.
        let _ = self.inbox.try_send(Command::Stop);
    }

    /// From here on the transaction is decided or is being decided, whoever drops this future.
    /// A note is an operator's: it is kept with the outcome, and who leaves one does not wait for phase two.
    async fn settle(
        &self,
        xid: &Xid,
        decision: Decision,
        note: Option<Arc<str>>,
    ) -> Result<GlobalStatus, Unavailable> {
        self.check_running()?;
        let Some(id) = self.own(xid).await? else { return Ok(GlobalStatus::Finished) };
        let Ok(permit) = self.inbox.reserve().await else { return Err(self.why_ended().await) };
        let hand_over = HandOver::new(permit, id, decision, note.clone());
        let shared = &*self.shared;
        let is_forced = note.is_some();
        let decide = shared.store.decide(id, decision, note, shared.now());
        let decided = shared.lock_queue.changes(id, decide).await;
        let snapshot = match decided {
            Ok(Decided::Now(snapshot)) => snapshot,
            Ok(decided) => {
                hand_over.cancel();
                return Ok(match decided {
                    Decided::Unchanged(status) => answer_for(status),
                    Decided::Ended(ended) => ended.status,
                    Decided::Now(_) | Decided::Unknown => GlobalStatus::Finished,
                });
            }
            Err(error) => {
                hand_over.cancel();
                return Err(error.into());
            }
        };
        let status = snapshot.status;
        shared.deadlines.forget(&snapshot.transaction);
        shared.tell_decided(&snapshot, decision);
        if status.is_complete() {
            hand_over.cancel();
            return Ok(status);
        }
        if status == GlobalStatus::AsyncCommitting {
            hand_over.start(snapshot, None);
            return Ok(GlobalStatus::Committed);
        }
        let (sender, outcome) = oneshot::channel();
        // A starter that commits too late is told so at once.
        let is_too_late = decision == Decision::Commit && status.is_rollback();
        let waits = !is_forced && !is_too_late;
        hand_over.start(snapshot, waits.then_some(sender));
        if !waits {
            return Ok(status);
        }
        let answer_limit = shared.settings().answer_limit;
        tokio::select! {
            outcome = outcome => match outcome {
                Ok(status) => Ok(status),
                // The runner has ended; the decision stands.
                Err(_) => self.status(xid).await.map(answer_for),
            },
            () = shared.clock.sleep(answer_limit) => self.status(xid).await.map(answer_for),
        }
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, Unavailable> {
        let (reply, answer) = oneshot::channel();
        if self.inbox.send(command(reply)).await.is_err() {
            return Err(self.why_ended().await);
        }
        match answer.await {
            Ok(answer) => Ok(answer),
            Err(_) => Err(self.why_ended().await),
        }
    }

    /// The runner has ended: on request, or because the store failed.
    async fn why_ended(&self) -> Unavailable {
        match self.shared.store.undecided(Vec::new()).await {
            Err(error @ StoreError::Failed { .. }) => error.into(),
            _ => Unavailable::Stopping,
        }
    }

    /// The number of a transaction of this store. One under an address of earlier days is so while it is open.
    async fn own(&self, xid: &Xid) -> Result<Option<TransactionId>, StoreError> {
        let id = xid.transaction_id();
        if self.knows(xid) {
            return Ok(Some(id));
        }
        Ok(match Box::pin(self.shared.store.find(id)).await? {
            Found::Open(snapshot) if snapshot.transaction.xid == *xid => Some(id),
            Found::Open(_) | Found::Ended(_) | Found::Unknown => None,
        })
    }

    fn check_running(&self) -> Result<(), Unavailable> {
        if self.shared.is_stopping.load(Ordering::Acquire) { Err(Unavailable::Stopping) } else { Ok(()) }
    }
}

/// The longest application id, group and name, in bytes.
const MAX_NAME: usize = 1024;

impl<S: std::fmt::Debug, C> std::fmt::Debug for Shared<S, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("store", &self.store).finish_non_exhaustive()
    }
}

impl<S, C> Clone for Driver<S, C> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), inbox: self.inbox.clone() }
    }
}

impl<S: Store, C: Clock> Shared<S, C> {
    fn settings(&self) -> RwLockReadGuard<'_, Settings> {
        self.settings.read().expect("nothing panics under it")
    }

    fn now(&self) -> Millis {
        self.clock.now().saturating_add(self.lag.load(Ordering::Relaxed))
    }

    fn emit(&self, transaction: &Transaction, kind: impl FnOnce() -> EventKind) {
        if self.events.receiver_count() > 0 {
            let _ = self.events.send(Event {
                at: self.now(),
                xid: transaction.xid.clone(),
                application: Arc::clone(&transaction.application),
                kind: kind(),
            });
        }
    }

    fn tell_finished(&self, transaction: &Transaction, status: GlobalStatus) {
        self.forget_parking(transaction);
        self.observer.finished(transaction, status, self.now());
        self.emit(transaction, || EventKind::Finished { status });
    }

    fn tell_given_up(&self, transaction: &Transaction, status: GlobalStatus) {
        self.forget_parking(transaction);
        self.observer.given_up(transaction, status, self.now());
        self.emit(transaction, || EventKind::Finished { status });
    }

    fn tell_parked(&self, transaction: &Transaction, status: GlobalStatus, reason: Arc<str>) {
        self.observer.parked(transaction, status, self.now());
        self.emit(transaction, || EventKind::Parked { status, reason });
    }

    /// The first of those that are parked, behind `after`.
    fn parked_behind(&self, after: Option<TransactionId>, limit: usize) -> Vec<TransactionId> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let parked = self.parked.lock().expect("nothing panics under it");
        parked.range((start, Bound::Unbounded)).take(limit).map(|(id, _)| *id).collect()
    }

    /// Only the runner does, which knows when it is over.
    fn note_parking(&self, transaction: &Transaction, since: Millis) {
        let before = self.parked.lock().expect("nothing panics under it").insert(transaction.id, since);
        if before.is_none() {
            self.observer.rests(transaction);
        }
    }

    fn forget_parking(&self, transaction: &Transaction) {
        let mut parked = self.parked.lock().expect("nothing panics under it");
        let before = if parked.is_empty() { None } else { parked.remove(&transaction.id) };
        drop(parked);
        if before.is_some() {
            self.observer.resumed(transaction);
        }
    }

    fn tell_decided(&self, snapshot: &Snapshot, decision: Decision) {
        let (transaction, status) = (&snapshot.transaction, snapshot.status);
        let decision = if status.is_timeout() { Decision::Timeout } else { decision };
        tracing::debug!(xid = %transaction.xid, %status, "decided");
        self.observer.decided(transaction, status, self.now());
        self.emit(transaction, || EventKind::Decided { decision, status });
        if status.is_complete() {
            self.tell_finished(transaction, status);
        }
    }
}
