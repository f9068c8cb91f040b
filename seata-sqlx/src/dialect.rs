//! What differs between databases, behind one trait, and how statements reach them.

use std::borrow::Cow;

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::TryStreamExt;
use sqlx::{AssertSqlSafe, Database, Either, Error, Execute, Pool, SqlSafeStr, SqlStr, error::BoxDynError};

use crate::{
    sql::{Flavor, Refusal, Rows},
    structure::{Structure, StructureCache},
    undo::{Field, Value},
};

/// What a statement answers: results and rows, as sqlx mixes them.
pub(crate) type Output<DB> = Either<<DB as Database>::QueryResult, <DB as Database>::Row>;

/// A database that AT mode works on. Everything specific to one stands in its implementation.
pub trait Dialect: Database<Arguments: Clone + Sync> {
    /// How statements are read.
    const FLAVOR: Flavor;
    /// Begins a local transaction that is going to write.
    const BEGIN_WRITING: &'static str;
    /// Begins a local transaction of a user outside any global one.
    const BEGIN: &'static str;
    /// The current time in the columns of the undo table.
    const NOW: &'static str;
    /// The order of the undo rows of one transaction, the newest first; at least for any two branches that
    /// changed the same row, whoever wrote them. Of those the second could not begin before the first had
    /// committed, so an order of insertion will do. That of the branches' ids will not by itself: coordinators that share a
    /// store give them out from ranges of their own.
    const NEWEST_UNDO_FIRST: &'static str;
    /// The time so many days ago, with the number of days as the first parameter.
    const DAYS_AGO: &'static str;

    /// An identifier in quotes.
    fn quote(name: &str) -> String;

    /// The text of the parameter with this number, counted from 1, that takes the field's value.
    fn parameter(number: usize, field: &Field) -> String;

    /// Runs a statement on a connection. The stream may be dropped at any time.
    fn stream<'c>(
        connection: &'c mut Self::Connection,
        call: Call<Self>,
    ) -> BoxStream<'c, Result<Output<Self>, Error>>;

    /// Runs a statement on any connection of the pool.
    fn stream_from_pool(
        pool: &Pool<Self>,
        call: Call<Self>,
    ) -> BoxStream<'static, Result<Output<Self>, Error>>;

    /// Adds a value to the arguments.
    fn bind(arguments: &mut Self::Arguments, value: &Value) -> Result<(), Error>;

    /// The one value that stands in row locks for all those that a key with this collation takes for
    /// equal. With two of them a row that was deleted could come back under another lock.
    fn key_value<'v>(collation: &str, value: &'v Value) -> Cow<'v, Value>;

    /// The value of a column and its JDBC type number.
    fn value(row: &Self::Row, column: usize) -> Result<(i32, Value), Error>;

    /// How many rows a statement changed.
    fn rows_affected(result: &Self::QueryResult) -> u64;

    /// The structure of the table that these rows are in, as it is inside the open transaction.
    fn structure<'c>(
        connection: &'c mut Self::Connection,
        cache: &'c StructureCache,
        rows: &'c Rows,
    ) -> BoxFuture<'c, Result<Result<Structure, Refusal>, Error>>;

    /// Whether the statement that failed so left the transaction open and itself without effect.
    fn keeps_transaction(error: &Error) -> bool;

    /// What identifies the database, or `None` if it lives inside its connection.
    fn location<'c>(connection: &'c mut Self::Connection) -> BoxFuture<'c, Result<Option<String>, Error>>;

    /// The name of the resource at this place.
    fn resource_name(location: &str) -> Result<String, std::io::Error>;

    /// The expression for `log_created` in the INSERT of an undo row whose second parameter is the XID. It has
    /// to go with [`NEWEST_UNDO_FIRST`](Self::NEWEST_UNDO_FIRST).
    fn undo_created(table: &str) -> String;

    /// Statements that make the undo table if it is missing.
    fn undo_table(name: &str) -> Vec<String>;

    /// Statements that let phase two restore rows in any order until its COMMIT.
    fn relax_constraints() -> &'static [&'static str];
}

/// A statement on its way, with the arguments bound to it.
pub struct Call<DB: Database> {
    pub(crate) sql: SqlStr,
    pub(crate) arguments: Option<DB::Arguments>,
    pub(crate) persistent: bool,
}

impl<DB: Dialect> Call<DB> {
    /// Takes a user's query apart, as a driver does.
    pub(crate) fn take<'q>(mut query: impl Execute<'q, DB>) -> Result<Self, Error> {
        let arguments = query.take_arguments().map_err(Error::Encode)?;
        let persistent = query.persistent();
        Ok(Self { sql: query.sql(), arguments, persistent })
    }

    /// A statement of our own.
    pub(crate) fn new(sql: impl Into<String>, values: &[&Value]) -> Result<Self, Error> {
        let mut arguments = DB::Arguments::default();
        for value in values {
            DB::bind(&mut arguments, value)?;
        }
        Ok(Self {
            sql: AssertSqlSafe(sql.into()).into_sql_str(),
            arguments: Some(arguments),
            persistent: true,
        })
    }

    /// A statement of our own without arguments that is not worth preparing.
    pub(crate) fn text(sql: impl Into<String>) -> Self {
        Self { sql: AssertSqlSafe(sql.into()).into_sql_str(), arguments: None, persistent: false }
    }

    /// Another statement with the same arguments.
    pub(crate) fn with_sql(&self, sql: String) -> Self {
        Self {
            sql: AssertSqlSafe(sql).into_sql_str(),
            arguments: Some(self.arguments.clone().unwrap_or_default()),
            // A text without arguments holds its values, and hardly comes a second time.
            persistent: self.persistent && self.arguments.is_some(),
        }
    }
}

impl<DB: Dialect> Clone for Call<DB> {
    fn clone(&self) -> Self {
        Self { sql: self.sql.clone(), arguments: self.arguments.clone(), persistent: self.persistent }
    }
}

impl<'q, DB: Dialect> Execute<'q, DB> for Call<DB> {
    fn sql(self) -> SqlStr {
        self.sql
    }

    fn statement(&self) -> Option<&DB::Statement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<DB::Arguments>, BoxDynError> {
        Ok(self.arguments.take())
    }

    fn persistent(&self) -> bool {
        self.persistent
    }
}

/// Everything a statement answers.
pub(crate) async fn collect<DB: Dialect>(
    connection: &mut DB::Connection,
    call: Call<DB>,
) -> Result<Vec<Output<DB>>, Error> {
    DB::stream(connection, call).try_collect().await
}

/// Only how many rows it changed.
pub(crate) async fn execute<DB: Dialect>(
    connection: &mut DB::Connection,
    call: Call<DB>,
) -> Result<u64, Error> {
    Ok(rows_affected::<DB>(&collect(connection, call).await?))
}

/// Only its rows.
pub(crate) async fn rows<DB: Dialect>(
    connection: &mut DB::Connection,
    call: Call<DB>,
) -> Result<Vec<DB::Row>, Error> {
    Ok(collect(connection, call).await?.into_iter().filter_map(Either::right).collect())
}

pub(crate) fn rows_affected<DB: Dialect>(outputs: &[Output<DB>]) -> u64 {
    outputs.iter().filter_map(|output| output.as_ref().left()).map(DB::rows_affected).sum()
}
