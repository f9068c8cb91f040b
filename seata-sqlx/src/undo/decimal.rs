//! Decimal numbers as Java's `BigDecimal` has them: digits and a scale.

use std::fmt;

/// `digits` × 10^-`scale`. The scale counts: 1.5 and 1.50 are two numbers, as they are to Java.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Decimal {
    is_negative: bool,
    /// Without leading zeros, but for zero itself.
    digits: String,
    scale: i64,
}

impl Decimal {
    /// Reads digits with a point and an exponent, each of them optional; `None` if it is something else.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (is_negative, magnitude) = match text.strip_prefix('-') {
            Some(magnitude) => (true, magnitude),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match magnitude.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (magnitude, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let digits = match all.trim_start_matches('0') {
            "" => "0",
            digits => digits,
        };
        Some(Self {
            is_negative: is_negative && digits != "0",
            digits: digits.to_owned(),
            scale: i64::try_from(fraction.len()).ok()? - i64::from(exponent),
        })
    }
}

/// As `BigDecimal.toString` writes it: with an exponent if the scale is negative, or the first digit stands more than six
/// places behind the point.
impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { digits, scale, .. } = self;
        let exponent = digits.len() as i64 - 1 - scale;
        if self.is_negative {
            f.write_str("-")?;
        }
        if *scale >= 0 && exponent >= -6 {
            let places = *scale as usize;
            let padded = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            return if fraction.is_empty() { f.write_str(whole) } else { write!(f, "{whole}.{fraction}") };
        }
        let (first, rest) = digits.split_at(1);
        f.write_str(first)?;
        if !rest.is_empty() {
            write!(f, ".{rest}")?;
        }
        if exponent != 0 { write!(f, "E{exponent:+}") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_written_as_java_writes_them() {
        for (text, written) in [
            ("10.50", "10.50"),
            ("-0.000001", "-0.000001"),
            ("0.0000001", "1E-7"),
            ("-0.00000012", "-1.2E-7"),
            ("0.0000000000", "0E-10"),
            ("0.000000", "0.000000"),
            ("1E+3", "1E+3"),
            ("12E2", "1.2E+3"),
            ("123456789012345678901234567890.5", "123456789012345678901234567890.5"),
            ("007", "7"),
            ("-0.0", "0.0"),
            ("+5", "5"),
            (".5", "0.5"),
        ] {
            assert_eq!(Decimal::parse(text).unwrap().to_string(), written);
        }
        for text in ["", "-", ".", "1.2.3", "NaN", "1E", "1E99999999999", "0x1", "١"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }
}
