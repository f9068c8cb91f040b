//! Java's jackson form of an undo log, byte for byte.
//!
//! Every object carries its class as the property `@class`, every list is `["java.util.ArrayList", […]]`, and a
//! value is either bare or `["class", content]`.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{BranchUndoLog, Field, Row, SqlType, SqlUndoLog, TableRecords, Value, value::Instant};

const BRANCH_UNDO_LOG: &str = "org.apache.seata.rm.datasource.undo.BranchUndoLog";
const SQL_UNDO_LOG: &str = "org.apache.seata.rm.datasource.undo.SQLUndoLog";
const TABLE_RECORDS: &str = "org.apache.seata.rm.datasource.sql.struct.TableRecords";
const EMPTY_TABLE_RECORDS: &str = "org.apache.seata.rm.datasource.sql.struct.TableRecords$EmptyTableRecords";
const ROW: &str = "org.apache.seata.rm.datasource.sql.struct.Row";
const FIELD: &str = "org.apache.seata.rm.datasource.sql.struct.Field";
const ARRAY_LIST: &str = "java.util.ArrayList";

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
    /// The row's `context` names a form that this version does not read.
    #[error("the undo log's context says {key}={value}, which cannot be read here")]
    Context {
        /// The key.
        key: String,
        /// Its value.
        value: String,
    },
}

/// The document's bytes.
pub fn encode(log: &BranchUndoLog) -> Vec<u8> {
    let mut out = String::with_capacity(1024);
    open(&mut out, BRANCH_UNDO_LOG);
    property(&mut out, "xid");
    string(&mut out, &log.xid);
    property(&mut out, "branchId");
    number(&mut out, log.branch_id);
    property(&mut out, "sqlUndoLogs");
    list(&mut out, &log.sql_undo_logs, sql_undo_log);
    out.push('}');
    out.into_bytes()
}

fn sql_undo_log(out: &mut String, log: &SqlUndoLog) {
    open(out, SQL_UNDO_LOG);
    property(out, "sqlType");
    string(out, log.sql_type.name());
    property(out, "tableName");
    string(out, &log.table_name);
    property(out, "beforeImage");
    image(out, log.before_image.as_ref());
    property(out, "afterImage");
    image(out, log.after_image.as_ref());
    out.push('}');
}

fn image(out: &mut String, image: Option<&TableRecords>) {
    let Some(image) = image else { return out.push_str("null") };
    open(out, if image.rows.is_empty() { EMPTY_TABLE_RECORDS } else { TABLE_RECORDS });
    property(out, "tableName");
    string(out, &image.table_name);
    property(out, "rows");
    list(out, &image.rows, |out, row| {
        open(out, ROW);
        property(out, "fields");
        list(out, &row.fields, field);
        out.push('}');
    });
    out.push('}');
}

fn field(out: &mut String, field: &Field) {
    open(out, FIELD);
    property(out, "name");
    string(out, &field.name);
    property(out, "keyType");
    string(out, if field.is_key { "PRIMARY_KEY" } else { "NULL" });
    property(out, "type");
    number(out, field.jdbc_type);
    property(out, "value");
    value(out, &field.value);
    out.push('}');
}

fn value(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Integer(value) => number(out, value),
        Value::Text(text) => string(out, text),
        Value::Double(value) if value.is_finite() => out.push_str(&java_floating(&format!("{value:e}"))),
        Value::Double(value) => boxed(out, "java.lang.Double", |out| string(out, java_non_finite(*value))),
        Value::Long(value) => boxed(out, "java.lang.Long", |out| number(out, value)),
        Value::Short(value) => boxed(out, "java.lang.Short", |out| number(out, value)),
        Value::Byte(value) => boxed(out, "java.lang.Byte", |out| number(out, value)),
        Value::Float(value) if value.is_finite() => {
            boxed(out, "java.lang.Float", |out| out.push_str(&java_floating(&format!("{value:e}"))));
        }
        Value::Float(value) => {
            boxed(out, "java.lang.Float", |out| string(out, java_non_finite(f64::from(*value))));
        }
        Value::Decimal(digits) => boxed(out, "java.math.BigDecimal", |out| out.push_str(digits)),
        Value::BigInteger(digits) => boxed(out, "java.math.BigInteger", |out| out.push_str(digits)),
        Value::Bytes(bytes) => boxed(out, "[B", |out| string(out, &STANDARD.encode(bytes))),
        Value::Date(millis) => boxed(out, "java.sql.Date", |out| number(out, millis)),
        Value::Time(text) => boxed(out, "java.sql.Time", |out| string(out, text)),
        Value::Timestamp(at) => boxed(out, "java.sql.Timestamp", |out| instant(out, *at)),
        Value::LocalDateTime(at) => boxed(out, "java.time.LocalDateTime", |out| instant(out, *at)),
        Value::Uuid(text) => boxed(out, "java.util.UUID", |out| string(out, text)),
        Value::Other(json) => out.push_str(json),
    }
}

fn open(out: &mut String, class: &str) {
    out.push_str("{\"@class\":");
    string(out, class);
}

fn property(out: &mut String, name: &str) {
    out.push(',');
    string(out, name);
    out.push(':');
}

fn list<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    boxed(out, ARRAY_LIST, |out| {
        out.push('[');
        for (index, item) in items.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write(out, item);
        }
        out.push(']');
    });
}

fn boxed(out: &mut String, class: &str, content: impl FnOnce(&mut String)) {
    out.push('[');
    string(out, class);
    out.push(',');
    content(out);
    out.push(']');
}

fn instant(out: &mut String, at: Instant) {
    match at.nanos {
        None => number(out, at.millis),
        Some(nanos) => write!(out, "[{},{nanos}]", at.millis).expect("a String takes any text"),
    }
}

fn number(out: &mut String, number: impl std::fmt::Display) {
    write!(out, "{number}").expect("a String takes any text");
}

fn string(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("every text has a JSON form"));
}

/// `Double.toString` of the shortest digits, given as Rust's `d.ddde±x`.
fn java_floating(scientific: &str) -> String {
    let (mantissa, exponent) = scientific.split_once('e').expect("`{:e}` always writes an exponent");
    let exponent: i32 = exponent.parse().expect("`{:e}` writes a decimal exponent");
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    let or_zero = |fraction: &str| if fraction.is_empty() { "0".to_owned() } else { fraction.to_owned() };
    match exponent {
        0..7 => {
            let point = exponent as usize + 1;
            let padded = format!("{digits:0<point$}");
            format!("{sign}{}.{}", &padded[..point], or_zero(&padded[point..]))
        }
        -3..0 => format!("{sign}0.{}{digits}", "0".repeat(exponent.unsigned_abs() as usize - 1)),
        _ => format!("{sign}{}.{}E{exponent}", &digits[..1], or_zero(&digits[1..])),
    }
}

fn java_non_finite(value: f64) -> &'static str {
    match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    }
}

/// Reads a document. Order of properties, unknown properties and white space are free, as in Java.
///
/// # Errors
/// [`DecodeError`] when it is another document, or holds an object of a class that is not Seata's 2.x.
pub fn decode(bytes: &[u8]) -> Result<BranchUndoLog, DecodeError> {
    let log: WireBranch = serde_json::from_slice(bytes)?;
    expect_class(&log.class, &[BRANCH_UNDO_LOG])?;
    Ok(BranchUndoLog {
        xid: log.xid,
        branch_id: log.branch_id,
        sql_undo_logs: log.sql_undo_logs.items(WireStatement::read)?,
    })
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
        })
    }
}

fn expect_class(found: &str, expected: &[&'static str]) -> Result<(), DecodeError> {
    if expected.contains(&found) {
        return Ok(());
    }
    Err(DecodeError::Class { found: found.to_owned(), expected: expected[0] })
}

/// Never fails: what has no variant of its own is kept as it stands.
fn read_value(json: &str) -> Value {
    read_known_value(json).unwrap_or_else(|| Value::Other(json.to_owned()))
}

fn read_known_value(json: &str) -> Option<Value> {
    match json.as_bytes().first()? {
        b'n' => Some(Value::Null),
        b't' => Some(Value::Boolean(true)),
        b'f' => Some(Value::Boolean(false)),
        b'"' => serde_json::from_str(json).ok().map(Value::Text),
        b'[' => {
            let (class, content): (String, Box<RawValue>) = serde_json::from_str(json).ok()?;
            read_boxed(&class, content.get())
        }
        b'{' => None,
        _ if json.contains(['.', 'e', 'E']) => json.parse().ok().map(Value::Double),
        _ => json.parse().ok().map(Value::Integer),
    }
}

fn read_boxed(class: &str, content: &str) -> Option<Value> {
    let text = || serde_json::from_str::<String>(content).ok();
    // Java's reader takes a number in quotes as well.
    let digits = || Some(content.trim_matches('"').to_owned());
    match class {
        "java.lang.Integer" => content.parse().ok().map(Value::Integer),
        "java.lang.Long" => content.parse().ok().map(Value::Long),
        "java.lang.Short" => content.parse().ok().map(Value::Short),
        "java.lang.Byte" => content.parse().ok().map(Value::Byte),
        "java.lang.Double" => read_floating(&digits()?).map(Value::Double),
        "java.lang.Float" => read_floating(&digits()?).map(|value| Value::Float(value as f32)),
        "java.math.BigDecimal" => digits().map(Value::Decimal),
        "java.math.BigInteger" => digits().map(Value::BigInteger),
        "[B" => STANDARD.decode(text()?).ok().map(Value::Bytes),
        "java.sql.Date" => content.parse().ok().map(Value::Date),
        "java.sql.Time" => text().map(Value::Time),
        "java.sql.Timestamp" => read_instant(content).map(Value::Timestamp),
        "java.time.LocalDateTime" => read_instant(content).map(Value::LocalDateTime),
        "java.util.UUID" => text().map(Value::Uuid),
        _ => None,
    }
}

fn read_floating(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        digits => digits.parse().ok(),
    }
}

fn read_instant(content: &str) -> Option<Instant> {
    if let Ok(millis) = content.parse() {
        return Some(Instant { millis, nanos: None });
    }
    let (millis, nanos) = serde_json::from_str::<(i64, u32)>(content).ok()?;
    Some(Instant { millis, nanos: Some(nanos) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floating_point_numbers_are_written_as_java_writes_them() {
        for (value, text) in [
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (1.0, "1.0"),
            (-2.5, "-2.5"),
            (0.001, "0.001"),
            (0.0001, "1.0E-4"),
            (1234567.0, "1234567.0"),
            (1.0e7, "1.0E7"),
            (1.25e-10, "1.25E-10"),
            (f64::MAX, "1.7976931348623157E308"),
            (100.0, "100.0"),
        ] {
            assert_eq!(java_floating(&format!("{value:e}")), text);
        }
    }

    #[test]
    fn every_value_comes_back_as_itself() {
        let values = [
            Value::Null,
            Value::Boolean(true),
            Value::Integer(i32::MIN),
            Value::Long(i64::MIN),
            Value::Short(-3),
            Value::Byte(7),
            Value::Double(f64::NAN),
            Value::Double(f64::INFINITY),
            Value::Double(f64::NEG_INFINITY),
            Value::Double(5e-324),
            Value::Float(0.1),
            Value::Float(f32::INFINITY),
            Value::Decimal("-12345.678900".into()),
            Value::BigInteger("18446744073709551615".into()),
            Value::Text("\u{0}\u{1f}\"\\é你😀\u{2028}".into()),
            Value::Bytes((0..=255).collect()),
            Value::Timestamp(Instant { millis: -1, nanos: Some(999_999_999) }),
            Value::Other(r#"["java.util.Locale","de"]"#.into()),
            Value::Other("9223372036854775807".into()),
        ];
        for value in values {
            let mut json = String::new();
            super::value(&mut json, &value);
            assert_eq!(read_value(&json), value, "{json}");
        }
    }

    #[test]
    fn another_class_is_refused_by_its_name() {
        let error = decode(
            br#"{"@class":"io.seata.rm.datasource.undo.BranchUndoLog","xid":"x","branchId":1,
            "sqlUndoLogs":["java.util.ArrayList",[]]}"#,
        );
        assert!(matches!(error, Err(DecodeError::Class { found, .. }) if found.starts_with("io.seata")));
    }

    #[test]
    fn what_java_tolerates_is_tolerated() {
        let log = decode(
            br#" { "extra": 1, "branchId" : 7, "xid": "h:1:2",
            "sqlUndoLogs":["java.util.ArrayList",[{"sqlType":"INSERT","tableName":"t","beforeImage":null,
            "@class":"org.apache.seata.rm.datasource.undo.SQLUndoLog"}]],
            "@class":"org.apache.seata.rm.datasource.undo.BranchUndoLog" } "#,
        )
        .unwrap();
        assert_eq!((log.branch_id, log.sql_undo_logs.len()), (7, 1));
        assert_eq!(log.sql_undo_logs[0].before_image, None);
    }
}
