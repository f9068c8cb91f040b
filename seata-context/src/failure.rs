//! Who is told of transactions that did not end well.

use seata_protocol::{GlobalStatus, Xid};

use crate::{TransactionError, Watch};

/// A transaction that did not end well.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Failure<'a> {
    /// It could not be begun.
    Begin {
        /// Its name.
        name: &'a str,
        /// Why.
        error: &'a TransactionError,
    },
    /// It should commit, and did not, or nobody can say.
    Commit {
        /// The transaction.
        xid: &'a Xid,
        /// Why.
        error: &'a TransactionError,
    },
    /// It should roll back, and did not, or nobody can say.
    Rollback {
        /// The transaction.
        xid: &'a Xid,
        /// Why.
        error: &'a TransactionError,
    },
    /// It is being rolled back, but not every branch could be undone yet.
    Rollbacking {
        /// The transaction.
        xid: &'a Xid,
        /// Where it stands.
        status: GlobalStatus,
    },
}

impl Failure<'_> {
    /// The transaction, unless it was never begun.
    pub fn xid(&self) -> Option<&Xid> {
        match self {
            Self::Begin { .. } => None,
            Self::Commit { xid, .. } | Self::Rollback { xid, .. } | Self::Rollbacking { xid, .. } => {
                Some(xid)
            }
        }
    }
}

/// Told of each transaction that did not end well (Java: `FailureHandler`).
///
/// The call is synchronous and stands in the caller's way: hand longer work to a task.
pub trait FailureHandler: Send + Sync + 'static {
    /// Takes note of a failure. With a [`Watch`], the client goes on looking at the transaction, and
    /// logs what becomes of it.
    fn handle(&self, failure: &Failure<'_>) -> Option<Watch>;
}

/// The default: logs a warning, and watches the transaction until it has ended, for an hour.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogAndWatch(
    /// How it is watched.
    pub Watch,
);

impl FailureHandler for LogAndWatch {
    fn handle(&self, failure: &Failure<'_>) -> Option<Watch> {
        match failure {
            Failure::Begin { name, error } => {
                tracing::warn!(name, %error, "a global transaction could not be begun");
            }
            Failure::Commit { xid, error } => {
                tracing::warn!(%xid, %error, "global transaction did not commit")
            }
            Failure::Rollback { xid, error } => {
                tracing::warn!(%xid, %error, "global transaction did not roll back");
            }
            Failure::Rollbacking { xid, status } => {
                tracing::warn!(%xid, %status, "global transaction is not wholly rolled back yet");
            }
        }
        failure.xid().map(|_| self.0)
    }
}
