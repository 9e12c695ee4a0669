//! The values of a dimension, numbered as events show them.

use std::hash::BuildHasher as _;

use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

use super::super::Result;
use super::super::scan::{Beside, Key, Passing, Value, fact_sets};
use super::super::settled::{Has, Sessions};
use super::super::sql::Sql;
use super::days::Seen;
use crate::model::{Dimension, EnvironmentId, OTHER};

/// Different values of an app's own property that are told apart; later ones count as [`OTHER`].
const MOST: usize = 20_000;
/// Bytes of these together, at the most.
const TEXTS: usize = 2 << 20;

/// Longest value of an app's own property that counts by itself, in bytes; others count as [`OTHER`].
pub(super) const LONGEST: usize = 500;

/// Numbers values in the order in which they come.
pub(super) struct Values {
    by: By,
    numbers: HashMap<i64, u32>,
    /// The numbers of texts, by these.
    texts: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// How many texts there are beside the one that stands for many, and their bytes.
    count: usize,
    bytes: usize,
    are_too_many: bool,
    found: Vec<Shown>,
}

/// A value, as it is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shown {
    /// The number of an interned text, 0 for not reported.
    Number(i64),
    /// A text; `None` for not reported.
    Text(Option<String>),
}

/// Where an event has its value.
enum By {
    Total,
    Name,
    Error,
    /// The value of each set of facts.
    Facts(HashMap<i64, i64>),
    Prop(Key),
}

impl Values {
    pub(super) fn of(db: &dyn Sql, environment: EnvironmentId, dimension: &Dimension) -> Result<Self> {
        let by = match dimension {
            Dimension::Total => By::Total,
            Dimension::Event => By::Name,
            Dimension::Error => By::Error,
            Dimension::Prop(name) => By::Prop(Key::of(name)),
            Dimension::Fact(fact) => {
                let mut sets = HashMap::new();
                fact_sets(db, environment, &[*fact], &mut |set, values| {
                    sets.insert(set, values[0]);
                })?;
                By::Facts(sets)
            }
        };
        Ok(Self::by(by))
    }

    fn by(by: By) -> Self {
        let (numbers, texts, hasher) = (HashMap::new(), HashTable::new(), DefaultHashBuilder::default());
        Self { by, numbers, texts, hasher, count: 0, bytes: 0, are_too_many: false, found: Vec::new() }
    }

    /// Whether some count as [`OTHER`] because they came too late, so that it matters which came first.
    pub(super) fn are_too_many(&self) -> bool {
        self.are_too_many
    }

    /// What has to be read of the events, where the order in which values come matters.
    pub(super) fn beside(&self) -> Beside<'static> {
        match self.by {
            By::Prop(_) => Beside::Props,
            By::Total | By::Name | By::Error | By::Facts(_) => Beside::Nothing,
        }
    }

    /// The number of an event's value.
    pub(super) fn of_event(&mut self, event: &Passing<'_>) -> u32 {
        match &self.by {
            By::Total => self.number(0),
            By::Name => self.number(event.glance.name),
            By::Error => self.number(event.glance.error),
            By::Facts(_) => self.of_facts(event.glance.facts),
            By::Prop(key) => {
                let value = event.prop(key);
                self.of_value(value.as_ref())
            }
        }
    }

    /// The number of the value that was seen.
    pub(super) fn of_seen(&mut self, seen: &Seen<'_, '_>) -> u32 {
        match seen {
            Seen::One(event) => self.of_event(event),
            Seen::Many(_, many) => match &many.has {
                Has::Number(number) => self.number(*number),
                Has::Value(value) => self.of_value(value.as_ref()),
            },
        }
    }

    /// The number of a property's value; `None` is that of events without it.
    fn of_value(&mut self, value: Option<&Value<'_>>) -> u32 {
        self.text(value.map(told))
    }

    /// The number of the value that sessions have; that of not reported where the dimension is no fact.
    pub(super) fn of_sessions(&mut self, sessions: Sessions<'_>) -> u32 {
        match (&self.by, sessions) {
            (By::Facts(_), Sessions::Many(value, _)) => self.number(value),
            (_, Sessions::Alike(set, ..)) => self.of_facts(set),
            _ => self.number(0),
        }
    }

    fn of_facts(&mut self, set: i64) -> u32 {
        let value = match &self.by {
            By::Facts(sets) => sets.get(&set).copied().unwrap_or(0),
            By::Total | By::Name | By::Error | By::Prop(_) => 0,
        };
        self.number(value)
    }

    /// The values, in the order of their numbers.
    pub(super) fn into_shown(self) -> Vec<Shown> {
        self.found
    }

    fn number(&mut self, value: i64) -> u32 {
        *self.numbers.entry(value).or_insert_with(|| place(&mut self.found, Shown::Number(value)))
    }

    fn text(&mut self, value: Option<&str>) -> u32 {
        let Some(text) = value else {
            return *self.numbers.entry(0).or_insert_with(|| place(&mut self.found, Shown::Text(None)));
        };
        if let Some(known) = self.known(text) {
            return known;
        }
        let is_late = text != OTHER && (self.count >= MOST || self.bytes + text.len() > TEXTS);
        self.are_too_many |= is_late;
        if text == OTHER || is_late {
            return self.known(OTHER).unwrap_or_else(|| self.add(OTHER));
        }
        (self.count, self.bytes) = (self.count + 1, self.bytes + text.len());
        self.add(text)
    }

    fn known(&self, text: &str) -> Option<u32> {
        let is_it = |number: &u32| text_of(&self.found, *number) == Some(text);
        self.texts.find(self.hasher.hash_one(text), is_it).copied()
    }

    fn add(&mut self, text: &str) -> u32 {
        let number = place(&mut self.found, Shown::Text(Some(text.to_owned())));
        let Self { texts, hasher, found, .. } = self;
        let hash = |number: &u32| hasher.hash_one(text_of(found, *number).unwrap_or_default());
        texts.insert_unique(hasher.hash_one(text), number, hash);
        number
    }
}

fn text_of(found: &[Shown], number: u32) -> Option<&str> {
    match &found[number as usize] {
        Shown::Text(text) => text.as_deref(),
        Shown::Number(_) => None,
    }
}

fn place(found: &mut Vec<Shown>, value: Shown) -> u32 {
    found.push(value);
    u32::try_from(found.len() - 1).expect("names, facts, errors and properties are capped far below")
}

/// The text that a value is counted under.
fn told<'v>(value: &'v Value<'_>) -> &'v str {
    value.text().filter(|text| text.len() <= LONGEST).unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_property_beyond_the_cap_share_one_number() {
        let mut values = Values::by(By::Prop(Key::of(&"p".into())));
        assert_eq!(values.text(None), 0);
        for number in 0..MOST {
            assert_eq!(values.text(Some(&number.to_string())) as usize, number + 1);
        }
        assert!(!values.are_too_many());
        let other = values.text(Some("one more"));
        assert!(values.are_too_many());
        assert_eq!((values.text(Some("another")), values.text(Some(OTHER))), (other, other));
        assert_eq!(values.text(Some("7")), 8);
        assert_eq!(values.into_shown().last(), Some(&Shown::Text(Some(OTHER.to_owned()))));
    }

    #[test]
    fn long_values_of_a_property_are_fewer() {
        let mut values = Values::by(By::Prop(Key::of(&"p".into())));
        let long = |number: usize| format!("{number:0width$}", width = LONGEST);
        let most = TEXTS / LONGEST;
        let other = values.text(Some(OTHER));
        assert!((0..most).all(|number| values.text(Some(&long(number))) != other) && !values.are_too_many());
        assert_eq!(values.text(Some(&long(most))), other);
        assert!(values.are_too_many());
    }

    #[test]
    fn values_that_cannot_be_listed_count_as_other() {
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(told(&Value::Nested), OTHER);
        assert_eq!(told(&Value::Text(long.as_str().into())), OTHER);
        assert_eq!(told(&Value::Number("1e3")), "1e3");
    }
}
