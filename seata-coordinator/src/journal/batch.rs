//! What has changed since the last flush, or since the tables on disk were last brought up to date.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
    sync::Arc,
};

use foldhash::fast::RandomState;
use seata_protocol::{BranchId, GlobalStatus, TransactionId};

use crate::{
    record::{Branch, Ended, Transaction},
    store::Changes,
};

/// Records to be written together. Several changes of one record become one, and what came and went
/// between two flushes is never written.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) transactions: Changed<TransactionId, TransactionRecord>,
    pub(super) branches: Changed<BranchId, Arc<Branch>>,
    pub(super) next_id: Option<i64>,
    /// Outcomes, the oldest first.
    pub(super) ended: Vec<(TransactionId, Ended)>,
    /// Something changed that an answer may tell of.
    pub(super) is_settling: bool,
    /// About how much memory it takes, in bytes, for the time until it is written.
    pub(super) bytes: usize,
}

/// What a change takes beside its texts.
const CHANGE: usize = 128;
/// A batch keeps room for so many changes from one flush to the next.
const KEPT_ROOM: usize = 8192;

/// By number: the numbers are our own, nobody chooses them to collide.
pub(super) type Changed<K, T> = HashMap<K, Change<T>, RandomState>;

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

impl<T> Change<T> {
    /// What is to be there, unless it goes.
    pub(super) fn record(&self) -> Option<&T> {
        match self {
            Self::Add(record) | Self::Put(record) => Some(record),
            Self::Remove => None,
        }
    }
}

impl Batch {
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many records it changes.
    pub(super) fn len(&self) -> usize {
        self.transactions.len() + self.branches.len() + usize::from(self.next_id.is_some())
    }

    /// Takes over what changed in `later`, which is empty then and keeps its room.
    pub(super) fn merge(&mut self, later: &mut Self) {
        for (id, change) in later.transactions.drain() {
            self.change_transaction(id, change);
        }
        for (id, change) in later.branches.drain() {
            self.change_branch(id, change);
        }
        self.next_id = later.next_id.take().or(self.next_id);
        self.ended.append(&mut later.ended);
        later.transactions.shrink_to(KEPT_ROOM);
        later.branches.shrink_to(KEPT_ROOM);
        later.is_settling = false;
        later.bytes = 0;
    }

    pub(super) fn change_transaction(&mut self, id: TransactionId, change: Change<TransactionRecord>) {
        apply(&mut self.transactions, id, change);
    }

    pub(super) fn change_branch(&mut self, id: BranchId, change: Change<Arc<Branch>>) {
        apply(&mut self.branches, id, change);
    }
}

impl Changes for Batch {
    fn add_transaction(&mut self, transaction: &Arc<Transaction>) {
        self.bytes += CHANGE + transaction.name.len();
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
        self.bytes += CHANGE + parked.map_or(0, |reason| reason.len());
        let record =
            TransactionRecord { transaction: Arc::clone(transaction), status, parked: parked.cloned() };
        put(&mut self.transactions, transaction.id, record);
        self.is_settling = true;
    }

    fn add_branch(&mut self, branch: &Arc<Branch>) {
        self.bytes += size(branch);
        self.branches.insert(branch.id, Change::Add(Arc::clone(branch)));
        self.is_settling = true;
    }

    fn put_branch(&mut self, branch: &Arc<Branch>) {
        self.bytes += size(branch);
        put(&mut self.branches, branch.id, Arc::clone(branch));
        self.is_settling = true;
    }

    fn remove_transaction(&mut self, id: TransactionId) {
        self.bytes += CHANGE;
        self.is_settling |= remove(&mut self.transactions, id);
    }

    fn remove_branch(&mut self, id: BranchId) {
        self.bytes += CHANGE;
        self.is_settling |= remove(&mut self.branches, id);
    }

    /// What came and went between two flushes leaves no outcome either: nothing of it was ever durable.
    fn ended(&mut self, id: TransactionId, ended: &Ended) {
        if !matches!(self.transactions.get(&id), Some(Change::Add(_))) {
            self.ended.push((id, ended.clone()));
        }
    }
}

fn size(branch: &Branch) -> usize {
    CHANGE + branch.locks.as_bytes().len() + branch.application_data.len()
}

fn apply<K: Eq + Hash, T>(changes: &mut Changed<K, T>, id: K, change: Change<T>) {
    match change {
        Change::Add(_) => {
            changes.insert(id, change);
        }
        Change::Put(record) => put(changes, id, record),
        Change::Remove => drop(remove(changes, id)),
    }
}

fn put<K: Eq + Hash, T>(changes: &mut Changed<K, T>, id: K, record: T) {
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
fn remove<K: Eq + Hash, T>(changes: &mut Changed<K, T>, id: K) -> bool {
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
