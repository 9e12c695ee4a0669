//! Works off what people have asked to be erased, in small steps with pauses between them.

use std::time::Duration;

use super::{Ground, Turn};
use crate::clock::Stopwatch;
use crate::model::WorkErasure;
use crate::store::StoreError;

/// Between two looks for work.
const IDLE: Duration = Duration::from_secs(1);
/// Until the next try, where a step could not be taken.
const AGAIN: Duration = Duration::from_millis(100);
/// Until the next try, where the database is away.
const AWAY: Duration = Duration::from_secs(5);

/// One step. Others have at least as much time as it took.
pub(super) fn step(ground: &Ground) -> Turn {
    let watch = Stopwatch::start();
    let mut last = ground.erasure.lock();
    match ground.store.work_erasure(&WorkErasure::here(ground.clock.now(), None)) {
        Ok(None) => Turn::Idle(IDLE),
        Ok(Some(erasure)) if last.as_ref() == Some(&erasure) => Turn::More(AGAIN),
        Ok(Some(erasure)) => {
            let ended = erasure.ended_at.is_some().then(|| (erasure.kind.as_str(), erasure.counts.sum()));
            if let Some((kind, rows)) = ended {
                tracing::info!(kind, digest = erasure.digest, rows, "erased");
            }
            *last = Some(erasure);
            match ended {
                Some((kind, rows)) => Turn::Until(format!("erased: {kind}, {rows} rows"), 2 * watch.elapsed()),
                None => Turn::More(watch.elapsed()),
            }
        }
        Err(StoreError::Unavailable(_)) => Turn::More(AWAY),
        Err(error) => Turn::Failed(format!("erasing has to wait: {error}")),
    }
}
