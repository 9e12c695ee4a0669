//! What is done in the background, beside commits and reports: one file for each job, and what runs them.

mod backup;
mod check;
mod drill;
mod erase;
mod prune;
mod runner;
mod settle;
mod unite;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use parking_lot::Mutex;

use crate::backup::{Database, Shelf};
use crate::clock::Clock;
use crate::model::{BackupStanding, Erasure, Job, JobRun, JobScope, JobStanding, Node, PruneStanding};
use crate::pruning::{Busy, Guard, Pruner};
use crate::store::{Backlog, Store};

pub use runner::{Held, Jobs, RunError, Turn, run_now};

/// A job: when it is due, who does it, and what it does.
pub struct Duty {
    /// Its name, which is also that of its thread.
    pub name: &'static str,
    /// What it does, in words.
    pub what: &'static str,
    /// How far its beginnings lie apart.
    pub period: Duration,
    /// Who does it, and how.
    pub work: Work,
    /// What it needs to begin.
    pub room: Room,
    /// Why it is not done here, where it is not.
    pub off: fn(&Ground) -> Option<&'static str>,
}

/// Who does a job: one step of it.
pub enum Work {
    /// Every node does it for itself; what it changes is safe from other nodes that do the same.
    EveryNode(fn(&Ground) -> Turn),
    /// One node of those that share a database does it, as long as it holds it.
    OneOfFleet(fn(&Ground, &Held) -> Turn),
}

/// What a job needs of the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// It takes room, and does not begin while no events are taken for lack of it.
    Takes,
    /// It makes room, and is done also then.
    Makes,
}

/// Every job. A step that tells nothing but its pause stands here as `|ground| step(ground).into()`.
pub const ALL: [Duty; 7] = [
    Duty {
        name: "settle",
        what: "writes what is over in the form in which it is counted fastest",
        period: Duration::from_secs(60),
        work: Work::EveryNode(settle::step),
        room: Room::Takes,
        off: on,
    },
    Duty {
        name: "erase",
        what: "erases people, devices and apps for good, a little at a time",
        period: Duration::from_secs(1),
        work: Work::EveryNode(erase::step),
        room: Room::Makes,
        off: on,
    },
    Duty {
        name: "unite",
        what: "gives what was stored under an earlier name of a person to the one they have now",
        period: Duration::from_secs(1),
        work: Work::EveryNode(unite::step),
        room: Room::Takes,
        off: on,
    },
    Duty {
        name: "check",
        what: "looks at every page of the database for damage",
        period: Duration::from_secs(24 * 3_600),
        work: Work::EveryNode(check::step),
        room: Room::Makes,
        off: on,
    },
    Duty {
        name: "backup",
        what: "copies the database to the place of backups, and keeps as many copies as the rule says",
        period: Duration::from_secs(24 * 3_600),
        work: Work::OneOfFleet(backup::step),
        room: Room::Takes,
        off: backup::off,
    },
    Duty {
        name: "drill",
        what: "restores the newest backup to scratch, checks all of it, and deletes it again",
        period: Duration::from_secs(30 * 24 * 3_600),
        work: Work::OneOfFleet(drill::step),
        room: Room::Takes,
        off: backup::off,
    },
    Duty {
        name: "prune",
        what: "deletes what is older than it is kept, a little at a time",
        period: Duration::from_secs(60),
        work: Work::OneOfFleet(prune::step),
        room: Room::Makes,
        off: on,
    },
];

/// Of a job that is done everywhere.
const fn on(_: &Ground) -> Option<&'static str> {
    None
}

/// Begins all jobs, and tells what is known of what was done before.
pub fn start(ground: Ground) -> std::io::Result<Jobs> {
    backup::recall(&ground);
    Jobs::start(ground, &ALL)
}

/// How long a job stays in the hands of a node that says nothing any more.
pub const LEASE: Duration = Duration::from_secs(30);

/// What jobs have in hand.
pub struct Ground {
    /// Everything that is kept.
    pub store: Arc<dyn Store>,
    /// What time it is.
    pub clock: Clock,
    /// What this process calls itself: a name for people, a blank, and what makes it the only one of that name.
    pub worker: String,
    /// How long a job stays with a node that says nothing: see [`LEASE`].
    pub lease: Duration,
    /// What is copied, and to where; without it no backups are made.
    pub backups: Option<Backups>,
    /// What is told of jobs.
    pub progress: Progress,
    /// How the erasure that was last worked on stood.
    pub erasure: Mutex<Option<Erasure>>,
    /// How far the clock is believed.
    pub guard: Mutex<Guard>,
    /// What deletes by age.
    pub pruner: Mutex<Pruner>,
    /// Set when the jobs are to end: a long step is given up where that does no harm.
    pub ended: Arc<AtomicBool>,
}

impl Ground {
    /// The same with something to ask whether events wait to be written: then nothing is deleted by age.
    #[must_use]
    pub fn while_quiet(self, busy: Busy) -> Self {
        Self { pruner: Mutex::new(self.pruner.into_inner().while_quiet(busy)), ..self }
    }

    /// What a process calls itself when it takes a job.
    pub fn worker(node: &Node) -> String {
        format!("{} {}", node.name, node.id)
    }
}

/// What is copied, and to where.
pub struct Backups {
    /// The database.
    pub database: Database,
    /// Where backups lie.
    pub shelf: Shelf,
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
    /// How all jobs stand, in the order of the table.
    pub jobs: Arc<Mutex<Vec<JobStanding>>>,
}

impl Progress {
    fn tell(&self, job: Job, run: JobRun) {
        if let Some(standing) = self.jobs.lock().iter_mut().find(|standing| standing.job == job) {
            standing.run = Some(run);
        }
    }
}

impl Duty {
    /// The same as data.
    pub fn job(&self) -> Job {
        let scope = match self.work {
            Work::EveryNode(_) => JobScope::EveryNode,
            Work::OneOfFleet(_) => JobScope::OneOfFleet,
        };
        Job {
            name: self.name,
            what: self.what,
            period: i64::try_from(self.period.as_millis()).unwrap_or(i64::MAX),
            scope,
        }
    }
}
