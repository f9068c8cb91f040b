//! Commit: the undo rows go, those of many branches with one DELETE.

use seata_context::BranchTask;
use sqlx::Error;

use crate::{
    dialect::{Argument, Call, Dialect, execute, rows},
    image::in_steps,
    phase_two::{AtResource, Lease, logs::integer},
    undo::Context,
};

/// How many undo rows go in one DELETE: well below every database's limit on parameters and on the depth of an
/// expression.
const BATCH: usize = 200;

impl<DB: Dialect> AtResource<DB> {
    /// Returns when the rows are gone. Each DELETE stands for itself: a branch without a row is done.
    pub(super) async fn delete_undo_rows(&self, tasks: &[BranchTask]) -> Result<(), Error> {
        let mut lease = self.lease().await?;
        for batch in tasks.chunks(BATCH) {
            if DB::DELETE_LOCKS_WHAT_IT_READS {
                let own = batch.iter().map(|task| (task.xid.to_string(), task.branch.0));
                self.delete(&mut lease, own.collect()).await?;
                let rest = self.continuations(&mut lease, batch).await?;
                self.delete(&mut lease, rest).await?;
            } else {
                self.delete_with_continuations(&mut lease, batch).await?;
            }
        }
        lease.give_back();
        Ok(())
    }

    async fn delete_with_continuations(
        &self,
        lease: &mut Lease<'_, DB>,
        tasks: &[BranchTask],
    ) -> Result<(), Error> {
        let mut values = Vec::with_capacity(3 * tasks.len());
        let mut conditions = Vec::with_capacity(tasks.len());
        for task in in_steps(tasks, BATCH) {
            let first = values.len() + 1;
            let context = Context::of_continuation(task.branch);
            values.extend([
                Argument::Text(task.xid.to_string()),
                Argument::Integer(task.branch.0),
                Argument::Text(context),
            ]);
            let [xid, branch, context] = [first, first + 1, first + 2].map(DB::placeholder);
            conditions.push(format!("xid = {xid} AND (branch_id = {branch} OR context = {context})"));
        }
        let sql = format!("DELETE FROM {} WHERE {}", self.table(), conditions.join(" OR "));
        execute(lease.connection(), Call::<DB>::new(sql, &values)?).await.map(drop)
    }

    async fn delete(&self, lease: &mut Lease<'_, DB>, rows: Vec<(String, i64)>) -> Result<(), Error> {
        for rows in rows.chunks(BATCH) {
            let mut values = Vec::with_capacity(2 * rows.len());
            let mut conditions = Vec::with_capacity(rows.len());
            for (xid, branch) in in_steps(rows, BATCH) {
                values.extend([Argument::Text(xid.clone()), Argument::Integer(*branch)]);
                let (xid, branch) = (DB::placeholder(values.len() - 1), DB::placeholder(values.len()));
                conditions.push(format!("xid = {xid} AND branch_id = {branch}"));
            }
            let sql = format!("DELETE FROM {} WHERE {}", self.table(), conditions.join(" OR "));
            execute(lease.connection(), Call::<DB>::new(sql, &values)?).await?;
        }
        Ok(())
    }

    /// The rows that hold the rest of these branches' long logs. They are looked for first and deleted by their keys:
    /// a DELETE that looks for them would lock the rows of others on its way.
    async fn continuations(
        &self,
        lease: &mut Lease<'_, DB>,
        tasks: &[BranchTask],
    ) -> Result<Vec<(String, i64)>, Error> {
        let mut values = Vec::with_capacity(2 * tasks.len());
        let mut conditions = Vec::with_capacity(tasks.len());
        for task in in_steps(tasks, BATCH) {
            let context = Context::of_continuation(task.branch);
            values.extend([Argument::Text(task.xid.to_string()), Argument::Text(context)]);
            let (xid, context) = (DB::placeholder(values.len() - 1), DB::placeholder(values.len()));
            conditions.push(format!("xid = {xid} AND context = {context}"));
        }
        let sql = format!("SELECT xid, branch_id FROM {} WHERE {}", self.table(), conditions.join(" OR "));
        let mut found = Vec::new();
        for row in rows::<DB>(lease.connection(), Call::new(sql, &values)?).await? {
            let Argument::Text(xid) = DB::argument_at(&row, 0)? else { continue };
            found.push((xid, integer::<DB>(&row, 1)?));
        }
        Ok(found)
    }

    fn table(&self) -> &str {
        &self.options.undo_reference
    }
}
