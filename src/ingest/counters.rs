//! Counts since the start: what became of events, in all and of each app, and how commits went.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use hashbrown::HashMap;
use parking_lot::RwLock;

use super::refusals::Refusals;
use crate::model::{App, AppId, GROUPS, Histogram, Outcome, Receipt, Slug, Withheld};

/// Counts since start, for metrics and the conservation law: received = stored + duplicate + set aside + dropped +
/// banned + withheld + refused.
#[derive(Debug)]
pub struct Counters {
    /// Events that came before a decision.
    pub received: AtomicU64,
    /// Events newly on disk.
    pub stored: AtomicU64,
    /// Events that were on disk.
    pub duplicate: AtomicU64,
    /// Events kept aside.
    pub set_aside: AtomicU64,
    /// Events deliberately not kept.
    pub dropped: AtomicU64,
    /// Events of banned users and devices.
    pub banned: AtomicU64,
    /// Events that were not kept by order of their app's owner, by reason, in the order of [`Withheld::ALL`].
    pub withheld: [AtomicU64; Withheld::ALL.len()],
    /// Events of requests that were refused after decoding.
    pub refused: AtomicU64,
    /// Commits that succeeded.
    pub commits: AtomicU64,
    /// Commits that failed.
    pub failed_commits: AtomicU64,
    /// How long commits took, those that failed too.
    pub commit_times: Histogram,
    /// Events of each commit.
    pub commit_events: Histogram,
    /// Requests of each commit.
    pub commit_requests: Histogram,
    /// How long requests waited for their commit to begin.
    pub queue_times: Histogram,
    /// Requests that wait for a commit.
    pub queued: AtomicU64,
    /// Requests that were turned away.
    pub refusals: Refusals,
    /// Events that were set aside and have been discarded.
    pub discarded: AtomicU64,
    apps: RwLock<HashMap<AppId, Arc<AppCounters>>>,
}

/// The same law for one app: received = stored + duplicate + rejected + refused.
#[derive(Debug)]
pub struct AppCounters {
    /// Its short name.
    pub slug: Slug,
    received: AtomicU64,
    stored: AtomicU64,
    duplicate: AtomicU64,
    /// Set aside, dropped, withheld, or of somebody banned.
    rejected: AtomicU64,
    refused: AtomicU64,
}

impl AppCounters {
    /// What became of its events. Received comes last: what is counted meanwhile must not make the sum larger than it.
    pub fn outcomes(&self) -> [(&'static str, u64); 5] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("stored", read(&self.stored)),
            ("duplicate", read(&self.duplicate)),
            ("rejected", read(&self.rejected)),
            ("refused", read(&self.refused)),
            ("received", read(&self.received)),
        ]
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            received: AtomicU64::default(),
            stored: AtomicU64::default(),
            duplicate: AtomicU64::default(),
            set_aside: AtomicU64::default(),
            dropped: AtomicU64::default(),
            banned: AtomicU64::default(),
            withheld: Default::default(),
            refused: AtomicU64::default(),
            commits: AtomicU64::default(),
            failed_commits: AtomicU64::default(),
            commit_times: Histogram::default(),
            commit_events: Histogram::new(&GROUPS),
            commit_requests: Histogram::new(&GROUPS),
            queue_times: Histogram::default(),
            queued: AtomicU64::default(),
            refusals: Refusals::default(),
            discarded: AtomicU64::default(),
            apps: RwLock::default(),
        }
    }
}

impl Counters {
    /// Every app that events came for, with its counts, by name.
    pub fn by_app(&self) -> Vec<Arc<AppCounters>> {
        let mut all: Vec<_> = self.apps.read().values().cloned().collect();
        all.sort_unstable_by(|one, other| one.slug.as_str().cmp(other.slug.as_str()));
        all
    }

    pub(super) fn receive(&self, app: &App, events: usize) {
        add(&self.received, events as u64);
        add(&self.of(app).received, events as u64);
    }

    pub(super) fn count(&self, app: &App, receipt: &Receipt) {
        let own = self.of(app);
        for outcome in &receipt.outcomes {
            let (counter, own) = match outcome {
                Outcome::Stored => (&self.stored, &own.stored),
                Outcome::Duplicate => (&self.duplicate, &own.duplicate),
                Outcome::SetAside(..) => (&self.set_aside, &own.rejected),
                Outcome::Dropped => (&self.dropped, &own.rejected),
                Outcome::Banned => (&self.banned, &own.rejected),
                Outcome::Withheld(why) => (&self.withheld[*why as usize], &own.rejected),
            };
            add(counter, 1);
            add(own, 1);
        }
    }

    /// What was set aside and is an event now counts as if it came now; what stays was counted when it came.
    pub(super) fn count_again(&self, app: &App, receipt: &Receipt) {
        if receipt.set_aside() == 0 {
            self.receive(app, receipt.outcomes.len());
            self.count(app, receipt);
        }
    }

    pub(super) fn refuse(&self, app: &App, events: usize) {
        add(&self.refused, events as u64);
        add(&self.of(app).refused, events as u64);
    }

    /// The counts of an app. Only an app whose key was proved gets here, so there are as many as apps.
    fn of(&self, app: &App) -> Arc<AppCounters> {
        if let Some(own) = self.apps.read().get(&app.id) {
            return own.clone();
        }
        let new = || {
            Arc::new(AppCounters {
                slug: app.slug.clone(),
                received: AtomicU64::default(),
                stored: AtomicU64::default(),
                duplicate: AtomicU64::default(),
                rejected: AtomicU64::default(),
                refused: AtomicU64::default(),
            })
        };
        self.apps.write().entry(app.id).or_insert_with(new).clone()
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Ordering::Relaxed);
}
