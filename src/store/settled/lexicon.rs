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
const VALUES: usize = 2_000;
/// Longest value, in bytes: reports count longer ones together.
const LONGEST: usize = 500;
/// Most bytes of a property's different values together.
const TEXTS: usize = 32 << 10;
/// So many different values are never too many of them.
const FEW: usize = 64;
/// A property has as many events for each of its values, or it is nothing to count by.
const EACH: usize = 4;
/// Bytes of columns that an event may take: about a tenth of what its row does.
const SHARE: usize = 16;

/// The properties of a day.
#[derive(Default)]
pub(super) struct Lexicon {
    numbers: HashMap<Box<str>, u8>,
    props: Vec<Prop>,
    /// Whether anything is left out.
    lacks: bool,
    /// Whether nothing more is let in.
    is_closed: bool,
    events: usize,
}

/// One property.
struct Prop {
    name: Box<str>,
    is_kept: bool,
    /// The last event that had it.
    event: usize,
    events: usize,
    values: HashMap<Arc<str>, u16>,
    texts: Vec<Arc<str>>,
    bytes: usize,
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
            self.lacks = true;
            return;
        };
        let prop = &mut self.props[usize::from(number)];
        // Of a name that stands there twice the first counts, whatever it holds.
        if std::mem::replace(&mut prop.event, self.events) == self.events || !prop.is_kept {
            return;
        }
        let Some(value) = value else { return };
        match prop.code(&value) {
            Some(code) => codes.push((number, code)),
            None => self.leave_out(number),
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
            is_kept: true,
            event: 0,
            events: 0,
            values: HashMap::new(),
            texts: Vec::new(),
            bytes: 0,
            cost: 0,
        });
        Some(number)
    }

    fn leave_out(&mut self, number: u8) {
        let prop = &mut self.props[usize::from(number)];
        (prop.is_kept, prop.values, prop.texts) = (false, HashMap::new(), Vec::new());
        self.lacks = true;
    }

    /// Leaves all of them out, and whatever comes.
    pub(super) fn leave_all_out(&mut self) {
        (self.lacks, self.is_closed) = (true, true);
        self.kept().into_iter().for_each(|number| self.leave_out(number));
    }

    /// Takes note of what a property's column takes.
    pub(super) fn charge(&mut self, number: u8, bytes: usize) {
        self.props[usize::from(number)].cost += bytes;
    }

    /// At the end of the day: leaves out what has another value with nearly every event, and then what is dearest for each
    /// event that has it, until the rest is worth its bytes.
    pub(super) fn narrow(&mut self) {
        for number in self.kept() {
            let prop = &self.props[usize::from(number)];
            if prop.texts.len() > FEW && prop.texts.len() * EACH > prop.events {
                self.leave_out(number);
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
        kept.split_off(fitting).into_iter().for_each(|number| self.leave_out(number));
    }

    /// The numbers of the properties that are kept.
    fn kept(&self) -> Vec<u8> {
        self.props.iter().zip(0..).filter(|(prop, _)| prop.is_kept).map(|(_, number)| number).collect()
    }

    pub(super) fn is_kept(&self, number: u8) -> bool {
        self.props[usize::from(number)].is_kept
    }

    /// The names of those that are left out, as far as they were ever kept.
    pub(super) fn left_out(&self) -> impl Iterator<Item = &str> {
        self.props.iter().filter(|prop| !prop.is_kept).map(|prop| &*prop.name)
    }

    /// Whether there may be properties beside those that are kept.
    pub(super) fn lacks(&self) -> bool {
        self.lacks
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
        let bytes = self.bytes + text.len();
        if self.texts.len() >= VALUES || text.len() > LONGEST + 1 || bytes > TEXTS {
            return None;
        }
        let code = u16::try_from(self.texts.len()).ok()?;
        let text: Arc<str> = text.into();
        self.texts.push(text.clone());
        self.values.insert(text, code);
        self.bytes = bytes;
        Some(code)
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

    #[test]
    fn what_goes_beyond_a_bound_is_left_out_and_nothing_else() {
        let long = |length: usize| format!(r#"{{"a":1,"b":"{}"}}"#, "x".repeat(length));
        let values = |count: usize| (0..count).map(|n| format!(r#"{{"a":1,"b":{n}}}"#)).collect::<Vec<_>>();
        let names = |count: usize| (0..count).map(|n| format!(r#"{{"p{n}":1}}"#)).collect::<Vec<_>>();
        let wide = |count: usize| (0..count).map(|n| format!(r#"{{"b":"{n:0100}"}}"#)).collect::<Vec<_>>();
        for (events, left) in [
            (vec![long(LONGEST)], 2),
            (vec![long(LONGEST + 1)], 1),
            (values(VALUES), 2),
            (values(VALUES + 1), 1),
            (wide(TEXTS / 101), 1),
            (wide(TEXTS / 101 + 1), 0),
            (names(PROPS), PROPS),
            (names(PROPS + 1), PROPS),
            (vec![format!(r#"{{"{}":1}}"#, "n".repeat(LONGEST_NAME))], 1),
            (vec![format!(r#"{{"{}":1}}"#, "n".repeat(LONGEST_NAME + 1))], 0),
            (vec![r#"{"a\u0000b":1}"#.to_owned()], 0),
        ] {
            let first = events[0].chars().take(40).collect::<String>();
            let count = events.len();
            let lexicon = noted(events);
            assert_eq!(kept(&lexicon).len(), left, "{count} of {first}");
        }
        assert!(noted(names(PROPS + 1)).lacks() && noted(values(VALUES + 1)).lacks());
        assert!(!noted(names(PROPS)).lacks() && !noted(values(VALUES)).lacks());
    }

    #[test]
    fn nothing_is_let_in_once_all_is_left_out() {
        let mut lexicon = noted([r#"{"a":1}"#.to_owned()]);
        lexicon.leave_all_out();
        let mut codes = Vec::new();
        lexicon.note(Some(r#"{"a":1,"b":2}"#), &mut codes);
        assert!(codes.is_empty() && kept(&lexicon).is_empty() && lexicon.lacks());
        assert_eq!(lexicon.left_out().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn what_is_not_worth_its_bytes_is_left_out_at_the_end_of_the_day() {
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
        assert_eq!(kept(&lexicon), ["few", "often"], "an id is nothing to count by, and a value of one event is dear");
        assert!(lexicon.lacks());
    }
}
