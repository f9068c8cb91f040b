//! Days and times of day, from PostgreSQL's numbers and to its texts.

use crate::undo::{Civil, CivilDate, Instant, Zone};

pub(super) const MICROS_PER_SECOND: i64 = 1_000_000;
pub(super) const SECONDS_PER_DAY: i64 = 86_400;
const MICROS_PER_DAY: i64 = SECONDS_PER_DAY * MICROS_PER_SECOND;

/// The day that comes so many days after the first of the year 2000; `None` where PostgreSQL has none.
pub(super) fn date_of(days: i32) -> Option<CivilDate> {
    const IN_400_YEARS: i64 = 146_097;
    // Years begin in March here, so that a leap day is the last of its year.
    const FIRST_OF_MARCH_2000: i64 = 60;
    let days = i64::from(days) - FIRST_OF_MARCH_2000;
    let (cycle, day) = (days.div_euclid(IN_400_YEARS), days.rem_euclid(IN_400_YEARS));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = (month + 2) % 12 + 1;
    let year = 2000 + 400 * cycle + year + i64::from(month < 3);
    Some(CivilDate { year: year.try_into().ok()?, month: month.try_into().ok()?, day: day.try_into().ok()? })
}

/// The moment that comes so many microseconds after the year 2000 began.
pub(super) fn civil_of(micros: i64) -> Option<Civil> {
    let date = date_of(micros.div_euclid(MICROS_PER_DAY).try_into().ok()?)?;
    let of_day = micros.rem_euclid(MICROS_PER_DAY);
    let seconds = of_day / MICROS_PER_SECOND;
    Some(Civil {
        hour: (seconds / 3600).try_into().ok()?,
        minute: (seconds / 60 % 60).try_into().ok()?,
        second: (seconds % 60).try_into().ok()?,
        nanos: (of_day % MICROS_PER_SECOND * 1000).try_into().ok()?,
        ..Civil::midnight(date)
    })
}

/// A day as PostgreSQL reads it under every `datestyle`.
pub(super) fn date_text(date: CivilDate) -> String {
    format!("{}{}", year_month_day(date), era(date))
}

/// Such a moment, with the zone in which it is.
pub(super) fn timestamp_text(civil: Civil, zone: &str) -> String {
    let (date, micros) = (civil.date(), civil.nanos / 1000);
    let seconds = clock(seconds_of_day(civil));
    format!("{} {seconds}.{micros:06}{zone}{}", year_month_day(date), era(date))
}

/// `hh:mm:ss` of so many seconds.
pub(super) fn clock(seconds: i64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

/// The time of day in this zone, on the first day of 1970 or next to it.
pub(super) fn time_in_1970(seconds: i64, zone: &Zone) -> i64 {
    let at = Instant { millis: seconds * 1000, nanos: None };
    zone.civil_of_timestamp(at).map_or(seconds, seconds_of_day)
}

/// How many seconds the zone was ahead of UTC when 1970 began.
pub(super) fn offset_in_1970(zone: &Zone) -> i64 {
    let seconds = time_in_1970(0, zone);
    if seconds > SECONDS_PER_DAY / 2 { seconds - SECONDS_PER_DAY } else { seconds }
}

fn seconds_of_day(civil: Civil) -> i64 {
    i64::from(civil.hour) * 3600 + i64::from(civil.minute) * 60 + i64::from(civil.second)
}

fn year_month_day(CivilDate { year, month, day }: CivilDate) -> String {
    let year = if year > 0 { year } else { 1 - year };
    format!("{year:04}-{month:02}-{day:02}")
}

fn era(date: CivilDate) -> &'static str {
    if date.year > 0 { "" } else { " BC" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_counted_from_2000() {
        let text = |days| date_text(date_of(days).unwrap());
        assert_eq!(text(0), "2000-01-01");
        assert_eq!(text(59), "2000-02-29");
        assert_eq!(text(-10_957), "1970-01-01");
        assert_eq!(text(-746_117), "0044-03-15 BC");
        assert_eq!(text(2_145_031_948), "5874897-12-31");
    }

    #[test]
    fn a_moment_before_2000_has_a_positive_fraction() {
        let civil = civil_of(-1).unwrap();
        assert_eq!(timestamp_text(civil, "+00"), "1999-12-31 23:59:59.999999+00");
    }

    #[test]
    fn offsets_go_both_ways() {
        for (name, offset) in [("UTC", 0), ("Asia/Shanghai", 28_800), ("America/New_York", -18_000)] {
            assert_eq!(offset_in_1970(&Zone::named(name).unwrap()), offset);
        }
    }
}
