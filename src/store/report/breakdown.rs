//! Metrics of each value of a dimension: from the summaries where those can tell, else from the raw events.

use super::super::sql::{Cell, Row, Sql};
use super::super::{Result, StoreError};
use super::series::{additive, adds_up, counts, measures};
use crate::model::{Breakdown, BreakdownAsk, BreakdownRow, Counts, EnvironmentId, Period};
use crate::rollup::{Bucket, Measures};

/// The values with the most of the first metric, and the metrics of all values together.
pub(super) fn breakdown(db: &dyn Sql, environment: EnvironmentId, ask: &BreakdownAsk) -> Result<Breakdown> {
    let together = counts(db, environment, (&ask.metrics, &[ask.period]), &ask.filters)?;
    let summary = ask
        .dimension
        .code()
        .filter(|_| ask.filters.is_empty() && ask.metrics.iter().all(|metric| adds_up(*metric, &ask.dimension)));
    let mut values = match summary {
        Some(code) => of_summary(db, environment, code, &ask.period)?,
        None => return Err(StoreError::Unexpected("not answered yet".to_owned())),
    };
    values.retain(|(_, counts)| *counts != Counts::default());
    let most = |counts: &Counts| ask.metrics.first().and_then(|metric| metric.value(counts));
    values.sort_by_key(|(value, counts)| (std::cmp::Reverse(most(counts)), *value));
    let all = values.len();
    values.truncate(ask.limit as usize);
    let of = |counts: &Counts| ask.metrics.iter().map(|metric| metric.value(counts)).collect();
    let rows = values
        .iter()
        .map(|(value, counts)| Ok(BreakdownRow { value: text(db, *value)?, metrics: of(counts) }))
        .collect::<Result<_>>()?;
    Ok(Breakdown { rows, together: together.first().map(of).unwrap_or_default(), values: all as u64 })
}

/// Whole UTC days come from the day table, the hours around them from the hour table.
fn of_summary(db: &dyn Sql, environment: EnvironmentId, code: i64, period: &Period) -> Result<Vec<(i64, Counts)>> {
    let from = Bucket::at_or_after(period.range.from);
    let to = Bucket::at_or_after(period.range.to);
    let first_day = Bucket(from.0 + Bucket::PER_DAY - 1).day();
    let (day_from, day_to) = if first_day < to.day() { (first_day, to.day()) } else { (to, to) };
    let columns = Measures::COLUMNS.join(", ");
    let sums = Measures::COLUMNS.map(|column| format!("CAST(sum({column}) AS BIGINT)")).join(", ");
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
    let read = |row: &Row| (row.int(0), additive(measures(row, 1)));
    Ok(db.rows(&sql, &params)?.iter().map(read).collect())
}

/// The text of an interned value, none for zero.
pub(super) fn text(db: &dyn Sql, id: i64) -> Result<Option<String>> {
    if id == 0 {
        return Ok(None);
    }
    Ok(db.row("SELECT text FROM strings WHERE id = $1", &[id.into()])?.and_then(|row| row.some_text(0)))
}
