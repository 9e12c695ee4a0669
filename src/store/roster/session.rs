//! One session: what is known of it, and its events in the order of time.

use std::time::Duration;

use super::sessions::{SESSIONS, session as session_row};
use crate::clock::Deadline;
use crate::model::{
    Cursor, CursorKey, EnvironmentId, EventRow, Millis, SessionDetail, SessionName, SessionPage, TimeRange,
};
use crate::store::report::{EVENTS, event_row};
use crate::store::scan::CLOCKS;
use crate::store::sql::{Cell, Row, Sql};
use crate::store::{Result, links};

/// How much of a session is looked through at first, and the most at a time.
const STRETCH: (i64, i64) = (Millis::HOUR, Millis::DAY);

/// No further stretches are begun after so long: then the page is short.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// One session with a stretch of its events.
pub(in crate::store) fn session(db: &dyn Sql, page: &SessionPage) -> Result<Option<SessionDetail>> {
    let Some(row) = find(db, page.environment, page.name)? else { return Ok(None) };
    let (id, session) = (row.int(0), session_row(&row));
    let mut behind = match page.after {
        Some(Cursor { key: CursorKey::Number(at), id }) if at >= session.started_at.0 => (at, id),
        _ => (session.started_at.plus(-1).0, [0xff; 16]),
    };
    let end = session.ended_at.plus(1);
    let (deadline, wanted) = (Deadline::after(PATIENCE), page.limit as usize + 1);
    let (mut events, mut next, mut length) = (Vec::new(), None, STRETCH.0);
    while behind.0 < end.0 && events.len() < wanted {
        let range = TimeRange { from: Millis(behind.0), to: Millis(behind.0).plus(length).min(end) };
        events.extend(within(db, (page.environment, id), (range, behind.1), wanted)?);
        (behind, length) = ((range.to.plus(-1).0, [0xff; 16]), (length * 2).min(STRETCH.1));
        if range.to == end {
            break;
        }
        if deadline.passed() {
            next = Some(Cursor { key: CursorKey::Number(behind.0), id: behind.1 });
            break;
        }
    }
    if events.len() >= wanted {
        events.truncate(page.limit as usize);
        next = events.last().map(place).map(|(at, id)| Cursor { key: CursorKey::Number(at), id });
    }
    Ok(Some(SessionDetail { session, events, next }))
}

/// The row of a session.
fn find(db: &dyn Sql, environment: EnvironmentId, name: SessionName) -> Result<Option<Row>> {
    match name {
        SessionName::Named(hash) => {
            let sql = [SESSIONS, " WHERE s.env_id = $1 AND s.hash = $2"].concat();
            db.row(&sql, &[environment.0.into(), Cell::Uuid(hash.0)])
        }
        SessionName::Derived(user, at) => {
            let user = links::root(db, environment, user)?;
            // Events that come late move its beginning back.
            let sql = [
                SESSIONS,
                " WHERE s.hash IS NULL AND s.user_id = (SELECT id FROM users WHERE env_id = $1 AND hash = $2) \
                 AND s.started_at <= $3 ORDER BY s.started_at DESC LIMIT 1",
            ]
            .concat();
            let found = db.row(&sql, &[environment.0.into(), Cell::Uuid(user.0), at.0.into()])?;
            Ok(found.filter(|row| row.int(3) >= at.0))
        }
    }
}

/// The first events of a session in a stretch of time, in order: those behind an event of its first instant.
fn within(
    db: &dyn Sql,
    (environment, session): (EnvironmentId, i64),
    (range, behind): (TimeRange, [u8; 16]),
    wanted: usize,
) -> Result<Vec<EventRow>> {
    let mut events = Vec::new();
    for (clock, at) in CLOCKS {
        let sql = format!(
            "{EVENTS} WHERE e.env_id = $1 AND {clock} AND e.session_id = $2 AND {at} >= $3 AND {at} < $4 \
             AND ({at}, e.event_id) > ($3, $5) ORDER BY {at}, e.event_id LIMIT $6"
        );
        let mut params: Vec<Cell> = [environment.0, session, range.from.0, range.to.0].map(Cell::Int).to_vec();
        params.push(Cell::Uuid(behind));
        params.push(i64::try_from(wanted).unwrap_or(i64::MAX).into());
        events.extend(db.rows(&sql, &params)?.iter().map(event_row));
    }
    events.sort_unstable_by_key(place);
    events.truncate(wanted);
    Ok(events)
}

fn place(event: &EventRow) -> (i64, [u8; 16]) {
    (event.occurred_at.0, event.id.0)
}
