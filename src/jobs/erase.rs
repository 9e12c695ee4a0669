//! Works off what people have asked to be erased, in small steps with pauses between them.

use std::time::Duration;

use super::Ground;
use crate::clock::Stopwatch;
use crate::model::WorkErasure;

/// Between two looks for work.
const IDLE: Duration = Duration::from_secs(1);
/// Until the next try, where a step could not be taken.
const AGAIN: Duration = Duration::from_millis(100);
/// Until the next try, where the store could not be asked.
const AWAY: Duration = Duration::from_secs(5);

/// One step. Others have at least as much time as it took.
pub(super) fn step(ground: &Ground) -> Duration {
    let watch = Stopwatch::start();
    let mut last = ground.erasure.lock();
    match ground.store.work_erasure(&WorkErasure::here(ground.clock.now(), None)) {
        Ok(None) => IDLE,
        Ok(Some(erasure)) if last.as_ref() == Some(&erasure) => AGAIN,
        Ok(Some(erasure)) => {
            if erasure.ended_at.is_some() {
                let (kind, digest, rows) = (erasure.kind.as_str(), &erasure.digest, erasure.counts.sum());
                tracing::info!(kind, digest, rows, "erased");
            }
            *last = Some(erasure);
            watch.elapsed()
        }
        Err(error) => {
            tracing::warn!(%error, "erasing has to wait");
            AWAY
        }
    }
}
