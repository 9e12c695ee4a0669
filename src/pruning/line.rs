//! One row as a line of JSON, and back.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::model::{
    AsideRecord, EventError, EventId, EventRecord, Fact, FactTexts, Millis, Record, SessionHash, SessionRecord,
    UserHash,
};

#[derive(Serialize, Deserialize)]
struct Event {
    id: uuid::Uuid,
    occurred_at: i64,
    claimed_at: i64,
    received_at: i64,
    name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    properties: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<Wrong>,
}

#[derive(Serialize, Deserialize)]
struct Wrong {
    group: String,
    message: String,
    crash: bool,
}

#[derive(Serialize)]
struct Session {
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    started_at: i64,
    ended_at: i64,
    events: i64,
    crashed: bool,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    facts: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Aside<'a> {
    received_at: i64,
    reason: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<uuid::Uuid>,
    body: &'a str,
}

/// Writes a row and the end of its line.
pub(super) fn write(record: Record, to: &mut impl std::io::Write) -> std::io::Result<()> {
    match record {
        Record::Event(event) => serde_json::to_writer(&mut *to, &of_event(event))?,
        Record::Session(session) => serde_json::to_writer(&mut *to, &of_session(session))?,
        Record::SetAside(AsideRecord { received_at, reason, detail, id, body }) => {
            let id = id.map(|EventId(id)| uuid::Uuid::from_bytes(id));
            let line = Aside { received_at: received_at.0, reason: &reason, detail: &detail, id, body: &body };
            serde_json::to_writer(&mut *to, &line)?;
        }
    }
    to.write_all(b"\n")
}

fn of_event(event: EventRecord) -> Event {
    let error = event.error.map(|error| Wrong { group: error.group, message: error.message, crash: error.fatal });
    Event {
        id: uuid::Uuid::from_bytes(event.id.0),
        occurred_at: event.occurred_at.0,
        claimed_at: event.claimed_at.0,
        received_at: event.received_at.0,
        name: event.name,
        category: event.category,
        user: event.user.map(|UserHash(hash)| hex::encode(hash)),
        session: event.session.map(|SessionHash(hash)| hex::encode(hash)),
        facts: texts(event.facts),
        properties: event.props.and_then(|props| RawValue::from_string(props).ok()),
        error,
    }
}

fn of_session(session: SessionRecord) -> Session {
    Session {
        session: session.session.map(|SessionHash(hash)| hex::encode(hash)),
        user: session.user.map(|UserHash(hash)| hex::encode(hash)),
        started_at: session.started_at.0,
        ended_at: session.ended_at.0,
        events: session.events,
        crashed: session.crashed,
        facts: texts(session.facts),
    }
}

fn texts(facts: FactTexts) -> BTreeMap<String, String> {
    facts.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

/// An event from its line; none where it is no such line.
pub fn event(line: &[u8]) -> Option<EventRecord> {
    let event: Event = serde_json::from_slice(line).ok()?;
    let hash = |text: Option<String>| match text {
        Some(text) => <[u8; 16]>::try_from(hex::decode(text).ok()?).ok().map(Some),
        None => Some(None),
    };
    let fact = |(name, text): (String, String)| {
        Fact::ALL.into_iter().find(|fact| fact.name() == name).map(|fact| (fact.name(), text))
    };
    Some(EventRecord {
        id: EventId(*event.id.as_bytes()),
        claimed_at: Millis(event.claimed_at),
        occurred_at: Millis(event.occurred_at),
        received_at: Millis(event.received_at),
        name: event.name,
        category: event.category,
        user: hash(event.user)?.map(UserHash),
        session: hash(event.session)?.map(SessionHash),
        facts: event.facts.into_iter().filter_map(fact).collect(),
        props: event.properties.map(|props| props.get().to_owned()),
        error: event.error.map(|error| EventError { group: error.group, message: error.message, fatal: error.crash }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_comes_back_as_it_went() {
        let whole = EventRecord {
            id: EventId([7; 16]),
            claimed_at: Millis(-5),
            occurred_at: Millis(1_800_000_000_000),
            received_at: Millis(1_800_000_000_001),
            name: "saved \"twice\"\n".to_owned(),
            category: Some("ui".to_owned()),
            user: Some(UserHash([0xab; 16])),
            session: Some(SessionHash([1; 16])),
            facts: vec![("system", "macos".to_owned()), ("version", "1.0".to_owned())],
            props: Some(r#"{"a":[1,2.50,1e400],"a":"x"}"#.to_owned()),
            error: Some(EventError { group: "E".to_owned(), message: "m".to_owned(), fatal: true }),
        };
        let bare = EventRecord {
            category: None,
            user: None,
            session: None,
            facts: Vec::new(),
            props: None,
            error: None,
            ..whole.clone()
        };
        for record in [whole, bare] {
            let mut line = Vec::new();
            write(Record::Event(record.clone()), &mut line).unwrap();
            assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            assert_eq!(event(&line), Some(record));
        }
        for odd in ["", "{}", "[]", r#"{"id":"x"}"#] {
            assert_eq!(event(odd.as_bytes()), None, "{odd}");
        }
    }
}
