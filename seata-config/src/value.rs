//! The values of a configuration: text, as Java has them, read as what a key needs.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr, time::Duration};

/// A text is not what its key takes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?}: expected {expected}")]
pub struct ValueError {
    /// The text.
    pub value: String,
    /// What would do.
    pub expected: String,
}

impl ValueError {
    /// This text where `expected` was expected.
    pub fn new(value: impl Into<String>, expected: impl Into<String>) -> Self {
        Self { value: value.into(), expected: expected.into() }
    }
}

/// Reads a length of time as Seata's configuration writes it: a whole number with a unit, `500ms`, `30s`,
/// `5m`, `2h`, `1d`, or a bare number of milliseconds. At most 24 days, as Java keeps these numbers in 32 bits;
/// longer ones are slips.
///
/// # Errors
/// [`ValueError`] when the text is nothing of the kind or too long.
pub fn duration(text: &str) -> Result<Duration, ValueError> {
    duration_in(text, 1, "milliseconds")
}

/// The same with a bare number of seconds.
///
/// # Errors
/// As [`duration`].
pub fn duration_in_seconds(text: &str) -> Result<Duration, ValueError> {
    duration_in(text, 1_000, "seconds")
}

fn duration_in(text: &str, bare: u64, unit_of_bare: &str) -> Result<Duration, ValueError> {
    let expected = || format!("a length of time: a number with ms, s, m, h or d, or of {unit_of_bare}");
    let refused = || ValueError::new(text, expected());
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor = match unit {
        "" => bare,
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(refused()),
    };
    let number: u64 = number.parse().map_err(|_| refused())?;
    match number.checked_mul(factor) {
        Some(millis) if millis <= LONGEST_MILLIS => Ok(Duration::from_millis(millis)),
        _ => Err(ValueError::new(text, "a length of time of at most 24 days")),
    }
}

const LONGEST_MILLIS: u64 = i32::MAX as u64;

/// Reads `true` or `false`, whatever the case of its letters.
///
/// # Errors
/// [`ValueError`] for anything else.
pub fn flag(text: &str) -> Result<bool, ValueError> {
    match text.trim() {
        word if word.eq_ignore_ascii_case("true") => Ok(true),
        word if word.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(ValueError::new(text, "true or false")),
    }
}

/// Reads a whole number of this range.
///
/// # Errors
/// [`ValueError`] names the range.
pub fn number<T>(text: &str, range: RangeInclusive<T>) -> Result<T, ValueError>
where
    T: FromStr + PartialOrd + Display,
{
    match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(ValueError::new(text, format!("a whole number from {} to {}", range.start(), range.end()))),
    }
}

/// Reads a number of bytes of this range: `65536`, `64KiB`, `256MiB`, `1GiB`.
///
/// # Errors
/// [`ValueError`] names the range.
pub fn bytes(text: &str, range: RangeInclusive<usize>) -> Result<usize, ValueError> {
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor = match unit {
        "" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        _ => None,
    };
    let number =
        number.parse::<usize>().ok().zip(factor).and_then(|(number, factor)| number.checked_mul(factor));
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        let (start, end) = (range.start(), range.end());
        ValueError::new(text, format!("a number of bytes from {start} to {end}, or with KiB, MiB or GiB"))
    })
}

/// Reads one of the words, whatever the case of its letters.
///
/// # Errors
/// [`ValueError`] lists the words.
pub fn choice<W: AsRef<str>, T: Copy>(text: &str, words: &[(W, T)]) -> Result<T, ValueError> {
    let meant = words.iter().find(|(word, _)| word.as_ref().eq_ignore_ascii_case(text.trim()));
    meant.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| word.as_ref()).collect();
        ValueError::new(text, format!("one of {}", words.join(", ")))
    })
}

/// Reads text that says something.
///
/// # Errors
/// [`ValueError`] for a blank text.
pub fn name(text: &str) -> Result<String, ValueError> {
    match text.trim() {
        "" => Err(ValueError::new(text, "a name; leave the key out for the default")),
        name => Ok(name.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_java_reads_them() {
        for (text, millis) in [
            ("0", 0),
            ("250", 250),
            ("250ms", 250),
            ("5s", 5_000),
            ("2m", 120_000),
            ("1h", 3_600_000),
            (" 1d ", 86_400_000),
        ] {
            assert_eq!(duration(text).expect(text), Duration::from_millis(millis), "{text}");
        }
        assert_eq!(duration_in_seconds("13"), Ok(Duration::from_secs(13)));
        assert_eq!(duration_in_seconds("13ms"), Ok(Duration::from_millis(13)));
        for text in ["", "s", "-5s", "5 s", "1.5s", "5sec", "25d", "99999999999999999999s", "५s"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_odd_value_is_quoted_with_what_was_expected() {
        let error = number("70000", 1..=100).expect_err("out of range");
        assert_eq!(error.to_string(), "\"70000\": expected a whole number from 1 to 100");
        let error = choice("zzz", &[("x", 1), ("y", 2)]).expect_err("not a choice");
        assert_eq!(error.to_string(), "\"zzz\": expected one of x, y");
        assert!(flag("yes").is_err());
        assert_eq!(flag(" TRUE"), Ok(true));
        assert!(name("  ").is_err());
        assert_eq!((bytes("64KiB", 0..=65_536), bytes("7", 0..=9)), (Ok(65_536), Ok(7)));
        for text in ["", "KiB", "1kb", "1 KiB", "99999999999999999999", "18446744073709551615GiB"] {
            assert!(bytes(text, 0..=usize::MAX).is_err(), "{text}");
        }
    }
}
