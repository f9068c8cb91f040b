//! Intervals, as the class of Java's driver says them.

use crate::undo::{PgObject, Value, Zone};

pub(super) const MICROS_PER_HOUR: i64 = 60 * MICROS_PER_MINUTE;
const MICROS_PER_MINUTE: i64 = 60_000_000;

/// The object.
pub(super) fn object(micros: i64, days: i32, months: i32) -> PgObject {
    let (hours, minutes) = (micros / MICROS_PER_HOUR, micros / MICROS_PER_MINUTE % 60);
    let (years, months) = (months / 12, months % 12);
    let of_minute = micros % MICROS_PER_MINUTE;
    let (whole, fraction) = (of_minute / 1_000_000, of_minute % 1_000_000);
    let seconds = Value::Double(whole as f64 + fraction as f64 / 1_000_000.0).java_text(&Zone::utc());
    let text = format!(
        "{years} years {months} mons {days} days {hours} hours {minutes} mins {} secs",
        seconds_text(of_minute)
    );
    let properties = [
        ("years", years.to_string()),
        ("months", months.to_string()),
        ("days", days.to_string()),
        ("hours", hours.to_string()),
        ("minutes", minutes.to_string()),
        ("wholeSeconds", whole.to_string()),
        ("microSeconds", fraction.to_string()),
        ("seconds", seconds),
        ("null", "false".to_owned()),
    ];
    PgObject {
        class: "org.postgresql.util.PGInterval".to_owned(),
        type_name: "interval".to_owned(),
        text: Some(text),
        properties: properties.into_iter().map(|(name, json)| (name.to_owned(), json)).collect(),
    }
}

/// At least one digit behind the point.
fn seconds_text(micros: i64) -> String {
    let fraction = format!("{:06}", micros.abs() % 1_000_000);
    let fraction = match fraction.trim_end_matches('0') {
        "" => "0",
        digits => digits,
    };
    let sign = if micros < 0 { "-" } else { "" };
    format!("{sign}{}.{fraction}", micros.abs() / 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_a_sign_of_its_own() {
        let object = object(-3_723_500_000, 4, -13);
        assert_eq!(object.text.as_deref(), Some("-1 years -1 mons 4 days -1 hours -2 mins -3.5 secs"));
        assert!(object.properties.contains(&("seconds".to_owned(), "-3.5".to_owned())));
    }
}
