//! A Rust application with one table in one database, whose coordinator is a Java server.

use std::time::Duration;

use seata::{GlobalTransaction, Seata, TransactionOptions, at::AtSqlitePool};
use seata_tests::wait;
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions},
};

/// What each of the rows 1 to 4 holds at first.
pub(crate) const PIECES: i64 = 100;

/// The application.
pub(crate) struct Office {
    pub(crate) seata: Seata,
    /// The database as transactions use it.
    pub(crate) at: AtSqlitePool,
    /// The same database, past AT mode.
    raw: SqlitePool,
    _directory: tempfile::TempDir,
}

impl Office {
    /// One that waits for a row as long as a test may take.
    pub(crate) async fn open(seata: Seata) -> Self {
        Self::open_with(seata, 3000).await
    }

    /// One that tries so often to get a row, every 10 ms.
    pub(crate) async fn open_with(seata: Seata, lock_tries: u32) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = SqliteConnectOptions::new()
            .filename(directory.path().join("office.db"))
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .busy_timeout(Duration::from_secs(20));
        let raw = SqlitePoolOptions::new().max_connections(8).connect_with(options).await.unwrap();
        sqlx::raw_sql(
            "CREATE TABLE stock (id INTEGER PRIMARY KEY, pieces INTEGER NOT NULL);
             INSERT INTO stock VALUES (1, 100), (2, 100), (3, 100), (4, 100);",
        )
        .execute(&raw)
        .await
        .unwrap();
        let at = AtSqlitePool::builder(raw.clone(), &seata)
            .lock_retry(Duration::from_millis(10), lock_tries)
            .open()
            .await
            .unwrap();
        Self { seata, at, raw, _directory: directory }
    }

    /// The name of the database, as Java has it too.
    pub(crate) fn resource(&self) -> String {
        self.at.resource_id().to_string()
    }

    /// Begins a transaction, which the caller has to do in this application's scope.
    pub(crate) async fn begin(&self, name: &'static str) -> GlobalTransaction {
        GlobalTransaction::begin(TransactionOptions::new(name)).await.unwrap()
    }

    /// Takes one piece. In a transaction that is a branch.
    pub(crate) async fn take(&self, row: i64) -> sqlx::Result<()> {
        sqlx::query("UPDATE stock SET pieces = pieces - 1 WHERE id = ?").bind(row).execute(&self.at).await?;
        Ok(())
    }

    /// What a row holds, decided or not.
    pub(crate) async fn pieces(&self, row: i64) -> i64 {
        sqlx::query_scalar("SELECT pieces FROM stock WHERE id = ?")
            .bind(row)
            .fetch_one(&self.raw)
            .await
            .unwrap()
    }

    /// How many branches are neither final nor undone.
    pub(crate) async fn unfinished(&self) -> i64 {
        let count = "SELECT count(*) FROM undo_log WHERE log_status = 0";
        sqlx::query_scalar(count).fetch_one(&self.raw).await.unwrap()
    }

    /// Waits until all branches are final or undone.
    pub(crate) async fn settle(&self) {
        wait::until("the end of all branches", || async {
            match self.unfinished().await {
                0 => Ok(()),
                unfinished => Err(format!("{unfinished} undo rows are left")),
            }
        })
        .await;
    }

    /// The database, past AT mode.
    pub(crate) fn raw(&self) -> &SqlitePool {
        &self.raw
    }
}
