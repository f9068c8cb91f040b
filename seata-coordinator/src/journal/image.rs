//! What the files hold, put together again.

use std::{collections::HashSet, sync::Arc};

use foldhash::fast::RandomState;
use redb::{ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError, TableError};
use seata_protocol::TransactionId;

use crate::{
    journal::{
        batch::{Batch, Change, TransactionRecord},
        checkpoint::TablesOnDisk,
        rows::{self, BRANCHES, ENDED, Step, TRANSACTIONS},
    },
    record::{Branch, Ended, Snapshot},
    store::Tables,
};

/// What the tables on disk hold, and what the log tells that they do not.
#[derive(Default)]
pub(super) struct Image {
    /// As they stand in the tables on disk, in the order of their numbers.
    transactions: Vec<TransactionRecord>,
    branches: Vec<Arc<Branch>>,
    /// All of them, the oldest first.
    ended: Vec<Ended>,
    /// What the tables on disk lack.
    changes: Batch,
    /// How many bytes the tables hold.
    stored: u64,
    names: Names,
}

/// Few applications and resources have most of the records: their names are kept once.
#[derive(Default)]
pub(super) struct Names(HashSet<Arc<str>, RandomState>);

/// What a row takes beside its content.
const ROW: u64 = 24;

impl Image {
    /// Reads the tables; a new journal has none. `tell` hears how many percent are read, each number once.
    pub(super) fn load(tables: &mut TablesOnDisk, tell: impl Fn(u8)) -> Result<Self, redb::Error> {
        let mut image = Self::default();
        let transaction = tables.database().begin_read()?;
        let opened = transaction.open_table(TRANSACTIONS);
        if matches!(opened, Err(TableError::TableDoesNotExist(_))) {
            return Ok(image);
        }
        let (transactions, branches, ended) =
            (opened?, transaction.open_table(BRANCHES)?, transaction.open_table(ENDED)?);
        let mut progress = Progress::of(transactions.len()? + branches.len()? + ended.len()?, tell);
        for row in transactions.iter()? {
            progress.step();
            let (id, row) = row?;
            let record = rows::to_transaction(image.count(row.value()), &mut image.names);
            image.transactions.push(record.ok_or_else(|| wrong("transaction", id.value()))?);
        }
        for row in branches.iter()? {
            progress.step();
            let (id, row) = row?;
            let branch = rows::to_branch(image.count(row.value()), &mut image.names);
            image.branches.push(Arc::new(branch.ok_or_else(|| wrong("branch", id.value()))?));
        }
        for row in ended.iter()? {
            progress.step();
            let (id, row) = row?;
            let (count, row) = row.value();
            let ended = rows::to_ended(image.count(row), &mut image.names);
            image.ended.extend(ended.ok_or_else(|| wrong("history", id.value() as i64))?);
            tables.has_ended(id.value(), count);
        }
        Ok(image)
    }

    /// About how many bytes of the engine's file are in use.
    pub(super) fn stored(&self) -> u64 {
        self.stored
    }

    /// One record of the log. `None` if it makes no sense.
    pub(super) fn replay(&mut self, record: &[u8]) -> Option<()> {
        let mut names = std::mem::take(&mut self.names);
        let read = rows::read_batch(record, &mut names, |step| self.apply(step));
        self.names = names;
        read
    }

    /// Everything as it stands now, and what the tables on disk lack of it.
    pub(super) fn into_tables(mut self, history: usize) -> Result<(Tables, Batch), redb::Error> {
        let transactions = self.transactions();
        // By transaction, of which many were open at a time, so that each finds its own in one go.
        let mut branches: Vec<_> =
            self.branches().into_iter().map(|branch| (branch.transaction, branch)).collect();
        branches.sort_by_key(|(transaction, _)| *transaction);
        let mut branches = branches.into_iter().peekable();
        let mut snapshots = Vec::with_capacity(transactions.len());
        for TransactionRecord { transaction, status, parked } in transactions {
            let mut own = Vec::new();
            while let Some((_, branch)) = branches.next_if(|(of, _)| *of == transaction.id) {
                own.push(branch);
            }
            snapshots.push(Snapshot { transaction, status, parked, branches: own });
        }
        if let Some((transaction, _)) = branches.next() {
            return Err(wrong("a branch of transaction", transaction.0));
        }
        let mut tables = Tables::new(history);
        tables.restore_all(snapshots);
        self.ended.into_iter().for_each(|ended| tables.restore_ended(ended));
        Ok((tables, self.changes))
    }

    fn count<'a>(&mut self, row: &'a [u8]) -> &'a [u8] {
        self.stored += ROW + row.len() as u64;
        row
    }

    fn apply(&mut self, step: Step) -> Option<()> {
        let changes = &mut self.changes;
        match step {
            Step::Transaction(record) => {
                changes.change_transaction(record.transaction.id, Change::Add(record))
            }
            Step::Status { id, status, parked } => {
                let record = TransactionRecord { status, parked, ..self.find(id)?.clone() };
                self.changes.change_transaction(id, Change::Put(record));
            }
            Step::TransactionGone(id) => changes.change_transaction(id, Change::Remove),
            Step::Branch(branch) => changes.change_branch(branch.id, Change::Put(Arc::new(branch))),
            Step::BranchGone(id) => changes.change_branch(id, Change::Remove),
            Step::NextId(next_id) => changes.next_id = Some(next_id),
            Step::Ended { id, status, at, reason } => {
                let transaction = Arc::clone(&self.find(id)?.transaction);
                let ended = Ended { transaction, status, at, reason };
                self.ended.push(ended.clone());
                self.changes.ended.push((id, ended));
            }
        }
        Some(())
    }

    /// A transaction as it stands at this point of the log.
    fn find(&self, id: TransactionId) -> Option<&TransactionRecord> {
        match self.changes.transactions.get(&id) {
            Some(Change::Add(record) | Change::Put(record)) => Some(record),
            Some(Change::Remove) => None,
            None => {
                let found =
                    self.transactions.binary_search_by_key(&id, |record| record.transaction.id).ok()?;
                Some(&self.transactions[found])
            }
        }
    }

    fn transactions(&mut self) -> Vec<TransactionRecord> {
        let (mut all, changed) = (std::mem::take(&mut self.transactions), &self.changes.transactions);
        if !changed.is_empty() {
            all.retain(|record| !changed.contains_key(&record.transaction.id));
            all.extend(changed.values().filter_map(Change::record).cloned());
            all.sort_by_key(|record| record.transaction.id);
        }
        all
    }

    fn branches(&mut self) -> Vec<Arc<Branch>> {
        let (mut all, changed) = (std::mem::take(&mut self.branches), &self.changes.branches);
        if !changed.is_empty() {
            all.retain(|branch| !changed.contains_key(&branch.id));
            all.extend(changed.values().filter_map(Change::record).cloned());
            all.sort_by_key(|branch| branch.id);
        }
        all
    }
}

/// How many rows of all are read.
struct Progress<F> {
    rows: u64,
    all: u64,
    percent: u8,
    tell: F,
}

impl<F: Fn(u8)> Progress<F> {
    fn of(all: u64, tell: F) -> Self {
        Self { rows: 0, all, percent: 0, tell }
    }

    fn step(&mut self) {
        self.rows += 1;
        let percent = (self.rows.saturating_mul(100) / self.all.max(1)).min(100) as u8;
        if percent > self.percent {
            self.percent = percent;
            (self.tell)(percent);
        }
    }
}

impl Names {
    /// Of so many different ones, and no longer ones, each is kept once.
    const MOST: usize = 16_384;
    const LONGEST: usize = 256;

    pub(super) fn one(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.0.get(text) {
            return Arc::clone(known);
        }
        let name: Arc<str> = text.into();
        if text.len() <= Self::LONGEST && self.0.len() < Self::MOST {
            self.0.insert(Arc::clone(&name));
        }
        name
    }
}

fn wrong(what: &str, id: i64) -> redb::Error {
    StorageError::Corrupted(format!("{what} {id} is malformed")).into()
}
