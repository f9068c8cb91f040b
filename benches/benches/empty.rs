//! Global transactions without branches: what the template and the coordinator cost by themselves.

use std::{path::Path, sync::Arc, time::Duration};

use seata::{
    Coordinator, Seata,
    coordinator::{Settings, Unavailable},
    global_transactional,
};
use seata_benches::{
    Table,
    load::{self, Turn},
    middle, ratio, rounds, runtime, turn,
};
use seata_coordinator::driver::BeginRequest;

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    runtime().block_on(measure(directory.path()));
}

async fn measure(directory: &Path) {
    let memory = Coordinator::in_memory_with(Settings::default());
    let journal = Coordinator::open(directory).await.expect("a coordinator");
    let on_memory = Seata::builder("bench").coordinator(&memory).start().await.expect("an application");
    let on_journal = Seata::builder("bench").coordinator(&journal).start().await.expect("an application");
    let mut table =
        Table::new(&["empty transactions", "concurrency", "per second", "CPU µs each", "CPU ratio"]);
    for concurrency in [1, 64, 512] {
        let mut turns: [Vec<Turn>; 4] = Default::default();
        for _ in 0..rounds() {
            turns[0].push(alone(&memory, concurrency).await);
            turns[1].push(templated(&on_memory, concurrency).await);
            turns[2].push(alone(&journal, concurrency).await);
            turns[3].push(templated(&on_journal, concurrency).await);
        }
        let names = [
            "coordinator alone, memory",
            "annotated function, memory",
            "alone, journal",
            "annotated, journal",
        ];
        for (name, candidate) in names.into_iter().zip(&turns) {
            table.row([
                name.to_owned(),
                concurrency.to_string(),
                format!("{:.0}", middle(candidate, Turn::rate)),
                format!("{:.2}", middle(candidate, Turn::cpu_each)),
                format!("{:.2}", ratio(candidate, &turns[0], Turn::cpu_each)),
            ]);
        }
    }
    table.print("Begin and commit, nothing between");
}

#[global_transactional(name = "empty")]
async fn empty() -> Result<(), seata::Error> {
    Ok(())
}

async fn templated(seata: &Seata, concurrency: usize) -> Turn {
    let seata = seata.clone();
    let work = move |_, _| {
        let scoped = seata.scope(empty());
        async move { scoped.await.expect("a commit") }
    };
    load::run(concurrency, turn(Duration::from_millis(400)), work, async {}).await
}

async fn alone(coordinator: &Coordinator, concurrency: usize) -> Turn {
    let coordinator = coordinator.clone();
    let texts: [Arc<str>; 3] = ["bench".into(), "default_tx_group".into(), "empty".into()];
    let work = move |_, _| {
        let (coordinator, [application, group, name]) = (coordinator.clone(), texts.clone());
        async move {
            let timeout = Duration::from_secs(60);
            let request = BeginRequest { application, group, name, timeout, is_local: true };
            let xid = coordinator.begin(request).await.expect("a transaction");
            let committed: Result<_, Unavailable> = coordinator.commit(&xid).await;
            committed.expect("a commit");
        }
    };
    load::run(concurrency, turn(Duration::from_millis(400)), work, async {}).await
}
