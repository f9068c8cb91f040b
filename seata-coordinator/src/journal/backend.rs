//! Layers under redb: where the last read was, and a try that leaves the file alone.

use std::{
    collections::{HashMap, hash_map::Entry},
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use redb::StorageBackend;

const PAGE: usize = 4096;

/// Passes everything on and remembers the offset of the last read: where the damage is when redb then
/// says that there is some.
#[derive(Clone, Debug)]
pub(super) struct Tracked {
    inner: Arc<dyn StorageBackend>,
    last_read: Arc<AtomicU64>,
}

impl Tracked {
    pub(super) fn new(inner: Arc<dyn StorageBackend>) -> Self {
        Self { inner, last_read: Arc::default() }
    }

    pub(super) fn last_read(&self) -> u64 {
        self.last_read.load(Ordering::Relaxed)
    }
}

impl StorageBackend for Tracked {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.last_read.store(offset, Ordering::Relaxed);
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }
}

/// Reads from `inner` and keeps writes to itself.
#[derive(Debug)]
pub(super) struct Overlay {
    inner: Tracked,
    changed: Mutex<Changed>,
}

#[derive(Debug)]
struct Changed {
    len: u64,
    pages: HashMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(super) fn new(inner: Tracked) -> io::Result<Self> {
        let len = inner.len()?;
        Ok(Self { inner, changed: Mutex::new(Changed { len, pages: HashMap::new() }) })
    }

    /// Calls `each` for every page of the range with the part of it that is meant: page number, where in
    /// the page, where in the range.
    fn pages(
        offset: u64,
        len: usize,
        mut each: impl FnMut(u64, usize, std::ops::Range<usize>) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut done = 0;
        while done < len {
            let at = offset + done as u64;
            let within = (at % PAGE as u64) as usize;
            let count = (PAGE - within).min(len - done);
            each(at / PAGE as u64, within, done..done + count)?;
            done += count;
        }
        Ok(())
    }

    fn original(&self, page: u64) -> io::Result<Box<[u8]>> {
        let mut bytes = vec![0; PAGE];
        let start = page * PAGE as u64;
        let have = self.inner.len()?.saturating_sub(start).min(PAGE as u64) as usize;
        if have > 0 {
            self.inner.read(start, &mut bytes[..have])?;
        }
        Ok(bytes.into())
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.changed.lock().expect("nothing panics under it").len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let changed = self.changed.lock().expect("nothing panics under it");
        if offset + out.len() as u64 > changed.len {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if changed.pages.is_empty() {
            return self.inner.read(offset, out);
        }
        Self::pages(offset, out.len(), |page, within, range| {
            let len = range.len();
            match changed.pages.get(&page) {
                Some(bytes) => out[range].copy_from_slice(&bytes[within..within + len]),
                None => out[range].copy_from_slice(&self.original(page)?[within..within + len]),
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.changed.lock().expect("nothing panics under it").len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut changed = self.changed.lock().expect("nothing panics under it");
        Self::pages(offset, data.len(), |page, within, range| {
            let bytes = match changed.pages.entry(page) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => entry.insert(self.original(page)?),
            };
            bytes[within..within + range.len()].copy_from_slice(&data[range]);
            Ok(())
        })
    }
}
