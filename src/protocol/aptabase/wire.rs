//! Events as they travel, and `decode` from bytes to claims.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::{DeserializeSeed, MapAccess};
use serde_json::value::RawValue;

use super::agent::Agent;
use super::names;
use crate::ingest::{Claim, Sent};
use crate::model::{EventId, Fact, Millis, RawEvent, Reason, Refusal};
use crate::protocol::event_id::ContentIds;
use crate::protocol::json::{Filled, Found, Leaf, Members, NoList, bounded, pass};
use crate::protocol::unity;

/// How the SDK for Unity calls itself.
const UNITY: &str = "Aptabase.Unity@";

/// Longest session id that is kept whole, in bytes.
const SESSION: usize = 200;

/// What a user is called where nobody knows better; the pipeline has a name for each.
pub(super) const SOMEBODY: &str = "visitor";

/// Which of the two addresses a body came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One event: of browsers, which leave it to the server to read their `User-Agent`.
    Single,
    /// Many.
    Batch,
}

/// Who sends.
#[derive(Clone, Debug)]
pub struct Sender<'a> {
    /// The row of the key.
    pub key: i64,
    /// To which address.
    pub form: Form,
    /// By what program.
    pub agent: Agent<'a>,
}

/// One event, and what decides about it besides.
#[derive(Debug)]
pub struct Told<'a> {
    /// The event itself.
    pub claim: Claim<'a>,
    /// Whether it is of a build for debugging.
    pub is_debug: bool,
    /// Whether it says on what system it happened, and so need not be told from others by its `User-Agent`.
    pub names_system: bool,
}

#[derive(Debug, Default)]
struct Event<'a> {
    name: Leaf<'a>,
    at: Leaf<'a>,
    session: Leaf<'a>,
    system: Filled<System<'a>>,
    props: Option<&'a RawValue>,
}

impl<'de> Members<'de> for Event<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        const NAMES: [&str; 5] = ["eventName", "timestamp", "sessionId", "systemProps", "props"];
        match names::place(&NAMES, &name) {
            Some(0) => self.name = map.next_value()?,
            Some(1) => self.at = map.next_value()?,
            Some(2) => self.session = map.next_value()?,
            Some(3) => self.system = map.next_value()?,
            Some(_) => self.props = map.next_value()?,
            None => pass(map)?,
        }
        Ok(())
    }
}

#[derive(Debug, Default)]
struct System<'a>([Leaf<'a>; 10]);

impl<'de> Members<'de> for System<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        const NAMES: [&str; 10] = [
            "isDebug",
            "osName",
            "osVersion",
            "locale",
            "appVersion",
            "appBuildNumber",
            "engineName",
            "engineVersion",
            "sdkVersion",
            "deviceModel",
        ];
        match names::place(&NAMES, &name) {
            Some(place) => self.0[place] = map.next_value()?,
            None => pass(map)?,
        }
        Ok(())
    }
}

/// Reads a body of at most `most` events. An event that cannot be used becomes a [`Claim::Unusable`] and never fails the
/// others.
///
/// # Errors
/// [`Refusal::Malformed`] where it is no JSON, or empty; [`Refusal::TooLarge`] for more events.
pub fn decode<'a>(body: &'a [u8], sender: &Sender<'a>, most: usize) -> Result<Vec<Told<'a>>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))?;
    let ids = ContentIds::of(sender.key, body);
    let told: Vec<_> = match list::<Filled<Event<'_>>>(text, most) {
        Ok(events) if events.iter().all(|event| event.found == Found::Wanted && event.members.is_good()) => {
            let tell = |(at, event): (usize, Filled<Event<'a>>)| event.members.tell(sender, Some(ids.at(at)));
            events.into_iter().enumerate().map(tell).collect()
        }
        Err(NoList::TooMany) => return Err(too_many(most)),
        // As a rule every event is good, and one pass does. Else each is read again by itself, with its text at hand.
        Ok(_) | Err(NoList::Unreadable) => one_by_one(text, sender, ids, most)?,
    };
    if told.is_empty() { Err(malformed("there are no events")) } else { Ok(told) }
}

fn one_by_one<'a>(text: &'a str, sender: &Sender<'a>, ids: ContentIds, most: usize) -> Result<Vec<Told<'a>>, Refusal> {
    match list::<&RawValue>(text, most) {
        Ok(all) => Ok(all.into_iter().enumerate().map(|(at, raw)| one(raw.get(), sender, Some(ids.at(at)))).collect()),
        Err(NoList::TooMany) => Err(too_many(most)),
        Err(NoList::Unreadable) => Err(malformed("the body is not JSON")),
    }
}

/// The elements of an array, at most `most`; a text that is none is the only one.
fn list<'a, T: Deserialize<'a>>(text: &'a str, most: usize) -> Result<Vec<T>, NoList> {
    if !text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map(|one| vec![one]).map_err(|_| NoList::Unreadable);
    }
    bounded(text, most, |list, parser| list.deserialize(parser))
}

fn too_many(most: usize) -> Refusal {
    Refusal::TooLarge(format!("a request has at most {most} events"))
}

pub(super) fn malformed(problem: &str) -> Refusal {
    Refusal::Malformed(problem.to_owned())
}

/// One event by itself.
pub(super) fn one<'a>(text: &'a str, sender: &Sender<'a>, id: Option<EventId>) -> Told<'a> {
    let (detail, event) = match serde_json::from_str::<Filled<Event<'_>>>(text) {
        Ok(Filled { members, found: Found::Wanted }) if members.is_good() => return members.tell(sender, id),
        Ok(Filled { members, found: Found::Wanted }) => ("`eventName` is missing, or not a string", Some(members)),
        Ok(Filled { found: Found::Nothing | Found::Other, .. }) => ("the event is not an object", None),
        Err(_) => ("a string of the event is not valid", None),
    };
    let is_debug = event.as_ref().is_some_and(Event::is_debug);
    let sent = Sent {
        protocol: super::NAME,
        user: Some(SOMEBODY.into()),
        session: event.and_then(|event| session(event.session)),
    };
    Told { claim: unusable(detail, id, text, sent), is_debug, names_system: false }
}

pub(super) fn unusable<'a>(detail: &str, id: Option<EventId>, body: &'a str, sent: Sent<'a>) -> Claim<'a> {
    Claim::Unusable { reason: Reason::Invalid, detail: detail.to_owned(), id, body, sent: Some(sent) }
}

impl<'a> Event<'a> {
    fn is_good(&self) -> bool {
        match &self.name {
            Leaf::Text(name) => !name.trim().is_empty(),
            Leaf::Int(_) | Leaf::Large(_) => true,
            Leaf::Absent | Leaf::Bool(_) | Leaf::Double(_) | Leaf::Other => false,
        }
    }

    fn is_debug(&self) -> bool {
        self.system.members.0[0] == Leaf::Bool(true)
    }

    fn tell(self, sender: &Sender<'a>, id: Option<EventId>) -> Told<'a> {
        let is_debug = self.is_debug();
        let at = moment(self.at);
        let System([_, os, os_version, locale, version, build, engine, engine_version, sdk, device]) =
            self.system.members;
        let mut raw = RawEvent {
            // Whole seconds are too coarse to tell one event from the next, and who sends single ones never tries again.
            id: id.filter(|_| sender.form == Form::Batch || at.is_some_and(|(_, decimals)| decimals >= 3)),
            claimed_at: at.map(|(at, _)| at),
            name: filled(self.name).unwrap_or_default(),
            session: session(self.session),
            ..RawEvent::default()
        };
        let mut engine = (filled(engine), filled(engine_version));
        // React Native says so of itself in a browser.
        let os = filled(os).filter(|os| os != "web");
        let names_system = os.is_some();
        match (os, sender.form) {
            (None, Form::Single) => {
                raw.facts.set(Fact::System, sender.agent.system);
                raw.facts.set(Fact::SystemVersion, sender.agent.system_version.clone());
                if let Some((name, version)) = sender.agent.browser {
                    engine = (Some(name.into()), Some(version.into()));
                }
            }
            (os, _) => {
                raw.facts.set(Fact::System, os.map(names::system));
                raw.facts.set(Fact::SystemVersion, filled(os_version).map(|version| unless_described(version, &sdk)));
            }
        }
        raw.facts.set(Fact::Locale, filled(locale).and_then(|locale| names::locale(&locale)));
        raw.facts.set(Fact::Version, filled(version));
        raw.facts.set(Fact::Build, filled(build));
        raw.facts.set(Fact::Sdk, filled(sdk));
        raw.facts.set(Fact::Device, filled(device));
        let more = [
            ("isDebug", is_debug.then_some(Cow::Borrowed("true"))),
            ("engineName", engine.0.map(quoted)),
            ("engineVersion", engine.1.map(quoted)),
        ];
        raw.props = props(self.props, &more);
        Told { claim: Claim::Event(raw), is_debug, names_system }
    }
}

/// A string that is not empty, or a whole number as it is written.
pub(super) fn filled(leaf: Leaf<'_>) -> Option<Cow<'_, str>> {
    leaf.spelt().filter(|text| !text.trim().is_empty())
}

/// A time, and how many decimals its second has. One that cannot be read is none: there are devices that write their own
/// clock's form.
pub(super) fn moment(leaf: Leaf<'_>) -> Option<(Millis, usize)> {
    let text = filled(leaf)?;
    let at = text.parse::<Timestamp>().ok()?;
    let decimals = text.split_once('.').map_or(0, |(_, rest)| rest.bytes().take_while(u8::is_ascii_digit).count());
    Some((Millis(at.as_millisecond()), decimals))
}

pub(super) fn session<'a>(leaf: Leaf<'a>) -> Option<Cow<'a, str>> {
    let id = filled(leaf)?;
    let end = id.floor_char_boundary(SESSION);
    Some(match id {
        Cow::Borrowed(id) => Cow::Borrowed(&id[..end]),
        Cow::Owned(id) => Cow::Owned(id[..end].to_owned()),
    })
}

/// Unity puts a whole description of the system where its version belongs.
fn unless_described<'a>(version: Cow<'a, str>, sdk: &Leaf<'_>) -> Cow<'a, str> {
    match (sdk, version) {
        (Leaf::Text(sdk), Cow::Borrowed(version)) if sdk.starts_with(UNITY) => unity::version(version).into(),
        (Leaf::Text(sdk), Cow::Owned(version)) if sdk.starts_with(UNITY) => unity::version(&version).to_owned().into(),
        (_, version) => version,
    }
}

fn quoted(text: Cow<'_, str>) -> Cow<'static, str> {
    serde_json::Value::from(text.into_owned()).to_string().into()
}

/// Properties as they came, or out of the string that holds them, with what the box has no place of its own for.
fn props<'a>(raw: Option<&'a RawValue>, more: &[(&str, Option<Cow<'_, str>>)]) -> Option<Cow<'a, RawValue>> {
    let raw = raw.filter(|raw| raw.get() != "null").map(|raw| match unpacked(raw) {
        Some(unpacked) => Cow::Owned(unpacked),
        None => Cow::Borrowed(raw),
    });
    let given = raw.as_deref().map_or("{}", RawValue::get);
    let Some(inside) = given.strip_prefix('{').map(str::trim_start) else { return raw };
    let mut added = String::new();
    for (name, value) in more {
        let Some(value) = value else { continue };
        // What the app itself calls so stays.
        let key = format!("\"{name}\"");
        if !given.contains(&key) {
            added.extend([if added.is_empty() { "{" } else { "," }, &key, ":", value]);
        }
    }
    if added.is_empty() {
        return raw;
    }
    if !inside.starts_with('}') {
        added.push(',');
    }
    added.push_str(inside);
    RawValue::from_string(added).ok().map(Cow::Owned).or(raw)
}

/// The JSON that a string holds, where it does.
fn unpacked(raw: &RawValue) -> Option<Box<RawValue>> {
    let text = raw.get().starts_with('"').then(|| serde_json::from_str::<String>(raw.get()).ok())??;
    let inside = serde_json::from_str::<Box<RawValue>>(&text).ok()?;
    inside.get().starts_with(['{', '[']).then_some(inside)
}

#[cfg(test)]
mod tests;
