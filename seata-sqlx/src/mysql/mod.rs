//! MySQL and MariaDB.

mod error;
mod insert;
mod moment;
mod read;
mod result;
mod structure;
mod types;
mod write;

use futures_core::{future::BoxFuture, stream::BoxStream};
use sqlx::{
    Arguments as _, Column as _, Decode, Error, Executor as _, MySql, MySqlConnection, Pool, Row as _,
    TypeInfo as _,
    mysql::{MySqlArguments, MySqlConnectOptions, MySqlQueryResult, MySqlRow},
};

use crate::{
    change::{Hidden, Marked},
    dialect::{Argument, Call, Capabilities, Dialect, Output, Returned, rows},
    image::Key,
    sql::{Flavor, Refusal, Write},
    structure::{Column, Structure, StructureCache, Table, TableName},
    undo::{Field, Zone},
};

impl Dialect for MySql {
    type ColumnType = types::ColumnType;

    const FLAVOR: Flavor = Flavor::MySql;
    const BEGIN_WRITING: &'static str = "START TRANSACTION";
    const BEGIN_READING: &'static str = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; BEGIN";
    const BEGIN: &'static str = "BEGIN";
    const FOR_UPDATE: &'static str = " FOR UPDATE";
    const OLD_READS: bool = true;
    const ROW_LOCKS: bool = true;
    // A statement that fails leaves nothing behind, if only it was the statement that failed.
    const STATEMENT_SAVEPOINT: bool = false;
    const ERROR_ENDS_TRANSACTION: bool = false;
    const DELETE_LOCKS_WHAT_IT_READS: bool = true;
    const DEFAULT_SCHEMA: Option<&'static str> = None;
    const HIDES_RESULTS: bool = true;
    const NOW: &'static str = NOW;
    const NEWEST_UNDO_FIRST: &'static str = "log_created DESC, branch_id DESC";
    const DAYS_AGO: &'static str = DAYS_AGO;

    fn placeholder(_number: usize) -> String {
        "?".to_owned()
    }

    fn text_literal(text: &str) -> String {
        format!("_utf8mb4 {}", Self::bytes_literal(text.as_bytes()))
    }

    fn stream<'c>(
        connection: &'c mut MySqlConnection,
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

    fn bind(arguments: &mut MySqlArguments, argument: &Argument) -> Result<(), Error> {
        let bound = match argument {
            Argument::Null => arguments.add(None::<&str>),
            Argument::Boolean(value) => arguments.add(*value),
            Argument::Integer(value) => arguments.add(*value),
            Argument::Unsigned(value) => arguments.add(*value),
            Argument::Real(value) => arguments.add(*value),
            Argument::Text(text) => arguments.add(text.as_str()),
            Argument::Bytes(bytes) => arguments.add(bytes.as_slice()),
        };
        bound.map_err(Error::Encode)
    }

    fn argument_at(row: &MySqlRow, index: usize) -> Result<Argument, Error> {
        let raw = row.try_get_raw(index)?;
        let wire = row.column(index).type_info().name();
        let Ok(bytes) = <&[u8] as Decode<MySql>>::decode(raw) else { return Ok(Argument::Null) };
        let found = read::computed(wire, bytes);
        found.map_err(|reason| Error::ColumnDecode { index: index.to_string(), source: reason.into() })
    }

    fn selected(column: &Column<types::ColumnType>, qualifier: Option<&str>) -> String {
        read::selected(column, qualifier)
    }

    fn field(
        row: &MySqlRow,
        index: usize,
        column: &Column<types::ColumnType>,
        is_key: bool,
        zone: &Zone,
    ) -> Result<Field, Error> {
        read::field(row, index, column, is_key, zone)
    }

    fn argument(column: &Column<types::ColumnType>, field: &Field, zone: &Zone) -> Result<Argument, String> {
        write::argument(column, field, zone)
    }

    fn parameter(_number: usize, column: &Column<types::ColumnType>, field: &Field) -> String {
        write::parameter(column, field)
    }

    fn key_part<'v>(
        _column: &Column<types::ColumnType>,
        _collation: &str,
        field: &'v Field,
        zone: &Zone,
    ) -> Result<Key<'v>, String> {
        // As Java has it, which knows nothing of collations.
        Ok(Key::Text(field.value.java_text(zone).into()))
    }

    fn mark_updates(sql: &str, write: &Write, table: &Table<Self>) -> Marked {
        // The key stays what it is. Without the variable on the right MySQL would take the whole for a constant.
        let key = table.key.first().map(|key| quote(key)).unwrap_or_default();
        let key_of_table = format!("{}.{key}", quote(&write.rows.table));
        let mark = format!(
            ", {key} = IF((@seata_updated := @seata_updated * 0 + 1) IS NULL, {key_of_table}, {key_of_table})"
        );
        let end = write.updates_end.unwrap_or(sql.len());
        Marked {
            // A variable without a type would be read as NULL throughout the statement.
            prepare: Some("SET @seata_updated = 0"),
            statement: format!("{}{mark}{}", &sql[..end], &sql[end..]),
            expression: "IF(@seata_updated = 1, (@seata_updated := 0) + 1, 0)",
        }
    }

    fn added_rows(write: &Write, table: &Table<Self>, returned: Returned) -> Option<String> {
        insert::added_rows(write, table, returned)
    }

    fn hidden_result<'c>(
        connection: &'c mut MySqlConnection,
        hidden: Hidden<'c, Self>,
    ) -> BoxFuture<'c, Result<Option<MySqlQueryResult>, Error>> {
        Box::pin(async move { result::hidden_result(connection, hidden).await.map(Some) })
    }

    fn counts_one(write: &Write, table: &Table<Self>) -> bool {
        insert::counts_one(write, table)
    }

    fn lacks_right(error: &Error) -> bool {
        error::lacks_right(error)
    }

    fn answering(hidden: &Hidden<'_, Self>) -> Option<String> {
        result::answering(hidden)
    }

    fn rows_affected(result: &MySqlQueryResult) -> u64 {
        result.rows_affected()
    }

    fn capabilities<'c>(connection: &'c mut MySqlConnection) -> BoxFuture<'c, Result<Capabilities, Error>> {
        Box::pin(capabilities(connection))
    }

    fn structure<'c>(
        connection: &'c mut MySqlConnection,
        cache: &'c StructureCache<Self>,
        name: &'c TableName,
    ) -> BoxFuture<'c, Result<Result<Structure<Self>, Refusal>, Error>> {
        Box::pin(structure::structure(connection, cache, name))
    }

    fn is_current<'c>(
        connection: &'c mut MySqlConnection,
        table: &'c Table<Self>,
    ) -> BoxFuture<'c, Result<bool, Error>> {
        Box::pin(structure::is_current(connection, table))
    }

    fn keeps_transaction(error: &Error) -> bool {
        error::keeps_transaction(error)
    }

    fn tells_of_alteration(error: &Error) -> bool {
        error::tells_of_alteration(error)
    }

    fn location<'c>(connection: &'c mut MySqlConnection) -> BoxFuture<'c, Result<Option<String>, Error>> {
        Box::pin(async move {
            let found = rows::<Self>(connection, Call::new("SELECT DATABASE()", &[])?).await?;
            let database = found.first().map(|row| Self::argument_at(row, 0)).transpose()?;
            match database {
                Some(Argument::Text(database)) => Ok(Some(database)),
                _ => Err(Error::Configuration("the connection's URL names no database: give one".into())),
            }
        })
    }

    fn resource_name(location: &str, options: &MySqlConnectOptions) -> Result<String, std::io::Error> {
        // A comma separates the names in a registration.
        let host = options.get_host().replace(',', "|");
        Ok(format!("jdbc:mysql://{host}:{}/{location}", options.get_port()))
    }

    fn undo_reference<'c>(
        _: &'c mut MySqlConnection,
        database: &'c str,
        table: &'c str,
    ) -> BoxFuture<'c, Result<String, Error>> {
        Box::pin(async move { Ok(format!("{}.{}", quote(database), quote(table))) })
    }

    fn prepare_phase_two() -> &'static [&'static str] {
        &[
            "SET NAMES utf8mb4",
            "SET time_zone = '+00:00'",
            // What was there has to be accepted again: zeros in keys and in dates. Anything else is an error.
            "SET sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'",
        ]
    }
}

// Java writes now(6) of its sessions, which are in the server's time zone. Rows of both must be in one order.
macro_rules! now {
    () => {
        "COALESCE(CONVERT_TZ(UTC_TIMESTAMP(6), '+00:00', @@GLOBAL.time_zone), NOW(6))"
    };
}
const NOW: &str = now!();
const DAYS_AGO: &str = concat!("DATE_SUB(", now!(), ", INTERVAL ? DAY)");

fn quote(name: &str) -> String {
    MySql::quote(name)
}

async fn capabilities(connection: &mut MySqlConnection) -> Result<Capabilities, Error> {
    const ASK: &str =
        "SELECT VERSION(), @@max_allowed_packet, @@character_set_client, @@character_set_results";
    let found = rows::<MySql>(connection, Call::new(ASK, &[])?).await?;
    let row = found.first().ok_or(Error::RowNotFound)?;
    for index in [2, 3] {
        match MySql::argument_at(row, index)? {
            Argument::Text(charset) if charset == "utf8mb4" => {}
            other => {
                let reason = format!(
                    "the connection's character set is {other:?}, in which not every text can be logged: connect \
                     with utf8mb4"
                );
                return Err(Error::Configuration(reason.into()));
            }
        }
    }
    let max_packet = match MySql::argument_at(row, 1)? {
        Argument::Integer(bytes) => bytes.try_into().ok(),
        Argument::Unsigned(bytes) => Some(bytes),
        _ => None,
    };
    let version = match MySql::argument_at(row, 0)? {
        Argument::Text(version) => version,
        _ => String::new(),
    };
    warn_of_unseen_triggers(connection).await?;
    // UPDATE gives nothing back. DELETE could, but then the driver no more tells how many rows it removed.
    let insert = if gives_back(&version) { Returned::Image } else { Returned::Nothing };
    // TiDB refuses share locks, and has no need for them: what it reads with a lock clause, sub-queries included, is there
    // now.
    let share_locks = !version.contains("TiDB");
    let (update, delete) = (Returned::Nothing, Returned::Nothing);
    let block = takes_blocks(connection, &version).await?.then_some(block as fn(&[&str]) -> String);
    Ok(Capabilities { insert, update, delete, share_locks, block, max_packet })
}

/// MariaDB's compound statement, which takes parameters where statements of its own do.
fn block(statements: &[&str]) -> String {
    format!("BEGIN NOT ATOMIC {};\nEND", statements.join(";\n"))
}

/// What stands between may not know it, nor older servers with parameters in it.
async fn takes_blocks(connection: &mut MySqlConnection, version: &str) -> Result<bool, Error> {
    if !version.to_ascii_lowercase().contains("mariadb") {
        return Ok(false);
    }
    let call = Call::new(block(&["START TRANSACTION", "SELECT ?", "COMMIT"]), &[Argument::Integer(1)])?;
    match rows::<MySql>(connection, call).await {
        Ok(rows) => Ok(rows.len() == 1),
        Err(Error::Database(_)) => {
            // However far it came.
            rows::<MySql>(connection, Call::text("ROLLBACK")).await?;
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// The server shows triggers to those alone who have the privilege. Without it a table with one looks like any other.
async fn warn_of_unseen_triggers(connection: &mut MySqlConnection) -> Result<(), Error> {
    for row in rows::<MySql>(connection, Call::new("SHOW GRANTS", &[])?).await? {
        if let Argument::Text(grant) = MySql::argument_at(&row, 0)?
            && ["ALL PRIVILEGES", "TRIGGER"].iter().any(|privilege| grant.contains(privilege))
        {
            return Ok(());
        }
    }
    tracing::warn!(
        "the user of this data source does not have the privilege TRIGGER, so that changes of tables with triggers cannot \
         be refused: grant it, unless there are none"
    );
    Ok(())
}

/// MariaDB since 10.5: `10.11.19-MariaDB-0+deb12u1`.
fn gives_back(version: &str) -> bool {
    // Behind some proxies MariaDB calls itself 5.5.5 first.
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let number = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    version.to_ascii_lowercase().contains("mariadb") && number >= (10, 5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mariadb_gives_rows_back_since_10_5() {
        for (version, gives) in [
            ("10.11.19-MariaDB-0+deb12u1", true),
            ("5.5.5-10.5.1-MariaDB", true),
            ("10.4.34-MariaDB", false),
            ("12.0.2-MariaDB", true),
            ("8.4.0", false),
            ("5.7.25-TiDB-v7.5.0", false),
        ] {
            assert_eq!(gives_back(version), gives, "{version}");
        }
    }

    #[test]
    fn the_resource_is_named_after_the_jdbc_url() {
        let options = MySqlConnectOptions::new().host("db.internal").port(3307);
        assert_eq!(MySql::resource_name("shop", &options).unwrap(), "jdbc:mysql://db.internal:3307/shop");
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quote("order`s"), "`order``s`");
    }
}
