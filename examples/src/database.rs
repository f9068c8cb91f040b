//! One SQLite file for each service.

use std::path::{Path, PathBuf};

use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

/// The file of this service's database.
pub fn file(directory: &Path, service: &str) -> PathBuf {
    directory.join(format!("{service}.db"))
}

/// How to connect to this service's database.
pub fn options(directory: &Path, service: &str) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file(directory, service)).journal_mode(SqliteJournalMode::Wal)
}

/// A pool on this service's database. `schema` makes its tables and first rows where they are missing.
///
/// # Errors
/// Those of the database.
pub async fn open(directory: &Path, service: &str, schema: &'static str) -> Result<SqlitePool, sqlx::Error> {
    let pool = SqlitePool::connect_with(options(directory, service).create_if_missing(true)).await?;
    sqlx::raw_sql(schema).execute(&pool).await?;
    Ok(pool)
}
