//! Values: from what an image query gives to Java's classes, and back.
//!
//! The value in a document is what Java's driver would have read. Where that need not be all, the field carries the
//! value's binary form besides, as `type:hexadecimal`: the server's own, the same under every setting of a session.
//! Of two values that look the same to Java, either both have such a form or none has.

use super::{
    array, calendar, geometric, interval,
    types::{ColumnType, Form, Kind},
};
use crate::{
    dialect::push_hexadecimal,
    undo::{Instant, PgObject, Value, Zone},
};

/// What Java's driver says for `infinity`, in milliseconds.
const INFINITY: i64 = 9_223_372_036_825_200_000;
/// What it says for `-infinity`.
const MINUS_INFINITY: i64 = -9_223_372_036_832_400_000;

/// What is bound so that a column becomes what an image says.
#[derive(Debug, PartialEq)]
pub(super) enum Written {
    Null,
    /// The type's own binary form.
    Binary(Vec<u8>),
    /// A text that the server reads as the type.
    Text(String),
}

/// A value as an image query gives it, with its exact form if the value is not all.
pub(super) fn read(
    column: &ColumnType,
    given: Option<&[u8]>,
    zone: &Zone,
) -> Result<(Value, Option<String>), String> {
    let Some(given) = given else { return Ok((Value::Null, None)) };
    let (value, binary) = match column.form() {
        Form::Text => return Ok((text_alone(column, utf8(given)?, zone)?, None)),
        Form::Binary => {
            let (value, is_all) = from_binary(&column.kind, &column.java_name, given, zone)?;
            if is_all {
                return Ok((value, None));
            }
            (value, given)
        }
        Form::Both => match record(given)? {
            [Some(text), Some(binary)] => (text_and_binary(column, utf8(text)?, binary, zone)?, binary),
            _ => return Ok((Value::Null, None)),
        },
    };
    Ok((value, Some(exact(column, binary))))
}

/// What to bind for a field, whoever wrote it.
pub(super) fn write(
    column: &ColumnType,
    value: &Value,
    exact: Option<&str>,
    zone: &Zone,
) -> Result<Written, String> {
    if let Some(exact) = exact {
        return from_exact(column, exact).map(Written::Binary);
    }
    match (&column.kind, value) {
        (_, Value::Null | Value::PgObject(PgObject { text: None, .. })) => Ok(Written::Null),
        (Kind::Bytes, Value::Bytes(bytes) | Value::Blob(bytes)) => Ok(Written::Binary(bytes.clone())),
        (kind, value) => element_text(kind, value, zone).map(Written::Text),
    }
}

/// The text of a parameter around its placeholder, for what [`write`] gives.
pub(super) fn parameter(number: usize, column: &ColumnType, value: &Value, exact: Option<&str>) -> String {
    let name = &column.name;
    match (&column.kind, value, &column.multirange_of) {
        (_, _, Some(range)) if exact.is_some() => format!(
            "(SELECT coalesce(pg_catalog.range_agg(r), '{{}}') FROM pg_catalog.unnest(${number}::{range}[]) r)"
        ),
        _ if exact.is_some() => format!("${number}::{name}"),
        (Kind::Bytes, Value::Bytes(_) | Value::Blob(_), _) => format!("${number}::{name}"),
        // How many digits money has is told by the session's settings; they are not in a number.
        (Kind::Money, _, _) => format!("${number}::text::numeric::{name}"),
        _ => format!("${number}::text::{name}"),
    }
}

fn text_alone(column: &ColumnType, text: &str, zone: &Zone) -> Result<Value, String> {
    match &column.kind {
        Kind::Array(element) => array::object(text, None, element, zone).map(Value::Array),
        kind => Ok(from_text(kind, &column.java_name, text)),
    }
}

fn text_and_binary(column: &ColumnType, text: &str, binary: &[u8], zone: &Zone) -> Result<Value, String> {
    match &column.kind {
        Kind::Array(element) => array::object(text, Some(binary), element, zone).map(Value::Array),
        kind => Ok(from_text(kind, &column.java_name, text)),
    }
}

fn utf8(bytes: &[u8]) -> Result<&str, String> {
    std::str::from_utf8(bytes).map_err(|error| format!("the text is not UTF-8: {error}"))
}

fn exact(column: &ColumnType, binary: &[u8]) -> String {
    let mut text = String::with_capacity(column.java_name.len() + 1 + 2 * binary.len());
    text.push_str(&column.java_name);
    text.push(':');
    push_hexadecimal(&mut text, binary);
    text
}

fn from_exact(column: &ColumnType, exact: &str) -> Result<Vec<u8>, String> {
    let (type_name, digits) = exact.rsplit_once(':').ok_or("its exact form names no type")?;
    if type_name != column.java_name {
        return Err(format!("it is of type {} now, and its image is one of {type_name}", column.java_name));
    }
    let wrong = || "its exact form is not hexadecimal".to_owned();
    if digits.len() % 2 != 0 || !digits.is_ascii() {
        return Err(wrong());
    }
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).map_err(|_| wrong());
    (0..digits.len()).step_by(2).map(byte).collect()
}

/// The two fields of a record: behind their count, for each its type, length and bytes.
fn record(mut given: &[u8]) -> Result<[Option<&[u8]>; 2], String> {
    let mut fields = [None, None];
    take::<4>(&mut given)?;
    for field in &mut fields {
        take::<4>(&mut given)?;
        let length = i32::from_be_bytes(take(&mut given)?);
        if let Ok(length) = usize::try_from(length) {
            let (bytes, rest) = given.split_at_checked(length).ok_or("a record is cut short")?;
            (*field, given) = (Some(bytes), rest);
        }
    }
    Ok(fields)
}

pub(super) fn take<const N: usize>(given: &mut &[u8]) -> Result<[u8; N], String> {
    let (taken, rest) = given.split_first_chunk().ok_or("a value is cut short")?;
    *given = rest;
    Ok(*taken)
}

/// A value from its binary form, and whether it is all.
pub(super) fn from_binary(
    kind: &Kind,
    java_name: &str,
    mut given: &[u8],
    zone: &Zone,
) -> Result<(Value, bool), String> {
    let bytes = &mut given;
    Ok(match kind {
        Kind::Boolean => (Value::Boolean(take(bytes)? != [0]), true),
        Kind::Integer if bytes.len() == 2 => (Value::Integer(i16::from_be_bytes(take(bytes)?).into()), true),
        Kind::Integer => (Value::Integer(i32::from_be_bytes(take(bytes)?)), true),
        Kind::Long if bytes.len() == 4 => (Value::Long(u32::from_be_bytes(take(bytes)?).into()), true),
        Kind::Long => (Value::Long(i64::from_be_bytes(take(bytes)?)), true),
        Kind::Float => {
            let value = f32::from_be_bytes(take(bytes)?);
            (Value::Float(value), !value.is_nan())
        }
        Kind::Double => {
            let value = f64::from_be_bytes(take(bytes)?);
            (Value::Double(value), !value.is_nan())
        }
        Kind::Money => (Value::Double(i64::from_be_bytes(take(bytes)?) as f64 / 100.0), false),
        Kind::Byte => match u8::from_be_bytes(take(bytes)?) {
            0 => (Value::Text(String::new()), false),
            byte => (Value::Text(char::from(byte).to_string()), byte.is_ascii()),
        },
        Kind::Text => match std::str::from_utf8(bytes) {
            Ok(text) => (Value::Text(text.to_owned()), true),
            // A database in the encoding SQL_ASCII holds any bytes.
            Err(_) => (Value::Text(String::from_utf8_lossy(bytes).into_owned()), false),
        },
        Kind::Bytes => (Value::Bytes(bytes.to_vec()), true),
        Kind::Date => date(i32::from_be_bytes(take(bytes)?), zone),
        Kind::Time => {
            // Java's class knows no fraction of a second, and no 24:00:00.
            let seconds = i64::from_be_bytes(take(bytes)?) / calendar::MICROS_PER_SECOND;
            (Value::Time(calendar::clock(seconds)), false)
        }
        Kind::TimeWithZone => {
            let micros = i64::from_be_bytes(take(bytes)?);
            let west = i32::from_be_bytes(take(bytes)?);
            // Java says it in the writer's own zone.
            let seconds = micros / calendar::MICROS_PER_SECOND + i64::from(west);
            (Value::Time(calendar::clock(calendar::time_in_1970(seconds, zone))), false)
        }
        Kind::Timestamp => timestamp(i64::from_be_bytes(take(bytes)?), zone),
        Kind::TimestampWithZone => timestamp(i64::from_be_bytes(take(bytes)?), &Zone::utc()),
        Kind::Interval => {
            let micros = i64::from_be_bytes(take(bytes)?);
            let days = i32::from_be_bytes(take(bytes)?);
            let months = i32::from_be_bytes(take(bytes)?);
            // Java counts no more hours than fit into 32 bits.
            let is_all = i32::try_from(micros / interval::MICROS_PER_HOUR).is_ok();
            (Value::PgObject(interval::object(micros, days, months)), is_all)
        }
        Kind::Geometric(class) => (Value::PgObject(geometric::object(class, java_name, bytes)?), true),
        other => return Err(format!("values of the kind {other:?} are not read in binary form")),
    })
}

/// A value from its text.
pub(super) fn from_text(kind: &Kind, java_name: &str, text: &str) -> Value {
    match kind {
        Kind::Numeric => match text {
            "NaN" => Value::Double(f64::NAN),
            "Infinity" => Value::Double(f64::INFINITY),
            "-Infinity" => Value::Double(f64::NEG_INFINITY),
            digits => Value::Decimal(digits.to_owned()),
        },
        Kind::Uuid => Value::Uuid(text.to_owned()),
        Kind::Bit => Value::Boolean(text == "1"),
        Kind::Object => {
            // A cast to text adds the length of the mask where the type itself leaves it out.
            let text = match (java_name, text.contains(':')) {
                ("inet", false) => text.strip_suffix("/32").unwrap_or(text),
                ("inet", true) => text.strip_suffix("/128").unwrap_or(text),
                _ => text,
            };
            Value::PgObject(PgObject::plain(java_name, text))
        }
        _ => Value::Text(text.to_owned()),
    }
}

/// The text that the server reads as this value.
pub(super) fn element_text(kind: &Kind, value: &Value, zone: &Zone) -> Result<String, String> {
    Ok(match (kind, value) {
        (Kind::Bit, Value::Boolean(bit)) => if *bit { "1" } else { "0" }.to_owned(),
        (Kind::Date, Value::Date(millis)) => date_text(*millis, zone)?,
        (Kind::Timestamp, Value::Timestamp(at) | Value::LocalDateTime(at)) => timestamp_text(*at, zone, "")?,
        (Kind::TimestampWithZone, Value::Timestamp(at) | Value::LocalDateTime(at)) => {
            timestamp_text(*at, &Zone::utc(), "+00")?
        }
        (Kind::TimeWithZone, Value::Time(time)) => {
            let offset = calendar::offset_in_1970(zone);
            format!("{time}{}{}", if offset < 0 { '-' } else { '+' }, calendar::clock(offset.abs()))
        }
        (Kind::Array(element), Value::Array(array)) => array::literal(array, element, zone)?,
        (_, Value::Boolean(value)) => value.to_string(),
        (_, Value::Byte(value)) => value.to_string(),
        (_, Value::Short(value)) => value.to_string(),
        (_, Value::Integer(value)) => value.to_string(),
        (_, Value::Long(value)) => value.to_string(),
        (_, Value::Double(value)) => format!("{value:?}"),
        (_, Value::Float(value)) => format!("{value:?}"),
        (_, Value::Decimal(text) | Value::BigInteger(text)) => text.clone(),
        (_, Value::Text(text) | Value::Clob(text) | Value::Time(text) | Value::Uuid(text)) => text.clone(),
        (_, Value::PgObject(PgObject { text: Some(text), .. })) => text.clone(),
        (Kind::Bytes, Value::Bytes(bytes) | Value::Blob(bytes)) => {
            let mut text = String::with_capacity(2 + 2 * bytes.len());
            text.push_str("\\x");
            push_hexadecimal(&mut text, bytes);
            text
        }
        (_, other) => return Err(format!("{other} is no value of its type")),
    })
}

fn date(days: i32, zone: &Zone) -> (Value, bool) {
    let millis = match days {
        i32::MAX => Some(INFINITY),
        i32::MIN => Some(MINUS_INFINITY),
        days => calendar::date_of(days).and_then(|date| zone.date_of(date)),
    };
    match millis {
        Some(millis) => (Value::Date(millis), true),
        // A day that Java's calendar, or the zone, left out. No other day begins with this millisecond.
        None => (Value::Date((i64::from(days) + 10_957) * calendar::SECONDS_PER_DAY * 1000 + 1), false),
    }
}

fn date_text(millis: i64, zone: &Zone) -> Result<String, String> {
    match millis {
        INFINITY => Ok("infinity".to_owned()),
        MINUS_INFINITY => Ok("-infinity".to_owned()),
        millis => {
            let date = zone.civil_of_date(millis).ok_or_else(|| format!("{millis} ms is no day"))?;
            Ok(calendar::date_text(date))
        }
    }
}

fn timestamp(micros: i64, zone: &Zone) -> (Value, bool) {
    let endless = |millis| (Value::Timestamp(Instant { millis, nanos: None }), true);
    match (micros, calendar::civil_of(micros)) {
        (i64::MAX, _) => endless(INFINITY),
        (i64::MIN, _) => endless(MINUS_INFINITY),
        (micros, civil) => match civil.and_then(|civil| zone.timestamp_of(civil)) {
            Some(at) => (Value::Timestamp(at), true),
            // A time that Java's calendar, or the zone, left out. No other one has this nanosecond.
            None => {
                let near = civil.and_then(|civil| zone.timestamp_near(civil));
                let millis = 10_957 * calendar::SECONDS_PER_DAY * 1000 + micros.div_euclid(1000);
                let nanos = micros.rem_euclid(calendar::MICROS_PER_SECOND) as u32 * 1000 + 1;
                let millis = near.map_or(millis, |near| near.millis);
                (Value::Timestamp(Instant { millis, nanos: Some(nanos) }), false)
            }
        },
    }
}

fn timestamp_text(at: Instant, zone: &Zone, suffix: &str) -> Result<String, String> {
    match at.millis {
        INFINITY => Ok("infinity".to_owned()),
        MINUS_INFINITY => Ok("-infinity".to_owned()),
        millis => {
            let civil = zone.civil_of_timestamp(at).ok_or_else(|| format!("{millis} ms is no time"))?;
            Ok(calendar::timestamp_text(civil, suffix))
        }
    }
}
