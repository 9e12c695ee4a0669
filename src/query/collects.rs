//! What an app collects, remembered for a while: whoever asks costs the store little.

use std::sync::Arc;

use quick_cache::sync::Cache;

use super::Reports;
use crate::model::{App, AppId, Collected, LookupCounts, Lookups, Millis};
use crate::store::StoreError;

/// For how long an answer holds, in milliseconds.
const LIFE: i64 = 5 * Millis::MINUTE;
/// Of how many apps answers are remembered.
const REMEMBERED: usize = 200;

/// Answers by app, each with the time it is of. Clones share them.
#[derive(Clone)]
pub struct Collects {
    reports: Reports,
    cache: Arc<Cache<AppId, (Arc<Collected>, Millis)>>,
    lookups: Arc<Lookups>,
}

impl Collects {
    /// Answers of the store behind reports.
    pub fn new(reports: Reports) -> Self {
        Self { reports, cache: Arc::new(Cache::new(REMEMBERED)), lookups: Arc::default() }
    }

    /// How the cache did since start.
    pub fn lookups(&self) -> LookupCounts {
        self.lookups.read()
    }

    /// What the app collects, and when that was looked up: some minutes ago at the most. However many ask at once, the store
    /// is asked once.
    pub async fn find(&self, app: &App, now: Millis) -> Result<(Arc<Collected>, Millis), StoreError> {
        loop {
            match self.cache.get_value_or_guard_async(&app.id).await {
                Ok((found, at)) if (0..LIFE).contains(&now.since(at)) => {
                    self.lookups.hit();
                    return Ok((found, at));
                }
                Ok((stale, _)) => _ = self.cache.remove_if(&app.id, |(there, _)| Arc::ptr_eq(there, &stale)),
                Err(guard) => {
                    self.lookups.miss();
                    let wanted = app.clone();
                    let found = self.reports.look(move |store| store.collected(&wanted, now)).await?;
                    let found = Arc::new(found);
                    // Fails only where the entry was pushed out meanwhile; the next who asks then looks again.
                    _ = guard.insert((found.clone(), now));
                    return Ok((found, now));
                }
            }
        }
    }
}
