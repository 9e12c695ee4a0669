//! Instants, ranges and the calendar of an app's time zone.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Millis(pub i64);

impl Millis {
    /// One second.
    pub const SECOND: i64 = 1_000;
    /// One minute.
    pub const MINUTE: i64 = 60 * Self::SECOND;
    /// One hour.
    pub const HOUR: i64 = 60 * Self::MINUTE;
    /// One day of 24 hours.
    pub const DAY: i64 = 24 * Self::HOUR;

    /// Later by `ms` (earlier when negative), without overflow.
    #[must_use]
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this instant, without overflow.
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Whole seconds since 1970, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    /// As a calendar library sees it; instants outside years -9999 to 9999 are clamped.
    pub fn timestamp(self) -> Timestamp {
        Timestamp::from_millisecond(self.0).unwrap_or(if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX })
    }
}

impl From<Timestamp> for Millis {
    fn from(timestamp: Timestamp) -> Self {
        Self(timestamp.as_millisecond())
    }
}

/// From `from` (included) to `to` (excluded).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// First instant inside.
    pub from: Millis,
    /// First instant after.
    pub to: Millis,
}

impl TimeRange {
    /// Length in milliseconds.
    pub fn len(self) -> i64 {
        self.to.since(self.from)
    }

    /// Whether nothing lies inside.
    pub fn is_empty(self) -> bool {
        self.to <= self.from
    }

    /// Whether `at` lies inside.
    pub fn contains(self, at: Millis) -> bool {
        self.from <= at && at < self.to
    }
}

/// An IANA time zone by name, with what the summaries need to know of it.
#[derive(Clone, Debug)]
pub struct Zone {
    name: String,
    tz: TimeZone,
    grain: i64,
}

/// Where an instant falls in a zone's calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LocalTime {
    /// Days since 1970-01-01 in the zone's calendar.
    pub day: i32,
    /// Whole hours elapsed since that day's midnight: 0 to 24 (a day that ends daylight saving has 25 hours).
    pub hour: u8,
}

impl Zone {
    /// Universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".to_owned(), tz: TimeZone::UTC, grain: Millis::HOUR }
    }

    /// The zone of that IANA name, or `None` where there is none.
    pub fn find(name: &str) -> Option<Self> {
        let tz = TimeZone::get(name).ok()?;
        let name = tz.iana_name()?.to_owned();
        let grain = grain_of(&tz);
        Some(Self { name, tz, grain })
    }

    /// The IANA name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The calendar itself.
    pub fn tz(&self) -> &TimeZone {
        &self.tz
    }

    /// Length of a summary bucket in milliseconds: an hour, or less where the zone's offset from UTC is no whole
    /// number of hours, so that a local day is always a whole number of buckets.
    pub fn grain(&self) -> i64 {
        self.grain
    }

    /// The local day and hour of an instant.
    pub fn local(&self, at: Millis) -> LocalTime {
        let zoned = at.timestamp().to_zoned(self.tz.clone());
        let day = days_since_1970(zoned.date());
        let midnight = self.midnight(day);
        let hour = at.since(midnight).div_euclid(Millis::HOUR).clamp(0, 24);
        LocalTime { day, hour: u8::try_from(hour).unwrap_or(24) }
    }

    /// The first instant of a local day (1 a.m. where daylight saving skips midnight).
    pub fn midnight(&self, day: i32) -> Millis {
        let date = date_of(day);
        self.tz
            .to_ambiguous_zoned(date.to_datetime(jiff::civil::Time::midnight()))
            .compatible()
            .map_or(Millis(i64::from(day) * Millis::DAY), |zoned| zoned.timestamp().into())
    }
}

/// The civil date of a day number.
pub fn date_of(day: i32) -> jiff::civil::Date {
    let epoch = jiff::civil::date(1970, 1, 1);
    epoch.saturating_add(jiff::Span::new().days(i64::from(day).clamp(-4_000_000, 2_900_000)))
}

/// The day number of a civil date.
pub fn days_since_1970(date: jiff::civil::Date) -> i32 {
    let span = date.duration_since(jiff::civil::date(1970, 1, 1));
    i32::try_from(span.as_hours() / 24).unwrap_or_default()
}

/// The largest of an hour, a half and a quarter that divides every offset of the zone around our time.
fn grain_of(tz: &TimeZone) -> i64 {
    let from = Timestamp::from_second(1_577_836_800).unwrap_or(Timestamp::UNIX_EPOCH); // 2020-01-01
    let first = tz.to_offset(from).seconds();
    let later = tz.following(from).take(40).map(|change| change.offset().seconds());
    let mut grain = 3_600;
    for offset in std::iter::once(first).chain(later) {
        while offset % grain != 0 && grain > 900 {
            grain /= 2;
        }
    }
    i64::from(grain) * 1_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grain_divides_every_offset_of_the_zone() {
        for (name, minutes) in [
            ("UTC", 60),
            ("Europe/Zurich", 60),
            ("Asia/Kolkata", 30),
            ("Asia/Kathmandu", 15),
            ("Australia/Lord_Howe", 30),
            ("America/New_York", 60),
        ] {
            assert_eq!(Zone::find(name).unwrap().grain(), minutes * Millis::MINUTE, "{name}");
        }
        assert!(Zone::find("Mars/Olympus").is_none());
    }

    #[test]
    fn local_time_follows_the_calendar_across_daylight_saving() {
        let zone = Zone::find("Europe/Zurich").unwrap();
        for (utc, day, hour) in [
            ("2026-03-28T22:59:59Z", "2026-03-28", 23),
            ("2026-03-28T23:00:00Z", "2026-03-29", 0),
            ("2026-03-29T21:59:59Z", "2026-03-29", 22), // the day has 23 hours
            ("2026-10-25T22:59:59Z", "2026-10-25", 24), // and this one 25
            ("2026-10-25T23:00:00Z", "2026-10-26", 0),
        ] {
            let local = zone.local(utc.parse::<Timestamp>().unwrap().into());
            assert_eq!((date_of(local.day).to_string().as_str(), local.hour), (day, hour), "{utc}");
        }
    }
}
