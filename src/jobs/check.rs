//! Looks at every page of the database once a day, so that damage is found before it is copied over the last good backup.

use super::{Ground, Turn};

/// Looks at all of it. Where it is damaged the store takes no more writes, and the log says what to do.
pub(super) fn step(ground: &Ground) -> Turn {
    match ground.store.check() {
        Ok(words) => Turn::Done(words.to_owned()),
        Err(error) => Turn::Failed(error.to_string()),
    }
}
