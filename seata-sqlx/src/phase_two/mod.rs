//! Phase two: what the coordinator decided, on a connection of its own for each data source.

pub(crate) mod changes;
mod commit;
mod dirty;
pub(crate) mod logs;
mod rollback;
mod steps;
mod undo;
mod undone;

pub(crate) use dirty::Resolver;
pub use dirty::{DirtyChoice, DirtyRow};
pub(crate) use undo::UndoError;

use std::time::Instant;

use futures_core::future::BoxFuture;
use seata_context::{BranchAnswer, BranchTask, Resource};
use seata_protocol::{BranchStatus, BranchType, ResourceId};
use sqlx::{ConnectOptions, Connection, Error, Pool};
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    data_source::Options,
    dialect::{Argument, Call, ConnectOptionsOf, Dialect, execute, rows},
    phase_two::{
        logs::{FINISHED, integer},
        rollback::Rollback,
        undone::Undone,
    },
    structure::StructureCache,
};

/// The side of a data source that its coordinator calls.
pub(crate) struct AtResource<DB: Dialect> {
    id: ResourceId,
    options: Options,
    connect: std::sync::Arc<ConnectOptionsOf<DB>>,
    /// As in [`Capabilities`](crate::dialect::Capabilities).
    block: Option<fn(&[&str]) -> String>,
    slot: Mutex<Slot<DB>>,
    structures: StructureCache<DB>,
}

/// What phase two works with: one request at a time.
struct Slot<DB: Dialect> {
    /// Never one of the user's pool: a pool of one, held by a transaction that waits for this phase two, would starve it.
    connection: Option<DB::Connection>,
    undone: Undone,
}

impl<DB: Dialect> AtResource<DB> {
    pub(crate) fn new(
        pool: &Pool<DB>,
        id: ResourceId,
        options: Options,
        block: Option<fn(&[&str]) -> String>,
    ) -> Self {
        Self {
            id,
            options,
            connect: pool.connect_options(),
            block,
            slot: Mutex::new(Slot { connection: None, undone: Undone::default() }),
            structures: StructureCache::default(),
        }
    }

    /// Deletes undo rows that were created so many days ago or earlier, and returns how many.
    pub(crate) async fn delete_undo_logs_before(&self, days: u32) -> Result<u64, Error> {
        self.delete_aged(days, "TRUE").await
    }

    /// Of those only the marks. An undo log may be asked for yet, however old it is; how many there are is told.
    async fn delete_marks_before(&self, days: u32) -> Result<u64, Error> {
        let deleted = self.delete_aged(days, &format!("log_status = {FINISHED}")).await?;
        let mut lease = self.lease().await?;
        let sql = format!(
            "SELECT count(*) FROM {} WHERE log_created <= {} AND context NOT LIKE 'branchId=%'",
            self.options.undo_reference,
            DB::DAYS_AGO
        );
        let left = rows::<DB>(lease.connection(), Call::new(sql, &[Argument::Integer(days.into())])?).await?;
        lease.give_back();
        let left = left.first().map_or(Ok(0), |row| integer::<DB>(row, 0))?;
        if left > 0 {
            tracing::warn!(
                undo_logs = left, days, resource = %self.id,
                "undo logs of transactions that nobody has finished are kept"
            );
        }
        Ok(deleted)
    }

    async fn delete_aged(&self, days: u32, condition: &str) -> Result<u64, Error> {
        /// Rows per statement, so that the file is free between two.
        const PORTION: u64 = 1000;
        let table = &self.options.undo_reference;
        let sql = format!(
            // Not straight from the table itself, which MySQL refuses.
            "DELETE FROM {table} WHERE (xid, branch_id) IN (SELECT xid, branch_id FROM \
             (SELECT xid, branch_id FROM {table} WHERE log_created <= {} AND {condition} LIMIT {PORTION}) AS aged)",
            DB::DAYS_AGO
        );
        let mut deleted = 0;
        loop {
            let mut lease = self.lease().await?;
            let call = Call::<DB>::new(&sql, &[Argument::Integer(days.into())])?;
            let portion = execute(lease.connection(), call).await?;
            lease.give_back();
            deleted += portion;
            if portion < PORTION {
                return Ok(deleted);
            }
        }
    }

    pub(crate) async fn close(&self) {
        if let Some(connection) = self.slot.lock().await.connection.take()
            && let Err(error) = connection.close().await
        {
            tracing::debug!(%error, resource = %self.id, "closing the connection of phase two failed");
        }
    }

    /// The connection, for one piece of work. Unless it is given back it is closed.
    async fn lease(&self) -> Result<Lease<'_, DB>, Error> {
        let slot = self.slot.lock().await;
        self.connect(slot).await
    }

    async fn connect<'r>(&self, mut slot: MutexGuard<'r, Slot<DB>>) -> Result<Lease<'r, DB>, Error> {
        let connection = match slot.connection.take() {
            Some(connection) => connection,
            None => {
                let mut connection = self.connect.connect().await?;
                for statement in DB::prepare_phase_two() {
                    execute::<DB>(&mut connection, Call::text(*statement)).await?;
                }
                connection
            }
        };
        Ok(Lease { slot, connection: Some(connection) })
    }

    async fn undo(&self, task: &BranchTask) -> Result<(), UndoError> {
        let slot = self.slot.lock().await;
        // Also by whoever was here a moment ago for another branch.
        if slot.undone.contains(&task.xid, task.branch) {
            return Ok(());
        }
        let mut lease = self.connect(slot).await?;
        let mut seen = None;
        // What is loaded from here on is not to blame.
        let began = Instant::now();
        loop {
            let rollback = Rollback::<DB> {
                connection: lease.connection(),
                options: &self.options,
                structures: &self.structures,
                task,
                found: Vec::new(),
            };
            let (found, done) = rollback.run().await;
            let Err(error) = done else {
                for branch in found {
                    lease.slot.undone.insert(&task.xid, branch);
                }
                lease.give_back();
                return Ok(());
            };
            // An answer that is followed by a confirmed ROLLBACK leaves nothing open.
            if execute::<DB>(lease.connection(), Call::text("ROLLBACK")).await.is_err() {
                return Err(error);
            }
            // What is known of a table from before may be the cause.
            if self.structures.forget_before(began) {
                continue;
            }
            // A branch that was still under way when the undo rows were listed may have committed since, with
            // a row that had to be waited for.
            if !DB::ROW_LOCKS || !error.may_be_overtaken() || seen.as_ref() == Some(&found) {
                lease.give_back();
                return Err(error);
            }
            seen = Some(found);
        }
    }
}

/// A dropped lease closes its connection: nobody knows what was going on there.
struct Lease<'r, DB: Dialect> {
    slot: MutexGuard<'r, Slot<DB>>,
    connection: Option<DB::Connection>,
}

impl<DB: Dialect> Lease<'_, DB> {
    fn connection(&mut self) -> &mut DB::Connection {
        self.connection.as_mut().expect("it is taken out only when the lease ends")
    }

    fn give_back(mut self) {
        self.slot.connection = self.connection.take();
    }
}

impl<DB: Dialect> Resource for AtResource<DB> {
    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn branch_type(&self) -> BranchType {
        BranchType::At
    }

    fn commit(&self, task: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(async move {
            match self.delete_undo_rows(&[task]).await {
                Ok(()) => BranchAnswer::committed(),
                Err(error) => not_committed(&error),
            }
        })
    }

    fn commit_many(&self, tasks: Vec<BranchTask>) -> BoxFuture<'_, Vec<BranchAnswer>> {
        Box::pin(async move {
            let answer = match self.delete_undo_rows(&tasks).await {
                Ok(()) => BranchAnswer::committed(),
                Err(error) => not_committed(&error),
            };
            vec![answer; tasks.len()]
        })
    }

    fn rollback(&self, task: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(async move {
            match self.undo(&task).await {
                Ok(()) => BranchAnswer::rollbacked(),
                Err(error) => {
                    let status = if error.is_final() {
                        BranchStatus::PhaseTwoRollbackFailedUnretryable
                    } else {
                        BranchStatus::PhaseTwoRollbackFailedRetryable
                    };
                    tracing::warn!(xid = %task.xid, branch = %task.branch, %error, "a branch is not rolled back");
                    BranchAnswer::failed(status, error.to_string())
                }
            }
        })
    }

    fn delete_undo_logs(&self, save_days: u16) -> BoxFuture<'_, ()> {
        /// What Java's resource managers keep when they are told no number. Zero days would sweep away the marks
        /// of a moment ago.
        const DEFAULT_DAYS: u32 = 7;
        let days = if save_days == 0 { DEFAULT_DAYS } else { save_days.into() };
        Box::pin(async move {
            match self.delete_marks_before(days).await {
                Ok(rows) => tracing::debug!(rows, days, resource = %self.id, "old marks are deleted"),
                Err(error) => {
                    tracing::warn!(%error, days, resource = %self.id, "old marks could not be deleted")
                }
            }
        })
    }
}

fn not_committed(error: &Error) -> BranchAnswer {
    BranchAnswer::failed(BranchStatus::PhaseTwoCommitFailedRetryable, error.to_string())
}
