//! Days of events, written once more as bytes when they are over.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::super::backend::Backend;
use super::super::keeping;
use super::super::scan::{Glance, scan_rows};
use super::super::sql::{Cell, Sql};
use super::coding::{Encoder, Label};
use super::{AGE, LOST, OPEN, PAUSE, Result, SETTLED, TOGETHER, TOUCHED, day, token};
use crate::model::{EnvironmentId, Keeps, Kept, Millis, TimeRange, first_kept_day};
use crate::rollup::Bucket;

/// Days without events are settled this far back, so that a long range is one stretch: farther back only those with some.
const EMPTY: i64 = 400;
/// About how many events are read at once.
const STRETCH: i64 = 50_000;
/// So many bytes of parts are written at once.
const WRITTEN: usize = 1 << 20;
/// So many bytes of unfinished parts are held.
const HELD: usize = 8 << 20;

/// A day that can be settled.
#[derive(Clone, Copy)]
pub(super) struct Due {
    environment: EnvironmentId,
    day: i64,
    /// As the summaries tell.
    events: i64,
}

/// All days that can be settled and are not, the newest first. Where events are kept for a time only, what is about to be
/// forgotten is left alone.
pub(super) fn due(db: &dyn Sql, now: Millis, of_box: Keeps) -> Result<Vec<Due>> {
    let last = day(now.plus(-AGE)) - 1;
    let mut due = Vec::new();
    for kept in keeping::all(db, of_box)?.into_iter().filter(|kept| kept.kind == Kept::Events) {
        let environment = kept.environment;
        let oldest = first_kept_day(kept.days, now).map_or(i64::MIN, |day| day + 2).max(kept.gone_before);
        let mut days = counted(db, environment, (oldest, last))?;
        let Some(first) = days.keys().next().copied() else { continue };
        for day in first.max(oldest).max(last - EMPTY)..=last {
            days.entry(day).or_insert(0);
        }
        let sql = "SELECT day, state, at FROM settled_days WHERE env_id = $1";
        for row in db.rows(sql, &[environment.0.into()])? {
            let (state, age) = (row.int(1), now.since(Millis(row.int(2))));
            let rests = match state {
                SETTLED => true,
                OPEN => (0..LOST).contains(&age),
                _ => (0..PAUSE).contains(&age),
            };
            if rests {
                days.remove(&row.int(0));
            }
        }
        due.extend(days.into_iter().map(|(day, events)| Due { environment, day, events }));
    }
    due.sort_by_key(|due| std::cmp::Reverse(due.day));
    Ok(due)
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

/// Settles these days; how many.
pub(super) fn settle<B: Backend>(store: &B, due: &[Due], now: Millis) -> Result<u64> {
    let token = token();
    let mut settled = 0;
    for due in store.change(|db| open::<B>(db, due, (token, now)))? {
        settled += u64::from(Work::new(store, due, (token, now)).run()?);
    }
    Ok(settled)
}

/// Marks days, while commits are held off: those that nobody else works at.
fn open<B: Backend>(db: &dyn Sql, due: &[Due], (token, now): (i64, Millis)) -> Result<Vec<Due>> {
    B::hold_commits(db)?;
    let sql = format!(
        "INSERT INTO settled_days (env_id, day, state, token, at, events) VALUES ($1, $2, {OPEN}, $3, $4, 0) \
         ON CONFLICT (env_id, day) DO UPDATE SET state = {OPEN}, token = excluded.token, at = excluded.at \
         WHERE settled_days.state = {TOUCHED} OR (settled_days.state = {OPEN} AND settled_days.at NOT BETWEEN $5 AND $6)"
    );
    let mut mine = Vec::new();
    for day in due {
        let key = [day.environment.0, day.day, token, now.0, now.plus(1 - LOST).0, now.0];
        if db.run(&sql, &key.map(Cell::Int))? == 1 {
            mine.push(*day);
        }
    }
    Ok(mine)
}

/// One day in the making.
struct Work<'s, B> {
    store: &'s B,
    due: Due,
    token: i64,
    now: Millis,
    /// By name, and whether they tell of errors.
    open: BTreeMap<(i64, bool), Encoder>,
    /// Parts to be written, each with its place in the day.
    parts: Vec<(i64, bool, Label, Vec<u8>)>,
    count: i64,
    events: i64,
}

impl<'s, B: Backend> Work<'s, B> {
    fn new(store: &'s B, due: Due, (token, now): (i64, Millis)) -> Self {
        Self { store, due, token, now, open: BTreeMap::new(), parts: Vec::new(), count: 0, events: 0 }
    }

    /// Whether the day is settled then. It is not where something has come to it meanwhile.
    fn run(mut self) -> Result<bool> {
        let stretches = (self.due.events / STRETCH + 1).clamp(1, Bucket::PER_DAY);
        let begin = Millis(self.due.day * Millis::DAY);
        for stretch in 0..stretches {
            let edge = |stretch: i64| begin.plus(stretch * Millis::DAY / stretches);
            self.read(TimeRange { from: edge(stretch), to: edge(stretch + 1) })?;
            if self.open.values().map(Encoder::len).sum::<usize>() > HELD {
                self.finish();
            }
            let written = self.parts.iter().map(|(.., body)| body.len()).sum::<usize>() > WRITTEN;
            if written && !self.store.change(|db| Ok(self.stands(db)? && self.write(db)?))? {
                return Ok(false);
            }
            if written {
                self.parts.clear();
            }
        }
        self.finish();
        self.store.change(|db| self.close(db))
    }

    /// Reads a stretch of the day, sorts it and adds it to the parts.
    fn read(&mut self, range: TimeRange) -> Result<()> {
        let mut events: Vec<Glance> = Vec::new();
        self.store.look(|db| {
            scan_rows(db, self.due.environment, range, &mut |event| {
                events.push(*event);
                ControlFlow::Continue(())
            })
        })?;
        self.events += events.len() as i64;
        events.sort_unstable_by_key(|event| (event.name, event.error != 0, event.at));
        for event in events {
            let (day, key) = (self.due.day, (event.name, event.error != 0));
            let part = self.open.entry(key).or_insert_with(|| Encoder::new(day, event.name));
            part.add(&event);
            if part.is_full() {
                let full = std::mem::replace(part, Encoder::new(day, event.name));
                self.keep(key.1, full);
            }
        }
        Ok(())
    }

    /// Makes parts of all that is held.
    fn finish(&mut self) {
        for ((_, failed), part) in std::mem::take(&mut self.open) {
            if !part.is_empty() {
                self.keep(failed, part);
            }
        }
    }

    fn keep(&mut self, failed: bool, part: Encoder) {
        let (label, body) = part.finish();
        self.parts.push((self.count, failed, label, body));
        self.count += 1;
    }

    /// Whether nothing has come to the day since it was marked.
    fn stands(&self, db: &dyn Sql) -> Result<bool> {
        let sql =
            format!("SELECT 1 FROM settled_days WHERE env_id = $1 AND day = $2 AND state = {OPEN} AND token = $3");
        Ok(db.row(&sql, &self.key())?.is_some())
    }

    /// Writes the parts that are done. Nobody sees them before the day is settled.
    fn write(&self, db: &dyn Sql) -> Result<bool> {
        let sql = "INSERT INTO settled_events (env_id, day, name_id, failed, token, part, first_at, last_at, events, body) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        for (place, failed, label, body) in &self.parts {
            let numbers = [
                self.due.environment.0,
                label.day,
                label.name,
                i64::from(*failed),
                self.token,
                *place,
                label.first_at,
                label.last_at,
                label.events,
            ];
            let body = Cell::Bytes(body.clone());
            db.run(sql, &numbers.into_iter().map(Cell::Int).chain([body]).collect::<Vec<_>>())?;
        }
        Ok(true)
    }

    /// Lets the day hold, where its mark still stands: from here on a commit that adds to it waits for the end of this
    /// transaction.
    fn close(&self, db: &dyn Sql) -> Result<bool> {
        let sql = format!(
            "UPDATE settled_days SET state = {SETTLED}, at = $1, events = $2 \
             WHERE env_id = $3 AND day = $4 AND state = {OPEN} AND token = $5"
        );
        let key = self.key();
        let params: Vec<_> = [self.now.0, self.events].map(Cell::Int).into_iter().chain(key.clone()).collect();
        if db.run(&sql, &params)? == 0 {
            return Ok(false);
        }
        let sql = "DELETE FROM settled_events WHERE env_id = $1 AND day = $2 AND token <> $3";
        db.run(sql, &key)?;
        self.write(db)
    }

    fn key(&self) -> [Cell; 3] {
        [self.due.environment.0, self.due.day, self.token].map(Cell::Int)
    }
}
