//! Settles what is over, a little at a time.

use std::time::Duration;

use super::{Ground, Turn};
use crate::clock::Stopwatch;
use crate::store::StoreError;

/// How long it waits for a database that is away or takes no events.
const AWAY: Duration = Duration::from_secs(5);

/// Settles some days and counts. While more wait, it rests for as long as it has worked: a backlog takes half of one
/// thread at the most.
pub(super) fn step(ground: &Ground) -> Turn {
    let watch = Stopwatch::start();
    match ground.store.settle(ground.clock.now()) {
        Ok(left) => {
            *ground.progress.backlog.lock() = Some(left);
            if left.is_empty() {
                Turn::Done("all that is over is settled".to_owned())
            } else {
                Turn::More(watch.elapsed())
            }
        }
        Err(StoreError::Unavailable(_) | StoreError::Full) => Turn::More(AWAY),
        Err(error) => Turn::Failed(format!("what is over could not be settled: {error}")),
    }
}
