//! What is done in the background, beside commits and reports: one file for each job.

mod settle;

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::store::{Backlog, Store};

/// A job: one step of it, and the pause before the next.
type Step = fn(&Ground) -> Duration;

/// Every job, by the name of its thread.
const ALL: [(&str, Step); 1] = [("settle", settle::step)];

/// What jobs have in hand.
struct Ground {
    store: Arc<dyn Store>,
    clock: Clock,
    progress: Progress,
}

/// What is told of jobs at `/metrics`.
pub type Progress = Arc<Mutex<Option<Backlog>>>;

/// The threads of all jobs. Dropped, they end after the step that they are at.
pub struct Jobs {
    over: Arc<Over>,
    threads: Vec<JoinHandle<()>>,
}

/// Whether it is time to end, and who waits for it.
#[derive(Default)]
struct Over {
    is_over: Mutex<bool>,
    told: Condvar,
}

impl Jobs {
    /// Begins all jobs; what they have done is told through `progress`.
    pub fn start(store: Arc<dyn Store>, clock: Clock, progress: Progress) -> std::io::Result<Self> {
        let ground = Arc::new(Ground { store, clock, progress });
        let mut jobs = Self { over: Arc::default(), threads: Vec::new() };
        for (name, step) in ALL {
            let (ground, over) = (ground.clone(), jobs.over.clone());
            let run = move || while !over.wait(step(&ground)) {};
            jobs.threads.push(std::thread::Builder::new().name(name.to_owned()).spawn(run)?);
        }
        Ok(jobs)
    }
}

impl Over {
    /// Waits for so long, or until it is over; whether it is.
    fn wait(&self, pause: Duration) -> bool {
        let mut is_over = self.is_over.lock();
        if !*is_over {
            self.told.wait_for(&mut is_over, pause);
        }
        *is_over
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        *self.over.is_over.lock() = true;
        self.over.told.notify_all();
        for thread in self.threads.drain(..) {
            // A panic of the thread was told already.
            _ = thread.join();
        }
    }
}
