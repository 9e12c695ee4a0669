//! One day of events in the making.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::super::backend::Backend;
use super::super::scan::{Glance, scan_unlisted};
use super::super::sql::{Cell, Sql};
use super::columns::{Part, Written};
use super::days::{Due, stretches};
use super::dimensions::facts_of;
use super::lexicon::{Code, Lexicon};
use super::totals::{self, Totals};
use super::{COMPLETE, HOLDS, MAKING, PARTIAL, Result, late};
use crate::model::{Millis, TimeRange};

/// So many bytes of parts are written at once.
const WRITTEN: usize = 1 << 20;
/// So many bytes of unfinished parts are held.
const HELD: usize = 8 << 20;
/// So many values of properties are held of a stretch at the most: where there are more, the day has no columns.
const CODES: usize = 2_000_000;

/// One day in the making.
pub(super) struct Work<'s, B> {
    store: &'s B,
    due: Due,
    token: i64,
    now: Millis,
    /// By name, and whether they tell of errors.
    open: BTreeMap<(i64, bool), Part>,
    /// About the bytes of these.
    held: usize,
    lexicon: Lexicon,
    totals: Totals,
    /// Parts to be written, each with its place in the day, and whether they tell of errors.
    parts: Vec<(i64, bool, Written)>,
    /// The bytes of these.
    waiting: usize,
    count: i64,
    events: i64,
}

/// An event of a stretch, and where in the list of codes its own stand.
type Read = (Glance, u32, u8);

impl<'s, B: Backend> Work<'s, B> {
    pub(super) fn new(store: &'s B, due: Due, (token, now): (i64, Millis)) -> Self {
        Self {
            store,
            due,
            token,
            now,
            open: BTreeMap::new(),
            held: 0,
            lexicon: Lexicon::default(),
            totals: Totals::default(),
            parts: Vec::new(),
            waiting: 0,
            count: 0,
            events: 0,
        }
    }

    /// Whether the day is settled then. It is not where something has happened to it meanwhile that is not listed.
    pub(super) fn run(mut self) -> Result<bool> {
        for stretch in stretches(self.due.day, self.due.events) {
            let (events, codes) = self.read(stretch)?;
            if !self.add(events, &codes)? {
                return Ok(false);
            }
        }
        self.finish();
        self.lexicon.narrow();
        let totals = std::mem::take(&mut self.totals);
        let sets = self.store.look(|db| facts_of(db, &totals.sets()))?;
        let totals = totals.finish(self.due.day, (&self.lexicon, &sets));
        self.store.change(|db| self.close(db, &totals))
    }

    /// The events of a stretch of the day, sorted, and what they have of properties.
    fn read(&mut self, range: TimeRange) -> Result<(Vec<Read>, Vec<Code>)> {
        let (mut events, mut codes): (Vec<Read>, Vec<Code>) = (Vec::new(), Vec::new());
        let Self { store, due, token, lexicon, .. } = self;
        store.look(|db| {
            // What has come since this work began is listed, and seen in the same moment.
            scan_unlisted(db, (due.environment, range), (due.day, Some(*token)), &mut |event| {
                if codes.len() > CODES {
                    lexicon.leave_all_out();
                    codes = Vec::new();
                }
                let first = codes.len();
                lexicon.note(event.props(), &mut codes);
                // There are far fewer of both than these numbers hold.
                let place = u32::try_from(first).unwrap_or(u32::MAX);
                events.push((event.glance, place, u8::try_from(codes.len() - first).unwrap_or(u8::MAX)));
                ControlFlow::Continue(())
            })
        })?;
        events.sort_unstable_by_key(|(event, ..)| (event.name, event.error != 0, event.at));
        Ok((events, codes))
    }

    /// Adds events to the parts, and writes those that are full; whether the day still stands.
    fn add(&mut self, events: Vec<Read>, codes: &[Code]) -> Result<bool> {
        self.events += events.len() as i64;
        for (event, first, count) in events {
            let (day, key) = (self.due.day, (event.name, event.error != 0));
            let own = codes.get(first as usize..).and_then(|codes| codes.get(..usize::from(count))).unwrap_or_default();
            self.totals.add(&event, own, &self.lexicon);
            let part = self.open.entry(key).or_insert_with(|| Part::new(day, event.name));
            let before = part.len();
            part.add(&event, own, &self.lexicon);
            self.held += part.len() - before;
            if part.is_full() {
                let full = self.open.remove(&key);
                full.into_iter().for_each(|part| self.keep(key.1, part));
            }
            if self.held > HELD {
                self.finish();
            }
            if self.waiting > WRITTEN {
                if !self.store.change(|db| Ok(self.stands(db)? && self.write(db)?))? {
                    return Ok(false);
                }
                self.parts.clear();
                self.waiting = 0;
            }
        }
        Ok(true)
    }

    /// Makes parts of all that is held.
    fn finish(&mut self) {
        for ((_, failed), part) in std::mem::take(&mut self.open) {
            self.keep(failed, part);
        }
    }

    fn keep(&mut self, failed: bool, part: Part) {
        self.held = self.held.saturating_sub(part.len());
        let part = part.finish(&mut self.lexicon);
        self.waiting += part.body.len() + part.columns.iter().map(|(_, body)| body.len()).sum::<usize>();
        self.parts.push((self.count, failed, part));
        self.count += 1;
    }

    /// Whether the mark still stands.
    fn stands(&self, db: &dyn Sql) -> Result<bool> {
        let sql = format!("SELECT 1 FROM settled_days WHERE {}", is_mine(1));
        Ok(db.row(&sql, &self.mark())?.is_some())
    }

    /// Writes the parts that are done. Nobody sees them before the day is settled.
    fn write(&self, db: &dyn Sql) -> Result<bool> {
        let sql = "INSERT INTO settled_events (env_id, day, name_id, failed, token, part, first_at, last_at, events, body) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        for (place, failed, Written { label, body, columns }) in &self.parts {
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
            for (prop, body) in columns.iter().filter(|(prop, _)| self.lexicon.is_kept(*prop)) {
                self.column(db, self.lexicon.name(*prop), *place, body)?;
            }
        }
        Ok(true)
    }

    fn column(&self, db: &dyn Sql, prop: &str, part: i64, body: &[u8]) -> Result<()> {
        let sql = "INSERT INTO settled_columns (env_id, day, token, prop, part, body) VALUES ($1, $2, $3, $4, $5, $6)";
        let own = [prop.into(), part.into(), body.into()];
        db.run(sql, &self.key().into_iter().chain(own).collect::<Vec<Cell>>())?;
        Ok(())
    }

    /// Lets the day hold, where its mark still stands: from here on a commit that adds to it waits for the end of this
    /// transaction.
    fn close(&self, db: &dyn Sql, totals: &[totals::Written<'_>]) -> Result<bool> {
        let sql = format!("UPDATE settled_days SET token = $1, work = 0, at = $2, events = $3 WHERE {}", is_mine(4));
        let params = [self.token, self.now.0, self.events].map(Cell::Int).into_iter().chain(self.mark());
        if db.run(&sql, &params.collect::<Vec<_>>())? == 0 {
            return Ok(false);
        }
        late::narrow(db, self.due.environment, self.due.day, self.token)?;
        let key = self.key();
        for table in ["settled_events", "settled_columns"] {
            let sql = format!("DELETE FROM {table} WHERE env_id = $1 AND day = $2 AND token <> $3");
            db.run(&sql, &key)?;
        }
        for prop in self.lexicon.left_out() {
            let sql = "DELETE FROM settled_columns WHERE env_id = $1 AND day = $2 AND token = $3 AND prop = $4";
            db.run(sql, &key.iter().cloned().chain([prop.into()]).collect::<Vec<_>>())?;
        }
        if self.events > 0 {
            self.column(db, "", if self.lexicon.lacks() { PARTIAL } else { COMPLETE }, &[])?;
        }
        for (prop, place, body) in totals {
            self.column(db, prop, *place, body)?;
        }
        self.write(db)
    }

    fn key(&self) -> [Cell; 3] {
        [self.due.environment.0, self.due.day, self.token].map(Cell::Int)
    }

    /// What [`is_mine`] asks for.
    fn mark(&self) -> [Cell; 4] {
        [self.due.environment.0, self.due.day, self.token, self.due.owner].map(Cell::Int)
    }
}

/// A condition on a day, with its parameters from a number on. An older version that settles the day in between changes
/// whose it is, but not whose work is under way.
fn is_mine(first: usize) -> String {
    let (day, work, owner) = (first + 1, first + 2, first + 3);
    format!(
        "env_id = ${first} AND day = ${day} AND work = ${work} AND token = ${owner} \
         AND (state = {MAKING} OR state {HOLDS})"
    )
}
