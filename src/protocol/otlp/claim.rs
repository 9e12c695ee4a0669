//! What a record means to us: its name, whose it is, and what its program is said to be
//! (<https://opentelemetry.io/docs/specs/semconv/>: `app`, `session`, `device`, `exception`).

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::wire::{Attribute, Record, Value, as_text, last_of_each};
use crate::model::{EventId, Fact, Millis, RawError, RawEvent, RawFacts};

/// Name of what has none: a line of a log.
const LINE: &str = "log";
/// The lowest severity of what ends a program: `FATAL`.
const FATAL: u8 = 21;
/// What programs are called that have no name.
const NAMELESS: &str = "unknown_service";

macro_rules! known {
    ($($variant:ident = $($name:literal)|+,)+) => {
        /// What is read out of attributes, and does not stay among the properties.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Known { $($variant),+ }

        impl Known {
            const COUNT: usize = [$(Self::$variant),+].len();

            fn of(name: &str) -> Option<Self> {
                Some(match name { $($($name)|+ => Self::$variant,)+ _ => return None })
            }
        }
    };
}

known! {
    User = "user.id",
    EndUser = "enduser.id",
    PostHogUser = "posthogDistinctId",
    Installation = "app.installation.id",
    Device = "device.id",
    Pseudonym = "enduser.pseudo.id",
    Session = "session.id",
    PostHogSession = "sessionId",
    Name = "event.name",
    Uid = "log.record.uid",
    Version = "service.version",
    Build = "app.build_id",
    Service = "service.name",
    System = "os.name",
    SystemKind = "os.type",
    SystemVersion = "os.version",
    Arch = "host.arch",
    ModelIdentifier = "device.model.identifier",
    ModelName = "device.model.name",
    Locale = "browser.language",
    Country = "geo.country.iso_code",
    SdkName = "telemetry.sdk.name",
    SdkVersion = "telemetry.sdk.version",
    Language = "telemetry.sdk.language",
    RuntimeVersion = "process.runtime.version",
    // What would name a person or a place on the network, and is read by nobody.
    Personal = "client.address" | "client.port" | "enduser.name" | "enduser.role" | "enduser.scope" | "http.client_ip"
        | "net.peer.ip" | "net.sock.peer.addr" | "network.peer.address" | "session.previous_id" | "source.address"
        | "user.email" | "user.full_name" | "user.hash" | "user.name",
}

/// The values of what is known of a record or a resource.
#[derive(Default)]
struct Told<'a>([Option<Cow<'a, str>>; Known::COUNT]);

impl<'a> Told<'a> {
    /// Takes an attribute, if it is one that is read. The last of a name counts.
    fn take(&mut self, name: &str, value: &Value<'a>) -> bool {
        let Some(known) = Known::of(name) else { return false };
        self.0[known as usize] = as_text(value);
        true
    }

    /// The same of what counts less than what was taken already.
    fn add(&mut self, name: &str, value: &Value<'a>) -> bool {
        let Some(known) = Known::of(name) else { return false };
        let held = &mut self.0[known as usize];
        *held = held.take().or_else(|| as_text(value));
        true
    }

    fn get(&self, known: Known) -> Option<Cow<'a, str>> {
        self.0[known as usize].clone()
    }

    /// Whether it says anything that facts are made of.
    fn has_facts(&self) -> bool {
        self.0[Known::Version as usize..=Known::RuntimeVersion as usize].iter().any(Option::is_some)
    }
}

/// What sends records.
#[derive(Default)]
pub struct Resource<'a> {
    told: Told<'a>,
    facts: RawFacts<'a>,
    /// Whether it is a machine of the developer's: it names a host, and no device of a user.
    pub is_server: bool,
}

impl<'a> Resource<'a> {
    /// Reads its attributes; `agent` is what sent the request.
    pub fn new(attributes: &[Attribute<'a>], agent: Option<&'a str>) -> Self {
        const HOSTS: [&str; 6] = ["host.id", "host.name", "container.", "cloud.", "faas.", "k8s."];
        let mut told = Told::default();
        let mut hosted = false;
        for (name, value) in attributes {
            told.take(name, value);
            hosted |= HOSTS.iter().any(|host| name.starts_with(host));
        }
        let is_server = hosted && told.get(Known::Installation).or_else(|| told.get(Known::Device)).is_none();
        let mut resource = Self { told, facts: RawFacts::default(), is_server };
        resource.facts = resource.facts_with(&Told::default());
        if resource.facts.get(Fact::Sdk).is_none() {
            resource.facts.set(Fact::Sdk, agent.map(|agent| agent.split(' ').next().unwrap_or_default()));
        }
        resource
    }

    /// Facts of the program. What a record says counts before what its resource says.
    fn facts_with(&self, record: &Told<'a>) -> RawFacts<'a> {
        let get = |known| record.get(known).or_else(|| self.told.get(known));
        let mut facts = self.facts.clone();
        let mut set = |fact, value: Option<Cow<'a, str>>| {
            if value.is_some() {
                facts.set(fact, value);
            }
        };
        set(Fact::Version, get(Known::Version));
        set(Fact::Build, get(Known::Build));
        set(Fact::Service, get(Known::Service).filter(|name| !name.starts_with(NAMELESS)));
        set(Fact::Device, get(Known::ModelIdentifier).or_else(|| get(Known::ModelName)));
        if !self.is_server {
            set(Fact::System, get(Known::System).or_else(|| get(Known::SystemKind)).map(family));
            set(Fact::SystemVersion, get(Known::SystemVersion));
            set(Fact::Arch, get(Known::Arch));
            set(Fact::Locale, get(Known::Locale));
            set(Fact::Country, get(Known::Country));
        }
        let language = get(Known::Language);
        set(Fact::Sdk, sdk(get(Known::SdkName), get(Known::SdkVersion), language.as_deref()));
        set(Fact::Language, joined(language, ' ', get(Known::RuntimeVersion)));
        facts
    }
}

/// A record as an event, without an id unless it has one of its own.
pub fn event<'a>(resource: &Resource<'a>, scope: &Cow<'a, str>, record: Record<'a>) -> RawEvent<'a> {
    let mut told = Told::default();
    let mut error = RawError::default();
    let mut props: Vec<Attribute<'a>> = Vec::with_capacity(record.attributes.len() + 5);
    for (name, value) in record.attributes {
        match &*name {
            "exception.type" => error.kind = as_text(&value),
            "exception.message" => error.message = as_text(&value),
            _ => {}
        }
        if !told.take(&name, &value) {
            props.push((name, value));
        }
    }
    let stack = props.iter().any(|(name, _)| name == "exception.stacktrace");
    let tells = stack || error.kind.is_some() || error.message.is_some();
    let name = Some(record.event).filter(|name| !name.is_empty()).or_else(|| told.get(Known::Name));
    let fatal = record.severity >= FATAL || name.as_deref().is_some_and(|name| name.ends_with(".crash"));
    let severity = severity(record.severity, record.severity_text);
    let own = [
        ("severity", severity.map(Value::Text)),
        ("scope", Some(scope).filter(|scope| !scope.is_empty()).map(|scope| Value::Text(scope.clone()))),
        ("trace_id", record.trace.map(|id| Value::Text(id.into()))),
        ("span_id", record.span.map(|id| Value::Text(id.into()))),
    ];
    let mut body = body(record.body, name.is_some());
    // Attributes were taken before, and count.
    body.retain(|(name, value)| !told.add(name, value));
    let either = |names: &[Known]| {
        let get = |told: &Told<'a>| names.iter().find_map(|known| told.get(*known));
        get(&told).or_else(|| get(&resource.told))
    };
    let nanos = if record.time > 0 { record.time } else { record.observed };
    RawEvent {
        id: told.get(Known::Uid).map(|uid| id(&uid)),
        claimed_at: i64::try_from(nanos / 1_000_000).ok().filter(|at| *at > 0).map(Millis),
        user: either(&[Known::User, Known::EndUser, Known::PostHogUser]),
        anonymous: either(&[Known::Installation, Known::Device, Known::Pseudonym]),
        session: either(&[Known::Session, Known::PostHogSession]),
        props: written(Props { attributes: props, body, own }),
        error: tells.then_some(RawError { fatal, ..error }),
        facts: if told.has_facts() { resource.facts_with(&told) } else { resource.facts.clone() },
        name: name.unwrap_or(Cow::Borrowed(LINE)),
        category: None,
    }
}

/// What stands in the body of an event is its properties; that of a line of a log is the line.
fn body(body: Value<'_>, is_event: bool) -> Vec<Attribute<'_>> {
    match body {
        Value::Empty => Vec::new(),
        Value::Map(members) if is_event => members,
        other => vec![(Cow::Borrowed("body"), other)],
    }
}

/// The properties of an event. Where a name occurs twice, attributes count before the body, and that before our own.
struct Props<'a> {
    attributes: Vec<Attribute<'a>>,
    body: Vec<Attribute<'a>>,
    own: [(&'static str, Option<Value<'a>>); 4],
}

impl Serialize for Props<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let own = self.own.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?)));
        // Of several with one name the last counts, so what counts first comes last.
        let others = self.body.iter().chain(&self.attributes).map(|(name, value)| (&**name, value));
        to.collect_map(last_of_each(own.chain(others)))
    }
}

fn written(props: Props<'_>) -> Option<Cow<'static, RawValue>> {
    let none = props.attributes.is_empty() && props.body.is_empty() && props.own.iter().all(|(_, own)| own.is_none());
    let written = (!none).then(|| to_raw_value(&props).expect("maps with text as names always serialize"));
    written.map(Cow::Owned)
}

/// In one of six words, where a number says which; else in the words of the source.
fn severity(number: u8, text: Cow<'_, str>) -> Option<Cow<'_, str>> {
    const WORDS: [&str; 6] = ["trace", "debug", "info", "warn", "error", "fatal"];
    match number.checked_sub(1) {
        Some(index) => WORDS.get(usize::from(index) / 4).map(|word| Cow::Borrowed(*word)),
        None => Some(text).filter(|text| !text.is_empty()).map(|text| text.to_lowercase().into()),
    }
}

/// As other protocols call it.
fn family(name: Cow<'_, str>) -> Cow<'_, str> {
    match name.to_ascii_lowercase() {
        lower if lower == "darwin" || lower == "mac os x" => Cow::Borrowed("macos"),
        lower => lower.into(),
    }
}

/// All SDKs of the project have one name, so that which one it is stands in the language.
fn sdk<'a>(name: Option<Cow<'a, str>>, version: Option<Cow<'a, str>>, language: Option<&str>) -> Option<Cow<'a, str>> {
    let name = match (name?, language) {
        (name, Some(language)) if name == "opentelemetry" => format!("{name}-{language}").into(),
        (name, _) => name,
    };
    joined(Some(name), '@', version)
}

fn joined<'a>(first: Option<Cow<'a, str>>, between: char, second: Option<Cow<'a, str>>) -> Option<Cow<'a, str>> {
    match (first, second) {
        (Some(first), Some(second)) => Some(format!("{first}{between}{second}").into()),
        (first, _) => first,
    }
}

/// An id of the client's, which may be no UUID.
fn id(uid: &str) -> EventId {
    Uuid::try_parse(uid).map(Into::into).unwrap_or_else(|_| {
        let mut id = [0; 16];
        id.copy_from_slice(&Sha256::digest(uid.as_bytes())[..16]);
        EventId(id)
    })
}
