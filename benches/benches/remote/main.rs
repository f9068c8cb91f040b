//! Global transactions over TCP: this client beside Java's own, on one Java server.
//!
//! `cargo bench -p seata-benches --features interop --bench remote`. Needs a JDK and Maven. The two take turns; each
//! has one pair of connections and its defaults, and Java's has a thread for each transaction at a time. A bare
//! socket shows what is left of the cost of one at a time when a client does nothing but write and read.

mod bare;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use futures_util::future::BoxFuture;
use seata_benches::{
    Table,
    java::Java,
    load::{self, Turn},
    middle, ratio, resident_bytes, rounds, runtime, turn,
};
use seata_client::{RemoteCoordinator, Services, Settings};
use seata_context::{
    BeginRequest, BranchAnswer, BranchRegistration, BranchTask, Resource, ResourceManager as _,
    TransactionManager as _,
};
use seata_protocol::{BranchType, GlobalStatus, ResourceId, RowKey, RowLock};
use seata_tests::java::Server;

use self::bare::Bare;

const RESOURCE: &str = "jdbc:bench:rust";
/// What is done before anything is measured: compilers and caches.
const WARM_UPS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Work {
    /// Begin, commit.
    Empty,
    /// Begin, register an AT branch with one lock, commit.
    Branch,
}

/// One turn, and the memory of the process after it.
struct Measured {
    turn: Turn,
    resident: u64,
}

fn main() {
    runtime().block_on(measure());
}

async fn measure() {
    let server = Server::start_with(&["-Xmx1g", "-Dlogging.level.root=WARN"]).await;
    let rust = Rust::start(&server.address()).await;
    let mut java = Java::start("Bench", &server.address(), &[]);
    for work in [Work::Empty, Work::Branch] {
        for _ in 0..WARM_UPS {
            in_java(&mut java, work, 64);
            rust.turn(work, 64).await;
        }
    }
    let mut table = Table::new(&[
        "work",
        "concurrency",
        "Java/s",
        "Rust/s",
        "ratio",
        "Java CPU µs",
        "Rust CPU µs",
        "ratio",
        "Java MiB",
        "Rust MiB",
    ]);
    for (work, name) in [(Work::Empty, "begin, commit"), (Work::Branch, "begin, branch, commit")] {
        for concurrency in [1, 64, 512] {
            let (mut javas, mut rusts) = (Vec::new(), Vec::new());
            for _ in 0..rounds() {
                javas.push(in_java(&mut java, work, concurrency));
                rusts.push(rust.turn(work, concurrency).await);
            }
            let rate = |measured: &Measured| measured.turn.rate();
            let cpu = |measured: &Measured| measured.turn.cpu_each();
            let memory = |measured: &Measured| measured.resident as f64 / f64::from(1 << 20);
            table.row([
                name.to_owned(),
                concurrency.to_string(),
                format!("{:.0}", middle(&javas, rate)),
                format!("{:.0}", middle(&rusts, rate)),
                format!("{:.2}", ratio(&rusts, &javas, rate)),
                format!("{:.1}", middle(&javas, cpu)),
                format!("{:.1}", middle(&rusts, cpu)),
                format!("{:.2}", ratio(&rusts, &javas, cpu)),
                format!("{:.0}", middle(&javas, memory)),
                format!("{:.0}", middle(&rusts, memory)),
            ]);
        }
    }
    table.print("Global transactions on a Java server");
    compare_with_bare(&server.address(), &rust).await;
}

async fn compare_with_bare(server: &str, rust: &Rust) {
    let (mut bares, mut rusts) = (Vec::new(), Vec::new());
    for _ in 0..rounds() {
        // A new one each time: the server closes what says nothing for a while.
        bares.push(Bare::start(server).turn(length()));
        rusts.push(rust.turn(Work::Empty, 1).await.turn);
    }
    let mut table = Table::new(&["begin, commit; one at a time", "per second", "CPU µs", "ratio"]);
    for (name, turns) in [("a bare socket", &bares), ("Rust", &rusts)] {
        table.row([
            name.to_owned(),
            format!("{:.0}", middle(turns, Turn::rate)),
            format!("{:.1}", middle(turns, Turn::cpu_each)),
            format!("{:.2}", ratio(turns, &bares, Turn::cpu_each)),
        ]);
    }
    table.print("What the sockets cost");
}

fn in_java(java: &mut Java, work: Work, concurrency: usize) -> Measured {
    let work = match work {
        Work::Empty => "empty",
        Work::Branch => "branch",
    };
    let (turn, resident) = java.turn(work, concurrency, length());
    Measured { turn, resident }
}

fn length() -> Duration {
    turn(Duration::from_secs(2))
}

/// This client, in this process.
struct Rust {
    coordinator: RemoteCoordinator,
    finished: Arc<AtomicU64>,
    /// Branches registered, which also numbers the rows.
    registered: Arc<AtomicU64>,
}

impl Rust {
    async fn start(server: &str) -> Self {
        let settings = Settings::new(Services::servers([server]));
        let coordinator = RemoteCoordinator::connect("bench-rust", "default_tx_group", settings)
            .await
            .expect("the server is there");
        let finished = Arc::<AtomicU64>::default();
        let rows = Rows { id: RESOURCE.into(), finished: finished.clone() };
        coordinator.register_resource(Arc::new(rows)).await.expect("the server takes it");
        Self { coordinator, finished, registered: Arc::default() }
    }

    async fn turn(&self, work: Work, concurrency: usize) -> Measured {
        let (coordinator, registered) = (self.coordinator.clone(), self.registered.clone());
        let resource = ResourceId::from(RESOURCE);
        let transaction = move |_, _| {
            let (coordinator, registered) = (coordinator.clone(), registered.clone());
            let resource = resource.clone();
            async move {
                let request = BeginRequest { name: "bench".to_owned(), timeout: Duration::from_secs(60) };
                let xid = coordinator.begin(request).await.expect("a transaction");
                if matches!(work, Work::Branch) {
                    let row = registered.fetch_add(1, Ordering::Relaxed) + 1;
                    let key = RowKey::from_text(row.to_string()).expect("a number is a key");
                    let lock = RowLock { resource: resource.clone(), table: "bench".into(), key };
                    let registration = BranchRegistration {
                        xid: xid.clone(),
                        branch_type: BranchType::At,
                        resource,
                        locks: vec![lock],
                        application_data: String::new(),
                    };
                    coordinator.register_branch(registration).await.expect("the row is nobody's");
                }
                let status = coordinator.commit(&xid).await.expect("a commit");
                assert_eq!(status, GlobalStatus::Committed);
            }
        };
        let turn = load::run(concurrency, length(), transaction, self.drain()).await;
        Measured { turn, resident: resident_bytes() }
    }

    /// Phase two comes up to a second later.
    async fn drain(&self) {
        while self.finished.load(Ordering::Relaxed) < self.registered.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// A resource that has nothing to do in phase two, and counts how often.
struct Rows {
    id: ResourceId,
    finished: Arc<AtomicU64>,
}

impl Resource for Rows {
    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn branch_type(&self) -> BranchType {
        BranchType::At
    }

    fn commit(&self, _: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        self.finished.fetch_add(1, Ordering::Relaxed);
        Box::pin(async { BranchAnswer::committed() })
    }

    fn rollback(&self, _: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(async { BranchAnswer::rollbacked() })
    }
}
