//! How many users take some steps in order: a walk over the raw events, day by day.

use std::ops::ControlFlow;

use hashbrown::HashMap;

use super::super::scan::{Beside, Key, Passing, Scope, Sieve, fact_sets, scan_beside};
use super::super::sql::Sql;
use super::super::{Result, StoreError};
use super::breakdown::text;
use super::values::Shown;
use super::walk::{Deed, TooMany, Walk};
use super::{named, number};
use crate::model::{
    Dimension, EnvironmentId, Filters, Funnel, FunnelAsk, FunnelRow, FunnelStep, Millis, Reached, TimeRange,
};

/// Most events that are held at once; a stretch of time with more is halved.
const MOST_DEEDS: usize = 500_000;

/// Most values of a property that are told apart; what comes after them counts with the others.
const MOST_VALUES: usize = 10_000;

/// The value of all that come after [`MOST_VALUES`].
const BEYOND: i64 = i64::MAX;

/// Walks along the steps.
pub(super) fn funnel(db: &dyn Sql, environment: EnvironmentId, ask: &FunnelAsk) -> Result<Funnel> {
    if !ask.fits() {
        return Err(StoreError::Unexpected("a funnel beyond its bounds".to_owned()));
    }
    let looks = looks(db, environment, ask)?;
    let mut values = Values::of(db, environment, ask.by.as_ref())?;
    let mut walk = Walk::new(ask);
    let end = ask.period.range.to.plus(ask.window + 1);
    let mut from = ask.period.range.from;
    while from < end && !walk.is_over(from) {
        let to = from.plus(Millis::DAY).min(end);
        stretch(db, (environment, TimeRange { from, to }), &looks, &mut values, &mut walk)?;
        from = to;
    }
    close(db, ask, walk, &values)
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

/// Walks through a stretch of time; through its halves one after the other where there is too much in it at once.
fn stretch(
    db: &dyn Sql,
    (environment, range): (EnvironmentId, TimeRange),
    looks: &[Look],
    values: &mut Values,
    walk: &mut Walk,
) -> Result<()> {
    let mut deeds = Vec::new();
    for look in looks {
        let scope = Scope { environment, range, sieve: &look.sieve };
        scan_beside(db, scope, values.beside(), &mut |event| {
            let glance = &event.glance;
            let own = look.steps.iter().filter(|(name, _)| *name == glance.name);
            let steps = own.fold(0, |steps, (_, bit)| steps | bit);
            if steps != 0 && glance.user != 0 {
                let value = if steps & 1 == 1 { values.find(event) } else { 0 };
                deeds.push(Deed { user: glance.user, at: glance.at, name: glance.name, value, steps });
            }
            if deeds.len() > MOST_DEEDS { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
    }
    if deeds.len() <= MOST_DEEDS {
        return walk.go(&mut deeds).map_err(|TooMany| StoreError::TooMuch);
    }
    drop(deeds);
    if range.len() <= Millis::SECOND {
        return Err(StoreError::TooMuch);
    }
    let middle = range.from.plus(range.len() / 2);
    stretch(db, (environment, TimeRange { to: middle, ..range }), looks, values, walk)?;
    stretch(db, (environment, TimeRange { from: middle, ..range }), looks, values, walk)
}

fn close(db: &dyn Sql, ask: &FunnelAsk, mut walk: Walk, values: &Values) -> Result<Funnel> {
    let steps = ask.steps.len();
    let mut by_value: HashMap<i64, Vec<i64>> = HashMap::new();
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
    let beyond = by_value.remove(&BEYOND);
    let mut rows: Vec<_> = by_value.into_iter().collect();
    rows.sort_unstable_by_key(|(value, users)| (std::cmp::Reverse(users[0]), *value));
    let others = rows.split_off(rows.len().min(FunnelAsk::VALUES));
    let count = others.len() as u64 + u64::from(beyond.is_some());
    let others = others.into_iter().map(|(_, users)| users).chain(beyond).reduce(|mut all, users| {
        all.iter_mut().zip(users).for_each(|(all, users)| *all += users);
        all
    });
    let row = |(value, users)| Ok(FunnelRow { value: values.text(db, value)?, users });
    Ok(Funnel {
        steps,
        values: rows.into_iter().map(row).collect::<Result<_>>()?,
        others: others.map(|users| (count, users)),
    })
}

/// What users are told apart by.
enum Values {
    /// Nothing.
    One,
    Name,
    Error,
    /// The interned value of each set of facts.
    Facts(HashMap<i64, i64>),
    /// Texts, numbered from 1 as they came.
    Prop(Key, HashMap<String, i64>),
}

impl Values {
    fn of(db: &dyn Sql, environment: EnvironmentId, by: Option<&Dimension>) -> Result<Self> {
        Ok(match by {
            None | Some(Dimension::Total) => Self::One,
            Some(Dimension::Event) => Self::Name,
            Some(Dimension::Error) => Self::Error,
            Some(Dimension::Fact(fact)) => {
                let mut sets = HashMap::new();
                fact_sets(db, environment, &[*fact], &mut |set, values| {
                    sets.insert(set, values.first().copied().unwrap_or_default());
                })?;
                Self::Facts(sets)
            }
            Some(Dimension::Prop(name)) => Self::Prop(Key::of(name), HashMap::new()),
        })
    }

    fn beside(&self) -> Beside {
        match self {
            Self::One | Self::Name | Self::Error | Self::Facts(_) => Beside::Nothing,
            Self::Prop(..) => Beside::Props,
        }
    }

    fn find(&mut self, event: &Passing<'_>) -> i64 {
        match self {
            Self::One => 0,
            Self::Name => event.glance.name,
            Self::Error => event.glance.error,
            Self::Facts(sets) => sets.get(&event.glance.facts).copied().unwrap_or_default(),
            Self::Prop(key, known) => {
                let found = key.find(event.props());
                let Some(text) = found.as_ref().and_then(|value| value.text()) else { return 0 };
                match known.get(text) {
                    Some(number) => *number,
                    None if known.len() >= MOST_VALUES => BEYOND,
                    None => {
                        let number = known.len() as i64 + 1;
                        known.insert(text.to_owned(), number);
                        number
                    }
                }
            }
        }
    }

    fn text(&self, db: &dyn Sql, value: i64) -> Result<Option<String>> {
        match self {
            Self::Prop(_, known) => {
                Ok(known.iter().find(|(_, number)| **number == value).map(|(text, _)| text.clone()))
            }
            Self::One | Self::Name | Self::Error | Self::Facts(_) => text(db, Shown::Number(value)),
        }
    }
}
