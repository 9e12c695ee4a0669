//! Reports for pages, and who must update: the store's answers behind small caches, loaded once however many ask.

mod cache;
mod compare;
pub mod filters;
mod policy;
mod preset;
mod range;
pub mod step;

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::clock::{Clock, Stopwatch};
use crate::model::{Ask, EventList, EventsPage, Millis, Query, Report};
use crate::store::{Store, StoreError};

use cache::Cache;
pub use cache::Stats;
pub use compare::{Change, Compare, Compared, Direction, compare, compared};
pub use policy::{Policies, VersionHook, VersionHooks};
pub use preset::{Interval, Preset};
pub use range::{MAX_DAYS, MAX_PERIODS, Range, RangeProblem, Wanted};

/// How many loads may run at once; further ones wait.
const LOADS: usize = 4;
/// How long an answer that new events can change is kept, in milliseconds: half of the second within which an event is
/// promised to be seen.
const LIVE: i64 = 500;
/// An answer about now is kept so many times as long as it took to find, so that however much happens, those who watch it
/// keep the database busy for a twentieth of the time at the most.
const LIVE_TIMES: u32 = 20;
/// The longest for which such an answer is kept, in milliseconds.
const LIVE_MOST: i64 = 30_000;
/// How long an answer about times that are over is kept, in milliseconds: only late events change it.
const PAST: i64 = 60_000;

/// The door to reports. Clones share one cache.
#[derive(Clone)]
pub struct Reports {
    store: Arc<dyn Store>,
    clock: Clock,
    cache: Arc<Cache>,
    loads: Arc<Semaphore>,
}

impl Reports {
    /// Reports over a store.
    pub fn new(store: Arc<dyn Store>, clock: Clock) -> Self {
        Self { store, clock, cache: Arc::new(Cache::new()), loads: Arc::new(Semaphore::new(LOADS)) }
    }

    /// Answers a question, from the cache where an answer is fresh: not older than half a second if the question
    /// reaches up to now, not older than a minute otherwise; what happens now is not older than twenty times as long as it
    /// took to find, where that is longer. Those who ask the same meanwhile share one load; errors are not
    /// kept.
    pub async fn report(&self, query: Query) -> Result<Arc<Report>, StoreError> {
        let touched = touches(&query.ask, self.clock.now());
        let load = {
            let query = query.clone();
            move |store: &dyn Store| {
                let watch = Stopwatch::start();
                let answer = store.report(&query)?;
                let life = match (&query.ask, touched) {
                    (Ask::Live(_), _) => live_life(watch),
                    (_, true) => LIVE,
                    (_, false) => PAST,
                };
                Ok((Arc::new(answer), life))
            }
        };
        self.cache.report(query, self.clock.now(), self.load(load)).await
    }

    /// A page of raw events, not older than half a second; where it took long to find, than twenty times as long.
    pub async fn events(&self, page: EventsPage) -> Result<Arc<EventList>, StoreError> {
        let load = {
            let page = page.clone();
            move |store: &dyn Store| {
                let watch = Stopwatch::start();
                let answer = store.events(&page)?;
                Ok((Arc::new(answer), live_life(watch)))
            }
        };
        self.cache.events(page, self.clock.now(), self.load(load)).await
    }

    /// Asks the store for what is not kept in the cache; no more do so at once than there may be loads.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.load(look).await
    }

    /// Counts since start.
    pub fn stats(&self) -> Stats {
        self.cache.stats()
    }

    /// Runs a load on a blocking thread. The permit moves there with it, so that a reader who goes away does not
    /// make room for a load more than there may be.
    async fn load<T: Send + 'static>(
        &self,
        load: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let permit = self.loads.clone().acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Unavailable("shutting down".to_owned()))?;
        let store = self.store.clone();
        let done = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            load(store.as_ref())
        });
        done.await.unwrap_or_else(|stopped| Err(StoreError::Unexpected(stopped.to_string())))
    }
}

/// How long an answer about now is kept.
fn live_life(watch: Stopwatch) -> i64 {
    let millis = i64::try_from((watch.elapsed() * LIVE_TIMES).as_millis()).unwrap_or(LIVE_MOST);
    millis.clamp(LIVE, LIVE_MOST)
}

/// Whether events that come now can change the answer.
fn touches(ask: &Ask, now: Millis) -> bool {
    match ask {
        Ask::Series(_, periods, _) | Ask::Adoption(_, periods) => periods.iter().any(|period| period.range.to > now),
        Ask::Breakdown(ask) => ask.period.range.to > now,
        Ask::AdoptionUsers(_, period) => period.range.to > now,
        Ask::Sessions(ask) => ask.period.range.to > now,
        Ask::Live(_) | Ask::Since => true,
    }
}
