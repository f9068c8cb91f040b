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
                self.delete_apart(&mut lease, batch).await?;
            } else {
                self.delete_with_continuations(&mut lease, batch).await?;
            }
        }
        lease.give_back();
        Ok(())
    }

    /// The rows that hold the rest of long logs are looked for and deleted by their keys: a DELETE that looks for them
    /// would lock the rows of others on its way.
    async fn delete_apart(&self, lease: &mut Lease<'_, DB>, tasks: &[BranchTask]) -> Result<(), Error> {
        let own: Vec<_> = tasks.iter().map(|task| (task.xid.to_string(), task.branch.0)).collect();
        let mut values = Vec::with_capacity(4 * tasks.len());
        let delete = self.deletion(&mut values, &own);
        let continuations = match self.block {
            Some(block) => {
                let query = self.continuations(&mut values, tasks);
                rows::<DB>(lease.connection(), Call::new(block(&[&delete, &query]), &values)?).await?
            }
            None => {
                execute(lease.connection(), Call::<DB>::new(delete, &std::mem::take(&mut values))?).await?;
                let query = self.continuations(&mut values, tasks);
                rows::<DB>(lease.connection(), Call::new(query, &values)?).await?
            }
        };
        let mut rest = Vec::with_capacity(continuations.len());
        for row in continuations {
            let Argument::Text(xid) = DB::argument_at(&row, 0)? else { continue };
            rest.push((xid, integer::<DB>(&row, 1)?));
        }
        for rest in rest.chunks(BATCH) {
            let mut values = Vec::with_capacity(2 * rest.len());
            let delete = self.deletion(&mut values, rest);
            execute(lease.connection(), Call::<DB>::new(delete, &values)?).await?;
        }
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

    /// The DELETE for these rows, not more than [`BATCH`].
    fn deletion(&self, values: &mut Vec<Argument>, rows: &[(String, i64)]) -> String {
        let conditions = in_steps(rows, BATCH).map(|(xid, branch)| {
            values.extend([Argument::Text(xid.clone()), Argument::Integer(*branch)]);
            let (xid, branch) = (DB::placeholder(values.len() - 1), DB::placeholder(values.len()));
            format!("xid = {xid} AND branch_id = {branch}")
        });
        let conditions: Vec<String> = conditions.collect();
        format!("DELETE FROM {} WHERE {}", self.table(), conditions.join(" OR "))
    }

    /// The query for the rows that hold the rest of these branches' long logs.
    fn continuations(&self, values: &mut Vec<Argument>, tasks: &[BranchTask]) -> String {
        let conditions = in_steps(tasks, BATCH).map(|task| {
            let context = Context::of_continuation(task.branch);
            values.extend([Argument::Text(task.xid.to_string()), Argument::Text(context)]);
            let (xid, context) = (DB::placeholder(values.len() - 1), DB::placeholder(values.len()));
            format!("xid = {xid} AND context = {context}")
        });
        let conditions: Vec<String> = conditions.collect();
        format!("SELECT xid, branch_id FROM {} WHERE {}", self.table(), conditions.join(" OR "))
    }

    fn table(&self) -> &str {
        &self.options.undo_reference
    }
}
