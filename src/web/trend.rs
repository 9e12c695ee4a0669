//! Some metrics of a range beside each other, and the chart of the one that is chosen, for `parts/trend.html`.

use crate::model::{Ask, EnvironmentId, Filters, Metric, Period, Query, Unit, Wish};
use crate::query::{Direction, Preset, compare};

use super::chart::{self, Chart};
use super::error::PageError;
use super::format::{self, Calendar, ChangeText, grouped};
use super::selection::Selection;
use super::state::WebState;

/// Metrics of a range, and the chart of one.
pub struct Trend {
    /// One for each metric.
    pub cards: Vec<Card>,
    /// The chosen one over time, and all of them in numbers.
    pub drawing: Drawing,
}

/// A metric with its value over the whole range.
pub struct Card {
    /// Its name.
    pub label: &'static str,
    /// The page with its chart.
    pub href: String,
    /// Whether it is the one in the chart.
    pub current: bool,
    /// Its value, in words.
    pub total: String,
    /// Against the earlier stretch, and what it was then; where there is one.
    pub change: Option<(ChangeText, String)>,
}

/// The chart of the chosen metric, and the table beneath it.
pub struct Drawing {
    /// What it shows.
    pub label: &'static str,
    /// What one of its bars is.
    pub interval: &'static str,
    /// The figures.
    pub chart: Chart,
    /// Whether there is nothing in it.
    pub empty: bool,
    /// Whether its last bar goes on growing.
    pub has_unfinished: bool,
    /// Whether the stretch before is cut at the hour that it is now.
    pub cut_comparison: bool,
    /// Its highest bar, in words.
    pub spoken: String,
    /// Latest first.
    pub rows: Vec<TableRow>,
}

/// One period in numbers.
pub struct TableRow {
    /// Its name.
    pub name: String,
    /// Whether it goes on.
    pub unfinished: bool,
    /// One for each metric.
    pub counts: Vec<String>,
}

/// Of what.
pub struct Asked<'a> {
    /// Where.
    pub environment: EnvironmentId,
    /// When, and which metric is chosen; where it is none of these, the first.
    pub selection: &'a Selection,
    /// Of which events; as the selection has it, or narrower.
    pub filters: &'a Filters,
    /// At least one.
    pub metrics: &'a [Metric],
}

/// One value for each metric, once for each period.
pub type Values = Vec<Vec<Option<i64>>>;

impl Asked<'_> {
    /// The metric in the chart.
    pub fn chosen(&self) -> Metric {
        let chosen = self.selection.metric;
        if self.metrics.contains(&chosen) { chosen } else { self.metrics.first().copied().unwrap_or(chosen) }
    }

    /// Each metric, once for each period of the range.
    pub async fn series(&self, state: &WebState) -> Result<Values, PageError> {
        self.ask(state, self.selection.range.periods.clone()).await
    }

    /// Metrics and chart; `path` is the page's.
    pub async fn trend(&self, state: &WebState, path: &str) -> Result<Trend, PageError> {
        let range = &self.selection.range;
        let earlier = self.selection.compared.as_ref().map(|earlier| earlier.whole);
        let stretches = std::iter::once(range.whole).chain(earlier).collect();
        let (series, totals) = tokio::try_join!(self.series(state), self.ask(state, stretches))?;
        let calendar = Calendar::new(self.selection.ground.zone.clone(), self.selection.ground.now);
        Ok(Trend { cards: self.cards(&totals, path), drawing: self.drawing(&series, &calendar) })
    }

    async fn ask(&self, state: &WebState, periods: Vec<Period>) -> Result<Values, PageError> {
        let ask = Ask::Series(self.metrics.to_vec(), periods, self.filters.clone());
        let report = state.reports.report(Query { environment: self.environment, ask }).await?;
        Ok(report.series().to_vec())
    }

    fn cards(&self, totals: &Values, path: &str) -> Vec<Card> {
        let card = |(at, metric): (usize, &Metric)| {
            let (now, before) = (value(totals, at, 0), value(totals, at, 1));
            let change =
                self.selection.compared.is_some().then(|| (changed(*metric, now, before), told(*metric, before)));
            Card {
                label: metric.label(),
                href: format!("{path}{}", self.selection.with_metric(*metric)),
                current: *metric == self.chosen(),
                total: told(*metric, now),
                change,
            }
        };
        self.metrics.iter().enumerate().map(card).collect()
    }

    fn drawing(&self, series: &Values, calendar: &Calendar) -> Drawing {
        let (range, metric) = (&self.selection.range, self.chosen());
        let chosen = self.metrics.iter().position(|one| *one == metric).unwrap_or(0);
        let noun = metric.label().to_lowercase();
        let so_far = |at| if range.unfinished == Some(at) { " so far" } else { "" };
        let point = |(at, period): (usize, &Period)| {
            let (name, value) = (calendar.period(range.interval, period), value(series, chosen, at));
            chart::Point {
                value: drawn(metric, value),
                tick: calendar.tick(range, period),
                title: match metric.unit() {
                    Unit::Count => format!("{name}: {} {noun}{}", told(metric, value), so_far(at)),
                    Unit::Share | Unit::Hundredths | Unit::Duration => {
                        format!("{name}: {noun} {}{}", told(metric, value), so_far(at))
                    }
                },
            }
        };
        let points: Vec<_> = range.periods.iter().enumerate().map(point).collect();
        let row = |(at, period): (usize, &Period)| TableRow {
            name: calendar.period(range.interval, period),
            unfinished: range.unfinished == Some(at),
            counts: self
                .metrics
                .iter()
                .enumerate()
                .map(|(one, metric)| told(*metric, value(series, one, at)))
                .collect(),
        };
        let highest = points.iter().max_by_key(|point| point.value);
        let spoken = highest.map_or(String::new(), |point| format!("Highest: {}.", point.title));
        let empty = points.iter().all(|point| point.value == 0);
        let ahead = range.ahead.iter().map(|period| calendar.tick(range, period)).collect();
        let series = chart::Series { points, ahead, unfinished: range.unfinished };
        Drawing {
            label: metric.label(),
            interval: range.interval.name(),
            empty,
            has_unfinished: range.unfinished.is_some(),
            cut_comparison: self.selection.compared.is_some() && range.preset != Preset::Hours24,
            spoken,
            rows: range.periods.iter().enumerate().rev().map(row).collect(),
            chart: match metric.unit() {
                Unit::Share => chart::draw_shares(&series),
                Unit::Count | Unit::Hundredths | Unit::Duration => chart::draw(&series),
            },
        }
    }
}

fn value(values: &Values, metric: usize, period: usize) -> Option<i64> {
    values.get(metric).and_then(|row| row.get(period)).copied().flatten()
}

/// A value as charts count it: shares in thousandths, lengths of time in seconds, others as they are.
fn drawn(metric: Metric, value: Option<i64>) -> i64 {
    let value = value.unwrap_or(0);
    match metric.unit() {
        Unit::Count => value,
        Unit::Share => value / 10,
        Unit::Hundredths => value / 100,
        Unit::Duration => value / 1_000,
    }
}

/// A metric's value in words; a dash where there is nothing to speak of.
pub fn told(metric: Metric, value: Option<i64>) -> String {
    let Some(value) = value else { return "–".to_owned() };
    match metric.unit() {
        Unit::Count => grouped(value),
        Unit::Share => hundredths(value) + "%",
        Unit::Hundredths => hundredths(value),
        Unit::Duration => format::duration(value),
    }
}

/// `12`, `12.5`, `99.97`.
fn hundredths(value: i64) -> String {
    match (value / 100, value % 100) {
        (whole, 0) => grouped(whole),
        (whole, part) if part % 10 == 0 => format!("{}.{}", grouped(whole), part / 10),
        (whole, part) => format!("{}.{part:02}", grouped(whole)),
    }
}

/// A change in the colour of good or bad news.
fn changed(metric: Metric, now: Option<i64>, before: Option<i64>) -> ChangeText {
    let change = compare(now.unwrap_or(0), before.unwrap_or(0));
    let text = format::change(change);
    let class = match (metric.wish(), change.direction) {
        (Wish::Less, Direction::Up | Direction::New) => "down",
        (Wish::Less, Direction::Down) => "up",
        (Wish::Either, _) => "same",
        (Wish::More, _) | (Wish::Less, Direction::Same) => text.class,
    };
    match (now, before) {
        (Some(_), Some(_)) => ChangeText { class, ..text },
        (None, _) | (_, None) => ChangeText { class: "same", text: "–".to_owned() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_told_in_their_unit() {
        for (metric, value, text) in [
            (Metric::Errors, Some(12_345), "12,345"),
            (Metric::ErrorRate, Some(310), "3.1%"),
            (Metric::ErrorRate, Some(5), "0.05%"),
            (Metric::CrashFreeSessions, Some(10_000), "100%"),
            (Metric::CrashFreeSessions, Some(9_997), "99.97%"),
            (Metric::EventsPerSession, Some(250), "2.5"),
            (Metric::SessionLength, Some(125 * 60_000), "2 h 5 min"),
            (Metric::CrashFreeUsers, None, "–"),
        ] {
            assert_eq!(told(metric, value), text, "{metric:?} {value:?}");
        }
    }

    #[test]
    fn more_errors_are_bad_news() {
        for (metric, now, before, class, text) in [
            (Metric::Errors, Some(20), Some(10), "down", "+100%"),
            (Metric::Errors, Some(5), Some(10), "up", "−50%"),
            (Metric::Errors, Some(5), Some(0), "down", "new"),
            (Metric::CrashFreeSessions, Some(9_900), Some(10_000), "down", "−1.0%"),
            (Metric::Events, Some(20), Some(10), "up", "+100%"),
            (Metric::SessionLength, Some(20), Some(10), "same", "+100%"),
            (Metric::ErrorRate, Some(20), None, "same", "–"),
        ] {
            let change = changed(metric, now, before);
            assert_eq!((change.class, change.text.as_str()), (class, text), "{metric:?} {now:?}");
        }
    }
}
