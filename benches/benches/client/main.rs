//! Calls to a server over loopback: how many go through one pair of connections, and what each costs the
//! client.
//!
//! The server is a process of its own that knows the answers by heart, so the figures are the client's.

mod echo;

use std::{
    env,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use futures_util::future::BoxFuture;
use seata_benches::{
    Table,
    load::{self, Turn},
    middle, rounds, runtime, turn,
};
use seata_client::{RemoteCoordinator, Services, Settings};
use seata_context::{
    BeginRequest, BranchAnswer, BranchRegistration, BranchTask, Resource, ResourceManager, TransactionManager,
};
use seata_protocol::{BranchType, ResourceId, RowKey, RowLock, Xid};

fn main() {
    if env::args().any(|argument| argument == "serve") {
        echo::serve();
    }
    let server = Server::start();
    runtime().block_on(measure(&server.address));
}

async fn measure(address: &str) {
    let one_by_one = connect(address, false).await;
    let merged = connect(address, true).await;
    let mut table = Table::new(&["call", "concurrency", "per second", "CPU µs each", "µs until the answer"]);
    for concurrency in [1, 64, 512] {
        let mut turns: [Vec<Turn>; 3] = Default::default();
        for _ in 0..rounds() {
            turns[0].push(begin(&one_by_one, concurrency).await);
            turns[1].push(register(&one_by_one, concurrency).await);
            turns[2].push(register(&merged, concurrency).await);
        }
        let names = ["begin", "register a branch", "register a branch, merged"];
        for (name, turns) in names.into_iter().zip(&turns) {
            table.row([
                name.to_owned(),
                concurrency.to_string(),
                format!("{:.0}", middle(turns, Turn::rate)),
                format!("{:.2}", middle(turns, Turn::cpu_each)),
                format!("{:.0}", middle(turns, |turn| turn.latency(concurrency))),
            ]);
        }
    }
    table.print("Calls to a server over loopback");
}

async fn connect(address: &str, merge_requests: bool) -> RemoteCoordinator {
    let mut settings = Settings::new(Services::servers([address]));
    settings.merge_requests = merge_requests;
    let coordinator =
        RemoteCoordinator::connect("bench", "default_tx_group", settings).await.expect("a server");
    let resource = Nothing(ResourceId::from("r"));
    coordinator.register_resource(Arc::new(resource)).await.expect("a registration");
    coordinator
}

async fn begin(coordinator: &RemoteCoordinator, concurrency: usize) -> Turn {
    let coordinator = coordinator.clone();
    let work = move |_, _| {
        let coordinator = coordinator.clone();
        async move {
            let request = BeginRequest { name: "bench".to_owned(), timeout: Duration::from_secs(60) };
            coordinator.begin(request).await.expect("an XID");
        }
    };
    load::run(concurrency, turn(Duration::from_millis(400)), work, async {}).await
}

async fn register(coordinator: &RemoteCoordinator, concurrency: usize) -> Turn {
    let coordinator = coordinator.clone();
    let xid: Xid = echo::XID.parse().expect("an XID");
    let resource = ResourceId::from("r");
    let lock = RowLock {
        resource: resource.clone(),
        table: "stock".into(),
        key: RowKey::from_text("4711").expect("a key"),
    };
    let work = move |_, _| {
        let coordinator = coordinator.clone();
        let registration = BranchRegistration {
            xid: xid.clone(),
            branch_type: BranchType::At,
            resource: resource.clone(),
            locks: vec![lock.clone()],
            application_data: String::new(),
        };
        async move {
            coordinator.register_branch(registration).await.expect("a branch");
        }
    };
    load::run(concurrency, turn(Duration::from_millis(400)), work, async {}).await
}

/// A resource that is never asked for anything.
struct Nothing(ResourceId);

impl Resource for Nothing {
    fn id(&self) -> &ResourceId {
        &self.0
    }

    fn branch_type(&self) -> BranchType {
        BranchType::At
    }

    fn commit(&self, _: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(async { BranchAnswer::committed() })
    }

    fn rollback(&self, _: BranchTask) -> BoxFuture<'_, BranchAnswer> {
        Box::pin(async { BranchAnswer::rollbacked() })
    }
}

/// This program once more, as the server. It ends with this value.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let program = env::current_exe().expect("this program has a path");
        let mut process =
            Command::new(program).arg("serve").stdout(Stdio::piped()).spawn().expect("a process");
        let mut address = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut address).expect("its address");
        Self { process, address: address.trim().to_owned() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it ended");
    }
}
