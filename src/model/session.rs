//! Sessions: what they are called, which of them lists show, one whole, and what many come to.

use std::fmt;

use super::{
    Counts, Cursor, CursorKey, EnvironmentId, EventRow, Filters, Millis, Period, SessionHash, TimeRange, UserHash,
};

/// What a session is called outside of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionName {
    /// By the pseudonym of what an SDK calls it.
    Named(SessionHash),
    /// The one of this user, derived from pauses, that this instant lies in; its beginning at the time it was named.
    Derived(UserHash, Millis),
}

impl SessionName {
    /// Reads what [`SessionName`] is displayed as.
    pub fn parse(text: &str) -> Option<Self> {
        match text.contains('.') {
            false => UserHash::parse(text).map(|hash| Self::Named(SessionHash(hash.0))),
            true => match Cursor::number(text)? {
                Cursor { key: CursorKey::Number(at), id } => Some(Self::Derived(UserHash(id), Millis(at))),
                Cursor { key: CursorKey::Text(_), .. } => None,
            },
        }
    }
}

impl fmt::Display for SessionName {
    /// 32 hexadecimal digits, and for a derived one a dot and a time in milliseconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(hash) => f.write_str(&hex::encode(hash.0)),
            Self::Derived(user, at) => write!(f, "{user}.{}", at.0),
        }
    }
}

/// One session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionRow {
    /// What it is called; none of one that only a device was told of.
    pub name: Option<SessionName>,
    /// Whose it is, if anybody's.
    pub user: Option<UserHash>,
    /// Its first event, or when the device was told of it.
    pub started_at: Millis,
    /// Its last event.
    pub ended_at: Millis,
    /// All its events.
    pub events: i64,
    /// Whether something has crashed in it.
    pub crashed: bool,
    /// App version.
    pub version: Option<String>,
    /// App build.
    pub build: Option<String>,
    /// Operating system.
    pub system: Option<String>,
    /// Its version.
    pub system_version: Option<String>,
    /// The device by name, or else its model.
    pub device: Option<String>,
}

/// Which sessions are meant. All conditions hold together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct SessionFilters {
    /// Conditions on the facts of its first event; those on anything but facts are left out.
    pub facts: Filters,
    /// That it lasted at least so many milliseconds.
    pub from_length: Option<i64>,
    /// That it lasted less than so many milliseconds.
    pub below_length: Option<i64>,
    /// That it has at least so many events.
    pub from_events: Option<i64>,
    /// That something has crashed in it, or that nothing has.
    pub crashed: Option<bool>,
}

/// A page of sessions, the last begun first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionsPage {
    /// Whose.
    pub environment: EnvironmentId,
    /// Those that began in it.
    pub range: TimeRange,
    /// Which of them.
    pub filters: SessionFilters,
    /// Behind which one of the same list: its key is the beginning, its id the pseudonym in the session's name.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: u32,
}

/// Answer to a [`SessionsPage`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionList {
    /// The last begun first.
    pub rows: Vec<SessionRow>,
    /// Where it goes on, if it does.
    pub next: Option<Cursor>,
}

/// One session and a stretch of its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPage {
    /// Whose.
    pub environment: EnvironmentId,
    /// Which.
    pub name: SessionName,
    /// Only events at or behind this place: its key is a time, its id that of the event before it.
    pub after: Option<Cursor>,
    /// At most so many events.
    pub limit: u32,
}

/// Answer to a [`SessionPage`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDetail {
    /// The session.
    pub session: SessionRow,
    /// Its events, the first one first.
    pub events: Vec<EventRow>,
    /// Where they go on. There may be nothing more, or a page may be short, where looking took long.
    pub next: Option<Cursor>,
}

/// What the sessions that began in a period come to. Answered by [`Report::Sessions`](super::Report::Sessions).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SessionsAsk {
    /// When they began.
    pub period: Period,
    /// Which of them.
    pub filters: SessionFilters,
}

/// The lengths at which one column of the distribution ends and the next begins, in milliseconds.
pub const LENGTH_STEPS: [i64; 9] = [
    10 * Millis::SECOND,
    30 * Millis::SECOND,
    Millis::MINUTE,
    3 * Millis::MINUTE,
    10 * Millis::MINUTE,
    30 * Millis::MINUTE,
    Millis::HOUR,
    3 * Millis::HOUR,
    12 * Millis::HOUR,
];

/// Answer to a [`SessionsAsk`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionsTold {
    /// What they come to, as far as that speaks of sessions. Without conditions the events are all of the period's,
    /// with some those of the sessions.
    pub counts: Counts,
    /// How many there are in each column that [`LENGTH_STEPS`] divide; lengths near a step are within 4 percent of it.
    pub lengths: [i64; LENGTH_STEPS.len() + 1],
}

impl SessionFilters {
    /// Whether every session is meant.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (name, text) in [
            (SessionName::Named(SessionHash([0xab; 16])), "ab".repeat(16)),
            (SessionName::Derived(UserHash([1; 16]), Millis(-5)), format!("{}.-5", "01".repeat(16))),
        ] {
            assert_eq!(name.to_string(), text);
            assert_eq!(SessionName::parse(&text), Some(name));
        }
        for text in ["", ".", "ab", "1", &format!("{}.x", "ab".repeat(16)), &"g".repeat(32)] {
            assert_eq!(SessionName::parse(text), None, "{text}");
        }
    }
}
