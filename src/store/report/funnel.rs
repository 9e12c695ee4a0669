//! How many users take some steps in order: a walk over the raw events, stretch by stretch of time.

use std::ops::ControlFlow;

use hashbrown::HashMap;

use super::super::scan::{Scope, Sieve, scan_beside};
use super::super::sql::Sql;
use super::super::{Result, StoreError};
use super::breakdown::text;
use super::values::{Shown, Values};
use super::walk::{Deed, Walk};
use super::{named, number};
use crate::model::{
    Dimension, EnvironmentId, Filters, Funnel, FunnelAsk, FunnelRow, FunnelStep, Millis, Reached, TimeRange,
};

/// Most events that are held at once, some 8 MB with what it takes to sort them; a stretch of time with more is halved.
const MOST_DEEDS: usize = 125_000;

/// Walks along the steps.
pub(super) fn funnel(db: &dyn Sql, environment: EnvironmentId, ask: &FunnelAsk) -> Result<Funnel> {
    if !ask.fits() {
        return Err(StoreError::Unexpected("a funnel beyond its bounds".to_owned()));
    }
    let looks = looks(db, environment, ask)?;
    let mut values = Values::of(db, environment, ask.by.as_ref().unwrap_or(&Dimension::Total))?;
    let mut walk = Walk::new(ask);
    let end = ask.period.range.to.plus(ask.window + 1);
    let (mut from, mut length) = (ask.period.range.from, Millis::DAY);
    while from < end && !walk.is_over(from) {
        let to = from.plus(length).min(end);
        let deeds = stretch(db, (environment, TimeRange { from, to }), &looks, &mut values, &mut walk)?;
        length = if deeds < MOST_DEEDS / 4 { length * 2 } else { (length / 2).max(Millis::HOUR) };
        from = to;
    }
    close(db, ask, walk, values)
}

/// Steps that are found by the same look at the events.
struct Look {
    sieve: Sieve,
    /// The number of the name of each step's event, and the step's bit.
    steps: Vec<(i64, u8)>,
}

/// The steps, together where they have the same conditions: mostly it takes one look.
fn looks(db: &dyn Sql, environment: EnvironmentId, ask: &FunnelAsk) -> Result<Vec<Look>> {
    let mut groups: Vec<(&Filters, Vec<(&FunnelStep, u8)>)> = Vec::new();
    for (step, place) in ask.steps.iter().zip(0..) {
        match groups.iter_mut().find(|(filters, _)| **filters == step.filters) {
            Some((_, steps)) => steps.push((step, 1 << place)),
            None => groups.push((&step.filters, vec![(step, 1 << place)])),
        }
    }
    let mut looks = Vec::new();
    for (filters, steps) in groups {
        let mut numbers = Vec::new();
        for (step, bit) in &steps {
            numbers.extend(number(db, environment, &step.event)?.map(|number| (number, *bit)));
        }
        let names: Vec<_> = steps.iter().map(|(step, _)| step.event.clone()).collect();
        let sieve = named(db, environment, &ask.filters, &names)?.and(Sieve::of(db, environment, filters)?);
        looks.push(Look { sieve, steps: numbers });
    }
    Ok(looks)
}

/// Walks through a stretch of time; through its halves one after the other where there is too much in it at once. How
/// many deeds there were.
fn stretch(
    db: &dyn Sql,
    (environment, range): (EnvironmentId, TimeRange),
    looks: &[Look],
    values: &mut Values,
    walk: &mut Walk,
) -> Result<usize> {
    let mut deeds = Vec::new();
    for look in looks {
        let scope = Scope { environment, range, sieve: &look.sieve };
        scan_beside(db, scope, values.beside(), &mut |event| {
            let glance = &event.glance;
            let own = look.steps.iter().filter(|(name, _)| *name == glance.name);
            let steps = own.fold(0, |steps, (_, bit)| steps | bit);
            if steps != 0 && glance.user != 0 {
                let value = if steps & 1 == 1 { values.of_event(event) } else { 0 };
                deeds.push(Deed { user: glance.user, at: glance.at, name: glance.name, value, steps });
            }
            if deeds.len() > MOST_DEEDS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    let count = deeds.len();
    if count <= MOST_DEEDS {
        walk.go(&mut deeds)?;
        return Ok(count);
    }
    drop(deeds);
    if range.len() <= Millis::SECOND {
        return Err(StoreError::TooMuch);
    }
    let middle = range.from.plus(range.len() / 2);
    let before = stretch(db, (environment, TimeRange { to: middle, ..range }), looks, values, walk)?;
    Ok(before + stretch(db, (environment, TimeRange { from: middle, ..range }), looks, values, walk)?)
}

fn close(db: &dyn Sql, ask: &FunnelAsk, mut walk: Walk, values: Values) -> Result<Funnel> {
    let steps = ask.steps.len();
    let mut by_value: HashMap<u32, Vec<i64>> = HashMap::new();
    for furthest in walk.furthest() {
        let users = by_value.entry(furthest.value).or_insert_with(|| vec![0; steps]);
        users[..furthest.steps].iter_mut().for_each(|users| *users += 1);
    }
    let medians = [None].into_iter().chain(walk.medians());
    let reached = (0..steps).map(|step| by_value.values().map(|users| users[step]).sum());
    let steps = reached.zip(medians).map(|(users, median)| Reached { users, median }).collect();
    if ask.by.is_none() {
        return Ok(Funnel { steps, ..Funnel::default() });
    }
    let mut rows: Vec<_> = by_value.into_iter().collect();
    rows.sort_unstable_by_key(|(value, users)| (std::cmp::Reverse(users[0]), *value));
    let others = rows.split_off(rows.len().min(FunnelAsk::VALUES));
    let count = others.len() as u64;
    let others = others.into_iter().map(|(_, users)| users).reduce(|mut all, users| {
        all.iter_mut().zip(users).for_each(|(all, users)| *all += users);
        all
    });
    let shown = values.into_shown();
    let of = |value: u32| shown.get(value as usize).cloned().unwrap_or(Shown::Text(None));
    let row = |(value, users)| Ok(FunnelRow { value: text(db, of(value))?, users });
    Ok(Funnel {
        steps,
        values: rows.into_iter().map(row).collect::<Result<_>>()?,
        others: others.map(|users| (count, users)),
    })
}
