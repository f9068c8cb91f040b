//! Dates and times as MySQL has them: any part of a date may be zero, and a time may be negative or take days.

use std::fmt;

use crate::undo::{Civil, CivilDate};

/// A date, or a date and the time of the day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) year: u16,
    pub(super) month: u8,
    pub(super) day: u8,
    pub(super) hour: u8,
    pub(super) minute: u8,
    pub(super) second: u8,
    pub(super) micros: u32,
}

impl Moment {
    /// From the binary protocol: its length, and as many parts as are not zero.
    pub(super) fn from_binary(bytes: &[u8]) -> Option<Self> {
        let (&length, parts) = bytes.split_first()?;
        if usize::from(length) != parts.len() || !matches!(length, 0 | 4 | 7 | 11) {
            return None;
        }
        let part = |index: usize| parts.get(index).copied().unwrap_or_default();
        Some(Self {
            year: u16::from_le_bytes([part(0), part(1)]),
            month: part(2),
            day: part(3),
            hour: part(4),
            minute: part(5),
            second: part(6),
            micros: u32::from_le_bytes([part(7), part(8), part(9), part(10)]),
        })
    }

    /// Its day in the calendar, if there can be such a day.
    pub(super) fn civil_date(&self) -> Option<CivilDate> {
        let is_possible = self.year > 0 && self.month > 0 && self.day > 0;
        is_possible.then(|| CivilDate { year: self.year.into(), month: self.month, day: self.day })
    }

    /// The same in the calendar, if there can be such a day.
    pub(super) fn civil(&self) -> Option<Civil> {
        let midnight = Civil::midnight(self.civil_date()?);
        let (hour, minute, second) = (self.hour, self.minute, self.second);
        Some(Civil { hour, minute, second, nanos: self.micros.checked_mul(1000)?, ..midnight })
    }

    /// Finer parts than a microsecond are none that MySQL has.
    pub(super) fn from_civil(civil: &Civil) -> Option<Self> {
        Some(Self {
            year: civil.year.try_into().ok()?,
            month: civil.month,
            day: civil.day,
            hour: civil.hour,
            minute: civil.minute,
            second: civil.second,
            micros: civil.nanos / 1000,
        })
    }

    /// `2024-02-29`
    pub(super) fn date(&self) -> String {
        format!("{:04}-{:02}-{:02}", self.year, self.month, self.day)
    }

    /// `13:14:15.123`
    pub(super) fn time_of_day(&self) -> String {
        let fraction = Fraction(self.micros);
        format!("{:02}:{:02}:{:02}{fraction}", self.hour, self.minute, self.second)
    }
}

/// `2024-02-29 13:14:15.123`
impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.date(), self.time_of_day())
    }
}

/// What a `TIME` column holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) is_negative: bool,
    pub(super) hours: u32,
    pub(super) minutes: u8,
    pub(super) seconds: u8,
    pub(super) micros: u32,
}

impl Span {
    /// From the binary protocol.
    pub(super) fn from_binary(bytes: &[u8]) -> Option<Self> {
        let (&length, parts) = bytes.split_first()?;
        if usize::from(length) != parts.len() || !matches!(length, 0 | 8 | 12) {
            return None;
        }
        let part = |index: usize| parts.get(index).copied().unwrap_or_default();
        let days = u32::from_le_bytes([part(1), part(2), part(3), part(4)]);
        Some(Self {
            is_negative: part(0) != 0,
            hours: days.checked_mul(24)?.checked_add(part(5).into())?,
            minutes: part(6),
            seconds: part(7),
            micros: u32::from_le_bytes([part(8), part(9), part(10), part(11)]),
        })
    }

    /// Whether it is a time of a day, which is all that Java's class holds.
    pub(super) fn is_time_of_day(&self) -> bool {
        !self.is_negative && self.hours < 24
    }

    /// `13:14:15`
    pub(super) fn whole_seconds(&self) -> String {
        let sign = if self.is_negative { "-" } else { "" };
        format!("{sign}{:02}:{:02}:{:02}", self.hours, self.minutes, self.seconds)
    }
}

/// `-100:00:00.5`
impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.whole_seconds(), Fraction(self.micros))
    }
}

/// A fraction of a second, without the zeros at its end; nothing, if it is none.
pub(super) struct Fraction(pub(super) u32);

impl fmt::Display for Fraction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == 0 {
            return Ok(());
        }
        let digits = format!("{:06}", self.0);
        write!(f, ".{}", digits.trim_end_matches('0'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_come_from_the_binary_protocol_in_as_many_parts_as_they_need() {
        for (bytes, text) in [
            (&[0][..], "0000-00-00 00:00:00"),
            (&[4, 232, 7, 2, 31], "2024-02-31 00:00:00"),
            (&[7, 178, 7, 1, 1, 0, 0, 1], "1970-01-01 00:00:01"),
            (&[11, 246, 7, 1, 19, 3, 14, 7, 88, 62, 15, 0], "2038-01-19 03:14:07.999"),
        ] {
            assert_eq!(Moment::from_binary(bytes).unwrap().to_string(), text);
        }
        assert_eq!(Moment::from_binary(b"2024-02-31"), None);
    }

    #[test]
    fn a_fraction_of_many_seconds_is_none_of_the_calendar() {
        let moment = |micros: u32| {
            let [a, b, c, d] = micros.to_le_bytes();
            Moment::from_binary(&[11, 246, 7, 1, 19, 3, 14, 7, a, b, c, d]).unwrap()
        };
        assert_eq!(moment(999_999).civil().map(|civil| civil.nanos), Some(999_999_000));
        assert!(moment(u32::MAX).civil().is_none());
    }

    #[test]
    fn times_may_be_negative_and_longer_than_a_day() {
        for (bytes, text) in [
            (&[0][..], "00:00:00"),
            (&[12, 1, 34, 0, 0, 0, 22, 59, 59, 63, 66, 15, 0], "-838:59:59.999999"),
            (&[8, 0, 0, 0, 0, 0, 13, 14, 15], "13:14:15"),
            (&[12, 1, 0, 0, 0, 0, 0, 0, 0, 32, 161, 7, 0], "-00:00:00.5"),
        ] {
            assert_eq!(Span::from_binary(bytes).unwrap().to_string(), text);
        }
        assert_eq!(Span::from_binary(b"13:14:15"), None);
    }
}
