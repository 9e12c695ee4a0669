//! JSON read leniently: members of any type, kept as the text they are until somebody asks for one.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use crate::protocol::json::{List, Name, NoList, bounded, pass};

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
pub fn envelope<'a, T: Deserialize<'a>>(text: &'a str, most: usize) -> Result<Envelope<'a, T>, NoList> {
    bounded(text, most, |list, parser| parser.deserialize_any(Batch(list)))
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
                _ => pass(&mut map)?,
            }
        }
        Ok(envelope)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Self::Value, A::Error> {
        let events = Some(self.0.visit_seq(seq)?);
        Ok(Envelope { key: None, sent_at: None, historical: false, events })
    }
}
