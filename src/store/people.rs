//! Users and their sessions: who is known, when they were seen, and which session an event belongs to.

use std::hash::Hash;
use std::sync::Arc;

use hashbrown::HashMap;
use quick_cache::unsync::Cache;

use super::Result;
use super::commit::{Hours, Ledger, SessionOwner, SessionRecord, UserRecord};
use super::remembered::Remembered;
use crate::model::{EnvironmentId, LocalTime, Millis, SessionHash, UserHash, Zone};
use crate::rollup::{Bucket, FactIds, Fold, InternedFacts, Measures, SessionCount, SessionKey, length_class};

/// How many users and how many sessions are remembered: some 10 MB together.
const REMEMBERED: usize = 50_000;

/// A pause after which events without a session of their own begin a new one.
pub(super) const PAUSE: i64 = 30 * Millis::MINUTE;

/// Remembers users and sessions.
pub(super) struct People {
    users: Recent<(EnvironmentId, UserHash), User>,
    sessions: Recent<(EnvironmentId, SessionHash), Session>,
    next_user: i64,
    next_session: i64,
    /// Where it is counted how well this does.
    counts: Option<Arc<Remembered>>,
    /// Sessions that this commit has changed and not written yet.
    touched: HashMap<i64, Touched>,
}

/// A bounded cache that keeps its latest entry at hand, since one event mostly has the user and the session of the one
/// before.
pub(super) struct Recent<K, V> {
    last: Option<(K, V)>,
    older: Cache<K, V>,
}

impl<K: Copy + Eq + Hash, V: Copy> Default for Recent<K, V> {
    fn default() -> Self {
        Self { last: None, older: Cache::new(REMEMBERED) }
    }
}

impl<K: Copy + Eq + Hash, V: Copy> Recent<K, V> {
    pub(super) fn get(&self, key: K) -> Option<V> {
        match self.last {
            Some((last, value)) if last == key => Some(value),
            _ => self.older.get(&key).copied(),
        }
    }

    pub(super) fn put(&mut self, key: K, value: V) {
        if let Some((was, value)) = self.last.replace((key, value))
            && was != key
        {
            self.older.insert(was, value);
        }
    }

    fn forget(&mut self, key: K) {
        self.last = self.last.take().filter(|(last, _)| *last != key);
        self.older.remove(&key);
    }
}

/// What is known of a user.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    record: UserRecord,
    /// Whether this event is the first of theirs that is stored.
    is_new: bool,
    /// The local day that was last looked at.
    day: i32,
    /// Its hours in which the user was seen.
    hours: Hours,
    /// The derived session that their last event without one belonged to.
    derived: Option<Session>,
}

/// What is known of a session.
#[derive(Clone, Copy, Debug)]
pub(super) struct Session {
    record: SessionRecord,
    is_new: bool,
}

impl User {
    /// Its row.
    pub(super) fn id(&self) -> i64 {
        self.record.id
    }
}

impl Session {
    /// Its row.
    pub(super) fn id(&self) -> i64 {
        self.record.id
    }

    fn known(record: SessionRecord) -> Self {
        Self { record, is_new: false }
    }
}

struct Touched {
    record: SessionRecord,
    /// As it was counted last; `None` of one that is new.
    counted: Option<SessionRecord>,
    /// Where its row has it begin.
    written_start: Millis,
    events: i64,
    environment: EnvironmentId,
    zone: Arc<Zone>,
    /// Its facts, where they are at hand.
    facts: Option<FactIds>,
}

/// One newly stored event, or an identify, as far as people are concerned.
#[derive(Clone, Copy)]
pub(super) struct Sighting<'a> {
    pub(super) environment: EnvironmentId,
    pub(super) at: Millis,
    pub(super) local: LocalTime,
    pub(super) zone: &'a Arc<Zone>,
    pub(super) facts: &'a InternedFacts,
    pub(super) user: Option<(UserHash, User)>,
    pub(super) session: Option<(Option<SessionHash>, Session)>,
    /// How many events it is: one, or none.
    pub(super) events: i64,
    /// Whether it is a crash.
    pub(super) crashed: bool,
}

impl People {
    /// Begins with nothing remembered. New rows take their numbers from these on.
    pub(super) fn new(next_user: i64, next_session: i64) -> Self {
        let (users, sessions) = (Recent::default(), Recent::default());
        Self { users, sessions, next_user, next_session, counts: None, touched: HashMap::new() }
    }

    /// The same, counting its look-ups.
    pub(super) fn counting(self, counts: Arc<Remembered>) -> Self {
        Self { counts: Some(counts), ..self }
    }

    /// The numbers that the next new user and the next new session will have.
    pub(super) fn next(&self) -> (i64, i64) {
        (self.next_user, self.next_session)
    }

    /// The user of that hash, or the one they will be if an event of theirs is stored.
    pub(super) fn user<L: Ledger>(&self, db: &mut L, environment: EnvironmentId, hash: UserHash) -> Result<User> {
        let known = self.users.get((environment, hash));
        if let Some(counts) = &self.counts {
            counts.users.note(known.is_some());
        }
        if let Some(user) = known {
            return Ok(user);
        }
        let found = db.user(environment, hash)?;
        let new = UserRecord { id: self.next_user, first_at: Millis(i64::MAX), last_day: i32::MIN };
        let (record, is_new) = (found.unwrap_or(new), found.is_none());
        Ok(User { record, is_new, day: i32::MIN, hours: Hours::default(), derived: None })
    }

    /// Lets the user of one name go by another from now on, if nobody goes by that yet. Where both are there, the one becomes
    /// the other later.
    pub(super) fn rename<L: Ledger>(
        &mut self,
        db: &mut L,
        environment: EnvironmentId,
        (from, into): (UserHash, UserHash),
    ) -> Result<()> {
        let was = self.user(db, environment, from)?;
        let is_free = self.user(db, environment, into)?.is_new;
        self.users.forget((environment, from));
        if is_free && !was.is_new {
            db.rename_user(environment, (from, into), was.record)?;
            self.users.put((environment, into), was);
        }
        Ok(())
    }

    /// Whoever goes by this name is looked up anew.
    pub(super) fn forget(&mut self, environment: EnvironmentId, user: UserHash) {
        self.users.forget((environment, user));
    }

    /// The session that an SDK named, or the one it will be.
    pub(super) fn named_session<L: Ledger>(
        &self,
        db: &mut L,
        environment: EnvironmentId,
        hash: SessionHash,
    ) -> Result<Session> {
        let known = self.sessions.get((environment, hash));
        if let Some(counts) = &self.counts {
            counts.sessions.note(known.is_some());
        }
        if let Some(session) = known {
            return Ok(session);
        }
        let found = db.named_session(environment, hash)?;
        Ok(found.map_or_else(|| self.new_session(), |record| self.latest(Session::known(record))))
    }

    /// The session of an event whose SDK names none: the user's one that it falls into or follows within half an hour,
    /// or the one that it begins.
    pub(super) fn derived_session<L: Ledger>(&self, db: &mut L, user: &User, at: Millis) -> Result<Session> {
        let fits = |session: &Session| {
            at.since(session.record.started_at) >= -PAUSE && at.since(session.record.ended_at) <= PAUSE
        };
        if let Some(session) = user.derived.map(|session| self.latest(session)).filter(fits) {
            return Ok(session);
        }
        if user.is_new {
            return Ok(self.new_session());
        }
        let found = db.derived_session(user.record.id, at.plus(PAUSE))?;
        let found = found.map(|record| self.latest(Session::known(record))).filter(fits);
        Ok(found.unwrap_or_else(|| self.new_session()))
    }

    /// Takes note of a newly stored event: users, user-days, sessions and what they add to the summaries.
    pub(super) fn see<L: Ledger>(&mut self, db: &mut L, seen: Sighting<'_>, fold: &mut Fold) -> Result<()> {
        let session = match seen.session {
            Some((hash, session)) => Some(self.see_session(db, seen, (hash, session))?),
            None => None,
        };
        if let Some((hash, mut user)) = seen.user {
            if let (Some((None, _)), Some(session)) = (seen.session, session) {
                user.derived = Some(session);
            }
            see_hour(db, seen, &mut user, fold)?;
            self.see_user(db, seen, (hash, &mut user), fold)?;
            self.users.put((seen.environment, hash), user);
        }
        Ok(())
    }

    /// Writes what [`People::see`] held back, and counts the sessions as they are now. To be called once before each
    /// commit.
    pub(super) fn flush<L: Ledger>(&mut self, db: &mut L, fold: &mut Fold) -> Result<()> {
        for (id, touched) in self.touched.drain() {
            let Touched { record, written_start, events, .. } = touched;
            db.grow_session(id, record, events)?;
            if record.started_at != written_start {
                db.move_session(id, record.started_at)?;
            }
            count_session(db, &touched, fold)?;
        }
        Ok(())
    }

    fn new_session(&self) -> Session {
        let (started_at, ended_at) = (Millis(i64::MAX), Millis(i64::MIN));
        let record = SessionRecord { id: self.next_session, started_at, ended_at, facts: 0, crashed: false };
        Session { record, is_new: true }
    }

    /// What this commit has made of a session that was read from the database or remembered.
    fn latest(&self, session: Session) -> Session {
        self.touched.get(&session.record.id).map_or(session, |touched| Session::known(touched.record))
    }

    fn see_session<L: Ledger>(
        &mut self,
        db: &mut L,
        seen: Sighting<'_>,
        (hash, session): (Option<SessionHash>, Session),
    ) -> Result<Session> {
        let Session { mut record, is_new } = session;
        let counted = (!is_new).then_some(record);
        if is_new {
            self.next_session += 1;
            record = SessionRecord { started_at: seen.at, ended_at: seen.at, facts: seen.facts.id, ..record };
            let owner =
                SessionOwner { environment: seen.environment, hash, user: seen.user.map(|(_, user)| user.id()) };
            db.insert_session(record, owner)?;
        }
        let mut written_start = record.started_at;
        record.started_at = record.started_at.min(seen.at);
        record.ended_at = record.ended_at.max(seen.at);
        record.crashed |= seen.crashed;
        if hash.is_none() && record.started_at < written_start {
            // Derived sessions are looked for by their start, perhaps already by the next event.
            db.move_session(record.id, record.started_at)?;
            written_start = record.started_at;
        }
        let (environment, zone) = (seen.environment, seen.zone);
        let touched = self.touched.entry(record.id).or_insert_with(|| Touched {
            record,
            counted,
            written_start,
            events: 0,
            environment,
            zone: zone.clone(),
            facts: is_new.then_some(seen.facts.values),
        });
        touched.record = record;
        touched.events += seen.events;
        let session = Session::known(record);
        if let Some(hash) = hash {
            self.sessions.put((seen.environment, hash), session);
        }
        Ok(session)
    }

    fn see_user<L: Ledger>(
        &mut self,
        db: &mut L,
        seen: Sighting<'_>,
        (hash, user): (UserHash, &mut User),
        fold: &mut Fold,
    ) -> Result<()> {
        let day = seen.local.day;
        let now = Bucket::of(seen.at, seen.zone);
        let record = &mut user.record;
        if user.is_new {
            user.is_new = false;
            self.next_user += 1;
            (record.first_at, record.last_day) = (seen.at, day);
            db.insert_user(seen.environment, hash, *record)?;
            fold.total(seen.environment, now, Measures::NEW_USER);
        } else if seen.at < record.first_at || day > record.last_day {
            let was = Bucket::of(record.first_at, seen.zone);
            if seen.at < record.first_at && was != now {
                fold.total(seen.environment, was, Measures::NEW_USER.times(-1));
                fold.total(seen.environment, now, Measures::NEW_USER);
            }
            record.first_at = record.first_at.min(seen.at);
            record.last_day = record.last_day.max(day);
            db.update_user(*record)?;
        }
        Ok(())
    }
}

/// Counts what a session has come to be, and takes back what it was counted as before. Once for each commit, so that a
/// session that grows is not counted anew with each of its events.
fn count_session<L: Ledger>(db: &mut L, touched: &Touched, fold: &mut Fold) -> Result<()> {
    let Touched { record, counted, environment, ref zone, facts, .. } = *touched;
    let place = |session: &SessionRecord| (Bucket::of(session.started_at, zone), session.crashed);
    let length = |session: &SessionRecord| session.ended_at.since(session.started_at);
    let counts_as = |session: &SessionRecord| (place(session), length_class(length(session)));
    if counted.is_some_and(|was| counts_as(&was) == counts_as(&record)) {
        return Ok(());
    }
    if counted.is_none_or(|was| place(&was) != place(&record)) {
        let facts = facts.map_or_else(|| db.facts(record.facts), Ok)?;
        for (session, times) in counted.iter().map(|was| (was, -1)).chain([(&record, 1)]) {
            let (bucket, crashed) = place(session);
            let measures = Measures { crashed_sessions: crashed.into(), ..Measures::SESSION };
            fold.by_facts(environment, bucket, &facts, measures.times(times));
        }
    }
    for (session, times) in counted.iter().map(|was| (was, -1)).chain([(&record, 1)]) {
        let ((bucket, crashed), length) = (place(session), length(session));
        fold.length(environment, bucket, length, times);
        let day = session.started_at.0.div_euclid(Millis::DAY);
        let key = SessionKey { environment, day, facts: record.facts, class: length_class(length) };
        fold.sessions(key, SessionCount { sessions: times, crashed: i64::from(crashed) * times });
    }
    Ok(())
}

/// Marks the hour of the user's local day, and counts the first sighting in that hour and that day. Both are counted
/// at the hour's and the day's first instant, so that the order of arrival makes no difference.
fn see_hour<L: Ledger>(db: &mut L, seen: Sighting<'_>, user: &mut User, fold: &mut Fold) -> Result<()> {
    let LocalTime { day, hour } = seen.local;
    let bit = 1_u32 << hour;
    let mark = Hours { seen: bit, crashed: if seen.crashed { bit } else { 0 } };
    if user.day == day && user.hours.hold(mark) {
        return Ok(());
    }
    let known = match (user.day == day, user.is_new) {
        (true, _) => user.hours,
        (false, true) => Hours::default(),
        (false, false) => db.hours(seen.environment, day, user.id())?.unwrap_or_default(),
    };
    (user.day, user.hours) = (day, known.with(mark));
    if known.hold(mark) {
        return Ok(());
    }
    db.put_hours(seen.environment, day, user.id(), user.hours)?;
    if known.seen & bit != 0 {
        return Ok(());
    }
    fold.total(seen.environment, Bucket::of_hour(seen.local, seen.zone), Measures::USER);
    if known.seen == 0 {
        let midnight = Bucket::of(seen.zone.midnight(day), seen.zone);
        fold.total(seen.environment, midnight, Measures::DAY_USER);
    }
    Ok(())
}
