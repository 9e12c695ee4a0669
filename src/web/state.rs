//! What pages need to answer.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::auth::api_token::ApiTokens;
use crate::auth::ingest_key::IngestKeys;
use crate::auth::login::Logins;
use crate::auth::oidc::Oidc;
use crate::clock::Clock;
use crate::http::limit::{AddressLimiter, Allowance};
use crate::ingest::{Door, Intake};
use crate::model::{Guide, Millis};
use crate::query::{Collects, Policies, Reports};
use crate::store::{Store, StoreError};
use crate::trail::{self, Stage};

use super::condition::BoxParts;
use super::health::Probe;
use super::metrics::{Metrics, MetricsParts};
use super::stream::Streams;

/// Returns from the provider of sign-ins that an address may make.
const RETURNS: Allowance = Allowance { burst: 100, per: 10 * Millis::MINUTE };

/// Where the box is found.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// The path in front of every page, without a slash at its end; empty at the root of a host.
    pub base_path: String,
    /// The address that people and SDKs use, with or without the base path, without a slash at its end. `None` where
    /// the request's own host is to be believed.
    pub public_url: Option<String>,
}

impl Site {
    /// The address of a page, for links: `path` begins with a slash.
    pub fn link(&self, path: &str) -> String {
        format!("{}{path}", self.base_path)
    }

    /// Whether the public address is reached over TLS.
    pub fn public_https(&self) -> bool {
        self.public_url.as_deref().is_some_and(|url| url.starts_with("https://"))
    }

    /// Scheme, host and port of the public address, as browsers write it into `Origin`.
    pub fn public_origin(&self) -> Option<&str> {
        let url = self.public_url.as_deref()?;
        let host = url.find("://")? + 3;
        let end = url[host..].find('/').map_or(url.len(), |slash| host + slash);
        Some(&url[..end])
    }
}

/// What the box keeps of what comes in.
#[derive(Clone, Copy, Debug)]
pub struct Keeping {
    /// Whether nothing is taken from browsers that ask not to be tracked.
    pub respects_dnt: bool,
}

/// The parts that the composition root hands over.
pub struct WebParts {
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// Reports over it.
    pub reports: Reports,
    /// Who must update, and the door to change it.
    pub policies: Policies,
    /// Who is signed in.
    pub logins: Logins,
    /// The provider at which members may sign in.
    pub oidc: Option<Oidc>,
    /// For issuing keys.
    pub keys: IngestKeys,
    /// The pipeline, for events that are tried again.
    pub intake: Intake,
    /// What the box is.
    pub about: BoxParts,
    /// Now.
    pub clock: Clock,
    /// Where the box is found.
    pub site: Site,
    /// What it keeps.
    pub keeping: Keeping,
    /// Whether the box is shutting down: readiness fails as soon as it answers yes.
    pub draining: Arc<dyn Fn() -> bool + Send + Sync>,
    /// Which lines apps change, SDK by SDK.
    pub guides: Vec<Guide>,
    /// For `/metrics`.
    pub metrics: MetricsParts,
}

/// State of all page handlers; clones share everything.
#[derive(Clone)]
pub struct WebState(Arc<Shared>);

impl Deref for WebState {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// What clones of [`WebState`] share.
pub struct Shared {
    /// What is kept. Blocking: see [`WebState::ask`].
    pub store: Arc<dyn Store>,
    /// Reports over it.
    pub reports: Reports,
    /// Who must update, and the door to change it.
    pub policies: Policies,
    /// Who is signed in.
    pub logins: Logins,
    /// The provider at which members may sign in.
    pub oidc: Option<Oidc>,
    /// For issuing keys.
    pub keys: IngestKeys,
    /// The pipeline, for events that are tried again.
    pub intake: Intake,
    /// What the box is.
    pub about: BoxParts,
    /// For the read API.
    pub api_tokens: ApiTokens,
    /// Who is let in, as far as pages tell of it.
    pub door: Door,
    /// Now.
    pub clock: Clock,
    /// Where the box is found.
    pub site: Site,
    /// What it keeps.
    pub keeping: Keeping,
    /// What apps collect.
    pub collects: Collects,
    /// Which lines apps change, SDK by SDK.
    pub guides: Vec<Guide>,
    pub(super) draining: Arc<dyn Fn() -> bool + Send + Sync>,
    pub(super) probe: Probe,
    pub(super) metrics: Metrics,
    pub(super) streams: Streams,
    /// Returns from the provider of sign-ins: each makes us ask it something.
    pub(super) returns: AddressLimiter,
    set_up: AtomicBool,
}

impl WebState {
    /// State over the given parts.
    pub fn new(parts: WebParts) -> Self {
        let WebParts {
            store,
            reports,
            policies,
            logins,
            oidc,
            keys,
            intake,
            about,
            clock,
            site,
            keeping,
            draining,
            guides,
            metrics,
        } = parts;
        let returns = AddressLimiter::new(clock.clone(), RETURNS);
        Self(Arc::new(Shared {
            api_tokens: ApiTokens::new(store.clone(), clock.clone()),
            collects: Collects::new(reports.clone()),
            store,
            reports,
            policies,
            logins,
            oidc,
            keys,
            door: intake.door().clone(),
            intake,
            about,
            clock,
            site,
            keeping,
            draining,
            guides,
            probe: Probe::default(),
            metrics: Metrics::new(metrics),
            streams: Streams::default(),
            returns,
            set_up: AtomicBool::default(),
        }))
    }

    /// Runs a call of the store on a blocking thread.
    pub async fn ask<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let store = self.store.clone();
        let done = trail::blocking_within(Stage::Store, move || call(store.as_ref())).await;
        done.unwrap_or_else(|stopped| Err(StoreError::Unexpected(stopped.to_string())))
    }

    /// Whether the first member exists. Asked of the store until it says yes; that never changes back.
    pub async fn is_set_up(&self) -> Result<bool, StoreError> {
        if self.set_up.load(Ordering::Relaxed) {
            return Ok(true);
        }
        let done = self.logins.set_up().await?;
        self.set_up.fetch_or(done, Ordering::Relaxed);
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origin_of_the_public_address_has_no_path() {
        for (url, origin) in [
            (Some("https://stats.example.org/tally"), Some("https://stats.example.org")),
            (Some("http://box:3000"), Some("http://box:3000")),
            (Some("nonsense"), None),
            (None, None),
        ] {
            let site = Site { base_path: "/tally".to_owned(), public_url: url.map(str::to_owned) };
            assert_eq!(site.public_origin(), origin, "{url:?}");
            assert_eq!(site.link("/apps"), "/tally/apps");
        }
    }
}
