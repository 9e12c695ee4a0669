//! What the events of a day come to by the values of their properties, in the making: how many of each name, and whose.

use hashbrown::HashMap;

use super::super::scan::Glance;
use super::amounts::{Amount, ByName, Place, encode};
use super::dimensions::{ByNumber, Dimensions, Own, Sets};
use super::lexicon::{Code, Lexicon};
use super::people::People;
use super::{AMOUNTS, DIMENSIONS, PEOPLE, TOLD};

/// Bytes that a row takes beside its body, with its place in the index.
const ROW: usize = 80;
/// Bytes of rows that an event of a day may take, and those that any day may: about a twentieth of what its row does.
const SHARE: usize = 8;
const ANY: usize = 4 << 10;
/// Most amounts of a day that are held, each of a name and a value.
const HELD: usize = 100_000;
/// Most users of a day that are held, in all sets together.
const MEMBERS: usize = 2_000_000;

/// What a day comes to.
#[derive(Default)]
pub(super) struct Totals {
    names: HashMap<i64, Named>,
    dimensions: Dimensions,
    /// By their numbers.
    props: Vec<Prop>,
    /// Amounts of all properties.
    held: usize,
    /// Users of all names and properties.
    members: usize,
    /// Whether users are no longer told apart: there are too many.
    is_crowd: bool,
}

/// Events of one name.
#[derive(Default)]
struct Named {
    own: Own,
    /// A bit for each property that any of them has.
    props: u64,
}

/// One property.
#[derive(Default)]
struct Prop {
    /// By their numbers.
    values: Vec<Valued>,
    /// Whose are events without it, of names that have it.
    lacking: People,
    held: usize,
    members: usize,
    tells: Tells,
}

/// One value.
#[derive(Default)]
struct Valued {
    names: ByName,
    people: People,
}

/// What is told of a property.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Tells {
    #[default]
    People,
    Amounts,
    Nothing,
}

/// A row as it is written: its property, what stands in place of a part, and its body.
pub(super) type Written<'l> = (&'l str, i64, Vec<u8>);

impl Totals {
    /// Counts an event with what it has of properties.
    pub(super) fn add(&mut self, event: &Glance, codes: &[Code], lexicon: &Lexicon) {
        let Self { names, props, held, members, is_crowd, dimensions } = self;
        let named = names.entry(event.name).or_default();
        named.own.amount.add(event);
        let mut has = 0;
        for (number, value) in codes.iter().filter(|(number, _)| lexicon.is_told(*number)) {
            let bit = 1_u64 << number;
            has |= bit;
            let prop = place(props, usize::from(*number));
            if prop.tells == Tells::Nothing {
                continue;
            }
            let own = place(&mut prop.values, usize::from(*value));
            let before = own.names.len();
            own.amount(event.name).add(event);
            let more = own.names.len() - before;
            (prop.held, *held) = (prop.held + more, *held + more);
            if prop.tells == Tells::People && !*is_crowd {
                let mut more = own.people.add(event);
                // All events of the name so far had none.
                if named.props & bit == 0 {
                    more += prop.lacking.join(&named.own.people);
                }
                (prop.members, *members) = (prop.members + more, *members + more);
            }
        }
        for number in ones(named.props & !has) {
            let prop = place(props, number);
            if prop.tells == Tells::People && !*is_crowd {
                let more = prop.lacking.add(event);
                (prop.members, *members) = (prop.members + more, *members + more);
            }
        }
        named.props |= has;
        if !*is_crowd {
            *members += named.own.people.add(event) + dimensions.add(event);
        }
        if self.held > HELD || self.members > MEMBERS {
            self.thin();
        }
    }

    /// Forgets what takes most room, until the rest fits.
    fn thin(&mut self) {
        while self.held > HELD {
            let Some(prop) = self.props.iter_mut().max_by_key(|prop| prop.held) else { return };
            self.held -= std::mem::take(&mut prop.held);
            self.members -= prop.forget(Tells::Nothing);
        }
        while self.members > MEMBERS {
            match self.props.iter_mut().filter(|prop| prop.members > 0).max_by_key(|prop| prop.members) {
                Some(prop) => self.members -= prop.forget(Tells::Amounts),
                None => {
                    self.names.values_mut().for_each(|named| named.own.people = People::default());
                    self.dimensions.forget();
                    self.props.iter_mut().for_each(|prop| _ = prop.forget(Tells::Amounts));
                    (self.members, self.is_crowd) = (0, true);
                }
            }
        }
    }

    /// The sets of facts that [`Totals::finish`] has to know.
    pub(super) fn sets(&self) -> Vec<i64> {
        self.dimensions.sets()
    }

    /// The rows of the day: first those of all events, then those of dimensions, then those of the properties, the shortest
    /// first, as far as they are worth their bytes.
    pub(super) fn finish<'l>(mut self, day: i64, (lexicon, sets): (&'l Lexicon, &Sets)) -> Vec<Written<'l>> {
        let events: i64 = self.names.values().map(|named| named.own.amount.events).sum();
        let mut room = ANY + SHARE * usize::try_from(events).unwrap_or(0);
        // Dimensions may take as much as properties do.
        let mut room_of_dimensions = room;
        let mut rows = Vec::new();
        let all = self.whole(day, &mut rows);
        self.complete(&all);
        let names: ByNumber = self.names.drain().map(|(name, named)| (name, named.own)).collect();
        let dimensions = std::mem::take(&mut self.dimensions).finish(day, names, (sets, &all));
        let dimensions = dimensions.into_iter().map(|(name, body)| (name, DIMENSIONS, body)).collect();
        rows.extend(fitting(dimensions, &mut room_of_dimensions));
        let known = |number: u8| Some(lexicon.name(number)).filter(|_| lexicon.is_told(number));
        let props = || (0..=u8::MAX).zip(&self.props).filter_map(|(number, prop)| Some((number, known(number)?, prop)));
        let told = props().filter(|(.., prop)| prop.tells <= Tells::Amounts);
        let amounts = told.map(|(number, name, prop)| {
            let texts = (0..).map(|value| lexicon.text((number, value)));
            let values = prop.values.iter().zip(texts).map(|(value, text)| (text, &value.names));
            // Where no name stands, the amounts are those of all events.
            let part = if name.is_empty() { TOLD } else { AMOUNTS };
            (name, part, encode(&Place { day, prop: name, part }, values))
        });
        let mut amounts = fitting(amounts.collect(), &mut room);
        let has_amounts = |name: &str, amounts: &[Written<'_>]| amounts.iter().any(|(own, ..)| *own == name);
        let is_told = |prop: &Prop, name: &str| {
            prop.tells <= Tells::Amounts && (prop.values.is_empty() || has_amounts(name, &amounts))
        };
        let has_all = props().all(|(_, name, prop)| is_told(prop, name));
        if !has_all || lexicon.misses() {
            amounts.retain(|(name, ..)| !name.is_empty());
        } else if events > 0 && !has_amounts("", &amounts) {
            amounts.push(("", TOLD, Vec::new()));
        }
        let told = props().filter(|(_, name, prop)| {
            prop.tells == Tells::People && !self.is_crowd && !name.is_empty() && has_amounts(name, &amounts)
        });
        let people =
            told.map(|(_, name, prop)| (name, PEOPLE, prop.people(&Place { day, prop: name, part: PEOPLE }, &all)));
        let people = fitting(people.collect(), &mut room);
        rows.extend(amounts);
        rows.extend(people);
        rows
    }

    /// The rows of all events, where there are any, and all people.
    fn whole(&self, day: i64, rows: &mut Vec<Written<'_>>) -> People {
        let mut all = People::default();
        if self.names.is_empty() {
            return all;
        }
        let mut names: ByName = self.names.iter().map(|(name, named)| (*name, named.own.amount)).collect();
        names.sort_unstable_by_key(|(name, _)| *name);
        let place = Place { day, prop: "", part: AMOUNTS };
        rows.push(("", AMOUNTS, encode(&place, std::iter::once(("", &names)))));
        if !self.is_crowd {
            self.names.values().for_each(|named| _ = all.join(&named.own.people));
            let mut body = Place::begin();
            all.put(&mut body);
            rows.push(("", PEOPLE, Place { part: PEOPLE, ..place }.seal(body)));
        }
        all
    }

    /// Adds whose events are of names that have a property never to those that lack it.
    fn complete(&mut self, all: &People) {
        let mut names: Vec<_> = self.names.values().collect();
        names.sort_by_key(|named| std::cmp::Reverse(named.own.people.count()));
        for (number, prop) in self.props.iter_mut().enumerate().filter(|(_, prop)| prop.tells == Tells::People) {
            for named in names.iter().filter(|named| named.props >> number & 1 == 0) {
                // Nobody is left to be added.
                if prop.lacking.count() == all.count() {
                    break;
                }
                prop.lacking.join(&named.own.people);
            }
        }
    }
}

impl Valued {
    /// That of events of a name.
    fn amount(&mut self, name: i64) -> &mut Amount {
        let place = self.names.binary_search_by_key(&name, |(name, _)| *name).unwrap_or_else(|place| {
            // Most values are of one name.
            self.names.reserve_exact(usize::from(self.names.is_empty()));
            self.names.insert(place, (name, Amount::default()));
            place
        });
        &mut self.names[place].1
    }
}

impl Prop {
    /// Tells less from here on; how many users are forgotten.
    fn forget(&mut self, tells: Tells) -> usize {
        self.tells = self.tells.max(tells);
        self.lacking = People::default();
        self.values.iter_mut().for_each(|value| value.people = People::default());
        if self.tells == Tells::Nothing {
            self.values = Vec::new();
        }
        std::mem::take(&mut self.members)
    }

    fn people(&self, place: &Place<'_>, all: &People) -> Vec<u8> {
        let mut body = Place::begin();
        self.values.iter().for_each(|value| value.people.put(&mut body));
        self.lacking.put_of(all, &mut body);
        place.seal(body)
    }
}

/// The shortest rows, as far as there is room for them.
fn fitting<'l>(mut rows: Vec<Written<'l>>, room: &mut usize) -> Vec<Written<'l>> {
    rows.sort_by_key(|(.., body)| body.len());
    let mut fits = |(.., body): &Written<'_>| {
        let left = room.checked_sub(ROW + body.len());
        *room = left.unwrap_or(0);
        left.is_some()
    };
    let count = rows.iter().take_while(|row| fits(row)).count();
    rows.truncate(count);
    rows
}

/// What stands at a place, which is made where nothing did.
fn place<T: Default>(list: &mut Vec<T>, at: usize) -> &mut T {
    if at >= list.len() {
        list.resize_with(at + 1, T::default);
    }
    &mut list[at]
}

/// The places of the bits that are set.
fn ones(mut bits: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = bits.trailing_zeros() as usize;
        let is_any = bits != 0;
        bits &= bits.wrapping_sub(1);
        is_any.then_some(place)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::ops::ControlFlow;

    use super::super::amounts::totals as totals_of;
    use super::super::told::{Bodies, Has, Tell, values};
    use super::*;
    use crate::model::Millis;

    const DAY: i64 = 20_000;

    type Event = (Glance, &'static str);

    fn event(n: i64, props: &'static str) -> Event {
        let at = Millis(DAY * Millis::DAY + n);
        let (error, fatal) = (i64::from(n % 7 == 0), n % 21 == 0);
        (Glance { at, name: 1 + n % 3, facts: 1, user: n * 7_919 % 40, session: 0, error, fatal }, props)
    }

    /// Of one name all have a property, of one some, and of one none.
    fn events(count: i64) -> Vec<Event> {
        let props = |n: i64| match n % 3 {
            0 => [r#"{"plan":"pro","on":true}"#, r#"{"plan":"free"}"#, r#"{"plan":1}"#][(n / 3 % 3) as usize],
            1 => [r#"{"plan":"pro"}"#, r#"{"on":false}"#][(n / 3 % 2) as usize],
            _ => r#"{"":5}"#,
        };
        (0..count).map(|n| event(n, props(n))).collect()
    }

    fn written<'l>(events: &[Event], lexicon: &'l mut Lexicon) -> (Totals, &'l Lexicon) {
        let mut totals = Totals::default();
        for (glance, props) in events {
            let mut codes = Vec::new();
            lexicon.note(Some(props), &mut codes);
            totals.add(glance, &codes, lexicon);
        }
        (totals, lexicon)
    }

    fn body<'w>(rows: &'w [Written<'_>], prop: &str, part: i64) -> &'w [u8] {
        rows.iter().find(|row| (row.0, row.1) == (prop, part)).map_or(&[], |(.., body)| body)
    }

    type Counted = BTreeMap<Option<String>, (Amount, BTreeSet<u64>, BTreeSet<u64>)>;

    fn told(rows: &[Written<'_>], prop: &str, keeps: &dyn Fn(i64) -> bool) -> Counted {
        let both = |prop: &str| [AMOUNTS, PEOPLE].map(|part| body(rows, prop, part));
        let bodies = Bodies { day: DAY, prop, all: both(""), own: both(prop) };
        let told = values(&bodies, Tell::People, keeps).unwrap();
        let some = told.into_iter().filter(|valued| valued.amount.events > 0).map(|valued| {
            let people = valued.whose.unwrap();
            let [users, crashed] = [people.users, people.crashed].map(|members| {
                let mut set = roaring::RoaringTreemap::new();
                members.join(&mut set);
                set.into_iter().collect()
            });
            let Has::Value(value) = valued.has else { panic!("a number") };
            (value.map(|value| value.marked()), (valued.amount, users, crashed))
        });
        some.collect()
    }

    fn counted(events: &[Event], prop: &str) -> Counted {
        let mut counted = Counted::new();
        for (glance, props) in events {
            let key = super::super::super::scan::Key::of(&prop.into());
            let own = counted.entry(key.find(Some(props)).map(|value| value.marked())).or_default();
            own.0.add(glance);
            if glance.user != 0 {
                own.1.insert(glance.user.cast_unsigned());
                own.2.extend(glance.fatal.then_some(glance.user.cast_unsigned()));
            }
        }
        counted
    }

    #[test]
    fn a_day_comes_to_what_its_events_do() {
        for count in [1, 2, 5, 40, 1_000] {
            let (events, mut lexicon) = (events(count), Lexicon::default());
            let (totals, lexicon) = written(&events, &mut lexicon);
            let rows = totals.finish(DAY, (lexicon, &Sets::new()));
            for prop in ["plan", "on", "never"] {
                assert_eq!(told(&rows, prop, &|_| true), counted(&events, prop), "{prop} of {count}");
                let second: Vec<_> = events.iter().filter(|(glance, _)| glance.name == 2).copied().collect();
                let amounts =
                    |counted: Counted| counted.into_iter().map(|(value, own)| (value, own.0)).collect::<Vec<_>>();
                let found = told(&rows, prop, &|name| name == 2);
                assert_eq!(amounts(found), amounts(counted(&second, prop)), "{prop} of {count} by name");
            }
        }
        assert!(Totals::default().finish(DAY, (&Lexicon::default(), &Sets::new())).is_empty());
    }

    #[test]
    fn what_takes_too_much_room_is_told_less_of() {
        let (events, mut lexicon) = (events(1_000), Lexicon::default());
        let (mut totals, lexicon) = written(&events, &mut lexicon);
        let parts = |rows: &[Written<'_>]| {
            ["", "plan", "on"].map(|prop| [AMOUNTS, PEOPLE].map(|part| !body(rows, prop, part).is_empty()))
        };
        totals.held = HELD + 1;
        totals.thin();
        assert!(totals.held < HELD);
        let rows = totals.finish(DAY, (lexicon, &Sets::new()));
        assert_eq!(parts(&rows), [[true, true], [false, false], [true, true]], "most values");
        assert!(!rows.iter().any(|row| row.1 == TOLD), "one is not told of");
        for (over, left) in [(1, [[true, true], [true, false], [true, true]]), (10_000, [[true, false]; 3])] {
            let mut lexicon = Lexicon::default();
            let (mut totals, lexicon) = written(&events, &mut lexicon);
            totals.members = MEMBERS + over;
            totals.thin();
            assert_eq!(parts(&totals.finish(DAY, (lexicon, &Sets::new()))), left, "{over} too many");
        }
    }

    #[test]
    fn it_is_told_of_all_properties_where_none_is_left_out() {
        let marks = |events: &[&'static str]| {
            let events: Vec<_> = (0..).zip(events).map(|(n, props)| event(n, props)).collect();
            let mut lexicon = Lexicon::default();
            let (totals, lexicon) = written(&events, &mut lexicon);
            let rows = totals.finish(DAY, (lexicon, &Sets::new()));
            let marks = rows.iter().filter(|row| row.1 == TOLD).map(|(prop, _, body)| {
                assert_eq!(*prop, "");
                let (place, mut found) = (Place { day: DAY, prop: "", part: TOLD }, Vec::new());
                let mut note = |text: &str, events| {
                    found.push((text.to_owned(), events));
                    ControlFlow::Continue(())
                };
                let shown = (!body.is_empty()).then(|| totals_of(&place, body, |_| true, &mut note));
                assert!(shown.is_none_or(|shown| shown.is_ok()));
                found
            });
            marks.collect::<Vec<_>>()
        };
        let long: &'static str = format!(r#"{{"":1,"a":"{}"}}"#, "x".repeat(501)).leak();
        let nameless = |of: &[(&str, i64)]| {
            vec![of.iter().map(|(text, events)| ((*text).to_owned(), *events)).collect::<Vec<_>>()]
        };
        assert_eq!(marks(&[]), Vec::<Vec<_>>::new());
        assert_eq!(marks(&["{}"]), nameless(&[]));
        assert_eq!(marks(&[r#"{"a":1}"#, r#"{"b":null,"":null}"#]), nameless(&[]));
        assert_eq!(marks(&[r#"{"":5,"a":1}"#, r#"{"":5}"#, r#"{"":[]}"#]), nameless(&[("n5", 2), ("o", 1)]));
        assert_eq!(marks(&[r#"{"":5}"#, long]), Vec::<Vec<_>>::new());
    }

    #[test]
    fn the_shortest_rows_are_kept_as_far_as_there_is_room() {
        let row = |name: &'static str, length: usize| (name, AMOUNTS, vec![0; length]);
        let rows = || vec![row("a", 300), row("b", 20), row("c", 100)];
        for (mut room, left) in
            [(ROW + 19, &[][..]), (ROW + 20, &["b"]), (2 * ROW + 120, &["b", "c"]), (3 * ROW + 420, &["b", "c", "a"])]
        {
            let rows = fitting(rows(), &mut room);
            assert_eq!(rows.iter().map(|row| row.0).collect::<Vec<_>>(), left);
        }
    }
}
