//! Rollback: a branch is undone after every newer one of its transaction, all in one local transaction.

use seata_context::BranchTask;
use seata_protocol::BranchId;
use sqlx::Error;

use crate::{
    branch::undo_row,
    data_source::Options,
    dialect::{Call, Dialect, execute},
    phase_two::{
        logs::{FINISHED, Logs},
        undo::{UndoError, undo},
    },
    structure::StructureCache,
    undo::UndoRow,
};

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
        let mut logs = Vec::new();
        for listed in self.logs().list(DB::FOR_UPDATE).await? {
            if !listed.is_mark {
                logs.push(listed.branch);
            }
            if listed.branch == self.task.branch {
                return Ok(if listed.is_mark { Found::Mark } else { Found::Logs(logs) });
            }
        }
        Ok(Found::Nothing)
    }

    async fn leave_mark(&mut self) -> Result<(), Error> {
        let BranchTask { xid, branch, .. } = self.task;
        let mark = undo_row::<DB>(&self.options.undo_reference, xid, UndoRow::mark(*branch), FINISHED)?;
        execute(self.connection, mark).await.map(drop)
    }

    async fn undo(&mut self, branch: BranchId) -> Result<(), UndoError> {
        let limit = self.options.writing.max_log;
        let (context, log) = self.logs().read(branch, limit).await?;
        for statement in log.sql_undo_logs.iter().rev() {
            undo::<DB>(self.connection, self.options, self.structures, self.task, statement).await?;
        }
        Ok(self.logs().delete(branch, &context).await?)
    }

    fn logs(&mut self) -> Logs<'_, DB> {
        Logs { connection: self.connection, table: &self.options.undo_reference, xid: &self.task.xid }
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
