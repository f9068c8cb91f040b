//! Reading.

use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    ARRAY_LIST, BRANCH_UNDO_LOG, EMPTY_TABLE_RECORDS, FIELD, ROW, SQL_UNDO_LOG, TABLE_RECORDS,
    value::read_value,
};
use crate::undo::{BranchUndoLog, Field, Row, SqlType, SqlUndoLog, TableRecords, Value};

/// Why the content of an undo row cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// It is not the document that Seata's jackson serializer writes.
    #[error("the undo log is not a jackson document of Seata: {0}")]
    Json(#[from] serde_json::Error),
    /// An object of another class stands where one of these was expected.
    #[error("the undo log holds an object of class {found:?} where {expected:?} was expected")]
    Class {
        /// The class that stands there.
        found: String,
        /// The class that should.
        expected: &'static str,
    },
    /// It is JSON, but does not tell Java's classes.
    #[error(
        "the undo log does not name Java's classes, as those of seata-go do not: only the resource manager that wrote \
         it can undo it"
    )]
    NoClasses,
}

/// Reads a document. Order of properties, unknown properties and white space are free, as in Java.
///
/// # Errors
/// [`DecodeError`] when it is another document, or holds an object of a class that is not Seata's 2.x.
pub fn decode(bytes: &[u8]) -> Result<BranchUndoLog, DecodeError> {
    let log: WireBranch = serde_json::from_slice(bytes).map_err(|error| reason(bytes, error))?;
    expect_class(&log.class, &[BRANCH_UNDO_LOG])?;
    Ok(BranchUndoLog {
        xid: log.xid,
        branch_id: log.branch_id,
        sql_undo_logs: log.sql_undo_logs.items(WireStatement::read)?,
    })
}

/// Why it is no document of Seata, told by the beginning.
fn reason(bytes: &[u8], error: serde_json::Error) -> DecodeError {
    match serde_json::from_slice(bytes) {
        Ok(Class { class: None }) => DecodeError::NoClasses,
        _ => DecodeError::Json(error),
    }
}

#[derive(Deserialize)]
struct Class {
    #[serde(rename = "@class")]
    class: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct WireBranch {
    #[serde(rename = "@class")]
    class: String,
    xid: String,
    #[serde(rename = "branchId")]
    branch_id: i64,
    #[serde(rename = "sqlUndoLogs")]
    sql_undo_logs: WireList<WireStatement>,
}

#[derive(Deserialize)]
struct WireStatement {
    #[serde(rename = "@class")]
    class: String,
    #[serde(rename = "sqlType")]
    sql_type: String,
    #[serde(rename = "tableName")]
    table_name: String,
    #[serde(rename = "beforeImage")]
    before_image: Option<WireRecords>,
    #[serde(rename = "afterImage")]
    after_image: Option<WireRecords>,
}

#[derive(Deserialize)]
struct WireRecords {
    #[serde(rename = "@class")]
    class: String,
    #[serde(rename = "tableName")]
    table_name: String,
    rows: WireList<WireRow>,
}

#[derive(Deserialize)]
struct WireRow {
    #[serde(rename = "@class")]
    class: String,
    fields: WireList<WireField>,
}

#[derive(Deserialize)]
struct WireField {
    #[serde(rename = "@class")]
    class: String,
    name: String,
    #[serde(rename = "keyType")]
    key_type: Option<String>,
    #[serde(rename = "type")]
    jdbc_type: i32,
    value: Option<Box<RawValue>>,
    exact: Option<Box<RawValue>>,
}

#[derive(Deserialize)]
struct WireList<T>(String, Vec<T>);

impl<T> WireList<T> {
    fn items<U>(self, read: impl FnMut(T) -> Result<U, DecodeError>) -> Result<Vec<U>, DecodeError> {
        expect_class(&self.0, &[ARRAY_LIST])?;
        self.1.into_iter().map(read).collect()
    }
}

impl WireStatement {
    fn read(self) -> Result<SqlUndoLog, DecodeError> {
        expect_class(&self.class, &[SQL_UNDO_LOG])?;
        Ok(SqlUndoLog {
            sql_type: SqlType::from_name(&self.sql_type),
            table_name: self.table_name,
            before_image: self.before_image.map(WireRecords::read).transpose()?,
            after_image: self.after_image.map(WireRecords::read).transpose()?,
        })
    }
}

impl WireRecords {
    fn read(self) -> Result<TableRecords, DecodeError> {
        expect_class(&self.class, &[TABLE_RECORDS, EMPTY_TABLE_RECORDS])?;
        Ok(TableRecords { table_name: self.table_name, rows: self.rows.items(WireRow::read)? })
    }
}

impl WireRow {
    fn read(self) -> Result<Row, DecodeError> {
        expect_class(&self.class, &[ROW])?;
        Ok(Row { fields: self.fields.items(WireField::read)? })
    }
}

impl WireField {
    fn read(self) -> Result<Field, DecodeError> {
        expect_class(&self.class, &[FIELD])?;
        Ok(Field {
            name: self.name,
            is_key: self.key_type.as_deref() == Some("PRIMARY_KEY"),
            jdbc_type: self.jdbc_type,
            value: self.value.map_or(Value::Null, |raw| read_value(raw.get())),
            exact: self.exact.and_then(|raw| serde_json::from_str(raw.get()).ok()),
        })
    }
}

fn expect_class(found: &str, expected: &[&'static str]) -> Result<(), DecodeError> {
    if expected.contains(&found) {
        return Ok(());
    }
    Err(DecodeError::Class { found: found.to_owned(), expected: expected[0] })
}
