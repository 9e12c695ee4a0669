//! Answers kept for a while, bounded by their size in memory.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use quick_cache::Weighter;
use quick_cache::sync::{EntryAction, EntryResult};

use crate::clock::Stopwatch;
use crate::model::{
    Ask, BreakdownRow, ErrorRow, EventList, EventRow, EventsPage, Filters, FunnelRow, Live, Millis, PropSummary, Query,
    Report, SessionsTold,
};
use crate::store::StoreError;

/// Bytes that kept answers may take, roughly.
const BYTES: u64 = 8 << 20;
/// How long an answer holds whatever comes, in milliseconds: half of the second within which an event is promised to be
/// seen.
const LIVE: i64 = 500;
/// How old an answer may be at the most, in milliseconds.
const OLDEST: i64 = 60_000;
/// An answer that took this long is given out once more while it is loaded anew.
const DEAR: Duration = Duration::from_millis(100);
/// What pages that are open watch holds for so many times as long as it took to find, up to so many milliseconds:
/// however much happens, watching it keeps the database busy for a twentieth of the time at the most.
const WATCHED: u32 = 20;
const WATCHED_MOST: u128 = 30_000;
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

/// Reports and pages of events, as long as they hold; one load at a time for each question.
pub(super) struct Cache {
    reports: quick_cache::sync::Cache<Query, Kept<Report>, Weigh>,
    events: quick_cache::sync::Cache<EventsPage, Kept<EventList>, Weigh>,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What decides whether a kept answer still holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Moment {
    /// Now.
    pub(super) now: Millis,
    /// A number that grows with the data, where it is known.
    pub(super) data: Option<u64>,
    /// What the question reaches to.
    pub(super) reach: Reach,
}

/// What a question reaches to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reach {
    /// Times that are over: only events that come late change the answer.
    Over,
    /// Up to now.
    Now,
    /// Up to now, asked again and again by pages that are open.
    Watched,
    /// The newest events themselves: an answer that may not hold any more is never given out.
    Newest,
}

/// An answer, how long it took and of when it is.
struct Kept<T> {
    answer: Arc<T>,
    of: Moment,
    took: Duration,
    /// Set by whoever loads it anew while others are still given this one.
    renewed: Arc<AtomicBool>,
}

impl<T> Clone for Kept<T> {
    fn clone(&self) -> Self {
        Self { answer: self.answer.clone(), of: self.of, took: self.took, renewed: self.renewed.clone() }
    }
}

/// What a look into the cache leads to.
pub(super) enum Found<T> {
    /// An answer that holds, or was just loaded.
    Fresh(Arc<T>),
    /// An answer that may not hold any more, and was dear: to be given out, and loaded anew by whoever is told so.
    Stale(Arc<T>, Renewal),
}

/// Who loads a stale answer anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewal {
    /// The one who is told this.
    Yours,
    /// Somebody does already.
    Underway,
}

impl<T> Kept<T> {
    fn new(answer: Arc<T>, of: Moment, took: Duration) -> Self {
        Self { answer, of, took, renewed: Arc::new(AtomicBool::new(false)) }
    }

    /// Whether it can be given out now: as it is, while it is loaded anew, or not at all. An answer from after now was
    /// given before the clock was set back.
    fn judge(&self, asked: Moment) -> Option<Found<T>> {
        let age = asked.now.since(self.of.now);
        if !(0..OLDEST).contains(&age) {
            return None;
        }
        let unchanged = self.of.data.is_some() && self.of.data == asked.data;
        let holds = match asked.reach {
            Reach::Watched => LIVE.max((self.took * WATCHED).as_millis().min(WATCHED_MOST) as i64),
            Reach::Over | Reach::Now | Reach::Newest => LIVE,
        };
        if age < holds || unchanged || asked.reach == Reach::Over {
            return Some(Found::Fresh(self.answer.clone()));
        }
        (self.took >= DEAR && asked.reach == Reach::Now).then(|| {
            let underway = self.renewed.swap(true, Ordering::Relaxed);
            let renewal = if underway { Renewal::Underway } else { Renewal::Yours };
            Found::Stale(self.answer.clone(), renewal)
        })
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

    /// An answer that is kept, or the one that `load` gives; one load for all who ask meanwhile.
    pub(super) async fn report(
        &self,
        query: &Query,
        asked: Moment,
        load: impl Future<Output = Result<Arc<Report>, StoreError>>,
    ) -> Result<Found<Report>, StoreError> {
        self.find(&self.reports, query, asked, load).await
    }

    /// The same of a page of events.
    pub(super) async fn events(
        &self,
        page: &EventsPage,
        asked: Moment,
        load: impl Future<Output = Result<Arc<EventList>, StoreError>>,
    ) -> Result<Found<EventList>, StoreError> {
        self.find(&self.events, page, asked, load).await
    }

    /// Keeps what was loaded behind a stale answer. Where that failed, the stale one may be renewed by the next.
    pub(super) fn renew(&self, query: Query, of: Moment, took: Duration, loaded: Result<Arc<Report>, StoreError>) {
        match loaded {
            Ok(answer) => self.reports.insert(query, Kept::new(answer, of, took)),
            Err(error) => {
                tracing::warn!(%error, "a report could not be loaded anew");
                if let Some(kept) = self.reports.peek(&query) {
                    kept.renewed.store(false, Ordering::Relaxed);
                }
            }
        }
    }

    async fn find<K, T>(
        &self,
        kept: &quick_cache::sync::Cache<K, Kept<T>, Weigh>,
        key: &K,
        asked: Moment,
        load: impl Future<Output = Result<Arc<T>, StoreError>>,
    ) -> Result<Found<T>, StoreError>
    where
        K: Clone + Eq + std::hash::Hash,
        Weigh: Weighter<K, Kept<T>>,
    {
        let look = |_: &K, kept: &mut Kept<T>| match kept.judge(asked) {
            Some(found) => EntryAction::Retain(found),
            None => EntryAction::ReplaceWithGuard,
        };
        let guard = match kept.entry_async(key, look).await {
            EntryResult::Retained(found) => {
                self.hits.fetch_add(1, Ordering::Relaxed);
                return Ok(found);
            }
            EntryResult::Replaced(guard, _) | EntryResult::Vacant(guard) => Some(guard),
            EntryResult::Removed(..) | EntryResult::Timeout => None, // never asked for
        };
        self.misses.fetch_add(1, Ordering::Relaxed);
        let watch = Stopwatch::start();
        // On an error the guard is dropped, and the next in line loads for itself.
        let answer = load.await?;
        if let Some(guard) = guard {
            // Refused only if the entry was removed meanwhile, and then there is nothing to keep.
            _ = guard.insert(Kept::new(answer.clone(), asked, watch.elapsed()));
        }
        Ok(Found::Fresh(answer))
    }
}

impl Weighter<Query, Kept<Report>> for Weigh {
    fn weight(&self, query: &Query, kept: &Kept<Report>) -> u64 {
        let asked = match &query.ask {
            Ask::Series(metrics, periods, filters) => metrics.len() + 32 * periods.len() + weight(filters),
            Ask::Adoption(version, periods) => version.len() + 32 * periods.len(),
            Ask::AdoptionUsers(version, _) => version.len() + 32,
            Ask::Breakdown(ask) => 64 + ask.metrics.len() + weight(&ask.filters),
            Ask::Errors(ask) => 64 + ask.search.len() + weight(&ask.filters),
            Ask::ErrorGroup(ask) => 64 + ask.group.len() + weight(&ask.filters),
            Ask::Health(ask) => 32 + 32 * ask.days.len(),
            Ask::Live(ask) => 32 + weight(&ask.filters),
            Ask::Sessions(ask) => 64 + weight(&ask.filters.facts),
            Ask::Props(ask) => 64 + ask.event.len() + weight(&ask.filters),
            Ask::Retention(ask) => 96 + 32 * ask.cohorts.len() + weight(&ask.filters),
            Ask::Funnel(ask) => {
                let steps = ask.steps.iter().map(|step| 64 + step.event.len() + weight(&step.filters));
                128 + steps.sum::<usize>() + weight(&ask.filters)
            }
            Ask::Since | Ask::Arrivals(_) => 32,
            Ask::Trends(ask) => {
                let value = |value: &Option<Arc<str>>| 32 + value.as_ref().map_or(0, |text| text.len());
                32 * ask.periods.len() + ask.values.iter().map(value).sum::<usize>()
            }
        };
        let answered = match kept.answer.as_ref() {
            Report::Series(rows) => rows.iter().map(|row| 24 + 16 * row.len()).sum(),
            Report::Breakdown(list) => {
                let row = |row: &BreakdownRow| 64 + row.value.as_ref().map_or(0, String::len) + 16 * row.metrics.len();
                list.rows.iter().map(row).sum::<usize>()
            }
            Report::Live(live) => live_weight(live),
            Report::Sessions(_) => size_of::<SessionsTold>(),
            Report::Props(props) => props.iter().map(summary).sum(),
            Report::Cohorts(cohorts) => cohorts.iter().map(|cohort| 32 + 8 * cohort.back.len()).sum(),
            Report::Funnel(funnel) => {
                let row = |row: &FunnelRow| 64 + row.value.as_ref().map_or(0, String::len) + 8 * row.users.len();
                32 * (2 + funnel.steps.len()) + funnel.values.iter().map(row).sum::<usize>()
            }
            Report::Since(_) => 16,
            Report::Errors(rows) => rows.iter().map(error).sum(),
            Report::ErrorGroup(None) => 16,
            Report::ErrorGroup(Some(group)) => {
                error(&group.row) + values(&group.systems) + group.newest.iter().map(event).sum::<usize>()
            }
            Report::Health(health) => health.versions.iter().map(|row| 96 + row.version.len()).sum(),
            Report::Arrivals(versions) => versions.iter().map(|(name, _)| 32 + name.len()).sum(),
        };
        (128 + asked + answered) as u64
    }
}

fn live_weight(live: &Live) -> usize {
    let rows = live.tops.iter().flat_map(|top| &top.rows);
    8 * live.minutes.len() + rows.map(|(value, _)| 48 + value.as_ref().map_or(0, String::len)).sum::<usize>()
}

/// What a property's summary takes in memory, roughly.
fn summary(prop: &PropSummary) -> usize {
    size_of::<PropSummary>() + prop.name.len() + prop.values.iter().map(|value| 48 + value.value.len()).sum::<usize>()
}

/// What conditions take in memory, roughly.
fn weight(filters: &Filters) -> usize {
    filters.iter().flat_map(|filter| &filter.values).map(|value| 48 + value.as_ref().map_or(0, |text| text.len())).sum()
}

impl Weighter<EventsPage, Kept<EventList>> for Weigh {
    fn weight(&self, page: &EventsPage, kept: &Kept<EventList>) -> u64 {
        (128 + weight(&page.filters) + kept.answer.rows.iter().map(event).sum::<usize>()) as u64
    }
}

/// What an event takes in memory, roughly.
fn event(row: &EventRow) -> usize {
    let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    size_of::<EventRow>()
        + row.name.len()
        + [&row.category, &row.version, &row.system, &row.props].map(text).iter().sum::<usize>()
}

/// What a group of errors takes in memory, roughly.
fn error(row: &ErrorRow) -> usize {
    size_of::<ErrorRow>() + row.group.len() + row.message.len() + values(&row.versions)
}

fn values(values: &[(Option<String>, i64)]) -> usize {
    values.iter().map(|(value, _)| 48 + value.as_ref().map_or(0, String::len)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EnvironmentId;
    use std::sync::atomic::AtomicUsize;

    fn since() -> Query {
        Query { environment: EnvironmentId(1), ask: Ask::Since }
    }

    fn moment(now: i64, data: Option<u64>) -> Moment {
        Moment { now: Millis(now), data, reach: Reach::Now }
    }

    async fn ask(cache: &Cache, asked: Moment, loads: &AtomicUsize) -> Result<Found<Report>, StoreError> {
        let load = async {
            let n = loads.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            Ok(Arc::new(Report::Since(Some(Millis(n as i64)))))
        };
        cache.report(&since(), asked, load).await
    }

    fn fresh(found: Result<Found<Report>, StoreError>) -> Arc<Report> {
        match found {
            Ok(Found::Fresh(answer)) => answer,
            Ok(Found::Stale(..)) => panic!("stale"),
            Err(error) => panic!("{error}"),
        }
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    #[test]
    fn answers_hold_for_a_moment_and_while_no_data_comes() {
        run(async {
            let (cache, loads) = (Cache::new(), AtomicUsize::new(0));
            for (now, data, expected) in [
                (0, None, 0),
                (499, None, 0),
                (500, None, 1),
                (999, Some(5), 1),
                (1_100, Some(5), 2),
                (50_000, Some(5), 2),
                (50_000, Some(6), 3),
                (110_000, Some(6), 4), // too old, though nothing came
                (900, Some(6), 5),     // the clock was set back
            ] {
                let answer = fresh(ask(&cache, moment(now, data), &loads).await);
                assert_eq!(*answer, Report::Since(Some(Millis(expected))), "at {now}");
            }
            let closed = Moment { reach: Reach::Over, ..moment(20_000, Some(9)) };
            assert_eq!(*fresh(ask(&cache, closed, &loads).await), Report::Since(Some(Millis(5))));
            assert_eq!(cache.stats(), Stats { hits: 4, misses: 6 });
        });
    }

    #[test]
    fn dear_answers_are_given_out_once_more_while_one_loads_anew() {
        run(async {
            let cache = Cache::new();
            let dear = |at| Kept::new(Arc::new(Report::Since(Some(Millis(at)))), moment(at, Some(1)), DEAR);
            cache.reports.insert(since(), dear(0));
            let loads = AtomicUsize::new(0);
            for renewal in [Renewal::Yours, Renewal::Underway] {
                let found = ask(&cache, moment(5_000, Some(2)), &loads).await;
                assert!(matches!(found, Ok(Found::Stale(_, who)) if who == renewal), "{renewal:?}");
            }
            cache.renew(since(), moment(5_000, Some(2)), DEAR, Err(StoreError::Interrupted));
            let found = ask(&cache, moment(5_000, Some(2)), &loads).await;
            assert!(matches!(found, Ok(Found::Stale(_, Renewal::Yours))));
            cache.renew(since(), moment(5_000, Some(2)), DEAR, Ok(Arc::new(Report::Since(None))));
            assert_eq!(*fresh(ask(&cache, moment(9_000, Some(2)), &loads).await), Report::Since(None));
            assert_eq!(loads.load(Ordering::SeqCst), 0);
        });
    }

    #[test]
    fn many_who_ask_at_once_share_one_load() {
        run(async {
            let (cache, loads) = (Cache::new(), AtomicUsize::new(0));
            for now in [0, 5_000] {
                let all = (0..1_000).map(|_| ask(&cache, moment(now, None), &loads));
                let answers = futures_util::future::join_all(all).await;
                let answers: Vec<_> = answers.into_iter().map(fresh).collect();
                assert!(answers.iter().all(|answer| *answer == answers[0]));
            }
            assert_eq!(loads.load(Ordering::SeqCst), 2);
        });
    }

    #[test]
    fn failures_are_not_kept() {
        run(async {
            let (cache, loads) = (Cache::new(), AtomicUsize::new(0));
            let failed = cache.report(&since(), moment(0, None), async { Err(StoreError::Interrupted) }).await;
            assert!(matches!(failed, Err(StoreError::Interrupted)));
            assert!(ask(&cache, moment(0, None), &loads).await.is_ok());
            assert_eq!(cache.stats(), Stats { hits: 0, misses: 2 });
        });
    }

    #[test]
    fn what_is_watched_holds_for_as_long_as_it_is_dear() {
        let watched = |now: i64| Moment { reach: Reach::Watched, ..moment(now, None) };
        for (took, age, holds) in [
            (1, 499, true),
            (1, 500, false),
            (100, 1_999, true),
            (100, 2_000, false),
            (5_000, 29_999, true),
            (5_000, 30_000, false),
        ] {
            let answer = Arc::new(Report::Since(None));
            let kept = Kept::new(answer, watched(0), Duration::from_millis(took));
            assert_eq!(matches!(kept.judge(watched(age)), Some(Found::Fresh(_))), holds, "{took} ms, {age} ms ago");
            assert!(holds || kept.judge(watched(age)).is_none());
        }
    }
}
