//! Commit: the undo row goes. Calls that come together share one DELETE.

use std::sync::{Mutex, PoisonError};

use seata_context::BranchTask;
use tokio::sync::oneshot;

use crate::{
    dialect::{Call, Dialect, execute},
    phase_two::AtResource,
    undo::Value,
};

/// How many commits may wait for their DELETE; more are told to come again.
const QUEUE: usize = 10_000;

/// How many undo rows go in one DELETE.
const BATCH: usize = 500;

/// Commits that wait for whoever has the connection next.
#[derive(Default)]
pub(crate) struct CommitQueue(Mutex<Vec<Waiting>>);

struct Waiting {
    xid: String,
    branch: i64,
    done: oneshot::Sender<Result<(), String>>,
}

impl CommitQueue {
    fn push(&self, waiting: Waiting) -> Result<(), String> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.len() >= QUEUE {
            return Err(format!("{QUEUE} commits of this data source are waiting already"));
        }
        queue.push(waiting);
        Ok(())
    }

    fn take_batch(&self) -> Vec<Waiting> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever stopped waiting will come again.
        queue.retain(|waiting| !waiting.done.is_closed());
        let rest = queue.len().saturating_sub(BATCH);
        queue.split_off(rest)
    }
}

impl<DB: Dialect> AtResource<DB> {
    /// Returns when the row is gone.
    pub(super) async fn delete_undo_row(&self, task: &BranchTask) -> Result<(), String> {
        loop {
            let (done, mut answer) = oneshot::channel();
            self.commits.push(Waiting { xid: task.xid.to_string(), branch: task.branch.0, done })?;
            // Whoever gets the connection works for all who wait; the others find their answer there.
            let lease = self.lease().await.map_err(|error| error.to_string())?;
            if let Ok(answer) = answer.try_recv() {
                lease.give_back();
                return answer;
            }
            let mut lease = Some(lease);
            while let Some(mut current) = lease.take() {
                let batch = self.commits.take_batch();
                if batch.is_empty() {
                    current.give_back();
                    break;
                }
                let deleted = execute::<DB>(current.connection(), self.delete(&batch)?).await;
                let is_healthy = deleted.is_ok();
                let result = deleted.map(drop).map_err(|error| error.to_string());
                for waiting in batch {
                    // A receiver that is gone asks again.
                    waiting.done.send(result.clone()).ok();
                }
                if is_healthy {
                    current.give_back();
                }
                if let Ok(answer) = answer.try_recv() {
                    return answer;
                }
                lease = Some(self.lease().await.map_err(|error| error.to_string())?);
            }
            // The one who had taken this entry was dropped before it was done: again.
        }
    }

    fn delete(&self, batch: &[Waiting]) -> Result<Call<DB>, String> {
        let mut values = Vec::with_capacity(batch.len() * 2);
        for waiting in batch {
            values.push(Value::Text(waiting.xid.clone()));
            values.push(Value::Long(waiting.branch));
        }
        let rows: Vec<String> =
            (0..batch.len()).map(|row| format!("(?{}, ?{})", 2 * row + 1, 2 * row + 2)).collect();
        let sql = format!(
            "DELETE FROM {} WHERE (xid, branch_id) IN (VALUES {})",
            DB::quote(&self.options.undo_table),
            rows.join(", ")
        );
        let mut call =
            Call::new(sql, &values.iter().collect::<Vec<_>>()).map_err(|error| error.to_string())?;
        call.persistent = batch.len() == 1;
        Ok(call)
    }
}
