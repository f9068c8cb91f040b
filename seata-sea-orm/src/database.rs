//! `AtDatabase`: SeaORM's traits on a data source in AT mode.

mod backend;
mod context;
mod error;
mod options;
mod statement;
mod transaction;

use std::fmt;

use futures_core::future::BoxFuture;
use futures_util::TryStreamExt;
use sea_orm::{
    AccessMode, ConnectionTrait, DbBackend, DbErr, ExecResult, IsolationLevel, QueryResult, Statement,
    StatementBuilder, StreamTrait, TransactionError, TransactionOptions, TransactionTrait,
};
use seata_sqlx::AtPool;

use backend::{Pool, on_each};
use context::Context;
use options::through_options;
use statement::{Reading, Rows};

pub use error::at_error;
pub use transaction::AtDatabaseTransaction;

/// A database in AT mode for SeaORM: in the place of a [`DatabaseConnection`](sea_orm::DatabaseConnection).
///
/// It is made from an [`AtPool`] on whatever database, and cloning it is cheap. Functions that are to take this, a
/// transaction of it, and SeaORM's own connections ask for `&impl ConnectionTrait`.
///
/// Schema work (migrations, `CREATE TABLE`) cannot be undone, and is refused inside a global transaction; run it
/// outside, or on the plain pool.
#[derive(Clone)]
pub struct AtDatabase {
    pool: Pool,
}

impl AtDatabase {
    /// Runs a function in a transaction: its `Ok` commits, its `Err` rolls back. As
    /// [`TransactionTrait::transaction`], for `async` closures.
    ///
    /// # Errors
    /// As [`TransactionTrait::transaction`].
    pub async fn transaction_async<F, T, E>(&self, run: F) -> Result<T, TransactionError<E>>
    where
        F: AsyncFnOnce(&AtDatabaseTransaction) -> Result<T, E>,
    {
        let transaction = self.begin().await.map_err(TransactionError::Connection)?;
        let result = run(&transaction).await;
        transaction.end(result).await
    }

    /// Asks the database for a sign of life.
    ///
    /// # Errors
    /// What kept it from answering.
    pub async fn ping(&self) -> Result<(), DbErr> {
        let alive = Statement::from_string(self.pool.backend(), "SELECT 1");
        self.query_one_raw(alive).await.map(drop)
    }

    /// Closes the pool and the connection of phase two.
    pub async fn close(&self) {
        on_each!(Pool, &self.pool, pool => pool.close().await);
    }

    fn one(
        &self,
        statement: Statement,
        reading: Reading,
    ) -> BoxFuture<'_, Result<Option<QueryResult>, DbErr>> {
        let only_reads = statement::only_reads(&statement);
        Box::pin(statement::first(self.pool.rows(statement, reading), only_reads))
    }

    fn all(&self, statement: Statement, reading: Reading) -> BoxFuture<'_, Result<Vec<QueryResult>, DbErr>> {
        Box::pin(self.pool.rows(statement, reading).try_collect())
    }
}

/// From the data source of this database, and back.
macro_rules! made_from {
    ($DB:ident, $as:ident, $name:literal) => {
        impl From<AtPool<sqlx::$DB>> for AtDatabase {
            fn from(pool: AtPool<sqlx::$DB>) -> Self {
                Self { pool: Pool::$DB(pool) }
            }
        }

        impl AtDatabase {
            #[doc = concat!("The data source, if it is on ", $name, ".")]
            pub fn $as(&self) -> Option<&AtPool<sqlx::$DB>> {
                match &self.pool {
                    Pool::$DB(pool) => Some(pool),
                    #[allow(unreachable_patterns, reason = "where it is the only database")]
                    _ => None,
                }
            }
        }
    };
}

#[cfg(feature = "mysql")]
made_from!(MySql, as_mysql, "MySQL or MariaDB");
#[cfg(feature = "postgres")]
made_from!(Postgres, as_postgres, "PostgreSQL");
#[cfg(feature = "sqlite")]
made_from!(Sqlite, as_sqlite, "SQLite");

impl ConnectionTrait for AtDatabase {
    fn get_database_backend(&self) -> DbBackend {
        self.pool.backend()
    }

    fn execute_raw<'s, 'f>(&'s self, statement: Statement) -> BoxFuture<'f, Result<ExecResult, DbErr>>
    where
        's: 'f,
        Self: 'f,
    {
        on_each!(Pool, &self.pool, pool => statement::execute(pool, statement))
    }

    fn execute_unprepared<'s, 'q, 'f>(&'s self, sql: &'q str) -> BoxFuture<'f, Result<ExecResult, DbErr>>
    where
        's: 'f,
        'q: 'f,
        Self: 'f,
    {
        on_each!(Pool, &self.pool, pool => statement::execute_unprepared(pool, sql))
    }

    fn query_one_raw<'s, 'f>(
        &'s self,
        statement: Statement,
    ) -> BoxFuture<'f, Result<Option<QueryResult>, DbErr>>
    where
        's: 'f,
        Self: 'f,
    {
        self.one(statement, Reading::Plain)
    }

    fn query_one<'s, 'q, 'f, S>(&'s self, query: &'q S) -> BoxFuture<'f, Result<Option<QueryResult>, DbErr>>
    where
        's: 'f,
        'q: 'f,
        S: StatementBuilder + 'f,
        Self: 'f,
    {
        let (statement, reading) = statement::build(self.pool.backend(), query);
        self.one(statement, reading)
    }

    fn query_all_raw<'s, 'f>(&'s self, statement: Statement) -> BoxFuture<'f, Result<Vec<QueryResult>, DbErr>>
    where
        's: 'f,
        Self: 'f,
    {
        self.all(statement, Reading::Plain)
    }

    fn query_all<'s, 'q, 'f, S>(&'s self, query: &'q S) -> BoxFuture<'f, Result<Vec<QueryResult>, DbErr>>
    where
        's: 'f,
        'q: 'f,
        S: StatementBuilder + 'f,
        Self: 'f,
    {
        let (statement, reading) = statement::build(self.pool.backend(), query);
        self.all(statement, reading)
    }
}

impl StreamTrait for AtDatabase {
    type Stream<'a> = Rows<'a>;

    fn get_database_backend(&self) -> DbBackend {
        self.pool.backend()
    }

    fn stream_raw<'a>(&'a self, statement: Statement) -> BoxFuture<'a, Result<Self::Stream<'a>, DbErr>> {
        let rows = self.pool.rows(statement, Reading::Plain);
        Box::pin(async move { Ok(rows) })
    }

    fn stream<'a, S>(&'a self, query: &S) -> BoxFuture<'a, Result<Self::Stream<'a>, DbErr>>
    where
        S: StatementBuilder + Sync,
    {
        let (statement, reading) = statement::build(self.pool.backend(), query);
        let rows = self.pool.rows(statement, reading);
        Box::pin(async move { Ok(rows) })
    }
}

impl TransactionTrait for AtDatabase {
    type Transaction = AtDatabaseTransaction;

    through_options!();

    fn begin_with_options<'s, 'f>(
        &'s self,
        options: TransactionOptions,
    ) -> BoxFuture<'f, Result<AtDatabaseTransaction, DbErr>>
    where
        's: 'f,
        Self: 'f,
    {
        Box::pin(Context::now().scope(async move {
            let backend = self.pool.backend();
            let statement = options::begin_statement(backend, &options)?;
            AtDatabaseTransaction::begin(backend, self.pool.connection(), statement).await
        }))
    }
}

impl fmt::Debug for AtDatabase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AtDatabase").field(&self.pool).finish()
    }
}
