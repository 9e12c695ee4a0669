//! What apps tell of their users beside events: who they are, and by which name they went before that was known.

use std::borrow::Cow;

use super::event::linked;
use super::{Millis, UserHash};

/// What a stranger claims in a call that is no event, such as an identify or an alias; borrowed from the request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawPerson<'a> {
    /// The app's identifier of the user. Empty means none.
    pub user: Option<Cow<'a, str>>,
    /// What the SDK called them before. Empty means none.
    pub anonymous: Option<Cow<'a, str>>,
    /// Their address for mail.
    pub email: Option<Cow<'a, str>>,
    /// Their name.
    pub name: Option<Cow<'a, str>>,
    /// Their address for mail, where none is known yet.
    pub email_once: Option<Cow<'a, str>>,
    /// Their name, where none is known yet.
    pub name_once: Option<Cow<'a, str>>,
    /// Of whom it holds that they were called something else before.
    pub earlier: Earlier,
}

impl RawPerson<'_> {
    /// Both names, the earlier one first, where it tells them.
    pub fn linked(&self) -> Option<(&str, &str)> {
        linked(self.anonymous.as_deref(), self.user.as_deref())
    }

    /// Whether it tells anything of its user.
    pub fn tells(&self) -> bool {
        [&self.anonymous, &self.email, &self.name, &self.email_once, &self.name_once].into_iter().any(Option::is_some)
    }
}

/// Who may become somebody else by a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Earlier {
    /// Whoever goes by the earlier name.
    #[default]
    Anyone,
    /// Nobody who is known already: another name leads to theirs.
    Unknown,
}

/// That two names are one person's: whoever was `from` is `into`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    /// Before it was known who they are.
    pub from: UserHash,
    /// Who they are.
    pub into: UserHash,
    /// When we were told.
    pub at: Millis,
    /// Of whom it holds.
    pub earlier: Earlier,
}

/// What was told of somebody that is kept: bounded, as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// As their events name them.
    pub user: UserHash,
    /// The app's own identifier, not empty.
    pub identifier: String,
    /// Not empty.
    pub email: Option<String>,
    /// Not empty.
    pub name: Option<String>,
    /// What is kept where no address is known yet. Not empty.
    pub email_once: Option<String>,
    /// What is kept where no name is known yet. Not empty.
    pub name_once: Option<String>,
}
