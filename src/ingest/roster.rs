//! Devices and sessions that events refer to, remembered for a while.

use std::hash::Hash;
use std::sync::Arc;

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::clock::Clock;
use crate::model::{EnvironmentId, KnownDevice, KnownSession, LookupCounts, Lookups, Millis, Refusal};
use crate::store::{Result as Stored, Store};
use crate::trail::{self, Stage};

/// How many devices and how many sessions are remembered: some 40 MB together, where there are so many.
const REMEMBERED: usize = 50_000;
/// For how long a device is, in milliseconds: another node may hear of its next session.
const DEVICE_LIFE: i64 = 10 * Millis::SECOND;
/// For how long a session is, in milliseconds: what events need of it changes only with its user.
const SESSION_LIFE: i64 = 15 * Millis::MINUTE;

/// Finds devices and sessions for their events. Clones share one memory; what is not there is not remembered.
#[derive(Clone)]
pub struct Roster {
    store: Arc<dyn Store>,
    clock: Clock,
    devices: Arc<Memory<(EnvironmentId, String), KnownDevice>>,
    sessions: Arc<Memory<(EnvironmentId, Uuid), KnownSession>>,
}

/// What was found, and when.
struct Memory<K, V> {
    cache: Cache<K, (Arc<V>, Millis)>,
    life: i64,
    lookups: Lookups,
}

impl Roster {
    /// Finds in `store`.
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        let devices =
            Arc::new(Memory { cache: Cache::new(REMEMBERED), life: DEVICE_LIFE, lookups: Lookups::default() });
        let sessions =
            Arc::new(Memory { cache: Cache::new(REMEMBERED), life: SESSION_LIFE, lookups: Lookups::default() });
        Self { store, clock, devices, sessions }
    }

    /// How what is remembered of devices, and of sessions, did since start.
    pub fn lookups(&self) -> [LookupCounts; 2] {
        [self.devices.lookups.read(), self.sessions.lookups.read()]
    }

    /// The device that calls itself so, or has that public id. [`Refusal::StorageDown`] where that cannot be known.
    pub async fn device(&self, environment: EnvironmentId, named: &str) -> Result<Option<Arc<KnownDevice>>, Refusal> {
        let (store, name) = (self.store.clone(), named.to_owned());
        let ask = move || store.find_device(environment, &name);
        self.devices.find((environment, named.to_owned()), self.clock.now(), ask).await
    }

    /// The session of that public id, which may be over. Errors as those of [`Roster::device`].
    pub async fn session(&self, environment: EnvironmentId, id: Uuid) -> Result<Option<Arc<KnownSession>>, Refusal> {
        let store = self.store.clone();
        let ask = move || store.find_session(environment, id);
        self.sessions.find((environment, id), self.clock.now(), ask).await
    }

    /// Believes nothing any more of a device that has identified itself or signed out, under both of its names.
    pub fn forget(&self, environment: EnvironmentId, names: [&str; 2]) {
        for name in names {
            self.devices.cache.remove(&(environment, name.to_owned()));
        }
    }
}

impl<K: Eq + Hash + Clone, V: Send + Sync + 'static> Memory<K, V> {
    /// However many ask for the same at once, the store is asked once, on a blocking thread.
    async fn find(
        &self,
        key: K,
        now: Millis,
        ask: impl FnOnce() -> Stored<Option<V>> + Send + 'static,
    ) -> Result<Option<Arc<V>>, Refusal> {
        loop {
            match self.cache.get_value_or_guard_async(&key).await {
                Ok((found, at)) if (0..self.life).contains(&now.since(at)) => {
                    self.lookups.hit();
                    return Ok(Some(found));
                }
                Ok((stale, _)) => _ = self.cache.remove_if(&key, |(there, _)| Arc::ptr_eq(there, &stale)),
                Err(guard) => {
                    self.lookups.miss();
                    let answer = trail::blocking_within(Stage::Store, ask).await;
                    let found = match answer {
                        Ok(Ok(found)) => found.map(Arc::new),
                        Ok(Err(error)) => {
                            tracing::error!(%error, "a device or session could not be looked up");
                            return Err(Refusal::StorageDown);
                        }
                        Err(error) => {
                            tracing::error!(%error, "a look-up did not end");
                            return Err(Refusal::Internal);
                        }
                    };
                    if let Some(found) = &found {
                        // Fails only where the entry was pushed out meanwhile; the next request then asks again.
                        _ = guard.insert((found.clone(), now));
                    }
                    return Ok(found);
                }
            }
        }
    }
}
