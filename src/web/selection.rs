//! What a reader has chosen on the overview, as it stands in the address.

use crate::model::{Metric, Millis, Zone, date_of};
use crate::query::{Interval, Preset, Range, RangeProblem, Wanted};

use super::form::Fields;

/// The metrics that can be chosen, in their order on the page.
pub const METRICS: [Metric; 3] = [Metric::Events, Metric::Users, Metric::Sessions];

/// Range and metric.
pub struct Selection {
    /// The stretch of time, cut into periods.
    pub range: Range,
    /// What the chart shows.
    pub metric: Metric,
    /// Why the address was not followed, where it was not.
    pub problem: Option<RangeProblem>,
    /// The interval, where the address names one.
    interval: Option<Interval>,
}

impl Selection {
    /// Reads a query string. What makes no sense is left out and said in `problem`.
    pub fn parse(query: &str, fallback: Preset, zone: &Zone, now: Millis) -> Self {
        let fields = Fields::parse(query.as_bytes());
        let wanted = Wanted {
            preset: fields.find("range"),
            from: fields.find("from"),
            to: fields.find("to"),
            interval: fields.find("by"),
        };
        let metric = METRICS.into_iter().find(|metric| metric.name() == fields.get("metric"));
        let (range, problem) = match Range::parse(wanted, fallback, zone, now) {
            Ok(range) => (range, None),
            Err(problem) => (Range::of(fallback, zone, now), Some(problem)),
        };
        let interval = fields.find("by").and_then(Interval::parse).filter(|interval| *interval == range.interval);
        Self { range, metric: metric.unwrap_or(Metric::Events), problem, interval }
    }

    /// The query string that leads here with another metric.
    pub fn with_metric(&self, metric: Metric) -> String {
        let mut pairs = self.range_pairs();
        pairs.extend(self.interval.map(|interval| ("by", interval.name().to_owned())));
        pairs.push(("metric", metric.name().to_owned()));
        encode(&pairs)
    }

    /// The query string that leads here with another range, by name.
    pub fn with_preset(&self, preset: Preset) -> String {
        let metric = ("metric", self.metric.name().to_owned());
        encode(&[("range", preset.name().to_owned()), metric])
    }

    /// First and last day, for the fields of a custom range.
    pub fn days(&self) -> (String, String) {
        let Range { whole, .. } = &self.range;
        (date_of(whole.first.day).to_string(), date_of(whole.last_day()).to_string())
    }

    fn range_pairs(&self) -> Vec<(&'static str, String)> {
        match self.range.preset {
            Preset::Custom => {
                let (from, to) = self.days();
                vec![("from", from), ("to", to)]
            }
            preset => vec![("range", preset.name().to_owned())],
        }
    }
}

fn encode(pairs: &[(&'static str, String)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    format!("?{query}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Millis {
        "2026-11-18T13:20:00Z".parse::<jiff::Timestamp>().unwrap().into()
    }

    #[test]
    fn addresses_lead_back_to_what_they_show() {
        for (query, metric, preset) in [
            ("", "?range=7d&metric=users", "?range=today&metric=events"),
            ("range=90d&metric=sessions", "?range=90d&metric=users", "?range=today&metric=sessions"),
            ("range=90d&by=week", "?range=90d&by=week&metric=users", "?range=today&metric=events"),
            (
                "from=2026-11-01&to=2026-11-03&metric=users",
                "?from=2026-11-01&to=2026-11-03&metric=users",
                "?range=today&metric=users",
            ),
            ("metric=%3Cscript%3E&range=7d", "?range=7d&metric=users", "?range=today&metric=events"),
        ] {
            let selection = Selection::parse(query, Preset::Days7, &Zone::utc(), now());
            assert_eq!(selection.with_metric(Metric::Users), metric, "{query}");
            assert_eq!(selection.with_preset(Preset::Today), preset, "{query}");
            assert_eq!(selection.problem, None, "{query}");
        }
    }

    #[test]
    fn senseless_ranges_fall_back_and_say_so() {
        let selection = Selection::parse("from=soon&metric=users", Preset::Hours24, &Zone::utc(), now());
        assert_eq!(selection.range.preset, Preset::Hours24);
        assert_eq!(selection.problem, Some(RangeProblem::NotADate));
        assert_eq!(selection.metric, Metric::Users);
    }
}
