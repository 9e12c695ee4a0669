//! What is settled of a day, held against its rows.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::ops::ControlFlow;

use super::super::backend::Backend;
use super::super::scan::{
    Beside, Glance, Key, Of, Passing, Scope, Sieve, Value, members, scan_rows_beside, scan_unlisted,
};
use super::super::sql::{Cell, Sql};
use super::amounts::{self, Amount, Place};
use super::days::stretches;
use super::dimensions::{self, ByNumber, facts_of};
use super::people::People;
use super::told::{Bodies, Has, Tell, Valued, everybody, values};
use super::{AMOUNTS, COMPLETE, DIMENSIONS, HOLDS, KEYS, PEOPLE, Result, StoreError, TOLD, lengths, parts, show};
use crate::model::{EnvironmentId, Fact, TimeRange};

/// Whether nothing that is settled of a UTC day differs from what its rows say.
pub(in crate::store) fn holds<B: Backend>(store: &B, environment: EnvironmentId, day: i64) -> Result<bool> {
    let sql = "SELECT events FROM settled_days WHERE env_id = $1 AND day = $2";
    let events = store.look(|db| db.value(sql, &[environment.0, day].map(Cell::Int)))?.int();
    for range in stretches(day, events) {
        if !store.study(|db| holds_within(db, environment, (day, range)))? {
            return Ok(false);
        }
    }
    Ok(totals_hold(store, environment, (day, events))?
        && dimensions_hold(store, environment, (day, events))?
        && store.study(|db| lengths::hold(db, environment, day))?)
}

/// Whether what a day comes to by the values of each property is what its parts say, or its rows where it is in no column.
fn totals_hold<B: Backend>(store: &B, environment: EnvironmentId, (day, events): (i64, i64)) -> Result<bool> {
    let Some(owner) = store.look(|db| token(db, environment, day))? else { return Ok(true) };
    let place = (environment, day, owner);
    let sql = "SELECT DISTINCT prop, CASE WHEN part = $1 THEN 1 ELSE 0 END FROM settled_columns \
               WHERE env_id = $2 AND day = $3 AND token = $4 AND (part IN ($5, $6) OR (part = $1 AND length(body) > 0))";
    let params = [TOLD, environment.0, day, owner, AMOUNTS, PEOPLE].map(Cell::Int);
    for row in store.look(|db| db.rows(sql, &params))? {
        let (key, is_nameless) = (Key::of(&row.text(0).into()), row.int(1) == 1);
        // Without a name all events are meant, but for what is told of the property that has none.
        let keys = if key.name().is_empty() && !is_nameless { &[][..] } else { &[&key][..] };
        let counted = match counted(store, place, (events, keys))? {
            Found::Counted(counted) => counted,
            Found::Damaged => return Ok(false),
            Found::Another => return Ok(true),
        };
        let is_right = store.look(|db| match is_nameless {
            true => is_nameless_told(db, place, &counted),
            false => is_told(db, place, &key, &counted),
        })?;
        if !is_right {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether what a day comes to by each dimension is what its parts say.
fn dimensions_hold<B: Backend>(store: &B, environment: EnvironmentId, (day, events): (i64, i64)) -> Result<bool> {
    let Some(owner) = store.look(|db| token(db, environment, day))? else { return Ok(true) };
    let all = [Of::Name, Of::Error].into_iter().chain(Fact::ALL.map(Of::Fact));
    let mut counted: Vec<_> = all.map(|of| (of, ByNumber::new())).collect();
    for range in stretches(day, events) {
        let scope = Scope { environment, range, sieve: &Sieve::default() };
        let seen = store.study(|db| {
            let mut seen: Vec<Glance> = Vec::new();
            parts(db, scope, &[], &mut |event| {
                seen.push(event.glance);
                ControlFlow::Continue(())
            })?;
            Ok(seen)
        });
        let seen = match seen {
            Ok(seen) => seen,
            Err(StoreError::Corrupt(_)) => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut sets: Vec<_> = seen.iter().map(|event| event.facts).collect();
        sets.sort_unstable();
        sets.dedup();
        let sets = store.look(|db| facts_of(db, &sets))?;
        for (of, values) in &mut counted {
            for event in &seen {
                values.entry(dimensions::number(*of, event, &sets)).or_default().add(event);
            }
        }
    }
    store.look(|db| {
        if token(db, environment, day)? != Some(owner) {
            return Ok(true); // it was settled anew, or holds no longer
        }
        let place = (environment, day, owner);
        let all = body(db, place, ("", PEOPLE))?.map(|body| everybody(day, &body));
        for (of, values) in &counted {
            let Some(body) = body(db, place, (dimensions::name(*of), DIMENSIONS))? else { continue };
            let Some(Ok(all)) = &all else { return Ok(false) };
            let told = dimensions::decode((day, *of), &body, (Some(all), &|_| true));
            let is_same = told.is_ok_and(|told| dimensions::are_same(told, values));
            if !is_same {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// What came of counting a day.
enum Found {
    Counted(Counted),
    Damaged,
    /// It was settled anew, or holds no longer.
    Another,
}

/// What the settled events of a day come to, stretch by stretch.
fn counted<B: Backend>(
    store: &B,
    (environment, day, owner): (EnvironmentId, i64, i64),
    (events, keys): (i64, &[&Key]),
) -> Result<Found> {
    let mut counted = Counted::new();
    for range in stretches(day, events) {
        let found = store.study(|db| match token(db, environment, day)? == Some(owner) {
            true => by_value(db, (environment, day, range), keys).map(Some),
            false => Ok(None),
        })?;
        match found {
            Some(Some(found)) => join(&mut counted, found),
            Some(None) => return Ok(Found::Damaged),
            None => return Ok(Found::Another),
        }
    }
    Ok(Found::Counted(counted))
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

/// What the settled events of a range of a day come to by the first of these, if any, without those that are listed; none
/// where they are damaged.
fn by_value(
    db: &dyn Sql,
    (environment, day, range): (EnvironmentId, i64, TimeRange),
    keys: &[&Key],
) -> Result<Option<Counted>> {
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

/// Whether that is what was written of the property without a name.
fn is_nameless_told(db: &dyn Sql, place: (EnvironmentId, i64, i64), counted: &Counted) -> Result<bool> {
    let body = body(db, place, ("", TOLD))?.unwrap_or_default();
    let mut told: BTreeMap<(&str, i64), Amount> = BTreeMap::new();
    let read = amounts::decode(&Place { day: place.1, prop: "", part: TOLD }, &body, &mut |_, text, name, amount| {
        told.entry((text, name)).or_default().join(amount);
        Ok(())
    });
    let values = counted.iter().filter_map(|(value, (names, _))| Some((value.as_deref()?, names)));
    let own = values.flat_map(|(value, names)| names.iter().map(move |(name, amount)| ((value, *name), *amount)));
    Ok(read.is_ok() && told == own.collect())
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
    match &valued.has {
        Has::Value(value) => value.as_ref().map(Value::marked),
        Has::Number(_) => None,
    }
}

/// The same of a stretch of the day.
fn holds_within(db: &dyn Sql, environment: EnvironmentId, (day, range): (i64, TimeRange)) -> Result<bool> {
    let Some(token) = token(db, environment, day)? else { return Ok(true) };
    let sql = "SELECT DISTINCT prop, part, CASE WHEN part < 0 THEN length(body) ELSE 0 END FROM settled_columns \
               WHERE env_id = $1 AND day = $2 AND token = $3";
    let columns = db.rows(sql, &[environment.0, day, token].map(Cell::Int))?;
    let is_complete = columns.iter().any(|row| row.int(1) == COMPLETE);
    let mut names: Vec<_> = columns.iter().filter(|row| row.int(1) >= 0).map(|row| row.text(0)).collect();
    names.sort_unstable();
    names.dedup();
    let keys: Vec<_> = names.into_iter().map(|name| Key::of(&name.into())).collect();
    let keys: Vec<_> = keys.iter().collect();
    let place = (environment, day, range);
    let mut is_same = !is_complete || has_no_others(db, place, &keys)?;
    if let Some(mark) = columns.iter().find(|row| row.int(1) == TOLD).filter(|_| is_same) {
        // Of the property without a name is told in the mark itself.
        let is_told = |name: &str| !name.is_empty() || mark.int(2) > 0;
        let told = columns.iter().filter(|row| row.int(1) == AMOUNTS).map(|row| row.text(0));
        let told: Vec<_> = told.filter(|name| is_told(name)).map(|name| Key::of(&name.into())).collect();
        is_same = has_no_others(db, place, &told.iter().collect::<Vec<_>>())?;
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

/// Whether no event of a range of a day has a property beside these, but for those that are listed.
fn has_no_others(
    db: &dyn Sql,
    (environment, day, range): (EnvironmentId, i64, TimeRange),
    keys: &[&Key],
) -> Result<bool> {
    let mut has_none = true;
    scan_unlisted(db, (environment, range), (day, None), &mut |event| {
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
