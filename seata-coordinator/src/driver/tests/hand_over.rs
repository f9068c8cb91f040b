//! A row that passes from one transaction to the next, on a disk.

use std::{
    io,
    pin::Pin,
    sync::{Condvar, Mutex},
};

use redb::StorageBackend;

use super::*;
use crate::{driver::RegisterError, journal::Files, store::Found};

/// A disk that syncs only so many times, and then hangs.
#[derive(Clone, Debug)]
struct Hanging {
    disk: Disk,
    syncs: Arc<(Mutex<Syncs>, Condvar)>,
}

#[derive(Debug, Default)]
struct Syncs {
    left: usize,
    /// Somebody waits for one more.
    is_hanging: bool,
}

#[derive(Debug)]
struct HangingFile(Arc<dyn StorageBackend>, Hanging);

impl Hanging {
    fn new() -> Self {
        let syncs = Syncs { left: usize::MAX, is_hanging: false };
        Self { disk: Disk::default(), syncs: Arc::new((Mutex::new(syncs), Condvar::new())) }
    }

    fn leave(&self, syncs: usize) {
        self.syncs.0.lock().unwrap().left = syncs;
        self.syncs.1.notify_all();
    }

    async fn hangs(&self) {
        while !self.syncs.0.lock().unwrap().is_hanging {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Lets everything go when a test ends, however it does: the journal waits for its last sync.
struct LetsGo(Hanging);

impl Drop for LetsGo {
    fn drop(&mut self) {
        self.0.leave(usize::MAX);
    }
}

impl Files for Hanging {
    fn open(&self, name: &str) -> io::Result<Arc<dyn StorageBackend>> {
        Ok(Arc::new(HangingFile(self.disk.open(name)?, self.clone())))
    }
}

impl StorageBackend for HangingFile {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        let (syncs, changed) = &*self.1.syncs;
        let mut syncs = syncs.lock().unwrap();
        while syncs.left == 0 {
            syncs.is_hanging = true;
            syncs = changed.wait(syncs).unwrap();
        }
        syncs.is_hanging = false;
        syncs.left -= usize::from(syncs.left < usize::MAX);
        drop(syncs);
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.0.write(offset, data)
    }
}

type Tc = Driver<JournalStore, HandClock>;
type Pending<T> = Pin<Box<dyn Future<Output = T> + Send>>;

async fn on(files: impl Files) -> (Tc, Running) {
    let store = JournalStore::open_on(files, 100).unwrap();
    start(store, Scripted::new(), &HandClock::at(NOON)).await
}

fn register(driver: &Tc, xid: &Xid, key: &str) -> Pending<Result<BranchId, RegisterError>> {
    let request =
        BranchRequest { lock_wait: Duration::from_secs(5), ..branch(xid, BranchType::At, "db", &[key]) };
    let driver = driver.clone();
    Box::pin(async move { driver.register_branch(request).await })
}

async fn is_pending<T>(pending: &mut Pending<T>) -> bool {
    settle().await;
    let is_pending = pending.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending();
    settle().await;
    is_pending
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("no further flush is waited for")
}

/// While a flush is under way one holder commits and the next one gets its row: one more flush is for both.
#[tokio::test]
async fn one_flush_does_for_a_commit_and_for_who_gets_its_rows() {
    let disk = Hanging::new();
    let (driver, running) = on(disk.clone()).await;
    let _lets_go = LetsGo(disk.clone());
    let mut xids = Vec::new();
    for _ in 0..3 {
        xids.push(driver.begin(begin(true)).await.unwrap());
    }
    register(&driver, &xids[0], "1").await.unwrap();
    let mut next = register(&driver, &xids[1], "1");
    assert!(is_pending(&mut next).await);
    disk.leave(0);
    let mut other = register(&driver, &xids[2], "2");
    assert!(is_pending(&mut other).await);
    disk.hangs().await;
    let (committing, xid) = (driver.clone(), xids[0].clone());
    let mut commit: Pending<_> = Box::pin(async move { committing.commit(&xid).await });
    assert!(is_pending(&mut commit).await);
    assert!(is_pending(&mut next).await, "nothing of it is on the disk");
    assert_eq!(driver.store().counts().locks, 2, "the row has passed on");
    disk.leave(2);
    in_time(other).await.unwrap();
    assert_eq!(in_time(commit).await, Ok(GlobalStatus::Committed));
    in_time(next).await.unwrap();
    running.abort();
}

/// Power is lost at each sync of a row's way through many hands: what was acknowledged is there, and so is all
/// that it depends on.
#[tokio::test]
async fn nobody_has_a_row_before_it_was_given_up_whenever_the_power_goes() {
    const HANDS: usize = 12;
    let disk = Disk::recording();
    let (driver, running) = on(disk.clone()).await;
    let mut xids = Vec::new();
    for _ in 0..HANDS {
        xids.push(driver.begin(begin(false)).await.unwrap());
    }
    let mut waiting: Vec<_> = xids.iter().map(|xid| tokio::spawn(register(&driver, xid, "1"))).collect();
    // Each with how many syncs there had been when it was answered.
    let (mut registered, mut committed) = (Vec::new(), Vec::new());
    for (xid, waiting) in xids.iter().zip(&mut waiting) {
        in_time(waiting).await.unwrap().unwrap();
        registered.push(disk.syncs());
        assert_eq!(driver.commit(xid).await, Ok(GlobalStatus::Committed));
        committed.push(disk.syncs());
    }
    running.abort();
    for sync in 0..disk.syncs() {
        let moment = disk.before_sync(sync);
        for left in std::iter::once(moment.lost()).chain((1..=3).map(|seed| moment.torn(seed))) {
            let store = JournalStore::open_on(left, 100).unwrap();
            let mut is_free = true;
            for (hand, xid) in xids.iter().enumerate() {
                let found = store.find(xid.transaction_id()).await.unwrap();
                let (has_branch, is_decided) = match &found {
                    Found::Open(found) => (!found.branches.is_empty(), found.status != GlobalStatus::Begin),
                    Found::Ended(_) => (true, true),
                    Found::Unknown => (false, false),
                };
                assert!(has_branch || registered[hand] > sync, "sync {sync}, {hand}: {found:?}");
                assert!(is_decided || committed[hand] > sync, "sync {sync}, {hand}: {found:?}");
                assert!(is_free || !(has_branch || is_decided), "sync {sync}: {hand} has it too early");
                is_free &= is_decided;
            }
        }
    }
}
