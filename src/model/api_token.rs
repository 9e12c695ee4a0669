//! Tokens of the read API: what programs read counts and events with.

use super::{ApiTokenId, App, AppId, Millis, OrganizationId};

/// One thing that a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenScope {
    /// Reading counts, events and people.
    Read,
}

impl TokenScope {
    /// Every scope.
    pub const ALL: [Self; 1] = [Self::Read];

    /// As written in the database and on the command line.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
        }
    }

    /// The scope of that name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == text)
    }
}

/// What a token allows, each scope once and in a fixed order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scopes(Vec<TokenScope>);

impl Scopes {
    /// Reads words with blanks between them; words that are not known allow nothing.
    pub fn parse(text: &str) -> Self {
        text.split_whitespace().filter_map(TokenScope::parse).collect()
    }

    /// Whether that is allowed.
    pub fn allow(&self, scope: TokenScope) -> bool {
        self.0.contains(&scope)
    }
}

impl FromIterator<TokenScope> for Scopes {
    fn from_iter<I: IntoIterator<Item = TokenScope>>(scopes: I) -> Self {
        let mut scopes: Vec<TokenScope> = scopes.into_iter().collect();
        scopes.sort_unstable();
        scopes.dedup();
        Self(scopes)
    }
}

/// Words with blanks between them: what [`Scopes::parse`] reads.
impl std::fmt::Display for Scopes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (place, scope) in self.0.iter().enumerate() {
            let blank = if place == 0 { "" } else { " " };
            write!(f, "{blank}{}", scope.as_str())?;
        }
        Ok(())
    }
}

/// A token as it is listed: the token itself is known to its holder alone.
#[derive(Clone, Debug)]
pub struct ApiToken {
    /// Row.
    pub id: ApiTokenId,
    /// Whose apps it may read.
    pub organization: OrganizationId,
    /// The only app that it may read; all of the organization without one.
    pub app: Option<AppId>,
    /// What its owner calls it.
    pub name: String,
    /// First characters of the token, enough to recognise it.
    pub hint: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it was made.
    pub created_at: Millis,
    /// When it ends by itself.
    pub expires_at: Option<Millis>,
    /// Its last use, to the hour.
    pub last_used_at: Option<Millis>,
    /// When it was taken back.
    pub revoked_at: Option<Millis>,
}

impl ApiToken {
    /// Whether it works at `now`.
    pub fn works(&self, now: Millis) -> bool {
        [self.expires_at, self.revoked_at].into_iter().flatten().all(|end| now < end)
    }

    /// Whether it may read that app.
    pub fn covers(&self, app: &App) -> bool {
        self.organization == app.organization.id && self.app.is_none_or(|own| own == app.id)
    }
}

/// What a token may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenReach {
    /// One app.
    App(AppId),
    /// All apps of an organization, those to come included.
    Organization(OrganizationId),
}

/// A token to be stored.
#[derive(Clone, Debug)]
pub struct NewApiToken {
    /// What it may read.
    pub reach: TokenReach,
    /// Its name, 1 to 100 characters.
    pub name: String,
    /// First characters of the token.
    pub hint: String,
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// What it allows.
    pub scopes: Scopes,
    /// When it ends by itself.
    pub expires_at: Option<Millis>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for (text, written, reads) in
            [("read", "read", true), (" read  read ", "read", true), ("", "", false), ("write", "", false)]
        {
            let scopes = Scopes::parse(text);
            assert_eq!((scopes.to_string().as_str(), scopes.allow(TokenScope::Read)), (written, reads), "{text}");
        }
    }
}
