//! What a record means to us: its name, whose it is, and what its program is said to be
//! (<https://opentelemetry.io/docs/specs/semconv/>: `app`, `session`, `device`, `exception`).

use std::borrow::Cow;

use serde::{Serialize, Serializer};
use serde_json::value::{RawValue, to_raw_value};

use super::wire::{Attribute, Record, Value, as_text, last_of_each};
use crate::model::{Fact, Millis, RawError, RawEvent, RawFacts};
use crate::protocol::event_id::id_of;

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
    // From here to the last of the runtime: what facts are made of.
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
    Personal = "client.address" | "client.port" | "http.client_ip"
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
pub fn event<'a>(resource: &Resource<'a>, scope: Cow<'a, str>, record: Record<'a>) -> RawEvent<'a> {
    let mut told = Told::default();
    let mut error = RawError::default();
    let mut props = record.attributes;
    props.retain(|(name, value)| {
        match &**name {
            "exception.type" => error.kind = as_text(value),
            "exception.message" => error.message = as_text(value),
            _ => {}
        }
        !told.take(name, value)
    });
    let stack = props.iter().any(|(name, _)| name == "exception.stacktrace");
    let tells = stack || error.kind.is_some() || error.message.is_some();
    let name = Some(record.event).filter(|name| !name.is_empty()).or_else(|| told.get(Known::Name));
    let fatal = record.severity >= FATAL || name.as_deref().is_some_and(|name| name.ends_with(".crash"));
    let severity = severity(record.severity, record.severity_text);
    let own = [
        ("severity", severity.map(Value::Text)),
        ("scope", Some(scope).filter(|scope| !scope.is_empty()).map(Value::Text)),
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
        id: told.get(Known::Uid).map(|uid| id_of(&uid)),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Value<'_> {
        Value::Text(value.into())
    }

    fn resource<'a>(attributes: &[(&'a str, &'a str)]) -> Resource<'a> {
        let attributes: Vec<_> = attributes.iter().map(|(name, value)| (Cow::Borrowed(*name), text(value))).collect();
        Resource::new(&attributes, Some("OTel-OTLP-Exporter-Rust/0.33.1 extra"))
    }

    fn record<'a>(event: &'a str, attributes: &[(&'a str, Value<'a>)]) -> Record<'a> {
        let attributes = attributes.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone())).collect();
        Record { event: event.into(), attributes, ..Record::default() }
    }

    fn props<'e>(event: &'e RawEvent<'_>) -> &'e str {
        event.props.as_deref().map_or("", RawValue::get)
    }

    #[test]
    fn names_and_bodies_make_events_and_lines() {
        let map = Value::Map(vec![("a".into(), Value::Int(1)), ("b".into(), Value::Int(2))]);
        for (name, attributes, body, severity, found, written) in [
            ("saved", vec![("a", text("x"))], map.clone(), 0, "saved", r#"{"b":2,"a":"x"}"#),
            ("saved", vec![("event.name", text("other"))], text("done"), 0, "saved", r#"{"body":"done"}"#),
            ("", vec![("event.name", text("saved"))], Value::Empty, 0, "saved", ""),
            ("", vec![], text("it works"), 9, "log", r#"{"severity":"info","body":"it works"}"#),
            ("", vec![], map, 24, "log", r#"{"severity":"fatal","body":{"a":1,"b":2}}"#),
            ("", vec![("severity", text("mine"))], Value::Empty, 1, "log", r#"{"severity":"mine"}"#),
            ("", vec![], Value::Empty, 0, "log", ""),
        ] {
            let record = Record { body, severity, ..record(name, &attributes) };
            let event = event(&Resource::default(), Cow::default(), record);
            assert_eq!((&*event.name, props(&event)), (found, written), "{name} {attributes:?}");
        }
        let spoken = Record { severity_text: "Notice".into(), trace: Some("ab".into()), ..record("", &[]) };
        let event = event(&Resource::default(), "ui".into(), spoken);
        assert_eq!(props(&event), r#"{"severity":"notice","scope":"ui","trace_id":"ab"}"#);
    }

    #[test]
    fn people_and_sessions_are_read_and_not_kept_among_properties() {
        let resource = resource(&[("device.id", "d"), ("session.id", "s-resource"), ("user.id", "resource")]);
        let attributes = [
            ("user.id", text("ana")),
            ("user.email", text("ana@example.org")),
            ("client.address", text("192.0.2.7")),
            ("session.id", text("s")),
            ("app.installation.id", text("i")),
            ("log.record.uid", text("0f9d6c1e-7b0e-4c0b-8f0a-2b7f5f2f4c02")),
        ];
        let found = event(&resource, Cow::default(), record("saved", &attributes));
        assert_eq!((found.user.as_deref(), found.anonymous.as_deref()), (Some("ana"), Some("i")));
        assert_eq!((found.session.as_deref(), props(&found)), (Some("s"), ""));
        assert_eq!(found.id.unwrap().to_string(), "0f9d6c1e-7b0e-4c0b-8f0a-2b7f5f2f4c02");
        let body = Value::Map(vec![("user.id".into(), text("body")), ("n".into(), Value::Int(1))]);
        let other =
            Record { body, time: 5_000_000, observed: 9, ..record("saved", &[("posthogDistinctId", Value::Int(7))]) };
        let found = event(&resource, Cow::default(), other);
        assert_eq!((found.user.as_deref(), found.anonymous.as_deref()), (Some("body"), Some("d")));
        assert_eq!((found.session.as_deref(), props(&found)), (Some("s-resource"), r#"{"n":1}"#));
        assert_eq!((found.id, found.claimed_at), (None, Some(Millis(5))));
    }

    #[test]
    fn facts_are_of_the_program_and_of_no_server() {
        let app = [
            ("service.name", "shop"),
            ("service.version", "2.1"),
            ("os.type", "darwin"),
            ("os.version", "26"),
            ("telemetry.sdk.name", "opentelemetry"),
            ("telemetry.sdk.version", "1.2"),
            ("telemetry.sdk.language", "python"),
            ("process.runtime.version", "3.14"),
            ("device.model.name", "MacBook"),
            ("host.name", "ana's"),
        ];
        let facts = |resource: &Resource<'_>, attributes: &[(&'static str, Value<'static>)]| {
            let found = event(resource, Cow::default(), record("a", attributes)).facts;
            let all = Fact::ALL.iter().filter_map(|fact| Some(format!("{}={}", fact.name(), found.get(*fact)?)));
            all.collect::<Vec<_>>().join(" ")
        };
        let server = "version=2.1 device=MacBook sdk=opentelemetry-python@1.2 service=shop language=python 3.14";
        let machine = resource(&app);
        assert!(machine.is_server);
        assert_eq!(facts(&machine, &[]), server);
        let owned = resource(&[&app[..], &[("device.id", "d")]].concat());
        assert!(!owned.is_server);
        let whole = "version=2.1 system=macos system_version=26 device=MacBook sdk=opentelemetry-python@1.2 service=shop \
                     language=python 3.14";
        assert_eq!(facts(&owned, &[]), whole);
        let own = [("service.version", text("3")), ("os.name", text("Android")), ("app.build_id", Value::Int(7))];
        assert_eq!(facts(&owned, &own), whole.replace("2.1", "3 build=7").replace("macos", "android"));
        let bare = resource(&[("service.name", "unknown_service:node")]);
        assert_eq!(facts(&bare, &[]), "sdk=OTel-OTLP-Exporter-Rust/0.33.1");
    }

    #[test]
    fn exceptions_are_errors_whatever_the_event_is_called() {
        let thrown = [("exception.type", text("E")), ("exception.message", text("boom")), ("n", Value::Int(1))];
        for (name, severity, attributes, told) in [
            ("saved", 0, &thrown[..], Some((Some("E"), false))),
            ("", 17, &thrown[..1], Some((Some("E"), false))),
            ("", 21, &thrown[..1], Some((Some("E"), true))),
            ("device.crash", 0, &[("exception.stacktrace", text("at x"))], Some((None, true))),
            ("saved", 21, &thrown[2..], None),
        ] {
            let record = Record { severity, ..record(name, attributes) };
            let error = event(&Resource::default(), Cow::default(), record).error;
            let found = error.as_ref().map(|error| (error.kind.as_deref(), error.fatal));
            assert_eq!(found, told, "{name} {severity}");
        }
    }
}
