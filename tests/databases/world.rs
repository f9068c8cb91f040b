//! A fresh database, an AT data source on it, and an application with a coordinator of its own.

use std::{future::Future, time::Duration};

use seata::{
    Coordinator, GlobalStatus, GlobalTransaction, Seata, TransactionOptions, Xid, coordinator::Settings,
};
use seata_tests::{rest, wait};
use sqlx::Error;

use crate::engine::{Engine, Place, Value};

/// Longer than any transaction here takes.
const TIMEOUT: Duration = Duration::from_secs(120);

/// How a data source is made.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Options {
    pub(crate) connections: u32,
    pub(crate) lock_interval: Duration,
    pub(crate) lock_times: u32,
    pub(crate) max_image_rows: usize,
    /// Several statements may go in one.
    pub(crate) blocks: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 5,
            lock_interval: Duration::from_millis(10),
            lock_times: 30,
            max_image_rows: 100_000,
            // For a run of the suite that talks to MariaDB as to MySQL.
            blocks: std::env::var_os("SEATA_TEST_WITHOUT_BLOCKS").is_none(),
        }
    }
}

impl Options {
    /// Waits for rows as long as it takes.
    pub(crate) fn patient() -> Self {
        Self { lock_times: 3000, ..Self::default() }
    }

    /// Gives up soon.
    pub(crate) fn impatient() -> Self {
        Self { lock_interval: Duration::from_millis(1), lock_times: 3, ..Self::default() }
    }
}

pub(crate) struct World<E: Engine> {
    pub(crate) seata: Seata,
    /// The AT data source.
    pub(crate) at: E::At,
    /// The same database, for the eyes of the test alone.
    pub(crate) raw: E::Raw,
    place: Place,
    options: Options,
}

impl<E: Engine> World<E> {
    /// With these tables and rows.
    pub(crate) async fn new(schema: &str) -> Self {
        Self::with(schema, Options::default()).await
    }

    pub(crate) async fn with(schema: &str, options: Options) -> Self {
        Self::on(&application().await, schema, options).await
    }

    /// Another database of the same application.
    pub(crate) async fn beside(&self, schema: &str) -> Self {
        Self::on(&self.seata, schema, self.options).await
    }

    /// Another pool on the same database, whose transactions are nobody's business.
    pub(crate) async fn beside_itself(&self) -> Self {
        let place = Place { url: self.place.url.clone(), _directory: None };
        Self::at_place(&application().await, place, "", self.options).await
    }

    /// How sqlx reaches it.
    pub(crate) fn url(&self) -> &str {
        &self.place.url
    }

    pub(crate) async fn on(seata: &Seata, schema: &str, options: Options) -> Self {
        Self::at_place(seata, E::database().await, schema, options).await
    }

    pub(crate) async fn at_place(seata: &Seata, place: Place, schema: &str, options: Options) -> Self {
        let raw = E::connect(&place.url, 2).await.expect("a connection");
        if !schema.trim().is_empty() {
            E::script(&raw, schema).await.expect("the schema");
        }
        let pool = E::connect(&place.url, options.connections).await.expect("a pool");
        let at = E::open(&pool, seata, options).await.expect("a data source");
        Self { seata: seata.clone(), at, raw, place, options }
    }

    pub(crate) fn coordinator(&self) -> &Coordinator {
        self.seata.coordinator().expect("it is in this process")
    }

    pub(crate) async fn execute(&self, sql: &str, values: &[Value]) -> Result<u64, Error> {
        E::execute(&self.at, &E::placed(sql), values).await
    }

    pub(crate) async fn numbers(&self, sql: &str, values: &[Value]) -> Result<Vec<i64>, Error> {
        E::numbers(&self.at, &E::placed(sql), values).await
    }

    pub(crate) async fn begin(&self) -> Result<E::Local<'static>, Error> {
        E::begin(&self.at).await
    }

    /// Past AT mode.
    pub(crate) async fn script(&self, sql: &str) {
        E::script(&self.raw, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }

    /// Past AT mode.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let numbers = E::raw_numbers(&self.raw, sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        *numbers.first().unwrap_or_else(|| panic!("{sql} gives no row"))
    }

    /// Begins a global transaction in the scope of the caller.
    pub(crate) async fn begin_global(&self) -> GlobalTransaction {
        let options = TransactionOptions::new("test").timeout(TIMEOUT).client(self.seata.client().clone());
        GlobalTransaction::begin(options).await.expect("a transaction")
    }

    /// Runs a future inside a global transaction, and rolls that back.
    pub(crate) async fn rolled_back<F: Future>(&self, work: F) -> F::Output {
        let (output, status) = self.ended(work, GlobalTransaction::rollback).await;
        assert_eq!(status, Ok(GlobalStatus::Rollbacked), "{:?}", rest::open(&self.seata).await);
        output
    }

    /// Runs a future inside a global transaction, and commits that.
    pub(crate) async fn committed<F: Future>(&self, work: F) -> F::Output {
        let (output, status) = self.ended(work, GlobalTransaction::commit).await;
        assert_eq!(status, Ok(GlobalStatus::Committed), "{:?}", rest::open(&self.seata).await);
        output
    }

    async fn ended<F: Future>(
        &self,
        work: F,
        end: impl AsyncFnOnce(&mut GlobalTransaction) -> Result<GlobalStatus, seata::Error>,
    ) -> (F::Output, Result<GlobalStatus, seata::Error>) {
        let ended = self.seata.scope(async {
            let mut transaction = self.begin_global().await;
            let output = work.await;
            (output, end(&mut transaction).await)
        });
        ended.await
    }

    /// Every row of every table as a text, exactly; undo rows left out.
    pub(crate) async fn dump(&self) -> Vec<String> {
        let mut dump = Vec::new();
        for table in self.tables().await {
            let sql = E::dump(&self.raw, &table).await;
            let rows = E::raw_texts(&self.raw, &sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            let mut rows: Vec<String> =
                rows.into_iter().map(|row| format!("{table}: {}", row.expect("no row is NULL"))).collect();
            rows.sort();
            dump.append(&mut rows);
        }
        dump
    }

    /// How many branches still have an undo log.
    pub(crate) async fn undo_rows(&self) -> i64 {
        self.number("SELECT count(*) FROM undo_log WHERE log_status = 0").await
    }

    /// Waits until phase two of a commit has taken its undo logs away.
    pub(crate) async fn assert_no_undo_log(&self, when: &str) {
        wait::until(when, || async {
            let rows = self.number("SELECT count(*) FROM undo_log").await;
            if rows == 0 { Ok(()) } else { Err(format!("{rows} undo logs")) }
        })
        .await;
    }

    /// Makes all tables anew, but for the undo logs.
    pub(crate) async fn reset(&self, schema: &str) {
        for table in self.tables().await {
            self.script(&format!("DROP TABLE {table}{}", E::CASCADE)).await;
        }
        self.script(schema).await;
    }

    async fn tables(&self) -> Vec<String> {
        let tables = E::raw_texts(&self.raw, E::tables()).await.expect("the tables");
        tables.into_iter().flatten().collect()
    }

    /// Rows that are locked globally, as `table:key`.
    pub(crate) async fn locks(&self) -> Vec<String> {
        let locks = self.coordinator().locks().await.expect("the coordinator runs");
        let mut locks: Vec<String> =
            locks.iter().map(|held| format!("{}:{}", held.lock.table, held.lock.key)).collect();
        locks.sort();
        locks
    }

    /// Waits until nothing of any transaction is left: none open at the coordinator, no row locked, no undo log,
    /// no local transaction; and each connection of the pool serves.
    pub(crate) async fn assert_clean(&self, when: &str) {
        wait::until(when, || async {
            let parked = self.coordinator().parked().await.expect("the coordinator runs");
            assert!(parked.is_empty(), "{when}: {:?}", rest::open(&self.seata).await);
            match rest::open(&self.seata).await {
                Some(open) => Err(open),
                None => Ok(()),
            }
        })
        .await;
        wait::until(when, || async {
            match self.undo_rows().await {
                0 => Ok(()),
                undo => Err(format!("{undo} undo logs are left")),
            }
        })
        .await;
        self.assert_no_local_transaction(when).await;
        self.assert_serves(when).await;
    }

    /// Waits until no local transaction is open in the database.
    pub(crate) async fn assert_no_local_transaction(&self, when: &str) {
        wait::until(when, || async {
            let open = self.open_transactions().await;
            if open.is_empty() {
                return Ok(());
            }
            // MariaDB shows a copy, and makes it anew only when nobody has looked for 100 ms.
            tokio::time::sleep(Duration::from_millis(300)).await;
            Err(format!("local transactions are left: {open:?}"))
        })
        .await;
    }

    /// The local transactions that are open in the database.
    async fn open_transactions(&self) -> Vec<String> {
        match E::open_transactions() {
            Some(sql) => {
                let open = E::raw_texts(&self.raw, sql).await.expect("the database tells");
                open.into_iter().flatten().collect()
            }
            None => Vec::new(),
        }
    }

    /// Each connection of the pool can be had, and is in no transaction.
    pub(crate) async fn assert_serves(&self, when: &str) {
        // Outside any transaction: SQLite has only one that writes.
        let served = self.seata.scope(async {
            let mut held = Vec::new();
            for _ in 0..self.options.connections {
                let mut local = self.begin().await?;
                E::local_numbers(&mut local, "SELECT count(*) FROM undo_log").await?;
                held.push(local);
            }
            for local in held {
                E::rollback(local).await?;
            }
            Ok::<_, Error>(())
        });
        served.await.unwrap_or_else(|error| panic!("{when}: {error}"));
    }
}

/// An application with a coordinator in memory that is quick to try again.
pub(crate) async fn application() -> Seata {
    let mut settings = Settings::default();
    settings.retry_period = Duration::from_millis(50);
    settings.max_retry_period = Duration::from_millis(500);
    let coordinator = Coordinator::in_memory_with(settings);
    Seata::builder("test").coordinator(&coordinator).start().await.expect("it starts")
}

/// The transaction that the caller is in.
pub(crate) fn xid() -> Xid {
    seata::RootContext::xid().expect("in a global transaction")
}
