//! One event as clients send it, and what it comes to.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::de::{IgnoredAny, MapAccess};
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::exception;
use super::json::{self, Members, Object};
use super::properties::{Known, Properties};
use crate::model::{EventId, Fact, Millis, RawError, RawEvent, RawPerson};
use crate::protocol::moment;

/// Longest `distinct_id`, in characters and in bytes; longer ones are cut.
const ID_CHARACTERS: usize = 200;
const ID_BYTES: usize = 255;

/// Ids that programs send by mistake: nobody in particular.
const NOBODY: [&str; 20] = [
    "anonymous",
    "guest",
    "null",
    "undefined",
    "none",
    "nan",
    "0",
    "true",
    "false",
    "[object object]",
    "distinct_id",
    "distinctid",
    "id",
    "email",
    "user",
    "system",
    "backend",
    "not_authenticated",
    "anonymous-user",
    "00000000-0000-0000-0000-000000000000",
];

/// What stands for a user whom the box is to tell apart by itself, for a day.
const COOKIELESS: &str = "$posthog_cookieless";

/// What happened to a person, and not in the app: kept with people, as far as the box has a place for it.
const STATES: [&str; 7] =
    ["$identify", "$set", "$set_once", "$unset", "$create_alias", "$merge_dangerously", "$groupidentify"];

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
                let properties = map.next_value::<Object<Properties<'de>>>()?;
                (self.properties, self.broken) = (properties.members, properties.broken);
                return Ok(());
            }
            "options" => {
                self.options = map.next_value::<Object<Options<'de>>>()?.members;
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
            _ => {
                map.next_value::<IgnoredAny>()?;
                return Ok(());
            }
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
            _ => {
                map.next_value::<IgnoredAny>()?;
                return Ok(());
            }
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
    pub person: Option<RawPerson<'a>>,
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

/// Who an event is of.
struct Who<'a> {
    user: Option<Cow<'a, str>>,
    anonymous: Option<Cow<'a, str>>,
    cookieless: bool,
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

    /// What its client calls its user and its session, as far as that can be read.
    pub fn names(&self) -> [Option<Cow<'a, str>>; 2] {
        let known = &self.properties.known;
        let user = [self.distinct_id, known.distinct_id].into_iter().flatten().find_map(json::any).map(cut);
        [user.filter(|user| !is_nobody(user)), Known::text(self.session.or(known.session))]
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
            id: uuid.as_deref().map(event_id),
            claimed_at,
            category: category(&name).map(Cow::Borrowed),
            user: who.user,
            anonymous: who.anonymous,
            session: Known::text(self.session.or(known.session)),
            ..RawEvent::default()
        };
        raw.facts.set(Fact::Version, Known::text(known.version));
        raw.facts.set(Fact::Build, Known::text(known.build));
        raw.facts.set(Fact::Sdk, sdk(known).or(told.sdk.map(Cow::Borrowed)));
        if server {
            // They are those of the machine of whoever made the app.
            rest.keep("$os", known.system_name.or(known.system));
            rest.keep("$os_version", known.system_version);
        } else {
            raw.facts
                .set(Fact::System, Known::text(known.system_name).or_else(|| Known::text(known.system)).map(system));
            raw.facts.set(Fact::SystemVersion, Known::text(known.system_version));
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

    /// As its client tells it; where it does not, as its id does, if that is one with a time.
    fn time(&self, uuid: Option<&str>, told: &Told<'_>) -> Option<Millis> {
        let claimed = self.timestamp.and_then(json::string).and_then(|text| time(&text));
        let age = self.offset.and_then(json::number).filter(|age| *age >= 0);
        claimed.or_else(|| Some(told.sent_at?.plus(-age?))).or_else(|| minted_at(uuid?))
    }

    fn who(&self, id: Cow<'a, str>, server: bool) -> Who<'a> {
        let known = &self.properties.known;
        let cookieless = [self.options.cookieless, known.cookieless].into_iter().any(Known::is) || id == COOKIELESS;
        if cookieless || is_nobody(&id) {
            return Who { user: None, anonymous: None, cookieless };
        }
        let personless = self.options.person.or(known.person).and_then(json::flag) == Some(false);
        // A server that names nobody is given a new id for each event.
        if server && personless && Uuid::try_parse(&id).is_ok() {
            return Who { user: None, anonymous: None, cookieless };
        }
        let unknown = match known.identified.and_then(json::flag) {
            Some(identified) => !identified,
            None => personless && known.device_id.and_then(json::any).is_some_and(|device| device == id),
        };
        if unknown {
            Who { user: None, anonymous: Some(id), cookieless }
        } else {
            Who { user: Some(id), anonymous: None, cookieless }
        }
    }

    /// What it tells of its user: who they were before, and how to reach them.
    fn person(&self, name: &str, who: &Who<'a>) -> Option<RawPerson<'a>> {
        let Properties { known, rest } = &self.properties;
        let id = who.user.clone().or_else(|| who.anonymous.clone())?;
        let other = |other: Option<&'a RawValue>| other.and_then(json::any).map(cut).filter(|other| !is_nobody(other));
        let (user, anonymous) = match name {
            "$identify" => (id, other(known.anonymous)),
            // Which of the two is the earlier name is not said, and clients differ in it.
            "$create_alias" | "$merge_dangerously" => match other(rest.get("alias")) {
                Some(alias) if is_uuid(&id) && !is_uuid(&alias) => (alias, Some(id)),
                alias => (id, alias),
            },
            _ => (id, None),
        };
        let mut person = RawPerson { user: Some(user), anonymous, ..RawPerson::default() };
        // Events repeat what is to be set once, whatever was set since.
        let once = [self.set_once, known.set_once].map(|once| once.filter(|_| STATES.contains(&name)));
        for traits in [self.set, known.set, once[0], once[1]].into_iter().flatten() {
            let Ok(Object::<Traits<'_>> { members, .. }) = serde_json::from_str(traits.get()) else { continue };
            person.email = person.email.or_else(|| Known::text(members.email));
            person.name = person.name.or_else(|| Known::text(members.name));
        }
        let tells = person.anonymous.is_some() || person.email.is_some() || person.name.is_some();
        tells.then_some(person)
    }

    /// Whether a server sent it on behalf of somebody else.
    fn is_of_server(&self) -> bool {
        let known = &self.properties.known;
        known
            .server
            .and_then(json::flag)
            .unwrap_or_else(|| Known::text(known.lib).is_some_and(|lib| SERVERS.contains(&&*lib)))
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

/// What a person is called, and how to reach them.
#[derive(Default)]
struct Traits<'a> {
    email: Option<&'a RawValue>,
    name: Option<&'a RawValue>,
}

impl<'de> Members<'de> for Traits<'de> {
    fn take<A: MapAccess<'de>>(&mut self, name: Cow<'de, str>, map: &mut A) -> Result<(), A::Error> {
        match &*name {
            "email" => self.email = Some(map.next_value()?),
            "name" => self.name = Some(map.next_value()?),
            _ => _ = map.next_value::<IgnoredAny>()?,
        }
        Ok(())
    }
}

/// SDKs of servers, for those that do not say so.
const SERVERS: [&str; 8] = [
    "posthog-node",
    "posthog-python",
    "posthog-go",
    "posthog-php",
    "posthog-ruby",
    "posthog-java",
    "posthog-elixir",
    "posthog-server",
];

/// A coarse class of what the SDKs send by themselves.
fn category(name: &str) -> Option<&'static str> {
    Some(match name {
        "$pageview" | "$pageleave" => "page",
        "$screen" => "screen",
        "$exception" => "error",
        "$autocapture" | "$rageclick" | "$dead_click" | "$copy_autocapture" | "$$heatmap" => "interaction",
        "$feature_flag_called" | "$feature_enrollment_update" => "flag",
        "$web_vitals" | "$performance_event" => "performance",
        "$opt_in" | "$$client_ingestion_warning" => "client",
        name if name.starts_with("Application ") => "lifecycle",
        name if name.starts_with("survey ") => "survey",
        name if name.starts_with("$ai_") => "ai",
        _ => return None,
    })
}

/// `posthog-js/1.449.2`: the SDK of browsers calls itself `web`.
fn sdk<'a>(known: &Known<'a>) -> Option<Cow<'a, str>> {
    let lib = Known::text(known.lib)?;
    let lib = if lib == "web" { Cow::Borrowed("posthog-js") } else { lib };
    Some(match Known::text(known.lib_version) {
        Some(version) => [&*lib, "/", &*version].concat().into(),
        None => lib,
    })
}

/// As other SDKs call the same systems.
fn system(name: Cow<'_, str>) -> Cow<'_, str> {
    for (theirs, ours) in [
        ("Mac OS X", "macos"),
        ("macOS", "macos"),
        ("Darwin", "macos"),
        ("Windows", "windows"),
        ("Linux", "linux"),
        ("iOS", "ios"),
        ("iPadOS", "ios"),
        ("Android", "android"),
    ] {
        if name.eq_ignore_ascii_case(theirs) {
            return Cow::Borrowed(ours);
        }
    }
    name
}

/// The bytes of a UUID; of a text that is none, the first ones of its hash.
pub fn event_id(text: &str) -> EventId {
    Uuid::try_parse(text).map_or_else(|_| EventId(short_hash(text)), EventId::from)
}

fn short_hash(text: &str) -> [u8; 16] {
    let full: [u8; 32] = Sha256::digest(text.as_bytes()).into();
    let mut short = [0; 16];
    short.copy_from_slice(&full[..16]);
    short
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

fn cut(id: Cow<'_, str>) -> Cow<'_, str> {
    if id.len() <= ID_CHARACTERS {
        return id;
    }
    let end = id.char_indices().nth(ID_CHARACTERS).map_or(id.len(), |(at, _)| at);
    let end = id.floor_char_boundary(end.min(ID_BYTES));
    match id {
        Cow::Borrowed(id) => Cow::Borrowed(&id[..end]),
        Cow::Owned(id) => Cow::Owned(id[..end].to_owned()),
    }
}

fn is_nobody(id: &str) -> bool {
    let id = id.trim();
    id.is_empty() || NOBODY.iter().any(|nobody| id.eq_ignore_ascii_case(nobody))
}

fn is_uuid(id: &str) -> bool {
    Uuid::try_parse(id).is_ok()
}
