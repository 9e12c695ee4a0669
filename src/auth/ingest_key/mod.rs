//! Ingest keys: issued once, and found again for every request through a cache.

mod issued;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use quick_cache::sync::Cache;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

pub use self::issued::{ImportError, IssuedKey, import, issue, issue_public};
use super::seal::MasterKey;
use crate::clock::Clock;
use crate::model::{App, EnvironmentId, IngestKeyId, KeyKind, KeyLookup, KeyRing, Millis, Refusal, Rules, SealedKey};
use crate::store::{Store, StoreError};
use crate::trail::{self, Stage};

/// Credentials remembered at most.
const CAPACITY: usize = 10_000;
/// Milliseconds for which an answer of the store is remembered.
const REMEMBERED: i64 = 60 * Millis::SECOND;
/// Milliseconds between two checks, made for refused requests, of whether the directory has changed.
const CHECKED_EVERY: i64 = Millis::SECOND;

/// One key that may be used, its secret readable.
pub struct ActiveKey {
    /// Row.
    pub id: IngestKeyId,
    /// Into which environment it sends.
    pub environment: EnvironmentId,
    /// What it is made for.
    pub kind: KeyKind,
    /// The HMAC secret, wiped when dropped; none signs with a public key.
    pub secret: Option<Zeroizing<Vec<u8>>>,
    /// When it stops working, where a rotation has set that.
    pub revoked_at: Option<Millis>,
}

impl fmt::Debug for ActiveKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ActiveKey")
            .field("id", &self.id)
            .field("environment", &self.environment)
            .finish_non_exhaustive()
    }
}

/// An app with the keys that a credential names, newest first.
#[derive(Debug)]
pub struct Ring {
    /// Whose keys they are.
    pub app: Arc<App>,
    /// What the app lets in.
    pub rules: Arc<Rules>,
    keys: Vec<ActiveKey>,
}

impl Ring {
    /// The keys that work at `now`: exactly one for a token, all of the app for a path; none once they are revoked.
    pub fn active(&self, now: Millis) -> impl Iterator<Item = &ActiveKey> {
        self.keys.iter().filter(move |key| key.revoked_at.is_none_or(|at| now < at))
    }
}

/// How the cache did since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyStats {
    /// Look-ups answered from memory, those that waited for another's question included.
    pub hits: u64,
    /// Look-ups that asked the store.
    pub misses: u64,
}

impl KeyStats {
    /// All look-ups: one a request, and a second where a key was sought that another process may just have made.
    pub fn lookups(self) -> u64 {
        self.hits + self.misses
    }
}

/// Where keys are looked up; in the product, the store. Both methods block.
pub(crate) trait Directory: Send + Sync + 'static {
    /// As [`Store::key_ring`].
    fn ring(&self, lookup: &KeyLookup, now: Millis) -> Result<Option<KeyRing>, StoreError>;

    /// As [`Store::directory_version`].
    fn version(&self) -> Result<i64, StoreError>;

    /// As [`Store::listed_origins`].
    fn origins(&self) -> Result<Vec<String>, StoreError>;
}

impl Directory for Arc<dyn Store> {
    fn ring(&self, lookup: &KeyLookup, now: Millis) -> Result<Option<KeyRing>, StoreError> {
        self.key_ring(lookup, now)
    }

    fn version(&self) -> Result<i64, StoreError> {
        self.directory_version()
    }

    fn origins(&self) -> Result<Vec<String>, StoreError> {
        self.listed_origins()
    }
}

/// Finds ingest keys. Clones share one cache of at most ten thousand credentials, unknown ones included.
///
/// An answer is remembered for 60 seconds, unless the directory is seen to have changed. That is looked at with every
/// question to the store; before a request is refused and behind those that are not, at most once a second each. So a
/// key made by another process works within a second, and so holds everything else that another process changes; a
/// revocation, by the store at the next commit.
#[derive(Clone)]
pub struct IngestKeys(Arc<Shared>);

struct Shared {
    directory: Box<dyn Directory>,
    master: MasterKey,
    clock: Clock,
    cache: Cache<KeyLookup, Found>,
    /// Grows whenever what was asked of the directory before is not to be believed after.
    generation: AtomicU64,
    /// The newest version of the directory that was seen.
    version: AtomicI64,
    /// When the version was last read for a refused request, and what came of it. Locked while it is being read.
    checked: Mutex<Option<(Millis, Result<(), Refusal>)>>,
    /// When the version was last read, or is being read.
    looked: AtomicI64,
    origins: Mutex<Option<Origins>>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// A remembered answer of the directory.
#[derive(Clone)]
struct Found {
    ring: Option<Arc<Ring>>,
    at: Millis,
    generation: u64,
}

/// Remembered origins.
struct Origins {
    all: Arc<HashSet<String>>,
    at: Millis,
    generation: u64,
}

impl IngestKeys {
    /// Looks keys up in `store` and unseals their secrets with `master`.
    pub fn new(store: Arc<dyn Store>, master: MasterKey, clock: Clock) -> Self {
        Self::over(store, master, clock)
    }

    /// Over any directory of keys.
    pub(crate) fn over(directory: impl Directory, master: MasterKey, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            directory: Box::new(directory),
            master,
            clock,
            cache: Cache::new(CAPACITY),
            generation: AtomicU64::new(0),
            version: AtomicI64::new(i64::MIN),
            checked: Mutex::new(None),
            looked: AtomicI64::new(i64::MIN),
            origins: Mutex::new(None),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }))
    }

    /// What `prove` makes of the app and keys that a credential names, `None` where it names nothing. Where it makes
    /// nothing of them and the directory has changed since, it is asked once more with what is there now.
    ///
    /// However many ask for the same credential at once, the store is asked once, on a blocking thread.
    ///
    /// # Errors
    /// [`Refusal::StorageDown`] where the store fails to find the credential, or to say whether it has changed; the
    /// reason is in the log.
    pub async fn find<P>(
        &self,
        lookup: &KeyLookup,
        prove: impl Fn(Option<&Ring>) -> Option<P>,
    ) -> Result<Option<P>, Refusal> {
        let found = self.look_up(lookup).await?;
        let proof = prove(found.ring.as_deref());
        if proof.is_some() {
            self.look_when_due();
            return Ok(proof);
        }
        if self.is_current(&found).await? {
            return Ok(proof);
        }
        Ok(prove(self.look_up(lookup).await?.ring.as_deref()))
    }

    /// Believes nothing any more that was found before: to be called after any change to apps or keys, and when the
    /// store reports at commit that a key was revoked.
    pub fn forget(&self) {
        self.0.forget();
    }

    /// How the cache did since start.
    pub fn stats(&self) -> KeyStats {
        KeyStats { hits: self.0.hits.load(Ordering::Relaxed), misses: self.0.misses.load(Ordering::Relaxed) }
    }

    /// A fresh secret key, not stored yet. The caller stores [`IssuedKey::new`] and shows token and secret once.
    pub fn issue(&self, environment: EnvironmentId, name: &str) -> IssuedKey {
        issue(&self.0.master, environment, name)
    }

    /// Web origins that some app lists: what a browser may be told before it is known which app a page sends to.
    pub async fn origins(&self) -> Result<Arc<HashSet<String>>, Refusal> {
        let shared = &self.0;
        let mut last = shared.origins.lock().await;
        let current =
            |known: &Origins| shared.is_within(REMEMBERED, known.at) && known.generation == shared.generation();
        match &*last {
            Some(known) if current(known) => {
                self.look_when_due();
                Ok(known.all.clone())
            }
            Some(_) | None => {
                let known = self.ask(Shared::load_origins).await?;
                Ok(last.insert(known).all.clone())
            }
        }
    }

    /// Looks whether another process has changed the directory, at most once a second, behind the answers that it may
    /// change: whatever is set for an app holds on every node a second later, and no request waits for it.
    fn look_when_due(&self) {
        let (shared, now) = (&self.0, self.0.clock.now());
        let last = shared.looked.load(Ordering::Relaxed);
        let due = !shared.is_within(CHECKED_EVERY, Millis(last));
        if due && shared.looked.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let shared = shared.clone();
            _ = trail::blocking(move || {
                if let Err(error) = shared.see_version() {
                    tracing::debug!(%error, "whether the directory has changed is not known");
                }
            });
        }
    }

    async fn look_up(&self, lookup: &KeyLookup) -> Result<Found, Refusal> {
        let shared = &self.0;
        loop {
            match shared.cache.get_value_or_guard_async(lookup).await {
                Ok(found) if shared.is_fresh(&found) => {
                    shared.hits.fetch_add(1, Ordering::Relaxed);
                    return Ok(found);
                }
                Ok(stale) => {
                    shared.cache.remove_if(lookup, |f| f.at == stale.at && f.generation == stale.generation);
                }
                Err(guard) => {
                    shared.misses.fetch_add(1, Ordering::Relaxed);
                    let lookup = lookup.clone();
                    let found = self.ask(move |shared| shared.load(&lookup)).await?;
                    // Fails only where the entry was pushed out meanwhile; the next request then asks again.
                    _ = guard.insert(found.clone());
                    return Ok(found);
                }
            }
        }
    }

    /// Whether the directory has not changed since `found`, as far as was seen within the last second. However many
    /// ask, and whatever comes of it, the version is read once a second: requests that are refused may be an attack.
    async fn is_current(&self, found: &Found) -> Result<bool, Refusal> {
        let shared = &self.0;
        let mut checked = shared.checked.lock().await;
        let outcome = match &*checked {
            Some((at, outcome)) if shared.is_within(CHECKED_EVERY, *at) => outcome.clone(),
            Some(_) | None => {
                let outcome = self.ask(Shared::see_version).await;
                *checked = Some((shared.clock.now(), outcome.clone()));
                outcome
            }
        };
        outcome.map(|()| shared.is_believed(found))
    }

    /// Asks the directory on a blocking thread.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Shared) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, Refusal> {
        let shared = self.0.clone();
        let answer = trail::blocking_within(Stage::Store, move || question(&shared)).await;
        let answer = answer.unwrap_or_else(|e| Err(StoreError::Unexpected(format!("a key look-up did not end: {e}"))));
        answer.map_err(|e| {
            tracing::error!(error = %e, "an ingest key could not be looked up");
            Refusal::StorageDown
        })
    }
}

impl Shared {
    fn load(&self, lookup: &KeyLookup) -> Result<Found, StoreError> {
        // In this order, the ring is at least as new as the version that the generation stands for.
        self.see_version()?;
        let (at, generation) = (self.clock.now(), self.generation());
        let ring = self.directory.ring(lookup, at)?.map(|ring| Arc::new(unseal(ring, &self.master)));
        Ok(Found { ring, at, generation })
    }

    fn load_origins(&self) -> Result<Origins, StoreError> {
        self.see_version()?;
        let (at, generation) = (self.clock.now(), self.generation());
        Ok(Origins { all: Arc::new(self.directory.origins()?.into_iter().collect()), at, generation })
    }

    fn generation(&self) -> u64 {
        self.generation.load(Ordering::SeqCst)
    }

    fn see_version(&self) -> Result<(), StoreError> {
        self.looked.store(self.clock.now().0, Ordering::Relaxed);
        let version = self.directory.version()?;
        if self.version.fetch_max(version, Ordering::SeqCst) < version {
            self.forget();
        }
        Ok(())
    }

    fn forget(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
    }

    fn is_fresh(&self, found: &Found) -> bool {
        self.is_within(REMEMBERED, found.at) && self.is_believed(found)
    }

    fn is_believed(&self, found: &Found) -> bool {
        found.generation == self.generation()
    }

    /// Whether `at` was less than `ms` ago. A clock that was set back makes an age negative: then it was not.
    fn is_within(&self, ms: i64, at: Millis) -> bool {
        (0..ms).contains(&self.clock.now().since(at))
    }
}

/// Makes the secrets readable, once for as long as the ring is remembered. A key that does not open is left out: it
/// can sign nothing.
fn unseal(ring: KeyRing, master: &MasterKey) -> Ring {
    let open = |key: SealedKey| {
        let secret = match key.kind {
            KeyKind::Public => None,
            KeyKind::Secret | KeyKind::Either => {
                let Some(secret) = master.unseal(&key.sealed_secret, &key.token_hash) else {
                    tracing::error!(key = key.id.0, "the secret of an ingest key was sealed under another master key");
                    return None;
                };
                Some(Zeroizing::new(secret))
            }
        };
        let SealedKey { id, environment, kind, revoked_at, .. } = key;
        Some(ActiveKey { id, environment, kind, secret, revoked_at })
    };
    Ring {
        app: Arc::new(ring.app),
        rules: Arc::new(ring.rules),
        keys: ring.keys.into_iter().filter_map(open).collect(),
    }
}
