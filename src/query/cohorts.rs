//! The periods of cohorts on the calendar of the app's zone.

use jiff::Span;

use super::Interval;
use crate::model::{LocalTime, Millis, Period, TimeRange, Zone, date_of, days_since_1970};

/// The lengths that cohorts may have, and how many are shown of each.
pub const COHORTS: [(Interval, u8); 3] = [(Interval::Day, 14), (Interval::Week, 12), (Interval::Month, 12)];

/// The last days, weeks (from Monday) or calendar months up to the one that contains now, oldest first; days where hours
/// are asked for.
pub fn cohorts(interval: Interval, count: u8, zone: &Zone, now: Millis) -> Vec<Period> {
    let today = zone.local(now).day;
    // `back` before the one that contains now; -1 is the one after it.
    let first_day = |back: i32| match interval {
        Interval::Hour | Interval::Day => today - back,
        Interval::Week => today - (today + 3).rem_euclid(7) - 7 * back, // 1970-01-01 was a Thursday
        Interval::Month => {
            days_since_1970(date_of(today).first_of_month().saturating_sub(Span::new().months(i64::from(back))))
        }
    };
    let midnight = |day: i32| LocalTime { day, hour: 0 };
    (0..i32::from(count))
        .rev()
        .map(|back| {
            let (first, next) = (first_day(back), first_day(back - 1));
            let range = TimeRange { from: zone.midnight(first), to: zone.midnight(next) };
            Period { range, first: midnight(first), next: midnight(next) }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cohorts_are_whole_and_follow_each_other() {
        let zone = Zone::find("Europe/Zurich").unwrap();
        let now = "2026-03-31T21:59:00Z".parse::<jiff::Timestamp>().unwrap().into(); // a Tuesday, a minute to midnight
        for (interval, first, last, next) in [
            (Interval::Day, "2026-03-18", "2026-03-31", "2026-04-01"),
            (Interval::Week, "2026-01-12", "2026-03-30", "2026-04-06"),
            (Interval::Month, "2025-04-01", "2026-03-01", "2026-04-01"),
        ] {
            let (_, count) = COHORTS.into_iter().find(|(own, _)| *own == interval).unwrap();
            let periods = cohorts(interval, count, &zone, now);
            let day = |at: LocalTime| date_of(at.day).to_string();
            assert_eq!(periods.len(), usize::from(count));
            let (oldest, newest) = (periods[0], periods[periods.len() - 1]);
            assert_eq!([day(oldest.first), day(newest.first), day(newest.next)], [first, last, next]);
            assert!(newest.range.contains(now));
            for pair in periods.windows(2) {
                assert_eq!((pair[0].range.to, pair[0].next), (pair[1].range.from, pair[1].first), "{interval:?}");
            }
            for period in periods {
                assert_eq!((zone.local(period.range.from), zone.local(period.range.to)), (period.first, period.next));
            }
        }
    }
}
