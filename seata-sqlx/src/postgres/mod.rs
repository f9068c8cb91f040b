//! PostgreSQL.

mod array;
mod calendar;
mod geometric;
mod interval;
mod resource;
mod structure;
mod types;
mod values;

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Decode, Encode, Error, Executor as _, PgConnection, Pool, Postgres, Row as _, Type, TypeInfo as _,
    ValueRef as _,
    encode::IsNull,
    error::BoxDynError,
    postgres::{
        PgArgumentBuffer, PgArguments, PgConnectOptions, PgDatabaseError, PgQueryResult, PgRow, PgSeverity,
        PgTypeInfo, PgValueFormat, types::Oid,
    },
};

use self::{
    types::{ColumnType, Form},
    values::Written,
};
use crate::{
    change::Marked,
    dialect::{Argument, Call, Capabilities, Dialect, Output, Returned, push_hexadecimal, rows},
    image::Key,
    sql::{Flavor, Refusal, Write},
    structure::{Column, Structure, StructureCache, Table, TableName},
    undo::{Field, Value, Zone},
};

impl Dialect for Postgres {
    type ColumnType = ColumnType;

    const FLAVOR: Flavor = Flavor::Postgres;
    const BEGIN_WRITING: &'static str = "BEGIN";
    const BEGIN_READING: &'static str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
    const BEGIN: &'static str = "BEGIN";
    // As an UPDATE does that leaves keys alone: rows that refer to this one can be added meanwhile.
    const FOR_UPDATE: &'static str = " FOR NO KEY UPDATE";
    const FOR_DELETE: Option<&'static str> = Some(" FOR UPDATE");
    const ROW_LOCKS: bool = true;
    const STATEMENT_SAVEPOINT: bool = false;
    const ERROR_ENDS_TRANSACTION: bool = true;
    const DEFAULT_SCHEMA: Option<&'static str> = Some("public");
    const PREPARES_TYPES: bool = true;
    const OVERRIDING: &'static str = "OVERRIDING SYSTEM VALUE ";
    // The columns have no time zone, and those who write and compare them may be in any.
    const NOW: &'static str = "(now() AT TIME ZONE 'UTC')";
    const NEWEST_UNDO_FIRST: &'static str = "id DESC";
    const DAYS_AGO: &'static str = "(now() AT TIME ZONE 'UTC') - pg_catalog.make_interval(days => $1::int)";

    fn placeholder(number: usize) -> String {
        format!("${number}")
    }

    fn bytes_literal(bytes: &[u8]) -> String {
        let mut text = "pg_catalog.decode('".to_owned();
        push_hexadecimal(&mut text, bytes);
        text + "', 'hex')"
    }

    fn text_literal(text: &str) -> String {
        format!("pg_catalog.convert_from({}, 'UTF8')", Self::bytes_literal(text.as_bytes()))
    }

    fn stream<'c>(
        connection: &'c mut PgConnection,
        mut call: Call<Self>,
    ) -> BoxStream<'c, Result<Output<Self>, Error>> {
        // An unnamed statement does not outlive what the driver asks about a type that is new to it.
        call.persistent |= call.arguments.is_some();
        connection.fetch_many(call)
    }

    fn stream_from_pool(
        pool: &Pool<Self>,
        call: Call<Self>,
    ) -> BoxStream<'static, Result<Output<Self>, Error>> {
        pool.fetch_many(call)
    }

    fn bind(arguments: &mut PgArguments, argument: &Argument) -> Result<(), Error> {
        use sqlx::Arguments as _;
        let bound = match argument {
            Argument::Null => arguments.add(Untyped(None)),
            Argument::Boolean(value) => arguments.add(*value),
            Argument::Integer(value) => arguments.add(*value),
            Argument::Unsigned(value) => Err(format!("PostgreSQL has no whole number {value}").into()),
            Argument::Real(value) => arguments.add(*value),
            Argument::Text(text) => arguments.add(text.as_str()),
            Argument::Bytes(bytes) => arguments.add(Untyped(Some(bytes.clone()))),
        };
        bound.map_err(Error::Encode)
    }

    fn argument_at(row: &PgRow, index: usize) -> Result<Argument, Error> {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            return Ok(Argument::Null);
        }
        let type_name = value.type_info().name().to_owned();
        let decoded = match type_name.as_str() {
            "BOOL" => <bool as Decode<Self>>::decode(value).map(Argument::Boolean),
            "INT2" => <i16 as Decode<Self>>::decode(value).map(|value| Argument::Integer(value.into())),
            "INT4" => <i32 as Decode<Self>>::decode(value).map(|value| Argument::Integer(value.into())),
            "INT8" => <i64 as Decode<Self>>::decode(value).map(Argument::Integer),
            "FLOAT8" => <f64 as Decode<Self>>::decode(value).map(Argument::Real),
            "BYTEA" => <Vec<u8> as Decode<Self>>::decode(value).map(Argument::Bytes),
            "TEXT" | "VARCHAR" | "CHAR" | "NAME" => {
                <String as Decode<Self>>::decode(value).map(Argument::Text)
            }
            other => Err(format!("a column of type {other} was not expected here").into()),
        };
        decoded.map_err(|source| Error::ColumnDecode { index: index.to_string(), source })
    }

    fn selected(column: &Column<ColumnType>, qualifier: Option<&str>) -> String {
        let column_type = &column.column_type;
        let name = Self::quote(&column.name);
        let name = qualifier.map_or_else(|| name.clone(), |qualifier| format!("{qualifier}.{name}"));
        match (column_type.form(), &column_type.multirange_of) {
            // A cast to its own type, so that a statement prepared for another type is not used on.
            (Form::Binary, _) => format!("{name}::{}", column_type.name),
            (Form::Text, _) => format!("{name}::text"),
            (Form::Both, None) => format!("ROW({name}::text, {name})"),
            (Form::Both, Some(_)) => format!("ROW({name}::text, ARRAY(SELECT pg_catalog.unnest({name})))"),
        }
    }

    fn field(
        row: &PgRow,
        index: usize,
        column: &Column<ColumnType>,
        is_key: bool,
        zone: &Zone,
    ) -> Result<Field, Error> {
        let value = row.try_get_raw(index)?;
        let wrong = |source: BoxDynError| Error::ColumnDecode { index: column.name.clone(), source };
        if value.format() != PgValueFormat::Binary {
            return Err(wrong("it came as a text, from a statement that was not prepared".into()));
        }
        let given = if value.is_null() { None } else { Some(value.as_bytes().map_err(wrong)?) };
        let (value, exact) =
            values::read(&column.column_type, given, zone).map_err(|reason| wrong(reason.into()))?;
        let jdbc_type = column.column_type.jdbc_type;
        Ok(Field { name: column.name.clone(), is_key, jdbc_type, value, exact })
    }

    fn argument(column: &Column<ColumnType>, field: &Field, zone: &Zone) -> Result<Argument, String> {
        let written = values::write(&column.column_type, &field.value, field.exact.as_deref(), zone)?;
        Ok(match written {
            Written::Null => Argument::Null,
            Written::Binary(bytes) => Argument::Bytes(bytes),
            Written::Text(text) => Argument::Text(text),
        })
    }

    fn parameter(number: usize, column: &Column<ColumnType>, field: &Field) -> String {
        values::parameter(number, &column.column_type, &field.value, field.exact.as_deref())
    }

    // Collations that take different keys for one are refused with their table. Numbers that are equal and look
    // different are told apart as Java's resource managers do.
    fn key_part<'v>(
        _: &Column<ColumnType>,
        _: &str,
        field: &'v Field,
        zone: &Zone,
    ) -> Result<Key<'v>, String> {
        Ok(match &field.value {
            Value::Null => return Err("NULL".to_owned()),
            Value::Integer(value) => Key::Integer((*value).into()),
            Value::Long(value) => Key::Integer(*value),
            Value::Text(text) => Key::Text(text.into()),
            other => Key::Text(other.java_text(zone).into()),
        })
    }

    fn mark_updates(sql: &str, _: &Write, _: &Table<Self>) -> Marked {
        // A row that was there has been locked or deleted by somebody: by the upsert itself at the latest.
        Marked { prepare: None, statement: sql.to_owned(), expression: "(xmax <> 0)" }
    }

    fn rows_affected(result: &PgQueryResult) -> u64 {
        result.rows_affected()
    }

    fn capabilities<'c>(_: &'c mut PgConnection) -> BoxFuture<'c, Result<Capabilities, Error>> {
        let image = Returned::Image;
        Box::pin(async move {
            Ok(Capabilities {
                insert: image,
                update: image,
                delete: image,
                share_locks: false,
                block: None,
                max_packet: None,
            })
        })
    }

    fn structure<'c>(
        connection: &'c mut PgConnection,
        cache: &'c StructureCache<Self>,
        name: &'c TableName,
    ) -> BoxFuture<'c, Result<Result<Structure<Self>, Refusal>, Error>> {
        Box::pin(structure::structure(connection, cache, name))
    }

    fn keeps_transaction(error: &Error) -> bool {
        // Beyond ERROR the server has closed the connection.
        let error = error.as_database_error().and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
        error.is_some_and(|error| error.severity() == PgSeverity::Error)
    }

    fn location<'c>(connection: &'c mut PgConnection) -> BoxFuture<'c, Result<Option<String>, Error>> {
        Box::pin(async move {
            let found = rows::<Self>(connection, Call::text("SELECT current_database()::text")).await?;
            found.first().map(|row| row.try_get(0)).transpose()
        })
    }

    fn resource_name(database: &str, options: &PgConnectOptions) -> Result<String, std::io::Error> {
        Ok(resource::name(database, options))
    }

    fn undo_reference<'c>(
        connection: &'c mut PgConnection,
        _: &'c str,
        table: &'c str,
    ) -> BoxFuture<'c, Result<String, Error>> {
        Box::pin(resource::undo_reference(connection, table))
    }

    fn undo_table(name: &str) -> Vec<String> {
        vec![resource::undo_table(name)]
    }

    fn prepare_phase_two() -> &'static [&'static str] {
        // So that texts mean what they meant to Java's driver, and rows that a policy hides are an error.
        &["SET datestyle = 'ISO, MDY'; SET intervalstyle = 'postgres'; SET timezone = 'UTC'; \
           SET extra_float_digits = 3; SET bytea_output = 'hex'; SET xmloption = 'content'; \
           SET array_nulls = on; SET standard_conforming_strings = on; SET row_security = off"]
    }

    fn relax_constraints() -> &'static [&'static str] {
        &["SET CONSTRAINTS ALL DEFERRED"]
    }
}

/// A value in the binary form of whatever type the server finds for the parameter.
struct Untyped(Option<Vec<u8>>);

impl Type<Postgres> for Untyped {
    fn type_info() -> PgTypeInfo {
        const UNSPECIFIED: Oid = Oid(0);
        PgTypeInfo::with_oid(UNSPECIFIED)
    }
}

impl Encode<'_, Postgres> for Untyped {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }
}
