//! Deletes what is older than it is to be kept, a little at a time, while nobody waits for a commit.

use std::time::Duration;

use super::{Ground, Held, Turn};
use crate::clock::Stopwatch;
use crate::model::{Kept, Millis, PruneStanding};
use crate::pruning::{Clearance, Done, PruneError};
use crate::store::StoreError;

/// How long it waits for a database that is away.
const AWAY: Duration = Duration::from_secs(5);
/// The least it waits while there is more to do.
const BREATH: Duration = Duration::from_millis(50);
/// How often the log says that nothing is deleted.
const REMIND: i64 = Millis::HOUR;

/// One step. While there is more to do, it rests for as long as it has worked.
pub(super) fn step(ground: &Ground, held: &Held) -> Turn {
    let watch = Stopwatch::start();
    let now = ground.clock.now();
    let cleared = ground.guard.lock().ask(&*ground.store, now);
    let done = match cleared {
        Ok(Clearance::By(at)) if !held.is_lost() => ground.pruner.lock().step(at),
        Ok(Clearance::By(_)) => return Turn::More(BREATH),
        Ok(Clearance::Held(why)) => {
            let told = why.told();
            hold(&mut ground.progress.pruning.lock(), why, now);
            return Turn::Done(told);
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
            standing.held = None;
            if done.more { Turn::More(watch.elapsed().max(BREATH)) } else { Turn::Done(told(&done)) }
        }
        Err(PruneError::Store(StoreError::Unavailable(_))) => Turn::More(AWAY),
        Err(error) => Turn::Failed(format!("what is too old could not be deleted: {error}")),
    }
}

/// Alarms: at once, and then once an hour.
fn hold(standing: &mut PruneStanding, why: crate::model::Held, now: Millis) {
    let reminded = standing.reminded.is_some_and(|at| (0..REMIND).contains(&now.since(at)));
    if standing.held.is_none() || !reminded {
        standing.reminded = Some(now);
        tracing::error!("{}; if that is right, say so on the status page or with prune --confirm-clock", why.told());
    }
    standing.held = Some(why);
}

fn told(done: &Done) -> String {
    match Kept::ALL.map(|kind| done.rows(kind)) {
        [0, 0, 0] => "nothing is older than it is kept".to_owned(),
        [events, sessions, aside] => format!("deleted: {events} events, {sessions} sessions, {aside} set aside"),
    }
}
