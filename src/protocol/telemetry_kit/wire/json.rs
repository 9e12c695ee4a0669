//! JSON read leniently: leaves of any type, objects that are objects, and arrays of a bounded length.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A member that should be a string or boolean. A wrong type is no parser error, so that it can be named exactly.
#[derive(Default)]
pub enum Leaf<'a> {
    /// Left out, or `null`.
    #[default]
    Absent,
    Text(Cow<'a, str>),
    Bool(bool),
    Other,
}

impl<'a> Leaf<'a> {
    /// The string, if it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Bool(_) | Self::Other => None,
        }
    }

    /// The same, to keep.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(text),
            Self::Absent | Self::Bool(_) | Self::Other => None,
        }
    }
}

/// A struct from a JSON object alone: derived structs would take an array of their fields as well.
pub struct Object<T>(pub T);

/// Which texts hold a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Envelope {
    /// `{"events":[...]}` alone: the reference server refuses a bare array.
    Object,
    /// That or a bare array of events: the guide's `/events/batch`.
    ObjectOrArray,
}

/// Why there is no list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoList {
    /// Not JSON of that form, or an element is not a `T`.
    Unreadable,
    /// More elements than allowed; the reading ended there, before they took memory.
    TooMany,
}

/// The elements of a list in its envelope, at most `most`.
pub fn list<'a, T: Deserialize<'a>>(text: &'a str, envelope: Envelope, most: usize) -> Result<Vec<T>, NoList> {
    let overflow = Cell::new(false);
    let seed = Batch { envelope, list: List { most, overflow: &overflow, element: PhantomData } };
    let mut parser = serde_json::Deserializer::from_str(text);
    let events = seed.deserialize(&mut parser).and_then(|events| parser.end().map(|()| events));
    events.map_err(|_| if overflow.get() { NoList::TooMany } else { NoList::Unreadable })
}

impl<'de: 'a, 'a> Deserialize<'de> for Leaf<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(LeafVisitor)
    }
}

struct LeafVisitor;

impl<'de> Visitor<'de> for LeafVisitor {
    type Value = Leaf<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Bool(value))
    }

    fn visit_unit<E: Error>(self) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Absent)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Leaf<'de>, E> {
        Ok(Leaf::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Leaf<'de>, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| Leaf::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Leaf<'de>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Leaf::Other)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
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
        while let Some(key) = map.next_key::<Leaf<'de>>()? {
            if key.text() == Some("events") {
                let list = list.take().ok_or_else(|| A::Error::duplicate_field("events"))?;
                events = Some(map.next_value_seed(list)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        events.ok_or_else(|| A::Error::missing_field("events"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Vec<T>, A::Error> {
        self.list.visit_seq(seq)
    }
}

/// An array that ends the reading when it grows too long, before it takes memory.
struct List<'l, T> {
    most: usize,
    overflow: &'l Cell<bool>,
    element: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for List<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for List<'_, T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut events = Vec::new();
        while let Some(event) = seq.next_element()? {
            if events.len() == self.most {
                self.overflow.set(true);
                return Err(A::Error::custom("too many events"));
            }
            events.push(event);
        }
        Ok(events)
    }
}
