//! Rollback: a branch is undone after every newer one of its transaction, all in one local transaction.

use seata_context::BranchTask;
use seata_protocol::BranchId;
use sqlx::Error;

use crate::{
    branch::undo_row,
    data_source::Options,
    dialect::{Argument, Call, Dialect, execute, rows},
    phase_two::undo::{UndoError, undo},
    structure::StructureCache,
    undo::{self, Context, UndoRow},
};

/// An undo row of a transaction that is not finished.
const NORMAL: i64 = 0;
/// A mark against a phase one that comes after its rollback.
pub(super) const FINISHED: i64 = 1;

/// One request to roll back, on its connection.
pub(super) struct Rollback<'a, DB: Dialect> {
    pub(super) connection: &'a mut DB::Connection,
    pub(super) options: &'a Options,
    pub(super) structures: &'a StructureCache<DB>,
    pub(super) task: &'a BranchTask,
    /// The branches that are to be undone, as the undo table told.
    pub(super) found: Vec<BranchId>,
}

impl<DB: Dialect> Rollback<'_, DB> {
    /// Undoes the branch and deletes its undo row, or leaves a mark if there is none. Returns the branches that are
    /// undone now, or that were about to be. On an error the caller rolls back, and nothing of it was done.
    ///
    /// Not every coordinator asks for the newest branch first, and a row that a newer one changed again is
    /// not what this one left. So the newer ones, if their undo rows are still here, go before it. The older ones stay:
    /// nothing of this branch depends on them, and whatever is wrong with them is not its concern.
    pub(super) async fn run(mut self) -> (Vec<BranchId>, Result<(), UndoError>) {
        let done = self.steps().await;
        (self.found, done)
    }

    async fn steps(&mut self) -> Result<(), UndoError> {
        execute::<DB>(self.connection, Call::text(DB::BEGIN_WRITING)).await?;
        match self.look().await? {
            Found::Nothing => self.leave_mark().await?,
            Found::Mark => {}
            Found::Logs(branches) => {
                self.found.clone_from(&branches);
                for statement in DB::relax_constraints() {
                    execute::<DB>(self.connection, Call::text(*statement)).await?;
                }
                for branch in branches {
                    self.undo(branch).await.map_err(|error| self.name(branch, error))?;
                }
            }
        }
        execute::<DB>(self.connection, Call::text("COMMIT")).await?;
        Ok(())
    }

    async fn look(&mut self) -> Result<Found, Error> {
        // Java cuts a long log into several rows; those after the first have no branch of their own.
        let sql = format!(
            "SELECT branch_id, log_status FROM {} WHERE xid = {} AND context NOT LIKE 'branchId=%' \
             ORDER BY {}{}",
            self.table(),
            DB::placeholder(1),
            DB::NEWEST_UNDO_FIRST,
            DB::FOR_UPDATE
        );
        let xid = Argument::Text(self.task.xid.to_string());
        let mut logs = Vec::new();
        for row in rows::<DB>(self.connection, Call::new(sql, &[xid])?).await? {
            let branch = BranchId(integer::<DB>(&row, 0)?);
            let is_mark = integer::<DB>(&row, 1)? == FINISHED;
            let is_asked_for = branch == self.task.branch;
            if !is_mark {
                logs.push(branch);
            }
            if is_asked_for {
                return Ok(if is_mark { Found::Mark } else { Found::Logs(logs) });
            }
        }
        Ok(Found::Nothing)
    }

    async fn leave_mark(&mut self) -> Result<(), Error> {
        let BranchTask { xid, branch, .. } = self.task;
        let mark = undo_row::<DB>(self.table(), xid, UndoRow::mark(*branch), FINISHED)?;
        execute(self.connection, mark).await.map(drop)
    }

    async fn undo(&mut self, branch: BranchId) -> Result<(), UndoError> {
        let (context, content) = self.row(branch).await?;
        let continuations = self.continuations(&context).await?;
        let limit = self.options.writing.max_log;
        let log = undo::read_aside(context.clone(), content, continuations, limit).await?;
        for statement in log.sql_undo_logs.iter().rev() {
            undo::<DB>(self.connection, self.options, self.structures, self.task, statement).await?;
        }
        for &row in [branch.0].iter().chain(context.continuations()) {
            let delete = format!("DELETE FROM {} WHERE {}", self.table(), of_branch::<DB>());
            execute(self.connection, self.of_branch(delete, BranchId(row))?).await?;
        }
        Ok(())
    }

    /// The branch's own row.
    async fn row(&mut self, branch: BranchId) -> Result<(Context, Vec<u8>), UndoError> {
        let query = format!(
            "SELECT context, rollback_info, log_status FROM {} WHERE {}",
            self.table(),
            of_branch::<DB>()
        );
        let query = self.of_branch(query, branch)?;
        let found = rows::<DB>(self.connection, query).await?;
        let row = found.first().ok_or(Error::RowNotFound)?;
        let status = integer::<DB>(row, 2)?;
        if status != NORMAL {
            return Err(UndoError::Image(format!("the undo row's log_status is {status}, not 0 or 1")));
        }
        let context = match DB::argument_at(row, 0)? {
            Argument::Text(context) => Context::parse(&context)?,
            _ => Context::parse("")?,
        };
        Ok((context, content::<DB>(row, 1)?))
    }

    /// The rows that hold the rest of a long log.
    async fn continuations(&mut self, context: &Context) -> Result<Vec<(i64, Vec<u8>)>, UndoError> {
        let mut found = Vec::with_capacity(context.continuations().len());
        for &id in context.continuations() {
            let query = format!("SELECT rollback_info FROM {} WHERE {}", self.table(), of_branch::<DB>());
            let query = self.of_branch(query, BranchId(id))?;
            if let Some(row) = rows::<DB>(self.connection, query).await?.first() {
                found.push((id, content::<DB>(row, 0)?));
            }
        }
        Ok(found)
    }

    fn of_branch(&self, sql: String, branch: BranchId) -> Result<Call<DB>, Error> {
        Call::new(sql, &[Argument::Text(self.task.xid.to_string()), Argument::Integer(branch.0)])
    }

    fn table(&self) -> &str {
        &self.options.undo_reference
    }

    /// The operator reads of the branch that was asked for, and the cause may be another.
    fn name(&self, branch: BranchId, error: UndoError) -> UndoError {
        if branch == self.task.branch {
            return error;
        }
        UndoError::Newer { branch, source: Box::new(error) }
    }
}

/// What the undo table holds for a branch.
enum Found {
    Nothing,
    Mark,
    /// Its undo log, last in the list, and those of the branches that are newer, the newest first.
    Logs(Vec<BranchId>),
}

/// The row of one branch, whose XID and id are the first two arguments.
fn of_branch<DB: Dialect>() -> String {
    format!("xid = {} AND branch_id = {}", DB::placeholder(1), DB::placeholder(2))
}

fn content<DB: Dialect>(row: &DB::Row, column: usize) -> Result<Vec<u8>, UndoError> {
    match DB::argument_at(row, column)? {
        Argument::Bytes(bytes) => Ok(bytes),
        Argument::Text(text) => Ok(text.into_bytes()),
        other => Err(UndoError::Image(format!("rollback_info holds {other:?}"))),
    }
}

pub(super) fn integer<DB: Dialect>(row: &DB::Row, column: usize) -> Result<i64, Error> {
    match DB::argument_at(row, column)? {
        Argument::Integer(value) => Ok(value),
        other => Err(Error::ColumnDecode {
            index: column.to_string(),
            source: format!("a number was expected in the undo table, not {other:?}").into(),
        }),
    }
}
