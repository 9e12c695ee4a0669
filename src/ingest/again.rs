//! Events that were set aside, once more: what is written down of one for this, and how it goes through the pipeline
//! again under today's rules.
//!
//! No identifier of a person is written down: of user and session their pseudonyms are, and what names people among the
//! properties is hidden, as in the text that is shown.

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::normalize::{self, Shared};
use super::privacy::{Pseudonyms, without_identifiers};
use super::{Claim, Sent};
use crate::model::{
    App, Banned, Country, EventId, Fact, KeptAside, Limits, Millis, RawError, RawEvent, Reason, SessionHash, SetAside,
    UserHash,
};
use crate::store::{Draft, Entry};

/// How one protocol reads the text of one event.
pub type Reader = for<'a> fn(&'a str) -> Claim<'a>;

/// One event as it is written down.
#[derive(Serialize, Deserialize)]
enum Kept {
    /// One that was readable, and yet could not be kept.
    Read(Box<Readable>),
    /// One that its protocol could not read.
    Text(Text),
}

#[derive(Serialize, Deserialize)]
struct Readable {
    id: [u8; 16],
    /// Claimed, and by our clock.
    times: (i64, i64),
    name: String,
    category: Option<String>,
    user: Option<[u8; 16]>,
    session: Option<[u8; 16]>,
    facts: Vec<(String, String)>,
    props: Option<String>,
    error: Option<Wrong>,
}

#[derive(Serialize, Deserialize)]
struct Wrong {
    kind: Option<String>,
    message: Option<String>,
    fingerprint: Option<String>,
    fatal: bool,
}

#[derive(Serialize, Deserialize)]
struct Text {
    protocol: String,
    text: String,
    /// When it came, and how far its client's clock was from ours.
    arrival: (i64, i64),
    user: Option<[u8; 16]>,
    session: Option<[u8; 16]>,
    country: Option<String>,
}

/// What a request's events share, as far as it matters here.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'l> {
    pub(super) received_at: Millis,
    /// What is added to the times of its clock.
    pub(super) offset: i64,
    pub(super) country: Option<Country>,
    pub(super) limits: &'l Limits,
}

/// Writes down an event that was readable; none where it is too large to be kept whole.
pub(super) fn of_event<'a>(
    raw: &'a RawEvent<'a>,
    at: Arrival<'_>,
    pseudonyms: &mut Pseudonyms<'a>,
) -> Option<Box<str>> {
    let ids = [raw.whose(), raw.session.as_deref().filter(|id| !id.is_empty())];
    // Longer ones are refused whatever the rules, and of a pseudonym nobody could tell that.
    if ids.iter().flatten().any(|id| id.len() > at.limits.identifier_bytes) {
        return None;
    }
    let props = raw.props.as_deref().map(RawValue::get);
    if props.is_some_and(|props| props.len() > at.limits.again_bytes) {
        return None;
    }
    let (claimed, occurred) = normalize::times(raw.claimed_at, at.offset, at.received_at);
    let facts = normalize::facts(&raw.facts, at.country);
    let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(|text| kept_text(text, at.limits).to_owned());
    let kept = Readable {
        id: raw.id.unwrap_or_else(EventId::random).0,
        times: (claimed.0, occurred.0),
        name: kept_text(&raw.name, at.limits).to_owned(),
        category: text(&raw.category),
        user: ids[0].map(|id| pseudonyms.user(id).0),
        session: ids[1].map(|id| pseudonyms.session(id).0),
        facts: Fact::ALL
            .into_iter()
            .filter_map(|fact| Some((fact.name().to_owned(), facts.get(fact)?.to_owned())))
            .collect(),
        props: props.map(|props| without_identifiers(props, usize::MAX)),
        error: raw.error.as_ref().map(|error| Wrong {
            kind: text(&error.kind),
            message: text(&error.message),
            fingerprint: text(&error.fingerprint),
            fatal: error.fatal,
        }),
    };
    written(&Kept::Read(Box::new(kept)), at.limits)
}

/// Writes down an event that its protocol could not read; none where it is too large, or no JSON.
pub(super) fn of_text<'a>(
    sent: &'a Sent<'a>,
    body: &str,
    at: Arrival<'_>,
    pseudonyms: &mut Pseudonyms<'a>,
) -> Option<Box<str>> {
    if body.len() > at.limits.again_bytes || serde_json::from_str::<&RawValue>(body).is_err() {
        return None;
    }
    let id = |id: &'a Option<Cow<'a, str>>| id.as_deref().filter(|id| !id.is_empty());
    let (user, session) = (id(&sent.user), id(&sent.session));
    if [user, session].into_iter().flatten().any(|id| id.len() > at.limits.identifier_bytes) {
        return None;
    }
    let kept = Text {
        protocol: sent.protocol.to_owned(),
        text: without_identifiers(body, usize::MAX),
        arrival: (at.received_at.0, at.offset),
        user: user.map(|user| pseudonyms.user(user).0),
        session: session.map(|session| pseudonyms.session(session).0),
        country: at.country.map(|country| country.code().to_owned()),
    };
    written(&Kept::Text(kept), at.limits)
}

/// Enough of a name or message: what is longer is cut later anyhow.
fn kept_text<'t>(text: &'t str, limits: &Limits) -> &'t str {
    &text[..text.floor_char_boundary(4 * limits.name_bytes.max(1_000))]
}

fn written(kept: &Kept, limits: &Limits) -> Option<Box<str>> {
    let text = serde_json::to_string(kept).ok()?;
    (text.len() <= limits.again_bytes).then(|| text.into())
}

/// An event that was set aside, as a draft of its own; none where too little of it is kept.
pub(super) fn draft(
    kept: &KeptAside,
    app: Arc<App>,
    now: Millis,
    (limits, oldest): (&Limits, Millis),
    readers: &[(&'static str, Reader)],
) -> Option<Draft> {
    let entry = match serde_json::from_str(kept.again.as_deref()?).ok()? {
        Kept::Read(readable) => readable.entry(now, (limits, oldest)),
        Kept::Text(text) => {
            let (_, reader) = readers.iter().find(|(name, _)| *name == text.protocol)?;
            text.entry(reader(&text.text), now, (limits, oldest))
        }
    };
    Some(Draft { entries: vec![entry], again: Some(kept.id), ..Draft::new(app, kept.environment, now) })
}

/// Whether it is of somebody who has been banned since: then it stays aside.
pub(super) fn is_banned(draft: &Draft, banned: &Banned) -> bool {
    draft.entries.iter().any(|entry| match entry {
        Entry::Event(event) | Entry::Restored(event) => event.user.is_some_and(|user| banned.users.contains(&user)),
        Entry::SetAside(_) | Entry::Banned | Entry::Withheld(_) => false,
    })
}

impl Readable {
    fn entry(self, now: Millis, bounds: (&Limits, Millis)) -> Entry {
        let props = self.props.and_then(|props| RawValue::from_string(props).ok());
        let mut raw = RawEvent {
            id: Some(EventId(self.id)),
            name: self.name.into(),
            category: self.category.map(Into::into),
            props: props.map(Cow::Owned),
            error: self.error.map(|error| RawError {
                kind: error.kind.map(Into::into),
                message: error.message.map(Into::into),
                fingerprint: error.fingerprint.map(Into::into),
                fatal: error.fatal,
            }),
            ..RawEvent::default()
        };
        for (name, value) in self.facts {
            if let Some(fact) = Fact::ALL.into_iter().find(|fact| fact.name() == name) {
                raw.facts.set(fact, Some(value));
            }
        }
        let times = (Millis(self.times.0), Millis(self.times.1));
        judged(&raw, times, (self.user, self.session), (now, bounds))
    }
}

impl Text {
    fn entry(&self, claim: Claim<'_>, now: Millis, bounds: (&Limits, Millis)) -> Entry {
        match claim {
            Claim::Unusable { reason, detail, id, .. } => unusable(reason, detail, id),
            Claim::Banned => Entry::Banned, // no reader says so
            Claim::Event(mut raw) => {
                if raw.facts.get(Fact::Country).is_none() {
                    raw.facts.set(Fact::Country, self.country.as_deref());
                }
                // What is read in their place is only the mark of something hidden.
                let user = raw.user.take().and(self.user);
                let session = raw.session.take().and(self.session);
                let (received_at, offset) = self.arrival;
                let times = normalize::times(raw.claimed_at, offset, Millis(received_at));
                judged(&raw, times, (user, session), (now, bounds))
            }
        }
    }
}

fn judged(
    raw: &RawEvent<'_>,
    times: (Millis, Millis),
    (user, session): (Option<[u8; 16]>, Option<[u8; 16]>),
    (now, (limits, oldest)): (Millis, (&Limits, Millis)),
) -> Entry {
    let refused = normalize::refuse(raw, limits).or_else(|| normalize::outlived(times.1, now, oldest));
    if let Some((reason, detail)) = refused {
        return unusable(reason, detail, raw.id);
    }
    let mut event = normalize::event(raw, times, limits, &mut Shared::default(), &mut Pseudonyms::none());
    event.user = user.map(UserHash);
    event.session = session.map(SessionHash);
    Entry::Event(event)
}

/// Its text stays what it is.
fn unusable(reason: Reason, detail: String, id: Option<EventId>) -> Entry {
    Entry::SetAside(SetAside { reason, detail, id, body: Box::default(), again: None })
}
