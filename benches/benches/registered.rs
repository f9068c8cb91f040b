//! Global transactions with two branches of two locks each, whose participants answer at once: what
//! the coordinator does for an application, beside what the disk can do.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use seata_benches::{
    Table,
    disk::{CountedFiles, flush_rate},
    load::{self, Turn},
    median, middle, ratio, rounds, runtime, turn,
};
use seata_coordinator::{
    driver::{
        BeginRequest, BranchAnswer, BranchRequest, BranchTask, Driver, Participants, Reached, SystemClock,
    },
    journal::JournalStore,
    settings::Settings,
    store::{MemoryStore, Store},
};
use seata_protocol::{BranchStatus, BranchType, GlobalStatus, ResourceId, RowKey, RowLock};

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    runtime().block_on(measure(directory.path()));
}

async fn measure(directory: &Path) {
    let history = Settings::default().history;
    let (files, flushes) = CountedFiles::in_directory(directory);
    let memory = start(MemoryStore::new("bench".to_owned(), history)).await;
    let journal = start(JournalStore::open_on(files, history).expect("a new journal")).await;
    let mut table = Table::new(&[
        "2 branches × 2 locks",
        "concurrency",
        "per second",
        "CPU µs each",
        "flushes each",
        "to memory",
        "to C·F/3",
        "drained in ms",
    ]);
    let mut all_bare = Vec::new();
    for concurrency in [1, 64, 512] {
        for end in [End::Commit, End::Rollback] {
            let (mut in_memory, mut durable) = (Vec::new(), Vec::new());
            let (mut bare, mut flushed) = (Vec::new(), Vec::new());
            for _ in 0..rounds() {
                in_memory.push(one_turn(&memory, end, concurrency).await);
                bare.push(flush_rate(directory, turn(Duration::from_millis(200))));
                let before = flushes.load(Ordering::Relaxed);
                let turn = one_turn(&journal, end, concurrency).await;
                flushed.push((flushes.load(Ordering::Relaxed) - before) as f64 / turn.done as f64);
                durable.push(turn);
            }
            all_bare.extend(&bare);
            // Three flushes in a row, each shared by all.
            let limits = bare.iter().map(|bare| concurrency as f64 * bare / 3.0);
            let of_limit = median(durable.iter().zip(limits).map(|(turn, limit)| turn.rate() / limit));
            table.row([
                format!("{end:?}, memory"),
                concurrency.to_string(),
                format!("{:.0}", middle(&in_memory, Turn::rate)),
                format!("{:.1}", middle(&in_memory, Turn::cpu_each)),
                String::new(),
                String::new(),
                String::new(),
                format!("{:.0}", middle(&in_memory, |turn| turn.drained.as_secs_f64() * 1e3)),
            ]);
            table.row([
                format!("{end:?}, journal"),
                concurrency.to_string(),
                format!("{:.0}", middle(&durable, Turn::rate)),
                format!("{:.1}", middle(&durable, Turn::cpu_each)),
                format!("{:.3}", median(flushed)),
                format!("{:.2}", ratio(&durable, &in_memory, Turn::rate)),
                format!("{of_limit:.2}"),
                format!("{:.0}", middle(&durable, |turn| turn.drained.as_secs_f64() * 1e3)),
            ]);
        }
    }
    let title =
        "Begin, two registrations, end. C is the concurrency, F the bare flush rate of the same round";
    table.print(&format!("{title}: {:.0}/s in the middle", median(all_bare)));
}

#[derive(Clone, Copy, Debug)]
enum End {
    Commit,
    Rollback,
}

/// A coordinator on this store, whose runner ends with the process.
async fn start<S: Store>(store: S) -> Driver<S, SystemClock> {
    let jitter = Box::new(|| 0.5);
    let started = Driver::start(store, Willing, SystemClock::new(), jitter, Settings::default()).await;
    let (driver, runner) = started.expect("an empty store");
    tokio::spawn(runner.run());
    driver
}

async fn one_turn<S: Store>(driver: &Driver<S, SystemClock>, end: End, concurrency: usize) -> Turn {
    let names = Arc::new(Names::new());
    let count = Arc::new(AtomicU64::new(0));
    let worker = driver.clone();
    let work = move |_, _| -> BoxFuture<'static, ()> {
        let first_row = 4 * count.fetch_add(1, Ordering::Relaxed);
        Box::pin(transaction(worker.clone(), Arc::clone(&names), end, first_row))
    };
    let drain = async {
        while !driver.transactions(1).await.expect("a running coordinator").is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    load::run(concurrency, turn(Duration::from_millis(400)), work, drain).await
}

async fn transaction<S: Store>(driver: Driver<S, SystemClock>, names: Arc<Names>, end: End, first_row: u64) {
    let request = BeginRequest {
        application: Arc::clone(&names.application),
        group: Arc::clone(&names.group),
        name: Arc::clone(&names.transaction),
        timeout: Duration::from_secs(60),
        is_local: true,
    };
    let xid = driver.begin(request).await.expect("a transaction");
    for row in [first_row, first_row + 2] {
        let lock = |row: u64| RowLock {
            resource: names.resource.clone(),
            table: Arc::clone(&names.table),
            key: RowKey::from_text(row.to_string()).expect("not empty"),
        };
        let request = BranchRequest {
            xid: xid.clone(),
            branch_type: BranchType::At,
            resource: names.resource.clone(),
            locks: vec![lock(row), lock(row + 1)],
            application_data: "".into(),
            client: "".into(),
            lock_wait: Duration::ZERO,
        };
        driver.register_branch(request).await.expect("a branch");
    }
    match end {
        End::Commit => assert_eq!(driver.commit(&xid).await, Ok(GlobalStatus::Committed)),
        End::Rollback => assert_eq!(driver.rollback(&xid).await, Ok(GlobalStatus::Rollbacked)),
    }
}

struct Names {
    application: Arc<str>,
    group: Arc<str>,
    transaction: Arc<str>,
    resource: ResourceId,
    table: Arc<str>,
}

impl Names {
    fn new() -> Self {
        Self {
            application: "bench".into(),
            group: "default_tx_group".into(),
            transaction: "purchase".into(),
            resource: "db".into(),
            table: "stock".into(),
        }
    }
}

/// Does at once whatever it is asked.
struct Willing;

impl Participants for Willing {
    async fn commit(&self, _: BranchTask) -> Reached {
        answer(BranchStatus::PhaseTwoCommitted)
    }

    async fn rollback(&self, _: BranchTask) -> Reached {
        answer(BranchStatus::PhaseTwoRollbacked)
    }
}

fn answer(status: BranchStatus) -> Reached {
    Reached::Answered(BranchAnswer { status, reason: String::new() })
}
