//! Opening a journal: who may, what is found, what is refused.

use std::{
    collections::BTreeMap,
    fs::{self, File, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

use redb::{
    Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, StorageError,
    backends::FileBackend,
};
use seata_protocol::TransactionId;

use crate::{
    journal::{
        JournalStore,
        backend::{Overlay, Tracked},
        rows::{self, BRANCHES, FORMAT, FORMAT_VERSION, IDENTITY, INCARNATION, META, NEXT_ID, TRANSACTIONS},
        shared::Shared,
        writer,
    },
    record::Snapshot,
    store::Tables,
};

const FILE_NAME: &str = "journal.redb";
const LOCK_NAME: &str = "lock";
/// The tables are in memory: the engine's own cache only has to hold the upper pages of its trees.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// A smaller file is not worth being made smaller yet.
const SMALL_FILE: u64 = 8 * 1024 * 1024;

/// Why a data directory could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another coordinator has it open. One at a time may.
    #[error(
        "data directory {} is in use by {holder}; stop that one, share its coordinator, or name another directory",
        path.display()
    )]
    InUse {
        /// The data directory.
        path: PathBuf,
        /// `process 4711`, or `this process`.
        holder: String,
    },
    /// There is a file of that name.
    #[error("data directory {} cannot be used: it is a file; name a directory", path.display())]
    NotADirectory {
        /// The path.
        path: PathBuf,
    },
    /// It may not be read or written.
    #[error("data directory {} cannot be used: permission denied; this process must own it", path.display())]
    PermissionDenied {
        /// The data directory.
        path: PathBuf,
    },
    /// It could not be created, read or written for another reason.
    #[error("data directory {} cannot be used: {source}", path.display())]
    Io {
        /// The data directory.
        path: PathBuf,
        /// The operating system's error.
        source: io::Error,
    },
    /// The journal is damaged in a place that a crash cannot have damaged. Nothing was changed.
    #[error(
        "the journal {} is damaged at byte {offset}: {reason}; restore it from a copy, or move it away to start empty",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the first unreadable page begins.
        offset: u64,
        /// What is wrong.
        reason: String,
    },
    /// The journal was written by a later version. Nothing was changed.
    #[error(
        "the journal {} has format {found}, this version reads up to {FORMAT_VERSION}; use the later version again",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
    },
}

/// In which state a journal was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovery {
    /// It did not exist.
    New,
    /// It was closed in order, and every page was found as it was written.
    Clean,
    /// Its process died; the last flush was complete.
    Crashed,
    /// Its process died while a flush was being written. What that flush held had not been acknowledged
    /// to anybody; it is undone.
    TornTail,
}

/// Opens `path`, which is created if need be.
pub(super) fn directory(path: &Path, history: usize) -> Result<JournalStore, OpenError> {
    create(path).map_err(refused(path))?;
    let lock = take_lock(path)
        .map_err(refused(path))?
        .map_err(|holder| OpenError::InUse { path: path.to_owned(), holder })?;
    let name = path.join(FILE_NAME);
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&name)
        .map_err(refused(path))?;
    // The names of new files have to survive too.
    #[cfg(unix)]
    File::open(path).and_then(|directory| directory.sync_all()).map_err(refused(path))?;
    let file = FileBackend::new(file).map_err(|error| damaged(&name, 0, error))?;
    backend(Arc::new(file), &name, Some(lock), history)
}

/// Creates `path` and what is missing above it, so that their names survive too.
fn create(path: &Path) -> io::Result<()> {
    let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    fs::create_dir_all(path)?;
    #[cfg(unix)]
    for parent in missing.iter().filter_map(|created| created.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// What an error of the operating system means for the directory.
pub(super) fn refused(path: &Path) -> impl Fn(io::Error) -> OpenError {
    move |source| match source.kind() {
        io::ErrorKind::PermissionDenied => OpenError::PermissionDenied { path: path.to_owned() },
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            OpenError::NotADirectory { path: path.to_owned() }
        }
        _ => OpenError::Io { path: path.to_owned(), source },
    }
}

/// Opens the journal that `inner` holds and starts its writer.
pub(super) fn backend(
    inner: Arc<dyn StorageBackend>,
    name: &Path,
    lock: Option<File>,
    history: usize,
) -> Result<JournalStore, OpenError> {
    let tracked = Tracked::new(inner);
    let at = |error: redb::Error| damaged(name, tracked.last_read(), error);
    let (mut database, recovery) = database(&tracked, name)?;
    if recovery == Recovery::TornTail {
        tracing::warn!(journal = %name.display(), "the last flush was torn by a crash and is undone");
    }
    let head = Head::advance(&database, name).map_err(|error| match error {
        HeadError::Refused(error) => error,
        HeadError::Engine(error) => at(error),
    })?;
    let tables = load(&database, history).map_err(at)?;
    shrink(&mut database, &tracked).map_err(at)?;
    let shared = Arc::new(Shared::new(tables, head.next_id));
    let thread = std::thread::Builder::new().name("seata-journal".into());
    let for_writer = Arc::clone(&shared);
    let writer = thread
        .spawn(move || writer::run(database, for_writer, lock))
        .map_err(|source| OpenError::Io { path: name.to_owned(), source })?;
    let (identity, incarnation) = (head.identity, head.incarnation);
    Ok(JournalStore { identity, incarnation, recovery, shared, writer: Mutex::new(Some(writer)) })
}

/// The engine over `tracked`, with everything in it checked.
fn database(tracked: &Tracked, name: &Path) -> Result<(Database, Recovery), OpenError> {
    let at = |error: DatabaseError| damaged(name, tracked.last_read(), error);
    let io = |source| OpenError::Io { path: name.to_owned(), source };
    let mut recovery = Recovery::New;
    if tracked.len().map_err(io)? > 0 {
        recovery = look(tracked, name)?;
    }
    let progress = Arc::new(AtomicU8::new(0));
    let seen = Arc::clone(&progress);
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_repair_callback(move |session| {
        let percent = (session.progress() * 100.0) as u8;
        let _ = seen.compare_exchange(0, percent, Ordering::Relaxed, Ordering::Relaxed);
    });
    let database = builder.create_with_backend(tracked.clone()).map_err(at)?;
    // The engine reports its repair from the middle on, unless it first had to go back by one flush.
    if recovery == Recovery::Crashed && (1..50).contains(&progress.load(Ordering::Relaxed)) {
        recovery = Recovery::TornTail;
    }
    Ok((database, recovery))
}

/// Reads everything without changing anything. After an orderly close nothing may be torn, so that any
/// wrong page is damage; after a crash the engine does the same check itself when it repairs.
fn look(tracked: &Tracked, name: &Path) -> Result<Recovery, OpenError> {
    let overlay =
        Overlay::new(tracked.clone()).map_err(|source| OpenError::Io { path: name.to_owned(), source })?;
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_repair_callback(|session| session.abort());
    // The engine trusts the pages that it reads before it checks them, and may stumble over one.
    let looked = panic::catch_unwind(AssertUnwindSafe(|| {
        builder.create_with_backend(overlay).and_then(|mut database| database.check_integrity())
    }));
    match looked {
        Ok(Ok(true)) => Ok(Recovery::Clean),
        Ok(Err(DatabaseError::RepairAborted)) => Ok(Recovery::Crashed),
        Ok(Ok(false)) => Err(damaged(name, tracked.last_read(), "a page's checksum is wrong")),
        Ok(Err(error)) => Err(damaged(name, tracked.last_read(), error)),
        Err(_) => Err(damaged(name, tracked.last_read(), "a page makes no sense")),
    }
}

/// What the journal says of itself.
struct Head {
    identity: String,
    incarnation: u64,
    next_id: i64,
}

enum HeadError {
    Refused(OpenError),
    Engine(redb::Error),
}

impl<E: Into<redb::Error>> From<E> for HeadError {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

impl Head {
    /// Reads it, or makes it for a new journal, and counts this opening; durable when it returns.
    fn advance(database: &Database, name: &Path) -> Result<Self, HeadError> {
        let transaction = database.begin_write()?;
        let head = {
            let mut meta = transaction.open_table(META)?;
            let text = |key| -> Result<Option<String>, redb::Error> {
                Ok(meta.get(key)?.map(|value| value.value().to_owned()))
            };
            let format = text(FORMAT)?.unwrap_or_else(|| FORMAT_VERSION.to_string());
            if format.parse::<u32>().is_ok_and(|found| found > FORMAT_VERSION) {
                return Err(HeadError::Refused(OpenError::NewerFormat {
                    path: name.to_owned(),
                    found: format,
                }));
            }
            let number = |key, default: i64| -> Result<i64, HeadError> {
                let Some(text) = text(key)? else { return Ok(default) };
                let wrong = || damaged(name, 0, format!("its {key} is {text:?}, expected a number"));
                text.parse().map_err(|_| HeadError::Refused(wrong()))
            };
            let head = Self {
                identity: text(IDENTITY)?.unwrap_or_else(|| format!("{:08x}", rand::random::<u32>())),
                incarnation: number(INCARNATION, 0)?.unsigned_abs() + 1,
                next_id: number(NEXT_ID, 1)?,
            };
            meta.insert(FORMAT, FORMAT_VERSION.to_string().as_str())?;
            meta.insert(IDENTITY, head.identity.as_str())?;
            meta.insert(INCARNATION, head.incarnation.to_string().as_str())?;
            head
        };
        transaction.open_table(TRANSACTIONS)?;
        transaction.open_table(BRANCHES)?;
        transaction.commit()?;
        Ok(head)
    }
}

fn load(database: &Database, history: usize) -> Result<Tables, redb::Error> {
    let wrong = |what: &str, id: i64| StorageError::Corrupted(format!("{what} {id} is malformed"));
    let transaction = database.begin_read()?;
    let mut snapshots: BTreeMap<TransactionId, Snapshot> = BTreeMap::new();
    for row in transaction.open_table(TRANSACTIONS)?.iter()? {
        let (id, row) = row?;
        let snapshot =
            rows::to_snapshot(id.value(), row.value()).ok_or_else(|| wrong("transaction", id.value()))?;
        snapshots.insert(snapshot.transaction.id, snapshot);
    }
    for row in transaction.open_table(BRANCHES)?.iter()? {
        let (id, row) = row?;
        let branch = rows::to_branch(id.value(), row.value()).ok_or_else(|| wrong("branch", id.value()))?;
        let owner = snapshots.get_mut(&branch.transaction);
        owner.ok_or_else(|| wrong("the transaction of branch", id.value()))?.branches.push(Arc::new(branch));
    }
    let mut tables = Tables::new(history);
    snapshots.into_values().for_each(|snapshot| tables.restore(snapshot));
    Ok(tables)
}

/// Gives back what a file that was once much fuller still occupies.
fn shrink(database: &mut Database, file: &Tracked) -> Result<(), redb::Error> {
    if file.len()? < SMALL_FILE {
        return Ok(());
    }
    let transaction = database.begin_write()?;
    let used = transaction.stats()?.stored_bytes();
    transaction.abort()?;
    if used.saturating_mul(4) < file.len()? {
        database.compact()?;
    }
    Ok(())
}

/// The lock on the directory, or who has it.
fn take_lock(path: &Path) -> io::Result<Result<File, String>> {
    let mut file =
        File::options().read(true).write(true).create(true).truncate(false).open(path.join(LOCK_NAME))?;
    match file.try_lock() {
        Ok(()) => {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            write!(file, "{}", std::process::id())?;
            Ok(Ok(file))
        }
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            let this = std::process::id().to_string();
            Ok(Err(if holder == this { "this process".into() } else { format!("process {holder}") }))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn damaged(name: &Path, offset: u64, reason: impl std::fmt::Display) -> OpenError {
    OpenError::Damaged { path: name.to_owned(), offset, reason: reason.to_string() }
}
