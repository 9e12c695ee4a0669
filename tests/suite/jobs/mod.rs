//! Jobs of the background: once in each period whatever number of nodes there is, again after a failure, caught up after a
//! start, and told on the status page, at `/metrics` and by the verb.

mod fleet;
mod told;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tallybox::clock::Clock;
use tallybox::jobs::{Duty, Ground, Held, Jobs, Progress, Room, Turn, Work};
use tallybox::model::{JobRun, Node};
use tallybox::pruning::Pruner;
use tallybox::store::Store;

use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Database, poll};
use crate::store::open;

on_both_backends! {
    whoever_was_taken_for_dead_changes_nothing,
    a_job_that_fails_or_panics_is_tried_again_and_told,
    a_job_of_every_node_outlives_its_panics,
    a_clock_that_was_ahead_holds_no_job_back,
}

const PATIENCE: Duration = Duration::from_secs(30);

/// What a node of that name has in hand, over that store.
fn ground(store: &Arc<dyn Store>, name: &str, lease: Duration) -> Ground {
    let node = Node { id: uuid::Uuid::new_v4().to_string(), name: name.to_owned(), ..Node::default() };
    Ground {
        store: store.clone(),
        clock: Clock::system(),
        worker: Ground::worker(&node),
        lease,
        backups: None,
        progress: Progress::default(),
        erasure: Mutex::default(),
        guard: Mutex::default(),
        pruner: Mutex::new(Pruner::new(store.clone())),
        ended: Arc::default(),
    }
}

const fn duty(name: &'static str, period: Duration, work: Work) -> Duty {
    Duty { name, what: "is made up", period, work, room: Room::Takes, off: |_| None }
}

/// The only row of a job.
#[track_caller]
fn row(store: &Arc<dyn Store>, name: &str) -> Option<JobRun> {
    let mut rows: Vec<_> = store.jobs().unwrap().into_iter().filter(|run| run.name == name).collect();
    assert!(rows.len() < 2, "{rows:?}");
    rows.pop()
}

fn whoever_was_taken_for_dead_changes_nothing(backend: Backend) {
    use tallybox::model::{JobClaim, JobClaimed, JobDue, JobEnd, JobVerdict, Millis};
    use tallybox::store::StoreError;

    let home = tempfile::tempdir().unwrap();
    let database = Database::create(backend, home.path());
    let store = open(&database).unwrap();
    let claim = |worker, lease, due| {
        let now = Clock::system().now();
        store.claim_job(&JobClaim { name: "made-up", worker, now, period: Millis::HOUR, lease, due }).unwrap()
    };
    let taken = |claimed| match claimed {
        JobClaimed::Taken(lease) => Some(lease),
        JobClaimed::Waits(_) => None,
    };
    let end = |result, verdict| JobEnd { verdict, result, took: 1, period: Millis::HOUR, next: Millis::HOUR };
    let old = taken(claim("a 1", 500, JobDue::WhenDue)).expect("nobody has it");
    assert_eq!(taken(claim("b 2", 500, JobDue::WhenDue)), None, "two have it");
    assert_eq!(taken(claim("b 2", 500, JobDue::Now)), None, "it was taken away from one who is at it");
    let new = poll::until(PATIENCE, "end of the lease", || taken(claim("b 2", 60_000, JobDue::WhenDue)));
    assert_eq!(new.fence, old.fence + 1);
    let before = row(&store, "made-up");
    assert_eq!(before.as_ref().unwrap().failures, 1, "a node that dies of it is a failure");
    assert!(before.as_ref().unwrap().result.contains("a was at it"), "{before:?}");

    let now = Clock::system().now();
    assert!(matches!(store.renew_job(&old, now, 60_000), Err(StoreError::TakenOver)));
    assert!(matches!(store.end_job(&old, now, &end("old", JobVerdict::Done)), Err(StoreError::TakenOver)));
    assert_eq!(row(&store, "made-up"), before);
    store.renew_job(&new, now, 60_000).unwrap();
    let done = store.end_job(&new, now, &end("new", JobVerdict::Done)).unwrap();
    assert_eq!((done.result.as_str(), done.failures, done.held.as_ref()), ("new", 0, None));
    assert_eq!(row(&store, "made-up"), Some(done.clone()));
    assert!(matches!(store.renew_job(&new, now, 60_000), Err(StoreError::TakenOver)), "it was given back");
    assert_eq!(taken(claim("a 1", 500, JobDue::WhenDue)), None, "it is not due");

    let third = taken(claim("a 1", 60_000, JobDue::Now)).expect("somebody wants it now");
    let broken = store.end_job(&third, now, &end("broken off", JobVerdict::BrokenOff)).unwrap();
    assert_eq!(broken.failures, 0);
    let last = taken(claim("b 2", 60_000, JobDue::WhenDue)).expect("what was broken off is due at once");
    let failed = store.end_job(&last, now, &end(&"ü".repeat(5_000), JobVerdict::Failed)).unwrap();
    assert_eq!((failed.failures, failed.result.chars().count()), (1, 500));
    assert_eq!(taken(claim("a 1", 500, JobDue::WhenDue)), None, "it was tried again at once");
}

fn a_job_that_fails_or_panics_is_tried_again_and_told(backend: Backend) {
    static WAYS: [Duty; 1] = [duty("ways", Duration::from_millis(100), Work::OneOfFleet(ways))];
    fn ways(ground: &Ground, held: &Held) -> Turn {
        match held.lease().fence {
            1 => panic!("on purpose"),
            2 => Turn::Failed("by itself".to_owned()),
            // It takes some steps.
            3 if ground.progress.backlog.lock().is_none() => {
                *ground.progress.backlog.lock() = Some(tallybox::store::Backlog::default());
                Turn::More(Duration::from_millis(1))
            }
            fence => Turn::Until(format!("run {fence}"), Duration::from_secs(3_600)),
        }
    }
    let home = tempfile::tempdir().unwrap();
    let database = Database::create(backend, home.path());
    let store = open(&database).unwrap();
    let ground = ground(&store, "node", Duration::from_secs(30));
    let progress = ground.progress.clone();
    let jobs = Jobs::start(ground, &WAYS).unwrap();
    let mut seen = Vec::new();
    poll::until(PATIENCE, "run that is done", || {
        let run = row(&store, "ways").filter(|run| run.held.is_none())?;
        if run.failures > 0 && !seen.contains(&run.result) {
            seen.push(run.result.clone());
        }
        (run.result == "run 3").then_some(())
    });
    drop(jobs);
    assert!(seen.iter().all(|why| ["it panicked: on purpose", "by itself"].contains(&why.as_str())), "{seen:?}");
    let run = row(&store, "ways").unwrap();
    assert_eq!((run.failures, run.fence), (0, 3));
    assert!(run.next_at.since(run.started_at.unwrap()) <= 100, "it is due after its period at the latest");
    let told = progress.jobs.lock().clone();
    assert!(told[0].run.as_ref().is_some_and(|run| run.result == "run 3" && run.held.is_none()), "{told:?}");
}

fn a_job_of_every_node_outlives_its_panics(backend: Backend) {
    static HERE: [Duty; 1] = [duty("here", Duration::from_millis(100), Work::EveryNode(here))];
    fn here(ground: &Ground) -> Turn {
        let mut backlog = ground.progress.backlog.lock();
        let days = backlog.unwrap_or_default().days + 1;
        *backlog = Some(tallybox::store::Backlog { days, counts: 0 });
        drop(backlog);
        match days {
            1 => panic!("on purpose"),
            2 => Turn::More(Duration::from_millis(1)),
            3 => Turn::Failed("by itself".to_owned()),
            4 => Turn::Done("well".to_owned()),
            _ => Turn::Idle(Duration::from_millis(10)),
        }
    }
    let home = tempfile::tempdir().unwrap();
    let database = Database::create(backend, home.path());
    let store = open(&database).unwrap();
    let ground = ground(&store, "node", Duration::from_secs(30));
    let (progress, worker) = (ground.progress.clone(), ground.worker.clone());
    let jobs = Jobs::start(ground, &HERE).unwrap();
    let told = || progress.jobs.lock()[0].run.clone();
    poll::until(PATIENCE, "idle", || progress.backlog.lock().filter(|backlog| backlog.days > 5).map(drop));
    let run = told().unwrap();
    assert_eq!((run.result.as_str(), run.failures), ("well", 0), "what was done last stays");
    drop(jobs);
    // Failures and their end are written down at once, that nothing changes is not.
    let run = row(&store, "here").unwrap();
    assert_eq!((run.result.as_str(), run.failures, run.node), ("well", 0, Some(worker)));
}

fn a_clock_that_was_ahead_holds_no_job_back(backend: Backend) {
    static ONCE: [Duty; 1] = [duty(
        "once",
        Duration::from_secs(3_600),
        Work::OneOfFleet(|_, held| Turn::Done(format!("run {}", held.lease().fence))),
    )];
    let home = tempfile::tempdir().unwrap();
    let database = Database::create(backend, home.path());
    let store = open(&database).unwrap();
    let done = |result: &str| {
        let jobs = Jobs::start(ground(&store, "node", Duration::from_secs(30)), &ONCE).unwrap();
        poll::until(PATIENCE, result, || {
            row(&store, "once").filter(|run| run.held.is_none() && run.result == result).map(drop)
        });
        drop(jobs);
    };
    done("run 1");
    let due = row(&store, "once").unwrap().next_at;
    let year = 400 * tallybox::model::Millis::DAY;
    database.alter(&format!("UPDATE jobs SET next_at = {} WHERE name = 'once'", due.plus(year).0));
    done("run 2");
    // The same of a lease that a clock far ahead has taken, and of a run that was missed.
    let until = due.plus(year).0;
    database.alter(&format!("UPDATE jobs SET holder = 'x y', held_until = {until} WHERE name = 'once'"));
    done("run 3");
    database.alter("UPDATE jobs SET next_at = 1 WHERE name = 'once'");
    done("run 4");
}
