//! What Java's `String.valueOf` makes of a value: row locks are made of it.

use super::{Instant, Value, decimal::Decimal, zone::Zone};

impl Value {
    /// The text of the value in a row lock, as a Java resource manager in this zone writes it.
    ///
    /// An object whose text Java makes of its address, which differs from one process to the next, has the text of
    /// its content here.
    pub fn java_text(&self, zone: &Zone) -> String {
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(value) => value.to_string(),
            Self::Byte(value) => value.to_string(),
            Self::Short(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Long(value) => value.to_string(),
            Self::Double(value) => double_text(*value),
            Self::Float(value) => float_text(*value),
            Self::Decimal(digits) | Self::BigInteger(digits) => {
                Decimal::parse(digits).map_or_else(|| digits.clone(), |number| number.to_string())
            }
            Self::Text(text) | Self::Clob(text) | Self::Time(text) => text.clone(),
            Self::Uuid(text) => text.to_ascii_lowercase(),
            Self::Bytes(bytes) | Self::Blob(bytes) => bytes_text(bytes),
            Self::Date(millis) => date_text(*millis, zone),
            Self::Timestamp(at) => timestamp_text(*at, zone),
            Self::LocalDateTime(at) => local_date_time_text(*at, zone),
            Self::PgObject(object) => object.text.clone().unwrap_or_else(|| "null".to_owned()),
            Self::Array(array) => {
                let elements: Vec<String> = array.elements.iter().map(|item| item.java_text(zone)).collect();
                format!("[{}]", elements.join(", "))
            }
            Self::Other(json) => json.clone(),
        }
    }
}

/// `Arrays.toString` of Java's signed bytes.
fn bytes_text(bytes: &[u8]) -> String {
    let bytes: Vec<String> = bytes.iter().map(|byte| byte.cast_signed().to_string()).collect();
    format!("[{}]", bytes.join(", "))
}

fn date_text(millis: i64, zone: &Zone) -> String {
    match zone.civil_of_date(millis) {
        // Java has room for four digits here, and shows the last four.
        Some(date) => format!("{:04}-{:02}-{:02}", year_of_era(date.year) % 10_000, date.month, date.day),
        None => millis.to_string(),
    }
}

/// The older classes do not tell years before Christ from those after.
fn year_of_era(year: i32) -> i32 {
    if year > 0 { year } else { 1 - year }
}

fn timestamp_text(at: Instant, zone: &Zone) -> String {
    let Some(civil) = zone.civil_of_timestamp(at) else { return at.millis.to_string() };
    let fraction = format!("{:09}", civil.nanos);
    let fraction = match fraction.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}.{fraction}",
        year_of_era(civil.year),
        civil.month,
        civil.day,
        civil.hour,
        civil.minute,
        civil.second
    )
}

fn local_date_time_text(at: Instant, zone: &Zone) -> String {
    let Some(civil) = zone.civil_of(at) else { return at.millis.to_string() };
    let year = match civil.year {
        year @ 0..=9999 => format!("{year:04}"),
        year => format!("{year:+05}"),
    };
    let seconds = match (civil.second, civil.nanos) {
        (0, 0) => String::new(),
        (second, 0) => format!(":{second:02}"),
        (second, nanos) if nanos % 1_000_000 == 0 => format!(":{second:02}.{:03}", nanos / 1_000_000),
        (second, nanos) if nanos % 1_000 == 0 => format!(":{second:02}.{:06}", nanos / 1_000),
        (second, nanos) => format!(":{second:02}.{nanos:09}"),
    };
    let (month, day, hour, minute) = (civil.month, civil.day, civil.hour, civil.minute);
    format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}{seconds}")
}

/// `Double.toString`, by the rules that Java has kept to since version 19.
pub(super) fn double_text(value: f64) -> String {
    if !value.is_finite() {
        return non_finite(value);
    }
    let shortest = format!("{value:e}");
    floating_text(closest(shortest, format!("{value:.1e}"), |text| text.parse() == Ok(value)))
}

/// `Float.toString`.
pub(super) fn float_text(value: f32) -> String {
    if !value.is_finite() {
        return non_finite(value.into());
    }
    let shortest = format!("{value:e}");
    floating_text(closest(shortest, format!("{value:.1e}"), |text| text.parse() == Ok(value)))
}

/// Java writes two digits at least, and of all numbers with two digits the closest.
fn closest(shortest: String, two_digits: String, is_value: impl Fn(&str) -> bool) -> String {
    let has_one_digit = !shortest.contains('.');
    if has_one_digit && is_value(&two_digits) { two_digits } else { shortest }
}

/// The digits of Rust's `d.ddde±x`, with a point where Java sets it.
fn floating_text(scientific: String) -> String {
    let (mantissa, exponent) = scientific.split_once('e').expect("`{:e}` always writes an exponent");
    let exponent: i32 = exponent.parse().expect("`{:e}` writes a decimal exponent");
    let (sign, mantissa) = match mantissa.strip_prefix('-') {
        Some(mantissa) => ("-", mantissa),
        None => ("", mantissa),
    };
    let digits = mantissa.replace('.', "");
    let digits = match digits.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
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

fn non_finite(value: f64) -> String {
    let text = match value {
        f64::INFINITY => "Infinity",
        f64::NEG_INFINITY => "-Infinity",
        _ => "NaN",
    };
    text.to_owned()
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
            (0.002, "0.002"),
            (0.0001, "1.0E-4"),
            (1234567.0, "1234567.0"),
            (1.0e7, "1.0E7"),
            (1.25e-10, "1.25E-10"),
            (f64::MAX, "1.7976931348623157E308"),
            (5e-324, "4.9E-324"),
            (2.2250738585072014E-308, "2.2250738585072014E-308"),
            (100.0, "100.0"),
            (f64::NEG_INFINITY, "-Infinity"),
        ] {
            assert_eq!(double_text(value), text);
        }
        for (value, text) in [
            (0.1, "0.1"),
            (1e10, "1.0E10"),
            (f32::MAX, "3.4028235E38"),
            (1e-45, "1.4E-45"),
            (2e-44, "2.0E-44"),
            (f32::NAN, "NaN"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }

    #[test]
    fn a_value_reads_in_a_row_lock_as_javas_string_has_it() {
        let at = |millis, nanos| Instant { millis, nanos };
        let zone = Zone::named("Asia/Shanghai").unwrap();
        for (value, text) in [
            (Value::Null, "null"),
            (Value::Boolean(true), "true"),
            (Value::Byte(-1), "-1"),
            (Value::Long(i64::MIN), "-9223372036854775808"),
            (Value::Decimal("0.0000001".into()), "1E-7"),
            (Value::BigInteger("18446744073709551615".into()), "18446744073709551615"),
            (Value::Double(1e7), "1.0E7"),
            (Value::Bytes(vec![1, 255]), "[1, -1]"),
            (Value::Uuid("ABCD".into()), "abcd"),
            (Value::Time("13:14:15".into()), "13:14:15"),
            (Value::Date(1_704_038_400_000), "2024-01-01"),
            (Value::Timestamp(at(1_704_038_400_000, None)), "2024-01-01 00:00:00.0"),
            (Value::Timestamp(at(1_704_038_400_120, None)), "2024-01-01 00:00:00.12"),
            (Value::Timestamp(at(1_704_038_400_120, Some(120_000_001))), "2024-01-01 00:00:00.120000001"),
            (Value::LocalDateTime(at(1_704_038_400_000, None)), "2024-01-01T00:00"),
            (Value::LocalDateTime(at(1_704_038_401_000, None)), "2024-01-01T00:00:01"),
            (Value::LocalDateTime(at(1_704_038_400_120, None)), "2024-01-01T00:00:00.120"),
            (Value::LocalDateTime(at(1_704_038_400_120, Some(120_456_000))), "2024-01-01T00:00:00.120456"),
        ] {
            assert_eq!(value.java_text(&zone), text);
        }
    }
}
