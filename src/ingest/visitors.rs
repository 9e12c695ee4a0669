//! Names for visitors of whom a client says nothing: derived from what a request shows, each good for one UTC day, so that
//! people can be counted and nobody be recognised. No address is kept.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

use crate::model::{AppId, ClientNetwork, Millis, Origin, Refusal, Salt};
use crate::store::Store;
use crate::trail::{self, Stage};

/// Most salts and sessions that are remembered. Sessions that were quiet the longest are forgotten.
const SALTS: usize = 2_000;
const SESSIONS: usize = 50_000;

/// Half of a hash: enough to tell people apart.
type Half = [u8; 16];

/// Names visitors. Clones share what is remembered.
#[derive(Clone)]
pub(super) struct Visitors(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    salts: Cache<(AppId, i64), Salt>,
    /// Who was first seen in a session, and on which day: whoever goes out of the house with it stays the same.
    sessions: Cache<(AppId, Half), (i64, Half)>,
}

impl Visitors {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self(Arc::new(Shared { store, salts: Cache::new(SALTS), sessions: Cache::new(SESSIONS) }))
    }

    /// As [`Intake::visitor`](super::Intake::visitor).
    pub(super) async fn name(
        &self,
        app: AppId,
        origin: &Origin,
        agent: &str,
        session: Option<&str>,
    ) -> Result<String, Refusal> {
        let day = origin.received_at.0.div_euclid(Millis::DAY);
        let session = session.map(|session| (app, half(&Sha256::digest(session))));
        let known = session.and_then(|session| self.0.sessions.get(&session));
        let user = match known.filter(|(since, _)| (day - 1..=day).contains(since)) {
            Some((_, user)) => user,
            None => {
                let user = derive(&self.salt(app, day).await?, origin, agent);
                if let Some(session) = session {
                    self.0.sessions.insert(session, (day, user));
                }
                user
            }
        };
        Ok(format!("visitor {}", hex::encode(user)))
    }

    async fn salt(&self, app: AppId, day: i64) -> Result<Salt, Refusal> {
        let guard = match self.0.salts.get_value_or_guard_async(&(app, day)).await {
            Ok(salt) => return Ok(salt),
            Err(guard) => guard,
        };
        let mut fresh = Salt([0; 32]);
        getrandom::fill(&mut fresh.0).map_err(|_| Refusal::Internal)?;
        let shared = self.0.clone();
        let agree = move || shared.store.visitor_salt(app, day, &fresh);
        let salt = match trail::blocking_within(Stage::Store, agree).await {
            Ok(Ok(salt)) => salt,
            Ok(Err(error)) => {
                tracing::error!(%error, "the salt of a day's visitors could not be had");
                return Err(Refusal::StorageDown);
            }
            Err(_) => return Err(Refusal::Internal),
        };
        // Fails only where it was pushed out meanwhile; the next request then asks again.
        _ = guard.insert(salt.clone());
        self.0.salts.retain(|(_, of), _| *of >= day - 1);
        Ok(salt)
    }
}

fn derive(salt: &Salt, origin: &Origin, agent: &str) -> Half {
    let mut mac = Hmac::<Sha256>::new_from_slice(&salt.0).expect("HMAC takes keys of any length");
    match ClientNetwork::of(origin.address) {
        ClientNetwork::V4(address) => mac.update(&address.to_be_bytes()),
        ClientNetwork::V6(network) => mac.update(&network.to_be_bytes()),
    }
    mac.update(agent.as_bytes());
    half(&mac.finalize().into_bytes())
}

fn half(hash: &[u8]) -> Half {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    half
}
