//! The transaction of a commit, as PostgreSQL runs it: everything that it may need is read and locked in one round
//! trip, the commit is worked out, and everything that it changes is written and committed in a second.
//!
//! Other nodes commit at the same time. Users and sessions are locked by their rows, in the order of their keys; what
//! two nodes add at once (an event, a user, a session) meets at its unique key, and the one that comes second runs its
//! commit again, to find what the first has written. A repeated event shows in the same way: whether events are there
//! already is only asked for a while after some were, since it costs as much as a quarter of the commit.

use std::collections::BTreeMap;

use hashbrown::{HashMap, HashSet};
use tokio_postgres::{Row, Statement};
use uuid::Uuid;

use super::LINKED;
use super::copy::{self, EventKey};
use super::link::{BEGIN, LINK_LOCKS};
use super::session::Session;
use super::statement::ask;
use super::wanted::{Wanted, sort};
use super::writes::{StoredAside, Writes};
use crate::model::{
    AppId, EnvironmentId, EventId, IngestKeyId, Limits, LocalTime, Millis, SessionHash, SetAside, UserHash,
};
use crate::rollup::{Deltas, FactIds};
use crate::store::commit::{
    self, EventRecord, GroupRecord, Hours, KeyUse, Ledger, Outcomes, Prepared, SessionOwner, SessionRecord, UserRecord,
};
use crate::store::identify::{self, VersionIds};
use crate::store::intern::{self, Numbers};
use crate::store::links::{self, Linked, Roots, Teller};
use crate::store::people::People;
use crate::store::sql::Sql;
use crate::store::{Committed, Draft, Nonce, Result, StoreError};

/// Begins the transaction of a commit. Its statements take rows by their keys, a few of many, whatever the planner
/// knows of tables that it has not seen grow yet; and one plan of each does for all commits.
const BEGIN_COMMIT: &str = "; SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; \
     SET LOCAL enable_mergejoin = off; SET LOCAL jit = off; SET LOCAL plan_cache_mode = force_generic_plan";

/// Whether events of a commit are likely to be there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Repeats {
    /// They are looked for.
    Likely,
    /// They show when they are written, and then the commit is run again.
    Unlikely,
}

/// What a commit knows from those before it.
pub(super) struct Known<'w> {
    /// The first free number of a user and of a session; afterwards those that are free then, also where the commit failed.
    pub(super) ids: &'w mut (i64, i64),
    pub(super) versions: &'w mut VersionIds,
    /// Where pseudonyms lead, as far as no other node has changed it.
    pub(super) roots: &'w mut Roots,
}

/// Waits for whoever else links names of an environment, until they have committed: two links may make a circle.
const HOLD_LINKS: &str = "SELECT pg_advisory_xact_lock($1::int4, ($2::int8 % 2147483647)::int4)";

/// Writes all drafts in one transaction.
pub(super) fn write(
    session: &Session<'_>,
    (drafts, limits): (&[Draft], &Limits),
    interned: Numbers,
    known: Known<'_>,
    repeats: Repeats,
) -> Result<Vec<Committed>> {
    let Known { ids, versions, roots } = known;
    let mut begin = [BEGIN, BEGIN_COMMIT].concat();
    let asked = links::asked(drafts, |environment, hash| roots.guess(environment, hash));
    let asks = drafts.iter().any(|draft| draft.identify.is_some() || draft.sign_out.is_some());
    if asks || !asked.is_empty() {
        session.batch(&begin)?;
        begin.clear();
    }
    let linked = link(session, &asked, roots)?;
    let greeted = match asks {
        true => identify::greet(session, versions, drafts, &interned.devices)?,
        false => vec![None; drafts.len()],
    };
    let mut wanted = Wanted::of(drafts, &greeted, (roots, &linked));
    if repeats == Repeats::Unlikely {
        wanted.events.clear();
    }
    let mut book = Book::open(session, &begin, &wanted)?;
    if book.leads_elsewhere(&wanted, roots) {
        return Err(StoreError::Unavailable(LINKED.to_owned()));
    }
    let mut people = People::new(ids.0, ids.1);
    let prepared = Prepared { interned: interned.events, greeted, linked };
    let committed = commit::write(&mut book, &mut people, drafts, prepared, limits);
    *ids = people.next();
    let committed = committed?;
    book.writes.commit(session, book.copy)?;
    Ok(committed)
}

/// Writes the links that are new.
fn link(session: &Session<'_>, asked: &[links::Asked<'_>], roots: &mut Roots) -> Result<Vec<Linked>> {
    let mut environments: Vec<_> = asked.iter().map(|(draft, _)| draft.environment.0).collect();
    sort(&mut environments);
    for environment in environments {
        session.run(HOLD_LINKS, &[LINK_LOCKS.into(), environment.into()])?;
    }
    if asked.is_empty() { Ok(Vec::new()) } else { links::write(session, asked, roots) }
}

/// One transaction in progress: what was read, and what is to be written.
struct Book<'s> {
    /// Where pseudonyms lead that do not count themselves.
    roots: HashMap<(i64, [u8; 16]), [u8; 16]>,
    session: &'s Session<'s>,
    keys: HashMap<i64, KeyUse>,
    nonces: HashSet<(i64, i64, [u8; 16])>,
    stored: HashSet<EventKey>,
    /// Events that were set aside and are tried again.
    aside: HashSet<i64>,
    users: HashMap<(i64, [u8; 16]), UserRecord>,
    hours: HashMap<(i64, i32, i64), Hours>,
    named: HashMap<(i64, [u8; 16]), SessionRecord>,
    /// By user, start and number.
    derived: BTreeMap<(i64, Millis, i64), SessionRecord>,
    writes: Writes,
    copy: Statement,
}

impl<'s> Book<'s> {
    /// Begins the transaction where `begin` says so, and reads and locks all that is wanted.
    fn open(session: &'s Session<'s>, begin: &str, wanted: &Wanted) -> Result<Self> {
        let wanted = wanted.statements();
        let (answers, copy) = session.wait(async {
            // Where a statement fails, so does the copy, but for no reason of its own.
            let (answers, copy) =
                tokio::join!(ask(session.client(), begin, &wanted, ""), copy::prepare(session.client()));
            Ok((answers?, copy?))
        })?;
        let mut answers = answers.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let mut book = Self {
            roots: HashMap::new(),
            session,
            keys: next().iter().map(read_key).collect::<Result<_>>()?,
            nonces: next()
                .iter()
                .map(|row| read3(row).map(|(at, app, v): (_, _, Uuid)| (at, app, *v.as_bytes())))
                .collect::<Result<_>>()?,
            users: next().iter().map(read_user).collect::<Result<_>>()?,
            named: next().iter().map(read_named).collect::<Result<_>>()?,
            hours: next().iter().map(read_hours).collect::<Result<_>>()?,
            derived: BTreeMap::new(),
            stored: HashSet::new(),
            aside: HashSet::new(),
            writes: Writes::default(),
            copy,
        };
        for row in next() {
            let (user, session): (i64, _) = (column(&row, 5)?, read_session(&row)?);
            book.derived.insert((user, session.started_at, session.id), session);
        }
        for row in next() {
            let (environment, claimed_at, id): (i64, i64, Uuid) = read3(&row)?;
            book.stored.insert((environment, claimed_at, *id.as_bytes()));
        }
        book.aside = next().iter().map(|row| column(row, 0)).collect::<Result<_>>()?;
        for row in next() {
            let (environment, hash, into): (i64, Uuid, Uuid) = read3(&row)?;
            book.roots.insert((environment, *hash.as_bytes()), *into.as_bytes());
        }
        Ok(book)
    }

    /// Whether a name leads elsewhere than was thought when the rows were chosen; what was thought is put right. The links
    /// were read when the users had been locked, so that nobody who is known here is linked before this commit ends.
    fn leads_elsewhere(&self, wanted: &Wanted, roots: &mut Roots) -> bool {
        let mut elsewhere = false;
        for name in &wanted.names {
            let (environment, hash) = (EnvironmentId(name.0), UserHash(name.1));
            let root = self.roots.get(name).copied().map_or(hash, UserHash);
            if roots.guess(environment, hash) != root {
                roots.learn(environment, hash, root);
                elsewhere = true;
            }
        }
        elsewhere
    }
}

impl Ledger for Book<'_> {
    fn key(&mut self, key: IngestKeyId) -> Result<Option<KeyUse>> {
        Ok(self.keys.get(&key.0).copied())
    }

    fn set_key_used(&mut self, key: IngestKeyId, at: Millis) -> Result<()> {
        if let Some(known) = self.keys.get_mut(&key.0) {
            known.last_used_at = Some(at);
        }
        self.writes.keys.insert(key.0, at.0);
        Ok(())
    }

    fn spend(&mut self, app: AppId, nonce: &Nonce) -> Result<bool> {
        Ok(self.nonces.remove(&(nonce.at, app.0, nonce.value)))
    }

    fn set_first_event(&mut self, app: AppId, at: Millis) -> Result<()> {
        self.writes.first_events.entry(app.0).or_insert(at.0);
        Ok(())
    }

    fn insert_event(&mut self, event: &EventRecord<'_>) -> Result<bool> {
        let key = (event.environment.0, event.claimed_at.0, event.id.0);
        if !self.stored.insert(key) {
            return Ok(false);
        }
        self.writes.events.push(key, event)?;
        let at = event.claimed_at.plus(event.skew);
        self.writes.arrivals.add(event.environment, at, (event.claimed_at, event.id));
        Ok(true)
    }

    fn insert_set_aside(&mut self, draft: &Draft, event: &SetAside) -> Result<()> {
        self.writes.set_aside.push(StoredAside {
            app: draft.app.id.0,
            environment: draft.environment.0,
            received_at: draft.received_at.0,
            reason: event.reason.as_str(),
            detail: event.detail.clone(),
            id: event.id.map(|EventId(id)| id),
            body: event.body.to_string(),
            again: event.again.as_deref().map(str::to_owned),
        });
        Ok(())
    }

    fn is_set_aside(&mut self, id: i64) -> Result<bool> {
        Ok(self.aside.contains(&id))
    }

    fn judge_set_aside(&mut self, id: i64, event: &SetAside) -> Result<()> {
        self.writes.judged.insert(id, (event.reason.as_str(), event.detail.clone()));
        Ok(())
    }

    fn take_set_aside(&mut self, id: i64) -> Result<()> {
        self.aside.remove(&id);
        self.writes.taken.push(id);
        Ok(())
    }

    fn user(&mut self, environment: EnvironmentId, hash: UserHash) -> Result<Option<UserRecord>> {
        Ok(self.users.get(&(environment.0, hash.0)).copied())
    }

    fn insert_user(&mut self, environment: EnvironmentId, hash: UserHash, user: UserRecord) -> Result<()> {
        self.writes.new_users.insert((environment.0, hash.0), user.id);
        self.users.insert((environment.0, hash.0), user);
        self.update_user(user)
    }

    fn update_user(&mut self, user: UserRecord) -> Result<()> {
        self.writes.users.insert(user.id, user);
        Ok(())
    }

    fn root(&mut self, environment: EnvironmentId, hash: UserHash) -> Result<UserHash> {
        Ok(self.roots.get(&(environment.0, hash.0)).copied().map_or(hash, UserHash))
    }

    fn rename_user(
        &mut self,
        environment: EnvironmentId,
        (from, into): (UserHash, UserHash),
        user: UserRecord,
    ) -> Result<()> {
        self.users.remove(&(environment.0, from.0));
        self.users.insert((environment.0, into.0), user);
        self.writes.renames.insert(user.id, into.0);
        Ok(())
    }

    fn tell(&mut self, told: &[Teller<'_>]) -> Result<()> {
        links::tell(self.session, told)
    }

    fn hours(&mut self, environment: EnvironmentId, day: i32, user: i64) -> Result<Option<Hours>> {
        Ok(self.hours.get(&(environment.0, day, user)).copied())
    }

    fn put_hours(&mut self, environment: EnvironmentId, day: i32, user: i64, hours: Hours) -> Result<()> {
        self.hours.insert((environment.0, day, user), hours);
        self.writes.hours.insert((environment.0, day, user), hours);
        Ok(())
    }

    fn see_device(&mut self, environment: EnvironmentId, local: LocalTime, device: i64) -> Result<()> {
        *self.writes.devices.entry((environment.0, local.day, device)).or_default() |= 1 << local.hour;
        Ok(())
    }

    fn named_session(&mut self, environment: EnvironmentId, hash: SessionHash) -> Result<Option<SessionRecord>> {
        Ok(self.named.get(&(environment.0, hash.0)).copied())
    }

    fn derived_session(&mut self, user: i64, until: Millis) -> Result<Option<SessionRecord>> {
        let before = (user, Millis(i64::MIN), i64::MIN)..=(user, until, i64::MAX);
        Ok(self.derived.range(before).next_back().map(|(_, session)| *session))
    }

    fn insert_session(&mut self, session: SessionRecord, owner: SessionOwner) -> Result<()> {
        match (owner.hash, owner.user) {
            (Some(hash), _) => _ = self.named.insert((owner.environment.0, hash.0), session),
            (None, Some(user)) => _ = self.derived.insert((user, session.started_at, session.id), session),
            (None, None) => {}
        }
        self.writes.new_sessions.push((session, owner));
        Ok(())
    }

    fn move_session(&mut self, session: i64, started_at: Millis) -> Result<()> {
        let was = self.derived.iter().find(|((_, _, id), _)| *id == session).map(|(key, record)| (*key, *record));
        if let Some(((user, start, _), record)) = was {
            self.derived.remove(&(user, start, session));
            self.derived.insert((user, started_at, session), SessionRecord { started_at, ..record });
        }
        self.writes.starts.insert(session, started_at);
        Ok(())
    }

    fn grow_session(&mut self, session: i64, now: SessionRecord, events: i64) -> Result<()> {
        self.writes.growths.insert(session, (now, events));
        Ok(())
    }

    fn put_error(&mut self, environment: EnvironmentId, group: i64, seen: &GroupRecord) -> Result<()> {
        self.writes.errors.insert((environment.0, group), seen.clone());
        Ok(())
    }

    fn facts(&mut self, id: i64) -> Result<FactIds> {
        intern::facts_by_id(self.session, id)
    }

    fn merge(&mut self, deltas: &Deltas, outcomes: &Outcomes) -> Result<()> {
        self.writes.deltas = deltas.clone();
        self.writes.outcomes = outcomes.iter().map(|((app, day, outcome), n)| ((app.0, *day, *outcome), *n)).collect();
        Ok(())
    }

    fn trim_set_aside(&mut self, app: AppId, keep: u32) -> Result<()> {
        self.writes.trims.push((app.0, keep.into()));
        Ok(())
    }
}

fn column<'a, T: tokio_postgres::types::FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|error| StoreError::Unexpected(error.to_string()))
}

fn read3<'a, A, B, C>(row: &'a Row) -> Result<(A, B, C)>
where
    A: tokio_postgres::types::FromSql<'a>,
    B: tokio_postgres::types::FromSql<'a>,
    C: tokio_postgres::types::FromSql<'a>,
{
    Ok((column(row, 0)?, column(row, 1)?, column(row, 2)?))
}

fn read_key(row: &Row) -> Result<(i64, KeyUse)> {
    let (id, revoked_at, last_used_at): (i64, Option<i64>, Option<i64>) = read3(row)?;
    Ok((id, KeyUse { revoked_at: revoked_at.map(Millis), last_used_at: last_used_at.map(Millis) }))
}

fn read_user(row: &Row) -> Result<((i64, [u8; 16]), UserRecord)> {
    let (environment, hash, id): (i64, Uuid, i64) = read3(row)?;
    let record = UserRecord { id, first_at: Millis(column(row, 3)?), last_day: column(row, 4)? };
    Ok(((environment, *hash.as_bytes()), record))
}

fn read_session(row: &Row) -> Result<SessionRecord> {
    let (id, started_at, ended_at): (i64, i64, i64) = read3(row)?;
    let crashed = column::<i64>(row, 4)? != 0;
    Ok(SessionRecord {
        id,
        started_at: Millis(started_at),
        ended_at: Millis(ended_at),
        facts: column(row, 3)?,
        crashed,
    })
}

fn read_named(row: &Row) -> Result<((i64, [u8; 16]), SessionRecord)> {
    let hash: Uuid = column(row, 6)?;
    Ok(((column(row, 5)?, *hash.as_bytes()), read_session(row)?))
}

fn read_hours(row: &Row) -> Result<((i64, i32, i64), Hours)> {
    let (environment, day, user): (i64, i32, i64) = read3(row)?;
    let (seen, crashed): (i32, i32) = (column(row, 3)?, column(row, 4)?);
    Ok(((environment, day, user), Hours { seen: seen.cast_unsigned(), crashed: crashed.cast_unsigned() }))
}
