//! Events: what a stranger claims, and what we vouch for.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::value::RawValue;

use super::{EventId, Millis, SessionHash, UserHash};

macro_rules! facts {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $label:literal, $max:literal, $cap:literal;)+) => {
        /// A repeated property of the program that reports. A set of them is stored once and shared by many events.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Fact { $($(#[$doc])* $variant),+ }

        impl Fact {
            /// Every fact, in the order of the stored columns.
            pub const ALL: [Self; [$(Self::$variant),+].len()] = [$(Self::$variant),+];
            /// How many there are.
            pub const COUNT: usize = Self::ALL.len();

            /// Column name in the `facts` table, and the name in URLs.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),+ }
            }

            /// As on pages.
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),+ }
            }

            /// Longest kept value in bytes; longer ones are cut with a mark.
            pub const fn max_len(self) -> usize {
                match self { $(Self::$variant => $max),+ }
            }

            /// How many different values an app may have before further ones count as "other".
            pub const fn cardinality(self) -> u32 {
                match self { $(Self::$variant => $cap),+ }
            }
        }
    };
}

facts! {
    /// The app's own version.
    Version = "version", "Version", 100, 2_000;
    /// Its build number.
    Build = "build", "Build", 50, 5_000;
    /// Operating system family: `linux`, `macos`, `windows`, `ios`, …
    System = "system", "System", 50, 100;
    /// The operating system's version.
    SystemVersion = "system_version", "System version", 100, 1_000;
    /// Processor architecture.
    Arch = "arch", "Architecture", 50, 100;
    /// Device model.
    Device = "device", "Device model", 100, 5_000;
    /// Language and region of the user interface.
    Locale = "locale", "Locale", 35, 500;
    /// The SDK that sent it, name and version.
    Sdk = "sdk", "SDK", 80, 200;
    /// Component of the app, where an SDK names one (`service.name`).
    Service = "service", "Component", 255, 500;
    /// Programming language, with its version.
    Language = "language", "Language", 100, 200;
    /// The shell that a command-line program runs under.
    Shell = "shell", "Shell", 50, 100;
    /// `true` in continuous integration.
    Ci = "ci", "CI", 5, 2;
    /// Where the request came from, as an ISO 3166 code, where a database of addresses is configured.
    Country = "country", "Country", 2, 300;
}

/// What a stranger claims: an adapter's reading of one event, borrowed from the request body.
#[derive(Clone, Debug, Default)]
pub struct RawEvent<'a> {
    /// The client's id for it; without one, exactly-once cannot be promised.
    pub id: Option<EventId>,
    /// The client's time of the event, exactly as a resend would repeat it.
    pub claimed_at: Option<Millis>,
    /// What happened.
    pub name: Cow<'a, str>,
    /// A coarse class of events.
    pub category: Option<Cow<'a, str>>,
    /// The client's identifier of the end user. Empty means none.
    pub user: Option<Cow<'a, str>>,
    /// What the client called the end user before it knew who that is. With `user`, the two are one person from now on;
    /// without, they go by this name. Empty means none.
    pub anonymous: Option<Cow<'a, str>>,
    /// The client's identifier of the session. Empty means none.
    pub session: Option<Cow<'a, str>>,
    /// Properties: any JSON value.
    pub props: Option<Cow<'a, RawValue>>,
    /// What went wrong, where the protocol has a place of its own for that. Properties are looked at anyhow.
    pub error: Option<RawError<'a>>,
    /// Facts of the program; see [`RawFacts::set`].
    pub facts: RawFacts<'a>,
}

impl RawEvent<'_> {
    /// The name under which it counts for an end user, if it names one.
    pub fn whose(&self) -> Option<&str> {
        let filled = |id: &&str| !id.is_empty();
        self.user.as_deref().filter(filled).or_else(|| self.anonymous.as_deref().filter(filled))
    }

    /// Both names of one end user, the earlier one first, where it tells them.
    pub fn linked(&self) -> Option<(&str, &str)> {
        linked(self.anonymous.as_deref(), self.user.as_deref())
    }
}

/// Two names of one person, where both are there and differ.
pub(super) fn linked<'t>(anonymous: Option<&'t str>, user: Option<&'t str>) -> Option<(&'t str, &'t str)> {
    let both = anonymous.zip(user).filter(|(anonymous, user)| !anonymous.is_empty() && !user.is_empty());
    both.filter(|(anonymous, user)| anonymous != user && !names_nobody(anonymous) && !names_nobody(user))
}

/// Whether a name is what programs put where they know none: it would make one person of everybody.
fn names_nobody(name: &str) -> bool {
    const NOBODY: [&str; 18] = [
        "undefined",
        "null",
        "nil",
        "none",
        "nan",
        "0",
        "true",
        "false",
        "[object object]",
        "anonymous",
        "guest",
        "unknown",
        "not_authenticated",
        "id",
        "distinctid",
        "distinct_id",
        "user_id",
        "email",
    ];
    let name = name.trim_matches(|c: char| c.is_whitespace() || matches!(c, '"' | '\''));
    name.is_empty() || NOBODY.iter().any(|nobody| name.eq_ignore_ascii_case(nobody))
}

/// What a client says of an error or a crash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawError<'a> {
    /// Its class, such as `TypeError`.
    pub kind: Option<Cow<'a, str>>,
    /// Its message.
    pub message: Option<Cow<'a, str>>,
    /// What the client groups it by, where it does that itself.
    pub fingerprint: Option<Cow<'a, str>>,
    /// Whether the program ended by it.
    pub fatal: bool,
}

/// The claimed facts of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawFacts<'a>([Option<Cow<'a, str>>; Fact::COUNT]);

impl<'a> RawFacts<'a> {
    /// Claims a fact; `None` and the empty string claim nothing.
    pub fn set(&mut self, fact: Fact, value: Option<impl Into<Cow<'a, str>>>) {
        self.0[fact as usize] = value.map(Into::into).filter(|v: &Cow<'a, str>| !v.is_empty());
    }

    /// What was claimed.
    pub fn get(&self, fact: Fact) -> Option<&str> {
        self.0[fact as usize].as_deref()
    }
}

/// A set of facts we vouch for: bounded, clean, shared between events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts(pub(crate) [Option<Box<str>>; Fact::COUNT]);

impl Facts {
    /// The value of a fact, if known.
    pub fn get(&self, fact: Fact) -> Option<&str> {
        self.0[fact as usize].as_deref()
    }
}

/// What we vouch for: bounded, timed, free of addresses and of the client's own identifiers.
/// Only normalization makes one.
#[derive(Clone, Debug)]
pub struct Event {
    pub(crate) id: EventId,
    pub(crate) claimed_at: Millis,
    pub(crate) occurred_at: Millis,
    pub(crate) name: Arc<str>,
    pub(crate) category: Option<Arc<str>>,
    pub(crate) user: Option<UserHash>,
    pub(crate) session: Option<SessionHash>,
    pub(crate) facts: Arc<Facts>,
    pub(crate) props: Option<Box<str>>,
    pub(crate) error: Option<Box<EventError>>,
}

/// That an event tells of an error, bounded and grouped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventError {
    /// What it is grouped by, and called: class and message without what differs from one time to the next.
    pub group: String,
    /// The message as it came, cut.
    pub message: String,
    /// Whether it is a crash.
    pub fatal: bool,
}

impl Event {
    /// The id under which it counts once.
    pub fn id(&self) -> EventId {
        self.id
    }
    /// The client's uncorrected time: with the id, the key of de-duplication, since a resend repeats both.
    pub fn claimed_at(&self) -> Millis {
        self.claimed_at
    }
    /// When it happened, by our clock.
    pub fn occurred_at(&self) -> Millis {
        self.occurred_at
    }
    /// What happened.
    pub fn name(&self) -> &str {
        &self.name
    }
    /// Coarse class.
    pub fn category(&self) -> Option<&str> {
        self.category.as_deref()
    }
    /// The end user.
    pub fn user(&self) -> Option<UserHash> {
        self.user
    }
    /// The session that the SDK named.
    pub fn session(&self) -> Option<SessionHash> {
        self.session
    }
    /// Facts of the program.
    pub fn facts(&self) -> &Arc<Facts> {
        &self.facts
    }
    /// Properties as compact JSON text.
    pub fn props(&self) -> Option<&str> {
        self.props.as_deref()
    }
    /// The error that it tells of.
    pub fn error(&self) -> Option<&EventError> {
        self.error.as_deref()
    }
}

/// An event that could not be made into an [`Event`]: kept with its reason, shown to the operator, counted.
#[derive(Clone, Debug)]
pub struct SetAside {
    /// Why.
    pub reason: Reason,
    /// What exactly, in words for a developer; no values of the event in it.
    pub detail: String,
    /// The client's id for it, where it could be read.
    pub id: Option<EventId>,
    /// The event's own text without identifiers of people, cut at
    /// [`Limits::set_aside_bytes`](super::Limits::set_aside_bytes).
    pub body: Box<str>,
    /// What it takes to try it again, in the pipeline's own words; none where that cannot work.
    pub again: Option<Box<str>>,
}

/// Why an event was set aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Not an object, a missing member or a wrong type.
    Invalid,
    /// A major schema version that we do not know.
    UnsupportedSchema,
    /// Larger than one event may be.
    TooLarge,
    /// Nested deeper than allowed, or with too many properties.
    TooComplex,
    /// Older than events are kept.
    TooOld,
}

impl Reason {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Invalid, Self::UnsupportedSchema, Self::TooLarge, Self::TooComplex, Self::TooOld];

    /// As stored and as shown in metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::UnsupportedSchema => "unsupported_schema",
            Self::TooLarge => "too_large",
            Self::TooComplex => "too_complex",
            Self::TooOld => "too_old",
        }
    }

    /// The reason of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }
}
