//! Opening a journal: who may, what is found, what is refused.

use std::{
    collections::{BTreeMap, HashMap, btree_map},
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
    TableError, backends::FileBackend,
};
use seata_protocol::{BranchId, TransactionId};

use crate::{
    journal::{
        Files, JournalStore, Options,
        backend::{Overlay, Tracked},
        batch::{Batch, Change, TransactionRecord},
        checkpoint::{Checkpoint, Checkpoints, TablesOnDisk},
        log::{self, Log},
        rows::{
            self, BRANCHES, ENDED, FORMAT, FORMAT_VERSION, GENERATION, IDENTITY, INCARNATION, META, NEXT_ID,
            SEQUENCE, Step, TRANSACTIONS,
        },
        shared::Shared,
        writer::Writer,
    },
    record::{Branch, Ended, Snapshot},
    store::Tables,
};

const FILE_NAME: &str = "journal.redb";
const LOCK_NAME: &str = "lock";
/// The tables are in memory: the engine's own cache only has to hold the upper pages of its trees.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// What the engine's file begins with once it is whole.
const MAGIC: &[u8; 9] = b"redb\x1A\x0A\xA9\x0D\x0A";

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
    #[error(
        "{} cannot be read or written: {source}; look at the disk, its free space and the rights of this \
         process, then start again",
        path.display()
    )]
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
        "the journal {} has format {found}, this version reads {FORMAT_VERSION}; use the later version again",
        path.display()
    )]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: String,
    },
    /// The journal was written by an earlier version that this one does not read. Nothing was changed.
    #[error(
        "the journal {} has format {found}, this version reads {FORMAT_VERSION}; end its transactions with the \
         earlier version, then move the directory away",
        path.display()
    )]
    OlderFormat {
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
pub(super) fn directory(path: &Path, options: Options) -> Result<JournalStore, OpenError> {
    create(path).map_err(refused(path))?;
    let lock = take_lock(path)
        .map_err(refused(path))?
        .map_err(|holder| OpenError::InUse { path: path.to_owned(), holder })?;
    journal(&Directory(path), path, Some(lock), options)
}

/// The files of a data directory.
struct Directory<'a>(&'a Path);

impl Files for Directory<'_> {
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageBackend>> {
        let file = owners_alone().open(self.0.join(name))?;
        // The names of new files have to survive too.
        #[cfg(unix)]
        File::open(self.0).and_then(|directory| directory.sync_all())?;
        Ok(Arc::new(FileBackend::new(file).map_err(io::Error::other)?))
    }
}

/// Creates `path` and what is missing above it, so that their names survive too.
fn create(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let missing: Vec<&Path> = path.ancestors().take_while(|ancestor| !ancestor.exists()).collect();
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    #[cfg(unix)]
    for parent in missing.iter().filter_map(|created| created.parent()) {
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

/// Opens a file for reading and writing. One that is made is for its owner alone: it tells of others' data.
fn owners_alone() -> fs::OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
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

/// Opens the journal in `files` and starts its threads. `path` is what errors call it.
pub(super) fn journal(
    files: &impl Files,
    path: &Path,
    lock: Option<File>,
    options: Options,
) -> Result<JournalStore, OpenError> {
    let open = |name| files.open(name).map_err(refused(path));
    let name = path.join(FILE_NAME);
    let tracked = Tracked::new(open(FILE_NAME)?);
    let logs = [open(log::FILE_NAMES[0])?, open(log::FILE_NAMES[1])?];
    let at = |error: redb::Error| failed(&name, tracked.last_read(), error);
    forget_unborn(&tracked, &logs).map_err(refused(&name))?;
    let (database, mut recovery) = database(&tracked, &name)?;
    let found = Head::read(&database, &name, &options, &at)?;
    let mut tables = TablesOnDisk::new(database, options.history);
    let mut image = Image::load(&mut tables, recovery).map_err(at)?;
    let mut changes = Batch::default();
    let (generation, first) = found.log;
    let read = log::read(&logs, generation, first, |record| {
        rows::read_batch(record, |step| image.apply(step, &mut changes))
    });
    let replayed = read.map_err(|error| match error {
        log::ReadError::Io(source) => refused(path)(source),
        log::ReadError::Damaged(file, offset, why) => damaged(&path.join(log::FILE_NAMES[file]), offset, why),
    })?;
    let sequence = first + replayed.records;
    recovery = match recovery {
        _ if replayed.is_torn => Recovery::TornTail,
        Recovery::Clean if replayed.records > 0 => Recovery::Crashed,
        other => other,
    };
    if recovery == Recovery::TornTail {
        tracing::warn!(journal = %path.display(), "the last flush was torn by a crash and is undone");
    }
    let next_id = changes.next_id.unwrap_or(found.next_id);
    let generation = rand::random();
    tables
        .write(Checkpoint { changes, generation, sequence }, |transaction| found.write(transaction))
        .map_err(at)?;
    shrink(tables.database(), &tracked).map_err(at)?;
    let Head { identity, incarnation, .. } = found;
    let shared = Arc::new(Shared::new(image.into_tables(options.history).map_err(at)?, next_id));
    let io = refused(path);
    let writer = Writer {
        shared: Arc::clone(&shared),
        log: Log::new(logs, generation, sequence).map_err(&io)?,
        checkpoints: Checkpoints::start(tables).map_err(&io)?,
        checkpoint_after: options.checkpoint_after,
        on_flush: options.on_flush,
        pending: Batch::default(),
        lock,
    };
    let thread = std::thread::Builder::new().name("seata-journal".into());
    let writer = thread.spawn(move || writer.run()).map_err(&io)?;
    Ok(JournalStore { identity, incarnation, recovery, shared, writer: Mutex::new(Some(writer)) })
}

/// Empties the engine's file if the first process of all died while it made it: the file has its length then
/// and perhaps a header, but neither its magic, which comes last, nor anything else.
fn forget_unborn(file: &Tracked, logs: &log::Files) -> io::Result<()> {
    const PAGE: u64 = 4096;
    let length = file.len()?;
    if length < PAGE || logs[0].len()? > 0 || logs[1].len()? > 0 {
        return Ok(());
    }
    let mut page = [0; PAGE as usize];
    file.read(0, &mut page)?;
    let magic = &page[..MAGIC.len()];
    let is_half = magic != MAGIC && magic.iter().zip(MAGIC).all(|(found, byte)| *found == 0 || found == byte);
    if !is_half {
        return Ok(());
    }
    for at in (PAGE..length).step_by(page.len()) {
        let page = &mut page[..(length - at).min(PAGE) as usize];
        file.read(at, page)?;
        if page.iter().any(|byte| *byte != 0) {
            return Ok(());
        }
    }
    file.set_len(0)
}

/// The engine over `tracked`, with everything in it checked.
fn database(tracked: &Tracked, name: &Path) -> Result<(Database, Recovery), OpenError> {
    let at = |error: DatabaseError| failed(name, tracked.last_read(), error);
    let mut recovery = Recovery::New;
    if tracked.len().map_err(refused(name))? > 0 {
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
    let overlay = Overlay::new(tracked.clone()).map_err(refused(name))?;
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
        Ok(Err(error)) => Err(failed(name, tracked.last_read(), error)),
        Err(_) => Err(damaged(name, tracked.last_read(), "a page makes no sense")),
    }
}

/// What the journal says of itself.
struct Head {
    identity: String,
    /// Of the life that begins.
    incarnation: u64,
    next_id: i64,
    /// Generation and first record of the log that belongs to the tables.
    log: (u64, u64),
}

impl Head {
    /// Reads it, or makes it for a new journal.
    fn read(
        database: &Database,
        name: &Path,
        options: &Options,
        at: &impl Fn(redb::Error) -> OpenError,
    ) -> Result<Self, OpenError> {
        let texts = meta(database).map_err(at)?;
        if texts.is_empty() {
            let identity = format!("{:08x}", rand::random::<u32>());
            return Ok(Self {
                identity,
                incarnation: 1,
                next_id: options.first_id,
                log: (rand::random(), 0),
            });
        }
        let text = |key: &str| {
            texts.get(key).cloned().ok_or_else(|| damaged(name, 0, format!("it does not tell its {key}")))
        };
        let (found, path) = (text(FORMAT)?, name.to_owned());
        match found.parse::<u32>() {
            Ok(FORMAT_VERSION) => {}
            Ok(format) if format > FORMAT_VERSION => return Err(OpenError::NewerFormat { path, found }),
            Ok(_) => return Err(OpenError::OlderFormat { path, found }),
            Err(_) => return Err(damaged(name, 0, format!("its format is {found:?}, expected a number"))),
        }
        let wrong = |key, text: &str| damaged(name, 0, format!("its {key} is {text:?}, expected a number"));
        let number = |key| text(key).and_then(|text| text.parse::<u64>().map_err(|_| wrong(key, &text)));
        let next_id = text(NEXT_ID)?;
        Ok(Self {
            identity: text(IDENTITY)?,
            incarnation: number(INCARNATION)? + 1,
            next_id: next_id.parse().map_err(|_| wrong(NEXT_ID, &next_id))?,
            log: (number(GENERATION)?, number(SEQUENCE)?),
        })
    }

    fn write(&self, to: &redb::WriteTransaction) -> Result<(), redb::Error> {
        let mut meta = to.open_table(META)?;
        meta.insert(FORMAT, FORMAT_VERSION.to_string().as_str())?;
        meta.insert(IDENTITY, self.identity.as_str())?;
        meta.insert(INCARNATION, self.incarnation.to_string().as_str())?;
        meta.insert(NEXT_ID, self.next_id.to_string().as_str())?;
        Ok(())
    }
}

/// All of [`META`]; nothing for a journal that never was written.
fn meta(database: &Database) -> Result<HashMap<String, String>, redb::Error> {
    let table = match database.begin_read()?.open_table(META) {
        Ok(table) => table,
        Err(TableError::TableDoesNotExist(_)) => return Ok(HashMap::new()),
        Err(error) => return Err(error.into()),
    };
    let mut texts = HashMap::new();
    for row in table.iter()? {
        let (key, text) = row?;
        texts.insert(key.value().to_owned(), text.value().to_owned());
    }
    Ok(texts)
}

/// What the journal holds, while it is being read.
#[derive(Default)]
struct Image {
    transactions: BTreeMap<TransactionId, TransactionRecord>,
    /// In order, as they are found: their transactions then lie close together too.
    branches: BTreeMap<BranchId, Arc<Branch>>,
    ended: Vec<Ended>,
}

impl Image {
    /// Reads the tables, unless the journal is new.
    fn load(tables: &mut TablesOnDisk, recovery: Recovery) -> Result<Self, redb::Error> {
        let mut image = Self::default();
        if recovery == Recovery::New {
            return Ok(image);
        }
        let transaction = tables.database().begin_read()?;
        let opened = transaction.open_table(TRANSACTIONS);
        if matches!(opened, Err(TableError::TableDoesNotExist(_))) {
            return Ok(image);
        }
        for row in opened?.iter()? {
            let (id, row) = row?;
            let record = rows::to_transaction(row.value()).ok_or_else(|| wrong("transaction", id.value()))?;
            image.transactions.insert(record.transaction.id, record);
        }
        for row in transaction.open_table(BRANCHES)?.iter()? {
            let (id, row) = row?;
            let branch = rows::to_branch(row.value()).ok_or_else(|| wrong("branch", id.value()))?;
            image.branches.insert(branch.id, Arc::new(branch));
        }
        for row in transaction.open_table(ENDED)?.iter()? {
            let (id, row) = row?;
            let (count, row) = row.value();
            let ended = rows::to_ended(row).ok_or_else(|| wrong("history", id.value() as i64))?;
            image.ended.extend(ended);
            tables.has_ended(id.value(), count);
        }
        Ok(image)
    }

    /// One change that the log tells of, which the tables on disk need too. `None` if it makes no sense.
    fn apply(&mut self, step: Step, changes: &mut Batch) -> Option<()> {
        match step {
            Step::Transaction(record) => {
                let id = record.transaction.id;
                changes.change_transaction(id, Change::Add(record.clone()));
                self.transactions.insert(id, record);
            }
            Step::Status { id, status, parked } => {
                let btree_map::Entry::Occupied(mut entry) = self.transactions.entry(id) else { return None };
                let record = entry.get_mut();
                (record.status, record.parked) = (status, parked);
                changes.change_transaction(id, Change::Put(record.clone()));
            }
            Step::TransactionGone(id) => {
                self.transactions.remove(&id);
                changes.change_transaction(id, Change::Remove);
            }
            Step::Branch(branch) => {
                let (id, branch) = (branch.id, Arc::new(branch));
                changes.change_branch(id, Change::Put(Arc::clone(&branch)));
                self.branches.insert(id, branch);
            }
            Step::BranchGone(id) => {
                self.branches.remove(&id);
                changes.change_branch(id, Change::Remove);
            }
            Step::NextId(next_id) => changes.next_id = Some(next_id),
            Step::Ended { id, status, at, reason } => {
                let transaction = Arc::clone(&self.transactions.get(&id)?.transaction);
                let ended = Ended { transaction, status, at, reason };
                self.ended.push(ended.clone());
                changes.ended.push((id, ended));
            }
        }
        Some(())
    }

    fn into_tables(self, history: usize) -> Result<Tables, redb::Error> {
        let snapshot = |(id, record): (_, TransactionRecord)| {
            let TransactionRecord { transaction, status, parked } = record;
            (id, Snapshot { transaction, status, parked, branches: Vec::new() })
        };
        let mut snapshots: BTreeMap<TransactionId, Snapshot> =
            self.transactions.into_iter().map(snapshot).collect();
        for branch in self.branches.into_values() {
            let owner = snapshots.get_mut(&branch.transaction);
            let owner = owner.ok_or_else(|| wrong("the transaction of branch", branch.id.0))?;
            owner.branches.push(branch);
        }
        let mut tables = Tables::new(history);
        snapshots.into_values().for_each(|snapshot| tables.restore(snapshot));
        self.ended.into_iter().for_each(|ended| tables.restore_ended(ended));
        Ok(tables)
    }
}

fn wrong(what: &str, id: i64) -> redb::Error {
    StorageError::Corrupted(format!("{what} {id} is malformed")).into()
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
    let mut file = owners_alone().open(path.join(LOCK_NAME))?;
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

/// What an error of the engine means: the disk failed, or what it has is not what was written there.
fn failed(name: &Path, offset: u64, error: impl Into<redb::Error>) -> OpenError {
    match error.into() {
        // What the engine misses or cannot read it reports in this way too.
        redb::Error::Io(source)
            if !matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof) =>
        {
            refused(name)(source)
        }
        redb::Error::PreviousIo => refused(name)(io::Error::other("an earlier read or write of it failed")),
        error => damaged(name, offset, error),
    }
}

fn damaged(name: &Path, offset: u64, reason: impl std::fmt::Display) -> OpenError {
    OpenError::Damaged { path: name.to_owned(), offset, reason: reason.to_string() }
}
