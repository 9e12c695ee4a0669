//! What a range is compared with, and how a count differs from the count before it.

use super::preset::{first_of_month, months_of};
use super::range::{days_period, hours_of, join};
use super::{Interval, Preset, Range};
use crate::model::{Millis, Period, Zone, date_of};

/// What a range is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compare {
    /// As long a stretch right before; of whole months, as many months.
    #[default]
    Previous,
    /// The same days a year before.
    Year,
    /// Nothing.
    None,
}

impl Compare {
    /// Every comparison, in the order of menus.
    pub const ALL: [Self; 3] = [Self::Previous, Self::Year, Self::None];

    /// As in URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Previous => "previous",
            Self::Year => "year",
            Self::None => "none",
        }
    }

    /// As on pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Previous => "The stretch before",
            Self::Year => "The same days last year",
            Self::None => "Nothing",
        }
    }

    /// The comparison of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|compare| compare.name() == name)
    }
}

/// An earlier stretch beside a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// All of it. Where the range is unfinished, it stops at the same hour of its own last day (that hour included), so
    /// that like is compared with like.
    pub whole: Period,
    /// For each period of the range, those that are still ahead included, the one at the same place of the earlier
    /// stretch; none where that place does not exist, such as the 31st of a month of 30 days.
    pub periods: Vec<Option<Period>>,
}

/// What a range is compared with; nothing for a range that has everything in it.
pub fn compared(range: &Range, how: Compare, zone: &Zone, now: Millis) -> Option<Compared> {
    let back = match (how, range.preset) {
        (Compare::None, _) | (_, Preset::All) => return None,
        (Compare::Previous, Preset::Hours24) => return Some(hours_before(range, zone)),
        (Compare::Year, _) => Back::Months(12),
        (Compare::Previous, _) => match months_of(range) {
            Some(months) => Back::Months(months),
            None => Back::Days(range.whole.last_day() + 1 - range.whole.first.day),
        },
    };
    let all = range.periods.iter().chain(&range.ahead);
    let periods: Vec<_> = all.map(|period| back.period(range.interval, period, zone)).collect();
    let whole = if range.preset == Preset::Hours24 {
        join(&periods.iter().copied().flatten().collect::<Vec<_>>())
    } else {
        back.whole(range, zone, now)
    };
    Some(Compared { whole, periods })
}

/// The 24 hours before the last 24.
fn hours_before(range: &Range, zone: &Zone) -> Compared {
    let first = range.whole.first.day;
    let mut hours: Vec<Period> = (first - 2..=first).flat_map(|day| hours_of(zone, day)).collect();
    hours.retain(|hour| hour.range.to <= range.whole.range.from);
    let hours = hours.split_off(hours.len().saturating_sub(range.periods.len()));
    Compared { whole: join(&hours), periods: hours.into_iter().map(Some).collect() }
}

/// How far back the earlier stretch lies.
#[derive(Clone, Copy)]
enum Back {
    Days(i32),
    /// Months keep their days; what an earlier month is too short for falls on the first day after it.
    Months(i32),
}

impl Back {
    fn day(self, day: i32) -> i32 {
        match self {
            Self::Days(days) => day - days,
            Self::Months(months) => {
                let place = i32::from(date_of(day).day()) - 1;
                (first_of_month(day, -months) + place).min(first_of_month(day, 1 - months))
            }
        }
    }

    /// Whether a day has one of its own in the earlier stretch.
    fn has(self, day: i32) -> bool {
        self.day(day) < self.day(day + 1)
    }

    fn period(self, interval: Interval, period: &Period, zone: &Zone) -> Option<Period> {
        let day = period.first.day;
        match interval {
            Interval::Hour if self.has(day) => {
                hours_of(zone, self.day(day)).get(usize::from(period.first.hour)).copied()
            }
            Interval::Day if self.has(day) => Some(days_period(zone, self.day(day), self.day(day))),
            Interval::Hour | Interval::Day => None,
            Interval::Week | Interval::Month => {
                let (first, next) = (self.day(day), self.day(period.last_day() + 1));
                (first < next).then(|| days_period(zone, first, next - 1))
            }
        }
    }

    fn whole(self, range: &Range, zone: &Zone, now: Millis) -> Period {
        let (first, last) = (range.whole.first.day, range.whole.last_day());
        if range.unfinished.is_none() || !self.has(last) {
            return days_period(zone, self.day(first), self.day(last + 1) - 1);
        }
        let last = self.day(last);
        let mut whole = days_period(zone, self.day(first), last);
        let hours = hours_of(zone, last);
        let hour = usize::from(zone.local(now).hour).min(hours.len().saturating_sub(1));
        if let Some(hour) = hours.get(hour) {
            whole.range.to = hour.range.to;
            whole.next = hour.next;
        }
        whole
    }
}

/// Which way a count went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// More than before.
    Up,
    /// Fewer than before.
    Down,
    /// As many as before.
    Same,
    /// Some now, none before: no fraction says how much more that is.
    New,
}

/// The change of a count against an earlier one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// Which way.
    pub direction: Direction,
    /// By which part of the earlier count, never negative; 0 where nothing changed, `None` where there was none.
    pub fraction: Option<f64>,
}

/// Compares a count with the one before; counts below zero are taken as zero.
pub fn compare(now: i64, before: i64) -> Change {
    let (now, before) = (now.max(0), before.max(0));
    match (now, before) {
        (0, 0) => Change { direction: Direction::Same, fraction: Some(0.0) },
        (_, 0) => Change { direction: Direction::New, fraction: None },
        _ => {
            let direction = match now.cmp(&before) {
                std::cmp::Ordering::Greater => Direction::Up,
                std::cmp::Ordering::Less => Direction::Down,
                std::cmp::Ordering::Equal => Direction::Same,
            };
            Change { direction, fraction: Some((now - before).unsigned_abs() as f64 / before as f64) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::Wanted;

    fn at(text: &str) -> Millis {
        text.parse::<jiff::Timestamp>().unwrap().into()
    }

    fn ends(period: &Period) -> [String; 2] {
        [period.range.from, period.range.to].map(|at| at.timestamp().to_string())
    }

    #[test]
    fn unfinished_ranges_are_compared_up_to_the_same_hour() {
        let zone = Zone::find("Europe/Zurich").unwrap();
        let now = at("2026-11-18T13:20:00Z"); // 14:20 in Zurich
        for (preset, how, from, to) in [
            (Preset::Today, Compare::Previous, "2026-11-16T23", "2026-11-17T14"),
            (Preset::Hours24, Compare::Previous, "2026-11-16T14", "2026-11-17T14"),
            (Preset::Days7, Compare::Previous, "2026-11-04T23", "2026-11-11T14"),
            (Preset::Month, Compare::Previous, "2026-09-30T22", "2026-10-18T13"), // summer time
            (Preset::Year, Compare::Previous, "2024-11-30T23", "2025-11-18T14"),
            (Preset::Today, Compare::Year, "2025-11-17T23", "2025-11-18T14"),
            (Preset::Hours24, Compare::Year, "2025-11-17T14", "2025-11-18T14"),
            (Preset::Month, Compare::Year, "2025-10-31T23", "2025-11-18T14"),
        ] {
            let range = Range::of(preset, &zone, now);
            let compared = compared(&range, how, &zone, now).unwrap();
            assert_eq!(ends(&compared.whole), [from, to].map(|t| format!("{t}:00:00Z")), "{preset:?} {how:?}");
            assert_eq!(compared.periods.len(), range.periods.len() + range.ahead.len(), "{preset:?} {how:?}");
            assert!(compared.periods.iter().all(Option::is_some), "{preset:?} {how:?}");
        }
        for (preset, how) in [(Preset::All, Compare::Year), (Preset::Days7, Compare::None)] {
            assert_eq!(compared(&Range::of(preset, &zone, now), how, &zone, now), None, "{preset:?}");
        }
    }

    #[test]
    fn finished_ranges_are_compared_with_whole_days_and_months() {
        let now = at("2028-11-18T13:20:00Z");
        for (from, to, how, first, last, missing) in [
            ("2026-10-05", "2026-10-11", Compare::Previous, "2026-09-28", "2026-10-04", 0),
            ("2026-10-01", "2026-10-31", Compare::Previous, "2026-09-01", "2026-09-30", 1),
            ("2026-03-01", "2026-03-31", Compare::Previous, "2026-02-01", "2026-02-28", 3),
            ("2026-02-01", "2026-02-28", Compare::Previous, "2026-01-01", "2026-01-31", 0),
            ("2026-02-01", "2026-03-31", Compare::Previous, "2025-12-01", "2026-01-31", 0),
            ("2028-02-27", "2028-03-02", Compare::Year, "2027-02-27", "2027-03-02", 1),
            ("2028-02-27", "2028-02-29", Compare::Year, "2027-02-27", "2027-02-28", 1),
        ] {
            let wanted = Wanted { from: Some(from), to: Some(to), interval: Some("day"), ..Wanted::default() };
            let range = Range::parse(wanted, Preset::Days7, &Zone::utc(), now).unwrap();
            let compared = compared(&range, how, &Zone::utc(), now).unwrap();
            let days = [compared.whole.first.day, compared.whole.last_day()].map(|day| date_of(day).to_string());
            assert_eq!(days, [first, last], "{from} {how:?}");
            assert_eq!(compared.periods.iter().filter(|period| period.is_none()).count(), missing, "{from} {how:?}");
            assert!(compared.periods.iter().flatten().all(Period::is_day), "{from} {how:?}");
        }
    }

    #[test]
    fn days_with_and_without_summer_time_are_compared_hour_by_hour() {
        for (name, day, missing) in [
            ("Europe/Zurich", "2026-03-29", 0), // 23 hours after 24
            ("Europe/Zurich", "2026-03-30", 1), // 24 hours after 23
            ("Europe/Zurich", "2026-10-25", 1), // 25 hours after 24
            ("Europe/Zurich", "2026-10-26", 0),
            ("Australia/Lord_Howe", "2026-04-05", 1), // 24.5 hours after 24
        ] {
            let (zone, now) = (Zone::find(name).unwrap(), at("2026-11-18T13:20:00Z"));
            let wanted = Wanted { from: Some(day), to: Some(day), ..Wanted::default() };
            let range = Range::parse(wanted, Preset::Days7, &zone, now).unwrap();
            let compared = compared(&range, Compare::Previous, &zone, now).unwrap();
            assert_eq!(compared.whole.range.to, range.whole.range.from, "{name} {day}");
            assert_eq!(compared.periods.iter().filter(|period| period.is_none()).count(), missing, "{name} {day}");
            for (period, earlier) in range.periods.iter().zip(&compared.periods) {
                let Some(earlier) = earlier else { continue };
                assert_eq!(earlier.first.hour, period.first.hour, "{name} {day}");
                assert_eq!(zone.local(earlier.range.from), earlier.first, "{name} {day}");
                assert_eq!(zone.local(earlier.range.to), earlier.next, "{name} {day}");
            }
        }
    }

    #[test]
    fn the_24_hours_before_a_short_night_are_still_24() {
        let (zone, now) = (Zone::find("Europe/Zurich").unwrap(), at("2026-03-29T10:30:00Z"));
        let range = Range::of(Preset::Hours24, &zone, now);
        let compared = compared(&range, Compare::Previous, &zone, now).unwrap();
        assert_eq!(compared.whole.range.to, range.whole.range.from);
        assert_eq!(compared.whole.range.len(), 24 * Millis::HOUR);
        assert_eq!(compared.periods.len(), 24);
    }

    #[test]
    fn a_month_is_compared_with_as_much_of_a_shorter_one_as_there_is() {
        let now = at("2026-03-31T10:00:00Z");
        let range = Range::of(Preset::Month, &Zone::utc(), now);
        let compared = compared(&range, Compare::Previous, &Zone::utc(), now).unwrap();
        assert_eq!(ends(&compared.whole), ["2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"]);
    }

    #[test]
    fn change_is_a_part_of_the_earlier_count() {
        for (now, before, direction, fraction) in [
            (150, 100, Direction::Up, Some(0.5)),
            (50, 100, Direction::Down, Some(0.5)),
            (0, 7, Direction::Down, Some(1.0)),
            (7, 7, Direction::Same, Some(0.0)),
            (0, 0, Direction::Same, Some(0.0)),
            (3, 0, Direction::New, None),
            (3, -1, Direction::New, None),
            (300, 100, Direction::Up, Some(2.0)),
        ] {
            assert_eq!(compare(now, before), Change { direction, fraction }, "{now} after {before}");
        }
    }
}
