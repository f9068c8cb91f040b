//! A store that is chosen at run time.

use std::{
    future::Future,
    ops::Range,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

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

/// A step of either store.
enum Step<M, J> {
    Memory(M),
    Journal(J),
}

impl<T, M: Future<Output = T> + Unpin, J: Future<Output = T> + Unpin> Future for Step<M, J> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match self.get_mut() {
            Self::Memory(step) => Pin::new(step).poll(context),
            Self::Journal(step) => Pin::new(step).poll(context),
        }
    }
}

/// Writes each method as a call of the same method of the store inside.
macro_rules! delegate {
    ($( fn $name:ident(&self $(, $argument:ident: $type:ty)* ) -> $output:ty; )+) => {$(
        fn $name(&self $(, $argument: $type)*) -> impl Future<Output = Result<$output, StoreError>> + Send {
            match self {
                Self::Memory(store) => Step::Memory(store.$name($($argument),*)),
                Self::Journal(store) => Step::Journal(store.$name($($argument),*)),
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
        fn reserve_ids(&self, count: u32) -> Range<i64>;
        fn begin(&self, transaction: Arc<Transaction>) -> ();
        fn register(&self, branch: Branch, max_branches: usize) -> Registered;
        fn report(&self, transaction: TransactionId, branch: BranchId, status: BranchStatus, application_data: Option<Arc<str>>) -> Reported;
        fn decide(&self, transaction: TransactionId, decision: Decision, note: Option<Arc<str>>, now: Millis) -> Decided;
        fn drop_branch(&self, transaction: TransactionId, branch: BranchId) -> ();
        fn set_status(&self, transaction: TransactionId, status: GlobalStatus) -> ();
        fn park(&self, transaction: TransactionId, status: GlobalStatus, reason: Arc<str>) -> ();
        fn finish(&self, transaction: TransactionId, status: GlobalStatus, reason: Option<Arc<str>>, now: Millis) -> ();
        fn release(&self, transaction: TransactionId) -> usize;
        fn note(&self, transaction: TransactionId, report: GlobalStatus, now: Millis) -> Noted;
        fn locks_after(&self, after: Option<LockCursor>, filter: LockFilter, limit: usize) -> LockPage;
        fn ended(&self, after: Option<TransactionId>, limit: usize) -> Vec<Ended>;
        fn find(&self, transaction: TransactionId) -> Found;
        fn status(&self, transaction: TransactionId) -> Option<GlobalStatus>;
        fn conflict(&self, except: Option<TransactionId>, locks: &[RowLock]) -> Option<Conflict>;
        fn undecided(&self, transactions: Vec<TransactionId>) -> Vec<TransactionId>;
        fn page(&self, after: Option<TransactionId>, limit: usize) -> Vec<Snapshot>;
        fn locks(&self, limit: usize) -> Vec<HeldLock>;
        fn close(&self) -> ();
    }
}
