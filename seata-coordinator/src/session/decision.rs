//! What a transaction becomes when somebody decides, or when the starter of a Saga reports.

use seata_protocol::{BranchId, BranchType, GlobalStatus};

use crate::record::{Branch, Millis, Transaction};

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
