//! The health of versions as the pages about them show it: rates beside those of the version before, and the share of
//! each version over time.

use crate::model::{Ask, Health, HealthAsk, Query, Report, VersionHealth, Zone};
use crate::query::{Aspect, Range, Release, Verdict, return_days};
use crate::store::StoreError;

use super::error::PageError;
use super::format::{Calendar, grouped};
use super::stack::{self, COLOURS, Parts, Stack};
use super::standing::Environments;
use super::state::WebState;

/// One rate of a version.
pub struct Rate {
    /// What it is.
    pub label: &'static str,
    /// In percent, a dash where there is nothing to speak of.
    pub value: String,
    /// Out of how many.
    pub detail: String,
    /// How it compares with the version before, in words.
    pub words: String,
    /// `up` for better, `down` for worse, `same` for neither.
    pub class: &'static str,
}

/// What the verdicts on a version come to.
pub struct Summary {
    /// In words.
    pub words: String,
    /// `up` for better, `down` for worse, `muted` for neither.
    pub class: &'static str,
}

/// The health of all versions in some environments together.
pub async fn health(
    state: &WebState,
    environments: &Environments,
    range: &Range,
    zone: &Zone,
) -> Result<Health, PageError> {
    let ask = HealthAsk { period: range.whole, days: return_days(range, zone, state.clock.now()) };
    let mut parts = Vec::new();
    for environment in environments.ids.iter().copied() {
        let report = state.reports.report(Query { environment, ask: Ask::Health(ask.clone()) }).await?;
        let Report::Health(health) = report.as_ref() else {
            return Err(StoreError::Unexpected("a report of another shape than asked for".to_owned()).into());
        };
        parts.push(health.clone());
    }
    Ok(Health::joined(parts))
}

/// The rates of a version, in the order of pages.
pub fn rates(release: &Release<'_>) -> Vec<Rate> {
    let rate = |aspect: Aspect| {
        let share = aspect.of(release.version);
        let (value, detail) = match aspect {
            _ if share.whole <= 0 => ("–".to_owned(), "none in this range".to_owned()),
            Aspect::Crashes => {
                let free = crate::query::Proportion { part: share.whole - share.part, ..share };
                (free.percent(), format!("{} of {} sessions crashed", grouped(share.part), grouped(share.whole)))
            }
            Aspect::Errors => (share.percent(), format!("{} of {} events", grouped(share.part), grouped(share.whole))),
            Aspect::Returns => {
                (share.percent(), format!("{} of {} new users", grouped(share.part), grouped(share.whole)))
            }
        };
        Rate {
            label: label(aspect),
            value,
            detail,
            words: release.words(aspect),
            class: class(release.verdict(aspect)),
        }
    };
    Aspect::ALL.into_iter().map(rate).collect()
}

/// The verdict that matters most: what is worse, else what is better, else that there is none.
pub fn summary(release: &Release<'_>) -> Summary {
    let with = |verdict: Verdict| Aspect::ALL.into_iter().find(|aspect| release.verdict(*aspect) == verdict);
    let found = [Verdict::Worse, Verdict::Better, Verdict::Unclear, Verdict::TooFew, Verdict::First];
    let found = found.into_iter().find_map(|verdict| with(verdict).map(|aspect| (verdict, aspect)));
    let (verdict, aspect) = found.unwrap_or((Verdict::First, Aspect::Crashes));
    let class = match verdict {
        Verdict::Worse => "down",
        Verdict::Better => "up",
        Verdict::Unclear | Verdict::TooFew | Verdict::First => "muted",
    };
    let words = match (verdict, release.before) {
        (Verdict::Unclear, Some(before)) => format!("no clear difference from {}", before.version),
        _ => release.words(aspect),
    };
    Summary { words, class }
}

/// The versions with the most sessions, over time: the one that was first seen last is the lowest. `href` leads to a
/// version's page.
pub async fn adoption(
    state: &WebState,
    (environments, range): (&Environments, &Range),
    health: &Health,
    calendar: &Calendar,
    href: impl Fn(&str) -> String,
) -> Result<Option<Stack>, PageError> {
    let mut most: Vec<&VersionHealth> = health.versions.iter().filter(|one| one.sessions > 0).collect();
    most.sort_by_key(|one| std::cmp::Reverse(one.sessions));
    most.truncate(COLOURS);
    let is_shown = |one: &&VersionHealth| most.iter().any(|shown| shown.version == one.version);
    let mut whole = vec![0; range.periods.len()];
    let mut parts = Vec::new();
    for version in health.versions.iter().rev().filter(is_shown) {
        let mut own = vec![0; range.periods.len()];
        let mut all = vec![0; range.periods.len()];
        for environment in environments.ids.iter().copied() {
            let ask = Ask::Adoption(version.version.clone(), range.periods.clone());
            let rows = state.reports.report(Query { environment, ask }).await?.counts();
            for (sum, row) in [&mut own, &mut all].into_iter().zip(rows) {
                sum.iter_mut().zip(row).for_each(|(sum, count)| *sum += count);
            }
        }
        whole = all;
        parts.push((version.version.clone(), Some(href(&version.version)), own));
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let name = |(at, period)| {
        let so_far = if range.unfinished == Some(at) { ", so far" } else { "" };
        (calendar.tick(range, period), format!("{}{so_far}", calendar.period(range.interval, period)))
    };
    let names = range.periods.iter().enumerate().map(name).collect();
    Ok(Some(stack::draw(&Parts { parts, whole, names, unfinished: range.unfinished })))
}

const fn label(aspect: Aspect) -> &'static str {
    match aspect {
        Aspect::Crashes => "Crash-free sessions",
        Aspect::Errors => "Error rate",
        Aspect::Returns => "Back the next day",
    }
}

const fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "up",
        Verdict::Worse => "down",
        Verdict::Unclear | Verdict::TooFew | Verdict::First => "same",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;
    use crate::query::releases;

    fn version(name: &str, crashed_sessions: i64, returned: i64) -> VersionHealth {
        VersionHealth {
            version: name.to_owned(),
            first_day: Millis(0),
            sessions: 1_000,
            crashed_sessions,
            events: 5_000,
            errors: 50,
            newcomers: 200,
            returned,
        }
    }

    #[test]
    fn what_is_worse_is_said_before_what_is_better() {
        for (now, class, words) in [
            (version("2", 90, 150), "down", "worse than 1: 9.0% of sessions crash, 1.0% before"),
            (version("2", 12, 150), "up", "better than 1: 75% of new users come back the next day, 40% before"),
            (version("2", 12, 80), "muted", "no clear difference from 1"),
        ] {
            let pair = [version("1", 10, 80), now];
            let told = releases(&pair).iter().map(summary).collect::<Vec<_>>();
            assert_eq!((told[1].class, told[1].words.as_str()), (class, words));
            assert_eq!((told[0].class, told[0].words.as_str()), ("muted", "no version before it"));
        }
    }

    #[test]
    fn rates_are_told_with_their_counts() {
        let pair = [version("1", 10, 80), VersionHealth { newcomers: 0, returned: 0, ..version("2", 0, 0) }];
        let rates = rates(&releases(&pair)[1]);
        let told: Vec<_> = rates.iter().map(|one| (one.value.as_str(), one.detail.as_str(), one.class)).collect();
        assert_eq!(
            told,
            [
                ("100%", "0 of 1,000 sessions crashed", "up"),
                ("1.0%", "50 of 5,000 events", "same"),
                ("–", "none in this range", "same"),
            ]
        );
    }
}
