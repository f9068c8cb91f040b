//! What stands between an application and its coordinator, in both directions.
//!
//! ```text
//!   application ── TransactionManager ──▶ coordinator      begin, commit, rollback, status, report
//!   data source ── ResourceManager ─────▶ coordinator      register a branch with its row locks, …
//!   data source ◀── Resource ─────────── coordinator       phase two: commit or roll back a branch
//! ```
//!
//! An embedded coordinator and a remote one implement the first two; a data source implements the
//! last. Nothing here knows how the calls travel.

use std::{sync::Arc, time::Duration};

use futures_core::future::BoxFuture;
use seata_protocol::{
    BranchId, BranchStatus, BranchType, GlobalStatus, ResourceId, RowLock, TransactionExceptionCode, Xid,
};

/// What a starter says of its new global transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeginRequest {
    /// The name that operators see. Java's column for it is 128 characters wide.
    pub name: String,
    /// How long the transaction may stay undecided.
    pub timeout: Duration,
}

/// What a data source says of its new branch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchRegistration {
    /// The global transaction that the branch joins.
    pub xid: Xid,
    /// How it takes part.
    pub branch_type: BranchType,
    /// The resource that phase two is to be sent to.
    pub resource: ResourceId,
    /// The rows it changed, to be held until the outcome is decided. All or none are taken.
    pub locks: Vec<RowLock>,
    /// Text that comes back in phase two (a TCC action's context; for AT, flags in JSON). May be empty.
    pub application_data: String,
}

/// One call of phase two, as it reaches a [`Resource`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchTask {
    /// The global transaction.
    pub xid: Xid,
    /// The branch.
    pub branch: BranchId,
    /// How it takes part.
    pub branch_type: BranchType,
    /// The resource it works on.
    pub resource: ResourceId,
    /// What was given at registration.
    pub application_data: String,
}

/// Why a coordinator did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CoordinationError {
    /// No coordinator answers. The request may or may not have been carried out.
    #[error("no coordinator answered: {reason}")]
    Unreachable {
        /// What was tried and what came of it.
        reason: String,
    },
    /// Another global transaction holds one of the rows. Retrying may succeed.
    #[error("row {row} is locked by global transaction {holder}")]
    LockConflict {
        /// The first row that is not free, `table:key in resource`.
        row: String,
        /// Who holds it, or `(the coordinator does not say which)` where the coordinator does not tell.
        holder: String,
        /// The holder is rolling back and may be waiting for the caller's own database locks:
        /// give way at once.
        holder_is_rolling_back: bool,
    },
    /// The coordinator does not know this transaction, or has forgotten it.
    #[error("global transaction {xid} is unknown to the coordinator: it ended long ago or never was its own")]
    UnknownTransaction {
        /// The transaction.
        xid: Xid,
    },
    /// The transaction takes no more branches.
    #[error("global transaction {xid} takes no more branches: it is {status}")]
    NotActive {
        /// The transaction.
        xid: Xid,
        /// Where it stands.
        status: GlobalStatus,
    },
    /// The coordinator is shutting down and takes no new work.
    #[error("the coordinator is shutting down")]
    ShuttingDown,
    /// The coordinator refused for another reason.
    #[error("the coordinator refused ({code}): {message}")]
    Refused {
        /// The cause as Seata numbers it.
        code: TransactionExceptionCode,
        /// The coordinator's own words.
        message: String,
    },
}

/// A transaction manager's way to its coordinator (Java: `core/model/TransactionManager`).
///
/// Every method may be called again with the same arguments after an
/// [`Unreachable`](CoordinationError::Unreachable): commit and rollback answer what was decided,
/// whoever decided it. Dropping a returned future never undoes a request that has been sent.
pub trait TransactionManager: Send + Sync + 'static {
    /// Opens a global transaction.
    fn begin(&self, request: BeginRequest) -> BoxFuture<'_, Result<Xid, CoordinationError>>;

    /// Decides to commit, unless it is decided already. Returns where the transaction then stands; a
    /// commit that is decided but not finished is `Committing`, `AsyncCommitting` or `Committed`, an unknown
    /// transaction is `Finished`.
    fn commit<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>>;

    /// Decides to roll back, unless it is decided already. Returns where the transaction then stands.
    fn rollback<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>>;

    /// Where the transaction stands; `Finished` when the coordinator does not know it.
    fn status<'a>(&'a self, xid: &'a Xid) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>>;

    /// Tells the coordinator an outcome that was decided outside (Saga).
    fn report<'a>(
        &'a self,
        xid: &'a Xid,
        status: GlobalStatus,
    ) -> BoxFuture<'a, Result<GlobalStatus, CoordinationError>>;

    /// Whether this XID belongs to a coordinator that the calls above would reach. A server refuses
    /// requests under any other.
    fn knows(&self, xid: &Xid) -> bool;
}

/// A data source's way to its coordinator (Java: `core/model/ResourceManagerOutbound`).
pub trait ResourceManager: Send + Sync + 'static {
    /// Makes a resource known, so that phase two can reach it. The same id again replaces the earlier
    /// one. Phase two that was waiting for this resource begins.
    fn register_resource(&self, resource: Arc<dyn Resource>) -> BoxFuture<'_, Result<(), CoordinationError>>;

    /// Adds a branch and takes all its row locks, durably, or changes nothing.
    fn register_branch(
        &self,
        registration: BranchRegistration,
    ) -> BoxFuture<'_, Result<BranchId, CoordinationError>>;

    /// Tells how phase one of a branch ended. A branch reported as
    /// [`PhaseOneFailed`](BranchStatus::PhaseOneFailed) left nothing to undo, and its locks are freed.
    fn report_branch<'a>(
        &'a self,
        xid: &'a Xid,
        branch: BranchId,
        status: BranchStatus,
    ) -> BoxFuture<'a, Result<(), CoordinationError>>;

    /// Succeeds when no *other* transaction holds any of the rows; nothing is locked by asking.
    /// Without an XID every holder is another one.
    ///
    /// # Errors
    /// [`CoordinationError::LockConflict`] names the first row held and its holder.
    fn query_locks<'a>(
        &'a self,
        xid: Option<&'a Xid>,
        locks: &'a [RowLock],
    ) -> BoxFuture<'a, Result<(), CoordinationError>>;
}

/// What a coordinator calls in phase two (Java: `core/model/Resource` and `ResourceManagerInbound`).
///
/// # Contract
/// - A call may come twice, late, or for a branch that never was: the answer is then the same as the
///   first time, and nothing is done twice.
/// - The answer is `PhaseTwoCommitted` or `PhaseTwoRollbacked` only when it is true and durable.
///   `…Retryable` means: ask again later. `…Unretryable` means: a person has to look.
/// - A rollback that comes before its phase one leaves a mark that makes the late phase one fail.
pub trait Resource: Send + Sync + 'static {
    /// The name under which branches are registered.
    fn id(&self) -> &ResourceId;

    /// How branches on this resource take part.
    fn branch_type(&self) -> BranchType;

    /// Finishes a branch of a committed transaction.
    fn commit(&self, task: BranchTask) -> BoxFuture<'_, BranchAnswer>;

    /// Finishes several branches, of different transactions, at once: a data source can do so with one
    /// statement. One answer for each, in the same order.
    fn commit_many(&self, tasks: Vec<BranchTask>) -> BoxFuture<'_, Vec<BranchAnswer>> {
        Box::pin(async move {
            let mut answers = Vec::with_capacity(tasks.len());
            for task in tasks {
                answers.push(self.commit(task).await);
            }
            answers
        })
    }

    /// Undoes a branch of a transaction that is rolled back.
    fn rollback(&self, task: BranchTask) -> BoxFuture<'_, BranchAnswer>;

    /// Forgets undo logs that are older than this many days and that no transaction will ask for any
    /// more. A remote coordinator asks for it from time to time; nobody waits for an answer. The default
    /// does nothing, for resources that keep none.
    fn delete_undo_logs(&self, save_days: u16) -> BoxFuture<'_, ()> {
        let _ = save_days;
        Box::pin(async {})
    }
}

/// A resource's answer in phase two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BranchAnswer {
    /// What became of the branch.
    pub status: BranchStatus,
    /// Why it did not end well, for the operator: the dirty row, the database's error. Empty on success.
    pub reason: String,
}

impl BranchAnswer {
    /// The branch is committed.
    pub fn committed() -> Self {
        Self { status: BranchStatus::PhaseTwoCommitted, reason: String::new() }
    }

    /// The branch is rolled back.
    pub fn rollbacked() -> Self {
        Self { status: BranchStatus::PhaseTwoRollbacked, reason: String::new() }
    }

    /// The branch did not end, and here is why.
    pub fn failed(status: BranchStatus, reason: impl Into<String>) -> Self {
        Self { status, reason: reason.into() }
    }
}
