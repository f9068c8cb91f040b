//! Images: rows of one table as they stand at one moment, with typed values.

use futures_util::TryStreamExt;
use seata_protocol::{KeyPart, ResourceId, RowKey, RowLock};
use sqlx::{Either, Error};

use crate::{
    dialect::{Call, Dialect},
    sql::{Rows, image_query},
    structure::Table,
    undo::{Field, Row, Value},
};

/// How many rows one query by key asks for, well below every database's limit on parameters and on
/// the depth of an expression.
pub(crate) const KEYS_PER_QUERY: usize = 200;

/// Why there is no image.
#[derive(Debug)]
pub(crate) enum ImageError {
    Database(Error),
    TooManyRows,
    /// The key of a row is NULL or empty.
    UnusableKey(String),
}

impl From<Error> for ImageError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

/// The query for the rows that a statement selects, with the statement's own arguments.
pub(crate) fn selecting<DB: Dialect>(rows: &Rows, table: &Table, columns: &[&str]) -> String {
    let qualifier = rows.qualifier(DB::FLAVOR);
    let columns: Vec<String> =
        columns.iter().map(|column| format!("{qualifier}.{}", DB::quote(column))).collect();
    image_query(DB::FLAVOR, rows, &columns.join(", "), &table.reference, "")
}

/// The rows that a query of [`selecting`] or the like gives.
pub(crate) async fn read<DB: Dialect>(
    connection: &mut DB::Connection,
    call: Call<DB>,
    table: &Table,
    columns: &[&str],
    limit: usize,
) -> Result<Vec<Row>, ImageError> {
    let mut rows = Vec::new();
    let mut stream = DB::stream(connection, call);
    while let Some(output) = stream.try_next().await? {
        let Either::Right(row) = output else { continue };
        if rows.len() == limit {
            return Err(ImageError::TooManyRows);
        }
        rows.push(row_from::<DB>(&row, 0, table, columns)?);
    }
    Ok(rows)
}

/// An image row from the columns of `row` that begin at `first`.
pub(crate) fn row_from<DB: Dialect>(
    row: &DB::Row,
    first: usize,
    table: &Table,
    columns: &[&str],
) -> Result<Row, ImageError> {
    let mut fields = Vec::with_capacity(columns.len());
    for (index, name) in columns.iter().enumerate() {
        let (jdbc_type, value) = DB::value(row, first + index)?;
        let is_key = table.is_key(name);
        if is_key && value == Value::Null {
            return Err(ImageError::UnusableKey(format!("{name} is NULL")));
        }
        fields.push(Field { name: (*name).to_owned(), is_key, jdbc_type, value, exact: None });
    }
    Ok(Row { fields })
}

/// The rows with the keys of these, in no certain order; those that are gone are left out.
pub(crate) async fn read_by_keys<DB: Dialect>(
    connection: &mut DB::Connection,
    keys: &[Row],
    table: &Table,
    columns: &[&str],
) -> Result<Vec<Row>, ImageError> {
    let mut found = Vec::with_capacity(keys.len());
    let listed: Vec<String> = columns.iter().map(|column| DB::quote(column)).collect();
    for keys in keys.chunks(KEYS_PER_QUERY) {
        let mut values = Vec::new();
        let conditions: Vec<String> =
            keys.iter().map(|row| format!("({})", key_condition::<DB>(row, &mut values))).collect();
        let sql = format!(
            "SELECT {} FROM {} WHERE {}",
            listed.join(", "),
            table.reference,
            conditions.join(" OR ")
        );
        let mut call = Call::<DB>::new(sql, &values)?;
        call.persistent = keys.len() == 1;
        let mut rows = read(connection, call, table, columns, usize::MAX).await?;
        // A column's collation may find more than the row itself.
        rows.retain(|row| keys.iter().any(|key| same_key(row, key)));
        found.append(&mut rows);
    }
    Ok(found)
}

/// `"k1" = ?1 AND "k2" = ?2`, whose values are added to `values`.
pub(crate) fn key_condition<'v, DB: Dialect>(row: &'v Row, values: &mut Vec<&'v Value>) -> String {
    let terms = row.key().map(|field| {
        values.push(&field.value);
        format!("{} = {}", DB::quote(&field.name), DB::parameter(values.len(), field))
    });
    terms.collect::<Vec<_>>().join(" AND ")
}

/// Whether both are the same row, at whatever moment.
pub(crate) fn same_key(a: &Row, b: &Row) -> bool {
    let mut count = 0;
    let same = a.key().all(|field| {
        count += 1;
        b.value(&field.name) == Some(&field.value)
    });
    same && count > 0 && count == b.key().count()
}

/// What tells a row from all others, in words for operators. Unlike a lock's key it keeps the types, and
/// where one part ends and the next begins.
pub(crate) fn identity(row: &Row) -> String {
    let mut parts: Vec<String> = row
        .key()
        .map(|field| format!("{}={}", field.name.to_ascii_lowercase(), full(&field.value)))
        .collect();
    parts.sort();
    parts.join(", ")
}

/// Long values are not shortened here: two of them must not look alike.
fn full(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("'{}'", text.replace('\'', "''")),
        Value::Bytes(bytes) => format!("{bytes:?}"),
        other => other.to_string(),
    }
}

/// The lock on a row.
pub(crate) fn lock<DB: Dialect>(
    resource: &ResourceId,
    table: &Table,
    row: &Row,
) -> Result<RowLock, ImageError> {
    let key = key_of::<DB>(table, row)?;
    Ok(RowLock { resource: resource.clone(), table: table.name.as_str().into(), key })
}

/// The key of a row in the key's own order, as locks have it.
fn key_of<DB: Dialect>(table: &Table, row: &Row) -> Result<RowKey, ImageError> {
    let mut values = Vec::with_capacity(table.key.len());
    for (column, collation) in table.key.iter().zip(&table.key_collations) {
        let missing = || ImageError::UnusableKey(format!("{column} is missing"));
        values.push((column, DB::key_value(collation, row.value(column).ok_or_else(missing)?)));
    }
    let parts = values.iter().map(|(column, value)| match value.as_ref() {
        Value::Long(value) => Ok(KeyPart::Integer(*value)),
        Value::Integer(value) => Ok(KeyPart::Integer(i64::from(*value))),
        Value::Double(value) => Ok(KeyPart::Real(*value)),
        Value::Text(text) => Ok(KeyPart::Text(text)),
        Value::Bytes(bytes) => Ok(KeyPart::Bytes(bytes)),
        other => Err(ImageError::UnusableKey(format!("{column} is {other}"))),
    });
    let parts = parts.collect::<Result<Vec<_>, _>>()?;
    RowKey::new(parts).map_err(|error| ImageError::UnusableKey(error.to_string()))
}
