//! How long the sessions were that began on a UTC day, by each fact: counted once the day is over, and again when some of
//! them have changed.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;

use super::super::backend::Backend;
use super::super::keeping;
use super::super::sql::{Cell, Line, Sql};
use super::amounts::Place;
use super::changes::{self, Changes};
use super::classes::{ByValue, Lengths, Sessions, decode, encode};
use super::dimensions::facts_of;
use super::late::are_many;
use super::told::Told;
use super::{HOLDS, LISTED, LOST, OPEN, PAUSE, Result, SETTLED, StoreError, TOUCHED, day, of_day, token};
use crate::model::{EnvironmentId, Fact, Keeps, Kept, Millis, TimeRange, first_kept_day};
use crate::rollup::{Bucket, length_class};

/// In place of a part, which lengths have none of.
const PART: i64 = -7;
/// Days without sessions are settled this far back, so that a long range is one stretch.
const EMPTY: i64 = 400;
/// A day that holds no longer rests for so many milliseconds for each of its sessions, and not longer than [`PAUSE`]: some
/// thousand times as long as it takes to count them.
const REST: i64 = 2;
/// Most classes of lengths of all values of a fact together that a day keeps: where there are more, its sessions are read.
const MOST: usize = 100_000;

/// What is settled of the sessions of a day.
const TABLES: [&str; 3] = ["settled_sessions", "settled_lengths", "settled_changes"];

/// A day whose sessions can be counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    environment: EnvironmentId,
    day: i64,
    /// Whose the day is while one works at it.
    owner: i64,
}

/// What the sessions of a day come to.
struct Counted {
    sessions: i64,
    /// By fact, as far as they have few enough classes.
    facts: BTreeMap<&'static str, ByValue>,
    /// What was listed of them.
    listed: Changes,
}

/// All days whose sessions can be counted and are not, the newest first. Where sessions are kept for a time only, what is
/// about to be forgotten is left alone.
pub(super) fn due(db: &dyn Sql, now: Millis, of_box: Keeps) -> Result<Vec<Due>> {
    // Sessions go on beginning and growing today.
    let last = day(now) - 1;
    let mut due = Vec::new();
    for kept in keeping::all(db, of_box)?.into_iter().filter(|kept| kept.kind == Kept::Sessions) {
        let environment = kept.environment;
        let oldest = first_kept_day(kept.days, now).map_or(i64::MIN, |day| day + 2).max(kept.gone_before);
        let mut days = begun(db, environment, (oldest, last))?;
        let Some(first) = days.keys().next().copied() else { continue };
        for day in first.max(last - EMPTY)..=last {
            days.entry(day).or_insert(0);
        }
        let sql = "SELECT day, state, at, work, changes, sessions FROM settled_sessions WHERE env_id = $1";
        for row in db.rows(sql, &[environment.0.into()])? {
            let age = now.since(Millis(row.int(2)));
            let is_worked_at = (0..LOST).contains(&age) && row.int(3) != 0;
            let rests = |sessions: i64| match row.int(1) {
                SETTLED => true,
                LISTED => is_worked_at || ((0..PAUSE).contains(&age) && !are_many(row.int(4), row.int(5))),
                OPEN => (0..LOST).contains(&age),
                _ => (0..PAUSE.min(REST * sessions)).contains(&age),
            };
            if days.get(&row.int(0)).is_some_and(|sessions| rests(*sessions)) {
                days.remove(&row.int(0));
            }
        }
        due.extend(days.into_keys().map(|day| Due { environment, day, owner: 0 }));
    }
    due.sort_by_key(|due| std::cmp::Reverse(due.day));
    Ok(due)
}

/// The days on which sessions began, and how many.
fn begun(db: &dyn Sql, environment: EnvironmentId, (first, last): (i64, i64)) -> Result<BTreeMap<i64, i64>> {
    let sql =
        "SELECT bucket, sessions FROM rollup_days WHERE env_id = $1 AND dimension = 0 AND bucket < $2 AND sessions > 0";
    let rows = db.rows(sql, &[environment.0, (last + 1) * Bucket::PER_DAY].map(Cell::Int))?;
    let days = rows.iter().map(|row| (row.int(0).div_euclid(Bucket::PER_DAY), row.int(1)));
    Ok(days.filter(|(day, _)| *day >= first).collect())
}

/// Settles these days; how many.
pub(super) fn settle<B: Backend>(store: &B, due: &[Due], now: Millis) -> Result<u64> {
    let token = token();
    let mut found = Vec::new();
    for due in store.change(|db| open::<B>(db, due, (token, now)))? {
        found.push((due, store.look(|db| count(db, due.environment, due.day))?));
    }
    // In the order in which commits take them.
    found.sort_unstable_by_key(|(due, _)| *due);
    store.change(|db| {
        let mut settled = 0;
        for (due, counted) in &found {
            settled += u64::from(close(db, *due, (token, now), counted)?);
        }
        Ok(settled)
    })
}

/// Marks days, while commits are held off: those that nobody else works at. A day that holds does so all the while.
fn open<B: Backend>(db: &dyn Sql, due: &[Due], (token, now): (i64, Millis)) -> Result<Vec<Due>> {
    B::hold_commits(db)?;
    let sql = format!(
        "INSERT INTO settled_sessions (env_id, day, state, token, at, sessions, work) \
         VALUES ($1, $2, {OPEN}, $3, $4, 0, $3) \
         ON CONFLICT (env_id, day) DO UPDATE SET work = excluded.work, at = excluded.at, \
         token = CASE WHEN settled_sessions.state = {LISTED} THEN settled_sessions.token ELSE excluded.token END, \
         state = CASE WHEN settled_sessions.state = {LISTED} THEN {LISTED} ELSE {OPEN} END \
         WHERE settled_sessions.state = {TOUCHED} \
         OR (settled_sessions.state = {OPEN} AND settled_sessions.at NOT BETWEEN $5 AND $6) \
         OR (settled_sessions.state = {LISTED} \
         AND (settled_sessions.work = 0 OR settled_sessions.at NOT BETWEEN $5 AND $6))"
    );
    let mut mine = Vec::new();
    for due in due {
        let (environment, day) = (due.environment, due.day);
        let params = [environment.0, day, token, now.0, now.plus(1 - LOST).0, now.0];
        if db.run(&sql, &params.map(Cell::Int))? == 0 {
            continue;
        }
        let sql = "SELECT token, state FROM settled_sessions WHERE env_id = $1 AND day = $2";
        let Some(row) = db.row(sql, &[environment.0, day].map(Cell::Int))? else { continue };
        if row.int(1) != LISTED {
            changes::clear(db, (environment, day))?;
        }
        mine.push(Due { owner: row.int(0), ..*due });
    }
    Ok(mine)
}

/// Counts the sessions that began on a day.
fn count(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<Counted> {
    // One statement, so that what is listed is of the same state of the database.
    let sql = "SELECT facts_id, class, sessions, crashed, 1 FROM settled_changes WHERE env_id = $1 AND day = $2 \
               UNION ALL SELECT facts_id, ended_at - started_at, 1, crashed, 0 FROM sessions \
               WHERE env_id = $1 AND started_at >= $3 AND started_at < $4";
    let TimeRange { from, to } = of_day(day);
    let (mut sets, mut sessions, mut listed) = (HashMap::<i64, Lengths>::new(), 0, Changes::new());
    db.stream(sql, &[environment.0, day, from.0, to.0].map(Cell::Int), &mut |line| {
        let (set, class, count) = changes::of_line(line);
        if line.int(4) == 1 {
            listed.push((set, class, count));
        } else {
            sessions += 1;
            sets.entry(set).or_default().add(length_class(class), count);
        }
        ControlFlow::Continue(())
    })?;
    let facts = facts_of(db, &sets.keys().copied().collect::<Vec<_>>())?;
    let by_value = |fact: Fact| {
        let mut values = ByValue::new();
        for (set, lengths) in &sets {
            values.entry(facts.get(set).map_or(0, |facts| facts[fact as usize])).or_default().join(lengths);
        }
        let classes: usize = values.values().map(|lengths| lengths.classes.len()).sum();
        (classes <= MOST).then(|| (fact.name(), values))
    };
    Ok(Counted { sessions, facts: Fact::ALL.into_iter().filter_map(by_value).collect(), listed })
}

/// Lets a day hold, where its mark still stands; whether it does.
fn close(db: &dyn Sql, due: Due, (token, now): (i64, Millis), counted: &Counted) -> Result<bool> {
    let sql = format!(
        "UPDATE settled_sessions SET at = $1, sessions = $2, token = $3, state = {SETTLED}, work = 0 \
         WHERE work = $3 AND token = $4 AND env_id = $5 AND day = $6 AND state <> {TOUCHED}"
    );
    let params = [now.0, counted.sessions, token, due.owner, due.environment.0, due.day].map(Cell::Int);
    if db.run(&sql, &params)? == 0 {
        return Ok(false);
    }
    let key = [due.environment.0, due.day, token];
    if counted.sessions > 0 {
        let sql = "INSERT INTO settled_lengths (env_id, day, token, fact, body) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (env_id, day, fact) DO UPDATE SET token = excluded.token, body = excluded.body";
        for (fact, values) in &counted.facts {
            let own = [(*fact).into(), Cell::Bytes(encode(&place(due.day, fact), values))];
            db.run(sql, &key.map(Cell::Int).into_iter().chain(own).collect::<Vec<_>>())?;
        }
    }
    db.run("DELETE FROM settled_lengths WHERE env_id = $1 AND day = $2 AND token <> $3", &key.map(Cell::Int))?;
    changes::narrow(db, (due.environment, due.day), &counted.listed)?;
    Ok(true)
}

/// Shows what the sessions of the whole days of a range that are settled come to by a fact, with the beginning of their day,
/// and says of which stretches sessions have to be read. `takes` says whether a day may be told as a whole.
pub(in crate::store) fn lengths(
    db: &dyn Sql,
    (environment, range): (EnvironmentId, TimeRange),
    (fact, takes): (Fact, &dyn Fn(TimeRange) -> bool),
    visit: &mut dyn FnMut(Millis, Sessions<'_>),
) -> Result<Vec<TimeRange>> {
    // One statement, so that a day holds and its row is there, or neither.
    let sql = format!(
        "SELECT d.day, d.sessions, l.body, d.state FROM settled_sessions d LEFT JOIN settled_lengths l \
         ON l.env_id = d.env_id AND l.day = d.day AND l.fact = $1 AND l.token = d.token \
         WHERE d.env_id = $2 AND d.day >= $3 AND d.day <= $4 AND d.state {HOLDS} \
         AND (d.sessions = 0 OR l.token IS NOT NULL) ORDER BY d.day"
    );
    let (first, last) = (day(range.from.plus(Millis::DAY - 1)), day(range.to) - 1);
    let params = [environment.0, first, last].map(Cell::Int);
    let (mut told, mut damaged) = (Told::from(range.from), None);
    let mut look = |line: &dyn Line| {
        let day = line.int(0);
        let whole = of_day(day);
        if !takes(whole) {
            return ControlFlow::Continue(());
        }
        told.add(day, line.int(3) == LISTED);
        let mut visit = |value: i64, lengths: &Lengths| visit(whole.from, Sessions::Many(value, lengths));
        if line.int(1) > 0 && decode(&place(day, fact.name()), line.bytes(2), &mut visit).is_err() {
            damaged = Some(day);
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    if (first..=last).any(|day| takes(of_day(day))) {
        let params: Vec<_> = std::iter::once(fact.name().into()).chain(params).collect();
        db.stream(&sql, &params, &mut look)?;
    }
    if let Some(day) = damaged {
        let what =
            format!("settled sessions of day {day} in environment {}: `tallybox rebuild --write`", environment.0);
        return Err(StoreError::Corrupt(what));
    }
    changes::show(db, environment, &told.listed, visit)?;
    Ok(told.end(range.to).rest)
}

/// Whether nothing that is settled of a day's sessions differs from what they say.
pub(super) fn hold(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<bool> {
    let key = [environment.0, day].map(Cell::Int);
    let sql =
        format!("SELECT token, sessions, state FROM settled_sessions WHERE env_id = $1 AND day = $2 AND state {HOLDS}");
    let Some(row) = db.row(&sql, &key)? else { return Ok(true) };
    let (token, sessions) = (row.int(0), row.int(1));
    let mut counted = count(db, environment, day)?;
    if row.int(2) != LISTED {
        counted.listed.clear(); // an older version has left it behind
    }
    let since: i64 = counted.listed.iter().map(|(.., count)| count.sessions).sum();
    if sessions + since != counted.sessions {
        return Ok(false);
    }
    let sets = facts_of(db, &counted.listed.iter().map(|(set, ..)| *set).collect::<Vec<_>>())?;
    let sql = "SELECT fact, body FROM settled_lengths WHERE env_id = $1 AND day = $2 AND token = $3";
    let mut told = BTreeMap::new();
    for row in db.rows(sql, &[environment.0, day, token].map(Cell::Int))? {
        let (fact, mut found) = (row.text(0), ByValue::new());
        let read = decode(&place(day, &fact), row.bytes(1), &mut |value, own| _ = found.insert(value, own.clone()));
        told.insert(fact, read.is_ok().then_some(found));
    }
    // What a newer version counts besides is its own.
    Ok(Fact::ALL.into_iter().all(|fact| {
        let found = match told.remove(fact.name()) {
            None if sessions > 0 => return !counted.facts.contains_key(fact.name()),
            None => Some(ByValue::new()),
            Some(found) => found,
        };
        let Some(mut values) = found else { return false };
        for (set, class, count) in &counted.listed {
            values.entry(sets.get(set).map_or(0, |facts| facts[fact as usize])).or_default().add(*class, *count);
        }
        values.retain(|_, lengths| *lengths != Lengths::default());
        counted.facts.get(fact.name()).is_none_or(|counted| *counted == values)
    }))
}

/// Throws away what is settled of the sessions of a UTC day.
pub(super) fn discard(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<()> {
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE env_id = $1 AND day = $2");
        db.run(&sql, &[environment.0, day].map(Cell::Int))?;
    }
    Ok(())
}

/// Throws away what is settled of the sessions of all UTC days that begin before an instant: what has become too old is
/// forgotten from there on.
pub(in crate::store) fn forget(db: &dyn Sql, environment: EnvironmentId, before: Millis) -> Result<()> {
    for table in TABLES {
        let sql = format!("DELETE FROM {table} WHERE env_id = $1 AND day <= $2");
        db.run(&sql, &[environment.0, day(before.plus(-1))].map(Cell::Int))?;
    }
    Ok(())
}

fn place(day: i64, fact: &str) -> Place<'_> {
    Place { day, prop: fact, part: PART }
}
