//! Table structures from PostgreSQL's catalogues.

use std::collections::HashSet;

use sqlx::{Error, PgConnection, Postgres, Row as _, postgres::PgRow};

use super::types::{ColumnType, Described, DescribedElement};
use crate::{
    dialect::{Argument, Call, Dialect, rows},
    key_order::java_key_order,
    sql::Refusal,
    structure::{Column, Known, Reference, Structure, StructureCache, Table, TableName, Trigger},
};

/// What the name means on this connection.
const FIND: &str =
    "SELECT c.oid::int8 FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)::oid";

/// A number that changes with the structure. The sub-query takes no rows, only a lock, before the catalogues are looked
/// at: it keeps the columns and the key as they are until the local transaction ends. A trigger, or a foreign key of
/// another table, can still come until a statement has changed something.
const VERSION: &str = "SELECT c.oid::int8, pg_catalog.row_security_active(c.oid), \
     pg_catalog.hashtextextended(pg_catalog.concat_ws(' ', c.oid, c.xmin, \
      (SELECT pg_catalog.concat(count(*), '/', max(x.xmin::text::int8)) FROM pg_catalog.pg_attribute x WHERE x.attrelid = c.oid), \
      (SELECT pg_catalog.concat(count(*), '/', max(x.xmin::text::int8)) FROM pg_catalog.pg_index x WHERE x.indrelid = c.oid), \
      (SELECT pg_catalog.concat(count(*), '/', max(x.xmin::text::int8)) FROM pg_catalog.pg_rewrite x WHERE x.ev_class = c.oid), \
      (SELECT pg_catalog.concat(count(*), '/', max(x.xmin::text::int8)) FROM pg_catalog.pg_inherits x \
       WHERE x.inhparent = c.oid OR x.inhrelid = c.oid), \
      (SELECT pg_catalog.concat(count(*), '/', max(x.xmin::text::int8)) FROM pg_catalog.pg_trigger x WHERE x.tgrelid = c.oid \
       OR x.tgrelid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(c.oid) p))), 0) \
     FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass($1)::oid AND NOT EXISTS (SELECT FROM ONLY ";

const TABLE: &str = "SELECT n.nspname::text, c.relname::text, c.relkind::text, c.relpersistence::text, \
     c.relispartition, \
     EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhparent = c.oid), \
     EXISTS (SELECT FROM pg_catalog.pg_partition_tree(c.oid) p JOIN pg_catalog.pg_class l ON l.oid = p.relid \
             WHERE l.relkind = 'f') \
     FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = $1::oid";

/// The columns, each with its type, or with that which its domain is made of. Of the types in the list, and of all
/// that is made of them alone, the text says everything.
const COLUMNS: &str = "WITH RECURSIVE own AS ( \
      SELECT a.attnum, a.attname, a.attidentity, a.attgenerated, a.atttypid, a.atttypmod \
      FROM pg_catalog.pg_attribute a WHERE a.attrelid = $1::oid AND a.attnum > 0 AND NOT a.attisdropped), \
     unwrapped AS ( \
      SELECT o.attnum, o.atttypid AS type, o.atttypmod AS modifier, false AS is_domain FROM own o \
      UNION ALL SELECT u.attnum, t.typbasetype, t.typtypmod, true \
      FROM unwrapped u JOIN pg_catalog.pg_type t ON t.oid = u.type WHERE t.typtype = 'd'), \
     part AS ( \
      SELECT u.attnum, u.type FROM unwrapped u \
      UNION SELECT p.attnum, c.type FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.type CROSS JOIN LATERAL ( \
       SELECT t.typelem AS type WHERE t.typcategory = 'A' AND t.typelem <> 0 \
       UNION ALL SELECT t.typbasetype WHERE t.typtype = 'd' \
       UNION ALL SELECT r.rngsubtype FROM pg_catalog.pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid) \
       UNION ALL SELECT a.atttypid FROM pg_catalog.pg_attribute a \
       WHERE t.typtype = 'c' AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped) c), \
     made_of AS ( \
      SELECT p.attnum, pg_catalog.bool_and(t.typsend <> 0 AND t.typreceive <> 0) AS has_binary, \
       pg_catalog.bool_and(t.typtype IN ('c', 'd', 'e', 'm', 'r') OR t.typcategory = 'A' \
        OR (t.typtype = 'b' AND t.typname = ANY ('{bool,int2,int4,int8,oid,numeric,text,varchar,bpchar,name,json,\
            jsonb,xml,uuid,bit,varbit,inet,cidr,macaddr,macaddr8,tsvector,tsquery,jsonpath,pg_lsn,xid,xid8,\
            citext,hstore,ltree,lquery,ltxtquery}'))) AS text_is_exact \
      FROM part p JOIN pg_catalog.pg_type t ON t.oid = p.type GROUP BY p.attnum) \
     SELECT o.attname::text, o.attgenerated <> '', o.attidentity = 'a', u.is_domain, \
      CASE WHEN n.nspname = 'pg_catalog' THEN pg_catalog.format_type(t.oid, u.modifier) \
       ELSE pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(t.typname) END, \
      n.nspname::text, t.typname::text, t.typtype::text, u.modifier, m.has_binary, m.text_is_exact, \
      en.nspname::text, e.typname::text, e.typtype::text, e.typdelim::text, \
      (SELECT pg_catalog.quote_ident(rn.nspname) || '.' || pg_catalog.quote_ident(rt.typname) \
       FROM pg_catalog.pg_range r JOIN pg_catalog.pg_type rt ON rt.oid = r.rngtypid \
       JOIN pg_catalog.pg_namespace rn ON rn.oid = rt.typnamespace WHERE r.rngmultitypid = t.oid) \
     FROM own o JOIN unwrapped u USING (attnum) \
     JOIN pg_catalog.pg_type t ON t.oid = u.type AND t.typtype <> 'd' \
     JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace \
     JOIN made_of m USING (attnum) \
     LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem AND t.typinput = 'pg_catalog.array_in'::pg_catalog.regproc \
     LEFT JOIN pg_catalog.pg_namespace en ON en.oid = e.typnamespace \
     ORDER BY o.attnum";

const KEY: &str = "SELECT a.attname::text, coalesce(c.collname::text, ''), coalesce(c.collisdeterministic, true) \
     FROM pg_catalog.pg_index i \
     CROSS JOIN LATERAL unnest(i.indkey::int2[], i.indcollation::oid[]) WITH ORDINALITY k(attnum, coll, place) \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum \
     LEFT JOIN pg_catalog.pg_collation c ON c.oid = k.coll \
     WHERE i.indrelid = $1::oid AND i.indisprimary AND k.place <= i.indnkeyatts ORDER BY k.place";

/// Triggers of the table and of its partitions, and rules, in the bits of `pg_trigger.tgtype`.
const TRIGGERS: &str = "SELECT t.tgname::text, t.tgtype::int8 FROM pg_catalog.pg_trigger t \
     WHERE NOT t.tgisinternal AND t.tgenabled <> 'D' AND (t.tgrelid = $1::oid \
      OR t.tgrelid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree($1::oid::pg_catalog.regclass) p)) \
     UNION SELECT 'rule ' || r.rulename, CASE r.ev_type WHEN '2' THEN 16 WHEN '3' THEN 4 ELSE 8 END \
     FROM pg_catalog.pg_rewrite r \
     WHERE r.ev_class = $1::oid AND r.ev_type <> '1' AND r.ev_enabled <> 'D' ORDER BY 1";

/// Foreign keys on the table whose actions change rows.
const REFERENCES: &str = "SELECT f.oid::int8, n.nspname::text, c.relname::text, a.attname::text, o.attname::text, \
      f.confdeltype::text, f.confupdtype::text \
     FROM pg_catalog.pg_constraint f \
     JOIN pg_catalog.pg_class c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
     CROSS JOIN LATERAL unnest(f.conkey, f.confkey) WITH ORDINALITY k(child, own, place) \
     JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.child \
     JOIN pg_catalog.pg_attribute o ON o.attrelid = f.confrelid AND o.attnum = k.own \
     WHERE f.contype = 'f' AND f.conparentid = 0 \
      AND (f.confdeltype IN ('c', 'n', 'd') OR f.confupdtype IN ('c', 'n', 'd')) \
      AND (f.confrelid = $1::oid \
       OR f.confrelid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree($1::oid::pg_catalog.regclass) p)) \
     ORDER BY n.nspname, c.relname, f.oid, k.place";

const INSERT: i64 = 4;
const DELETE: i64 = 8;
const UPDATE: i64 = 16;

pub(super) async fn structure(
    connection: &mut PgConnection,
    cache: &StructureCache<Postgres>,
    name: &TableName,
) -> Result<Result<Structure<Postgres>, Refusal>, Error> {
    let written = written(name);
    let unknown = || Refusal::UnknownTable(shown(name));
    // A statement that names a missing table would end the local transaction.
    if !cache.knows(&written) && query(connection, FIND, Argument::Text(written.clone())).await?.is_empty() {
        return Ok(Err(unknown()));
    }
    let version = format!("{VERSION}{written} WHERE false)");
    let found = query(connection, &version, Argument::Text(written.clone())).await?;
    let Some(found) = found.first() else { return Ok(Err(unknown())) };
    let oid: i64 = found.try_get(0)?;
    let has_row_security: bool = found.try_get(1)?;
    let version: i64 = found.try_get(2)?;
    if has_row_security {
        return Ok(Err(not_a_table(name, "table whose row-level security may hide rows")));
    }
    let is_right = |known: &Known<Postgres>| known.version == version;
    let table = cache.find_or_load(&written, is_right, version, load(connection, oid)).await?;
    Ok(table.map(|table| Structure { table, foreign_keys: true }))
}

async fn load(connection: &mut PgConnection, oid: i64) -> Result<Result<Table<Postgres>, Refusal>, Error> {
    let found = query(connection, TABLE, Argument::Integer(oid)).await?;
    let Some(found) = found.first() else { return Err(Error::RowNotFound) };
    let (schema, table): (String, String) = (found.try_get(0)?, found.try_get(1)?);
    let name = canonical(&schema, &table);
    if let Some(kind) = refused_kind(found, &schema)? {
        return Ok(Err(Refusal::NotATable { name, kind: kind.to_owned() }));
    }
    let key = match key(connection, oid, &name).await? {
        Ok(key) => key,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let names = java_key_order(key.iter().map(|(name, _)| name.clone()).collect());
    let collation = |name: &String| {
        key.iter()
            .find(|(known, _)| known == name)
            .map(|(_, collation)| collation.clone())
            .unwrap_or_default()
    };
    let columns = columns(connection, oid).await?;
    let mut folded = HashSet::new();
    if !columns.iter().all(|column| folded.insert(column.name.to_ascii_lowercase())) {
        let kind = "table with two columns whose names differ in case alone".to_owned();
        return Ok(Err(Refusal::NotATable { name, kind }));
    }
    Ok(Ok(Table {
        columns,
        key_collations: names.iter().map(collation).collect(),
        key: names,
        triggers: triggers(connection, oid).await?,
        references: references(connection, oid).await?,
        declared_conflict: None,
        // The column xmax of a partitioned table cannot be had.
        tells_updates: found.try_get::<String, _>(2)? != "p",
        reference: qualified(&schema, &table),
        name,
    }))
}

/// What it is, if it is none whose rows can be told apart and written back from another connection.
fn refused_kind(found: &PgRow, schema: &str) -> Result<Option<&'static str>, Error> {
    let kind: String = found.try_get(2)?;
    let persistence: String = found.try_get(3)?;
    let (is_partition, has_children): (bool, bool) = (found.try_get(4)?, found.try_get(5)?);
    let has_foreign: bool = found.try_get(6)?;
    Ok(match kind.as_str() {
        "v" => Some("view"),
        "m" => Some("materialized view"),
        "f" => Some("foreign table"),
        "S" => Some("sequence"),
        "c" => Some("composite type"),
        "r" | "p" if matches!(schema, "pg_catalog" | "information_schema") => Some("system table"),
        "r" | "p" if persistence == "t" => {
            Some("temporary table, which phase two's own connection does not see")
        }
        "r" | "p" if is_partition => {
            Some("partition, whose rows are locked by the name of the partitioned table")
        }
        "p" if has_foreign => Some("table with a foreign table among its partitions"),
        "p" => None,
        "r" if has_children => {
            Some("parent of other tables by inheritance, with whose rows its own may share keys")
        }
        "r" => None,
        _ => Some("relation of another kind"),
    })
}

async fn columns(connection: &mut PgConnection, oid: i64) -> Result<Vec<Column<ColumnType>>, Error> {
    let found = query(connection, COLUMNS, Argument::Integer(oid)).await?;
    found.iter().map(column).collect()
}

fn column(row: &PgRow) -> Result<Column<ColumnType>, Error> {
    let letter = |text: String| text.chars().next().unwrap_or_default();
    let element = match row.try_get(12)? {
        Some(type_name) => Some(DescribedElement {
            schema: row.try_get(11)?,
            type_name,
            type_type: letter(row.try_get(13)?),
            delimiter: letter(row.try_get(14)?),
        }),
        None => None,
    };
    let column_type = ColumnType::new(Described {
        is_identity_always: row.try_get(2)?,
        is_domain: row.try_get(3)?,
        name: row.try_get(4)?,
        schema: row.try_get(5)?,
        type_name: row.try_get(6)?,
        type_type: letter(row.try_get(7)?),
        modifier: row.try_get(8)?,
        has_binary: row.try_get(9)?,
        text_is_exact: row.try_get(10)?,
        multirange_of: row.try_get(15)?,
        element,
    });
    Ok(Column {
        name: row.try_get(0)?,
        is_generated: row.try_get(1)?,
        is_updated_by_database: false,
        is_always_identity: row.try_get(2)?,
        column_type,
    })
}

/// The columns of the primary key with the collations by which they are unique.
async fn key(
    connection: &mut PgConnection,
    oid: i64,
    table: &str,
) -> Result<Result<Vec<(String, String)>, Refusal>, Error> {
    let mut key = Vec::new();
    for row in query(connection, KEY, Argument::Integer(oid)).await? {
        let (name, collation): (String, String) = (row.try_get(0)?, row.try_get(1)?);
        // Only the database knows which keys such a collation takes for one.
        if !row.try_get::<bool, _>(2)? {
            return Ok(Err(Refusal::KeyCollation { table: table.to_owned(), collation }));
        }
        key.push((name, collation));
    }
    Ok(if key.is_empty() { Err(Refusal::NoPrimaryKey(table.to_owned())) } else { Ok(key) })
}

async fn triggers(connection: &mut PgConnection, oid: i64) -> Result<Vec<Trigger>, Error> {
    let found = query(connection, TRIGGERS, Argument::Integer(oid)).await?;
    let trigger = |row: PgRow| {
        let events: i64 = row.try_get(1)?;
        let of = |(bit, event)| (events & bit != 0).then_some(event);
        let known = [(INSERT, "INSERT"), (UPDATE, "UPDATE"), (DELETE, "DELETE")];
        Ok(Trigger { name: row.try_get(0)?, events: known.into_iter().filter_map(of).collect() })
    };
    found.into_iter().map(trigger).collect()
}

async fn references(connection: &mut PgConnection, oid: i64) -> Result<Vec<Reference>, Error> {
    let mut references: Vec<(i64, Reference)> = Vec::new();
    for row in query(connection, REFERENCES, Argument::Integer(oid)).await? {
        let constraint: i64 = row.try_get(0)?;
        let columns = (row.try_get(3)?, row.try_get(4)?);
        match references.last_mut() {
            Some((known, reference)) if *known == constraint => reference.columns.push(columns),
            _ => {
                let (schema, child): (String, String) = (row.try_get(1)?, row.try_get(2)?);
                let reference = Reference {
                    child: canonical(&schema, &child),
                    child_reference: qualified(&schema, &child),
                    columns: vec![columns],
                    on_delete: changing(row.try_get(5)?),
                    on_update: changing(row.try_get(6)?),
                };
                references.push((constraint, reference));
            }
        }
    }
    Ok(references.into_iter().map(|(_, reference)| reference).collect())
}

fn changing(action: String) -> Option<String> {
    let action = match action.as_str() {
        "c" => "CASCADE",
        "n" => "SET NULL",
        "d" => "SET DEFAULT",
        _ => return None,
    };
    Some(action.to_owned())
}

/// The name under which Java's resource managers lock its rows.
fn canonical(schema: &str, table: &str) -> String {
    match schema {
        "public" => table.to_owned(),
        schema => format!("{schema}.{table}"),
    }
}

fn qualified(schema: &str, table: &str) -> String {
    format!("{}.{}", Postgres::quote(schema), Postgres::quote(table))
}

/// The name in quotes, as the search path is to resolve it.
fn written(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => qualified(schema, &name.name),
        None => Postgres::quote(&name.name),
    }
}

fn shown(name: &TableName) -> String {
    match &name.schema {
        Some(schema) => format!("{schema}.{}", name.name),
        None => name.name.clone(),
    }
}

fn not_a_table(name: &TableName, kind: &str) -> Refusal {
    Refusal::NotATable { name: shown(name), kind: kind.to_owned() }
}

async fn query(connection: &mut PgConnection, sql: &str, argument: Argument) -> Result<Vec<PgRow>, Error> {
    rows::<Postgres>(connection, Call::new(sql, &[argument])?).await
}
