//! Facts about keys, over a directory and a clock that change when told.

use std::sync::atomic::AtomicBool;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use super::*;
use crate::auth::token;
use crate::model::{AppId, Organization, OrganizationId, Salt, Slug, Zone};

const ENVIRONMENT: EnvironmentId = EnvironmentId(1);

/// App 2 `rocket` of organization 1 `acme`.
fn app() -> App {
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
        archived_at: None,
        environments: Vec::new(),
    }
}

/// A key as the store has it.
pub(crate) fn sealed(id: i64, issued: &IssuedKey, revoked_at: Option<Millis>) -> SealedKey {
    SealedKey {
        id: IngestKeyId(id),
        environment: issued.new.environment,
        token_hash: issued.new.token_hash,
        sealed_secret: issued.new.sealed_secret.clone(),
        revoked_at,
    }
}

/// A directory of one app, and how often it was asked. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Shelf(Arc<Contents>);

#[derive(Default)]
struct Contents {
    keys: parking_lot::Mutex<Vec<SealedKey>>,
    version: AtomicI64,
    fails: AtomicBool,
    rings: AtomicU64,
    versions: AtomicU64,
}

impl Shelf {
    pub(crate) fn with<const N: usize>(keys: [SealedKey; N]) -> Self {
        let shelf = Self::default();
        shelf.change(|all| all.extend(keys));
        shelf
    }

    /// As another process would.
    fn change(&self, change: impl FnOnce(&mut Vec<SealedKey>)) {
        change(&mut self.0.keys.lock());
        self.0.version.fetch_add(1, Ordering::SeqCst);
    }

    fn set_failing(&self, fails: bool) {
        self.0.fails.store(fails, Ordering::SeqCst);
    }

    /// Questions for keys and for the version.
    fn asked(&self) -> (u64, u64) {
        (self.0.rings.load(Ordering::SeqCst), self.0.versions.load(Ordering::SeqCst))
    }

    fn check(&self) -> Result<(), StoreError> {
        if self.0.fails.load(Ordering::SeqCst) { Err(StoreError::Unavailable("test".into())) } else { Ok(()) }
    }
}

impl Directory for Shelf {
    fn ring(&self, lookup: &KeyLookup, _now: Millis) -> Result<Option<KeyRing>, StoreError> {
        self.0.rings.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        let acme = [Uuid::from_u128(1).to_string(), "acme".to_owned()];
        let rocket = [Uuid::from_u128(2).to_string(), "rocket".to_owned()];
        let mut keys = self.0.keys.lock().clone();
        match lookup {
            KeyLookup::Token(hash) => keys.retain(|key| key.token_hash == *hash),
            KeyLookup::Path(first, second) => {
                let named = acme.contains(first) && rocket.contains(second) || rocket.contains(first);
                keys.retain(|_| named);
            }
            KeyLookup::App(owner, name) => {
                let named = owner.as_ref().is_none_or(|owner| acme.contains(owner)) && rocket.contains(name);
                return Ok(named.then(|| KeyRing { app: app(), keys: Vec::new() }));
            }
        }
        Ok((!keys.is_empty()).then(|| KeyRing { app: app(), keys }))
    }

    fn version(&self) -> Result<i64, StoreError> {
        self.0.versions.fetch_add(1, Ordering::SeqCst);
        self.check()?;
        Ok(self.0.version.load(Ordering::SeqCst))
    }
}

/// Keys over a shelf that begins with key 1.
struct Bench {
    keys: IngestKeys,
    clock: Clock,
    shelf: Shelf,
    master: MasterKey,
    issued: IssuedKey,
}

fn bench() -> Bench {
    let clock = Clock::manual(Millis(1_000_000));
    let master = MasterKey::from_text(&"ab".repeat(32)).unwrap();
    let issued = issue(&master, ENVIRONMENT, "first");
    let shelf = Shelf::with([sealed(1, &issued, None)]);
    let keys = IngestKeys::over(shelf.clone(), MasterKey::from_text(&"ab".repeat(32)).unwrap(), clock.clone());
    Bench { keys, clock, shelf, master, issued }
}

impl Bench {
    /// Whether a request for that credential finds the key of that number.
    async fn finds(&self, lookup: &KeyLookup, key: i64) -> bool {
        let now = self.clock.now();
        let prove = |ring: Option<&Ring>| ring?.active(now).find(|found| found.id.0 == key).map(|found| found.id);
        self.keys.find(lookup, prove).await.unwrap().is_some()
    }

    /// Makes a key beside the server.
    fn make(&self, key: i64) {
        let new = sealed(key, &issue(&self.master, ENVIRONMENT, "new"), None);
        self.shelf.change(|all| all.push(new));
    }

    fn wait(&self, ms: i64) {
        self.clock.set(self.clock.now().plus(ms));
    }

    fn stats(&self) -> (u64, u64) {
        let KeyStats { hits, misses } = self.keys.stats();
        (hits, misses)
    }
}

fn path() -> KeyLookup {
    KeyLookup::Path("acme".into(), "rocket".into())
}

#[tokio::test]
async fn one_request_costs_one_look_up_and_the_store_is_asked_once_a_minute() {
    let bench = bench();
    for (n, wait, asked) in [(1, 0, 1), (2, 59_999, 1), (3, 1, 2), (4, 0, 2)] {
        bench.wait(wait);
        assert!(bench.finds(&path(), 1).await);
        assert_eq!(bench.shelf.asked(), (asked, asked), "request {n}");
        assert_eq!((bench.stats(), bench.keys.stats().lookups()), ((n - asked, asked), n));
    }
}

#[tokio::test]
async fn refused_requests_look_once_a_second_whether_anything_changed() {
    let bench = bench();
    let unknown = KeyLookup::Token([7; 32]);
    assert!(bench.finds(&path(), 1).await && !bench.finds(&unknown, 1).await);
    let (rings, versions) = bench.shelf.asked();
    assert_eq!((rings, versions), (2, 3), "two questions that look as well, and one look for the refused request");
    for (wait, looks) in [(0, 0), (999, 0), (1, 1), (0, 1), (1_000, 2), (-5_000, 3), (0, 3)] {
        bench.wait(wait);
        assert!(!bench.finds(&path(), 9).await && !bench.finds(&unknown, 9).await);
        // The clock that was set back makes the remembered answers worthless, too.
        let again = if looks == 3 { 2 } else { 0 };
        assert_eq!(bench.shelf.asked(), (rings + again, versions + again + looks), "after {wait} ms");
    }
    assert_eq!(bench.keys.stats().lookups(), 16, "one a request");
}

#[tokio::test]
async fn key_made_by_another_process_works_at_once() {
    let bench = bench();
    for key in [2, 3] {
        assert!(bench.finds(&path(), 1).await);
        bench.wait(1_000);
        bench.make(key);
        let before = bench.keys.stats().lookups();
        assert!(bench.finds(&path(), key).await);
        assert_eq!(bench.keys.stats().lookups(), before + 2);
        assert!(bench.finds(&path(), 1).await && bench.finds(&path(), key).await);
        assert_eq!(bench.keys.stats().lookups(), before + 4);
    }
    assert_eq!(bench.shelf.asked().0, 3);
}

#[tokio::test]
async fn key_made_right_after_a_refused_request_works_a_second_after_it() {
    let bench = bench();
    assert!(!bench.finds(&path(), 2).await);
    bench.make(2);
    for (wait, works) in [(0, false), (999, false), (1, true)] {
        bench.wait(wait);
        assert_eq!(bench.finds(&path(), 2).await, works, "after {wait} ms more");
    }
}

#[tokio::test]
async fn app_and_key_that_were_not_there_are_found_once_they_are() {
    let bench = bench();
    bench.shelf.change(Vec::clear);
    let by_token = KeyLookup::Token(bench.issued.new.token_hash);
    assert!(!bench.finds(&path(), 1).await && !bench.finds(&by_token, 1).await);
    bench.shelf.change(|all| all.push(sealed(1, &bench.issued, None)));
    bench.wait(1_000);
    assert!(bench.finds(&path(), 1).await && bench.finds(&by_token, 1).await);
}

#[tokio::test]
async fn question_for_any_credential_brings_all_up_to_date() {
    let bench = bench();
    assert!(bench.finds(&path(), 1).await);
    bench.shelf.change(Vec::clear);
    assert!(bench.finds(&path(), 1).await, "nobody has looked yet");
    assert!(!bench.finds(&KeyLookup::Path("rocket".into(), String::new()), 1).await);
    assert!(!bench.finds(&path(), 1).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hundred_at_once_ask_the_store_once() {
    let bench = Arc::new(bench());
    // At first nothing is remembered; then key 2 is new to what is remembered.
    for (key, rings, versions) in [(1, 1, 1), (2, 2, 3)] {
        let ask = |_| {
            let bench = bench.clone();
            tokio::spawn(async move { bench.finds(&path(), key).await })
        };
        for one in (0..100).map(ask).collect::<Vec<_>>() {
            assert!(one.await.unwrap());
        }
        assert_eq!(bench.shelf.asked(), (rings, versions));
        bench.make(2);
    }
    assert_eq!(bench.stats().1, 2);
    let lookups = bench.keys.stats().lookups();
    assert!((201..=300).contains(&lookups), "{lookups}: one a request, and a second for those that were early");
}

#[tokio::test]
async fn forgetting_takes_effect_at_once() {
    let bench = bench();
    assert!(bench.finds(&path(), 1).await);
    bench.shelf.change(Vec::clear);
    assert!(bench.finds(&path(), 1).await);
    bench.keys.forget();
    assert!(!bench.finds(&path(), 1).await);
}

#[test]
fn answer_asked_for_before_forgetting_is_not_believed_after() {
    let keys = bench().keys.0;
    let before = keys.load(&path()).unwrap();
    assert!(keys.is_fresh(&before));
    keys.forget();
    assert!(!keys.is_fresh(&before) && keys.is_fresh(&keys.load(&path()).unwrap()));
}

#[tokio::test]
async fn failed_question_is_asked_anew() {
    let bench = bench();
    bench.shelf.set_failing(true);
    for asked in 1..=2 {
        let found = bench.keys.find(&path(), |ring| ring.map(|_| ())).await;
        assert_eq!((found, bench.shelf.asked().1), (Err(Refusal::StorageDown), asked));
    }
    bench.shelf.set_failing(false);
    assert!(bench.finds(&path(), 1).await);
}

#[tokio::test]
async fn client_tries_again_where_the_store_cannot_say_whether_its_key_is_new() {
    let bench = bench();
    assert!(bench.finds(&path(), 1).await);
    bench.shelf.set_failing(true);
    let versions = bench.shelf.asked().1;
    for (wait, looks) in [(0, 1), (999, 1), (1, 2)] {
        bench.wait(wait);
        let refused = bench.keys.find(&path(), |_| None::<()>).await;
        assert_eq!((refused, bench.shelf.asked().1 - versions), (Err(Refusal::StorageDown), looks), "after {wait} ms");
        assert!(bench.finds(&path(), 1).await, "the remembered key goes on working");
    }
}

#[tokio::test]
async fn key_ends_at_its_time_even_while_it_is_remembered() {
    let bench = bench();
    let end = bench.clock.now().plus(10);
    bench.shelf.change(|all| all[0].revoked_at = Some(end));
    for (wait, works) in [(0, true), (9, true), (1, false)] {
        bench.wait(wait);
        assert_eq!(bench.finds(&path(), 1).await, works);
    }
    assert_eq!(bench.shelf.asked().0, 1);
}

#[tokio::test]
async fn found_key_has_the_issued_secret_and_a_foreign_seal_none() {
    let bench = bench();
    let foreign = issue(&MasterKey::generate(), ENVIRONMENT, "foreign");
    bench.shelf.change(|all| all.push(sealed(2, &foreign, None)));
    let secrets =
        |ring: Option<&Ring>| Some(ring?.active(Millis(0)).map(|key| key.secret.to_vec()).collect::<Vec<_>>());
    for lookup in [path(), KeyLookup::Token(token::hash(&bench.issued.token))] {
        let found = bench.keys.find(&lookup, secrets).await.unwrap().unwrap();
        assert_eq!(found, [bench.issued.secret.as_bytes()]);
    }
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
