//! The provider as it describes itself (OpenID Connect Discovery 1.0), its keys, and what is asked of it.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::sync::Mutex;

use super::OidcOptions;
use super::flow::Journey;
use super::keys::Keys;
use crate::calls::{self, Call, Fault};
use crate::clock::Clock;
use crate::model::Millis;

/// How long what was fetched is believed.
const FRESH: i64 = Millis::HOUR;
/// How long a failure to fetch is taken for the answer.
const PAUSE: i64 = 5 * Millis::SECOND;
/// How often keys are fetched anew because one was not known.
const AGAIN: i64 = Millis::MINUTE;

/// What the provider says of itself.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Metadata {
    issuer: String,
    pub(super) authorization_endpoint: String,
    token_endpoint: String,
    jwks_uri: String,
    pub(super) userinfo_endpoint: Option<String>,
    #[serde(default)]
    token_endpoint_auth_methods_supported: Vec<String>,
    /// Whether its answers name it (RFC 9207).
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub(super) names_itself: bool,
}

/// What a code was exchanged for.
#[derive(Deserialize)]
pub(super) struct Tokens {
    pub(super) id_token: String,
    #[serde(default)]
    pub(super) access_token: String,
}

/// One provider, with what was fetched from it.
pub(super) struct Provider {
    issuer: String,
    clock: Clock,
    metadata: Mutex<Memory<Metadata>>,
    keys: Mutex<Memory<Keys>>,
}

/// What was fetched last, and the last failure to: strangers can ask for either, so a provider that is away is not
/// asked again for each of them.
struct Memory<T> {
    found: Option<(Millis, T)>,
    failed: Option<(Millis, Fault)>,
}

impl<T> Default for Memory<T> {
    fn default() -> Self {
        Self { found: None, failed: None }
    }
}

impl<T: Clone> Memory<T> {
    /// What is known, as it was at most so long before `now`.
    fn recall(&self, now: Millis, age: i64) -> Option<Result<T, Fault>> {
        // A clock that was set back makes everything old.
        let within = |at: Millis, age: i64| (0..age).contains(&now.since(at));
        let found = self.found.as_ref().filter(|(at, _)| within(*at, age)).map(|(_, found)| Ok(found.clone()));
        let failed = || self.failed.as_ref().filter(|(at, _)| within(*at, PAUSE));
        found.or_else(|| failed().map(|(_, fault)| Err(fault.clone())))
    }

    fn keep(&mut self, now: Millis, fetched: &Result<T, Fault>) {
        match fetched {
            Ok(found) => (self.found, self.failed) = (Some((now, found.clone())), None),
            Err(fault) => self.failed = Some((now, fault.clone())),
        }
    }
}

impl Metadata {
    /// The call that exchanges a code.
    fn redemption(&self, options: &OidcOptions, code: &str, journey: &Journey) -> Option<Call> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs([
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", &journey.redirect),
            ("code_verifier", &journey.verifier),
        ]);
        let methods = &self.token_endpoint_auth_methods_supported;
        // What is not said means basic.
        let basic = methods.is_empty() || methods.iter().any(|method| method == "client_secret_basic");
        match &options.client_secret {
            Some(secret) if basic => {
                let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
                let pair = format!("{}:{}", encoded(&options.client_id), encoded(secret.expose_secret()));
                let header = format!("Basic {}", STANDARD.encode(pair));
                Call::form(&self.token_endpoint, form.finish()).authorized(&header)
            }
            secret => {
                form.append_pair("client_id", &options.client_id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret.expose_secret());
                }
                Some(Call::form(&self.token_endpoint, form.finish()))
            }
        }
    }
}

impl Provider {
    pub(super) fn new(issuer: String, clock: Clock) -> Self {
        Self { issuer, clock, metadata: Mutex::default(), keys: Mutex::default() }
    }

    /// What it says of itself; fetched once by all who ask at the same time.
    pub(super) async fn metadata(&self) -> Result<Metadata, Fault> {
        let mut held = self.metadata.lock().await;
        if let Some(known) = held.recall(self.clock.now(), FRESH) {
            return known;
        }
        let fetched = self.describe().await;
        held.keep(self.clock.now(), &fetched);
        fetched
    }

    async fn describe(&self) -> Result<Metadata, Fault> {
        let url = format!("{}/.well-known/openid-configuration", self.issuer.trim_end_matches('/'));
        let metadata: Metadata = serde_json::from_slice(&fetch(&Call::get(&url)).await?)
            .map_err(|error| format!("{url}: what the provider says of itself cannot be read: {error}"))?;
        if metadata.issuer != self.issuer {
            return Err(format!("{url}: it calls itself {} and not {}", metadata.issuer, self.issuer));
        }
        Ok(metadata)
    }

    /// Its keys, as they were at most an hour ago.
    pub(super) async fn keys(&self) -> Result<Keys, Fault> {
        self.keys_within(FRESH).await
    }

    /// Its keys, as they were at most a minute ago.
    pub(super) async fn newer_keys(&self) -> Result<Keys, Fault> {
        self.keys_within(AGAIN).await
    }

    async fn keys_within(&self, age: i64) -> Result<Keys, Fault> {
        let url = self.metadata().await?.jwks_uri;
        let mut held = self.keys.lock().await;
        if let Some(known) = held.recall(self.clock.now(), age) {
            return known;
        }
        let fetched = match fetch(&Call::get(&url)).await {
            Ok(body) => Keys::read(&body).map_err(|fault| format!("{url}: {fault}")),
            Err(fault) => Err(fault),
        };
        held.keep(self.clock.now(), &fetched);
        fetched
    }

    /// The tokens of a code (OpenID Connect Core 1.0, 3.1.3).
    pub(super) async fn exchange(&self, options: &OidcOptions, code: &str, journey: &Journey) -> Result<Tokens, Fault> {
        let metadata = self.metadata().await?;
        let call = metadata.redemption(options, code, journey).ok_or("the client's secret fits into no header")?;
        let body = fetch(&call).await?;
        serde_json::from_slice(&body).map_err(|_| format!("{}: the answer has no ID token", metadata.token_endpoint))
    }

    /// What it tells of the person that a token is of.
    pub(super) async fn userinfo(&self, access_token: &str) -> Result<Map<String, Value>, Fault> {
        let url = self.metadata().await?.userinfo_endpoint.unwrap_or_default();
        let call = Call::get(&url).authorized(&format!("Bearer {access_token}"));
        let body = fetch(&call.ok_or("the access token fits into no header")?).await?;
        serde_json::from_slice(&body).map_err(|_| format!("{url}: the answer is no JSON object"))
    }
}

/// The body of a good answer.
async fn fetch(call: &Call) -> Result<Bytes, Fault> {
    match calls::send(call).await? {
        (200, body) => Ok(body),
        (status, body) => {
            let told: Option<Map<String, Value>> = serde_json::from_slice(&body).ok();
            let word = told.as_ref().and_then(|told| told.get("error")).and_then(Value::as_str).unwrap_or_default();
            // Words of the standard are short, and anything may stand here.
            let word: String = word.chars().filter(char::is_ascii_graphic).take(60).collect();
            Err(format!("{}: status {status} {word}", call.url()))
        }
    }
}
