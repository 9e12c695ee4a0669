//! Keys that stand in every copy of an app: finding the app by one, and passing its door.

use std::net::IpAddr;
use std::sync::Arc;

use axum::http::HeaderMap;

use super::Gate;
use super::admission::{Caller, Seen};
use crate::auth::token::{self, TokenKind};
use crate::http::limit::RetryAfterSeconds;
use crate::ingest::{Credential, Scope};
use crate::model::{App, EnvironmentId, IngestKeyId, KeyKind, KeyLookup, Order, Origin, Refusal, Rules};

/// An app found by a public key.
#[derive(Clone, Debug)]
pub struct Admitted {
    /// The app.
    pub app: Arc<App>,
    /// What it lets in.
    pub rules: Arc<Rules>,
    /// The key.
    pub key: IngestKeyId,
    /// Into which environment the key sends.
    pub environment: EnvironmentId,
}

impl Admitted {
    /// On whose behalf its events are taken. Server SDKs leave the country out themselves: it is that of the developer's
    /// machine.
    pub fn scope(&self, gate: &Gate, origin: &Origin) -> Scope {
        Scope {
            app: self.app.clone(),
            environment: self.environment,
            key: Some(self.key),
            rules: self.rules.clone(),
            country: gate.intake.country(origin.address),
        }
    }

    /// What clients of a version are ordered now; those that do not tell it, of all versions.
    pub fn order(&self, gate: &Gate, version: Option<&str>) -> Order {
        self.rules.orders.for_version(self.environment, version, gate.clock.now())
    }
}

/// Finds the app of a public key, and lets the request in at its door. `key` is what was sent, or in words what was not.
///
/// # Errors
/// Those of [`find`]; [`Refusal::Forbidden`] of an app that is archived or does not take this client;
/// [`Refusal::OverLimit`].
pub async fn admit(
    gate: &Gate,
    key: Result<&str, &'static str>,
    (origin, headers): (&Origin, &HeaderMap),
    seen: &mut Seen,
) -> Result<Admitted, Refusal> {
    let admitted = find(gate, key, origin.address).await?;
    admitted.app.check_open()?;
    let Admitted { app, rules, key, .. } = &admitted;
    let caller = Caller { app, rules, key: Some(*key), credential: Credential::Public };
    caller.enter(gate, origin, headers, seen).await?;
    Ok(admitted)
}

/// Finds the app of a public key. Failures alone count against an address, so that nobody can use up the allowance of
/// those behind it.
///
/// # Errors
/// [`Refusal::Unauthorized`] for a key that is not known, [`Refusal::WrongCredential`] for one that is missing or no public
/// key by its look, [`Refusal::RateLimited`] where the address has shown too many of them.
pub async fn find(gate: &Gate, key: Result<&str, &'static str>, address: IpAddr) -> Result<Admitted, Refusal> {
    let refuse = |refusal| match gate.failures.check(address) {
        Ok(()) => refusal,
        Err(RetryAfterSeconds(seconds)) => Refusal::RateLimited(seconds),
    };
    let key = key.map_err(|missing| refuse(Refusal::WrongCredential(missing)))?;
    if let Some(what) = wrong_kind(key) {
        return Err(refuse(Refusal::WrongCredential(what)));
    }
    let now = gate.clock.now();
    let lookup = KeyLookup::Token(token::hash(key));
    let found = gate.keys.find(&lookup, |ring| {
        let ring = ring?;
        // A key that signs must not stand in an app, so it is not taken as one that does.
        let key = ring.active(now).find(|key| key.kind != KeyKind::Secret)?;
        let (app, rules) = (ring.app.clone(), ring.rules.clone());
        Some(Admitted { app, rules, key: key.id, environment: key.environment })
    });
    found.await?.ok_or_else(|| refuse(Refusal::Unauthorized))
}

/// What a key is that, by its mere look, is none that may stand in an app.
fn wrong_kind(key: &str) -> Option<&'static str> {
    match TokenKind::of(key)? {
        TokenKind::SecretKey => {
            Some("this is a secret key, which must not stand in an app; use a public key (tkp_...)")
        }
        TokenKind::Api => Some("this is a token of the read API; use a public key (tkp_...)"),
        TokenKind::PublicKey => {
            token::is_mistyped(key).then_some("the API key is mistyped, or a part of it is missing")
        }
    }
}
