//! The thread that makes batches durable.

use std::{fs::File, sync::Arc};

use redb::Database;

use crate::{
    journal::{
        batch::{Batch, Change},
        rows::{self, BRANCHES, META, TRANSACTIONS},
        shared::{EndGuard, Shared},
    },
    store::StoreError,
};

/// Writes batch after batch until the store is closed or a write fails. `lock` is what keeps the data
/// directory from being opened twice; it is let go last.
pub(super) fn run(database: Database, shared: Arc<Shared>, lock: Option<File>) {
    let mut guard = EndGuard(Arc::clone(&shared), None);
    let mut failure = None;
    while let Some(batch) = shared.next_batch() {
        // What came and went needs no flush.
        if !batch.is_empty()
            && let Err(error) = write(&database, batch)
        {
            tracing::error!(%error, "the journal cannot be written; the coordinator stops taking work");
            failure =
                Some(StoreError::Failed { reason: format!("its journal cannot be written: {error}").into() });
            break;
        }
        shared.flushed();
    }
    drop(database);
    drop(lock);
    guard.1 = Some(failure.unwrap_or(StoreError::Closed));
}

/// One redb transaction, durable when it returns.
fn write(database: &Database, batch: Batch) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    if !batch.transactions.is_empty() {
        let mut table = transaction.open_table(TRANSACTIONS)?;
        let mut changes: Vec<_> = batch.transactions.into_iter().collect();
        changes.sort_unstable_by_key(|(id, _)| *id);
        for (id, change) in changes {
            match change {
                Change::Add(record) | Change::Put(record) => {
                    table.insert(id.0, rows::of_transaction(&record))?;
                }
                Change::Remove => drop(table.remove(id.0)?),
            }
        }
    }
    if !batch.branches.is_empty() {
        let mut table = transaction.open_table(BRANCHES)?;
        let mut changes: Vec<_> = batch.branches.into_iter().collect();
        changes.sort_unstable_by_key(|(id, _)| *id);
        for (id, change) in changes {
            match change {
                Change::Add(branch) | Change::Put(branch) => {
                    table.insert(id.0, rows::of_branch(&branch))?;
                }
                Change::Remove => drop(table.remove(id.0)?),
            }
        }
    }
    if let Some(next_id) = batch.next_id {
        transaction.open_table(META)?.insert(rows::NEXT_ID, next_id.to_string().as_str())?;
    }
    transaction.commit()?;
    Ok(())
}
