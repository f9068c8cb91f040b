//! How a field of an image, whoever wrote it, gets back into its column.

use super::{
    moment::{Fraction, Moment},
    types::{ColumnType, Kind},
};
use crate::{
    dialect::Argument,
    structure::Column,
    undo::{Civil, Field, Instant, Value, Zone},
};

/// The text of a parameter that takes the value of [`argument`].
pub(super) fn parameter(column: &Column<ColumnType>, field: &Field) -> String {
    match &column.column_type.kind {
        // Compared with a text, numbers are compared as floating-point ones.
        Kind::Decimal { precision, scale } => format!("CAST(? AS DECIMAL({precision},{scale}))"),
        // In whatever time zone the session is.
        Kind::Timestamp if seconds_of(field).is_some() => {
            "FROM_UNIXTIME(CAST(? AS DECIMAL(20,6)))".to_owned()
        }
        Kind::Text(text) => match introduced(field) {
            Some((charset, _)) if charset == text.charset => {
                format!("CONVERT(UNHEX(?) USING {charset}) COLLATE {}", text.collation)
            }
            Some((charset, _)) => format!(
                "CONVERT(CONVERT(UNHEX(?) USING {charset}) USING {}) COLLATE {}",
                text.charset, text.collation
            ),
            None => "?".to_owned(),
        },
        _ => "?".to_owned(),
    }
}

/// The value to bind.
///
/// # Errors
/// Why the column cannot take the field's value.
pub(super) fn argument(column: &Column<ColumnType>, field: &Field, zone: &Zone) -> Result<Argument, String> {
    if field.value == Value::Null && field.exact.is_none() {
        return Ok(Argument::Null);
    }
    let kind = &column.column_type.kind;
    let found = match kind {
        Kind::Boolean | Kind::Integer(_) => whole(field).and_then(number),
        Kind::Bit(_) => bits(field).map(Argument::Unsigned),
        Kind::Decimal { .. } => decimal(field).map(Argument::Text),
        Kind::Float | Kind::Double => real(field).map(Argument::Real),
        Kind::Text(_) => match introduced(field) {
            Some((_, digits)) => Some(Argument::Text(digits.to_owned())),
            None => text(field).map(Argument::Text),
        },
        Kind::Json | Kind::Named => text(field).map(Argument::Text),
        Kind::Bytes | Kind::Geometry => bytes(field).map(Argument::Bytes),
        Kind::Date => moment(field, zone, Moment::date).map(Argument::Text),
        Kind::DateTime => moment(field, zone, Moment::to_string).map(Argument::Text),
        Kind::Timestamp => seconds_of(field).or_else(|| own_text(field)).map(Argument::Text),
        Kind::Time { .. } => time(field, zone).map(Argument::Text),
        Kind::Year => year(field, zone),
        Kind::Unknown(_) => None,
    };
    found.ok_or_else(|| format!("{} does not fit its type {kind:?}", field.value))
}

/// What the database itself would write.
fn own_text(field: &Field) -> Option<String> {
    match (&field.exact, &field.value) {
        (Some(exact), _) => Some(exact.clone()),
        (None, Value::Text(text) | Value::Clob(text)) => Some(text.clone()),
        _ => None,
    }
}

/// The character set and the hexadecimal digits of a text that UTF-8 cannot say: `_sjis 0x5C7E`.
fn introduced(field: &Field) -> Option<(&str, &str)> {
    let (charset, digits) = field.exact.as_deref()?.strip_prefix('_')?.split_once(" 0x")?;
    // Both become part of a statement, or are trusted to be digits in one.
    let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (!charset.is_empty() && is_plain(charset) && is_plain(digits)).then_some((charset, digits))
}

fn number(number: i128) -> Option<Argument> {
    let signed = i64::try_from(number).map(Argument::Integer);
    signed.or_else(|_| u64::try_from(number).map(Argument::Unsigned)).ok()
}

fn whole(field: &Field) -> Option<i128> {
    if let Some(text) = own_text(field) {
        return text.trim().parse().ok();
    }
    match &field.value {
        Value::Boolean(value) => Some((*value).into()),
        Value::Byte(value) => Some((*value).into()),
        Value::Short(value) => Some((*value).into()),
        Value::Integer(value) => Some((*value).into()),
        Value::Long(value) => Some((*value).into()),
        Value::BigInteger(digits) | Value::Decimal(digits) => digits.parse().ok(),
        Value::Double(value) if value.trunc() == *value && value.abs() < 2f64.powi(63) => {
            Some(*value as i128)
        }
        _ => None,
    }
}

/// Bytes stand for bits with the highest first.
fn bits(field: &Field) -> Option<u64> {
    match &field.value {
        Value::Bytes(bytes) | Value::Blob(bytes) if bytes.len() <= 8 => {
            Some(bytes.iter().fold(0, |bits, byte| bits << 8 | u64::from(*byte)))
        }
        _ => whole(field)?.try_into().ok(),
    }
}

fn decimal(field: &Field) -> Option<String> {
    match &field.value {
        Value::Decimal(digits) | Value::BigInteger(digits) => Some(digits.clone()),
        Value::Text(text) => Some(text.clone()),
        Value::Double(value) if value.is_finite() => Some(value.to_string()),
        Value::Float(value) if value.is_finite() => Some(value.to_string()),
        _ => whole(field).map(|number| number.to_string()),
    }
}

fn real(field: &Field) -> Option<f64> {
    match &field.value {
        Value::Float(value) => Some((*value).into()),
        Value::Double(value) => Some(*value),
        Value::Decimal(text) | Value::Text(text) => text.parse().ok(),
        _ => whole(field).map(|number| number as f64),
    }
}

fn text(field: &Field) -> Option<String> {
    match &field.value {
        Value::Text(text) | Value::Clob(text) | Value::Uuid(text) => Some(text.clone()),
        Value::Bytes(bytes) | Value::Blob(bytes) => String::from_utf8(bytes.clone()).ok(),
        _ => None,
    }
}

fn bytes(field: &Field) -> Option<Vec<u8>> {
    match &field.value {
        Value::Bytes(bytes) | Value::Blob(bytes) => Some(bytes.clone()),
        Value::Text(text) | Value::Clob(text) => Some(text.clone().into_bytes()),
        _ => None,
    }
}

fn moment(field: &Field, zone: &Zone, write: impl Fn(&Moment) -> String) -> Option<String> {
    own_text(field).or_else(|| moment_of(field, zone).as_ref().map(write))
}

fn moment_of(field: &Field, zone: &Zone) -> Option<Moment> {
    match &field.value {
        Value::Date(millis) => Moment::from_civil(&Civil::midnight(zone.civil_of_date(*millis)?)),
        Value::LocalDateTime(instant) => Moment::from_civil(&zone.civil_of(*instant)?),
        Value::Timestamp(instant) => Moment::from_civil(&zone.civil_of_timestamp(*instant)?),
        _ => None,
    }
}

fn time(field: &Field, zone: &Zone) -> Option<String> {
    match &field.value {
        Value::Time(text) if field.exact.is_none() => Some(text.clone()),
        _ => moment(field, zone, Moment::time_of_day),
    }
}

fn year(field: &Field, zone: &Zone) -> Option<Argument> {
    match moment_of(field, zone) {
        Some(first) => Some(Argument::Integer(first.year.into())),
        None => whole(field).and_then(number),
    }
}

/// The seconds since 1970, if the field says a moment. What stands in a `TIMESTAMP` column is one, in no time zone.
fn seconds_of(field: &Field) -> Option<String> {
    let instant = match &field.value {
        Value::Timestamp(instant) | Value::LocalDateTime(instant) => *instant,
        Value::Date(millis) => Instant { millis: *millis, nanos: None },
        _ => return None,
    };
    // Earlier ones are none that such a column takes.
    let millis = u64::try_from(instant.millis).ok()?;
    let nanos = instant.nanos.unwrap_or_else(|| (millis % 1000) as u32 * 1_000_000);
    Some(format!("{}{}", millis / 1000, Fraction(nanos / 1000)))
}

#[cfg(test)]
mod tests {
    use super::{super::types::Description, *};

    fn column(name: &str, definition: &str) -> Column<ColumnType> {
        let has_charset = ["char", "text", "enum", "set"].iter().any(|kind| name.contains(kind));
        let charset = has_charset.then_some(("gbk", "gbk_bin"));
        let column_type = ColumnType::parse(&Description { name, definition, charset, extra: "" });
        Column {
            name: "v".to_owned(),
            is_generated: false,
            is_updated_by_database: false,
            is_always_identity: false,
            column_type,
        }
    }

    fn field(value: Value, exact: Option<&str>) -> Field {
        Field { name: "v".to_owned(), is_key: false, jdbc_type: 0, value, exact: exact.map(str::to_owned) }
    }

    fn millis(millis: i64) -> Instant {
        Instant { millis, nanos: None }
    }

    fn text(text: &str) -> Argument {
        Argument::Text(text.to_owned())
    }

    #[test]
    fn what_java_wrote_is_written_back_whichever_driver_it_has() {
        let micros = Instant { millis: 1_709_212_455_123, nanos: Some(123_456_000) };
        for (name, definition, value, argument) in [
            ("tinyint", "tinyint(1)", Value::Boolean(true), Argument::Integer(1)),
            ("tinyint", "tinyint(4)", Value::Integer(-7), Argument::Integer(-7)),
            ("smallint", "smallint(6)", Value::Short(-300), Argument::Integer(-300)),
            ("int", "int(10) unsigned", Value::Long(4_000_000_000), Argument::Integer(4_000_000_000)),
            (
                "bigint",
                "bigint(20) unsigned",
                Value::BigInteger(u64::MAX.to_string()),
                Argument::Unsigned(u64::MAX),
            ),
            ("decimal", "decimal(20,6)", Value::Decimal("12345.678900".into()), text("12345.678900")),
            ("float", "float", Value::Float(0.1), Argument::Real(f64::from(0.1f32))),
            ("double", "double", Value::Double(1e300), Argument::Real(1e300)),
            ("bit", "bit(1)", Value::Boolean(true), Argument::Unsigned(1)),
            ("bit", "bit(9)", Value::Bytes(vec![1, 255]), Argument::Unsigned(511)),
            ("varchar", "varchar(64)", Value::Text("你".into()), text("你")),
            ("text", "text", Value::Clob("你".into()), text("你")),
            ("json", "json", Value::Text("{\"a\": 1}".into()), text("{\"a\": 1}")),
            ("date", "date", Value::Date(1_709_164_800_000), text("2024-02-29")),
            ("time", "time", Value::Time("13:14:15".into()), text("13:14:15")),
            ("datetime", "datetime(6)", Value::LocalDateTime(micros), text("2024-02-29 13:14:15.123456")),
            ("datetime", "datetime(6)", Value::Timestamp(micros), text("2024-02-29 13:14:15.123456")),
            ("timestamp", "timestamp(6)", Value::Timestamp(micros), text("1709212455.123456")),
            ("timestamp", "timestamp", Value::Timestamp(millis(1_001)), text("1.001")),
            ("year", "year(4)", Value::Date(1_704_067_200_000), Argument::Integer(2024)),
            ("blob", "blob", Value::Blob(vec![0xca, 0xfe]), Argument::Bytes(vec![0xca, 0xfe])),
            ("point", "point", Value::Bytes(vec![0, 0]), Argument::Bytes(vec![0, 0])),
            ("date", "date", Value::Null, Argument::Null),
        ] {
            let column = column(name, definition);
            let written = super::argument(&column, &field(value, None), &Zone::utc());
            assert_eq!(written, Ok(argument), "{definition}");
        }
    }

    #[test]
    fn an_exact_text_goes_before_the_value() {
        for (name, definition, value, exact, argument) in [
            ("tinyint", "tinyint(1)", Value::Boolean(true), "7", Argument::Integer(7)),
            ("time", "time(3)", Value::Time("13:14:15".into()), "13:14:15.123", text("13:14:15.123")),
            ("varchar", "varchar(9)", Value::Text("\\".into()), "_gbk 0x5C7E", text("5C7E")),
        ] {
            let column = column(name, definition);
            let written = super::argument(&column, &field(value, Some(exact)), &Zone::utc());
            assert_eq!(written, Ok(argument), "{definition}");
        }
    }

    #[test]
    fn what_no_java_class_can_say_is_the_text_of_the_database() {
        for (name, zero) in [
            ("date", "0000-00-00"),
            ("datetime", "2024-02-31 00:00:00"),
            ("timestamp", "0000-00-00 00:00:00"),
            ("time", "-100:00:00"),
        ] {
            let (column, field) = (column(name, name), field(Value::Text(zero.to_owned()), None));
            assert_eq!(super::argument(&column, &field, &Zone::utc()), Ok(text(zero)));
            assert_eq!(parameter(&column, &field), "?");
        }
    }

    #[test]
    fn bytes_of_a_character_set_are_taken_for_what_they_are() {
        let column = column("varchar", "varchar(9)");
        let with = |exact| parameter(&column, &field(Value::Text(String::new()), Some(exact)));
        assert_eq!(with("_gbk 0x5C7E"), "CONVERT(UNHEX(?) USING gbk) COLLATE gbk_bin");
        assert_eq!(
            with("_utf8mb4 0xEDA0BD"),
            "CONVERT(CONVERT(UNHEX(?) USING utf8mb4) USING gbk) COLLATE gbk_bin"
        );
        // A log may hold anything.
        assert_eq!(with("_gbk) OR SLEEP(9 0x00"), "?");
    }

    #[test]
    fn a_value_that_does_not_fit_is_told() {
        for (name, value) in [
            ("int", Value::Text("x".into())),
            ("blob", Value::Long(1)),
            ("bit", Value::Long(-1)),
            ("timestamp", Value::Timestamp(millis(-1))),
        ] {
            let refused = super::argument(&column(name, name), &field(value, None), &Zone::utc());
            assert!(refused.unwrap_err().contains("does not fit"), "{name}");
        }
    }
}
