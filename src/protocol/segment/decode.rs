//! From a body to claims: what the calls of an SDK say of events and of people.

use std::net::IpAddr;

use serde_json::value::RawValue;

use super::leaf::Leaf;
use super::message::{Fault, Reader, Said, unusable};
use super::wire::{self, Message};
use crate::ingest::Claim;
use crate::model::{Country, IngestKeyId, Millis, RawPerson, Refusal};
use crate::protocol::json::{NoList, Object};
use crate::protocol::moment;

/// What was sent so long before all that it tells of was not sent then, in milliseconds.
const BEFORE: i64 = 5 * Millis::SECOND;

/// The calls of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Something happened.
    Track,
    /// A page was seen.
    Page,
    /// A screen was seen.
    Screen,
    /// Who a user is.
    Identify,
    /// To which group a user belongs.
    Group,
    /// Two names are of one user.
    Alias,
}

impl Kind {
    /// Every call, as `type` names it.
    pub const ALL: [(Self, &'static str); 6] = [
        (Self::Track, "track"),
        (Self::Page, "page"),
        (Self::Screen, "screen"),
        (Self::Identify, "identify"),
        (Self::Group, "group"),
        (Self::Alias, "alias"),
    ];

    /// The call that `type` names.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, name)| *name == text).map(|(kind, _)| kind)
    }
}

/// What a body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `{"batch":[...]}`.
    Batch,
    /// The same, of things past: the time of sending corrects nothing.
    Import,
    /// One message, its call told by the path.
    One(Kind),
}

/// Who sends, as far as it is told beside the body.
pub struct Sender<'s> {
    /// The key, a part of ids that are made here.
    pub key: Option<IngestKeyId>,
    /// What a web page's browser calls itself.
    pub browser: Option<&'s str>,
    /// The country of an address.
    pub country: &'s dyn Fn(IpAddr) -> Option<Country>,
}

/// What a body says.
#[derive(Debug, Default)]
pub struct Decoded<'a> {
    /// Events, and messages that cannot be used.
    pub claims: Vec<Claim<'a>>,
    /// Who users are.
    pub people: Vec<RawPerson<'a>>,
    /// When it was sent, by the client's clock, where that can be right.
    pub sent_at: Option<Millis>,
    /// Whether a user's own machine has sent it, so that its address tells where the user is.
    pub from_user: bool,
}

/// Reads a body of at most `most` messages. One that cannot be used becomes a [`Claim::Unusable`] and never fails the
/// others.
///
/// # Errors
/// [`Refusal::Malformed`] where the body is not of that form; [`Refusal::TooLarge`] for more messages.
pub fn decode<'a>(body: &'a [u8], form: Form, sender: &Sender<'_>, most: usize) -> Result<Decoded<'a>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))?;
    let reading = |context| Reading { form, reader: Reader::new(sender, context, body), decoded: Decoded::new() };
    if let Form::One(_) = form {
        let text = text.trim_ascii();
        if !text.starts_with('{') || serde_json::from_str::<&RawValue>(text).is_err() {
            return Err(malformed("the body is not a JSON object"));
        }
        return Ok(reading(None).one_by_one([text].into_iter(), None));
    }
    // As a rule every message is good, and one pass does. Else each is read again by itself, with its text at hand.
    match wire::batch::<Object<Message<'a>>>(text, most) {
        Ok(batch) => {
            if let Some(decoded) = reading(batch.context).all(batch.messages, &batch.sent_at) {
                return Ok(decoded);
            }
        }
        Err(NoList::TooMany) => return Err(too_many(most)),
        Err(NoList::Unreadable) => {}
    }
    match wire::batch::<&RawValue>(text, most) {
        Ok(batch) => {
            let texts = batch.messages.into_iter().map(RawValue::get);
            Ok(reading(batch.context).one_by_one(texts, batch.sent_at.text()))
        }
        Err(NoList::TooMany) => Err(too_many(most)),
        Err(NoList::Unreadable) => Err(malformed(r#"the body is not JSON of the form {"batch":[...]}"#)),
    }
}

/// One message by itself, once more: its text says which call it is.
pub fn claim(text: &str) -> Claim<'_> {
    let sender = Sender { key: None, browser: None, country: &|_| None };
    let reader = Reader::new(&sender, None, text.as_bytes());
    let reading = Reading { form: Form::Import, reader, decoded: Decoded::new() };
    let claim = reading.one_by_one([text].into_iter(), None).claims.pop();
    claim.unwrap_or_else(|| unusable(text, Fault("the message is no event".to_owned()), None))
}

fn malformed(problem: &str) -> Refusal {
    Refusal::Malformed(problem.to_owned())
}

fn too_many(most: usize) -> Refusal {
    Refusal::TooLarge(format!("a batch has at most {most} messages"))
}

impl Decoded<'_> {
    fn new() -> Self {
        Self { from_user: true, ..Self::default() }
    }
}

/// A body half read.
struct Reading<'a, 's> {
    form: Form,
    reader: Reader<'a, 's>,
    decoded: Decoded<'a>,
}

impl<'a> Reading<'a, '_> {
    /// All messages, or nothing where one cannot be used.
    fn all(mut self, messages: Vec<Object<Message<'a>>>, sent_at: &Leaf<'a>) -> Option<Decoded<'a>> {
        let times = Times::of(messages.iter().map(|message| &message.0));
        self.decoded.claims.reserve(messages.len());
        for (index, Object(message)) in messages.into_iter().enumerate() {
            self.take(message, index).ok()?;
        }
        Some(self.end(times, sent_at.text()))
    }

    fn one_by_one(mut self, texts: impl Iterator<Item = &'a str>, sent_at: Option<&str>) -> Decoded<'a> {
        let mut times = Times::default();
        for (index, text) in texts.enumerate() {
            let (message, fault) = match wire::message(text) {
                Ok(message) => {
                    times.note(&message);
                    let kept = message.clone();
                    (Some(kept), self.take(message, index).err())
                }
                Err(_) if text.starts_with('{') => {
                    let detail = "a member occurs twice, or a string or number in it is not valid".to_owned();
                    (None, Some(Fault(detail)))
                }
                Err(_) => (None, Some(Fault("the message is not an object".to_owned()))),
            };
            if let Some(fault) = fault {
                // Without its path nobody could tell which call it is.
                let again = message.filter(|message| message.kind.text().is_some());
                self.decoded.claims.push(unusable(text, fault, again));
            }
        }
        self.end(times, sent_at)
    }

    fn take(&mut self, message: Message<'a>, index: usize) -> Result<(), Fault> {
        let of_path = if let Form::One(kind) = self.form { Some(kind) } else { None };
        self.decoded.from_user &= self.reader.is_from_user(&message);
        match self.reader.read(message, of_path, index)? {
            Said::Event(event) => self.decoded.claims.push(Claim::Event(event)),
            Said::People(people) => self.decoded.people.extend(people.into_iter().flatten()),
        }
        Ok(())
    }

    fn end(mut self, times: Times, sent_at: Option<&str>) -> Decoded<'a> {
        let sent_at = sent_at.and_then(moment::parse).or(times.sent_at).filter(|_| self.form != Form::Import);
        self.decoded.sent_at =
            sent_at.filter(|sent| times.earliest.is_none_or(|earliest| earliest.since(*sent) <= BEFORE));
        self.decoded
    }
}

/// What the messages of a body say of times.
#[derive(Default)]
struct Times {
    /// When the first message that says it was sent.
    sent_at: Option<Millis>,
    /// The earliest of all.
    earliest: Option<Millis>,
}

impl Times {
    fn of<'m, 'a: 'm>(messages: impl Iterator<Item = &'m Message<'a>>) -> Self {
        messages.fold(Self::default(), |mut times, message| {
            times.note(message);
            times
        })
    }

    fn note(&mut self, message: &Message<'_>) {
        self.sent_at = self.sent_at.or_else(|| message.sent_at.text().and_then(moment::parse));
        self.earliest = match (self.earliest, message.time()) {
            (Some(earliest), Some(time)) => Some(earliest.min(time)),
            (earliest, time) => earliest.or(time),
        };
    }
}
