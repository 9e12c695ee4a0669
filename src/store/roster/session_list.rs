//! Sessions as lists show them, and what many of them come to.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::sessions::{SESSIONS, session};
use super::{Params, cut};
use crate::model::{
    Counts, Cursor, CursorKey, Dimension, EnvironmentId, Filters, Keep, LENGTH_STEPS, Metric, SessionFilters,
    SessionList, SessionName, SessionRow, SessionsAsk, SessionsPage, SessionsTold,
};
use crate::rollup::{length_class, length_of, length_quantile};
use crate::store::Result;
use crate::store::report::{counts, length_classes};
use crate::store::scan::numbers;
use crate::store::sql::{Cell, Sql};

/// A page of sessions, the last begun first.
pub(in crate::store) fn sessions(db: &dyn Sql, page: &SessionsPage) -> Result<SessionList> {
    let mut params = Params::default();
    let mut sql = format!(
        "{SESSIONS} WHERE s.env_id = {} AND s.started_at >= {} AND s.started_at < {}",
        params.add(page.environment.0),
        params.add(page.range.from.0),
        params.add(page.range.to.0)
    );
    if let Some(Cursor { key: CursorKey::Number(at), id }) = page.after {
        let row = row_at(db, page.environment, (at, id))?;
        sql += &format!(" AND (s.started_at, s.id) < ({}, {})", params.add(at), params.add(row));
    }
    sql += &conditions(db, page.environment, &page.filters, &mut params)?;
    sql += &format!(" ORDER BY s.started_at DESC, s.id DESC LIMIT {}", params.add(i64::from(page.limit) + 1));
    let mut rows: Vec<SessionRow> = db.rows(&sql, &params.0)?.iter().map(session).collect();
    let next = cut(&mut rows, page.limit, place);
    Ok(SessionList { rows, next })
}

/// What the sessions that began in a period come to: from the summaries where all are meant, else from their rows.
pub(in crate::store) fn sessions_told(
    db: &dyn Sql,
    environment: EnvironmentId,
    ask: &SessionsAsk,
) -> Result<SessionsTold> {
    const ASKED: [Metric; 4] =
        [Metric::Sessions, Metric::EventsPerSession, Metric::CrashFreeSessions, Metric::SessionLength];
    if ask.filters.is_empty() {
        let all = counts(db, environment, (&ASKED, &[ask.period]), &Filters::none())?;
        let all = all.first().copied().unwrap_or_default();
        let counts = Counts { new_users: 0, errors: 0, crashes: 0, ..all };
        return Ok(SessionsTold { counts, lengths: columns(&length_classes(db, environment, &ask.period)?) });
    }
    let mut params = Params::default();
    let mut sql = format!(
        "SELECT s.ended_at - s.started_at, s.events, s.crashed FROM sessions s JOIN facts f ON f.id = s.facts_id \
         WHERE s.env_id = {} AND s.started_at >= {} AND s.started_at < {}",
        params.add(environment.0),
        params.add(ask.period.range.from.0),
        params.add(ask.period.range.to.0)
    );
    sql += &conditions(db, environment, &ask.filters, &mut params)?;
    let (mut counts, mut classes) = (Counts::default(), BTreeMap::new());
    db.stream(&sql, &params.0, &mut |line| {
        *classes.entry(length_class(line.int(0))).or_insert(0) += 1;
        counts.sessions += 1;
        counts.events += line.int(1);
        counts.crashed_sessions += i64::from(line.int(2) != 0);
        ControlFlow::Continue(())
    })?;
    let classes: Vec<(i64, i64)> = classes.into_iter().collect();
    counts.median_length = length_quantile(&classes, 50);
    counts.p95_length = length_quantile(&classes, 95);
    Ok(SessionsTold { counts, lengths: columns(&classes) })
}

/// The distribution of lengths.
fn columns(classes: &[(i64, i64)]) -> [i64; LENGTH_STEPS.len() + 1] {
    let mut columns = [0; LENGTH_STEPS.len() + 1];
    for (class, sessions) in classes {
        columns[LENGTH_STEPS.partition_point(|step| *step <= length_of(*class))] += sessions;
    }
    columns
}

/// Conditions on sessions `s` with facts `f`, each with an `AND` before it.
fn conditions(
    db: &dyn Sql,
    environment: EnvironmentId,
    filters: &SessionFilters,
    params: &mut Params,
) -> Result<String> {
    let mut sql = String::new();
    for filter in filters.facts.iter() {
        let Dimension::Fact(fact) = &filter.dimension else { continue };
        let (values, column) = (numbers(db, environment, filter)?, fact.name());
        sql += &match (filter.keep, values.is_empty()) {
            (Keep::Is, true) => " AND 1 = 0".to_owned(),
            (Keep::IsNot, true) => String::new(),
            (keep, false) => {
                let is = if keep == Keep::Is { "IN" } else { "NOT IN" };
                let list = params.list(values.into_iter().map(Cell::Int));
                format!(" AND coalesce(f.{column}, 0) {is} ({list})")
            }
        };
    }
    for (column, is, value) in [
        ("s.ended_at - s.started_at", ">=", filters.from_length),
        ("s.ended_at - s.started_at", "<", filters.below_length),
        ("s.events", ">=", filters.from_events),
        ("s.crashed", "=", filters.crashed.map(i64::from)),
    ] {
        if let Some(value) = value {
            sql += &format!(" AND {column} {is} {}", params.add(value));
        }
    }
    Ok(sql)
}

/// Where a list goes on behind a session.
fn place(session: &SessionRow) -> Cursor {
    let id = match session.name {
        Some(SessionName::Named(hash)) => hash.0,
        Some(SessionName::Derived(user, _)) => user.0,
        None => [0; 16],
    };
    Cursor { key: CursorKey::Number(session.started_at.0), id }
}

/// The row that a cursor speaks of; zero, which is behind all that began in the same instant, where there is none.
fn row_at(db: &dyn Sql, environment: EnvironmentId, (at, id): (i64, [u8; 16])) -> Result<i64> {
    let sql = "SELECT id FROM sessions WHERE env_id = $1 AND hash = $2 AND started_at = $3";
    let params = [environment.0.into(), Cell::Uuid(id), at.into()];
    if let Some(row) = db.value(sql, &params)?.some_int() {
        return Ok(row);
    }
    let sql = "SELECT s.id FROM users u JOIN sessions s ON s.user_id = u.id AND s.hash IS NULL \
               WHERE u.env_id = $1 AND u.hash = $2 AND s.started_at = $3";
    Ok(db.value(sql, &params)?.int())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_session_stands_in_one_column() {
        let classes: Vec<(i64, i64)> = [0, 9_000, 31_000, 70_000, 100_000_000].map(|ms| (length_class(ms), 2)).to_vec();
        assert_eq!(columns(&classes), [4, 0, 2, 2, 0, 0, 0, 0, 0, 2]);
    }
}
