//! The lock table: who holds which row.

use std::{collections::HashMap, sync::Arc};

use foldhash::fast::RandomState;
use seata_protocol::{BranchId, ResourceId, TransactionId};

use crate::record::Branch;

/// Rows by resource. A row is held by one transaction, through the first of its branches that took it.
#[derive(Debug, Default)]
pub(super) struct LockTable {
    resources: HashMap<ResourceId, HashMap<Box<str>, Holder, RandomState>, RandomState>,
    len: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) transaction: TransactionId,
    pub(super) branch: BranchId,
    /// How many branches of the transaction have the row.
    branches: u32,
}

impl LockTable {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// The first of `rows` that a transaction other than `except` holds.
    pub(super) fn conflict<'a>(
        &self,
        resource: &ResourceId,
        rows: impl Iterator<Item = &'a str>,
        except: Option<TransactionId>,
    ) -> Option<(&'a str, Holder)> {
        let held = self.resources.get(resource)?;
        rows.filter_map(|row| held.get(row).map(|holder| (row, *holder)))
            .find(|(_, holder)| Some(holder.transaction) != except)
    }

    /// Gives `branch` all its rows. The caller has made sure that no other transaction holds one.
    pub(super) fn acquire(&mut self, branch: &Branch) {
        if branch.locks.is_empty() {
            return;
        }
        let holder = Holder { transaction: branch.transaction, branch: branch.id, branches: 1 };
        let held = match self.resources.get_mut(&branch.resource) {
            Some(held) => held,
            None => self.resources.entry(branch.resource.clone()).or_default(),
        };
        for row in branch.locks.rows() {
            if let Some(holder) = held.get_mut(row) {
                holder.branches += 1;
            } else {
                held.insert(row.into(), holder);
                self.len += 1;
            }
        }
    }

    /// Frees the rows of `branch`, once. One that other branches of its transaction changed too passes to the
    /// first of `others` that has it.
    pub(super) fn release(&mut self, branch: &Branch, others: &[Arc<Branch>]) {
        if branch.locks.is_empty() {
            return;
        }
        let Some(held) = self.resources.get_mut(&branch.resource) else { return };
        for row in branch.locks.rows() {
            let Some(holder) = held.get_mut(row).filter(|holder| holder.transaction == branch.transaction)
            else {
                continue;
            };
            if holder.branches == 1 {
                held.remove(row);
                self.len -= 1;
                continue;
            }
            holder.branches -= 1;
            if holder.branch != branch.id {
                continue;
            }
            let has_it = |other: &&Arc<Branch>| {
                other.id != branch.id
                    && other.resource == branch.resource
                    && other.locks.rows().any(|other| other == row)
            };
            if let Some(heir) = others.iter().find(has_it) {
                holder.branch = heir.id;
            }
        }
    }

    /// Frees all rows of all branches of one transaction.
    pub(super) fn release_all(&mut self, branches: &[Arc<Branch>]) {
        for branch in branches {
            let Some(held) = self.resources.get_mut(&branch.resource) else { continue };
            for row in branch.locks.rows() {
                if held.get(row).is_some_and(|holder| holder.transaction == branch.transaction) {
                    held.remove(row);
                    self.len -= 1;
                }
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ResourceId, &str, Holder)> {
        self.resources
            .iter()
            .flat_map(|(resource, held)| held.iter().map(move |(row, holder)| (resource, &**row, *holder)))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use seata_protocol::{BranchStatus, BranchType, RowKey, RowLock};

    use super::*;
    use crate::record::LockSet;

    fn branch(id: i64, transaction: i64, keys: impl IntoIterator<Item = i64>) -> Arc<Branch> {
        let lock = |key: i64| RowLock {
            resource: "db".into(),
            table: "stock".into(),
            key: RowKey::from_text(key.to_string()).unwrap(),
        };
        let locks: Vec<RowLock> = keys.into_iter().map(lock).collect();
        Arc::new(Branch {
            id: BranchId(id),
            transaction: TransactionId(transaction),
            branch_type: BranchType::At,
            resource: "db".into(),
            status: BranchStatus::Registered,
            application_data: "".into(),
            client: "".into(),
            registered_at: 0,
            locks: LockSet::new(&locks),
        })
    }

    fn holder(table: &LockTable, branch: &Branch) -> Option<i64> {
        table.conflict(&branch.resource, branch.locks.rows(), None).map(|(_, holder)| holder.branch.0)
    }

    #[test]
    fn a_row_of_three_branches_passes_on_in_any_order() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut table = LockTable::default();
            let all = [branch(1, 1, [7]), branch(2, 1, [7, 8]), branch(3, 1, [7])];
            let mut left = all.to_vec();
            left.iter().for_each(|branch| table.acquire(branch));
            for index in order {
                let done = &all[index];
                left.retain(|branch| branch.id != done.id);
                table.release(done, &left);
                let holder = holder(&table, &all[0]);
                assert_eq!(holder.is_some(), !left.is_empty(), "{order:?}");
                assert!(holder.is_none_or(|holder| left.iter().any(|branch| branch.id.0 == holder)));
            }
            assert_eq!(table.len(), 0, "{order:?}");
        }
    }

    #[test]
    fn a_branch_whose_rows_are_freed_leaves_those_of_the_next_holder_alone() {
        let mut table = LockTable::default();
        let (old, new) = (branch(1, 1, [7]), branch(2, 2, [7]));
        table.acquire(&old);
        table.release_all(std::slice::from_ref(&old));
        table.acquire(&new);
        table.release(&old, &[]);
        table.release_all(std::slice::from_ref(&old));
        assert_eq!(holder(&table, &new), Some(2));
    }

    /// Rolling back a transaction of many branches, one by one, is no more work for each the more there are.
    #[test]
    fn many_branches_of_one_resource_are_released_in_time() {
        let mut table = LockTable::default();
        let mut left: Vec<_> = (0..5_000).map(|id| branch(id, 1, id * 20..id * 20 + 20)).collect();
        left.iter().for_each(|branch| table.acquire(branch));
        let start = Instant::now();
        while let Some(done) = left.pop() {
            table.release(&done, &left);
        }
        assert_eq!(table.len(), 0);
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    }
}
