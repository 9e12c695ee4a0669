//! What one message says: an event, or who somebody is.

use std::borrow::Cow;
use std::net::IpAddr;

use super::decode::{Kind, Sender};
use super::leaf::Leaf;
use super::wire::{Context, Message, Traits};
use super::{agent, props};
use crate::ingest::{Claim, Sent};
use crate::model::{EventId, Fact, Millis, RawEvent, RawFacts, RawPerson, Reason};
use crate::protocol::event_id::{ContentIds, id_of};
use crate::protocol::moment;

/// What a page view is called.
const PAGE: &str = "$pageview";
/// What the view of a screen is called.
const SCREEN: &str = "$screen";

/// The time of an event that says none but has an id: the same on every resend, and so early that the event counts as
/// of its arrival.
const NO_TIME: Millis = Millis(0);

/// How libraries that run on servers end, in any case: what surrounds them is the developer's, not the user's.
const ON_SERVERS: [&str; 10] =
    ["-node", "-python", "-go", "-ruby", "-php", "-java", ".net", "_elixir", "-rust", "-clojure"];

/// Longest name of a session, in bytes; it is derived then.
const SESSION: usize = 255;

/// Why a message cannot be used, in words for its developer.
#[derive(Debug)]
pub struct Fault(pub String);

/// What a message says.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every message is an event, and a box would cost it an allocation"
)]
pub enum Said<'a> {
    /// That something happened.
    Event(RawEvent<'a>),
    /// Who somebody is.
    People([Option<RawPerson<'a>>; 2]),
}

/// A message that cannot be used; it can be read again later if `message` is there.
pub fn unusable<'a>(body: &'a str, fault: Fault, message: Option<Message<'a>>) -> Claim<'a> {
    let id = message.as_ref().and_then(|message| message.message_id.text().map(id_of));
    let sent = message.map(|message| Sent {
        protocol: super::NAME,
        session: message.session(None),
        user: message.user_id.into_text().or(message.anonymous_id.into_text()),
    });
    Claim::Unusable { reason: Reason::Invalid, detail: fault.0, id, body, sent }
}

impl<'a> Message<'a> {
    /// When the call was made, by the client's clock.
    pub fn time(&self) -> Option<Millis> {
        let time = |leaf: &Leaf<'a>| leaf.text().and_then(moment::parse);
        time(&self.original_timestamp).or_else(|| time(&self.timestamp))
    }

    /// The session that the SDK names. It names it by when it began, which two people can have in common.
    fn session(&self, whole: Option<&Context<'a>>) -> Option<Cow<'a, str>> {
        let own = self.context.0.as_ref().and_then(|context| context.session_id.text());
        let session = own.or_else(|| whole?.session_id.text())?;
        let whose = self.anonymous_id.text().or(self.user_id.text()).unwrap_or_default();
        // A longer one would be none for the pipeline, and the event none.
        (whose.len() + session.len() < SESSION).then(|| [whose, ":", session].concat().into())
    }
}

/// Reads the messages of one body.
pub struct Reader<'a, 's> {
    sender: &'s Sender<'s>,
    /// What the batch says for all its messages.
    whole: Option<Context<'a>>,
    body: &'a [u8],
    /// Those of the key and the body, once they were needed.
    ids: Option<ContentIds>,
}

impl<'a, 's> Reader<'a, 's> {
    /// For the messages of that body.
    pub fn new(sender: &'s Sender<'s>, whole: Option<Context<'a>>, body: &'a [u8]) -> Self {
        Self { sender, whole, body, ids: None }
    }

    /// Reads the message at that place of the body. Which call it is says the path, or else the message.
    pub fn read(&mut self, message: Message<'a>, kind: Option<Kind>, index: usize) -> Result<Said<'a>, Fault> {
        let kind = match (kind, message.kind.text()) {
            (Some(kind), _) => kind,
            (None, Some(text)) => Kind::parse(text)
                .ok_or_else(|| fault("`type` is none of track, page, screen, identify, group and alias"))?,
            (None, None) => return Err(fault("`type` is missing")),
        };
        match kind {
            Kind::Track | Kind::Page | Kind::Screen => self.event(message, kind, index),
            Kind::Identify | Kind::Group | Kind::Alias => people(message, kind).map(Said::People),
        }
    }

    /// Whether a user's own machine sends it, and not a server.
    pub fn is_from_user(&self, message: &Message<'a>) -> bool {
        match message.channel.text() {
            Some("server") => return false,
            Some("mobile" | "web") => return true,
            Some(_) | None => {}
        }
        let contexts = message.context.0.iter().chain(&self.whole);
        let mut libraries = contexts.filter_map(|context| context.library.0.as_ref()?.name.text());
        libraries.next().map_or(self.sender.browser.is_some(), |name| !is_on_servers(name))
    }

    fn event(&mut self, mut message: Message<'a>, kind: Kind, index: usize) -> Result<Said<'a>, Fault> {
        let name = match kind {
            Kind::Page => Cow::Borrowed(PAGE),
            Kind::Screen => Cow::Borrowed(SCREEN),
            _ => std::mem::take(&mut message.event).into_text().ok_or_else(|| fault("`event` is missing"))?,
        };
        let time = message.time();
        let id = match (message.message_id.text(), time) {
            (Some(id), _) => Some(id_of(id)),
            // The same bytes with a time in them are a resend; without one, it may have happened again.
            (None, Some(_)) => Some(self.content_id(index)),
            (None, None) => None,
        };
        let session = message.session(self.whole.as_ref());
        let own = message.context.0.take();
        let props = props::of(kind, &message, own.as_ref(), self.whole.as_ref());
        let claimed_at = time.or(message.message_id.text().map(|_| NO_TIME));
        let (user, anonymous) = (message.user_id.into_text(), message.anonymous_id.into_text());
        let facts = self.facts(own);
        Ok(Said::Event(RawEvent {
            id,
            claimed_at,
            name,
            user,
            anonymous,
            session,
            props,
            facts,
            ..RawEvent::default()
        }))
    }

    /// An id that is the same for the same bytes with the same key.
    fn content_id(&mut self, index: usize) -> EventId {
        let key = self.sender.key.map_or(0, |key| key.0);
        self.ids.get_or_insert_with(|| ContentIds::of(key, self.body)).at(index)
    }

    /// What a batch says stands in for what its message does not say itself.
    fn facts(&self, own: Option<Context<'a>>) -> RawFacts<'a> {
        let mut facts = RawFacts::default();
        for context in self.whole.clone().into_iter().chain(own) {
            self.tell(context, &mut facts);
        }
        if facts.get(Fact::System).is_none() {
            facts.set(Fact::System, self.sender.browser.and_then(agent::of_browser));
        }
        facts
    }

    fn tell(&self, context: Context<'a>, facts: &mut RawFacts<'a>) {
        let mut put = |fact: Fact, value: Option<Cow<'a, str>>| {
            if value.is_some() {
                facts.set(fact, value);
            }
        };
        let library = context.library.0.unwrap_or_default();
        // RudderStack's SDK for browsers tells itself as the app.
        let app = context.app.0.filter(|app| app.name.text().is_none() || app.name != library.name);
        let app = app.unwrap_or_default();
        put(Fact::Service, app.name.into_text());
        put(Fact::Version, app.version.into_text());
        put(Fact::Build, app.build.into_text());
        put(Fact::Device, context.device.0.and_then(|device| device.model.into_text()));
        put(Fact::Locale, context.locale.into_text());
        let os = context.os.0.unwrap_or_default();
        let of_browser = || context.user_agent.text().and_then(agent::of_browser).map(Cow::Borrowed);
        let platform = context.user_agent_data.0.and_then(|said| said.platform.into_text());
        put(Fact::System, os.name.into_text().or(platform).map(agent::system).or_else(of_browser));
        put(Fact::SystemVersion, os.version.into_text());
        let sdk = library.name.into_text().map(|name| match library.version.text() {
            Some(version) => [&name, "/", version].concat().into(),
            None => name,
        });
        put(Fact::Sdk, sdk);
        let country = context.ip.text().and_then(|ip| ip.parse::<IpAddr>().ok()).and_then(self.sender.country);
        put(Fact::Country, country.map(|country| country.code().to_owned().into()));
    }
}

/// Whether a library of that name runs on servers.
fn is_on_servers(name: &str) -> bool {
    let tail = |length: usize| name.len().checked_sub(length).and_then(|at| name.get(at..));
    ON_SERVERS.iter().any(|end| tail(end.len()).is_some_and(|tail| tail.eq_ignore_ascii_case(end)))
}

/// Whom a call tells of.
fn people(message: Message<'_>, kind: Kind) -> Result<[Option<RawPerson<'_>>; 2], Fault> {
    let (user, anonymous) = (message.user_id.into_text(), message.anonymous_id.into_text());
    if user.is_none() && anonymous.is_none() {
        return Err(fault("`userId` and `anonymousId` are missing"));
    }
    let linked = |user: &Option<_>, anonymous| RawPerson { user: user.clone(), anonymous, ..RawPerson::default() };
    Ok(match kind {
        Kind::Identify => {
            let [(email, name), (other_email, other_name)] =
                [message.traits.0, message.context.0.and_then(|context| context.traits.0)].map(told);
            let (email, name) = (email.or(other_email), name.or(other_name));
            [Some(RawPerson { user, anonymous, email, name, ..RawPerson::default() }), None]
        }
        Kind::Alias => {
            let previous = message.previous_id.into_text();
            let previous = previous.ok_or_else(|| fault("`previousId` is missing"))?;
            [Some(linked(&user, Some(previous))), Some(linked(&user, anonymous))]
        }
        _ => [Some(linked(&user, anonymous)), None],
    })
}

/// Address and name of a person.
fn told(traits: Option<Traits<'_>>) -> (Option<Cow<'_, str>>, Option<Cow<'_, str>>) {
    let Some(traits) = traits else { return (None, None) };
    let whole = || match (traits.first_name.into_text(), traits.last_name.into_text()) {
        (Some(first), Some(last)) => Some([first, last].join(" ").into()),
        (first, last) => first.or(last),
    };
    (traits.email.into_text(), traits.name.into_text().or_else(whole))
}

fn fault(problem: &str) -> Fault {
    Fault(problem.to_owned())
}
