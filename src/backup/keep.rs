//! Which backups stay: pure arithmetic over the times at which they were made.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;

use crate::model::Millis;

/// The newest of so many days, ISO weeks and months, in UTC.
const DAYS: usize = 7;
const WEEKS: usize = 4;
const MONTHS: usize = 6;

/// Those of the times that are kept: the newest of each of the last seven days, four weeks and six months that have any.
pub fn kept(times: &[Millis]) -> BTreeSet<Millis> {
    let mut newest_first = times.to_vec();
    newest_first.sort_unstable_by(|one, other| other.cmp(one));
    let date = |at: &Millis| at.timestamp().to_zoned(TimeZone::UTC).date();
    let day = |at: &Millis| (i32::from(date(at).year()), i32::from(date(at).day_of_year()));
    let week = |at: &Millis| (i32::from(date(at).iso_week_date().year()), i32::from(date(at).iso_week_date().week()));
    let month = |at: &Millis| (i32::from(date(at).year()), i32::from(date(at).month()));
    let mut kept = BTreeSet::new();
    kept.extend(first_of_each(&newest_first, DAYS, day));
    kept.extend(first_of_each(&newest_first, WEEKS, week));
    kept.extend(first_of_each(&newest_first, MONTHS, month));
    kept
}

/// The first time of each of the first so many stretches.
fn first_of_each(newest_first: &[Millis], count: usize, stretch: impl Fn(&Millis) -> (i32, i32)) -> Vec<Millis> {
    let mut seen = BTreeSet::new();
    newest_first.iter().filter(|at| seen.insert(stretch(at))).take(count).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Millis {
        Millis(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    #[test]
    fn seven_days_four_weeks_and_six_months_are_kept() {
        let newest = at("2026-11-26T03:00:00Z");
        let times: Vec<_> = (0..400).map(|day| newest.plus(-day * Millis::DAY)).collect();
        let kept: Vec<_> =
            kept(&times).into_iter().rev().map(|at| at.timestamp().strftime("%m-%d").to_string()).collect();
        let days = ["11-26", "11-25", "11-24", "11-23", "11-22", "11-21", "11-20"];
        // Sundays end weeks; the last days of months end those. The newest of each is there among the days already.
        let rest = ["11-15", "11-08", "10-31", "09-30", "08-31", "07-31", "06-30"];
        assert_eq!(kept, days.into_iter().chain(rest).collect::<Vec<_>>());
    }

    #[test]
    fn few_are_all_kept_and_of_one_day_the_newest() {
        let few = [at("2026-01-01T00:00:00Z"), at("2020-01-01T00:00:00Z")];
        assert_eq!(kept(&few).len(), 2);
        assert_eq!(kept(&[]), BTreeSet::new());
        let (early, late) = (at("2026-01-01T01:00:00Z"), at("2026-01-01T23:00:00Z"));
        assert_eq!(kept(&[early, late]), BTreeSet::from([late]));
    }
}
