//! Metrics over the periods of a range: the chart of the chosen one, and all of them as a table.

use crate::model::{Metric, Millis, Period, Unit, date_of};
use crate::query::{Interval, Preset};
use crate::store::StoreError;

use super::asking::Asking;
use super::chart::{self, Beside, Chart};
use super::format::{self, Calendar};
use super::selection::Selection;
use super::table::{Cell, Table};

/// A chart with what explains it, for `parts/board.html`.
pub struct Drawing {
    /// The metric.
    pub label: &'static str,
    /// What a period is.
    pub interval: &'static str,
    /// The chart.
    pub chart: Chart,
    /// Whether there is nothing to see.
    pub empty: bool,
    /// Whether the last period is not over.
    pub has_unfinished: bool,
    /// The days of the earlier stretch, where it is drawn.
    pub earlier: Option<String>,
    /// Whether the comparison stops at the hour that it is now.
    pub cut_comparison: bool,
    /// The highest value in words.
    pub spoken: String,
    /// Names of the table's columns.
    pub columns: Vec<String>,
    /// Newest first.
    pub rows: Vec<Row>,
}

/// A period in the table.
pub struct Row {
    /// Which.
    pub name: String,
    /// Whether it is not over.
    pub unfinished: bool,
    /// Versions that came in it.
    pub marks: Vec<String>,
    /// A value for each column.
    pub counts: Vec<String>,
}

/// What is known of the periods of a selection.
pub struct Board {
    /// The columns; the chosen metric is among them.
    metrics: Vec<Metric>,
    /// For each metric, one value for each period.
    rows: Vec<Vec<Option<i64>>>,
    /// The chosen metric at the same places of the earlier stretch.
    earlier: Vec<Option<i64>>,
    /// Versions, and when each was first seen.
    arrivals: Vec<(String, Millis)>,
}

impl Board {
    /// Asks for the metrics, the chosen one among them, over the selected range.
    pub async fn ask(asking: &Asking<'_>, selection: &Selection, metrics: Vec<Metric>) -> Result<Self, StoreError> {
        let places = selection.compared.as_ref().map_or(&[][..], |compared| &compared.periods);
        let before: Vec<Period> = places.iter().copied().flatten().collect();
        let chosen = [selection.metric];
        let (rows, before, arrivals) = tokio::try_join!(
            asking.series(&metrics, selection.range.periods.clone()),
            async {
                match before.is_empty() {
                    true => Ok(Vec::new()),
                    false => asking.series(&chosen, before).await,
                }
            },
            asking.arrivals(selection.range.whole),
        )?;
        let mut before = before.into_iter().next().unwrap_or_default().into_iter();
        let earlier = places.iter().map(|place| place.and_then(|_| before.next().flatten())).collect();
        Ok(Self { metrics, rows, earlier, arrivals })
    }

    /// The chosen metric as a chart, and the table beneath it.
    pub fn drawing(&self, selection: &Selection, calendar: &Calendar) -> Drawing {
        let Selection { range, metric, .. } = selection;
        let values = self.values(*metric);
        let points: Vec<_> =
            range.periods.iter().enumerate().map(|place| self.point(place, selection, calendar)).collect();
        let known = values.iter().enumerate().filter_map(|(at, value)| value.map(|value| (value, at)));
        let highest = known.max_by_key(|(value, at)| (*value, std::cmp::Reverse(*at)));
        let series = chart::Series {
            points,
            ahead: range.ahead.iter().map(|period| calendar.tick(range, period)).collect(),
            unfinished: range.unfinished,
        };
        let beside = Beside {
            earlier: self.earlier.clone(),
            missing: (0..range.periods.len()).filter(|at| self.value(*metric, *at).is_none()).collect(),
            marks: self.marks(selection).collect(),
        };
        let compared = selection.compared.as_ref();
        Drawing {
            label: metric.label(),
            interval: range.interval.name(),
            empty: values.iter().all(|value| value.unwrap_or(0) == 0),
            has_unfinished: range.unfinished.is_some(),
            earlier: compared.map(|compared| format::days(&compared.whole)),
            cut_comparison: compared.is_some() && range.preset != Preset::Hours24,
            spoken: highest.map_or(String::new(), |(_, at)| format!("Highest: {}.", series.points[at].title)),
            columns: self
                .metrics
                .iter()
                .map(|metric| metric.label().to_owned())
                .chain(compared.map(|_| "Before".to_owned()))
                .collect(),
            rows: (0..range.periods.len()).rev().map(|at| self.row(at, selection, calendar)).collect(),
            chart: chart::draw_metric(*metric, &series, &beside),
        }
    }

    /// All of it, as a file has it.
    pub fn table(&self, selection: &Selection) -> Table {
        let chosen = selection.metric;
        let compared = selection.compared.as_ref();
        let names = self.metrics.iter().map(|metric| column(*metric));
        let mut table = Table::new(
            ["period".to_owned(), "start".to_owned()]
                .into_iter()
                .chain(names)
                .chain(compared.map(|_| format!("before_{}", column(chosen)))),
        );
        for (at, period) in selection.range.periods.iter().enumerate() {
            let name = local(selection.range.interval, period);
            let mut row = vec![name.into(), period.range.from.timestamp().to_string().into()];
            row.extend(self.metrics.iter().map(|metric| cell(*metric, self.value(*metric, at))));
            row.extend(compared.map(|_| cell(chosen, self.before(at))));
            table.rows.push(row);
        }
        table
    }

    fn values(&self, metric: Metric) -> &[Option<i64>] {
        let row = self.metrics.iter().position(|one| *one == metric).and_then(|at| self.rows.get(at));
        row.map_or(&[], |row| row)
    }

    fn value(&self, metric: Metric, at: usize) -> Option<i64> {
        self.values(metric).get(at).copied().flatten()
    }

    fn before(&self, at: usize) -> Option<i64> {
        self.earlier.get(at).copied().flatten()
    }

    fn point(&self, (at, period): (usize, &Period), selection: &Selection, calendar: &Calendar) -> chart::Point {
        let Selection { range, metric, .. } = selection;
        let value = self.value(*metric, at);
        let noun = metric.label().to_lowercase();
        let told = match metric.unit() {
            Unit::Count => format!("{} {noun}", format::metric(*metric, value)),
            _ => format!("{noun} {}", format::metric(*metric, value)),
        };
        let so_far = if range.unfinished == Some(at) { " so far" } else { "" };
        let before = match self.before(at) {
            Some(before) => format!(", {} before", format::metric(*metric, Some(before))),
            None => String::new(),
        };
        chart::Point {
            value: value.unwrap_or(0),
            tick: calendar.tick(range, period),
            title: format!("{}: {told}{so_far}{before}", calendar.period(range.interval, period)),
        }
    }

    fn marks<'s>(&'s self, selection: &'s Selection) -> impl Iterator<Item = (usize, String)> + 's {
        let periods = &selection.range.periods;
        let place = |at: Millis| periods.partition_point(|period| period.range.to <= at);
        self.arrivals
            .iter()
            .map(move |(version, at)| (place(*at), version.clone()))
            .filter(|(at, _)| *at < periods.len())
    }

    fn row(&self, at: usize, selection: &Selection, calendar: &Calendar) -> Row {
        let range = &selection.range;
        let mut counts: Vec<_> =
            self.metrics.iter().map(|metric| format::metric(*metric, self.value(*metric, at))).collect();
        counts.extend(selection.compared.as_ref().map(|_| format::metric(selection.metric, self.before(at))));
        Row {
            name: calendar.period(range.interval, &range.periods[at]),
            unfinished: range.unfinished == Some(at),
            marks: self.marks(selection).filter(|(there, _)| *there == at).map(|(_, version)| version).collect(),
            counts,
        }
    }
}

/// The name of a metric's column in a file: what it counts, and in which unit where that is not said by its name.
pub fn column(metric: Metric) -> String {
    match metric.unit() {
        Unit::Duration => format!("{}_ms", metric.name()),
        _ => metric.name().to_owned(),
    }
}

/// A metric's value in a file: whole numbers, milliseconds, and shares of one.
pub fn cell(metric: Metric, value: Option<i64>) -> Cell {
    match (value, metric.unit()) {
        (None, _) => Cell::Empty,
        (Some(value), Unit::Count | Unit::Duration) => Cell::Number(value),
        (Some(value), Unit::Hundredths) => Cell::Decimal(value as f64 / 100.0),
        (Some(value), Unit::Share) => Cell::Decimal(value as f64 / 10_000.0),
    }
}

/// A period on the app's own calendar, as programs read it: `2026-11-18T14:00`, `2026-11-18`, `2026-11`.
fn local(interval: Interval, period: &Period) -> String {
    let date = date_of(period.first.day);
    match interval {
        Interval::Hour => format!("{date}T{:02}:00", period.first.hour),
        Interval::Day | Interval::Week => date.to_string(),
        Interval::Month => date.strftime("%Y-%m").to_string(),
    }
}
