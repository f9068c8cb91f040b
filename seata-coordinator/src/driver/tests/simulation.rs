//! Random requests, faults and crashes from a seed, with everything that was promised checked after each.

use std::{
    collections::{HashMap, HashSet},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Waker},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use seata_protocol::{BranchId, BranchStatus, BranchType, GlobalStatus, Xid};

use super::{HandClock, NOON, Running, begin, branch, done, settle, start, task_name};
use crate::{
    driver::{BranchAnswer, BranchTask, Driver, Participants, Reached},
    journal::{JournalStore, tests::disk::Disk},
    session::{Phase, is_parked},
};

const SEEDS: u64 = 30;
const STEPS: usize = 120;

#[tokio::test]
async fn whatever_happens_nothing_acknowledged_is_lost_and_nothing_is_left() {
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    for seed in first.map_or(0..SEEDS, |seed: u64| seed..seed + 1) {
        World::new(seed).await.run().await;
    }
}

/// What really happened to each branch; it lives through every crash of the coordinator.
#[derive(Debug)]
struct Databases {
    seed: u64,
    random: Mutex<StdRng>,
    outcomes: Mutex<HashMap<BranchId, Phase>>,
    by_transaction: Mutex<HashMap<Xid, Phase>>,
    are_faulty: Mutex<bool>,
}

impl Databases {
    fn answer(&self, phase: Phase, task: &BranchTask) -> Reached {
        if *self.are_faulty.lock().unwrap() {
            let status = match (self.random.lock().unwrap().random_range(0..20), phase) {
                (0, _) => return Reached::Unreachable { reason: "cut".into() },
                (1, _) => return Reached::NoSuchResource,
                (2 | 3, Phase::Commit) => BranchStatus::PhaseTwoCommitFailedRetryable,
                (2 | 3, Phase::Rollback) => BranchStatus::PhaseTwoRollbackFailedRetryable,
                (4, Phase::Commit) => BranchStatus::PhaseTwoCommitFailedUnretryable,
                (4, Phase::Rollback) => BranchStatus::PhaseTwoRollbackFailedUnretryable,
                _ => done(phase),
            };
            if status != done(phase) {
                return Reached::Answered(BranchAnswer { status, reason: "fault".into() });
            }
        }
        let seed = self.seed;
        let before = self.outcomes.lock().unwrap().insert(task.branch, phase);
        assert!(before.is_none_or(|before| before == phase), "seed {seed}: {} turned", task_name(task));
        let before = self.by_transaction.lock().unwrap().insert(task.xid.clone(), phase);
        assert!(before.is_none_or(|before| before == phase), "seed {seed}: {} is split", task_name(task));
        Reached::Answered(BranchAnswer { status: done(phase), reason: String::new() })
    }
}

impl Participants for Arc<Databases> {
    async fn commit(&self, task: BranchTask) -> Reached {
        tokio::task::yield_now().await;
        self.answer(Phase::Commit, &task)
    }

    async fn rollback(&self, task: BranchTask) -> Reached {
        tokio::task::yield_now().await;
        self.answer(Phase::Rollback, &task)
    }
}

/// The coordinator, and what its callers remember being told.
struct World {
    seed: u64,
    random: StdRng,
    clock: HandClock,
    disk: Disk,
    databases: Arc<Databases>,
    driver: Driver<JournalStore, HandClock>,
    running: Running,
    open: Vec<Xid>,
    branches: HashMap<BranchId, Xid>,
    failed: HashSet<BranchId>,
    told: HashMap<Xid, Phase>,
    /// No further try of them until somebody asks for one.
    stopped: HashSet<Xid>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let databases = Arc::new(Databases {
            seed,
            random: Mutex::new(StdRng::seed_from_u64(!seed)),
            outcomes: Mutex::default(),
            by_transaction: Mutex::default(),
            are_faulty: Mutex::new(true),
        });
        let (disk, clock) = (Disk::default(), HandClock::at(NOON));
        let store = JournalStore::open_on(disk.clone(), 1_000).unwrap();
        let (driver, running) = start(store, Arc::clone(&databases), &clock).await;
        Self {
            random: StdRng::seed_from_u64(seed),
            open: Vec::new(),
            branches: HashMap::new(),
            failed: HashSet::new(),
            told: HashMap::new(),
            stopped: HashSet::new(),
            seed,
            clock,
            disk,
            databases,
            driver,
            running,
        }
    }

    async fn run(mut self) {
        for _ in 0..STEPS {
            match self.random.random_range(0..100) {
                0..20 => self.begin().await,
                20..60 => self.register().await,
                60..80 => self.decide().await,
                80..85 => self.report_failure().await,
                85..88 => self.operate().await,
                88..93 => self.clock.advance(Duration::from_secs(2)).await,
                93..95 => self.clock.advance(Duration::from_secs(40)).await,
                95..97 => {
                    let resource = self.resource().into();
                    self.driver.resource_available(&resource);
                }
                _ => self.crash().await,
            }
            // Checking waits until all is durable; a crash is to come before that, too.
            if self.random.random_bool(0.5) {
                self.check().await;
            }
        }
        self.finish().await;
    }

    async fn begin(&mut self) {
        let is_local = self.random.random_bool(0.5);
        let request = self.driver.begin(begin(is_local));
        if let Some(Ok(xid)) = maybe_dropped(&mut self.random, request).await {
            self.open.push(xid);
        }
    }

    async fn register(&mut self) {
        let Some(xid) = self.open.choose(&mut self.random).cloned() else { return };
        let resource = self.resource();
        let is_at = self.random.random_bool(0.7);
        let keys: Vec<String> = (0..self.random.random_range(0..3))
            .map(|_| self.random.random_range(0..12).to_string())
            .collect();
        let keys: Vec<&str> = if is_at { keys.iter().map(|key| &**key).collect() } else { Vec::new() };
        let branch_type = if is_at { BranchType::At } else { BranchType::Tcc };
        let request = self.driver.register_branch(branch(&xid, branch_type, resource, &keys));
        if let Some(Ok(id)) = maybe_dropped(&mut self.random, request).await {
            self.branches.insert(id, xid);
        }
    }

    async fn decide(&mut self) {
        let Some(xid) = self.open.choose(&mut self.random).cloned() else { return };
        let driver = self.driver.clone();
        let commits = self.random.random_bool(0.6);
        let request = async { if commits { driver.commit(&xid).await } else { driver.rollback(&xid).await } };
        if let Some(Ok(status)) = maybe_dropped(&mut self.random, request).await {
            if status.is_commit() {
                self.tell(&xid, Phase::Commit);
            } else if status.is_rollback() {
                self.tell(&xid, Phase::Rollback);
            }
        }
    }

    fn tell(&mut self, xid: &Xid, phase: Phase) {
        let before = self.told.insert(xid.clone(), phase);
        assert!(before.is_none_or(|before| before == phase), "seed {}: {xid} was decided twice", self.seed);
    }

    async fn report_failure(&mut self) {
        let mine: Vec<_> = self.branches.iter().map(|(id, xid)| (*id, xid.clone())).collect();
        let Some((id, xid)) = mine.choose(&mut self.random) else { return };
        let status = self.driver.status(xid).await.unwrap();
        if status == GlobalStatus::Begin {
            let failed = BranchStatus::PhaseOneFailed;
            if self.driver.report_branch(xid, *id, failed, None).await.is_ok() {
                self.failed.insert(*id);
            }
        }
    }

    /// An operator stops a transaction, or has it tried again.
    async fn operate(&mut self) {
        let Some(xid) = self.open.choose(&mut self.random).cloned() else { return };
        let driver = self.driver.clone();
        if self.random.random_bool(0.6) {
            let request = driver.park(&xid, "by hand".into());
            if let Some(Ok(_)) = maybe_dropped(&mut self.random, request).await {
                self.stopped.insert(xid);
            }
        } else {
            self.stopped.remove(&xid);
            let _ = maybe_dropped(&mut self.random, driver.retry(&xid)).await;
        }
    }

    /// The machine dies; what its disk had not synced is lost or torn.
    async fn crash(&mut self) {
        self.running.abort();
        let left = self.disk.now();
        self.disk = if self.random.random_bool(0.5) { left.lost() } else { left.torn(self.random.random()) };
        if self.random.random_bool(0.2) {
            let now = *self.clock.now.borrow();
            self.clock = HandClock::at(now - 1_000_000);
        }
        let store = JournalStore::open_on(self.disk.clone(), 1_000).unwrap();
        (self.driver, self.running) = start(store, Arc::clone(&self.databases), &self.clock).await;
    }

    async fn check(&self) {
        let seed = self.seed;
        let views = self.driver.transactions(usize::MAX).await.unwrap();
        let by_xid: HashMap<_, _> =
            views.iter().map(|view| (view.snapshot.transaction.xid.clone(), &view.snapshot)).collect();
        for (xid, phase) in &self.told {
            if let Some(snapshot) = by_xid.get(xid) {
                let stands = match phase {
                    Phase::Commit => snapshot.status.is_commit(),
                    Phase::Rollback => snapshot.status.is_rollback(),
                };
                assert!(stands, "seed {seed}: {xid} was told {phase:?} and is {}", snapshot.status);
            }
        }
        for snapshot in self.stopped.iter().filter_map(|xid| by_xid.get(xid)) {
            let (xid, status) = (&snapshot.transaction.xid, snapshot.status);
            assert!(is_parked(status), "seed {seed}: {xid} was stopped and is {status}");
        }
        for (id, xid) in &self.branches {
            let is_there = by_xid
                .get(xid)
                .is_some_and(|snapshot| snapshot.branches.iter().any(|branch| branch.id == *id));
            let is_done = self.databases.outcomes.lock().unwrap().contains_key(id);
            assert!(
                is_there || is_done || self.failed.contains(id),
                "seed {seed}: branch {id} of {xid} is lost"
            );
        }
        for held in self.driver.locks(usize::MAX).await.unwrap() {
            // Phase two may have gone on between the two listings.
            let Some(snapshot) = by_xid.get(&held.holder) else { continue };
            let owner = snapshot.branches.iter().find(|branch| branch.id == held.branch);
            let owner = owner.unwrap_or_else(|| panic!("seed {seed}: {held:?} has no branch"));
            assert!(owner.locks.on(&owner.resource).any(|lock| lock == held.lock), "seed {seed}: {held:?}");
            assert!(!snapshot.status.is_commit(), "seed {seed}: {held:?} outlived the commit");
        }
    }

    /// The faults end; everything comes to its end.
    async fn finish(mut self) {
        *self.databases.are_faulty.lock().unwrap() = false;
        for _ in 0..200 {
            for resource in RESOURCES {
                self.driver.resource_available(&resource.into());
            }
            for view in self.driver.parked().await.unwrap() {
                self.driver.retry(&view.snapshot.transaction.xid).await.unwrap();
            }
            self.clock.advance(Duration::from_secs(10)).await;
            if self.driver.transactions(usize::MAX).await.unwrap().is_empty() {
                break;
            }
        }
        let seed = self.seed;
        let left = self.driver.transactions(usize::MAX).await.unwrap();
        assert!(left.is_empty(), "seed {seed}: left over: {left:#?}");
        assert!(self.driver.locks(usize::MAX).await.unwrap().is_empty(), "seed {seed}");
        let outcomes = self.databases.outcomes.lock().unwrap();
        for (id, xid) in self.branches.iter().filter(|(id, _)| !self.failed.contains(id)) {
            let outcome = outcomes.get(id);
            assert!(outcome.is_some(), "seed {seed}: branch {id} of {xid} never ended");
            if let Some(told) = self.told.get(xid) {
                assert_eq!(outcome, Some(told), "seed {seed}: branch {id} of {xid}");
            }
        }
        self.running.abort();
        self.open.clear();
    }

    fn resource(&mut self) -> &'static str {
        RESOURCES.choose(&mut self.random).unwrap()
    }
}

const RESOURCES: [&str; 2] = ["db-1", "db-2"];

/// Runs a request to its end, or drops it after a few polls.
async fn maybe_dropped<F: Future>(random: &mut StdRng, request: F) -> Option<F::Output> {
    if random.random_bool(0.8) {
        return Some(request.await);
    }
    let polls = random.random_range(0..4);
    let mut request: Pin<Box<F>> = Box::pin(request);
    for _ in 0..polls {
        let poll = request.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let std::task::Poll::Ready(output) = poll {
            return Some(output);
        }
        settle().await;
    }
    None
}
