//! The days whose new users can be asked for whether they came back.

use super::Range;
use super::range::days_period;
use crate::model::{HealthAsk, Millis, Period, Zone};

/// The whole local days of a range up to the day before yesterday, oldest first: the day after each is over. The latest
/// [`HealthAsk::DAYS`] of them.
pub fn return_days(range: &Range, zone: &Zone, now: Millis) -> Vec<Period> {
    let whole = &range.whole;
    let first = if whole.first.hour == 0 { whole.first.day } else { whole.first.day + 1 };
    let end = whole.next.day.min(zone.local(now).day - 1);
    let days = i32::try_from(HealthAsk::DAYS).unwrap_or(i32::MAX);
    (first.max(end.saturating_sub(days))..end).map(|day| days_period(zone, day, day)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::date_of;
    use crate::query::{Preset, Wanted};

    #[test]
    fn the_day_after_each_is_over() {
        let zone = Zone::find("Europe/Zurich").unwrap();
        let now = "2026-11-18T22:59:00Z".parse::<jiff::Timestamp>().unwrap().into(); // a minute before midnight
        let of = |range: &Range| {
            let days = return_days(range, &zone, now);
            assert!(days.iter().all(Period::is_day));
            let date = |day: Option<&Period>| day.map(|day| date_of(day.first.day).to_string()).unwrap_or_default();
            (days.len(), date(days.first()), date(days.last()))
        };
        for (preset, count, first, last) in [
            (Preset::Days7, 5, "2026-11-12", "2026-11-16"),
            (Preset::Year, 90, "2026-08-19", "2026-11-16"),
            (Preset::Today, 0, "", ""),
            (Preset::Hours24, 0, "", ""),
        ] {
            let found = of(&Range::of(preset, &zone, now));
            assert_eq!(found, (count, first.to_owned(), last.to_owned()), "{preset:?}");
        }
        let wanted = Wanted { from: Some("2026-10-24"), to: Some("2026-10-26"), ..Wanted::default() };
        let past = Range::parse(wanted, Preset::Days7, &zone, now).unwrap();
        assert_eq!(of(&past), (3, "2026-10-24".to_owned(), "2026-10-26".to_owned()));
    }
}
