//! What a coordinator tells of each transaction's life.

use std::{fmt, sync::Arc};

use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, ResourceId, RowLock, Xid};

use crate::{record::Millis, session::Decision};

/// One thing that happened to one global transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Event {
    /// When.
    pub at: Millis,
    /// The transaction.
    pub xid: Xid,
    /// The application that began it.
    pub application: Arc<str>,
    /// What.
    pub kind: EventKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// It began.
    Begun {
        /// What operators see.
        name: Arc<str>,
    },
    /// A branch joined and holds its locks.
    BranchRegistered {
        /// The branch.
        branch: BranchId,
        /// How it takes part.
        branch_type: BranchType,
        /// Where.
        resource: ResourceId,
        /// The rows it holds.
        locks: Vec<RowLock>,
    },
    /// Its outcome is decided, durably.
    Decided {
        /// What, and by whom: a starter's commit or rollback, or a time-out.
        decision: Decision,
        /// Where it stands now.
        status: GlobalStatus,
    },
    /// A branch is done.
    BranchFinished {
        /// The branch.
        branch: BranchId,
        /// Where.
        resource: ResourceId,
        /// Committed or rolled back; for one that had nothing to do how its phase one ended, as in
        /// `PhaseOneFailed`.
        status: BranchStatus,
    },
    /// Phase two waits until this resource is available.
    Waiting {
        /// The branch.
        branch: BranchId,
        /// The resource.
        resource: ResourceId,
    },
    /// A branch could not finish and is asked again after a pause.
    Retrying {
        /// How many tries in a row have failed.
        failures: u32,
        /// The branch, and why.
        reason: Arc<str>,
    },
    /// It cannot finish by itself: a person has to look. It keeps its locks.
    Parked {
        /// Where it stands.
        status: GlobalStatus,
        /// The branch, and why.
        reason: Arc<str>,
    },
    /// Nothing is left of it.
    Finished {
        /// Its outcome.
        status: GlobalStatus,
    },
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Begun { name } => write!(f, "begun: {name}"),
            Self::BranchRegistered { branch, branch_type, resource, locks } => {
                write!(f, "{branch_type} branch {branch} registered on {resource}, locks")?;
                if locks.is_empty() {
                    f.write_str(" nothing")?;
                }
                locks.iter().try_for_each(|lock| write!(f, " {}:{}", lock.table, lock.key))
            }
            Self::Decided { decision, status } => {
                let decision = match decision {
                    Decision::Commit => "commit",
                    Decision::Rollback => "rollback",
                    Decision::Timeout => "time-out",
                };
                write!(f, "decided by {decision}: {status}")
            }
            Self::BranchFinished { branch, resource, status } => {
                write!(f, "branch {branch} on {resource} finished: {status}")
            }
            Self::Waiting { branch, resource } => write!(f, "branch {branch} waits for {resource}"),
            Self::Retrying { failures, reason } => write!(f, "try {failures} failed: {reason}"),
            Self::Parked { status, reason } => write!(f, "parked as {status}: {reason}"),
            Self::Finished { status } => write!(f, "finished: {status}"),
        }
    }
}
