//! Reports for pages, and who must update: the store's answers behind small caches, loaded once however many ask.

mod cache;
mod cohorts;
mod collects;
mod compare;
mod dossier;
pub mod filters;
mod funnel;
mod policy;
mod preset;
mod range;
mod returns;
pub mod step;
mod verdict;

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock::{Clock, Stopwatch};
use crate::model::{Ask, Cursor, CursorKey, EnvironmentId, EventList, EventsPage, Millis, Query, Report};
use crate::store::{Store, StoreError};
use crate::trail::{self, Stage};

pub use cache::Stats;
use cache::{Cache, Found, Moment, Reach, Renewal};
pub use cohorts::{COHORTS, cohorts};
pub use collects::Collects;
pub use compare::{Change, Compare, Compared, Direction, compare, compared};
pub use dossier::Dossier;
pub use funnel::{FunnelProblem, FunnelShape, WINDOW, window};
pub use policy::{Policies, VersionHook, VersionHooks};
pub use preset::{Interval, Preset};
pub use range::{MAX_DAYS, MAX_PERIODS, Range, RangeProblem, Wanted};
pub use returns::return_days;
pub use verdict::{Aspect, Proportion, Release, Verdict, releases};

/// How many loads may run at once; further ones wait.
const LOADS: usize = 4;

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

    /// Answers a question, from the cache where an answer holds: no event has come since, or it is not older than half a
    /// second, or it is of times that are over and not older than a minute; what happens now may be as old as twenty times what it
    /// took to find. An answer that took long is given out for up
    /// to a minute while a new one is loaded behind. Those who ask the same meanwhile share one load; errors are not kept.
    pub async fn report(&self, query: Query) -> Result<Arc<Report>, StoreError> {
        trail::within(Stage::Report, self.find(query)).await
    }

    async fn find(&self, query: Query) -> Result<Arc<Report>, StoreError> {
        let asked = self.moment(query.environment, reach(&query.ask, self.clock.now()));
        match self.cache.report(&query, asked, self.load(loading(query.clone()))).await? {
            Found::Fresh(answer) | Found::Stale(answer, Renewal::Underway) => Ok(answer),
            Found::Stale(answer, Renewal::Yours) => {
                let reports = self.clone();
                tokio::spawn(async move {
                    let watch = Stopwatch::start();
                    let loaded = reports.load(loading(query.clone())).await;
                    reports.cache.renew(query, asked, watch.elapsed(), loaded);
                });
                Ok(answer)
            }
        }
    }

    /// A page of raw events, not older than half a second, unless no event has come since.
    pub async fn events(&self, page: EventsPage) -> Result<Arc<EventList>, StoreError> {
        let asked = self.moment(page.environment, Reach::Newest);
        // Clients' clocks that are ahead stand before the newest events; another node's may be ahead a little.
        let end = || Cursor { key: CursorKey::Number(asked.now.plus(Millis::SECOND).0), id: [0xff; 16] };
        let wanted = EventsPage { after: page.after.clone().or_else(|| Some(end())), ..page.clone() };
        let load = self.load(move |store| store.events(&wanted).map(Arc::new));
        match trail::within(Stage::Report, self.cache.events(&page, asked, load)).await? {
            Found::Fresh(answer) | Found::Stale(answer, _) => Ok(answer),
        }
    }

    fn moment(&self, environment: EnvironmentId, reach: Reach) -> Moment {
        Moment { now: self.clock.now(), data: self.store.commits(environment), reach }
    }

    /// Asks the store for what is not kept in the cache; no more do so at once than there may be loads.
    pub async fn look<T: Send + 'static>(
        &self,
        look: impl FnOnce(&dyn Store) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        trail::within(Stage::Report, self.load(look)).await
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
        let permit = permit(self.loads.clone()).await?;
        let store = self.store.clone();
        let done = trail::blocking(move || {
            let _permit = permit;
            load(store.as_ref())
        });
        done.await.unwrap_or_else(|stopped| Err(StoreError::Unexpected(stopped.to_string())))
    }
}

async fn permit(loads: Arc<Semaphore>) -> Result<OwnedSemaphorePermit, StoreError> {
    loads.acquire_owned().await.map_err(|_| StoreError::Unavailable("shutting down".to_owned()))
}

fn loading(query: Query) -> impl FnOnce(&dyn Store) -> Result<Arc<Report>, StoreError> + Send + 'static {
    move |store| store.report(&query).map(Arc::new)
}

fn reach(ask: &Ask, now: Millis) -> Reach {
    if let Ask::Live(_) = ask {
        return Reach::Watched;
    }
    let open = match ask {
        Ask::Series(_, periods, _) | Ask::Adoption(_, periods) => periods.iter().any(|period| period.range.to > now),
        Ask::Breakdown(ask) => ask.period.range.to > now,
        Ask::Retention(ask) => ask.cohorts.iter().any(|cohort| cohort.range.to > now),
        Ask::Funnel(ask) => ask.period.range.to.plus(ask.window) > now,
        Ask::AdoptionUsers(_, period) | Ask::Arrivals(period) => period.range.to > now,
        Ask::Errors(ask) => ask.period.range.to > now,
        Ask::ErrorGroup(ask) => ask.period.range.to > now,
        Ask::Health(ask) => ask.period.range.to > now,
        Ask::Props(ask) => ask.period.range.to > now,
        Ask::Trends(ask) => ask.periods.iter().any(|period| period.range.to > now),
        Ask::Sessions(ask) => ask.period.range.to > now,
        Ask::Live(_) | Ask::Since => true,
    };
    if open { Reach::Now } else { Reach::Over }
}
