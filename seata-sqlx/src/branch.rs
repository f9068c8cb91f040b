//! The end of phase one: a local transaction becomes a branch of a global one.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use seata_context::{BranchRegistration, CoordinationError, LockStrategy};
use seata_protocol::{BranchId, BranchStatus, BranchType, RowLock, Xid};
use sqlx::Error;

use crate::{
    caller::{Caller, Mode},
    data_source::Core,
    dialect::{Argument, Call, Dialect, execute},
    error::AtError,
    session::{CommitError, Session},
    undo::{self, BranchUndoLog, SqlUndoLog, UndoRow},
};

/// A lock that another transaction holds. The local transaction is rolled back.
#[derive(Debug)]
pub(crate) struct Conflict {
    pub(crate) row: String,
    pub(crate) holder: String,
}

/// Why a local transaction did not commit. It is rolled back, or the error says otherwise.
#[derive(Debug)]
pub(crate) enum FinishError {
    Conflict(Conflict),
    Other(Error),
}

impl From<AtError> for FinishError {
    fn from(error: AtError) -> Self {
        Self::Other(error.into())
    }
}

/// What one local transaction did.
#[derive(Default)]
pub(crate) struct Work {
    pub(crate) logs: Vec<SqlUndoLog>,
    pub(crate) locks: Vec<RowLock>,
    /// A statement without arguments and without effect, still to be run before COMMIT: what it answers is the answer of
    /// the only change.
    pub(crate) answering: Option<String>,
}

/// How a local transaction ends.
pub(crate) enum Attempt<'p> {
    /// A statement by itself: the caller runs it anew after a conflict.
    Autocommit {
        /// It is the first try.
        is_first: bool,
    },
    /// The user's own transaction, which cannot be run anew from here. Where rows have locks of their own, it waits
    /// so long for a row of another global transaction.
    Transaction(&'p mut Patience),
}

impl Attempt<'_> {
    fn is_first(&self) -> bool {
        match self {
            Self::Autocommit { is_first } => *is_first,
            Self::Transaction(patience) => patience.is_first_attempt(),
        }
    }

    /// Waits for another try while the local transaction stays open, or tells that there is none.
    async fn again(&mut self, error: CoordinationError, may_wait: bool) -> Result<(), CoordinationError> {
        match (self, error) {
            // Who rolls back may be waiting for what this one holds.
            (
                Self::Transaction(patience),
                CoordinationError::LockConflict { row, holder, holder_is_rolling_back: false },
            ) if may_wait => {
                if patience.wait_once().await {
                    return Ok(());
                }
                Err(CoordinationError::LockConflict { row, holder, holder_is_rolling_back: false })
            }
            (_, error) => Err(error),
        }
    }
}

/// Registers the branch, writes its undo row, and commits. Gives what [`Work::answering`] answered.
pub(crate) async fn finish<DB: Dialect>(
    core: &Core<DB>,
    session: &mut Session<DB>,
    caller: &Caller,
    work: Work,
    mut attempt: Attempt<'_>,
) -> Result<Option<DB::QueryResult>, FinishError> {
    let locks: Vec<RowLock> = BTreeSet::from_iter(work.locks).into_iter().collect();
    match &caller.mode {
        Mode::GlobalLock if !locks.is_empty() => {
            if let Err(error) = look(core, &locks, &mut attempt).await {
                session.rollback().await;
                return Err(refused(error, AtError::LockQuery));
            }
            commit(session, work.answering).await
        }
        Mode::Global(xid) if !work.logs.is_empty() => {
            let branch = match register(core, caller, xid, locks, &mut attempt).await {
                Ok(branch) => branch,
                Err(error) => {
                    session.rollback().await;
                    return Err(refused(error, |source| AtError::Registration { xid: xid.clone(), source }));
                }
            };
            commit_branch(core, session, xid, branch, work.logs, work.answering).await
        }
        _ => commit(session, work.answering).await,
    }
}

async fn look<DB: Dialect>(
    core: &Core<DB>,
    locks: &[RowLock],
    attempt: &mut Attempt<'_>,
) -> Result<(), CoordinationError> {
    loop {
        match core.client.resource_manager().query_locks(None, locks).await {
            Ok(()) => return Ok(()),
            Err(error) => attempt.again(error, DB::ROW_LOCKS).await?,
        }
    }
}

async fn register<DB: Dialect>(
    core: &Core<DB>,
    caller: &Caller,
    xid: &Xid,
    locks: Vec<RowLock>,
    attempt: &mut Attempt<'_>,
) -> Result<BranchId, CoordinationError> {
    loop {
        let registration = BranchRegistration {
            xid: xid.clone(),
            branch_type: BranchType::At,
            resource: core.resource.clone(),
            locks: locks.clone(),
            application_data: application_data(caller, attempt),
        };
        match core.client.resource_manager().register_branch(registration).await {
            Ok(branch) => return Ok(branch),
            Err(error) => attempt.again(error, DB::ROW_LOCKS).await?,
        }
    }
}

pub(crate) fn refused(
    error: CoordinationError,
    other: impl FnOnce(CoordinationError) -> AtError,
) -> FinishError {
    match error {
        CoordinationError::LockConflict { row, holder, .. } => {
            FinishError::Conflict(Conflict { row, holder })
        }
        error => other(error).into(),
    }
}

fn application_data(caller: &Caller, attempt: &Attempt<'_>) -> String {
    let mut entries = Vec::new();
    if matches!(attempt, Attempt::Transaction(_)) {
        entries.push("\"autoCommit\":false".to_owned());
    }
    // Only the first try may go without a look at the lock: after a conflict there is something to see.
    if caller.strategy == LockStrategy::Optimistic {
        entries.push(format!("\"skipCheckLock\":{}", attempt.is_first()));
    }
    if entries.is_empty() { String::new() } else { format!("{{{}}}", entries.join(",")) }
}

async fn commit<DB: Dialect>(
    session: &mut Session<DB>,
    answering: Option<String>,
) -> Result<Option<DB::QueryResult>, FinishError> {
    let committed = match answering {
        Some(statement) => session.commit_after(&[&statement]).await,
        None => session.commit().await.map(|()| None),
    };
    committed.map_err(|error| match error {
        CommitError::NotReached { error, .. }
        | CommitError::RolledBack(error)
        | CommitError::Unknown(error) => FinishError::Other(error),
    })
}

async fn commit_branch<DB: Dialect>(
    core: &Core<DB>,
    session: &mut Session<DB>,
    xid: &Xid,
    branch: BranchId,
    logs: Vec<SqlUndoLog>,
    answering: Option<String>,
) -> Result<Option<DB::QueryResult>, FinishError> {
    let log = BranchUndoLog { xid: xid.to_string(), branch_id: branch.0, sql_undo_logs: logs };
    let committed = match undo::write_aside(log, core.options.writing).await {
        Ok(rows) => commit_with(core, session, xid, branch, rows, answering).await,
        Err(source) => {
            let error = AtError::UndoLog { xid: xid.clone(), branch, source }.into();
            Err(CommitError::NotReached { error, is_rolled_back: session.rollback().await })
        }
    };
    let error = match committed {
        Ok(answer) => return Ok(answer),
        Err(error) => error,
    };
    if let CommitError::NotReached { is_rolled_back: true, .. } | CommitError::RolledBack(_) = error {
        report_failure(core, xid, branch).await;
    }
    Err(FinishError::Other(match error {
        CommitError::NotReached { error, .. } | CommitError::RolledBack(error) => error,
        CommitError::Unknown(error) => {
            AtError::OutcomeUnknown { xid: xid.clone(), branch, reason: error.to_string() }.into()
        }
    }))
}

pub(crate) fn is_unique_violation(error: &Error) -> bool {
    error.as_database_error().is_some_and(|error| error.is_unique_violation())
}

/// Writes the undo rows and commits: if they are short, in one round trip.
async fn commit_with<DB: Dialect>(
    core: &Core<DB>,
    session: &mut Session<DB>,
    xid: &Xid,
    branch: BranchId,
    rows: Vec<UndoRow>,
    answering: Option<String>,
) -> Result<Option<DB::QueryResult>, CommitError> {
    /// As a literal the content is twice as long, and has to be parsed.
    const SHORT_IN_BYTES: usize = 16 << 10;
    let table = &core.options.undo_reference;
    let explained = |error: Error, row: i64| match row == branch.0 && is_unique_violation(&error) {
        true => AtError::RolledBackMeanwhile { xid: xid.clone(), branch }.into(),
        false => error,
    };
    if let [row] = rows.as_slice()
        && row.content.len() <= SHORT_IN_BYTES
    {
        let row_in_words = undo_row_in_words::<DB>(table, xid, row);
        let statements: Vec<&str> = answering.as_deref().into_iter().chain([row_in_words.as_str()]).collect();
        let committed = session.commit_after(&statements).await;
        let committed = committed.map(|answer| answer.filter(|_| answering.is_some()));
        return committed.map_err(|error| match error {
            CommitError::NotReached { error, is_rolled_back } => {
                CommitError::NotReached { error: explained(error, row.branch_id), is_rolled_back }
            }
            error => error,
        });
    }
    for row in rows {
        let id = row.branch_id;
        if let Err(error) = write_undo_row(session, table, xid, row).await {
            let is_rolled_back = session.rollback().await;
            return Err(CommitError::NotReached { error: explained(error, id), is_rolled_back });
        }
    }
    match answering {
        Some(statement) => session.commit_after(&[&statement]).await,
        None => session.commit().await.map(|()| None),
    }
}

async fn write_undo_row<DB: Dialect>(
    session: &mut Session<DB>,
    table: &str,
    xid: &Xid,
    row: UndoRow,
) -> Result<(), Error> {
    let call = undo_row::<DB>(table, xid, row, UNFINISHED)?;
    execute::<DB>(session.connection().await?, call).await.map(drop)
}

/// The status of an undo row that is still to be used.
pub(crate) const UNFINISHED: i64 = 0;

/// The INSERT of a row into the undo table; the second of its kind for a branch fails.
pub(crate) fn undo_row<DB: Dialect>(
    table: &str,
    xid: &Xid,
    row: UndoRow,
    status: i64,
) -> Result<Call<DB>, Error> {
    let values = [
        Argument::Integer(row.branch_id),
        Argument::Text(xid.to_string()),
        Argument::Text(row.context),
        Argument::Bytes(row.content),
        Argument::Integer(status),
    ];
    let parameters = std::array::from_fn(|index| DB::placeholder(index + 1));
    Call::new(insertion::<DB>(table, parameters), &values)
}

/// The same with its values in the text.
fn undo_row_in_words<DB: Dialect>(table: &str, xid: &Xid, row: &UndoRow) -> String {
    let values = [
        row.branch_id.to_string(),
        DB::text_literal(xid.as_ref()),
        DB::text_literal(&row.context),
        DB::bytes_literal(&row.content),
        UNFINISHED.to_string(),
    ];
    insertion::<DB>(table, values)
}

fn insertion<DB: Dialect>(table: &str, values: [String; 5]) -> String {
    format!(
        "INSERT INTO {} (branch_id, xid, context, rollback_info, log_status, log_created, log_modified) \
         VALUES ({}, {}, {})",
        table,
        values.join(", "),
        DB::undo_created(table, &values[1]),
        DB::NOW,
    )
}

/// Tells the coordinator that nothing of the branch is left, so that its locks are freed early. If it
/// cannot be told, they are freed when the global transaction ends.
async fn report_failure<DB: Dialect>(core: &Core<DB>, xid: &Xid, branch: BranchId) {
    const TRIES: u32 = 5;
    for left in (0..TRIES).rev() {
        let reported =
            core.client.resource_manager().report_branch(xid, branch, BranchStatus::PhaseOneFailed).await;
        match reported {
            Ok(()) => return,
            Err(error) if left == 0 => {
                tracing::warn!(%xid, %branch, %error, "a failed phase one could not be reported");
            }
            Err(_) => {}
        }
    }
}

/// Waiting for a row lock, as long as the data source and the caller are set to.
pub(crate) struct Patience {
    interval: Duration,
    times: u32,
    began: Instant,
    attempts: u32,
    mismatches: u32,
}

impl Patience {
    pub(crate) fn new<DB: Dialect>(core: &Core<DB>, caller: &Caller) -> Self {
        Self {
            interval: caller.retry.interval.unwrap_or(core.options.lock_retry_interval),
            times: caller.retry.times.unwrap_or(core.options.lock_retry_times),
            began: Instant::now(),
            attempts: 0,
            mismatches: 0,
        }
    }

    /// Whether to try again, at once, after this error: between image and statement somebody else may have committed
    /// a row that the condition finds, or have altered the table. A statement that chooses other rows each time it is
    /// run fails each time.
    pub(crate) fn tries_again_after<DB: Dialect>(&mut self, error: &Error) -> bool {
        const TIMES: u32 = 5;
        let error = AtError::from_sqlx(error);
        let mismatch = matches!(error, Some(AtError::ImageMismatch { .. } | AtError::Altered { .. }));
        self.mismatches += u32::from(mismatch);
        DB::ROW_LOCKS && mismatch && self.mismatches <= TIMES
    }

    pub(crate) fn is_first_attempt(&self) -> bool {
        self.attempts == 0
    }

    /// Waits for the next attempt. Where the database has one lock for all, the caller must not hold it meanwhile.
    pub(crate) async fn wait(&mut self, conflict: Conflict) -> Result<(), AtError> {
        if self.wait_once().await { Ok(()) } else { Err(self.give_up(conflict)) }
    }

    /// Whether there is another attempt; it may be made when this returns.
    pub(crate) async fn wait_once(&mut self) -> bool {
        self.attempts += 1;
        if self.attempts > self.times {
            return false;
        }
        tokio::time::sleep(self.interval).await;
        true
    }

    pub(crate) fn give_up(&self, Conflict { row, holder }: Conflict) -> AtError {
        let attempts = self.attempts.max(1);
        AtError::LockConflict { row, holder, attempts, waited: self.began.elapsed() }
    }
}
