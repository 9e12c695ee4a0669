//! What a commit changes, as statements over columns.

use std::collections::BTreeMap;

use hashbrown::HashSet;
use tokio_postgres::Statement;

use super::copy::{self, Rows};
use super::session::Session;
use super::statement::{Columns, ask};
use crate::model::Millis;
use crate::rollup::{Deltas, Key, Measures};
use crate::store::Result;
use crate::store::commit::{GroupRecord, Hours, SessionOwner, SessionRecord, TRIM_SET_ASIDE, UserRecord};
use crate::store::settled::{self, Arrivals, ROOM};

/// What is to be written, as it will be in the end.
#[derive(Default)]
pub(super) struct Writes {
    pub(super) keys: BTreeMap<i64, i64>,
    pub(super) first_events: BTreeMap<i64, i64>,
    pub(super) events: Rows,
    pub(super) arrivals: Arrivals,
    pub(super) set_aside: Vec<StoredAside>,
    /// New reasons of events that stay aside.
    pub(super) judged: BTreeMap<i64, (&'static str, String)>,
    /// Events that are aside no longer.
    pub(super) taken: Vec<i64>,
    pub(super) trims: Vec<(i64, i64)>,
    pub(super) new_users: BTreeMap<(i64, [u8; 16]), i64>,
    pub(super) users: BTreeMap<i64, UserRecord>,
    /// New names of users who are there.
    pub(super) renames: BTreeMap<i64, [u8; 16]>,
    pub(super) hours: BTreeMap<(i64, i32, i64), Hours>,
    pub(super) devices: BTreeMap<(i64, i32, i64), i64>,
    pub(super) new_sessions: Vec<(SessionRecord, SessionOwner)>,
    pub(super) starts: BTreeMap<i64, Millis>,
    pub(super) growths: BTreeMap<i64, (SessionRecord, i64)>,
    pub(super) errors: BTreeMap<(i64, i64), GroupRecord>,
    pub(super) deltas: Deltas,
    pub(super) outcomes: BTreeMap<(i64, i64, &'static str), i64>,
}

pub(super) struct StoredAside {
    pub(super) app: i64,
    pub(super) environment: i64,
    pub(super) received_at: i64,
    pub(super) reason: &'static str,
    pub(super) detail: String,
    pub(super) id: Option<[u8; 16]>,
    pub(super) body: String,
    pub(super) again: Option<String>,
}

impl Writes {
    /// Writes everything and commits, in the order in which every node does: what only a few want first, what all want
    /// last.
    pub(super) fn commit(self, session: &Session<'_>, copy: Statement) -> Result<()> {
        let mut first = Vec::new();
        self.people(&mut first);
        self.sessions(&mut first);
        self.errors(&mut first);
        self.small(&mut first);
        self.tried(&mut first);
        let Self { events, arrivals, set_aside, trims, outcomes, deltas, .. } = self;
        if !set_aside.is_empty() {
            first.push(insert_set_aside(set_aside));
        }
        first.extend(trims.into_iter().map(|(app, keep)| Columns::new(TRIM_SET_ASIDE).int(app).int(keep)));
        session.wait(ask(session.client(), "", &first, ""))?;
        match events.finish() {
            Some(rows) => copy::copy(session, copy, rows)?,
            None => drop(copy),
        }
        let come = name(merge(COME, &deltas.days), &arrivals);
        let last = [add_outcomes(&outcomes), merge(MERGE_HOURS, &deltas.hours), come, list_sessions(&deltas)];
        session.wait(ask(session.client(), LISTS_SESSIONS, &last, "COMMIT"))?;
        Ok(())
    }

    fn people(&self, statements: &mut Vec<Columns>) {
        if !self.renames.is_empty() {
            let sql = "UPDATE users u SET hash = n.hash FROM unnest($1::int8[], $2::uuid[]) AS n (id, hash) \
                       WHERE u.id = n.id";
            let rows = Columns::new(sql).ints(self.renames.keys().copied());
            statements.push(rows.uuids(self.renames.values().copied()));
        }
        let new: Vec<_> =
            self.new_users.iter().map(|((environment, hash), id)| (*environment, *hash, self.users[id])).collect();
        if !new.is_empty() {
            let sql = "SELECT commit_put_users($1, $2, $3, $4, $5)";
            statements.push(
                Columns::new(sql)
                    .ints(new.iter().map(|user| user.0))
                    .uuids(new.iter().map(|user| user.1))
                    .ints(new.iter().map(|user| user.2.id))
                    .ints(new.iter().map(|user| user.2.first_at.0))
                    .ints(new.iter().map(|user| user.2.last_day.into())),
            );
        }
        let is_new: HashSet<i64> = self.new_users.values().copied().collect();
        let changed: Vec<_> = self.users.values().filter(|user| !is_new.contains(&user.id)).collect();
        if !changed.is_empty() {
            let sql = "SELECT commit_set_users($1, $2, $3)";
            statements.push(
                Columns::new(sql)
                    .ints(changed.iter().map(|user| user.id))
                    .ints(changed.iter().map(|user| user.first_at.0))
                    .ints(changed.iter().map(|user| user.last_day.into())),
            );
        }
        if !self.hours.is_empty() {
            let sql = "SELECT commit_put_hours($1, $2, $3, $4, $5)";
            statements.push(
                Columns::new(sql)
                    .ints(self.hours.keys().map(|key| key.0))
                    .ints(self.hours.keys().map(|key| key.1.into()))
                    .ints(self.hours.keys().map(|key| key.2))
                    .ints(self.hours.values().map(|hours| hours.seen.into()))
                    .ints(self.hours.values().map(|hours| hours.crashed.into())),
            );
        }
        if !self.devices.is_empty() {
            let sql = "SELECT commit_put_devices($1, $2, $3, $4)";
            statements.push(
                Columns::new(sql)
                    .ints(self.devices.keys().map(|key| key.0))
                    .ints(self.devices.keys().map(|key| key.1.into()))
                    .ints(self.devices.keys().map(|key| key.2))
                    .ints(self.devices.values().copied()),
            );
        }
    }

    /// Events that were tried again.
    fn tried(&self, statements: &mut Vec<Columns>) {
        if !self.judged.is_empty() {
            let sql = "UPDATE set_aside s SET reason = n.reason, detail = n.detail \
                       FROM unnest($1::int8[], $2::text[], $3::text[]) AS n (id, reason, detail) WHERE s.id = n.id";
            let details: Vec<_> = self.judged.values().map(|(_, detail)| Some(detail.clone())).collect();
            statements.push(
                Columns::new(sql)
                    .ints(self.judged.keys().copied())
                    .texts(self.judged.values().map(|(reason, _)| Some(*reason)))
                    .texts(details),
            );
        }
        if !self.taken.is_empty() {
            let sql = "DELETE FROM set_aside WHERE id = ANY($1::int8[])";
            statements.push(Columns::new(sql).ints(self.taken.iter().copied()));
        }
    }

    fn errors(&self, statements: &mut Vec<Columns>) {
        if !self.errors.is_empty() {
            let sql = "SELECT commit_put_errors($1, $2, $3, $4, $5)";
            let messages: Vec<_> = self.errors.values().map(|seen| Some(seen.message.clone())).collect();
            statements.push(
                Columns::new(sql)
                    .ints(self.errors.keys().map(|key| key.0))
                    .ints(self.errors.keys().map(|key| key.1))
                    .texts(messages)
                    .ints(self.errors.values().map(|seen| seen.first_at.0))
                    .ints(self.errors.values().map(|seen| seen.last_at.0)),
            );
        }
    }

    fn sessions(&self, statements: &mut Vec<Columns>) {
        let growth = |id: i64| self.growths.get(&id).copied();
        let start = |session: &SessionRecord| self.starts.get(&session.id).copied().unwrap_or(session.started_at);
        let mut new: Vec<_> = self.new_sessions.iter().collect();
        new.sort_unstable_by_key(|(session, owner)| (owner.environment.0, owner.hash.map(|hash| hash.0), session.id));
        if !new.is_empty() {
            let sql = "SELECT commit_put_sessions($1, $2, $3, $4, $5, $6, $7, $8, $9)";
            let of = |session: &SessionRecord| growth(session.id).unwrap_or((*session, 0));
            statements.push(
                Columns::new(sql)
                    .ints(new.iter().map(|(session, _)| session.id))
                    .ints(new.iter().map(|(_, owner)| owner.environment.0))
                    .some_uuids(new.iter().map(|(_, owner)| owner.hash.map(|hash| hash.0)))
                    .some_ints(new.iter().map(|(_, owner)| owner.user))
                    .ints(new.iter().map(|(session, _)| session.facts))
                    .ints(new.iter().map(|(session, _)| start(session).0))
                    .ints(new.iter().map(|(session, _)| of(session).0.ended_at.0))
                    .ints(new.iter().map(|(session, _)| of(session).1))
                    .ints(new.iter().map(|(session, _)| of(session).0.crashed.into())),
            );
        }
        let is_new: HashSet<i64> = self.new_sessions.iter().map(|(session, _)| session.id).collect();
        let grown: Vec<_> = self.growths.iter().filter(|(id, _)| !is_new.contains(*id)).collect();
        if !grown.is_empty() {
            let sql = "SELECT commit_grow_sessions($1, $2, $3, $4, $5)";
            statements.push(
                Columns::new(sql)
                    .ints(grown.iter().map(|(id, _)| **id))
                    .ints(grown.iter().map(|(_, growth)| growth.0.ended_at.0))
                    .ints(grown.iter().map(|(_, growth)| growth.1))
                    .some_ints(grown.iter().map(|(id, _)| self.starts.get(*id).map(|start| start.0)))
                    .ints(grown.iter().map(|(_, growth)| growth.0.crashed.into())),
            );
        }
    }

    /// What changes only now and then.
    fn small(&self, statements: &mut Vec<Columns>) {
        if !self.keys.is_empty() {
            let sql = "UPDATE ingest_keys k SET last_used_at = n.at FROM unnest($1::int8[], $2::int8[]) AS n (id, at) \
                       WHERE k.id = n.id AND (k.last_used_at IS NULL OR k.last_used_at < n.at)";
            let keys = Columns::new(sql).ints(self.keys.keys().copied()).ints(self.keys.values().copied());
            statements.push(keys);
        }
        if !self.first_events.is_empty() {
            let sql = "UPDATE apps a SET first_event_at = n.at FROM unnest($1::int8[], $2::int8[]) AS n (id, at) \
                       WHERE a.id = n.id AND a.first_event_at IS NULL";
            let apps = Columns::new(sql).ints(self.first_events.keys().copied());
            statements.push(apps.ints(self.first_events.values().copied()));
        }
    }
}

fn add_outcomes(outcomes: &BTreeMap<(i64, i64, &'static str), i64>) -> Columns {
    Columns::new("SELECT commit_add_outcomes($1, $2, $3, $4)")
        .ints(outcomes.keys().map(|key| key.0))
        .ints(outcomes.keys().map(|key| key.1))
        .texts(outcomes.keys().map(|key| Some(key.2)))
        .ints(outcomes.values().copied())
}

fn insert_set_aside(events: Vec<StoredAside>) -> Columns {
    let sql = "INSERT INTO set_aside (app_id, env_id, received_at, reason, event_id, detail, body, again) \
               SELECT * FROM unnest($1::int8[], $2::int8[], $3::int8[], $4::text[], $5::uuid[], $6::text[], $7::text[], \
               $8::text[]) ON CONFLICT DO NOTHING";
    let agains: Vec<_> = events.iter().map(|event| event.again.clone()).collect();
    let (details, bodies): (Vec<_>, Vec<_>) = events.iter().map(|e| (e.detail.clone(), e.body.clone())).unzip();
    Columns::new(sql)
        .ints(events.iter().map(|event| event.app))
        .ints(events.iter().map(|event| event.environment))
        .ints(events.iter().map(|event| event.received_at))
        .texts(events.iter().map(|event| Some(event.reason)))
        .some_uuids(events.iter().map(|event| event.id))
        .texts(details.into_iter().map(Some))
        .texts(bodies.into_iter().map(Some))
        .texts(agains)
}

const MERGE_HOURS: &str = "SELECT commit_add_hours($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";

const COME: &str =
    "SELECT commit_come($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)";

/// Names events that may be listed beside days that are settled.
fn name(days: Columns, arrivals: &Arrivals) -> Columns {
    days.any_ints(arrivals.few().map(|(environment, ..)| environment.0))
        .any_ints(arrivals.few().map(|(_, day, ..)| day))
        .any_ints(arrivals.few().map(|(_, _, claimed_at, _)| claimed_at.0))
        .any_uuids(arrivals.few().map(|(.., id)| id.0))
        .int(ROOM.0)
        .int(ROOM.1)
}

/// Said before the summaries, of a commit that lists the sessions that it has changed behind them.
const LISTS_SESSIONS: &str = "SET LOCAL tallybox.lists_sessions = 'yes'";

/// Lists sessions that have changed beside days that are settled.
fn list_sessions(deltas: &Deltas) -> Columns {
    let days = settled::changed_sessions(deltas);
    let changes: Vec<_> = days.iter().flat_map(|day| settled::changes_of(deltas, *day)).collect();
    Columns::new("SELECT commit_list_sessions($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
        .ints(days.iter().map(|(environment, _)| environment.0))
        .ints(days.iter().map(|(_, day)| *day))
        .any_ints(changes.iter().map(|(key, _)| key.environment.0))
        .any_ints(changes.iter().map(|(key, _)| key.day))
        .any_ints(changes.iter().map(|(key, _)| key.facts))
        .any_ints(changes.iter().map(|(key, _)| key.class))
        .any_ints(changes.iter().map(|(_, count)| count.sessions))
        .any_ints(changes.iter().map(|(_, count)| count.crashed))
        .int(ROOM.0)
        .int(ROOM.1)
}

/// Adds rows to a summary table, in key order.
fn merge(sql: &'static str, rows: &BTreeMap<Key, Measures>) -> Columns {
    let key = Columns::new(sql)
        .ints(rows.keys().map(|key| key.environment.0))
        .ints(rows.keys().map(|key| key.dimension))
        .ints(rows.keys().map(|key| key.bucket.0))
        .ints(rows.keys().map(|key| key.value));
    (0..Measures::COLUMNS.len()).fold(key, |columns, at| columns.ints(rows.values().map(|m| m.values()[at])))
}
