//! From bytes to claims.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::claim::{Resource, event};
use super::wire::{self, Attribute, Bounds, Record, Sink, Unreadable};
use crate::ingest::Claim;
use crate::model::{EventId, Limits, Reason, Refusal};
use crate::protocol::event_id::ContentIds;

pub use super::wire::{Form, Signal};

/// Most records in a request: exporters send 512 at once, collectors 8,192.
const MOST: usize = 16_384;
/// Most elements of the lists around records.
const ELEMENTS: usize = 4 * MOST;
/// How many times as large as what is kept of it a record may be: its JSON has five words for each of ours.
const WORDS: usize = 8;
/// Most bytes of what the records of a request are written down in.
const WRITTEN: usize = 32 << 20;

/// What a request is made of.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Its records.
    pub claims: Vec<Claim<'a>>,
    /// Its spans or data points, which are not kept.
    pub others: u64,
    /// Whether a machine of the developer's sends it, as far as it says so.
    pub is_server: bool,
    /// How it is written.
    pub form: Form,
}

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// Decompressed.
    pub body: &'a [u8],
    /// How it is said to be written.
    pub form: Form,
    /// What it exports.
    pub signal: Signal,
    /// The row of its key.
    pub key: i64,
    /// What sent it: `User-Agent`.
    pub agent: Option<&'a str>,
}

/// Reads a request. A record that cannot be used does not fail the others. One without an id of its own has one made of
/// the whole request and its place in it, so that a request that is sent again counts once.
///
/// # Errors
/// [`Refusal::Malformed`] where it is no such message, [`Refusal::TooLarge`] where it has more than a request may have.
pub fn decode<'a>(message: Message<'a>, limits: &Limits) -> Result<Batch<'a>, Refusal> {
    // Properties are an object, whose values are one deeper.
    let bounds =
        Bounds { bytes: limits.event_bytes.saturating_mul(WORDS), depth: limits.depth + 1, elements: ELEMENTS };
    let Message { body, form, signal, key, agent } = message;
    let mut gathered = Gathered { agent, ids: ContentIds::of(key, body), ..Gathered::default() };
    let form = wire::read(body, (form, signal), bounds, &mut gathered).map_err(|unreadable| match unreadable {
        Unreadable::TooMany => Refusal::TooLarge(format!("a request has at most {MOST} records")),
        Unreadable::Large => {
            Refusal::TooLarge(format!("the records of a request take at most {WRITTEN} bytes as JSON"))
        }
        Unreadable::Broken | Unreadable::Deep => {
            Refusal::Malformed("the body is no OTLP message of this path, in protobuf or in JSON".to_owned())
        }
    })?;
    let Gathered { claims, others, is_server, .. } = gathered;
    Ok(Batch { claims, others, is_server, form })
}

#[derive(Default)]
struct Gathered<'a> {
    agent: Option<&'a str>,
    ids: ContentIds,
    resource: Resource<'a>,
    is_server: bool,
    claims: Vec<Claim<'a>>,
    others: u64,
    written: usize,
}

impl<'a> Sink<'a> for Gathered<'a> {
    fn resource(&mut self, attributes: Vec<Attribute<'a>>) {
        self.resource = Resource::new(&attributes, self.agent);
        self.is_server |= self.resource.is_server;
    }

    fn record(&mut self, scope: Cow<'a, str>, record: Result<Record<'a>, Unreadable>) -> Result<(), Unreadable> {
        if self.claims.len() == MOST {
            return Err(Unreadable::TooMany);
        }
        let id = self.ids.at(self.claims.len());
        let claim = match record {
            Ok(record) => {
                let mut raw = event(&self.resource, scope, record);
                raw.id = raw.id.or(Some(id));
                self.written += raw.props.as_deref().map_or(0, |props| RawValue::get(props).len());
                Claim::Event(raw)
            }
            Err(unreadable) => unusable(unreadable, id),
        };
        self.claims.push(claim);
        if self.written > WRITTEN { Err(Unreadable::Large) } else { Ok(()) }
    }

    fn count(&mut self, more: u64) {
        self.others += more;
    }

    fn clear(&mut self) {
        *self = Self { agent: self.agent, ids: self.ids, ..Self::default() };
    }
}

/// Its text stays out: in this protocol nothing in it tells what names a person.
fn unusable<'a>(unreadable: Unreadable, id: EventId) -> Claim<'a> {
    let (reason, detail) = match unreadable {
        Unreadable::Deep => (Reason::TooComplex, "the record is nested too deep"),
        Unreadable::Large => (Reason::TooLarge, "the record is too large"),
        Unreadable::Broken | Unreadable::TooMany => {
            (Reason::Invalid, "the record is no object, breaks off, or has a string or number that is not valid")
        }
    };
    Claim::Unusable { reason, detail: detail.to_owned(), id: Some(id), body: "null", sent: None }
}
