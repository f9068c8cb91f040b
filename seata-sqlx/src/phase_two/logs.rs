//! The undo rows of one transaction.

use seata_protocol::{BranchId, Xid};
use sqlx::Error;

use crate::{
    dialect::{Argument, Call, Dialect, execute, rows},
    phase_two::undo::UndoError,
    undo::{self, BranchUndoLog, Context},
};

/// An undo row of a transaction that is not finished.
const NORMAL: i64 = 0;
/// A mark against a phase one that comes after its rollback.
pub(crate) const FINISHED: i64 = 1;

/// The undo rows of one transaction, inside the open local transaction.
pub(crate) struct Logs<'a, DB: Dialect> {
    pub(crate) connection: &'a mut DB::Connection,
    /// How statements of our own name the undo table.
    pub(crate) table: &'a str,
    pub(crate) xid: &'a Xid,
}

/// What the undo table holds for a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) branch: BranchId,
    /// Not an undo log, but a mark.
    pub(crate) is_mark: bool,
}

impl<DB: Dialect> Logs<'_, DB> {
    /// The branches, the newest first. With [`Dialect::FOR_UPDATE`] as the lock their rows stay as they are until the
    /// local transaction ends.
    pub(crate) async fn list(&mut self, lock: &str) -> Result<Vec<Listed>, Error> {
        // Java cuts a long log into several rows; those after the first have no branch of their own.
        let sql = format!(
            "SELECT branch_id, log_status FROM {} WHERE xid = {} AND context NOT LIKE 'branchId=%' \
             ORDER BY {}{lock}",
            self.table,
            DB::placeholder(1),
            DB::NEWEST_UNDO_FIRST,
        );
        let xid = Argument::Text(self.xid.to_string());
        let found = rows::<DB>(self.connection, Call::new(sql, &[xid])?).await?;
        let listed = found.iter().map(|row| {
            let branch = BranchId(integer::<DB>(row, 0)?);
            Ok(Listed { branch, is_mark: integer::<DB>(row, 1)? == FINISHED })
        });
        listed.collect()
    }

    /// The branch's undo log, and what its row says of how it is kept.
    pub(crate) async fn read(
        &mut self,
        branch: BranchId,
        limit: usize,
    ) -> Result<(Context, BranchUndoLog), UndoError> {
        let (context, content) = self.row(branch).await?;
        let continuations = self.continuations(&context).await?;
        let log = undo::read_aside(context.clone(), content, continuations, limit).await?;
        Ok((context, log))
    }

    /// Deletes the branch's row, and those that hold the rest of its log.
    pub(crate) async fn delete(&mut self, branch: BranchId, context: &Context) -> Result<(), Error> {
        self.delete_row(branch).await?;
        self.delete_continuations(context).await
    }

    /// Deletes the rows that hold the rest of a log.
    pub(crate) async fn delete_continuations(&mut self, context: &Context) -> Result<(), Error> {
        for &row in context.continuations() {
            self.delete_row(BranchId(row)).await?;
        }
        Ok(())
    }

    async fn delete_row(&mut self, branch: BranchId) -> Result<(), Error> {
        let delete = format!("DELETE FROM {} WHERE {}", self.table, of_branch::<DB>());
        execute(self.connection, self.of_branch(delete, branch)?).await.map(drop)
    }

    /// The branch's own row.
    async fn row(&mut self, branch: BranchId) -> Result<(Context, Vec<u8>), UndoError> {
        let query = format!(
            "SELECT context, rollback_info, log_status FROM {} WHERE {}",
            self.table,
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
            let query = format!("SELECT rollback_info FROM {} WHERE {}", self.table, of_branch::<DB>());
            let query = self.of_branch(query, BranchId(id))?;
            if let Some(row) = rows::<DB>(self.connection, query).await?.first() {
                found.push((id, content::<DB>(row, 0)?));
            }
        }
        Ok(found)
    }

    fn of_branch(&self, sql: String, branch: BranchId) -> Result<Call<DB>, Error> {
        Call::new(sql, &[Argument::Text(self.xid.to_string()), Argument::Integer(branch.0)])
    }
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
