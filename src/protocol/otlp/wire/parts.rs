//! Objects read member by member and lists element by element, within numbers of elements that they share: one of a few
//! bytes takes many in memory.

use std::cell::Cell;

use serde::de::{Error, MapAccess, SeqAccess};
use serde_json::value::RawValue;

use super::{Signal, Unreadable};
use crate::protocol::json::{As, Found, Name, Reader};

/// What is known while a request is read.
pub struct Reading {
    /// What its lists are called.
    pub names: Names,
    /// Elements that may still be read of the lists around records.
    around: Cell<usize>,
    /// The same of the lists within them.
    within: Cell<usize>,
}

/// What the lists around records are called.
#[derive(Clone, Copy)]
pub struct Names {
    pub groups: &'static str,
    pub scopes: &'static str,
    pub items: &'static str,
}

/// What an object fills.
pub trait Part<'de> {
    /// Whether it stands in a list around records, and not within one.
    const AROUND: bool = false;

    /// Takes the value of that member, or passes over it.
    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error>;
}

/// What stands in a list.
pub trait Element<'de>: Sized {
    /// As of a [`Part`].
    const AROUND: bool;

    /// The next one, if there is one.
    fn next<A: SeqAccess<'de>>(seq: &mut A, of: &Reading) -> Result<Option<Self>, A::Error>;
}

impl Reading {
    /// For requests of one signal, of at most so many elements around records and within them.
    pub fn new(signal: Signal, around: usize, within: usize) -> Self {
        let names = match signal {
            Signal::Logs => Names { groups: "resourceLogs", scopes: "scopeLogs", items: "logRecords" },
            Signal::Traces => Names { groups: "resourceSpans", scopes: "scopeSpans", items: "spans" },
            Signal::Metrics => Names { groups: "resourceMetrics", scopes: "scopeMetrics", items: "metrics" },
        };
        Self { names, around: Cell::new(around), within: Cell::new(within) }
    }

    /// Fills a part from an object, and tells whether it was one.
    pub fn one<'r, T>(&'r self, part: &'r mut T) -> As<One<'r, T>> {
        As(One { part, of: self })
    }

    /// Reads the elements of a list; of anything else none.
    pub fn all<'r, T>(&'r self, elements: &'r mut Vec<T>) -> As<All<'r, T>> {
        As(All { elements, of: self })
    }

    /// Why the reading ended.
    pub fn why(&self) -> Unreadable {
        match (self.around.get(), self.within.get()) {
            (0, _) => Unreadable::TooMany,
            (_, 0) => Unreadable::Large,
            _ => Unreadable::Broken,
        }
    }
}

/// Fills a part.
pub struct One<'r, T> {
    part: &'r mut T,
    of: &'r Reading,
}

impl<'de, T: Part<'de>> Reader<'de> for One<'_, T> {
    type Value = bool;

    fn none(self, _: Found) -> bool {
        false
    }

    fn object<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            self.part.member(&name, &mut map, self.of)?;
        }
        Ok(true)
    }
}

/// Reads elements.
pub struct All<'r, T> {
    elements: &'r mut Vec<T>,
    of: &'r Reading,
}

impl<'de, T: Element<'de>> Reader<'de> for All<'_, T> {
    type Value = ();

    fn none(self, _: Found) {}

    fn list<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let room = if T::AROUND { &self.of.around } else { &self.of.within };
        while let Some(element) = T::next(&mut seq, self.of)? {
            let left = room.get().saturating_sub(1);
            room.set(left);
            if left == 0 {
                return Err(A::Error::custom("too many elements"));
            }
            self.elements.push(element);
        }
        Ok(())
    }
}

impl<'de, T: Part<'de> + Default> Element<'de> for T {
    const AROUND: bool = T::AROUND;

    fn next<A: SeqAccess<'de>>(seq: &mut A, of: &Reading) -> Result<Option<Self>, A::Error> {
        let mut part = T::default();
        Ok(seq.next_element_seed(of.one(&mut part))?.map(|_| part))
    }
}

/// An object or nothing, where it matters which.
impl<'de, T: Part<'de> + Default> Element<'de> for Option<T> {
    const AROUND: bool = T::AROUND;

    fn next<A: SeqAccess<'de>>(seq: &mut A, of: &Reading) -> Result<Option<Self>, A::Error> {
        let mut part = T::default();
        Ok(seq.next_element_seed(of.one(&mut part))?.map(|is_one| is_one.then_some(part)))
    }
}

/// Something whose text is read later, by itself.
impl<'de> Element<'de> for &'de RawValue {
    const AROUND: bool = true;

    fn next<A: SeqAccess<'de>>(seq: &mut A, _: &Reading) -> Result<Option<Self>, A::Error> {
        seq.next_element()
    }
}
