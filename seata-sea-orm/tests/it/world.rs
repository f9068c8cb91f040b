//! A bakery in a SQLite file, in AT mode, and its coordinator.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DbErr, SqlxSqliteConnector};
use seata::{Coordinator, GlobalTransaction, Scoped, Seata, Snapshot, TransactionOptions, Xid};
use seata_sea_orm::AtDatabase;
use seata_sqlx::{AtPool, AtPoolBuilder};
use sqlx::{
    AssertSqlSafe, Row, Sqlite, SqlitePool, TypeInfo, ValueRef,
    sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteRow},
};
use tempfile::TempDir;

use crate::entities;

/// Longer than anything that goes well takes, even on a machine whose disk others keep busy.
const LIMIT: Duration = Duration::from_secs(120);

pub(crate) struct World {
    pub(crate) db: AtDatabase,
    pub(crate) seata: Seata,
    /// The same file, for the eyes of the test alone.
    pub(crate) raw: SqlitePool,
    coordinator: Coordinator,
    _directory: TempDir,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(5, |builder| builder).await
    }

    pub(crate) async fn with(
        connections: u32,
        configure: impl FnOnce(AtPoolBuilder<Sqlite>) -> AtPoolBuilder<Sqlite>,
    ) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(directory.path().join("bakery.db"))
            .create_if_missing(true)
            .pragma("journal_mode", "WAL");
        let raw = SqlitePoolOptions::new().max_connections(2).connect_with(options.clone()).await.unwrap();
        entities::create(&SqlxSqliteConnector::from_sqlx_sqlite_pool(raw.clone())).await.unwrap();
        let pool = SqlitePoolOptions::new().max_connections(connections).connect_with(options).await.unwrap();
        let coordinator = Coordinator::in_memory();
        let seata = Seata::builder("bakery").coordinator(&coordinator).start().await.unwrap();
        let pool = configure(AtPool::builder(pool, &seata)).open().await.unwrap();
        Self { db: AtDatabase::from(pool), seata, raw, coordinator, _directory: directory }
    }

    /// Runs this in a global transaction, and leaves that open.
    pub(crate) async fn begin<T>(&self, work: impl Future<Output = T>) -> (Open, T) {
        let scope = Snapshot::empty().with_client(self.seata.client().clone()).into_scope();
        let begun = scope.clone().scope(async {
            let transaction = GlobalTransaction::begin(TransactionOptions::new("test")).await.unwrap();
            let value = work.await;
            (transaction, value)
        });
        let (transaction, value) = begun.await;
        (Open { transaction }, value)
    }

    /// Waits until the coordinator has ended every transaction, phase two included.
    pub(crate) async fn settle(&self) {
        let began = Instant::now();
        while began.elapsed() < LIMIT {
            if self.coordinator.transactions().await.unwrap().is_empty() {
                assert!(self.locks().await.is_empty(), "a lock without a transaction");
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("not ended after {LIMIT:?}: {:?}", self.coordinator.transactions().await.unwrap());
    }

    /// `table:key` of every lock that is held, in order.
    pub(crate) async fn locks(&self) -> Vec<String> {
        let locks = self.coordinator.locks().await.unwrap();
        let mut locks: Vec<_> =
            locks.iter().map(|held| format!("{}:{}", held.lock.table, held.lock.key)).collect();
        locks.sort();
        locks
    }

    /// How many branches the transaction has.
    pub(crate) async fn branches(&self, xid: &Xid) -> usize {
        let transactions = self.coordinator.transactions().await.unwrap();
        transactions
            .iter()
            .find(|open| open.snapshot.transaction.xid == *xid)
            .map_or(0, |open| open.snapshot.branches.len())
    }

    pub(crate) async fn undo_rows(&self) -> i64 {
        let count = "SELECT count(*) FROM undo_log WHERE log_status = 0";
        sqlx::query_scalar(count).fetch_one(&self.raw).await.unwrap()
    }

    /// Every row of every table with the storage class and the bytes of every value, undo rows left out.
    pub(crate) async fn dump(&self) -> Vec<String> {
        let mut dump = Vec::new();
        for table in ["cake", "delivery", "filling"] {
            let select = AssertSqlSafe(format!("SELECT * FROM {table}"));
            let rows = sqlx::query(select).fetch_all(&self.raw).await.unwrap();
            let mut lines: Vec<String> = rows.iter().map(|row| format!("{table}: {}", line(row))).collect();
            lines.sort();
            dump.append(&mut lines);
        }
        dump
    }

    /// The file can be written at once, and the data source serves.
    pub(crate) async fn assert_clean(&self, when: &str) {
        let mut connection = self.raw.acquire().await.unwrap();
        let patience = AssertSqlSafe(format!("PRAGMA busy_timeout = {}", LIMIT.as_millis()));
        sqlx::query(patience).execute(&mut *connection).await.unwrap();
        for statement in ["BEGIN IMMEDIATE", "ROLLBACK"] {
            sqlx::query(statement).execute(&mut *connection).await.unwrap_or_else(|e| panic!("{when}: {e}"));
        }
        self.db.ping().await.unwrap_or_else(|error| panic!("{when}: {error}"));
    }
}

/// A global transaction that is open.
pub(crate) struct Open {
    transaction: GlobalTransaction,
}

impl Open {
    pub(crate) fn xid(&self) -> Xid {
        self.transaction.xid().clone()
    }

    /// A future inside it.
    pub(crate) fn inside<F>(&self, future: F) -> Scoped<F> {
        Snapshot::empty().with_xid(self.xid()).scope(future)
    }

    /// A call inside it, whose future is for whoever likes to poll it.
    pub(crate) fn enter<T>(&self, call: impl FnOnce() -> T) -> T {
        Snapshot::empty().with_xid(self.xid()).into_scope().enter(call)
    }

    pub(crate) async fn rollback(mut self) {
        self.transaction.rollback().await.unwrap();
    }

    pub(crate) async fn commit(mut self) {
        self.transaction.commit().await.unwrap();
    }
}

/// A future in a scope without a transaction.
pub(crate) fn outside<F>(future: F) -> Scoped<F> {
    Snapshot::empty().scope(future)
}

/// A change of one row, to see whether it is taken.
pub(crate) async fn rename(db: &impl ConnectionTrait, id: i64) -> Result<u64, DbErr> {
    use crate::entities::cake;
    use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, sea_query::Expr};

    let update = cake::Entity::update_many().col_expr(cake::Column::Note, Expr::value("renamed"));
    Ok(update.filter(cake::Column::Id.eq(id)).exec(db).await?.rows_affected)
}

fn line(row: &SqliteRow) -> String {
    let values = (0..row.len()).map(|column| {
        let value = row.try_get_raw(column).unwrap();
        if value.is_null() {
            return "NULL".to_owned();
        }
        let class = value.type_info().name().to_owned();
        match class.as_str() {
            "INTEGER" => format!("INTEGER {}", row.get_unchecked::<i64, _>(column)),
            "REAL" => format!("REAL {:?}", row.get_unchecked::<f64, _>(column).to_bits()),
            _ => format!("{class} {:?}", row.get_unchecked::<Vec<u8>, _>(column)),
        }
    });
    values.collect::<Vec<_>>().join(" | ")
}
