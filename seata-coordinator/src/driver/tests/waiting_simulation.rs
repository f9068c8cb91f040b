//! Many transactions that wait for each other's rows, are dropped, run out of time and end, from a seed.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::*;
use crate::{
    driver::{BranchAnswer, RegisterError},
    session::Phase,
    store::ConflictReason,
};

const SEEDS: u64 = 200;
const STEPS: usize = 150;
const ROWS: usize = 5;
const OPEN: usize = 8;

#[tokio::test]
async fn rows_are_passed_on_in_order_and_nobody_is_forgotten() {
    let first = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let mut granted = 0;
    let mut reasons = HashSet::new();
    for seed in first.map_or(0..SEEDS, |seed: u64| seed..seed + 1) {
        let world = World::new(seed).await.run().await;
        granted += world.granted_after_wait;
        reasons.extend(world.reasons);
    }
    if first.is_none() {
        assert!(granted > 400, "{granted} waits came to something");
        for reason in ["DeadLock", "HolderRollsBack", "WaitedFor", "Promised", "Held"] {
            assert!(reasons.contains(reason), "{reason} never happened");
        }
    }
}

type Pending = Pin<Box<dyn Future<Output = Result<BranchId, RegisterError>>>>;

/// A registration as its caller sees it.
struct Asked {
    /// What the branch is known by in the store.
    name: String,
    xid: Xid,
    rows: BTreeSet<usize>,
    pending: Pending,
    is_woken: Arc<Flag>,
}

#[derive(Debug, Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Undoes branches some time after it was asked to.
#[derive(Debug, Default)]
struct Slow {
    seed: Mutex<u64>,
}

impl Participants for Arc<Slow> {
    async fn commit(&self, _: BranchTask) -> Reached {
        Reached::Answered(BranchAnswer { status: done(Phase::Commit), reason: String::new() })
    }

    async fn rollback(&self, _: BranchTask) -> Reached {
        let turns = {
            let mut seed = self.seed.lock().unwrap();
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            *seed >> 58
        };
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
        Reached::Answered(BranchAnswer { status: done(Phase::Rollback), reason: String::new() })
    }
}

struct World {
    seed: u64,
    random: StdRng,
    clock: HandClock,
    driver: Driver<MemoryStore, HandClock>,
    running: Running,
    open: Vec<Xid>,
    asked: Vec<Asked>,
    /// Names of registrations that were refused or dropped while they waited.
    removed: HashSet<String>,
    count: usize,
    granted_after_wait: usize,
    reasons: HashSet<&'static str>,
}

impl World {
    async fn new(seed: u64) -> Self {
        let clock = HandClock::at(NOON);
        let participants = Arc::new(Slow { seed: Mutex::new(seed) });
        let (driver, running) = start(MemoryStore::new("test", 1_000), participants, &clock).await;
        Self {
            random: StdRng::seed_from_u64(seed),
            open: Vec::new(),
            asked: Vec::new(),
            removed: HashSet::new(),
            count: 0,
            granted_after_wait: 0,
            reasons: HashSet::new(),
            seed,
            clock,
            driver,
            running,
        }
    }

    async fn run(mut self) -> Self {
        for _ in 0..STEPS {
            match self.random.random_range(0..100) {
                0..15 if self.open.len() < OPEN => {
                    self.open.push(self.driver.begin(begin(true)).await.unwrap())
                }
                0..55 => self.ask().await,
                55..75 => self.decide().await,
                75..80 => self.drop_one(),
                80..88 => self.clock.advance(Duration::from_millis(300)).await,
                88..92 => self.fail_a_branch().await,
                // Others go on a little, and not to the end.
                _ => tokio::task::yield_now().await,
            }
            if self.random.random_bool(0.6) {
                self.poll_some().await;
            }
            if self.random.random_bool(0.3) {
                self.check().await;
            }
        }
        self.finish().await
    }

    async fn ask(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let xid = self.open[self.random.random_range(0..self.open.len())].clone();
        let rows: BTreeSet<usize> =
            (0..self.random.random_range(1..4)).map(|_| self.random.random_range(0..ROWS)).collect();
        let keys: Vec<String> = rows.iter().map(usize::to_string).collect();
        let keys: Vec<&str> = keys.iter().map(|key| &**key).collect();
        self.count += 1;
        let name = format!("r{}", self.count);
        let lock_wait = Duration::from_millis([0, 500, 1_000, 5_000][self.random.random_range(0..4)]);
        let request = BranchRequest {
            application_data: name.as_str().into(),
            lock_wait,
            ..branch(&xid, BranchType::At, "db", &keys)
        };
        let driver = self.driver.clone();
        let mut pending: Pending = Box::pin(async move { driver.register_branch(request).await });
        let is_woken = Arc::new(Flag::default());
        let waker = Waker::from(Arc::clone(&is_woken));
        let passed = self.not_to_be_passed(self.asked.len(), &xid, &rows);
        match pending.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => self.take_in(&name, answer, passed),
            Poll::Pending => self.asked.push(Asked { name, xid, rows, pending, is_woken }),
        }
    }

    /// Lets some of those that were woken look, in any order.
    async fn poll_some(&mut self) {
        for _ in 0..self.random.random_range(1..6) {
            let woken: Vec<usize> = (0..self.asked.len())
                .filter(|index| self.asked[*index].is_woken.0.load(Ordering::Relaxed))
                .collect();
            if woken.is_empty() {
                return;
            }
            let index = woken[self.random.random_range(0..woken.len())];
            self.poll(index);
        }
    }

    fn poll(&mut self, index: usize) {
        let (xid, rows) = (self.asked[index].xid.clone(), self.asked[index].rows.clone());
        let passed = self.not_to_be_passed(index, &xid, &rows);
        let asked = &mut self.asked[index];
        asked.is_woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&asked.is_woken));
        if let Poll::Ready(answer) = asked.pending.as_mut().poll(&mut Context::from_waker(&waker)) {
            let asked = self.asked.remove(index);
            self.granted_after_wait += usize::from(answer.is_ok());
            self.take_in(&asked.name, answer, passed);
        }
    }

    /// The first of those who came earlier and who have to get one of these rows earlier.
    fn not_to_be_passed(&self, index: usize, xid: &Xid, rows: &BTreeSet<usize>) -> Option<String> {
        let graph = self.graph();
        let mut earlier = self.asked[..index].iter();
        let first = earlier.find(|other| !other.rows.is_disjoint(rows) && !reaches(&graph, &other.xid, xid));
        first.map(|other| other.name.clone())
    }

    fn take_in(&mut self, name: &str, answer: Result<BranchId, RegisterError>, passed: Option<String>) {
        match answer {
            Ok(_) => assert_eq!(passed, None, "seed {}: {name} came first", self.seed),
            Err(RegisterError::LockConflict(conflict)) => {
                self.removed.insert(name.to_owned());
                self.reasons.insert(match conflict.reason {
                    ConflictReason::Held => "Held",
                    ConflictReason::Promised => "Promised",
                    ConflictReason::WaitedFor(_) => "WaitedFor",
                    ConflictReason::HolderRollsBack => "HolderRollsBack",
                    ConflictReason::DeadLock { .. } => "DeadLock",
                    ConflictReason::TooManyWait => "TooManyWait",
                });
            }
            Err(RegisterError::NotActive { .. }) => {
                self.removed.insert(name.to_owned());
            }
            Err(other) => panic!("seed {}: {other}", self.seed),
        }
    }

    fn drop_one(&mut self) {
        if !self.asked.is_empty() {
            let index = self.random.random_range(0..self.asked.len());
            let dropped = self.asked.remove(index);
            self.removed.insert(dropped.name);
        }
    }

    async fn decide(&mut self) {
        if self.open.is_empty() {
            return;
        }
        let xid = self.open.swap_remove(self.random.random_range(0..self.open.len()));
        let driver = self.driver.clone();
        let commits = self.random.random_bool(0.7);
        // The caller does not wait, and may be dropped; it is decided in any case.
        let mut request =
            Box::pin(
                async move { if commits { driver.commit(&xid).await } else { driver.rollback(&xid).await } },
            );
        if request.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
            && self.random.random_bool(0.5)
        {
            settle().await;
        }
    }

    async fn fail_a_branch(&mut self) {
        let held = self.driver.locks(usize::MAX).await.unwrap();
        let held: Vec<_> = held.into_iter().filter(|held| self.open.contains(&held.holder)).collect();
        if !held.is_empty() {
            let held = &held[self.random.random_range(0..held.len())];
            let failed = BranchStatus::PhaseOneFailed;
            self.driver.report_branch(&held.holder, held.branch, failed, None).await.unwrap();
        }
    }

    /// Who holds which row, from the store itself.
    fn holders(&self) -> HashMap<usize, Xid> {
        let mut locks = Box::pin(self.driver.locks(usize::MAX));
        let Poll::Ready(Ok(locks)) = locks.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
            panic!("a store in memory answers at once");
        };
        let mut holders = HashMap::new();
        for held in locks {
            let row = held.lock.key.as_str().parse().unwrap();
            assert!(holders.insert(row, held.holder).is_none(), "seed {}: two holders of {row}", self.seed);
        }
        holders
    }

    /// Who waits for whom, worked out from nothing but holders and the order of coming.
    fn graph(&self) -> HashMap<Xid, HashSet<Xid>> {
        let holders = self.holders();
        let mut graph: HashMap<Xid, HashSet<Xid>> = HashMap::new();
        for (index, asked) in self.asked.iter().enumerate() {
            let edges = graph.entry(asked.xid.clone()).or_default();
            edges.extend(asked.rows.iter().filter_map(|row| holders.get(row).cloned()));
            let earlier = self.asked[..index].iter().filter(|earlier| !earlier.rows.is_disjoint(&asked.rows));
            edges.extend(earlier.map(|earlier| earlier.xid.clone()));
        }
        graph
    }

    /// When everything has come to rest, everybody who still waits has somebody to wait for.
    async fn check(&mut self) {
        for _ in 0..100 {
            settle().await;
            let woken = self.asked.iter().position(|asked| asked.is_woken.0.load(Ordering::Relaxed));
            let Some(index) = woken else { break };
            self.poll(index);
        }
        let holders = self.holders();
        for (index, asked) in self.asked.iter().enumerate() {
            let is_held = asked.rows.iter().any(|row| holders.get(row).is_some_and(|xid| *xid != asked.xid));
            let is_behind = self.asked[..index].iter().any(|earlier| !earlier.rows.is_disjoint(&asked.rows));
            assert!(is_held || is_behind, "seed {}: {} is left behind", self.seed, asked.name);
        }
        assert_eq!(self.driver.stats().waiting, self.asked.len(), "seed {}", self.seed);
        for view in self.driver.transactions(usize::MAX).await.unwrap() {
            for branch in &view.snapshot.branches {
                let name = &*branch.application_data;
                assert!(!self.removed.contains(name), "seed {}: {name} was granted after all", self.seed);
            }
        }
    }

    /// All transactions end; everybody who waits is answered without a limit having to pass.
    async fn finish(mut self) -> Self {
        while !self.asked.is_empty() || !self.open.is_empty() {
            self.check().await;
            let waits: HashSet<Xid> = self.asked.iter().map(|asked| asked.xid.clone()).collect();
            let Some(index) = self.open.iter().position(|xid| !waits.contains(xid)) else {
                panic!("seed {}: all wait for each other", self.seed);
            };
            let xid = self.open.swap_remove(index);
            self.driver.commit(&xid).await.unwrap();
        }
        self.check().await;
        self.running.abort();
        self
    }
}

fn reaches(graph: &HashMap<Xid, HashSet<Xid>>, from: &Xid, to: &Xid) -> bool {
    let (mut seen, mut open) = (HashSet::new(), vec![from]);
    while let Some(current) = open.pop() {
        if current == to {
            return true;
        }
        if seen.insert(current) {
            open.extend(graph.get(current).into_iter().flatten());
        }
    }
    false
}
