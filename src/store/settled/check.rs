//! What is settled of a day, held against its rows.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::ControlFlow;

use super::super::backend::Backend;
use super::super::scan::{Beside, Key, Passing, Scope, Sieve, members, scan_rows_beside};
use super::super::sql::{Cell, Sql};
use super::days::stretches;
use super::{COMPLETE, HOLDS, KEYS, Result, StoreError, show};
use crate::model::{EnvironmentId, TimeRange};

/// Whether nothing that is settled of a UTC day differs from what its rows say.
pub(in crate::store) fn holds<B: Backend>(store: &B, environment: EnvironmentId, day: i64) -> Result<bool> {
    let sql = "SELECT events FROM settled_days WHERE env_id = $1 AND day = $2";
    let events = store.look(|db| db.value(sql, &[environment.0, day].map(Cell::Int)))?.int();
    for range in stretches(day, events) {
        if !store.study(|db| holds_within(db, environment, (day, range)))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The same of a stretch of the day.
fn holds_within(db: &dyn Sql, environment: EnvironmentId, (day, range): (i64, TimeRange)) -> Result<bool> {
    let Some(token) = token(db, environment, day)? else { return Ok(true) };
    let sql = "SELECT DISTINCT prop, part FROM settled_columns WHERE env_id = $1 AND day = $2 AND token = $3";
    let columns = db.rows(sql, &[environment.0, day, token].map(Cell::Int))?;
    let is_complete = columns.iter().any(|row| row.int(1) == COMPLETE);
    let mut names: Vec<_> = columns.iter().filter(|row| row.int(1) >= 0).map(|row| row.text(0)).collect();
    names.sort_unstable();
    names.dedup();
    let keys: Vec<_> = names.into_iter().map(|name| Key::of(&name.into())).collect();
    let keys: Vec<_> = keys.iter().collect();
    let mut is_same = !is_complete || has_no_others(db, (environment, range), &keys)?;
    let mut some = keys.chunks(KEYS);
    // Without any column the events themselves are looked at.
    let mut next = some.next().or(Some(&[]));
    while let Some(keys) = next.filter(|_| is_same) {
        is_same = are_same(db, (environment, range), keys)?;
        next = some.next();
    }
    Ok(is_same)
}

/// Whose work a day is, where it holds.
fn token(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<Option<i64>> {
    let sql = format!("SELECT token FROM settled_days WHERE env_id = $1 AND day = $2 AND state {HOLDS}");
    Ok(db.value(&sql, &[environment.0, day].map(Cell::Int))?.some_int())
}

/// Whether no event has a property beside these.
fn has_no_others(db: &dyn Sql, (environment, range): (EnvironmentId, TimeRange), keys: &[&Key]) -> Result<bool> {
    let mut has_none = true;
    scan_rows_beside(db, (environment, range), Beside::Props, &mut |event| {
        members(event.props().unwrap_or_default(), |name, _| {
            let is_known = keys.iter().any(|key| key.name() == name);
            has_none &= is_known || Key::of(&name.into()).find(event.props()).is_none();
            ControlFlow::Continue(())
        });
        if has_none { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    Ok(has_none)
}

/// Whether settled events are those of the rows, with the same under each key, in whatever order.
fn are_same(db: &dyn Sql, (environment, range): (EnvironmentId, TimeRange), keys: &[&Key]) -> Result<bool> {
    let (mut settled, mut rows) = (Sum::default(), Sum::default());
    let scope = Scope { environment, range, sieve: &Sieve::default() };
    let shown = show(db, scope, keys, &mut |event| {
        settled.add(event, keys);
        ControlFlow::Continue(())
    });
    match shown {
        Ok(rest) if rest.is_empty() => {}
        Ok(_) | Err(StoreError::Corrupt(_)) => return Ok(false),
        Err(error) => return Err(error),
    }
    scan_rows_beside(db, (environment, range), Beside::Props, &mut |event| {
        rows.add(event, keys);
        ControlFlow::Continue(())
    })?;
    Ok(settled == rows)
}

/// Of events in any order.
#[derive(Default, PartialEq, Eq)]
struct Sum {
    events: u64,
    sum: u64,
}

impl Sum {
    fn add(&mut self, event: &Passing<'_>, keys: &[&Key]) {
        let mut hasher = DefaultHasher::new();
        let glance = &event.glance;
        [glance.at.0, glance.name, glance.facts, glance.user, glance.session, glance.error].hash(&mut hasher);
        glance.fatal.hash(&mut hasher);
        for key in keys {
            event.prop(key).map(|value| value.marked()).hash(&mut hasher);
        }
        self.events += 1;
        self.sum = self.sum.wrapping_add(hasher.finish());
    }
}
