//! Tokens of the read API: issued once, and proved with every request.

use std::fmt;
use std::sync::Arc;

use super::token::{self, TokenKind};
use crate::clock::Clock;
use crate::model::{ApiToken, Millis, NewApiToken, Scopes, TokenReach};
use crate::store::{Result as StoreResult, Store, StoreError};
use crate::trail::{self, Stage};

/// How the tokens of earlier versions begin; they have 64 hex digits more.
const EARLIER: &str = "tb_";

/// Characters of a token that are listed.
const HINT: usize = 10;

/// A token as it is handed out, and as it is to be stored. `Debug` hides the token.
pub struct IssuedToken {
    /// `tka_`, 64 hex digits, 256 random bits of which the hint tells 24, and a check; shown once.
    pub token: String,
    /// What the store keeps.
    pub new: NewApiToken,
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken").field("new", &self.new).finish_non_exhaustive()
    }
}

/// Makes a token. `name` has 1 to 100 characters, which the caller has checked.
pub fn issue(reach: TokenReach, name: &str, scopes: Scopes, expires_at: Option<Millis>) -> IssuedToken {
    let token = token::issue_kind::<32>(TokenKind::Api);
    let (hint, token_hash) = (token.chars().take(HINT).collect(), token::hash(&token));
    IssuedToken { token, new: NewApiToken { reach, name: name.to_owned(), hint, token_hash, scopes, expires_at } }
}

/// Finds tokens. Each is looked up in the store whenever it is used: one step into an index, which is what a look at
/// the directory's version would cost too, and a revoked one stops with the next request, whichever process revoked it.
#[derive(Clone)]
pub struct ApiTokens {
    store: Arc<dyn Store>,
    clock: Clock,
}

impl ApiTokens {
    /// Over a store.
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock }
    }

    /// The token that is written so, where it works now. What cannot be one of ours is not looked for.
    pub async fn find(&self, text: &str) -> StoreResult<Option<ApiToken>> {
        let earlier = |digits: &str| digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        let ours = match TokenKind::of(text) {
            Some(kind) => kind == TokenKind::Api && !token::is_mistyped(text),
            None => text.strip_prefix(EARLIER).is_some_and(earlier),
        };
        if !ours {
            return Ok(None);
        }
        let (hash, now, store) = (token::hash(text), self.clock.now(), self.store.clone());
        let found = trail::blocking_within(Stage::Store, move || store.find_api_token(&hash, now)).await;
        found.unwrap_or_else(|e| Err(StoreError::Unexpected(format!("a token look-up did not end: {e}"))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{AppId, TokenScope};

    #[test]
    fn issued_tokens_are_random_and_hidden() {
        let issue = || issue(TokenReach::App(AppId(7)), "ci", [TokenScope::Read].into_iter().collect(), None);
        let (one, other) = (issue(), issue());
        assert!(one.token.starts_with("tka_") && one.token.len() == 76 && one.token != other.token);
        assert!(!token::is_mistyped(&one.token));
        assert_eq!(one.new.token_hash, token::hash(&one.token));
        assert_eq!(one.new.hint, one.token[..10]);
        assert!(!format!("{one:?}").contains(&one.token[..]), "{one:?}");
    }
}
