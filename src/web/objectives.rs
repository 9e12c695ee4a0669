//! How the box does by its objectives, as the status page shows it.

use std::time::Duration;

use crate::model::{Aim, Alarm, Budget, Objectives, Traffic};

use super::format::{budget_share, grouped};

/// One objective as a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectiveRow {
    /// Which requests, and what is asked of them.
    pub what: String,
    /// What share is asked for.
    pub target: String,
    /// What share it was.
    pub met: String,
    /// Of how many.
    pub of: String,
    /// How much of the budget is left.
    pub left: String,
    /// As a class of the style sheet: `well`, `look` or `wrong`.
    pub level: &'static str,
    /// How fast it is being spent, in words.
    pub pace: String,
}

/// A row for each budget.
pub fn rows(objectives: &Objectives, budgets: &[Budget]) -> Vec<ObjectiveRow> {
    let row = |budget: &Budget| ObjectiveRow {
        what: what(budget, objectives.bound(budget.traffic)),
        target: percent(budget.target),
        met: budget.met().map_or_else(|| "–".to_owned(), percent),
        of: match budget.requests {
            0 => "no requests yet".to_owned(),
            1 => "of 1 request".to_owned(),
            many => format!("of {} requests", grouped(i64::try_from(many).unwrap_or(i64::MAX))),
        },
        left: left(budget),
        level: match budget.alarm() {
            // A handful of misses is no alarm, and no reason to call it well.
            Alarm::None if budget.left <= 0.0 => "look",
            Alarm::None => "well",
            Alarm::Low => "look",
            Alarm::Spent => "wrong",
        },
        pace: pace(budget),
    };
    budgets.iter().map(row).collect()
}

fn what(budget: &Budget, bound: Duration) -> String {
    let whose = match budget.traffic {
        Traffic::Ingest => "Requests of SDKs",
        Traffic::Pages => "Pages and the read API",
    };
    match budget.aim {
        Aim::Availability => format!("{whose}: answered without a fault of the box"),
        Aim::Latency => {
            format!("{whose}: answered within {} ms", grouped(i64::try_from(bound.as_millis()).unwrap_or(0)))
        }
    }
}

fn left(budget: &Budget) -> String {
    match budget.left {
        left if left >= 1.0 => "all of it".to_owned(),
        left if left > 0.0 => budget_share(left),
        _ => match over(budget) {
            1 => "nothing, 1 miss too many".to_owned(),
            many => format!("nothing, {} misses too many", grouped(many)),
        },
    }
}

/// Misses beyond what the objective allows.
fn over(budget: &Budget) -> i64 {
    let allowed = budget.requests as f64 * (1.0 - budget.target);
    (budget.bad as f64 - allowed).ceil().max(0.0) as i64
}

fn pace(budget: &Budget) -> String {
    match (budget.pace, budget.days_left()) {
        (pace, _) if pace <= 0.0 => "nothing is being spent".to_owned(),
        (pace, _) if pace <= 1.0 => "slower than it may be spent".to_owned(),
        (pace, None) => format!("{} times as fast as it may be spent", times(pace)),
        (pace, Some(days)) => {
            format!("{} times as fast as it may be spent: the rest lasts {}", times(pace), span(days))
        }
    }
}

fn times(pace: f64) -> String {
    if pace < 9.95 { format!("{pace:.1}") } else { grouped(pace.round() as i64) }
}

fn span(days: f64) -> String {
    let counted = |many: i64, what: &str| if many == 1 { format!("1 {what}") } else { format!("{many} {what}s") };
    match days {
        days if days >= 2.0 => counted(days as i64, "day"),
        days if days * 24.0 >= 2.0 => counted((days * 24.0) as i64, "hour"),
        days => counted(((days * 24.0 * 60.0) as i64).max(1), "minute"),
    }
}

/// With as many digits as a target has that is close to 100.
fn percent(share: f64) -> String {
    let digits = if share < 0.99 { 10.0 } else { 1_000.0 };
    let text = format!("{:.3}", (share * 100.0 * digits + 1e-9).floor() / digits);
    format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn budget(bad: u64, left: f64, pace: f64) -> Budget {
        let (traffic, aim) = (Traffic::Ingest, Aim::Availability);
        Budget { traffic, aim, target: 0.999, requests: 100_000, bad, left, pace }
    }

    #[test]
    fn budgets_are_told_in_words() {
        for (budget, left, level, pace) in [
            (budget(0, 1.0, 0.0), "all of it", "well", "nothing is being spent"),
            (budget(50, 0.5, 0.4), "50%", "well", "slower than it may be spent"),
            (
                Budget { requests: 1_000, ..budget(9, -8.0, 0.0) },
                "nothing, 8 misses too many",
                "look",
                "nothing is being spent",
            ),
            (budget(90, 0.1, 6.0), "10%", "look", "6.0 times as fast as it may be spent: the rest lasts 12 hours"),
            (budget(90, 0.1, 1.5), "10%", "look", "1.5 times as fast as it may be spent: the rest lasts 2 days"),
            (budget(99, 0.01, 999.0), "1.0%", "look", "999 times as fast as it may be spent: the rest lasts 1 minute"),
            (budget(150, -0.5, 20.0), "nothing, 50 misses too many", "wrong", "20 times as fast as it may be spent"),
        ] {
            let rows = rows(&Objectives::default(), &[budget]);
            assert_eq!((&*rows[0].left, rows[0].level, &*rows[0].pace), (left, level, pace));
        }
    }

    #[test]
    fn shares_keep_the_digits_that_matter() {
        for (share, text) in [
            (0.999, "99.9%"),
            (0.99, "99%"),
            (0.99999, "99.999%"),
            (0.999_999, "99.999%"),
            (1.0, "100%"),
            (0.461_52, "46.1%"),
        ] {
            assert_eq!(percent(share), text);
        }
        let none = Budget { requests: 0, ..budget(0, 1.0, 0.0) };
        let row = &rows(&Objectives::default(), &[none])[0];
        assert_eq!((&*row.met, &*row.of), ("–", "no requests yet"));
    }
}
