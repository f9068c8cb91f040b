//! Disks that misbehave, in memory.

use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, MutexGuard},
};

use redb::StorageBackend;

/// A disk with a write cache: what was not synced is lost when the power goes.
#[derive(Clone, Debug, Default)]
pub(crate) struct Disk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// What survives.
    synced: Vec<u8>,
    /// What is seen.
    cached: Vec<u8>,
    /// Writes since the last sync, in order.
    unsynced: Vec<(u64, Vec<u8>)>,
    /// The disk after each sync, with what was being written up to the next one.
    history: Option<Vec<Moment>>,
    /// A build without the sync: it says yes and does nothing.
    ignores_sync: bool,
    /// No byte fits behind this one.
    capacity: Option<u64>,
}

/// What is on the disk if the power goes between two syncs.
#[derive(Clone, Debug)]
pub(crate) struct Moment {
    synced: Vec<u8>,
    unsynced: Vec<(u64, Vec<u8>)>,
}

impl Disk {
    /// A disk that already holds something.
    pub(crate) fn with(bytes: Vec<u8>) -> Self {
        let disk = Self::default();
        disk.state().cached.clone_from(&bytes);
        disk.state().synced = bytes;
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

    /// It has no room behind what it holds now.
    pub(crate) fn fill_up(&self) {
        let mut state = self.state();
        state.capacity = Some(state.cached.len() as u64);
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
        let state = self.state();
        Moment { synced: state.synced.clone(), unsynced: state.unsynced.clone() }
    }

    /// Everything, as after an orderly end.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        self.state().cached.clone()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl Moment {
    /// The disk with all that was not synced lost.
    pub(crate) fn lost(&self) -> Disk {
        Disk::with(self.synced.clone())
    }

    /// The disk on which some of the unsynced writes arrived, chosen by `seed`, the last of them torn.
    pub(crate) fn torn(&self, seed: u64) -> Disk {
        let mut bytes = self.synced.clone();
        // SplitMix64.
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        };
        // By the place they go to: a disk reorders freely.
        let writes: BTreeMap<u64, &Vec<u8>> =
            self.unsynced.iter().map(|(offset, data)| (*offset, data)).collect();
        let arrived: Vec<_> = writes.into_iter().filter(|_| next() % 2 == 0).collect();
        for (index, (offset, data)) in arrived.iter().enumerate() {
            let is_last = index + 1 == arrived.len();
            let length = if is_last { next() as usize % (data.len() + 1) } else { data.len() };
            let (start, end) = (*offset as usize, *offset as usize + length);
            if bytes.len() < end {
                bytes.resize(end, 0);
            }
            bytes[start..end].copy_from_slice(&data[..length]);
        }
        Disk::with(bytes)
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().cached.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        let start = offset as usize;
        let bytes = state.cached.get(start..start + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        if state.capacity.is_some_and(|capacity| len > capacity) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        state.cached.resize(len as usize, 0);
        // The length is kept at once, as a file system's journal may do; its content is not.
        if !state.ignores_sync {
            state.synced.resize(len as usize, 0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.state();
        let State { synced, cached, unsynced, history, ignores_sync, .. } = &mut *state;
        if let Some(history) = history {
            history.push(Moment { synced: synced.clone(), unsynced: unsynced.clone() });
        }
        if !*ignores_sync {
            synced.clone_from(cached);
            unsynced.clear();
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.capacity.is_some() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let start = offset as usize;
        state.cached[start..start + data.len()].copy_from_slice(data);
        state.unsynced.push((offset, data.to_vec()));
        Ok(())
    }
}
