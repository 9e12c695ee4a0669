//! Gives what was stored of somebody before it was known who they are to the user that they are, in small steps with pauses
//! between them.

use std::time::Duration;

use super::{Ground, Turn};
use crate::clock::Stopwatch;
use crate::store::{StoreError, Uniting};

/// Between two looks for work.
const IDLE: Duration = Duration::from_secs(1);
/// Until the next try, where the database is away or has no room.
const AWAY: Duration = Duration::from_secs(5);

/// One step. While there is more to do, it rests for as long as it has worked.
pub(super) fn step(ground: &Ground) -> Turn {
    let watch = Stopwatch::start();
    match ground.store.unite(ground.clock.now()) {
        Ok(Uniting::Idle) => Turn::Idle(IDLE),
        Ok(Uniting::Going) => Turn::More(watch.elapsed()),
        Ok(Uniting::Ended) => Turn::Until("two names of a person became one".to_owned(), 2 * watch.elapsed()),
        Err(StoreError::Unavailable(_) | StoreError::Full) => Turn::More(AWAY),
        Err(error) => Turn::Failed(format!("names of one person have to wait: {error}")),
    }
}
