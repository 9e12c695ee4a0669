//! The telemetry-kit body: wire types, and `decode` from bytes to claims.

mod envelope;

use std::borrow::Cow;

pub use envelope::Envelope;
use envelope::list;
use serde_json::value::RawValue;
use uuid::Uuid;

use crate::ingest::{Claim, Sent};
use crate::model::{EventId, Fact, RawEvent, Reason, Refusal};
use crate::protocol::json::{Leaf, NoList, Object};
use crate::protocol::moment;

/// What every machine with an empty machine id sends (container images) \[measured, sdk 0.3.0\]: nobody in particular.
const NO_MACHINE: &str = "client_230c47eea61faee8ae9f7519b7db51955c0ea51f42dddac5bf155d39c50994d5";

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Event<'a> {
    #[serde(borrow)]
    schema_version: Leaf<'a>,
    #[serde(borrow)]
    event_id: Leaf<'a>,
    #[serde(borrow)]
    timestamp: Leaf<'a>,
    #[serde(borrow)]
    service: Option<Object<Service<'a>>>,
    #[serde(borrow)]
    user_id: Leaf<'a>,
    #[serde(borrow)]
    session_id: Leaf<'a>,
    #[serde(borrow)]
    environment: Option<Object<Environment<'a>>>,
    #[serde(borrow)]
    event: Option<Object<What<'a>>>,
    #[serde(borrow)]
    metadata: Option<Object<Metadata<'a>>>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Ids<'a> {
    #[serde(borrow)]
    event_id: Leaf<'a>,
    #[serde(borrow)]
    user_id: Leaf<'a>,
    #[serde(borrow)]
    session_id: Leaf<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Service<'a> {
    #[serde(borrow)]
    name: Leaf<'a>,
    #[serde(borrow)]
    version: Leaf<'a>,
    #[serde(borrow)]
    language: Leaf<'a>,
    #[serde(borrow)]
    language_version: Leaf<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Environment<'a> {
    #[serde(borrow)]
    os: Leaf<'a>,
    #[serde(borrow)]
    os_version: Leaf<'a>,
    #[serde(borrow)]
    arch: Leaf<'a>,
    #[serde(borrow)]
    ci: Leaf<'a>,
    #[serde(borrow)]
    shell: Leaf<'a>,
}

#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct What<'a> {
    #[serde(borrow, rename = "type")]
    kind: Leaf<'a>,
    #[serde(borrow)]
    category: Leaf<'a>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

/// Its other members are constants in the published SDK, and not to be trusted.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Metadata<'a> {
    #[serde(borrow)]
    sdk_version: Leaf<'a>,
}

/// Why one event cannot be used.
struct Fault {
    reason: Reason,
    detail: String,
}

impl Fault {
    fn invalid(detail: impl Into<String>) -> Self {
        Self { reason: Reason::Invalid, detail: detail.into() }
    }
}

/// Reads a batch of at most `most` events. An event that cannot be used becomes a [`Claim::Unusable`] and never fails
/// the others.
///
/// # Errors
/// [`Refusal::Malformed`] where the envelope is none, or empty; [`Refusal::TooLarge`] for more events.
pub fn decode(body: &[u8], envelope: Envelope, most: usize) -> Result<Vec<Claim<'_>>, Refusal> {
    let text = std::str::from_utf8(body).map_err(|_| malformed("the body is not UTF-8"))?;
    let good = match list::<Object<Event<'_>>>(text, envelope, most) {
        Ok(events) => events.into_iter().map(|event| event.0.claim().ok()).collect(),
        Err(NoList::TooMany) => return Err(too_many(most)),
        Err(NoList::Unreadable) => None,
    };
    // As a rule every event is good, and one pass does. Else each is read again by itself, with its text at hand.
    let claims: Vec<_> = match good {
        Some(claims) => claims,
        None => one_by_one(text, envelope, most)?,
    };
    if claims.is_empty() { Err(malformed("the batch is empty")) } else { Ok(claims) }
}

fn one_by_one(text: &str, envelope: Envelope, most: usize) -> Result<Vec<Claim<'_>>, Refusal> {
    match list::<&RawValue>(text, envelope, most) {
        Ok(events) => Ok(events.into_iter().map(|raw| claim(raw.get())).collect()),
        Err(NoList::TooMany) => Err(too_many(most)),
        Err(NoList::Unreadable) => Err(malformed(r#"the body is not JSON of the form {"events":[...]}"#)),
    }
}

fn too_many(most: usize) -> Refusal {
    Refusal::TooLarge(format!("a batch has at most {most} events"))
}

/// One event by itself.
pub fn claim(text: &str) -> Claim<'_> {
    let fault = match serde_json::from_str::<Object<Event<'_>>>(text) {
        Ok(event) => match event.0.claim() {
            Ok(claim) => return claim,
            Err(fault) => fault,
        },
        // The parser's own message would quote values of the event.
        Err(e) if text.starts_with('{') => Fault {
            reason: Reason::Invalid,
            detail: format!(
                "`service`, `environment`, `event` or `metadata` is not an object, a member occurs twice, or a string or \
                 number is not valid (before line {}, column {})",
                e.line(),
                e.column()
            ),
        },
        Err(_) => Fault::invalid("the event is not an object"),
    };
    let ids = serde_json::from_str::<Object<Ids<'_>>>(text).map(|ids| ids.0).unwrap_or_default();
    let id = ids.event_id.text().and_then(parse_id);
    let user = ids.user_id.into_text().filter(|user| user != NO_MACHINE);
    let sent = Sent { protocol: super::NAME, user, session: ids.session_id.into_text() };
    Claim::Unusable { reason: fault.reason, detail: fault.detail, id, body: text, sent: Some(sent) }
}

fn malformed(problem: &str) -> Refusal {
    Refusal::Malformed(problem.to_owned())
}

fn parse_id(text: &str) -> Option<EventId> {
    Uuid::try_parse(text).ok().map(Into::into)
}

impl<'a> Event<'a> {
    fn claim(self) -> Result<Claim<'a>, Fault> {
        match optional(self.schema_version, "schema_version")? {
            Some(version) if !version.starts_with("1.") => {
                let detail = "`schema_version` does not begin with `1.`".to_owned();
                return Err(Fault { reason: Reason::UnsupportedSchema, detail });
            }
            Some(_) | None => {}
        }
        let id = required(self.event_id, "event_id")?;
        let id = parse_id(&id).ok_or_else(|| Fault::invalid("`event_id` is not a UUID"))?;
        let at = required(self.timestamp, "timestamp")?;
        let at = moment::parse(&at).ok_or_else(|| Fault::invalid("`timestamp` is not an RFC 3339 time"))?;
        let what = self.event.ok_or_else(|| Fault::invalid("`event` is missing"))?.0;
        let name = filled(required(what.kind, "event.type")?, "event.type")?;
        let user = filled(required(self.user_id, "user_id")?, "user_id")?;
        let mut raw = RawEvent {
            id: Some(id),
            claimed_at: Some(at),
            // The project's documents have the second spelling, its SDK the first.
            name: if name == "command_executed" { Cow::Borrowed("command_execution") } else { name },
            category: optional(what.category, "event.category")?,
            user: Some(user).filter(|user| user != NO_MACHINE),
            session: optional(self.session_id, "session_id")?,
            props: what.data.map(Cow::Borrowed),
            ..RawEvent::default()
        };
        self.service.ok_or_else(|| Fault::invalid("`service` is missing"))?.0.tell(&mut raw)?;
        if let Some(environment) = self.environment {
            environment.0.tell(&mut raw)?;
        }
        if let Some(metadata) = self.metadata {
            raw.facts.set(Fact::Sdk, optional(metadata.0.sdk_version, "metadata.sdk_version")?);
        }
        Ok(Claim::Event(raw))
    }
}

impl<'a> Service<'a> {
    fn tell(self, raw: &mut RawEvent<'a>) -> Result<(), Fault> {
        // It may be empty: the SDK lets that pass.
        raw.facts.set(Fact::Service, Some(required(self.name, "service.name")?));
        raw.facts.set(Fact::Version, optional(self.version, "service.version")?);
        let version = optional(self.language_version, "service.language_version")?;
        let language = optional(self.language, "service.language")?.map(|language| match version {
            Some(version) if !version.is_empty() && !language.is_empty() => [&*language, &*version].join(" ").into(),
            Some(_) | None => language,
        });
        raw.facts.set(Fact::Language, language);
        Ok(())
    }
}

impl<'a> Environment<'a> {
    fn tell(self, raw: &mut RawEvent<'a>) -> Result<(), Fault> {
        raw.facts.set(Fact::System, optional(self.os, "environment.os")?);
        raw.facts.set(Fact::SystemVersion, optional(self.os_version, "environment.os_version")?);
        raw.facts.set(Fact::Arch, optional(self.arch, "environment.arch")?);
        raw.facts.set(Fact::Shell, optional(self.shell, "environment.shell")?);
        let ci = match self.ci {
            Leaf::Absent => None,
            Leaf::Bool(true) => Some("true"),
            Leaf::Bool(false) => Some("false"),
            Leaf::Text(_) | Leaf::Int(_) | Leaf::Large(_) | Leaf::Double(_) | Leaf::Other => {
                return Err(Fault::invalid("`environment.ci` is not a boolean"));
            }
        };
        raw.facts.set(Fact::Ci, ci);
        Ok(())
    }
}

fn optional<'a>(leaf: Leaf<'a>, member: &str) -> Result<Option<Cow<'a, str>>, Fault> {
    match leaf {
        Leaf::Text(text) => Ok(Some(text)),
        Leaf::Absent => Ok(None),
        Leaf::Bool(_) | Leaf::Int(_) | Leaf::Large(_) | Leaf::Double(_) | Leaf::Other => {
            Err(Fault::invalid(format!("`{member}` is not a string")))
        }
    }
}

fn required<'a>(leaf: Leaf<'a>, member: &str) -> Result<Cow<'a, str>, Fault> {
    optional(leaf, member)?.ok_or_else(|| Fault::invalid(format!("`{member}` is missing")))
}

fn filled<'a>(text: Cow<'a, str>, member: &str) -> Result<Cow<'a, str>, Fault> {
    if text.is_empty() { Err(Fault::invalid(format!("`{member}` is empty"))) } else { Ok(text) }
}

#[cfg(test)]
mod tests;
