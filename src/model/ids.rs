//! Identifiers: one type for each kind, so that none is passed where another belongs.

use std::fmt;

use uuid::Uuid;

macro_rules! row_id {
    ($($(#[$doc:meta])* $name:ident),+ $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    )+};
}

row_id! {
    /// An [`Organization`](super::Organization)'s row.
    OrganizationId,
    /// An [`App`](super::App)'s row.
    AppId,
    /// An [`Environment`](super::Environment)'s row; events, users and summaries belong to one.
    EnvironmentId,
    /// An [`IngestKey`](super::IngestKey)'s row.
    IngestKeyId,
    /// A [`Member`](super::Member)'s row.
    MemberId,
    /// An [`ApiToken`](super::ApiToken)'s row.
    ApiTokenId,
    /// A [`Tier`](super::Tier)'s row.
    TierId,
    /// A [`Ban`](super::Ban)'s row.
    BanId,
    /// A [`StandingOrder`](super::StandingOrder)'s row.
    OrderId,
}

/// The id that a client gave an event, the same on every resend: a UUID's 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId(pub [u8; 16]);

impl EventId {
    /// A fresh id, for an event whose client gave none.
    pub fn random() -> Self {
        Uuid::new_v4().into()
    }
}

impl From<Uuid> for EventId {
    fn from(uuid: Uuid) -> Self {
        Self(*uuid.as_bytes())
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

/// An end user, as stored: a keyed hash of what the client calls that user, different for each app, so that
/// neither a stolen database nor two apps compared give the client's identifier away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserHash(pub [u8; 16]);

/// An analytics session, as stored: a keyed hash like [`UserHash`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionHash(pub [u8; 16]);

/// A short name for an organization, app or environment: 1 to 64 characters of `A-Z a-z 0-9 _ -`
/// (the telemetry-kit guide's app ids fit, as do UUIDs).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Slug(String);

impl Slug {
    /// Longest slug, in characters.
    pub const MAX: usize = 64;

    /// `None` unless `text` has the form of a slug.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=Self::MAX).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        fits.then(|| Self(text.to_owned()))
    }

    /// A slug made from a display name: lower case, runs of other characters become one hyphen.
    /// A name without any usable character gives `app`.
    pub fn from_name(name: &str) -> Self {
        let mut slug = String::new();
        for c in name.chars() {
            if c.is_ascii_alphanumeric() {
                slug.push(c.to_ascii_lowercase());
            } else if !slug.is_empty() && !slug.ends_with('-') {
                slug.push('-');
            }
            if slug.len() == Self::MAX - 8 {
                break; // room for a suffix that makes it unique
            }
        }
        let slug = slug.trim_end_matches('-');
        Self(if slug.is_empty() { "app".to_owned() } else { slug.to_owned() })
    }

    /// The slug as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
