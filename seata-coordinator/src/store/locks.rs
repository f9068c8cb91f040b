//! The lock table: who holds which row.

use std::{
    collections::HashMap,
    hash::{BuildHasher, Hasher},
    slice,
    sync::Arc,
};

use foldhash::quality::RandomState;
use hashbrown::hash_table::{Entry, HashTable};
use seata_protocol::{ResourceId, TransactionId};

use crate::record::Branch;

/// Rows of all resources. A row is held by one transaction, through one of its branches that have it.
///
/// It is many small tables, by a part of the row's hash: each grows and shrinks by itself, so that no step
/// moves more than a small part of all places, however many there are.
#[derive(Debug)]
pub(super) struct LockTable {
    parts: Box<[HashTable<Place>]>,
    len: usize,
    hash: RandomState,
}

/// Who holds a row. It has no text of its own: it points at the row within the holder.
#[derive(Debug)]
struct Place {
    holder: Arc<Branch>,
    /// Where the row stands in the holder's [`LockSet`](crate::record::LockSet).
    row: u32,
    /// How many branches of the transaction have the row. From [`MANY`] on nobody counts.
    branches: u8,
    /// Kept, so that a part that grows reads no row.
    hash: [u8; 3],
}

const PARTS: usize = 256;
const MANY: u8 = u8::MAX;
/// A part with less room is not worth being made smaller.
const SMALL_PART: usize = 64;

/// The row of a branch that another transaction holds.
#[derive(Debug)]
pub(super) struct Held<'a> {
    pub(super) row: &'a str,
    pub(super) by: TransactionId,
}

/// Who is to have the rows of a branch that goes: the first of the others that has them. Their rows are noted on
/// the way, so that none is looked at twice, and none at all when no row passes on.
struct Heirs<'a> {
    of: &'a Branch,
    others: slice::Iter<'a, Arc<Branch>>,
    noted: HashMap<&'a [u8], (&'a Arc<Branch>, u32), RandomState>,
}

/// Where the place of a row is looked for.
#[derive(Clone, Copy)]
struct Hash {
    part: u8,
    within: [u8; 3],
}

impl Default for LockTable {
    fn default() -> Self {
        let parts = (0..PARTS).map(|_| HashTable::new()).collect();
        Self { parts, len: 0, hash: RandomState::default() }
    }
}

impl LockTable {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Makes room for so many rows more.
    pub(super) fn reserve(&mut self, rows: usize) {
        // A part gets somewhat more or less than its share.
        let share = rows / PARTS + rows / PARTS / 16;
        self.parts.iter_mut().for_each(|part| part.reserve(share, |place| spread(place.hash)));
    }

    /// The transaction other than `except` that holds the row.
    pub(super) fn holder(
        &self,
        resource: &ResourceId,
        row: &[u8],
        except: Option<TransactionId>,
    ) -> Option<TransactionId> {
        let holder = self.find(resource, row)?.holder.transaction;
        (Some(holder) != except).then_some(holder)
    }

    /// Whether the row at `row` of this branch is held, and through this branch.
    pub(super) fn is_held_through(&self, branch: &Branch, row: u32, text: &str) -> bool {
        let place = self.find(&branch.resource, text.as_bytes());
        place.is_some_and(|place| place.holder.id == branch.id && place.row == row)
    }

    /// Gives `branch` all its rows, or none when another transaction holds one.
    pub(super) fn acquire<'a>(&mut self, branch: &'a Arc<Branch>) -> Result<(), Held<'a>> {
        for (at, row) in branch.locks.raw_rows() {
            if let Err(by) = self.take(branch, at, row) {
                let mut nobody = Heirs::new(branch, &[]);
                for (_, row) in branch.locks.raw_rows().take_while(|(taken, _)| *taken != at) {
                    self.give_back(branch, row, &mut nobody);
                }
                return Err(Held { row: branch.locks.row_at(at), by });
            }
        }
        Ok(())
    }

    /// Gives `branch` those of its rows that no other transaction holds.
    pub(super) fn acquire_free(&mut self, branch: &Arc<Branch>) {
        for (at, row) in branch.locks.raw_rows() {
            let _ = self.take(branch, at, row);
        }
    }

    /// Frees the rows of `branch`, once. One that other branches of its transaction changed too passes to the
    /// first of `others` that has it.
    pub(super) fn release(&mut self, branch: &Branch, others: &[Arc<Branch>]) {
        let mut heirs = Heirs::new(branch, others);
        for (_, row) in branch.locks.raw_rows() {
            self.give_back(branch, row, &mut heirs);
        }
    }

    /// Frees all rows of all branches of one transaction.
    pub(super) fn release_all(&mut self, branches: &[Arc<Branch>]) {
        for branch in branches {
            for (_, row) in branch.locks.raw_rows() {
                let hash = self.hash(&branch.resource, row);
                let part = &mut self.parts[usize::from(hash.part)];
                let place = part.find_entry(spread(hash.within), |place| place.is(&branch.resource, row));
                if let Ok(place) = place
                    && place.get().holder.transaction == branch.transaction
                {
                    place.remove();
                    self.len -= 1;
                    shrink(part);
                }
            }
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&Branch, &str)> {
        let places = self.parts.iter().flat_map(HashTable::iter);
        places.map(|place| (&*place.holder, place.holder.locks.row_at(place.row)))
    }

    /// Gives `branch` the row, unless another transaction holds it: that one then.
    fn take(&mut self, branch: &Arc<Branch>, at: u32, row: &[u8]) -> Result<(), TransactionId> {
        let hash = self.hash(&branch.resource, row);
        let part = &mut self.parts[usize::from(hash.part)];
        let is_it = |place: &Place| place.is(&branch.resource, row);
        match part.entry(spread(hash.within), is_it, |place| spread(place.hash)) {
            Entry::Occupied(mut place) => {
                let place = place.get_mut();
                if place.holder.transaction != branch.transaction {
                    return Err(place.holder.transaction);
                }
                place.branches = place.branches.saturating_add(1);
            }
            Entry::Vacant(free) => {
                free.insert(Place { holder: Arc::clone(branch), row: at, branches: 1, hash: hash.within });
                self.len += 1;
            }
        }
        Ok(())
    }

    fn give_back(&mut self, branch: &Branch, row: &[u8], heirs: &mut Heirs<'_>) {
        let hash = self.hash(&branch.resource, row);
        let part = &mut self.parts[usize::from(hash.part)];
        let is_it = |place: &Place| place.is(&branch.resource, row);
        let Ok(mut entry) = part.find_entry(spread(hash.within), is_it) else { return };
        let place = entry.get_mut();
        if place.holder.transaction != branch.transaction {
            return;
        }
        let is_last = place.branches == 1;
        if place.branches < MANY {
            place.branches -= 1;
        }
        if !is_last && place.holder.id != branch.id {
            return;
        }
        let heir = if is_last { None } else { heirs.find(row) };
        match heir {
            Some((heir, at)) => (place.holder, place.row) = (Arc::clone(heir), at),
            None => {
                entry.remove();
                self.len -= 1;
                shrink(part);
            }
        }
    }

    fn find(&self, resource: &ResourceId, row: &[u8]) -> Option<&Place> {
        let hash = self.hash(resource, row);
        let part = &self.parts[usize::from(hash.part)];
        part.find(spread(hash.within), |place| place.is(resource, row))
    }

    /// With a key of its own in each process, since rows are named by strangers.
    fn hash(&self, resource: &ResourceId, row: &[u8]) -> Hash {
        let mut hasher = self.hash.build_hasher();
        hasher.write(resource.as_str().as_bytes());
        hasher.write(row);
        let [part, a, b, c, ..] = hasher.finish().to_be_bytes();
        Hash { part, within: [a, b, c] }
    }
}

impl<'a> Heirs<'a> {
    fn new(of: &'a Branch, others: &'a [Arc<Branch>]) -> Self {
        Self { of, others: others.iter(), noted: HashMap::default() }
    }

    /// The heir of this row, and where it stands there.
    fn find(&mut self, row: &[u8]) -> Option<(&'a Arc<Branch>, u32)> {
        loop {
            if let Some(heir) = self.noted.get(row) {
                return Some(*heir);
            }
            let of = self.of;
            let other = self.others.find(|other| other.id != of.id && other.resource == of.resource)?;
            for (at, theirs) in other.locks.raw_rows() {
                self.noted.entry(theirs).or_insert((other, at));
            }
        }
    }
}

impl Place {
    fn is(&self, resource: &ResourceId, row: &[u8]) -> bool {
        self.holder.locks.raw_row_at(self.row) == row && self.holder.resource == *resource
    }
}

/// To where a table looks: it takes the place from the lower bits, and a tag from the uppermost.
fn spread([a, b, c]: [u8; 3]) -> u64 {
    let hash = u64::from(u32::from_le_bytes([a, b, c, 0]));
    hash << 40 | hash
}

/// Gives the room of a part back that was once much fuller.
fn shrink(part: &mut HashTable<Place>) {
    if part.capacity() > SMALL_PART && part.len() < part.capacity() / 8 {
        part.shrink_to(part.len() * 2, |place| spread(place.hash));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        time::{Duration, Instant},
    };

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

    /// The branch through which the first row of `branch` is held.
    fn holder(table: &LockTable, branch: &Branch) -> Option<i64> {
        let (_, row) = branch.locks.raw_rows().next()?;
        table.find(&branch.resource, row).map(|place| place.holder.id.0)
    }

    fn take_all(table: &mut LockTable, branches: &[Arc<Branch>]) {
        branches.iter().for_each(|branch| table.acquire(branch).unwrap());
    }

    fn room(table: &LockTable) -> usize {
        table.parts.iter().map(HashTable::capacity).sum()
    }

    #[test]
    fn a_row_of_three_branches_passes_on_in_any_order() {
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut table = LockTable::default();
            let all = [branch(1, 1, [7]), branch(2, 1, [7, 8]), branch(3, 1, [7])];
            let mut left = all.to_vec();
            take_all(&mut table, &left);
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
        table.acquire(&old).unwrap();
        table.release_all(std::slice::from_ref(&old));
        table.acquire(&new).unwrap();
        table.release(&old, &[]);
        table.release_all(std::slice::from_ref(&old));
        assert_eq!(holder(&table, &new), Some(2));
    }

    #[test]
    fn a_row_of_another_is_neither_taken_nor_counted() {
        let mut table = LockTable::default();
        let (old, new) = (branch(1, 1, [7]), branch(2, 2, [6, 7, 8]));
        table.acquire(&old).unwrap();
        for _ in 0..2 {
            let held = table.acquire(&new).unwrap_err();
            assert_eq!((held.row, held.by), ("stock\x007", TransactionId(1)));
            assert_eq!(table.len(), 1, "what came before it was given back");
        }
        table.acquire_free(&new);
        assert_eq!((table.len(), holder(&table, &old)), (3, Some(1)));
        table.release(&new, &[]);
        assert_eq!((table.len(), holder(&table, &old)), (1, Some(1)));
        table.release(&old, &[]);
        assert_eq!(table.len(), 0, "its one branch is gone");
    }

    #[test]
    fn a_refused_branch_leaves_a_row_to_those_of_its_own_transaction() {
        let mut table = LockTable::default();
        let (mine, other, refused) = (branch(1, 1, [7]), branch(2, 2, [8]), branch(3, 1, [6, 7, 8]));
        take_all(&mut table, &[Arc::clone(&mine), other]);
        table.acquire(&refused).unwrap_err();
        assert_eq!((table.len(), holder(&table, &mine)), (2, Some(1)));
        table.release(&mine, &[]);
        assert_eq!(holder(&table, &mine), None);
    }

    #[test]
    fn a_row_of_more_branches_than_are_counted_is_free_when_the_last_one_goes() {
        for backwards in [false, true] {
            let mut table = LockTable::default();
            let mut left: Vec<_> = (0..600).map(|id| branch(id, 1, [7])).collect();
            take_all(&mut table, &left);
            while !left.is_empty() {
                assert_eq!(table.len(), 1);
                let done = left.remove(if backwards { left.len() - 1 } else { 0 });
                table.release(&done, &left);
            }
            assert_eq!(table.len(), 0);
        }
    }

    /// No step moves more than one part, whose length follows the whole.
    #[test]
    fn a_table_grows_in_small_steps_and_gives_its_room_back() {
        assert_eq!(size_of::<Place>(), 16);
        let mut table = LockTable::default();
        let all: Vec<_> = (0..1_000).map(|id| branch(id, id, id * 200..id * 200 + 200)).collect();
        let mut moved = 0;
        for branch in &all {
            let before: Vec<usize> = table.parts.iter().map(HashTable::capacity).collect();
            table.acquire(branch).unwrap();
            let grown = table.parts.iter().zip(before).filter(|(part, before)| part.capacity() > *before);
            moved = grown.map(|(part, _)| part.len()).max().unwrap_or(0).max(moved);
        }
        assert_eq!(table.len(), 200_000);
        assert!(moved < 2 * 200_000 / PARTS, "{moved} places were moved at once");
        let full = room(&table);
        table.release_all(&all[..999]);
        assert_eq!(table.len(), 200);
        assert!(room(&table) <= PARTS * SMALL_PART && full > 200_000, "{} of {full}", room(&table));
        table.release_all(&all);
        assert_eq!(table.len(), 0);
    }

    #[test]
    fn reserved_room_is_enough() {
        let mut table = LockTable::default();
        table.reserve(100_000);
        let before = room(&table);
        take_all(&mut table, &[branch(1, 1, 0..90_000)]);
        assert_eq!(room(&table), before);
    }

    /// A branch that goes is no more work the more there are, or the more of its rows others have.
    #[test]
    fn many_branches_of_one_resource_are_released_in_time() {
        let of_their_own: Vec<_> = (0..5_000).map(|id| branch(id, 1, id * 20..id * 20 + 20)).collect();
        let one_in_common = (0..5_000).map(|id| branch(id, 1, (id * 20..id * 20 + 20).chain([-1]))).collect();
        let all_in_common = [0..100_000, 0..100_000].into_iter().zip(0..);
        let all_in_common = all_in_common.map(|(keys, id)| branch(id, 1, keys)).collect();
        for all in [of_their_own, one_in_common, all_in_common] {
            for backwards in [false, true] {
                let mut table = LockTable::default();
                let mut left = VecDeque::from(all.clone());
                take_all(&mut table, left.make_contiguous());
                let start = Instant::now();
                while let Some(done) = if backwards { left.pop_back() } else { left.pop_front() } {
                    table.release(&done, left.make_contiguous());
                }
                assert_eq!(table.len(), 0);
                assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
            }
        }
    }
}
