//! Disks that misbehave, in memory.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use redb::StorageBackend;

use crate::journal::Files;

/// A disk with a write cache: what was not synced is lost when the power goes, in each file by itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, FileState>,
    /// The disk at each sync, with what was being written up to then.
    history: Option<Vec<Moment>>,
    /// A build without the sync: it says yes and does nothing.
    ignores_sync: bool,
    /// So many writes are taken before the disk is full.
    room: Option<usize>,
    /// Reads fail.
    is_broken: bool,
}

#[derive(Clone, Debug, Default)]
struct FileState {
    /// What survives.
    synced: Vec<u8>,
    /// What is seen.
    cached: Vec<u8>,
    /// Writes since the last sync, in order.
    unsynced: Vec<(u64, Vec<u8>)>,
}

/// What is on the disk if the power goes between two syncs.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    files: BTreeMap<String, FileState>,
}

/// One file of it.
#[derive(Debug)]
struct DiskFile {
    disk: Disk,
    name: String,
}

impl Disk {
    /// A disk that already holds something.
    pub(crate) fn with(files: BTreeMap<String, Vec<u8>>) -> Self {
        let disk = Self::default();
        let file = |bytes: Vec<u8>| FileState { synced: bytes.clone(), cached: bytes, unsynced: Vec::new() };
        disk.state().files = files.into_iter().map(|(name, bytes)| (name, file(bytes))).collect();
        disk
    }

    /// A disk that remembers what a loss of power at each sync would have left.
    pub(crate) fn recording() -> Self {
        let disk = Self::default();
        disk.state().history = Some(Vec::new());
        disk
    }

    /// Its syncs do nothing from now on.
    pub(crate) fn ignore_syncs(&self) {
        self.state().ignores_sync = true;
    }

    /// Every write fails from now on, as on a full disk.
    pub(crate) fn fill_up(&self) {
        self.fill_up_after(0);
    }

    /// Every write fails after so many.
    pub(crate) fn fill_up_after(&self, writes: usize) {
        self.state().room = Some(writes);
    }

    /// Every read fails from now on.
    pub(crate) fn break_down(&self) {
        self.state().is_broken = true;
    }

    /// How many syncs there were.
    pub(crate) fn syncs(&self) -> usize {
        self.state().history.as_ref().map_or(0, Vec::len)
    }

    /// What would be left if the power had gone just before sync number `index`.
    pub(crate) fn before_sync(&self, index: usize) -> Moment {
        self.state().history.as_ref().expect("the disk records")[index].clone()
    }

    /// What would be left if the power went now.
    pub(crate) fn now(&self) -> Moment {
        Moment { files: self.state().files.clone() }
    }

    /// Everything, as after an orderly end.
    pub(crate) fn bytes(&self) -> BTreeMap<String, Vec<u8>> {
        self.state().files.iter().map(|(name, file)| (name.clone(), file.cached.clone())).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Moment {
    /// The disk with all that was not synced lost.
    pub(crate) fn lost(&self) -> Disk {
        Disk::with(self.files.iter().map(|(name, file)| (name.clone(), file.synced.clone())).collect())
    }

    /// The disk on which some of the unsynced writes arrived, chosen by `seed`, the last of each file torn.
    pub(crate) fn torn(&self, seed: u64) -> Disk {
        // SplitMix64.
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        Disk::with(self.files.iter().map(|(name, file)| (name.clone(), file.torn(&mut next))).collect())
    }
}

impl FileState {
    fn torn(&self, next: &mut impl FnMut() -> u64) -> Vec<u8> {
        let mut bytes = self.synced.clone();
        // By the place they go to: a disk reorders freely.
        let writes: BTreeMap<u64, &Vec<u8>> =
            self.unsynced.iter().map(|(offset, data)| (*offset, data)).collect();
        let arrived: Vec<_> = writes.into_iter().filter(|_| next().is_multiple_of(2)).collect();
        for (index, (offset, data)) in arrived.iter().enumerate() {
            let is_last = index + 1 == arrived.len();
            let length = if is_last { next() as usize % (data.len() + 1) } else { data.len() };
            let (start, end) = (*offset as usize, *offset as usize + length);
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(&data[..length]);
        }
        bytes
    }
}

impl Files for Disk {
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageBackend>> {
        self.state().files.entry(name.to_owned()).or_default();
        Ok(Arc::new(DiskFile { disk: self.clone(), name: name.to_owned() }))
    }
}

impl DiskFile {
    fn with<T>(&self, act: impl FnOnce(&mut FileState) -> T) -> T {
        act(self.disk.state().files.get_mut(&self.name).expect("it was opened"))
    }
}

impl StorageBackend for DiskFile {
    fn len(&self) -> io::Result<u64> {
        Ok(self.with(|file| file.cached.len() as u64))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        if self.disk.state().is_broken {
            return Err(io::Error::other("the disk is broken"));
        }
        self.with(|file| {
            let start = offset as usize;
            let bytes = file.cached.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
            out.copy_from_slice(bytes);
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.disk.state();
        let State { files, ignores_sync, room, .. } = &mut *state;
        let file = files.get_mut(&self.name).expect("it was opened");
        if *room == Some(0) && len > file.cached.len() as u64 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.cached.resize(len as usize, 0);
        // The length is kept at once, as a file system's journal may do; its content is not.
        if !*ignores_sync {
            file.synced.resize(len as usize, 0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.state();
        let State { files, history, ignores_sync, .. } = &mut *state;
        if let Some(history) = history {
            history.push(Moment { files: files.clone() });
        }
        if !*ignores_sync {
            let file = files.get_mut(&self.name).expect("it was opened");
            file.synced.clone_from(&file.cached);
            file.unsynced.clear();
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.disk.state();
        if let Some(room) = &mut state.room {
            *room = room.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
        }
        let file = state.files.get_mut(&self.name).expect("it was opened");
        let start = offset as usize;
        file.cached[start..start + data.len()].copy_from_slice(data);
        file.unsynced.push((offset, data.to_vec()));
        Ok(())
    }
}
