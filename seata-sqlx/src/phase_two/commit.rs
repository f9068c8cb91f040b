//! Commit: the undo rows go, those of many branches with one DELETE.

use seata_context::BranchTask;
use sqlx::Error;

use crate::{
    dialect::{Argument, Call, Dialect, execute},
    phase_two::AtResource,
};

/// How many undo rows go in one DELETE: well below every database's limit on parameters and on the depth of an
/// expression.
const BATCH: usize = 200;

impl<DB: Dialect> AtResource<DB> {
    /// Returns when the rows are gone. Each DELETE stands for itself: a branch without a row is done.
    pub(super) async fn delete_undo_rows(&self, tasks: &[BranchTask]) -> Result<(), Error> {
        let mut lease = self.lease().await?;
        for batch in tasks.chunks(BATCH) {
            execute::<DB>(lease.connection(), self.delete(batch)?).await?;
        }
        lease.give_back();
        Ok(())
    }

    fn delete(&self, tasks: &[BranchTask]) -> Result<Call<DB>, Error> {
        let mut values = Vec::with_capacity(2 * tasks.len());
        let mut conditions = Vec::with_capacity(tasks.len());
        for task in tasks {
            values.extend([Argument::Text(task.xid.to_string()), Argument::Integer(task.branch.0)]);
            let (xid, branch) = (DB::placeholder(values.len() - 1), DB::placeholder(values.len()));
            conditions.push(format!("xid = {xid} AND branch_id = {branch}"));
        }
        let table = DB::quote(&self.options.undo_table);
        let mut call = Call::new(format!("DELETE FROM {table} WHERE {}", conditions.join(" OR ")), &values)?;
        // Batches differ in length: their statements are not worth a place in the cache.
        call.persistent = tasks.len() == 1;
        Ok(call)
    }
}
