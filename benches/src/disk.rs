//! The disk: what it gives by itself, and how often it is asked.

use std::{
    fs::File,
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redb::backends::FileBackend;
use seata_coordinator::journal::{Files, StorageBackend};

/// Flushes per second of a bare append of one block and `fdatasync` in a file whose space is allocated:
/// the most that anybody who flushes one thing after another can have.
///
/// # Panics
/// When the file cannot be written.
pub fn flush_rate(directory: &Path, time: Duration) -> f64 {
    const SIZE: u64 = 16 * 1024 * 1024;
    const BLOCK: u64 = 4096;
    let file = File::create(directory.join("bare")).expect("a file");
    file.write_all_at(&vec![0; SIZE as usize], 0).expect("space");
    file.sync_all().expect("a flush");
    let (start, mut flushes) = (Instant::now(), 0);
    while start.elapsed() < time {
        file.write_all_at(&[7; BLOCK as usize], flushes * BLOCK % SIZE).expect("a write");
        file.sync_data().expect("a flush");
        flushes += 1;
    }
    flushes as f64 / start.elapsed().as_secs_f64()
}

/// A journal's directory that counts how often one of its files is flushed.
#[derive(Clone, Debug)]
pub struct CountedFiles {
    directory: PathBuf,
    flushes: Arc<AtomicU64>,
}

impl CountedFiles {
    /// Those of `directory`, and their counter.
    pub fn in_directory(directory: &Path) -> (Self, Arc<AtomicU64>) {
        let flushes = Arc::default();
        (Self { directory: directory.to_owned(), flushes: Arc::clone(&flushes) }, flushes)
    }
}

impl Files for CountedFiles {
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageBackend>> {
        let path = self.directory.join(name);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        let inner = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Arc::new(CountedFile { inner, flushes: Arc::clone(&self.flushes) }))
    }
}

#[derive(Debug)]
struct CountedFile {
    inner: FileBackend,
    flushes: Arc<AtomicU64>,
}

impl StorageBackend for CountedFile {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.flushes.fetch_add(1, Ordering::Relaxed);
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}
