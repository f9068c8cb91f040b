//! A store in one file of a data directory.
//!
//! The tables are kept in memory; a thread of the journal's own writes what changed, as one redb
//! transaction with one flush for everybody who waits. The file holds what is open, not what was done,
//! so that it stays proportional to it.

use std::{
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
    thread::JoinHandle,
};

use seata_protocol::{BranchId, BranchStatus, GlobalStatus, RowLock, TransactionId};

use crate::{
    record::{Branch, HeldLock, Millis, Snapshot, Transaction},
    session::Decision,
    store::{Conflict, Counts, Decided, Found, Registered, Reported, Store, StoreError},
};

pub use open::{OpenError, Recovery};
pub use redb::StorageBackend;

use shared::{Shared, State, Wait};

mod backend;
mod batch;
mod open;
mod rows;
mod shared;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

/// A [`Store`] whose acknowledged steps survive the death of the process and of the machine.
#[derive(Debug)]
pub struct JournalStore {
    identity: String,
    incarnation: u64,
    recovery: Recovery,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl JournalStore {
    /// Opens the journal in the directory `path`, which is created if need be. It remembers the outcomes
    /// of the last `history` transactions.
    ///
    /// This reads every open transaction and blocks meanwhile.
    ///
    /// # Errors
    /// [`OpenError`] names the cause. The directory's content is changed by none of them.
    pub fn open(path: impl AsRef<Path>, history: usize) -> Result<Self, OpenError> {
        open::directory(path.as_ref(), history)
    }

    /// Opens the journal that `backend` holds, for tests with a disk that loses, tears or fills up. Only
    /// one journal at a time may use it, which nobody checks.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_on(backend: impl StorageBackend, history: usize) -> Result<Self, OpenError> {
        open::backend(Arc::new(backend), Path::new("(a backend)"), None, history)
    }

    /// In which state the journal was found.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Waits for the last flush, so that the directory is free for the next one.
    pub(crate) fn end(&self) {
        drop(self.shared.close());
        if let Some(writer) = self.writer.lock().ok().and_then(|mut writer| writer.take()) {
            let _ = writer.join();
        }
    }

    /// One step: `act` under the lock, then the wait that its answer needs.
    async fn step<T>(&self, wait: Wait, act: impl FnOnce(&mut State) -> T) -> Result<T, StoreError> {
        let (answer, durable) = self.shared.step(wait, act)?;
        if let Some(durable) = durable {
            durable.await.unwrap_or(Err(StoreError::Closed))?;
        }
        Ok(answer)
    }
}

impl Store for JournalStore {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn incarnation(&self) -> u64 {
        self.incarnation
    }

    async fn reserve_ids(&self, count: u32) -> Result<Range<i64>, StoreError> {
        self.step(Wait::Settled, |state| {
            let start = state.next_id;
            state.next_id += i64::from(count);
            state.batch.reserve(state.next_id);
            start..state.next_id
        })
        .await
    }

    async fn begin(&self, transaction: Arc<Transaction>) -> Result<(), StoreError> {
        self.step(Wait::Room, |state| state.tables.begin(transaction, &mut state.batch)).await
    }

    async fn register(&self, branch: Branch) -> Result<Registered, StoreError> {
        self.step(Wait::Settled, |state| state.tables.register(branch, &mut state.batch)).await
    }

    async fn report(
        &self,
        transaction: TransactionId,
        branch: BranchId,
        status: BranchStatus,
        application_data: Option<Arc<str>>,
    ) -> Result<Reported, StoreError> {
        self.step(Wait::Room, |state| {
            state.tables.report(transaction, branch, status, application_data, &mut state.batch)
        })
        .await
    }

    async fn decide(
        &self,
        transaction: TransactionId,
        decision: Decision,
        now: Millis,
    ) -> Result<Decided, StoreError> {
        self.step(Wait::Settled, |state| state.tables.decide(transaction, decision, now, &mut state.batch))
            .await
    }

    async fn drop_branch(&self, transaction: TransactionId, branch: BranchId) -> Result<(), StoreError> {
        self.step(Wait::Room, |state| state.tables.drop_branch(transaction, branch, &mut state.batch)).await
    }

    async fn set_status(&self, transaction: TransactionId, status: GlobalStatus) -> Result<(), StoreError> {
        self.step(Wait::Room, |state| state.tables.set_status(transaction, status, &mut state.batch)).await
    }

    async fn park(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
        reason: Arc<str>,
    ) -> Result<(), StoreError> {
        self.step(Wait::Settled, |state| state.tables.park(transaction, status, reason, &mut state.batch))
            .await
    }

    async fn finish(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
        now: Millis,
    ) -> Result<(), StoreError> {
        self.step(Wait::Room, |state| state.tables.finish(transaction, status, now, &mut state.batch)).await
    }

    async fn find(&self, transaction: TransactionId) -> Result<Found, StoreError> {
        self.step(Wait::Settled, |state| state.tables.find(transaction)).await
    }

    async fn conflict(
        &self,
        except: Option<TransactionId>,
        locks: &[RowLock],
    ) -> Result<Option<Conflict>, StoreError> {
        self.step(Wait::Settled, |state| state.tables.conflict(except, locks)).await
    }

    async fn undecided(&self, transactions: Vec<TransactionId>) -> Result<Vec<TransactionId>, StoreError> {
        self.step(Wait::Nothing, |state| state.tables.undecided(transactions)).await
    }

    async fn page(&self, after: Option<TransactionId>, limit: usize) -> Result<Vec<Snapshot>, StoreError> {
        self.step(Wait::Settled, |state| state.tables.page(after, limit)).await
    }

    async fn locks(&self, limit: usize) -> Result<Vec<HeldLock>, StoreError> {
        self.step(Wait::Settled, |state| state.tables.locks(limit)).await
    }

    fn counts(&self) -> Counts {
        self.shared.counts()
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.shared.close().await.unwrap_or(Ok(()))
    }
}

impl Drop for JournalStore {
    fn drop(&mut self) {
        self.end();
    }
}
