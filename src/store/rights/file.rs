//! Everything about a person or a device, list by list and some rows at a time.

use hashbrown::{HashMap, HashSet};
use uuid::Uuid;

use super::super::sql::{Cell, Row, Sql};
use super::super::{Result, StoreError, links};
use super::ask::{Roots, roots};
use super::job::places;
use super::named;
use super::their::{self, Calendar, EventKey, Page, SESSION, Session};
use crate::model::FileValue as Value;
use crate::model::{EnvironmentId, Fact, FactTexts, FileAsk, FilePart, FilePlace, FileRow, Millis, UserHash};

/// Rows that are read together; so many events with all of their properties are in memory at a time.
const TOGETHER: usize = 100;

/// The lists of the file, in order. Events that name nobody, in sessions that are theirs alone, come behind their own.
const LISTS: [&str; 12] = [
    "users",
    "profiles",
    "devices",
    "device_days",
    "device_sessions",
    "push_tokens",
    "days",
    "sessions",
    "events",
    "events",
    "set_aside",
    "links",
];

/// What the parts are read with.
struct Reading<'a> {
    db: &'a dyn Sql,
    app: i64,
    environment: i64,
    calendar: Calendar,
    roots: Roots,
    at: FilePlace,
}

/// The next rows of the file. [`StoreError::NotFound`] where there is nobody of that name.
pub(in crate::store) fn part(db: &dyn Sql, ask: &FileAsk) -> Result<FilePart> {
    let roots = roots(db, ask.subject)?.ok_or(StoreError::NotFound("person or device"))?;
    let calendar = Calendar::of(db, ask.app.0)?;
    let reading = Reading { db, app: ask.app.0, environment: ask.subject.environment.0, calendar, roots, at: ask.at };
    let (rows, next) = match ask.at.part {
        0 => reading.users(),
        1 => reading.profiles(),
        2 => reading.devices(),
        3 => reading.device_days(),
        4 => reading.device_sessions(),
        5 => reading.push_tokens(),
        6 => reading.days(),
        7 => reading.sessions(),
        8 => reading.events(),
        9 => reading.events_of_nobody(),
        10 => reading.set_aside(),
        _ => reading.links(),
    }?;
    let last = LISTS.len() - 1;
    let part = usize::from(ask.at.part).min(last);
    let next = next.or_else(|| (part < last).then(|| FilePlace::begin(ask.at.part + 1)));
    Ok(FilePart { list: LISTS[part], rows, next })
}

/// Rows, and where the same list goes on.
type Rows = Result<(Vec<FileRow>, Option<FilePlace>)>;

impl Reading<'_> {
    fn ids(&self, ids: [Option<i64>; 2], key: i64) -> [Cell; 4] {
        let [one, other] = ids.map(|id| Cell::Int(id.unwrap_or(-1)));
        [one, other, key.into(), count(TOGETHER).into()]
    }

    /// Where a list goes on that is read by row.
    fn behind(&self, rows: &[Row]) -> Option<FilePlace> {
        let last = rows.last().filter(|_| rows.len() == TOGETHER)?;
        Some(FilePlace { key: last.int(0), ..FilePlace::begin(self.at.part) })
    }

    fn users(&self) -> Rows {
        let Some(user) = self.roots.user else { return Ok((Vec::new(), None)) };
        let row = self.db.row("SELECT hash, first_at, last_day FROM users WHERE id = $1", &[user.into()])?;
        let told = |row: &Row| {
            vec![("pseudonym", hex(row, 0)), ("first_seen", at(row, 1)), ("last_day", Value::Day(day(row.int(2))))]
        };
        Ok((row.iter().map(told).collect(), None))
    }

    /// What they were called before it was known who they are.
    fn links(&self) -> Rows {
        let Some(hash) = self.roots.hash else { return Ok((Vec::new(), None)) };
        let names = links::names(self.db, EnvironmentId(self.environment), hash)?;
        let told = |(hash, at): (UserHash, Millis)| {
            vec![("earlier_pseudonym", Value::Text(hash.to_string())), ("linked_at", Value::At(at))]
        };
        Ok((names.into_iter().map(told).collect(), None))
    }

    fn profiles(&self) -> Rows {
        let Some(profile) = self.roots.profile else { return Ok((Vec::new(), None)) };
        let sql = "SELECT uuid, hash, identifier, email, name, created_at, updated_at FROM profiles WHERE id = $1";
        let told = |row: &Row| {
            vec![
                ("id", id(row, 0)),
                ("pseudonym", hex(row, 1)),
                ("identifier", text(row, 2)),
                ("email", text(row, 3)),
                ("name", text(row, 4)),
                ("created_at", at(row, 5)),
                ("updated_at", at(row, 6)),
            ]
        };
        Ok((self.db.row(sql, &[profile.into()])?.iter().map(told).collect(), None))
    }

    fn devices(&self) -> Rows {
        let sql = "SELECT id, uuid, install_id, platform, system_name, system_version, name, kind, brand, created_at, \
                   seen_at FROM devices WHERE (profile_id = $1 OR id = $2) AND id > $3 ORDER BY id LIMIT $4";
        let rows = self.db.rows(sql, &self.ids([self.roots.profile, self.roots.device], self.at.key))?;
        let told = |row: &Row| {
            vec![
                ("id", id(row, 1)),
                ("installation", text(row, 2)),
                ("platform", text(row, 3)),
                ("system", text(row, 4)),
                ("system_version", text(row, 5)),
                ("name", text(row, 6)),
                ("kind", text(row, 7)),
                ("brand", text(row, 8)),
                ("created_at", at(row, 9)),
                ("seen_at", at(row, 10)),
            ]
        };
        Ok((rows.iter().map(told).collect(), self.behind(&rows)))
    }

    /// Of one device at a time.
    fn device_days(&self) -> Rows {
        let sql = "SELECT id, uuid, created_at, seen_at FROM devices WHERE (profile_id = $1 OR id = $2) AND id > $3 \
                   ORDER BY id LIMIT 1";
        let ids = self.ids([self.roots.profile, self.roots.device], self.at.key);
        let Some(device) = self.db.row(sql, &ids[..3])? else { return Ok((Vec::new(), None)) };
        let mut from = Some(device.int(2).div_euclid(Millis::DAY) - 1);
        let last = device.int(3).div_euclid(Millis::DAY) + 1;
        let mut rows = Vec::new();
        while let Some(first) = from {
            let table = ("device_days", "device_id");
            let (found, next) = their::days(self.db, table, (self.environment, device.int(0)), (first, last))?;
            let told = |(day, hours)| {
                vec![("device", id(&device, 1)), ("day", Value::Day(day)), ("hours", Value::Hours(hours))]
            };
            rows.extend(found.into_iter().map(told));
            from = next;
        }
        Ok((rows, Some(FilePlace { key: device.int(0), ..FilePlace::begin(self.at.part) })))
    }

    fn device_sessions(&self) -> Rows {
        let sql = "SELECT s.id, s.uuid, s.hash, d.uuid, v.name, b.number, s.started_at, s.seen_at, s.expires_at, \
                   s.system_version, s.sdk_name, s.sdk_version, s.ota FROM device_sessions s \
                   LEFT JOIN devices d ON d.id = s.device_id LEFT JOIN versions v ON v.id = s.version_id \
                   LEFT JOIN builds b ON b.id = s.build_id \
                   WHERE (s.profile_id = $1 OR s.device_id = $2) AND s.id > $3 ORDER BY s.id LIMIT $4";
        let rows = self.db.rows(sql, &self.ids([self.roots.profile, self.roots.device], self.at.key))?;
        let told = |row: &Row| {
            vec![
                ("id", id(row, 1)),
                ("session", hex(row, 2)),
                ("device", id(row, 3)),
                ("version", text(row, 4)),
                ("build", int(row, 5)),
                ("started_at", at(row, 6)),
                ("seen_at", at(row, 7)),
                ("expires_at", at(row, 8)),
                ("system_version", text(row, 9)),
                ("sdk_name", text(row, 10)),
                ("sdk_version", text(row, 11)),
                ("ota", json(row, 12)),
            ]
        };
        Ok((rows.iter().map(told).collect(), self.behind(&rows)))
    }

    fn push_tokens(&self) -> Rows {
        let sql = "SELECT t.id, t.platform, t.token, d.uuid, t.active, t.created_at, t.updated_at FROM push_tokens t \
                   LEFT JOIN devices d ON d.id = t.device_id WHERE ((t.profile_id = $1 AND t.device_id IN \
                   (SELECT s.device_id FROM device_sessions s WHERE s.profile_id = $1)) OR t.device_id = $2) \
                   AND t.id > $3 ORDER BY t.id LIMIT $4";
        let rows = self.db.rows(sql, &self.ids([self.roots.profile, self.roots.device], self.at.key))?;
        let told = |row: &Row| {
            vec![
                ("platform", text(row, 1)),
                ("token", text(row, 2)),
                ("device", id(row, 3)),
                ("active", Value::Bool(row.int(4) != 0)),
                ("created_at", at(row, 5)),
                ("updated_at", at(row, 6)),
            ]
        };
        Ok((rows.iter().map(told).collect(), self.behind(&rows)))
    }

    fn days(&self) -> Rows {
        let Some(user) = self.roots.user else { return Ok((Vec::new(), None)) };
        let Some(seen) = their::seen(self.db, user)? else { return Ok((Vec::new(), None)) };
        let from = (self.at.key.max(seen.first_day), seen.last_day);
        let (days, next) = their::days(self.db, ("user_days", "user_id"), (self.environment, user), from)?;
        let told = |(day, hours)| vec![("day", Value::Day(day)), ("hours", Value::Hours(hours))];
        let next = next.map(|key| FilePlace { key, ..FilePlace::begin(self.at.part) });
        Ok((days.into_iter().map(told).collect(), next))
    }

    /// The next of their sessions, or of the device's, each with its place, and where they go on.
    fn next_sessions(&self) -> Result<Page<(i64, Session)>> {
        let key = self.at.key;
        if let Some(device) = self.roots.device {
            let sql = "SELECT id, hash FROM device_sessions WHERE device_id = $1 AND id >= $2 ORDER BY id LIMIT $3";
            let visits = self.db.rows(sql, &[device.into(), key.into(), count(TOGETHER).into()])?;
            let mut found = Vec::new();
            for visit in &visits {
                let sql = [SESSION, "WHERE s.env_id = $1 AND s.hash = $2"].concat();
                let hash = Cell::Uuid(visit.array(1).unwrap_or_default());
                let row = self.db.row(&sql, &[self.environment.into(), hash])?;
                found.extend(row.as_ref().map(|row| (visit.int(0), Session::read(row))));
            }
            let next = visits.last().filter(|_| visits.len() == TOGETHER).map(|last| last.int(0) + 1);
            return Ok((found, next));
        }
        let Some(user) = self.roots.user else { return Ok((Vec::new(), None)) };
        let (found, next) = their::sessions(self.db, (self.environment, user), (key, TOGETHER))?;
        let found = found.into_iter().map(|session| (session.started_at, session)).collect();
        Ok((found, next.map(|next| if next == key { next + 1 } else { next })))
    }

    fn sessions(&self) -> Rows {
        let (found, next) = self.next_sessions()?;
        let next = next.map(|key| FilePlace { key, ..FilePlace::begin(self.at.part) });
        if found.is_empty() {
            return Ok((Vec::new(), next));
        }
        let sql = format!(
            "SELECT hash, started_at, ended_at, events, crashed, facts_id FROM sessions WHERE id IN ({}) \
             ORDER BY started_at, id",
            places(1, found.len())
        );
        let ids: Vec<_> = found.iter().map(|(_, session)| Cell::Int(session.row)).collect();
        let rows = self.db.rows(&sql, &ids)?;
        let facts = fact_texts(self.db, rows.iter().map(|row| row.int(5)))?;
        let told = |row: &Row| {
            vec![
                ("session", hex(row, 0)),
                ("started_at", at(row, 1)),
                ("ended_at", at(row, 2)),
                ("events", int(row, 3)),
                ("crashed", Value::Bool(row.int(4) != 0)),
                ("facts", Value::Texts(facts.get(&row.int(5)).cloned().unwrap_or_default())),
            ]
        };
        Ok((rows.iter().map(told).collect(), next))
    }

    fn events(&self) -> Rows {
        let Some(user) = self.roots.user else { return Ok((Vec::new(), None)) };
        let place = (self.at.key, self.at.after);
        let found = their::events(self.db, &self.calendar, (self.environment, user), place, TOGETHER)?;
        let next = found.next.map(|(key, after)| FilePlace { part: self.at.part, key, after });
        Ok((self.told(&found.events)?, next))
    }

    /// Events in their sessions that name nobody, where nobody else has any there; all of those in a device's sessions, but
    /// for what was told already.
    fn events_of_nobody(&self) -> Rows {
        let (found, next) = self.next_sessions()?;
        let (mut rows, mut after) = (Vec::new(), self.at.after);
        let user = self.roots.user.unwrap_or(-1);
        for (number, (key, session)) in found.iter().enumerate() {
            let place = |key: &i64, after| FilePlace { part: self.at.part, key: *key, after };
            let shared = self.roots.device.is_none() && session.has_others(self.db, self.environment, user)?;
            if !shared {
                let events = session.events(self.db, self.environment, after, TOGETHER)?;
                let more = events.last().filter(|_| events.len() == TOGETHER).map(EventKey::place);
                let events: Vec<_> = events.into_iter().filter(|event| event.user != Some(user)).collect();
                rows.extend(self.told(&events)?);
                if let Some(after) = more {
                    return Ok((rows, Some(place(key, after))));
                }
            }
            after = their::START;
            if let Some((key, _)) = found.get(number + 1).filter(|_| rows.len() >= TOGETHER) {
                return Ok((rows, Some(place(key, after))));
            }
        }
        Ok((rows, next.map(|key| FilePlace { key, ..FilePlace::begin(self.at.part) })))
    }

    /// Events as they are told, in the order of their keys.
    fn told(&self, keys: &[EventKey]) -> Result<Vec<FileRow>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let mut params: Vec<Cell> = Vec::new();
        let mut pairs = Vec::new();
        for key in keys {
            params.extend([key.claimed_at.into(), Cell::Uuid(key.id)]);
            pairs.push(format!("(${}, ${})", params.len() - 1, params.len()));
        }
        let sql = format!(
            "WITH k (claimed_at, event_id) AS (VALUES {}) \
             SELECT e.claimed_at, e.event_id, e.claimed_at + e.skew, e.claimed_at + e.skew + e.delay, n.text, c.text, \
             e.facts_id, s.hash, e.props, g.text, e.fatal FROM k CROSS JOIN events e \
             LEFT JOIN strings n ON n.id = e.name_id LEFT JOIN strings c ON c.id = e.category_id \
             LEFT JOIN sessions s ON s.id = e.session_id LEFT JOIN strings g ON g.id = e.error_id \
             WHERE e.env_id = ${} AND e.claimed_at = k.claimed_at AND e.event_id = k.event_id",
            pairs.join(", "),
            params.len() + 1
        );
        params.push(self.environment.into());
        let rows = self.db.rows(&sql, &params)?;
        let facts = fact_texts(self.db, rows.iter().map(|row| row.int(6)))?;
        let mut told: Vec<_> = rows.iter().map(|row| (row.int(2), row.bytes(1).to_vec(), event(row, &facts))).collect();
        told.sort_unstable_by(|one, other| (one.0, &one.1).cmp(&(other.0, &other.1)));
        Ok(told.into_iter().map(|(_, _, row)| row).collect())
    }

    fn set_aside(&self) -> Rows {
        let mut rows = Vec::new();
        let mut named = named::set_aside(self.db, (self.app, self.environment), &self.roots.names)?;
        named.sort_unstable();
        named.retain(|row| *row > self.at.key);
        for row in named.iter().take(TOGETHER) {
            let sql = "SELECT received_at, reason, detail, event_id, body FROM set_aside WHERE id = $1";
            let told = |row: &Row| {
                vec![
                    ("received_at", at(row, 0)),
                    ("reason", text(row, 1)),
                    ("detail", text(row, 2)),
                    ("id", id(row, 3)),
                    ("body", text(row, 4)),
                ]
            };
            rows.extend(self.db.row(sql, &[(*row).into()])?.iter().map(told));
        }
        let next = named.get(TOGETHER - 1).filter(|_| named.len() > TOGETHER);
        Ok((rows, next.map(|key| FilePlace { key: *key, ..FilePlace::begin(self.at.part) })))
    }
}

/// The texts of sets of facts, by set.
pub(in crate::store) fn fact_texts(db: &dyn Sql, sets: impl Iterator<Item = i64>) -> Result<HashMap<i64, FactTexts>> {
    let sets: HashSet<i64> = sets.collect();
    let mut facts: HashMap<i64, FactTexts> = HashMap::new();
    if sets.is_empty() {
        return Ok(facts);
    }
    let columns = Fact::ALL.map(|fact| format!("f.{}", fact.name())).join(", ");
    let sql = format!(
        "SELECT f.id, s.kind, s.text FROM facts f JOIN strings s ON s.id IN ({columns}) WHERE f.id IN ({})",
        places(1, sets.len())
    );
    for row in db.rows(&sql, &sets.into_iter().map(Cell::Int).collect::<Vec<_>>())? {
        let kind = row.text(1);
        if let Some(fact) = Fact::ALL.into_iter().find(|fact| fact.name() == kind) {
            facts.entry(row.int(0)).or_default().push((fact.name(), row.text(2)));
        }
    }
    for texts in facts.values_mut() {
        texts.sort_unstable();
    }
    Ok(facts)
}

fn event(row: &Row, facts: &HashMap<i64, FactTexts>) -> FileRow {
    vec![
        ("id", id(row, 1)),
        ("time", at(row, 2)),
        ("received_at", at(row, 3)),
        ("claimed_time", at(row, 0)),
        ("name", text(row, 4)),
        ("category", text(row, 5)),
        ("session", hex(row, 7)),
        ("error", text(row, 9)),
        ("crash", Value::Bool(row.int(10) != 0)),
        ("facts", Value::Texts(facts.get(&row.int(6)).cloned().unwrap_or_default())),
        ("properties", json(row, 8)),
    ]
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

fn day(number: i64) -> i32 {
    i32::try_from(number).unwrap_or_default()
}

fn at(row: &Row, column: usize) -> Value {
    row.some_int(column).map_or(Value::Null, |at| Value::At(Millis(at)))
}

fn int(row: &Row, column: usize) -> Value {
    row.some_int(column).map_or(Value::Null, Value::Int)
}

fn text(row: &Row, column: usize) -> Value {
    row.some_text(column).map_or(Value::Null, Value::Text)
}

fn json(row: &Row, column: usize) -> Value {
    row.some_text(column).map_or(Value::Null, Value::Json)
}

/// A public id, as it is written elsewhere.
fn id(row: &Row, column: usize) -> Value {
    row.array(column).map_or(Value::Null, |id| Value::Text(Uuid::from_bytes(id).to_string()))
}

/// A pseudonym, as it is written elsewhere.
fn hex(row: &Row, column: usize) -> Value {
    row.array::<16>(column).map_or(Value::Null, |hash| Value::Text(hex::encode(hash)))
}
