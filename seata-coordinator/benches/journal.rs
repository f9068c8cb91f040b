//! What durability costs here: the journal's engine beside a bare append and `fdatasync` of the same
//! records on the same disk, and whole transactions through a coordinator.
//!
//! `cargo bench -p seata-coordinator --features embedded`; the directory is `TMPDIR`. For a profiler one part
//! runs alone: `-- flushes`, `-- transactions journal 2 64` (store, branches, concurrency), `-- open 1000000`.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use seata_coordinator::{
    Coordinator, Participant,
    driver::{BeginRequest, BranchAnswer, BranchRequest, BranchTask},
    settings::Settings,
};
use seata_protocol::{BranchStatus, BranchType, RowKey, RowLock, Xid};

const RECORD: usize = 200;
const TABLE: redb::TableDefinition<i64, &[u8]> = redb::TableDefinition::new("records");

fn main() {
    // `cargo test --benches` runs this too: one short round then.
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let time = Duration::from_millis(if is_bench { 1500 } else { 10 });
    let directory = tempfile::tempdir().expect("a temporary directory");
    let directory = directory.path();
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let number = |text: &str| text.parse::<usize>().expect("a number");
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {
            flushes(directory, time);
            transactions(directory, time, &LOADS);
            open_transactions(directory, if is_bench { 100_000 } else { 100 });
        }
        ["flushes"] => flushes(directory, time),
        ["transactions", store, branches, concurrent] => {
            transactions(directory, time, &[(store, number(branches), number(concurrent))]);
        }
        ["open", count] => open_transactions(directory, number(count)),
        _ => eprintln!("expected nothing, or the name of a part and its numbers"),
    }
}

/// Store, branches of a transaction, transactions at a time.
const LOADS: [(&str, usize, usize); 6] = [
    ("memory", 0, 64),
    ("memory", 2, 64),
    ("journal", 0, 64),
    ("journal", 2, 1),
    ("journal", 2, 64),
    ("journal", 2, 512),
];

/// Batches of records, one flush each. The engine also removes the batch before last, so that both keep
/// the size of what is open.
fn flushes(directory: &Path, time: Duration) {
    println!("batch | bare flushes/s | redb flushes/s | ratio | bare CPU µs/record | redb CPU µs/record");
    for batch in [1, 4, 16, 64, 256] {
        let bare = bare(directory, batch, time);
        let redb = engine(directory, batch, time);
        println!(
            "{batch:5} | {:14.0} | {:14.0} | {:5.2} | {:18.1} | {:18.1}",
            bare.0,
            redb.0,
            redb.0 / bare.0,
            bare.1,
            redb.1
        );
    }
}

fn bare(directory: &Path, batch: usize, time: Duration) -> (f64, f64) {
    let file = File::create(directory.join("bare")).expect("a file");
    let size = 64 * 1024 * 1024;
    file.write_all_at(&vec![0; size as usize], 0).expect("space");
    file.sync_all().expect("a flush");
    let record = [7; RECORD];
    let mut at = 0;
    rate(batch, time, || {
        let bytes = record.repeat(batch);
        file.write_all_at(&bytes, at).expect("a write");
        at = (at + bytes.len() as u64) % (size - 1024 * 1024);
        file.sync_data().expect("a flush");
    })
}

fn engine(directory: &Path, batch: usize, time: Duration) -> (f64, f64) {
    let path = directory.join("engine");
    let _ = std::fs::remove_file(&path);
    let database = redb::Database::create(path).expect("a database");
    let record = [7; RECORD];
    let (mut next, batch_size) = (0, batch as i64);
    rate(batch, time, || {
        let transaction = database.begin_write().expect("a transaction");
        {
            let mut table = transaction.open_table(TABLE).expect("a table");
            for id in next..next + batch_size {
                table.insert(id, &record[..]).expect("a record");
                table.remove(id - 2 * batch_size).expect("a removal");
            }
        }
        transaction.commit().expect("a flush");
        next += batch_size;
    })
}

/// Rounds per second, and µs of CPU per record.
fn rate(batch: usize, time: Duration, mut round: impl FnMut()) -> (f64, f64) {
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut rounds = 0;
    while start.elapsed() < time {
        round();
        rounds += 1;
    }
    let per_record = (cpu_time() - cpu).as_secs_f64() * 1e6 / (rounds * batch) as f64;
    (rounds as f64 / start.elapsed().as_secs_f64(), per_record)
}

struct Willing;

impl Participant for Willing {
    fn commit(&self, _: BranchTask) -> futures_core::future::BoxFuture<'_, BranchAnswer> {
        let answer = BranchAnswer { status: BranchStatus::PhaseTwoCommitted, reason: String::new() };
        Box::pin(std::future::ready(answer))
    }

    fn rollback(&self, _: BranchTask) -> futures_core::future::BoxFuture<'_, BranchAnswer> {
        let answer = BranchAnswer { status: BranchStatus::PhaseTwoRollbacked, reason: String::new() };
        Box::pin(std::future::ready(answer))
    }
}

/// Begin, so many branches with two fresh locks each, commit.
fn transactions(directory: &Path, time: Duration, loads: &[(&str, usize, usize)]) {
    println!("store | branches | concurrent | transactions/s | CPU µs/transaction");
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .expect("a runtime");
    for &(store, branches, concurrent) in loads {
        let path = directory.join(format!("tc-{branches}-{concurrent}"));
        let (rate, cpu) = runtime.block_on(async {
            let tc = match store {
                "memory" => Coordinator::in_memory_with(Settings::default()),
                _ => Coordinator::open(path).await.expect("a coordinator"),
            };
            tc.attach("db".into(), Arc::new(Willing)).await;
            let (start, cpu) = (Instant::now(), cpu_time());
            let mut workers = tokio::task::JoinSet::new();
            for worker in 0..concurrent {
                workers.spawn(work(tc.clone(), worker, branches, start + time));
            }
            let done: u64 = workers.join_all().await.into_iter().sum();
            let elapsed = start.elapsed();
            while !tc.transactions().await.expect("a listing").is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            let drained = start.elapsed() - elapsed;
            let cpu = (cpu_time() - cpu).as_secs_f64() * 1e6 / done as f64;
            tc.shutdown(Duration::from_secs(5)).await.expect("an orderly end");
            assert!(drained < Duration::from_secs(5), "phase two lags behind by {drained:?}");
            (done as f64 / elapsed.as_secs_f64(), cpu)
        });
        println!("{store:7} | {branches:8} | {concurrent:10} | {rate:14.0} | {cpu:10.1}");
    }
}

/// What open transactions cost: memory, file, restart. Two branches with two locks each.
fn open_transactions(directory: &Path, count: usize) {
    const CONCURRENT: usize = 512;
    let path = directory.join("open");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let tc = Coordinator::open(&path).await.expect("a coordinator");
        let before = resident();
        let start = Instant::now();
        let mut workers = tokio::task::JoinSet::new();
        for worker in 0..CONCURRENT {
            let tc = tc.clone();
            workers.spawn(async move {
                for number in (worker..count).step_by(CONCURRENT) {
                    open_one(&tc, worker, number, 2).await;
                }
            });
        }
        workers.join_all().await;
        let (opened, used) = (start.elapsed(), resident().saturating_sub(before));
        tc.shutdown(Duration::from_secs(5)).await.expect("an orderly end");
        drop(tc);
        let file = std::fs::metadata(path.join("journal.redb")).expect("a file").len();
        let start = Instant::now();
        let tc = Coordinator::open(&path).await.expect("a coordinator");
        let restarted = start.elapsed();
        println!(
            "{count} open transactions: begun in {opened:.1?}, {} bytes of memory and {} bytes of file each, \
             restart in {restarted:.1?}",
            used / count as u64,
            file / count as u64
        );
        // They are of a dead life: all roll back.
        tc.attach("db".into(), Arc::new(Willing)).await;
        let start = Instant::now();
        while !tc.transactions().await.expect("a listing").is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let rolled_back = start.elapsed();
        tc.shutdown(Duration::from_secs(5)).await.expect("an orderly end");
        let file = std::fs::metadata(path.join("journal.redb")).expect("a file").len();
        println!("all rolled back in {rolled_back:.1?}; the file then has {file} bytes");
    });
}

/// Resident memory of this process in bytes.
fn resident() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    statm
        .split_whitespace()
        .nth(1)
        .and_then(|pages| pages.parse::<u64>().ok())
        .map_or(0, |pages| pages * 4096)
}

async fn work(tc: Coordinator, worker: usize, branches: usize, until: Instant) -> u64 {
    let mut done = 0;
    while Instant::now() < until {
        let xid = open_one(&tc, worker, done, branches).await;
        tc.commit(&xid).await.expect("a commit");
        done += 1;
    }
    done as u64
}

async fn open_one(tc: &Coordinator, worker: usize, number: usize, branches: usize) -> Xid {
    let request = BeginRequest {
        application: "bench".into(),
        group: "default_tx_group".into(),
        name: "buy".into(),
        timeout: Duration::from_secs(600),
        is_local: true,
    };
    let xid = tc.begin(request).await.expect("a transaction");
    for branch in 0..branches {
        let lock = |row: usize| RowLock {
            resource: "db".into(),
            table: "stock".into(),
            key: RowKey::from_text(format!("{worker}-{number}-{branch}-{row}")).expect("not empty"),
        };
        let request = BranchRequest {
            xid: xid.clone(),
            branch_type: BranchType::At,
            resource: "db".into(),
            locks: vec![lock(0), lock(1)],
            application_data: "".into(),
            client: "".into(),
            lock_wait: Duration::ZERO,
        };
        tc.register_branch(request).await.expect("a branch");
    }
    xid
}

/// User and system time of this process.
fn cpu_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
