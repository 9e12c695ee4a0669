//! From what a page's address asks to the periods that the store is asked for, on the calendar of the app's zone.

use jiff::civil::Date;

use super::{Interval, Preset};
use crate::model::{LocalTime, Millis, Period, TimeRange, Zone, date_of, days_since_1970};

/// Most periods in one range.
pub const MAX_PERIODS: usize = 400;

/// Longest custom range in days: five years.
pub const MAX_DAYS: i32 = 5 * 366;

/// Longest range from the first event on, in days: thirty years, which is less than [`MAX_PERIODS`] months.
const ALL_DAYS: i32 = 30 * 365;

/// What an address asks for, as it stands there. Empty texts count as absent.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wanted<'a> {
    /// Name of a preset.
    pub preset: Option<&'a str>,
    /// First day of a custom range, `YYYY-MM-DD`. With `from` or `to` the preset is ignored.
    pub from: Option<&'a str>,
    /// Last day of a custom range, included; today where absent.
    pub to: Option<&'a str>,
    /// Name of an interval; one that gives more than [`MAX_PERIODS`] is ignored.
    pub interval: Option<&'a str>,
    /// When the first event happened, where [`Preset::All`] begins; today where there was none.
    pub since: Option<Millis>,
}

/// Why an address does not describe a range, in words for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeProblem {
    /// Not a calendar date.
    #[error("A date is written like 2026-03-31.")]
    NotADate,
    /// No first day.
    #[error("A custom range needs its first day.")]
    NoStart,
    /// The last day comes before the first.
    #[error("The first day comes after the last.")]
    Reversed,
    /// Nothing can have happened yet.
    #[error("That range lies in the future.")]
    Future,
    /// Longer than [`MAX_DAYS`].
    #[error("A range covers five years at the most.")]
    TooLong,
    /// No preset of that name.
    #[error("There is no range of that name.")]
    Unknown,
}

/// A stretch of time cut into periods, oldest first, up to the one that contains now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// How it was asked for.
    pub preset: Preset,
    /// Length of one period. The first may be shorter where a custom range begins within a week or month.
    pub interval: Interval,
    /// 1 to [`MAX_PERIODS`] periods without gaps.
    pub periods: Vec<Period>,
    /// All periods together.
    pub whole: Period,
    /// Which period contains now, if one does; always the last.
    pub unfinished: Option<usize>,
    /// Periods of the range that have not begun: the rest of an unfinished day that is counted by the hour.
    pub ahead: Vec<Period>,
}

impl Range {
    /// The range of a preset; [`Preset::Custom`] without dates is that of 7 days, and [`Preset::All`] that of today.
    pub fn of(preset: Preset, zone: &Zone, now: Millis) -> Self {
        Self::cut(preset, Wanted::default(), zone, now)
    }

    /// Reads what an address asks for. `fallback` is used where it asks for nothing.
    pub fn parse(wanted: Wanted<'_>, fallback: Preset, zone: &Zone, now: Millis) -> Result<Self, RangeProblem> {
        let (from, to) = (given(wanted.from), given(wanted.to));
        if from.is_none() && to.is_none() {
            let preset = match given(wanted.preset) {
                Some(name) => Preset::parse(name).ok_or(RangeProblem::Unknown)?,
                None => fallback,
            };
            return Ok(Self::cut(preset, wanted, zone, now));
        }
        let today = zone.local(now).day;
        let first = day_of(from.ok_or(RangeProblem::NoStart)?)?;
        let last = to.map_or(Ok(today), day_of)?;
        if last < first {
            return Err(RangeProblem::Reversed);
        }
        if first > today {
            return Err(RangeProblem::Future);
        }
        if last.min(today) - first >= MAX_DAYS {
            return Err(RangeProblem::TooLong);
        }
        let interval = given(wanted.interval).and_then(Interval::parse);
        Ok(Self::of_days(Preset::Custom, interval, Days { first, last: last.min(today) }, zone, now))
    }

    fn cut(preset: Preset, wanted: Wanted<'_>, zone: &Zone, now: Millis) -> Self {
        let today = zone.local(now).day;
        let first = match preset {
            Preset::Hours24 => return Self::of_24_hours(zone, now),
            Preset::All => match wanted.since {
                Some(since) => zone.local(since).day.clamp(today - ALL_DAYS, today),
                None => today,
            },
            _ => preset.first_day(today),
        };
        let interval = given(wanted.interval).and_then(Interval::parse);
        Self::of_days(preset, interval, Days { first, last: today }, zone, now)
    }

    fn of_24_hours(zone: &Zone, now: Millis) -> Self {
        let today = zone.local(now).day;
        let mut hours: Vec<Period> =
            (today - 2..=today).flat_map(|day| hours_of(zone, day)).filter(|hour| hour.range.from <= now).collect();
        let periods = hours.split_off(hours.len().saturating_sub(24));
        let whole = join(&periods);
        let unfinished = periods.iter().position(|period| period.range.contains(now));
        let (preset, interval) = (Preset::Hours24, Interval::Hour);
        Self { preset, interval, periods, whole, unfinished, ahead: Vec::new() }
    }

    fn of_days(preset: Preset, wanted: Option<Interval>, days: Days, zone: &Zone, now: Millis) -> Self {
        let interval = wanted.filter(|i| days.count_at_most(*i) <= MAX_PERIODS).unwrap_or(days.interval(preset));
        let mut periods = days.cut(interval, zone);
        let ahead = periods.split_off(periods.partition_point(|period| period.range.from <= now));
        if periods.is_empty() {
            // Only a clock that stands before the range's first instant leads here.
            periods.extend(days.cut(Interval::Day, zone).first());
        }
        let unfinished = periods.iter().position(|period| period.range.contains(now));
        let whole = join(&periods);
        Self { preset, interval, periods, whole, unfinished, ahead }
    }
}

/// Local days, both included.
#[derive(Clone, Copy)]
struct Days {
    first: i32,
    last: i32,
}

impl Days {
    fn count(self) -> i32 {
        self.last - self.first + 1
    }

    /// An upper bound of the periods that an interval gives.
    fn count_at_most(self, interval: Interval) -> usize {
        let days = usize::try_from(self.count()).unwrap_or(usize::MAX / 25);
        match interval {
            Interval::Hour => days * 25,
            Interval::Day => days,
            Interval::Week => days / 7 + 2,
            Interval::Month => days / 28 + 2,
        }
    }

    /// The interval that suits the length.
    fn interval(self, preset: Preset) -> Interval {
        match (preset, self.count()) {
            (Preset::Year, _) => Interval::Month,
            (_, ..=2) => Interval::Hour,
            (_, ..=120) => Interval::Day,
            (_, ..=731) => Interval::Week,
            _ => Interval::Month,
        }
    }

    fn cut(self, interval: Interval, zone: &Zone) -> Vec<Period> {
        if interval == Interval::Hour {
            return (self.first..=self.last).flat_map(|day| hours_of(zone, day)).collect();
        }
        let opens = |day: &i32| match interval {
            Interval::Hour | Interval::Day => true,
            Interval::Week => (day + 3).rem_euclid(7) == 0, // 1970-01-01 was a Thursday
            Interval::Month => date_of(*day).day() == 1,
        };
        let mut firsts = vec![self.first];
        firsts.extend((self.first + 1..=self.last).filter(opens));
        let lasts = firsts.iter().skip(1).map(|next| next - 1).chain([self.last]);
        firsts.iter().zip(lasts).map(|(first, last)| days_period(zone, *first, last)).collect()
    }
}

fn given(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}

fn day_of(text: &str) -> Result<i32, RangeProblem> {
    let date: Date = text.parse().map_err(|_| RangeProblem::NotADate)?;
    if !(1970..=9_000).contains(&date.year()) {
        return Err(RangeProblem::NotADate);
    }
    Ok(days_since_1970(date))
}

/// The hours of a local day: 23 to 25 of them, the last one shorter where the day is no whole number of hours long.
pub(super) fn hours_of(zone: &Zone, day: i32) -> Vec<Period> {
    let (start, end) = (zone.midnight(day), zone.midnight(day + 1));
    let hour_at = |hour: u8| start.plus(i64::from(hour) * Millis::HOUR);
    (0..=24)
        .take_while(|hour| hour_at(*hour) < end)
        .map(|hour| {
            let range = TimeRange { from: hour_at(hour), to: hour_at(hour + 1).min(end) };
            let next = if range.to == end { midnight_of(day + 1) } else { LocalTime { day, hour: hour + 1 } };
            Period { range, first: LocalTime { day, hour }, next }
        })
        .collect()
}

pub(super) fn days_period(zone: &Zone, first: i32, last: i32) -> Period {
    let range = TimeRange { from: zone.midnight(first), to: zone.midnight(last + 1) };
    Period { range, first: midnight_of(first), next: midnight_of(last + 1) }
}

fn midnight_of(day: i32) -> LocalTime {
    LocalTime { day, hour: 0 }
}

/// One period over several that follow each other; of none, the empty one at 1970.
pub(super) fn join(periods: &[Period]) -> Period {
    match periods {
        [first, .., last] => {
            let range = TimeRange { from: first.range.from, to: last.range.to };
            Period { range, first: first.first, next: last.next }
        }
        [only] => *only,
        [] => {
            Period { range: TimeRange { from: Millis(0), to: Millis(0) }, first: midnight_of(0), next: midnight_of(0) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn zone(name: &str) -> Zone {
        Zone::find(name).unwrap()
    }

    fn utc(millis: Millis) -> String {
        millis.timestamp().to_string()
    }

    #[test]
    fn presets_end_in_the_period_that_contains_now() {
        let now = at("2026-11-18T13:20:00Z"); // 14:20 in Zurich
        for (preset, periods, ahead, from, to) in [
            (Preset::Today, 15, 9, "17T23", "18T14"),
            (Preset::Hours24, 24, 0, "17T14", "18T14"),
            (Preset::Days7, 7, 0, "11T23", "18T23"),
        ] {
            let range = Range::of(preset, &zone("Europe/Zurich"), now);
            assert_eq!((range.periods.len(), range.ahead.len()), (periods, ahead), "{preset:?}");
            assert_eq!(range.unfinished, Some(periods - 1), "{preset:?}");
            let ends = [range.whole.range.from, range.whole.range.to];
            assert_eq!(ends.map(utc), [from, to].map(|t| format!("2026-11-{t}:00:00Z")), "{preset:?}");
        }
    }

    #[test]
    fn long_presets_count_days_and_calendar_months() {
        for (now, preset, periods, from, interval) in [
            ("2026-03-31T10", Preset::Days28, 28, "2026-03-04", Interval::Day),
            ("2026-03-31T10", Preset::Days90, 90, "2026-01-01", Interval::Day),
            ("2026-03-31T10", Preset::Month, 31, "2026-03-01", Interval::Day),
            ("2026-03-01T10", Preset::Month, 11, "2026-03-01", Interval::Hour),
            ("2026-03-31T10", Preset::Year, 12, "2025-04-01", Interval::Month),
        ] {
            let range = Range::of(preset, &Zone::utc(), at(&format!("{now}:00:00Z")));
            assert_eq!((range.periods.len(), range.interval), (periods, interval), "{now} {preset:?}");
            assert_eq!(date_of(range.whole.first.day).to_string(), from, "{now} {preset:?}");
        }
    }

    #[test]
    fn all_begins_with_the_first_event_and_chooses_what_fits() {
        let now = at("2026-11-18T13:20:00Z");
        for (since, by, first, interval) in [
            (None, None, "2026-11-18", Interval::Hour),
            (Some("2026-11-18T01:00:00Z"), None, "2026-11-18", Interval::Hour),
            (Some("2026-10-25T23:30:00Z"), None, "2026-10-26", Interval::Day), // Zurich is ahead
            (Some("2025-10-25T12:00:00Z"), None, "2025-10-25", Interval::Week),
            (Some("2016-11-19T12:00:00Z"), None, "2016-11-19", Interval::Month),
            (Some("2016-11-19T12:00:00Z"), Some("day"), "2016-11-19", Interval::Month), // too many days
            (Some("2025-12-19T12:00:00Z"), Some("day"), "2025-12-19", Interval::Day),
            (Some("1970-01-01T00:00:00Z"), None, "1996-11-25", Interval::Month), // thirty years at the most
            (Some("2030-01-01T00:00:00Z"), None, "2026-11-18", Interval::Hour),  // the clock was set back
        ] {
            let since = since.map(at);
            let wanted = Wanted { preset: Some("all"), interval: by, since, ..Wanted::default() };
            let range = Range::parse(wanted, Preset::Days7, &zone("Europe/Zurich"), now).unwrap();
            assert_eq!(date_of(range.whole.first.day).to_string(), first, "{since:?}");
            assert_eq!(range.interval, interval, "{since:?}");
            assert!((1..=MAX_PERIODS).contains(&range.periods.len()), "{since:?}");
            assert!(range.unfinished.is_some(), "{since:?}");
        }
    }

    #[test]
    fn days_have_as_many_hours_as_the_calendar_gives_them() {
        for (name, day, hours, last_minutes) in [
            ("Europe/Zurich", "2026-03-29", 23, 60),
            ("Europe/Zurich", "2026-10-25", 25, 60),
            ("Asia/Kolkata", "2026-03-29", 24, 60),
            ("Australia/Lord_Howe", "2026-04-05", 25, 30), // 24.5 hours
            ("Australia/Lord_Howe", "2026-10-04", 24, 30), // 23.5 hours
        ] {
            let zone = zone(name);
            let wanted = Wanted { from: Some(day), to: Some(day), ..Wanted::default() };
            let range = Range::parse(wanted, Preset::Days7, &zone, at("2026-11-18T00:00:00Z")).unwrap();
            assert_eq!((range.periods.len(), range.interval), (hours, Interval::Hour), "{name} {day}");
            assert_eq!(range.periods[hours - 1].range.len(), last_minutes * Millis::MINUTE, "{name} {day}");
            assert_eq!(range.unfinished, None, "{name} {day}");
            for pair in range.periods.windows(2) {
                assert_eq!(pair[0].range.to, pair[1].range.from, "{name} {day}");
            }
            for period in &range.periods {
                assert_eq!(zone.local(period.range.from), period.first, "{name} {day}");
                assert_eq!(zone.local(period.range.to), period.next, "{name} {day}");
            }
        }
    }

    #[test]
    fn periods_join_without_gaps_and_know_their_local_ends() {
        let now = at("2026-11-18T13:20:00Z");
        for name in ["Europe/Zurich", "Asia/Kathmandu", "Australia/Lord_Howe", "America/New_York"] {
            let zone = zone(name);
            for interval in ["day", "week", "month"] {
                let wanted = Wanted {
                    from: Some("2026-01-07"),
                    to: Some("2026-11-03"),
                    interval: Some(interval),
                    ..Wanted::default()
                };
                let range = Range::parse(wanted, Preset::Days7, &zone, now).unwrap();
                assert_eq!(range.interval.name(), interval);
                for pair in range.periods.windows(2) {
                    assert_eq!(pair[0].range.to, pair[1].range.from, "{name} {interval}");
                }
                for period in range.periods.iter().chain([&range.whole]) {
                    assert_eq!(zone.local(period.range.from), period.first, "{name} {interval}");
                    assert_eq!(zone.local(period.range.to), period.next, "{name} {interval}");
                }
                assert_eq!(range.unfinished, None);
            }
        }
    }

    #[test]
    fn weeks_begin_on_monday_and_months_on_the_first() {
        let now = at("2026-11-18T13:20:00Z");
        for (interval, starts) in [
            ("week", ["2026-01-07", "2026-01-12", "2026-01-19"]),
            ("month", ["2026-01-07", "2026-02-01", "2026-03-01"]),
        ] {
            let wanted = Wanted { from: Some("2026-01-07"), interval: Some(interval), ..Wanted::default() };
            let range = Range::parse(wanted, Preset::Days7, &Zone::utc(), now).unwrap();
            let first: Vec<String> = range.periods[..3].iter().map(|p| date_of(p.first.day).to_string()).collect();
            assert_eq!(first, starts, "{interval}");
        }
    }

    #[test]
    fn lengths_choose_intervals_and_no_address_gives_too_many_periods() {
        let now = at("2026-11-18T13:20:00Z");
        for (from, wanted, interval) in [
            ("2026-11-17", None, Interval::Hour),
            ("2026-11-16", None, Interval::Day),
            ("2026-07-01", None, Interval::Week),
            ("2022-01-01", None, Interval::Month),
            ("2026-11-10", Some("hour"), Interval::Hour),
            ("2026-07-01", Some("hour"), Interval::Week), // too many hours
            ("2022-01-01", Some("day"), Interval::Month), // too many days
            ("2022-01-01", Some("fortnight"), Interval::Month),
        ] {
            let wanted = Wanted { from: Some(from), interval: wanted, ..Wanted::default() };
            let range = Range::parse(wanted, Preset::Days7, &zone("Europe/Zurich"), now).unwrap();
            assert_eq!(range.interval, interval, "{from}");
            assert!((1..=MAX_PERIODS).contains(&range.periods.len()), "{from}");
        }
    }

    #[test]
    fn senseless_addresses_say_what_is_wrong() {
        let now = at("2026-11-18T13:20:00Z");
        for (preset, from, to, problem) in [
            (Some("fortnight"), None, None, RangeProblem::Unknown),
            (None, Some("yesterday"), None, RangeProblem::NotADate),
            (None, Some("2026-02-30"), None, RangeProblem::NotADate),
            (None, Some("-000001-01-01"), None, RangeProblem::NotADate),
            (None, None, Some("2026-01-01"), RangeProblem::NoStart),
            (None, Some("2026-02-02"), Some("2026-02-01"), RangeProblem::Reversed),
            (None, Some("2026-11-19"), Some("2026-11-20"), RangeProblem::Future),
            (None, Some("2021-01-01"), None, RangeProblem::TooLong),
        ] {
            let wanted = Wanted { preset, from, to, ..Wanted::default() };
            assert_eq!(Range::parse(wanted, Preset::Days7, &Zone::utc(), now), Err(problem), "{from:?} {to:?}");
        }
    }

    #[test]
    fn days_that_have_not_come_are_left_out() {
        let now = at("2026-11-18T13:20:00Z");
        let wanted = Wanted { from: Some("2026-11-10"), to: Some("2026-12-24"), ..Wanted::default() };
        let range = Range::parse(wanted, Preset::Days7, &Zone::utc(), now).unwrap();
        assert_eq!((range.periods.len(), range.unfinished), (9, Some(8)));
    }

    #[test]
    fn the_24_hours_around_a_short_night_are_still_24() {
        let range = Range::of(Preset::Hours24, &zone("Europe/Zurich"), at("2026-03-29T10:30:00Z"));
        assert_eq!(range.periods.len(), 24);
        assert_eq!(range.whole.range.len(), 24 * Millis::HOUR);
    }
}
