//! How versions do: crashes and errors from the summaries, who came back from sessions and days of users.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use hashbrown::{HashMap, HashSet};

use super::super::Result;
use super::super::sql::{Cell, Line, Sql};
use super::breakdown::of_summary;
use super::series::counts;
use crate::model::{
    Dimension, EnvironmentId, Fact, Filters, Health, HealthAsk, Metric, OTHER, Period, VersionHealth, in_order,
};
use crate::rollup::{Bucket, Measures};

/// Most sessions that are looked at for who came back: about a second.
const AFFORDABLE: i64 = 1_000_000;

/// Users who were new, and those of them who came back.
type Returns = (i64, i64);

/// How each version does.
pub(super) fn health(db: &dyn Sql, environment: EnvironmentId, ask: &HealthAsk) -> Result<Health> {
    let Some(code) = Dimension::Fact(Fact::Version).code() else { return Ok(Health::default()) };
    let together = counts(db, environment, (&[Metric::Sessions], &[ask.period]), &Filters::none())?;
    let counted: HashMap<i64, Measures> = of_summary(db, environment, code, &ask.period)?.into_iter().collect();
    let (returns, days) = returns(db, environment, &ask.days)?;
    let sql = "SELECT r.value, s.text, min(r.bucket) FROM rollup_days r JOIN strings s ON s.id = r.value \
               WHERE r.env_id = $1 AND r.dimension = $2 AND (r.events > 0 OR r.sessions > 0) AND s.text <> $3 \
               GROUP BY r.value, s.text";
    let rows = db.rows(sql, &[environment.0.into(), code.into(), OTHER.into()])?;
    let versions = rows.iter().map(|row| {
        let counts = counted.get(&row.int(0)).copied().unwrap_or_default();
        let (newcomers, returned) = returns.get(&row.int(0)).copied().unwrap_or_default();
        VersionHealth {
            version: row.text(1),
            first_day: Bucket(row.int(2)).start(),
            sessions: counts.sessions,
            crashed_sessions: counts.crashed_sessions,
            events: counts.events,
            errors: counts.errors,
            newcomers,
            returned,
        }
    });
    let versions = in_order(versions.collect());
    Ok(Health { versions, sessions: together.first().map_or(0, |all| all.sessions), days })
}

/// By version, the users whose first session of the day on which they were first seen was of it, and how many of them
/// were seen on the next day. Of the latest days that have no more sessions together than can be looked at; how many
/// those are.
fn returns(db: &dyn Sql, environment: EnvironmentId, days: &[Period]) -> Result<(BTreeMap<i64, Returns>, u32)> {
    let days = &days[days.len().saturating_sub(HealthAsk::DAYS)..];
    let sessions = counts(db, environment, (&[Metric::Sessions], days), &Filters::none())?;
    let (mut returns, mut looked, mut seen) = (BTreeMap::new(), 0, 0);
    for (day, counts) in days.iter().zip(sessions).rev() {
        seen += counts.sessions;
        if seen > AFFORDABLE {
            break;
        }
        looked += 1;
        if counts.sessions > 0 {
            newcomers(db, environment, day, &mut returns)?;
        }
    }
    Ok((returns, looked))
}

/// The users of one day who were never seen before it, by the version of their first session of that day.
fn newcomers(
    db: &dyn Sql,
    environment: EnvironmentId,
    day: &Period,
    returns: &mut BTreeMap<i64, Returns>,
) -> Result<()> {
    let sql = "SELECT s.user_id, f.version, d.user_id FROM sessions s JOIN users u ON u.id = s.user_id \
               JOIN facts f ON f.id = s.facts_id \
               LEFT JOIN user_days d ON d.env_id = s.env_id AND d.day = $1 AND d.user_id = s.user_id \
               WHERE s.env_id = $2 AND s.started_at >= $3 AND s.started_at < $4 \
               AND u.first_at >= $3 AND u.first_at < $4 ORDER BY s.started_at, s.id";
    let next = i64::from(day.next.day);
    let params = [next, environment.0, day.range.from.0, day.range.to.0].map(Cell::Int);
    let mut known = HashSet::new();
    db.stream(sql, &params, &mut |line: &dyn Line| {
        if known.insert(line.int(0)) {
            let (newcomers, returned) = returns.entry(line.int(1)).or_default();
            *newcomers += 1;
            *returned += i64::from(line.int(2) != 0);
        }
        ControlFlow::Continue(())
    })
}
