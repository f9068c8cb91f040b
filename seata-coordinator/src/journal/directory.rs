//! A data directory: made, kept from others, and still there after a loss of power.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, SeekFrom, Write},
    path::Path,
    sync::Arc,
};

use redb::{StorageBackend, backends::FileBackend};

use crate::journal::{
    Files, JournalStore, OpenError, Options,
    open::{journal, refused},
};

const LOCK_NAME: &str = "lock";

/// Opens the journal in `path`, which is created if need be.
pub(super) fn open(path: &Path, options: Options) -> Result<JournalStore, OpenError> {
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
        Ok(Arc::new(FileBackend::new(file).map_err(io::Error::other)?))
    }

    fn keep_names(&self) -> io::Result<()> {
        #[cfg(unix)]
        {
            File::open(self.0)?.sync_all()?;
            // Whoever made the directory may not have seen to it that its own name survives.
            match File::open(parent(self.0)).and_then(|above| above.sync_all()) {
                Err(error) if !is_of_others(&error) => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        Ok(())
    }
}

/// Creates `path` and what is missing above it, so that their names survive too.
fn create(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    let missing: Vec<&Path> = path.ancestors().skip(1).take_while(|above| !above.exists()).collect();
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)?;
    #[cfg(unix)]
    for created in missing.into_iter().filter(|created| !created.as_os_str().is_empty()) {
        File::open(parent(created))?.sync_all()?;
    }
    Ok(())
}

/// Whether a directory above cannot be synced because it is none of this process: one that it may not read, or one
/// of a file system that the data directory is mounted into, and that is not written or not synced this way.
#[cfg(unix)]
fn is_of_others(error: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    matches!(error.kind(), PermissionDenied | InvalidInput | Unsupported | ReadOnlyFilesystem)
}

#[cfg(unix)]
fn parent(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens a file for reading and writing. One that is made is for its owner alone: it tells of others' data.
fn owners_alone() -> OpenOptions {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::fd::AsRawFd;

    use super::*;

    #[test]
    fn a_directory_above_that_cannot_be_synced_is_no_reason_not_to_start() {
        let data = tempfile::tempdir().unwrap();
        let held = File::open(data.path()).unwrap();
        let above = Path::new("/proc/self/fd");
        assert!(File::open(above).unwrap().sync_all().is_err(), "the test needs one that refuses");
        let path = above.join(held.as_raw_fd().to_string());
        open(&path, Options::from(0)).unwrap();
        assert!(Directory(above).keep_names().is_err(), "what it writes to has to be synced");
    }
}
