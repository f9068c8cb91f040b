//! The values of a configuration: text, as Java has them, read as what a key needs.

use std::{ops::RangeInclusive, time::Duration};

use super::ConfigError;

/// Reads a length of time as Seata's configuration writes it: a whole number with a unit, `500ms`, `30s`,
/// `5m`, `2h`, `1d`, or a bare number of milliseconds.
///
/// # Errors
/// [`ConfigError::Value`] with an empty key, when the text is nothing of the kind or does not fit.
pub fn parse_duration(text: &str) -> Result<Duration, ConfigError> {
    duration("", text)
}

pub(super) fn duration(key: &str, text: &str) -> Result<Duration, ConfigError> {
    let refused = || {
        ConfigError::value(key, text, "a length of time: a number with ms, s, m, h or d, or of milliseconds")
    };
    let trimmed = text.trim();
    let digits = trimmed.find(|c: char| !c.is_ascii_digit()).unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(digits);
    let factor = match unit {
        "" | "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(refused()),
    };
    let number: u64 = number.parse().map_err(|_| refused())?;
    match number.checked_mul(factor) {
        Some(millis) if millis <= LONGEST_MILLIS => Ok(Duration::from_millis(millis)),
        _ => Err(ConfigError::value(key, text, "a length of time of at most 24 days")),
    }
}

/// Java keeps these numbers in 32 bits; longer ones are slips.
const LONGEST_MILLIS: u64 = i32::MAX as u64;

pub(super) fn flag(key: &str, text: &str) -> Result<bool, ConfigError> {
    match text.trim() {
        word if word.eq_ignore_ascii_case("true") => Ok(true),
        word if word.eq_ignore_ascii_case("false") => Ok(false),
        _ => Err(ConfigError::value(key, text, "true or false")),
    }
}

pub(super) fn count(key: &str, text: &str, range: RangeInclusive<u32>) -> Result<u32, ConfigError> {
    match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(ConfigError::value(
            key,
            text,
            format!("a whole number from {} to {}", range.start(), range.end()),
        )),
    }
}

/// One of the words, whatever the case of its letters.
pub(super) fn choice<W: AsRef<str>, T: Copy>(
    key: &str,
    text: &str,
    words: &[(W, T)],
) -> Result<T, ConfigError> {
    let meant = words.iter().find(|(word, _)| word.as_ref().eq_ignore_ascii_case(text.trim()));
    meant.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = words.iter().map(|(word, _)| word.as_ref()).collect();
        ConfigError::value(key, text, format!("one of {}", words.join(", ")))
    })
}

/// Text that says something.
pub(super) fn name(key: &str, text: &str) -> Result<String, ConfigError> {
    match text.trim() {
        "" => Err(ConfigError::value(key, text, "a name; leave the key out for the default")),
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
            assert_eq!(parse_duration(text).expect(text), Duration::from_millis(millis), "{text}");
        }
        for text in ["", "s", "-5s", "5 s", "1.5s", "5sec", "25d", "99999999999999999999s", "५s"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_odd_value_is_quoted_with_its_key_and_what_was_expected() {
        let error = count("a.b", "70000", 1..=100).expect_err("out of range");
        assert_eq!(error.to_string(), "a.b is \"70000\": expected a whole number from 1 to 100");
        let error = choice("a.b", "zzz", &[("x", 1), ("y", 2)]).expect_err("not a choice");
        assert_eq!(error.to_string(), "a.b is \"zzz\": expected one of x, y");
        assert!(flag("a.b", "yes").is_err());
        assert!(flag("a.b", "TRUE").expect("a flag"));
    }
}
