//! What has happened, in the form in which it is counted fastest: events of days as bytes with columns of their
//! properties, and counts of past periods.
//!
//! Whatever stands here is marked, and the mark goes with the commit that makes it untrue. To settle something takes three
//! steps: a mark is set while commits are held off; what it is about is read and worked out, without any lock; and where
//! the mark still stands, the result is written. So a commit either was seen by the second step or is found by the third.
//!
//! A day holds also while little comes to it: a commit lists its events beside the day, with whose work at it was under
//! way. What was listed during one's own work is not of it, and stays listed behind it.

mod amounts;
mod changes;
mod check;
mod classes;
mod coding;
mod columns;
mod counts;
mod days;
mod dimensions;
mod every;
mod late;
mod lengths;
mod lexicon;
mod people;
mod sets;
mod told;
mod totals;
mod work;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use super::backend::Backend;
use super::scan::{Beside, Key, Of, Passing, Scope, scan_listed};
use super::sql::{Cell, Line, Sql};
use super::{Result, StoreError};
use crate::clock::Stopwatch;
use crate::model::{EnvironmentId, Millis, TimeRange};
use crate::rollup::{Bucket, Deltas};

pub(super) use changes::{change as change_sessions, changed as changed_sessions, of_day as changes_of};
pub(super) use check::holds;
pub(super) use classes::Sessions;
pub(super) use columns::Columns;
pub(super) use counts::{Counted, find};
pub(super) use every::every;
pub(super) use late::{Arrivals, ROOM, come};
pub(super) use lengths::{forget as forget_sessions, lengths};
pub(super) use sets::{Joined, join};
pub(super) use told::{Has, Tell, Valued, Wanted, told};

use coding::{Damaged, Label, decode};
use told::Told;

/// Periods that have ended so long ago may be counted: most of what clients kept while they were offline has come.
const AGE: i64 = 36 * Millis::HOUR;
/// What was settled is not settled again for so long: late events would else keep the box busy.
const PAUSE: i64 = Millis::HOUR;
/// A day that holds no longer rests for so many milliseconds for each of its events, and not longer than that: a thousand
/// times as long as it takes to settle them.
const REST: i64 = 2;
/// Whoever began to settle something so long ago has died of it.
const LOST: i64 = 10 * Millis::MINUTE;

/// So many things are marked together, since commits are held off for it.
const TOGETHER: usize = 8;
/// After so long what is left is for the next time.
const STEP: Duration = Duration::from_millis(250);

/// Something has come since.
const TOUCHED: i64 = 0;
/// Somebody works at it.
const OPEN: i64 = 1;
/// It holds.
const SETTLED: i64 = 2;
/// It holds together with what is listed beside it.
const LISTED: i64 = 3;
/// Somebody works at a day that does not hold. Older versions call it [`OPEN`], and know no lists.
const MAKING: i64 = 4;
/// Days that hold, as a condition on `state`.
const HOLDS: &str = "IN (2, 3)";

/// Stands in place of a part where the properties of a day are in columns, all of them.
const COMPLETE: i64 = -1;
/// The same where some are left out: those without any column.
const PARTIAL: i64 = -2;
/// Stands there with what the events of a day come to by the values of a property; with no name what all of them do.
const AMOUNTS: i64 = -3;
/// The same with whose they are.
const PEOPLE: i64 = -4;
/// Stands there where amounts are told of every property that any event has; with those of the property without a name,
/// where any event has that.
const TOLD: i64 = -5;
/// Stands there under the name of a dimension that is none of these properties, with what the events of a day come to by it,
/// and whose they are.
const DIMENSIONS: i64 = -6;
/// What is settled of days.
const DAYS: [&str; 4] = ["settled_days", "settled_events", "settled_columns", "settled_late"];
/// Most properties that are read together.
const KEYS: usize = 8;

/// What waits to be settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Days of events, of all environments.
    pub days: u64,
    /// Counts of users and devices, and of the sessions of days.
    pub counts: u64,
}

impl Backlog {
    /// Whether nothing waits.
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// Settles some of what can be settled; what is left then.
pub(super) fn settle<B: Backend>(store: &B, now: Millis) -> Result<Backlog> {
    if Backend::status(store)?.read_only.is_some() {
        return Err(StoreError::Unavailable("nothing is settled while no events are taken".to_owned()));
    }
    let keeps = store.keeps();
    let (days, counts, sessions) =
        store.look(|db| Ok((days::due(db, now, keeps)?, counts::due(db, now)?, lengths::due(db, now, keeps)?)))?;
    let mut left = Backlog { days: days.len() as u64, counts: (counts.len() + sessions.len()) as u64 };
    let watch = Stopwatch::start();
    // Counts are fewer and quicker, and pages ask for them first.
    for some in counts.chunks(TOGETHER) {
        left.counts -= counts::settle(store, some, now)?;
        if watch.elapsed() > STEP {
            return Ok(left);
        }
    }
    for some in sessions.chunks(TOGETHER) {
        left.counts -= lengths::settle(store, some, now)?;
        if watch.elapsed() > STEP {
            return Ok(left);
        }
    }
    let mut days = &days[..];
    while !days.is_empty() && watch.elapsed() <= STEP {
        let (some, others) = days.split_at(days::together(days));
        left.days -= days::settle(store, some, now)?;
        days = others;
    }
    Ok(left)
}

/// Whether these properties can be looked for in columns.
pub(super) fn can_have(keys: &[&Key]) -> bool {
    keys.len() <= KEYS && keys.iter().all(|key| !key.name().contains('\0'))
}

/// Whether days may be told by this.
pub(super) fn can_tell(of: Of<'_>) -> bool {
    match of {
        Of::Prop(key) => can_have(&[key]) && !key.name().is_empty(),
        Of::Name | Of::Error | Of::Fact(_) => true,
    }
}

/// The newest day of an environment that holds.
pub(super) fn newest(db: &dyn Sql, environment: EnvironmentId) -> Result<Option<TimeRange>> {
    let sql = format!("SELECT max(day) FROM settled_days WHERE env_id = $1 AND state {HOLDS}");
    Ok(db.value(&sql, &[environment.0.into()])?.some_int().map(of_day))
}

/// Shows the events of a range that stand in settled days, as [`scan`](super::scan::scan) does, with what they have under
/// these keys, and says of which stretches the rows have to be looked at; of none where it was told to stop.
pub(super) fn show(
    db: &dyn Sql,
    scope: Scope<'_>,
    keys: &[&Key],
    visit: &mut dyn FnMut(&Passing<'_>) -> ControlFlow<()>,
) -> Result<Vec<TimeRange>> {
    let Some(Told { rest, listed, .. }) = parts(db, scope, keys, visit)? else { return Ok(Vec::new()) };
    let beside = if keys.is_empty() { Beside::Nothing } else { Beside::Props };
    let listed = scan_listed(db, scope, (&listed, beside), visit)?;
    Ok(if listed.is_break() { Vec::new() } else { rest })
}

/// The same without what is listed beside the days; none where it was told to stop.
fn parts(
    db: &dyn Sql,
    scope: Scope<'_>,
    keys: &[&Key],
    visit: &mut dyn FnMut(&Passing<'_>) -> ControlFlow<()>,
) -> Result<Option<Told>> {
    let Scope { environment, range, .. } = scope;
    let (sql, params) = statement(scope, keys);
    let (mut told, mut stopped, mut damaged) = (Told::from(range.from), false, None);
    db.stream(&sql, &params, &mut |line| {
        let day = line.int(0);
        told.add(day, line.int(6 + keys.len()) == LISTED);
        if line.int(4) == 0 {
            return ControlFlow::Continue(()); // nothing in it passes
        }
        match part(line, range, keys, visit) {
            Ok(ControlFlow::Continue(())) => return ControlFlow::Continue(()),
            Ok(ControlFlow::Break(())) => stopped = true,
            Err(Damaged) => damaged = Some(day),
        }
        ControlFlow::Break(())
    })?;
    if let Some(day) = damaged {
        return Err(damage(environment, day));
    }
    Ok((!stopped).then(|| told.end(range.to)))
}

/// What is settled of a day is not what was written.
fn damage(environment: EnvironmentId, day: i64) -> StoreError {
    StoreError::Corrupt(format!(
        "settled events of day {day} in environment {}: `tallybox rebuild --write`",
        environment.0
    ))
}

/// One statement, so that a day is settled and its parts are there, or neither. Days that have left one of the properties
/// out are not among them.
fn statement(Scope { environment, range, sieve }: Scope<'_>, keys: &[&Key]) -> (String, Vec<Cell>) {
    let mut params: Vec<Cell> = [range.from.0, range.to.0].map(Cell::Int).to_vec();
    let conditions = sieve.settled_conditions(&mut params);
    let (mut bodies, mut joins, mut all) = (String::new(), String::new(), String::new());
    for (at, key) in keys.iter().enumerate() {
        params.push(key.name().into());
        let name = params.len();
        bodies += &format!(", c{at}.body");
        joins += &format!(
            " LEFT JOIN settled_columns c{at} ON c{at}.env_id = d.env_id AND c{at}.day = d.day AND c{at}.token = d.token \
             AND c{at}.prop = ${name} AND c{at}.part = e.part"
        );
        let and = if at == 0 { "" } else { " AND " };
        all += &format!("{and}{}", beside(&format!("h.prop = ${name} AND h.part >= 0")));
    }
    let place = params.len();
    params.extend([environment.0, day(range.from), day(range.to.plus(-1))].map(Cell::Int));
    let (env_id, first, last) = (place + 1, place + 2, place + 3);
    let has_columns = match keys {
        [] => String::new(),
        _ => {
            let complete = beside(&format!("h.prop = '' AND h.part = {COMPLETE}"));
            format!(" AND (d.events = 0 OR {complete} OR ({all}))")
        }
    };
    let sql = format!(
        "SELECT d.day, e.name_id, e.first_at, e.last_at, e.events, e.body{bodies}, d.state FROM settled_days d \
         LEFT JOIN settled_events e ON e.env_id = d.env_id AND e.day = d.day AND e.token = d.token \
         AND e.last_at >= $1 AND e.first_at < $2{conditions}{joins} \
         WHERE d.env_id = ${env_id} AND d.day >= ${first} AND d.day <= ${last} AND d.state {HOLDS}{has_columns} \
         ORDER BY d.day"
    );
    (sql, params)
}

/// Whether a day has a column of this kind.
fn beside(condition: &str) -> String {
    format!(
        "EXISTS (SELECT 1 FROM settled_columns h WHERE h.env_id = d.env_id AND h.day = d.day AND h.token = d.token \
         AND {condition})"
    )
}

/// Shows the events of a part that are of the range.
fn part(
    line: &dyn Line,
    range: TimeRange,
    keys: &[&Key],
    visit: &mut dyn FnMut(&Passing<'_>) -> ControlFlow<()>,
) -> std::result::Result<ControlFlow<()>, Damaged> {
    let label =
        Label { day: line.int(0), name: line.int(1), first_at: line.int(2), last_at: line.int(3), events: line.int(4) };
    let mut columns = Columns::open(&label, keys, (0..keys.len()).map(|at| line.bytes(6 + at)))?;
    let mut is_damaged = false;
    let shown = decode(&label, line.bytes(5), &mut |event| {
        if columns.step().is_err() {
            is_damaged = true;
            return ControlFlow::Break(());
        }
        match range.contains(event.at) {
            true => visit(&Passing::settled(*event, &columns)),
            false => ControlFlow::Continue(()),
        }
    })?;
    if is_damaged || (shown.is_continue() && !columns.are_over()) { Err(Damaged) } else { Ok(shown) }
}

/// The UTC days of an environment to which a commit has added, and how many events.
pub(super) fn touched(deltas: &Deltas) -> BTreeMap<(EnvironmentId, i64), i64> {
    let mut touched = BTreeMap::new();
    let added = deltas.days.iter().filter(|(key, sums)| key.dimension == 0 && (sums.events != 0 || sums.users != 0));
    for (key, sums) in added {
        *touched.entry((key.environment, key.bucket.0.div_euclid(Bucket::PER_DAY))).or_default() += sums.events;
    }
    touched
}

/// Lets a UTC day hold no longer.
fn unsettle(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<()> {
    let sql = "UPDATE settled_days SET state = 0 WHERE env_id = $1 AND day = $2 AND state <> 0";
    db.run(sql, &[environment.0, day].map(Cell::Int))?;
    Ok(())
}

/// Notes that something has changed on a UTC day that cannot be listed.
pub(super) fn touch(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<()> {
    unsettle(db, environment, day)?;
    counts::touch(db, environment, local_days(day))
}

/// Notes that a device was there on a local day: in the transaction in which it comes, for databases of one writer.
pub(super) fn touch_devices(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<()> {
    counts::touch(db, environment, (day, day))
}

/// Throws away what is settled of a UTC day, and of all periods that it touches. To be called in the transaction that
/// changes or takes away what lies beneath.
pub(super) fn discard(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<()> {
    touch(db, environment, day)?;
    for table in DAYS {
        let sql = format!("DELETE FROM {table} WHERE env_id = $1 AND day = $2");
        db.run(&sql, &[environment.0, day].map(Cell::Int))?;
    }
    sets::discard(db, environment, local_days(day))?;
    lengths::discard(db, environment, day)
}

/// Throws away the settled events of all UTC days that begin before an instant: what has become too old is forgotten from
/// there on.
pub(super) fn forget(db: &dyn Sql, environment: EnvironmentId, before: Millis) -> Result<()> {
    for table in DAYS {
        let sql = format!("DELETE FROM {table} WHERE env_id = $1 AND day <= $2");
        db.run(&sql, &[environment.0, day(before)].map(Cell::Int))?;
    }
    Ok(())
}

/// The local days that a UTC day may touch, whatever the zone: one begins up to a day before the UTC day of an instant in
/// it, and ends up to a day after.
fn local_days(day: i64) -> (i64, i64) {
    (day - 1, day + 1)
}

/// The UTC day of an instant.
fn day(at: Millis) -> i64 {
    at.0.div_euclid(Millis::DAY)
}

/// A UTC day.
fn of_day(day: i64) -> TimeRange {
    let from = Millis(day.saturating_mul(Millis::DAY));
    TimeRange { from, to: from.plus(Millis::DAY) }
}

/// A number that tells one's own work from that of everybody else.
fn token() -> i64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    (high ^ low).cast_signed()
}
