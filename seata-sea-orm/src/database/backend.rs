//! The databases, each behind a feature.

use sea_orm::{DbBackend, DbErr, Statement};
use seata_sqlx::{AtConnection, AtPool, Depth};
use sqlx::AssertSqlSafe;

use super::{
    error,
    statement::{self, Reading, Rows},
};

/// A data source on one of the databases.
#[derive(Clone, Debug)]
pub(crate) enum Pool {
    #[cfg(feature = "mysql")]
    MySql(AtPool<sqlx::MySql>),
    #[cfg(feature = "postgres")]
    Postgres(AtPool<sqlx::Postgres>),
    #[cfg(feature = "sqlite")]
    Sqlite(AtPool<sqlx::Sqlite>),
}

/// A connection of such a data source.
#[derive(Debug)]
pub(crate) enum Connection {
    #[cfg(feature = "mysql")]
    MySql(AtConnection<sqlx::MySql>),
    #[cfg(feature = "postgres")]
    Postgres(AtConnection<sqlx::Postgres>),
    #[cfg(feature = "sqlite")]
    Sqlite(AtConnection<sqlx::Sqlite>),
}

/// The same on whichever database it is.
macro_rules! on_each {
    ($enum:ident, $value:expr, $inner:ident => $run:expr) => {
        match $value {
            #[cfg(feature = "mysql")]
            $crate::database::backend::$enum::MySql($inner) => $run,
            #[cfg(feature = "postgres")]
            $crate::database::backend::$enum::Postgres($inner) => $run,
            #[cfg(feature = "sqlite")]
            $crate::database::backend::$enum::Sqlite($inner) => $run,
        }
    };
}

pub(crate) use on_each;

/// The rows of a statement, on an executor that can read so.
macro_rules! rows {
    ($executor:expr, $statement:expr, $reading:expr) => {
        match $reading {
            Reading::Plain => statement::rows($executor, $statement),
            Reading::GlobalCommitted => statement::rows($executor.global_committed(), $statement),
        }
    };
}

impl Pool {
    pub(crate) fn backend(&self) -> DbBackend {
        match self {
            #[cfg(feature = "mysql")]
            Self::MySql(_) => DbBackend::MySql,
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => DbBackend::Postgres,
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => DbBackend::Sqlite,
        }
    }

    pub(crate) fn rows(&self, statement: Statement, reading: Reading) -> Rows<'_> {
        on_each!(Pool, self, pool => rows!(pool, statement, reading))
    }

    pub(crate) fn connection(&self) -> Connection {
        match self {
            #[cfg(feature = "mysql")]
            Self::MySql(pool) => Connection::MySql(pool.connection()),
            #[cfg(feature = "postgres")]
            Self::Postgres(pool) => Connection::Postgres(pool.connection()),
            #[cfg(feature = "sqlite")]
            Self::Sqlite(pool) => Connection::Sqlite(pool.connection()),
        }
    }
}

impl Connection {
    pub(crate) fn rows(&mut self, statement: Statement, reading: Reading) -> Rows<'_> {
        on_each!(Connection, self, connection => rows!(connection, statement, reading))
    }

    /// Begins a transaction, or sets a savepoint where one is open, and leaves it open.
    pub(crate) async fn begin(&mut self, statement: Option<String>) -> Result<Depth, DbErr> {
        let depth = on_each!(Connection, self, connection => match statement {
            None => connection.begin().await.map(|transaction| transaction.leave()),
            Some(statement) => {
                connection.begin_with(AssertSqlSafe(statement)).await.map(|transaction| transaction.leave())
            }
        });
        depth.map_err(error::query)
    }

    pub(crate) async fn commit(&mut self, depth: Depth) -> Result<(), DbErr> {
        let committed = on_each!(Connection, self, connection => connection.resume(depth).commit().await);
        committed.map_err(error::query)
    }

    pub(crate) async fn rollback(&mut self, depth: Depth) -> Result<(), DbErr> {
        let rolled_back = on_each!(Connection, self, connection => connection.resume(depth).rollback().await);
        rolled_back.map_err(error::query)
    }

    /// What dropping the transaction does: it is rolled back before the next statement, or with the connection.
    pub(crate) fn abandon(&mut self, depth: Depth) {
        on_each!(Connection, self, connection => drop(connection.resume(depth)));
    }
}
