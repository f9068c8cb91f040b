//! What goes on while the disk takes its time.

use std::{
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, Xid};
use tokio::task::JoinHandle;

use super::{HandClock, NOON, Scripted, begin, branch, settle, start};
use crate::{
    driver::Driver,
    journal::{JournalStore, Options, tests::disk::Disk},
    record::{Branch, LockSet},
    session::Decision,
    store::Store,
};

/// Flushes end only when it lets them.
struct Gate {
    state: Arc<(Mutex<State>, Condvar)>,
}

struct State {
    /// So many flushes may still end.
    permits: usize,
    /// One waits.
    is_reached: bool,
}

impl Gate {
    fn open() -> Self {
        let state = State { permits: usize::MAX, is_reached: false };
        Self { state: Arc::new((Mutex::new(state), Condvar::new())) }
    }

    fn store(&self) -> JournalStore {
        let gate = Arc::clone(&self.state);
        let on_flush = Arc::new(move |_, _| {
            let (state, changed) = &*gate;
            let mut state = state.lock().unwrap();
            while state.permits == 0 {
                state.is_reached = true;
                state = changed.wait(state).unwrap();
            }
            state.is_reached = false;
            state.permits -= 1;
        });
        let options = Options { on_flush: Some(on_flush), ..Options::from(100) };
        JournalStore::open_on(Disk::default(), options).unwrap()
    }

    fn let_through(&self, flushes: usize) {
        self.lock().permits = flushes;
        self.state.1.notify_all();
    }

    async fn is_reached(&self) {
        while !self.lock().is_reached {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.0.lock().unwrap()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.let_through(usize::MAX);
    }
}

/// A further branch of `xid` with that much data. Others have numbers far below.
fn further(xid: &Xid, number: usize, data: usize) -> Branch {
    Branch {
        id: BranchId(1_000_000 + number as i64),
        transaction: xid.transaction_id(),
        branch_type: BranchType::Xa,
        status: BranchStatus::Registered,
        application_data: "d".repeat(data).into(),
        client: "".into(),
        registered_at: NOON,
        resource: "further".into(),
        locks: LockSet::new(&[]),
    }
}

/// From here on no flush ends, and the batch behind the one that is being written is full.
async fn fill_up(gate: &Gate, driver: &Driver<JournalStore, HandClock>) {
    let xid = driver.begin(begin(true)).await.unwrap();
    gate.let_through(0);
    drop(driver.store().register(further(&xid, 0, 0), usize::MAX));
    gate.is_reached().await;
    for number in 1..200 {
        drop(driver.store().register(further(&xid, number, 64_000), usize::MAX));
    }
}

/// How many flushes it takes until `task` is done while others register without pause.
async fn flushes_during<T>(
    gate: &Gate,
    driver: &Driver<JournalStore, HandClock>,
    task: impl FnOnce() -> JoinHandle<T>,
) -> (usize, T) {
    let xid = driver.begin(begin(true)).await.unwrap();
    gate.let_through(0);
    let mut flushing = driver.store().register(further(&xid, 0, 0), usize::MAX);
    gate.is_reached().await;
    let task = task();
    let mut flushes = 0;
    loop {
        let next = driver.store().register(further(&xid, flushes + 1, 0), usize::MAX);
        settle().await;
        if task.is_finished() {
            return (flushes, task.await.unwrap());
        }
        gate.let_through(1);
        flushing.await.unwrap();
        gate.is_reached().await;
        flushing = next;
        flushes += 1;
    }
}

#[tokio::test]
async fn a_begin_that_is_held_back_beyond_its_time_out_times_out() {
    let (gate, clock) = (Gate::open(), HandClock::at(NOON));
    let (driver, _running) = start(gate.store(), Scripted::new(), &clock).await;
    fill_up(&gate, &driver).await;
    let request = crate::driver::BeginRequest { timeout: Duration::from_millis(100), ..begin(true) };
    let held_back = tokio::spawn({
        let driver = driver.clone();
        async move { driver.begin(request).await }
    });
    clock.advance(Duration::from_secs(1)).await;
    assert!(!held_back.is_finished());
    gate.let_through(usize::MAX);
    let xid = held_back.await.unwrap().unwrap();
    clock.advance(Duration::from_secs(1)).await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::TimeoutRollbacked));
}

#[tokio::test]
async fn phase_two_goes_on_when_registrations_are_held_back() {
    let (gate, clock, participants) = (Gate::open(), HandClock::at(NOON), Scripted::new());
    participants.lose_resource("db");
    let (driver, _running) = start(gate.store(), Arc::clone(&participants), &clock).await;
    for key in 0..50 {
        let xid = driver.begin(begin(true)).await.unwrap();
        driver.register_branch(branch(&xid, BranchType::At, "db", &[&key.to_string()])).await.unwrap();
        driver.register_branch(branch(&xid, BranchType::At, "db", &[])).await.unwrap();
        assert_eq!(driver.rollback(&xid).await, Ok(GlobalStatus::Rollbacking));
    }
    let late = driver.begin(begin(true)).await.unwrap();
    fill_up(&gate, &driver).await;
    let held_back = tokio::spawn({
        let (driver, request) = (driver.clone(), branch(&late, BranchType::At, "db", &["late"]));
        async move { driver.register_branch(request).await }
    });
    settle().await;
    participants.find_resource("db");
    driver.resource_available(&"db".into());
    for _ in 0..100 {
        settle().await;
    }
    assert_eq!(driver.stats().open, 2, "the late one and the one with much data");
    assert_eq!(driver.stats().locks, 0);
    assert!(!held_back.is_finished());
    gate.let_through(usize::MAX);
    held_back.await.unwrap().unwrap();
    assert_eq!(driver.commit(&late).await, Ok(GlobalStatus::Committed));
}

#[tokio::test]
async fn a_list_of_parked_ones_does_not_wait_for_the_disk_for_each_of_them() {
    let (gate, clock, participants) = (Gate::open(), HandClock::at(NOON), Scripted::new());
    participants.lose_resource("db");
    let (driver, _running) = start(gate.store(), Arc::clone(&participants), &clock).await;
    for _ in 0..60 {
        let xid = driver.begin(begin(true)).await.unwrap();
        driver.register_branch(branch(&xid, BranchType::At, "db", &[])).await.unwrap();
        driver.force(&xid, Decision::Rollback, "by hand".into()).await.unwrap();
        driver.park(&xid, "later".into()).await.unwrap();
    }
    let list = || {
        let driver = driver.clone();
        tokio::spawn(async move { driver.parked().await })
    };
    let (flushes, parked) = flushes_during(&gate, &driver, list).await;
    assert_eq!(parked.unwrap().len(), 60);
    assert!(flushes <= 5, "{flushes} flushes");
}

#[tokio::test]
async fn a_question_for_very_many_rows_does_not_wait_for_the_disk_for_each_part_of_them() {
    let (gate, clock) = (Gate::open(), HandClock::at(NOON));
    let (driver, _running) = start(gate.store(), Scripted::new(), &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::At, "db", &["99999"])).await.unwrap();
    let keys: Vec<String> = (0..100_000).map(|key| key.to_string()).collect();
    let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
    let rows = branch(&xid, BranchType::At, "db", &keys).locks;
    let ask = || {
        let driver = driver.clone();
        tokio::spawn(async move { driver.query_locks(None, &rows).await })
    };
    let (flushes, answer) = flushes_during(&gate, &driver, ask).await;
    assert!(answer.unwrap_err().to_string().contains("stock:99999"));
    assert!(flushes <= 20, "{flushes} flushes");
}
