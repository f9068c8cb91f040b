//! Opening a journal: what is found, what is refused.

use std::{
    collections::HashMap,
    fs::File,
    io,
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU8, Ordering},
    },
};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, ReadableTable, StorageBackend, TableError};

use crate::journal::{
    Files, JournalStore, Options,
    backend::{Overlay, Tracked},
    batch::Batch,
    checkpoint::{Checkpoint, Checkpoints, TablesOnDisk},
    image::Image,
    log::{self, Log},
    rows::{FORMAT, FORMAT_VERSION, GENERATION, IDENTITY, INCARNATION, META, NEXT_ID, SEQUENCE},
    shared::Shared,
    writer::Writer,
};

const FILE_NAME: &str = "journal.redb";
/// The tables are in memory: the engine's own cache only has to hold the upper pages of its trees.
const CACHE_BYTES: usize = 4 * 1024 * 1024;

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
    let found = Head::read(&database, &name)?.unwrap_or_else(|| Head::new(&options));
    let mut tables = TablesOnDisk::new(database, options.history);
    let tell = |percent| options.on_progress.iter().for_each(|hears| hears(percent));
    let mut image = Image::load(&mut tables, tell).map_err(at)?;
    let (generation, first) = found.log;
    let read = log::read(&logs, generation, first, |record| image.replay(record));
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
    let stored = image.stored();
    let (in_memory, changes) = image.into_tables(options.history).map_err(at)?;
    let next_id = changes.next_id.unwrap_or(found.next_id);
    let generation = rand::random();
    let io = refused(path);
    // Nothing is refused from here on: now it may be written.
    files.keep_names().map_err(&io)?;
    tables.write(Checkpoint { changes, generation, sequence }, |to| found.write(to)).map_err(at)?;
    shrink(tables.database(), stored, &tracked).map_err(at)?;
    let Head { identity, incarnation, .. } = found;
    let shared = Arc::new(Shared::new(in_memory, next_id));
    let writer = Writer {
        shared: Arc::clone(&shared),
        log: Log::new(logs, generation, sequence, options.checkpoint_after).map_err(&io)?,
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
        let mut database = builder.create_with_backend(overlay)?;
        let is_whole = database.check_integrity()?;
        Ok((database, is_whole))
    }));
    match looked {
        Ok(Ok((database, true))) => Head::read(&database, name).map(|_| Recovery::Clean),
        Ok(Err(DatabaseError::RepairAborted)) => Ok(Recovery::Crashed),
        Ok(Ok((_, false))) => Err(damaged(name, tracked.last_read(), "a page's checksum is wrong")),
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
    /// That of a new journal.
    fn new(options: &Options) -> Self {
        let identity = format!("{:08x}", rand::random::<u32>());
        Self { identity, incarnation: 1, next_id: options.first_id, log: (rand::random(), 0) }
    }

    /// Reads it; a new journal has none.
    fn read(database: &Database, name: &Path) -> Result<Option<Self>, OpenError> {
        let texts = meta(database).map_err(|error| failed(name, 0, error))?;
        if texts.is_empty() {
            return Ok(None);
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
        Ok(Some(Self {
            identity: text(IDENTITY)?,
            incarnation: number(INCARNATION)? + 1,
            next_id: next_id.parse().map_err(|_| wrong(NEXT_ID, &next_id))?,
            log: (number(GENERATION)?, number(SEQUENCE)?),
        }))
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

/// Gives back what a file that was once much fuller still occupies.
fn shrink(database: &mut Database, used: u64, file: &Tracked) -> Result<(), redb::Error> {
    if file.len()? >= SMALL_FILE && used.saturating_mul(4) < file.len()? {
        database.compact()?;
    }
    Ok(())
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
