//! The erasure of a person, step by step: events, sessions, days, what their devices know of them, devices, and at last
//! the rows that all of these hang on.

use hashbrown::{HashMap, HashSet};

use super::super::Result;
use super::super::sql::{Cell, Row, Sql};
use super::errors;
use super::job::{Change, Job, Phase, Place, ROWS, Step, mark_days, places, remove_events};
use super::their::{self, EventKey, PATIENCE, START, Session};
use crate::clock::Deadline;
use crate::model::Millis;

/// Sessions of devices, and devices, that are looked at together.
const VISITS: i64 = 200;
const DEVICES: i64 = 20;

/// Their events, hour by hour. A session of nobody that one of them was in is theirs from then on.
pub(super) fn events(db: &dyn Sql, job: &Job) -> Result<Step> {
    let Some(user) = job.user else { return Ok(Step::on(Place::begin(Phase::Visits))) };
    let found = their::events(db, &job.calendar, (job.environment, user), (job.place.key, START), ROWS)?;
    let next = match found.next {
        Some((key, _)) => Place { phase: Phase::Events, key },
        None => Place::begin(Phase::Sessions),
    };
    let mut changes = removal(db, job, &found.events, ("user_id", user))?;
    let sessions: HashSet<i64> = found.events.iter().filter_map(|event| event.session).collect();
    if !sessions.is_empty() {
        let sql =
            format!("UPDATE sessions SET user_id = $1 WHERE user_id IS NULL AND id IN ({})", places(2, sessions.len()));
        changes.push(Change::silent(sql, [user].into_iter().chain(sessions).map(Cell::Int).collect()));
    }
    Ok(Step { changes, next })
}

/// What removes events: those of errors take the text of their groups with them where nobody else has had those.
/// `owner` is what they have in common.
pub(super) fn removal(db: &dyn Sql, job: &Job, events: &[EventKey], owner: (&str, i64)) -> Result<Vec<Change>> {
    let mut changes = mark_days(job.environment, events.iter().map(|event| event.at.0.div_euclid(Millis::DAY)));
    let mut groups: HashMap<i64, Vec<&str>> = HashMap::new();
    for (group, props) in events.iter().filter_map(|event| event.error.as_ref()) {
        groups.entry(*group).or_default().push(props);
    }
    for (group, props) in groups {
        changes.extend(errors::forget(db, (job.app, job.environment, group), &props, owner)?);
    }
    changes.extend(remove_events(job.environment, events));
    Ok(changes)
}

/// Their sessions, with the events in them that name nobody. One that somebody else has events in stays with those.
pub(super) fn sessions(db: &dyn Sql, job: &Job) -> Result<Step> {
    let Some(user) = job.user else { return Ok(Step::on(Place::begin(Phase::Visits))) };
    let (found, next) = their::sessions(db, (job.environment, user), (job.place.key, 100))?;
    let deadline = Deadline::after(PATIENCE);
    let (mut changes, mut left) = (Vec::new(), ROWS);
    for session in &found {
        if left == 0 || (deadline.passed() && !changes.is_empty()) {
            let next = Place { phase: Phase::Sessions, key: session.started_at };
            return Ok(Step { changes, next });
        }
        if session.has_others(db, job.environment, user)? {
            let sql = "UPDATE sessions SET user_id = NULL WHERE id = $1";
            changes.push(Change::silent(sql, vec![session.row.into()]));
            continue;
        }
        // One more than may be removed: where that comes, there are others behind.
        let events = session.events(db, job.environment, START, left + 1)?;
        let whole = events.len() <= left;
        let events = &events[..events.len().min(left)];
        changes.extend(removal(db, job, events, ("session_id", session.row))?);
        left -= events.len();
        if !whole {
            let next = Place { phase: Phase::Sessions, key: session.started_at };
            return Ok(Step { changes, next });
        }
        changes.extend(remove_session(job.environment, *session));
    }
    let next = next.map_or(Place::begin(Phase::Days), |key| Place { phase: Phase::Sessions, key });
    Ok(Step { changes, next })
}

/// What removes a session in which nothing has happened since it was read.
pub(super) fn remove_session(environment: i64, session: Session) -> Vec<Change> {
    let Session { row, started_at, ended_at, events } = session;
    let mut changes = mark_days(environment, [started_at.div_euclid(Millis::DAY)]);
    let sql = "DELETE FROM sessions WHERE id = $1 AND ended_at = $2 AND events = $3";
    changes.push(Change::removal("sessions", sql, [row, ended_at, events].map(Cell::Int).to_vec()).or_off());
    changes
}

/// The days on which they were seen.
pub(super) fn days(db: &dyn Sql, job: &Job) -> Result<Step> {
    let over = Place::begin(Phase::Visits);
    let Some(user) = job.user else { return Ok(Step::on(over)) };
    let Some(seen) = their::seen(db, user)? else { return Ok(Step::on(over)) };
    let from = job.place.key.max(seen.first_day);
    let (found, next) = their::days(db, ("user_days", "user_id"), (job.environment, user), (from, seen.last_day))?;
    let found: Vec<i32> = found.into_iter().map(|(day, _)| day).collect();
    let mut changes = mark_days(job.environment, [seen.first_at.0.div_euclid(Millis::DAY)]);
    changes.extend(mark_days(job.environment, found.iter().flat_map(|day| job.calendar.utc_days(*day))));
    changes.extend(remove_days("user_days", "user_id", (job.environment, user), &found));
    let next = next.map_or(over, |key| Place { phase: Phase::Days, key });
    Ok(Step { changes, next })
}

/// What removes days of a row.
pub(super) fn remove_days(
    table: &'static str,
    column: &str,
    (environment, row): (i64, i64),
    days: &[i32],
) -> Option<Change> {
    let sql = format!("DELETE FROM {table} WHERE env_id = $1 AND {column} = $2 AND day IN ({})", places(3, days.len()));
    let params = [environment, row].into_iter().chain(days.iter().map(|day| i64::from(*day)));
    (!days.is_empty()).then(|| Change::removal(table, sql, params.map(Cell::Int).collect()))
}

/// Their sessions on devices, whosever those are now, and the addresses for messages that those gave for them.
pub(super) fn visits(db: &dyn Sql, job: &Job) -> Result<Step> {
    let over = Place::begin(Phase::Devices);
    let Some(profile) = job.profile else { return Ok(Step::on(Place::begin(Phase::Roots))) };
    let sql = "SELECT id, device_id FROM device_sessions WHERE profile_id = $1 ORDER BY started_at LIMIT $2";
    let found = db.rows(sql, &[profile.into(), VISITS.into()])?;
    if found.is_empty() {
        return Ok(Step::on(over));
    }
    let devices: HashSet<i64> = found.iter().map(|row| row.int(1)).collect();
    let tokens =
        format!("DELETE FROM push_tokens WHERE profile_id = $1 AND device_id IN ({})", places(2, devices.len()));
    let visits = format!("DELETE FROM device_sessions WHERE id IN ({})", places(1, found.len()));
    let changes = vec![
        Change::removal("push_tokens", tokens, [profile].into_iter().chain(devices).map(Cell::Int).collect()),
        Change::removal("device_sessions", visits, found.iter().map(|row| row.int(0)).map(Cell::Int).collect()),
    ];
    Ok(Step { changes, next: Place::begin(Phase::Visits) })
}

/// Their devices. One that others have sessions on is theirs no more, and keeps no name.
pub(super) fn devices(db: &dyn Sql, job: &Job) -> Result<Step> {
    let over = Place::begin(Phase::Roots);
    let Some(profile) = job.profile else { return Ok(Step::on(over)) };
    let sql = "SELECT id, (SELECT max(s.id) FROM device_sessions s WHERE s.device_id = devices.id) FROM devices \
               WHERE profile_id = $1 LIMIT $2";
    let found = db.rows(sql, &[profile.into(), DEVICES.into()])?;
    if found.is_empty() {
        return Ok(Step::on(over));
    }
    let mut changes = Vec::new();
    for row in &found {
        let device = row.int(0);
        if row.some_int(1).is_some() {
            let sql = "DELETE FROM push_tokens WHERE device_id = $1 AND profile_id = $2";
            changes.push(Change::removal("push_tokens", sql, vec![device.into(), profile.into()]));
            let sql = "UPDATE devices SET profile_id = NULL, name = '' WHERE id = $1";
            changes.push(Change::silent(sql, vec![device.into()]));
            continue;
        }
        changes.extend(remove_device(db, job, device)?);
    }
    Ok(Step { changes, next: Place::begin(Phase::Devices) })
}

/// What removes a device with its days and addresses.
pub(super) fn remove_device(db: &dyn Sql, job: &Job, device: i64) -> Result<Vec<Change>> {
    let mut changes = Vec::new();
    let life = db.row("SELECT created_at, seen_at FROM devices WHERE id = $1", &[device.into()])?;
    let mut from = life.as_ref().map(|row| row.int(0).div_euclid(Millis::DAY) - 1);
    let last = life.map_or(0, |row| row.int(1).div_euclid(Millis::DAY) + 1);
    while let Some(first) = from {
        let table = ("device_days", "device_id");
        let (found, next) = their::days(db, table, (job.environment, device), (first, last))?;
        let found: Vec<i32> = found.into_iter().map(|(day, _)| day).collect();
        changes.extend(remove_days("device_days", "device_id", (job.environment, device), &found));
        from = next;
    }
    let tokens = "DELETE FROM push_tokens WHERE device_id = $1";
    changes.push(Change::removal("push_tokens", tokens, vec![device.into()]));
    changes.push(Change::removal("devices", "DELETE FROM devices WHERE id = $1", vec![device.into()]));
    Ok(changes)
}

/// The rows that say who they are. Where some are left of them under an earlier name, these are next.
pub(super) fn roots(db: &dyn Sql, job: &Job) -> Result<Step> {
    let mut changes = Vec::new();
    let mut next = Place::begin(Phase::Log);
    if let Some(link) = earlier(db, job)? {
        let sql = "UPDATE erasures SET user_id = $1, profile_id = $2 WHERE id = $3";
        let rows = [link.user, link.profile].map(|row| row.map_or(Cell::Null, Cell::Int));
        changes.push(Change::silent(sql, rows.into_iter().chain([job.row.into()]).collect()));
        changes.push(Change::silent("DELETE FROM links WHERE id = $1", vec![link.row.into()]));
        next = Place::begin(Phase::Events);
    }
    if let Some(profile) = job.profile {
        changes.push(Change::removal("profiles", "DELETE FROM profiles WHERE id = $1", vec![profile.into()]));
    }
    if let Some(user) = job.user {
        changes.push(Change::removal("users", "DELETE FROM users WHERE id = $1", vec![user.into()]));
    }
    Ok(Step { changes, next })
}

/// Rows of somebody under an earlier name, and of the link behind which they stand.
struct Earlier {
    row: i64,
    user: Option<i64>,
    profile: Option<i64>,
}

fn earlier(db: &dyn Sql, job: &Job) -> Result<Option<Earlier>> {
    let name = match (job.user, job.profile) {
        (Some(user), _) => db.value("SELECT hash FROM users WHERE id = $1", &[user.into()])?,
        (None, Some(profile)) => db.value("SELECT hash FROM profiles WHERE id = $1", &[profile.into()])?,
        (None, None) => return Ok(None),
    };
    let Some(name) = Row(vec![name]).array(0) else { return Ok(None) };
    let environment = -job.environment;
    let sql = "SELECT id, into_hash FROM links WHERE env_id = $1 AND hash = $2";
    let Some(link) = db.row(sql, &[environment.into(), Cell::Uuid(name)])? else { return Ok(None) };
    let name = link.array(1).unwrap_or_default();
    let user = "SELECT id FROM users WHERE env_id = $1 AND hash = $2";
    let user = db.row(user, &[environment.into(), Cell::Uuid(name)])?.map(|row| row.int(0));
    let profile = "SELECT id FROM profiles WHERE env_id = $1 AND hash = $2";
    let profile = db.row(profile, &[environment.into(), (&name).into()])?.map(|row| row.int(0));
    Ok(Some(Earlier { row: link.int(0), user, profile }))
}
