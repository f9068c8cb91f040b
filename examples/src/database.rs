//! One SQLite file for each service, and how the service speaks to it.

use std::path::{Path, PathBuf};

use seata::{
    Seata,
    at::{AtOpenError, AtSqlitePool},
    sea_orm::AtDatabase,
};
use sqlx::{
    SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode},
};

/// What the services write their statements with. What comes of them is the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Orm {
    /// SQL, as in [`with_sqlx`](crate::with_sqlx).
    #[default]
    Sqlx,
    /// Entities, as in [`with_sea_orm`](crate::with_sea_orm).
    SeaOrm,
}

/// Where the services' databases are, and how they are spoken to.
#[derive(Clone, Debug)]
pub struct Databases {
    directory: PathBuf,
    orm: Orm,
}

/// A service's database, in AT mode.
#[derive(Clone, Debug)]
pub enum Database {
    /// For sqlx.
    Sqlx(AtSqlitePool),
    /// For SeaORM, on the same pool.
    SeaOrm(AtDatabase, AtSqlitePool),
}

impl Databases {
    /// One file for each service in this directory, for sqlx.
    pub fn in_directory(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), orm: Orm::default() }
    }

    /// The same for this.
    pub fn with_orm(self, orm: Orm) -> Self {
        Self { orm, ..self }
    }

    /// Where the files are.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Opens the database of this service, in AT mode. `schema` makes its tables and first rows where they are
    /// missing.
    ///
    /// # Errors
    /// When it cannot be opened, or cannot take part in global transactions.
    pub async fn open(
        &self,
        service: &str,
        schema: &'static str,
        seata: &Seata,
    ) -> Result<Database, AtOpenError> {
        let create = options(&self.directory, service).create_if_missing(true);
        let pool = SqlitePool::connect_with(create).await?;
        sqlx::raw_sql(schema).execute(&pool).await?;
        let pool = seata.at(pool).await?;
        Ok(match self.orm {
            Orm::Sqlx => Database::Sqlx(pool),
            Orm::SeaOrm => Database::SeaOrm(AtDatabase::from(pool.clone()), pool),
        })
    }
}

impl Database {
    /// The data source under both.
    pub fn pool(&self) -> &AtSqlitePool {
        match self {
            Self::Sqlx(pool) | Self::SeaOrm(_, pool) => pool,
        }
    }
}

/// The file of this service's database.
pub fn file(directory: &Path, service: &str) -> PathBuf {
    directory.join(format!("{service}.db"))
}

/// How to connect to this service's database past AT mode.
pub fn options(directory: &Path, service: &str) -> SqliteConnectOptions {
    SqliteConnectOptions::new().filename(file(directory, service)).journal_mode(SqliteJournalMode::Wal)
}
