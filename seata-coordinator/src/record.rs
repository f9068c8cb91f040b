//! What a store keeps: global transactions, branches, and the rows they lock.

use std::{borrow::Cow, collections::HashSet, fmt, sync::Arc};

use seata_protocol::{
    BranchId, BranchStatus, BranchType, GlobalStatus, ResourceId, RowKey, RowLock, TransactionId, Xid,
};

/// A point in time: milliseconds since the Unix epoch.
pub type Millis = u64;

/// How the note of an operator begins who decided a transaction.
#[cfg(feature = "driver")]
pub(crate) const FORCED: &str = "forced by operator: ";
/// How it begins when the operator gave up what was left of one.
pub(crate) const GIVEN_UP: &str = "given up by operator: ";

/// Whether this note is of an operator who gave up what was left.
pub(crate) fn is_given_up(note: Option<&str>) -> bool {
    note.is_some_and(|note| note.starts_with(GIVEN_UP))
}

/// What is known of a global transaction from its begin on, and never changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// Its number, unique within the store.
    pub id: TransactionId,
    /// Its name.
    pub xid: Xid,
    /// The application that began it.
    pub application: Arc<str>,
    /// The transaction service group of that application.
    pub group: Arc<str>,
    /// What operators see.
    pub name: Arc<str>,
    /// When it began.
    pub begun_at: Millis,
    /// How long it may stay undecided, in milliseconds.
    pub timeout: Millis,
    /// The incarnation of the coordinator's own process that began it, when the starter lives and dies
    /// with that process: an undecided transaction of a dead incarnation has no one left to decide it.
    /// `None` for a remote starter.
    pub incarnation: Option<u64>,
}

impl Transaction {
    /// When it times out.
    pub fn deadline(&self) -> Millis {
        self.begun_at.saturating_add(self.timeout)
    }

    /// Whether it may no longer be committed.
    pub fn has_timed_out(&self, now: Millis) -> bool {
        now > self.deadline()
    }
}

/// One branch of a global transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its number; later branches of one transaction have higher ones.
    pub id: BranchId,
    /// The transaction it belongs to.
    pub transaction: TransactionId,
    /// How it takes part.
    pub branch_type: BranchType,
    /// Where phase two happens.
    pub resource: ResourceId,
    /// How far it is.
    pub status: BranchStatus,
    /// Text of the resource manager that comes back to it in phase two.
    pub application_data: Arc<str>,
    /// Who registered it, as Java writes it: `application:ip:port`. Phase two looks there first. Empty for a
    /// branch of this process.
    pub client: Arc<str>,
    /// When.
    pub registered_at: Millis,
    /// The rows it locks on its resource.
    pub locks: LockSet,
}

impl Branch {
    /// The branch has nothing to do when its transaction commits.
    pub fn is_idle_on_commit(&self) -> bool {
        matches!(self.status, BranchStatus::PhaseOneFailed | BranchStatus::PhaseOneReadOnly)
    }

    /// The branch has nothing to undo when its transaction rolls back.
    pub fn is_idle_on_rollback(&self) -> bool {
        self.status == BranchStatus::PhaseOneFailed
    }
}

/// Rows of one resource, each once, in a compact form: a million transactions may hold some.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct LockSet {
    /// For each row its length (four bytes, little-endian), then what `put_row_text` makes of it.
    bytes: Box<[u8]>,
}

impl LockSet {
    /// The rows of `locks`, which are all of one resource and of tables without a NUL in their names. A row
    /// that occurs twice is kept once.
    pub fn new(locks: &[RowLock]) -> Self {
        let length = |lock: &RowLock| lock.table.len() + 1 + lock.key.as_str().len();
        let mut bytes = Vec::with_capacity(locks.iter().map(|lock| length(lock) + 4).sum());
        let mut seen = HashSet::new();
        for (index, lock) in locks.iter().enumerate() {
            // A few are compared faster than hashed.
            let is_known = if locks.len() <= 8 {
                locks[..index].iter().any(|other| other.key == lock.key && other.table == lock.table)
            } else {
                !seen.insert((&*lock.table, lock.key.as_str()))
            };
            if is_known {
                continue;
            }
            let length = u32::try_from(length(lock)).expect("a row's name is shorter than 4 GiB");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(lock.table.as_bytes());
            bytes.push(0);
            bytes.extend_from_slice(lock.key.as_str().as_bytes());
        }
        Self { bytes: bytes.into() }
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        let (mut rest, mut rows) = (&self.bytes[..], 0);
        while let Some((length, tail)) = rest.split_first_chunk::<4>() {
            rest = &tail[u32::from_le_bytes(*length) as usize..];
            rows += 1;
        }
        rows
    }

    /// The rows as locks on `resource`.
    pub fn on<'a>(&'a self, resource: &'a ResourceId) -> impl Iterator<Item = RowLock> + 'a {
        self.rows().map(|row| row_lock(resource, row))
    }

    /// Table and key of each row, as `put_row_text` writes them.
    pub(crate) fn rows(&self) -> impl Iterator<Item = &str> {
        self.rows_from(0).map(|(_, row)| row)
    }

    /// The same from this place on, each with its place. Nothing from a place where no row begins, or else
    /// what is none of its rows.
    pub(crate) fn rows_from(&self, place: u32) -> impl Iterator<Item = (u32, &str)> {
        self.raw_rows_from(place).map_while(|(place, row)| Some((place, str::from_utf8(row).ok()?)))
    }

    /// The same as bytes, which nobody looks at twice: for the lock table.
    pub(crate) fn raw_rows(&self) -> impl Iterator<Item = (u32, &[u8])> {
        self.raw_rows_from(0)
    }

    fn raw_rows_from(&self, place: u32) -> impl Iterator<Item = (u32, &[u8])> {
        let mut place = place as usize;
        std::iter::from_fn(move || {
            let here = place;
            let (length, tail) = self.bytes.get(here..)?.split_first_chunk::<4>()?;
            let row = tail.get(..u32::from_le_bytes(*length) as usize)?;
            place += 4 + row.len();
            Some((here as u32, row))
        })
    }

    /// The row at this place, of which there must be one.
    pub(crate) fn row_at(&self, place: u32) -> &str {
        str::from_utf8(self.raw_row_at(place))
            .expect("rows are made from text, and checked when read from disk")
    }

    /// The same as bytes.
    pub(crate) fn raw_row_at(&self, place: u32) -> &[u8] {
        self.raw_rows_from(place).next().expect("a row begins there").1
    }

    /// A compact form, for a store to write.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// From what [`as_bytes`](Self::as_bytes) gave; `None` if it is malformed.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (length, tail) = rest.split_first_chunk::<4>()?;
            let (row, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            row_parts(str::from_utf8(row).ok()?)?;
            rest = tail;
        }
        Some(Self { bytes: bytes.into() })
    }
}

impl fmt::Debug for LockSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.rows().map(|row| row.replace('\0', ":"))).finish()
    }
}

/// Appends a row within its resource as one text. No database allows a NUL in the name of a table, and the
/// driver refuses one, so two rows never share a text.
pub(crate) fn put_row_text(out: &mut String, table: &str, key: &str) {
    out.push_str(table);
    out.push('\0');
    out.push_str(key);
}

/// The inverse of [`put_row_text`].
pub(crate) fn row_lock(resource: &ResourceId, row: &str) -> RowLock {
    let (table, key) = row_parts(row).expect("put_row_text made it, or it was checked when read from disk");
    let key = RowKey::from_text(key).expect("it is not empty");
    RowLock { resource: resource.clone(), table: table.into(), key }
}

/// Table and key of a row; `None` for what no [`RowLock`] comes of.
fn row_parts(row: &str) -> Option<(&str, &str)> {
    row.split_once('\0').filter(|(_, key)| !key.is_empty())
}

/// A global transaction as it stands, with what is left of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// What was said at its begin.
    pub transaction: Arc<Transaction>,
    /// Where it stands.
    pub status: GlobalStatus,
    /// Why it was parked, for one that a person has to look at; of any other what an operator did to it.
    pub parked: Option<Arc<str>>,
    /// Its branches that are not done, in the order of their registration.
    pub branches: Vec<Arc<Branch>>,
}

/// What is still known of a global transaction that ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// What was said at its begin.
    pub transaction: Arc<Transaction>,
    /// How it ended.
    pub status: GlobalStatus,
    /// When.
    pub at: Millis,
    /// What the status does not tell, such as an operator's reason. [`why`](Self::why) has a text for all.
    pub reason: Option<Arc<str>>,
}

impl Ended {
    /// An operator ended it without its branches: the status says what was decided, not what was done.
    pub fn is_given_up(&self) -> bool {
        is_given_up(self.reason.as_deref())
    }

    /// Why it ended so, in words.
    pub fn why(&self) -> Cow<'_, str> {
        if let Some(reason) = &self.reason {
            return Cow::Borrowed(reason);
        }
        match self.status {
            GlobalStatus::Committed => Cow::Borrowed("committed by its starter"),
            GlobalStatus::Rollbacked => Cow::Borrowed("rolled back by its starter"),
            status if status.is_timeout() => {
                Cow::Owned(format!("timed out after {} ms", self.transaction.timeout))
            }
            status => Cow::Owned(format!("ended as {status}")),
        }
    }
}

/// A row that is locked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeldLock {
    /// The row.
    pub lock: RowLock,
    /// The global transaction that holds it.
    pub holder: Xid,
    /// The branch through which it does.
    pub branch: BranchId,
    /// When that branch was registered.
    pub since: Millis,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock(table: &str, key: &str) -> RowLock {
        RowLock {
            resource: "db".into(),
            table: table.into(),
            key: RowKey::from_text(key).expect("not empty"),
        }
    }

    #[test]
    fn a_row_named_twice_is_kept_once_and_in_order() {
        let set = LockSet::new(&[lock("b", "2"), lock("a", "1"), lock("b", "2")]);
        let rows: Vec<RowLock> = set.on(&"db".into()).collect();
        assert_eq!(rows, [lock("b", "2"), lock("a", "1")]);
    }

    #[test]
    fn the_form_on_disk_comes_back_and_a_damaged_one_is_refused() {
        let set = LockSet::new(&[lock("stock", "7"), lock("stock", "a\0b,;")]);
        assert_eq!(LockSet::from_bytes(set.as_bytes()), Some(set.clone()));
        for row in [&b"stock"[..], b"stock\0", b"\0", b"", b"stock\0\xff"] {
            let mut bytes = (row.len() as u32).to_le_bytes().to_vec();
            bytes.extend_from_slice(row);
            assert_eq!(LockSet::from_bytes(&bytes), None, "{row:?} is no row");
        }
        for end in 1..set.as_bytes().len() - 1 {
            let cut = &set.as_bytes()[..end];
            if let Some(shorter) = LockSet::from_bytes(cut) {
                assert_eq!(shorter.rows().count(), 1, "only a cut between two rows leaves a whole set");
            }
        }
    }
}
