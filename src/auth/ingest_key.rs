//! Ingest keys: issued once, and found again for every request through a cache.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use quick_cache::sync::Cache;
use zeroize::Zeroizing;

use super::seal::MasterKey;
use super::token;
use crate::clock::Clock;
use crate::model::{App, EnvironmentId, IngestKeyId, KeyLookup, KeyRing, Millis, NewIngestKey, Refusal};
use crate::store::{Store, StoreError};

/// Credentials remembered at most.
const CAPACITY: usize = 10_000;
/// Milliseconds for which a found credential is not looked up again.
const FOUND_FOR: i64 = 60 * Millis::SECOND;
/// Milliseconds for which an unknown credential is not looked up again: short, so that a new key works at once.
const ABSENT_FOR: i64 = 2 * Millis::SECOND;
/// Longest token or secret that can be taken over from elsewhere, in bytes (the reference server's column).
const IMPORT_MAX: usize = 255;

/// One key that may be used, its secret readable.
pub struct ActiveKey {
    /// Row.
    pub id: IngestKeyId,
    /// Into which environment it sends.
    pub environment: EnvironmentId,
    /// SHA-256 of its token.
    pub token_hash: [u8; 32],
    /// The HMAC secret, wiped when dropped.
    pub secret: Zeroizing<Vec<u8>>,
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
    keys: Vec<ActiveKey>,
}

impl Ring {
    /// The keys that work at `now`: exactly one for a token, all of the app for a path; none once they are revoked.
    pub fn active(&self, now: Millis) -> impl Iterator<Item = &ActiveKey> {
        self.keys.iter().filter(move |key| key.revoked_at.is_none_or(|at| now < at))
    }
}

/// How the cache did since start. `lookups = hits + misses`: a request makes one look-up, and a miss asks the store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KeyStats {
    /// Look-ups answered from memory, those that waited for another's question included.
    pub hits: u64,
    /// Look-ups that asked the store.
    pub misses: u64,
    /// All look-ups.
    pub lookups: u64,
}

/// Finds ingest keys. Clones share one cache of at most ten thousand credentials, unknown ones included.
///
/// A found credential is remembered for 60 seconds, an unknown one for two. A change made by another process is
/// noticed when that time is over; a revocation, by the store at the next commit.
#[derive(Clone)]
pub struct IngestKeys(Arc<Shared>);

/// Asks the directory of keys; in the product, the store.
pub(crate) type Loader = Arc<dyn Fn(&KeyLookup, Millis) -> Result<Option<KeyRing>, StoreError> + Send + Sync>;

struct Shared {
    load: Loader,
    master: MasterKey,
    clock: Clock,
    cache: Cache<KeyLookup, Found>,
    /// Grows with every [`IngestKeys::forget`]: what was asked of the store before is not believed after.
    generation: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// A remembered answer of the store.
#[derive(Clone)]
struct Found {
    ring: Option<Arc<Ring>>,
    at: Millis,
    generation: u64,
}

impl IngestKeys {
    /// Looks keys up in `store` and unseals their secrets with `master`.
    pub fn new(store: Arc<dyn Store>, master: MasterKey, clock: Clock) -> Self {
        Self::over(Arc::new(move |lookup, now| store.key_ring(lookup, now)), master, clock)
    }

    /// Over any directory of keys.
    pub(crate) fn over(load: Loader, master: MasterKey, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            load,
            master,
            clock,
            cache: Cache::new(CAPACITY),
            generation: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }))
    }

    /// The app and keys that a credential names; `None` where it names nothing. However many ask for the same
    /// credential at once, the store is asked once, on a blocking thread.
    ///
    /// # Errors
    /// [`Refusal::StorageDown`] where the store fails, its reason in the log; that is not remembered.
    pub async fn find(&self, lookup: KeyLookup) -> Result<Option<Arc<Ring>>, Refusal> {
        let shared = &self.0;
        loop {
            match shared.cache.get_value_or_guard_async(&lookup).await {
                Ok(found) if shared.is_fresh(&found) => {
                    shared.hits.fetch_add(1, Ordering::Relaxed);
                    return Ok(found.ring);
                }
                Ok(stale) => {
                    shared.cache.remove_if(&lookup, |f| f.at == stale.at && f.generation == stale.generation);
                }
                Err(guard) => {
                    shared.misses.fetch_add(1, Ordering::Relaxed);
                    let found = self.ask(lookup).await.map_err(|e| {
                        tracing::error!(error = %e, "an ingest key could not be looked up");
                        Refusal::StorageDown
                    })?;
                    // Fails only if `forget` came between; the next request then asks again.
                    _ = guard.insert(found.clone());
                    return Ok(found.ring);
                }
            }
        }
    }

    /// Forgets every credential: to be called after any change to apps or keys, and when the store reports at commit
    /// that a key was revoked.
    pub fn forget(&self) {
        self.0.generation.fetch_add(1, Ordering::SeqCst);
        self.0.cache.clear();
    }

    /// How the cache did since start.
    pub fn stats(&self) -> KeyStats {
        let hits = self.0.hits.load(Ordering::Relaxed);
        let misses = self.0.misses.load(Ordering::Relaxed);
        KeyStats { hits, misses, lookups: hits + misses }
    }

    /// A fresh key, not stored yet. The caller stores [`IssuedKey::new`] and shows token and secret once.
    pub fn issue(&self, environment: EnvironmentId, name: &str) -> IssuedKey {
        issue(&self.0.master, environment, name)
    }

    async fn ask(&self, lookup: KeyLookup) -> Result<Found, StoreError> {
        let shared = self.0.clone();
        let answer = tokio::task::spawn_blocking(move || {
            let at = shared.clock.now();
            let generation = shared.generation.load(Ordering::SeqCst);
            let ring = (shared.load)(&lookup, at)?.map(|ring| Arc::new(unseal(ring, &shared.master)));
            Ok(Found { ring, at, generation })
        });
        answer.await.unwrap_or_else(|e| Err(StoreError::Unexpected(format!("a key look-up did not end: {e}"))))
    }
}

impl Shared {
    fn is_fresh(&self, found: &Found) -> bool {
        let keep = if found.ring.is_some() { FOUND_FOR } else { ABSENT_FOR };
        // A clock that was set back makes an age negative: ask again.
        (0..keep).contains(&self.clock.now().since(found.at))
            && found.generation == self.generation.load(Ordering::SeqCst)
    }
}

/// A key as it is handed out, and as it is to be stored. `Debug` hides token and secret.
pub struct IssuedKey {
    /// `tk_` and 32 hex digits, of which the stored hint leaves 112 random bits unknown; shown once.
    pub token: String,
    /// Base64 of 32 random bytes; shown once.
    pub secret: String,
    /// What the store keeps: a hash of the one, the other sealed.
    pub new: NewIngestKey,
}

impl fmt::Debug for IssuedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedKey").field("new", &self.new).finish_non_exhaustive()
    }
}

/// Why a token and a secret of another server cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The token cannot be sent in a header.
    #[error("a token has 16 to {IMPORT_MAX} visible ASCII characters")]
    Token,
    /// The secret is empty or too long.
    #[error("a secret has 1 to {IMPORT_MAX} bytes")]
    Secret,
}

/// Makes a key without a running server. `name` has 1 to 100 characters, which the caller has checked.
pub fn issue(master: &MasterKey, environment: EnvironmentId, name: &str) -> IssuedKey {
    let token = format!("tk_{}", hex::encode(token::random::<16>()));
    let secret = STANDARD.encode(token::random::<32>());
    assemble(master, environment, name, token, secret)
}

/// Takes a token and a secret over from another server, unchanged, so that programs in the field go on working.
///
/// # Errors
/// Where one of them could not have been used with telemetry-kit, or the token is too short to be a secret.
pub fn import(
    master: &MasterKey,
    environment: EnvironmentId,
    name: &str,
    token: &str,
    secret: &str,
) -> Result<IssuedKey, ImportError> {
    if !(16..=IMPORT_MAX).contains(&token.len()) || !token.bytes().all(|b| b.is_ascii_graphic()) {
        return Err(ImportError::Token);
    }
    if !(1..=IMPORT_MAX).contains(&secret.len()) {
        return Err(ImportError::Secret);
    }
    Ok(assemble(master, environment, name, token.to_owned(), secret.to_owned()))
}

fn assemble(master: &MasterKey, environment: EnvironmentId, name: &str, token: String, secret: String) -> IssuedKey {
    let token_hash = token::hash(&token);
    let new = NewIngestKey {
        environment,
        name: name.to_owned(),
        hint: token.chars().take(7).collect(),
        token_hash,
        sealed_secret: master.seal(secret.as_bytes(), &token_hash),
    };
    IssuedKey { token, secret, new }
}

/// Makes the secrets readable, once for as long as the ring is remembered. A key that does not open is left out: it
/// can sign nothing.
fn unseal(ring: KeyRing, master: &MasterKey) -> Ring {
    let open = |key: crate::model::SealedKey| {
        let Some(secret) = master.unseal(&key.sealed_secret, &key.token_hash) else {
            tracing::error!(key = key.id.0, "the secret of an ingest key was sealed under another master key");
            return None;
        };
        Some(ActiveKey {
            id: key.id,
            environment: key.environment,
            token_hash: key.token_hash,
            secret: Zeroizing::new(secret),
            revoked_at: key.revoked_at,
        })
    };
    Ring { app: Arc::new(ring.app), keys: ring.keys.into_iter().filter_map(open).collect() }
}

#[cfg(test)]
pub(crate) mod tests {
    use parking_lot::Mutex;
    use uuid::Uuid;

    use super::*;
    use crate::model::{AppId, Organization, OrganizationId, Salt, SealedKey, Slug, Zone};

    const ENVIRONMENT: EnvironmentId = EnvironmentId(1);

    /// App 2 `rocket` of organization 1 `acme`.
    pub(crate) fn app() -> App {
        App {
            id: AppId(1),
            organization: Organization {
                id: OrganizationId(1),
                uuid: Uuid::from_u128(1),
                slug: Slug::parse("acme").unwrap(),
                name: "Acme".into(),
            },
            uuid: Uuid::from_u128(2),
            slug: Slug::parse("rocket").unwrap(),
            name: "Rocket".into(),
            zone: Arc::new(Zone::utc()),
            strict: false,
            salt: Salt([0; 32]),
            created_at: Millis(0),
            first_event_at: None,
            environments: Vec::new(),
        }
    }

    pub(crate) fn sealed(id: i64, issued: &IssuedKey, revoked_at: Option<Millis>) -> SealedKey {
        SealedKey {
            id: IngestKeyId(id),
            environment: issued.new.environment,
            token_hash: issued.new.token_hash,
            sealed_secret: issued.new.sealed_secret.clone(),
            revoked_at,
        }
    }

    /// Keys over a directory that tests change, and how often it was asked.
    struct Bench {
        keys: IngestKeys,
        clock: Clock,
        directory: Arc<Mutex<Vec<SealedKey>>>,
        asked: Arc<AtomicU64>,
        issued: IssuedKey,
    }

    fn bench() -> Bench {
        let clock = Clock::manual(Millis(1_000_000));
        let master = MasterKey::generate();
        let issued = issue(&master, ENVIRONMENT, "first");
        let directory = Arc::new(Mutex::new(vec![sealed(1, &issued, None)]));
        let asked = Arc::new(AtomicU64::new(0));
        let (shelf, count) = (directory.clone(), asked.clone());
        let load: Loader = Arc::new(move |lookup, _| {
            count.fetch_add(1, Ordering::SeqCst);
            let keys: Vec<_> = match lookup {
                KeyLookup::Token(hash) => shelf.lock().iter().filter(|k| k.token_hash == *hash).cloned().collect(),
                KeyLookup::Path(first, _) if first == "down" => return Err(StoreError::Unavailable("test".into())),
                KeyLookup::Path(..) => shelf.lock().clone(),
            };
            Ok((!keys.is_empty()).then(|| KeyRing { app: app(), keys }))
        });
        Bench { keys: IngestKeys::over(load, master, clock.clone()), clock, directory, asked, issued }
    }

    impl Bench {
        fn path(&self) -> KeyLookup {
            KeyLookup::Path("acme".into(), "rocket".into())
        }

        fn wait(&self, ms: i64) {
            self.clock.set(self.clock.now().plus(ms));
        }

        fn asked(&self) -> u64 {
            self.asked.load(Ordering::SeqCst)
        }
    }

    #[tokio::test]
    async fn one_request_costs_one_look_up_and_the_store_is_asked_once_a_minute() {
        let bench = bench();
        for (n, wait, asked) in [(1, 0, 1), (2, 59_999, 1), (3, 1, 2), (4, 0, 2)] {
            bench.wait(wait);
            assert!(bench.keys.find(bench.path()).await.unwrap().is_some());
            assert_eq!(bench.asked(), asked, "request {n}");
            assert_eq!(bench.keys.stats(), KeyStats { hits: n - asked, misses: asked, lookups: n });
        }
    }

    #[tokio::test]
    async fn unknown_credential_is_remembered_for_two_seconds() {
        let bench = bench();
        let unknown = KeyLookup::Token([7; 32]);
        for (wait, asked) in [(0, 1), (1_999, 1), (1, 2)] {
            bench.wait(wait);
            assert!(bench.keys.find(unknown.clone()).await.unwrap().is_none());
            assert_eq!(bench.asked(), asked);
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_hundred_at_once_ask_the_store_once() {
        let bench = bench();
        let all: Vec<_> = (0..100)
            .map(|_| {
                let (keys, path) = (bench.keys.clone(), bench.path());
                tokio::spawn(async move { keys.find(path).await.unwrap().is_some() })
            })
            .collect();
        for one in all {
            assert!(one.await.unwrap());
        }
        assert_eq!((bench.asked(), bench.keys.stats().lookups), (1, 100));
    }

    #[tokio::test]
    async fn forgetting_takes_effect_at_once() {
        let bench = bench();
        assert!(bench.keys.find(bench.path()).await.unwrap().is_some());
        bench.directory.lock().clear();
        assert!(bench.keys.find(bench.path()).await.unwrap().is_some());
        bench.keys.forget();
        assert!(bench.keys.find(bench.path()).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn answer_asked_for_before_forgetting_is_not_believed_after() {
        let bench = bench();
        let before = bench.keys.ask(bench.path()).await.unwrap();
        bench.keys.forget();
        assert!(!bench.keys.0.is_fresh(&before));
        assert!(bench.keys.0.is_fresh(&bench.keys.ask(bench.path()).await.unwrap()));
    }

    #[tokio::test]
    async fn failure_of_the_store_is_not_remembered() {
        let bench = bench();
        let down = KeyLookup::Path("down".into(), "rocket".into());
        for asked in 1..=2 {
            assert_eq!(bench.keys.find(down.clone()).await.unwrap_err(), Refusal::StorageDown);
            assert_eq!(bench.asked(), asked);
        }
    }

    #[tokio::test]
    async fn key_ends_at_its_time_even_while_it_is_remembered() {
        let bench = bench();
        let end = bench.clock.now().plus(10);
        bench.directory.lock()[0].revoked_at = Some(end);
        let ring = bench.keys.find(bench.path()).await.unwrap().unwrap();
        assert_eq!(ring.active(end.plus(-1)).count(), 1);
        assert_eq!(ring.active(end).count(), 0);
    }

    #[tokio::test]
    async fn found_key_has_the_issued_secret_and_a_foreign_seal_none() {
        let bench = bench();
        let foreign = issue(&MasterKey::generate(), ENVIRONMENT, "foreign");
        bench.directory.lock().push(sealed(2, &foreign, None));
        let ring = bench.keys.find(bench.path()).await.unwrap().unwrap();
        let keys: Vec<_> = ring.active(bench.clock.now()).collect();
        assert_eq!(keys.len(), 1);
        assert_eq!(*keys[0].secret, bench.issued.secret.as_bytes());
        let by_token = bench.keys.find(KeyLookup::Token(token::hash(&bench.issued.token))).await.unwrap().unwrap();
        assert_eq!(by_token.active(bench.clock.now()).count(), 1);
    }

    #[test]
    fn issued_key_has_the_documented_form() {
        let issued = bench().keys.issue(ENVIRONMENT, "ci");
        let digits = issued.token.strip_prefix("tk_").unwrap();
        assert!(digits.len() == 32 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
        assert_eq!(STANDARD.decode(&issued.secret).unwrap().len(), 32);
        assert_eq!(issued.new.hint, issued.token[..7]);
        assert_eq!(issued.new.token_hash, token::hash(&issued.token));
        assert!(!format!("{issued:?}").contains(&issued.token) && !format!("{issued:?}").contains(&issued.secret));
    }

    #[test]
    fn imported_key_keeps_token_and_secret_as_they_were() {
        let master = MasterKey::generate();
        let token = "tk_550e8400e29b41d4a716446655440000_a1b2c3d4e5f6g7h8i9j0k1l2m3n4o5p6";
        let secret = "9f4b3c2a1e8d7f6a5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b0";
        let key = import(&master, ENVIRONMENT, "old", token, secret).unwrap();
        assert_eq!((key.token.as_str(), key.secret.as_str()), (token, secret));
        assert_eq!(master.unseal(&key.new.sealed_secret, &token::hash(token)).unwrap(), secret.as_bytes());
        let long = "x".repeat(256);
        for (token, secret, error) in [
            ("", secret, ImportError::Token),
            ("tk_short", secret, ImportError::Token),
            ("tk with spaces 1234567", secret, ImportError::Token),
            (&long, secret, ImportError::Token),
            (token, "", ImportError::Secret),
            (token, &long, ImportError::Secret),
        ] {
            assert_eq!(import(&master, ENVIRONMENT, "old", token, secret).unwrap_err(), error, "{token} {secret}");
        }
    }
}
