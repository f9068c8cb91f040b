//! A store that is chosen at run time.

use std::{ops::Range, sync::Arc};

use seata_protocol::{BranchId, BranchStatus, GlobalStatus, RowLock, TransactionId};

use crate::{
    journal::JournalStore,
    record::{Branch, Ended, HeldLock, Millis, Snapshot, Transaction},
    session::Decision,
    store::{
        Conflict, Counts, Decided, Found, LockCursor, LockFilter, LockPage, MemoryStore, Noted, Registered,
        Reported, Store, StoreError,
    },
};

/// A store that is chosen when a coordinator is opened.
#[derive(Debug)]
pub enum AnyStore {
    /// It forgets everything when its process ends.
    Memory(MemoryStore),
    /// What it acknowledged survives.
    Journal(Box<JournalStore>),
}

impl AnyStore {
    /// Makes everything durable and frees the data directory, blocking for that one flush.
    pub fn end(&self) {
        if let Self::Journal(store) = self {
            store.end();
        }
    }
}

/// Writes each method as a call of the same method of the store inside.
macro_rules! delegate {
    ($( async fn $name:ident(&self $(, $argument:ident: $type:ty)* ) -> $output:ty; )+) => {$(
        async fn $name(&self $(, $argument: $type)*) -> Result<$output, StoreError> {
            match self {
                Self::Memory(store) => store.$name($($argument),*).await,
                Self::Journal(store) => store.$name($($argument),*).await,
            }
        }
    )+};
}

impl Store for AnyStore {
    fn identity(&self) -> &str {
        match self {
            Self::Memory(store) => store.identity(),
            Self::Journal(store) => store.identity(),
        }
    }

    fn incarnation(&self) -> u64 {
        match self {
            Self::Memory(store) => store.incarnation(),
            Self::Journal(store) => store.incarnation(),
        }
    }

    fn counts(&self) -> Counts {
        match self {
            Self::Memory(store) => store.counts(),
            Self::Journal(store) => store.counts(),
        }
    }

    delegate! {
        async fn reserve_ids(&self, count: u32) -> Range<i64>;
        async fn begin(&self, transaction: Arc<Transaction>) -> ();
        async fn register(&self, branch: Branch) -> Registered;
        async fn report(&self, transaction: TransactionId, branch: BranchId, status: BranchStatus, application_data: Option<Arc<str>>) -> Reported;
        async fn decide(&self, transaction: TransactionId, decision: Decision, note: Option<Arc<str>>, now: Millis) -> Decided;
        async fn drop_branch(&self, transaction: TransactionId, branch: BranchId) -> ();
        async fn set_status(&self, transaction: TransactionId, status: GlobalStatus) -> ();
        async fn park(&self, transaction: TransactionId, status: GlobalStatus, reason: Arc<str>) -> ();
        async fn finish(&self, transaction: TransactionId, status: GlobalStatus, reason: Option<Arc<str>>, now: Millis) -> ();
        async fn release(&self, transaction: TransactionId) -> usize;
        async fn note(&self, transaction: TransactionId, report: GlobalStatus, now: Millis) -> Noted;
        async fn locks_after(&self, after: Option<LockCursor>, filter: LockFilter, limit: usize) -> LockPage;
        async fn ended(&self, after: Option<TransactionId>, limit: usize) -> Vec<Ended>;
        async fn find(&self, transaction: TransactionId) -> Found;
        async fn conflict(&self, except: Option<TransactionId>, locks: &[RowLock]) -> Option<Conflict>;
        async fn undecided(&self, transactions: Vec<TransactionId>) -> Vec<TransactionId>;
        async fn page(&self, after: Option<TransactionId>, limit: usize) -> Vec<Snapshot>;
        async fn locks(&self, limit: usize) -> Vec<HeldLock>;
        async fn close(&self) -> ();
    }
}
