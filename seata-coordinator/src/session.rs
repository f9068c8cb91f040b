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
//! | Begin, no branch has work left | any | Committed, Rollbacked or TimeoutRollbacked |
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
//! | commit or rollback | answer: never | parked: …Failed, the reason kept |
//! | commit or rollback | answer: later, within the retry limit | …Retrying, the retry timer set |
//! | commit or rollback | answer: later, past the retry limit | parked: …RetryTimeout |
//! | commit or rollback | retry timer | branches that backed off are asked again |
//! | parked | retry by an operator | …Retrying, all branches that failed are asked again |
//! | any other | retry timer, retry by an operator | none |
//!
//! After each of them: no branch left → finish. Rollback asks one branch at a time, the youngest first.
//! Commit asks resources at the same time and the branches of one resource in their order; AT branches
//! have no order, since committing one only deletes its undo log.

use std::{sync::Arc, time::Duration};

use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus};

use crate::record::{Branch, Millis, Snapshot, Transaction};

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

/// How long phase two is tried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RetryLimits {
    /// Counted from begin; after it a transaction that cannot commit is parked. `None`: never.
    pub commit: Option<Duration>,
    /// The same for rolling back.
    pub rollback: Option<Duration>,
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
    /// An operator wants a parked transaction to be tried again.
    Retry,
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
    DropBranch(BranchId),
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
    /// Ask the branch's resource manager.
    Ask {
        /// To do what.
        phase: Phase,
        /// The branch.
        branch: Arc<Branch>,
    },
    /// Wake the session after a back-off for this many failures in a row.
    Arm(Timer, u32),
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
        let branches = branches.into_iter().map(|branch| Slot { branch, progress }).collect();
        Self { transaction, status, limits, branches, failures: 0, reason: parked, told: false }
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

    /// No further try happens by itself.
    pub fn is_parked(&self) -> bool {
        is_parked(self.status)
    }

    /// Takes one input in; what has to happen because of it is appended to `out`.
    pub fn handle(&mut self, now: Millis, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Resume if self.is_parked() => {}
            Input::Resume => self.drop_idle_branches(out),
            Input::Answer { branch, answer } => match self.asked(branch) {
                None => return,
                Some(index) => match self.judge(index, answer, now) {
                    Verdict::Done => {
                        self.branches.remove(index);
                        self.failures = 0;
                        out.push(Effect::DropBranch(branch));
                    }
                    Verdict::Never(reason) => self.park(index, failed(self.status), reason, out),
                    Verdict::Later(reason) if self.past_limit(now) => {
                        self.park(index, retry_timeout(self.phase()), reason, out);
                    }
                    Verdict::Later(reason) => self.back_off(index, reason, out),
                },
            },
            Input::Timer(Timer::Retry) if self.is_parked() && self.phase() == Phase::Rollback => return,
            Input::Timer(Timer::Retry) => self.wake(Progress::BackedOff),
            Input::Retry if self.is_parked() => {
                self.status = retrying(self.status);
                self.failures = 0;
                self.reason = None;
                self.wake(Progress::Failed);
                self.wake(Progress::BackedOff);
                out.push(Effect::Unpark(self.status));
            }
            Input::Retry => return,
        }
        self.go_on(out);
    }

    /// Asks whoever may be asked now, and notices the end.
    fn go_on(&mut self, out: &mut Vec<Effect>) {
        match self.phase() {
            Phase::Commit => self.ask_for_commit(out),
            Phase::Rollback => self.ask_for_rollback(out),
        }
        if self.branches.is_empty() {
            self.status = complete(self.status);
            out.push(Effect::Finish(self.status));
        } else if self.only_at_is_left() {
            if self.status == GlobalStatus::Committing {
                self.status = GlobalStatus::AsyncCommitting;
                out.push(Effect::SetStatus(self.status));
            }
            self.tell(out);
        } else if !matches!(self.status, GlobalStatus::Committing)
            && self.phase() == Phase::Commit
            && self.branches.iter().all(|slot| slot.progress != Progress::Asked)
        {
            self.tell(out);
        }
    }

    fn ask_for_commit(&mut self, out: &mut Vec<Effect>) {
        for index in 0..self.branches.len() {
            let (before, rest) = self.branches.split_at_mut(index);
            let slot = &mut rest[0];
            let is_at = slot.branch.branch_type == BranchType::At;
            let is_next =
                is_at || before.iter().all(|earlier| earlier.branch.resource != slot.branch.resource);
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
        let phase = self.phase();
        self.branches.retain(|Slot { branch, .. }| {
            let is_idle = match phase {
                Phase::Commit => branch.is_idle_on_commit(),
                Phase::Rollback => branch.is_idle_on_rollback(),
            };
            if is_idle {
                out.push(Effect::DropBranch(branch.id));
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
        const XAER_NOTA_WAIT: Millis = 60_000;
        now > self.transaction.deadline().saturating_add(XAER_NOTA_WAIT.max(self.transaction.timeout))
    }

    fn past_limit(&self, now: Millis) -> bool {
        let limit = match self.phase() {
            Phase::Commit => self.limits.commit,
            Phase::Rollback => self.limits.rollback,
        };
        let age = Duration::from_millis(now.saturating_sub(self.transaction.begun_at));
        limit.is_some_and(|limit| age > limit)
    }

    fn back_off(&mut self, index: usize, reason: String, out: &mut Vec<Effect>) {
        self.failures = self.failures.saturating_add(1);
        let slot = &mut self.branches[index];
        slot.progress = Progress::BackedOff;
        self.reason = Some(of_branch(&slot.branch, &reason));
        if !self.is_parked() && self.status != retrying(self.status) {
            self.status = retrying(self.status);
            out.push(Effect::SetStatus(self.status));
        }
        out.push(Effect::Arm(Timer::Retry, self.failures));
        if self.phase() == Phase::Rollback {
            self.tell(out);
        }
    }

    fn park(&mut self, index: usize, status: GlobalStatus, reason: String, out: &mut Vec<Effect>) {
        let slot = &mut self.branches[index];
        slot.progress = Progress::Failed;
        let reason = of_branch(&slot.branch, &reason);
        self.status = status;
        self.reason = Some(Arc::clone(&reason));
        out.push(Effect::Park { status, reason });
        self.tell(out);
    }

    fn wake(&mut self, from: Progress) {
        for slot in &mut self.branches {
            if slot.progress == from {
                slot.progress = Progress::Waiting;
            }
        }
    }

    fn tell(&mut self, out: &mut Vec<Effect>) {
        if !self.told {
            self.told = true;
            out.push(Effect::Tell(answer_for(self.status)));
        }
    }
}

/// The answer to a commit or rollback request: an AT commit counts as committed from its decision on.
pub fn answer_for(status: GlobalStatus) -> GlobalStatus {
    if status == GlobalStatus::AsyncCommitting { GlobalStatus::Committed } else { status }
}

/// No further try happens by itself: a person has to look.
pub fn is_parked(status: GlobalStatus) -> bool {
    use GlobalStatus::*;
    matches!(
        status,
        CommitFailed | CommitRetryTimeout | RollbackFailed | RollbackRetryTimeout | TimeoutRollbackFailed
    )
}

enum Verdict {
    Done,
    Never(String),
    Later(String),
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

fn complete(status: GlobalStatus) -> GlobalStatus {
    use GlobalStatus::*;
    match status {
        status if status.is_timeout() => TimeoutRollbacked,
        status if status.is_commit() => Committed,
        _ => Rollbacked,
    }
}
