//! What the properties of one event's occurrences hold.

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};

use super::super::Result;
use super::super::scan::{Beside, Of, Scope, Sieve, Value, members, scan_beside, scan_listed};
use super::super::settled;
use super::super::sql::Sql;
use super::numbers::Numbers;
use super::room::Room;
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
const APART: usize = 20_000;
/// Bytes that all of it may take.
const BYTES: usize = 16 << 20;
/// About what a property, a value, and a class of numbers take beside their texts.
const NAME: usize = 700;
const ENTRY: usize = 80;
const CLASS: usize = 24;
/// Bytes that are one thing to a [`Room`]: it gives a few megabytes to whoever asks.
const THING: usize = 40;

/// The properties of an event over a period, those that most of its occurrences have first.
pub(super) fn props(db: &dyn Sql, environment: EnvironmentId, ask: &PropsAsk) -> Result<Vec<PropSummary>> {
    let named = Filters::none().with(Dimension::Event, Keep::Is, Some(ask.event.as_str().into()));
    let sieve = Sieve::of(db, environment, &ask.filters)?.and(Sieve::of(db, environment, &named)?);
    let scope = Scope { environment, range: ask.period.range, sieve: &sieve };
    if scope.range.is_empty() || sieve.keeps_nothing() {
        return Ok(Vec::new());
    }
    let most = (ask.limit as usize).min(TOLD);
    if sieve.is_of(Of::Name)
        && let Some(found) = by_days(db, scope, most)?
    {
        return Ok(found);
    }
    let mut all = All::within(BYTES);
    scan_beside(db, scope, Beside::Props, &mut |event| {
        all.event(event.props());
        all.space.goes_on
    })?;
    all.space.room.check()?;
    Ok(all.finish(most).0)
}

/// The same from what settled days come to, and from the rows of all other events. None where there are no such days, and
/// where it matters in which order events come: then all rows have to be read in theirs.
fn by_days(db: &dyn Sql, scope: Scope<'_>, most: usize) -> Result<Option<Vec<PropSummary>>> {
    let mut all = All::within(BYTES);
    let told = settled::every(db, scope, &mut |name, value, events| {
        all.many(name, value, events);
        all.goes_on()
    })?;
    if let Some(told) = told {
        if told.rest == [scope.range] {
            return Ok(None);
        }
        let listed = scan_listed(db, scope, (&told.listed, Beside::Props), &mut |event| {
            if scope.sieve.passes(event) {
                all.event(event.props());
            }
            all.goes_on()
        })?;
        for range in told.rest.into_iter().take_while(|_| listed.is_continue()) {
            scan_beside(db, Scope { range, ..scope }, Beside::Props, &mut |event| {
                all.event(event.props());
                all.goes_on()
            })?;
        }
    }
    all.space.room.check()?;
    let (found, is_ordered) = all.finish(most);
    Ok((!is_ordered).then_some(found))
}

/// All properties that were met.
struct All {
    places: HashMap<Arc<str>, usize>,
    props: Vec<One>,
    /// The one that was met last.
    last: usize,
    /// The number of the event that is being read.
    event: u64,
    /// What it has null under, of names that no event before had anything under.
    nulls: HashSet<Box<str>>,
    is_full: bool,
    space: Space,
}

/// One property.
struct One {
    name: Arc<str>,
    /// The last event that had it.
    event: u64,
    events: i64,
    values: HashMap<Box<str>, Amount>,
    /// Whether there are more of these than are told apart.
    are_many: bool,
    others: i64,
    /// Those among the others.
    numbers: Numbers,
}

/// Events that have one value.
struct Amount {
    events: i64,
    /// Those that have it as a number, not as a text that says the same.
    numbers: i64,
}

/// Memory that is left.
struct Space {
    taken: usize,
    most: usize,
    /// Whether there was too little.
    is_used_up: bool,
    room: Room,
    goes_on: ControlFlow<()>,
}

impl Space {
    fn take(&mut self, bytes: usize) -> bool {
        let taken = self.taken + bytes;
        if taken <= self.most {
            self.goes_on = self.room.holds(taken / THING);
        }
        let has_room = taken <= self.most && self.goes_on.is_continue();
        if has_room {
            self.taken = taken;
        }
        self.is_used_up |= !has_room;
        has_room
    }
}

impl All {
    fn within(most: usize) -> Self {
        let (room, goes_on) = (Room::of(most / THING), ControlFlow::Continue(()));
        let space = Space { taken: 0, most, is_used_up: false, room, goes_on };
        let (places, props, nulls) = (HashMap::new(), Vec::new(), HashSet::new());
        Self { places, props, last: 0, event: 0, nulls, is_full: false, space }
    }

    /// Stops where what comes now would be counted otherwise if it had come before.
    fn goes_on(&self) -> ControlFlow<()> {
        if self.is_full || self.space.is_used_up { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Counts an event.
    fn event(&mut self, props: Option<&str>) {
        self.event += 1;
        self.nulls.clear();
        members(props.unwrap_or_default(), |name, value| {
            self.member(name, value.as_ref());
            ControlFlow::Continue(())
        });
    }

    fn member(&mut self, name: &str, value: Option<&Value<'_>>) {
        if name.len() > LONGEST_NAME {
            return;
        }
        // Of a name that stands there twice the first counts, whatever it holds.
        let Some(value) = value else {
            match self.places.get(name) {
                Some(place) => self.props[*place].event = self.event,
                None => _ = self.nulls.insert(name.into()),
            }
            return;
        };
        if self.nulls.contains(name) {
            return;
        }
        let Some(place) = self.place(name) else { return };
        let one = &mut self.props[place];
        if std::mem::replace(&mut one.event, self.event) != self.event {
            one.count(value, 1, &mut self.space);
        }
    }

    /// Counts so many events that have a value.
    fn many(&mut self, name: &str, value: &Value<'_>, events: i64) {
        if let Some(place) = self.place(name) {
            self.props[place].count(value, events, &mut self.space);
        }
    }

    /// The place of a property, which is made where there is room for it.
    fn place(&mut self, name: &str) -> Option<usize> {
        if self.props.get(self.last).is_some_and(|one| &*one.name == name) {
            return Some(self.last);
        }
        self.last = match self.places.get(name) {
            Some(place) => *place,
            None => self.add(name)?,
        };
        Some(self.last)
    }

    fn add(&mut self, name: &str) -> Option<usize> {
        if self.props.len() >= NAMES || !self.space.take(NAME + name.len()) {
            self.is_full = true;
            return None;
        }
        let (place, name) = (self.props.len(), Arc::<str>::from(name));
        self.places.insert(name.clone(), place);
        let (values, numbers) = (HashMap::new(), Numbers::default());
        self.props.push(One { name, event: 0, events: 0, values, are_many: false, others: 0, numbers });
        Some(place)
    }

    /// Those that most events have, and whether it made a difference in which order the events came.
    fn finish(mut self, most: usize) -> (Vec<PropSummary>, bool) {
        self.props.sort_unstable_by(|a, b| b.events.cmp(&a.events).then_with(|| a.name.cmp(&b.name)));
        self.props.truncate(most);
        let mut is_ordered = self.is_full || self.space.is_used_up;
        let summary = |one: One| {
            let (summary, is_chosen) = one.finish();
            is_ordered |= is_chosen;
            summary
        };
        (self.props.into_iter().map(summary).collect(), is_ordered)
    }
}

impl One {
    fn count(&mut self, value: &Value<'_>, events: i64, space: &mut Space) {
        self.events = self.events.saturating_add(events);
        let Some(text) = value.text() else { return };
        let numbers = if matches!(value, Value::Number(_)) { events } else { 0 };
        if let Some(own) = self.values.get_mut(text) {
            own.events = own.events.saturating_add(events);
            own.numbers = own.numbers.saturating_add(numbers);
            return;
        }
        if text.len() <= LONGEST {
            self.are_many |= self.values.len() >= APART;
            if !self.are_many && space.take(ENTRY + text.len()) {
                self.values.insert(text.into(), Amount { events, numbers });
                return;
            }
        }
        self.others = self.others.saturating_add(events);
        if numbers > 0 {
            let times = numbers.unsigned_abs();
            text.parse().into_iter().for_each(|number| self.numbers.add(number, times, || space.take(CLASS)));
        }
    }

    /// What it comes to, and whether its values are those that came first.
    fn finish(self) -> (PropSummary, bool) {
        let Self { name, events, mut values, are_many, mut others, mut numbers, .. } = self;
        for (text, amount) in values.iter().filter(|(_, amount)| amount.numbers > 0) {
            let (Ok(number), times) = (text.parse(), amount.numbers.unsigned_abs()) else { continue };
            if are_many { numbers.add(number, times, || true) } else { numbers.put(number, times) }
        }
        let different = values.len() as u64;
        let counted = i64::try_from(numbers.count()).unwrap_or(i64::MAX);
        let are_numbers = counted.saturating_mul(10) >= events.saturating_mul(9);
        let numbers = if are_numbers { numbers.finish() } else { None };
        let is_measured = are_many && numbers.is_some();
        if is_measured {
            // Single ones of so many say nothing, and which of them came first even less.
            others = values.drain().fold(others, |others, (_, amount)| others.saturating_add(amount.events));
        }
        let summary = PropSummary { name: (*name).into(), events, values: most_of(values), different, others, numbers };
        (summary, are_many && !is_measured)
    }
}

/// The values that most events have.
fn most_of(values: HashMap<Box<str>, Amount>) -> Vec<PropValue> {
    let mut values: Vec<_> = values.into_iter().map(|(value, amount)| (Reverse(amount.events), value)).collect();
    if values.len() > VALUES {
        values.select_nth_unstable(VALUES);
        values.truncate(VALUES);
    }
    values.sort_unstable();
    values.into_iter().map(|(Reverse(events), value)| PropValue { value: value.into(), events }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PropNumbers;

    /// What rows come to, and whether that goes by their order.
    fn summaries<'p>(events: impl IntoIterator<Item = &'p str>, bytes: usize) -> (Vec<PropSummary>, bool) {
        let mut all = All::within(bytes);
        events.into_iter().for_each(|props| all.event(Some(props)));
        all.finish(3)
    }

    #[test]
    fn properties_are_told_by_how_many_events_have_them() {
        let events = [
            r#"{"plan":"pro","n":1,"on":true,"rare":[1]}"#,
            r#"{"plan":"free","n":2,"on":null,"plan":"pro"}"#,
            r#"{"plan":"pro","n":2.5,"on":false}"#,
            r#"["plan"]"#,
            r#"{"on":null,"on":true,"new":null,"new":1}"#,
        ];
        let (found, is_ordered) = summaries(events, BYTES);
        let names: Vec<_> = found.iter().map(|one| (one.name.as_str(), one.events)).collect();
        assert_eq!(names, [("n", 3), ("plan", 3), ("on", 2)]);
        let value = |value: &str, events| PropValue { value: value.to_owned(), events };
        assert_eq!(found[1].values, [value("pro", 2), value("free", 1)]);
        assert_eq!((found[1].different, found[1].others, found[1].numbers, is_ordered), (2, 0, None, false));
        assert_eq!(found[0].numbers, Some(PropNumbers { min: 1.0, median: 2.0, p95: 2.5, max: 2.5, sum: 5.5 }));
    }

    #[test]
    fn what_there_is_no_room_for_counts_as_other() {
        let events = [r#"{"a":"123456789"}"#, r#"{"a":"987654321"}"#, r#"{"a":"123456789"}"#];
        let (found, is_ordered) = summaries(events, NAME + ENTRY + 10);
        assert_eq!((found[0].different, found[0].others, found[0].values[0].events, is_ordered), (1, 1, 2, true));
        let (found, is_ordered) = summaries([r#"{"a":1}"#, r#"{"b":1}"#], NAME + ENTRY + 10);
        assert_eq!((found.len(), is_ordered), (1, true));
        let events: Vec<_> = (0..=NAMES).map(|n| format!(r#"{{"p{n}":1}}"#)).collect();
        let first = |count: usize| summaries(events[..count].iter().map(String::as_str), BYTES).1;
        assert!(!first(NAMES) && first(NAMES + 1));
    }

    #[test]
    fn numbers_are_summed_up_where_most_values_are_numbers() {
        let mut events = vec![r#"{"n":1}"#; 9];
        events.push(r#"{"n":"x"}"#);
        assert!(summaries(events.iter().copied(), BYTES).0[0].numbers.is_some());
        events.push(r#"{"n":"x"}"#);
        assert!(summaries(events, BYTES).0[0].numbers.is_none());
    }

    #[test]
    fn many_events_of_a_value_are_as_good_as_each_of_them() {
        let events = [r#"{"n":1}"#, r#"{"n":"1"}"#, r#"{"n":1.0}"#, r#"{"n":1}"#, r#"{"n":{}}"#];
        let mut all = All::within(BYTES);
        for (value, events) in
            [(Value::Nested, 1), (Value::Text("1".into()), 1), (Value::Number("1.0"), 1), (Value::Number("1"), 2)]
        {
            all.many("n", &value, events);
        }
        assert_eq!(all.finish(3), summaries(events, BYTES));
    }

    #[test]
    fn of_too_many_values_those_count_that_came_first_and_of_too_many_numbers_none_do() {
        let event = |n: usize, text: bool| if text { format!(r#"{{"n":"{n}"}}"#) } else { format!(r#"{{"n":{n}}}"#) };
        let found = |numbers: Vec<usize>, is_text: fn(usize) -> bool| {
            let events: Vec<_> = numbers.into_iter().map(|n| event(n, is_text(n))).collect();
            let (found, is_ordered) = summaries(events.iter().map(String::as_str), BYTES);
            (found.into_iter().next().unwrap(), is_ordered)
        };
        let upwards = |count: usize| (0..count).collect::<Vec<_>>();
        let downwards = |count: usize| (0..count).rev().collect::<Vec<_>>();
        assert_eq!(found(upwards(APART), |_| true), found(downwards(APART), |_| true));
        let (texts, is_ordered) = found(upwards(APART + 5), |_| true);
        assert_eq!((texts.different, texts.others, texts.values.len(), is_ordered), (20_000, 5, 10, true));
        let is_text = |n: usize| n >= APART;
        let (numbers, is_ordered) = found(upwards(APART + 5), is_text);
        assert!(numbers.numbers.is_some() && numbers.values.is_empty() && !is_ordered);
        assert_eq!((numbers.different, numbers.others), (20_000, 20_005));
        assert_eq!(found(downwards(APART + 5), is_text), (numbers, false));
    }
}
