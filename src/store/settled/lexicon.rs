//! The properties of a day's events and their values, each by a number, within bounds: what goes beyond them is left out.

use std::ops::ControlFlow;
use std::sync::Arc;

use hashbrown::HashMap;

use super::super::scan::{Value, members};

/// Most properties of a day, the first ones to be met.
const PROPS: usize = 32;
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
/// Bytes of columns that an event may take: a tenth of what its row does, or less.
const SHARE: usize = 24;

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
