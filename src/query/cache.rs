//! Answers kept for a while, bounded by their size in memory.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::Weighter;
use quick_cache::sync::{EntryAction, EntryResult};

use crate::model::{
    Ask, BreakdownRow, EventList, EventRow, EventsPage, Filters, Live, Millis, Query, Report, SessionsTold,
};
use crate::store::StoreError;

/// Bytes that kept answers may take, roughly.
const BYTES: u64 = 8 << 20;
/// How many answers are expected at a time.
const ANSWERS: usize = 1_024;

/// Counts since start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Questions answered without a load of their own.
    pub hits: u64,
    /// Questions that were loaded.
    pub misses: u64,
}

/// Reports and pages of events, each with an age limit; one load at a time for each question.
pub(super) struct Cache {
    reports: quick_cache::sync::Cache<Query, Kept<Report>, Weigh>,
    events: quick_cache::sync::Cache<EventsPage, Kept<EventList>, Weigh>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What a load gives: an answer, and for how many milliseconds it may be kept.
type Loaded<T> = (Arc<T>, i64);

/// An answer, when it was asked for, and the instant from which it is too old.
struct Kept<T> {
    answer: Arc<T>,
    asked: Millis,
    expires: Millis,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { answer: self.answer.clone(), ..*self }
    }
}

#[derive(Clone)]
struct Weigh;

impl Cache {
    pub(super) fn new() -> Self {
        Self {
            reports: quick_cache::sync::Cache::with_weighter(ANSWERS, BYTES / 2, Weigh),
            events: quick_cache::sync::Cache::with_weighter(ANSWERS / 16, BYTES / 2, Weigh),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
        }
    }

    pub(super) fn stats(&self) -> Stats {
        Stats { hits: self.hits.load(Ordering::Relaxed), misses: self.misses.load(Ordering::Relaxed) }
    }

    pub(super) async fn report(
        &self,
        query: Query,
        now: Millis,
        load: impl Future<Output = Result<Loaded<Report>, StoreError>>,
    ) -> Result<Arc<Report>, StoreError> {
        self.find(&self.reports, query, now, load).await
    }

    pub(super) async fn events(
        &self,
        page: EventsPage,
        now: Millis,
        load: impl Future<Output = Result<Loaded<EventList>, StoreError>>,
    ) -> Result<Arc<EventList>, StoreError> {
        self.find(&self.events, page, now, load).await
    }

    async fn find<K, T>(
        &self,
        kept: &quick_cache::sync::Cache<K, Kept<T>, Weigh>,
        key: K,
        now: Millis,
        load: impl Future<Output = Result<Loaded<T>, StoreError>>,
    ) -> Result<Arc<T>, StoreError>
    where
        K: Clone + Eq + std::hash::Hash,
        Weigh: Weighter<K, Kept<T>>,
    {
        let fresh = |_: &K, kept: &mut Kept<T>| {
            // An answer from after now was given before the clock was set back.
            if kept.asked <= now && now < kept.expires {
                EntryAction::Retain(kept.answer.clone())
            } else {
                EntryAction::ReplaceWithGuard
            }
        };
        let guard = match kept.entry_async(&key, fresh).await {
            EntryResult::Retained(answer) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                return Ok(answer);
            }
            EntryResult::Replaced(guard, _) | EntryResult::Vacant(guard) => Some(guard),
            EntryResult::Removed(..) | EntryResult::Timeout => None, // never asked for
        };
        self.misses.fetch_add(1, Ordering::Relaxed);
        // On an error the guard is dropped, and the next in line loads for itself.
        let (answer, life) = load.await?;
        if let Some(guard) = guard {
            // Refused only if the entry was removed meanwhile, and then there is nothing to keep.
            _ = guard.insert(Kept { answer: answer.clone(), asked: now, expires: now.plus(life) });
        }
        Ok(answer)
    }
}

impl Weighter<Query, Kept<Report>> for Weigh {
    fn weight(&self, query: &Query, kept: &Kept<Report>) -> u64 {
        let asked = match &query.ask {
            Ask::Series(metrics, periods, filters) => metrics.len() + 32 * periods.len() + weight(filters),
            Ask::Adoption(version, periods) => version.len() + 32 * periods.len(),
            Ask::AdoptionUsers(version, _) => version.len() + 32,
            Ask::Breakdown(ask) => 64 + ask.metrics.len() + weight(&ask.filters),
            Ask::Live(ask) => 32 + weight(&ask.filters),
            Ask::Sessions(ask) => 64 + weight(&ask.filters.facts),
            Ask::Since => 32,
        };
        let answered = match kept.answer.as_ref() {
            Report::Series(rows) => rows.iter().map(|row| 24 + 16 * row.len()).sum(),
            Report::Breakdown(list) => {
                let row = |row: &BreakdownRow| 64 + row.value.as_ref().map_or(0, String::len) + 16 * row.metrics.len();
                list.rows.iter().map(row).sum::<usize>()
            }
            Report::Live(live) => live_weight(live),
            Report::Sessions(_) => size_of::<SessionsTold>(),
            Report::Since(_) => 16,
        };
        (128 + asked + answered) as u64
    }
}

fn live_weight(live: &Live) -> usize {
    let rows = live.tops.iter().flat_map(|top| &top.rows);
    8 * live.minutes.len() + rows.map(|(value, _)| 48 + value.as_ref().map_or(0, String::len)).sum::<usize>()
}

/// What conditions take in memory, roughly.
fn weight(filters: &Filters) -> usize {
    filters.iter().flat_map(|filter| &filter.values).map(|value| 48 + value.as_ref().map_or(0, |text| text.len())).sum()
}

impl Weighter<EventsPage, Kept<EventList>> for Weigh {
    fn weight(&self, page: &EventsPage, kept: &Kept<EventList>) -> u64 {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let row = |row: &EventRow| {
            size_of::<EventRow>()
                + row.name.len()
                + text(&row.category)
                + text(&row.version)
                + text(&row.system)
                + text(&row.props)
        };
        (128 + weight(&page.filters) + kept.answer.rows.iter().map(row).sum::<usize>()) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EnvironmentId;
    use std::sync::atomic::AtomicUsize;

    fn since() -> Query {
        Query { environment: EnvironmentId(1), ask: Ask::Since }
    }

    async fn ask(cache: &Cache, now: i64, life: i64, loads: &AtomicUsize) -> Result<Arc<Report>, StoreError> {
        let load = async {
            let n = loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok((Arc::new(Report::Since(Some(Millis(n as i64)))), life))
        };
        cache.report(since(), Millis(now), load).await
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn answers_live_as_long_as_they_may() {
        run(async {
            let (cache, loads) = (Cache::new(), AtomicUsize::new(0));
            for (now, expected) in [(0, 0), (999, 0), (1_000, 1), (1_500, 1), (2_000, 2), (900, 3)] {
                let answer = ask(&cache, now, 1_000, &loads).await.unwrap();
                assert_eq!(*answer, Report::Since(Some(Millis(expected))), "at {now}");
            }
            assert_eq!(cache.stats(), Stats { hits: 2, misses: 4 });
        });
    }

    #[test]
    fn many_who_ask_at_once_share_one_load() {
        run(async {
            let (cache, loads) = (Cache::new(), AtomicUsize::new(0));
            for now in [0, 5_000] {
                let asked = || ask(&cache, now, 1_000, &loads);
                let (a, b, c, d) = tokio::join!(asked(), asked(), asked(), asked());
                let first = a.unwrap();
                for other in [b, c, d] {
                    assert_eq!(other.unwrap(), first);
                }
            }
            assert_eq!(loads.load(Ordering::SeqCst), 2);
        });
    }

    #[test]
    fn failures_are_not_kept() {
        run(async {
            let (cache, loads) = (Cache::new(), AtomicUsize::new(0));
            let failed = cache.report(since(), Millis(0), async { Err(StoreError::Interrupted) }).await;
            assert!(matches!(failed, Err(StoreError::Interrupted)));
            assert!(ask(&cache, 0, 1_000, &loads).await.is_ok());
            assert_eq!(cache.stats(), Stats { hits: 0, misses: 2 });
        });
    }
}
