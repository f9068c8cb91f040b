//! The owner of all sessions.

use std::{
    collections::{BTreeSet, HashMap, VecDeque, btree_set, hash_map::Entry},
    future::Future,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use foldhash::fast::RandomState;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use seata_protocol::{BranchId, BranchStatus, GlobalStatus, ResourceId, TransactionId};
use tokio::sync::{mpsc, oneshot};

use crate::{
    driver::{
        Clock, EventKind, Participants, Reached, Shared,
        command::{self, Command, Operated, Wish},
        lock_queue::Closes,
    },
    record::{Branch, Millis, Snapshot, Transaction, is_given_up},
    session::{Decision, Effect, Input, Phase, Session, answer_for, is_parked},
    store::{Decided, Found, Store, StoreError},
};

use operate::Reply;
use queue::{Call, Queue};

mod calls;
mod operate;
mod queue;
mod timing;

/// Gives numbers from 0 to 1, to spread retries.
pub type Jitter = Box<dyn FnMut() -> f64 + Send>;

/// A global transaction that is not finished, and what keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionView {
    /// Its records.
    pub snapshot: Snapshot,
    /// How many tries in a row have failed.
    pub failures: u32,
    /// Why the last one failed, or why it was parked.
    pub reason: Option<Arc<str>>,
    /// The resources that phase two waits for because nobody has them now.
    pub waits_for: Vec<ResourceId>,
}

impl TransactionView {
    /// No further try happens by itself.
    pub fn is_parked(&self) -> bool {
        is_parked(self.snapshot.status)
    }
}

/// Owns every decided transaction and carries it to its end. Somebody has to run it.
pub struct Runner<S, P, C> {
    shared: Arc<Shared<S, C>>,
    participants: Arc<P>,
    commands: mpsc::Receiver<Command>,
    jitter: Jitter,
    sessions: HashMap<TransactionId, Active, RandomState>,
    queues: HashMap<ResourceId, Queue, RandomState>,
    /// Resources with new calls, which go out at the end of the turn: AT commits together.
    wanted: Vec<ResourceId>,
    /// The time of this turn.
    now: Millis,
    /// When which session is to be woken.
    retries: BTreeSet<(Millis, TransactionId)>,
    /// Branches whose resource has become available, to be asked again.
    returned: VecDeque<(ResourceId, btree_set::IntoIter<(TransactionId, BranchId)>)>,
    /// When to look for time-outs again.
    next_check: Millis,
    /// To be decided by the coordinator itself, and how many of them are under way.
    undecided: VecDeque<(TransactionId, Decision, Option<Arc<str>>)>,
    deciding: usize,
    jobs: FuturesUnordered<Job>,
    effects: Vec<Effect>,
    /// Nothing new is begun; what is under way is waited for.
    is_stopping: bool,
    _closes: Closes,
}

struct Active {
    session: Session,
    outcome: Vec<oneshot::Sender<GlobalStatus>>,
    /// A durable step is under way, and what comes meanwhile waits for its end.
    is_keeping: bool,
    later: VecDeque<Later>,
    /// When it is woken next.
    retry_at: Option<Millis>,
}

/// What comes while a durable step is under way. It is judged when its turn has come.
enum Later {
    Input(Input),
    Wish(Wish, Reply),
    Follow,
}

type Job = Pin<Box<dyn Future<Output = Done> + Send>>;

/// What came of something that took time.
enum Done {
    Asked { resource: ResourceId, generation: u64, calls: Vec<Call>, answers: Vec<Reached> },
    Decided { id: TransactionId, decision: Decision, decided: Result<Decided, StoreError> },
    Kept { parking: Parking, rest: Vec<Effect>, reply: Option<Reply>, kept: Result<(), StoreError> },
}

/// What is being kept durably.
struct Parking {
    transaction: Arc<Transaction>,
    status: GlobalStatus,
    reason: Arc<str>,
}

/// What a turn begins with.
enum Woken {
    Commands(usize),
    Done(Done),
    Arrival,
    Time,
}

/// How many commands one turn takes.
const COMMANDS: usize = 64;
/// How much of what has come of something it takes.
const DONE: usize = 64;
/// How many transactions are read from the store at a time.
const PAGE: usize = 1024;

impl<S: Store, P: Participants, C: Clock> Runner<S, P, C> {
    /// Takes over what earlier lives left.
    pub(super) async fn recover(
        shared: Arc<Shared<S, C>>,
        participants: P,
        commands: mpsc::Receiver<Command>,
        jitter: Jitter,
    ) -> Result<Self, StoreError> {
        let mut runner = Self {
            participants: Arc::new(participants),
            commands,
            jitter,
            sessions: HashMap::default(),
            queues: HashMap::default(),
            wanted: Vec::new(),
            now: 0,
            retries: BTreeSet::new(),
            returned: VecDeque::new(),
            next_check: 0,
            undecided: VecDeque::new(),
            deciding: 0,
            jobs: FuturesUnordered::new(),
            effects: Vec::new(),
            is_stopping: false,
            _closes: Closes(Arc::clone(&shared.lock_queue)),
            shared,
        };
        let mut after = None;
        loop {
            let page = runner.shared.store.page(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(runner) };
            after = Some(last.transaction.id);
            for snapshot in page {
                runner.take_over(snapshot).await?;
            }
            tokio::task::yield_now().await;
        }
    }

    /// Runs until [`Driver::stop`](crate::driver::Driver::stop), until nobody is left to send requests, or
    /// until the store fails. Dropping the future is the same as a crash: the next start goes on.
    ///
    /// # Errors
    /// [`StoreError`]: nothing can be made durable any more.
    pub async fn run(mut self) -> Result<(), StoreError> {
        let shared = Arc::clone(&self.shared);
        let mut commands = Vec::with_capacity(COMMANDS);
        let mut alarm = pin!(shared.clock.sleep(Duration::ZERO));
        let mut alarm_at = None;
        self.now = shared.now();
        loop {
            self.is_stopping |= shared.is_stopping.load(Ordering::Acquire);
            if self.is_stopping && self.jobs.is_empty() {
                return Ok(());
            }
            let is_open = !self.is_stopping;
            let has_more = is_open && self.do_what_is_due().await?;
            self.call_wanted();
            if is_open && !has_more {
                let next = self.next_time();
                if alarm_at.is_none_or(|at| next < at) {
                    alarm.set(shared.clock.sleep(Duration::from_millis(next.saturating_sub(self.now))));
                    alarm_at = Some(next);
                }
            }
            let woken = tokio::select! {
                count = self.commands.recv_many(&mut commands, COMMANDS), if is_open => Woken::Commands(count),
                Some(done) = self.jobs.next() => Woken::Done(done),
                () = shared.arrival.notified(), if is_open => Woken::Arrival,
                () = alarm.as_mut(), if is_open && alarm_at.is_some() => {
                    alarm_at = None;
                    Woken::Time
                }
                () = tokio::task::yield_now(), if has_more => Woken::Time,
            };
            self.now = shared.now();
            match woken {
                Woken::Commands(count) => {
                    self.is_stopping |= count == 0;
                    for command in commands.drain(..) {
                        self.obey(command).await?;
                    }
                }
                Woken::Done(done) => {
                    self.take_in(done).await?;
                    // What else is there already costs no turn of its own.
                    for _ in 1..DONE {
                        let Some(Some(done)) = self.jobs.next().now_or_never() else { break };
                        self.take_in(done).await?;
                    }
                }
                Woken::Arrival => self.welcome(),
                Woken::Time => {}
            }
        }
    }

    /// What waits for a resource which has become available goes on.
    fn welcome(&mut self) {
        let arrived = std::mem::take(&mut *self.shared.arrived.lock().expect("nothing panics under it"));
        for resource in arrived {
            if let Some(queue) = self.queues.get_mut(&resource) {
                let backed_off = queue.take_backed_off().into_iter();
                queue.become_available();
                self.call(&resource);
                self.returned.push_back((resource, backed_off));
            }
        }
    }

    async fn take_over(&mut self, snapshot: Snapshot) -> Result<(), StoreError> {
        let (id, status) = (snapshot.transaction.id, snapshot.status);
        self.shared.observer.recovered(&snapshot.transaction);
        // The clock was set back since: time goes on from where it was, or nothing would ever time out.
        let behind = snapshot.transaction.begun_at.saturating_sub(self.shared.clock.now());
        self.shared.lag.fetch_max(behind, Ordering::Relaxed);
        self.now = self.shared.now();
        if status == GlobalStatus::Begin {
            match snapshot.transaction.incarnation {
                Some(life) if life != self.shared.store.incarnation() => {
                    self.undecided.push_back((id, Decision::Rollback, None));
                }
                _ => self.shared.deadlines.watch(&snapshot.transaction),
            }
        } else if status.is_commit() || status.is_rollback() {
            self.start(snapshot, None).await?;
        }
        Ok(())
    }

    async fn obey(&mut self, command: Command) -> Result<(), StoreError> {
        match command {
            Command::Start { snapshot, outcome } => self.start(snapshot, outcome).await?,
            Command::Settle { id, decision, note } => self.undecided.push_back((id, decision, note)),
            Command::Operate { id, wish, reply } => self.operate(id, wish, reply).await?,
            Command::Follow { id } => self.follow(id).await?,
            Command::View { page, reply } => {
                let _ = reply.send(page.into_iter().map(|snapshot| self.view(snapshot)).collect());
            }
            Command::Stop => self.is_stopping = true,
        }
        Ok(())
    }

    async fn start(
        &mut self,
        snapshot: Snapshot,
        outcome: Option<oneshot::Sender<GlobalStatus>>,
    ) -> Result<(), StoreError> {
        self.start_with(snapshot, outcome, Some(Input::Resume)).await
    }

    async fn start_with(
        &mut self,
        snapshot: Snapshot,
        outcome: Option<oneshot::Sender<GlobalStatus>>,
        first: Option<Input>,
    ) -> Result<(), StoreError> {
        let id = snapshot.transaction.id;
        if is_parked(snapshot.status) {
            self.shared.note_parking(&snapshot.transaction, self.now);
        }
        let limits = self.shared.settings().retry_limits;
        match self.sessions.entry(id) {
            // Settled for a caller that was dropped, and by a second one that was not.
            Entry::Occupied(mut entry) => {
                let active = entry.get_mut();
                active.outcome.extend(outcome);
                if active.session.is_told() && !active.is_keeping {
                    active.tell(answer_for(active.session.status()));
                }
                return Ok(());
            }
            Entry::Vacant(entry) => {
                let session = Session::new(snapshot, limits);
                let outcome = outcome.into_iter().collect();
                let later = VecDeque::new();
                entry.insert(Active { session, outcome, is_keeping: false, later, retry_at: None });
            }
        }
        match first {
            Some(input) => self.feed(id, input).await,
            None => Ok(()),
        }
    }

    async fn feed(&mut self, id: TransactionId, input: Input) -> Result<(), StoreError> {
        match self.sessions.get_mut(&id) {
            Some(active) if active.is_keeping => active.later.push_back(Later::Input(input)),
            Some(_) => self.step(id, input, None).await?,
            None => {}
        }
        Ok(())
    }

    /// One step of the state machine, and what follows from it.
    async fn step(
        &mut self,
        id: TransactionId,
        input: Input,
        reply: Option<Reply>,
    ) -> Result<(), StoreError> {
        let mut effects = std::mem::take(&mut self.effects);
        if matches!(input, Input::GiveUp { .. }) {
            // Before it forgets which branches they are for.
            self.withdraw(id);
        }
        if let Some(active) = self.sessions.get_mut(&id) {
            active.session.set_limits(self.shared.settings().retry_limits);
            active.session.handle(self.now, input, &mut effects);
        }
        let result = self.carry_out(id, &mut effects, reply).await;
        effects.clear();
        self.effects = effects;
        result
    }

    async fn carry_out(
        &mut self,
        id: TransactionId,
        effects: &mut Vec<Effect>,
        reply: Option<Reply>,
    ) -> Result<(), StoreError> {
        let finishes = matches!(effects.last(), Some(Effect::Finish(_)));
        let mut outcome = None;
        let mut rest = effects.drain(..);
        while let Some(effect) = rest.next() {
            let Some(active) = self.sessions.get_mut(&id) else { break };
            let transaction = Arc::clone(active.session.transaction());
            match effect {
                Effect::DropBranch(branch) => {
                    let phase = active.session.phase();
                    self.emit_finished_branch(&transaction, &branch, phase);
                    // The whole transaction goes in the same breath.
                    if !finishes {
                        self.shared.store.drop_branch(id, branch.id).await?;
                        self.shared.lock_queue.changed(id);
                    }
                }
                Effect::Release => {
                    self.shared.store.release(id).await?;
                    self.shared.lock_queue.changed(id);
                }
                Effect::Withdraw => self.withdraw(id),
                Effect::SetStatus(status) | Effect::Unpark(status) => {
                    self.shared.forget_parking(&transaction);
                    self.shared.store.set_status(id, status).await?;
                    // A Saga may have turned: nobody waits for one that rolls back.
                    self.shared.lock_queue.changed(id);
                }
                Effect::Park { status, reason } => {
                    let rest = rest.collect();
                    active.is_keeping = true;
                    tracing::warn!(xid = %transaction.xid, %status, %reason, "parked: a person has to look");
                    let shared = Arc::clone(&self.shared);
                    self.jobs.push(Box::pin(async move {
                        let kept = shared.store.park(id, status, Arc::clone(&reason)).await;
                        let parking = Parking { transaction, status, reason };
                        Done::Kept { parking, rest, reply, kept }
                    }));
                    return Ok(());
                }
                Effect::Ask { phase, branch } => {
                    self.shared.gauges.queued.add(1);
                    let queue = match self.queues.get_mut(&branch.resource) {
                        Some(queue) => queue,
                        None => self.queues.entry(branch.resource.clone()).or_default(),
                    };
                    let transaction = Arc::clone(&transaction);
                    queue.push(Call { transaction, phase, branch: Arc::clone(&branch) });
                    if queue.is_missing() {
                        self.note_waiting(id, &branch);
                    } else if queue.want() {
                        self.wanted.push(branch.resource.clone());
                    }
                }
                Effect::BackOff { branch, failures } => {
                    let queue = self.queues.entry(branch.resource.clone()).or_default();
                    queue.note_back_off(id, branch.id);
                    let at = self.now.saturating_add(self.back_off(failures));
                    self.arm(id, at);
                    self.note_retrying(&transaction, id, failures);
                }
                Effect::Tell(status) => active.tell(status),
                Effect::Finish(status) => {
                    let ended = self.remove(id);
                    let note = ended.as_ref().and_then(|active| active.session.note().cloned());
                    outcome = Some(status);
                    let is_given_up = is_given_up(note.as_deref());
                    self.shared.store.finish(id, status, note, self.now).await?;
                    self.shared.lock_queue.changed(id);
                    tracing::debug!(xid = %transaction.xid, %status, "finished");
                    if is_given_up {
                        self.shared.tell_given_up(&transaction, status);
                    } else {
                        self.shared.tell_finished(&transaction, status);
                    }
                    if let Some(ended) = ended {
                        ended.dismiss(status);
                    }
                }
            }
        }
        if let Some(reply) = reply {
            let status = outcome.or_else(|| Some(self.sessions.get(&id)?.session.status()));
            let _ = reply.send(status.map_or(Operated::NoSession, command::Done::at));
        }
        Ok(())
    }

    async fn take_in(&mut self, done: Done) -> Result<(), StoreError> {
        match done {
            Done::Asked { resource, generation, calls, answers } => {
                self.take_answers(resource, generation, calls, answers).await
            }
            Done::Decided { id, decision, decided } => {
                self.deciding -= 1;
                match decided? {
                    Decided::Now(snapshot) => {
                        self.shared.deadlines.forget(&snapshot.transaction);
                        self.shared.tell_decided(&snapshot, decision);
                        if !snapshot.status.is_complete() {
                            self.start(snapshot, None).await?;
                        }
                    }
                    // Decided by a caller that was dropped before it could hand the transaction over. A
                    // time-out that came second has no part in it: the one who came first hands it over.
                    Decided::Unchanged(status)
                        if status != GlobalStatus::Begin && decision != Decision::Timeout =>
                    {
                        if !self.sessions.contains_key(&id)
                            && let Found::Open(snapshot) = self.shared.store.find(id).await?
                        {
                            self.shared.tell_decided(&snapshot, decision);
                            self.start(snapshot, None).await?;
                        }
                    }
                    Decided::Unchanged(_) | Decided::Ended(_) | Decided::Unknown => {}
                }
                Ok(())
            }
            Done::Kept { parking, mut rest, reply, kept } => {
                kept?;
                let Parking { transaction, status, reason } = parking;
                let id = transaction.id;
                if let Some(active) = self.sessions.get_mut(&id) {
                    active.is_keeping = false;
                    self.shared.note_parking(&transaction, self.now);
                    self.shared.tell_parked(&transaction, status, reason);
                }
                self.carry_out(id, &mut rest, reply).await?;
                while let Some(active) = self.sessions.get_mut(&id).filter(|active| !active.is_keeping)
                    && let Some(next) = active.later.pop_front()
                {
                    match next {
                        Later::Input(input) => self.feed(id, input).await?,
                        Later::Wish(wish, reply) => self.operate(id, wish, reply).await?,
                        Later::Follow => self.follow(id).await?,
                    }
                }
                Ok(())
            }
        }
    }

    fn note_retrying(&self, transaction: &Transaction, id: TransactionId, failures: u32) {
        let reason = self.sessions.get(&id).and_then(|active| active.session.reason().cloned());
        let reason = reason.unwrap_or_default();
        // What fails again and again is told less and less often.
        if failures.is_power_of_two() {
            tracing::warn!(xid = %transaction.xid, failures, %reason, "phase two failed and is tried again");
        } else {
            tracing::debug!(xid = %transaction.xid, failures, %reason, "phase two failed and is tried again");
        }
        self.shared.emit(transaction, || EventKind::Retrying { failures, reason });
    }

    fn emit_finished_branch(&self, transaction: &Transaction, branch: &Branch, phase: Phase) {
        let status = match phase {
            Phase::Commit if branch.is_idle_on_commit() => branch.status,
            Phase::Rollback if branch.is_idle_on_rollback() => branch.status,
            Phase::Commit => BranchStatus::PhaseTwoCommitted,
            Phase::Rollback => BranchStatus::PhaseTwoRollbacked,
        };
        let (branch, resource) = (branch.id, &branch.resource);
        self.shared.emit(transaction, || EventKind::BranchFinished {
            branch,
            resource: resource.clone(),
            status,
        });
    }

    fn view(&self, snapshot: Snapshot) -> TransactionView {
        let session = self.sessions.get(&snapshot.transaction.id).map(|active| &active.session);
        let mut waits_for: Vec<ResourceId> = Vec::new();
        if let Some(session) = session {
            let missing = |resource: &&ResourceId| self.queues.get(*resource).is_some_and(Queue::is_missing);
            waits_for.extend(session.resources().into_iter().filter(missing).cloned());
        }
        TransactionView {
            failures: session.map_or(0, Session::failures),
            reason: session.and_then(|session| session.reason().cloned()).or_else(|| snapshot.parked.clone()),
            waits_for,
            snapshot,
        }
    }
}

impl Active {
    /// Whoever waits for the outcome is told this much.
    fn tell(&mut self, status: GlobalStatus) {
        for outcome in self.outcome.drain(..) {
            let _ = outcome.send(status);
        }
    }

    /// It has ended, whatever was still wanted of it.
    fn dismiss(mut self, status: GlobalStatus) {
        self.tell(status);
        for later in self.later {
            if let Later::Wish(_, reply) = later {
                let _ = reply.send(Operated::NoSession);
            }
        }
    }
}

impl<S, P, C> std::fmt::Debug for Runner<S, P, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Runner").field("sessions", &self.sessions.len()).finish_non_exhaustive()
    }
}
