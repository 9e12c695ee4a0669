//! Deletes what is older than it is to be kept, a little at a time, while nobody waits for a commit.

use std::time::Duration;

use super::Ground;
use crate::clock::Stopwatch;
use crate::model::{Kept, Millis};
use crate::pruning::{Clearance, Done, PruneError};
use crate::store::StoreError;

/// How often it looks where nothing is too old.
const REST: Duration = Duration::from_secs(60);
/// How long it waits for a database that is away.
const AWAY: Duration = Duration::from_secs(5);
/// The least it waits while there is more to do.
const BREATH: Duration = Duration::from_millis(50);
/// How often the log says that nothing is deleted.
const REMIND: i64 = Millis::HOUR;

/// One step. While there is more to do, it rests for as long as it has worked.
pub(super) fn step(ground: &Ground) -> Duration {
    let watch = Stopwatch::start();
    let now = ground.clock.now();
    let cleared = ground.guard.lock().ask(&*ground.store, now);
    let done = match cleared {
        Ok(Clearance::By(at)) => ground.pruner.lock().step(at),
        Ok(Clearance::Held(held)) => {
            let mut standing = ground.progress.pruning.lock();
            let reminded = standing.looked.is_some_and(|at| (0..REMIND).contains(&now.since(at)));
            if standing.held.is_none() || !reminded {
                standing.looked = Some(now);
                tracing::error!(
                    "{}; confirm it with `tallybox prune --confirm-clock` or on the status page",
                    held.told()
                );
            }
            standing.held = Some(held);
            return REST;
        }
        Err(error) => Err(error.into()),
    };
    let mut standing = ground.progress.pruning.lock();
    match done {
        Ok(done) => {
            for (sum, kind) in standing.removed.iter_mut().zip(Kept::ALL) {
                *sum += done.rows(kind);
            }
            standing.archived += done.archived;
            (standing.looked, standing.held, standing.failed, standing.more) = (Some(now), None, None, done.more);
            tell(&done);
            if done.more { watch.elapsed().max(BREATH) } else { REST }
        }
        Err(PruneError::Store(StoreError::Unavailable(_))) => AWAY,
        Err(error) => {
            tracing::warn!(%error, "what is too old could not be deleted");
            standing.failed = Some((now, error.to_string()));
            REST
        }
    }
}

fn tell(done: &Done) {
    if !done.more && done.removed.values().sum::<u64>() > 0 {
        let [events, sessions, set_aside] = Kept::ALL.map(|kind| done.rows(kind));
        tracing::info!(events, sessions, set_aside, "what was older than it is kept is deleted");
    }
}
