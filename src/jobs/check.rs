//! Looks at every page of the database once a day, so that damage is found before it is copied over the last good backup.

use std::time::Duration;

use super::{Ground, Turn};
use crate::store::StoreError;

/// How far it stands behind all else that the box does, as `nice` has it: it reads the whole file, and is in no hurry.
const NICE: i32 = 19;

/// Looks at all of it. Where it is damaged the store takes no more writes, and the log says what to do.
pub(super) fn step(ground: &Ground) -> Turn {
    // Of its own thread alone. Where that is refused it is as dear as anything else.
    _ = rustix::process::setpriority_process(None, NICE);
    match ground.store.check(&ground.ended) {
        Ok(words) => Turn::Done(words.to_owned()),
        Err(StoreError::Interrupted) => Turn::More(Duration::ZERO),
        Err(error) => Turn::Failed(error.to_string()),
    }
}
