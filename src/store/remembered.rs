//! How well the memory between commits does.

use crate::model::{LookupCounts, Lookups};

/// Counts look-ups of commits.
#[derive(Debug, Default)]
pub(super) struct Remembered {
    /// Commits all of whose texts were known, and others.
    pub(super) texts: Lookups,
    /// Users.
    pub(super) users: Lookups,
    /// Sessions that SDKs name.
    pub(super) sessions: Lookups,
}

impl Remembered {
    /// All of them, by name.
    pub(super) fn all(&self) -> Vec<(&'static str, LookupCounts)> {
        vec![("texts", self.texts.read()), ("users", self.users.read()), ("sessions", self.sessions.read())]
    }
}
