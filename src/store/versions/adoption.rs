//! How many of an app's sessions and users a version has.

use super::super::Result;
use super::super::sql::Sql;
use crate::model::{Dimension, EnvironmentId, Fact, Period};
use crate::rollup::Bucket;

/// Sessions begun in each period: those of the version, and all.
pub(in crate::store) fn sessions(
    db: &dyn Sql,
    environment: EnvironmentId,
    version: &str,
    periods: &[Period],
) -> Result<Vec<Vec<i64>>> {
    let value = interned(db, environment, version)?;
    let own = Dimension::Fact(Fact::Version).code().zip(value);
    let from = periods.iter().map(|period| Bucket::at_or_after(period.range.from)).min().unwrap_or(Bucket(0));
    let to = periods.iter().map(|period| Bucket::at_or_after(period.range.to)).max().unwrap_or(Bucket(0));
    let mut counts = Vec::new();
    for row in [own, Some((0, 0))] {
        let rows = match row {
            Some((dimension, value)) => db.rows(
                "SELECT bucket, sessions FROM rollup_hours WHERE env_id = $1 AND dimension = $2 AND bucket >= $3 \
                 AND bucket < $4 AND value = $5 ORDER BY bucket",
                &[environment.0.into(), dimension.into(), from.0.into(), to.0.into(), value.into()],
            )?,
            None => Vec::new(),
        };
        let sum = |period: &Period| {
            let (from, to) = (Bucket::at_or_after(period.range.from).0, Bucket::at_or_after(period.range.to).0);
            let first = rows.partition_point(|row| row.int(0) < from);
            rows[first..].iter().take_while(|row| row.int(0) < to).map(|row| row.int(1)).sum()
        };
        counts.push(periods.iter().map(sum).collect());
    }
    Ok(counts)
}

/// Different users who began a session of the version in a period, and in one of any. It looks at each session of the
/// period.
pub(in crate::store) fn users(
    db: &dyn Sql,
    environment: EnvironmentId,
    version: &str,
    period: &Period,
) -> Result<[i64; 2]> {
    let value = interned(db, environment, version)?.unwrap_or(-1);
    let row = db.row(
        "SELECT count(CASE WHEN own = 1 THEN user_id END), count(user_id) FROM ( \
         SELECT user_id, max(CASE WHEN facts_id IN (SELECT id FROM facts WHERE version = $1) THEN 1 ELSE 0 END) AS own \
         FROM sessions WHERE env_id = $2 AND started_at >= $3 AND started_at < $4 GROUP BY user_id) AS people",
        &[value.into(), environment.0.into(), period.range.from.0.into(), period.range.to.0.into()],
    )?;
    Ok(row.map_or([0; 2], |row| [row.int(0), row.int(1)]))
}

/// The number of a version's text.
fn interned(db: &dyn Sql, environment: EnvironmentId, version: &str) -> Result<Option<i64>> {
    let found = db.value(
        "SELECT s.id FROM environments e JOIN strings s ON s.app_id = e.app_id WHERE e.id = $1 AND s.kind = $2 \
         AND s.text = $3",
        &[environment.0.into(), Fact::Version.name().into(), version.into()],
    )?;
    Ok(found.some_int())
}
