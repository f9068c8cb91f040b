//! What has changed since the last flush.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use seata_protocol::{BranchId, GlobalStatus, TransactionId};

use crate::{
    record::{Branch, Transaction},
    store::Changes,
};

/// Records to be written together. Several changes of one record become one, and what came and went
/// between two flushes is never written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) transactions: HashMap<TransactionId, Change<TransactionRecord>>,
    pub(super) branches: HashMap<BranchId, Change<Arc<Branch>>>,
    pub(super) next_id: Option<i64>,
    /// Something changed that an answer may tell of.
    pub(super) is_settling: bool,
}

#[derive(Clone, Debug)]
pub(super) struct TransactionRecord {
    pub(super) transaction: Arc<Transaction>,
    pub(super) status: GlobalStatus,
    pub(super) parked: Option<Arc<str>>,
}

#[derive(Debug)]
pub(super) enum Change<T> {
    /// Write it; the file does not have it yet.
    Add(T),
    /// Write it over what the file has.
    Put(T),
    /// Remove it from the file.
    Remove,
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records it changes.
    pub(super) fn len(&self) -> usize {
        self.transactions.len() + self.branches.len() + usize::from(self.next_id.is_some())
    }

    pub(super) fn reserve(&mut self, next_id: i64) {
        self.next_id = Some(next_id);
        self.is_settling = true;
    }
}

impl Changes for Batch {
    fn add_transaction(&mut self, transaction: &Arc<Transaction>) {
        let record = TransactionRecord {
            transaction: Arc::clone(transaction),
            status: GlobalStatus::Begin,
            parked: None,
        };
        self.transactions.insert(transaction.id, Change::Add(record));
    }

    fn put_transaction(
        &mut self,
        transaction: &Arc<Transaction>,
        status: GlobalStatus,
        parked: Option<&Arc<str>>,
    ) {
        let record =
            TransactionRecord { transaction: Arc::clone(transaction), status, parked: parked.cloned() };
        put(&mut self.transactions, transaction.id, record);
        self.is_settling = true;
    }

    fn add_branch(&mut self, branch: &Arc<Branch>) {
        self.branches.insert(branch.id, Change::Add(Arc::clone(branch)));
        self.is_settling = true;
    }

    fn put_branch(&mut self, branch: &Arc<Branch>) {
        put(&mut self.branches, branch.id, Arc::clone(branch));
        self.is_settling = true;
    }

    fn remove_transaction(&mut self, id: TransactionId) {
        self.is_settling |= remove(&mut self.transactions, id);
    }

    fn remove_branch(&mut self, id: BranchId) {
        self.is_settling |= remove(&mut self.branches, id);
    }
}

fn put<K: Eq + Hash, T>(changes: &mut HashMap<K, Change<T>>, id: K, record: T) {
    match changes.entry(id) {
        Entry::Occupied(mut entry) => match entry.get_mut() {
            Change::Add(old) | Change::Put(old) => *old = record,
            change @ Change::Remove => *change = Change::Put(record),
        },
        Entry::Vacant(entry) => {
            entry.insert(Change::Put(record));
        }
    }
}

/// Whether the file has to be changed for it.
fn remove<K: Eq + Hash, T>(changes: &mut HashMap<K, Change<T>>, id: K) -> bool {
    match changes.entry(id) {
        Entry::Occupied(entry) if matches!(entry.get(), Change::Add(_)) => {
            entry.remove();
            false
        }
        Entry::Occupied(mut entry) => {
            entry.insert(Change::Remove);
            true
        }
        Entry::Vacant(entry) => {
            entry.insert(Change::Remove);
            true
        }
    }
}
