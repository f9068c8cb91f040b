//! Commit: the undo rows go, those of many branches with one DELETE.

use seata_context::BranchTask;
use sqlx::Error;

use crate::{
    dialect::{Call, Dialect, execute},
    phase_two::AtResource,
    undo::Value,
};

/// How many undo rows go in one DELETE: two parameters each, well below what any database takes.
const BATCH: usize = 500;

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
        let values: Vec<Value> = tasks
            .iter()
            .flat_map(|task| [Value::Text(task.xid.to_string()), Value::Long(task.branch.0)])
            .collect();
        let rows: Vec<String> =
            (0..tasks.len()).map(|row| format!("(?{}, ?{})", 2 * row + 1, 2 * row + 2)).collect();
        let sql = format!(
            "DELETE FROM {} WHERE (xid, branch_id) IN (VALUES {})",
            DB::quote(&self.options.undo_table),
            rows.join(", ")
        );
        let mut call = Call::new(sql, &values.iter().collect::<Vec<_>>())?;
        // Batches differ in length: their statements are not worth a place in the cache.
        call.persistent = tasks.len() == 1;
        Ok(call)
    }
}
