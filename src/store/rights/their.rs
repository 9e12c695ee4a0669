//! Where a person's or a session's events are found. There is no index of events by user or session: the hours in which
//! a user was seen, and the times between which a session lasted, tell where to look.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::time::Duration;

use super::super::Result;
use super::super::scan::CLOCKS;
use super::super::sql::{Cell, Line, Sql};
use crate::clock::Deadline;
use crate::model::{Millis, TimeRange, Zone};

/// No further hours or sessions are begun after so long: then the step is a small one.
pub(in crate::store) const PATIENCE: Duration = Duration::from_millis(500);

/// Days whose hours are read together.
const CHUNK: i64 = 400;

/// What names an event in its environment, and what else is asked of it here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::store) struct EventKey {
    pub(in crate::store) claimed_at: i64,
    pub(in crate::store) id: [u8; 16],
    pub(in crate::store) at: Millis,
    pub(in crate::store) user: Option<i64>,
    pub(in crate::store) session: Option<i64>,
    /// The group of errors that it belongs to, with its properties.
    pub(in crate::store) error: Option<(i64, String)>,
}

impl EventKey {
    /// Where it stands among others.
    pub(in crate::store) fn place(&self) -> After {
        (self.at.0, self.id)
    }
}

/// Columns of an [`EventKey`].
const KEY: &str = "SELECT claimed_at, event_id, claimed_at + skew, coalesce(user_id, -1), coalesce(session_id, -1), \
                   coalesce(error_id, -1), CASE WHEN error_id IS NOT NULL THEN props END FROM events ";

fn key(line: &dyn Line) -> EventKey {
    let some = |column| Some(line.int(column)).filter(|id| *id >= 0);
    EventKey {
        claimed_at: line.int(0),
        id: line.bytes(1).try_into().unwrap_or_default(),
        at: Millis(line.int(2)),
        user: some(3),
        session: some(4),
        error: some(5).map(|group| (group, line.text(6).unwrap_or_default().to_owned())),
    }
}

/// Events behind which others of the same hour or session come: time and id.
pub(in crate::store) type After = (i64, [u8; 16]);

/// Before all events.
pub(in crate::store) const START: After = (i64::MIN, [0; 16]);

/// Some events of a user, and the hour in which looking goes on, with the event behind which it does; nothing where it has
/// come to its end.
pub(in crate::store) struct Batch {
    pub(in crate::store) events: Vec<EventKey>,
    pub(in crate::store) next: Option<(i64, After)>,
}

/// The user of a row, as far as it tells where they were seen.
pub(in crate::store) struct Seen {
    pub(in crate::store) first_at: Millis,
    pub(in crate::store) first_day: i64,
    pub(in crate::store) last_day: i64,
}

/// When a user was seen, if there is such a row.
pub(in crate::store) fn seen(db: &dyn Sql, user: i64) -> Result<Option<Seen>> {
    let row = db.row("SELECT first_at, last_day FROM users WHERE id = $1", &[user.into()])?;
    Ok(row.map(|row| Seen {
        first_at: Millis(row.int(0)),
        first_day: row.int(0).div_euclid(Millis::DAY) - 1,
        last_day: row.int(1),
    }))
}

/// Rows that were read together, and where those behind them begin, if there are any.
pub(in crate::store) type Page<T> = (Vec<T>, Option<i64>);

/// The next days of somebody's row in a table of days, at or behind `from`, with the hours; and from where they go on, if
/// they do. Each is one step into the table: a condition on the row alone would read everybody's days.
pub(in crate::store) fn days(
    db: &dyn Sql,
    (table, column): (&str, &str),
    (environment, row): (i64, i64),
    (from, last): (i64, i64),
) -> Result<Page<(i32, u32)>> {
    let end = last.min(from.saturating_add(CHUNK - 1));
    let sql = format!(
        "WITH RECURSIVE days(day) AS (SELECT $1 UNION ALL SELECT day + 1 FROM days WHERE day < $2) \
         SELECT days.day, d.hours FROM days JOIN {table} d ON d.env_id = $3 AND d.day = days.day AND d.{column} = $4 \
         ORDER BY days.day"
    );
    if from > last {
        return Ok((Vec::new(), None));
    }
    let rows = db.rows(&sql, &[from.into(), end.into(), environment.into(), row.into()])?;
    let day = |row: &super::super::sql::Row| Some((i32::try_from(row.int(0)).ok()?, u32::try_from(row.int(1)).ok()?));
    Ok((rows.iter().filter_map(day).collect(), (end < last).then_some(end + 1)))
}

/// The calendar in which an app's days were counted.
#[derive(Clone, Debug)]
pub(in crate::store) struct Calendar {
    zone: Zone,
    /// Whether it has ever been another one: then hours of days tell no times.
    changed: bool,
}

impl Calendar {
    /// The calendar of an app; UTC where it is gone.
    pub(in crate::store) fn of(db: &dyn Sql, app: i64) -> Result<Self> {
        let zone = db.row("SELECT zone FROM apps WHERE id = $1", &[app.into()])?;
        let zone = zone.and_then(|row| Zone::find(&row.text(0))).unwrap_or_else(Zone::utc);
        let changes = "SELECT 1 FROM audit WHERE app_id = $1 AND action = 'app.zone' LIMIT 1";
        Ok(Self { zone, changed: db.row(changes, &[app.into()])?.is_some() })
    }

    /// The zone in which they are counted now.
    pub(in crate::store) fn zone(&self) -> &Zone {
        &self.zone
    }

    /// When something can have happened on local days, each with the hours that are set, in stretches that do not overlap:
    /// the hours themselves, or all UTC days that any zone's day of that date touches. Each has a number, which is 25 times
    /// the day and the hour.
    fn stretches(&self, days: &[(i32, u32)]) -> Vec<(i64, TimeRange)> {
        if self.changed {
            let touched: BTreeSet<i64> = days.iter().flat_map(|(day, _)| around(*day)).collect();
            let whole = |day: i64| TimeRange { from: Millis(day * Millis::DAY), to: Millis((day + 1) * Millis::DAY) };
            return touched.into_iter().map(|day| (day * 25, whole(day))).collect();
        }
        let mut stretches = Vec::new();
        for (day, hours) in days {
            let (midnight, next) = (self.zone.midnight(*day), self.zone.midnight(*day + 1));
            for hour in (0..25).filter(|hour| hours & (1 << hour) != 0) {
                let from = midnight.plus(hour * Millis::HOUR);
                let range = TimeRange { from, to: from.plus(Millis::HOUR).min(next) };
                stretches.push((i64::from(*day) * 25 + hour, range));
            }
        }
        stretches
    }

    /// The local days among which that is on which an instant was counted.
    pub(in crate::store) fn local_days(&self, at: Millis) -> Vec<i32> {
        let day = self.zone.local(at).day;
        if self.changed { vec![day - 2, day - 1, day, day + 1, day + 2] } else { vec![day] }
    }

    /// UTC days that a local day touches.
    pub(in crate::store) fn utc_days(&self, day: i32) -> Vec<i64> {
        if self.changed {
            return around(day).collect();
        }
        let ends = [self.zone.midnight(day), self.zone.midnight(day + 1).plus(-1)];
        ends.map(|at| at.0.div_euclid(Millis::DAY)).to_vec()
    }
}

/// A day with its neighbours.
fn around(day: i32) -> impl Iterator<Item = i64> {
    i64::from(day) - 1..=i64::from(day) + 1
}

/// Some of a user's events from an hour on, which is counted as local day times 25 and hour, and behind an event of it.
pub(in crate::store) fn events(
    db: &dyn Sql,
    calendar: &Calendar,
    (environment, user): (i64, i64),
    (from, after): (i64, After),
    limit: usize,
) -> Result<Batch> {
    let nothing = Batch { events: Vec::new(), next: None };
    let Some(seen) = seen(db, user)? else { return Ok(nothing) };
    let (mut from, mut after) = (from.max((seen.first_day - 1) * 25), after);
    let deadline = Deadline::after(PATIENCE);
    let mut events = Vec::new();
    // The day before may touch the first one.
    let mut day = Some(from.div_euclid(25) - 1);
    while let Some(first) = day {
        let table = ("user_days", "user_id");
        let (found, next) = days(db, table, (environment, user), (first, seen.last_day))?;
        for (place, range) in calendar.stretches(&found) {
            if place < from {
                continue;
            }
            if deadline.passed() {
                return Ok(Batch { events, next: Some((place, after)) });
            }
            let left = limit - events.len();
            events.extend(in_range(db, (environment, "user_id", user), range, after, left)?);
            if let Some(last) = events.last().filter(|_| events.len() >= limit) {
                let next = Some((place, last.place()));
                return Ok(Batch { events, next });
            }
            (from, after) = (place + 1, START);
        }
        day = next;
    }
    Ok(Batch { events, next: None })
}

/// A row of `sessions`, and what it was when it was read.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Session {
    pub(in crate::store) row: i64,
    pub(in crate::store) started_at: i64,
    pub(in crate::store) ended_at: i64,
    pub(in crate::store) events: i64,
}

/// Columns of a [`Session`] of table `s`.
pub(in crate::store) const SESSION: &str = "SELECT s.id, s.started_at, s.ended_at, s.events FROM sessions s ";

impl Session {
    pub(in crate::store) fn read(row: &super::super::sql::Row) -> Self {
        Self { row: row.int(0), started_at: row.int(1), ended_at: row.int(2), events: row.int(3) }
    }

    /// Some of its events, behind one.
    pub(in crate::store) fn events(
        self,
        db: &dyn Sql,
        environment: i64,
        after: After,
        limit: usize,
    ) -> Result<Vec<EventKey>> {
        let range = TimeRange { from: Millis(self.started_at), to: Millis(self.ended_at + 1) };
        in_range(db, (environment, "session_id", self.row), range, after, limit)
    }

    /// Whether somebody else has events in it.
    pub(in crate::store) fn has_others(self, db: &dyn Sql, environment: i64, user: i64) -> Result<bool> {
        for (clock, at) in CLOCKS {
            let sql = format!(
                "SELECT 1 FROM events WHERE env_id = $1 AND {clock} AND session_id = $2 AND user_id <> $3 \
                 AND {at} >= $4 AND {at} <= $5 LIMIT 1"
            );
            let params = [environment, self.row, user, self.started_at, self.ended_at].map(Cell::Int);
            if db.row(&sql, &params)?.is_some() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// Some events of a range whose column has that value, behind one of them, in the order in which they occurred.
fn in_range(
    db: &dyn Sql,
    (environment, column, value): (i64, &str, i64),
    range: TimeRange,
    after: After,
    limit: usize,
) -> Result<Vec<EventKey>> {
    let mut found = Vec::new();
    for (clock, at) in CLOCKS {
        let sql = format!(
            "{KEY} WHERE env_id = $1 AND {clock} AND {column} = $2 AND {at} >= $3 AND {at} < $4 \
             AND ({at}, event_id) > ($5, $6) ORDER BY {at}, event_id LIMIT $7"
        );
        let mut params = [environment, value, range.from.0, range.to.0, after.0].map(Cell::Int).to_vec();
        params.push(Cell::Uuid(after.1));
        params.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
        db.stream(&sql, &params, &mut |line| {
            found.push(key(line));
            ControlFlow::Continue(())
        })?;
    }
    found.sort_unstable_by_key(EventKey::place);
    found.truncate(limit);
    Ok(found)
}

/// A user's next sessions that began at or behind `from`, and where they go on, if they do. They are looked for among
/// everybody's, some thousands at a time.
pub(in crate::store) fn sessions(
    db: &dyn Sql,
    (environment, user): (i64, i64),
    (from, limit): (i64, usize),
) -> Result<Page<Session>> {
    const LOOK: i64 = 20_000;
    let Some(seen) = seen(db, user)? else { return Ok((Vec::new(), None)) };
    // A session can begin before its user is seen in it, and days are local ones.
    let from = from.max(seen.first_at.plus(-7 * Millis::DAY).0);
    let last = (seen.last_day + 2) * Millis::DAY;
    let sql = "SELECT started_at FROM sessions WHERE env_id = $1 AND started_at >= $2 AND started_at <= $3 \
               ORDER BY started_at LIMIT 1 OFFSET $4";
    let params = [environment, from, last, LOOK].map(Cell::Int);
    let end = db.value(sql, &params)?.some_int().unwrap_or(last);
    let sql = [
        SESSION,
        "WHERE s.env_id = $1 AND s.user_id = $2 AND s.started_at >= $3 AND s.started_at <= $4 \
                ORDER BY s.started_at, s.id LIMIT $5",
    ]
    .concat();
    let wanted = i64::try_from(limit).unwrap_or(i64::MAX);
    let params = [environment, user, from, end, wanted].map(Cell::Int);
    let mut found: Vec<_> = db.rows(&sql, &params)?.iter().map(Session::read).collect();
    let Some(cut) = found.last().filter(|_| found.len() == limit).map(|session| session.started_at) else {
        return Ok((found, (end < last).then_some(end + 1)));
    };
    // There may be others that began in the same millisecond: they come together, as far as there are earlier ones.
    if found[0].started_at < cut {
        found.retain(|session| session.started_at < cut);
    }
    Ok((found, Some(cut)))
}
