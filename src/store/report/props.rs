//! What the properties of one event's occurrences hold.

use std::cmp::Reverse;
use std::ops::ControlFlow;

use hashbrown::HashMap;

use super::super::Result;
use super::super::scan::{Beside, Scope, Sieve, Value, members, scan_beside};
use super::super::sql::Sql;
use super::numbers::Numbers;
use super::values::LONGEST;
use crate::model::{Dimension, EnvironmentId, Filters, Keep, PropSummary, PropValue, PropsAsk};

/// Properties that are told of at the most.
const TOLD: usize = 50;
/// Properties that are counted at the most, the first ones to be met.
const NAMES: usize = 1_000;
/// Longest name that is counted, in bytes.
const LONGEST_NAME: usize = 200;
/// Values that are told of each at the most.
const VALUES: usize = 10;
/// Different values of each that are told apart at the most.
const APART: usize = 2_000;
/// Bytes of all values that are told apart, at the most.
const TEXTS: usize = 16 << 20;
/// Numbers that are kept of all properties together, at the most.
const NUMBERS: usize = 2_000_000;

/// The properties of an event over a period, those that most of its occurrences have first.
pub(super) fn props(db: &dyn Sql, environment: EnvironmentId, ask: &PropsAsk) -> Result<Vec<PropSummary>> {
    let named = Filters::none().with(Dimension::Event, Keep::Is, Some(ask.event.as_str().into()));
    let sieve = Sieve::of(db, environment, &ask.filters)?.and(Sieve::of(db, environment, &named)?);
    let mut all = All { names: HashMap::new(), event: 0, texts: TEXTS, numbers: NUMBERS };
    let scope = Scope { environment, range: ask.period.range, sieve: &sieve };
    scan_beside(db, scope, Beside::Props, &mut |event| {
        if let Some(props) = event.props() {
            all.event(props);
        }
        ControlFlow::Continue(())
    })?;
    Ok(all.finish((ask.limit as usize).min(TOLD)))
}

/// All properties that were met.
struct All {
    names: HashMap<Box<str>, One>,
    /// The number of the event that is being read.
    event: u64,
    /// Bytes that are left for values.
    texts: usize,
    /// Numbers that can still be kept.
    numbers: usize,
}

/// One property.
#[derive(Default)]
struct One {
    /// The last event that had it.
    event: u64,
    events: i64,
    values: HashMap<Box<str>, i64>,
    others: i64,
    numbers: Numbers,
}

impl All {
    fn event(&mut self, props: &str) {
        self.event += 1;
        members(props, |name, value| {
            if let Some(value) = value {
                self.member(name, &value);
            }
            ControlFlow::Continue(())
        });
    }

    fn member(&mut self, name: &str, value: &Value<'_>) {
        let is_full = self.names.len() >= NAMES || name.len() > LONGEST_NAME;
        let one = match self.names.get_mut(name) {
            Some(one) => one,
            None if is_full => return,
            None => self.names.entry(name.into()).or_default(),
        };
        // Of a name that stands there twice the first counts.
        if one.event == self.event {
            return;
        }
        one.event = self.event;
        one.events += 1;
        if let Value::Number(text) = value {
            text.parse().into_iter().for_each(|number| one.numbers.add(number, &mut self.numbers));
        }
        let Some(text) = value.text() else { return };
        if let Some(events) = one.values.get_mut(text) {
            *events += 1;
        } else if one.values.len() < APART && text.len() <= LONGEST.min(self.texts) {
            self.texts -= text.len();
            one.values.insert(text.into(), 1);
        } else {
            one.others += 1;
        }
    }

    fn finish(self, most: usize) -> Vec<PropSummary> {
        let mut names: Vec<_> = self.names.into_iter().collect();
        names.sort_unstable_by(|(a, ours), (b, theirs)| theirs.events.cmp(&ours.events).then_with(|| a.cmp(b)));
        names.truncate(most);
        names.into_iter().map(|(name, one)| one.finish(name.into())).collect()
    }
}

impl One {
    fn finish(self, name: String) -> PropSummary {
        let different = self.values.len() as u64;
        let mut values: Vec<_> = self.values.into_iter().map(|(value, events)| (Reverse(events), value)).collect();
        values.sort_unstable();
        values.truncate(VALUES);
        let values = values.into_iter().map(|(Reverse(events), value)| PropValue { value: value.into(), events });
        let numbers = i64::try_from(self.numbers.count()).unwrap_or(i64::MAX);
        let is_number = numbers.saturating_mul(10) >= self.events.saturating_mul(9);
        PropSummary {
            name,
            events: self.events,
            values: values.collect(),
            different,
            others: self.others,
            numbers: if is_number { self.numbers.finish() } else { None },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PropNumbers;

    fn summaries(events: &[&str], texts: usize) -> Vec<PropSummary> {
        let mut all = All { names: HashMap::new(), event: 0, texts, numbers: 1_000 };
        events.iter().for_each(|props| all.event(props));
        all.finish(3)
    }

    #[test]
    fn properties_are_told_by_how_many_events_have_them() {
        let events = [
            r#"{"plan":"pro","n":1,"on":true,"rare":[1]}"#,
            r#"{"plan":"free","n":2,"on":null,"plan":"pro"}"#,
            r#"{"plan":"pro","n":2.5,"on":false}"#,
            r#"["plan"]"#,
        ];
        let found = summaries(&events, 100);
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.events)).collect();
        assert_eq!(names, [("n", 3), ("plan", 3), ("on", 2)]);
        let value = |value: &str, events| PropValue { value: value.to_owned(), events };
        assert_eq!(found[1].values, [value("pro", 2), value("free", 1)]);
        assert_eq!((found[1].different, found[1].others, found[1].numbers), (2, 0, None));
        assert_eq!(found[0].numbers, Some(PropNumbers { min: 1.0, median: 2.0, p95: 2.5, max: 2.5, sum: 5.5 }));
    }

    #[test]
    fn what_there_is_no_room_for_counts_as_other() {
        let found = summaries(&[r#"{"a":"123456789"}"#, r#"{"a":"987654321"}"#, r#"{"a":"123456789"}"#], 10);
        assert_eq!((found[0].different, found[0].others, found[0].values[0].events), (1, 1, 2));
    }

    #[test]
    fn numbers_are_summed_up_where_most_values_are_numbers() {
        let mut events = vec![r#"{"n":1}"#; 9];
        events.push(r#"{"n":"x"}"#);
        assert!(summaries(&events, 100)[0].numbers.is_some());
        events.push(r#"{"n":"x"}"#);
        assert!(summaries(&events, 100)[0].numbers.is_none());
    }
}
