//! What is done in the background, beside commits and reports: one file for each job.

mod backup;
mod erase;
mod prune;
mod settle;

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::model::{BackupStanding, Erasure, PruneStanding};
use crate::pruning::{Guard, Pruner};
use crate::store::{Backlog, Store};

/// A job: one step of it, and the pause before the next.
type Step = fn(&Ground) -> Duration;

/// Every job, by the name of its thread.
const ALL: [(&str, Step); 4] =
    [("settle", settle::step), ("backup", backup::step), ("erase", erase::step), ("prune", prune::step)];

/// What jobs have in hand.
struct Ground {
    store: Arc<dyn Store>,
    clock: Clock,
    backups: Option<Backups>,
    progress: Progress,
    /// How the erasure that was last worked on stood.
    erasure: Mutex<Option<Erasure>>,
    guard: Mutex<Guard>,
    pruner: Mutex<Pruner>,
}

/// What is copied, and to where.
pub struct Backups {
    /// The SQLite file.
    pub database: PathBuf,
    /// The folder of backups.
    pub into: PathBuf,
}

/// What is told of jobs at `/metrics` and on the status page. Clones share it.
#[derive(Clone, Default)]
pub struct Progress {
    /// What waits to be settled, once that is known.
    pub backlog: Arc<Mutex<Option<Backlog>>>,
    /// How backups stand.
    pub backup: Arc<Mutex<BackupStanding>>,
    /// How the deletion by age stands.
    pub pruning: Arc<Mutex<PruneStanding>>,
}

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
    /// Begins all jobs; what they have done is told through `progress`. Without `backups` none are made.
    pub fn start(
        store: Arc<dyn Store>,
        clock: Clock,
        backups: Option<Backups>,
        pruner: Pruner,
        progress: Progress,
    ) -> std::io::Result<Self> {
        let (guard, pruner) = (Mutex::default(), Mutex::new(pruner));
        let ground = Arc::new(Ground { store, clock, backups, progress, erasure: Mutex::default(), guard, pruner });
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
