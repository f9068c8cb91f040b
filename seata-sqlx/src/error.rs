//! What can go wrong in AT mode, beyond what the database itself reports.

use std::{borrow::Cow, error::Error as StdError, path::PathBuf, time::Duration};

use seata_context::CoordinationError;
use seata_protocol::{BranchId, ResourceId, Xid};
use sqlx::error::{DatabaseError, ErrorKind};

use crate::{
    sql::{Flavor, Refusal},
    undo::WriteError,
};

/// Why a call on an AT data source failed, where the cause is not the database's own.
///
/// sqlx's API returns [`sqlx::Error`]; such a cause travels in it as a
/// [`sqlx::Error::Database`], and [`AtError::from_sqlx`] gets it back:
///
/// ```
/// use seata_sqlx::AtError;
///
/// fn may_be_tried_again(error: &sqlx::Error) -> bool {
///     matches!(AtError::from_sqlx(error), Some(AtError::LockConflict { .. }))
/// }
/// # assert!(!may_be_tried_again(&sqlx::Error::RowNotFound));
/// ```
///
/// The database's own errors, its busy time-out among them, come as they are: `from_sqlx` gives
/// `None` for them.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AtError {
    /// The statement cannot be undone exactly. Nothing of it was run.
    #[error("{reason}; the statement was: {statement}")]
    Refused {
        /// What cannot be undone, and what to do instead.
        reason: Refusal,
        /// The statement, shortened when long.
        statement: String,
    },
    /// Another global transaction holds a row. The local transaction is rolled back; retrying the
    /// whole of it may succeed.
    #[error(
        "row {row} is locked by global transaction {holder}; gave up after {waited:.0?} (attempts: {attempts})"
    )]
    LockConflict {
        /// The row, as `table:key in resource`.
        row: String,
        /// Who holds it.
        holder: String,
        /// How often it was tried.
        attempts: u32,
        /// How long that took.
        waited: Duration,
    },
    /// The coordinator did not register the branch. The local transaction is rolled back.
    #[error(
        "the branch of {xid} could not be registered, and its local transaction is rolled back: {source}"
    )]
    Registration {
        /// The global transaction.
        xid: Xid,
        /// What the coordinator said.
        source: CoordinationError,
    },
    /// The coordinator could not be asked who holds the rows. The local transaction is rolled back.
    #[error("the global locks could not be looked at, and the local transaction is rolled back: {0}")]
    LockQuery(#[source] CoordinationError),
    /// The XID bound here belongs to another coordinator than this data source's.
    #[error(
        "global transaction {xid} belongs to a coordinator that the data source {resource} is not connected to"
    )]
    ForeignCoordinator {
        /// The global transaction.
        xid: Xid,
        /// The data source.
        resource: ResourceId,
    },
    /// The coordinator rolled this branch back before its phase one was done: its time was up. The
    /// local transaction is rolled back.
    #[error("branch {branch} of {xid} was rolled back by the coordinator before it was committed locally")]
    RolledBackMeanwhile {
        /// The global transaction.
        xid: Xid,
        /// The branch.
        branch: BranchId,
    },
    /// The undo log is too long for the undo table. The local transaction is rolled back.
    #[error("branch {branch} of {xid} cannot be undone, and its local transaction is rolled back: {source}")]
    UndoLog {
        /// The global transaction.
        xid: Xid,
        /// The branch.
        branch: BranchId,
        /// What is too long.
        source: WriteError,
    },
    /// The answer to COMMIT was lost: the local transaction is committed, or it is not. The branch
    /// stays registered, and its undo row decides in phase two.
    #[error(
        "whether branch {branch} of {xid} was committed locally is unknown, and phase two decides: {reason}"
    )]
    OutcomeUnknown {
        /// The global transaction.
        xid: Xid,
        /// The branch.
        branch: BranchId,
        /// What happened to the COMMIT.
        reason: String,
    },
    /// A local transaction that began outside any global one was used inside one. It is rolled back.
    #[error(
        "this local transaction began outside any global transaction and is used under {now}; it is rolled back: \
         begin it inside"
    )]
    BegunOutside {
        /// The global transaction bound now.
        now: Xid,
    },
    /// A local transaction that began under one XID was used under another. It is rolled back.
    #[error("this local transaction began under {began} and is used under {now}; it is rolled back")]
    OtherTransaction {
        /// The XID under which it began.
        began: Xid,
        /// The XID bound now.
        now: Xid,
    },
    /// A local transaction that began under an XID was used where none is bound: after the global
    /// transaction ended, while it is suspended, or on another task. It is rolled back.
    #[error(
        "this local transaction began under {began} and is used where no global transaction is bound \
         ({place}); it is rolled back: finish it inside, or carry the context over with `.in_current_transaction()`"
    )]
    LeftTransaction {
        /// The XID under which it began.
        began: Xid,
        /// What is known of the place.
        place: &'static str,
    },
    /// A local transaction that began under `#[global_lock]` was used outside it. It is rolled back.
    #[error("this local transaction began under #[global_lock] and is used outside it; it is rolled back")]
    LeftGlobalLock,
    /// A local transaction that began outside `#[global_lock]` was used inside. It is rolled back.
    #[error(
        "this local transaction began outside #[global_lock] and is used inside it; it is rolled back: begin it inside"
    )]
    BegunOutsideGlobalLock,
    /// The local transaction is over: it was rolled back because of an earlier error.
    #[error("this local transaction was rolled back earlier: {reason}")]
    AlreadyRolledBack {
        /// The earlier error.
        reason: String,
    },
    /// A statement was run where no transaction scope exists, and the data source is set to refuse that.
    #[error(
        "a write outside any transaction scope is refused by this data source: wrap the task in \
         `seata::spawn` or `.in_current_transaction()`, or in `RootContext::scope(..)` if it is \
         meant to be outside; the statement was: {statement}"
    )]
    OutsideAnyScope {
        /// The statement, shortened when long.
        statement: String,
    },
    /// The statement touches more rows than the data source may image. It is rolled back.
    #[error(
        "the statement touches more than {limit} rows, the limit for one undo image (`max_image_rows`, \
         or what the database takes in one statement); split it; the statement was: {statement}"
    )]
    TooManyRows {
        /// The limit.
        limit: usize,
        /// The statement, shortened when long.
        statement: String,
    },
    /// The statement changed, or a global-committed read gave, other rows than had been selected for it, as `random()` in
    /// WHERE makes it. It is rolled back.
    #[error(
        "the statement touched other rows than it selected a moment before ({detail}); use a condition that gives \
         the same rows each time; the statement was: {statement}"
    )]
    ImageMismatch {
        /// What differs.
        detail: String,
        /// The statement, shortened when long.
        statement: String,
    },
    /// The table was altered since its structure was looked at, so that a column would have been lost with a row. A
    /// statement by itself has been tried again; in a local transaction nothing of it was run.
    #[error("table {table} has just been altered; run the statement again; the statement was: {statement}")]
    Altered {
        /// The table.
        table: String,
        /// The statement, shortened when long.
        statement: String,
    },
    /// A row's primary key is NULL or empty, so that it can be neither locked nor found again.
    #[error("a row of table {table} has no usable primary key ({detail}); the statement was: {statement}")]
    UnusableKey {
        /// The table.
        table: String,
        /// What is wrong with the key.
        detail: String,
        /// The statement, shortened when long.
        statement: String,
    },
    /// Fewer arguments are bound than the statement has parameters, or in MySQL more.
    #[error(
        "the statement has parameters: {expected}, arguments: {found}; bind one for each; the statement was: {statement}"
    )]
    ArgumentCount {
        /// How many parameters it has.
        expected: usize,
        /// How many arguments are bound.
        found: usize,
        /// The statement, shortened when long.
        statement: String,
    },
}

impl AtError {
    /// The AT cause inside an error that sqlx's API returned, if that is what it is.
    pub fn from_sqlx(error: &sqlx::Error) -> Option<&Self> {
        error.as_database_error()?.try_downcast_ref()
    }

    pub(crate) fn refused(reason: Refusal, statement: &str) -> Self {
        Self::Refused { reason, statement: shorten(statement) }
    }
}

/// A statement as errors and logs quote it.
pub(crate) fn shorten(statement: &str) -> String {
    const SHOWN: usize = 300;
    match statement.char_indices().nth(SHOWN) {
        None => statement.to_owned(),
        Some((end, _)) => format!("{}…", &statement[..end]),
    }
}

/// With it comes sqlx's own `From<AtError> for sqlx::Error`.
impl DatabaseError for AtError {
    fn message(&self) -> &str {
        match self {
            Self::LockConflict { .. } => "a row is locked by another global transaction",
            Self::Refused { .. } => "the statement cannot be undone",
            _ => "the AT data source failed",
        }
    }

    fn code(&self) -> Option<Cow<'_, str>> {
        None
    }

    fn as_error(&self) -> &(dyn StdError + Send + Sync + 'static) {
        self
    }

    fn as_error_mut(&mut self) -> &mut (dyn StdError + Send + Sync + 'static) {
        self
    }

    fn into_error(self: Box<Self>) -> Box<dyn StdError + Send + Sync + 'static> {
        self
    }

    fn kind(&self) -> ErrorKind {
        ErrorKind::Other
    }
}

/// Why a pool cannot become an AT data source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AtOpenError {
    /// The database lives inside one connection, and phase two needs one of its own.
    #[error(
        "a database in memory or in a temporary file cannot be an AT data source: phase two needs a connection of \
         its own, which would see another database; use a file, in tests one in a temporary directory"
    )]
    Private,
    /// The database file has no canonical path.
    #[error("the database file {path:?} has no canonical path to name it by: {source}")]
    Path {
        /// The path as the database gives it.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The resource id that was given cannot be registered with a coordinator.
    #[error(
        "the resource id {resource:?} cannot be registered: it is empty or contains a comma, which separates the ids \
         in a registration; give one without"
    )]
    InvalidResourceId {
        /// The id.
        resource: ResourceId,
    },
    /// The undo table is missing and could not be made.
    #[error(
        "the undo table {table:?} is missing and could not be made: {source}; have somebody who may create tables run \
         what `seata undo-log ddl {dialect}` prints"
    )]
    NoUndoTable {
        /// Its name.
        table: String,
        /// The language of its statements.
        dialect: Flavor,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The undo table lets rows be added or removed that must not be.
    #[error(
        "the undo table {table:?} cannot be used: {reason}; compare it with what `seata undo-log ddl` prints"
    )]
    UnfitUndoTable {
        /// Its name.
        table: String,
        /// What is wrong, and what it needs.
        reason: &'static str,
    },
    /// The undo table has other columns, or rows cannot be added to it and deleted.
    #[error(
        "the undo table {table:?} cannot be used: {source}; it needs the columns that `seata undo-log ddl` prints, and \
         the rights to select, insert and delete, in PostgreSQL to update too"
    )]
    UndoTable {
        /// Its name.
        table: String,
        /// What the database said.
        source: sqlx::Error,
    },
    /// The database did not answer as it should.
    #[error("the database cannot be used: {0}")]
    Database(#[from] sqlx::Error),
    /// The coordinator did not take the resource.
    #[error("the data source could not be registered: {0}")]
    Registration(#[source] CoordinationError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_at_error_survives_its_way_through_sqlx() {
        let error: sqlx::Error = AtError::LeftGlobalLock.into();
        assert!(matches!(AtError::from_sqlx(&error), Some(AtError::LeftGlobalLock)));
        assert!(error.to_string().contains("#[global_lock]"), "{error}");
        assert!(AtError::from_sqlx(&sqlx::Error::PoolTimedOut).is_none());
    }

    #[test]
    fn long_statements_are_shortened_between_characters() {
        assert_eq!(shorten("SELECT 1"), "SELECT 1");
        assert_eq!(shorten(&"你".repeat(400)).chars().count(), 301);
    }
}
