//! The driver under a clock that the tests turn by hand.

use std::{
    collections::HashSet,
    future::Future,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, ResourceId, RowKey, RowLock, Xid};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    driver::{BeginRequest, BranchRequest, BranchTask, Clock, Driver, Participants, Reached},
    journal::{JournalStore, tests::disk::Disk},
    record::Millis,
    session::{Decision, Phase},
    settings::Settings,
    store::{AnyStore, MemoryStore, Store, StoreError},
};

use participants::Scripted;

mod hand_over;
mod listing;
mod log;
mod operator;
mod participants;
mod saga;
mod simulation;
mod slow_disk;
mod waiting;
mod waiting_simulation;

/// Stands still until it is turned.
#[derive(Clone, Debug)]
struct HandClock {
    now: watch::Sender<Millis>,
}

impl HandClock {
    fn at(now: Millis) -> Self {
        Self { now: watch::Sender::new(now) }
    }

    /// Turns the clock in small steps, so that whoever sleeps wakes in time.
    async fn advance(&self, by: Duration) {
        for _ in 0..by.as_millis() / 100 {
            self.now.send_modify(|now| *now += 100);
            settle().await;
        }
    }
}

impl Clock for HandClock {
    fn now(&self) -> Millis {
        *self.now.borrow()
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        let mut now = self.now.subscribe();
        let until = *now.borrow() + duration.as_millis() as Millis;
        async move {
            let _ = now.wait_for(|now| *now >= until).await;
        }
    }
}

/// Lets every other task run until it waits.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

type Running = JoinHandle<Result<(), StoreError>>;

async fn start<S: Store, P: Participants>(
    store: S,
    participants: P,
    clock: &HandClock,
) -> (Driver<S, HandClock>, Running) {
    let settings = Settings { ids_per_block: 128, ..Settings::default() };
    let (driver, runner) =
        Driver::start(store, participants, clock.clone(), Box::new(|| 0.0), settings).await.unwrap();
    (driver, tokio::spawn(runner.run()))
}

async fn in_memory(
    participants: &Arc<Scripted>,
    clock: &HandClock,
) -> (Driver<MemoryStore, HandClock>, Running) {
    start(MemoryStore::new("test", 100), Arc::clone(participants), clock).await
}

const NOON: Millis = 1_700_000_000_000;
const HOUR: Millis = 3_600_000;

fn begin(is_local: bool) -> BeginRequest {
    BeginRequest {
        application: "shop".into(),
        group: "default_tx_group".into(),
        name: "buy".into(),
        timeout: Duration::from_secs(60),
        is_local,
    }
}

fn branch(xid: &Xid, branch_type: BranchType, resource: &str, keys: &[&str]) -> BranchRequest {
    let resource = ResourceId::from(resource);
    let lock = |key: &&str| RowLock {
        resource: resource.clone(),
        table: "stock".into(),
        key: RowKey::from_text(*key).unwrap(),
    };
    BranchRequest {
        xid: xid.clone(),
        branch_type,
        locks: keys.iter().map(lock).collect(),
        resource,
        application_data: "".into(),
        client: "".into(),
        lock_wait: Duration::ZERO,
    }
}

#[tokio::test]
async fn a_transaction_times_out_when_its_time_has_come_and_not_before() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::At, "db", &["1"])).await.unwrap();
    clock.advance(Duration::from_secs(60)).await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Begin));
    clock.advance(Duration::from_secs(1)).await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::TimeoutRollbacked));
}

#[tokio::test]
async fn a_commit_after_the_time_out_is_told_so_and_rolls_back() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::At, "db", &["1"])).await.unwrap();
    clock.now.send_modify(|now| *now += 60_001);
    assert_eq!(driver.commit(&xid).await, Ok(GlobalStatus::TimeoutRollbacking));
    settle().await;
    assert_eq!(driver.commit(&xid).await, Ok(GlobalStatus::TimeoutRollbacked));
}

#[tokio::test]
async fn pauses_between_tries_double_up_to_their_limit() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    let id = driver.register_branch(branch(&xid, BranchType::At, "db", &["1"])).await.unwrap();
    for _ in 0..9 {
        let reason = "no connection".to_owned();
        participants.will(id, Reached::Unreachable { reason });
    }
    let started = clock.now();
    assert_eq!(driver.rollback(&xid).await, Ok(GlobalStatus::RollbackRetrying));
    let view = driver.transactions(10).await.unwrap().remove(0);
    assert_eq!(view.reason.as_deref(), Some(&*format!("branch {id} on db: no connection")));
    let mut tries = Vec::new();
    while driver.status(&xid).await == Ok(GlobalStatus::RollbackRetrying) {
        clock.advance(Duration::from_millis(100)).await;
        let count = participants.calls().len();
        if count > tries.len() + 1 {
            tries.push((clock.now() - started) / 1000);
        }
    }
    assert_eq!(tries, [1, 3, 7, 15, 31, 63, 123, 183, 243]);
}

#[tokio::test]
async fn a_resource_that_never_answers_is_asked_again() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    let id = driver.register_branch(branch(&xid, BranchType::At, "db", &["1"])).await.unwrap();
    participants.hang_once(id);
    let caller = tokio::spawn({
        let (driver, xid) = (driver.clone(), xid.clone());
        async move { driver.rollback(&xid).await }
    });
    settle().await;
    clock.advance(Duration::from_secs(16)).await;
    assert_eq!(caller.await.unwrap(), Ok(GlobalStatus::RollbackRetrying));
    clock.advance(Duration::from_secs(2)).await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Rollbacked));
}

#[tokio::test]
async fn at_commits_of_one_resource_are_handed_over_together() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    participants.lose_resource("db");
    let (driver, _running) = in_memory(&participants, &clock).await;
    for key in 0..50 {
        let xid = driver.begin(begin(true)).await.unwrap();
        driver.register_branch(branch(&xid, BranchType::At, "db", &[&key.to_string()])).await.unwrap();
        assert_eq!(driver.commit(&xid).await, Ok(GlobalStatus::Committed));
    }
    settle().await;
    participants.find_resource("db");
    let before = participants.batches();
    driver.resource_available(&"db".into());
    settle().await;
    assert!(driver.transactions(100).await.unwrap().is_empty());
    assert_eq!(participants.batches() - before, 1);
}

#[tokio::test]
async fn no_crash_and_no_clock_repeats_an_xid() {
    let clock = HandClock::at(NOON);
    let mut disk = Disk::default();
    let mut seen = HashSet::new();
    for life in 0..3 {
        let store = JournalStore::open_on(disk.clone(), 0).unwrap();
        let (driver, running) = start(store, Scripted::new(), &clock).await;
        for _ in 0..1_000 {
            let xid = driver.begin(begin(true)).await.unwrap();
            assert!(seen.insert(xid.clone()), "{xid} came twice, in life {life}");
        }
        disk = disk.now().lost();
        clock.now.send_modify(|now| *now -= HOUR);
        running.abort();
    }
}

#[tokio::test]
async fn a_clock_set_back_prolongs_no_transaction() {
    let clock = HandClock::at(NOON);
    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    let (driver, running) = start(store, Scripted::new(), &clock).await;
    let xid = driver.begin(begin(false)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::At, "db", &["1"])).await.unwrap();
    running.abort();

    let clock = HandClock::at(NOON - HOUR);
    let store = JournalStore::open_on(disk.now().lost(), 100).unwrap();
    let (driver, _running) = start(store, Scripted::new(), &clock).await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Begin));
    clock.advance(Duration::from_secs(61)).await;
    for _ in 0..500 {
        if driver.status(&xid).await == Ok(GlobalStatus::TimeoutRollbacked) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it is still {:?}", driver.status(&xid).await);
}

#[tokio::test]
async fn a_store_that_fails_ends_the_runner_and_is_named_to_everybody() {
    let clock = HandClock::at(NOON);
    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    let (driver, running) = start(store, Scripted::new(), &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::Tcc, "tcc", &[])).await.unwrap();
    disk.fill_up();
    let error = driver.commit(&xid).await.unwrap_err();
    assert!(error.to_string().contains("journal cannot be written"), "{error}");
    assert!(driver.begin(begin(true)).await.is_err());
    drop(driver);
    running.abort();
}

#[tokio::test]
async fn telling_of_a_resource_is_never_lost_in_a_full_inbox() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    participants.lose_resource("db");
    let settings = Settings { inbox: 1, ..Settings::default() };
    let store = MemoryStore::new("test", 100);
    let started = Driver::start(store, Arc::clone(&participants), clock.clone(), Box::new(|| 0.0), settings);
    let (driver, runner) = started.await.unwrap();
    let _running = tokio::spawn(runner.run());
    let xid = driver.begin(begin(true)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::At, "db", &["1"])).await.unwrap();
    assert_eq!(driver.rollback(&xid).await, Ok(GlobalStatus::Rollbacking));

    // Nobody reads the inbox as long as this test does not wait.
    let mut blocker = Box::pin(driver.retry(&xid));
    assert!(blocker.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    participants.find_resource("db");
    driver.resource_available(&"db".into());
    drop(blocker);
    settle().await;
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Rollbacked));
}

/// As when the resource manager of one application is away, and that of another one has the same resource.
#[tokio::test]
async fn a_branch_that_backs_off_is_asked_at_once_when_its_resource_is_back() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let mut all = Vec::new();
    for resource in ["db", "other"] {
        let xid = driver.begin(begin(true)).await.unwrap();
        let id = driver.register_branch(branch(&xid, BranchType::Xa, resource, &[])).await.unwrap();
        for _ in 0..8 {
            let reason = "no client of this application".to_owned();
            participants.will(id, Reached::Unreachable { reason });
        }
        driver.rollback(&xid).await.unwrap();
        all.push((xid, id));
    }
    clock.advance(Duration::from_secs(100)).await;
    assert_eq!(participants.calls().len(), 14, "both wait for a minute now");
    let [(xid, id), (other, _)] = &all[..] else { unreachable!() };
    driver.resource_available(&"db".into());
    settle().await;
    assert_eq!(participants.calls().len(), 15, "one more try, of one");
    driver.resource_available(&"db".into());
    settle().await;
    assert_eq!(participants.calls().last(), Some(&(Phase::Rollback, *id)));
    assert_eq!(driver.status(xid).await, Ok(GlobalStatus::Rollbacked));
    assert_eq!(driver.status(other).await, Ok(GlobalStatus::RollbackRetrying));
    driver.force(other, Decision::Rollback, "no".into()).await.unwrap();
    driver.give_up(other, "gone".into()).await.unwrap();
    driver.resource_available(&"other".into());
    settle().await;
    assert_eq!(participants.calls().len(), 16, "nothing is left to ask");
}

/// More than one turn takes.
#[tokio::test]
async fn thousands_that_are_due_at_once_are_all_done() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    for _ in 0..5_000 {
        let xid = driver.begin(begin(true)).await.unwrap();
        let id = driver.register_branch(branch(&xid, BranchType::Tcc, "tcc", &[])).await.unwrap();
        participants.will(id, Reached::Unreachable { reason: "away".to_owned() });
    }
    clock.now.send_modify(|now| *now += 61_000);
    for _ in 0..1_000 {
        settle().await;
    }
    assert_eq!(participants.calls().len(), 5_000, "all have timed out");
    clock.now.send_modify(|now| *now += 2_000);
    for _ in 0..1_000 {
        settle().await;
    }
    assert_eq!(participants.calls().len(), 10_000, "all were tried again");
    assert_eq!(driver.stats().open, 0);
}

#[tokio::test]
async fn starters_behind_a_resource_that_nobody_has_are_told_to_go_on() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    participants.lose_resource("db");
    let (driver, _running) = in_memory(&participants, &clock).await;
    let mut starters = tokio::task::JoinSet::new();
    for key in 0..50 {
        let xid = driver.begin(begin(true)).await.unwrap();
        driver.register_branch(branch(&xid, BranchType::At, "db", &[&key.to_string()])).await.unwrap();
        let driver = driver.clone();
        starters.spawn(async move { driver.rollback(&xid).await });
    }
    let answers = tokio::time::timeout(Duration::from_secs(10), starters.join_all()).await;
    assert_eq!(answers.expect("the clock stands still"), vec![Ok(GlobalStatus::Rollbacking); 50]);
}

#[tokio::test]
async fn what_is_decided_is_watched_no_longer() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    for key in 0..300 {
        let mut long = begin(true);
        long.timeout = Duration::from_secs(key);
        let xid = driver.begin(long).await.unwrap();
        if key % 2 == 0 {
            driver.commit(&xid).await.unwrap();
        } else {
            driver.rollback(&xid).await.unwrap();
        }
    }
    assert!(driver.shared.deadlines.due(Millis::MAX, 1).is_empty());
}

#[tokio::test]
async fn what_a_dead_life_left_open_is_rolled_back_at_once() {
    let clock = HandClock::at(NOON);
    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    let (driver, running) = start(store, Scripted::new(), &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::At, "db", &["1"])).await.unwrap();
    running.abort();

    let store = JournalStore::open_on(disk.now().lost(), 100).unwrap();
    let (driver, _running) = start(store, Scripted::new(), &clock).await;
    for _ in 0..500 {
        if driver.status(&xid).await == Ok(GlobalStatus::Rollbacked) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("the clock stood still, and it is {:?}", driver.status(&xid).await);
}

#[tokio::test]
async fn a_runner_that_ended_with_its_store_is_told_from_one_that_was_stopped() {
    let clock = HandClock::at(NOON);
    let disk = Disk::default();
    let store = JournalStore::open_on(disk.clone(), 0).unwrap();
    let (driver, running) = start(store, Scripted::new(), &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    let late = driver.begin(begin(true)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::Tcc, "tcc", &[])).await.unwrap();
    disk.fill_up();
    assert!(driver.commit(&late).await.is_err());
    clock.advance(Duration::from_secs(61)).await;
    assert!(running.await.unwrap().is_err(), "the time-out met the failed store");
    let error = driver.commit(&xid).await.unwrap_err();
    assert!(error.to_string().contains("journal cannot be written"), "{error}");
    let error = driver.retry(&xid).await.unwrap_err();
    assert!(error.to_string().contains("journal cannot be written"), "{error}");
}

#[tokio::test]
async fn a_saga_ends_as_its_starter_says() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::Saga, "shop#default_tx_group", &[])).await.unwrap();
    assert_eq!(driver.report(&xid, GlobalStatus::Committed).await, Ok(GlobalStatus::Committed));
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Committed));
    let other = driver.begin(begin(true)).await.unwrap();
    assert_eq!(driver.report(&other, GlobalStatus::Committed).await, Ok(GlobalStatus::Begin));
}

#[tokio::test]
async fn no_report_reverses_a_decision() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    participants.lose_resource("shop#default_tx_group");
    let (driver, _running) = in_memory(&participants, &clock).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    driver.register_branch(branch(&xid, BranchType::Saga, "shop#default_tx_group", &[])).await.unwrap();
    assert_eq!(driver.rollback(&xid).await, Ok(GlobalStatus::Rollbacking));
    for opposite in [GlobalStatus::Committed, GlobalStatus::CommitRetrying, GlobalStatus::CommitFailed] {
        assert_eq!(driver.report(&xid, opposite).await, Ok(GlobalStatus::Rollbacking));
    }
    assert_eq!(driver.status(&xid).await, Ok(GlobalStatus::Rollbacking));
    assert_eq!(driver.report(&xid, GlobalStatus::Rollbacked).await, Ok(GlobalStatus::Rollbacked));
}

#[tokio::test]
async fn limits_are_checked_before_anything_changes() {
    let (participants, clock) = (Scripted::new(), HandClock::at(NOON));
    let (driver, _running) = in_memory(&participants, &clock).await;
    let mut long = begin(true);
    long.name = "n".repeat(2_000).into();
    let error = driver.begin(long).await.unwrap_err();
    assert_eq!(error.to_string(), "the name is 2000 bytes long, at most 1024 are allowed");
    let xid = driver.begin(begin(true)).await.unwrap();
    let mut big = branch(&xid, BranchType::At, "db", &["1"]);
    big.application_data = "d".repeat(64_001).into();
    let error = driver.register_branch(big).await.unwrap_err();
    assert_eq!(error.to_string(), "the application data is 64001 bytes long, at most 64000 are allowed");
    let mut foreign = branch(&xid, BranchType::At, "db", &["1"]);
    foreign.locks[0].resource = "other".into();
    let error = driver.register_branch(foreign).await.unwrap_err();
    assert_eq!(error.to_string(), "row stock:1 in other cannot be locked by a branch on db");
    assert!(driver.locks(10).await.unwrap().is_empty());
    assert!(driver.report_branch(&xid, BranchId(1), BranchStatus::PhaseOneDone, None).await.is_err());
}

fn done(phase: crate::session::Phase) -> BranchStatus {
    match phase {
        crate::session::Phase::Commit => BranchStatus::PhaseTwoCommitted,
        crate::session::Phase::Rollback => BranchStatus::PhaseTwoRollbacked,
    }
}

fn task_name(task: &BranchTask) -> String {
    format!("branch {} of {}", task.branch, task.xid)
}

/// Whoever serves many requests moves their futures about.
#[tokio::test]
async fn the_future_of_a_request_is_small() {
    let store = JournalStore::open_on(Disk::default(), 0).unwrap();
    let store = AnyStore::Journal(Box::new(store));
    let (driver, _running) = start(store, Scripted::new(), &HandClock::at(NOON)).await;
    let xid = driver.begin(begin(true)).await.unwrap();
    let request = branch(&xid, BranchType::At, "db", &["1"]);
    for (request, size) in [
        ("begin", size_of_val(&driver.begin(begin(true)))),
        ("register", size_of_val(&driver.register_branch(request))),
        ("report", size_of_val(&driver.report_branch(&xid, BranchId(1), BranchStatus::PhaseOneDone, None))),
        ("query", size_of_val(&driver.query_locks(Some(&xid), &[]))),
        ("commit", size_of_val(&driver.commit(&xid))),
        ("status", size_of_val(&driver.status(&xid))),
    ] {
        assert!(size <= 1_024, "the future of a {request} takes {size} bytes");
    }
}
