//! Raw events, newest first, and those that were set aside.

use super::super::Result;
use super::super::sql::{Cell, Row, Sql};
use crate::model::{
    AppId, CursorKey, EnvironmentId, EventId, EventRow, EventsPage, Millis, Reason, SetAsideRow, UserHash,
};
use crate::rollup::Bucket;

/// Events with what [`event_row`] reads of them, and their session.
pub(in crate::store) const EVENTS: &str = "SELECT e.event_id, e.claimed_at + e.skew, e.claimed_at + e.skew + e.delay, n.text, \
     c.text, u.hash, v.text, s.text, e.props, e.session_id \
     FROM events e JOIN strings n ON n.id = e.name_id JOIN facts f ON f.id = e.facts_id \
     LEFT JOIN strings c ON c.id = e.category_id LEFT JOIN users u ON u.id = e.user_id \
     LEFT JOIN strings v ON v.id = f.version LEFT JOIN strings s ON s.id = f.system ";

/// A page of raw events by the time they occurred. Events whose client's clock was ahead by more than ten minutes
/// have claimed times after the page's end, so they are looked for on their own; where the page has no end, after the
/// hour of the latest event, or a clock that is years ahead would hide all others for as long.
pub fn events(db: &dyn Sql, page: &EventsPage) -> Result<Vec<EventRow>> {
    const AHEAD: i64 = 10 * Millis::MINUTE;
    const NEWEST_FIRST: &str = "ORDER BY e.claimed_at DESC, e.event_id DESC";
    const OLDEST_FIRST: &str = "ORDER BY e.claimed_at, e.event_id";
    // Without an end all that is ahead is wanted, its latest first; with one, what is left of it is at its beginning.
    let after = page.after.as_ref().map(|cursor| match cursor.key {
        CursorKey::Number(at) => at,
        CursorKey::Text(_) => i64::MAX,
    });
    let (before, ahead) = match after {
        Some(before) => (before, OLDEST_FIRST),
        None => (latest(db, page.environment)?.plus(Millis::HOUR).0, NEWEST_FIRST),
    };
    let mut found = Vec::new();
    for (order, low, high) in
        [(NEWEST_FIRST, i64::MIN, before.saturating_add(AHEAD)), (ahead, before.saturating_add(AHEAD), i64::MAX)]
    {
        let sql = [
            EVENTS,
            "WHERE e.env_id = $1 AND e.claimed_at >= $2 AND e.claimed_at < $3 AND e.claimed_at + e.skew < $4 ",
            order,
            " LIMIT $5",
        ]
        .concat();
        let mut params: Vec<Cell> = vec![page.environment.0.into(), low.into(), high.into(), before.into()];
        params.push(i64::from(page.limit).into());
        found.extend(db.rows(&sql, &params)?.iter().map(event_row));
    }
    found.sort_by_key(|row| std::cmp::Reverse((row.occurred_at, row.id)));
    found.truncate(page.limit as usize);
    Ok(found)
}

/// Events kept aside for an app, newest first, and how many there are.
pub fn set_aside(db: &dyn Sql, app: AppId, limit: u32) -> Result<(Vec<SetAsideRow>, u64)> {
    let count = db.value("SELECT count(*) FROM set_aside WHERE app_id = $1", &[app.0.into()])?.int();
    let sql = "SELECT received_at, reason, detail, body FROM set_aside WHERE app_id = $1 ORDER BY id DESC LIMIT $2";
    let read = |row: &Row| SetAsideRow {
        received_at: Millis(row.int(0)),
        reason: Reason::parse(&row.text(1)).unwrap_or(Reason::Invalid),
        detail: row.text(2),
        body: row.text(3),
    };
    let rows = db.rows(sql, &[app.0.into(), i64::from(limit).into()])?;
    Ok((rows.iter().map(read).collect(), u64::try_from(count).unwrap_or(0)))
}

/// The bucket of the latest event.
fn latest(db: &dyn Sql, environment: EnvironmentId) -> Result<Millis> {
    let sql = "SELECT max(bucket) FROM rollup_hours WHERE env_id = $1 AND dimension = 0 AND events > 0";
    Ok(Bucket(db.value(sql, &[environment.0.into()])?.int()).start())
}

/// From a row of [`EVENTS`].
pub(in crate::store) fn event_row(row: &Row) -> EventRow {
    EventRow {
        id: EventId(row.array(0).unwrap_or_default()),
        occurred_at: Millis(row.int(1)),
        received_at: Millis(row.int(2)),
        name: row.text(3),
        category: row.some_text(4),
        user: row.array(5).map(UserHash),
        version: row.some_text(6),
        system: row.some_text(7),
        props: row.some_text(8),
    }
}
