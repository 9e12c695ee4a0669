//! What runs jobs: a thread for each, which survives what its job does.

mod fleet;
mod here;
mod run;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::{Duty, Ground, Work};
use crate::model::JobStanding;

pub use run::{Held, RunError, Turn};

/// The threads of all jobs. Dropped, they end after the step that they are at.
pub struct Jobs {
    over: Arc<Over>,
    threads: Vec<JoinHandle<()>>,
}

/// Whether it is time to end, and who waits for it.
#[derive(Default)]
struct Over {
    /// That of the ground; set under the lock, so that nobody begins to wait behind it.
    ended: Arc<AtomicBool>,
    lock: Mutex<()>,
    told: Condvar,
}

impl Jobs {
    /// Begins all of these jobs; how they stand is told through the ground's progress.
    pub fn start(ground: Ground, duties: &'static [Duty]) -> std::io::Result<Self> {
        let standing = |duty: &Duty| JobStanding { job: duty.job(), off: (duty.off)(&ground), run: None };
        *ground.progress.jobs.lock() = duties.iter().map(standing).collect();
        let ground = Arc::new(ground);
        let over = Over { ended: ground.ended.clone(), ..Over::default() };
        let mut jobs = Self { over: Arc::new(over), threads: Vec::new() };
        for duty in duties.iter().filter(|duty| (duty.off)(&ground).is_none()) {
            let (ground, over) = (ground.clone(), jobs.over.clone());
            let run = move || match duty.work {
                Work::EveryNode(step) => here::stand(&ground, duty, step, &over),
                Work::OneOfFleet(step) => fleet::stand(&ground, duty, step, &over),
            };
            jobs.threads.push(std::thread::Builder::new().name(duty.name.to_owned()).spawn(run)?);
        }
        Ok(jobs)
    }
}

/// Does a job now, in this thread, whether or not it is due; what came of it, in words.
pub fn run_now(ground: &Ground, duty: &Duty) -> Result<String, RunError> {
    if let Some(why) = (duty.off)(ground) {
        return Err(RunError::Off(why));
    }
    match duty.work {
        Work::EveryNode(step) => here::run_now(ground, step),
        Work::OneOfFleet(step) => fleet::run_now(ground, duty, step),
    }
}

impl Over {
    /// Waits for so long, or until it is over; whether it is.
    fn wait(&self, pause: Duration) -> bool {
        let mut lock = self.lock.lock();
        if !self.is_over() {
            self.told.wait_for(&mut lock, pause);
        }
        self.is_over()
    }

    fn is_over(&self) -> bool {
        self.ended.load(Ordering::Relaxed)
    }

    fn end(&self) {
        let _lock = self.lock.lock();
        self.ended.store(true, Ordering::Relaxed);
        self.told.notify_all();
    }
}

impl Drop for Jobs {
    fn drop(&mut self) {
        self.over.end();
        for thread in self.threads.drain(..) {
            // A panic of the thread was told already.
            _ = thread.join();
        }
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

/// A time from milliseconds, of which negative ones are none.
fn duration(millis: i64) -> Duration {
    Duration::from_millis(millis.max(0).unsigned_abs())
}

/// Whether nothing should be written that can wait, as far as the database tells.
fn is_read_only(ground: &Ground) -> bool {
    ground.store.status().is_ok_and(|status| status.read_only.is_some())
}
