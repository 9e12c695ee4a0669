//! Users and their sessions: who is known, when they were seen, and which session an event belongs to.

use std::hash::Hash;

use hashbrown::HashMap;
use quick_cache::unsync::Cache;
use rusqlite::{OptionalExtension, Transaction};

use crate::model::{EnvironmentId, LocalTime, Millis, SessionHash, UserHash, Zone};
use crate::rollup::{Bucket, Fold, InternedFacts, Measures};
use crate::store::Result;

/// How many users and how many sessions are remembered: some 10 MB together.
const REMEMBERED: usize = 50_000;

/// A pause after which events without a session of their own begin a new one.
const PAUSE: i64 = 30 * Millis::MINUTE;

/// Moves the start of a session.
const SET_START: &str = "UPDATE sessions SET started_at = ?2 WHERE id = ?1";

/// Remembers users and sessions.
pub(super) struct People {
    users: Recent<(EnvironmentId, UserHash), User>,
    sessions: Recent<(EnvironmentId, SessionHash), Session>,
    next_user: i64,
    next_session: i64,
    /// Sessions that this commit has changed and not written yet.
    touched: HashMap<i64, Touched>,
}

/// A bounded cache that keeps its latest entry at hand, since one event mostly has the user and the session of the one
/// before.
struct Recent<K, V> {
    last: Option<(K, V)>,
    older: Cache<K, V>,
}

impl<K: Copy + Eq + Hash, V: Copy> Recent<K, V> {
    fn new() -> Self {
        Self { last: None, older: Cache::new(REMEMBERED) }
    }

    fn get(&self, key: K) -> Option<V> {
        match self.last {
            Some((last, value)) if last == key => Some(value),
            _ => self.older.get(&key).copied(),
        }
    }

    fn put(&mut self, key: K, value: V) {
        if let Some((was, value)) = self.last.replace((key, value))
            && was != key
        {
            self.older.insert(was, value);
        }
    }
}

/// What is known of a user.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) id: i64,
    /// Whether this event is the first of theirs that is stored.
    is_new: bool,
    first_at: Millis,
    last_day: i32,
    /// The local day that was last looked at, and its hours in which the user was seen.
    day: i32,
    hours: u32,
    /// The derived session that their last event without one belonged to.
    derived: Option<Session>,
}

/// What is known of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    pub(super) id: i64,
    is_new: bool,
    started_at: Millis,
    ended_at: Millis,
    facts: i64,
}

struct Touched {
    session: Session,
    was_started_at: Millis,
    events: i64,
}

/// One newly stored event, as far as people are concerned.
#[derive(Clone, Copy)]
pub(super) struct Sighting<'a> {
    pub(super) environment: EnvironmentId,
    pub(super) at: Millis,
    pub(super) local: LocalTime,
    pub(super) zone: &'a Zone,
    pub(super) facts: &'a InternedFacts,
    pub(super) user: Option<(UserHash, User)>,
    pub(super) session: Option<(Option<SessionHash>, Session)>,
}

impl People {
    /// Begins with nothing remembered. Row numbers go on from the highest in use.
    pub(super) fn load(tx: &Transaction<'_>) -> Result<Self> {
        let next = |sql| tx.query_row(sql, [], |row| row.get::<_, i64>(0));
        Ok(Self {
            users: Recent::new(),
            sessions: Recent::new(),
            next_user: next("SELECT coalesce(max(id), 0) + 1 FROM users")?,
            next_session: next("SELECT coalesce(max(id), 0) + 1 FROM sessions")?,
            touched: HashMap::new(),
        })
    }

    /// The user of that hash, or the one they will be if an event of theirs is stored.
    pub(super) fn user(&self, tx: &Transaction<'_>, environment: EnvironmentId, hash: UserHash) -> Result<User> {
        if let Some(user) = self.users.get((environment, hash)) {
            return Ok(user);
        }
        let found = tx
            .prepare_cached("SELECT id, first_at, last_day FROM users WHERE env_id = ?1 AND hash = ?2")?
            .query_row((environment.0, hash.0), |row| {
                let (first_at, last_day) = (Millis(row.get(1)?), row.get(2)?);
                Ok(User { id: row.get(0)?, is_new: false, first_at, last_day, day: i32::MIN, hours: 0, derived: None })
            })
            .optional()?;
        Ok(found.unwrap_or(User {
            id: self.next_user,
            is_new: true,
            first_at: Millis(i64::MAX),
            last_day: i32::MIN,
            day: i32::MIN,
            hours: 0,
            derived: None,
        }))
    }

    /// The session that an SDK named, or the one it will be.
    pub(super) fn named_session(
        &self,
        tx: &Transaction<'_>,
        environment: EnvironmentId,
        hash: SessionHash,
    ) -> Result<Session> {
        if let Some(session) = self.sessions.get((environment, hash)) {
            return Ok(session);
        }
        let found = tx
            .prepare_cached("SELECT id, started_at, ended_at, facts_id FROM sessions WHERE env_id = ?1 AND hash = ?2")?
            .query_row((environment.0, hash.0), read_session)
            .optional()?;
        Ok(found.map_or_else(|| self.new_session(), |session| self.latest(session)))
    }

    /// The session of an event whose SDK names none: the user's one that it falls into or follows within half an hour,
    /// or the one that it begins.
    pub(super) fn derived_session(&self, tx: &Transaction<'_>, user: &User, at: Millis) -> Result<Session> {
        let fits = |session: &Session| at.since(session.started_at) >= -PAUSE && at.since(session.ended_at) <= PAUSE;
        if let Some(session) = user.derived.map(|session| self.latest(session)).filter(fits) {
            return Ok(session);
        }
        if user.is_new {
            return Ok(self.new_session());
        }
        let found = tx
            .prepare_cached(
                "SELECT id, started_at, ended_at, facts_id FROM sessions \
                 WHERE user_id = ?1 AND started_at <= ?2 AND hash IS NULL ORDER BY started_at DESC LIMIT 1",
            )?
            .query_row((user.id, at.plus(PAUSE).0), read_session)
            .optional()?;
        Ok(found.map(|session| self.latest(session)).filter(fits).unwrap_or_else(|| self.new_session()))
    }

    /// Takes note of a newly stored event: users, user-days, sessions and what they add to the summaries.
    pub(super) fn see(&mut self, tx: &Transaction<'_>, seen: Sighting<'_>, fold: &mut Fold) -> Result<()> {
        let session = match seen.session {
            Some((hash, session)) => Some(self.see_session(tx, seen, (hash, session), fold)?),
            None => None,
        };
        if let Some((hash, mut user)) = seen.user {
            if let (Some((None, _)), Some(session)) = (seen.session, session) {
                user.derived = Some(session);
            }
            self.see_user(tx, seen, (hash, &mut user), fold)?;
            self.users.put((seen.environment, hash), user);
        }
        Ok(())
    }

    /// Writes what [`People::see`] held back. To be called once before each commit.
    pub(super) fn flush(&mut self, tx: &Transaction<'_>) -> Result<()> {
        let mut grow = tx.prepare_cached("UPDATE sessions SET ended_at = ?2, events = events + ?3 WHERE id = ?1")?;
        let mut start = tx.prepare_cached(SET_START)?;
        for (id, touched) in self.touched.drain() {
            grow.execute((id, touched.session.ended_at.0, touched.events))?;
            if touched.session.started_at != touched.was_started_at {
                start.execute((id, touched.session.started_at.0))?;
            }
        }
        Ok(())
    }

    fn new_session(&self) -> Session {
        Session {
            id: self.next_session,
            is_new: true,
            started_at: Millis(i64::MAX),
            ended_at: Millis(i64::MIN),
            facts: 0,
        }
    }

    /// What this commit has made of a session that was read from the database or remembered.
    fn latest(&self, session: Session) -> Session {
        self.touched.get(&session.id).map_or(session, |touched| touched.session)
    }

    fn see_session(
        &mut self,
        tx: &Transaction<'_>,
        seen: Sighting<'_>,
        (hash, mut session): (Option<SessionHash>, Session),
        fold: &mut Fold,
    ) -> Result<Session> {
        let was = session.started_at;
        if session.is_new {
            session.is_new = false;
            session.facts = seen.facts.id;
            self.next_session += 1;
            tx.prepare_cached(
                "INSERT INTO sessions (id, env_id, hash, user_id, facts_id, started_at, ended_at, events) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6, 0)",
            )?
            .execute((
                session.id,
                seen.environment.0,
                hash.map(|hash| hash.0),
                seen.user.map(|(_, user)| user.id),
                session.facts,
                seen.at.0,
            ))?;
            fold.by_facts(seen.environment, Bucket::of(seen.at, seen.zone), &seen.facts.values, Measures::SESSION);
        } else if seen.at < was {
            let (old, new) = (Bucket::of(was, seen.zone), Bucket::of(seen.at, seen.zone));
            if old != new {
                let facts = super::intern::facts_by_id(tx, session.facts)?.values;
                fold.by_facts(seen.environment, old, &facts, Measures::SESSION.times(-1));
                fold.by_facts(seen.environment, new, &facts, Measures::SESSION);
            }
        }
        session.started_at = session.started_at.min(seen.at);
        session.ended_at = session.ended_at.max(seen.at);
        let mut was_started_at = if was == Millis(i64::MAX) { seen.at } else { was };
        if hash.is_none() && session.started_at < was_started_at {
            // Derived sessions are looked for by their start, perhaps already by the next event.
            tx.prepare_cached(SET_START)?.execute((session.id, session.started_at.0))?;
            was_started_at = session.started_at;
        }
        let touched = self.touched.entry(session.id).or_insert(Touched { session, was_started_at, events: 0 });
        touched.session = session;
        touched.events += 1;
        if let Some(hash) = hash {
            self.sessions.put((seen.environment, hash), session);
        }
        Ok(session)
    }

    fn see_user(
        &mut self,
        tx: &Transaction<'_>,
        seen: Sighting<'_>,
        (hash, user): (UserHash, &mut User),
        fold: &mut Fold,
    ) -> Result<()> {
        self.see_hour(tx, seen, user, fold)?;
        let day = seen.local.day;
        let now = Bucket::of(seen.at, seen.zone);
        if user.is_new {
            user.is_new = false;
            self.next_user += 1;
            (user.first_at, user.last_day) = (seen.at, day);
            tx.prepare_cached("INSERT INTO users (id, env_id, hash, first_at, last_day) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute((user.id, seen.environment.0, hash.0, seen.at.0, day))?;
            fold.total(seen.environment, now, Measures::NEW_USER);
        } else if seen.at < user.first_at || day > user.last_day {
            let was = Bucket::of(user.first_at, seen.zone);
            if seen.at < user.first_at && was != now {
                fold.total(seen.environment, was, Measures::NEW_USER.times(-1));
                fold.total(seen.environment, now, Measures::NEW_USER);
            }
            user.first_at = user.first_at.min(seen.at);
            user.last_day = user.last_day.max(day);
            tx.prepare_cached("UPDATE users SET first_at = ?2, last_day = ?3 WHERE id = ?1")?.execute((
                user.id,
                user.first_at.0,
                user.last_day,
            ))?;
        }
        Ok(())
    }

    /// Marks the hour of the user's local day, and counts the first sighting in that hour and that day. Both are
    /// counted at the hour's and the day's first instant, so that the order of arrival makes no difference.
    fn see_hour(&mut self, tx: &Transaction<'_>, seen: Sighting<'_>, user: &mut User, fold: &mut Fold) -> Result<()> {
        let LocalTime { day, hour } = seen.local;
        let bit = 1_u32 << hour;
        if user.day == day && user.hours & bit != 0 {
            return Ok(());
        }
        let known = match (user.day == day, user.is_new) {
            (true, _) => user.hours,
            (false, true) => 0,
            (false, false) => tx
                .prepare_cached("SELECT hours FROM user_days WHERE env_id = ?1 AND day = ?2 AND user_id = ?3")?
                .query_row((seen.environment.0, day, user.id), |row| row.get(0))
                .optional()?
                .unwrap_or(0),
        };
        (user.day, user.hours) = (day, known | bit);
        if known & bit != 0 {
            return Ok(());
        }
        tx.prepare_cached(
            "INSERT INTO user_days (env_id, day, user_id, hours) VALUES (?1, ?2, ?3, ?4) \
             ON CONFLICT (env_id, day, user_id) DO UPDATE SET hours = excluded.hours",
        )?
        .execute((seen.environment.0, day, user.id, user.hours))?;
        fold.total(seen.environment, Bucket::of_hour(seen.local, seen.zone), Measures::USER);
        if known == 0 {
            let midnight = Bucket::of(seen.zone.midnight(day), seen.zone);
            fold.total(seen.environment, midnight, Measures::DAY_USER);
        }
        Ok(())
    }
}

fn read_session(row: &rusqlite::Row<'_>) -> rusqlite::Result<Session> {
    Ok(Session {
        id: row.get(0)?,
        is_new: false,
        started_at: Millis(row.get(1)?),
        ended_at: Millis(row.get(2)?),
        facts: row.get(3)?,
    })
}
