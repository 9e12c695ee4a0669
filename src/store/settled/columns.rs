//! Columns of bytes beside the events of a part: what each of them has of one property.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::super::scan::{Key, Value};
use super::coding::{Bytes, Damaged, Encoder, Label, SUM, put, sum};
use super::lexicon::{Code, Lexicon};
use crate::store::scan::Glance;

/// Bytes that a row of a column takes beside its body, with its place in the index.
const ROW: usize = 80;

/// A part in the making, with the columns of its events.
pub(super) struct Part {
    events: Encoder,
    columns: BTreeMap<u8, Column>,
    /// Bytes of the columns, as they will be written.
    bytes: usize,
}

/// A column in the making.
#[derive(Default)]
struct Column {
    /// For each event a number: 0 of none, else one more than the value's place in `values`.
    codes: Vec<u8>,
    events: u64,
    /// Which of the day's values stand in it, in the order in which they came.
    values: Vec<u16>,
    places: HashMap<u16, u16>,
}

/// A part as it is written: its events, and the columns by the numbers of their properties.
pub(super) struct Written {
    pub(super) label: Label,
    pub(super) body: Vec<u8>,
    pub(super) columns: Vec<(u8, Vec<u8>)>,
}

impl Part {
    /// A part without events.
    pub(super) fn new(day: i64, name: i64) -> Self {
        Self { events: Encoder::new(day, name), columns: BTreeMap::new(), bytes: 0 }
    }

    /// Adds an event that did not occur before the one that was added last, with what it has of its properties.
    pub(super) fn add(&mut self, event: &Glance, codes: &[Code], lexicon: &Lexicon) {
        for code in codes.iter().filter(|(prop, _)| lexicon.is_kept(*prop)) {
            let column = self.columns.entry(code.0).or_default();
            let before = column.codes.len();
            column.pad(self.events.count());
            if column.put(code.1) {
                self.bytes += lexicon.text(*code).len() + 2;
            }
            self.bytes += column.codes.len() - before;
        }
        self.events.add(event);
    }

    pub(super) fn is_full(&self) -> bool {
        self.events.is_full()
    }

    /// About as many bytes as it will take.
    pub(super) fn len(&self) -> usize {
        self.events.len() + self.bytes
    }

    /// The part as it is written, with what it takes charged to its properties.
    pub(super) fn finish(self, lexicon: &mut Lexicon) -> Written {
        let (label, body) = self.events.finish();
        let mut columns = Vec::new();
        for (prop, column) in self.columns {
            if lexicon.is_kept(prop) {
                let body = column.finish(prop, &label, lexicon);
                lexicon.charge(prop, body.len() + ROW);
                columns.push((prop, body));
            }
        }
        Written { label, body, columns }
    }
}

impl Column {
    /// Up to so many events have none.
    fn pad(&mut self, events: u64) {
        let missing = usize::try_from(events.saturating_sub(self.events)).unwrap_or(0);
        self.codes.resize(self.codes.len() + missing, 0);
        self.events = self.events.max(events);
    }

    /// Adds the value of the next event; whether it is new here.
    fn put(&mut self, value: u16) -> bool {
        let before = self.values.len();
        let place = *self.places.entry(value).or_insert_with(|| {
            self.values.push(value);
            u16::try_from(self.values.len()).unwrap_or(u16::MAX)
        });
        put(&mut self.codes, i64::from(place));
        self.events += 1;
        self.values.len() > before
    }

    fn finish(mut self, prop: u8, label: &Label, lexicon: &Lexicon) -> Vec<u8> {
        self.pad(label.events.unsigned_abs());
        let mut body = vec![0; SUM];
        put(&mut body, self.values.len() as i64);
        for value in self.values {
            let text = lexicon.text((prop, value));
            put(&mut body, text.len() as i64);
            body.extend(text.as_bytes());
        }
        body.extend(self.codes);
        let sum = sum_of(label, lexicon.name(prop), &body[SUM..]);
        body[..SUM].copy_from_slice(&sum.to_le_bytes());
        body
    }
}

/// A column that is being read, event by event.
struct Reader<'b> {
    values: Vec<Value<'b>>,
    codes: Option<Bytes<'b>>,
    now: Option<usize>,
}

/// What the events of a part have of some properties, as far as those are settled.
pub(in crate::store) struct Columns<'b> {
    keys: &'b [&'b Key],
    readers: Vec<Reader<'b>>,
}

impl<'b> Columns<'b> {
    /// The columns of a part, one for each key; no bytes say that none of its events has it.
    pub(super) fn open<'l>(
        label: &Label,
        keys: &'b [&'b Key],
        bodies: impl Iterator<Item = &'l [u8]>,
    ) -> Result<Self, Damaged>
    where
        'l: 'b,
    {
        let readers = keys.iter().zip(bodies).map(|(key, body)| Reader::open(label, key.name(), body));
        Ok(Self { keys, readers: readers.collect::<Result<_, _>>()? })
    }

    /// Goes on to the next event.
    #[inline]
    pub(super) fn step(&mut self) -> Result<(), Damaged> {
        self.readers.iter_mut().try_for_each(Reader::step)
    }

    /// Whether all columns end with the last event.
    pub(super) fn are_over(&self) -> bool {
        self.readers.iter().all(|reader| reader.codes.as_ref().is_none_or(Bytes::is_empty))
    }

    /// What the event has under a key.
    pub(in crate::store) fn find(&self, key: &Key) -> Option<Value<'_>> {
        let place = self.keys.iter().position(|own| own.name() == key.name())?;
        let reader = &self.readers[place];
        reader.now.map(|value| reader.values[value].borrowed())
    }
}

impl<'b> Reader<'b> {
    fn open(label: &Label, name: &str, body: &'b [u8]) -> Result<Self, Damaged> {
        if body.is_empty() {
            return Ok(Self { values: Vec::new(), codes: None, now: None });
        }
        let (stored, rest) = body.split_first_chunk::<SUM>().ok_or(Damaged)?;
        if u64::from_le_bytes(*stored) != sum_of(label, name, rest) {
            return Err(Damaged);
        }
        let mut bytes = Bytes::of(rest);
        let mut values = Vec::new();
        for _ in 0..bytes.take()? {
            let length = usize::try_from(bytes.take()?).map_err(|_| Damaged)?;
            let text = std::str::from_utf8(bytes.cut(length)?).map_err(|_| Damaged)?;
            values.push(Value::of_marked(text).ok_or(Damaged)?);
        }
        Ok(Self { values, codes: Some(bytes), now: None })
    }

    #[inline]
    fn step(&mut self) -> Result<(), Damaged> {
        let Some(codes) = &mut self.codes else { return Ok(()) };
        let code = usize::try_from(codes.take()?).map_err(|_| Damaged)?;
        self.now = code.checked_sub(1);
        if self.now.is_some_and(|value| value >= self.values.len()) { Err(Damaged) } else { Ok(()) }
    }
}

/// Over a column's bytes, and what it belongs to.
pub(super) fn sum_of(label: &Label, name: &str, bytes: &[u8]) -> u64 {
    sum(label, bytes) ^ sum(label, name.as_bytes()).rotate_left(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;

    const EVENTS: [Option<&str>; 6] = [
        None,
        Some(r#"{"plan":"pro","n":1.50,"on":true,"of":{"plan":"no"}}"#),
        Some(r#"{"plan":null,"plan":"late","n":"1.50"}"#),
        Some(r#"{"pl\u0061n":"a\"b","on":false,"list":[1]}"#),
        Some(r#"["plan"]"#),
        Some(r#"{"plan":"pro","n":7}"#),
    ];

    fn written(lexicon: &mut Lexicon) -> Written {
        let mut part = Part::new(20_000, 7);
        for (at, props) in EVENTS.iter().enumerate() {
            let mut codes = Vec::new();
            lexicon.note(*props, &mut codes);
            part.add(&glance(at as i64), &codes, lexicon);
        }
        part.finish(lexicon)
    }

    fn glance(at: i64) -> Glance {
        let at = Millis(20_000 * Millis::DAY + at);
        Glance { at, name: 7, facts: 1, user: 0, session: 0, error: 0, fatal: false }
    }

    fn bodies<'w>(written: &'w Written, lexicon: &Lexicon, keys: &[&Key]) -> Vec<&'w [u8]> {
        let body = |key: &&Key| written.columns.iter().find(|(prop, _)| lexicon.name(*prop) == key.name());
        keys.iter().map(|key| body(key).map_or(&[][..], |(_, body)| body)).collect()
    }

    #[test]
    fn every_event_has_in_columns_what_its_json_says() {
        let mut lexicon = Lexicon::default();
        let written = written(&mut lexicon);
        assert!(!lexicon.lacks());
        let keys = ["plan", "n", "on", "of", "list", "other"].map(|name| Key::of(&name.into()));
        let keys: Vec<_> = keys.iter().collect();
        let bodies = bodies(&written, &lexicon, &keys);
        let mut columns = Columns::open(&written.label, &keys, bodies.into_iter()).unwrap();
        for props in EVENTS {
            columns.step().unwrap();
            for key in &keys {
                assert_eq!(columns.find(key), key.find(props), "{props:?}");
            }
        }
        assert!(columns.are_over() && columns.step().is_err());
    }

    #[test]
    fn whatever_bit_of_a_column_is_wrong_is_found() {
        let mut lexicon = Lexicon::default();
        let written = written(&mut lexicon);
        let key = Key::of(&"plan".into());
        let body = bodies(&written, &lexicon, &[&key])[0].to_vec();
        let open = |label: &Label, key: &Key, body: &[u8]| Columns::open(label, &[key], [body].into_iter()).is_ok();
        assert!(open(&written.label, &key, &body));
        for place in 0..body.len() {
            for bit in 0..8 {
                let mut damaged = body.clone();
                damaged[place] ^= 1 << bit;
                assert!(!open(&written.label, &key, &damaged), "byte {place}, bit {bit}");
            }
            assert!(place == 0 || !open(&written.label, &key, &body[..place]), "cut to {place}");
        }
        assert!(!open(&Label { name: 8, ..written.label }, &key, &body));
        assert!(!open(&written.label, &Key::of(&"n".into()), &body));
    }
}
