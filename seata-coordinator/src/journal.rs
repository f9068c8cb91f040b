//! A store in the files of a data directory.
//!
//! The tables are kept in memory; a thread of the journal's own adds what changed to a log, with one flush
//! for everybody who waits. From time to time another thread brings the tables on disk, which redb keeps, up
//! to date with what is left of the changes, and the log begins anew. So the files hold what is open, not
//! what was done, and stay proportional to it.

use std::{
    fmt,
    future::Future,
    io,
    ops::Range,
    path::Path,
    sync::{Arc, Mutex},
    thread::JoinHandle,
    time::Duration,
};

use seata_protocol::{BranchId, BranchStatus, GlobalStatus, RowLock, TransactionId};

use crate::{
    record::{Branch, Ended, HeldLock, Millis, Snapshot, Transaction},
    session::Decision,
    store::{
        Conflict, Counts, Decided, Found, LockCursor, LockFilter, LockPage, Noted, Registered, Reported,
        Store, StoreError,
    },
};

pub use open::{OpenError, Recovery};
pub use redb::StorageBackend;

use shared::{Shared, Wait};

mod backend;
mod batch;
mod checkpoint;
mod directory;
mod image;
mod log;
mod open;
mod rows;
mod shared;
#[cfg(test)]
pub(crate) mod tests;
mod writer;

/// How a journal is opened.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Of how many ended transactions the outcome is kept, on disk too. Default: 65 536.
    pub history: usize,
    /// Where the numbers of a new journal begin: at a point that no earlier store behind the same address has
    /// reached. Default: 1.
    pub first_id: i64,
    /// How long the log may become, in bytes, before the tables are brought up to date. Default: 4 MiB.
    pub checkpoint_after: u64,
    /// Hears of each flush of the log: how long the disk took, and how many records it was. Must be quick.
    pub on_flush: Option<Arc<dyn Fn(Duration, usize) + Send + Sync>>,
    /// Hears while the journal is opened how many percent of its rows are read. Must be quick.
    pub on_progress: Option<Arc<dyn Fn(u8) + Send + Sync>>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            history: 65_536,
            first_id: 1,
            checkpoint_after: 4 * 1024 * 1024,
            on_flush: None,
            on_progress: None,
        }
    }
}

/// The default with another `history`.
impl From<usize> for Options {
    fn from(history: usize) -> Self {
        Self { history, ..Self::default() }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("history", &self.history)
            .field("first_id", &self.first_id)
            .field("checkpoint_after", &self.checkpoint_after)
            .finish_non_exhaustive()
    }
}

/// Where a journal's files are: a directory, or for tests a disk that loses, tears or fills up.
pub trait Files {
    /// Opens the file of this name for reading and writing; an empty one is made if there is none.
    ///
    /// # Errors
    /// Those of the operating system.
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageBackend>>;

    /// Sees to it that the names of the files that were made survive a loss of power.
    ///
    /// # Errors
    /// Those of the operating system.
    fn keep_names(&self) -> io::Result<()> {
        Ok(())
    }
}

/// A [`Store`] whose acknowledged steps survive the death of the process and of the machine.
#[derive(Debug)]
pub struct JournalStore {
    identity: String,
    incarnation: u64,
    recovery: Recovery,
    shared: Arc<Shared>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

impl JournalStore {
    /// Opens the journal in the directory `path`, which is created if need be. A number for `options` is the
    /// [`history`](Options::history).
    ///
    /// This reads every open transaction and blocks meanwhile.
    ///
    /// # Errors
    /// [`OpenError`] names the cause. No record that the directory holds is changed by any of them.
    pub fn open(path: impl AsRef<Path>, options: impl Into<Options>) -> Result<Self, OpenError> {
        directory::open(path.as_ref(), options.into())
    }

    /// Opens the journal in `files`. Only one journal at a time may use them, which nobody checks.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub fn open_on(files: impl Files, options: impl Into<Options>) -> Result<Self, OpenError> {
        open::journal(&files, Path::new("(files)"), None, options.into())
    }

    /// In which state the journal was found.
    pub fn recovery(&self) -> Recovery {
        self.recovery
    }

    /// Waits for the last flush, so that the directory is free for the next one.
    pub(crate) fn end(&self) {
        drop(self.shared.close());
        if let Some(writer) = self.writer.lock().ok().and_then(|mut writer| writer.take()) {
            let _ = writer.join();
        }
    }
}

impl Store for JournalStore {
    fn identity(&self) -> &str {
        &self.identity
    }

    fn incarnation(&self) -> u64 {
        self.incarnation
    }

    fn reserve_ids(&self, count: u32) -> impl Future<Output = Result<Range<i64>, StoreError>> + Send {
        self.shared.reserve_ids(count)
    }

    fn begin(&self, transaction: Arc<Transaction>) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.shared
            .growing_step(Wait::Nothing, move |state| state.tables.begin(transaction, &mut state.batch))
    }

    fn register(
        &self,
        branch: Branch,
        max_branches: usize,
    ) -> impl Future<Output = Result<Registered, StoreError>> + Send {
        self.shared.growing_step(Wait::Settled, move |state| {
            state.tables.register(branch, max_branches, &mut state.batch)
        })
    }

    fn report(
        &self,
        transaction: TransactionId,
        branch: BranchId,
        status: BranchStatus,
        application_data: Option<Arc<str>>,
    ) -> impl Future<Output = Result<Reported, StoreError>> + Send {
        self.shared.growing_step(Wait::Nothing, move |state| {
            state.tables.report(transaction, branch, status, application_data, &mut state.batch)
        })
    }

    fn decide(
        &self,
        transaction: TransactionId,
        decision: Decision,
        note: Option<Arc<str>>,
        now: Millis,
    ) -> impl Future<Output = Result<Decided, StoreError>> + Send {
        self.shared.step(Wait::Settled, move |state| {
            state.tables.decide(transaction, decision, note, now, &mut state.batch)
        })
    }

    fn drop_branch(
        &self,
        transaction: TransactionId,
        branch: BranchId,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.shared
            .step(Wait::Nothing, move |state| state.tables.drop_branch(transaction, branch, &mut state.batch))
    }

    fn set_status(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.shared
            .step(Wait::Nothing, move |state| state.tables.set_status(transaction, status, &mut state.batch))
    }

    fn park(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
        reason: Arc<str>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.shared.step(Wait::Settled, move |state| {
            state.tables.park(transaction, status, reason, &mut state.batch)
        })
    }

    fn finish(
        &self,
        transaction: TransactionId,
        status: GlobalStatus,
        reason: Option<Arc<str>>,
        now: Millis,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.shared.step(Wait::Nothing, move |state| {
            state.tables.finish(transaction, status, reason, now, &mut state.batch)
        })
    }

    fn release(&self, transaction: TransactionId) -> impl Future<Output = Result<usize, StoreError>> + Send {
        self.shared.step(Wait::Nothing, move |state| state.tables.release(transaction, &mut state.batch))
    }

    fn note(
        &self,
        transaction: TransactionId,
        report: GlobalStatus,
        now: Millis,
    ) -> impl Future<Output = Result<Noted, StoreError>> + Send {
        self.shared.growing_step(Wait::Settled, move |state| {
            state.tables.note(transaction, report, now, &mut state.batch)
        })
    }

    fn find(&self, transaction: TransactionId) -> impl Future<Output = Result<Found, StoreError>> + Send {
        self.shared.look(Wait::Settled, |state| state.tables.find(transaction))
    }

    fn status(
        &self,
        transaction: TransactionId,
    ) -> impl Future<Output = Result<Option<GlobalStatus>, StoreError>> + Send {
        self.shared.look(Wait::Settled, |state| state.tables.status(transaction))
    }

    fn conflict(
        &self,
        except: Option<TransactionId>,
        locks: &[RowLock],
    ) -> impl Future<Output = Result<Option<Conflict>, StoreError>> + Send {
        self.shared.look(Wait::Settled, |state| state.tables.conflict(except, locks))
    }

    fn undecided(
        &self,
        transactions: Vec<TransactionId>,
    ) -> impl Future<Output = Result<Vec<TransactionId>, StoreError>> + Send {
        self.shared.look(Wait::Nothing, |state| state.tables.undecided(transactions))
    }

    fn page(
        &self,
        after: Option<TransactionId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Snapshot>, StoreError>> + Send {
        self.shared.look(Wait::Settled, |state| state.tables.page(after, limit))
    }

    fn locks(&self, limit: usize) -> impl Future<Output = Result<Vec<HeldLock>, StoreError>> + Send {
        self.shared.look(Wait::Settled, |state| state.tables.locks(limit))
    }

    fn locks_after(
        &self,
        after: Option<LockCursor>,
        filter: LockFilter,
        limit: usize,
    ) -> impl Future<Output = Result<LockPage, StoreError>> + Send {
        self.shared.look(Wait::Settled, |state| state.tables.locks_after(after, &filter, limit))
    }

    fn ended(
        &self,
        after: Option<TransactionId>,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Ended>, StoreError>> + Send {
        self.shared.look(Wait::Settled, |state| state.tables.ended(after, limit))
    }

    fn counts(&self) -> Counts {
        self.shared.counts()
    }

    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.shared.close()
    }
}

impl Drop for JournalStore {
    fn drop(&mut self) {
        self.end();
    }
}
