//! SQLite.

mod structure;

use std::borrow::Cow;

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Arguments as _, Decode, Error, Executor as _, Pool, Row as _, Sqlite, SqliteConnection, TypeInfo as _,
    ValueRef as _,
    sqlite::{SqliteArguments, SqliteQueryResult, SqliteRow},
};

use crate::{
    dialect::{Call, Dialect, Output, rows},
    sql::{Flavor, Refusal, Rows},
    structure::{Structure, StructureCache},
    undo::{Field, Value},
};

const NULL: i32 = 0;
const BIGINT: i32 = -5;
const DOUBLE: i32 = 8;
const VARCHAR: i32 = 12;
const LONGVARBINARY: i32 = -4;

impl Dialect for Sqlite {
    const FLAVOR: Flavor = Flavor::Sqlite;
    // A deferred BEGIN that reads first fails with BUSY_SNAPSHOT when it comes to write.
    const BEGIN_WRITING: &'static str = "BEGIN IMMEDIATE";
    const BEGIN: &'static str = "BEGIN";
    const NOW: &'static str = "strftime('%Y-%m-%d %H:%M:%f', 'now')";
    // Where `undo_created` could not keep two apart, as in rows of earlier versions, the ids tell.
    const NEWEST_UNDO_FIRST: &'static str = "log_created DESC, branch_id DESC";
    const DAYS_AGO: &'static str = "strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || ?1 || ' days')";

    fn quote(name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    fn parameter(number: usize, field: &Field) -> String {
        match (field.jdbc_type, &field.value) {
            (VARCHAR, Value::Bytes(_)) => format!("CAST(?{number} AS TEXT)"),
            _ => format!("?{number}"),
        }
    }

    fn stream<'c>(
        connection: &'c mut SqliteConnection,
        call: Call<Self>,
    ) -> BoxStream<'c, Result<Output<Self>, Error>> {
        connection.fetch_many(call)
    }

    fn stream_from_pool(
        pool: &Pool<Self>,
        call: Call<Self>,
    ) -> BoxStream<'static, Result<Output<Self>, Error>> {
        pool.fetch_many(call)
    }

    fn bind(arguments: &mut SqliteArguments, value: &Value) -> Result<(), Error> {
        let bound = match value {
            Value::Null => arguments.add(None::<i64>),
            Value::Boolean(value) => arguments.add(*value),
            Value::Integer(value) => arguments.add(*value),
            Value::Long(value) => arguments.add(*value),
            Value::Double(value) => arguments.add(*value),
            Value::Text(text) => arguments.add(text.clone()),
            Value::Bytes(bytes) => arguments.add(bytes.clone()),
            other => Err(format!("SQLite stores no value like {other}").into()),
        };
        bound.map_err(Error::Encode)
    }

    fn key_value<'v>(collation: &str, value: &'v Value) -> Cow<'v, Value> {
        /// Beyond it no REAL equals any INTEGER.
        const INTEGERS: std::ops::Range<f64> = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
        match value {
            Value::Text(text) if collation.eq_ignore_ascii_case("NOCASE") => {
                Cow::Owned(Value::Text(text.to_ascii_lowercase()))
            }
            Value::Text(text) if collation.eq_ignore_ascii_case("RTRIM") => {
                Cow::Owned(Value::Text(text.trim_end_matches(' ').to_owned()))
            }
            Value::Double(real) if real.trunc() == *real && INTEGERS.contains(real) => {
                Cow::Owned(Value::Long(*real as i64))
            }
            other => Cow::Borrowed(other),
        }
    }

    fn value(row: &SqliteRow, column: usize) -> Result<(i32, Value), Error> {
        let value = row.try_get_raw(column)?;
        if value.is_null() {
            return Ok((NULL, Value::Null));
        }
        let storage_class = value.type_info().name().to_owned();
        let decoded = match storage_class.as_str() {
            "INTEGER" => <i64 as Decode<Self>>::decode(value).map(|value| (BIGINT, Value::Long(value))),
            "REAL" => <f64 as Decode<Self>>::decode(value).map(|value| (DOUBLE, Value::Double(value))),
            "BLOB" => <Vec<u8> as Decode<Self>>::decode(value).map(|value| (LONGVARBINARY, Value::Bytes(value))),
            // SQLite takes any bytes for a text; those that are none are kept as bytes.
            "TEXT" => <Vec<u8> as Decode<Self>>::decode(value).map(|bytes| {
                let text = String::from_utf8(bytes).map(Value::Text);
                (VARCHAR, text.unwrap_or_else(|error| Value::Bytes(error.into_bytes())))
            }),
            other => Err(format!("SQLite has no storage class {other}").into()),
        };
        decoded.map_err(|source| Error::ColumnDecode { index: column.to_string(), source })
    }

    fn rows_affected(result: &SqliteQueryResult) -> u64 {
        result.rows_affected()
    }

    fn structure<'c>(
        connection: &'c mut SqliteConnection,
        cache: &'c StructureCache,
        rows: &'c Rows,
    ) -> BoxFuture<'c, Result<Result<Structure, Refusal>, Error>> {
        Box::pin(structure::structure(connection, cache, rows))
    }

    fn keeps_transaction(error: &Error) -> bool {
        /// SQLITE_ERROR, _READONLY, _TOOBIG, _CONSTRAINT, _MISMATCH, _AUTH and _RANGE undo the
        /// statement alone; a full disk, for one, may undo the whole transaction.
        const UNDO_THE_STATEMENT: [i32; 7] = [1, 8, 18, 19, 20, 23, 25];
        let code = error.as_database_error().and_then(|error| error.code());
        let code = code.and_then(|code| code.parse::<i32>().ok());
        code.is_some_and(|code| UNDO_THE_STATEMENT.contains(&(code & 0xff)))
    }

    fn location<'c>(connection: &'c mut SqliteConnection) -> BoxFuture<'c, Result<Option<String>, Error>> {
        Box::pin(async move {
            let query = "SELECT file FROM pragma_database_list WHERE name = 'main'";
            let files = rows::<Self>(connection, Call::text(query)).await?;
            let file: Option<String> = files.first().map(|row| row.try_get(0)).transpose()?.flatten();
            Ok(file.filter(|file| !file.is_empty()))
        })
    }

    fn resource_name(location: &str) -> Result<String, std::io::Error> {
        let path = std::fs::canonicalize(location)?.into_os_string().into_string();
        let path = path.map_err(|path| {
            let reason = format!("{path:?} is not UTF-8: set `resource_id`, a name for it that is");
            std::io::Error::new(std::io::ErrorKind::InvalidData, reason)
        })?;
        // What Java makes of the JDBC URL of a file. Java cuts it at the first question mark, and a comma ends it
        // in a registration; no two paths may become one name.
        let path = path.replace('%', "%25").replace('?', "%3F").replace(',', "%2C");
        Ok(format!("jdbc:sqlite:{path}"))
    }

    fn undo_created(table: &str) -> String {
        // Two branches may fall on one millisecond, and the clock may be set back between them.
        format!(
            "max({now}, coalesce(strftime('%Y-%m-%d %H:%M:%f', (SELECT max(log_created) FROM {table} \
             WHERE xid = ?2), '+0.001 seconds'), ''))",
            now = Self::NOW,
            table = Self::quote(table),
        )
    }

    fn undo_table(name: &str) -> Vec<String> {
        let index = Self::quote(&format!("ix_{name}_newest"));
        let name = Self::quote(name);
        vec![
            // WITHOUT ROWID, so that writing an undo row leaves the user's last_insert_rowid() alone.
            format!(
                "CREATE TABLE IF NOT EXISTS {name} (branch_id INTEGER NOT NULL, xid TEXT NOT NULL, \
                 context TEXT NOT NULL, rollback_info BLOB NOT NULL, log_status INTEGER NOT NULL, \
                 log_created TEXT NOT NULL, log_modified TEXT NOT NULL, PRIMARY KEY (xid, branch_id)) WITHOUT ROWID"
            ),
            // The newest row of a transaction by one look, and all rows by age without their images.
            format!("CREATE INDEX IF NOT EXISTS {index} ON {name} (xid, log_created, log_status)"),
        ]
    }

    fn relax_constraints() -> &'static [&'static str] {
        &["PRAGMA defer_foreign_keys = ON"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_resource_is_named_after_the_jdbc_url_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().canonicalize().unwrap();
        let names = ["stock.db", "a,b.db", "a%2Cb.db", "a?b.db"].map(|file| {
            let path = directory.join(file);
            std::fs::write(&path, "").unwrap();
            let name = Sqlite::resource_name(path.to_str().unwrap()).unwrap();
            name.strip_prefix(&format!("jdbc:sqlite:{}/", directory.display())).unwrap().to_owned()
        });
        assert_eq!(names, ["stock.db", "a%2Cb.db", "a%252Cb.db", "a%3Fb.db"]);
    }
}
