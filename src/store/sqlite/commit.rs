//! One commit: drafts in, one durable transaction, what became of each out.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Transaction, TransactionBehavior, ffi};

use super::intern::{CATEGORY, EVENT, Interner};
use super::people::{People, Sighting};
use crate::model::{AppId, Event, Facts, IngestKeyId, Limits, LocalTime, Millis, Outcome, Receipt, SetAside};
use crate::rollup::{Bucket, Fold, InternedFacts, Key, Measures};
use crate::store::{Committed, Draft, Entry, Nonce, Result, StoreError};

/// What the writer remembers between commits so that it need not ask the database again. Forgotten as a whole
/// whenever a commit fails, since some of it may then never have been written.
#[derive(Default)]
pub(super) struct Memory {
    strings: Interner,
    people: Option<People>,
    directory: i64,
    keys: HashMap<IngestKeyId, KeyUse>,
    apps_with_events: HashSet<AppId>,
}

#[derive(Clone, Copy)]
struct KeyUse {
    revoked_at: Option<Millis>,
    last_used_at: Option<Millis>,
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
        *memory = Memory::default();
    }
    result
}

fn write(conn: &mut Connection, memory: &mut Memory, drafts: &[Draft], limits: &Limits) -> Result<Vec<Committed>> {
    let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let people = match memory.people.take() {
        Some(people) => people,
        None => People::load(&tx)?,
    };
    memory.people = Some(people);
    refresh_directory(&tx, memory)?;
    let mut work = Work::begin(&tx, memory, limits)?;
    let mut committed = Vec::with_capacity(drafts.len());
    for draft in drafts {
        committed.push(work.draft(draft)?);
    }
    work.finish()?;
    tx.commit()?;
    Ok(committed)
}

/// One transaction in progress.
struct Work<'c> {
    tx: &'c Transaction<'c>,
    strings: &'c mut Interner,
    people: &'c mut People,
    keys: &'c mut HashMap<IngestKeyId, KeyUse>,
    apps_with_events: &'c mut HashSet<AppId>,
    limits: &'c Limits,
    insert: CachedStatement<'c>,
    fold: Fold,
    calendar: HashMap<(AppId, Bucket), LocalTime>,
    outcomes: HashMap<(AppId, i64, &'static str), i64>,
    apps_with_set_aside: HashSet<AppId>,
    last_facts: Option<(AppId, Arc<Facts>, Arc<InternedFacts>)>,
}

impl<'c> Work<'c> {
    fn begin(tx: &'c Transaction<'c>, memory: &'c mut Memory, limits: &'c Limits) -> Result<Self> {
        let insert = tx.prepare_cached(
            "INSERT INTO events (env_id, claimed_at, event_id, skew, delay, name_id, category_id, facts_id, user_id, \
             session_id, props) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING",
        )?;
        Ok(Self {
            tx,
            strings: &mut memory.strings,
            people: memory.people.as_mut().expect("loaded when the transaction began"),
            keys: &mut memory.keys,
            apps_with_events: &mut memory.apps_with_events,
            limits,
            insert,
            fold: Fold::default(),
            calendar: HashMap::new(),
            outcomes: HashMap::new(),
            apps_with_set_aside: HashSet::new(),
            last_facts: None,
        })
    }

    fn draft(&mut self, draft: &Draft) -> Result<Committed> {
        if !self.key_works(draft.key, draft.received_at)? {
            return Ok(Committed::KeyRevoked);
        }
        if let Some(nonce) = &draft.nonce
            && !self.first_use(draft.app.id, nonce)?
        {
            return Ok(Committed::Replayed);
        }
        let mut outcomes = Vec::with_capacity(draft.entries.len());
        for entry in &draft.entries {
            outcomes.push(match entry {
                Entry::Event(event) => self.event(draft, event)?,
                Entry::SetAside(set_aside) => self.set_aside(draft, set_aside)?,
                Entry::Dropped => Outcome::Dropped,
            });
        }
        let day = draft.received_at.0.div_euclid(Millis::DAY);
        for outcome in &outcomes {
            *self.outcomes.entry((draft.app.id, day, outcome.as_str())).or_default() += 1;
        }
        if outcomes.contains(&Outcome::Stored) && self.apps_with_events.insert(draft.app.id) {
            self.tx
                .prepare_cached("UPDATE apps SET first_event_at = ?2 WHERE id = ?1 AND first_event_at IS NULL")?
                .execute((draft.app.id.0, draft.received_at.0))?;
        }
        Ok(Committed::Receipt(Receipt { outcomes }))
    }

    fn event(&mut self, draft: &Draft, event: &Event) -> Result<Outcome> {
        let (app, environment, zone) = (draft.app.id, draft.environment, &draft.app.zone);
        let name = self.strings.string(self.tx, app, EVENT, (event.name(), self.limits.names))?;
        let category = match event.category() {
            Some(text) => Some(self.strings.string(self.tx, app, CATEGORY, (text, self.limits.names))?),
            None => None,
        };
        let facts = self.facts(app, event.facts())?;
        let at = event.occurred_at();
        let user = match event.user() {
            Some(hash) => Some((hash, self.people.user(self.tx, environment, hash)?)),
            None => None,
        };
        let session = match (event.session(), &user) {
            (Some(hash), _) => Some((Some(hash), self.people.named_session(self.tx, environment, hash)?)),
            (None, Some((_, user))) => Some((None, self.people.derived_session(self.tx, user, at)?)),
            (None, None) => None,
        };

        let row = &mut self.insert;
        row.raw_bind_parameter(1, environment.0)?;
        row.raw_bind_parameter(2, event.claimed_at().0)?;
        row.raw_bind_parameter(3, event.id().0)?;
        row.raw_bind_parameter(4, at.since(event.claimed_at()))?;
        row.raw_bind_parameter(5, draft.received_at.since(at))?;
        row.raw_bind_parameter(6, name)?;
        row.raw_bind_parameter(7, category)?;
        row.raw_bind_parameter(8, facts.id)?;
        row.raw_bind_parameter(9, user.map(|(_, user)| user.id))?;
        row.raw_bind_parameter(10, session.map(|(_, session)| session.id))?;
        row.raw_bind_parameter(11, event.props())?;
        if row.raw_execute()? == 0 {
            return Ok(Outcome::Duplicate);
        }

        let bucket = Bucket::of(at, zone);
        let local = *self.calendar.entry((app, bucket)).or_insert_with(|| zone.local(at));
        self.fold.event(environment, bucket, name, &facts);
        let sighting = Sighting { environment, at, local, zone, facts: &facts, user, session };
        self.people.see(self.tx, sighting, &mut self.fold)?;
        Ok(Outcome::Stored)
    }

    /// The stored form of a set of facts, which the events of a batch mostly share.
    fn facts(&mut self, app: AppId, facts: &Arc<Facts>) -> Result<Arc<InternedFacts>> {
        match &self.last_facts {
            Some((last_app, last, interned)) if *last_app == app && Arc::ptr_eq(last, facts) => Ok(interned.clone()),
            _ => {
                let interned = self.strings.facts(self.tx, app, facts, self.limits)?;
                self.last_facts = Some((app, facts.clone(), interned.clone()));
                Ok(interned)
            }
        }
    }

    fn set_aside(&mut self, draft: &Draft, event: &SetAside) -> Result<Outcome> {
        self.tx
            .prepare_cached(
                "INSERT INTO set_aside (app_id, env_id, received_at, reason, detail, event_id, body) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT DO NOTHING",
            )?
            .execute((
                draft.app.id.0,
                draft.environment.0,
                draft.received_at.0,
                event.reason.as_str(),
                &event.detail,
                event.id.map(|id| id.0),
                &*event.body,
            ))?;
        self.apps_with_set_aside.insert(draft.app.id);
        Ok(Outcome::SetAside(event.reason, event.id))
    }

    /// Whether the key still works at `now`; notes its use once an hour.
    fn key_works(&mut self, key: IngestKeyId, now: Millis) -> Result<bool> {
        let mut known = match self.keys.get(&key) {
            Some(known) => *known,
            None => {
                let found = self
                    .tx
                    .prepare_cached("SELECT revoked_at, last_used_at FROM ingest_keys WHERE id = ?1")?
                    .query_row([key.0], |row| {
                        let (revoked_at, last_used_at): (Option<i64>, Option<i64>) = (row.get(0)?, row.get(1)?);
                        Ok(KeyUse { revoked_at: revoked_at.map(Millis), last_used_at: last_used_at.map(Millis) })
                    })
                    .optional()?;
                match found {
                    Some(found) => found,
                    None => return Ok(false),
                }
            }
        };
        let works = known.revoked_at.is_none_or(|at| now < at);
        let hour = Millis(now.0.div_euclid(Millis::HOUR) * Millis::HOUR);
        if works && known.last_used_at.is_none_or(|at| at < hour) {
            known.last_used_at = Some(hour);
            self.tx
                .prepare_cached("UPDATE ingest_keys SET last_used_at = ?2 WHERE id = ?1")?
                .execute((key.0, hour.0))?;
        }
        self.keys.insert(key, known);
        Ok(works)
    }

    fn first_use(&self, app: AppId, nonce: &Nonce) -> Result<bool> {
        let inserted = self
            .tx
            .prepare_cached("INSERT INTO nonces (at, app_id, value) VALUES (?1, ?2, ?3) ON CONFLICT DO NOTHING")?
            .execute((nonce.at, app.0, nonce.value))?;
        Ok(inserted == 1)
    }

    fn finish(self) -> Result<()> {
        self.people.flush(self.tx)?;
        let deltas = self.fold.into_deltas();
        merge(self.tx, "rollup_hours", &deltas.hours)?;
        merge(self.tx, "rollup_days", &deltas.days)?;
        let mut count = self.tx.prepare_cached(
            "INSERT INTO intake_days (app_id, day, outcome, events) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (app_id, day, outcome) DO UPDATE SET events = events + excluded.events",
        )?;
        for ((app, day, outcome), events) in &self.outcomes {
            count.execute((app.0, day, outcome, events))?;
        }
        for app in &self.apps_with_set_aside {
            self.tx
                .prepare_cached(
                    "DELETE FROM set_aside WHERE app_id = ?1 AND id <= \
                     (SELECT id FROM set_aside WHERE app_id = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)",
                )?
                .execute((app.0, self.limits.set_aside_events))?;
        }
        Ok(())
    }
}

/// Adds rows to a summary table, in key order.
fn merge(tx: &Transaction<'_>, table: &'static str, rows: &BTreeMap<Key, Measures>) -> Result<()> {
    let sql = [
        "INSERT INTO ",
        table,
        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT (env_id, dimension, bucket, value) DO UPDATE SET events = events + excluded.events, \
         sessions = sessions + excluded.sessions, users = users + excluded.users, \
         day_users = day_users + excluded.day_users, new_users = new_users + excluded.new_users",
    ]
    .concat();
    let mut statement = tx.prepare_cached(&sql)?;
    for (key, m) in rows {
        let (environment, bucket) = (key.environment.0, key.bucket.0);
        let Measures { events, sessions, users, day_users, new_users } = *m;
        let row = (environment, key.dimension, bucket, key.value, events, sessions, users, day_users, new_users);
        statement.execute(row)?;
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

/// Whether an error says that a unique key is taken.
pub(super) fn is_taken(error: &rusqlite::Error) -> bool {
    error
        .sqlite_error()
        .is_some_and(|e| matches!(e.extended_code, ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY))
}
