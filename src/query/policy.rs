//! Who must update, answered out of memory; and the one door through which members change it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use quick_cache::sync::{Cache, EntryAction, EntryResult};
use tokio::sync::Semaphore;

use crate::clock::Clock;
use crate::model::{
    LookupCounts, Lookups, Millis, SetRule, SetStatus, VersionAnswer, VersionChange, VersionPolicy, VersionQuestion,
};
use crate::store::{Store, StoreError};
use crate::trail::{self, Stage};

/// Apps whose policies are kept, names that no app has included.
const APPS: usize = 1_000;
/// How many loads may run at once, so that questions about apps that are not there leave threads for others.
const LOADS: usize = 4;
/// Milliseconds for which a policy is believed without a look at whether members have changed anything.
const UNSEEN: i64 = Millis::SECOND;
/// Milliseconds after which a policy is loaded anew in any case: versions that installations named since are among
/// those that others can move to.
const KEPT: i64 = 30 * Millis::SECOND;

/// Who is told of statuses that really changed.
pub type VersionHook = Box<dyn Fn(&VersionChange) -> Result<(), String> + Send + Sync>;

/// All who are told, in order, after the change is on disk. One that fails or panics is told of in the log; neither the
/// change nor the others suffer.
#[derive(Default)]
pub struct VersionHooks(Vec<VersionHook>);

/// The door to policies. Clones share one cache.
#[derive(Clone)]
pub struct Policies(Arc<Shared>);

struct Shared {
    store: Arc<dyn Store>,
    clock: Clock,
    hooks: VersionHooks,
    cache: Cache<String, Kept>,
    loads: Arc<Semaphore>,
    lookups: Lookups,
}

/// A policy, as it was at some time.
#[derive(Clone)]
struct Kept {
    policy: Option<Arc<VersionPolicy>>,
    /// The directory's version, read before the policy.
    version: i64,
    loaded_at: Millis,
    checked_at: Millis,
}

impl VersionHooks {
    /// With one more.
    #[must_use]
    pub fn and(mut self, hook: impl Fn(&VersionChange) -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.0.push(Box::new(hook));
        self
    }

    fn tell(&self, changes: &[VersionChange]) {
        for change in changes {
            for hook in &self.0 {
                let told = catch_unwind(AssertUnwindSafe(|| hook(change)));
                if let Err(error) = told.unwrap_or_else(|_| Err("it panicked".to_owned())) {
                    tracing::error!(app = change.app.0, version = change.version, error, "a version hook failed");
                }
            }
        }
    }
}

impl Policies {
    /// Policies out of a store.
    pub fn new(store: Arc<dyn Store>, clock: Clock, hooks: VersionHooks) -> Self {
        let (cache, loads) = (Cache::new(APPS), Arc::new(Semaphore::new(LOADS)));
        Self(Arc::new(Shared { store, clock, hooks, cache, loads, lookups: Lookups::default() }))
    }

    /// The answer for a client of the app of that short name or UUID, `None` where there is no such app. What a member
    /// changes is seen within a second, and at once where this process made the change.
    ///
    /// # Errors
    /// Where the store fails and nothing was known before. Where something was, that is answered, for as long as the
    /// store fails.
    pub async fn answer(&self, app: &str, question: &VersionQuestion) -> Result<Option<VersionAnswer>, StoreError> {
        let policy = self.find(app.to_ascii_lowercase()).await?;
        Ok(policy.map(|policy| policy.answer(question)))
    }

    /// How the cache did since start.
    pub fn lookups(&self) -> LookupCounts {
        self.0.lookups.read()
    }

    /// As [`Store::set_version_status`]; then all hooks are told.
    pub async fn set_status(&self, set: SetStatus) -> Result<Vec<VersionChange>, StoreError> {
        self.change(move |store| store.set_version_status(&set)).await
    }

    /// As [`Store::set_version_rule`]; then all hooks are told.
    pub async fn set_rule(&self, set: SetRule) -> Result<Vec<VersionChange>, StoreError> {
        self.change(move |store| store.set_version_rule(&set)).await
    }

    async fn change(
        &self,
        change: impl FnOnce(&dyn Store) -> Result<Vec<VersionChange>, StoreError> + Send + 'static,
    ) -> Result<Vec<VersionChange>, StoreError> {
        let shared = self.0.clone();
        let done = trail::blocking(move || {
            let changes = change(shared.store.as_ref())?;
            shared.cache.clear();
            shared.hooks.tell(&changes);
            Ok(changes)
        });
        trail::within(Stage::Store, done)
            .await
            .unwrap_or_else(|stopped| Err(StoreError::Unexpected(stopped.to_string())))
    }

    async fn find(&self, app: String) -> Result<Option<Arc<VersionPolicy>>, StoreError> {
        let shared = &self.0;
        let now = shared.clock.now();
        let fresh = |_: &String, kept: &mut Kept| {
            // What was looked at after now was so before the clock was set back.
            if (0..UNSEEN).contains(&now.since(kept.checked_at)) {
                EntryAction::Retain(kept.policy.clone())
            } else {
                EntryAction::ReplaceWithGuard
            }
        };
        let (guard, old) = match shared.cache.entry_async(&app, fresh).await {
            EntryResult::Retained(policy) => {
                shared.lookups.hit();
                return Ok(policy);
            }
            EntryResult::Replaced(guard, old) => (Some(guard), Some(old)),
            EntryResult::Vacant(guard) => (Some(guard), None),
            EntryResult::Removed(..) | EntryResult::Timeout => (None, None), // never asked for
        };
        shared.lookups.miss();
        let kept = self.load(app, now, old).await?;
        let policy = kept.policy.clone();
        if let Some(guard) = guard {
            // Refused only if the entry was removed meanwhile, and then there is nothing to keep.
            _ = guard.insert(kept);
        }
        Ok(policy)
    }

    /// What is there now, on a blocking thread; or what was there, where that is still so or nothing better is to be had.
    async fn load(&self, app: String, now: Millis, old: Option<Kept>) -> Result<Kept, StoreError> {
        let permit = self.0.loads.clone().acquire_owned().await;
        let permit = permit.map_err(|_| StoreError::Unavailable("shutting down".to_owned()))?;
        let shared = self.0.clone();
        let done = trail::blocking(move || {
            let _permit = permit;
            match (load(shared.store.as_ref(), &app, now, old.as_ref()), old) {
                (Ok(kept), _) => Ok(kept),
                (Err(error), Some(old)) => {
                    tracing::warn!(%error, "who must update is answered as it was");
                    Ok(Kept { checked_at: now, ..old })
                }
                (Err(error), None) => Err(error),
            }
        });
        done.await.unwrap_or_else(|stopped| Err(StoreError::Unexpected(stopped.to_string())))
    }
}

fn load(store: &dyn Store, app: &str, now: Millis, old: Option<&Kept>) -> Result<Kept, StoreError> {
    // In this order, the policy is at least as new as the version.
    let version = store.directory_version()?;
    match old {
        Some(old) if old.version == version && (0..KEPT).contains(&now.since(old.loaded_at)) => {
            Ok(Kept { checked_at: now, ..old.clone() })
        }
        _ => {
            let policy = store.version_policy(app)?.map(Arc::new);
            Ok(Kept { policy, version, loaded_at: now, checked_at: now })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::model::{AppId, VersionStatus};

    #[test]
    fn a_hook_that_fails_or_panics_stops_no_other() {
        let told = Arc::new(AtomicUsize::new(0));
        let count = told.clone();
        let hooks = VersionHooks::default().and(|_| Err("no".to_owned())).and(|_| panic!("worse")).and(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            Ok(())
        });
        let change = VersionChange {
            app: AppId(1),
            version: "1.0".to_owned(),
            build: None,
            from: VersionStatus::Supported,
            to: VersionStatus::Disabled,
        };
        hooks.tell(&[change.clone(), change]);
        assert_eq!(told.load(Ordering::SeqCst), 2);
    }
}
