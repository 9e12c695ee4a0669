//! The transaction of a commit, as SQLite runs it: every statement at once, and between commits a memory of what need
//! not be asked again.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior};

use super::read::Conn;
use crate::model::{AppId, EnvironmentId, IngestKeyId, Limits, LocalTime, Millis, SessionHash, SetAside, UserHash};
use crate::rollup::{Deltas, FactIds, Key, Measures};
use crate::store::commit::{
    self, EventRecord, GroupRecord, Hours, KeyUse, Ledger, Outcomes, Prepared, SessionOwner, SessionRecord, UserRecord,
};
use crate::store::identify::{self, VersionIds};
use crate::store::intern::{self, Interner};
use crate::store::links::{self, Roots, Teller};
use crate::store::people::People;
use crate::store::remembered::Remembered;
use crate::store::settled;
use crate::store::sql::Sql;
use crate::store::{Committed, Draft, Nonce, Result, StoreError};

/// What the writer remembers between commits so that it need not ask the database again. Forgotten as a whole
/// whenever a commit fails, since some of it may then never have been written.
#[derive(Default)]
pub(super) struct Memory {
    strings: Interner,
    people: Option<People>,
    roots: Roots,
    directory: i64,
    keys: HashMap<IngestKeyId, KeyUse>,
    apps_with_events: HashSet<AppId>,
    versions: VersionIds,
    /// A number that changes when another connection, of another process, has written.
    others: i64,
    /// How well this does.
    pub(super) counts: Arc<Remembered>,
}

impl Memory {
    /// Nothing is remembered any more.
    pub(super) fn forget(&mut self) {
        *self = Self { counts: self.counts.clone(), ..Self::default() };
    }

    /// Users and sessions may have been removed: they are looked up anew.
    pub(super) fn forget_people(&mut self) {
        self.people = None;
        self.roots = Roots::default();
    }

    /// The same of these alone.
    pub(super) fn forget_users(&mut self, users: &[(EnvironmentId, UserHash)]) {
        for (environment, user) in users {
            if let Some(people) = &mut self.people {
                people.forget(*environment, *user);
            }
        }
    }
}

/// Writes all drafts in one transaction.
pub(super) fn commit(
    conn: &mut Connection,
    memory: &mut Memory,
    drafts: &[Draft],
    limits: &Limits,
) -> Result<Vec<Committed>> {
    let result = write(conn, memory, drafts, limits);
    if result.is_err() {
        memory.forget();
    }
    result
}

fn write(conn: &mut Connection, memory: &mut Memory, drafts: &[Draft], limits: &Limits) -> Result<Vec<Committed>> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    refresh_directory(&tx, memory)?;
    let others = tx.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))?;
    if std::mem::replace(&mut memory.others, others) != others {
        memory.forget_people();
    }
    let mut known = true;
    let interned = loop {
        match memory.strings.find(drafts, limits) {
            Some(interned) => break interned,
            None => {
                known = false;
                memory.strings.learn(&Conn(&tx), drafts, limits)?;
            }
        }
    };
    memory.counts.texts.note(known);
    let people = match &mut memory.people {
        Some(people) => people,
        none => {
            // Row numbers go on from the highest in use.
            let next = |sql| tx.query_row(sql, [], |row| row.get::<_, i64>(0));
            let next_user = next("SELECT coalesce(max(id), 0) + 1 FROM users")?;
            let people = People::new(next_user, next("SELECT coalesce(max(id), 0) + 1 FROM sessions")?);
            none.insert(people.counting(memory.counts.clone()))
        }
    };
    let asked = links::asked(drafts, |environment, hash| memory.roots.guess(environment, hash));
    let linked = links::write(&Conn(&tx), &asked, &mut memory.roots)?;
    let greeted = identify::greet(&Conn(&tx), &mut memory.versions, drafts, &interned.devices)?;
    let mut ledger = Page {
        tx: &tx,
        keys: &mut memory.keys,
        apps_with_events: &mut memory.apps_with_events,
        arrivals: settled::Arrivals::default(),
        roots: &mut memory.roots,
        insert: tx.prepare_cached(
            "INSERT INTO events (env_id, claimed_at, event_id, skew, delay, name_id, category_id, facts_id, user_id, \
             session_id, props, error_id, fatal) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13) \
             ON CONFLICT DO NOTHING",
        )?,
    };
    let prepared = Prepared { interned: interned.events, greeted, linked };
    let committed = commit::write(&mut ledger, people, drafts, prepared, limits)?;
    drop(ledger);
    tx.commit()?;
    Ok(committed)
}

/// One transaction in progress.
struct Page<'c> {
    tx: &'c Transaction<'c>,
    keys: &'c mut HashMap<IngestKeyId, KeyUse>,
    apps_with_events: &'c mut HashSet<AppId>,
    arrivals: settled::Arrivals,
    roots: &'c mut Roots,
    insert: CachedStatement<'c>,
}

impl Ledger for Page<'_> {
    fn key(&mut self, key: IngestKeyId) -> Result<Option<KeyUse>> {
        if let Some(known) = self.keys.get(&key) {
            return Ok(Some(*known));
        }
        let found = self
            .tx
            .prepare_cached("SELECT revoked_at, last_used_at FROM ingest_keys WHERE id = ?1")?
            .query_row([key.0], |row| {
                let (revoked_at, last_used_at): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
                Ok(KeyUse { revoked_at: revoked_at.map(Millis), last_used_at: last_used_at.map(Millis) })
            })
            .optional()?;
        if let Some(found) = found {
            self.keys.insert(key, found);
        }
        Ok(found)
    }

    fn set_key_used(&mut self, key: IngestKeyId, at: Millis) -> Result<()> {
        if let Some(known) = self.keys.get_mut(&key) {
            known.last_used_at = Some(at);
        }
        let sql = "UPDATE ingest_keys SET last_used_at = ?2 WHERE id = ?1";
        self.tx.prepare_cached(sql)?.execute((key.0, at.0))?;
        Ok(())
    }

    fn spend(&mut self, app: AppId, nonce: &Nonce) -> Result<bool> {
        let sql = "INSERT INTO nonces (at, app_id, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING";
        Ok(self.tx.prepare_cached(sql)?.execute((nonce.at, app.0, nonce.value))? == 1)
    }

    fn set_first_event(&mut self, app: AppId, at: Millis) -> Result<()> {
        if self.apps_with_events.insert(app) {
            let sql = "UPDATE apps SET first_event_at = ?2 WHERE id = ?1 AND first_event_at IS NULL";
            self.tx.prepare_cached(sql)?.execute((app.0, at.0))?;
        }
        Ok(())
    }

    fn insert_event(&mut self, event: &EventRecord<'_>) -> Result<bool> {
        let row = &mut self.insert;
        row.raw_bind_parameter(1, event.environment.0)?;
        row.raw_bind_parameter(2, event.claimed_at.0)?;
        row.raw_bind_parameter(3, event.id.0)?;
        row.raw_bind_parameter(4, event.skew)?;
        row.raw_bind_parameter(5, event.delay)?;
        row.raw_bind_parameter(6, event.name)?;
        row.raw_bind_parameter(7, event.category)?;
        row.raw_bind_parameter(8, event.facts)?;
        row.raw_bind_parameter(9, event.user)?;
        row.raw_bind_parameter(10, event.session)?;
        row.raw_bind_parameter(11, event.props)?;
        row.raw_bind_parameter(12, event.error.map(|error| error.group))?;
        row.raw_bind_parameter(13, event.error.is_some_and(|error| error.fatal))?;
        let is_new = row.raw_execute()? == 1;
        if is_new {
            let at = event.claimed_at.plus(event.skew);
            self.arrivals.add(event.environment, at, (event.claimed_at, event.id));
        }
        Ok(is_new)
    }

    fn insert_set_aside(&mut self, draft: &Draft, event: &SetAside) -> Result<()> {
        let (app, environment) = (draft.app.id.0, draft.environment.0);
        let id = event.id.map(|id| id.0);
        let (reason, again) = (event.reason.as_str(), event.again.as_deref());
        let row = (app, environment, draft.received_at.0, reason, &event.detail, id, &*event.body, again);
        let sql = "INSERT INTO set_aside (app_id, env_id, received_at, reason, detail, event_id, body, again) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT DO NOTHING";
        self.tx.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    fn is_set_aside(&mut self, id: i64) -> Result<bool> {
        let mut find = self.tx.prepare_cached("SELECT 1 FROM set_aside WHERE id = ?1")?;
        Ok(find.exists([id])?)
    }

    fn judge_set_aside(&mut self, id: i64, event: &SetAside) -> Result<()> {
        let sql = "UPDATE set_aside SET reason = ?2, detail = ?3 WHERE id = ?1";
        self.tx.prepare_cached(sql)?.execute((id, event.reason.as_str(), &event.detail))?;
        Ok(())
    }

    fn take_set_aside(&mut self, id: i64) -> Result<()> {
        self.tx.prepare_cached("DELETE FROM set_aside WHERE id = ?1")?.execute([id])?;
        Ok(())
    }

    fn user(&mut self, environment: EnvironmentId, hash: UserHash) -> Result<Option<UserRecord>> {
        let sql = "SELECT id, first_at, last_day FROM users WHERE env_id = ?1 AND hash = ?2";
        let read = |row: &rusqlite::Row<'_>| {
            Ok(UserRecord { id: row.get(0)?, first_at: Millis(row.get(1)?), last_day: row.get(2)? })
        };
        Ok(self.tx.prepare_cached(sql)?.query_row((environment.0, hash.0), read).optional()?)
    }

    fn insert_user(&mut self, environment: EnvironmentId, hash: UserHash, user: UserRecord) -> Result<()> {
        let sql = "INSERT INTO users (id, env_id, hash, first_at, last_day) VALUES (?1, ?2, ?3, ?4, ?5)";
        let row = (user.id, environment.0, hash.0, user.first_at.0, user.last_day);
        self.tx.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    fn update_user(&mut self, user: UserRecord) -> Result<()> {
        let sql = "UPDATE users SET first_at = ?2, last_day = ?3 WHERE id = ?1";
        self.tx.prepare_cached(sql)?.execute((user.id, user.first_at.0, user.last_day))?;
        Ok(())
    }

    fn root(&mut self, environment: EnvironmentId, hash: UserHash) -> Result<UserHash> {
        self.roots.find(&Conn(self.tx), environment, hash)
    }

    fn rename_user(&mut self, _: EnvironmentId, (_, into): (UserHash, UserHash), user: UserRecord) -> Result<()> {
        self.tx.prepare_cached("UPDATE users SET hash = ?2 WHERE id = ?1")?.execute((user.id, into.0))?;
        Ok(())
    }

    fn tell(&mut self, told: &[Teller<'_>]) -> Result<()> {
        links::tell(&Conn(self.tx), told)
    }

    fn hours(&mut self, environment: EnvironmentId, day: i32, user: i64) -> Result<Option<Hours>> {
        let sql = "SELECT hours, crashes FROM user_days WHERE env_id = ?1 AND day = ?2 AND user_id = ?3";
        let row = (environment.0, day, user);
        let read = |row: &rusqlite::Row<'_>| Ok(Hours { seen: row.get(0)?, crashed: row.get(1)? });
        Ok(self.tx.prepare_cached(sql)?.query_row(row, read).optional()?)
    }

    fn put_hours(&mut self, environment: EnvironmentId, day: i32, user: i64, hours: Hours) -> Result<()> {
        let sql = "INSERT INTO user_days (env_id, day, user_id, hours, crashes) VALUES (?1, ?2, ?3, ?4, ?5) \
                   ON CONFLICT (env_id, day, user_id) DO UPDATE SET hours = excluded.hours, crashes = excluded.crashes";
        self.tx.prepare_cached(sql)?.execute((environment.0, day, user, hours.seen, hours.crashed))?;
        Ok(())
    }

    fn see_device(&mut self, environment: EnvironmentId, local: LocalTime, device: i64) -> Result<()> {
        let sql = "INSERT INTO device_days (env_id, day, device_id, hours) VALUES (?1, ?2, ?3, ?4) \
                   ON CONFLICT (env_id, day, device_id) DO UPDATE SET hours = hours | excluded.hours";
        self.tx.prepare_cached(sql)?.execute((environment.0, local.day, device, 1 << local.hour))?;
        settled::touch_devices(&Conn(self.tx), environment, local.day.into())
    }

    fn named_session(&mut self, environment: EnvironmentId, hash: SessionHash) -> Result<Option<SessionRecord>> {
        let sql = "SELECT id, started_at, ended_at, facts_id, crashed FROM sessions WHERE env_id = ?1 AND hash = ?2";
        Ok(self.tx.prepare_cached(sql)?.query_row((environment.0, hash.0), read_session).optional()?)
    }

    fn derived_session(&mut self, user: i64, until: Millis) -> Result<Option<SessionRecord>> {
        let sql = "SELECT id, started_at, ended_at, facts_id, crashed FROM sessions \
                   WHERE user_id = ?1 AND started_at <= ?2 AND hash IS NULL ORDER BY started_at DESC LIMIT 1";
        Ok(self.tx.prepare_cached(sql)?.query_row((user, until.0), read_session).optional()?)
    }

    fn insert_session(&mut self, session: SessionRecord, owner: SessionOwner) -> Result<()> {
        let hash = owner.hash.map(|hash| hash.0);
        let row = (session.id, owner.environment.0, hash, owner.user, session.facts, session.started_at.0);
        let sql = "INSERT INTO sessions (id, env_id, hash, user_id, facts_id, started_at, ended_at, events) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0)";
        self.tx.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    fn move_session(&mut self, session: i64, started_at: Millis) -> Result<()> {
        let sql = "UPDATE sessions SET started_at = ?2 WHERE id = ?1";
        self.tx.prepare_cached(sql)?.execute((session, started_at.0))?;
        Ok(())
    }

    fn grow_session(&mut self, session: i64, now: SessionRecord, events: i64) -> Result<()> {
        let sql = "UPDATE sessions SET ended_at = ?2, events = events + ?3, crashed = ?4 WHERE id = ?1";
        self.tx.prepare_cached(sql)?.execute((session, now.ended_at.0, events, now.crashed))?;
        Ok(())
    }

    fn put_error(&mut self, environment: EnvironmentId, group: i64, seen: &GroupRecord) -> Result<()> {
        let sql = "INSERT INTO error_groups (env_id, error_id, message, first_at, last_at) VALUES (?1, ?2, ?3, ?4, ?5) \
                   ON CONFLICT (env_id, error_id) DO UPDATE SET first_at = min(first_at, excluded.first_at), \
                   last_at = max(last_at, excluded.last_at)";
        let row = (environment.0, group, &seen.message, seen.first_at.0, seen.last_at.0);
        self.tx.prepare_cached(sql)?.execute(row)?;
        Ok(())
    }

    fn facts(&mut self, id: i64) -> Result<FactIds> {
        intern::facts_by_id(&Conn(self.tx), id)
    }

    fn merge(&mut self, deltas: &Deltas, outcomes: &Outcomes) -> Result<()> {
        merge(self.tx, "rollup_hours", &deltas.hours)?;
        merge(self.tx, "rollup_days", &deltas.days)?;
        let mut count = self.tx.prepare_cached(
            "INSERT INTO intake_days (app_id, day, outcome, events) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (app_id, day, outcome) DO UPDATE SET events = events + excluded.events",
        )?;
        for ((app, day, outcome), events) in outcomes {
            count.execute((app.0, day, outcome, events))?;
        }
        for (day, events) in settled::touched(deltas) {
            settled::come(&Conn(self.tx), day, events, &self.arrivals)?;
        }
        for day in settled::changed_sessions(deltas) {
            settled::change_sessions(&Conn(self.tx), day, deltas)?;
        }
        Ok(())
    }

    fn trim_set_aside(&mut self, app: AppId, keep: u32) -> Result<()> {
        Conn(self.tx).run(commit::TRIM_SET_ASIDE, &[app.0.into(), i64::from(keep).into()])?;
        Ok(())
    }
}

fn read_session(row: &rusqlite::Row<'_>) -> rusqlite::Result<SessionRecord> {
    Ok(SessionRecord {
        id: row.get(0)?,
        started_at: Millis(row.get(1)?),
        ended_at: Millis(row.get(2)?),
        facts: row.get(3)?,
        crashed: row.get(4)?,
    })
}

/// Adds rows to a summary table, in key order.
fn merge(tx: &Transaction<'_>, table: &'static str, rows: &BTreeMap<Key, Measures>) -> Result<()> {
    const KEY: usize = 4;
    let places: Vec<_> = (1..=KEY + Measures::COLUMNS.len()).map(|place| format!("?{place}")).collect();
    let sums = Measures::COLUMNS.map(|column| format!("{column} = {column} + excluded.{column}"));
    let sql = format!(
        "INSERT INTO {table} (env_id, dimension, bucket, value, {}) VALUES ({}) \
         ON CONFLICT (env_id, dimension, bucket, value) DO UPDATE SET {}",
        Measures::COLUMNS.join(", "),
        places.join(", "),
        sums.join(", ")
    );
    let mut statement = tx.prepare_cached(&sql)?;
    for (key, measures) in rows {
        for (at, value) in [key.environment.0, key.dimension, key.bucket.0, key.value].into_iter().enumerate() {
            statement.raw_bind_parameter(at + 1, value)?;
        }
        for (at, value) in measures.values().into_iter().enumerate() {
            statement.raw_bind_parameter(KEY + 1 + at, value)?;
        }
        statement.raw_execute()?;
    }
    Ok(())
}

/// Forgets what is known of keys when anybody has changed the directory since the last commit.
fn refresh_directory(tx: &Transaction<'_>, memory: &mut Memory) -> Result<()> {
    let version = tx.prepare_cached("SELECT version FROM directory")?.query_row([], |row| row.get(0))?;
    if memory.directory != version {
        memory.directory = version;
        memory.keys.clear();
        memory.apps_with_events.clear();
    }
    Ok(())
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode as Code;
        let text = error.to_string();
        match error.sqlite_error_code() {
            Some(Code::DiskFull) => Self::Full,
            Some(Code::SystemIoFailure) => Self::Io(text),
            Some(Code::DatabaseCorrupt | Code::NotADatabase) => Self::Corrupt(text),
            Some(Code::OperationInterrupted) => Self::Interrupted,
            Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::CannotOpen | Code::ReadOnly) => {
                Self::Unavailable(text)
            }
            _ => Self::Unexpected(text),
        }
    }
}
