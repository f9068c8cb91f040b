//! A store that forgets everything when its process ends.

use std::{
    future::{Future, ready},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

use seata_protocol::{BranchId, BranchStatus, GlobalStatus, RowLock, TransactionId};

use crate::{
    record::{Branch, Ended, HeldLock, Millis, Snapshot, Transaction},
    session::Decision,
    store::{
        Conflict, Counts, Decided, Found, LockCursor, LockFilter, LockPage, NoChanges, Noted, Registered,
        Reported, Store, StoreError, Tables,
    },
};

/// A [`Store`] in memory: for tests, and where losing every open transaction with the process is
/// acceptable.
#[derive(Debug)]
pub struct MemoryStore {
    identity: String,
    incarnation: u64,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    tables: Tables,
    next_id: i64,
    incarnation: u64,
}

impl MemoryStore {
    /// An empty store under this name, which becomes the host in XIDs. It remembers the outcomes of the
    /// last `history` transactions.
    pub fn new(identity: impl Into<String>, history: usize) -> Self {
        let state = State { tables: Tables::new(history), next_id: 1, incarnation: 1 };
        Self { identity: identity.into(), incarnation: 1, state: Arc::new(Mutex::new(state)) }
    }

    /// The same with its numbers beginning at `first_id` instead of 1: a point that no earlier store behind the
    /// same address has reached. To be called before any number was given out.
    pub fn with_first_id(self, first_id: i64) -> Self {
        self.lock().next_id = first_id;
        self
    }

    /// The same data in a further life, as after a restart of a process that kept its memory.
    pub fn reopen(&self) -> Self {
        let mut state = self.lock();
        state.incarnation += 1;
        let incarnation = state.incarnation;
        drop(state);
        Self { identity: self.identity.clone(), incarnation, state: Arc::clone(&self.state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no step panics")
    }
}

impl Store for MemoryStore {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn incarnation(&self) -> u64 {
        self.incarnation
    }

    fn reserve_ids(&self, count: u32) -> impl Future<Output = Result<Range<i64>, StoreError>> + Send {
        let mut state = self.lock();
        let start = state.next_id;
        state.next_id += i64::from(count);
        ready(Ok(start..state.next_id))
    }

    fn begin(&self, transaction: Arc<Transaction>) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.lock().tables.begin(transaction, &mut NoChanges);
        ready(Ok(()))
    }

    fn register(
        &self,
        branch: Branch,
        max_branches: usize,
    ) -> impl Future<Output = Result<Registered, StoreError>> + Send {
        ready(Ok(self.lock().tables.register(branch, max_branches, &mut NoChanges)))
    }

    fn report(
        &self,
        transaction: TransactionId,
        branch: BranchId,
        status: BranchStatus,
        application_data: Option<Arc<str>>,
    ) -> impl Future<Output = Result<Reported, StoreError>> + Send {
        ready(Ok(self.lock().tables.report(transaction, branch, status, application_data, &mut NoChanges)))
    }

    fn decide(
        &self,
        transaction: TransactionId,
        decision: Decision,
        note: Option<Arc<str>>,
        now: Millis,
    ) -> impl Future<Output = Result<Decided, StoreError>> + Send {
        ready(Ok(self.lock().tables.decide(transaction, decision, note, now, &mut NoChanges)))
    }

    fn drop_branch(
        &self,
        transaction: TransactionId,
        branch: BranchId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.lock().tables.drop_branch(transaction, branch, &mut NoChanges);
        ready(Ok(()))
    }

    fn set_status(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.lock().tables.set_status(transaction, status, &mut NoChanges);
        ready(Ok(()))
    }

    fn park(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
        reason: Arc<str>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.lock().tables.park(transaction, status, reason, &mut NoChanges);
        ready(Ok(()))
    }

    fn finish(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
        reason: Option<Arc<str>>,
        now: Millis,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.lock().tables.finish(transaction, status, reason, now, &mut NoChanges);
        ready(Ok(()))
    }

    fn release(&self, transaction: TransactionId) -> impl Future<Output = Result<usize, StoreError>> + Send {
        ready(Ok(self.lock().tables.release(transaction, &mut NoChanges)))
    }

    fn note(
        &self,
        transaction: TransactionId,
        report: GlobalStatus,
        now: Millis,
    ) -> impl Future<Output = Result<Noted, StoreError>> + Send {
        ready(Ok(self.lock().tables.note(transaction, report, now, &mut NoChanges)))
    }

    fn find(&self, transaction: TransactionId) -> impl Future<Output = Result<Found, StoreError>> + Send {
        ready(Ok(self.lock().tables.find(transaction)))
    }

    fn status(
        &self,
        transaction: TransactionId,
    ) -> impl Future<Output = Result<Option<GlobalStatus>, StoreError>> + Send {
        ready(Ok(self.lock().tables.status(transaction)))
    }

    fn conflict(
        &self,
        except: Option<TransactionId>,
        locks: &[RowLock],
    ) -> impl Future<Output = Result<Option<Conflict>, StoreError>> + Send {
        ready(Ok(self.lock().tables.conflict(except, locks)))
    }

    fn undecided(
        &self,
        transactions: Vec<TransactionId>,
    ) -> impl Future<Output = Result<Vec<TransactionId>, StoreError>> + Send {
        ready(Ok(self.lock().tables.undecided(transactions)))
    }

    fn page(
        &self,
        after: Option<TransactionId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Snapshot>, StoreError>> + Send {
        ready(Ok(self.lock().tables.page(after, limit)))
    }

    fn locks(&self, limit: usize) -> impl Future<Output = Result<Vec<HeldLock>, StoreError>> + Send {
        ready(Ok(self.lock().tables.locks(limit)))
    }

    fn locks_after(
        &self,
        after: Option<LockCursor>,
        filter: LockFilter,
        limit: usize,
    ) -> impl Future<Output = Result<LockPage, StoreError>> + Send {
        ready(Ok(self.lock().tables.locks_after(after, &filter, limit)))
    }

    fn ended(
        &self,
        after: Option<TransactionId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Ended>, StoreError>> + Send {
        ready(Ok(self.lock().tables.ended(after, limit)))
    }

    fn counts(&self) -> Counts {
        self.lock().tables.counts()
    }

    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::suite;

    struct InMemory;

    impl suite::Subject for InMemory {
        type Store = MemoryStore;

        async fn create(&self) -> MemoryStore {
            MemoryStore::new("tc-test", 100)
        }

        async fn reopen(&self, store: MemoryStore) -> MemoryStore {
            store.reopen()
        }
    }

    #[tokio::test]
    async fn the_memory_store_passes_the_suite() {
        suite::run(&InMemory).await;
    }
}
