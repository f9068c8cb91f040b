//! Open transactions: what each takes in memory and on disk, and how long a restart with many takes.
//!
//! `-- 1000000` sets how many; 100 000 unless told. Each figure is taken in a process of its own, as what
//! an allocator gave back once would hide what is taken next.

use std::{
    env,
    path::Path,
    process::{self, Command},
    sync::Arc,
    time::{Duration, Instant},
};

use seata_benches::{Table, is_measurement, resident_bytes, runtime};
use seata_coordinator::{
    Coordinator,
    driver::{BeginRequest, BranchRequest},
};
use seata_protocol::{BranchType, ResourceId, RowKey, RowLock};

fn main() {
    let arguments: Vec<String> = env::args().skip(1).filter(|argument| argument != "--bench").collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["fill", directory, end, count, branches, locks] => {
            let shape = Shape { count: number(count), branches: number(branches), locks: number(locks) };
            runtime().block_on(fill(directory, end, shape));
        }
        ["open", directory] => runtime().block_on(open(directory)),
        [] => measure(if is_measurement() { 100_000 } else { 1_000 }),
        [count] => measure(number(count)),
        _ => eprintln!("expected the number of open transactions, or nothing"),
    }
}

/// So many transactions, with so many branches each, with so many locks each.
#[derive(Clone, Copy)]
struct Shape {
    count: usize,
    branches: usize,
    locks: usize,
}

fn measure(count: usize) {
    let shape = |branches, locks| Shape { count, branches, locks };
    let [empty, branches, one, four] = [(0, 0), (2, 0), (2, 1), (2, 5)].map(|(branches, locks)| {
        let [bytes, ..] = child_fill("-", "exit", shape(branches, locks));
        bytes / count as f64
    });
    let mut table = Table::new(&["in memory", "bytes"]);
    table.row(["an open transaction without branches".to_owned(), format!("{empty:.0}")]);
    table.row(["a branch".to_owned(), format!("{:.0}", (branches - empty) / 2.0)]);
    table.row(["its first row lock".to_owned(), format!("{:.0}", (one - branches) / 2.0)]);
    table.row(["each further row lock".to_owned(), format!("{:.0}", (four - one) / 8.0)]);
    table.print(&format!("Resident memory, from {count} open transactions"));

    let mut table = Table::new(&[
        "a journal with 2 branches × 2 locks each",
        "file bytes each",
        "open again, s",
        "µs each",
        "resident bytes each",
    ]);
    for (end, title) in [("crash", "after a crash"), ("close", "after an orderly end")] {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().to_str().expect("a path in UTF-8");
        child_fill(path, end, shape(2, 2));
        let size = std::fs::metadata(directory.path().join("journal.redb")).expect("a journal").len() as f64;
        let [seconds, bytes, found] = child(&["open", path]);
        assert_eq!(found as usize, count, "every open transaction is found again");
        let count = count as f64;
        table.row([
            title.to_owned(),
            format!("{:.0}", size / count),
            format!("{seconds:.2}"),
            format!("{:.1}", seconds * 1e6 / count),
            format!("{:.0}", bytes / count),
        ]);
    }
    table.print(&format!("Restart with {count} open transactions"));
}

fn child_fill(directory: &str, end: &str, shape: Shape) -> [f64; 1] {
    let [count, branches, locks] =
        [shape.count, shape.branches, shape.locks].map(|number| number.to_string());
    child(&["fill", directory, end, &count, &branches, &locks])
}

/// Runs this program again with these arguments, and reads the numbers that it prints.
fn child<const FIGURES: usize>(arguments: &[&str]) -> [f64; FIGURES] {
    let program = env::current_exe().expect("this program");
    let output = Command::new(program).args(arguments).output().expect("a process");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("numbers");
    let figures: Vec<f64> = text.split_whitespace().map(|figure| figure.parse().expect("a number")).collect();
    figures.try_into().expect("as many figures as expected")
}

/// Leaves this much open, prints what it takes in memory, and ends as told.
async fn fill(directory: &str, end: &str, shape: Shape) {
    const WORKERS: usize = 512;
    let coordinator = match directory {
        "-" => Coordinator::in_memory(),
        directory => Coordinator::open(Path::new(directory)).await.expect("a new journal"),
    };
    let before = resident_bytes();
    let mut workers = tokio::task::JoinSet::new();
    for worker in 0..WORKERS {
        let coordinator = coordinator.clone();
        workers.spawn(async move {
            for transaction in (worker..shape.count).step_by(WORKERS) {
                leave_open(&coordinator, transaction, shape).await;
            }
        });
    }
    workers.join_all().await;
    println!("{}", resident_bytes().saturating_sub(before));
    if end == "close" {
        coordinator.shutdown(Duration::from_secs(60)).await.expect("an orderly end");
    }
    // Without a destructor: what is not durable now is lost.
    process::exit(0);
}

async fn leave_open(coordinator: &Coordinator, transaction: usize, shape: Shape) {
    let (resource, table): (ResourceId, Arc<str>) = ("jdbc:mysql://shop/storage".into(), "stock".into());
    let request = BeginRequest {
        application: "business".into(),
        group: "default_tx_group".into(),
        name: "purchase".into(),
        timeout: Duration::from_secs(24 * 60 * 60),
        // As if begun by another process, which may still be alive: nothing is rolled back at the start.
        is_local: false,
    };
    let xid = coordinator.begin(request).await.expect("a transaction");
    for branch in 0..shape.branches {
        let lock = |row| RowLock {
            resource: resource.clone(),
            table: Arc::clone(&table),
            key: RowKey::from_text(format!(
                "{}",
                (transaction * shape.branches + branch) * shape.locks + row
            ))
            .expect("not empty"),
        };
        let request = BranchRequest {
            xid: xid.clone(),
            branch_type: BranchType::At,
            resource: resource.clone(),
            locks: (0..shape.locks).map(lock).collect(),
            application_data: "".into(),
            client: "".into(),
            lock_wait: Duration::ZERO,
        };
        coordinator.register_branch(request).await.expect("a branch");
    }
}

/// Opens a journal again; prints how long that took, what it takes in memory, and what was found.
async fn open(directory: &str) {
    let (start, before) = (Instant::now(), resident_bytes());
    let coordinator = Coordinator::open(Path::new(directory)).await.expect("the journal");
    let (elapsed, bytes) = (start.elapsed(), resident_bytes() - before);
    let found = coordinator.transactions().await.expect("a listing").len();
    println!("{} {bytes} {found}", elapsed.as_secs_f64());
    process::exit(0);
}

fn number(text: &str) -> usize {
    text.parse().expect("a number")
}
