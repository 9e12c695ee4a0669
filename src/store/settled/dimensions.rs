//! What the events of a day come to by name, error and facts: how many have each value, and whose they are.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::super::scan::{Glance, Of};
use super::super::sql::{Cell, Sql};
use super::amounts::{Amount, Place};
use super::coding::{Damaged, put};
use super::people::{People, skip_of};
use super::{DIMENSIONS, Result};
use crate::model::Fact;

/// Most sets of facts, and most groups of errors, of a day that are told apart.
const MOST: usize = 50_000;
/// Sets of facts that are read together.
const CHUNK: usize = 500;

/// Some events of a day, and whose they are.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Own {
    pub(super) amount: Amount,
    pub(super) people: People,
}

/// The values of a dimension by their interned numbers; 0 is that of events that do not say.
pub(super) type ByNumber = BTreeMap<i64, Own>;

/// The facts of some sets of them.
pub(super) type Sets = HashMap<i64, [i64; Fact::COUNT]>;

/// A day in the making.
#[derive(Default)]
pub(super) struct Dimensions {
    /// By sets of facts.
    facts: HashMap<i64, Own>,
    errors: HashMap<i64, Own>,
    /// Whether nothing is told apart any more: there is too much.
    is_over: bool,
}

impl Own {
    /// Counts an event; how many more users there are then.
    pub(super) fn add(&mut self, event: &Glance) -> usize {
        self.amount.add(event);
        self.people.add(event)
    }

    pub(super) fn join(&mut self, others: &Self) {
        self.amount.join(others.amount);
        self.people.join(&others.people);
    }
}

impl Dimensions {
    /// Counts an event; how many more users are held then.
    pub(super) fn add(&mut self, event: &Glance) -> usize {
        if self.is_over {
            return 0;
        }
        let more = self.facts.entry(event.facts).or_default().add(event);
        let more = more + self.errors.entry(event.error).or_default().add(event);
        if self.facts.len() > MOST || self.errors.len() > MOST {
            self.forget();
        }
        more
    }

    /// Tells nothing apart from here on.
    pub(super) fn forget(&mut self) {
        *self = Self { is_over: true, ..Self::default() };
    }

    /// The sets of facts that any event has.
    pub(super) fn sets(&self) -> Vec<i64> {
        self.facts.keys().copied().collect()
    }

    /// What stands beside the columns: the names of dimensions, and what the day comes to by each. Whoever has done anything
    /// is in `all`.
    pub(super) fn finish(
        self,
        day: i64,
        names: ByNumber,
        (sets, all): (&Sets, &People),
    ) -> Vec<(&'static str, Vec<u8>)> {
        if self.is_over || names.is_empty() {
            return Vec::new();
        }
        let row = |of: Of<'_>, values: &ByNumber| (name(of), encode(&place(day, of), values, all));
        let mut rows = vec![row(Of::Name, &names), row(Of::Error, &self.errors.into_iter().collect())];
        for fact in Fact::ALL {
            let mut values = ByNumber::new();
            for (set, own) in &self.facts {
                values.entry(sets.get(set).map_or(0, |facts| facts[fact as usize])).or_default().join(own);
            }
            rows.push(row(Of::Fact(fact), &values));
        }
        rows
    }
}

/// Under which name it stands there.
pub(super) fn name(of: Of<'_>) -> &'static str {
    match of {
        Of::Name => "event",
        Of::Error => "error",
        Of::Fact(fact) => fact.name(),
        Of::Prop(_) => "",
    }
}

/// What an event has of a dimension, where the facts of its set are among these.
pub(super) fn number(of: Of<'_>, event: &Glance, sets: &Sets) -> i64 {
    match of {
        Of::Name => event.name,
        Of::Error => event.error,
        Of::Fact(fact) => sets.get(&event.facts).map_or(0, |facts| facts[fact as usize]),
        Of::Prop(_) => 0,
    }
}

/// Whether values that were read are these.
pub(super) fn are_same(told: Vec<(i64, Amount, Option<People>)>, values: &ByNumber) -> bool {
    let is_same = |(number, amount, people): (i64, Amount, Option<People>)| {
        values.get(&number).is_some_and(|own| own.amount == amount && people.as_ref() == Some(&own.people))
    };
    told.len() == values.len() && told.into_iter().all(is_same)
}

fn place(day: i64, of: Of<'_>) -> Place<'static> {
    Place { day, prop: name(of), part: DIMENSIONS }
}

/// The facts of these sets.
pub(super) fn facts_of(db: &dyn Sql, sets: &[i64]) -> Result<Sets> {
    let columns: String = Fact::ALL.map(|fact| [", ", fact.name()].concat()).concat();
    let marks: Vec<_> = (1..=CHUNK).map(|number| format!("${number}")).collect();
    let sql = format!("SELECT id{columns} FROM facts WHERE id IN ({})", marks.join(", "));
    let mut found = Sets::new();
    for chunk in sets.chunks(CHUNK) {
        // The last ones are asked for together with the first, so that all chunks share a statement.
        let ids: Vec<_> =
            chunk.iter().chain(std::iter::repeat(&chunk[0])).take(CHUNK).copied().map(Cell::Int).collect();
        for row in db.rows(&sql, &ids)? {
            found.insert(row.int(0), std::array::from_fn(|at| row.int(at + 1)));
        }
    }
    Ok(found)
}

/// A body: the amounts of all values, and behind them whose each is.
fn encode(place: &Place<'_>, values: &ByNumber, all: &People) -> Vec<u8> {
    let mut body = Place::begin();
    put(&mut body, values.len() as i64);
    let mut last = 0;
    for (number, Own { amount, .. }) in values {
        put(&mut body, number.wrapping_sub(last));
        amount.put(&mut body);
        last = *number;
    }
    values.values().for_each(|own| own.people.put_of(all, &mut body));
    place.seal(body)
}

/// What stands in a body of numbers that are kept, in their order; users only where everybody of the day is known.
pub(super) fn decode(
    (day, of): (i64, Of<'_>),
    body: &[u8],
    (all, keeps): (Option<&People>, &dyn Fn(i64) -> bool),
) -> std::result::Result<Vec<(i64, Amount, Option<People>)>, Damaged> {
    let mut bytes = place(day, of).open(body)?;
    let mut values = Vec::new();
    let mut number = 0_i64;
    for _ in 0..bytes.take()? {
        number = number.wrapping_add(bytes.take()?);
        values.push((number, Amount::take(&mut bytes)?, None));
    }
    if let Some(all) = all {
        for (number, _, people) in &mut values {
            match keeps(*number) {
                true => *people = Some(People::take_of(all, &mut bytes)?),
                false => skip_of(&mut bytes)?,
            }
        }
        if !bytes.is_empty() {
            return Err(Damaged);
        }
    }
    values.retain(|(number, ..)| keeps(*number));
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;

    const DAY: i64 = 20_000;

    fn event(n: i64) -> Glance {
        let at = Millis(DAY * Millis::DAY + n);
        let (error, fatal) = (i64::from(n % 5 == 0) * (1 << 33), n % 10 == 0);
        Glance { at, name: 1 + n % 3, facts: 1 + n % 7, user: n * 7_919 % 400, session: 0, error, fatal }
    }

    fn sets() -> Sets {
        (1..=7).map(|set| (set, std::array::from_fn(|at| set % (1 + at as i64)))).collect()
    }

    fn counted(count: i64, number: impl Fn(&Glance) -> i64) -> (ByNumber, People) {
        let (mut values, mut all) = (ByNumber::new(), People::default());
        for event in (0..count).map(event) {
            values.entry(number(&event)).or_default().add(&event);
            all.add(&event);
        }
        (values, all)
    }

    #[test]
    fn a_day_comes_by_every_dimension_to_what_its_events_do() {
        for count in [1, 7, 100, 3_000] {
            let mut dimensions = Dimensions::default();
            (0..count).map(event).for_each(|event| _ = dimensions.add(&event));
            let (names, all) = counted(count, |event| event.name);
            let rows = dimensions.finish(DAY, names, (&sets(), &all));
            let check = |of: Of<'_>, number: &dyn Fn(&Glance) -> i64| {
                let body = &rows.iter().find(|(own, _)| *own == name(of)).unwrap().1;
                let told = decode((DAY, of), body, (Some(&all), &|_| true)).unwrap();
                let told = told.into_iter().map(|(n, amount, people)| (n, Own { amount, people: people.unwrap() }));
                let (told, expected) = (told.collect::<ByNumber>(), counted(count, number).0);
                assert_eq!(told, expected, "{} of {count}", name(of));
                for kept in expected.keys() {
                    let one = decode((DAY, of), body, (Some(&all), &|number| number == *kept)).unwrap();
                    assert!(one.len() == 1 && one[0].2.as_ref() == Some(&expected[kept].people));
                }
                assert!(
                    decode((DAY, of), body, (None, &|_| true)).unwrap().iter().all(|(.., people)| people.is_none())
                );
            };
            check(Of::Name, &|event| event.name);
            check(Of::Error, &|event| event.error);
            for fact in Fact::ALL {
                check(Of::Fact(fact), &|event| sets()[&event.facts][fact as usize]);
            }
        }
    }

    #[test]
    fn whatever_bit_is_wrong_is_found() {
        let (names, all) = counted(40, |event| event.name);
        let body = encode(&place(DAY, Of::Name), &names, &all);
        for place in 0..body.len() {
            let mut damaged = body.clone();
            damaged[place] ^= 1;
            assert_eq!(decode((DAY, Of::Name), &damaged, (Some(&all), &|_| true)), Err(Damaged), "byte {place}");
            assert_eq!(
                decode((DAY, Of::Name), &body[..place], (Some(&all), &|_| true)),
                Err(Damaged),
                "cut to {place}"
            );
        }
        assert_eq!(decode((DAY, Of::Error), &body, (Some(&all), &|_| true)), Err(Damaged));
        assert_eq!(decode((DAY + 1, Of::Name), &body, (Some(&all), &|_| true)), Err(Damaged));
    }

    #[test]
    fn too_many_sets_of_facts_are_not_told_apart() {
        let mut dimensions = Dimensions::default();
        for facts in 0..=MOST as i64 {
            dimensions.add(&Glance { facts, ..event(3) });
        }
        assert_eq!(dimensions.add(&event(3)), 0);
        assert!(dimensions.sets().is_empty());
        assert!(dimensions.finish(DAY, ByNumber::new(), (&sets(), &People::default())).is_empty());
    }
}
