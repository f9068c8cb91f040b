//! Where transactions, branches and row locks live.
//!
//! A store keeps and returns records; deciding is [`session`](crate::session)'s. One call is one atomic
//! step. The module `suite` (feature `test-suite`) proves a store: run it for one of your own.

use std::{fmt, future::Future, ops::Range, sync::Arc, time::Duration};

use seata_protocol::{BranchId, BranchStatus, GlobalStatus, RowLock, TransactionId, Xid};

use crate::{
    record::{Branch, Ended, HeldLock, Millis, Snapshot, Transaction},
    session::Decision,
};

#[cfg(feature = "journal")]
pub use any::AnyStore;
pub use listing::{InvalidCursor, LockCursor, LockFilter, LockPage};
pub use memory::MemoryStore;
pub use tables::{Changes, NoChanges, Tables};

#[cfg(feature = "journal")]
mod any;
mod history;
mod listing;
mod locks;
mod memory;
#[cfg(any(test, feature = "test-suite"))]
pub mod suite;
mod tables;

/// Where transactions, branches and row locks live.
///
/// # Guarantees
/// - **Whole.** A call takes effect as a whole or not at all, and all calls take effect in one total
///   order. What survives a crash is a prefix of that order.
/// - **Durable.** When a method documented as *durable* returns, its effect survives the death of the
///   process and of the machine, and so does everything before it in the order. The effect of a *lazy*
///   method becomes durable soon, and at the latest together with the next durable one.
/// - **Honest.** No answer leaves before everything it tells of is durable: a conflict names a holder
///   that a crash would not undo, a free row is not locked again by one.
/// - **Repeatable.** The same call again gives the same answer and changes nothing.
/// - **Cancel-safe.** A call whose future is dropped took effect as a whole or not at all. It may do so when it is
///   made, before its future is polled: the future is then the answer alone.
///
/// After an error that is not a refusal ([`StoreError`]) nothing is known of the call's effect, and
/// every later call fails too, until the store is opened again.
pub trait Store: Send + Sync + 'static {
    /// The name that this store was given when it was created, for XIDs: a host name of its own.
    fn identity(&self) -> &str;

    /// How many times this store has been opened, durably counted: the number of this process's life.
    fn incarnation(&self) -> u64;

    /// Takes `count` numbers that no one was given before and no one will be given again, whatever
    /// crashes and whatever the clock says. *Durable.*
    fn reserve_ids(&self, count: u32) -> impl Future<Output = Result<Range<i64>, StoreError>> + Send;

    /// Adds a transaction in [`GlobalStatus::Begin`]. *Lazy*: one without branches has nothing to lose.
    fn begin(&self, transaction: Arc<Transaction>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Adds a branch and takes all its row locks, or changes nothing. *Durable.* A row that the same
    /// transaction holds already is no conflict.
    /// One that would be the transaction's branch behind `max_branches` is refused, unless it is of a Saga's
    /// compensation.
    fn register(
        &self,
        branch: Branch,
        max_branches: usize,
    ) -> impl Future<Output = Result<Registered, StoreError>> + Send;

    /// Keeps how phase one of a branch ended. *Lazy.* [`BranchStatus::PhaseOneFailed`] frees the branch's
    /// locks. Blank application data leaves the old one in place.
    fn report(
        &self,
        transaction: TransactionId,
        branch: BranchId,
        status: BranchStatus,
        application_data: Option<Arc<str>>,
    ) -> impl Future<Output = Result<Reported, StoreError>> + Send;

    /// Applies [`session::decide`](crate::session::decide). *Durable*, with everything a commit frees: all
    /// locks. A transaction that has no work left is removed in the same step; one that ends so before anything of
    /// it was ever written needs no flush, as nothing can be lost of it. A note of an operator is kept
    /// with it, and with its outcome if it ends, unless it became a time-out instead.
    fn decide(
        &self,
        transaction: TransactionId,
        decision: Decision,
        note: Option<Arc<str>>,
        now: Millis,
    ) -> impl Future<Output = Result<Decided, StoreError>> + Send;

    /// Removes a branch that is done, with its locks. *Lazy*: it would be asked again and say the same.
    fn drop_branch(
        &self,
        transaction: TransactionId,
        branch: BranchId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Shows where phase two stands and takes any parking away, but no note of a decision. *Lazy.*
    fn set_status(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps that no further try happens by itself, and why. *Durable.*
    fn park(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
        reason: Arc<str>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Removes a transaction with all its branches and locks, and keeps its outcome for a while, with what
    /// there is to say of it. *Lazy.*
    fn finish(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
        reason: Option<Arc<str>>,
        now: Millis,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Frees all row locks of a transaction for good and leaves the rest of it. Says how many rows it held.
    /// *Lazy.*
    fn release(&self, transaction: TransactionId) -> impl Future<Output = Result<usize, StoreError>> + Send;

    /// Applies what the starter of a Saga reports, as [`session::reported`](crate::session::reported) has it.
    /// *Durable.* A transaction of another kind stays as it is.
    fn note(
        &self,
        transaction: TransactionId,
        report: GlobalStatus,
        now: Millis,
    ) -> impl Future<Output = Result<Noted, StoreError>> + Send;

    /// What is known of a transaction.
    fn find(&self, transaction: TransactionId) -> impl Future<Output = Result<Found, StoreError>> + Send;

    /// Where a transaction stands, or how it ended; `None` for one that [`find`](Self::find) does not know either.
    fn status(
        &self,
        transaction: TransactionId,
    ) -> impl Future<Output = Result<Option<GlobalStatus>, StoreError>> + Send;

    /// The first of these rows that a transaction other than `except` holds.
    fn conflict(
        &self,
        except: Option<TransactionId>,
        locks: &[RowLock],
    ) -> impl Future<Output = Result<Option<Conflict>, StoreError>> + Send;

    /// Those among `transactions` that are in [`GlobalStatus::Begin`]: for a time-out check, which must be
    /// cheap. Nothing is promised of their durability.
    fn undecided(
        &self,
        transactions: Vec<TransactionId>,
    ) -> impl Future<Output = Result<Vec<TransactionId>, StoreError>> + Send;

    /// Up to `limit` unfinished transactions with a number above `after`, in the order of their numbers. Fewer when
    /// they have very many branches, and none only when there are no more.
    fn page(
        &self,
        after: Option<TransactionId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Snapshot>, StoreError>> + Send;

    /// Up to `limit` locks that are held, in no particular order.
    fn locks(&self, limit: usize) -> impl Future<Output = Result<Vec<HeldLock>, StoreError>> + Send;

    /// A part of the list of locks that `filter` allows: up to `limit` of them behind `after`. One step does
    /// not look at more than some thousands, so that others go on.
    fn locks_after(
        &self,
        after: Option<LockCursor>,
        filter: LockFilter,
        limit: usize,
    ) -> impl Future<Output = Result<LockPage, StoreError>> + Send;

    /// Up to `limit` of the transactions that ended and are remembered, from the one that ended last, or from
    /// the one that ended before `after`. Nothing when `after` is not remembered.
    fn ended(
        &self,
        after: Option<TransactionId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Ended>, StoreError>> + Send;

    /// How much there is. Cheap, however much there is; nothing is promised of its durability.
    fn counts(&self) -> Counts;

    /// Makes everything durable and gives the store's resources back. Later calls fail.
    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send;
}

/// How much a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Transactions that are not finished.
    pub open: usize,
    /// How many of them stand where; a status that none has is left out.
    pub by_status: Vec<(GlobalStatus, usize)>,
    /// Row locks that are held.
    pub locks: usize,
}

/// Why a store did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// It could not be written or read. Whether the last calls took effect is not known; opening the store
    /// again shows what did.
    #[error("the store failed and must be opened again: {reason}")]
    Failed {
        /// What was tried and what came of it.
        reason: Arc<str>,
    },
    /// It was closed.
    #[error("the store is closed")]
    Closed,
}

/// What became of a registration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Registered {
    /// The branch is there and holds its locks. This is the transaction that it joined.
    Done(Arc<Transaction>),
    /// Another transaction holds one of the rows; nothing was changed.
    Conflict(Conflict),
    /// The transaction takes no more branches; nothing was changed.
    NotActive(GlobalStatus),
    /// The transaction has as many branches as it may have; nothing was changed.
    Full,
    /// There is no such transaction; nothing was changed.
    Unknown,
}

/// A row that somebody else holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The first row that is not free.
    pub lock: RowLock,
    /// Who holds it.
    pub holder: Xid,
    /// The holder is rolling back, and may be waiting for the asker's own database locks.
    pub holder_is_rolling_back: bool,
    /// Why the asker did not wait for the row, or no longer.
    pub reason: ConflictReason,
}

/// Why a row was refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConflictReason {
    /// It is held, and the asker did not ask to wait.
    #[default]
    Held,
    /// Others asked for it earlier and wait; `holder` is to have it next. The asker did not ask to wait.
    Promised,
    /// The asker waited as long as it wanted to.
    WaitedFor(Duration),
    /// The holder is rolling back: it may need the asker's own database locks to do so.
    HolderRollsBack,
    /// The holder waits, in the end, for the asker.
    DeadLock {
        /// Who waits for whom: the asker, the holder, whom that one waits for, and so on round to the asker.
        cycle: Vec<Xid>,
    },
    /// As many registrations wait as may.
    TooManyWait,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lock, holder, .. } = self;
        if self.reason == ConflictReason::Promised {
            return write!(
                f,
                "row {lock} is to be locked by global transaction {holder}, which asked earlier"
            );
        }
        write!(f, "row {lock} is locked by global transaction {holder}")?;
        match &self.reason {
            ConflictReason::Held | ConflictReason::Promised => Ok(()),
            ConflictReason::WaitedFor(time) => write!(f, "; waited {} ms for it", time.as_millis()),
            ConflictReason::HolderRollsBack => f.write_str(", which is rolling back"),
            ConflictReason::DeadLock { cycle } => {
                f.write_str("; waiting for it would be a dead lock: ")?;
                for (index, xid) in cycle.iter().enumerate() {
                    f.write_str(if index == 0 { "" } else { " waits for " })?;
                    write!(f, "{xid}")?;
                }
                Ok(())
            }
            ConflictReason::TooManyWait => f.write_str("; too many others wait for rows already"),
        }
    }
}

/// What became of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reported {
    /// It is kept.
    Done,
    /// The transaction has no such branch (any more).
    UnknownBranch,
    /// There is no such transaction (any more).
    Unknown,
}

/// What became of a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decided {
    /// It was made now. A status that [`is_complete`](GlobalStatus::is_complete) says that nothing is left to do.
    Now(Snapshot),
    /// It stood before, or there was nothing to decide; the transaction is there.
    Unchanged(GlobalStatus),
    /// The transaction ended before.
    Ended(Ended),
    /// There is no such transaction (any more).
    Unknown,
}

/// What became of the report of a Saga's starter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noted {
    /// It changed where the transaction stands. A status that is neither of a commit nor of a rollback, or that
    /// [`is_complete`](GlobalStatus::is_complete), says that the transaction has ended; its branches are gone.
    Now(Snapshot),
    /// It changed nothing: the transaction is no Saga, or stands there already, or the report means nothing.
    Unchanged(GlobalStatus),
    /// The transaction ended before.
    Ended(Ended),
    /// There is no such transaction (any more).
    Unknown,
}

/// What is known of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// It is not finished.
    Open(Snapshot),
    /// It ended, not long ago.
    Ended(Ended),
    /// Nothing: it ended long ago, or never was.
    Unknown,
}
