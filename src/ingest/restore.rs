//! Events that have been events before, here or in another box: from their record to what we vouch for, within today's
//! bounds.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::failure::{GROUP, MESSAGE};
use super::normalize::{self, Shared};
use super::privacy::Pseudonyms;
use crate::model::{Event, EventError, EventRecord, Fact, Limits, Millis, RawEvent, Salt, SessionHash, UserHash};

/// Whose key the pseudonyms of a record are of.
#[derive(Clone, Copy, Debug)]
pub enum Names<'a> {
    /// The app's own: they stay.
    Own,
    /// Another one's: they are hashed once more under this key. So somebody stays one person among what is imported, and is
    /// never the person whom the app's own SDK names.
    Other(&'a Salt),
}

impl Names<'_> {
    fn user(self, UserHash(hash): UserHash) -> UserHash {
        match self {
            Self::Own => UserHash(hash),
            Self::Other(salt) => Pseudonyms::new(salt).user(&format!("imported {}", hex::encode(hash))),
        }
    }

    fn session(self, SessionHash(hash): SessionHash) -> SessionHash {
        match self {
            Self::Own => SessionHash(hash),
            Self::Other(salt) => Pseudonyms::new(salt).session(&format!("imported {}", hex::encode(hash))),
        }
    }
}

/// The event of a record; none where today's bounds do not let it in, or its times make no sense at `now`.
pub fn vouch(record: &EventRecord, names: Names<'_>, limits: &Limits, now: Millis) -> Option<Event> {
    let props = match &record.props {
        Some(props) => Some(RawValue::from_string(props.clone()).ok()?),
        None => None,
    };
    let mut raw = RawEvent {
        id: Some(record.id),
        name: record.name.as_str().into(),
        category: record.category.as_deref().map(Into::into),
        props: props.map(Cow::Owned),
        ..RawEvent::default()
    };
    for fact in Fact::ALL {
        let text = record.facts.iter().find(|(name, _)| *name == fact.name());
        raw.facts.set(fact, text.map(|(_, text)| text.as_str()));
    }
    let times = (record.claimed_at, record.occurred_at);
    let plausible = normalize::times(Some(record.occurred_at), 0, record.received_at).1 == record.occurred_at;
    if !plausible || record.received_at > now || normalize::refuse(&raw, limits).is_some() {
        return None;
    }
    let mut event = normalize::event(&raw, times, limits, &mut Shared::default(), &mut Pseudonyms::none());
    event.user = record.user.map(|user| names.user(user));
    event.session = record.session.map(|session| names.session(session));
    event.error = record.error.as_ref().map(|error| {
        Box::new(EventError {
            group: normalize::bounded(&error.group, GROUP).into_owned(),
            message: normalize::bounded(&error.message, MESSAGE).into_owned(),
            fatal: error.fatal,
        })
    });
    Some(event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventId;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn record() -> EventRecord {
        EventRecord {
            id: EventId([1; 16]),
            claimed_at: NOW.plus(-10),
            occurred_at: NOW.plus(-10),
            received_at: NOW.plus(-5),
            name: "saved".to_owned(),
            category: None,
            user: Some(UserHash([2; 16])),
            session: Some(SessionHash([3; 16])),
            facts: Vec::new(),
            props: None,
            error: None,
        }
    }

    #[test]
    fn somebody_stays_one_person_and_becomes_nobody_whom_the_app_knows() {
        let limits = Limits::default();
        let user = |names| vouch(&record(), names, &limits, NOW).unwrap().user.unwrap();
        let (one, other) = (Salt([1; 32]), Salt([2; 32]));
        assert_eq!(user(Names::Own), UserHash([2; 16]));
        assert_eq!(user(Names::Other(&one)), user(Names::Other(&one)));
        assert_ne!(user(Names::Other(&one)), user(Names::Other(&other)));
        assert_ne!(user(Names::Other(&one)), UserHash([2; 16]));
    }

    #[test]
    fn what_no_box_would_have_taken_does_not_come_in() {
        let limits = Limits::default();
        let deep = format!("{}{}", "[".repeat(40), "]".repeat(40));
        for bad in [
            EventRecord { name: String::new(), ..record() },
            EventRecord { props: Some(deep), ..record() },
            EventRecord { props: Some("{".to_owned()), ..record() },
            EventRecord { occurred_at: Millis(5), ..record() },
            EventRecord { occurred_at: NOW, ..record() },
            EventRecord { received_at: NOW.plus(Millis::DAY), ..record() },
        ] {
            assert!(vouch(&bad, Names::Own, &limits, NOW).is_none(), "{bad:?}");
        }
        assert!(vouch(&record(), Names::Own, &limits, NOW).is_some());
    }
}
