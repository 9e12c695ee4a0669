//! One commit, written once for every backend: drafts in, what became of each out. A backend lends the transaction as a
//! [`Ledger`].

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::identify::Greeted;
use super::intern::Interned;
use super::links::{Linked, Teller};
use super::people::{People, Sighting};
use super::{Committed, Draft, Entry, Nonce, Result};
use crate::model::{
    AppId, EnvironmentId, Event, EventId, IngestKeyId, Limits, LocalTime, Millis, Outcome, Receipt, SessionHash,
    SetAside, UserHash,
};
use crate::rollup::{Bucket, Deltas, FactIds, Fold, InternedError};

/// Forgets the oldest events kept aside for an app beyond so many.
pub(super) const TRIM_SET_ASIDE: &str = "DELETE FROM set_aside WHERE app_id = $1 AND id <= \
     (SELECT id FROM set_aside WHERE app_id = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)";

/// Events by app, UTC day of arrival and what became of them.
pub(super) type Outcomes = HashMap<(AppId, i64, &'static str), i64>;

/// What a commit needs to know of a key.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeyUse {
    pub(super) revoked_at: Option<Millis>,
    pub(super) last_used_at: Option<Millis>,
}

/// A row of `events`.
#[derive(Clone, Copy, Debug)]
pub(super) struct EventRecord<'a> {
    pub(super) environment: EnvironmentId,
    pub(super) claimed_at: Millis,
    pub(super) id: EventId,
    pub(super) skew: i64,
    pub(super) delay: i64,
    pub(super) name: i64,
    pub(super) category: Option<i64>,
    pub(super) facts: i64,
    pub(super) user: Option<i64>,
    pub(super) session: Option<i64>,
    pub(super) props: Option<&'a str>,
    pub(super) error: Option<InternedError>,
}

/// A row of `users`.
#[derive(Clone, Copy, Debug)]
pub(super) struct UserRecord {
    pub(super) id: i64,
    pub(super) first_at: Millis,
    pub(super) last_day: i32,
}

/// A row of `sessions`.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionRecord {
    pub(super) id: i64,
    pub(super) started_at: Millis,
    pub(super) ended_at: Millis,
    pub(super) facts: i64,
    pub(super) crashed: bool,
}

/// Hours of a local day, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Hours {
    /// In which a user was seen.
    pub(super) seen: u32,
    /// In which something crashed for them.
    pub(super) crashed: u32,
}

impl Hours {
    pub(super) fn hold(self, other: Self) -> bool {
        self.with(other) == self
    }

    pub(super) fn with(self, other: Self) -> Self {
        Self { seen: self.seen | other.seen, crashed: self.crashed | other.crashed }
    }
}

/// What a commit adds to a group of errors.
#[derive(Clone, Debug)]
pub(super) struct GroupRecord {
    /// Of the first event to come.
    pub(super) message: String,
    pub(super) first_at: Millis,
    pub(super) last_at: Millis,
}

/// Whose a new session is; without a hash where it was derived from pauses.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionOwner {
    pub(super) environment: EnvironmentId,
    pub(super) hash: Option<SessionHash>,
    pub(super) user: Option<i64>,
}

/// A transaction as a commit uses it. What is read has to be what is written in the end: a backend whose other nodes
/// write at the same time locks it, or fails the commit when it was changed meanwhile.
pub(super) trait Ledger {
    fn key(&mut self, key: IngestKeyId) -> Result<Option<KeyUse>>;
    fn set_key_used(&mut self, key: IngestKeyId, at: Millis) -> Result<()>;
    /// Whether the nonce is new; from now on it is not.
    fn spend(&mut self, app: AppId, nonce: &Nonce) -> Result<bool>;
    /// Notes the app's first event, where none is noted.
    fn set_first_event(&mut self, app: AppId, at: Millis) -> Result<()>;
    /// Whether the event is new and was inserted.
    fn insert_event(&mut self, event: &EventRecord<'_>) -> Result<bool>;
    /// Keeps an event aside, unless one of its id is kept already.
    fn insert_set_aside(&mut self, draft: &Draft, event: &SetAside) -> Result<()>;
    /// Whether the event of that number is still kept aside.
    fn is_set_aside(&mut self, id: i64) -> Result<bool>;
    /// Keeps it aside for another reason.
    fn judge_set_aside(&mut self, id: i64, event: &SetAside) -> Result<()>;
    /// Keeps it aside no longer.
    fn take_set_aside(&mut self, id: i64) -> Result<()>;

    fn user(&mut self, environment: EnvironmentId, hash: UserHash) -> Result<Option<UserRecord>>;
    fn insert_user(&mut self, environment: EnvironmentId, hash: UserHash, user: UserRecord) -> Result<()>;
    fn update_user(&mut self, user: UserRecord) -> Result<()>;
    /// Whose the events are that name a user so: theirs, unless there is a link.
    fn root(&mut self, environment: EnvironmentId, hash: UserHash) -> Result<UserHash>;
    /// Lets a user who is there go by another name, which nobody has.
    fn rename_user(&mut self, environment: EnvironmentId, names: (UserHash, UserHash), user: UserRecord) -> Result<()>;
    /// Keeps what is told of people.
    fn tell(&mut self, told: &[Teller<'_>]) -> Result<()>;
    /// The hours of a user's local day; `None` where there is no row.
    fn hours(&mut self, environment: EnvironmentId, day: i32, user: i64) -> Result<Option<Hours>>;
    fn put_hours(&mut self, environment: EnvironmentId, day: i32, user: i64, hours: Hours) -> Result<()>;
    /// Notes the hour in which a device was seen.
    fn see_device(&mut self, environment: EnvironmentId, local: LocalTime, device: i64) -> Result<()>;

    fn named_session(&mut self, environment: EnvironmentId, hash: SessionHash) -> Result<Option<SessionRecord>>;
    /// The user's last derived session that begins at or before `until`.
    fn derived_session(&mut self, user: i64, until: Millis) -> Result<Option<SessionRecord>>;
    fn insert_session(&mut self, session: SessionRecord, owner: SessionOwner) -> Result<()>;
    fn move_session(&mut self, session: i64, started_at: Millis) -> Result<()>;
    /// Writes end and crash of a session, and adds to its events.
    fn grow_session(&mut self, session: i64, now: SessionRecord, events: i64) -> Result<()>;
    /// Adds to a group of errors, or makes it.
    fn put_error(&mut self, environment: EnvironmentId, group: i64, seen: &GroupRecord) -> Result<()>;
    /// The values of a set of facts.
    fn facts(&mut self, id: i64) -> Result<FactIds>;

    /// Adds to the summaries.
    fn merge(&mut self, deltas: &Deltas, outcomes: &Outcomes) -> Result<()>;
    /// Forgets the oldest events kept aside for an app beyond so many.
    fn trim_set_aside(&mut self, app: AppId, keep: u32) -> Result<()>;
}

/// What was found out about drafts before their events are written.
pub(super) struct Prepared {
    /// The numbers of every event's texts, in order.
    pub(super) interned: Vec<Interned>,
    /// What became of every draft's identify.
    pub(super) greeted: Vec<Option<Greeted>>,
    /// The links that are new: they hold for all events of the commit.
    pub(super) linked: Vec<Linked>,
}

/// Writes all drafts to a ledger.
pub(super) fn write<L: Ledger>(
    ledger: &mut L,
    people: &mut People,
    drafts: &[Draft],
    prepared: Prepared,
    limits: &Limits,
) -> Result<Vec<Committed>> {
    let Prepared { interned, greeted, linked } = prepared;
    for link in linked {
        people.rename(ledger, link.environment, (link.from, link.into))?;
    }
    let mut work = Work {
        ledger,
        people,
        fold: Fold::default(),
        calendar: HashMap::new(),
        outcomes: HashMap::new(),
        errors: BTreeMap::new(),
        with_set_aside: HashSet::new(),
        told: Vec::new(),
    };
    let mut interned = interned.into_iter();
    let mut committed = Vec::with_capacity(drafts.len());
    for (draft, greeted) in drafts.iter().zip(greeted) {
        committed.push(work.draft(draft, greeted, &mut interned)?);
    }
    let Work { mut fold, mut outcomes, errors, with_set_aside, told, .. } = work;
    people.flush(ledger, &mut fold)?;
    if drafts.iter().any(Draft::restores) {
        // All of it is counted already.
        (fold, outcomes) = (Fold::default(), HashMap::new());
    }
    if !told.is_empty() {
        ledger.tell(&told)?;
    }
    for ((environment, group), seen) in &errors {
        ledger.put_error(*environment, *group, seen)?;
    }
    for app in with_set_aside {
        ledger.trim_set_aside(app, limits.set_aside_events)?;
    }
    ledger.merge(&fold.into_deltas(), &outcomes)?;
    Ok(committed)
}

/// A commit in progress.
struct Work<'a, 'd, L> {
    ledger: &'a mut L,
    people: &'a mut People,
    fold: Fold,
    calendar: HashMap<(AppId, Bucket), LocalTime>,
    outcomes: Outcomes,
    errors: BTreeMap<(EnvironmentId, i64), GroupRecord>,
    with_set_aside: HashSet<AppId>,
    told: Vec<Teller<'d>>,
}

impl<'d, L: Ledger> Work<'_, 'd, L> {
    fn draft(
        &mut self,
        draft: &'d Draft,
        greeted: Option<Greeted>,
        interned: &mut impl Iterator<Item = Interned>,
    ) -> Result<Committed> {
        let refused = if let Some(key) = draft.key
            && !self.key_works(key, draft.received_at)?
        {
            Some(Committed::KeyRevoked)
        } else if let Some(nonce) = &draft.nonce
            && !self.ledger.spend(draft.app.id, nonce)?
        {
            Some(Committed::Replayed)
        } else if let Some(id) = draft.again
            && !self.ledger.is_set_aside(id)?
        {
            // Somebody has tried or discarded it meanwhile.
            Some(Committed::Receipt(Receipt::default()))
        } else {
            None
        };
        let mut outcomes = Vec::with_capacity(draft.entries.len());
        for entry in &draft.entries {
            let outcome = match entry {
                Entry::Event(event) | Entry::Restored(event) => {
                    let interned = interned.next().expect("every event was interned");
                    if refused.is_some() { continue } else { self.event(draft, event, &interned)? }
                }
                Entry::SetAside(_) | Entry::Banned | Entry::Withheld(_) if refused.is_some() => continue,
                Entry::SetAside(event) => {
                    self.set_aside(draft, event)?;
                    Outcome::SetAside(event.reason, event.id)
                }
                Entry::Banned => Outcome::Banned,
                Entry::Withheld(why) => Outcome::Withheld(*why),
            };
            outcomes.push(outcome);
        }
        if let Some(refused) = refused {
            return Ok(refused);
        }
        if let Some(id) = draft.again {
            if outcomes.iter().any(|outcome| matches!(outcome, Outcome::SetAside(..))) {
                // It was counted when it came.
                return Ok(Committed::Receipt(Receipt { outcomes, identified: None }));
            }
            self.ledger.take_set_aside(id)?;
        }
        for told in &draft.people {
            let user = self.ledger.root(draft.environment, told.user)?;
            self.told.push((draft.environment, user, told, draft.received_at));
        }
        let day = draft.received_at.0.div_euclid(Millis::DAY);
        for outcome in &outcomes {
            *self.outcomes.entry((draft.app.id, day, outcome.as_str())).or_default() += 1;
        }
        if outcomes.contains(&Outcome::Stored) {
            self.ledger.set_first_event(draft.app.id, draft.received_at)?;
        }
        let identified = match greeted {
            Some(greeted) => {
                self.greet(draft, &greeted)?;
                Some(Box::new(greeted.identified))
            }
            None => None,
        };
        Ok(Committed::Receipt(Receipt { outcomes, identified }))
    }

    fn set_aside(&mut self, draft: &Draft, event: &SetAside) -> Result<()> {
        if let Some(id) = draft.again {
            return self.ledger.judge_set_aside(id, event);
        }
        self.ledger.insert_set_aside(draft, event)?;
        self.with_set_aside.insert(draft.app.id);
        Ok(())
    }

    /// Whether the key still works at `now`; notes its use once an hour.
    fn key_works(&mut self, key: IngestKeyId, now: Millis) -> Result<bool> {
        let Some(known) = self.ledger.key(key)? else { return Ok(false) };
        let works = known.revoked_at.is_none_or(|at| now < at);
        let hour = Millis(now.0.div_euclid(Millis::HOUR) * Millis::HOUR);
        if works && known.last_used_at.is_none_or(|at| at < hour) {
            self.ledger.set_key_used(key, hour)?;
        }
        Ok(works)
    }

    fn event(&mut self, draft: &Draft, event: &Event, interned: &Interned) -> Result<Outcome> {
        let (app, environment, zone) = (draft.app.id, draft.environment, &draft.app.zone);
        let at = event.occurred_at();
        let user = match event.user() {
            Some(hash) => {
                let hash = self.ledger.root(environment, hash)?;
                Some((hash, self.people.user(self.ledger, environment, hash)?))
            }
            None => None,
        };
        let session = match (event.session(), &user) {
            (Some(hash), _) => Some((Some(hash), self.people.named_session(self.ledger, environment, hash)?)),
            (None, Some((_, user))) => Some((None, self.people.derived_session(self.ledger, user, at)?)),
            (None, None) => None,
        };
        let stored = self.ledger.insert_event(&EventRecord {
            environment,
            claimed_at: event.claimed_at(),
            id: event.id(),
            skew: at.since(event.claimed_at()),
            delay: draft.received_at.since(at),
            name: interned.name,
            category: interned.category,
            facts: interned.facts.id,
            user: user.map(|(_, user)| user.id()),
            session: session.map(|(_, session)| session.id()),
            props: event.props(),
            error: interned.error,
        })?;
        if !stored {
            return Ok(Outcome::Duplicate);
        }
        let bucket = Bucket::of(at, zone);
        let local = *self.calendar.entry((app, bucket)).or_insert_with(|| zone.local(at));
        self.fold.event((environment, bucket), interned.name, &interned.facts, interned.error);
        if let (Some(error), Some(interned)) = (event.error(), interned.error) {
            self.see_error((environment, interned.group), &error.message, at);
        }
        let facts = Arc::as_ref(&interned.facts);
        let crashed = interned.error.is_some_and(|error| error.fatal);
        let sighting = Sighting { environment, at, local, zone, facts, user, session, events: 1, crashed };
        self.people.see(self.ledger, sighting, &mut self.fold)?;
        Ok(Outcome::Stored)
    }

    fn see_error(&mut self, group: (EnvironmentId, i64), message: &str, at: Millis) {
        let new = || GroupRecord { message: message.to_owned(), first_at: at, last_at: at };
        let seen = self.errors.entry(group).or_insert_with(new);
        seen.first_at = seen.first_at.min(at);
        seen.last_at = seen.last_at.max(at);
    }

    /// Whoever identifies is there, though nothing has happened yet.
    fn greet(&mut self, draft: &Draft, greeted: &Greeted) -> Result<()> {
        let (environment, zone, at) = (draft.environment, &draft.app.zone, draft.received_at);
        let hash = self.ledger.root(environment, greeted.user)?;
        let user = self.people.user(self.ledger, environment, hash)?;
        let session = self.people.named_session(self.ledger, environment, greeted.session)?;
        let local = zone.local(at);
        self.ledger.see_device(environment, local, greeted.device)?;
        let sighting = Sighting {
            environment,
            at,
            local,
            zone,
            facts: &greeted.facts,
            user: Some((hash, user)),
            session: Some((Some(greeted.session), session)),
            events: 0,
            crashed: false,
        };
        self.people.see(self.ledger, sighting, &mut self.fold)
    }
}
