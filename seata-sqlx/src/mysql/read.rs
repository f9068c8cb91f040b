//! What an image query asks of a column, and what the answer says.

use sqlx::{Column as _, Decode, Error, MySql, Row as _, TypeInfo as _, mysql::MySqlRow};

use super::{
    moment::{Moment, Span},
    quote,
    types::{ColumnType, Integer, Kind, Text},
};
use crate::{
    dialect::Argument,
    structure::Column,
    undo::{Field, Instant, Value, Zone},
};

/// The expression that tells the column's value whole.
pub(super) fn selected(column: &Column<ColumnType>, qualifier: Option<&str>) -> String {
    let name = match qualifier {
        Some(qualifier) => format!("{qualifier}.{}", quote(&column.name)),
        None => quote(&column.name),
    };
    match &column.column_type.kind {
        // The column itself would come in the time zone of the session, in which an hour may come twice.
        Kind::Timestamp => format!("CAST(UNIX_TIMESTAMP({name}) AS CHAR)"),
        Kind::Text(text) if !text.is_unicode() => transcoded(&name),
        _ => name,
    }
}

/// The bytes in hexadecimal digits, a colon, and the text in UTF-8, in which two of its character set may be one.
fn transcoded(name: &str) -> String {
    format!(
        "CAST(COALESCE(CONCAT(HEX({name}), ':', CONVERT({name} USING utf8mb4)), IF({name} IS NULL, NULL, '{TOO_LONG}')) \
         AS BINARY)"
    )
}

/// Stands where the text was too long for the server's own functions, which then say NULL.
const TOO_LONG: &str = "!";

/// The column of an image, from what a query for [`selected`] gave.
pub(super) fn field(
    row: &MySqlRow,
    index: usize,
    column: &Column<ColumnType>,
    is_key: bool,
    zone: &Zone,
) -> Result<Field, Error> {
    let raw = row.try_get_raw(index)?;
    let wire = row.column(index).type_info().name();
    // The only error is NULL. The value itself would say so of a zero date as well.
    let read = match <&[u8] as Decode<MySql>>::decode(raw) {
        Err(_) => Ok((Value::Null, None)),
        Ok(bytes) => read(&column.column_type.kind, wire, bytes, zone),
    };
    let (value, exact) =
        read.map_err(|reason| Error::ColumnDecode { index: column.name.clone(), source: reason.into() })?;
    let (name, jdbc_type) = (column.name.clone(), column.column_type.jdbc_type);
    Ok(Field { name, is_key, jdbc_type, value, exact })
}

type Read = (Value, Option<String>);

/// `wire` is the type that the server sent.
fn read(kind: &Kind, wire: &str, bytes: &[u8], zone: &Zone) -> Result<Read, String> {
    let misfit =
        || format!("the server sent {} bytes of type {wire} where {kind:?} was expected", bytes.len());
    let plain = |value: Value| Ok((value, None));
    match kind {
        Kind::Boolean => {
            let number = integer(wire, bytes).ok_or_else(misfit)?;
            // As Java's driver sees it.
            Ok((Value::Boolean(number == -1 || number > 0), Some(number.to_string())))
        }
        Kind::Integer(class) => {
            let number = integer(wire, bytes).ok_or_else(misfit)?;
            match class {
                Integer::Int => plain(Value::Integer(number.try_into().map_err(|_| misfit())?)),
                Integer::Long => plain(Value::Long(number.try_into().map_err(|_| misfit())?)),
                Integer::Big => plain(Value::BigInteger(number.to_string())),
            }
        }
        Kind::Decimal { .. } if wire == "DECIMAL" => plain(Value::Decimal(utf8(bytes)?)),
        Kind::Float if wire.starts_with("FLOAT") => {
            plain(Value::Float(f32::from_le_bytes(bytes.try_into().map_err(|_| misfit())?)))
        }
        Kind::Double if wire.starts_with("DOUBLE") => {
            plain(Value::Double(f64::from_le_bytes(bytes.try_into().map_err(|_| misfit())?)))
        }
        Kind::Bit(bits) if wire == "BIT" && fits(bytes, *bits) => plain(match bits {
            1 => Value::Boolean(bytes.iter().any(|byte| *byte != 0)),
            _ => Value::Bytes(bytes.to_vec()),
        }),
        Kind::Text(text) if is_characters(wire) => read_text(text, bytes),
        Kind::Json if wire == "JSON" || is_characters(wire) => plain(Value::Text(utf8(bytes)?)),
        Kind::Named if is_characters(wire) => plain(Value::Text(utf8(bytes)?)),
        Kind::Bytes if is_characters(wire) => plain(Value::Bytes(bytes.to_vec())),
        Kind::Geometry if wire == "GEOMETRY" => plain(Value::Bytes(bytes.to_vec())),
        Kind::Date if wire == "DATE" => {
            let date = Moment::from_binary(bytes).ok_or_else(misfit)?;
            let millis = date.civil_date().and_then(|date| zone.date_of(date));
            plain(millis.map_or_else(|| Value::Text(date.date()), Value::Date))
        }
        Kind::DateTime if wire == "DATETIME" => {
            let moment = Moment::from_binary(bytes).ok_or_else(misfit)?;
            let instant = moment.civil().and_then(|civil| zone.instant_of(civil));
            plain(instant.map_or_else(|| Value::Text(moment.to_string()), Value::LocalDateTime))
        }
        Kind::Timestamp if is_characters(wire) => {
            let instant = seconds(&utf8(bytes)?).ok_or_else(misfit)?;
            plain(instant.map_or_else(|| Value::Text(Moment::default().to_string()), Value::Timestamp))
        }
        Kind::Time { has_fraction } if wire == "TIME" => {
            let time = Span::from_binary(bytes).ok_or_else(misfit)?;
            if !time.is_time_of_day() {
                return plain(Value::Text(time.to_string()));
            }
            Ok((Value::Time(time.whole_seconds()), has_fraction.then(|| time.to_string())))
        }
        Kind::Year if wire == "YEAR" => {
            let year = integer(wire, bytes).and_then(|year| year.try_into().ok()).ok_or_else(misfit)?;
            let first = Moment { year, month: 1, day: 1, ..Moment::default() };
            let millis = first.civil_date().and_then(|first| zone.date_of(first));
            plain(millis.map_or_else(|| Value::Text(format!("{year:04}")), Value::Date))
        }
        Kind::Unknown(name) => {
            Err(format!("values of type {name} cannot be logged and written back exactly"))
        }
        _ => Err(misfit()),
    }
}

/// Whether a column of so many bits may hold these, the highest first.
fn fits(bytes: &[u8], bits: u8) -> bool {
    let highest = bytes.iter().position(|byte| *byte != 0);
    let length = highest.map_or(0, |place| 8 * (bytes.len() - place) - bytes[place].leading_zeros() as usize);
    bytes.len() == usize::from(bits).div_ceil(8) && length <= usize::from(bits)
}

/// A value in a column whose type is not looked up.
pub(super) fn computed(wire: &str, bytes: &[u8]) -> Result<Argument, String> {
    if let Some(number) = integer(wire, bytes) {
        let signed = i64::try_from(number).map(Argument::Integer);
        return signed
            .or_else(|_| u64::try_from(number).map(Argument::Unsigned))
            .map_err(|_| wire.to_owned());
    }
    match wire {
        "BLOB" | "TINYBLOB" | "MEDIUMBLOB" | "LONGBLOB" | "BINARY" | "VARBINARY" => {
            Ok(Argument::Bytes(bytes.to_vec()))
        }
        _ if is_characters(wire) || wire == "DECIMAL" => utf8(bytes).map(Argument::Text),
        _ => Err(format!("a value of type {wire} was not expected")),
    }
}

/// The types of the protocol that stand for texts and for bytes.
fn is_characters(wire: &str) -> bool {
    const NAMES: [&str; 6] = ["CHAR", "BINARY", "TEXT", "BLOB", "ENUM", "SET"];
    NAMES.iter().any(|name| wire.ends_with(name))
}

fn integer(wire: &str, bytes: &[u8]) -> Option<i128> {
    let is_unsigned = wire.ends_with("UNSIGNED") || wire == "YEAR";
    let is_integer = wire.contains("INT") || matches!(wire, "BOOLEAN" | "YEAR");
    if !is_integer || !matches!(bytes.len(), 1 | 2 | 4 | 8) {
        return None;
    }
    let mut wide = [0; 16];
    wide[..bytes.len()].copy_from_slice(bytes);
    let unsigned = i128::from_le_bytes(wide);
    let bits = 8 * bytes.len();
    let is_negative = !is_unsigned && unsigned >> (bits - 1) == 1;
    Some(if is_negative { unsigned - (1 << bits) } else { unsigned })
}

fn read_text(text: &Text, bytes: &[u8]) -> Result<Read, String> {
    let (value, exact) = if text.is_unicode() { read_utf8(bytes) } else { read_transcoded(text, bytes)? };
    let value = match text.is_padded {
        // They are there only where the session wants them.
        true => value.trim_end_matches(' ').to_owned(),
        false => value,
    };
    Ok((Value::Text(value), exact))
}

fn read_utf8(bytes: &[u8]) -> (String, Option<String>) {
    match std::str::from_utf8(bytes) {
        Ok(text) => (text.to_owned(), None),
        // The server takes half a surrogate pair for a character.
        Err(_) => {
            (String::from_utf8_lossy(bytes).into_owned(), Some(format!("_utf8mb4 0x{}", hexadecimal(bytes))))
        }
    }
}

fn read_transcoded(text: &Text, bytes: &[u8]) -> Result<(String, Option<String>), String> {
    if bytes == TOO_LONG.as_bytes() {
        return Err("the text is too long for the server's max_allowed_packet".to_owned());
    }
    let colon = bytes.iter().position(|byte| *byte == b':').ok_or("the server sent no text")?;
    let exact = format!("_{} 0x{}", text.charset, utf8(&bytes[..colon])?);
    Ok((String::from_utf8_lossy(&bytes[colon + 1..]).into_owned(), Some(exact)))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

fn utf8(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "the server sent a text that is not UTF-8".to_owned())
}

/// The answer of `UNIX_TIMESTAMP`, in which zero means the zero date. The outer `None`: it is no such answer.
fn seconds(text: &str) -> Option<Option<Instant>> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = seconds.parse().ok()?;
    let micros: u32 = format!("{fraction:0<6}").parse().ok()?;
    if seconds == 0 && micros == 0 {
        return Some(None);
    }
    let nanos = (!micros.is_multiple_of(1000)).then_some(micros * 1000);
    let millis = seconds.checked_mul(1000)?.checked_add((micros / 1000).into())?;
    Some(Some(Instant { millis, nanos }))
}
