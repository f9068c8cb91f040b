//! One global transaction as a pure state machine: `(state, input, now) → effects`.
//!
//! No clock, no randomness, no runtime and no IO: what happens outside comes in as an [`Input`], what
//! has to happen goes out as [`Effect`]s in causal order. A session rebuilt from its records after a
//! restart goes on through the same code.
//!
//! **Deciding** ([`decide`]). A store applies it within the step that makes the decision durable, so
//! that a late branch registration can never slip past it.
//!
//! | status | decision | becomes |
//! |---|---|---|
//! | Begin, past its time-out | commit | TimeoutRollbacking |
//! | Begin, not past it | time-out | no change |
//! | Begin, a Saga without branches | commit | AsyncCommitting |
//! | Begin, a Saga with branches | commit | Committing |
//! | Begin, no Saga, no branch has work left | any | Committed, Rollbacked or TimeoutRollbacked |
//! | Begin, only AT branches | commit | AsyncCommitting |
//! | Begin, another branch | commit | Committing |
//! | Begin | rollback | Rollbacking |
//! | Begin | time-out | TimeoutRollbacking |
//! | any other | any | no change |
//!
//! **Phase two** ([`Session::handle`]).
//!
//! | status | input | effects |
//! |---|---|---|
//! | commit or rollback | resume | branches without work are dropped, the next ones asked |
//! | any | answer for a branch that is not asked | none |
//! | commit or rollback | answer: done | the branch is dropped, the next ones asked |
//! | any | answer: never | parked: …Failed, the reason kept; the locks are freed if so set |
//! | commit or rollback | answer: later, within the retry limit | …Retrying, the retry timer set |
//! | commit or rollback | answer: later, past the retry limit | parked: …RetryTimeout; the locks are freed if so set |
//! | AsyncCommitting | answer: later | the retry timer set: it has no limit, its starter was told that it is committed |
//! | stopped | answer: done, later | the branch is dropped, or keeps its place; nobody is asked |
//! | commit or rollback | retry timer | branches that backed off are asked again |
//! | commit or rollback | a resource became available | its branch is asked again if it backed off |
//! | stopped, parked rollback | retry timer | none |
//! | parked or stopped | retry by an operator | …Retrying, all branches that failed are asked again |
//! | commit or rollback | retry by an operator | branches that backed off are asked at once |
//! | commit or rollback | park by an operator | stopped: Stop…Retry, the reason kept; calls not yet sent are taken back |
//! | parked or stopped | park by an operator | refused |
//! | any | given up by an operator | finish, unasked, with the operator's reason |
//!
//! After each of them: no branch left → finish. Rollback asks one branch at a time, the youngest first.
//! Commit asks resources at the same time and the branches of one resource in their order; AT branches
//! have no order, since committing one only deletes its undo log, and are asked only when nothing else is
//! left of the first pass: nobody waits for them.
//!
//! **Saga.** A transaction whose first branch is a Saga branch, or that has none and is named `$Saga_…`, is
//! one call for all its branches: branch [`SAGA_BRANCH`] on the resource `application#group`, and the name of
//! the status it has by then as application data. The state machine behind it knows the outcome, so that an
//! answer may turn the direction.
//!
//! | status | answer | effects |
//! |---|---|---|
//! | commit | PhaseTwo_Committed | finish: Committed |
//! | commit | PhaseTwo_Rollbacked | finish: Rollbacked |
//! | commit | PhaseOne_Failed | finish: Finished |
//! | commit | PhaseTwo_RollbackFailed_Retryable | RollbackRetrying, the retry timer set |
//! | rollback | PhaseTwo_Rollbacked | finish: Rollbacked or TimeoutRollbacked |
//! | rollback | PhaseTwo_CommitFailed_Retryable | CommitRetrying ("forward"), the retry timer set |
//! | either | any other | as for a branch of another kind |
//!
//! Its starter may also report where it stands ([`reported`]): the store keeps that in one step, and the
//! session follows it.
//!
//! | report | becomes |
//! |---|---|
//! | Committed, Rollbacked, TimeoutRollbacked, Finished | finished with that status |
//! | CommitRetrying, Committing, AsyncCommitting | CommitRetrying, the retry timer set |
//! | RollbackRetrying, Rollbacking, UnKnown | RollbackRetrying, the retry timer set |
//! | TimeoutRollbackRetrying, TimeoutRollbacking | TimeoutRollbacking, the retry timer set |
//! | …Failed, …RetryTimeout | parked |
//! | any other, or the opposite of what is decided | no change |

use std::{sync::Arc, time::Duration};

use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, ResourceId};

use crate::record::{Branch, GIVEN_UP, Millis, Snapshot, Transaction};

#[cfg(test)]
mod tests;

/// What somebody wants a global transaction to become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Its starter commits it.
    Commit,
    /// Its starter gives it up, or is known to be dead.
    Rollback,
    /// Nobody decided in time.
    Timeout,
}

/// Where `decision` takes the transaction; `None` when nothing changes.
///
/// A store calls it inside its own atomic step and makes the answer durable with it.
pub fn decide<'a>(
    transaction: &Transaction,
    status: GlobalStatus,
    branches: impl Iterator<Item = &'a Branch> + Clone,
    decision: Decision,
    now: Millis,
) -> Option<GlobalStatus> {
    use GlobalStatus::*;
    if status != Begin {
        return None;
    }
    let decision = match decision {
        Decision::Commit if transaction.has_timed_out(now) => Decision::Timeout,
        Decision::Timeout if !transaction.has_timed_out(now) => return None,
        decision => decision,
    };
    let first = branches.clone().next().map(|branch| branch.branch_type);
    if is_saga(transaction, first) {
        return Some(match decision {
            Decision::Commit if first.is_none() => AsyncCommitting,
            Decision::Commit => Committing,
            Decision::Rollback => Rollbacking,
            Decision::Timeout => TimeoutRollbacking,
        });
    }
    let mut working = branches.filter(|branch| match decision {
        Decision::Commit => !branch.is_idle_on_commit(),
        Decision::Rollback | Decision::Timeout => !branch.is_idle_on_rollback(),
    });
    let has_work = working.clone().next().is_some();
    Some(match decision {
        Decision::Commit if !has_work => Committed,
        Decision::Commit if working.all(|branch| branch.branch_type == BranchType::At) => AsyncCommitting,
        Decision::Commit => Committing,
        Decision::Rollback if !has_work => Rollbacked,
        Decision::Rollback => Rollbacking,
        Decision::Timeout if !has_work => TimeoutRollbacked,
        Decision::Timeout => TimeoutRollbacking,
    })
}

/// The branch that stands for all branches of a Saga in phase two.
pub const SAGA_BRANCH: BranchId = BranchId(-1);

/// Whether a transaction with this first branch is a Saga: its state machine finishes it, in one call.
pub fn is_saga(transaction: &Transaction, first: Option<BranchType>) -> bool {
    first.map_or_else(|| transaction.name.starts_with("$Saga_"), |first| first == BranchType::Saga)
}

/// Where a report of its starter takes a Saga; `None` when nothing changes.
///
/// What is decided stays decided, whoever reports the opposite: only what the state machine answers when it is
/// asked can turn it.
pub fn reported(status: GlobalStatus, report: GlobalStatus) -> Option<GlobalStatus> {
    use GlobalStatus::*;
    let becomes = match report {
        Committing | AsyncCommitting | CommitRetrying => CommitRetrying,
        Rollbacking | RollbackRetrying | Unknown => RollbackRetrying,
        TimeoutRollbacking | TimeoutRollbackRetrying => TimeoutRollbacking,
        Committed | Rollbacked | TimeoutRollbacked | Finished => report,
        CommitFailed | CommitRetryTimeout => report,
        RollbackFailed | RollbackRetryTimeout | TimeoutRollbackFailed => report,
        _ => return None,
    };
    let is_reversal =
        status.is_commit() && becomes.is_rollback() || status.is_rollback() && becomes.is_commit();
    (becomes != status && !is_reversal).then_some(becomes)
}

/// How long phase two is tried, and what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryLimits {
    /// Counted from begin; after it a transaction that cannot commit is parked. `None`: never.
    pub commit: Option<Duration>,
    /// The same for rolling back.
    pub rollback: Option<Duration>,
    /// Rolling back was given up because of its limit: free the row locks. Default: no; the rows are as the
    /// transaction left them.
    pub unlock_rollback: bool,
    /// A branch said that it will never roll back: free the row locks. Default: no.
    pub unlock_failed: bool,
    /// A prepared XA branch that its database does not know counts as done so long after the time-out of its
    /// transaction; at least that time-out once more. Default: 60 s.
    pub xaer_nota_wait: Duration,
}

impl Default for RetryLimits {
    fn default() -> Self {
        Self {
            commit: None,
            rollback: None,
            unlock_rollback: false,
            unlock_failed: false,
            xaer_nota_wait: Duration::from_secs(60),
        }
    }
}

/// What happened to a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// The session was made: after its decision became durable, or after a restart.
    Resume,
    /// A branch that was asked has answered, or could not be reached.
    Answer {
        /// The branch.
        branch: BranchId,
        /// What came of it.
        answer: Answer,
    },
    /// A timer fired.
    Timer(Timer),
    /// The resource of this branch has become available (again).
    Available(BranchId),
    /// An operator wants it to be tried again, now.
    Retry,
    /// An operator wants it to be tried no more. Not for one that is parked.
    Park {
        /// Why.
        reason: Arc<str>,
    },
    /// An operator gives the branches that are left up.
    GiveUp {
        /// Why.
        reason: Arc<str>,
    },
    /// The starter of a Saga has reported this status, and the store keeps it.
    Reported(GlobalStatus),
}

/// What asking a branch came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The resource manager's own answer.
    Status {
        /// What became of the branch.
        status: BranchStatus,
        /// Why it did not end well; empty on success.
        reason: String,
    },
    /// No answer came.
    Unreachable {
        /// What was tried.
        reason: String,
    },
}

/// What a driver wakes a session for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timer {
    /// The back-off after a failed try has passed.
    Retry,
}

/// The direction of phase two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Make the branch final.
    Commit,
    /// Undo the branch.
    Rollback,
}

/// What has to happen because of an input, in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Keep a branch's removal; it is done, and its locks are free.
    DropBranch(Arc<Branch>),
    /// Keep this status. Nothing depends on it: after a restart the retries just begin anew.
    SetStatus(GlobalStatus),
    /// Keep this status and reason *durably*: retries stop here until an operator asks for one.
    Park {
        /// The status to show.
        status: GlobalStatus,
        /// The branch and its reason.
        reason: Arc<str>,
    },
    /// An operator has lifted the parking: keep that.
    Unpark(GlobalStatus),
    /// Keep that all row locks of the transaction are free.
    Release,
    /// Take the calls back that are not on their way yet, and say which ([`Session::take_back`]).
    Withdraw,
    /// Ask the branch's resource manager.
    Ask {
        /// To do what.
        phase: Phase,
        /// The branch.
        branch: Arc<Branch>,
    },
    /// The branch could not finish: wake the session after a back-off for this many failures in a row.
    BackOff {
        /// The branch.
        branch: Arc<Branch>,
        /// How many tries in a row have failed.
        failures: u32,
    },
    /// Whoever waits for the outcome may be told this much.
    Tell(GlobalStatus),
    /// Nothing is left of the transaction: remove it with its locks, keep its outcome in the history, and
    /// only then tell whoever waits: the rows are free to one who was told so.
    Finish(GlobalStatus),
}

/// A global transaction from its decision to its end.
#[derive(Debug)]
pub struct Session {
    transaction: Arc<Transaction>,
    status: GlobalStatus,
    limits: RetryLimits,
    /// In the order of registration.
    branches: Vec<Slot>,
    failures: u32,
    reason: Option<Arc<str>>,
    /// What an operator did to it, for its history.
    note: Option<Arc<str>>,
    is_saga: bool,
    told: bool,
}

#[derive(Debug)]
struct Slot {
    branch: Arc<Branch>,
    progress: Progress,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Progress {
    /// Not asked yet.
    Waiting,
    /// Asked; its answer is to come.
    Asked,
    /// Answered that it cannot now.
    BackedOff,
    /// Answered that it never will, or was given up.
    Failed,
}

impl Session {
    /// The session of a decided transaction.
    ///
    /// # Panics
    /// If the snapshot's status is not one of a decided, unfinished transaction.
    pub fn new(snapshot: Snapshot, limits: RetryLimits) -> Self {
        let Snapshot { transaction, status, parked, branches } = snapshot;
        assert!(status.is_commit() || status.is_rollback(), "a session begins with a decision, not {status}");
        let progress = if is_parked(status) { Progress::Failed } else { Progress::Waiting };
        let is_saga = is_saga(&transaction, branches.first().map(|branch| branch.branch_type));
        let branches = if is_saga {
            vec![Slot { branch: Arc::new(whole_saga(&transaction, status)), progress }]
        } else {
            branches.into_iter().map(|branch| Slot { branch, progress }).collect()
        };
        let (reason, note) = if is_parked(status) { (parked, None) } else { (None, parked) };
        Self { transaction, status, limits, branches, failures: 0, reason, note, is_saga, told: false }
    }

    /// What was said at begin.
    pub fn transaction(&self) -> &Arc<Transaction> {
        &self.transaction
    }

    /// Where it stands.
    pub fn status(&self) -> GlobalStatus {
        self.status
    }

    /// How many tries in a row have failed.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Why it is not done yet, if a try has failed.
    pub fn reason(&self) -> Option<&Arc<str>> {
        self.reason.as_ref()
    }

    /// The direction of phase two.
    pub fn phase(&self) -> Phase {
        if self.status.is_commit() { Phase::Commit } else { Phase::Rollback }
    }

    /// What an operator did to it, for its history.
    pub fn note(&self) -> Option<&Arc<str>> {
        self.note.as_ref()
    }

    /// The branches that are left; one that stands for all of a Saga.
    pub fn branches(&self) -> impl Iterator<Item = &Arc<Branch>> {
        self.branches.iter().map(|slot| &slot.branch)
    }

    /// Their resources.
    pub fn resources(&self) -> impl Iterator<Item = &ResourceId> {
        self.branches.iter().map(|slot| &slot.branch.resource)
    }

    /// No further try happens by itself.
    pub fn is_parked(&self) -> bool {
        is_parked(self.status)
    }

    /// No branch is asked. Of a commit that one branch refused the others are still asked.
    pub fn is_at_rest(&self) -> bool {
        let is_stopped = self.status == GlobalStatus::StopCommitOrCommitRetry;
        self.is_parked() && (is_stopped || self.is_saga || self.phase() == Phase::Rollback)
    }

    /// Whoever waits for the outcome was told how far it is.
    pub fn is_told(&self) -> bool {
        self.told
    }

    /// From now on these limits hold.
    pub fn set_limits(&mut self, limits: RetryLimits) {
        self.limits = limits;
    }

    /// The call to this branch was taken back before anybody heard of it.
    pub fn take_back(&mut self, branch: BranchId) {
        if let Some(index) = self.asked(branch) {
            self.branches[index].progress = Progress::BackedOff;
        }
    }

    /// Takes one input in; what has to happen because of it is appended to `out`.
    pub fn handle(&mut self, now: Millis, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Resume if self.is_parked() => {}
            Input::Resume => self.drop_idle_branches(out),
            Input::Answer { branch, answer } => match self.asked(branch) {
                None => return,
                Some(index) => self.take_answer(index, answer, now, out),
            },
            Input::Timer(Timer::Retry) if self.is_at_rest() => return,
            Input::Timer(Timer::Retry) => self.wake(Progress::BackedOff),
            Input::Available(_) if self.is_at_rest() => return,
            Input::Available(branch) => self.wake_one(branch),
            Input::Retry => self.retry(out),
            Input::Park { .. } if self.is_parked() => return,
            Input::Park { reason } => self.stop(&reason, out),
            Input::GiveUp { reason } => self.give_up(&reason, out),
            Input::Reported(status) => self.follow(status, out),
        }
        self.go_on(out);
    }

    fn take_answer(&mut self, index: usize, answer: Answer, now: Millis, out: &mut Vec<Effect>) {
        match self.judge(index, answer, now) {
            Verdict::Done => {
                self.failures = 0;
                let Slot { branch, .. } = self.branches.remove(index);
                if !self.is_saga {
                    out.push(Effect::DropBranch(branch));
                }
            }
            Verdict::Ended(status) => {
                self.branches.clear();
                self.status = status;
            }
            Verdict::Turned(status, reason) => {
                if !self.is_at_rest() {
                    self.status = status;
                    out.push(Effect::SetStatus(status));
                }
                self.back_off(index, reason, out);
            }
            Verdict::Never(reason) => {
                self.park(index, failed(self.status), reason, self.limits.unlock_failed, out);
            }
            Verdict::Later(reason) if self.past_limit(now) => {
                let unlocks = self.limits.unlock_rollback;
                self.park(index, retry_timeout(self.phase()), reason, unlocks, out);
            }
            Verdict::Later(reason) => self.back_off(index, reason, out),
        }
    }

    fn retry(&mut self, out: &mut Vec<Effect>) {
        if self.is_parked() {
            let resumes_at = self.phase() == Phase::Commit && self.only_at_is_left();
            self.status = if resumes_at { GlobalStatus::AsyncCommitting } else { retrying(self.status) };
            self.failures = 0;
            self.reason = None;
            self.wake(Progress::Failed);
            out.push(Effect::Unpark(self.status));
        }
        self.wake(Progress::BackedOff);
    }

    fn stop(&mut self, reason: &str, out: &mut Vec<Effect>) {
        self.status = match self.phase() {
            Phase::Commit => GlobalStatus::StopCommitOrCommitRetry,
            Phase::Rollback => GlobalStatus::StopRollbackOrRollbackRetry,
        };
        let reason: Arc<str> = format!("stopped by operator: {reason}").into();
        self.reason = Some(Arc::clone(&reason));
        out.extend([Effect::Withdraw, Effect::Park { status: self.status, reason }]);
        self.tell(out);
    }

    /// What was not done is worth knowing when somebody repairs it, and nothing else is left of it then.
    fn give_up(&mut self, reason: &str, out: &mut Vec<Effect>) {
        let mut note = format!("{GIVEN_UP}{reason}; not done:");
        for slot in self.branches.iter().take(NAMED) {
            note.push_str(&format!(" branch {} on {},", slot.branch.id, slot.branch.resource));
        }
        note.pop();
        if self.branches.len() > NAMED {
            note.push_str(&format!(" and {} more", self.branches.len() - NAMED));
        }
        self.note = Some(note.into());
        self.branches.clear();
        out.push(Effect::Withdraw);
    }

    /// The starter of a Saga is ahead of its session.
    fn follow(&mut self, status: GlobalStatus, out: &mut Vec<Effect>) {
        if !self.is_saga || !(status.is_commit() || status.is_rollback()) {
            return;
        }
        self.status = status;
        let is_parked = self.is_parked();
        if let Some(slot) = self.branches.first_mut().filter(|slot| slot.progress != Progress::Asked) {
            slot.progress = if is_parked { Progress::Failed } else { Progress::BackedOff };
            if !is_parked {
                self.failures = self.failures.saturating_add(1);
                out.push(Effect::BackOff { branch: Arc::clone(&slot.branch), failures: self.failures });
            }
        }
        self.tell(out);
    }

    /// Asks whoever may be asked now, and notices the end.
    fn go_on(&mut self, out: &mut Vec<Effect>) {
        self.ask(out);
        if self.branches.is_empty() {
            self.status = outcome(self.status);
            out.push(Effect::Finish(self.status));
        } else if self.only_at_is_left() || self.status == GlobalStatus::AsyncCommitting {
            if self.status == GlobalStatus::Committing {
                self.status = GlobalStatus::AsyncCommitting;
                out.push(Effect::SetStatus(self.status));
                self.ask(out);
            }
            self.tell(out);
        } else if self.status != GlobalStatus::Committing
            && self.phase() == Phase::Commit
            && self.branches.iter().all(|slot| slot.progress != Progress::Asked)
        {
            self.tell(out);
        }
    }

    fn ask(&mut self, out: &mut Vec<Effect>) {
        match self.phase() {
            _ if self.is_at_rest() => {}
            _ if self.is_saga => self.ask_saga(out),
            Phase::Commit => self.ask_for_commit(out),
            Phase::Rollback => self.ask_for_rollback(out),
        }
    }

    fn ask_saga(&mut self, out: &mut Vec<Effect>) {
        let (phase, status) = (self.phase(), self.status);
        if let Some(slot) = self.branches.first_mut().filter(|slot| slot.progress == Progress::Waiting) {
            slot.progress = Progress::Asked;
            slot.branch = Arc::new(whole_saga(&self.transaction, status));
            out.push(Effect::Ask { phase, branch: Arc::clone(&slot.branch) });
        }
    }

    fn ask_for_commit(&mut self, out: &mut Vec<Effect>) {
        let is_first_pass = self.status == GlobalStatus::Committing;
        for index in 0..self.branches.len() {
            let (before, rest) = self.branches.split_at_mut(index);
            let slot = &mut rest[0];
            let is_at = slot.branch.branch_type == BranchType::At;
            if is_at && is_first_pass {
                continue;
            }
            let goes_first = |earlier: &Slot| {
                earlier.branch.branch_type != BranchType::At
                    && earlier.branch.resource == slot.branch.resource
            };
            let is_next = is_at || !before.iter().any(goes_first);
            if slot.progress == Progress::Waiting && is_next {
                slot.progress = Progress::Asked;
                out.push(Effect::Ask { phase: Phase::Commit, branch: Arc::clone(&slot.branch) });
            }
        }
    }

    fn ask_for_rollback(&mut self, out: &mut Vec<Effect>) {
        if let Some(slot) = self.branches.last_mut()
            && slot.progress == Progress::Waiting
        {
            slot.progress = Progress::Asked;
            out.push(Effect::Ask { phase: Phase::Rollback, branch: Arc::clone(&slot.branch) });
        }
    }

    /// Only branches whose commit nobody waits for.
    fn only_at_is_left(&self) -> bool {
        self.phase() == Phase::Commit
            && self.branches.iter().all(|slot| slot.branch.branch_type == BranchType::At)
    }

    fn drop_idle_branches(&mut self, out: &mut Vec<Effect>) {
        if self.is_saga {
            return;
        }
        let phase = self.phase();
        self.branches.retain(|Slot { branch, .. }| {
            let is_idle = match phase {
                Phase::Commit => branch.is_idle_on_commit(),
                Phase::Rollback => branch.is_idle_on_rollback(),
            };
            if is_idle {
                out.push(Effect::DropBranch(Arc::clone(branch)));
            }
            !is_idle
        });
    }

    fn asked(&self, branch: BranchId) -> Option<usize> {
        self.branches.iter().position(|slot| slot.branch.id == branch && slot.progress == Progress::Asked)
    }

    fn judge(&self, index: usize, answer: Answer, now: Millis) -> Verdict {
        use BranchStatus::*;
        let (status, reason) = match answer {
            Answer::Unreachable { reason } => return Verdict::Later(reason),
            Answer::Status { status, reason } => (status, reason),
        };
        let reason = if reason.is_empty() { format!("answered {status}") } else { reason };
        match (self.phase(), status) {
            (Phase::Commit, PhaseTwoRollbacked) if self.is_saga => Verdict::Ended(GlobalStatus::Rollbacked),
            (Phase::Commit, PhaseOneFailed) if self.is_saga => Verdict::Ended(GlobalStatus::Finished),
            (Phase::Commit, PhaseTwoRollbackFailedRetryable) if self.is_saga => {
                Verdict::Turned(GlobalStatus::RollbackRetrying, reason)
            }
            (Phase::Rollback, PhaseTwoCommitFailedRetryable) if self.is_saga => {
                Verdict::Turned(GlobalStatus::CommitRetrying, reason)
            }
            (Phase::Commit, PhaseTwoCommitted) | (Phase::Rollback, PhaseTwoRollbacked) => Verdict::Done,
            (Phase::Commit, PhaseTwoCommitFailedUnretryable)
            | (Phase::Rollback, PhaseTwoRollbackFailedUnretryable) => Verdict::Never(reason),
            (Phase::Commit, PhaseTwoCommitFailedXaerNotaRetryable)
            | (Phase::Rollback, PhaseTwoRollbackFailedXaerNotaRetryable)
                if self.branches[index].branch.branch_type == BranchType::Xa && self.is_long_over(now) =>
            {
                Verdict::Done
            }
            _ => Verdict::Later(reason),
        }
    }

    /// A prepared XA branch that the database does not know so late is one that it has finished.
    fn is_long_over(&self, now: Millis) -> bool {
        let wait = u64::try_from(self.limits.xaer_nota_wait.as_millis()).unwrap_or(u64::MAX);
        now > self.transaction.deadline().saturating_add(wait.max(self.transaction.timeout))
    }

    fn past_limit(&self, now: Millis) -> bool {
        let limit = match self.phase() {
            _ if self.is_at_rest() || self.status == GlobalStatus::AsyncCommitting => None,
            Phase::Commit => self.limits.commit,
            Phase::Rollback => self.limits.rollback,
        };
        let age = Duration::from_millis(now.saturating_sub(self.transaction.begun_at));
        limit.is_some_and(|limit| age > limit)
    }

    fn back_off(&mut self, index: usize, reason: String, out: &mut Vec<Effect>) {
        self.failures = self.failures.saturating_add(1);
        self.branches[index].progress = Progress::BackedOff;
        if self.is_at_rest() {
            return;
        }
        self.reason = Some(of_branch(&self.branches[index].branch, &reason));
        if !self.is_parked() && self.status != retrying(self.status) {
            self.status = retrying(self.status);
            out.push(Effect::SetStatus(self.status));
        }
        let branch = Arc::clone(&self.branches[index].branch);
        out.push(Effect::BackOff { branch, failures: self.failures });
        if self.phase() == Phase::Rollback {
            self.tell(out);
        }
    }

    fn park(
        &mut self,
        index: usize,
        status: GlobalStatus,
        reason: String,
        unlocks: bool,
        out: &mut Vec<Effect>,
    ) {
        let slot = &mut self.branches[index];
        slot.progress = Progress::Failed;
        let reason = of_branch(&slot.branch, &reason);
        self.status = status;
        self.reason = Some(Arc::clone(&reason));
        out.push(Effect::Park { status, reason });
        if unlocks && self.phase() == Phase::Rollback {
            out.push(Effect::Release);
        }
        self.tell(out);
    }

    fn wake(&mut self, from: Progress) {
        for slot in &mut self.branches {
            if slot.progress == from {
                slot.progress = Progress::Waiting;
            }
        }
    }

    fn wake_one(&mut self, branch: BranchId) {
        let slot = self.branches.iter_mut().find(|slot| slot.branch.id == branch);
        if let Some(slot) = slot.filter(|slot| slot.progress == Progress::BackedOff) {
            slot.progress = Progress::Waiting;
        }
    }

    fn tell(&mut self, out: &mut Vec<Effect>) {
        if !self.told {
            self.told = true;
            out.push(Effect::Tell(answer_for(self.status)));
        }
    }
}

/// The answer to a commit or rollback request: an AT commit counts as committed from its decision on, and one
/// that an operator stopped as one that goes on, since most clients have no name for the difference.
pub fn answer_for(status: GlobalStatus) -> GlobalStatus {
    use GlobalStatus::*;
    match status {
        AsyncCommitting => Committed,
        StopCommitOrCommitRetry => CommitRetrying,
        StopRollbackOrRollbackRetry => RollbackRetrying,
        status => status,
    }
}

/// No further try happens by itself: a person has to look.
pub fn is_parked(status: GlobalStatus) -> bool {
    use GlobalStatus::*;
    matches!(
        status,
        CommitFailed
            | CommitRetryTimeout
            | RollbackFailed
            | RollbackRetryTimeout
            | TimeoutRollbackFailed
            | StopCommitOrCommitRetry
            | StopRollbackOrRollbackRetry
    )
}

/// How many branches that were given up a note names.
const NAMED: usize = 8;

enum Verdict {
    Done,
    /// The whole Saga has ended.
    Ended(GlobalStatus),
    /// The Saga goes on in the other direction.
    Turned(GlobalStatus, String),
    Never(String),
    Later(String),
}

fn whole_saga(transaction: &Transaction, status: GlobalStatus) -> Branch {
    Branch {
        id: SAGA_BRANCH,
        transaction: transaction.id,
        branch_type: BranchType::Saga,
        resource: format!("{}#{}", transaction.application, transaction.group).into(),
        status: BranchStatus::Registered,
        application_data: status.name().unwrap_or_default().into(),
        client: "".into(),
        registered_at: transaction.begun_at,
        locks: Default::default(),
    }
}

fn of_branch(branch: &Branch, reason: &str) -> Arc<str> {
    format!("branch {} on {}: {reason}", branch.id, branch.resource).into()
}

fn retrying(status: GlobalStatus) -> GlobalStatus {
    use GlobalStatus::*;
    match status {
        // Its starter was told that it is committed; that stays true.
        AsyncCommitting => AsyncCommitting,
        // As in Java, a timed-out transaction keeps its status while it is tried again.
        status if status.is_timeout() => TimeoutRollbacking,
        status if status.is_commit() => CommitRetrying,
        _ => RollbackRetrying,
    }
}

fn failed(status: GlobalStatus) -> GlobalStatus {
    use GlobalStatus::*;
    match status {
        status if status.is_timeout() => TimeoutRollbackFailed,
        status if status.is_commit() => CommitFailed,
        _ => RollbackFailed,
    }
}

fn retry_timeout(phase: Phase) -> GlobalStatus {
    match phase {
        Phase::Commit => GlobalStatus::CommitRetryTimeout,
        Phase::Rollback => GlobalStatus::RollbackRetryTimeout,
    }
}

/// The outcome of a decided transaction of which nothing is left.
pub(crate) fn outcome(status: GlobalStatus) -> GlobalStatus {
    use GlobalStatus::*;
    match status {
        // A Saga that neither committed nor rolled back.
        Finished => Finished,
        status if status.is_timeout() => TimeoutRollbacked,
        status if status.is_commit() => Committed,
        _ => Rollbacked,
    }
}
