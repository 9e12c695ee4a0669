//! Metrics with their totals, each a link that puts it on the chart.

use crate::model::Metric;

use super::format::{self, ChangeText};
use super::selection::Selection;

/// A metric with its total, for `parts/cards.html`.
pub struct Card {
    /// The metric.
    pub label: &'static str,
    /// The page with its chart.
    pub href: String,
    /// Whether the chart shows it.
    pub current: bool,
    /// Of the whole range.
    pub total: String,
    /// Against the earlier stretch.
    pub change: Option<ChangeText>,
    /// Of the earlier stretch.
    pub before: Option<String>,
}

/// The cards of a page at that path. `totals` has for each metric the whole range, and the earlier stretch where the
/// selection compares.
pub fn cards(selection: &Selection, metrics: &[Metric], totals: &[Vec<Option<i64>>], path: &str) -> Vec<Card> {
    let card = |(metric, totals): (&Metric, &Vec<Option<i64>>)| {
        let at = |place: usize| totals.get(place).copied().flatten();
        let before = selection.compared.as_ref().map(|_| at(1));
        Card {
            label: metric.label(),
            href: format!("{path}{}", selection.with_metric(*metric)),
            current: *metric == selection.metric,
            total: format::metric(*metric, at(0)),
            change: format::change_of(*metric, at(0), at(1)),
            before: before.map(|before| format::metric(*metric, before)),
        }
    };
    metrics.iter().zip(totals).map(card).collect()
}

/// The selection of a page that has only these metrics: the first of them is on the chart where none was chosen.
pub fn choosing(mut selection: Selection, metrics: &[Metric]) -> Selection {
    if !metrics.contains(&selection.metric) {
        selection.metric = metrics.first().copied().unwrap_or(selection.metric);
    }
    selection
}

/// The metrics of a page with the chosen one among them.
pub fn with_chosen(metrics: &[Metric], chosen: Metric) -> Vec<Metric> {
    let mut metrics = metrics.to_vec();
    if !metrics.contains(&chosen) {
        metrics.push(chosen);
    }
    metrics
}
