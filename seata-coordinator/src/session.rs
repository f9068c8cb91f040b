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

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, ResourceId};

use crate::record::{Branch, GIVEN_UP, Millis, Snapshot, Transaction};

pub use decision::{Decision, SAGA_BRANCH, decide, is_saga, reported};
pub use effect::{Answer, Effect, Input, Phase, RetryLimits, Timer};
pub use status::{answer_for, is_parked};

pub(crate) use status::outcome;

use branches::{Branches, Progress};
use status::{failed, retry_timeout, retrying};

mod branches;
mod decision;
mod effect;
mod status;
#[cfg(test)]
mod tests;

/// A global transaction from its decision to its end.
#[derive(Debug)]
pub struct Session {
    transaction: Arc<Transaction>,
    status: GlobalStatus,
    limits: RetryLimits,
    branches: Branches,
    failures: u32,
    reason: Option<Arc<str>>,
    /// What an operator did to it, for its history.
    note: Option<Arc<str>>,
    is_saga: bool,
    told: bool,
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
            Branches::new([Arc::new(whole_saga(&transaction, status))], progress)
        } else {
            Branches::new(branches, progress)
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
        self.branches.iter()
    }

    /// Their resources, each once and in order.
    pub fn resources(&self) -> BTreeSet<&ResourceId> {
        self.branches.iter().map(|branch| &branch.resource).collect()
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
        if let Some(index) = self.branches.find(branch, Progress::Asked) {
            self.branches.set(index, Progress::BackedOff);
        }
    }

    /// Takes one input in; what has to happen because of it is appended to `out`.
    pub fn handle(&mut self, now: Millis, input: Input, out: &mut Vec<Effect>) {
        let next = match input {
            Input::Resume if self.is_parked() => Next::All,
            Input::Resume => self.drop_idle_branches(out),
            Input::Answer { branch, answer } => match self.branches.find(branch, Progress::Asked) {
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
        };
        self.go_on(next, out);
    }

    fn take_answer(&mut self, index: usize, answer: Answer, now: Millis, out: &mut Vec<Effect>) -> Next {
        let before = self.status;
        match self.judge(index, answer, now) {
            Verdict::Done => {
                self.failures = 0;
                let (branch, next) = self.branches.finish(index);
                if !self.is_saga {
                    out.push(Effect::DropBranch(branch));
                }
                return Next::One(next);
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
        // In another status others may be asked.
        if self.status == before { Next::One(None) } else { Next::All }
    }

    fn retry(&mut self, out: &mut Vec<Effect>) -> Next {
        if self.is_parked() {
            let resumes_at = self.phase() == Phase::Commit && self.only_at_is_left();
            self.status = if resumes_at { GlobalStatus::AsyncCommitting } else { retrying(self.status) };
            self.failures = 0;
            self.reason = None;
            self.branches.wake(Progress::Failed);
            out.push(Effect::Unpark(self.status));
        }
        self.wake(Progress::BackedOff)
    }

    fn stop(&mut self, reason: &str, out: &mut Vec<Effect>) -> Next {
        self.status = match self.phase() {
            Phase::Commit => GlobalStatus::StopCommitOrCommitRetry,
            Phase::Rollback => GlobalStatus::StopRollbackOrRollbackRetry,
        };
        let reason: Arc<str> = format!("stopped by operator: {reason}").into();
        self.reason = Some(Arc::clone(&reason));
        out.extend([Effect::Withdraw, Effect::Park { status: self.status, reason }]);
        self.tell(out);
        Next::One(None)
    }

    /// What was not done is worth knowing when somebody repairs it, and nothing else is left of it then.
    fn give_up(&mut self, reason: &str, out: &mut Vec<Effect>) -> Next {
        let mut note = format!("{GIVEN_UP}{reason}; not done:");
        for branch in self.branches.iter().take(NAMED) {
            note.push_str(&format!(" branch {} on {},", branch.id, branch.resource));
        }
        note.pop();
        if self.branches.len() > NAMED {
            note.push_str(&format!(" and {} more", self.branches.len() - NAMED));
        }
        self.note = Some(note.into());
        self.branches.clear();
        out.push(Effect::Withdraw);
        Next::One(None)
    }

    /// The starter of a Saga is ahead of its session.
    fn follow(&mut self, status: GlobalStatus, out: &mut Vec<Effect>) -> Next {
        if !self.is_saga || !(status.is_commit() || status.is_rollback()) {
            return Next::All;
        }
        self.status = status;
        let is_parked = self.is_parked();
        if !self.branches.is_empty() && !self.branches.is_any_asked() {
            self.branches.set(0, if is_parked { Progress::Failed } else { Progress::BackedOff });
            if !is_parked {
                self.failures = self.failures.saturating_add(1);
                let branch = Arc::clone(self.branches.branch(0));
                out.push(Effect::BackOff { branch, failures: self.failures });
            }
        }
        self.tell(out);
        Next::All
    }

    /// Asks whoever may be asked now, and notices the end.
    fn go_on(&mut self, next: Next, out: &mut Vec<Effect>) {
        self.ask(next, out);
        if self.branches.is_empty() {
            self.status = outcome(self.status);
            out.push(Effect::Finish(self.status));
        } else if self.only_at_is_left() || self.status == GlobalStatus::AsyncCommitting {
            if self.status == GlobalStatus::Committing {
                self.status = GlobalStatus::AsyncCommitting;
                out.push(Effect::SetStatus(self.status));
                self.ask(Next::All, out);
            }
            self.tell(out);
        } else if self.status != GlobalStatus::Committing
            && self.phase() == Phase::Commit
            && !self.branches.is_any_asked()
        {
            self.tell(out);
        }
    }

    fn ask(&mut self, next: Next, out: &mut Vec<Effect>) {
        let (phase, status) = (self.phase(), self.status);
        match (phase, next) {
            _ if self.is_at_rest() => {}
            _ if self.is_saga => self.branches.ask_saga(phase, || whole_saga(&self.transaction, status), out),
            (Phase::Commit, Next::All) => {
                self.branches.ask_for_commit(status != GlobalStatus::Committing, out);
            }
            (Phase::Commit, Next::One(Some(index))) => self.branches.ask_one_for_commit(index, out),
            (Phase::Commit, Next::One(None)) => {}
            (Phase::Rollback, _) => self.branches.ask_last_for_rollback(out),
        }
    }

    /// Only branches whose commit nobody waits for.
    fn only_at_is_left(&self) -> bool {
        self.phase() == Phase::Commit && self.branches.are_all_at()
    }

    fn drop_idle_branches(&mut self, out: &mut Vec<Effect>) -> Next {
        match self.phase() {
            _ if self.is_saga => {}
            Phase::Commit => self.branches.drop_idle(Branch::is_idle_on_commit, out),
            Phase::Rollback => self.branches.drop_idle(Branch::is_idle_on_rollback, out),
        }
        Next::All
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
                if self.branches.branch(index).branch_type == BranchType::Xa && self.is_long_over(now) =>
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
        self.branches.set(index, Progress::BackedOff);
        if self.is_at_rest() {
            return;
        }
        self.reason = Some(of_branch(self.branches.branch(index), &reason));
        if !self.is_parked() && self.status != retrying(self.status) {
            self.status = retrying(self.status);
            out.push(Effect::SetStatus(self.status));
        }
        let branch = Arc::clone(self.branches.branch(index));
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
        self.branches.set(index, Progress::Failed);
        let reason = of_branch(self.branches.branch(index), &reason);
        self.status = status;
        self.reason = Some(Arc::clone(&reason));
        out.push(Effect::Park { status, reason });
        if unlocks && self.phase() == Phase::Rollback {
            out.push(Effect::Release);
        }
        self.tell(out);
    }

    fn wake(&mut self, from: Progress) -> Next {
        self.branches.wake(from);
        Next::All
    }

    fn wake_one(&mut self, branch: BranchId) -> Next {
        let index = self.branches.find(branch, Progress::BackedOff);
        if let Some(index) = index {
            self.branches.set(index, Progress::Waiting);
        }
        Next::One(index)
    }

    fn tell(&mut self, out: &mut Vec<Effect>) {
        if !self.told {
            self.told = true;
            out.push(Effect::Tell(answer_for(self.status)));
        }
    }
}

/// How many branches that were given up a note names.
const NAMED: usize = 8;

/// Who may be asked that could not be asked before.
enum Next {
    All,
    /// This one, if any; when rolling back, whoever is the last.
    One(Option<usize>),
}

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
