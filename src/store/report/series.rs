//! Metrics over periods: from the summaries where those can tell, else from the raw events.

use super::super::Result;
use super::super::scan::numbers;
use super::super::sql::{Cell, Row, Sql};
use super::breakdown::{of_summary, summed};
use super::{bucket, scanned, users};
use crate::model::{Counts, Dimension, EnvironmentId, Filter, Filters, Keep, LENGTHS, Metric, Millis, Period};
use crate::rollup::{Bucket, Measures, length_quantile};

/// Periods longer than this are read from the summaries of days.
const LONG: i64 = 2 * Millis::DAY;

/// Each metric, once for each period.
pub(super) fn series(
    db: &dyn Sql,
    environment: EnvironmentId,
    (metrics, periods): (&[Metric], &[Period]),
    filters: &Filters,
) -> Result<Vec<Vec<Option<i64>>>> {
    let counts = counts(db, environment, (metrics, periods), filters)?;
    Ok(metrics.iter().map(|metric| counts.iter().map(|counts| metric.value(counts)).collect()).collect())
}

/// What each period comes to, as far as the metrics need it.
pub(in crate::store) fn counts(
    db: &dyn Sql,
    environment: EnvironmentId,
    (metrics, periods): (&[Metric], &[Period]),
    filters: &Filters,
) -> Result<Vec<Counts>> {
    if filters.is_empty() {
        return everything(db, environment, (metrics, periods));
    }
    match summarised(filters, metrics) {
        Some((code, values)) => of_values(db, environment, periods, (code, values)),
        None => scanned::counts(db, environment, (metrics, periods), filters),
    }
}

/// Of all events of an environment.
fn everything(
    db: &dyn Sql,
    environment: EnvironmentId,
    (metrics, periods): (&[Metric], &[Period]),
) -> Result<Vec<Counts>> {
    let wants = |wanted: &[Metric]| metrics.iter().any(|metric| wanted.contains(metric));
    let sums = |dimension, value| Sums::read(db, environment, periods, (dimension, value));
    let wants_lengths = wants(&[Metric::SessionLength, Metric::SessionLengthP95]);
    // Long periods are of whole days, nearly: those are summed up already, and far fewer than hours.
    let is_long = periods.iter().all(|period| period.range.len() > LONG);
    let totals = if is_long { None } else { Some(sums(0, Some(0))?) };
    // There are many lengths in an hour, and periods of hours are few.
    let is_short = periods.iter().all(|period| period.range.len() <= Millis::HOUR);
    let lengths = if is_short && wants_lengths { Some(sums(LENGTHS, None)?) } else { None };
    periods
        .iter()
        .map(|period| {
            let measures =
                totals.as_ref().map_or_else(|| whole(db, environment, period), |sums| Ok(sums.of(period)))?;
            let mut counts = additive(measures);
            if wants(&[Metric::Users, Metric::CrashFreeUsers]) {
                counts.users = match () {
                    () if period.is_hour() => measures.users,
                    () if period.is_day() => measures.day_users,
                    () => users::users(db, environment, period)?,
                };
            }
            if wants(&[Metric::CrashFreeUsers]) {
                counts.crashed_users = users::crashed_users(db, environment, period)?;
            }
            if wants(&[Metric::Devices]) {
                counts.devices = Some(users::devices(db, environment, period)?);
            }
            if wants_lengths {
                let classes = match &lengths {
                    Some(lengths) => lengths.classes(period),
                    None => classes(db, environment, period)?,
                };
                counts.median_length = length_quantile(&classes, 50);
                counts.p95_length = length_quantile(&classes, 95);
            }
            Ok(counts)
        })
        .collect()
}

/// All events of a long period.
fn whole(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<Measures> {
    let mut sum = Measures::default();
    of_summary(db, environment, 0, period)?.into_iter().for_each(|(_, measures)| sum.add(measures));
    Ok(sum)
}

/// How many sessions of a period there are of each length.
fn classes(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<Vec<(i64, i64)>> {
    let rows = summed(db, environment, LENGTHS, period, &["sessions"])?;
    let mut classes: Vec<_> = rows.iter().map(|row| (row.int(0), row.int(1))).collect();
    classes.sort_unstable();
    Ok(classes)
}

/// Of some values of one dimension.
fn of_values(
    db: &dyn Sql,
    environment: EnvironmentId,
    periods: &[Period],
    (code, filter): (i64, &Filter),
) -> Result<Vec<Counts>> {
    let mut all = vec![Counts::default(); periods.len()];
    let facts = matches!(filter.dimension, Dimension::Fact(_));
    for value in numbers(db, environment, filter)? {
        let sums = Sums::read(db, environment, periods, (code, Some(value).filter(|value| *value != 0 || !facts)))?;
        let total = match value {
            0 if facts => Some(Sums::read(db, environment, periods, (0, Some(0)))?),
            _ => None,
        };
        for (counts, period) in all.iter_mut().zip(periods) {
            let own = additive(match &total {
                Some(total) => total.of(period).without(sums.of(period)),
                None => sums.of(period),
            });
            counts.events += own.events;
            counts.sessions += own.sessions;
            counts.errors += own.errors;
            counts.crashes += own.crashes;
            counts.crashed_sessions += own.crashed_sessions;
        }
    }
    Ok(all)
}

/// How many of the sessions that began in a period are of each class of lengths, shortest first.
pub(in crate::store) fn length_classes(
    db: &dyn Sql,
    environment: EnvironmentId,
    period: &Period,
) -> Result<Vec<(i64, i64)>> {
    Ok(Sums::read(db, environment, &[*period], (LENGTHS, None))?.classes(period))
}

/// Whether [`counts`] come from the summaries.
pub(super) fn is_summarised(filters: &Filters, metrics: &[Metric]) -> bool {
    filters.is_empty() || summarised(filters, metrics).is_some()
}

/// The one condition that the summaries of its dimension can tell all metrics of, with the number of those summaries.
fn summarised<'f>(filters: &'f Filters, metrics: &[Metric]) -> Option<(i64, &'f Filter)> {
    let mut conditions = filters.iter();
    let (Some(only), None) = (conditions.next(), conditions.next()) else { return None };
    let code = only.dimension.code().filter(|_| only.keep == Keep::Is)?;
    metrics.iter().all(|metric| adds_up(*metric, &only.dimension)).then_some((code, only))
}

/// Whether the summaries by a dimension have what a metric is worked out of. Users of one value may be users of
/// another, and a session has facts but no one event.
pub(super) fn adds_up(metric: Metric, dimension: &Dimension) -> bool {
    match metric {
        Metric::Events | Metric::Errors | Metric::ErrorRate | Metric::Crashes => true,
        Metric::Sessions | Metric::EventsPerSession | Metric::CrashFreeSessions => {
            matches!(dimension, Dimension::Fact(_))
        }
        Metric::Users
        | Metric::NewUsers
        | Metric::SessionLength
        | Metric::SessionLengthP95
        | Metric::Devices
        | Metric::CrashFreeUsers => false,
    }
}

/// What adds up.
pub(super) fn additive(measures: Measures) -> Counts {
    Counts {
        events: measures.events,
        sessions: measures.sessions,
        new_users: measures.new_users,
        errors: measures.errors,
        crashes: measures.crashes,
        crashed_sessions: measures.crashed_sessions,
        ..Counts::default()
    }
}

/// Rows of one summary in the order of their buckets, ready to be summed over periods.
struct Sums {
    rows: Vec<Row>,
}

impl Sums {
    /// Those of a dimension, of one value or of all, that any of the periods touches.
    fn read(
        db: &dyn Sql,
        environment: EnvironmentId,
        periods: &[Period],
        (dimension, value): (i64, Option<i64>),
    ) -> Result<Self> {
        let from = periods.iter().map(|p| p.range.from).min().unwrap_or_default();
        let to = periods.iter().map(|p| p.range.to).max().unwrap_or_default();
        let sql = [
            "SELECT bucket, value, ",
            &Measures::COLUMNS.join(", "),
            " FROM rollup_hours WHERE env_id = $1 AND dimension = $2 AND bucket >= $3 AND bucket < $4",
            if value.is_some() { " AND value = $5" } else { "" },
            " ORDER BY bucket",
        ]
        .concat();
        let mut params = vec![Cell::Int(environment.0), Cell::Int(dimension), bucket(from), bucket(to)];
        params.extend(value.map(Cell::Int));
        Ok(Self { rows: db.rows(&sql, &params)? })
    }

    fn within(&self, period: &Period) -> impl Iterator<Item = &Row> {
        let from = Bucket::at_or_after(period.range.from).0;
        let to = Bucket::at_or_after(period.range.to).0;
        let first = self.rows.partition_point(|row| row.int(0) < from);
        self.rows[first..].iter().take_while(move |row| row.int(0) < to)
    }

    fn of(&self, period: &Period) -> Measures {
        let mut sum = Measures::default();
        self.within(period).for_each(|row| sum.add(measures(row, 2)));
        sum
    }

    /// How many sessions there are of each value.
    fn classes(&self, period: &Period) -> Vec<(i64, i64)> {
        let mut classes = std::collections::BTreeMap::new();
        for row in self.within(period) {
            *classes.entry(row.int(1)).or_insert(0) += measures(row, 2).sessions;
        }
        classes.into_iter().collect()
    }
}

/// The measures of a row, from a column on.
pub(in crate::store) fn measures(row: &Row, column: usize) -> Measures {
    Measures::of(std::array::from_fn(|at| row.int(column + at)))
}
