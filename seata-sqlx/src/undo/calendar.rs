//! Days of the two calendars that Java's classes go by.

use super::CivilDate;

/// How days are counted.
#[derive(Clone, Copy)]
pub(super) enum Calendar {
    /// The Gregorian one at all times: `java.time`, and the databases.
    Gregorian,
    /// The Julian one up to 1582-10-04, followed by 1582-10-15: `java.util.GregorianCalendar`, by which `java.sql.Date` and
    /// `java.sql.Timestamp` go.
    Java,
}

/// 1582-10-15, in days since 1970.
const FIRST_GREGORIAN_DAY: i64 = -141_427;

/// Days since 1970; `None` if there is no such day.
pub(super) fn days(calendar: Calendar, date: CivilDate) -> Option<i64> {
    let is_julian = matches!(calendar, Calendar::Java) && (date.year, date.month, date.day) < (1582, 10, 15);
    // Years begin in March here, so that a leap day is the last of its year.
    let year = i64::from(date.year) - i64::from(date.month <= 2);
    let month = (i64::from(date.month) + 9) % 12;
    let day = (153 * month + 2) / 5 + i64::from(date.day) - 1;
    let days = match is_julian {
        true => 365 * year + year.div_euclid(4) + day - 719_470,
        false => {
            365 * year + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day - 719_468
        }
    };
    (date_of(calendar, days) == Some(date)).then_some(days)
}

/// The day that comes so many days after 1970-01-01; `None` beyond the years that an `i32` can say.
pub(super) fn date_of(calendar: Calendar, days: i64) -> Option<CivilDate> {
    let is_julian = matches!(calendar, Calendar::Java) && days < FIRST_GREGORIAN_DAY;
    let (year, day) = if is_julian {
        let since = days + 719_470;
        let (cycle, day) = (since.div_euclid(1461), since.rem_euclid(1461));
        let year = (day - day / 1460) / 365;
        (4 * cycle + year, day - 365 * year)
    } else {
        let since = days + 719_468;
        let (cycle, day) = (since.div_euclid(146_097), since.rem_euclid(146_097));
        let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
        (400 * cycle + year, day - (365 * year + year / 4 - year / 100))
    };
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year + i64::from(month <= 2);
    Some(CivilDate { year: i32::try_from(year).ok()?, month: month as u8, day: day as u8 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_comes_back_and_follows_the_one_before() {
        for calendar in [Calendar::Gregorian, Calendar::Java] {
            let mut before = None;
            for day in (-2_500_000..3_000_000).step_by(1) {
                let date = date_of(calendar, day).unwrap();
                assert_eq!(days(calendar, date), Some(day), "{date:?}");
                assert!(before < Some(date), "{date:?}");
                before = Some(date);
            }
        }
    }

    #[test]
    fn the_calendars_part_before_october_1582() {
        let date = |year, month, day| CivilDate { year, month, day };
        assert_eq!(days(Calendar::Java, date(1582, 10, 15)), Some(FIRST_GREGORIAN_DAY));
        assert_eq!(days(Calendar::Java, date(1582, 10, 4)), Some(FIRST_GREGORIAN_DAY - 1));
        assert_eq!(days(Calendar::Java, date(1582, 10, 10)), None);
        assert!(days(Calendar::Gregorian, date(1582, 10, 10)).is_some());
        assert_eq!(days(Calendar::Gregorian, date(1500, 2, 29)), None);
        assert!(days(Calendar::Java, date(1500, 2, 29)).is_some());
        for (year, month, day) in [(2023, 2, 29), (2024, 13, 1), (2024, 0, 1), (2024, 4, 31), (2024, 1, 0)] {
            assert_eq!(days(Calendar::Java, date(year, month, day)), None);
        }
    }
}
