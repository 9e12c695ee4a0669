//! Metrics of each value of a dimension: from the summaries where those can tell, else from the raw events.

use super::super::Result;
use super::super::sql::{Cell, Row, Sql};
use super::scanned;
use super::series::{additive, adds_up, counts, measures};
use super::values::Shown;
use crate::model::{Breakdown, BreakdownAsk, BreakdownRow, Counts, Dimension, EnvironmentId, Period};
use crate::rollup::{Bucket, Measures};

/// The values with the most of the first metric, and the metrics of all values together.
pub(super) fn breakdown(db: &dyn Sql, environment: EnvironmentId, ask: &BreakdownAsk) -> Result<Breakdown> {
    let summary = ask
        .dimension
        .code()
        .filter(|_| ask.filters.is_empty() && ask.metrics.iter().all(|metric| adds_up(*metric, &ask.dimension)));
    let (whole, mut values) = match summary {
        Some(code) => {
            let whole = counts(db, environment, (&ask.metrics, &[ask.period]), &ask.filters)?;
            let mut values = of_summary(db, environment, code, &ask.period)?;
            if matches!(ask.dimension, Dimension::Fact(_)) {
                // What does not say has no row of its own.
                let mut total = of_summary(db, environment, 0, &ask.period)?.into_iter().map(|(_, total)| total);
                let silent = values.iter().fold(total.next().unwrap_or_default(), |left, (_, own)| left.without(*own));
                // Sightings of users are counted in the total alone.
                values.push((0, Measures { users: 0, day_users: 0, new_users: 0, ..silent }));
            }
            let values = values.into_iter().map(|(value, own)| (Shown::Number(value), additive(own))).collect();
            (whole.into_iter().next().unwrap_or_default(), values)
        }
        None => scanned::breakdown(db, environment, ask)?,
    };
    // What tells of no error is no group of errors.
    let is_listed = |value: &Shown| ask.dimension != Dimension::Error || *value != Shown::Number(0);
    values.retain(|(value, counts)| is_listed(value) && *counts != Counts::default());
    let most = |counts: &Counts| ask.metrics.first().and_then(|metric| metric.value(counts));
    values.sort_by(|(a, ours), (b, theirs)| most(theirs).cmp(&most(ours)).then_with(|| a.cmp(b)));
    let all = values.len();
    values.truncate(ask.limit as usize);
    let of = |counts: &Counts| ask.metrics.iter().map(|metric| metric.value(counts)).collect();
    let rows = values
        .into_iter()
        .map(|(value, counts)| Ok(BreakdownRow { value: text(db, value)?, metrics: of(&counts) }))
        .collect::<Result<_>>()?;
    Ok(Breakdown { rows, together: of(&whole), values: all as u64 })
}

/// What a period comes to by value of a summary. Whole UTC days come from the day table, the hours around them from the
/// hour table.
pub(super) fn of_summary(
    db: &dyn Sql,
    environment: EnvironmentId,
    code: i64,
    period: &Period,
) -> Result<Vec<(i64, Measures)>> {
    let rows = summed(db, environment, code, period, &Measures::COLUMNS)?;
    Ok(rows.iter().map(|row| (row.int(0), measures(row, 1))).collect())
}

/// The same of some columns: each row is a value and its sums.
pub(super) fn summed(
    db: &dyn Sql,
    environment: EnvironmentId,
    code: i64,
    period: &Period,
    columns: &[&str],
) -> Result<Vec<Row>> {
    let from = Bucket::at_or_after(period.range.from);
    let to = Bucket::at_or_after(period.range.to);
    let first_day = Bucket(from.0 + Bucket::PER_DAY - 1).day();
    let (day_from, day_to) = if first_day < to.day() { (first_day, to.day()) } else { (to, to) };
    let sums: Vec<_> = columns.iter().map(|column| format!("CAST(sum({column}) AS BIGINT)")).collect();
    let (sums, columns) = (sums.join(", "), columns.join(", "));
    let sql = format!(
        "SELECT value, {sums} FROM ( \
         SELECT value, {columns} FROM rollup_days \
         WHERE env_id = $1 AND dimension = $2 AND bucket >= $3 AND bucket < $4 \
         UNION ALL SELECT value, {columns} FROM rollup_hours \
         WHERE env_id = $1 AND dimension = $2 AND bucket >= $5 AND bucket < $3 \
         UNION ALL SELECT value, {columns} FROM rollup_hours \
         WHERE env_id = $1 AND dimension = $2 AND bucket >= $4 AND bucket < $6) AS parts GROUP BY value"
    );
    let params = [environment.0, code, day_from.0, day_to.0, from.0, to.0].map(Cell::Int);
    db.rows(&sql, &params)
}

/// The text of a value, none for not reported.
pub(super) fn text(db: &dyn Sql, value: Shown) -> Result<Option<String>> {
    match value {
        Shown::Text(text) => Ok(text),
        Shown::Number(0) => Ok(None),
        Shown::Number(id) => {
            let found = db.row("SELECT text FROM strings WHERE id = $1", &[id.into()])?;
            Ok(found.and_then(|row| row.some_text(0)))
        }
    }
}
