//! Intervals, as the class of Java's driver says them.

use crate::undo::{PgObject, Value, Zone};

const MICROS_PER_MINUTE: i64 = 60_000_000;

/// The object, and whether it says everything: Java counts no more hours than fit into 32 bits.
pub(super) fn object(micros: i64, days: i32, months: i32) -> (PgObject, bool) {
    let minutes = micros / MICROS_PER_MINUTE;
    let hours = i32::try_from(minutes / 60);
    let is_all = hours.is_ok();
    let hours = hours.unwrap_or(if micros < 0 { i32::MIN } else { i32::MAX });
    let (years, months, minutes) = (months / 12, months % 12, minutes % 60);
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
    let object = PgObject {
        class: "org.postgresql.util.PGInterval".to_owned(),
        type_name: "interval".to_owned(),
        text: Some(text),
        properties: properties.into_iter().map(|(name, json)| (name.to_owned(), json)).collect(),
    };
    (object, is_all)
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
        let (object, is_all) = object(-3_723_500_000, 4, -13);
        assert!(is_all);
        assert_eq!(object.text.as_deref(), Some("-1 years -1 mons 4 days -1 hours -2 mins -3.5 secs"));
        assert!(object.properties.contains(&("seconds".to_owned(), "-3.5".to_owned())));
    }

    #[test]
    fn more_hours_than_java_counts_are_told() {
        assert!(!object(i64::MAX, 0, 0).1);
    }
}
