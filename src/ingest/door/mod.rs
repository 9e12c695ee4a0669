//! The door: whether a request whose credential is good is let in now, by its app's rules and its tier's figures.

mod pace;
mod today;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use quick_cache::sync::Cache;
use tokio::sync::Mutex;

use self::pace::{Left, Pace, Used, Wait};
pub(super) use self::today::Reservation;
use self::today::{LONGEST_WAIT, Today, day};
use super::Scope;
use crate::clock::Clock;
use crate::model::{AppId, ClientNetwork, IngestKeyId, Limit, Millis, OverLimit, Refusal, Rules, Standing, TurnedAway};
use crate::store::Store;
use crate::trail::{self, Stage};

/// Most apps, keys and client networks whose use is remembered. Those that were quiet the longest are forgotten, and
/// begin with nothing used up.
const APPS: usize = 10_000;
const KEYS: usize = 20_000;
const NETWORKS: usize = 100_000;

/// Milliseconds after which the store is asked again what all nodes have taken today.
const RECONCILED_EVERY: i64 = 3 * Millis::SECOND;

const NANOS: u64 = 1_000_000_000;

/// Decides who is let in. Clones share what was used up. Rates are counted by each node for itself, quotas over all
/// nodes: what nodes do not yet know of each other, for some three seconds, can go beyond a quota.
#[derive(Clone)]
pub struct Door(Arc<Shared>);

struct Shared {
    clock: Clock,
    store: Arc<dyn Store>,
    apps: Cache<AppId, Arc<AppUse>>,
    keys: Cache<IngestKeyId, Arc<Used>>,
    networks: Cache<(AppId, ClientNetwork), Arc<Used>>,
    turned: [AtomicU64; TurnedAway::ALL.len()],
    /// When the store was last asked.
    reconciled: AtomicI64,
    /// Held while the store is asked.
    asking: Mutex<()>,
}

/// What was used up of an app's allowances.
#[derive(Debug, Default)]
struct AppUse {
    requests: Used,
    today: Arc<Today>,
}

/// Who can have sent a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// Whoever knows a secret.
    Secret,
    /// Everybody who has the app: its key stands in it, or none is asked for.
    Public,
}

/// From where a request comes, and with what.
#[derive(Clone, Copy, Debug)]
pub struct Knock<'a> {
    /// Who can have sent it.
    pub credential: Credential,
    /// Its key, where the protocol wants one.
    pub key: Option<IngestKeyId>,
    /// The client.
    pub address: IpAddr,
    /// The web page's origin, where a browser tells one.
    pub origin: Option<&'a [u8]>,
}

impl Door {
    /// Nothing is used up at the start; of quotas, what the store has counted today.
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self(Arc::new(Shared {
            clock,
            store,
            apps: Cache::new(APPS),
            keys: Cache::new(KEYS),
            networks: Cache::new(NETWORKS),
            turned: Default::default(),
            reconciled: AtomicI64::new(i64::MIN),
            asking: Mutex::default(),
        }))
    }

    /// Lets a request in, or says why not: its address, its origin, rates of network, key and app. Where there are rates
    /// it says how the narrowest stands. What is refused costs nothing.
    ///
    /// # Errors
    /// [`Refusal::Forbidden`] or [`Refusal::OverLimit`].
    pub fn admit(&self, app: AppId, rules: &Rules, knock: Knock<'_>) -> Result<Option<Standing>, Refusal> {
        if !rules.admit_address(knock.address) {
            self.turn_away(app, TurnedAway::Address);
            return Err(Refusal::Forbidden("this app takes nothing from your network".to_owned()));
        }
        if knock.origin.is_some_and(|origin| !rules.admit_origin(origin)) {
            self.turn_away(app, TurnedAway::Origin);
            return Err(Refusal::Forbidden("this app takes nothing from pages of this origin".to_owned()));
        }
        self.charge(app, rules, knock).map_err(|over| self.refuse(app, over))
    }

    /// How the app's quota of events stands, where it has one. Nothing is taken from it yet.
    ///
    /// # Errors
    /// [`Refusal::OverLimit`] where nothing is left; [`Refusal::StorageDown`] where that cannot be known.
    pub async fn afford(&self, app: AppId, rules: &Rules) -> Result<Option<Standing>, Refusal> {
        let Some(quota) = rules.figures.day else { return Ok(None) };
        let left = self.today(app).await?.look(quota, self.0.clock.now());
        left.map(Some).map_err(|over| self.refuse(app, over))
    }

    /// Takes a batch's events from the quota, where there is one.
    pub(super) fn reserve(&self, scope: &Scope, events: usize) -> Result<Option<Reservation>, Refusal> {
        let Some(quota) = scope.rules.figures.day else { return Ok(None) };
        let (app, now) = (scope.app.id, self.0.clock.now());
        let reserved = self.of(app).today.reserve(quota, events, now);
        reserved.map(Some).map_err(|over| self.refuse(app, over))
    }

    /// Counts a request that is turned away.
    pub fn turn_away(&self, app: AppId, why: TurnedAway) {
        self.0.turned[why as usize].fetch_add(1, Ordering::Relaxed);
        self.of(app).today.turn_away(why, self.0.clock.now());
    }

    /// Requests that this node has turned away since it was started, by reason.
    pub fn turned(&self) -> [(TurnedAway, u64); TurnedAway::ALL.len()] {
        TurnedAway::ALL.map(|why| (why, self.0.turned[why as usize].load(Ordering::Relaxed)))
    }

    /// Requests to an app that this node has turned away today, by reason; those of which there were none left out.
    pub fn turned_today(&self, app: AppId) -> Vec<(TurnedAway, u64)> {
        self.of(app).today.turned(self.0.clock.now())
    }

    fn refuse(&self, app: AppId, over: OverLimit) -> Refusal {
        self.turn_away(app, over.limit.into());
        Refusal::OverLimit(over)
    }

    fn of(&self, app: AppId) -> Arc<AppUse> {
        found(&self.0.apps, &app)
    }

    /// Charges what has a limit. All are looked at first, so that one that is refused charges none.
    fn charge(&self, app: AppId, rules: &Rules, knock: Knock<'_>) -> Result<Option<Standing>, OverLimit> {
        let (shared, figures) = (&self.0, rules.figures);
        let network = figures.network.filter(|_| knock.credential == Credential::Public);
        let network = network.map(|many| {
            let used = found(&shared.networks, &(app, ClientNetwork::of(knock.address)));
            (Limit::Network, Pace::per_minute(many), used)
        });
        let key = figures.key.zip(knock.key);
        let key = key.map(|(many, key)| (Limit::Key, Pace::per_minute(many), found(&shared.keys, &key)));
        let whole = figures.app.map(|many| (Limit::App, Pace::per_minute(many), self.of(app)));
        if network.is_none() && key.is_none() && whole.is_none() {
            return Ok(None);
        }
        let now = shared.clock.nanos();
        let single = || [&network, &key].into_iter().flatten().map(|(limit, pace, used)| (*limit, *pace, &**used));
        let all = || single().chain(whole.iter().map(|(limit, pace, app)| (*limit, *pace, &app.requests)));
        for (limit, pace, used) in all() {
            used.peek(pace, now).map_err(|wait| self.over(limit, pace, wait))?;
        }
        let mut narrowest: Option<Standing> = None;
        for (limit, pace, used) in all() {
            let left = used.charge(pace, now).map_err(|wait| self.over(limit, pace, wait))?;
            let standing = self.standing(pace, left);
            narrowest = Some(narrowest.filter(|other| other.remaining <= standing.remaining).unwrap_or(standing));
        }
        Ok(narrowest)
    }

    fn standing(&self, pace: Pace, left: Left) -> Standing {
        let full_in = i64::try_from(left.full_in.div_ceil(NANOS)).unwrap_or(i64::MAX);
        let resets_at = self.0.clock.now().seconds().saturating_add(full_in);
        Standing { limit: pace.burst(), remaining: left.remaining, resets_at }
    }

    fn over(&self, limit: Limit, pace: Pace, wait: Wait) -> OverLimit {
        let standing = self.standing(pace, Left { remaining: 0, full_in: wait.full });
        let retry_after = wait.one.div_ceil(NANOS).clamp(1, LONGEST_WAIT);
        OverLimit { limit, standing, retry_after: u32::try_from(retry_after).unwrap_or(1) }
    }

    /// What came to the app today. The store is asked before the first answer, and then behind answers.
    async fn today(&self, app: AppId) -> Result<Arc<Today>, Refusal> {
        let today = self.of(app).today.clone();
        if today.is_known() {
            self.reconcile_when_due();
            return Ok(today);
        }
        let _asking = self.0.asking.lock().await;
        if !today.is_known() {
            let (shared, day) = (self.0.clone(), day(self.0.clock.now()));
            let answer = trail::blocking_within(Stage::Store, move || shared.reconcile(Some(app), day)).await;
            if !answer.unwrap_or(false) {
                return Err(Refusal::StorageDown);
            }
        }
        Ok(today)
    }

    fn reconcile_when_due(&self) {
        let (shared, now) = (&self.0, self.0.clock.now());
        let last = shared.reconciled.load(Ordering::Relaxed);
        let due = !(0..RECONCILED_EVERY).contains(&now.0.saturating_sub(last));
        let mine = || shared.reconciled.compare_exchange(last, now.0, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if due && mine() {
            let shared = shared.clone();
            _ = trail::blocking(move || shared.reconcile(None, day(now)));
        }
    }
}

impl Shared {
    /// Asks the store what all nodes have taken on that day; whether it answered. `first` is an app of which nothing
    /// is known yet.
    fn reconcile(&self, first: Option<AppId>, day: i64) -> bool {
        let counted = match self.store.taken_on(day) {
            Ok(counted) => counted,
            Err(error) => {
                tracing::warn!(%error, "how much of their quotas apps have used is not known");
                return false;
            }
        };
        for (app, events) in &counted {
            if let Some(known) = self.apps.get(app) {
                known.today.learn(day, *events);
            }
        }
        if let Some(first) = first.filter(|first| !counted.iter().any(|(app, _)| app == first)) {
            found(&self.apps, &first).today.learn(day, 0);
        }
        true
    }
}

/// The entry of that key, made where there is none.
fn found<K: Clone + Eq + std::hash::Hash, V: Default>(cache: &Cache<K, Arc<V>>, key: &K) -> Arc<V> {
    if let Some(found) = cache.get(key) {
        return found;
    }
    let made = cache.get_or_insert_with(key, || Ok::<_, std::convert::Infallible>(Arc::default()));
    made.unwrap_or_default()
}
