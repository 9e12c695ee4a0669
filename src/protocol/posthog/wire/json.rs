//! JSON read leniently: members of any type, kept as the text they are until somebody asks for one.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The name of a member.
#[derive(Deserialize)]
pub struct Name<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// A string as it is, a number as it stands.
pub fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    match raw.get().as_bytes().first()? {
        b'"' => string(raw),
        b'-' | b'0'..=b'9' => Some(raw.get().into()),
        _ => None,
    }
}

/// A string that is one.
pub fn string(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    let inside = json.strip_prefix('"')?.strip_suffix('"')?;
    if inside.contains('\\') { serde_json::from_str(json).ok().map(Cow::Owned) } else { Some(Cow::Borrowed(inside)) }
}

/// Any value as a text: what it stands for, or its JSON; nothing of `null` and the empty string.
pub fn any(raw: &RawValue) -> Option<Cow<'_, str>> {
    if raw.get() == "null" {
        return None;
    }
    Some(text(raw).unwrap_or_else(|| raw.get().into())).filter(|text| !text.is_empty())
}

/// A boolean, also as a text.
pub fn flag(raw: &RawValue) -> Option<bool> {
    match raw.get() {
        "true" | r#""true""# => Some(true),
        "false" | r#""false""# => Some(false),
        _ => None,
    }
}

/// A whole number.
pub fn number(raw: &RawValue) -> Option<i64> {
    raw.get().parse().ok()
}

/// Something that is read member by member.
pub trait Members<'de>: Default {
    /// Takes the value of a member, or passes over it. Of a member that occurs twice the last one counts.
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error>;
}

/// One from an object. Anything else makes an empty one.
#[derive(Default)]
pub struct Object<T> {
    /// What was read.
    pub members: T,
    /// Whether it was neither an object nor `null`.
    pub broken: bool,
}

impl<'de, T: Members<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<T: Default> ObjectVisitor<T> {
    fn broken<E>() -> Result<Object<T>, E> {
        Ok(Object { members: T::default(), broken: true })
    }
}

impl<'de, T: Members<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<Object<T>, E> {
        Ok(Object { members: T::default(), broken: false })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<T>, A::Error> {
        let mut members = T::default();
        while let Some(Name(name)) = map.next_key()? {
            members.take(name, &mut map)?;
        }
        Ok(Object { members, broken: false })
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Object<T>, E> {
        Self::broken()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Object<T>, E> {
        Self::broken()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Object<T>, E> {
        Self::broken()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Object<T>, E> {
        Self::broken()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Object<T>, E> {
        Self::broken()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Object<T>, A::Error> {
        IgnoredAny.visit_seq(seq)?;
        Self::broken()
    }
}

/// Why a body holds no events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoEvents {
    /// It is no JSON of any form that holds some, or one of them is not a `T`.
    Unreadable,
    /// More than allowed; the reading ended there, before they took memory.
    TooMany,
}

/// What a body says of all its events.
pub struct Envelope<'a, T> {
    /// Whose they are.
    pub key: Option<Cow<'a, str>>,
    /// The client's clock when it sent.
    pub sent_at: Option<Cow<'a, str>>,
    /// Whether their times are not to be corrected by that.
    pub historical: bool,
    /// They themselves; none where the body is a single event.
    pub events: Option<Vec<T>>,
}

/// The events of a batch or a bare array, at most `most`.
pub fn envelope<'a, T: Deserialize<'a>>(text: &'a str, most: usize) -> Result<Envelope<'a, T>, NoEvents> {
    let overflow = Cell::new(false);
    let mut parser = serde_json::Deserializer::from_str(text);
    let list = List { most, overflow: &overflow, element: PhantomData };
    let read = parser.deserialize_any(Batch(list)).and_then(|read| parser.end().map(|()| read));
    read.map_err(|_| if overflow.get() { NoEvents::TooMany } else { NoEvents::Unreadable })
}

struct Batch<'l, T>(List<'l, T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Batch<'_, T> {
    type Value = Envelope<'de, T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut list = Some(self.0);
        let mut envelope = Envelope { key: None, sent_at: None, historical: false, events: None };
        while let Some(Name(name)) = map.next_key()? {
            match &*name {
                "api_key" => envelope.key = string(map.next_value()?).or(envelope.key),
                "token" => envelope.key = envelope.key.or(string(map.next_value()?)),
                "sent_at" => envelope.sent_at = text(map.next_value()?),
                "historical_migration" => envelope.historical = flag(map.next_value()?) == Some(true),
                "batch" => {
                    let list = list.take().ok_or_else(|| A::Error::duplicate_field("batch"))?;
                    envelope.events = Some(map.next_value_seed(list)?);
                }
                _ => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(envelope)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        let events = Some(self.0.visit_seq(seq)?);
        Ok(Envelope { key: None, sent_at: None, historical: false, events })
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
