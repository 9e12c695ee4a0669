//! The properties of a day's events and their values, each by a number, within bounds: what goes beyond them is left out.

use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::HashMap;

use super::super::scan::{Value, members};

/// Most properties of a day, the first ones to be met.
const PROPS: usize = 64;
/// Longest name of a property, in bytes.
const LONGEST_NAME: usize = 200;
/// Most different values of a property: reports tell no more apart.
const VALUES: usize = 20_000;
/// Longest value, in bytes: reports count longer ones together.
const LONGEST: usize = 500;
/// About what a value takes in memory beside its text, in bytes.
const ENTRY: usize = 80;
/// Most bytes that the values of a day take in memory.
const HELD: usize = 8 << 20;
/// So many different values are never too many of them for a column.
const FEW: usize = 64;
/// From so many on it is not waited for the end of the day to say so.
const MANY: usize = 2_000;
/// What is in a column has as many events for each of its values, or it is nothing to filter by.
const EACH: usize = 4;
/// Bytes of columns that an event may take: about a tenth of what its row does.
const SHARE: usize = 16;

/// The properties of a day.
#[derive(Default)]
pub(super) struct Lexicon {
    numbers: HashMap<Box<str>, u8>,
    props: Vec<Prop>,
    /// Whether anything has no column.
    lacks: bool,
    /// Whether anything is left out.
    misses: bool,
    /// Whether nothing more is let in.
    is_closed: bool,
    events: usize,
    /// Bytes of all values.
    held: usize,
}

/// One property.
struct Prop {
    name: Box<str>,
    /// Whether its values are known.
    is_told: bool,
    /// Whether it is in columns besides.
    is_kept: bool,
    /// The last event that had it.
    event: usize,
    events: usize,
    values: HashMap<Arc<str>, u16>,
    texts: Vec<Arc<str>>,
    /// Bytes of these.
    held: usize,
    /// Bytes of its columns so far.
    cost: usize,
}

/// What an event has: a property's number, and that of the value.
pub(super) type Code = (u8, u16);

impl Lexicon {
    /// Notes the properties of the next event, and adds what it has to `codes`.
    pub(super) fn note(&mut self, props: Option<&str>, codes: &mut Vec<Code>) {
        self.events += 1;
        members(props.unwrap_or_default(), |name, value| {
            self.member(name, value, codes);
            ControlFlow::Continue(())
        });
    }

    fn member(&mut self, name: &str, value: Option<Value<'_>>, codes: &mut Vec<Code>) {
        let Some(number) = self.number(name) else {
            (self.lacks, self.misses) = (true, true);
            return;
        };
        let prop = &mut self.props[usize::from(number)];
        // Of a name that stands there twice the first counts, whatever it holds.
        if std::mem::replace(&mut prop.event, self.events) == self.events || !prop.is_told {
            return;
        }
        let Some(value) = value else { return };
        let before = prop.held;
        let Some(code) = prop.code(&value) else {
            self.leave_out(number);
            return;
        };
        codes.push((number, code));
        self.held += prop.held - before;
        if prop.texts.len() > MANY && prop.has_few_events() {
            self.keep_out(number);
        }
        while self.held > HELD {
            let most = self.told().into_iter().max_by_key(|number| self.props[usize::from(*number)].held);
            most.into_iter().for_each(|number| self.leave_out(number));
        }
    }

    fn number(&mut self, name: &str) -> Option<u8> {
        if let Some(number) = self.numbers.get(name) {
            return Some(*number);
        }
        // PostgreSQL keeps no text with a NUL in it.
        let is_full = self.is_closed || self.props.len() >= PROPS;
        if is_full || name.len() > LONGEST_NAME || name.contains('\0') {
            return None;
        }
        let number = u8::try_from(self.props.len()).ok()?;
        self.numbers.insert(name.into(), number);
        self.props.push(Prop {
            name: name.into(),
            is_told: true,
            is_kept: true,
            event: 0,
            events: 0,
            values: HashMap::new(),
            texts: Vec::new(),
            held: 0,
            cost: 0,
        });
        Some(number)
    }

    /// Keeps a property out of columns.
    fn keep_out(&mut self, number: u8) {
        self.props[usize::from(number)].is_kept = false;
        self.lacks = true;
    }

    /// Forgets the values of a property.
    fn leave_out(&mut self, number: u8) {
        self.keep_out(number);
        let prop = &mut self.props[usize::from(number)];
        (prop.is_told, prop.values, prop.texts) = (false, HashMap::new(), Vec::new());
        self.held -= std::mem::take(&mut prop.held);
        self.misses = true;
    }

    /// Leaves all of them out, and whatever comes.
    pub(super) fn leave_all_out(&mut self) {
        (self.lacks, self.misses, self.is_closed) = (true, true, true);
        self.told().into_iter().for_each(|number| self.leave_out(number));
    }

    /// Takes note of what a property's column takes.
    pub(super) fn charge(&mut self, number: u8, bytes: usize) {
        self.props[usize::from(number)].cost += bytes;
    }

    /// At the end of the day: keeps out of columns what has another value with nearly every event, and then what is dearest
    /// for each event that has it, until the rest is worth its bytes.
    pub(super) fn narrow(&mut self) {
        for number in self.kept() {
            let prop = &self.props[usize::from(number)];
            if prop.texts.len() > FEW && prop.has_few_events() {
                self.keep_out(number);
            }
        }
        let dear = |prop: &Prop| prop.cost * 1_000 / prop.events.max(1);
        let mut kept = self.kept();
        kept.sort_by_key(|number| dear(&self.props[usize::from(*number)]));
        let mut room = SHARE * self.events;
        let mut fits = |number: &u8| {
            let left = room.checked_sub(self.props[usize::from(*number)].cost);
            room = left.unwrap_or(0);
            left.is_some()
        };
        let fitting = kept.iter().map_while(|number| fits(number).then_some(())).count();
        kept.split_off(fitting).into_iter().for_each(|number| self.keep_out(number));
    }

    /// The numbers of the properties that are in columns.
    fn kept(&self) -> Vec<u8> {
        self.those(|prop| prop.is_kept)
    }

    /// The numbers of the properties whose values are known.
    fn told(&self) -> Vec<u8> {
        self.those(|prop| prop.is_told)
    }

    fn those(&self, which: fn(&Prop) -> bool) -> Vec<u8> {
        self.props.iter().zip(0..).filter(|(prop, _)| which(prop)).map(|(_, number)| number).collect()
    }

    /// Whether a property is in columns.
    pub(super) fn is_kept(&self, number: u8) -> bool {
        self.props[usize::from(number)].is_kept
    }

    /// Whether the values of a property are known.
    pub(super) fn is_told(&self, number: u8) -> bool {
        self.props[usize::from(number)].is_told
    }

    /// The names of those that are in no column.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &str> {
        self.props.iter().filter(|prop| !prop.is_kept).map(|prop| &*prop.name)
    }

    /// Whether there may be properties beside those that are in columns.
    pub(super) fn lacks(&self) -> bool {
        self.lacks
    }

    /// Whether there may be properties beside those whose values are known.
    pub(super) fn misses(&self) -> bool {
        self.misses
    }

    pub(super) fn name(&self, number: u8) -> &str {
        &self.props[usize::from(number)].name
    }

    /// A value as it is written: what it is, and its text.
    pub(super) fn text(&self, (number, value): Code) -> &str {
        &self.props[usize::from(number)].texts[usize::from(value)]
    }
}

impl Prop {
    /// The number of a value; none where there is no room for it.
    fn code(&mut self, value: &Value<'_>) -> Option<u16> {
        self.events += 1;
        let text = value.marked();
        if let Some(code) = self.values.get(&*text) {
            return Some(*code);
        }
        if self.texts.len() >= VALUES || text.len() > LONGEST + 1 {
            return None;
        }
        let code = u16::try_from(self.texts.len()).ok()?;
        let text: Arc<str> = text.into();
        self.held += text.len() + ENTRY;
        self.texts.push(text.clone());
        self.values.insert(text, code);
        Some(code)
    }

    /// Whether there are too few for each of the values.
    fn has_few_events(&self) -> bool {
        self.texts.len() * EACH > self.events
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noted(events: impl IntoIterator<Item = String>) -> Lexicon {
        let mut lexicon = Lexicon::default();
        events.into_iter().for_each(|props| lexicon.note(Some(&props), &mut Vec::new()));
        lexicon
    }

    fn kept(lexicon: &Lexicon) -> Vec<&str> {
        lexicon.kept().into_iter().map(|number| lexicon.name(number)).collect()
    }

    fn told(lexicon: &Lexicon) -> usize {
        lexicon.told().len()
    }

    #[test]
    fn what_goes_beyond_a_bound_is_left_out_and_nothing_else() {
        let long = |length: usize| format!(r#"{{"a":1,"b":"{}"}}"#, "x".repeat(length));
        let values = |count: usize| (0..count).map(|n| format!(r#"{{"a":1,"b":{n}}}"#)).collect::<Vec<_>>();
        let names = |count: usize| (0..count).map(|n| format!(r#"{{"p{n}":1}}"#)).collect::<Vec<_>>();
        let wide = |count: usize| (0..count).map(|n| format!(r#"{{"a":1,"b":"{n:0500}"}}"#)).collect::<Vec<_>>();
        let most = (HELD - 2 - ENTRY) / (501 + ENTRY);
        for (events, left) in [
            (vec![long(LONGEST)], 2),
            (vec![long(LONGEST + 1)], 1),
            (values(VALUES), 2),
            (values(VALUES + 1), 1),
            (wide(most), 2),
            (wide(most + 1), 1),
            (names(PROPS), PROPS),
            (names(PROPS + 1), PROPS),
            (vec![format!(r#"{{"{}":1}}"#, "n".repeat(LONGEST_NAME))], 1),
            (vec![format!(r#"{{"{}":1}}"#, "n".repeat(LONGEST_NAME + 1))], 0),
            (vec![r#"{"a\u0000b":1}"#.to_owned()], 0),
        ] {
            let first = events[0].chars().take(40).collect::<String>();
            let count = events.len();
            let lexicon = noted(events);
            assert_eq!(told(&lexicon), left, "{count} of {first}");
            assert!(lexicon.held <= HELD);
        }
        assert!(noted(names(PROPS + 1)).misses() && noted(values(VALUES + 1)).misses());
        assert!(!noted(names(PROPS)).misses() && !noted(values(VALUES)).misses());
    }

    #[test]
    fn nothing_is_let_in_once_all_is_left_out() {
        let mut lexicon = noted([r#"{"a":1}"#.to_owned()]);
        lexicon.leave_all_out();
        let mut codes = Vec::new();
        lexicon.note(Some(r#"{"a":1,"b":2}"#), &mut codes);
        assert!(codes.is_empty() && told(&lexicon) == 0 && lexicon.lacks() && lexicon.misses());
        assert_eq!(lexicon.left_out().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn what_is_another_value_with_nearly_every_event_is_kept_out_of_columns_and_told_all_the_same() {
        let event = |n: usize| format!(r#"{{"id":{n},"few":{}}}"#, n % MANY);
        let lexicon = noted((0..MANY).map(event));
        assert_eq!(kept(&lexicon), ["id", "few"]);
        let lexicon = noted((0..=MANY).map(event));
        assert_eq!(kept(&lexicon), ["few"]);
        assert!(told(&lexicon) == 2 && lexicon.lacks() && !lexicon.misses());
    }

    #[test]
    fn what_is_not_worth_its_bytes_is_kept_out_of_columns_at_the_end_of_the_day() {
        let event = |n: usize| {
            format!(r#"{{"id":{n},"few":{},"often":1,"seldom":{}}}"#, n % FEW, if n == 0 { "1" } else { "null" })
        };
        let mut lexicon = noted((0..200).map(event));
        assert_eq!(kept(&lexicon), ["id", "few", "often", "seldom"]);
        // Of 3,200 bytes.
        for (number, bytes) in [(0, 10), (1, 1_500), (2, 1_500), (3, 900)] {
            lexicon.charge(number, bytes);
        }
        lexicon.narrow();
        assert_eq!(kept(&lexicon), ["few", "often"], "an id is nothing to filter by, and a value of one event is dear");
        assert!(told(&lexicon) == 4 && lexicon.lacks() && !lexicon.misses());
    }
}
