//! The ranges right before and after one, of the same length.

use super::preset::{first_of_month, months_of};
use super::{Preset, Range};

/// Where a step from a range leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// To a range that has a name.
    Named(Preset),
    /// To local days, both included.
    Days(i32, i32),
}

/// As long a stretch right before, of whole months as many months; none where nothing has happened before the range:
/// `since` is the local day of the first event.
pub fn back(range: &Range, since: Option<i32>) -> Option<Step> {
    let (first, last) = (range.whole.first.day, range.whole.last_day());
    if range.preset == Preset::All || since.is_some_and(|since| first <= since) || first <= 0 {
        return None;
    }
    let (before, until) = match (range.preset, months_of(range)) {
        (Preset::Hours24, _) => (last - 1, last - 1),
        (_, Some(months)) => (first_of_month(first, -months), first - 1),
        (_, None) => (first - (last - first + 1), first - 1),
    };
    Some(Step::Days(before.max(0), until))
}

/// As long a stretch right after, up to today; none where that has not begun.
pub fn forward(range: &Range, today: i32) -> Option<Step> {
    let (first, last) = (range.whole.first.day, range.whole.last_day());
    let months = months_of(range);
    let (after, until) = match months {
        Some(months) => (first_of_month(first, months), first_of_month(first, 2 * months) - 1),
        None => (last + 1, last + (last - first + 1)),
    };
    if after > today {
        return None;
    }
    let until = until.min(today);
    let mut named = [Preset::Today, Preset::Days7, Preset::Days28, Preset::Days90, Preset::Month, Preset::Year];
    if months.is_some() {
        named.reverse();
    }
    let same = named.into_iter().find(|preset| until == today && preset.first_day(today) == after);
    Some(same.map_or(Step::Days(after, until), Step::Named))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Millis, Zone, date_of, days_since_1970};
    use crate::query::Wanted;

    fn told(step: Option<Step>) -> String {
        match step {
            None => "none".to_owned(),
            Some(Step::Named(preset)) => preset.name().to_owned(),
            Some(Step::Days(first, last)) => format!("{} {}", date_of(first), date_of(last)),
        }
    }

    #[test]
    fn steps_keep_the_length_and_end_today() {
        let now: Millis = "2026-11-18T13:20:00Z".parse::<jiff::Timestamp>().unwrap().into();
        let zone = Zone::find("Europe/Zurich").unwrap();
        for (range, before, after) in [
            ("today", "2026-11-17 2026-11-17", "none"),
            ("24h", "2026-11-17 2026-11-17", "none"),
            ("7d", "2026-11-05 2026-11-11", "none"),
            ("28d", "2026-09-24 2026-10-21", "none"),
            ("month", "2026-10-01 2026-10-31", "none"),
            ("year", "2024-12-01 2025-11-30", "none"),
            ("all", "none", "none"),
            ("2026-11-17 2026-11-17", "2026-11-16 2026-11-16", "today"),
            ("2026-11-05 2026-11-11", "2026-10-29 2026-11-04", "7d"),
            ("2026-11-05 2026-11-16", "2026-10-24 2026-11-04", "2026-11-17 2026-11-18"),
            ("2026-10-01 2026-10-31", "2026-09-01 2026-09-30", "month"),
            ("2026-02-01 2026-03-31", "2025-12-01 2026-01-31", "2026-04-01 2026-05-31"),
            ("2025-12-01 2026-11-18", "2024-12-13 2025-11-30", "none"),
            ("2024-12-01 2025-11-30", "2023-12-01 2024-11-30", "year"),
            ("2024-01-02 2024-01-08", "none", "2024-01-09 2024-01-15"), // nothing before the first event
        ] {
            let days = range.split_once(' ');
            let wanted = Wanted {
                preset: Some(range).filter(|_| days.is_none()),
                from: days.map(|days| days.0),
                to: days.map(|days| days.1),
                ..Wanted::default()
            };
            let since = days_since_1970("2024-01-02".parse().unwrap());
            let range = Range::parse(wanted, Preset::Days7, &zone, now).unwrap();
            assert_eq!(told(back(&range, Some(since))), before, "{wanted:?}");
            assert_eq!(told(forward(&range, zone.local(now).day)), after, "{wanted:?}");
        }
    }

    #[test]
    fn no_step_leads_before_1970() {
        let now: Millis = "2026-11-18T13:20:00Z".parse::<jiff::Timestamp>().unwrap().into();
        for (from, to, before) in
            [("1970-01-01", "1970-01-03", "none"), ("1970-01-02", "1970-01-08", "1970-01-01 1970-01-01")]
        {
            let wanted = Wanted { from: Some(from), to: Some(to), ..Wanted::default() };
            let range = Range::parse(wanted, Preset::Days7, &Zone::utc(), now).unwrap();
            assert_eq!(told(back(&range, None)), before);
        }
    }
}
