//! A purchase in AT mode on MariaDB and PostgreSQL (an UPDATE in one database, an UPDATE and an INSERT in another),
//! beside the same statements without any global transaction.

mod shop;

use std::time::Duration;

use seata::{Coordinator, Seata};
use seata_benches::{
    Table,
    disk::flush_rate,
    load::{self, Turn},
    middle, ratio, rounds, runtime, turn,
};
use seata_tests::{mariadb::MariaDb, postgres::Postgres};

use shop::{Shop, on_mariadb, on_postgres};

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bare = flush_rate(directory.path(), turn(Duration::from_millis(500)));
    println!("The bare flush rate is {bare:.0}/s.");
    runtime().block_on(async {
        let memory = Coordinator::in_memory();
        let journal = Coordinator::open(directory.path().join("coordinator")).await.expect("a coordinator");
        let on_memory = Seata::builder("shop").coordinator(&memory).start().await.expect("an application");
        let on_journal = Seata::builder("shop").coordinator(&journal).start().await.expect("an application");
        let applications = [&on_memory, &on_journal];
        for (flushes, options) in
            [("a commit is flushed", &["--innodb-flush-log-at-trx-commit=1"][..]), ("no flush", &[])]
        {
            let server = MariaDb::start_with(options).await;
            for name in ["plain_a", "plain_b", "memory_a", "memory_b", "journal_a", "journal_b"] {
                server.create(name, on_mariadb::SCHEMA);
            }
            let place = |name: &str| [server.url(&format!("{name}_a")), server.url(&format!("{name}_b"))];
            let plain = on_mariadb::plain(place("plain")).await;
            let at = [
                on_mariadb::at(place("memory"), &on_memory).await,
                on_mariadb::at(place("journal"), &on_journal).await,
            ];
            compare(&format!("MariaDB, {flushes}"), plain, at, applications).await;
        }
        for (flushes, options) in
            [("a commit is flushed", &["fsync=on", "synchronous_commit=on"][..]), ("no flush", &[])]
        {
            let server = Postgres::start_with(options).await;
            for name in ["plain_a", "plain_b", "memory_a", "memory_b", "journal_a", "journal_b"] {
                server.create(name, on_postgres::SCHEMA);
            }
            let place = |name: &str| [server.url(&format!("{name}_a")), server.url(&format!("{name}_b"))];
            let plain = on_postgres::plain(place("plain")).await;
            let at = [
                on_postgres::at(place("memory"), &on_memory).await,
                on_postgres::at(place("journal"), &on_journal).await,
            ];
            compare(&format!("PostgreSQL, {flushes}"), plain, at, applications).await;
        }
    });
}

async fn compare(database: &str, plain: impl Shop, at: [impl Shop; 2], applications: [&Seata; 2]) {
    let mut table = Table::new(&[
        "purchase",
        "concurrency",
        "per second",
        "ms each",
        "time to plain",
        "CPU µs each",
        "CPU to plain",
        "drained in ms",
    ]);
    for concurrency in [1, 16, 64] {
        let mut turns: [Vec<Turn>; 3] = Default::default();
        for _ in 0..rounds() {
            turns[0].push(run(&plain, concurrency, None).await);
            turns[1].push(run(&at[0], concurrency, Some(applications[0])).await);
            turns[2].push(run(&at[1], concurrency, Some(applications[1])).await);
        }
        let names = ["plain", "AT, coordinator in memory", "AT, coordinator with journal"];
        for (name, candidate) in names.into_iter().zip(&turns) {
            table.row([
                name.to_owned(),
                concurrency.to_string(),
                format!("{:.0}", middle(candidate, Turn::rate)),
                format!("{:.2}", middle(candidate, |turn| turn.latency(concurrency) / 1e3)),
                format!("{:.2}", ratio(candidate, &turns[0], |turn| turn.latency(concurrency))),
                format!("{:.0}", middle(candidate, Turn::cpu_each)),
                format!("{:.2}", ratio(candidate, &turns[0], Turn::cpu_each)),
                format!("{:.0}", middle(candidate, |turn| turn.drained.as_secs_f64() * 1e3)),
            ]);
        }
    }
    table.print(&format!("A purchase on {database}"));
}

/// One turn; inside global transactions of the application, if one is given.
async fn run(shop: &impl Shop, concurrency: usize, seata: Option<&Seata>) -> Turn {
    let (shop, client) = (shop.clone(), seata.map(|seata| seata.client().clone()));
    let work = move |worker, _| {
        let (shop, client) = (shop.clone(), client.clone());
        async move {
            let purchase = shop.purchase(worker);
            match client {
                Some(client) => client.scope(shop::global(purchase)).await.expect("a purchase"),
                None => purchase.await.expect("a purchase"),
            }
        }
    };
    let drain = async {
        let Some(coordinator) = seata.and_then(Seata::coordinator) else { return };
        while !coordinator.transactions().await.expect("a running coordinator").is_empty() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    load::run(concurrency, turn(Duration::from_millis(500)), work, drain).await
}
