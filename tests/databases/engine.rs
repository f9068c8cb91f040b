//! The three databases behind one face, so that a test is written once.

use futures_util::future::BoxFuture;
use seata::{Seata, at::AtOpenError};
use sqlx::Error;
use tempfile::TempDir;

use crate::world::Options;

/// A database that tests run on: what differs in SQL, and sqlx without its type parameters.
pub(crate) trait Engine: Sized + Send + Sync + 'static {
    /// As in the names of tests.
    const NAME: &'static str;
    /// The type of an ordinary text column that can be a key.
    const TEXT: &'static str;
    /// What makes an `INTEGER` or `BIGINT` key count by itself.
    const COUNTS: &'static str;
    /// What a large sum is cast to, to be a number again.
    const LONG: &'static str = "BIGINT";
    /// What makes DROP TABLE go through whatever hangs on the table.
    const CASCADE: &'static str = "";

    /// A pool past AT mode.
    type Raw: Clone + Send + Sync + 'static;
    /// `AtPool`.
    type At: Clone + Send + Sync + 'static;
    /// `AtTransaction`.
    type Local<'c>: Send;

    /// An empty database of its own.
    fn database() -> BoxFuture<'static, Place>;
    /// One that many different statements reach quickly.
    fn near_database() -> BoxFuture<'static, Place> {
        Self::database()
    }

    /// The names of its tables, as they are written in SQL.
    fn tables() -> &'static str;
    /// The statement that gives each row of the table as one text, exactly.
    fn dump<'r>(raw: &'r Self::Raw, table: &'r str) -> BoxFuture<'r, String>;
    /// Lists the local transactions that are open in this database, or `None` where that cannot be asked.
    fn open_transactions() -> Option<&'static str>;
    /// With the database's own placeholders in place of `?`.
    fn placed(sql: &str) -> String {
        sql.to_owned()
    }

    /// A pool of at most so many connections.
    fn connect(url: &str, connections: u32) -> BoxFuture<'_, Result<Self::Raw, Error>>;
    /// Runs any statements.
    fn script<'r>(raw: &'r Self::Raw, sql: &'r str) -> BoxFuture<'r, Result<(), Error>>;
    /// The first column of each row.
    fn raw_texts<'r>(raw: &'r Self::Raw, sql: &'r str) -> BoxFuture<'r, Result<Vec<Option<String>>, Error>>;
    /// The first column of each row.
    fn raw_numbers<'r>(raw: &'r Self::Raw, sql: &'r str) -> BoxFuture<'r, Result<Vec<i64>, Error>>;

    /// A data source in AT mode.
    fn open<'r>(
        raw: &'r Self::Raw,
        seata: &'r Seata,
        options: Options,
    ) -> BoxFuture<'r, Result<Self::At, AtOpenError>>;
    /// How many rows it changed.
    fn execute<'r>(at: &'r Self::At, sql: &'r str, values: &'r [Value]) -> BoxFuture<'r, Result<u64, Error>>;
    /// The first column of each row.
    fn numbers<'r>(
        at: &'r Self::At,
        sql: &'r str,
        values: &'r [Value],
    ) -> BoxFuture<'r, Result<Vec<i64>, Error>>;
    /// A read that sees nothing undecided.
    fn committed<'r>(at: &'r Self::At, sql: &'r str) -> BoxFuture<'r, Result<Vec<i64>, Error>>;

    /// A local transaction.
    fn begin(at: &Self::At) -> BoxFuture<'_, Result<Self::Local<'static>, Error>>;
    /// The same at an isolation level that has this name in SQL.
    fn begin_at<'r>(at: &'r Self::At, level: &str) -> BoxFuture<'r, Result<Self::Local<'static>, Error>>;
    /// The statement that does so past AT mode.
    fn begin_statement(level: &str) -> String {
        format!("BEGIN ISOLATION LEVEL {level}")
    }
    /// A savepoint.
    fn nested<'l>(local: &'l mut Self::Local<'_>) -> BoxFuture<'l, Result<Self::Local<'l>, Error>>;
    /// How many rows it changed.
    fn local_execute<'r>(
        local: &'r mut Self::Local<'_>,
        sql: &'r str,
        values: &'r [Value],
    ) -> BoxFuture<'r, Result<u64, Error>>;
    /// The first column of each row.
    fn local_numbers<'r>(
        local: &'r mut Self::Local<'_>,
        sql: &'r str,
    ) -> BoxFuture<'r, Result<Vec<i64>, Error>>;
    /// A read that sees nothing undecided.
    fn local_committed<'r>(
        local: &'r mut Self::Local<'_>,
        sql: &'r str,
    ) -> BoxFuture<'r, Result<Vec<i64>, Error>>;
    /// Commits, or releases the savepoint.
    fn commit<'c>(local: Self::Local<'c>) -> BoxFuture<'c, Result<(), Error>>;
    /// Rolls back, also to the savepoint.
    fn rollback<'c>(local: Self::Local<'c>) -> BoxFuture<'c, Result<(), Error>>;
}

/// Where a database is, for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) _directory: Option<TempDir>,
}

/// What is bound to a parameter.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    Null,
    Number(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes)
    }
}

/// What is the same for all of them up to sqlx's types, whose bounds no generic function can name.
macro_rules! through_sqlx {
    ($DB:ty) => {
        type Raw = ::sqlx::Pool<$DB>;
        type At = ::seata::at::AtPool<$DB>;
        type Local<'c> = ::seata::at::AtTransaction<'c, $DB>;

        fn connect(url: &str, connections: u32) -> BoxFuture<'_, Result<Self::Raw, Error>> {
            let options = ::sqlx::pool::PoolOptions::new().max_connections(connections);
            // A server that is away refuses connections, and is asked again until then.
            let options = options.acquire_timeout(::std::time::Duration::from_secs(5));
            Box::pin(async move { options.connect(url).await })
        }

        fn script<'r>(raw: &'r Self::Raw, sql: &'r str) -> BoxFuture<'r, Result<(), Error>> {
            Box::pin(async move { ::sqlx::raw_sql(AssertSqlSafe(sql)).execute(raw).await.map(|_| ()) })
        }

        fn raw_texts<'r>(
            raw: &'r Self::Raw,
            sql: &'r str,
        ) -> BoxFuture<'r, Result<Vec<Option<String>>, Error>> {
            Box::pin(async move { ::sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(raw).await })
        }

        fn raw_numbers<'r>(raw: &'r Self::Raw, sql: &'r str) -> BoxFuture<'r, Result<Vec<i64>, Error>> {
            Box::pin(async move { ::sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(raw).await })
        }

        fn open<'r>(
            raw: &'r Self::Raw,
            seata: &'r ::seata::Seata,
            options: $crate::world::Options,
        ) -> BoxFuture<'r, Result<Self::At, ::seata::at::AtOpenError>> {
            let builder = ::seata::at::AtPool::builder(raw.clone(), seata)
                .lock_retry(options.lock_interval, options.lock_times)
                .max_image_rows(options.max_image_rows)
                .statement_blocks(options.blocks);
            Box::pin(builder.open())
        }

        fn execute<'r>(
            at: &'r Self::At,
            sql: &'r str,
            values: &'r [Value],
        ) -> BoxFuture<'r, Result<u64, Error>> {
            let query = bound(sql, values);
            Box::pin(async move { Ok(query.execute(at).await?.rows_affected()) })
        }

        fn numbers<'r>(
            at: &'r Self::At,
            sql: &'r str,
            values: &'r [Value],
        ) -> BoxFuture<'r, Result<Vec<i64>, Error>> {
            let query = bound(sql, values);
            Box::pin(async move {
                query.fetch_all(at).await?.iter().map(|row| ::sqlx::Row::try_get(row, 0)).collect()
            })
        }

        fn committed<'r>(at: &'r Self::At, sql: &'r str) -> BoxFuture<'r, Result<Vec<i64>, Error>> {
            Box::pin(async move {
                ::sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(at.global_committed()).await
            })
        }

        fn begin(at: &Self::At) -> BoxFuture<'_, Result<Self::Local<'static>, Error>> {
            Box::pin(at.begin())
        }

        fn begin_at<'r>(at: &'r Self::At, level: &str) -> BoxFuture<'r, Result<Self::Local<'static>, Error>> {
            Box::pin(at.begin_with(AssertSqlSafe(Self::begin_statement(level))))
        }

        fn nested<'l>(local: &'l mut Self::Local<'_>) -> BoxFuture<'l, Result<Self::Local<'l>, Error>> {
            Box::pin(local.begin())
        }

        fn local_execute<'r>(
            local: &'r mut Self::Local<'_>,
            sql: &'r str,
            values: &'r [Value],
        ) -> BoxFuture<'r, Result<u64, Error>> {
            let query = bound(sql, values);
            Box::pin(async move { Ok(query.execute(local).await?.rows_affected()) })
        }

        fn local_numbers<'r>(
            local: &'r mut Self::Local<'_>,
            sql: &'r str,
        ) -> BoxFuture<'r, Result<Vec<i64>, Error>> {
            Box::pin(async move { ::sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(local).await })
        }

        fn local_committed<'r>(
            local: &'r mut Self::Local<'_>,
            sql: &'r str,
        ) -> BoxFuture<'r, Result<Vec<i64>, Error>> {
            Box::pin(async move {
                ::sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(local.global_committed()).await
            })
        }

        fn commit<'c>(local: Self::Local<'c>) -> BoxFuture<'c, Result<(), Error>> {
            Box::pin(local.commit())
        }

        fn rollback<'c>(local: Self::Local<'c>) -> BoxFuture<'c, Result<(), Error>> {
            Box::pin(local.rollback())
        }
    };
}

/// A query with its values.
macro_rules! binding {
    ($DB:ty) => {
        fn bound<'q>(
            sql: &'q str,
            values: &'q [Value],
        ) -> ::sqlx::query::Query<'q, $DB, <$DB as ::sqlx::Database>::Arguments> {
            values.iter().fold(::sqlx::query(AssertSqlSafe(sql)), |query, value| match value {
                Value::Null => query.bind(None::<i64>),
                Value::Number(number) => query.bind(*number),
                Value::Text(text) => query.bind(text.as_str()),
                Value::Bytes(bytes) => query.bind(bytes.as_slice()),
            })
        }
    };
}

pub(crate) use {binding, through_sqlx};

/// One test for each database, from functions that are generic over it.
macro_rules! on_each_database {
    ($($test:ident),+ $(,)?) => {
        $crate::engine::on!(on_sqlite, Sqlite, $($test),+);
        $crate::engine::on_each_server!($($test),+);
    };
}

pub(crate) use on_each_database;

/// One test for each database that has a server.
macro_rules! on_each_server {
    ($($test:ident),+ $(,)?) => {
        $crate::engine::on!(on_mysql, MySql, $($test),+);
        $crate::engine::on!(on_postgres, Postgres, $($test),+);
    };
}

pub(crate) use on_each_server;

macro_rules! on {
    ($module:ident, $DB:ident, $($test:ident),+) => {
        mod $module {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $test() {
                super::$test::<sqlx::$DB>().await;
            })+
        }
    };
}

pub(crate) use on;
