//! A purchase in AT mode on SQLite (one UPDATE, one INSERT and one UPDATE in three databases) beside the
//! same SQL in three plain local transactions, and where the difference goes.

mod shop;
mod stopwatch;

use std::{path::Path, sync::Arc, time::Duration};

use seata::{Client, Coordinator, Seata};
use seata_benches::{
    Table,
    disk::flush_rate,
    is_measurement,
    load::{self, Turn},
    middle, ratio, runtime, turn,
};
use sqlx::sqlite::{SqliteJournalMode::*, SqliteSynchronous::*};

use shop::{AtShop, Files, PlainShop};
use stopwatch::{Statements, Stopwatch, Taken, WHOLE};

/// How SQLite makes a local transaction durable.
const MODES: [(&str, Files); 3] = [
    ("rollback journal, FULL", Files { journal: Delete, synchronous: Full }),
    ("WAL, FULL", Files { journal: Wal, synchronous: Full }),
    ("WAL, NORMAL", Files { journal: Wal, synchronous: Normal }),
];

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let runtime = runtime();
    runtime.block_on(compare(directory.path()));
    runtime.block_on(take_apart(directory.path()));
}

async fn compare(directory: &Path) {
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
    let memory = Coordinator::in_memory();
    let journal = Coordinator::open(directory.join("coordinator")).await.expect("a coordinator");
    let on_memory = Seata::builder("shop").coordinator(&memory).start().await.expect("an application");
    let on_journal = Seata::builder("shop").coordinator(&journal).start().await.expect("an application");
    for (index, (mode, files)) in MODES.into_iter().enumerate() {
        let place = |name: &str| directory.join(format!("{index}-{name}"));
        let plain = PlainShop::open(&place("plain"), files).await;
        let at_memory = AtShop::open(&place("memory"), files, on_memory.client()).await;
        let at_journal = AtShop::open(&place("journal"), files, on_journal.client()).await;
        for concurrency in [1, 16] {
            let mut turns: [Vec<Turn>; 3] = Default::default();
            for _ in 0..if is_measurement() { 5 } else { 1 } {
                turns[0].push(plain_turn(&plain, concurrency).await);
                turns[1].push(at_turn(&at_memory, &on_memory, concurrency).await);
                turns[2].push(at_turn(&at_journal, &on_journal, concurrency).await);
            }
            let names = ["plain", "AT, coordinator in memory", "AT, coordinator with journal"];
            for (name, candidate) in names.into_iter().zip(&turns) {
                table.row([
                    format!("{mode}: {name}"),
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
    }
    let bare = flush_rate(directory, turn(Duration::from_millis(500)));
    table.print(&format!("Three local transactions, one global one. The bare flush rate is {bare:.0}/s"));
}

async fn plain_turn(shop: &PlainShop, concurrency: usize) -> Turn {
    let shop = shop.clone();
    let work = move |worker, _| {
        let shop = shop.clone();
        async move { shop.purchase(worker).await.expect("a purchase") }
    };
    load::run(concurrency, turn(Duration::from_millis(300)), work, async {}).await
}

async fn at_turn(shop: &AtShop, seata: &Seata, concurrency: usize) -> Turn {
    let (shop, client) = (shop.clone(), seata.client().clone());
    let work = move |worker, _| {
        let (shop, client) = (shop.clone(), client.clone());
        async move { client.scope(shop.purchase(worker)).await.expect("a purchase") }
    };
    let drain = drained(seata.coordinator().expect("an embedded one"));
    load::run(concurrency, turn(Duration::from_millis(300)), work, drain).await
}

async fn drained(coordinator: &Coordinator) {
    while !coordinator.transactions().await.expect("a running coordinator").is_empty() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// One purchase after the other, each with its phase two at an end before the next begins.
async fn take_apart(directory: &Path) {
    let statements = Statements::install();
    for (index, (mode, files)) in MODES.into_iter().enumerate() {
        let place = |name: &str| directory.join(format!("apart-{index}-{name}"));
        let coordinator = Coordinator::open(place("coordinator")).await.expect("a coordinator");
        let seata = Seata::builder("shop").coordinator(&coordinator).start().await.expect("an application");
        let stopwatch = Arc::new(Stopwatch::new(seata.client()));
        let (client, finisher) = Client::new("shop", stopwatch.clone(), stopwatch.clone());
        let finisher = tokio::spawn(finisher.run());
        let plain = PlainShop::open(&place("plain"), files).await;
        let at = AtShop::open(&place("at"), files, &client).await;
        let purchases = if is_measurement() { 200 } else { 3 };

        let mut parts = Table::new(&["", "times", "ms"]);
        statements.take();
        for _ in 0..purchases {
            stopwatch.whole(async { plain.purchase(0).await.expect("a purchase") }).await;
        }
        rows(&mut parts, "plain", purchases, stopwatch.take(), statements.take());

        for _ in 0..purchases {
            stopwatch.whole(async { client.scope(at.purchase(0)).await.expect("a purchase") }).await;
            drained(&coordinator).await;
        }
        rows(&mut parts, "AT", purchases, stopwatch.take(), statements.take());
        parts.print(&format!("Where the time of one purchase goes ({mode})"));

        client.close();
        finisher.await.expect("every transaction has ended");
        seata.shutdown(Duration::from_secs(5)).await.expect("an orderly end");
        coordinator.shutdown(Duration::from_secs(5)).await.expect("an orderly end");
    }
}

/// The calls, the statements, and what is left: hops between threads, the pool, the undo log's text, and,
/// in the plain case, the local BEGIN and COMMIT, which sqlx does not log.
fn rows(table: &mut Table, name: &str, purchases: u32, calls: Taken, sql: Taken) {
    let mut parts = calls;
    for (statement, taken) in sql {
        let part = parts.entry(kind(&statement).to_owned()).or_default();
        part.times += taken.times;
        part.time += taken.time;
    }
    let each = |time: Duration| time.as_secs_f64() * 1e3 / f64::from(purchases);
    let whole = each(parts.remove(WHOLE).expect("it was timed").time);
    let mut left = whole;
    table.row([format!("{name}: all of it"), "1.0".to_owned(), format!("{whole:.3}")]);
    for (part, taken) in parts {
        if part != AFTERWARDS {
            left -= each(taken.time);
        }
        let times = taken.times as f64 / f64::from(purchases);
        table.row([format!("{name}: {part}"), format!("{times:.1}"), format!("{:.3}", each(taken.time))]);
    }
    table.row([format!("{name}: the rest"), String::new(), format!("{left:.3}")]);
}

/// What a statement is there for, by its first words.
fn kind(statement: &str) -> &'static str {
    const KINDS: [(&str, &str); 11] = [
        ("BEGIN", "local BEGIN"),
        ("COMMIT", "local COMMIT"),
        ("DELETE FROM \"undo_log\"", AFTERWARDS),
        ("INSERT INTO \"undo_log\"", "undo row"),
        ("INSERT", "the statement itself"),
        ("UPDATE", "the statement itself"),
        ("SELECT (SELECT schema_version", "look whether the schema changed"),
        ("SAVEPOINT", "savepoint, and its release"),
        ("RELEASE", "savepoint, and its release"),
        ("SELECT \"", "before and after image"),
        ("", "table structure, once"),
    ];
    let found = KINDS.iter().find(|(start, _)| statement.starts_with(start));
    found.expect("the last one fits all").1
}

/// Phase two, which no purchase waits for.
const AFTERWARDS: &str = "(afterwards) undo row deleted";
