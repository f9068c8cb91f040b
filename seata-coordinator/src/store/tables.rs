//! The records of a store that keeps them in memory, whatever makes them durable.

use std::{collections::BTreeMap, ops::Bound, sync::Arc};

use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, RowLock, TransactionId};

use crate::{
    record::{Branch, Ended, HeldLock, LockSet, Millis, Snapshot, Transaction, put_row_text, row_lock},
    session::{self, Decision},
    store::{
        Conflict, ConflictReason, Counts, Decided, Found, LockCursor, LockFilter, LockPage, Noted,
        Registered, Reported,
        history::History,
        locks::{Held, LockTable},
    },
};

/// Transactions, branches and row locks in memory. Its methods are the steps of a
/// [`Store`](crate::store::Store); each tells a [`Changes`] what it changed, so that a store can make
/// just that durable.
#[derive(Debug)]
pub struct Tables {
    /// Ordered, so that a listing can be paged, and growing without a pause.
    transactions: BTreeMap<TransactionId, Entry>,
    by_status: ByStatus,
    locks: LockTable,
    history: History,
}

/// What a step changed, in terms of records to be kept and removed.
pub trait Changes {
    /// Keep this new transaction, in [`GlobalStatus::Begin`].
    fn add_transaction(&mut self, transaction: &Arc<Transaction>);
    /// Keep this transaction as it now stands.
    fn put_transaction(
        &mut self,
        transaction: &Arc<Transaction>,
        status: GlobalStatus,
        parked: Option<&Arc<str>>,
    );
    /// Keep this new branch.
    fn add_branch(&mut self, branch: &Arc<Branch>);
    /// Keep this branch as it now stands.
    fn put_branch(&mut self, branch: &Arc<Branch>);
    /// The transaction is gone; its branches are reported one by one.
    fn remove_transaction(&mut self, id: TransactionId);
    /// The branch is gone.
    fn remove_branch(&mut self, id: BranchId);
    /// The transaction is about to be removed; its outcome is worth keeping for a while.
    fn ended(&mut self, _id: TransactionId, _ended: &Ended) {}
}

/// For a store that makes nothing durable.
#[derive(Clone, Copy, Debug)]
pub struct NoChanges;

#[derive(Debug)]
struct Entry {
    transaction: Arc<Transaction>,
    status: GlobalStatus,
    /// Its commit has freed all its rows: they are others' by now, whatever its branches name.
    is_free: bool,
    parked: Option<Arc<str>>,
    /// In the order of registration, which is that of their numbers.
    branches: Vec<Arc<Branch>>,
}

/// At how many rows, branches and transactions one listing looks before others may go on.
const ROWS_AT_A_TIME: usize = 1_024;
/// How many branches are listed before others may go on.
const BRANCHES_AT_A_TIME: usize = 4_096;

/// How many transactions stand where. There are few statuses, and fewer in use.
#[derive(Debug, Default)]
struct ByStatus(Vec<(GlobalStatus, usize)>);

impl Tables {
    /// Empty tables that remember the outcomes of the last `history` transactions.
    pub fn new(history: usize) -> Self {
        Self {
            transactions: BTreeMap::new(),
            by_status: ByStatus::default(),
            locks: LockTable::default(),
            history: History::new(history),
        }
    }

    /// Puts a transaction back that was read from disk; its branches may come in any order. Only an
    /// undecided transaction, or one that is not undone yet, holds its locks again.
    pub fn restore(&mut self, snapshot: Snapshot) {
        let (id, entry) = self.restored(snapshot);
        self.transactions.insert(id, entry);
    }

    /// Puts many transactions back at once, in the order of their numbers: [`restore`](Self::restore) for a start
    /// that has a million of them.
    pub fn restore_all(&mut self, snapshots: Vec<Snapshot>) {
        let holders = snapshots.iter().filter(|snapshot| !snapshot.status.is_commit());
        let locks = holders.flat_map(|snapshot| &snapshot.branches).map(|branch| branch.locks.len()).sum();
        self.reserve_locks(locks);
        let entry = |snapshot: Snapshot| self.restored(snapshot);
        let mut all: BTreeMap<_, _> = snapshots.into_iter().map(entry).collect();
        self.transactions.append(&mut all);
    }

    /// Makes room for so many row locks more, which then come without a pause.
    pub fn reserve_locks(&mut self, locks: usize) {
        self.locks.reserve(locks);
    }

    /// Puts an outcome back that was read from disk; the oldest comes first.
    pub fn restore_ended(&mut self, ended: Ended) {
        self.history.push(ended);
    }

    /// How many transactions are not finished.
    pub fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Whether no transaction is left.
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// How many row locks are held.
    pub fn lock_count(&self) -> usize {
        self.locks.len()
    }

    /// See [`Store::counts`](crate::store::Store::counts).
    pub fn counts(&self) -> Counts {
        let by_status = self.by_status.0.iter().map(|(status, count)| (*status, *count)).collect();
        Counts { open: self.len(), by_status, locks: self.lock_count() }
    }

    /// See [`Store::begin`](crate::store::Store::begin).
    pub fn begin(&mut self, transaction: Arc<Transaction>, changes: &mut impl Changes) {
        let id = transaction.id;
        if self.transactions.contains_key(&id) || self.history.status(id).is_some() {
            return;
        }
        changes.add_transaction(&transaction);
        let status = GlobalStatus::Begin;
        let entry = Entry { transaction, status, is_free: false, parked: None, branches: Vec::new() };
        self.by_status.add(status);
        self.transactions.insert(id, entry);
    }

    /// See [`Store::register`](crate::store::Store::register).
    pub fn register(
        &mut self,
        mut branch: Branch,
        max_branches: usize,
        changes: &mut impl Changes,
    ) -> Registered {
        let Some(entry) = self.transactions.get_mut(&branch.transaction) else {
            return match self.history.status(branch.transaction) {
                Some(status) => Registered::NotActive(status),
                None => Registered::Unknown,
            };
        };
        if entry.position(branch.id).is_some() {
            return Registered::Done(Arc::clone(&entry.transaction));
        }
        // The compensation of a Saga registers branches too; nobody asks them one by one. A full one is undone too.
        let joins_late = entry.status != GlobalStatus::Begin;
        if joins_late && !(branch.branch_type == BranchType::Saga && entry.is_saga()) {
            return Registered::NotActive(entry.status);
        }
        if entry.branches.len() >= max_branches && !joins_late {
            return Registered::Full;
        }
        if entry.is_free {
            branch.locks = LockSet::default();
        }
        let branch = Arc::new(branch);
        if let Err(Held { row, by }) = self.locks.acquire(&branch) {
            return Registered::Conflict(self.conflict_with(row_lock(&branch.resource, row), by));
        }
        changes.add_branch(&branch);
        let at = entry.branches.partition_point(|earlier| earlier.id < branch.id);
        if entry.branches.is_empty() {
            // Most have one or two, and a million may be open.
            entry.branches.reserve_exact(2);
        }
        entry.branches.insert(at, branch);
        Registered::Done(Arc::clone(&entry.transaction))
    }

    /// See [`Store::report`](crate::store::Store::report).
    pub fn report(
        &mut self,
        transaction: TransactionId,
        branch: BranchId,
        status: BranchStatus,
        application_data: Option<Arc<str>>,
        changes: &mut impl Changes,
    ) -> Reported {
        let Some(entry) = self.transactions.get_mut(&transaction) else { return Reported::Unknown };
        let Some(index) = entry.position(branch) else { return Reported::UnknownBranch };
        if status == BranchStatus::PhaseOneFailed && !entry.is_free {
            self.locks.release(&entry.branches[index], &entry.branches);
        }
        let record = Arc::make_mut(&mut entry.branches[index]);
        record.status = status;
        if status == BranchStatus::PhaseOneFailed {
            record.locks = LockSet::default();
        }
        if let Some(data) = application_data.filter(|data| !data.trim().is_empty()) {
            record.application_data = data;
        }
        changes.put_branch(&entry.branches[index]);
        Reported::Done
    }

    /// See [`Store::decide`](crate::store::Store::decide).
    pub fn decide(
        &mut self,
        transaction: TransactionId,
        decision: Decision,
        note: Option<Arc<str>>,
        now: Millis,
        changes: &mut impl Changes,
    ) -> Decided {
        let Some(entry) = self.transactions.get_mut(&transaction) else {
            return match self.history.find(transaction) {
                Some(ended) => Decided::Ended(ended),
                None => Decided::Unknown,
            };
        };
        let branches = entry.branches.iter().map(|branch| &**branch);
        let Some(status) = session::decide(&entry.transaction, entry.status, branches, decision, now) else {
            return Decided::Unchanged(entry.status);
        };
        entry.turn(status, &mut self.by_status, &mut self.locks, changes);
        entry.parked = note.filter(|_| !status.is_timeout());
        if status.is_complete() {
            let mut snapshot = entry.snapshot();
            snapshot.branches.clear();
            self.finish(transaction, status, snapshot.parked.clone(), now, changes);
            return Decided::Now(snapshot);
        }
        changes.put_transaction(&entry.transaction, status, entry.parked.as_ref());
        Decided::Now(entry.snapshot())
    }

    /// See [`Store::drop_branch`](crate::store::Store::drop_branch).
    pub fn drop_branch(&mut self, transaction: TransactionId, branch: BranchId, changes: &mut impl Changes) {
        let Some(entry) = self.transactions.get_mut(&transaction) else { return };
        let Some(index) = entry.position(branch) else { return };
        let done = entry.branches.remove(index);
        if !entry.is_free {
            self.locks.release(&done, &entry.branches);
        }
        changes.remove_branch(branch);
    }

    /// See [`Store::set_status`](crate::store::Store::set_status).
    pub fn set_status(
        &mut self,
        transaction: TransactionId,
        status: GlobalStatus,
        changes: &mut impl Changes,
    ) {
        let note = self.transactions.get(&transaction).filter(|entry| !session::is_parked(entry.status));
        let note = note.and_then(|entry| entry.parked.clone());
        self.show(transaction, status, note, changes);
    }

    /// See [`Store::park`](crate::store::Store::park).
    pub fn park(
        &mut self,
        transaction: TransactionId,
        status: GlobalStatus,
        reason: Arc<str>,
        changes: &mut impl Changes,
    ) {
        self.show(transaction, status, Some(reason), changes);
    }

    /// See [`Store::finish`](crate::store::Store::finish).
    pub fn finish(
        &mut self,
        transaction: TransactionId,
        status: GlobalStatus,
        reason: Option<Arc<str>>,
        now: Millis,
        changes: &mut impl Changes,
    ) {
        let Some(mut entry) = self.transactions.remove(&transaction) else { return };
        self.by_status.take(entry.status);
        entry.free(&mut self.locks);
        for branch in &entry.branches {
            changes.remove_branch(branch.id);
        }
        let ended = Ended { transaction: entry.transaction, status, at: now, reason };
        if self.history.remembers() {
            changes.ended(transaction, &ended);
        }
        changes.remove_transaction(transaction);
        self.history.push(ended);
    }

    /// See [`Store::release`](crate::store::Store::release).
    pub fn release(&mut self, transaction: TransactionId, changes: &mut impl Changes) -> usize {
        let Some(entry) = self.transactions.get_mut(&transaction) else { return 0 };
        let held = self.locks.len();
        entry.free(&mut self.locks);
        entry.forget_rows(changes);
        held - self.locks.len()
    }

    /// See [`Store::note`](crate::store::Store::note).
    pub fn note(
        &mut self,
        transaction: TransactionId,
        report: GlobalStatus,
        now: Millis,
        changes: &mut impl Changes,
    ) -> Noted {
        let Some(entry) = self.transactions.get_mut(&transaction) else {
            return match self.history.find(transaction) {
                Some(ended) => Noted::Ended(ended),
                None => Noted::Unknown,
            };
        };
        let becomes = if entry.is_saga() { session::reported(entry.status, report) } else { None };
        let Some(status) = becomes else { return Noted::Unchanged(entry.status) };
        if status.is_complete() || !(status.is_commit() || status.is_rollback()) {
            let mut snapshot = Snapshot { status, ..entry.snapshot() };
            snapshot.branches.clear();
            let reason = format!("reported by its starter: {status}");
            self.finish(transaction, status, Some(reason.into()), now, changes);
            return Noted::Now(snapshot);
        }
        entry.turn(status, &mut self.by_status, &mut self.locks, changes);
        entry.parked = session::is_parked(status).then(|| "reported by its starter".into());
        changes.put_transaction(&entry.transaction, status, entry.parked.as_ref());
        Noted::Now(entry.snapshot())
    }

    /// See [`Store::find`](crate::store::Store::find).
    pub fn find(&self, transaction: TransactionId) -> Found {
        if let Some(entry) = self.transactions.get(&transaction) {
            return Found::Open(entry.snapshot());
        }
        match self.history.find(transaction) {
            Some(ended) => Found::Ended(ended),
            None => Found::Unknown,
        }
    }

    /// See [`Store::status`](crate::store::Store::status).
    pub fn status(&self, transaction: TransactionId) -> Option<GlobalStatus> {
        let open = self.transactions.get(&transaction).map(|entry| entry.status);
        open.or_else(|| self.history.status(transaction))
    }

    /// See [`Store::conflict`](crate::store::Store::conflict).
    pub fn conflict(&self, except: Option<TransactionId>, locks: &[RowLock]) -> Option<Conflict> {
        let mut row = String::new();
        locks.iter().find_map(|lock| {
            row.clear();
            put_row_text(&mut row, &lock.table, lock.key.as_str());
            let holder = self.locks.holder(&lock.resource, row.as_bytes(), except)?;
            Some(self.conflict_with(lock.clone(), holder))
        })
    }

    /// See [`Store::undecided`](crate::store::Store::undecided).
    pub fn undecided(&self, mut transactions: Vec<TransactionId>) -> Vec<TransactionId> {
        let is_undecided = |entry: &Entry| entry.status == GlobalStatus::Begin;
        transactions.retain(|id| self.transactions.get(id).is_some_and(is_undecided));
        transactions
    }

    /// See [`Store::page`](crate::store::Store::page).
    pub fn page(&self, after: Option<TransactionId>, limit: usize) -> Vec<Snapshot> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut branches = 0;
        let mut page = Vec::new();
        for entry in self.transactions.range((start, Bound::Unbounded)).map(|(_, entry)| entry).take(limit) {
            page.push(entry.snapshot());
            branches += entry.branches.len();
            if branches >= BRANCHES_AT_A_TIME {
                break;
            }
        }
        page
    }

    /// See [`Store::locks`](crate::store::Store::locks).
    pub fn locks(&self, limit: usize) -> Vec<HeldLock> {
        let held = |(branch, row): (&Branch, &str)| self.held(branch, row);
        self.locks.iter().take(limit).map(held).collect()
    }

    /// See [`Store::locks_after`](crate::store::Store::locks_after).
    pub fn locks_after(&self, after: Option<LockCursor>, filter: &LockFilter, limit: usize) -> LockPage {
        let mut page = LockPage::default();
        let first = filter.transaction.into_iter().chain(after.map(|after| after.transaction)).max();
        let start = first.map_or(Bound::Unbounded, Bound::Included);
        let end = filter.transaction.map_or(Bound::Unbounded, Bound::Included);
        if first.is_some_and(|first| filter.transaction.is_some_and(|wanted| wanted < first)) {
            return page;
        }
        let mut looked = 0;
        for (id, entry) in self.transactions.range((start, end)) {
            looked += 1;
            let here = after.filter(|after| after.transaction == *id);
            let seen = |after: LockCursor| entry.branches.partition_point(|branch| branch.id < after.branch);
            let mut cursor =
                LockCursor { transaction: *id, branch: BranchId(i64::MIN), row: LockCursor::END };
            let holding = if entry.is_free { &[] } else { &entry.branches[here.map_or(0, seen)..] };
            for branch in holding {
                looked += 1;
                cursor = LockCursor { branch: branch.id, ..cursor };
                if filter.resource.as_ref().is_none_or(|wanted| *wanted == branch.resource) {
                    let last = here.filter(|after| after.branch == branch.id).map(|after| after.row);
                    let rows = branch.locks.rows_from(last.unwrap_or(0));
                    for (row, text) in rows.skip(usize::from(last.is_some())) {
                        looked += 1;
                        if filter.allows(text) && self.locks.is_held_through(branch, row, text) {
                            page.locks.push(self.held(branch, text));
                        }
                        if page.locks.len() >= limit.max(1) || looked >= ROWS_AT_A_TIME {
                            page.next = Some(LockCursor { row, ..cursor });
                            return page;
                        }
                    }
                }
                if looked >= ROWS_AT_A_TIME {
                    break;
                }
            }
            if looked >= ROWS_AT_A_TIME {
                page.next = Some(cursor);
                return page;
            }
        }
        page
    }

    /// See [`Store::ended`](crate::store::Store::ended).
    pub fn ended(&self, after: Option<TransactionId>, limit: usize) -> Vec<Ended> {
        self.history.list(after, limit)
    }

    fn restored(&mut self, snapshot: Snapshot) -> (TransactionId, Entry) {
        let Snapshot { transaction, status, parked, mut branches } = snapshot;
        branches.sort_unstable_by_key(|branch| branch.id);
        if !status.is_commit() {
            branches.iter().for_each(|branch| self.locks.acquire_free(branch));
        }
        self.by_status.add(status);
        (transaction.id, Entry { transaction, status, is_free: status.is_commit(), parked, branches })
    }

    fn held(&self, branch: &Branch, row: &str) -> HeldLock {
        let holder = &self.transactions[&branch.transaction].transaction;
        HeldLock {
            lock: row_lock(&branch.resource, row),
            holder: holder.xid.clone(),
            branch: branch.id,
            since: branch.registered_at,
        }
    }

    fn show(
        &mut self,
        transaction: TransactionId,
        status: GlobalStatus,
        parked: Option<Arc<str>>,
        changes: &mut impl Changes,
    ) {
        let Some(entry) = self.transactions.get_mut(&transaction) else { return };
        entry.turn(status, &mut self.by_status, &mut self.locks, changes);
        entry.parked = parked;
        changes.put_transaction(&entry.transaction, status, entry.parked.as_ref());
    }

    fn conflict_with(&self, lock: RowLock, holder: TransactionId) -> Conflict {
        let holder = &self.transactions[&holder];
        Conflict {
            lock,
            holder: holder.transaction.xid.clone(),
            holder_is_rolling_back: holder.status.is_rollback(),
            reason: ConflictReason::Held,
        }
    }
}

impl Entry {
    /// Where it stands from now on; its rows follow. Also after a restart a commit holds none.
    fn turn(
        &mut self,
        status: GlobalStatus,
        by_status: &mut ByStatus,
        locks: &mut LockTable,
        changes: &mut impl Changes,
    ) {
        by_status.change(self.status, status);
        self.status = status;
        if status.is_complete() {
            return;
        }
        if status.is_commit() {
            self.free(locks);
        } else if self.is_free {
            // It has turned, and would hold after a restart what its commit gave away.
            self.forget_rows(changes);
        }
    }

    /// Frees its rows, once.
    fn free(&mut self, locks: &mut LockTable) {
        if !std::mem::replace(&mut self.is_free, true) {
            locks.release_all(&self.branches);
        }
    }

    /// It names no row any more, and may hold new ones.
    fn forget_rows(&mut self, changes: &mut impl Changes) {
        for branch in self.branches.iter_mut().filter(|branch| !branch.locks.is_empty()) {
            Arc::make_mut(branch).locks = LockSet::default();
            changes.put_branch(branch);
        }
        self.is_free = self.status.is_commit();
    }

    fn position(&self, branch: BranchId) -> Option<usize> {
        self.branches.binary_search_by_key(&branch, |branch| branch.id).ok()
    }

    fn is_saga(&self) -> bool {
        session::is_saga(&self.transaction, self.branches.first().map(|branch| branch.branch_type))
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            transaction: Arc::clone(&self.transaction),
            status: self.status,
            parked: self.parked.clone(),
            branches: self.branches.clone(),
        }
    }
}

impl ByStatus {
    fn add(&mut self, status: GlobalStatus) {
        match self.0.iter_mut().find(|(known, _)| *known == status) {
            Some((_, count)) => *count += 1,
            None => self.0.push((status, 1)),
        }
    }

    fn take(&mut self, status: GlobalStatus) {
        if let Some(index) = self.0.iter().position(|(known, _)| *known == status) {
            self.0[index].1 -= 1;
            if self.0[index].1 == 0 {
                self.0.swap_remove(index);
            }
        }
    }

    fn change(&mut self, from: GlobalStatus, to: GlobalStatus) {
        self.take(from);
        self.add(to);
    }
}

impl Changes for NoChanges {
    fn add_transaction(&mut self, _: &Arc<Transaction>) {}
    fn put_transaction(&mut self, _: &Arc<Transaction>, _: GlobalStatus, _: Option<&Arc<str>>) {}
    fn add_branch(&mut self, _: &Arc<Branch>) {}
    fn put_branch(&mut self, _: &Arc<Branch>) {}
    fn remove_transaction(&mut self, _: TransactionId) {}
    fn remove_branch(&mut self, _: BranchId) {}
}
