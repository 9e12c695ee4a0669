//! One event as clients send it, and what it comes to.

mod facts;
mod who;

use std::borrow::Cow;
use std::net::IpAddr;

use serde::de::MapAccess;
use serde_json::value::RawValue;
use uuid::Uuid;

use self::who::{Who, cut};
use super::exception;
use super::json;
use super::properties::{Known, Properties};
use crate::model::{Fact, Millis, RawError, RawEvent, RawPerson};
use crate::protocol::event_id::id_of;
use crate::protocol::json::{Filled, Found, Members, pass};
use crate::protocol::moment;

/// What happened to a person, and not in the app: kept with people, as far as the box has a place for it.
const STATES: [&str; 7] =
    ["$identify", "$set", "$set_once", "$unset", "$create_alias", "$merge_dangerously", "$groupidentify"];

/// The time of an event that says none but has an id: so early that the event counts as of its arrival.
const NO_TIME: Millis = Millis(0);

/// Recordings of what stood on a screen, which are not kept.
const RECORDING: &str = "$snapshot";

/// One event, its members not looked at.
#[derive(Default)]
pub struct Event<'a> {
    uuid: Option<&'a RawValue>,
    key: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
    distinct_id: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    offset: Option<&'a RawValue>,
    set: Option<&'a RawValue>,
    set_once: Option<&'a RawValue>,
    session: Option<&'a RawValue>,
    options: Options<'a>,
    properties: Properties<'a>,
    /// Whether the properties are none.
    broken: bool,
}

/// What the newer form has outside of the properties.
#[derive(Default)]
struct Options<'a> {
    cookieless: Option<&'a RawValue>,
    uncorrected: Option<&'a RawValue>,
    person: Option<&'a RawValue>,
}

impl<'de> Members<'de> for Event<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        let place = match &*name {
            "properties" => {
                let properties = map.next_value::<Filled<Properties<'de>>>()?;
                (self.properties, self.broken) = (properties.members, properties.found == Found::Other);
                return Ok(());
            }
            "options" => {
                self.options = map.next_value::<Filled<Options<'de>>>()?.members;
                return Ok(());
            }
            "uuid" => &mut self.uuid,
            "api_key" | "token" | "$token" => &mut self.key,
            "event" => &mut self.name,
            "distinct_id" | "$distinct_id" => &mut self.distinct_id,
            "timestamp" => &mut self.timestamp,
            "offset" => &mut self.offset,
            "$set" => &mut self.set,
            "$set_once" => &mut self.set_once,
            "session_id" => &mut self.session,
            _ => return pass(map),
        };
        *place = Some(map.next_value()?);
        Ok(())
    }
}

impl<'de> Members<'de> for Options<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        let place = match &*name {
            "cookieless_mode" => &mut self.cookieless,
            "disable_skew_correction" => &mut self.uncorrected,
            "process_person_profile" => &mut self.person,
            _ => return pass(map),
        };
        *place = Some(map.next_value()?);
        Ok(())
    }
}

/// What an event comes to.
#[derive(Debug)]
pub struct Reading<'a> {
    /// The event, unless it told of a person alone, or was a recording.
    pub event: Option<RawEvent<'a>>,
    /// What it told of a person.
    pub person: Option<Box<RawPerson<'a>>>,
    /// Where its user is.
    pub place: Place,
    /// Whether its user is to be told apart by address and agent; and the agent, where the event names it.
    pub cookieless: Option<Option<Cow<'a, str>>>,
    /// Whether its time stands as it is, whatever the client's clock.
    pub uncorrected: bool,
}

/// Where the user of an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where the request came from.
    Sender,
    /// Where this address is.
    At(IpAddr),
    /// Not known: a server sent it for them.
    Unknown,
}

impl<'a> Event<'a> {
    /// Its id, as it stands.
    pub fn uuid(&self) -> Option<Cow<'a, str>> {
        self.uuid.and_then(json::string).filter(|uuid| !uuid.is_empty())
    }

    /// Whose it is, where it says so itself.
    pub fn key(&self) -> Option<Cow<'a, str>> {
        [self.key, self.properties.known.token].into_iter().flatten().find_map(json::string)
    }

    /// Reads it.
    ///
    /// # Errors
    /// In words, with no values of the event in them.
    pub fn read(self, told: &Told<'a>) -> Result<Reading<'a>, &'static str> {
        if self.broken {
            return Err("`properties` is not an object");
        }
        let known = &self.properties.known;
        let name = match self.name {
            Some(name) => json::string(name).ok_or("`event` is not a string")?,
            // What is sent to `/engage` has no name.
            None if self.set.or(self.set_once).is_some() => "$identify".into(),
            None => return Err("`event` is missing"),
        };
        if name.is_empty() {
            return Err("`event` is empty");
        }
        let id = [self.distinct_id, known.distinct_id].into_iter().flatten().find_map(json::any);
        let id = id.ok_or("`distinct_id` is missing")?;
        let server = self.is_of_server();
        let who = self.who(cut(id), server);
        let uncorrected = [self.options.uncorrected, known.uncorrected].into_iter().any(Known::is);
        let place = match known.ip.and_then(json::string).and_then(|ip| ip.parse().ok()) {
            _ if Known::is(known.no_place) => Place::Unknown,
            Some(address) => Place::At(address),
            None if server => Place::Unknown,
            None => Place::Sender,
        };
        let cookieless = who.cookieless.then(|| Known::text(known.agent));
        let person = self.person(&name, &who);
        if STATES.contains(&&*name) || name == RECORDING {
            return Ok(Reading { event: None, person, place, cookieless: None, uncorrected });
        }
        let event = self.event(name, who, server, told);
        Ok(Reading { event: Some(event), person, place, cookieless, uncorrected })
    }

    fn event(mut self, name: Cow<'a, str>, who: Who<'a>, server: bool, told: &Told<'a>) -> RawEvent<'a> {
        let uuid = self.uuid();
        let claimed_at = self.time(uuid.as_deref(), told);
        let Properties { known, rest } = &mut self.properties;
        let mut raw = RawEvent {
            id: uuid.as_deref().map(id_of),
            claimed_at,
            category: facts::category(&name).map(Cow::Borrowed),
            user: who.user,
            anonymous: who.anonymous,
            session: Known::text(self.session.or(known.session)),
            ..RawEvent::default()
        };
        raw.facts.set(Fact::Version, Known::text(known.version));
        raw.facts.set(Fact::Build, Known::text(known.build));
        raw.facts.set(Fact::Sdk, facts::sdk(known).or(told.sdk.map(Cow::Borrowed)));
        if server {
            // They are those of the machine of whoever made the app.
            rest.keep("$os", known.system_name.or(known.system));
            rest.keep("$os_version", known.system_version);
        } else {
            raw.facts.set(
                Fact::System,
                Known::text(known.system_name).or_else(|| Known::text(known.system)).map(facts::system),
            );
            raw.facts.set(Fact::SystemVersion, facts::system_version(known));
            let device = [known.model, known.device_name, known.device].into_iter().find_map(Known::text);
            raw.facts.set(Fact::Device, device);
            raw.facts.set(Fact::Locale, Known::text(known.locale).or_else(|| Known::text(known.language)));
        }
        if name == "$exception" {
            let thrown = known.exceptions.map(exception::read).unwrap_or_default();
            rest.stack = thrown.stack;
            raw.error = Some(RawError {
                kind: thrown.kind.or_else(|| rest.get("$exception_type").and_then(json::text)),
                message: thrown.message.or_else(|| rest.get("$exception_message").and_then(json::text)),
                fingerprint: Known::text(known.fingerprint),
                fatal: Known::text(known.level).is_some_and(|level| level == "fatal"),
            });
        }
        raw.props = rest.json();
        RawEvent { name, ..raw }
    }

    /// As its client tells it; where it does not, as its id does, if that is one with a time. One with another id has the
    /// same time on every resend.
    fn time(&self, uuid: Option<&str>, told: &Told<'_>) -> Option<Millis> {
        let claimed = self.timestamp.and_then(json::string).and_then(|text| time(&text));
        let age = self.offset.and_then(json::number).filter(|age| *age >= 0);
        let aged = || Some(told.sent_at?.plus(-age?));
        claimed.or_else(aged).or_else(|| minted_at(uuid?)).or(uuid.map(|_| NO_TIME))
    }
}

/// What a request says of all its events.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told<'t> {
    /// The client's clock when it sent.
    pub sent_at: Option<Millis>,
    /// The SDK, where a header names it.
    pub sdk: Option<&'t str>,
}

/// When a UUID of version 7 was made.
fn minted_at(uuid: &str) -> Option<Millis> {
    let uuid = Uuid::try_parse(uuid).ok().filter(|uuid| uuid.get_version_num() == 7)?;
    i64::try_from(uuid.as_u128() >> 80).ok().map(Millis)
}

/// A time with an offset, or without one as UTC.
pub fn time(text: &str) -> Option<Millis> {
    moment::parse(text).or_else(|| moment::parse(&[text, "Z"].concat()))
}
