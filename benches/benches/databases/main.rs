//! A purchase in AT mode on MariaDB and PostgreSQL (an UPDATE in one database, an UPDATE and an INSERT in another,
//! three local transactions), beside the same statements without any global transaction.
//!
//! `cargo bench -p seata-benches --features databases --bench databases` needs the servers of both; with
//! `--features interop`, which needs a JDK and Maven too, Java's AT mode does the same on the same servers, with
//! Java's coordinator for both clients. All take turns.
//!
//! Words behind `--` choose: `-- MariaDB memory` runs only tables and candidates with one of them in their names, and
//! plain statements.

mod candidate;
#[cfg(feature = "interop")]
mod java;
mod many;
mod shop;

use seata::{Coordinator, Seata, at::Flavor};
use seata_benches::{
    Table, disk::flush_rate, is_measurement, load::Turn, middle, ratio, rounds, runtime, turn,
};
use seata_tests::{mariadb::MariaDb, postgres::Postgres};

use candidate::{Candidate, Ours};
use shop::{on_mariadb, on_postgres};

/// Each candidate has two databases of its own: of storage, and of books.
const CANDIDATES: [&str; 5] = ["plain", "memory", "journal", "remote", "java"];

const TITLES: [&str; 4] = [
    "MariaDB, each commit is flushed",
    "MariaDB, no flush",
    "PostgreSQL, each commit is flushed",
    "PostgreSQL, no flush",
];

fn main() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let bare = flush_rate(directory.path(), turn(std::time::Duration::from_millis(500)));
    println!("The bare flush rate is {bare:.0}/s.");
    runtime().block_on(async {
        let journal = Coordinator::open(directory.path().join("coordinator")).await.expect("a coordinator");
        let coordinators = Coordinators {
            memory: application()
                .coordinator(&Coordinator::in_memory())
                .start()
                .await
                .expect("an application"),
            journal: application().coordinator(&journal).start().await.expect("an application"),
            #[cfg(feature = "interop")]
            java: java::Coordinator::start().await,
        };
        let [mariadb, mariadb_unflushed, postgres, postgres_unflushed] = TITLES;
        on_mariadb(mariadb, &["--innodb-flush-log-at-trx-commit=1"], &coordinators).await;
        on_mariadb(mariadb_unflushed, &[], &coordinators).await;
        on_postgres(postgres, &["fsync=on", "synchronous_commit=on"], &coordinators).await;
        on_postgres(postgres_unflushed, &[], &coordinators).await;
    });
}

fn application() -> seata::SeataBuilder {
    Seata::builder("shop")
}

/// What global transactions are coordinated by.
struct Coordinators {
    memory: Seata,
    journal: Seata,
    #[cfg(feature = "interop")]
    java: java::Coordinator,
}

/// Whether one of the words of the command line is in this name, or none is in any of all.
fn is_chosen(name: &str, all: &[&str]) -> bool {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let has = |name: &str| words.iter().any(|word| name.contains(word.as_str()));
    has(name) || !all.iter().any(|name| has(name))
}

/// The comparison on one kind of database.
macro_rules! compare_on {
    ($name:ident, $Server:ty, $flavor:expr) => {
        async fn $name(title: &str, options: &[&str], coordinators: &Coordinators) {
            if !is_chosen(title, &TITLES) {
                return;
            }
            let server = <$Server>::start_with(options).await;
            let undo_table = seata::at::undo::table($flavor, "undo_log").join(";\n");
            for name in CANDIDATES {
                for half in ["a", "b"] {
                    let many = $name::many(many::rows());
                    server.create(
                        &format!("{name}_{half}"),
                        &format!("{}\n{many}\n{undo_table};", $name::SCHEMA),
                    );
                }
            }
            let place = |name: &str| [server.url(&format!("{name}_a")), server.url(&format!("{name}_b"))];
            let plain = $name::plain(place("plain")).await;
            let at = $name::at(place("memory"), &coordinators.memory).await;
            if is_chosen("rows", &["rows", "purchase"]) {
                many::compare(title, &plain, &at, &coordinators.memory).await;
            }
            let mut candidates: Vec<Box<dyn Candidate>> =
                vec![Box::new(Ours { name: "plain", shop: plain, application: None })];
            let application = Some(coordinators.memory.clone());
            candidates.push(Box::new(Ours { name: "AT, coordinator in memory", shop: at, application }));
            let mut add = async |name, place, seata: &Seata| {
                let shop = $name::at(place, seata).await;
                candidates.push(Box::new(Ours { name, shop, application: Some(seata.clone()) }));
            };
            add("AT, coordinator with journal", place("journal"), &coordinators.journal).await;
            #[cfg(feature = "interop")]
            {
                add("AT, Java's coordinator", place("remote"), coordinators.java.application()).await;
                let place = [server.jdbc("java_a"), server.jdbc("java_b")];
                candidates.extend(coordinators.java.clients(&place));
            }
            compare(title, &mut candidates).await;
        }
    };
}

compare_on!(on_mariadb, MariaDb, Flavor::MySql);
compare_on!(on_postgres, Postgres, Flavor::Postgres);

async fn compare(title: &str, candidates: &mut [Box<dyn Candidate>]) {
    let names: Vec<String> = candidates.iter().map(|candidate| candidate.name().to_owned()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    // What all are compared with comes first.
    let mut candidates: Vec<&mut Box<dyn Candidate>> = candidates
        .iter_mut()
        .enumerate()
        .filter(|(index, candidate)| *index == 0 || is_chosen(candidate.name(), &names))
        .map(|(_, candidate)| candidate)
        .collect();
    for candidate in candidates.iter_mut().filter(|_| is_measurement()) {
        candidate.warm_up().await;
    }
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
        let mut turns: Vec<Vec<Turn>> = candidates.iter().map(|_| Vec::new()).collect();
        for _ in 0..rounds() {
            for (candidate, turns) in candidates.iter_mut().zip(&mut turns) {
                turns.push(candidate.turn(concurrency).await);
            }
        }
        for (candidate, its) in candidates.iter().zip(&turns) {
            table.row([
                candidate.name().to_owned(),
                concurrency.to_string(),
                format!("{:.0}", middle(its, Turn::rate)),
                format!("{:.2}", middle(its, |turn| turn.latency(concurrency) / 1e3)),
                format!("{:.2}", ratio(its, &turns[0], |turn| turn.latency(concurrency))),
                format!("{:.0}", middle(its, Turn::cpu_each)),
                format!("{:.2}", ratio(its, &turns[0], Turn::cpu_each)),
                format!("{:.0}", middle(its, |turn| turn.drained.as_secs_f64() * 1e3)),
            ]);
        }
    }
    table.print(&format!("A purchase on {title}"));
}
