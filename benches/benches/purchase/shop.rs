//! The three databases of a purchase, plain and in AT mode.

use std::{future::Future, path::Path, time::Duration};

use seata::{
    Client, OnError, TransactionOptions,
    at::{AtPool, AtTransaction},
};
use sqlx::{
    Sqlite, SqlitePool, query,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

const TAKE: &str = "UPDATE stock SET count = count - 1 WHERE id = ?";
const ORDER: &str = "INSERT INTO orders (account, product, money) VALUES (?, ?, 5)";
const PAY: &str = "UPDATE account SET money = money - 5 WHERE id = ?";

/// More rows than workers, so that nobody waits for a row.
const ROWS: usize = 64;

/// How the files are opened.
#[derive(Clone, Copy)]
pub(crate) struct Files {
    pub(crate) journal: SqliteJournalMode,
    pub(crate) synchronous: SqliteSynchronous,
}

impl Files {
    async fn open(self, directory: &Path) -> [SqlitePool; 3] {
        std::fs::create_dir_all(directory).expect("a directory");
        let [storage, orders, accounts] = ["storage", "orders", "accounts"].map(|name| {
            let options = SqliteConnectOptions::new()
                .filename(directory.join(name))
                .create_if_missing(true)
                .journal_mode(self.journal)
                .synchronous(self.synchronous)
                .busy_timeout(Duration::from_secs(30));
            SqlitePoolOptions::new().max_connections(4).connect_lazy_with(options)
        });
        let rows = "WITH RECURSIVE n (id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id < 63)";
        run(&storage, "CREATE TABLE stock (id INTEGER PRIMARY KEY, count INTEGER NOT NULL)").await;
        run(&storage, &format!("{rows} INSERT INTO stock SELECT id, 1000000 FROM n")).await;
        let order =
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, account INTEGER, product INTEGER, money INTEGER)";
        run(&orders, order).await;
        run(&accounts, "CREATE TABLE account (id INTEGER PRIMARY KEY, money INTEGER NOT NULL)").await;
        run(&accounts, &format!("{rows} INSERT INTO account SELECT id, 1000000 FROM n")).await;
        [storage, orders, accounts]
    }
}

async fn run(pool: &SqlitePool, sql: &str) {
    query(sqlx::AssertSqlSafe(sql)).execute(pool).await.expect("a new database");
}

/// The purchase as three local transactions that know nothing of each other.
#[derive(Clone)]
pub(crate) struct PlainShop([SqlitePool; 3]);

impl PlainShop {
    pub(crate) async fn open(directory: &Path, files: Files) -> Self {
        Self(files.open(directory).await)
    }

    pub(crate) async fn purchase(&self, worker: usize) -> Result<(), sqlx::Error> {
        let row = (worker % ROWS) as i64;
        let [storage, orders, accounts] = &self.0;

        let mut local = storage.begin_with("BEGIN IMMEDIATE").await?;
        query(TAKE).bind(row).execute(&mut *local).await?;
        local.commit().await?;

        let mut local = orders.begin_with("BEGIN IMMEDIATE").await?;
        query(ORDER).bind(row).bind(row).execute(&mut *local).await?;
        local.commit().await?;

        let mut local = accounts.begin_with("BEGIN IMMEDIATE").await?;
        query(PAY).bind(row).execute(&mut *local).await?;
        local.commit().await
    }
}

/// The same as one global transaction.
#[derive(Clone)]
pub(crate) struct AtShop([AtPool<Sqlite>; 3]);

impl AtShop {
    pub(crate) async fn open(directory: &Path, files: Files, client: &Client) -> Self {
        let [storage, orders, accounts] = files.open(directory).await;
        Self([at(storage, client).await, at(orders, client).await, at(accounts, client).await])
    }

    pub(crate) fn purchase(&self, worker: usize) -> impl Future<Output = Result<(), Error>> + Send + use<> {
        let [storage, orders, accounts] = self.0.clone();
        let row = (worker % ROWS) as i64;
        let body = async move {
            let mut local: AtTransaction<'_, Sqlite> = storage.begin().await?;
            query(TAKE).bind(row).execute(&mut local).await?;
            local.commit().await?;

            let mut local = orders.begin().await?;
            query(ORDER).bind(row).bind(row).execute(&mut local).await?;
            local.commit().await?;

            let mut local = accounts.begin().await?;
            query(PAY).bind(row).execute(&mut local).await?;
            local.commit().await?;
            Ok(())
        };
        seata::run(TransactionOptions::new("purchase"), |_: &Error| OnError::Rollback, body)
    }
}

async fn at(pool: SqlitePool, client: &Client) -> AtPool<Sqlite> {
    AtPool::new(pool, client.clone()).await.expect("a data source")
}

/// Whatever keeps a purchase from its end.
pub(crate) type Error = Box<dyn std::error::Error + Send + Sync>;
