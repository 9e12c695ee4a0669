//! The lists of a JSON request, with the text of each record. All lists together have a bounded number of elements,
//! since one of a few bytes takes many in memory.

use std::cell::Cell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::lenient::{Leaf, scalars_are};
use super::{Signal, Unreadable};

/// What one resource sends.
#[derive(Default)]
pub struct Group<'a> {
    pub resource: Option<&'a RawValue>,
    pub scopes: Vec<Scope<'a>>,
}

/// What one part of it sends.
#[derive(Default)]
pub struct Scope<'a> {
    pub scope: Option<&'a RawValue>,
    pub items: Vec<&'a RawValue>,
}

/// As much of a span as is looked at.
#[derive(Default)]
pub struct Span<'a> {
    pub trace: Leaf<'a>,
    pub id: Leaf<'a>,
    pub events: Vec<&'a RawValue>,
}

/// Reads outlines, within a number of elements that they share.
pub struct Outlines {
    names: Names,
    room: Cell<usize>,
}

impl Outlines {
    /// For requests of one signal.
    pub fn new(signal: Signal, room: usize) -> Self {
        let names = match signal {
            Signal::Logs => Names { groups: "resourceLogs", scopes: "scopeLogs", items: "logRecords" },
            Signal::Traces => Names { groups: "resourceSpans", scopes: "scopeSpans", items: "spans" },
            Signal::Metrics => Names { groups: "resourceMetrics", scopes: "scopeMetrics", items: "metrics" },
        };
        Self { names, room: Cell::new(room) }
    }

    /// The groups of every request in a text, one after another.
    pub fn requests<'a>(&self, text: &'a str) -> Result<Vec<Group<'a>>, Unreadable> {
        let mut json = serde_json::Deserializer::from_str(text);
        let mut groups = Vec::new();
        while json.end().is_err() {
            let request: Option<Request<'_>> = self.told(self.seed().deserialize(&mut json))?;
            groups.append(&mut request.ok_or(Unreadable::Broken)?.groups);
        }
        Ok(groups)
    }

    /// A span, if it is one.
    pub fn span<'a>(&self, text: &'a RawValue) -> Result<Option<Span<'a>>, Unreadable> {
        let mut json = serde_json::Deserializer::from_str(text.get());
        match self.told(self.seed().deserialize(&mut json)) {
            Err(Unreadable::Broken) => Ok(None),
            read => read,
        }
    }

    fn seed<T>(&self) -> Seed<'_, T> {
        Seed { of: self, read: PhantomData }
    }

    fn told<T>(&self, read: serde_json::Result<T>) -> Result<T, Unreadable> {
        read.map_err(|_| if self.room.get() == 0 { Unreadable::TooMany } else { Unreadable::Broken })
    }
}

/// What the lists are called.
#[derive(Clone, Copy)]
struct Names {
    groups: &'static str,
    scopes: &'static str,
    items: &'static str,
}

#[derive(Default)]
struct Request<'a> {
    groups: Vec<Group<'a>>,
}

/// What is read member by member.
trait Members<'de>: Default {
    /// Takes the value of that member, or passes over it.
    fn member<A: MapAccess<'de>>(&mut self, name: &str, of: &Outlines, from: &mut A) -> Result<(), A::Error>;
}

impl<'de> Members<'de> for Request<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, of: &Outlines, from: &mut A) -> Result<(), A::Error> {
        match name {
            name if name == of.names.groups => self.groups = from.next_value_seed(Elements(of.seed()))?,
            _ => _ = from.next_value::<IgnoredAny>()?,
        }
        Ok(())
    }
}

impl<'de> Members<'de> for Group<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, of: &Outlines, from: &mut A) -> Result<(), A::Error> {
        match name {
            "resource" => self.resource = from.next_value()?,
            name if name == of.names.scopes => self.scopes = from.next_value_seed(Elements(of.seed()))?,
            _ => _ = from.next_value::<IgnoredAny>()?,
        }
        Ok(())
    }
}

impl<'de> Members<'de> for Scope<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, of: &Outlines, from: &mut A) -> Result<(), A::Error> {
        match name {
            "scope" => self.scope = from.next_value()?,
            name if name == of.names.items => self.items = from.next_value_seed(Elements(of.seed()))?,
            _ => _ = from.next_value::<IgnoredAny>()?,
        }
        Ok(())
    }
}

impl<'de> Members<'de> for Span<'de> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, of: &Outlines, from: &mut A) -> Result<(), A::Error> {
        match name {
            "traceId" => self.trace = from.next_value()?,
            "spanId" => self.id = from.next_value()?,
            "events" => self.events = from.next_value_seed(Elements(of.seed()))?,
            _ => _ = from.next_value::<IgnoredAny>()?,
        }
        Ok(())
    }
}

/// Reads a `T`, where there is an object.
struct Seed<'r, T> {
    of: &'r Outlines,
    read: PhantomData<T>,
}

impl<'de, T: Members<'de>> DeserializeSeed<'de> for Seed<'_, T> {
    type Value = Option<T>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Option<T>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Members<'de>> Visitor<'de> for Seed<'_, T> {
    type Value = Option<T>;

    scalars_are!(None);

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Option<T>, A::Error> {
        IgnoredAny.visit_seq(seq).map(|_| None)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Option<T>, A::Error> {
        let mut read = T::default();
        while let Some(name) = map.next_key::<Leaf<'_>>()? {
            read.member(&name.text(), self.of, &mut map)?;
        }
        Ok(Some(read))
    }
}

/// What stands in lists.
trait Element<'de>: Sized {
    fn next<A: SeqAccess<'de>>(of: &Outlines, seq: &mut A) -> Result<Option<Self>, A::Error>;
}

impl<'de, T: Members<'de>> Element<'de> for T {
    fn next<A: SeqAccess<'de>>(of: &Outlines, seq: &mut A) -> Result<Option<Self>, A::Error> {
        Ok(seq.next_element_seed(of.seed())?.map(Option::unwrap_or_default))
    }
}

impl<'de> Element<'de> for &'de RawValue {
    fn next<A: SeqAccess<'de>>(_: &Outlines, seq: &mut A) -> Result<Option<Self>, A::Error> {
        seq.next_element()
    }
}

/// Reads the elements of a list; of anything else none.
struct Elements<'r, T>(Seed<'r, T>);

impl<'de, T: Element<'de>> DeserializeSeed<'de> for Elements<'_, T> {
    type Value = Vec<T>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Vec<T>, D::Error> {
        json.deserialize_any(self)
    }
}

impl<'de, T: Element<'de>> Visitor<'de> for Elements<'_, T> {
    type Value = Vec<T>;

    scalars_are!(Vec::new());

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let of = self.0.of;
        let mut elements = Vec::new();
        while let Some(element) = T::next(of, &mut seq)? {
            let left = of.room.get().saturating_sub(1);
            of.room.set(left);
            if left == 0 {
                return Err(A::Error::custom("too many elements"));
            }
            elements.push(element);
        }
        Ok(elements)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Vec<T>, A::Error> {
        IgnoredAny.visit_map(map).map(|_| Vec::new())
    }
}
