//! What comes in, and what has to happen because of it.

use std::{sync::Arc, time::Duration};

use seata_protocol::{BranchId, BranchStatus, GlobalStatus};

use crate::record::Branch;

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
    /// Take the calls back that are not on their way yet, and say which
    /// ([`Session::take_back`](super::Session::take_back)).
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
