//! Why a request was not carried out.

use std::sync::Arc;

use seata_protocol::{BranchId, GlobalStatus, InvalidXid, ResourceId, RowLock, Xid};

use crate::store::{Conflict, StoreError};

/// No request can be carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailable {
    /// The coordinator is stopping or has stopped; unfinished work goes on at its next start.
    #[error("the coordinator is shutting down")]
    Stopping,
    /// Nothing can be made durable any more.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a transaction was not begun.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BeginError {
    /// A text is longer than its limit.
    #[error("the {what} is {length} bytes long, at most {limit} are allowed")]
    TooLong {
        /// Which text.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The coordinator's own address cannot stand in an XID.
    #[error("the coordinator's address {address:?} cannot stand in an XID: {error}")]
    Address {
        /// The address from the settings.
        address: String,
        /// What is wrong with it.
        error: InvalidXid,
    },
    /// No request can be carried out.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a branch was not registered. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another transaction holds one of the rows. Retrying may succeed.
    #[error("{0}")]
    LockConflict(Conflict),
    /// The transaction takes no more branches.
    #[error("global transaction {xid} takes no more branches: it is {status}")]
    NotActive {
        /// The transaction.
        xid: Xid,
        /// Where it stands.
        status: GlobalStatus,
    },
    /// There is no such transaction (any more).
    #[error("global transaction {xid} is unknown: it ended long ago or never was this coordinator's")]
    UnknownTransaction {
        /// The transaction.
        xid: Xid,
    },
    /// The transaction has as many branches as it may have.
    #[error(
        "global transaction {xid} has {limit} branches, which is the limit of branches (max_branches): raise it, or change \
         more rows in one branch"
    )]
    TooManyBranches {
        /// The transaction.
        xid: Xid,
        /// The limit.
        limit: usize,
    },
    /// The application data is longer than its limit.
    #[error("the application data is {length} bytes long, at most {limit} are allowed")]
    DataTooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// There are more rows than one branch may lock.
    #[error("the branch would lock {count} rows, at most {limit} are allowed; change fewer rows at a time")]
    TooManyLocks {
        /// How many there are.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// A row's key is longer than its limit.
    #[error("a row of {table} has a key of {length} bytes, at most {limit} are allowed")]
    KeyTooLong {
        /// The row's table.
        table: Arc<str>,
        /// The key's length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// The name of a row's table is longer than its limit.
    #[error("the name of a row's table is {length} bytes long, at most {limit} are allowed")]
    TableTooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// A row is not of the branch's resource, or its table has no possible name.
    #[error("row {lock} cannot be locked by a branch on {resource}")]
    WrongLock {
        /// The row.
        lock: RowLock,
        /// The branch's resource.
        resource: ResourceId,
    },
    /// No request can be carried out.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why a report was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// There is no such transaction (any more).
    #[error("global transaction {xid} is unknown: it ended long ago or never was this coordinator's")]
    UnknownTransaction {
        /// The transaction.
        xid: Xid,
    },
    /// The transaction has no such branch (any more).
    #[error("global transaction {xid} has no branch {branch}")]
    UnknownBranch {
        /// The transaction.
        xid: Xid,
        /// The branch.
        branch: BranchId,
    },
    /// The application data is longer than its limit.
    #[error("the application data is {length} bytes long, at most {limit} are allowed")]
    DataTooLong {
        /// Its length in bytes.
        length: usize,
        /// The limit in bytes.
        limit: usize,
    },
    /// No request can be carried out.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why rows are not known to be free.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LocksError {
    /// Another transaction holds one of them.
    #[error("{0}")]
    Conflict(Conflict),
    /// They are more than one branch may lock.
    #[error("{count} rows are asked for, at most {limit} are allowed; ask for fewer rows at a time")]
    TooMany {
        /// How many there are.
        count: usize,
        /// The limit.
        limit: usize,
    },
    /// No request can be carried out.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

/// Why an operator's wish was not carried out. Nothing was changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// There is no such transaction (any more).
    #[error("global transaction {xid} is unknown: it ended long ago or never was this coordinator's")]
    Unknown {
        /// The transaction.
        xid: Xid,
    },
    /// It has ended.
    #[error("global transaction {xid} has ended: it is {status}")]
    Ended {
        /// The transaction.
        xid: Xid,
        /// Its outcome.
        status: GlobalStatus,
    },
    /// Where it stands does not allow it.
    #[error("global transaction {xid} is {status}: {why}")]
    NotAllowed {
        /// The transaction.
        xid: Xid,
        /// Where it stands.
        status: GlobalStatus,
        /// What is in the way, and what to do.
        why: &'static str,
    },
    /// No request can be carried out.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
}

macro_rules! from_store_error {
    ($($error:ident)+) => {$(
        impl From<StoreError> for $error {
            fn from(error: StoreError) -> Self {
                Self::Unavailable(error.into())
            }
        }
    )+};
}

from_store_error!(BeginError RegisterError ReportError LocksError OperatorError);
