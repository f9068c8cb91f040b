//! Writing.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::{
    ARRAY_LIST, BRANCH_UNDO_LOG, EMPTY_TABLE_RECORDS, FIELD, ROW, SERIAL_ARRAY, SQL_UNDO_LOG, TABLE_RECORDS,
};
use crate::undo::{
    BranchUndoLog, Field, Instant, PgObject, SerialArray, SqlUndoLog, TableRecords, Value,
    text::{double_text, float_text},
};

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
    // Java's reader passes over what it does not know.
    if let Some(exact) = &field.exact {
        property(out, "exact");
        string(out, exact);
    }
    out.push('}');
}

/// A value whose class Java's reader cannot tell otherwise is boxed: `["class", content]`.
pub(super) fn value(out: &mut String, value: &Value) {
    match value {
        Value::Long(_) => boxed(out, "java.lang.Long", |out| content(out, value)),
        Value::Short(_) => boxed(out, "java.lang.Short", |out| content(out, value)),
        Value::Byte(_) => boxed(out, "java.lang.Byte", |out| content(out, value)),
        Value::Float(_) => boxed(out, "java.lang.Float", |out| content(out, value)),
        Value::Double(double) if !double.is_finite() => {
            boxed(out, "java.lang.Double", |out| content(out, value));
        }
        Value::Bytes(_) => boxed(out, "[B", |out| content(out, value)),
        Value::LocalDateTime(_) => boxed(out, "java.time.LocalDateTime", |out| content(out, value)),
        Value::Uuid(_) => boxed(out, "java.util.UUID", |out| content(out, value)),
        _ => element(out, value),
    }
}

/// A value as an element of an array: there Java boxes only the classes that others may extend.
fn element(out: &mut String, value: &Value) {
    match value {
        Value::Decimal(_) => boxed(out, "java.math.BigDecimal", |out| content(out, value)),
        Value::BigInteger(_) => boxed(out, "java.math.BigInteger", |out| content(out, value)),
        Value::Date(_) => boxed(out, "java.sql.Date", |out| content(out, value)),
        Value::Time(_) => boxed(out, "java.sql.Time", |out| content(out, value)),
        Value::Timestamp(_) => boxed(out, "java.sql.Timestamp", |out| content(out, value)),
        Value::Blob(_) => boxed(out, "javax.sql.rowset.serial.SerialBlob", |out| content(out, value)),
        Value::Clob(_) => boxed(out, "javax.sql.rowset.serial.SerialClob", |out| content(out, value)),
        _ => content(out, value),
    }
}

fn content(out: &mut String, value: &Value) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Boolean(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Integer(value) => number(out, value),
        Value::Long(value) | Value::Date(value) => number(out, value),
        Value::Short(value) => number(out, value),
        Value::Byte(value) => number(out, value),
        Value::Double(value) => floating(out, &double_text(*value)),
        Value::Float(value) => floating(out, &float_text(*value)),
        Value::Decimal(digits) | Value::BigInteger(digits) => out.push_str(digits),
        Value::Text(text) | Value::Clob(text) | Value::Time(text) | Value::Uuid(text) => string(out, text),
        Value::Bytes(bytes) | Value::Blob(bytes) => base64(out, bytes),
        Value::Timestamp(at) | Value::LocalDateTime(at) => instant(out, *at),
        Value::PgObject(object) => pg_object(out, object),
        Value::Array(array) => serial_array(out, array),
        Value::Other(json) => out.push_str(json),
    }
}

fn pg_object(out: &mut String, object: &PgObject) {
    open(out, &object.class);
    property(out, "type");
    string(out, &object.type_name);
    property(out, "value");
    match &object.text {
        Some(text) => string(out, text),
        None => out.push_str("null"),
    }
    for (name, json) in &object.properties {
        property(out, name);
        out.push_str(json);
    }
    out.push('}');
}

fn serial_array(out: &mut String, array: &SerialArray) {
    open(out, SERIAL_ARRAY);
    property(out, "baseType");
    number(out, array.base_type);
    property(out, "baseTypeName");
    string(out, &array.base_type_name);
    property(out, "elements");
    items(out, &array.elements, element);
    out.push('}');
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

fn list<T>(out: &mut String, list: &[T], write: impl FnMut(&mut String, &T)) {
    boxed(out, ARRAY_LIST, |out| items(out, list, write));
}

fn items<T>(out: &mut String, items: &[T], mut write: impl FnMut(&mut String, &T)) {
    out.push('[');
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
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

/// JSON has no NaN and no infinity; Java writes them as texts.
fn floating(out: &mut String, text: &str) {
    if text.ends_with(|last: char| last.is_ascii_digit()) { out.push_str(text) } else { string(out, text) }
}

/// Escapes what jackson escapes, as it does: control characters, and what UTF-16 needs two units for.
fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(place) = rest.find(is_escaped) {
        let (plain, from) = rest.split_at(place);
        out.push_str(plain);
        let mut characters = from.chars();
        characters.next().into_iter().for_each(|character| escape(out, character));
        rest = characters.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn is_escaped(character: char) -> bool {
    matches!(character, '"' | '\\' | '\0'..' ' | '\u{10000}'..)
}

fn escape(out: &mut String, character: char) {
    match character {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        _ => {
            for unit in character.encode_utf16(&mut [0; 2]) {
                write!(out, "\\u{unit:04X}").expect("a String takes any text");
            }
        }
    }
}

fn base64(out: &mut String, bytes: &[u8]) {
    out.push('"');
    STANDARD.encode_string(bytes, out);
    out.push('"');
}
