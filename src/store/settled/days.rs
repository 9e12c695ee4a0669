//! Days of events, written once more as bytes, and again when more has come.

use std::collections::BTreeMap;

use super::super::backend::Backend;
use super::super::keeping;
use super::super::sql::{Cell, Row, Sql};
use super::late::{self, are_many};
use super::work::Work;
use super::{HOLDS, LISTED, LOST, MAKING, OPEN, PAUSE, REST, Result, SETTLED, TOGETHER, TOUCHED, day, token};
use crate::model::{EnvironmentId, Keeps, Kept, Millis, TimeRange, first_kept_day};
use crate::rollup::Bucket;

/// Days without events are settled this far back, so that a long range is one stretch: farther back only those with some.
const EMPTY: i64 = 400;
/// About how many events are read at once.
const STRETCH: i64 = 50_000;
/// A settled day, where no older version has settled it: what all its events come to stands beside its columns.
const HAS_TOTALS: &str = "(settled_days.events = 0 OR EXISTS (SELECT 1 FROM settled_columns h \
                          WHERE h.env_id = settled_days.env_id AND h.day = settled_days.day \
                          AND h.token = settled_days.token AND h.prop = '' AND h.part = -3))";

/// Whoever works at it began too long ago, or later than now.
const IS_LOST: &str = "settled_days.at NOT BETWEEN $5 AND $6";

/// A day that can be settled.
#[derive(Clone, Copy)]
pub(super) struct Due {
    pub(super) environment: EnvironmentId,
    pub(super) day: i64,
    /// As the summaries tell.
    pub(super) events: i64,
    /// Whose the day is while one works at it, where somebody does.
    pub(super) owner: i64,
}

/// All days that can be settled and are not, the newest first. Where events are kept for a time only, what is about to be
/// forgotten is left alone.
pub(super) fn due(db: &dyn Sql, now: Millis, of_box: Keeps) -> Result<Vec<Due>> {
    let last = day(now);
    let mut due = Vec::new();
    for kept in keeping::all(db, of_box)?.into_iter().filter(|kept| kept.kind == Kept::Events) {
        let environment = kept.environment;
        let oldest = first_kept_day(kept.days, now).map_or(i64::MIN, |day| day + 2).max(kept.gone_before);
        let mut days = counted(db, environment, (oldest, last))?;
        let Some(first) = days.keys().next().copied() else { continue };
        for day in first.max(oldest).max(last - EMPTY)..=last {
            days.entry(day).or_insert(0);
        }
        let sql = format!(
            "SELECT day, state, at, CASE WHEN {HAS_TOTALS} THEN 1 ELSE 0 END, work, late, events \
             FROM settled_days WHERE env_id = $1"
        );
        for row in db.rows(&sql, &[environment.0.into()])? {
            let day = row.int(0);
            if days.get(&day).is_some_and(|events| rests(&row, *events, now)) {
                days.remove(&day);
            }
        }
        due.extend(days.into_iter().map(|(day, events)| Due { environment, day, events, owner: 0 }));
    }
    due.sort_by_key(|due| std::cmp::Reverse(due.day));
    Ok(due)
}

/// Whether a day with so many events is left alone.
fn rests(row: &Row, events: i64, now: Millis) -> bool {
    let (state, age, has_totals) = (row.int(1), now.since(Millis(row.int(2))), row.int(3) == 1);
    let (work, late, settled) = (row.int(4), row.int(5), row.int(6));
    let is_worked_at = (0..LOST).contains(&age) && work != 0;
    match state {
        SETTLED => has_totals || is_worked_at,
        LISTED => is_worked_at || ((0..PAUSE).contains(&age) && !are_many(late, settled)),
        OPEN | MAKING => (0..LOST).contains(&age),
        _ => (0..PAUSE.min(REST * events)).contains(&age),
    }
}

/// The days that have events, and how many.
fn counted(db: &dyn Sql, environment: EnvironmentId, (first, last): (i64, i64)) -> Result<BTreeMap<i64, i64>> {
    let sql =
        "SELECT bucket, events FROM rollup_days WHERE env_id = $1 AND dimension = 0 AND bucket < $2 AND events > 0";
    let rows = db.rows(sql, &[environment.0, (last + 1) * Bucket::PER_DAY].map(Cell::Int))?;
    let days = rows.iter().map(|row| (row.int(0).div_euclid(Bucket::PER_DAY), row.int(1)));
    Ok(days.filter(|(day, _)| *day >= first).collect())
}

/// How many of the first of these days are settled together: one, or more that are small.
pub(super) fn together(due: &[Due]) -> usize {
    let mut events = 0;
    let small = due.iter().take(TOGETHER).take_while(|due| {
        events += due.events;
        events <= 2 * STRETCH
    });
    small.count().max(1)
}

/// A day of so many events in stretches that are read at once.
pub(super) fn stretches(day: i64, events: i64) -> impl Iterator<Item = TimeRange> {
    let count = (events / STRETCH + 1).clamp(1, Bucket::PER_DAY);
    let edge = move |stretch: i64| Millis(day * Millis::DAY + stretch * Millis::DAY / count);
    (0..count).map(move |stretch| TimeRange { from: edge(stretch), to: edge(stretch + 1) })
}

/// Settles these days; how many.
pub(super) fn settle<B: Backend>(store: &B, due: &[Due], now: Millis) -> Result<u64> {
    let token = token();
    let mut settled = 0;
    for due in store.change(|db| open::<B>(db, due, (token, now)))? {
        settled += u64::from(Work::new(store, due, (token, now)).run()?);
    }
    Ok(settled)
}

/// Marks days, while commits are held off: those that nobody else works at. A day that holds does so all the while.
fn open<B: Backend>(db: &dyn Sql, due: &[Due], (token, now): (i64, Millis)) -> Result<Vec<Due>> {
    B::hold_commits(db)?;
    let sql = format!(
        "INSERT INTO settled_days (env_id, day, state, token, at, events, work) \
         VALUES ($1, $2, {MAKING}, $3, $4, 0, $3) \
         ON CONFLICT (env_id, day) DO UPDATE SET work = excluded.work, at = excluded.at, \
         token = CASE WHEN settled_days.state {HOLDS} THEN settled_days.token ELSE excluded.token END, \
         state = CASE WHEN settled_days.state {HOLDS} THEN settled_days.state ELSE {MAKING} END \
         WHERE settled_days.state = {TOUCHED} OR (settled_days.state IN ({OPEN}, {MAKING}) AND {IS_LOST}) \
         OR ((settled_days.state = {LISTED} OR (settled_days.state = {SETTLED} AND NOT {HAS_TOTALS})) \
         AND (settled_days.work = 0 OR {IS_LOST}))"
    );
    let mut mine = Vec::new();
    for due in due {
        let (environment, day) = (due.environment, due.day);
        let key = [environment.0, day, token, now.0, now.plus(1 - LOST).0, now.0];
        if db.run(&sql, &key.map(Cell::Int))? == 0 {
            continue;
        }
        let sql = "SELECT token, state FROM settled_days WHERE env_id = $1 AND day = $2";
        let Some(row) = db.row(sql, &[environment.0, day].map(Cell::Int))? else { continue };
        if row.int(1) != LISTED {
            late::clear(db, environment, day)?;
            let sql = "UPDATE settled_days SET late = 0 WHERE env_id = $1 AND day = $2";
            db.run(sql, &[environment.0, day].map(Cell::Int))?;
        }
        mine.push(Due { owner: row.int(0), ..*due });
    }
    Ok(mine)
}
