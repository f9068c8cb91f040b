//! Table structures from MySQL's `information_schema`.

use std::{collections::BTreeMap, time::Duration};

use sqlx::{Decode, Error, MySql, MySqlConnection, Row as _, mysql::MySqlRow};

use super::{
    error::number,
    quote,
    types::{ColumnType, Description},
};
use crate::{
    dialect::{Argument, Call, rows},
    key_order::java_key_order,
    sql::Refusal,
    structure::{Column, Reference, Structure, StructureCache, Table, TableName, Trigger},
};

/// For how long a structure is taken for right. MySQL tells nobody that a table has been changed.
const FRESH: Duration = Duration::from_secs(60);

pub(super) async fn structure(
    connection: &mut MySqlConnection,
    cache: &StructureCache<MySql>,
    name: &TableName,
) -> Result<Result<Structure<MySql>, Refusal>, Error> {
    let kept_as = match &name.schema {
        Some(schema) => format!("{}.{}", quote(schema), quote(&name.name)),
        None => quote(&name.name),
    };
    let found = cache.find_or_load(&kept_as, |known| known.age() < FRESH, 0, load(connection, name)).await?;
    Ok(found.map(|table| Structure {
        table,
        // Asking each time whether the session has turned them off would cost more than it is worth.
        foreign_keys: true,
    }))
}

/// Whether the table has these columns and no others.
pub(super) async fn is_current(
    connection: &mut MySqlConnection,
    table: &Table<MySql>,
) -> Result<bool, Error> {
    let found = query(connection, &format!("SHOW COLUMNS FROM {}", table.reference), &[]).await?;
    let found = found.iter().map(|row| text(row, 0)).collect::<Result<Vec<_>, _>>()?;
    Ok(found.iter().eq(table.columns.iter().map(|column| &column.name)))
}

async fn load(
    connection: &mut MySqlConnection,
    wanted: &TableName,
) -> Result<Result<Table<MySql>, Refusal>, Error> {
    let Some(schema) = schema(connection, wanted).await? else {
        return Ok(Err(Refusal::UnknownTable(wanted.name.clone())));
    };
    let place = match find(connection, &schema, &wanted.name).await? {
        Ok(place) => place,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let columns = columns(connection, &place).await?;
    let key = key(connection, &place).await?;
    if key.is_empty() {
        return Ok(Err(Refusal::NoPrimaryKey(place.name)));
    }
    let key_collations = key.iter().map(|name| columns.collations.get(name).cloned().unwrap_or_default());
    Ok(Ok(Table {
        key_collations: key_collations.collect(),
        triggers: triggers(connection, &place).await?,
        references: references(connection, &place).await?,
        declared_conflict: None,
        tells_updates: true,
        columns: columns.columns,
        key,
        reference: place.reference(),
        name: place.name,
    }))
}

/// A table as the server itself names it.
struct Place {
    schema: String,
    name: String,
    /// Names that differ in case alone are different ones.
    is_case_sensitive: bool,
}

impl Place {
    fn reference(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }

    /// Whether these columns of a row name this table. The server compares them without case, whatever it is told.
    fn is_named_by(&self, row: &MySqlRow, schema: usize, name: usize) -> Result<bool, Error> {
        let same = |a: &str, b: &str| if self.is_case_sensitive { a == b } else { same_without_case(a, b) };
        Ok(same(&text(row, schema)?, &self.schema) && same(&text(row, name)?, &self.name))
    }
}

fn same_without_case(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

async fn schema(connection: &mut MySqlConnection, wanted: &TableName) -> Result<Option<String>, Error> {
    if let Some(schema) = &wanted.schema {
        return Ok(Some(schema.clone()));
    }
    let current = query(connection, "SELECT DATABASE()", &[]).await?;
    Ok(current.first().map(|row| nullable(row, 0)).transpose()?.flatten())
}

async fn find(
    connection: &mut MySqlConnection,
    schema: &str,
    name: &str,
) -> Result<Result<Place, Refusal>, Error> {
    const TABLES: &str = "SELECT t.table_schema, t.table_name, t.table_type, t.engine, e.transactions, \
         CAST(@@lower_case_table_names AS CHAR) FROM information_schema.tables t \
         LEFT JOIN information_schema.engines e ON e.engine = t.engine \
         WHERE t.table_schema = ? AND t.table_name = ?";
    let reference = format!("{}.{}", quote(schema), quote(name));
    if is_temporary(connection, &reference).await? {
        return Ok(Err(Refusal::NotATable { name: name.to_owned(), kind: "temporary table".to_owned() }));
    }
    for row in query(connection, TABLES, &[schema, name]).await? {
        let wanted = Place {
            schema: schema.to_owned(),
            name: name.to_owned(),
            is_case_sensitive: text(&row, 5)? == "0",
        };
        if !wanted.is_named_by(&row, 0, 1)? {
            continue;
        }
        let place = Place { schema: text(&row, 0)?, name: text(&row, 1)?, ..wanted };
        let kind = text(&row, 2)?.to_lowercase();
        let engine = nullable(&row, 3)?.unwrap_or_default();
        let is_transactional = nullable(&row, 4)?.is_some_and(|answer| answer.eq_ignore_ascii_case("YES"));
        let kind = match kind.as_str() {
            "base table" if is_transactional => return Ok(Ok(place)),
            "base table" => format!("table of the engine {engine}, which has no transactions"),
            "system versioned" => "system-versioned table".to_owned(),
            _ => kind,
        };
        return Ok(Err(Refusal::NotATable { name: place.name, kind }));
    }
    Ok(Err(Refusal::UnknownTable(name.to_owned())))
}

/// Whether the name means a table of this session, which hides others of its name and is listed nowhere.
async fn is_temporary(connection: &mut MySqlConnection, reference: &str) -> Result<bool, Error> {
    /// There is no such table or database, or one may not see it.
    const UNSEEN: [u16; 4] = [1146, 1049, 1142, 1044];
    let answer = rows::<MySql>(connection, Call::text(format!("SHOW CREATE TABLE {reference}"))).await;
    match answer {
        Ok(rows) => {
            let definition = rows.first().map(|row| text(row, 1)).transpose()?;
            Ok(definition.is_some_and(|definition| definition.starts_with("CREATE TEMPORARY")))
        }
        Err(error) if number(&error).is_some_and(|number| UNSEEN.contains(&number)) => Ok(false),
        Err(error) => Err(error),
    }
}

struct Columns {
    columns: Vec<Column<ColumnType>>,
    /// By the column's name.
    collations: BTreeMap<String, String>,
}

async fn columns(connection: &mut MySqlConnection, place: &Place) -> Result<Columns, Error> {
    const COLUMNS: &str = "SELECT table_schema, table_name, column_name, data_type, column_type, \
         character_set_name, collation_name, extra FROM information_schema.columns \
         WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position";
    let mut found = Columns { columns: Vec::new(), collations: BTreeMap::new() };
    for row in query(connection, COLUMNS, &[&place.schema, &place.name]).await? {
        if !place.is_named_by(&row, 0, 1)? {
            continue;
        }
        let name = text(&row, 2)?;
        let (data_type, definition) = (text(&row, 3)?, text(&row, 4)?);
        let charset = nullable(&row, 5)?.zip(nullable(&row, 6)?);
        let extra = text(&row, 7)?.to_ascii_uppercase();
        if let Some((_, collation)) = &charset {
            found.collations.insert(name.clone(), collation.clone());
        }
        let description = Description {
            name: &data_type,
            definition: &definition,
            charset: charset.as_ref().map(|(charset, collation)| (charset.as_str(), collation.as_str())),
            extra: &extra,
        };
        found.columns.push(Column {
            // `DEFAULT_GENERATED` says that the default is an expression.
            is_generated: ["VIRTUAL", "STORED", "PERSISTENT"].iter().any(|kind| extra.contains(kind)),
            is_updated_by_database: extra.contains("ON UPDATE"),
            is_always_identity: false,
            column_type: ColumnType::parse(&description),
            name,
        });
    }
    Ok(found)
}

async fn key(connection: &mut MySqlConnection, place: &Place) -> Result<Vec<String>, Error> {
    const KEY: &str = "SELECT table_schema, table_name, column_name FROM information_schema.statistics \
         WHERE table_schema = ? AND table_name = ? AND index_name = 'PRIMARY' ORDER BY seq_in_index";
    let mut columns = Vec::new();
    for row in query(connection, KEY, &[&place.schema, &place.name]).await? {
        if place.is_named_by(&row, 0, 1)? {
            columns.push(text(&row, 2)?);
        }
    }
    Ok(java_key_order(columns))
}

async fn triggers(connection: &mut MySqlConnection, place: &Place) -> Result<Vec<Trigger>, Error> {
    const TRIGGERS: &str = "SELECT event_object_schema, event_object_table, trigger_name, event_manipulation \
         FROM information_schema.triggers WHERE event_object_schema = ? AND event_object_table = ? \
         ORDER BY trigger_name";
    const EVENTS: [&str; 3] = ["INSERT", "UPDATE", "DELETE"];
    let mut triggers = Vec::new();
    for row in query(connection, TRIGGERS, &[&place.schema, &place.name]).await? {
        if place.is_named_by(&row, 0, 1)? {
            // From MariaDB 12 on there may be several, between commas.
            let fires = text(&row, 3)?.to_uppercase();
            let events = EVENTS.into_iter().filter(|event| fires.contains(event)).collect();
            triggers.push(Trigger { name: text(&row, 2)?, events });
        }
    }
    Ok(triggers)
}

/// Foreign keys of any table on this one whose actions change rows.
async fn references(connection: &mut MySqlConnection, place: &Place) -> Result<Vec<Reference>, Error> {
    // MariaDB opens every table that it is not told to leave out, and the server's own are many. A join would open them
    // twice.
    const REFERENCES: &str = "SELECT unique_constraint_schema, referenced_table_name, \
         constraint_schema, table_name, constraint_name, delete_rule, update_rule \
         FROM information_schema.referential_constraints \
         WHERE unique_constraint_schema = ? AND referenced_table_name = ? AND constraint_schema \
         NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema') ORDER BY 3, 4, 5";
    let mut references = Vec::new();
    for row in query(connection, REFERENCES, &[&place.schema, &place.name]).await? {
        let (on_delete, on_update) = (changing(text(&row, 5)?), changing(text(&row, 6)?));
        if !place.is_named_by(&row, 0, 1)? || (on_delete.is_none() && on_update.is_none()) {
            continue;
        }
        let child = Place {
            schema: text(&row, 2)?,
            name: text(&row, 3)?,
            is_case_sensitive: place.is_case_sensitive,
        };
        references.push(Reference {
            columns: reference_columns(connection, &child, &text(&row, 4)?).await?,
            child_reference: child.reference(),
            child: child.name,
            on_delete,
            on_update,
        });
    }
    Ok(references)
}

async fn reference_columns(
    connection: &mut MySqlConnection,
    child: &Place,
    constraint: &str,
) -> Result<Vec<(String, String)>, Error> {
    const COLUMNS: &str = "SELECT table_schema, table_name, column_name, referenced_column_name \
         FROM information_schema.key_column_usage WHERE table_schema = ? AND table_name = ? \
         AND constraint_name = ? AND referenced_table_name IS NOT NULL ORDER BY ordinal_position";
    let mut columns = Vec::new();
    for row in query(connection, COLUMNS, &[&child.schema, &child.name, constraint]).await? {
        if child.is_named_by(&row, 0, 1)? {
            columns.push((text(&row, 2)?, text(&row, 3)?));
        }
    }
    Ok(columns)
}

fn changing(action: String) -> Option<String> {
    matches!(action.as_str(), "CASCADE" | "SET NULL" | "SET DEFAULT").then_some(action)
}

async fn query(
    connection: &mut MySqlConnection,
    sql: &str,
    arguments: &[&str],
) -> Result<Vec<MySqlRow>, Error> {
    let arguments: Vec<Argument> = arguments.iter().map(|text| Argument::Text((*text).to_owned())).collect();
    rows::<MySql>(connection, Call::new(sql, &arguments)?).await
}

fn text(row: &MySqlRow, index: usize) -> Result<String, Error> {
    nullable(row, index)?
        .ok_or_else(|| Error::ColumnNotFound(format!("column {index} of information_schema")))
}

/// Servers differ in whether such a column is a text or bytes.
fn nullable(row: &MySqlRow, index: usize) -> Result<Option<String>, Error> {
    let bytes = <&[u8] as Decode<MySql>>::decode(row.try_get_raw(index)?).ok();
    let text = bytes.map(|bytes| String::from_utf8(bytes.to_vec())).transpose();
    text.map_err(|source| Error::ColumnDecode { index: index.to_string(), source: source.into() })
}
