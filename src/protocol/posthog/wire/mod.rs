//! The bodies of PostHog: `decode` from bytes to claims.

mod event;
mod exception;
mod json;
mod properties;

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::event::{Event, Reading, Told};
use self::json::Envelope;
use crate::ingest::{Claim, Sent};
use crate::model::{EventId, Millis, RawPerson, Reason, Refusal};
use crate::protocol::event_id::id_of;
use crate::protocol::json::{Filled, Found, NoList};

pub use self::event::{Place, time};

/// Bodies as they are sent to all paths but the newest, or to that one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form<'a> {
    /// `{"api_key":..., "batch":[...]}`, a bare array, or a single event.
    Older {
        /// The client's clock when it sent, where the address tells it.
        sent_at: Option<Millis>,
    },
    /// `{"created_at":..., "batch":[...]}`: key, clock and SDK stand in headers.
    Newer {
        /// The client's clock when it sent.
        sent_at: Option<Millis>,
        /// Its SDK.
        sdk: Option<&'a str>,
    },
}

/// All that a request holds.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Whose it is, where the body says so.
    pub key: Option<Cow<'a, str>>,
    /// The client's clock when it sent, if times are to be corrected by that.
    pub sent_at: Option<Millis>,
    /// In the order of the body.
    pub items: Vec<Item<'a>>,
}

/// One event of a request.
#[derive(Debug)]
pub struct Item<'a> {
    /// Its id as it stands, where it has one.
    pub uuid: Option<Cow<'a, str>>,
    /// What goes to the pipeline; nothing for what tells of a person alone, and for recordings.
    pub claim: Option<Claim<'a>>,
    /// What it tells of a person: few events do.
    pub person: Option<Box<RawPerson<'a>>>,
    /// Where its user is.
    pub place: Place,
    /// Whether its user is to be told apart by address and agent; and the agent, where the event names it.
    pub cookieless: Option<Option<Cow<'a, str>>>,
}

/// What a request says of all its events, its key aside.
struct Head<'a> {
    told: Told<'a>,
    /// Whether times are corrected by the client's clock.
    corrected: bool,
}

/// The key that a request is sent with. That of the whole counts before those of its events.
struct Keys<'a> {
    key: Option<Cow<'a, str>>,
    of_all: bool,
}

/// Reads a request of at most `most` events. One that cannot be used becomes a [`Claim::Unusable`] and never fails the
/// others.
///
/// # Errors
/// [`Refusal::Malformed`] where the body is of no form that is known, or holds nothing; [`Refusal::TooLarge`] for more
/// events; [`Refusal::WrongCredential`] where the events of one body name several keys.
pub fn decode<'a>(body: &'a [u8], form: Form<'a>, most: usize) -> Result<Batch<'a>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))?;
    // As a rule every event is good, and one pass does. Else each is read again by itself, with its text at hand.
    let read = match json::envelope::<Filled<Event<'_>>>(text, most) {
        Ok(envelope) => all(envelope, form)?,
        Err(NoList::TooMany) => return Err(too_many(most)),
        Err(NoList::Unreadable) => None,
    };
    let batch = match read {
        Some(batch) => batch,
        None => one_by_one(text, form, most)?,
    };
    if batch.items.is_empty() { Err(malformed("the batch is empty")) } else { Ok(batch) }
}

/// One event by itself.
pub fn claim(text: &str) -> Claim<'_> {
    match Parsed::of(text, &Told::default()).outcome {
        Ok(Reading { event: Some(event), .. }) => Claim::Event(event),
        Ok(_) => unusable(text, "it tells of a person, or is a recording, and is no event", None, [None, None]),
        Err(claim) => claim,
    }
}

/// The events of an envelope that were all read; nothing where one is not good, or where there is no envelope.
fn all<'a>(envelope: Envelope<'a, Filled<Event<'a>>>, form: Form<'a>) -> Result<Option<Batch<'a>>, Refusal> {
    let (head, mut keys, Some(events)) = Head::of(envelope, form) else { return Ok(None) };
    let (mut items, mut corrected) = (Vec::with_capacity(events.len()), head.corrected);
    for Filled { members: event, .. } in events {
        keys.add(event.key())?;
        let uuid = event.uuid();
        let Ok(reading) = event.read(&head.told) else { return Ok(None) };
        corrected &= !reading.uncorrected;
        items.push(Item::of(uuid, reading));
    }
    Ok(Some(Batch { key: keys.key, sent_at: head.told.sent_at.filter(|_| corrected), items }))
}

fn one_by_one<'a>(text: &'a str, form: Form<'a>, most: usize) -> Result<Batch<'a>, Refusal> {
    let envelope = json::envelope::<&RawValue>(text, most).map_err(|e| match e {
        NoList::TooMany => too_many(most),
        NoList::Unreadable => malformed("the body is no JSON of a form that holds events"),
    })?;
    let (head, mut keys, events) = Head::of(envelope, form);
    let events = match events {
        Some(events) => events,
        None if matches!(form, Form::Older { .. }) => serde_json::from_str(text).into_iter().collect(),
        None => return Err(malformed("`batch` is missing")),
    };
    let (mut items, mut corrected) = (Vec::with_capacity(events.len()), head.corrected);
    for raw in events {
        let Parsed { uuid, key, outcome } = Parsed::of(raw.get(), &head.told);
        keys.add(key)?;
        items.push(match outcome {
            Ok(reading) => {
                corrected &= !reading.uncorrected;
                Item::of(uuid, reading)
            }
            Err(claim) => Item { uuid, claim: Some(claim), person: None, place: Place::Unknown, cookieless: None },
        });
    }
    Ok(Batch { key: keys.key, sent_at: head.told.sent_at.filter(|_| corrected), items })
}

/// One event, read by itself.
struct Parsed<'a> {
    uuid: Option<Cow<'a, str>>,
    key: Option<Cow<'a, str>>,
    outcome: Result<Reading<'a>, Claim<'a>>,
}

impl<'a> Parsed<'a> {
    fn of(text: &'a str, told: &Told<'a>) -> Self {
        let (event, fault) = match serde_json::from_str::<Filled<Event<'_>>>(text) {
            Ok(Filled { members, found: Found::Wanted | Found::Nothing }) => (members, None),
            Ok(Filled { members, found: Found::Other }) => (members, Some("the event is not an object")),
            // The parser's own message would quote values of the event.
            Err(_) => (Event::default(), Some("a string or a number in the event is not valid")),
        };
        let (uuid, key, names) = (event.uuid(), event.key(), event.names());
        let outcome = match fault {
            Some(fault) => Err(fault),
            None => event.read(told),
        };
        let id = uuid.as_deref().map(id_of);
        Self { outcome: outcome.map_err(|fault| unusable(text, fault, id, names)), uuid, key }
    }
}

fn unusable<'a>(
    body: &'a str,
    detail: &'static str,
    id: Option<EventId>,
    [user, session]: [Option<Cow<'a, str>>; 2],
) -> Claim<'a> {
    let sent = Some(Sent { protocol: super::NAME, user, session });
    Claim::Unusable { reason: Reason::Invalid, detail: detail.to_owned(), id, body, sent }
}

impl<'a> Head<'a> {
    fn of<T>(envelope: Envelope<'a, T>, form: Form<'a>) -> (Self, Keys<'a>, Option<Vec<T>>) {
        let Envelope { key, sent_at, historical, events } = envelope;
        let told = match form {
            Form::Older { sent_at: by_address } => {
                Told { sent_at: sent_at.and_then(|text| time(&text)).or(by_address), sdk: None }
            }
            Form::Newer { sent_at, sdk } => Told { sent_at, sdk },
        };
        let keys = Keys { of_all: key.is_some(), key };
        (Self { told, corrected: !historical }, keys, events)
    }
}

impl<'a> Keys<'a> {
    fn add(&mut self, key: Option<Cow<'a, str>>) -> Result<(), Refusal> {
        match (&self.key, key) {
            _ if self.of_all => {}
            (_, None) => {}
            (None, key) => self.key = key,
            (Some(known), Some(key)) if *known == key => {}
            (Some(_), Some(_)) => return Err(Refusal::WrongCredential("the events of one body name several keys")),
        }
        Ok(())
    }
}

impl<'a> Item<'a> {
    fn of(uuid: Option<Cow<'a, str>>, reading: Reading<'a>) -> Self {
        let Reading { event, person, place, cookieless, uncorrected: _ } = reading;
        Self { uuid, claim: event.map(Claim::Event), person, place, cookieless }
    }
}

fn malformed(problem: &str) -> Refusal {
    Refusal::Malformed(problem.to_owned())
}

fn too_many(most: usize) -> Refusal {
    Refusal::TooLarge(format!("a batch has at most {most} events"))
}

#[cfg(test)]
mod tests;
