//! Images: rows of one table as they stand at one moment, with typed values.

use std::{borrow::Cow, collections::HashMap};

use futures_util::TryStreamExt;
use seata_protocol::{KeyPart, ResourceId, RowKey, RowLock};
use sqlx::{Either, Error};

use crate::{
    dialect::{Argument, Call, ColumnOf, Dialect},
    sql::{Rows, image_query},
    structure::Table,
    undo::{Field, Row, Value, Zone},
};

/// How many rows one query by key asks for, well below every database's limit on parameters and on
/// the depth of an expression.
pub(crate) const KEYS_PER_QUERY: usize = 200;

/// These, and the last one again until they are as many as some power of two, or `most`: for a few lengths a statement
/// can stay prepared. One that cannot is closed each time, for which MySQL's next one may have to wait.
pub(crate) fn in_steps<T>(items: &[T], most: usize) -> impl Iterator<Item = &T> {
    let length = items.len().next_power_of_two().min(most);
    let again = items.last().into_iter().cycle().take(length.saturating_sub(items.len()));
    items.iter().chain(again)
}

/// Why there is no image.
#[derive(Debug)]
pub(crate) enum ImageError {
    Database(Error),
    TooManyRows,
    /// The key of a row is NULL or empty.
    UnusableKey(String),
    /// A value cannot be given to the database.
    Unwritable(String),
}

impl From<Error> for ImageError {
    fn from(error: Error) -> Self {
        Self::Database(error)
    }
}

/// The query for the rows that a statement selects, with the statement's own arguments.
pub(crate) fn selecting<DB: Dialect>(rows: &Rows, table: &Table<DB>, columns: &[&ColumnOf<DB>]) -> String {
    let qualifier = rows.qualifier(DB::FLAVOR);
    let columns: Vec<String> = columns.iter().map(|column| DB::selected(column, Some(&qualifier))).collect();
    image_query(DB::FLAVOR, rows, &columns.join(", "), &table.reference, DB::FOR_UPDATE)
}

/// How rows of a table are read.
pub(crate) struct Reading<'a, DB: Dialect> {
    pub(crate) table: &'a Table<DB>,
    pub(crate) columns: &'a [&'a ColumnOf<DB>],
    pub(crate) zone: &'a Zone,
}

impl<DB: Dialect> Reading<'_, DB> {
    /// The rows that a query of [`selecting`] or the like gives.
    pub(crate) async fn run(
        &self,
        connection: &mut DB::Connection,
        call: Call<DB>,
        limit: usize,
    ) -> Result<Vec<Row>, ImageError> {
        let mut rows = Vec::new();
        let mut stream = DB::stream(connection, call);
        while let Some(output) = stream.try_next().await? {
            let Either::Right(row) = output else { continue };
            if rows.len() == limit {
                return Err(ImageError::TooManyRows);
            }
            rows.push(self.row(&row, 0)?);
        }
        Ok(rows)
    }

    /// An image row from the columns of `row` that begin at `first`.
    pub(crate) fn row(&self, row: &DB::Row, first: usize) -> Result<Row, ImageError> {
        let mut fields = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter().enumerate() {
            let is_key = self.table.is_key(&column.name);
            let field = DB::field(row, first + index, column, is_key, self.zone)?;
            if is_key && field.value == Value::Null {
                return Err(ImageError::UnusableKey(format!("{} is NULL", column.name)));
            }
            fields.push(field);
        }
        Ok(Row { fields })
    }

    /// The rows with the keys of these, in no certain order; those that are gone are left out. They stay as they
    /// are until the local transaction ends.
    pub(crate) async fn by_keys(
        &self,
        connection: &mut DB::Connection,
        keys: &[Row],
    ) -> Result<Vec<Row>, ImageError> {
        self.by_keys_with(DB::FOR_UPDATE, connection, keys).await
    }

    /// The same with another lock than that of [`Dialect::FOR_UPDATE`], or none.
    pub(crate) async fn by_keys_with(
        &self,
        lock: &str,
        connection: &mut DB::Connection,
        keys: &[Row],
    ) -> Result<Vec<Row>, ImageError> {
        let mut found = Vec::with_capacity(keys.len());
        for keys in keys.chunks(KEYS_PER_QUERY) {
            let mut arguments = Arguments::new(self.table, self.zone);
            let sql = self.query_by_keys(lock, &mut arguments, keys)?;
            let call = arguments.call(sql)?;
            let mut rows = self.run(connection, call, usize::MAX).await?;
            // A column's collation may find more than the row itself.
            rows.retain(|row| keys.iter().any(|key| same_key(row, key)));
            found.append(&mut rows);
        }
        Ok(found)
    }

    /// The query for the rows with the keys of these, [`KEYS_PER_QUERY`] at most. A collation may find others too.
    pub(crate) fn query_by_keys(
        &self,
        lock: &str,
        arguments: &mut Arguments<'_, DB>,
        keys: &[Row],
    ) -> Result<String, ImageError> {
        let listed: Vec<String> = self.columns.iter().map(|column| DB::selected(column, None)).collect();
        let conditions: Result<Vec<String>, ImageError> = in_steps(keys, KEYS_PER_QUERY)
            .map(|row| Ok(format!("({})", arguments.key_condition(row)?)))
            .collect();
        let (listed, conditions) = (listed.join(", "), conditions?.join(" OR "));
        Ok(format!("SELECT {listed} FROM {} WHERE {conditions}{lock}", self.table.reference))
    }
}

/// The arguments of a statement of ours on one table, as its text is written.
pub(crate) struct Arguments<'a, DB: Dialect> {
    table: &'a Table<DB>,
    zone: &'a Zone,
    values: Vec<Argument>,
}

impl<'a, DB: Dialect> Arguments<'a, DB> {
    pub(crate) fn new(table: &'a Table<DB>, zone: &'a Zone) -> Self {
        Self { table, zone, values: Vec::new() }
    }

    /// The text of a parameter that takes the value of this field.
    pub(crate) fn parameter(&mut self, field: &Field) -> Result<String, ImageError> {
        let unusable = |reason: String| ImageError::Unwritable(format!("column {}: {reason}", field.name));
        let column = self.table.column(&field.name);
        let column = column.ok_or_else(|| unusable(format!("table {} has it no more", self.table.name)))?;
        self.values.push(DB::argument(column, field, self.zone).map_err(unusable)?);
        Ok(DB::parameter(self.values.len(), column, field))
    }

    /// Values for parameters that stand in the text already.
    #[cfg_attr(not(feature = "mysql"), expect(dead_code, reason = "only MySQL's statements have such"))]
    pub(crate) fn push_all(&mut self, values: impl IntoIterator<Item = Argument>) {
        self.values.extend(values);
    }

    /// `"k1" = ?1 AND "k2" = ?2`.
    pub(crate) fn key_condition(&mut self, row: &Row) -> Result<String, ImageError> {
        self.qualified_key_condition(row, "")
    }

    /// The same where other tables may have columns of these names.
    pub(crate) fn qualified_key_condition(
        &mut self,
        row: &Row,
        qualifier: &str,
    ) -> Result<String, ImageError> {
        let terms = row
            .key()
            .map(|field| Ok(format!("{qualifier}{} = {}", DB::quote(&field.name), self.parameter(field)?)));
        Ok(terms.collect::<Result<Vec<_>, ImageError>>()?.join(" AND "))
    }

    /// A form of a user's statement with these arguments behind its own, of positional ones.
    pub(crate) fn follow(self, call: &Call<DB>, sql: String) -> Result<Call<DB>, Error> {
        let mut call = call.with_sql(sql);
        call.persistent &= self.values.len() <= KEYS_PER_QUERY;
        let arguments = call.arguments.get_or_insert_default();
        for value in &self.values {
            DB::bind(arguments, value)?;
        }
        Ok(call)
    }

    /// The statement with these arguments.
    pub(crate) fn call(self, sql: String) -> Result<Call<DB>, Error> {
        Call::new(sql, &self.values)
    }
}

/// Whether both are the same row, at whatever moment.
pub(crate) fn same_key(a: &Row, b: &Row) -> bool {
    let mut count = 0;
    let same = a.key().all(|field| {
        count += 1;
        b.field(&field.name).is_some_and(|other| other.same_value(field))
    });
    same && count > 0 && count == b.key().count()
}

/// Rows that are found by their keys, whoever wrote the one or the other: what a peer wrote may say less of a key than
/// what is read here.
pub(crate) struct ByKey<'r>(HashMap<String, Vec<&'r Row>>);

impl<'r> ByKey<'r> {
    pub(crate) fn new(rows: &'r [Row]) -> Self {
        let mut found: HashMap<String, Vec<&'r Row>> = HashMap::with_capacity(rows.len());
        for row in rows {
            found.entry(rough_key(row)).or_default().push(row);
        }
        Self(found)
    }

    /// The row with the key of this one.
    pub(crate) fn find(&self, row: &Row) -> Option<&'r Row> {
        let alike = self.0.get(&rough_key(row))?;
        alike.iter().copied().find(|found| same_key(found, row))
    }
}

/// The same for all rows that [`same_key`] takes for one, and maybe for a few others.
pub(crate) fn rough_key(row: &Row) -> String {
    key_text(row, |field| field.value.meaning().to_string())
}

/// What tells a row from all others, in words for operators, whatever driver read it. Unlike a lock's key it keeps where
/// one part ends and the next begins.
pub(crate) fn identity(row: &Row) -> String {
    key_text(row, |field| field.exact.clone().unwrap_or_else(|| field.value.meaning().to_string()))
}

fn key_text(row: &Row, part: impl Fn(&Field) -> String) -> String {
    let mut parts: Vec<String> =
        row.key().map(|field| format!("{}={}", field.name.to_ascii_lowercase(), part(field))).collect();
    parts.sort();
    parts.join(", ")
}

/// One column's part in the key of a row lock.
pub enum Key<'v> {
    Integer(i64),
    Real(f64),
    Text(Cow<'v, str>),
    Bytes(Cow<'v, [u8]>),
}

/// The lock on a row.
pub(crate) fn lock<DB: Dialect>(
    resource: &ResourceId,
    table: &Table<DB>,
    row: &Row,
    zone: &Zone,
) -> Result<RowLock, ImageError> {
    let key = key_of(table, row, zone)?;
    Ok(RowLock { resource: resource.clone(), table: table.name.as_str().into(), key })
}

/// The key of a row in the key's own order, as locks have it.
fn key_of<DB: Dialect>(table: &Table<DB>, row: &Row, zone: &Zone) -> Result<RowKey, ImageError> {
    let mut values = Vec::with_capacity(table.key.len());
    for (name, collation) in table.key.iter().zip(&table.key_collations) {
        let unusable = |detail: &str| ImageError::UnusableKey(format!("{name} is {detail}"));
        let field = row.fields.iter().find(|field| field.name.eq_ignore_ascii_case(name));
        let (Some(field), Some(column)) = (field, table.column(name)) else {
            return Err(unusable("missing"));
        };
        values.push(DB::key_part(column, collation, field, zone).map_err(|found| unusable(&found))?);
    }
    let parts = values.iter().map(|part| match part {
        Key::Integer(value) => KeyPart::Integer(*value),
        Key::Real(value) => KeyPart::Real(*value),
        Key::Text(text) => KeyPart::Text(text),
        Key::Bytes(bytes) => KeyPart::Bytes(bytes),
    });
    RowKey::new(parts).map_err(|error| ImageError::UnusableKey(error.to_string()))
}
