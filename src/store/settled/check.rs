//! What is settled of a day, held against its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::ControlFlow;

use super::super::backend::Backend;
use super::super::scan::{Beside, Key, Passing, Scope, Sieve, Value, members, scan_rows_beside, scan_unlisted};
use super::super::sql::{Cell, Sql};
use super::amounts::Amount;
use super::days::stretches;
use super::people::People;
use super::told::{Bodies, Tell, Valued, values};
use super::{AMOUNTS, COMPLETE, HOLDS, KEYS, PEOPLE, Result, StoreError, TOLD, lengths, parts, show};
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
    Ok(totals_hold(store, environment, (day, events))? && store.study(|db| lengths::hold(db, environment, day))?)
}

/// Whether what a day comes to by the values of each property is what its parts say, or its rows where it is in no column.
fn totals_hold<B: Backend>(store: &B, environment: EnvironmentId, (day, events): (i64, i64)) -> Result<bool> {
    let Some(owner) = store.look(|db| token(db, environment, day))? else { return Ok(true) };
    let sql =
        "SELECT DISTINCT prop FROM settled_columns WHERE env_id = $1 AND day = $2 AND token = $3 AND part IN ($4, $5)";
    let params = [environment.0, day, owner, AMOUNTS, PEOPLE].map(Cell::Int);
    for prop in store.look(|db| db.rows(sql, &params))? {
        let key = Key::of(&prop.text(0).into());
        let mut counted = Counted::new();
        for range in stretches(day, events) {
            let found = store.study(|db| match token(db, environment, day)? == Some(owner) {
                true => by_value(db, (environment, day, range), &key).map(Some),
                false => Ok(None), // it was settled anew, or holds no longer
            })?;
            match found {
                Some(Some(found)) => join(&mut counted, found),
                Some(None) => return Ok(false),
                None => return Ok(true),
            }
        }
        if !store.look(|db| is_told(db, (environment, day, owner), &key, &counted))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// How many events of each name have each value, and whose those of a value are.
type Counted = BTreeMap<Option<String>, (BTreeMap<i64, Amount>, People)>;

fn join(all: &mut Counted, some: Counted) {
    for (value, (names, people)) in some {
        let own = all.entry(value).or_default();
        own.1.join(&people);
        names.into_iter().for_each(|(name, amount)| own.0.entry(name).or_default().join(amount));
    }
}

/// What the settled events of a range of a day come to, without those that are listed; none where they are damaged. A key
/// without a name stands for no property.
fn by_value(
    db: &dyn Sql,
    (environment, day, range): (EnvironmentId, i64, TimeRange),
    key: &Key,
) -> Result<Option<Counted>> {
    let keys = if key.name().is_empty() { &[][..] } else { &[key][..] };
    let mut found = Counted::new();
    let mut count = |event: &Passing<'_>| {
        let value = keys.first().and_then(|key| event.prop(key)).map(|value| value.marked());
        let own = found.entry(value).or_default();
        own.0.entry(event.glance.name).or_default().add(&event.glance);
        own.1.add(&event.glance);
        ControlFlow::Continue(())
    };
    let scope = Scope { environment, range, sieve: &Sieve::default() };
    match parts(db, scope, keys, &mut count) {
        Ok(told) => {
            for range in told.map(|told| told.rest).unwrap_or_default() {
                scan_unlisted(db, (environment, range), (day, None), &mut count)?;
            }
            Ok(Some(found))
        }
        Err(StoreError::Corrupt(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether that is what was written of a day.
fn is_told(db: &dyn Sql, place: (EnvironmentId, i64, i64), key: &Key, counted: &Counted) -> Result<bool> {
    let day = place.1;
    let (all, people) = (body(db, place, ("", AMOUNTS))?.unwrap_or_default(), body(db, place, ("", PEOPLE))?);
    let (own, whose) = match key.name() {
        "" => (Vec::new(), people.clone()),
        name => (body(db, place, (name, AMOUNTS))?.unwrap_or_default(), body(db, place, (name, PEOPLE))?),
    };
    let tell = if people.is_some() && whose.is_some() { Tell::People } else { Tell::Amounts };
    let (people, whose) = (people.unwrap_or_default(), whose.unwrap_or_default());
    let bodies = Bodies { day, prop: key.name(), all: [&all, &people], own: [&own, &whose] };
    let Ok(told) = values(&bodies, tell, &|_| true) else { return Ok(false) };
    let has_all = told.iter().filter(|valued| valued.amount.events > 0).count() == counted.len();
    let has_same = |valued: &Valued<'_>| match (counted.get(&marked(valued)), &valued.whose) {
        (Some((_, people)), Some(whose)) => whose == people,
        (Some(_), None) => true,
        (None, _) => valued.amount == Amount::default(),
    };
    let names: BTreeSet<i64> = counted.values().flat_map(|(names, _)| names.keys().copied()).collect();
    Ok(has_all && told.iter().all(has_same) && names.iter().all(|name| are_as_many(&bodies, *name, counted)))
}

/// What stands beside the columns of a property, where it does.
fn body(
    db: &dyn Sql,
    (environment, day, owner): (EnvironmentId, i64, i64),
    (prop, part): (&str, i64),
) -> Result<Option<Vec<u8>>> {
    let sql =
        "SELECT body FROM settled_columns WHERE env_id = $1 AND day = $2 AND token = $3 AND prop = $4 AND part = $5";
    let key = [environment.0.into(), day.into(), owner.into(), prop.into(), part.into()];
    Ok(db.row(sql, &key)?.map(|row| row.bytes(0).to_vec()))
}

/// Whether as many events of a name have each value as was written.
fn are_as_many(bodies: &Bodies<'_>, name: i64, counted: &Counted) -> bool {
    let amount = |value: &Option<String>| counted.get(value).and_then(|(names, _)| names.get(&name)).copied();
    values(bodies, Tell::Amounts, &|own| own == name)
        .is_ok_and(|told| told.iter().all(|valued| valued.amount == amount(&marked(valued)).unwrap_or_default()))
}

fn marked(valued: &Valued<'_>) -> Option<String> {
    valued.value.as_ref().map(Value::marked)
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
    if is_same && columns.iter().any(|row| row.int(1) == TOLD) {
        let told = columns.iter().filter(|row| row.int(1) == AMOUNTS).map(|row| Key::of(&row.text(0).into()));
        is_same = has_no_others(db, (environment, range), &told.collect::<Vec<_>>().iter().collect::<Vec<_>>())?;
    }
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
