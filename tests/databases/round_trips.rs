//! How many statements are run beside one: what `check` says of it, held against what is counted.

use std::{
    collections::HashMap,
    sync::{LazyLock, Mutex, Once},
    thread::{self, ThreadId},
};

use seata::at::{Flavor, check};
use sqlx::{MySql, Postgres, Sqlite};
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use crate::{
    engine::Engine,
    world::{Options, World},
};

const SCHEMA: &str = "CREATE TABLE stock (id BIGINT PRIMARY KEY, n INT);
    INSERT INTO stock VALUES (1, 10), (2, 20), (3, 30);";

/// A database's own forms of statements.
trait Forms: Engine {
    const FLAVOR: Flavor;
    const SCHEMA: &'static str;
    /// Each form by some statements, of which one needs as few others as any, and one as many.
    const FORMS: &'static [&'static [&'static str]];
}

const UPDATE: &[&str] = &["UPDATE stock SET n = n + 1 WHERE id = 1", "UPDATE stock SET n = 0 WHERE id = 9"];
const DELETE: &[&str] = &["DELETE FROM stock WHERE id = 1", "DELETE FROM stock WHERE id = 9"];
const LOCK: &[&str] = &["SELECT id FROM stock WHERE id = 1 FOR UPDATE"];
impl Forms for Sqlite {
    const FLAVOR: Flavor = Flavor::Sqlite;
    const SCHEMA: &'static str = SCHEMA;
    const FORMS: &'static [&'static [&'static str]] = &[
        UPDATE,
        DELETE,
        &["INSERT INTO stock VALUES (9, 9)", "INSERT INTO stock SELECT 9, 9 WHERE false"],
        &[
            "INSERT INTO stock VALUES (9, 9) RETURNING id",
            "INSERT INTO stock SELECT 9, 9 WHERE false RETURNING id",
        ],
        &[
            "INSERT INTO stock VALUES (9, 9) ON CONFLICT (id) DO UPDATE SET n = 9",
            "INSERT INTO stock VALUES (1, 9) ON CONFLICT (id) DO UPDATE SET n = 9",
            "INSERT INTO stock SELECT 9, 9 WHERE false ON CONFLICT (id) DO UPDATE SET n = 9",
        ],
    ];
}

impl Forms for MySql {
    const FLAVOR: Flavor = Flavor::MySql;
    const SCHEMA: &'static str = "CREATE TABLE stock (id BIGINT PRIMARY KEY, n INT);
        INSERT INTO stock VALUES (1, 10), (2, 20), (3, 30);
        CREATE TABLE counted (id BIGINT PRIMARY KEY AUTO_INCREMENT, k INT UNIQUE,
            at TIMESTAMP DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP);
        INSERT INTO counted (k) VALUES (1), (2);";
    const FORMS: &'static [&'static [&'static str]] = &[
        UPDATE,
        DELETE,
        LOCK,
        &[
            "INSERT INTO stock VALUES (9, 9)",
            "INSERT INTO counted (k) VALUES (8), (9)",
            "INSERT INTO counted (k) SELECT 8 UNION SELECT 9",
            "INSERT INTO counted (k) SELECT 9 FROM stock WHERE id = 9",
        ],
        &["INSERT INTO stock VALUES (9, 9) RETURNING id"],
        &[
            "INSERT INTO stock VALUES (9, 9) ON DUPLICATE KEY UPDATE n = 9",
            "INSERT INTO stock SELECT k, k FROM counted WHERE k = 9 ON DUPLICATE KEY UPDATE n = 9",
            "INSERT INTO stock VALUES (1, 9) ON DUPLICATE KEY UPDATE n = 9",
            "INSERT INTO counted (k) VALUES (1), (8), (9) ON DUPLICATE KEY UPDATE k = 7",
        ],
        &[
            "INSERT INTO stock VALUES (9, 9) ON DUPLICATE KEY UPDATE n = 9 RETURNING id",
            "INSERT INTO stock VALUES (1, 9) ON DUPLICATE KEY UPDATE n = 9 RETURNING id",
            "INSERT INTO counted (k) VALUES (1) ON DUPLICATE KEY UPDATE k = 7 RETURNING id",
        ],
    ];
}

impl Forms for Postgres {
    const FLAVOR: Flavor = Flavor::Postgres;
    const SCHEMA: &'static str = SCHEMA;
    const FORMS: &'static [&'static [&'static str]] = &[
        UPDATE,
        DELETE,
        LOCK,
        &["INSERT INTO stock VALUES (9, 9)", "INSERT INTO stock VALUES (8, 9), (9, 9) RETURNING id"],
        &[
            "INSERT INTO stock VALUES (9, 9) ON CONFLICT (id) DO UPDATE SET n = 9",
            "INSERT INTO stock VALUES (1, 9) ON CONFLICT (id) DO UPDATE SET n = 9",
            "INSERT INTO stock SELECT id, n FROM stock WHERE id = 9 ON CONFLICT (id) DO UPDATE SET n = 9",
        ],
    ];
}

async fn as_many_statements_are_run_as_check_says<E: Forms>() {
    let mut worlds = Vec::new();
    // Where several statements may go in one, and where not.
    for blocks in [true, false] {
        worlds.push(World::<E>::with(E::SCHEMA, Options { blocks, ..Options::default() }).await);
    }
    let mut wrong = Vec::new();
    for form in E::FORMS {
        let mut found = Vec::new();
        for (world, sql) in worlds.iter().flat_map(|world| form.iter().map(move |sql| (world, sql))) {
            // The structure of the table is asked for once.
            world.rolled_back(world.execute(sql, &[])).await.unwrap();
            found.push(world.rolled_back(beside::<E>(world, sql)).await);
        }
        let (least, most) = (found.iter().min().unwrap(), found.iter().max().unwrap());
        for sql in *form {
            let said = check(E::FLAVOR, sql).unwrap().extra_round_trips;
            if said != (*least..=*most) {
                wrong.push(format!("{sql}: {said:?} in place of {found:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// A statement by itself: with BEGIN, image, undo log and COMMIT, whose last two go together.
#[tokio::test]
async fn a_statement_of_its_own_takes_few_calls() {
    for (blocks, update, insert) in [(true, 3, 2), (false, 5, 4)] {
        // A second connection would begin with statements of its own.
        let options = Options { blocks, connections: 1, ..Options::default() };
        let world = World::<MySql>::with(<MySql as Forms>::SCHEMA, options).await;
        for (sql, calls) in [
            ("UPDATE stock SET n = n + 1 WHERE id = 1", update),
            ("INSERT INTO counted (k) VALUES (7)", insert),
        ] {
            world.rolled_back(world.execute(sql, &[])).await.unwrap();
            let found = world
                .rolled_back(async {
                    let before = Mark::beside(&world).await;
                    world.execute(sql, &[]).await.unwrap();
                    Mark::beside(&world).await.place() - before.place() - 4
                })
                .await;
            assert_eq!(found, calls, "{sql}");
        }
    }
}

/// How many statements were run beside this one inside an open local transaction.
async fn beside<E: Forms>(world: &World<E>, sql: &str) -> u32 {
    let mut local = world.begin().await.unwrap();
    let before = Mark::set::<E>(&mut local).await;
    E::local_execute(&mut local, sql, &[]).await.unwrap();
    let after = Mark::set::<E>(&mut local).await;
    // The driver has done with the mark before it.
    E::local_execute(&mut local, "SELECT 0", &[]).await.unwrap();
    E::rollback(local).await.unwrap();
    after.place() - before.place() - 2
}

/// A statement that is found again among those that sqlx logs.
struct Mark(String);

impl Mark {
    async fn set<E: Engine>(local: &mut E::Local<'_>) -> Self {
        static INSTALLED: Once = Once::new();
        INSTALLED.call_once(|| tracing::subscriber::set_global_default(Log).expect("it is the only one"));
        let mark = format!("SELECT {}", rand::random::<u32>() / 2);
        E::local_execute(local, &mark, &[]).await.unwrap();
        Self(mark)
    }

    /// On a connection of its own.
    async fn beside<E: Engine>(world: &World<E>) -> Self {
        let mut local = world.begin().await.unwrap();
        let mark = Self::set::<E>(&mut local).await;
        E::local_execute(&mut local, "SELECT 0", &[]).await.unwrap();
        E::rollback(local).await.unwrap();
        mark
    }

    /// How many statements its thread had run.
    fn place(&self) -> u32 {
        LOGGED.lock().unwrap().places[&self.0]
    }
}

static LOGGED: LazyLock<Mutex<Logged>> = LazyLock::new(Mutex::default);

/// Those of SQLite run on a thread for each connection, the others on that of the test.
#[derive(Default)]
struct Logged {
    counts: HashMap<ThreadId, u32>,
    places: HashMap<String, u32>,
}

/// Counts what sqlx logs.
struct Log;

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "sqlx::query"
    }

    fn event(&self, event: &Event<'_>) {
        let mut logged = LOGGED.lock().unwrap();
        let count = logged.counts.entry(thread::current().id()).or_default();
        *count += 1;
        let count = *count;
        event.record(&mut Summary { logged: &mut logged, count });
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// Remembers where a mark stands.
struct Summary<'l> {
    logged: &'l mut Logged,
    count: u32,
}

impl Visit for Summary<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        let number = value.strip_prefix("SELECT ").and_then(|number| number.parse::<u32>().ok());
        if field.name() == "summary" && number.is_some() {
            self.logged.places.insert(value.to_owned(), self.count);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}
}

#[tokio::test]
async fn on_sqlite() {
    as_many_statements_are_run_as_check_says::<Sqlite>().await;
}

#[tokio::test]
async fn on_mysql() {
    as_many_statements_are_run_as_check_says::<MySql>().await;
}

#[tokio::test]
async fn on_postgres() {
    as_many_statements_are_run_as_check_says::<Postgres>().await;
}
