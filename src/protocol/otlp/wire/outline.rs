//! The lists of a JSON request, with the records in them or with the text of each.

use serde::de::{DeserializeSeed, MapAccess};
use serde_json::value::RawValue;

use super::Unreadable;
use super::parts::{Element, Part, Reading};
use crate::protocol::json::{Leaf, pass};

/// What one resource sends.
pub struct Group<'a, I> {
    pub resource: Option<&'a RawValue>,
    pub scopes: Vec<Scope<'a, I>>,
}

/// What one part of it sends.
pub struct Scope<'a, I> {
    pub scope: Option<&'a RawValue>,
    pub items: Vec<I>,
}

/// As much of a span as is looked at.
#[derive(Default)]
pub struct Span<'a> {
    pub trace: Leaf<'a>,
    pub id: Leaf<'a>,
    pub events: Vec<&'a RawValue>,
}

/// The groups of every request in a text, one after another.
pub fn requests<'a, I: Element<'a>>(text: &'a str, of: &Reading) -> Result<Vec<Group<'a, I>>, Unreadable> {
    let mut json = serde_json::Deserializer::from_str(text);
    let mut groups = Vec::new();
    while json.end().is_err() {
        let mut request = Request { groups: Vec::new() };
        if !of.one(&mut request).deserialize(&mut json).map_err(|_| of.why())? {
            return Err(Unreadable::Broken);
        }
        groups.append(&mut request.groups);
    }
    Ok(groups)
}

struct Request<'a, I> {
    groups: Vec<Group<'a, I>>,
}

impl<I> Default for Group<'_, I> {
    fn default() -> Self {
        Self { resource: None, scopes: Vec::new() }
    }
}

impl<I> Default for Scope<'_, I> {
    fn default() -> Self {
        Self { scope: None, items: Vec::new() }
    }
}

impl<'de, I: Element<'de>> Part<'de> for Request<'de, I> {
    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        if name == of.names.groups { from.next_value_seed(of.all(&mut self.groups)) } else { pass(from) }
    }
}

impl<'de, I: Element<'de>> Part<'de> for Group<'de, I> {
    const AROUND: bool = true;

    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        match name {
            "resource" => self.resource = from.next_value()?,
            name if name == of.names.scopes => from.next_value_seed(of.all(&mut self.scopes))?,
            _ => pass(from)?,
        }
        Ok(())
    }
}

impl<'de, I: Element<'de>> Part<'de> for Scope<'de, I> {
    const AROUND: bool = true;

    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        match name {
            "scope" => self.scope = from.next_value()?,
            name if name == of.names.items => from.next_value_seed(of.all(&mut self.items))?,
            _ => pass(from)?,
        }
        Ok(())
    }
}

impl<'de> Part<'de> for Span<'de> {
    const AROUND: bool = true;

    fn member<A: MapAccess<'de>>(&mut self, name: &str, from: &mut A, of: &Reading) -> Result<(), A::Error> {
        match name {
            "traceId" => self.trace = from.next_value()?,
            "spanId" => self.id = from.next_value()?,
            "events" => from.next_value_seed(of.all(&mut self.events))?,
            _ => pass(from)?,
        }
        Ok(())
    }
}
