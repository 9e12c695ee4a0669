//! Works off what people have asked to be erased, in small steps with pauses between them.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock::{Clock, Stopwatch};
use crate::model::{Erasure, WorkErasure};
use crate::store::Store;

/// Between two looks for work.
const IDLE: Duration = Duration::from_secs(1);
/// Until the next try, where a step could not be taken.
const AGAIN: Duration = Duration::from_millis(100);
/// Until the next try, where the store could not be asked.
const AWAY: Duration = Duration::from_secs(5);

/// The thread that erases. Ends when it is told to, or dropped, after the step that it is at.
#[must_use = "nothing is erased once this is dropped"]
pub struct Eraser {
    thread: JoinHandle<()>,
    stop: Sender<()>,
}

impl Eraser {
    /// Begins to look for work.
    pub fn start(store: Arc<dyn Store>, clock: Clock) -> std::io::Result<Self> {
        let (stop, told) = channel();
        let work = move || {
            let mut last = None;
            let mut pause = Duration::ZERO;
            while told.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
                pause = step(&*store, &clock, &mut last);
            }
        };
        let thread = std::thread::Builder::new().name("eraser".to_owned()).spawn(work)?;
        Ok(Self { thread, stop })
    }

    /// Waits for the end of the step that it is at. What is left is done by whoever looks next.
    pub fn stop(self) {
        drop(self.stop);
        // A panic of the thread is told already.
        _ = self.thread.join();
    }
}

/// One step; how long to wait before the next one. Others have at least as much time as it took.
fn step(store: &dyn Store, clock: &Clock, last: &mut Option<Erasure>) -> Duration {
    let watch = Stopwatch::start();
    match store.work_erasure(&WorkErasure::here(clock.now(), None)) {
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
