//! What small charts and the marks on large ones show: events of single values over time, and when versions came.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::super::Result;
use super::super::scan::numbers;
use super::super::sql::{Cell, Line, Sql};
use crate::model::{Dimension, EnvironmentId, Fact, Filter, Keep, Millis, OTHER, Period, TrendsAsk};
use crate::rollup::Bucket;

/// So many versions at the most are said to have come in a period.
const ARRIVALS: i64 = 6;

/// Events of each value in each period, out of one walk over the summary of its dimension.
pub(super) fn trends(db: &dyn Sql, environment: EnvironmentId, ask: &TrendsAsk) -> Result<Vec<Vec<i64>>> {
    let mut rows = vec![vec![0; ask.periods.len()]; ask.values.len()];
    let (Some(code), [first, .., last] | [first @ last]) = (ask.dimension.code(), &ask.periods[..]) else {
        return Ok(rows);
    };
    let mut places = HashMap::new();
    for (place, value) in ask.values.iter().enumerate() {
        let one = Filter { dimension: ask.dimension.clone(), keep: Keep::Is, values: vec![value.clone()] };
        places.extend(numbers(db, environment, &one)?.into_iter().map(|number| (number, place)));
    }
    let fine = ask.periods.iter().any(|period| period.is_hour() || period.is_day());
    let (table, from) = match (fine, Bucket::at_or_after(first.range.from)) {
        (true, from) => ("rollup_hours", from),
        (false, from) => ("rollup_days", from.day()),
    };
    let sql = [
        "SELECT bucket, value, events FROM ",
        table,
        " WHERE env_id = $1 AND dimension = $2 AND bucket >= $3 AND bucket < $4",
    ];
    // What does not say has no row of its own: it is the total without all that do.
    let silent = places.get(&0).copied().filter(|_| matches!(ask.dimension, Dimension::Fact(_)));
    for dimension in [Some(code), silent.map(|_| 0)].into_iter().flatten() {
        let params = [environment.0, dimension, from.0, Bucket::at_or_after(last.range.to).0].map(Cell::Int);
        db.stream(&sql.concat(), &params, &mut |line: &dyn Line| {
            let (at, events) = (Bucket(line.int(0)).start(), line.int(2));
            // A day of UTC that begins before the first period is mostly in it, or at least partly.
            let period = ask.periods.partition_point(|period| period.range.to <= at).min(ask.periods.len() - 1);
            if let Some(place) = places.get(&line.int(1)) {
                rows[*place][period] += events;
            } else if let Some(place) = silent {
                rows[place][period] -= events;
            }
            ControlFlow::Continue(())
        })?;
    }
    Ok(rows)
}

/// The versions with the most events of those first seen in a period, oldest first.
pub(super) fn arrivals(db: &dyn Sql, environment: EnvironmentId, period: &Period) -> Result<Vec<(String, Millis)>> {
    let code = Dimension::Fact(Fact::Version).code().unwrap_or_default();
    let (from, to) = (Bucket::at_or_after(period.range.from), Bucket::at_or_after(period.range.to));
    let found = db.rows(
        "SELECT s.text, d.value, d.first FROM (SELECT value, min(bucket) AS first, sum(events) AS events \
         FROM rollup_days WHERE env_id = $1 AND dimension = $2 AND value <> 0 AND (events > 0 OR sessions > 0) \
         GROUP BY value) AS d JOIN strings s ON s.id = d.value \
         WHERE d.first >= $3 AND d.first < $4 AND s.text <> $5 ORDER BY d.events DESC, d.value LIMIT $6",
        &[environment.0.into(), code.into(), from.day().0.into(), to.0.into(), OTHER.into(), ARRIVALS.into()],
    )?;
    let mut arrivals = Vec::new();
    for row in &found {
        let first = db.value(
            "SELECT min(bucket) FROM rollup_hours WHERE env_id = $1 AND dimension = $2 AND value = $3 \
             AND bucket >= $4 AND bucket < $5 AND (events > 0 OR sessions > 0)",
            &[
                environment.0.into(),
                code.into(),
                row.int(1).into(),
                row.int(2).into(),
                (row.int(2) + Bucket::PER_DAY).into(),
            ],
        )?;
        // The first day may have begun before the period, and the version with it.
        let first = first.some_int().filter(|first| (from.0..to.0).contains(first));
        arrivals.extend(first.map(|first| (row.text(0), Bucket(first).start())));
    }
    arrivals.sort_by(|a, b| (a.1, &a.0).cmp(&(b.1, &b.0)));
    Ok(arrivals)
}
