//! Answers counted against the objectives: those of this process since they were last written down, and what all
//! processes have written down in 30 days.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::model::{Answers, Budget, Millis, Objectives, Traffic};

/// Counts answers. Clones count into one table.
#[derive(Clone, Debug, Default)]
pub struct Answering(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    objectives: Objectives,
    /// The traffic of each route that is held to an objective.
    routes: HashMap<Box<str>, Traffic>,
    fresh: [Fresh; Traffic::ALL.len()],
    kept: Mutex<Kept>,
}

/// Not written down yet.
#[derive(Debug, Default)]
struct Fresh {
    requests: AtomicU64,
    failed: AtomicU64,
    slow: AtomicU64,
}

/// What is written down.
#[derive(Clone, Debug, Default)]
pub struct Kept(pub Vec<Answers>);

impl Answering {
    /// Held to these objectives; other routes are not.
    pub fn new(objectives: Objectives, routes: impl IntoIterator<Item = (String, Traffic)>) -> Self {
        let routes = routes.into_iter().map(|(path, traffic)| (path.into_boxed_str(), traffic)).collect();
        Self(Arc::new(Shared { objectives, routes, ..Shared::default() }))
    }

    /// What the box is held to.
    pub fn objectives(&self) -> &Objectives {
        &self.0.objectives
    }

    /// Counts the answer of a route; `took` is without the time in which the client kept us waiting.
    pub(super) fn count(&self, route: &str, failed: Failed, took: Duration) {
        let Some(traffic) = self.0.routes.get(route) else { return };
        let fresh = &self.0.fresh[*traffic as usize];
        fresh.requests.fetch_add(1, Ordering::Relaxed);
        if failed == Failed::Yes {
            fresh.failed.fetch_add(1, Ordering::Relaxed);
        }
        if took > self.0.objectives.bound(*traffic) {
            fresh.slow.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// What is not written down yet, as counts of the hour of `now`; from now on it is the caller's.
    pub fn take(&self, now: Millis) -> Vec<Answers> {
        self.fresh(now, |count| count.swap(0, Ordering::Relaxed))
    }

    /// Takes back what could not be written down.
    pub fn give_back(&self, taken: &[Answers]) {
        for one in taken {
            let fresh = &self.0.fresh[one.traffic as usize];
            fresh.requests.fetch_add(one.requests, Ordering::Relaxed);
            fresh.failed.fetch_add(one.failed, Ordering::Relaxed);
            fresh.slow.fetch_add(one.slow, Ordering::Relaxed);
        }
    }

    /// Learns what is written down by now, by all processes.
    pub fn learn(&self, kept: Kept) {
        *self.0.kept.lock() = kept;
    }

    /// How the budgets stand.
    pub fn budgets(&self, now: Millis) -> Vec<Budget> {
        let mut counted = self.0.kept.lock().0.clone();
        counted.extend(self.fresh(now, |count| count.load(Ordering::Relaxed)));
        self.0.objectives.judge(&counted, now)
    }

    fn fresh(&self, now: Millis, read: impl Fn(&AtomicU64) -> u64) -> Vec<Answers> {
        let of = |traffic: Traffic| {
            let Fresh { requests, failed, slow } = &self.0.fresh[traffic as usize];
            let (failed, slow, requests) = (read(failed), read(slow), read(requests));
            Answers { hour: Answers::hour_of(now), traffic, requests, failed, slow }
        };
        Traffic::ALL.map(of).into_iter().filter(|one| (one.requests, one.failed, one.slow) != (0, 0, 0)).collect()
    }
}

/// Whether an answer was a fault of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    Yes,
    No,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Aim;

    #[test]
    fn what_is_written_down_and_what_is_not_yet_add_up() {
        let routes = [("/v1/ingest/{app}".to_owned(), Traffic::Ingest), ("/apps".to_owned(), Traffic::Pages)];
        let answering = Answering::new(Objectives::default(), routes);
        let (now, quick) = (Millis(1_800_000_000_000), Duration::from_millis(3));
        answering.count("/v1/ingest/{app}", Failed::No, quick);
        answering.count("/v1/ingest/{app}", Failed::Yes, Duration::from_secs(9));
        answering.count("/apps", Failed::No, Duration::from_millis(700));
        answering.count("/metrics", Failed::Yes, quick);
        let counts = |of: &Answering| -> Vec<_> {
            let budgets = of.budgets(now);
            budgets.iter().map(|b| (b.traffic, b.aim, b.requests, b.bad)).collect()
        };
        let expected = [
            (Traffic::Ingest, Aim::Availability, 2, 1),
            (Traffic::Ingest, Aim::Latency, 2, 1),
            (Traffic::Pages, Aim::Availability, 1, 0),
            (Traffic::Pages, Aim::Latency, 1, 0),
        ];
        assert_eq!(counts(&answering), expected);
        let taken = answering.take(now);
        assert_eq!((taken.len(), answering.take(now)), (2, vec![]));
        answering.give_back(&taken);
        assert_eq!(counts(&answering), expected);
        answering.learn(Kept(answering.take(now)));
        assert_eq!(counts(&answering), expected);
    }
}
