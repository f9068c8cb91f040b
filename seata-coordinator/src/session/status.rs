//! What follows from a status.

use seata_protocol::GlobalStatus;

use super::Phase;

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

pub(super) fn retrying(status: GlobalStatus) -> GlobalStatus {
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

pub(super) fn failed(status: GlobalStatus) -> GlobalStatus {
    use GlobalStatus::*;
    match status {
        status if status.is_timeout() => TimeoutRollbackFailed,
        status if status.is_commit() => CommitFailed,
        _ => RollbackFailed,
    }
}

pub(super) fn retry_timeout(phase: Phase) -> GlobalStatus {
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
