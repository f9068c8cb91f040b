//! The lock table: who holds which row.

use std::{
    hash::{BuildHasher, Hasher},
    sync::Arc,
};

use foldhash::fast::RandomState;
use hashbrown::hash_table::{Entry, HashTable};
use seata_protocol::{ResourceId, TransactionId};

use crate::record::Branch;

/// Rows of all resources. A row is held by one transaction, through one of its branches that have it.
///
/// A place in the table has no text of its own: it points at the row within its branch.
#[derive(Debug, Default)]
pub(super) struct LockTable {
    rows: HashTable<Place>,
    hash: RandomState,
}

#[derive(Debug)]
struct Place {
    holder: Arc<Branch>,
    /// Where the row stands in the holder's [`LockSet`](crate::record::LockSet).
    offset: u32,
    /// How many branches of the transaction have the row.
    branches: u32,
}

impl Place {
    fn row(&self) -> &str {
        self.holder.locks.row_at(self.offset)
    }

    fn is(&self, resource: &ResourceId, row: &str) -> bool {
        self.row() == row && self.holder.resource == *resource
    }
}

impl LockTable {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    /// The first of `rows` that a transaction other than `except` holds, and the branch through which it does.
    pub(super) fn conflict<'a>(
        &self,
        resource: &ResourceId,
        mut rows: impl Iterator<Item = &'a str>,
        except: Option<TransactionId>,
    ) -> Option<(&'a str, &Branch)> {
        rows.find_map(|row| {
            let holder = &*self.find(resource, row)?.holder;
            (Some(holder.transaction) != except).then_some((row, holder))
        })
    }

    /// Whether the row is held, and through this branch.
    pub(super) fn is_held_through(&self, branch: &Branch, row: &str) -> bool {
        self.find(&branch.resource, row).is_some_and(|place| place.holder.id == branch.id)
    }

    /// Gives `branch` all its rows. The caller has made sure that no other transaction holds one.
    pub(super) fn acquire(&mut self, branch: &Arc<Branch>) {
        let hash = &self.hash;
        let rehash = |place: &Place| hash_row(hash, &place.holder.resource, place.row());
        for (offset, row) in branch.locks.rows_at() {
            let wanted = hash_row(hash, &branch.resource, row);
            match self.rows.entry(wanted, |place| place.is(&branch.resource, row), rehash) {
                Entry::Occupied(mut place) => place.get_mut().branches += 1,
                Entry::Vacant(free) => {
                    free.insert(Place { holder: Arc::clone(branch), offset, branches: 1 });
                }
            }
        }
    }

    /// Frees the rows of `branch`, once. One that other branches of its transaction changed too passes to the
    /// first of `others` that has it.
    pub(super) fn release(&mut self, branch: &Branch, others: &[Arc<Branch>]) {
        for row in branch.locks.rows() {
            let hash = hash_row(&self.hash, &branch.resource, row);
            let Ok(mut place) = self.rows.find_entry(hash, |place| place.is(&branch.resource, row)) else {
                continue;
            };
            if place.get().holder.transaction != branch.transaction {
                continue;
            }
            if place.get().branches == 1 {
                place.remove();
                continue;
            }
            let place = place.get_mut();
            place.branches -= 1;
            if place.holder.id != branch.id {
                continue;
            }
            let has_it = |other: &Arc<Branch>| {
                if other.id == branch.id || other.resource != branch.resource {
                    return None;
                }
                let (offset, _) = other.locks.rows_at().find(|(_, theirs)| *theirs == row)?;
                Some((Arc::clone(other), offset))
            };
            if let Some((heir, offset)) = others.iter().find_map(has_it) {
                (place.holder, place.offset) = (heir, offset);
            }
        }
    }

    /// Frees all rows of all branches of one transaction.
    pub(super) fn release_all(&mut self, branches: &[Arc<Branch>]) {
        for branch in branches {
            for row in branch.locks.rows() {
                let hash = hash_row(&self.hash, &branch.resource, row);
                if let Ok(place) = self.rows.find_entry(hash, |place| place.is(&branch.resource, row))
                    && place.get().holder.transaction == branch.transaction
                {
                    place.remove();
                }
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Branch, &str)> {
        self.rows.iter().map(|place| (&*place.holder, place.row()))
    }

    fn find(&self, resource: &ResourceId, row: &str) -> Option<&Place> {
        self.rows.find(hash_row(&self.hash, resource, row), |place| place.is(resource, row))
    }
}

/// With a key of its own in each process, since rows are named by strangers.
fn hash_row(hash: &RandomState, resource: &ResourceId, row: &str) -> u64 {
    let mut hasher = hash.build_hasher();
    hasher.write(resource.as_str().as_bytes());
    hasher.write(row.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use seata_protocol::{BranchId, BranchStatus, BranchType, RowKey, RowLock};

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
        table.conflict(&branch.resource, branch.locks.rows(), None).map(|(_, holder)| holder.id.0)
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
