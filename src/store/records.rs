//! Rows with texts in place of numbers, page by page: what is laid down before it is deleted, and what leaves the box.

use hashbrown::HashSet;

use super::Result;
use super::rights::fact_texts;
use super::scan::CLOCKS;
use super::sql::{Cell, Row, Sql};
use crate::model::{
    AsideRecord, EnvironmentId, EventError, EventId, EventRecord, FactTexts, Kept, Millis, Record, RecordPlace,
    Records, RecordsAsk, SessionHash, SessionRecord, UserHash,
};

/// What stands before the first row of all.
const START: RecordPlace = RecordPlace { half: 0, at: i64::MIN, id: [0; 16] };

/// The next rows.
pub(super) fn page(db: &dyn Sql, ask: &RecordsAsk) -> Result<Records> {
    match ask.kind {
        Kept::Events => events(db, ask),
        Kept::Sessions => sessions(db, ask),
        Kept::SetAside => set_aside(db, ask),
    }
}

fn events(db: &dyn Sql, ask: &RecordsAsk) -> Result<Records> {
    let after = ask.after.unwrap_or(START);
    let Some((clock, at)) = CLOCKS.get(after.half) else { return Ok(Records { rows: Vec::new(), next: None }) };
    // The rows are found in the order of their index first, and their texts looked up then.
    let sql = format!(
        "WITH found AS (SELECT {at} AS at, event_id, claimed_at, skew, delay, name_id, category_id, facts_id, user_id, \
         session_id, props, error_id, fatal FROM events WHERE env_id = $1 AND {at} >= $2 AND {at} < $3 \
         AND ({at}, event_id) > ($4, $5) AND {clock} ORDER BY {at}, event_id LIMIT $6) \
         SELECT e.at, e.event_id, e.claimed_at, e.claimed_at + e.skew, e.claimed_at + e.skew + e.delay, n.text, c.text, \
         u.hash, s.hash, e.facts_id, e.props, g.text, m.message, e.fatal FROM found e \
         LEFT JOIN strings n ON n.id = e.name_id LEFT JOIN strings c ON c.id = e.category_id \
         LEFT JOIN users u ON u.id = e.user_id LEFT JOIN sessions s ON s.id = e.session_id \
         LEFT JOIN strings g ON g.id = e.error_id \
         LEFT JOIN error_groups m ON m.env_id = $1 AND m.error_id = e.error_id ORDER BY e.at, e.event_id"
    );
    let from = ask.range.from.0.max(after.at);
    let params = [
        ask.environment.0.into(),
        from.into(),
        ask.range.to.0.into(),
        after.at.max(i64::MIN / 2).into(),
        Cell::Uuid(after.id),
        i64::from(ask.limit).into(),
    ];
    let rows = db.rows(&sql, &params)?;
    let facts = fact_texts(db, rows.iter().map(|row| row.int(9)))?;
    let event = |row: &Row| {
        Record::Event(EventRecord {
            id: EventId(row.array(1).unwrap_or_default()),
            claimed_at: Millis(row.int(2)),
            occurred_at: Millis(row.int(3)),
            received_at: Millis(row.int(4)),
            name: row.text(5),
            category: row.some_text(6),
            user: row.array(7).map(UserHash),
            session: row.array(8).map(SessionHash),
            facts: facts.get(&row.int(9)).cloned().unwrap_or_default(),
            props: row.some_text(10),
            error: row.some_text(11).map(|group| EventError {
                message: row.some_text(12).unwrap_or_else(|| group.clone()),
                group,
                fatal: row.int(13) != 0,
            }),
        })
    };
    let full = rows.len() >= ask.limit as usize;
    let next = match rows.last().filter(|_| full) {
        Some(last) => Some(RecordPlace { half: after.half, at: last.int(0), id: last.array(1).unwrap_or_default() }),
        None => (after.half + 1 < CLOCKS.len()).then_some(RecordPlace { half: after.half + 1, ..START }),
    };
    Ok(Records { rows: rows.iter().map(event).collect(), next })
}

fn sessions(db: &dyn Sql, ask: &RecordsAsk) -> Result<Records> {
    let sql = "SELECT s.id, s.hash, u.hash, s.facts_id, s.started_at, s.ended_at, s.events, s.crashed FROM sessions s \
               LEFT JOIN users u ON u.id = s.user_id WHERE s.env_id = $1 AND s.ended_at >= $2 AND s.ended_at < $3 \
               AND s.started_at < $3 AND s.id > $4 ORDER BY s.id LIMIT $5";
    let rows = db.rows(sql, &by_row(ask))?;
    let facts = fact_texts(db, rows.iter().map(|row| row.int(3)))?;
    let texts = |set: i64| -> FactTexts { facts.get(&set).cloned().unwrap_or_default() };
    let session = |row: &Row| {
        Record::Session(SessionRecord {
            session: row.array(1).map(SessionHash),
            user: row.array(2).map(UserHash),
            facts: texts(row.int(3)),
            started_at: Millis(row.int(4)),
            ended_at: Millis(row.int(5)),
            events: row.int(6),
            crashed: row.int(7) != 0,
        })
    };
    Ok(Records { next: behind(ask, &rows), rows: rows.iter().map(session).collect() })
}

fn set_aside(db: &dyn Sql, ask: &RecordsAsk) -> Result<Records> {
    let sql = "SELECT id, received_at, reason, detail, event_id, body FROM set_aside WHERE app_id = \
               (SELECT app_id FROM environments WHERE id = $1) AND env_id = $1 AND received_at >= $2 \
               AND received_at < $3 AND id > $4 ORDER BY id LIMIT $5";
    let rows = db.rows(sql, &by_row(ask))?;
    let aside = |row: &Row| {
        Record::SetAside(AsideRecord {
            received_at: Millis(row.int(1)),
            reason: row.text(2),
            detail: row.text(3),
            id: row.array(4).map(EventId),
            body: row.text(5),
        })
    };
    Ok(Records { next: behind(ask, &rows), rows: rows.iter().map(aside).collect() })
}

fn by_row(ask: &RecordsAsk) -> [Cell; 5] {
    let after = ask.after.map_or(i64::MIN, |place| place.at);
    [ask.environment.0, ask.range.from.0, ask.range.to.0, after, i64::from(ask.limit)].map(Cell::Int)
}

fn behind(ask: &RecordsAsk, rows: &[Row]) -> Option<RecordPlace> {
    let last = rows.last().filter(|_| rows.len() >= ask.limit as usize)?;
    Some(RecordPlace { at: last.int(0), ..START })
}

/// Those of these users that an environment knows.
pub(super) fn known_users(
    db: &dyn Sql,
    environment: EnvironmentId,
    users: &HashSet<UserHash>,
) -> Result<HashSet<UserHash>> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let places: Vec<_> = (2..2 + users.len()).map(|place| format!("${place}")).collect();
    let places = places.join(", ");
    // Who had another name before it was known who they are is known by that, too.
    let sql = format!(
        "SELECT hash FROM users WHERE env_id = $1 AND hash IN ({places}) \
         UNION SELECT hash FROM links WHERE env_id = $1 AND hash IN ({places})"
    );
    let mut params: Vec<Cell> = vec![environment.0.into()];
    params.extend(users.iter().map(|user| Cell::Uuid(user.0)));
    Ok(db.rows(&sql, &params)?.iter().filter_map(|row| row.array(0).map(UserHash)).collect())
}

/// The UTC days of a stretch that have events by the summaries, and how many.
pub(super) fn event_days(
    db: &dyn Sql,
    environment: EnvironmentId,
    (first, last): (i64, i64),
) -> Result<Vec<(i64, i64)>> {
    use crate::rollup::Bucket;
    let sql = "SELECT bucket, events FROM rollup_days WHERE env_id = $1 AND dimension = 0 AND value = 0 AND bucket >= $2 \
               AND bucket < $3 AND events > 0 ORDER BY bucket";
    let params = [environment.0, first * Bucket::PER_DAY, (last + 1) * Bucket::PER_DAY].map(Cell::Int);
    let rows = db.rows(sql, &params)?;
    Ok(rows.iter().map(|row| (row.int(0).div_euclid(Bucket::PER_DAY), row.int(1))).collect())
}
