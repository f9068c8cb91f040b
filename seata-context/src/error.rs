//! What can go wrong with a global transaction, as its starter sees it.

use std::time::Duration;

use seata_protocol::{GlobalStatus, Xid};

use crate::{CoordinationError, NoClient, NoScope, client::MAX_NAME_LENGTH};

/// Why a global transaction was not begun, or did not commit.
///
/// The error type of every function under `#[global_transactional]` is made from this one by `From`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TransactionError {
    /// There is nothing to begin a transaction with.
    #[error(transparent)]
    NoClient(#[from] NoClient),
    /// A transaction can be begun by hand only where it can be bound.
    #[error(transparent)]
    NoScope(#[from] NoScope),
    /// The scope is in a global transaction already.
    #[error(
        "a global transaction is bound here already ({xid}): join it, or begin another one inside \
         `RootContext::scope(..)` or with `Propagation::RequiresNew`"
    )]
    AlreadyBound {
        /// The transaction that is bound.
        xid: Xid,
    },
    /// `Propagation::Never`, but there is a transaction.
    #[error("{name} has propagation Never, but was called in global transaction {xid}: suspend it first")]
    Never {
        /// The function's transaction name.
        name: String,
        /// The caller's transaction.
        xid: Xid,
    },
    /// `Propagation::Mandatory`, but there is no transaction.
    #[error(
        "{name} has propagation Mandatory, but was called outside any global transaction: begin one around it"
    )]
    Mandatory {
        /// The function's transaction name.
        name: String,
    },
    /// A name that the coordinator's tables cannot hold.
    #[error("a transaction name of {length} bytes is refused: 1 to {MAX_NAME_LENGTH} are allowed")]
    InvalidName {
        /// Its length in bytes.
        length: usize,
    },
    /// A time-out of nothing, or of more milliseconds than 31 bits hold.
    #[error("a time-out of {timeout:?} is refused: 1 ms to 24 days are allowed")]
    InvalidTimeout {
        /// The time-out.
        timeout: Duration,
    },
    /// This client has as many open transactions as it may.
    #[error(
        "{open} global transactions are open in this client, which is its limit, and none ended in time: \
         end some, or raise `max_open_transactions`"
    )]
    TooManyOpen {
        /// The limit, which is also the number of open ones.
        open: usize,
    },
    /// The client is shutting down.
    #[error("the client is shutting down and begins no more global transactions")]
    ShuttingDown,
    /// The coordinator did not open a transaction. Nothing was done.
    #[error("global transaction {name} could not be begun: {cause}")]
    Begin {
        /// Its name.
        name: String,
        /// What the coordinator, or the way to it, said.
        cause: CoordinationError,
    },
    /// Only who began a transaction may end it.
    #[error(
        "global transaction {xid} was not begun here, so it cannot be ended here: return an error instead"
    )]
    NotLauncher {
        /// The transaction.
        xid: Xid,
    },
    /// It was committed or rolled back before.
    #[error("global transaction {xid} was ended before: it is {status}")]
    AlreadyEnded {
        /// The transaction.
        xid: Xid,
        /// What became of it.
        status: GlobalStatus,
    },
    /// It took longer than it was allowed to, and is rolled back.
    #[error(
        "global transaction {xid} ({name}) took longer than its time-out of {timeout:?} and is rolled back ({status})"
    )]
    TimedOut {
        /// The transaction.
        xid: Xid,
        /// Its name.
        name: String,
        /// The time-out.
        timeout: Duration,
        /// Where the rollback stands; `Finished` when it is over and the coordinator has forgotten it.
        status: GlobalStatus,
    },
    /// It should commit, but somebody decided to roll it back.
    #[error(
        "global transaction {xid} was to be committed, but had been rolled back by somebody else ({status})"
    )]
    RolledBack {
        /// The transaction.
        xid: Xid,
        /// Where the rollback stands.
        status: GlobalStatus,
    },
    /// It is decided to commit, but a branch will never commit by itself: a person has to look.
    #[error(
        "global transaction {xid} is decided to commit, but a branch cannot ({status}): see the coordinator"
    )]
    CommitFailed {
        /// The transaction.
        xid: Xid,
        /// Where it stands.
        status: GlobalStatus,
    },
    /// It is decided to roll back, but a branch will never do so by itself: a person has to look.
    #[error(
        "global transaction {xid} is decided to roll back, but a branch cannot ({status}): see the coordinator"
    )]
    RollbackFailed {
        /// The transaction.
        xid: Xid,
        /// Where it stands.
        status: GlobalStatus,
    },
    /// The coordinator does not know the transaction, so nobody can say what became of it.
    #[error("global transaction {xid} is unknown to the coordinator: its outcome cannot be told")]
    Unknown {
        /// The transaction.
        xid: Xid,
    },
    /// The coordinator answered something that makes no sense here.
    #[error("global transaction {xid} was to be ended, but the coordinator says that it is {status}")]
    UnexpectedStatus {
        /// The transaction.
        xid: Xid,
        /// The answer.
        status: GlobalStatus,
    },
    /// The request to commit got no answer. It is repeated in the background until there is one, or until
    /// the coordinator has decided by time-out.
    #[error(
        "the commit of global transaction {xid} got no answer (tries: {attempts}; {cause}); its outcome is not known yet"
    )]
    CommitUnanswered {
        /// The transaction.
        xid: Xid,
        /// How often it was tried.
        attempts: u32,
        /// What the last try met.
        cause: CoordinationError,
    },
    /// A commit that was sent is not taken back, even though it got no answer.
    #[error(
        "global transaction {xid} cannot be rolled back: its commit has been sent and may have arrived; \
         call `commit` again to learn the outcome"
    )]
    CommitSent {
        /// The transaction.
        xid: Xid,
    },
    /// The request to roll back got no answer. It is repeated in the background; without an answer
    /// the coordinator's time-out rolls back.
    #[error(
        "the rollback of global transaction {xid} got no answer (tries: {attempts}; {cause}); its time-out will do it"
    )]
    RollbackUnanswered {
        /// The transaction.
        xid: Xid,
        /// How often it was tried.
        attempts: u32,
        /// What the last try met.
        cause: CoordinationError,
    },
    /// The coordinator refused a status query or a report.
    #[error("the coordinator could not be asked about global transaction {xid}: {cause}")]
    Query {
        /// The transaction.
        xid: Xid,
        /// What the coordinator, or the way to it, said.
        cause: CoordinationError,
    },
}
