//! Table structures from SQLite's pragmas.

use std::collections::BTreeMap;

use sqlx::{Error, Row as _, Sqlite, SqliteConnection, sqlite::SqliteRow};

use crate::{
    dialect::{Argument, Call, Dialect, rows},
    sql::{Refusal, conflict_clause, trigger_events},
    structure::{Column, Known, Reference, Structure, StructureCache, Table, TableName, Trigger},
};

/// One question for all that may change between two statements. A temporary table or trigger
/// belongs to one connection and leaves the version of the main schema as it is.
const SURROUNDINGS: &str = "SELECT (SELECT schema_version FROM pragma_schema_version), \
     (SELECT foreign_keys FROM pragma_foreign_keys), \
     (SELECT group_concat(type || ' ' || name) FROM temp.sqlite_schema \
      WHERE tbl_name = ?1 COLLATE NOCASE AND type IN ('table', 'view', 'trigger'))";

pub(super) async fn structure(
    connection: &mut SqliteConnection,
    cache: &StructureCache<Sqlite>,
    wanted: &TableName,
) -> Result<Result<Structure<Sqlite>, Refusal>, Error> {
    let surroundings = query(connection, SURROUNDINGS, &[&wanted.name]).await?;
    let Some(surroundings) = surroundings.first() else { return Err(Error::RowNotFound) };
    let version: i64 = surroundings.try_get(0)?;
    let foreign_keys: bool = surroundings.try_get(1)?;
    let temporary: Option<String> = surroundings.try_get(2)?;
    let temporary: Vec<&str> = temporary.iter().flat_map(|all| all.split(',')).collect();
    let trigger = temporary.iter().find(|found| found.starts_with("trigger "));
    let is_main = match &wanted.schema {
        Some(schema) => schema.eq_ignore_ascii_case("main"),
        None => temporary.iter().all(|found| found.starts_with("trigger ")),
    };
    if !is_main {
        return Ok(Err(Refusal::NotInMain(wanted.name.clone())));
    }
    if let Some(trigger) = trigger {
        let trigger = format!("temporary {trigger}");
        return Ok(Err(Refusal::Trigger { table: wanted.name.clone(), trigger }));
    }
    let name = wanted.name.to_ascii_lowercase();
    let is_right = |known: &Known<Sqlite>| known.version == version;
    let table = cache.find_or_load(&name, is_right, version, load(connection, &wanted.name)).await?;
    Ok(table.map(|table| Structure { table, foreign_keys }))
}

async fn load(
    connection: &mut SqliteConnection,
    wanted: &str,
) -> Result<Result<Table<Sqlite>, Refusal>, Error> {
    const LIST: &str = "SELECT l.name, l.type, s.sql FROM pragma_table_list l \
         LEFT JOIN main.sqlite_schema s ON s.type = 'table' AND s.name = l.name \
         WHERE l.schema = 'main' AND l.name = ?1 COLLATE NOCASE";
    let found = query(connection, LIST, &[wanted]).await?;
    let Some(found) = found.first() else { return Ok(Err(Refusal::UnknownTable(wanted.to_owned()))) };
    let name: String = found.try_get(0)?;
    let kind: String = found.try_get(1)?;
    let definition: Option<String> = found.try_get(2)?;
    if kind != "table" {
        let kind = if kind == "view" { kind } else { format!("{kind} table") };
        return Ok(Err(Refusal::NotATable { name, kind }));
    }
    let (columns, key) = columns(connection, &name).await?;
    if key.is_empty() {
        return Ok(Err(Refusal::NoPrimaryKey(name)));
    }
    let collations = key_collations(connection, &name, &key).await?;
    let own = |collation: &&String| {
        !["BINARY", "NOCASE", "RTRIM"].iter().any(|known| known.eq_ignore_ascii_case(collation))
    };
    if let Some(collation) = collations.iter().find(own) {
        return Ok(Err(Refusal::KeyCollation { table: name, collation: collation.clone() }));
    }
    Ok(Ok(Table {
        columns,
        triggers: triggers(connection, &name).await?,
        references: references(connection, &name, &key).await?,
        tells_updates: true,
        declared_conflict: definition.and_then(|sql| conflict_clause(&sql)),
        key,
        key_collations: collations,
        reference: format!("main.{}", Sqlite::quote(&name)),
        name,
    }))
}

async fn columns(
    connection: &mut SqliteConnection,
    table: &str,
) -> Result<(Vec<Column<()>>, Vec<String>), Error> {
    const COLUMNS: &str = "SELECT name, pk, hidden FROM pragma_table_xinfo(?1, 'main') ORDER BY cid";
    let mut columns = Vec::new();
    let mut key = BTreeMap::new();
    for row in query(connection, COLUMNS, &[table]).await? {
        let name: String = row.try_get(0)?;
        let place_in_key: i64 = row.try_get(1)?;
        let hidden: i64 = row.try_get(2)?;
        if place_in_key > 0 {
            key.insert(place_in_key, name.clone());
        }
        let is_generated = hidden != 0;
        columns.push(Column {
            name,
            is_generated,
            is_updated_by_database: false,
            is_always_identity: false,
            column_type: (),
        });
    }
    Ok((columns, key.into_values().collect()))
}

/// That of the index that keeps the key unique, which need not be the column's. An INTEGER PRIMARY KEY has none.
async fn key_collations(
    connection: &mut SqliteConnection,
    table: &str,
    key: &[String],
) -> Result<Vec<String>, Error> {
    const COLLATIONS: &str = "SELECT c.name, c.coll \
         FROM pragma_index_list(?1, 'main') i, pragma_index_xinfo(i.name, 'main') c \
         WHERE i.origin = 'pk' AND c.key = 1 AND c.name IS NOT NULL";
    let mut found = BTreeMap::<String, String>::new();
    for row in query(connection, COLLATIONS, &[table]).await? {
        found.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(key.iter().map(|column| found.remove(column).unwrap_or_else(|| "BINARY".to_owned())).collect())
}

async fn triggers(connection: &mut SqliteConnection, table: &str) -> Result<Vec<Trigger>, Error> {
    const TRIGGERS: &str = "SELECT name, coalesce(sql, '') FROM main.sqlite_schema \
         WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE ORDER BY name";
    let found = query(connection, TRIGGERS, &[table]).await?;
    let trigger = |row: SqliteRow| {
        let sql: String = row.try_get(1)?;
        Ok(Trigger { name: row.try_get(0)?, events: trigger_events(&sql) })
    };
    found.into_iter().map(trigger).collect()
}

/// Foreign keys of any table on this one whose actions change rows. One without column names refers to the key.
async fn references(
    connection: &mut SqliteConnection,
    table: &str,
    key: &[String],
) -> Result<Vec<Reference>, Error> {
    const REFERENCES: &str = "SELECT s.name, f.id, f.seq, f.\"from\", f.\"to\", f.on_delete, f.on_update \
         FROM main.sqlite_schema s, pragma_foreign_key_list(s.name, 'main') f \
         WHERE s.type = 'table' AND f.\"table\" = ?1 COLLATE NOCASE ORDER BY s.name, f.id, f.seq";
    let mut references: BTreeMap<(String, i64), Reference> = BTreeMap::new();
    for row in query(connection, REFERENCES, &[table]).await? {
        let child: String = row.try_get(0)?;
        let place: i64 = row.try_get(2)?;
        let to: Option<String> = row.try_get(4)?;
        let by_place = || usize::try_from(place).ok().and_then(|place| key.get(place)).cloned();
        let own = to.or_else(by_place).unwrap_or_default();
        let on_delete = changing(row.try_get(5)?);
        let on_update = changing(row.try_get(6)?);
        let reference = references.entry((child.clone(), row.try_get(1)?)).or_insert(Reference {
            child_reference: format!("main.{}", Sqlite::quote(&child)),
            child,
            columns: Vec::new(),
            on_delete,
            on_update,
        });
        reference.columns.push((row.try_get(3)?, own));
    }
    let changing = |reference: &Reference| reference.on_delete.is_some() || reference.on_update.is_some();
    Ok(references.into_values().filter(changing).collect())
}

fn changing(action: String) -> Option<String> {
    matches!(action.as_str(), "CASCADE" | "SET NULL" | "SET DEFAULT").then_some(action)
}

async fn query(
    connection: &mut SqliteConnection,
    sql: &str,
    arguments: &[&str],
) -> Result<Vec<SqliteRow>, Error> {
    let values: Vec<Argument> = arguments.iter().map(|text| Argument::Text((*text).to_owned())).collect();
    let call = Call::<Sqlite>::new(sql, &values)?;
    rows::<Sqlite>(connection, call).await
}
