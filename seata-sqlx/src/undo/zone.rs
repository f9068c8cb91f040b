//! The time zone of the one who writes a document: Java's dates and times are moments in it.

use jiff::{
    Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone},
};

use super::{
    Instant,
    calendar::{self, Calendar},
};

/// A time zone, by Java's rules.
///
/// A document does not name the zone that it was written in. Everybody who writes and reads an undo table has to be
/// set to one, which is the system's unless something else is said.
///
/// ```
/// use seata_sqlx::undo::{Civil, CivilDate, Zone};
///
/// let zone = Zone::named("Asia/Shanghai")?;
/// let noon = Civil { hour: 12, ..Civil::midnight(CivilDate { year: 2024, month: 2, day: 29 }) };
/// let instant = zone.instant_of(noon).unwrap();
/// assert_eq!(instant.millis, 1_709_179_200_000);
/// assert_eq!(zone.civil_of(instant), Some(noon));
/// # Ok::<(), seata_sqlx::undo::ZoneError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Zone {
    rules: TimeZone,
    /// Seconds east of Greenwich by which Java's older classes go before 1900.
    standard: i64,
}

/// A day of the calendar on the wall: the Gregorian one, before its beginning too. The year 0 is 1 BC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CivilDate {
    /// The year.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
}

/// A day and a time of day on the wall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Civil {
    /// The year; 0 is 1 BC.
    pub year: i32,
    /// 1 to 12.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 59.
    pub second: u8,
    /// Nanoseconds of the second.
    pub nanos: u32,
}

/// No zone has the name.
#[derive(Debug, thiserror::Error)]
#[error("no time zone is named {name:?}: give a name of the IANA database, as \"Europe/Berlin\": {source}")]
pub struct ZoneError {
    name: String,
    source: jiff::Error,
}

/// Java's older classes know no offset before 1900-01-01 in Greenwich, in seconds since 1970.
const START_OF_OFFSETS: i64 = -2_208_988_800;
/// The Gregorian calendar, and with it every rule for the future, repeats itself after 400 years.
const CYCLE: i64 = 146_097 * DAY;
const DAY: i64 = 86_400;
/// What jiff knows of, well inside its limits: 9900-01-01 and -9900-01-01, in seconds since 1970.
const KNOWN: std::ops::Range<i64> = -374_580_979_200..250_246_627_200;

impl Zone {
    /// The system's zone: `TZ`, else `/etc/localtime`; UTC if there is neither.
    pub fn system() -> Self {
        let found = TimeZone::try_system().unwrap_or_else(|error| {
            // Who has set none means none.
            if std::env::var_os("TZ").is_some_and(|name| !name.is_empty()) {
                tracing::warn!(%error, "the system's time zone is not known: undo logs are written as in UTC");
            }
            TimeZone::UTC
        });
        Self::new(found)
    }

    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self::new(TimeZone::UTC)
    }

    /// The zone with this name of the IANA database.
    ///
    /// # Errors
    /// When the system's database has no such zone, or the system has no database.
    pub fn named(name: &str) -> Result<Self, ZoneError> {
        let rules = TimeZone::get(name).map_err(|source| ZoneError { name: name.to_owned(), source })?;
        Ok(Self::new(rules))
    }

    fn new(rules: TimeZone) -> Self {
        // What Java calls the standard time: the one that is furthest behind, wherever the sun and the moon stand.
        const YEAR_2037: std::ops::Range<i64> = 2_114_380_800..2_145_916_800;
        let offsets = YEAR_2037.step_by(20 * DAY as usize).map(|second| offset_in(&rules, second));
        Self { standard: offsets.min().unwrap_or_default(), rules }
    }

    /// The moment that a `java.time.LocalDateTime` with this reading is written as. `None` if it does not come back as
    /// itself: the reading lies in a gap of the zone, or is none at all.
    pub fn instant_of(&self, civil: Civil) -> Option<Instant> {
        self.instant_near(civil).filter(|instant| self.civil_of(*instant) == Some(civil))
    }

    /// As [`instant_of`](Self::instant_of), with a reading in a gap moved on by the length of the gap, as Java does.
    pub fn instant_near(&self, civil: Civil) -> Option<Instant> {
        let local = civil.seconds(Calendar::Gregorian)?;
        let seconds = match self.offsets_at(local) {
            AmbiguousOffset::Unambiguous { offset } => local - i64::from(offset.seconds()),
            AmbiguousOffset::Gap { before, .. } | AmbiguousOffset::Fold { before, .. } => {
                local - i64::from(before.seconds())
            }
        };
        Instant::new(seconds, civil.nanos)
    }

    /// The reading of a `java.time.LocalDateTime` written as this moment; `None` if no [`Civil`] can say it.
    pub fn civil_of(&self, instant: Instant) -> Option<Civil> {
        let (seconds, nanos) = instant.parts();
        Civil::new(Calendar::Gregorian, seconds.checked_add(self.offset(seconds))?, nanos)
    }

    /// The moment that a `java.sql.Timestamp` with this reading is written as; `None` as in
    /// [`instant_of`](Self::instant_of), and for the ten days that the calendar left out in October 1582.
    pub fn timestamp_of(&self, civil: Civil) -> Option<Instant> {
        self.timestamp_near(civil).filter(|instant| self.civil_of_timestamp(*instant) == Some(civil))
    }

    /// As [`timestamp_of`](Self::timestamp_of), with a reading in a gap moved on by the length of the gap.
    pub fn timestamp_near(&self, civil: Civil) -> Option<Instant> {
        let local = civil.seconds(Calendar::Java)?;
        Instant::new(self.older_seconds(local), civil.nanos)
    }

    /// The reading of a `java.sql.Timestamp` written as this moment; `None` if no [`Civil`] can say it.
    pub fn civil_of_timestamp(&self, instant: Instant) -> Option<Civil> {
        let (seconds, nanos) = instant.parts();
        Civil::new(Calendar::Java, seconds.checked_add(self.older_offset(seconds))?, nanos)
    }

    /// The milliseconds that a `java.sql.Date` of this day is written as: those of its first moment. `None` if it does not
    /// come back as itself, as a day that the zone left out.
    pub fn date_of(&self, date: CivilDate) -> Option<i64> {
        let local = calendar::days(Calendar::Java, date)?.checked_mul(DAY)?;
        let millis = self.older_seconds(local).checked_mul(1000)?;
        (self.civil_of_date(millis) == Some(date)).then_some(millis)
    }

    /// The day of a `java.sql.Date` written as these milliseconds; `None` if no [`CivilDate`] can say it.
    pub fn civil_of_date(&self, millis: i64) -> Option<CivilDate> {
        let seconds = millis.div_euclid(1000);
        let local = seconds.checked_add(self.older_offset(seconds))?;
        calendar::date_of(Calendar::Java, local.div_euclid(DAY))
    }

    fn offset(&self, seconds: i64) -> i64 {
        offset_in(&self.rules, seconds)
    }

    fn offsets_at(&self, local: i64) -> AmbiguousOffset {
        let local = in_known_years(local);
        let date = calendar::date_of(Calendar::Gregorian, local.div_euclid(DAY)).expect("it is a known year");
        let second = local.rem_euclid(DAY);
        let time = DateTime::new(
            date.year as i16,
            date.month as i8,
            date.day as i8,
            (second / 3600) as i8,
            (second / 60 % 60) as i8,
            (second % 60) as i8,
            0,
        );
        self.rules.to_ambiguous_timestamp(time.expect("it is a known year")).offset()
    }

    fn older_offset(&self, seconds: i64) -> i64 {
        if seconds < START_OF_OFFSETS { self.standard } else { self.offset(seconds) }
    }

    /// Where a reading stands for two moments, the older classes take the second, in standard time.
    fn older_seconds(&self, local: i64) -> i64 {
        let offset = match self.offsets_at(local) {
            AmbiguousOffset::Unambiguous { offset } => offset,
            AmbiguousOffset::Gap { before, .. } => before,
            AmbiguousOffset::Fold { after, .. } => after,
        };
        let seconds = local - i64::from(offset.seconds());
        if seconds < START_OF_OFFSETS { local - self.standard } else { seconds }
    }
}

fn offset_in(rules: &TimeZone, seconds: i64) -> i64 {
    let timestamp = Timestamp::from_second(in_known_years(seconds)).expect("it is a known year");
    rules.to_offset(timestamp).seconds().into()
}

/// The same second of another year with the same calendar and the same rules. Before the known years no zone had rules.
fn in_known_years(seconds: i64) -> i64 {
    if KNOWN.contains(&seconds) {
        return seconds;
    }
    let bound = if seconds < KNOWN.start { KNOWN.start } else { KNOWN.end - CYCLE };
    bound + (seconds - bound).rem_euclid(CYCLE)
}

impl Civil {
    /// The first moment of a day.
    pub fn midnight(CivilDate { year, month, day }: CivilDate) -> Self {
        Self { year, month, day, hour: 0, minute: 0, second: 0, nanos: 0 }
    }

    /// Its day.
    pub fn date(self) -> CivilDate {
        CivilDate { year: self.year, month: self.month, day: self.day }
    }

    fn new(calendar: Calendar, local: i64, nanos: u32) -> Option<Self> {
        let date = calendar::date_of(calendar, local.div_euclid(DAY))?;
        let second = local.rem_euclid(DAY);
        Some(Self {
            hour: (second / 3600) as u8,
            minute: (second / 60 % 60) as u8,
            second: (second % 60) as u8,
            nanos,
            ..Self::midnight(date)
        })
    }

    /// Seconds since 1970 on the wall; `None` if there is no such reading.
    fn seconds(self, calendar: Calendar) -> Option<i64> {
        let Self { hour, minute, second, nanos, .. } = self;
        if hour > 23 || minute > 59 || second > 59 || nanos > 999_999_999 {
            return None;
        }
        let time = 3600 * i64::from(hour) + 60 * i64::from(minute) + i64::from(second);
        Some(calendar::days(calendar, self.date())? * DAY + time)
    }
}

impl Instant {
    fn new(seconds: i64, nanos: u32) -> Option<Self> {
        let millis = seconds.checked_mul(1000)?.checked_add((nanos / 1_000_000).into())?;
        Some(Self { millis, nanos: (!nanos.is_multiple_of(1_000_000)).then_some(nanos) })
    }

    /// Seconds since 1970, and the nanoseconds of the second.
    fn parts(self) -> (i64, u32) {
        let of_millis = self.millis.rem_euclid(1000) as u32 * 1_000_000;
        (self.millis.div_euclid(1000), self.nanos.unwrap_or(of_millis))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::undo::Value;

    /// Readings in many zones as Java 17 turned them into milliseconds, and those into texts: as a `java.sql.Date`, a
    /// `java.sql.Timestamp` and a `java.time.LocalDateTime`.
    #[test]
    fn readings_become_the_moments_that_java_makes_of_them() {
        let lines = include_str!("../../tests/golden/undo/timezone/readings.txt").lines();
        let mut seen = 0;
        let mut wrong = Vec::new();
        for line in lines {
            let parts: Vec<&str> = line.split('|').collect();
            let (name, reading) = parts[0].split_once(' ').unwrap();
            let zone = Zone::named(name).unwrap();
            let civil = reading_of(reading);
            let (date, timestamp, local): (i64, i64, i64) =
                (parts[1].parse().unwrap(), parts[3].parse().unwrap(), parts[5].parse().unwrap());
            let nanos = (!civil.nanos.is_multiple_of(1_000_000)).then_some(civil.nanos);
            let at = |millis| Instant { millis, nanos };
            let found = [
                // A day that was left out there is not written.
                zone.date_of(civil.date()).map_or(parts[1].into(), |millis| millis.to_string()),
                Value::Date(date).java_text(&zone),
                zone.timestamp_near(civil).map_or("none".into(), |at| at.millis.to_string()),
                Value::Timestamp(at(timestamp)).java_text(&zone),
                zone.instant_near(civil).map_or("none".into(), |at| at.millis.to_string()),
                Value::LocalDateTime(at(local)).java_text(&zone),
            ];
            if found != parts[1..] {
                wrong.push(format!("{line} and not {found:?}"));
            }
            seen += 1;
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert!(seen > 500, "only {seen} readings");
    }

    fn reading_of(text: &str) -> Civil {
        let (sign, text) = match text.strip_prefix('-') {
            Some(text) => (-1, text),
            None => (1, text),
        };
        let numbers: Vec<u32> = text.split('-').map(|number| number.parse().unwrap()).collect();
        Civil {
            year: sign * numbers[0] as i32,
            month: numbers[1] as u8,
            day: numbers[2] as u8,
            hour: numbers[3] as u8,
            minute: numbers[4] as u8,
            second: numbers[5] as u8,
            nanos: numbers[6],
        }
    }

    #[test]
    fn a_reading_in_a_gap_does_not_come_back() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let gap = civil(2024, 3, 31, 2, 30);
        assert_eq!((berlin.instant_of(gap), berlin.timestamp_of(gap)), (None, None));
        let moved = berlin.instant_near(gap).unwrap();
        assert_eq!(berlin.civil_of(moved), Some(civil(2024, 3, 31, 3, 30)));
        assert_eq!(berlin.timestamp_near(gap), Some(moved));
    }

    #[test]
    fn of_two_moments_java_time_takes_the_first_and_the_older_classes_the_second() {
        let berlin = Zone::named("Europe/Berlin").unwrap();
        let twice = civil(2024, 10, 27, 2, 30);
        let (first, second) = (berlin.instant_of(twice).unwrap(), berlin.timestamp_of(twice).unwrap());
        assert_eq!(second.millis - first.millis, 3_600_000);
        assert_eq!(berlin.civil_of(second), Some(twice));
    }

    #[test]
    fn a_day_without_midnight_is_written_and_one_that_was_left_out_is_not() {
        let sao_paulo = Zone::named("America/Sao_Paulo").unwrap();
        let day = CivilDate { year: 2018, month: 11, day: 4 };
        assert_eq!(sao_paulo.date_of(day), Some(1_541_300_400_000));
        assert_eq!(sao_paulo.instant_of(Civil::midnight(day)), None);
        let apia = Zone::named("Pacific/Apia").unwrap();
        assert_eq!(apia.date_of(CivilDate { year: 2011, month: 12, day: 30 }), None);
        assert!(apia.date_of(CivilDate { year: 2011, month: 12, day: 31 }).is_some());
    }

    #[test]
    fn what_is_no_reading_is_refused() {
        let zone = Zone::utc();
        for wrong in [civil(2023, 2, 29, 0, 0), civil(2024, 1, 1, 24, 0), civil(2024, 1, 1, 0, 60)] {
            assert_eq!((zone.instant_of(wrong), zone.timestamp_of(wrong)), (None, None));
        }
        let no_time = Civil { nanos: 1_000_000_000, ..civil(2024, 1, 1, 0, 0) };
        assert_eq!(zone.instant_of(no_time), None);
        assert_eq!(zone.date_of(CivilDate { year: i32::MAX, month: 1, day: 1 }), None);
    }

    #[test]
    fn nanoseconds_are_told_where_milliseconds_do_not_do() {
        let zone = Zone::utc();
        let before = Civil { second: 59, nanos: 999_000_001, ..civil(1969, 12, 31, 23, 59) };
        let instant = zone.instant_of(before).unwrap();
        assert_eq!(instant, Instant { millis: -1, nanos: Some(999_000_001) });
        assert_eq!(zone.civil_of(instant), Some(before));
        let millis = Civil { nanos: 120_000_000, ..civil(2024, 1, 1, 0, 0) };
        assert_eq!(zone.timestamp_of(millis).unwrap().nanos, None);
    }

    #[test]
    fn every_moment_that_can_be_written_can_be_read() {
        for name in ["UTC", "Asia/Shanghai", "America/New_York", "Europe/Paris", "Australia/Lord_Howe"] {
            let zone = Zone::named(name).unwrap();
            for millis in
                [i64::MIN, -377_705_116_800_001, -62_135_596_800_000, 0, 253_402_300_800_000, i64::MAX]
            {
                let instant = Instant { millis, nanos: None };
                let _ =
                    (zone.civil_of(instant), zone.civil_of_timestamp(instant), zone.civil_of_date(millis));
            }
            for year in [-9999, -4712, 1, 1899, 9999, 12_345, 294_276, 5_874_897] {
                let noon = civil(year, 7, 1, 12, 0);
                assert_eq!(zone.civil_of(zone.instant_of(noon).unwrap()), Some(noon), "{name} {year}");
                assert!(zone.timestamp_of(noon).is_some() && zone.date_of(noon.date()).is_some());
            }
        }
    }

    #[test]
    fn an_unknown_zone_is_named() {
        let error = Zone::named("Europe/Atlantis").unwrap_err();
        assert!(error.to_string().contains("Europe/Atlantis"), "{error}");
    }

    fn civil(year: i32, month: u8, day: u8, hour: u8, minute: u8) -> Civil {
        Civil { hour, minute, ..Civil::midnight(CivilDate { year, month, day }) }
    }
}
