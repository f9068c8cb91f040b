//! SQLite.

mod structure;

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Arguments as _, Decode, Error, Executor as _, Pool, Row as _, Sqlite, SqliteConnection, TypeInfo as _,
    ValueRef as _,
    sqlite::{SqliteArguments, SqliteConnectOptions, SqliteQueryResult, SqliteRow},
};

use crate::{
    change::Marked,
    dialect::{Argument, Call, Capabilities, Dialect, Output, Returned, rows},
    image::Key,
    sql::{Flavor, Refusal, Write},
    structure::{Column, Structure, StructureCache, Table, TableName},
    undo::{
        Field, Value, Zone,
        jdbc::{BIGINT, DOUBLE, LONGVARBINARY, NULL, VARCHAR},
    },
};

impl Dialect for Sqlite {
    // A value has a type, a column hardly.
    type ColumnType = ();

    const FLAVOR: Flavor = Flavor::Sqlite;
    // A deferred BEGIN that reads first fails with BUSY_SNAPSHOT when it comes to write.
    const BEGIN_WRITING: &'static str = "BEGIN IMMEDIATE";
    const BEGIN_READING: &'static str = "BEGIN IMMEDIATE";
    const BEGIN: &'static str = "BEGIN";
    const FOR_UPDATE: &'static str = "";
    const ROW_LOCKS: bool = false;
    // When `INSERT OR IGNORE` fails on a type of a STRICT table, the rows before that one stay.
    const STATEMENT_SAVEPOINT: bool = true;
    const ERROR_ENDS_TRANSACTION: bool = false;
    // The same bytes are a text or a blob.
    const VALUES_HAVE_TYPES: bool = true;
    const DEFAULT_SCHEMA: Option<&'static str> = Some("main");
    const NOW: &'static str = "strftime('%Y-%m-%d %H:%M:%f', 'now')";
    // Where `undo_created` could not keep two apart, as in rows of earlier versions, the ids tell.
    const NEWEST_UNDO_FIRST: &'static str = "log_created DESC, branch_id DESC";
    const DAYS_AGO: &'static str = "strftime('%Y-%m-%d %H:%M:%f', 'now', '-' || ?1 || ' days')";

    fn placeholder(number: usize) -> String {
        format!("?{number}")
    }

    fn text_literal(text: &str) -> String {
        format!("CAST({} AS TEXT)", Self::bytes_literal(text.as_bytes()))
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

    fn bind(arguments: &mut SqliteArguments, argument: &Argument) -> Result<(), Error> {
        let bound = match argument {
            Argument::Null => arguments.add(None::<i64>),
            Argument::Boolean(value) => arguments.add(*value),
            Argument::Integer(value) => arguments.add(*value),
            Argument::Unsigned(value) => Err(format!("SQLite has no whole number {value}").into()),
            Argument::Real(value) => arguments.add(*value),
            Argument::Text(text) => arguments.add(text.clone()),
            Argument::Bytes(bytes) => arguments.add(bytes.clone()),
        };
        bound.map_err(Error::Encode)
    }

    fn argument_at(row: &SqliteRow, index: usize) -> Result<Argument, Error> {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            return Ok(Argument::Null);
        }
        let storage_class = value.type_info().name().to_owned();
        let decoded = match storage_class.as_str() {
            "INTEGER" => <i64 as Decode<Self>>::decode(value).map(Argument::Integer),
            "REAL" => <f64 as Decode<Self>>::decode(value).map(Argument::Real),
            "BLOB" => <Vec<u8> as Decode<Self>>::decode(value).map(Argument::Bytes),
            "TEXT" => <String as Decode<Self>>::decode(value).map(Argument::Text),
            other => Err(format!("SQLite has no storage class {other}").into()),
        };
        decoded.map_err(|source| Error::ColumnDecode { index: index.to_string(), source })
    }

    fn selected(column: &Column<()>, qualifier: Option<&str>) -> String {
        let name = Self::quote(&column.name);
        qualifier.map_or_else(|| name.clone(), |qualifier| format!("{qualifier}.{name}"))
    }

    fn field(
        row: &SqliteRow,
        index: usize,
        column: &Column<()>,
        is_key: bool,
        _: &Zone,
    ) -> Result<Field, Error> {
        let (jdbc_type, value) = value(row, index)?;
        Ok(Field { name: column.name.clone(), is_key, jdbc_type, value, exact: None })
    }

    fn argument(_: &Column<()>, field: &Field, _: &Zone) -> Result<Argument, String> {
        Ok(match &field.value {
            Value::Null => Argument::Null,
            Value::Boolean(value) => Argument::Boolean(*value),
            Value::Integer(value) => Argument::Integer((*value).into()),
            Value::Long(value) => Argument::Integer(*value),
            Value::Double(value) => Argument::Real(*value),
            Value::Text(text) => Argument::Text(text.clone()),
            Value::Bytes(bytes) => Argument::Bytes(bytes.clone()),
            other => return Err(format!("SQLite stores no value like {other}")),
        })
    }

    fn parameter(number: usize, _: &Column<()>, field: &Field) -> String {
        match (field.jdbc_type, &field.value) {
            (VARCHAR, Value::Bytes(_)) => format!("CAST(?{number} AS TEXT)"),
            _ => format!("?{number}"),
        }
    }

    fn key_part<'v>(_: &Column<()>, collation: &str, field: &'v Field, _: &Zone) -> Result<Key<'v>, String> {
        /// Beyond it no REAL equals any INTEGER.
        const INTEGERS: std::ops::Range<f64> = -9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0;
        Ok(match &field.value {
            Value::Text(text) if collation.eq_ignore_ascii_case("NOCASE") => {
                Key::Text(text.to_ascii_lowercase().into())
            }
            Value::Text(text) if collation.eq_ignore_ascii_case("RTRIM") => {
                Key::Text(text.trim_end_matches(' ').into())
            }
            Value::Text(text) => Key::Text(text.into()),
            Value::Double(real) if real.trunc() == *real && INTEGERS.contains(real) => {
                Key::Integer(*real as i64)
            }
            Value::Double(real) => Key::Real(*real),
            Value::Long(value) => Key::Integer(*value),
            Value::Integer(value) => Key::Integer((*value).into()),
            Value::Bytes(bytes) => Key::Bytes(bytes.into()),
            other => return Err(other.to_string()),
        })
    }

    fn mark_updates(sql: &str, _: &Write, _: &Table<Self>) -> Marked {
        // Not called: a RETURNING clause is asked for keys alone.
        Marked { prepare: None, statement: sql.to_owned(), expression: "NULL" }
    }

    fn rows_affected(result: &SqliteQueryResult) -> u64 {
        result.rows_affected()
    }

    fn capabilities<'c>(_: &'c mut SqliteConnection) -> BoxFuture<'c, Result<Capabilities, Error>> {
        // What a RETURNING clause gives may differ from what is stored, as in a REAL column that holds whole numbers.
        let keys = Returned::Keys;
        Box::pin(async move {
            Ok(Capabilities {
                insert: keys,
                update: keys,
                delete: keys,
                share_locks: false,
                block: None,
                max_packet: None,
            })
        })
    }

    fn structure<'c>(
        connection: &'c mut SqliteConnection,
        cache: &'c StructureCache<Self>,
        name: &'c TableName,
    ) -> BoxFuture<'c, Result<Result<Structure<Self>, Refusal>, Error>> {
        Box::pin(structure::structure(connection, cache, name))
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

    fn resource_name(location: &str, _: &SqliteConnectOptions) -> Result<String, std::io::Error> {
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

    fn undo_reference<'c>(
        _: &'c mut SqliteConnection,
        _: &'c str,
        table: &'c str,
    ) -> BoxFuture<'c, Result<String, Error>> {
        Box::pin(async move { Ok(format!("main.{}", Self::quote(table))) })
    }

    fn undo_created(table: &str, xid: &str) -> String {
        // Two branches may fall on one millisecond, and the clock may be set back between them.
        format!(
            "max({now}, coalesce(strftime('%Y-%m-%d %H:%M:%f', (SELECT max(log_created) FROM {table} \
             WHERE xid = {xid}), '+0.001 seconds'), ''))",
            now = Self::NOW,
        )
    }

    fn relax_constraints() -> &'static [&'static str] {
        &["PRAGMA defer_foreign_keys = ON"]
    }
}

/// A value with its storage class as a JDBC type.
fn value(row: &SqliteRow, index: usize) -> Result<(i32, Value), Error> {
    let value = row.try_get_raw(index)?;
    // SQLite takes any bytes for a text; those that are none are kept as bytes.
    if !value.is_null() && value.type_info().name() == "TEXT" {
        let bytes = <Vec<u8> as Decode<Sqlite>>::decode(value);
        let bytes = bytes.map_err(|source| Error::ColumnDecode { index: index.to_string(), source })?;
        let text = String::from_utf8(bytes).map(Value::Text);
        return Ok((VARCHAR, text.unwrap_or_else(|error| Value::Bytes(error.into_bytes()))));
    }
    Ok(match Sqlite::argument_at(row, index)? {
        Argument::Integer(value) => (BIGINT, Value::Long(value)),
        Argument::Real(value) => (DOUBLE, Value::Double(value)),
        Argument::Bytes(bytes) => (LONGVARBINARY, Value::Bytes(bytes)),
        _ => (NULL, Value::Null),
    })
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
            let name = Sqlite::resource_name(path.to_str().unwrap(), &SqliteConnectOptions::new()).unwrap();
            name.strip_prefix(&format!("jdbc:sqlite:{}/", directory.display())).unwrap().to_owned()
        });
        assert_eq!(names, ["stock.db", "a%2Cb.db", "a%252Cb.db", "a%3Fb.db"]);
    }
}
