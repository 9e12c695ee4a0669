//! Groups of errors in a period, counted from the events that tell of them; those have indexes of their own.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::ops::ControlFlow;

use hashbrown::{HashMap, HashSet};

use super::super::sql::{Cell, Line, Sql};
use super::super::{Result, StoreError, intern};
use super::breakdown::text;
use super::events::{EVENTS, event_row};
use crate::model::{
    EnvironmentId, ErrorGroup, ErrorGroupAsk, ErrorRow, ErrorsAsk, EventRow, Filters, Millis, TimeRange,
};

/// Up to which skew an event is looked for near its claimed time; beyond, by the time it occurred.
const NEAR: i64 = 10 * Millis::MINUTE;

/// Most users, sessions and sets of facts, each counted once for each group: some 200 MB. Who has more errors asks for
/// less time.
const MOST: usize = 6_000_000;

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

/// An event that tells of an error, as it passes by.
struct Seen<'a> {
    group: i64,
    fatal: bool,
    user: i64,
    session: i64,
    facts: i64,
    claimed_at: i64,
    at: i64,
    id: &'a [u8],
}

/// The groups with the most events.
pub(super) fn errors(db: &dyn Sql, environment: EnvironmentId, ask: &ErrorsAsk) -> Result<Vec<ErrorRow>> {
    let mut tallies = Tallies::default();
    each(db, environment, (ask.period.range, &ask.filters), &mut |seen| tallies.count(&seen))?;
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
    let (mut tallies, mut newest) = (Tallies::default(), Newest::new(ask.newest));
    each(db, environment, (ask.period.range, &ask.filters), &mut |seen| {
        if seen.group != id {
            return ControlFlow::Continue(());
        }
        newest.see(&seen);
        tallies.count(&seen)
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

/// Shows the events of a range that tell of an error, each once: those whose clock was about right by their claimed
/// time, the others by the time at which they occurred.
fn each(
    db: &dyn Sql,
    environment: EnvironmentId,
    (range, filters): (TimeRange, &Filters),
    visit: &mut dyn FnMut(Seen<'_>) -> ControlFlow<()>,
) -> Result<()> {
    const SEEN: &str = "SELECT error_id, fatal, user_id, session_id, facts_id, claimed_at, claimed_at + skew, event_id \
                        FROM events WHERE env_id = $1 AND error_id IS NOT NULL ";
    let sql = [
        SEEN,
        "AND claimed_at >= $2 AND claimed_at < $3 AND skew >= -600000 AND skew <= 600000 \
         AND claimed_at + skew >= $4 AND claimed_at + skew < $5 UNION ALL ",
        SEEN,
        "AND (skew < -600000 OR skew > 600000) AND claimed_at + skew >= $4 AND claimed_at + skew < $5",
    ]
    .concat();
    let ends = [range.from.plus(-NEAR), range.to.plus(NEAR), range.from, range.to].map(|at| Cell::Int(at.0));
    let params: Vec<Cell> = [Cell::Int(environment.0)].into_iter().chain(ends).collect();
    db.stream(&sql, &params, &mut |line: &dyn Line| {
        visit(Seen {
            group: line.int(0),
            fatal: line.int(1) != 0,
            user: line.int(2),
            session: line.int(3),
            facts: line.int(4),
            claimed_at: line.int(5),
            at: line.int(6),
            id: line.bytes(7),
        })
    })
}

/// Counts by group.
#[derive(Default)]
struct Tallies {
    groups: HashMap<i64, Tally>,
    /// Group and user.
    users: HashSet<(i64, i64)>,
    /// Group and session.
    sessions: HashSet<(i64, i64)>,
    /// Whether there was more to remember than may be.
    full: bool,
}

impl Tallies {
    fn count(&mut self, seen: &Seen<'_>) -> ControlFlow<()> {
        let tally = self.groups.entry(seen.group).or_default();
        tally.events += 1;
        tally.crashes += i64::from(seen.fatal);
        *tally.facts.entry(seen.facts).or_default() += 1;
        tally.users += i64::from(seen.user != 0 && self.users.insert((seen.group, seen.user)));
        tally.sessions += i64::from(seen.session != 0 && self.sessions.insert((seen.group, seen.session)));
        self.full = self.users.len() + self.sessions.len() > MOST;
        if self.full { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn done(self) -> Result<HashMap<i64, Tally>> {
        if self.full { Err(StoreError::Interrupted) } else { Ok(self.groups) }
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

    fn see(&mut self, seen: &Seen<'_>) {
        if self.keys.len() == self.most && self.keys.first().is_none_or(|first| seen.at < first.0) {
            return;
        }
        if let Ok(id) = seen.id.try_into() {
            self.keys.insert((seen.at, id, seen.claimed_at));
        }
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
        let sql =
            "SELECT f.id, f.version, f.system FROM environments e JOIN facts f ON f.app_id = e.app_id WHERE e.id = $1";
        let rows = db.rows(sql, &[environment.0.into()])?;
        Ok(Self(rows.iter().map(|row| (row.int(0), [row.int(1), row.int(2)])).collect()))
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
        sorted.into_iter().map(|(value, events)| Ok((text(db, value)?, events))).collect()
    }
}
