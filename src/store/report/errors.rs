//! Groups of errors in a period, counted from the events that tell of them; those have indexes of their own.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use hashbrown::{HashMap, HashSet};

use super::super::scan::{Beside, Glance, Passing, Scope, Sieve, fact_sets, scan, scan_beside};
use super::super::sql::{Cell, Sql};
use super::super::{Result, intern};
use super::breakdown::text;
use super::events::{EVENTS, event_row};
use super::room::Room;
use super::values::Shown;
use crate::model::{
    Dimension, EnvironmentId, ErrorGroup, ErrorGroupAsk, ErrorRow, ErrorsAsk, EventRow, Fact, Keep, Millis, TimeRange,
};

/// Most users, sessions and sets of facts, each counted once for each group: some 35 MB. Who has more errors asks for
/// less time.
const MOST: usize = 900_000;

/// What a period has of one group.
#[derive(Default)]
struct Tally {
    events: i64,
    crashes: i64,
    users: i64,
    sessions: i64,
    /// Events by set of facts.
    facts: HashMap<i64, i64>,
}

/// The groups with the most events.
pub(super) fn errors(db: &dyn Sql, environment: EnvironmentId, ask: &ErrorsAsk) -> Result<Vec<ErrorRow>> {
    let mut tallies = Tallies::new();
    let sieve = Sieve::of(db, environment, &ask.filters.clone().with(Dimension::Error, Keep::IsNot, None))?;
    scan(db, environment, ask.period.range, &sieve, &mut |event| tallies.count(event))?;
    let tallies = tallies.done()?;
    let mut sorted: Vec<(&i64, &Tally)> = tallies.iter().collect();
    sorted.sort_unstable_by_key(|(group, tally)| (Reverse(tally.events), **group));
    let known = Known::read(db, environment)?;
    let wanted = ask.search.trim().to_lowercase();
    let holds = |text: &str| text.to_lowercase().contains(&wanted);
    let mut rows = Vec::new();
    for (group, tally) in sorted {
        if rows.len() == ask.limit as usize {
            break;
        }
        let Some(row) = row(db, environment, (*group, tally), ask.period.range)? else { continue };
        if wanted.is_empty() || holds(&row.group) || holds(&row.message) {
            let versions = known.versions(db, tally)?.into_iter().take(ErrorRow::VERSIONS).collect();
            rows.push(ErrorRow { versions, ..row });
        }
    }
    Ok(rows)
}

/// One group, if the environment has it.
pub(super) fn group(db: &dyn Sql, environment: EnvironmentId, ask: &ErrorGroupAsk) -> Result<Option<Box<ErrorGroup>>> {
    let sql = "SELECT g.error_id FROM environments e JOIN strings s ON s.app_id = e.app_id \
               JOIN error_groups g ON g.env_id = e.id AND g.error_id = s.id \
               WHERE e.id = $1 AND s.kind = $2 AND s.text = $3";
    let found = db.value(sql, &[environment.0.into(), intern::ERROR.into(), ask.group.as_str().into()])?;
    let Some(id) = found.some_int() else { return Ok(None) };
    let (mut tallies, mut newest) = (Tallies::new(), Newest::new(ask.newest));
    let filters = ask.filters.clone().with(Dimension::Error, Keep::Is, Some(ask.group.as_str().into()));
    let sieve = Sieve::of(db, environment, &filters)?;
    let scope = Scope { environment, range: ask.period.range, sieve: &sieve };
    scan_beside(db, scope, Beside::Place, &mut |event| {
        if event.glance.error != id {
            return ControlFlow::Continue(());
        }
        newest.see(event);
        tallies.count(&event.glance)
    })?;
    let tally = tallies.done()?.remove(&id).unwrap_or_default();
    let Some(row) = row(db, environment, (id, &tally), ask.period.range)? else { return Ok(None) };
    let known = Known::read(db, environment)?;
    let (mut versions, mut systems) = (known.versions(db, &tally)?, known.systems(db, &tally)?);
    let all = versions.len() as u64;
    versions.truncate(ErrorGroup::VALUES);
    systems.truncate(ErrorGroup::VALUES);
    let newest = newest.events(db, environment)?;
    Ok(Some(Box::new(ErrorGroup { row: ErrorRow { versions, ..row }, versions: all, systems, newest })))
}

/// Counts by group.
struct Tallies {
    groups: HashMap<i64, Tally>,
    /// Group and user.
    users: HashSet<(i64, i64)>,
    /// Group and session.
    sessions: HashSet<(i64, i64)>,
    /// Sets of facts of all groups.
    sets: usize,
    room: Room,
}

impl Tallies {
    fn new() -> Self {
        let (groups, users, sessions) = Default::default();
        Self { groups, users, sessions, sets: 0, room: Room::of(MOST) }
    }

    /// Counts an event, if it tells of an error: filters have room for so many conditions only.
    fn count(&mut self, event: &Glance) -> ControlFlow<()> {
        if event.error == 0 {
            return ControlFlow::Continue(());
        }
        let tally = self.groups.entry(event.error).or_default();
        tally.events += 1;
        tally.crashes += i64::from(event.fatal);
        let events = tally.facts.entry(event.facts).or_default();
        self.sets += usize::from(*events == 0);
        *events += 1;
        tally.users += i64::from(event.user != 0 && self.users.insert((event.error, event.user)));
        tally.sessions += i64::from(event.session != 0 && self.sessions.insert((event.error, event.session)));
        self.room.holds(self.users.len() + self.sessions.len() + self.sets)
    }

    fn done(mut self) -> Result<HashMap<i64, Tally>> {
        self.room.check()?;
        Ok(self.groups)
    }
}

/// The keys of the newest events that passed by.
struct Newest {
    /// When it occurred, its id, its claimed time; the earliest first.
    keys: BTreeSet<(i64, [u8; 16], i64)>,
    most: usize,
}

impl Newest {
    fn new(most: u32) -> Self {
        Self { keys: BTreeSet::new(), most: most as usize }
    }

    fn see(&mut self, event: &Passing<'_>) {
        let at = event.glance.at.0;
        if self.keys.len() == self.most && self.keys.first().is_none_or(|first| at < first.0) {
            return;
        }
        let (claimed_at, id) = event.place();
        self.keys.insert((at, id, claimed_at));
        if self.keys.len() > self.most {
            self.keys.pop_first();
        }
    }

    /// The events themselves, newest first.
    fn events(&self, db: &dyn Sql, environment: EnvironmentId) -> Result<Vec<EventRow>> {
        let sql = [EVENTS, "WHERE e.env_id = $1 AND e.claimed_at = $2 AND e.event_id = $3"].concat();
        let mut events = Vec::new();
        for (_, id, claimed_at) in self.keys.iter().rev() {
            let found = db.row(&sql, &[environment.0.into(), (*claimed_at).into(), Cell::Uuid(*id)])?;
            events.extend(found.as_ref().map(event_row));
        }
        Ok(events)
    }
}

/// A group as far as the tally and the account of groups tell; none where it is in neither.
fn row(
    db: &dyn Sql,
    environment: EnvironmentId,
    (group, tally): (i64, &Tally),
    range: TimeRange,
) -> Result<Option<ErrorRow>> {
    let sql = "SELECT s.text, g.message, g.first_at, g.last_at FROM error_groups g JOIN strings s ON s.id = g.error_id \
               WHERE g.env_id = $1 AND g.error_id = $2";
    let found = db.row(sql, &[environment.0.into(), group.into()])?;
    Ok(found.map(|found| ErrorRow {
        group: found.text(0),
        message: found.text(1),
        events: tally.events,
        crashes: tally.crashes,
        users: tally.users,
        sessions: tally.sessions,
        first_at: Millis(found.int(2)),
        last_at: Millis(found.int(3)),
        is_new: range.contains(Millis(found.int(2))),
        versions: Vec::new(),
    }))
}

/// Version and system of every set of facts of an app, 0 where it does not say.
struct Known(HashMap<i64, [i64; 2]>);

impl Known {
    fn read(db: &dyn Sql, environment: EnvironmentId) -> Result<Self> {
        let mut known = HashMap::new();
        fact_sets(db, environment, &[Fact::Version, Fact::System], &mut |set, values| {
            known.insert(set, [values[0], values[1]]);
        })?;
        Ok(Self(known))
    }

    fn versions(&self, db: &dyn Sql, tally: &Tally) -> Result<Vec<(Option<String>, i64)>> {
        self.values(db, tally, |[version, _]| version)
    }

    fn systems(&self, db: &dyn Sql, tally: &Tally) -> Result<Vec<(Option<String>, i64)>> {
        self.values(db, tally, |[_, system]| system)
    }

    /// Events of a group by one fact, most first.
    fn values(&self, db: &dyn Sql, tally: &Tally, of: fn([i64; 2]) -> i64) -> Result<Vec<(Option<String>, i64)>> {
        let mut counts: HashMap<i64, i64> = HashMap::new();
        for (facts, events) in &tally.facts {
            *counts.entry(self.0.get(facts).map_or(0, |both| of(*both))).or_default() += events;
        }
        let mut sorted: Vec<_> = counts.into_iter().collect();
        sorted.sort_unstable_by_key(|(value, events)| (Reverse(*events), *value));
        sorted.into_iter().map(|(value, events)| Ok((text(db, Shown::Number(value))?, events))).collect()
    }
}
