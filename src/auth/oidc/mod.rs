//! Signing in by OpenID Connect: the authorization code flow with PKCE, and who came back (OpenID Connect Core 1.0, 3.1).

mod flow;
mod keys;
mod provider;

use std::sync::Arc;

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::seal::MasterKey;
use crate::clock::Clock;
use crate::model::{GroupRole, Millis, OrganizationRole};
use flow::Journey;
use keys::{Expected, Fault};
use provider::Provider;

/// Most groups of a person that are looked at.
const GROUPS: usize = 1_000;
/// Longest name that is taken from a provider, in characters.
const LONGEST_NAME: usize = 254;
/// How much later than it was asked for a sign-in may count as asked for: clocks differ.
const LEEWAY: i64 = Millis::MINUTE;

/// How a provider is reached, and what its groups may do here.
#[derive(Clone, Debug)]
pub struct OidcOptions {
    /// As the provider writes it into its tokens.
    pub issuer: String,
    /// Who we are to the provider.
    pub client_id: String,
    /// What proves it; `None` for a public client.
    pub client_secret: Option<SecretString>,
    /// What the provider is called on pages.
    pub name: String,
    /// Asked for, `openid` among them, divided by blanks.
    pub scopes: String,
    /// The claim that lists a person's groups.
    pub groups_claim: String,
    /// What groups may do.
    pub groups: Vec<GroupRole>,
}

/// One provider. Clones share what was fetched from it.
#[derive(Clone)]
pub struct Oidc {
    shared: Arc<Shared>,
}

struct Shared {
    options: OidcOptions,
    provider: Provider,
    key: MasterKey,
    clock: Clock,
}

/// What somebody goes to the provider for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Errand {
    /// To sign in.
    SignIn,
    /// To prove anew who they are.
    Prove,
}

/// Where a browser is sent, and what it brings back.
#[derive(Clone)]
pub struct Departure {
    /// Address at the provider.
    pub location: String,
    /// Sealed, for a cookie of this browser alone.
    pub sealed: String,
}

/// Who came back.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// Who the provider says it is.
    pub person: Person,
    /// What they had gone for.
    pub errand: Errand,
    /// Path of ours to go on to.
    pub next: String,
}

/// A person at the provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    /// The provider.
    pub issuer: String,
    /// Who, for ever.
    pub subject: String,
    /// What they are called, to be shown and never to be recognized by.
    pub name: String,
    /// What their groups give them, the strongest role for each organization.
    pub roles: Vec<OrganizationRole>,
    /// When they signed in there, which may be long ago; `None` where that is not told.
    pub signed_in_at: Option<Millis>,
}

/// What the browser brought back.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The cookie that holds [`Departure::sealed`].
    pub sealed: &'a str,
    /// `state` of the address.
    pub state: &'a str,
    /// `code` of the address.
    pub code: &'a str,
    /// `iss` of the address (RFC 9207), where there is one.
    pub issuer: Option<&'a str>,
}

/// Why nobody came back whom we could believe.
#[derive(Debug, thiserror::Error)]
pub enum OidcError {
    /// The journey is unknown to this browser, or took longer than ten minutes.
    #[error("this sign-in was not begun in this browser, or too long ago")]
    Stale,
    /// The provider cannot be reached, or says what it should not; in words for the log.
    #[error("{0}")]
    Provider(String),
    /// What it says of the person cannot be believed; in words for the log.
    #[error("the ID token is not believed: {0}")]
    Token(String),
}

impl Oidc {
    /// Nothing is asked of the provider yet.
    pub fn new(options: OidcOptions, key: MasterKey, clock: Clock) -> Self {
        let provider = Provider::new(options.issuer.clone(), clock.clone());
        Self { shared: Arc::new(Shared { options, provider, key, clock }) }
    }

    /// What the provider is called on pages.
    pub fn name(&self) -> &str {
        &self.shared.options.name
    }

    /// As the provider writes it into its tokens.
    pub fn issuer(&self) -> &str {
        &self.shared.options.issuer
    }

    /// What groups may do.
    pub fn groups(&self) -> &[GroupRole] {
        &self.shared.options.groups
    }

    /// Sends a browser to the provider, which is to send it back to `redirect`, from where it goes on to `next`.
    pub async fn depart(&self, errand: Errand, redirect: &str, next: &str) -> Result<Departure, OidcError> {
        let Shared { options, provider, key, clock } = &*self.shared;
        let metadata = provider.metadata().await.map_err(OidcError::Provider)?;
        let journey = Journey::begin(errand, redirect, next, clock.now());
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs([
            ("response_type", "code"),
            ("client_id", &options.client_id),
            ("redirect_uri", redirect),
            ("scope", &options.scopes),
            ("state", &journey.state),
            ("nonce", &journey.nonce),
            ("code_challenge", &journey.challenge()),
            ("code_challenge_method", "S256"),
        ]);
        if errand == Errand::Prove {
            // The age has to be told then. None of zero: some providers take that for a mistake.
            query.extend_pairs([("prompt", "login"), ("max_age", "60")]);
        }
        let joint = if metadata.authorization_endpoint.contains('?') { '&' } else { '?' };
        let location = format!("{}{joint}{}", metadata.authorization_endpoint, query.finish());
        Ok(Departure { location, sealed: journey.seal(key) })
    }

    /// Where somebody goes on to who comes back without a code; `None` where they did not set out from this browser.
    pub fn next(&self, sealed: &str, state: &str) -> Option<String> {
        Journey::open(sealed, state, &self.shared.key, self.shared.clock.now()).map(|journey| journey.next)
    }

    /// Who came back: the code is exchanged for an ID token, and that is verified.
    pub async fn arrive(&self, answer: &Answer<'_>) -> Result<Arrival, OidcError> {
        let Shared { options, provider, key, clock } = &*self.shared;
        let journey = Journey::open(answer.sealed, answer.state, key, clock.now()).ok_or(OidcError::Stale)?;
        let metadata = provider.metadata().await.map_err(OidcError::Provider)?;
        let named = answer.issuer.map_or(!metadata.names_itself, |issuer| issuer == options.issuer);
        if !named {
            return Err(OidcError::Token("the answer is another provider's".to_owned()));
        }
        let tokens = provider.exchange(options, answer.code, &journey).await.map_err(OidcError::Provider)?;
        let expected =
            Expected { issuer: &options.issuer, client: &options.client_id, nonce: &journey.nonce, now: clock.now() };
        let mut claims = self.verify(&tokens.id_token, &expected).await?;
        let anew = |at: Millis| at.plus(LEEWAY).0 >= journey.begun;
        if journey.errand == Errand::Prove && !signed_in_at(&claims).is_some_and(anew) {
            return Err(OidcError::Token("its auth_time does not show that anybody has signed in anew".to_owned()));
        }
        if !claims.contains_key(&options.groups_claim) && metadata.userinfo_endpoint.is_some() {
            let told = provider.userinfo(&tokens.access_token).await.map_err(OidcError::Provider)?;
            // Of somebody else it must not be believed (5.3.2).
            if told.get("sub") == claims.get("sub") {
                told.into_iter().for_each(|(name, value)| _ = claims.entry(name).or_insert(value));
            }
        }
        Ok(Arrival { person: self.person(&claims), errand: journey.errand, next: journey.next })
    }

    async fn verify(&self, token: &str, expected: &Expected<'_>) -> Result<Map<String, Value>, OidcError> {
        let provider = &self.shared.provider;
        let keys = provider.keys().await.map_err(OidcError::Provider)?;
        let verified = match keys.verify(token, expected) {
            Err(Fault::UnknownKey) => {
                let keys = provider.newer_keys().await.map_err(OidcError::Provider)?;
                keys.verify(token, expected)
            }
            verified => verified,
        };
        verified.map_err(|fault| OidcError::Token(fault.to_string()))
    }

    fn person(&self, claims: &Map<String, Value>) -> Person {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        let subject = text("sub");
        let names = [text("preferred_username"), text("email"), text("name"), subject];
        let plain = |name: &str| {
            let visible: String = name.chars().filter(|c| !c.is_control()).take(LONGEST_NAME).collect();
            visible.trim().to_owned()
        };
        let name = names.into_iter().map(plain).find(|name| !name.is_empty()).unwrap_or_else(|| "?".to_owned());
        let groups: Vec<&str> = match claims.get(&self.shared.options.groups_claim) {
            Some(Value::Array(groups)) => groups.iter().filter_map(Value::as_str).take(GROUPS).collect(),
            Some(Value::String(group)) => vec![group],
            _ => Vec::new(),
        };
        let roles = OrganizationRole::of_groups(&self.shared.options.groups, &groups);
        let (issuer, subject) = (self.shared.options.issuer.clone(), subject.to_owned());
        Person { issuer, subject, name, roles, signed_in_at: signed_in_at(claims) }
    }
}

/// When somebody signed in at the provider; some tell zero where they do not know.
fn signed_in_at(claims: &Map<String, Value>) -> Option<Millis> {
    let seconds = claims.get("auth_time").and_then(Value::as_i64).filter(|seconds| *seconds > 0)?;
    Some(Millis(seconds.checked_mul(Millis::SECOND)?))
}

#[cfg(test)]
mod tests;
