//! The body of `POST /v1/events` (`teardown`, section 10.1).

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::json::{Invalid, Place};
use crate::model::Millis;

/// Most events of a batch.
pub const MOST: usize = 100;
/// Longest name of an event, in characters.
const NAME: usize = 255;
/// Largest properties of an event, in bytes as they came.
const PROPERTIES: usize = 32 << 10;
/// Longest id or time that is looked at.
const TEXT: usize = 1_024;

/// The body, checked.
#[derive(Debug)]
pub struct Batch<'a> {
    /// The session of events that name none.
    pub session: Option<Cow<'a, str>>,
    /// The device of events that name none.
    pub device: Option<Cow<'a, str>>,
    /// 1 to [`MOST`].
    pub events: Vec<Event<'a>>,
}

/// One event.
#[derive(Debug)]
pub struct Event<'a> {
    /// At least one character.
    pub name: Cow<'a, str>,
    /// `action`, `screen_view` or `custom`.
    pub kind: &'static str,
    /// An object.
    pub properties: Option<&'a RawValue>,
    /// The client's time, where it can be read.
    pub at: Option<Millis>,
    /// The session it names.
    pub session: Option<Uuid>,
    /// The device it names.
    pub device: Option<Cow<'a, str>>,
    /// All of it, as it came.
    pub text: &'a str,
}

impl Event<'_> {
    /// Whether it says that somebody signed out (`teardown`, section 10.4).
    pub fn is_sign_out(&self) -> bool {
        self.kind == "action" && self.name == "user_signed_out"
    }
}

/// Why there is no batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoBatch {
    /// More than [`MOST`] events: so many.
    TooMany(usize),
    /// It breaks the schema.
    Invalid(Invalid),
}

impl From<Invalid> for NoBatch {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

/// Reads a body. One event that breaks the schema makes the whole batch invalid.
pub fn read(body: &[u8]) -> Result<Batch<'_>, NoBatch> {
    let top = Place::top(body)?;
    let top = top.object()?;
    let list = top.required("events")?;
    let events = list.list()?;
    match events.len() {
        0 => return Err(list.invalid(format_args!("must hold 1 to {MOST} entries")).into()),
        1..=MOST => {}
        more => return Err(NoBatch::TooMany(more)),
    }
    let events = events.iter().map(event).collect::<Result<_, _>>()?;
    Ok(Batch { session: top.filled("session_id", TEXT)?, device: top.filled("device_id", TEXT)?, events })
}

fn event<'a>(place: &Place<'_, 'a>) -> Result<Event<'a>, Invalid> {
    let event = place.object()?;
    let name = event.required("event_name")?;
    let text = name.text(NAME)?;
    if text.is_empty() {
        return Err(name.invalid("must not be empty"));
    }
    let known = |word: &str| ["action", "screen_view", "custom"].into_iter().find(|kind| *kind == word);
    let kind = event.optional("event_type").map(|kind| kind.one_of("event type", known)).transpose()?;
    let properties = event.optional("properties").map(|place| properties(&place)).transpose()?;
    let at = event.filled("timestamp", TEXT)?.and_then(|text| text.parse::<Timestamp>().ok());
    let session = event.optional("session_id").map(|place| session(&place)).transpose()?;
    Ok(Event {
        name: text,
        kind: kind.unwrap_or("custom"),
        properties,
        at: at.map(|at| Millis(at.as_millisecond())),
        session,
        device: event.filled("device_id", TEXT)?,
        text: place.raw().get(),
    })
}

fn properties<'a>(place: &Place<'_, 'a>) -> Result<&'a RawValue, Invalid> {
    let raw = place.raw();
    if !raw.get().starts_with('{') {
        return Err(place.invalid("must be an object"));
    }
    if raw.get().len() > PROPERTIES {
        return Err(place.invalid(format_args!("must have at most {PROPERTIES} bytes")));
    }
    Ok(raw)
}

fn session(place: &Place<'_, '_>) -> Result<Uuid, Invalid> {
    Uuid::try_parse(&place.text(TEXT)?).map_err(|_| place.invalid("must be a UUID"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn one(event: &Value) -> Vec<u8> {
        json!({ "events": [event] }).to_string().into_bytes()
    }

    #[track_caller]
    fn refused_at(body: &[u8], property: &str) {
        match read(body) {
            Err(NoBatch::Invalid(invalid)) => assert_eq!(invalid.property, property, "{}", invalid.summary),
            other => panic!("{}: {other:?}", String::from_utf8_lossy(body)),
        }
    }

    #[test]
    fn event_of_the_client_is_read() {
        let text = one(&json!({
            "event_name": "purchase_completed", "event_type": "action", "properties": { "amount": 99.99 },
            "timestamp": "2026-01-01T00:03:10.120Z"
        }));
        let batch = read(&text).unwrap();
        assert!(batch.session.is_none() && batch.device.is_none());
        let [event] = &batch.events[..] else { panic!("{batch:?}") };
        assert_eq!((&*event.name, event.kind), ("purchase_completed", "action"));
        assert_eq!(event.properties.unwrap().get(), r#"{"amount":99.99}"#);
        assert_eq!(event.at, Some(Millis(1_767_225_790_120)));
        assert!(event.session.is_none() && event.device.is_none() && !event.is_sign_out());
    }

    #[test]
    fn what_may_be_left_out_is() {
        let text = one(&json!({ "event_name": "a", "timestamp": "yesterday", "device_id": "", "properties": null }));
        let batch = read(&text).unwrap();
        let event = &batch.events[0];
        assert_eq!((event.kind, event.at, event.device.is_none()), ("custom", None, true));
        assert!(event.properties.is_none());
    }

    #[test]
    fn sign_out_is_an_action_of_that_name() {
        for (name, kind, is) in [
            ("user_signed_out", "action", true),
            ("user_signed_out", "custom", false),
            ("user_signed_in", "action", false),
        ] {
            let text = one(&json!({ "event_name": name, "event_type": kind }));
            assert_eq!(read(&text).unwrap().events[0].is_sign_out(), is, "{name} {kind}");
        }
    }

    #[test]
    fn batch_holds_one_to_a_hundred() {
        let batch = |count: usize| json!({ "events": vec![json!({ "event_name": "a" }); count] }).to_string();
        assert_eq!(read(batch(100).as_bytes()).unwrap().events.len(), 100);
        assert_eq!(read(batch(101).as_bytes()).unwrap_err(), NoBatch::TooMany(101));
        let Err(NoBatch::Invalid(empty)) = read(b"{\"events\":[]}") else { panic!("it fits") };
        assert_eq!((empty.property.as_str(), empty.summary.as_str()), ("/events", "events must hold 1 to 100 entries"));
    }

    #[test]
    fn first_fault_makes_the_batch_invalid() {
        for (event, property) in [
            (json!({}), "/events/0/event_name"),
            (json!({ "event_name": "" }), "/events/0/event_name"),
            (json!({ "event_name": "x".repeat(256) }), "/events/0/event_name"),
            (json!({ "event_name": "a", "event_type": "click" }), "/events/0/event_type"),
            (json!({ "event_name": "a", "properties": [1] }), "/events/0/properties"),
            (json!({ "event_name": "a", "properties": { "a": "x".repeat(32 << 10) } }), "/events/0/properties"),
            (json!({ "event_name": "a", "session_id": "7" }), "/events/0/session_id"),
            (json!({ "event_name": "a", "timestamp": 7 }), "/events/0/timestamp"),
            (json!("a"), "/events/0"),
        ] {
            refused_at(&one(&event), property);
        }
        refused_at(b"{}", "/events");
        refused_at(br#"{"events":{}}"#, "/events");
        refused_at(br#"{"events":[{"event_name":"a"},{"event_name":7}]}"#, "/events/1/event_name");
        refused_at(br#"{"events":[{"event_name":"a"}],"device_id":7}"#, "/device_id");
    }
}
