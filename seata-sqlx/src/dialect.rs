//! What differs between databases, behind one trait, and how statements reach them.

use std::{
    fmt,
    hash::{DefaultHasher, Hash as _, Hasher as _},
};

use futures_core::{future::BoxFuture, stream::BoxStream};
use futures_util::TryStreamExt;
use sqlx::{
    AssertSqlSafe, Connection, Database, Either, Error, Execute, Pool, SqlSafeStr, SqlStr, error::BoxDynError,
};

use crate::{
    change::{Hidden, Marked},
    image::Key,
    sql::{Flavor, Refusal, Write},
    structure::{Column, Structure, StructureCache, Table, TableName},
    undo::{self, Field, Zone},
};

/// How a pool reaches the database.
pub(crate) type ConnectOptionsOf<DB> = <<DB as Database>::Connection as Connection>::Options;

/// What a statement answers: results and rows, as sqlx mixes them.
pub(crate) type Output<DB> = Either<<DB as Database>::QueryResult, <DB as Database>::Row>;

/// A value that our own statements bind or read, as a driver knows it.
#[derive(Clone, Debug, PartialEq)]
pub enum Argument {
    /// SQL's NULL.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A whole number.
    Integer(i64),
    /// A whole number beyond those.
    Unsigned(u64),
    /// A floating-point number.
    Real(f64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// What a statement can give back of the rows that it touches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// Nothing.
    Nothing,
    /// The keys of the rows.
    Keys,
    /// Whole rows: as they are afterwards, or were before a DELETE.
    Image,
}

/// What this server can do, asked once when the data source is opened.
#[derive(Clone, Debug)]
pub struct Capabilities {
    pub(crate) insert: Returned,
    pub(crate) update: Returned,
    pub(crate) delete: Returned,
    /// A sub-query may lock what it reads.
    pub(crate) share_locks: bool,
    /// How several statements with arguments become one, which answers as they would one after the other, but for those
    /// that give no rows: of them the last answer says how many rows they have changed.
    pub(crate) block: Option<fn(&[&str]) -> String>,
    /// The longest statement in bytes, if there is a limit that an undo log may meet.
    pub(crate) max_packet: Option<u64>,
}

/// A column of this database.
pub(crate) type ColumnOf<DB> = Column<<DB as Dialect>::ColumnType>;

/// A database that AT mode works on: `sqlx::MySql`, `sqlx::Postgres` and `sqlx::Sqlite`, by the features of these
/// names. It is for naming in bounds; what it is made of is this crate's own.
// Everything that is specific to one database stands in its implementation.
pub trait Dialect: Database<Arguments: Clone + Sync> {
    /// What has to be known of a column's type to read a value, to document it and to write it back.
    type ColumnType: fmt::Debug + Send + Sync + 'static;

    /// The language of its statements.
    const FLAVOR: Flavor;
    /// Begins a local transaction that is going to write.
    const BEGIN_WRITING: &'static str;
    /// Begins one that reads rows, locks them, and reads them again: the second time it finds no others.
    const BEGIN_READING: &'static str;
    /// Begins a local transaction of a user outside any global one.
    const BEGIN: &'static str;
    /// What a SELECT ends with that locks its rows until the local transaction ends; empty where one that is
    /// going to write keeps everybody else out.
    const FOR_UPDATE: &'static str;
    /// What a SELECT ends with that also keeps others from referring to its rows, where the former does not.
    const FOR_DELETE: Option<&'static str> = None;
    /// Others work on other rows meanwhile. A local transaction may wait for a row of another global transaction.
    const ROW_LOCKS: bool;
    /// A SELECT without a lock clause reads what was committed when the local transaction first read, also of rows that
    /// it has locked since.
    const OLD_READS: bool = false;
    /// A statement that fails may leave something behind, unless it stands in a savepoint of its own.
    const STATEMENT_SAVEPOINT: bool;
    /// After an error the local transaction takes nothing but a ROLLBACK, of all or to a savepoint.
    const ERROR_ENDS_TRANSACTION: bool;
    /// A DELETE also locks rows that it only looks at.
    const DELETE_LOCKS_WHAT_IT_READS: bool = false;
    /// A column's values have a type each, which is part of what they are.
    const VALUES_HAVE_TYPES: bool = false;
    /// The schema of a table that an undo log names without one; `None` for that of the connection.
    const DEFAULT_SCHEMA: Option<&'static str>;
    /// What stands before VALUES in an INSERT that also writes keys which the database would give out itself.
    const OVERRIDING: &'static str = "";
    /// Of a statement that gives rows back the driver cannot tell how many it changed.
    const HIDES_RESULTS: bool = false;
    /// A statement is prepared for arguments of certain types, in a certain number.
    const PREPARES_TYPES: bool = false;
    /// The current time in the columns of the undo table.
    const NOW: &'static str;
    /// The order of the undo rows of one transaction, the newest first; at least for any two branches that
    /// changed the same row, whoever wrote them. Of those the second could not begin before the first had
    /// committed, so an order of insertion will do. That of the branches' ids will not by itself: coordinators that share a
    /// store give them out from ranges of their own.
    const NEWEST_UNDO_FIRST: &'static str;
    /// The time so many days ago, with the number of days as the only parameter.
    const DAYS_AGO: &'static str;

    /// An identifier in quotes.
    fn quote(name: &str) -> String {
        Self::FLAVOR.quote(name)
    }

    /// The text of the parameter with this number, counted from 1. Our own statements name each one once, in order.
    fn placeholder(number: usize) -> String;

    /// These bytes within the text of a statement, whatever the session makes of quotes and backslashes.
    fn bytes_literal(bytes: &[u8]) -> String {
        let mut text = "X'".to_owned();
        push_hexadecimal(&mut text, bytes);
        text + "'"
    }

    /// This text within the text of a statement, as [`bytes_literal`](Self::bytes_literal).
    fn text_literal(text: &str) -> String;

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
    fn bind(arguments: &mut Self::Arguments, argument: &Argument) -> Result<(), Error>;

    /// A value in a column whose type is not looked up: one of the undo table, or one that is computed.
    fn argument_at(row: &Self::Row, index: usize) -> Result<Argument, Error>;

    /// What an image query selects for a column, behind this qualifier if it needs one.
    fn selected(column: &ColumnOf<Self>, qualifier: Option<&str>) -> String;

    /// The column of an image, from what such a query gave.
    fn field(
        row: &Self::Row,
        index: usize,
        column: &ColumnOf<Self>,
        is_key: bool,
        zone: &Zone,
    ) -> Result<Field, Error>;

    /// The value to bind so that the column becomes what the field says, whoever wrote it.
    ///
    /// # Errors
    /// Why it cannot be written back.
    fn argument(column: &ColumnOf<Self>, field: &Field, zone: &Zone) -> Result<Argument, String>;

    /// The text of a parameter that takes the value of [`argument`](Self::argument).
    fn parameter(number: usize, column: &ColumnOf<Self>, field: &Field) -> String;

    /// A row's part in lock keys: the same for all values that a key with this collation takes for equal. With
    /// two of them a row that was deleted could come back under another lock.
    ///
    /// # Errors
    /// What the value is, if it can be no part of one.
    fn key_part<'v>(
        column: &ColumnOf<Self>,
        collation: &str,
        field: &'v Field,
        zone: &Zone,
    ) -> Result<Key<'v>, String>;

    /// A form of this upsert that tells which rows it changed, where the database gives whole rows back.
    fn mark_updates(sql: &str, write: &Write, table: &Table<Self>) -> Marked;

    /// The condition for the rows that an INSERT has added, once it has run, with the statement's own arguments: what
    /// its words say of their keys is enough. `None` if it is not, or if what an INSERT gives back is surer.
    fn added_rows(_write: &Write, _table: &Table<Self>, _returned: Returned) -> Option<String> {
        None
    }

    /// What the driver would have said of a statement that was made to give rows back; `None` if it did say so.
    fn hidden_result<'c>(
        _connection: &'c mut Self::Connection,
        _hidden: Hidden<'c, Self>,
    ) -> BoxFuture<'c, Result<Option<Self::QueryResult>, Error>> {
        Box::pin(async { Ok(None) })
    }

    /// Whether an INSERT adds one row, with a key that the table counts, as its words say.
    fn counts_one(_write: &Write, _table: &Table<Self>) -> bool {
        false
    }

    /// The error says that the user lacks a right.
    fn lacks_right(_error: &Error) -> bool {
        false
    }

    /// A statement without arguments that changes nothing and answers as [`hidden_result`](Self::hidden_result) does.
    fn answering(_hidden: &Hidden<'_, Self>) -> Option<String> {
        None
    }

    /// How many rows a statement changed.
    fn rows_affected(result: &Self::QueryResult) -> u64;

    /// What this server can do.
    fn capabilities<'c>(connection: &'c mut Self::Connection) -> BoxFuture<'c, Result<Capabilities, Error>>;

    /// The structure of a table as it is inside the open transaction.
    fn structure<'c>(
        connection: &'c mut Self::Connection,
        cache: &'c StructureCache<Self>,
        name: &'c TableName,
    ) -> BoxFuture<'c, Result<Result<Structure<Self>, Refusal>, Error>>;

    /// Whether the table still has the columns of its structure, and no others. Asked inside a local transaction that has
    /// read of it, and keeps it as it is.
    fn is_current<'c>(
        _connection: &'c mut Self::Connection,
        _table: &'c Table<Self>,
    ) -> BoxFuture<'c, Result<bool, Error>> {
        Box::pin(async { Ok(true) })
    }

    /// Whether the statement that failed so left the transaction open and itself without effect.
    fn keeps_transaction(error: &Error) -> bool;

    /// Whether the error says that a table is not what its structure was thought to be.
    fn tells_of_alteration(_error: &Error) -> bool {
        false
    }

    /// What identifies the database, or `None` if it lives inside its connection.
    fn location<'c>(connection: &'c mut Self::Connection) -> BoxFuture<'c, Result<Option<String>, Error>>;

    /// The name of the resource at this place, on a pool with these options.
    fn resource_name(location: &str, options: &ConnectOptionsOf<Self>) -> Result<String, std::io::Error>;

    /// How statements name the undo table on every connection, wherever it looks for tables that are named without
    /// their schema: as the one that it is on this connection, in the database of this [`location`](Self::location).
    fn undo_reference<'c>(
        connection: &'c mut Self::Connection,
        location: &'c str,
        table: &'c str,
    ) -> BoxFuture<'c, Result<String, Error>>;

    /// The expression for `log_created` in an undo row of the transaction with this expression for its XID. It has to go
    /// with [`NEWEST_UNDO_FIRST`](Self::NEWEST_UNDO_FIRST).
    fn undo_created(_table: &str, _xid: &str) -> String {
        Self::NOW.to_owned()
    }

    /// Statements that make the undo table if it is missing.
    fn undo_table(name: &str) -> Vec<String> {
        undo::table(Self::FLAVOR, name)
    }

    /// Statements for phase two's own connection, right after it is opened.
    fn prepare_phase_two() -> &'static [&'static str] {
        &[]
    }

    /// Statements that let phase two restore rows in any order until its COMMIT.
    fn relax_constraints() -> &'static [&'static str] {
        &[]
    }
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
    pub(crate) fn new(sql: impl Into<String>, values: &[Argument]) -> Result<Self, Error> {
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
    pub(crate) fn with_sql(&self, mut sql: String) -> Self {
        use sqlx::Arguments as _;
        let has_arguments = self.arguments.as_ref().is_some_and(|arguments| arguments.len() > 0);
        if DB::PREPARES_TYPES && has_arguments {
            // Another statement may have the same image, and other arguments that it makes no use of.
            sql.push_str(&format!(" /* {:x} */", hash(self.sql.as_str())));
        }
        Self {
            sql: AssertSqlSafe(sql).into_sql_str(),
            arguments: Some(self.arguments.clone().unwrap_or_default()),
            // A text without arguments holds its values, and hardly comes a second time.
            persistent: self.persistent && self.arguments.is_some(),
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
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

/// Two digits for each byte.
pub(crate) fn push_hexadecimal(text: &mut String, bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    text.reserve(2 * bytes.len());
    for digit in bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]) {
        text.push(char::from(DIGITS[usize::from(digit)]));
    }
}

pub(crate) fn rows_affected<DB: Dialect>(outputs: &[Output<DB>]) -> u64 {
    outputs.iter().filter_map(|output| output.as_ref().left()).map(DB::rows_affected).sum()
}
