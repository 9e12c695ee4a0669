//! How long the sessions were that began on a UTC day, by each fact: counted once the day is over, and again when one of
//! them has changed.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use super::super::backend::Backend;
use super::super::keeping;
use super::super::sql::{Cell, Line, Sql};
use super::amounts::Place;
use super::classes::{ByValue, Lengths, decode, encode};
use super::told::Told;
use super::{LOST, OPEN, PAUSE, Result, SETTLED, StoreError, TOUCHED, day, of_day, token};
use crate::model::{EnvironmentId, Fact, Keeps, Kept, LENGTHS, Millis, TimeRange, first_kept_day};
use crate::rollup::{Bucket, Deltas, length_class};

/// In place of a part, which lengths have none of.
const PART: i64 = -7;
/// Days without sessions are settled this far back, so that a long range is one stretch.
const EMPTY: i64 = 400;
/// A day of which a session has changed rests for so many milliseconds for each of its sessions, and not longer than
/// [`PAUSE`]: some thousand times as long as it takes to count them.
const REST: i64 = 2;
/// Most classes of lengths of all values of a fact together that a day keeps: where there are more, its sessions are read.
const MOST: usize = 100_000;

/// A day whose sessions can be counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Due {
    environment: EnvironmentId,
    day: i64,
}

/// What the sessions of a day come to.
struct Counted {
    sessions: i64,
    /// By fact, as far as they have few enough classes.
    facts: BTreeMap<&'static str, ByValue>,
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
        let sql = "SELECT day, state, at FROM settled_sessions WHERE env_id = $1";
        for row in db.rows(sql, &[environment.0.into()])? {
            let age = now.since(Millis(row.int(2)));
            let rests = |sessions: i64| match row.int(1) {
                SETTLED => true,
                OPEN => (0..LOST).contains(&age),
                _ => (0..PAUSE.min(REST * sessions)).contains(&age),
            };
            if days.get(&row.int(0)).is_some_and(|sessions| rests(*sessions)) {
                days.remove(&row.int(0));
            }
        }
        due.extend(days.into_keys().map(|day| Due { environment, day }));
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

/// Marks days, while commits are held off: those that nobody else works at.
fn open<B: Backend>(db: &dyn Sql, due: &[Due], (token, now): (i64, Millis)) -> Result<Vec<Due>> {
    B::hold_commits(db)?;
    let sql = format!(
        "INSERT INTO settled_sessions (env_id, day, state, token, at, sessions) VALUES ($1, $2, {OPEN}, $3, $4, 0) \
         ON CONFLICT (env_id, day) DO UPDATE SET state = {OPEN}, token = excluded.token, at = excluded.at \
         WHERE settled_sessions.state = {TOUCHED} \
         OR (settled_sessions.state = {OPEN} AND settled_sessions.at NOT BETWEEN $5 AND $6)"
    );
    let mut mine = Vec::new();
    for due in due {
        let params = [due.environment.0, due.day, token, now.0, now.plus(1 - LOST).0, now.0];
        if db.run(&sql, &params.map(Cell::Int))? == 1 {
            mine.push(*due);
        }
    }
    Ok(mine)
}

/// Counts the sessions that began on a day.
fn count(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<Counted> {
    let columns = Fact::ALL.map(|fact| [", f.", fact.name()].concat()).concat();
    let sql = [
        "SELECT s.ended_at - s.started_at, s.crashed",
        &columns,
        " FROM sessions s LEFT JOIN facts f ON f.id = s.facts_id \
         WHERE s.env_id = $1 AND s.started_at >= $2 AND s.started_at < $3",
    ];
    let TimeRange { from, to } = of_day(day);
    let mut facts = Fact::ALL.map(|_| Some((ByValue::new(), 0)));
    let mut sessions = 0;
    db.stream(&sql.concat(), &[environment.0, from.0, to.0].map(Cell::Int), &mut |line| {
        sessions += 1;
        let (class, crashed) = (length_class(line.int(0)), line.int(1) != 0);
        for (at, fact) in facts.iter_mut().enumerate() {
            let Some((values, classes)) = fact else { continue };
            *classes += values.entry(line.int(2 + at)).or_default().add(class, crashed);
            if *classes > MOST {
                *fact = None;
            }
        }
        ControlFlow::Continue(())
    })?;
    let facts = Fact::ALL.into_iter().zip(facts).filter_map(|(fact, found)| Some((fact.name(), found?.0)));
    Ok(Counted { sessions, facts: facts.collect() })
}

/// Lets a day hold, where its mark still stands; whether it does.
fn close(db: &dyn Sql, due: Due, (token, now): (i64, Millis), counted: &Counted) -> Result<bool> {
    let key = [due.environment.0, due.day, token];
    let sql = format!(
        "UPDATE settled_sessions SET state = {SETTLED}, at = $1, sessions = $2 \
         WHERE env_id = $3 AND day = $4 AND token = $5 AND state = {OPEN}"
    );
    let params = [now.0, counted.sessions].into_iter().chain(key).map(Cell::Int);
    if db.run(&sql, &params.collect::<Vec<_>>())? == 0 {
        return Ok(false);
    }
    if counted.sessions > 0 {
        let sql = "INSERT INTO settled_lengths (env_id, day, token, fact, body) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (env_id, day, fact) DO UPDATE SET token = excluded.token, body = excluded.body";
        for (fact, values) in &counted.facts {
            let own = [(*fact).into(), Cell::Bytes(encode(&place(due.day, fact), values))];
            db.run(sql, &key.map(Cell::Int).into_iter().chain(own).collect::<Vec<_>>())?;
        }
    }
    db.run("DELETE FROM settled_lengths WHERE env_id = $1 AND day = $2 AND token <> $3", &key.map(Cell::Int))?;
    Ok(true)
}

/// Shows what the sessions of the whole days of a range that are settled come to by a fact, each value with the beginning
/// of its day, and says of which stretches sessions have to be read. `takes` says whether a day may be told as a whole.
pub(in crate::store) fn lengths(
    db: &dyn Sql,
    (environment, range): (EnvironmentId, TimeRange),
    (fact, takes): (Fact, &dyn Fn(TimeRange) -> bool),
    visit: &mut dyn FnMut(Millis, i64, &Lengths),
) -> Result<Vec<TimeRange>> {
    // One statement, so that a day holds and its row is there, or neither.
    let sql = format!(
        "SELECT d.day, d.sessions, l.body FROM settled_sessions d LEFT JOIN settled_lengths l \
         ON l.env_id = d.env_id AND l.day = d.day AND l.fact = $1 AND l.token = d.token \
         WHERE d.env_id = $2 AND d.day >= $3 AND d.day <= $4 AND d.state = {SETTLED} \
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
        told.add(day, false);
        let mut visit = |value: i64, lengths: &Lengths| visit(whole.from, value, lengths);
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
    Ok(told.end(range.to).rest)
}

/// Whether nothing that is settled of a day's sessions differs from what they say.
pub(super) fn hold(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<bool> {
    let key = [environment.0, day].map(Cell::Int);
    let sql =
        format!("SELECT token, sessions FROM settled_sessions WHERE env_id = $1 AND day = $2 AND state = {SETTLED}");
    let Some(row) = db.row(&sql, &key)? else { return Ok(true) };
    let (token, sessions) = (row.int(0), row.int(1));
    let counted = count(db, environment, day)?;
    if sessions != counted.sessions {
        return Ok(false);
    }
    let sql = "SELECT fact, body FROM settled_lengths WHERE env_id = $1 AND day = $2 AND token = $3";
    let mut facts = BTreeSet::new();
    for row in db.rows(sql, &[environment.0, day, token].map(Cell::Int))? {
        let (fact, mut found) = (row.text(0), ByValue::new());
        let read = decode(&place(day, &fact), row.bytes(1), &mut |value, own| _ = found.insert(value, own.clone()));
        // What a newer version counts besides is its own.
        let is_known = Fact::ALL.iter().any(|own| own.name() == fact);
        if is_known && (read.is_err() || counted.facts.get(fact.as_str()) != Some(&found)) {
            return Ok(false);
        }
        facts.insert(fact);
    }
    Ok(sessions == 0 || counted.facts.keys().all(|fact| facts.contains(*fact)))
}

/// The UTC days of an environment of which a commit has changed sessions.
pub(in crate::store) fn changed(deltas: &Deltas) -> BTreeSet<(EnvironmentId, i64)> {
    let named = deltas.days.keys().filter(|key| key.dimension == LENGTHS);
    named.map(|key| (key.environment, key.bucket.0.div_euclid(Bucket::PER_DAY))).collect()
}

/// Notes that sessions of a UTC day have changed: in the transaction that changes them.
pub(in crate::store) fn change(db: &dyn Sql, (environment, day): (EnvironmentId, i64)) -> Result<()> {
    let sql = "UPDATE settled_sessions SET state = 0 WHERE env_id = $1 AND day = $2 AND state <> 0";
    db.run(sql, &[environment.0, day].map(Cell::Int))?;
    Ok(())
}

/// Throws away what is settled of the sessions of a UTC day.
pub(super) fn discard(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<()> {
    for table in ["settled_sessions", "settled_lengths"] {
        let sql = format!("DELETE FROM {table} WHERE env_id = $1 AND day = $2");
        db.run(&sql, &[environment.0, day].map(Cell::Int))?;
    }
    Ok(())
}

/// Throws away what is settled of the sessions of all UTC days that begin before an instant: what has become too old is
/// forgotten from there on.
pub(in crate::store) fn forget(db: &dyn Sql, environment: EnvironmentId, before: Millis) -> Result<()> {
    for table in ["settled_sessions", "settled_lengths"] {
        let sql = format!("DELETE FROM {table} WHERE env_id = $1 AND day <= $2");
        db.run(&sql, &[environment.0, day(before.plus(-1))].map(Cell::Int))?;
    }
    Ok(())
}

fn place(day: i64, fact: &str) -> Place<'_> {
    Place { day, prop: fact, part: PART }
}
