//! What the events of a request stand in.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::protocol::json::{List, Name, NoList, bounded, pass};

/// Which texts hold a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// `{"events":[...]}` alone: the reference server refuses a bare array.
    Object,
    /// That or a bare array of events: the guide's `/events/batch`.
    ObjectOrArray,
}

/// The elements of a list in its envelope, at most `most`.
pub fn list<'a, T: Deserialize<'a>>(text: &'a str, envelope: Envelope, most: usize) -> Result<Vec<T>, NoList> {
    bounded(text, most, |list, parser| Batch { envelope, list }.deserialize(parser))
}

/// The envelope, read without keeping more than its events.
struct Batch<'l, T> {
    envelope: Envelope,
    list: List<'l, T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for Batch<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        match self.envelope {
            Envelope::Object => deserializer.deserialize_map(self),
            Envelope::ObjectOrArray => deserializer.deserialize_any(self),
        }
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Batch<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `events`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Vec<T>, A::Error> {
        let mut list = Some(self.list);
        let mut events = None;
        while let Some(Name(name)) = map.next_key()? {
            if name == "events" {
                let list = list.take().ok_or_else(|| A::Error::duplicate_field("events"))?;
                events = Some(map.next_value_seed(list)?);
            } else {
                pass(&mut map)?;
            }
        }
        events.ok_or_else(|| A::Error::missing_field("events"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
        self.list.visit_seq(seq)
    }
}
