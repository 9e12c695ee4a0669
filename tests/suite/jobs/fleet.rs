//! Several nodes over one PostgreSQL database: goal R21, the part on jobs.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::process::{Pid, Signal, kill_process};

use super::*;
use crate::harness::backend::on_postgres_alone;

on_postgres_alone! {
    nodes_do_a_job_once_in_each_period,
    whoever_is_killed_or_frozen_loses_the_job_and_does_no_harm,
}

/// How many runs are looked at.
const RUNS: usize = 8;
/// Where a node of a process of its own finds its database, and its folder of files that tell it what to do.
const DATABASE: &str = "JOBS_DATABASE";
const FOLDER: &str = "JOBS_FOLDER";

fn nodes_do_a_job_once_in_each_period() {
    const PERIOD: Duration = Duration::from_millis(150);
    static OFTEN: [Duty; 1] = [duty("often", PERIOD, Work::OneOfFleet(often))];
    static AT_WORK: AtomicU32 = AtomicU32::new(0);
    static DONE: Mutex<Vec<(i64, i64, String)>> = Mutex::new(Vec::new());
    fn often(ground: &Ground, held: &Held) -> Turn {
        assert_eq!(AT_WORK.fetch_add(1, Ordering::SeqCst), 0, "two are at it");
        let lease = held.lease();
        DONE.lock().push((lease.fence, lease.started_at.0, ground.worker.clone()));
        AT_WORK.fetch_sub(1, Ordering::SeqCst);
        Turn::Done(String::new())
    }
    let home = tempfile::tempdir().unwrap();
    let database = Database::create(Backend::Postgres, home.path());
    let nodes: Vec<_> = ["a", "b", "c"]
        .map(|name| Jobs::start(ground(&open(&database).unwrap(), name, Duration::from_secs(30)), &OFTEN).unwrap())
        .into();
    poll::until(PATIENCE, "runs", || (DONE.lock().len() >= RUNS).then_some(()));
    drop(nodes);
    let done = DONE.lock();
    for (pair, number) in done.windows(2).zip(1..) {
        assert_eq!((pair[0].0, pair[1].0), (number, number + 1), "each run has been counted once");
        assert!(pair[1].1 - pair[0].1 >= 150, "two runs in one period: {done:?}");
    }
    assert_eq!(row(&open(&database).unwrap(), "often").unwrap().failures, 0);
}

static SLOW: [Duty; 1] = [duty("slow", Duration::from_secs(3_600), Work::OneOfFleet(slow))];

/// Waits until it is let go where it is done by a process of its own; else it is done at once.
fn slow(ground: &Ground, _: &Held) -> Turn {
    let folder = std::env::var_os(FOLDER);
    let is_held = folder.is_some_and(|folder| !Path::new(&folder).join("go").exists());
    if is_held {
        std::thread::sleep(Duration::from_millis(5))
    }
    let name = ground.worker.split(' ').next().unwrap();
    if is_held { Turn::More(Duration::from_millis(5)) } else { Turn::Done(format!("done by {name}")) }
}

#[test]
#[ignore = "is a process of other tests"]
fn a_node_of_its_own() {
    let [database, folder] = [DATABASE, FOLDER].map(|name| std::env::var(name).unwrap());
    let options = tallybox::store::postgres::PostgresOptions::new(database.into());
    let store = tallybox::store::postgres::PostgresStore::open(&options).unwrap();
    store.wait(PATIENCE).unwrap();
    let store: Arc<dyn Store> = Arc::new(store);
    let jobs = Jobs::start(ground(&store, "child", LEASE), &SLOW).unwrap();
    poll::until(PATIENCE, "end", || Path::new(&folder).join("end").exists().then_some(()));
    drop(jobs);
}

const LEASE: Duration = Duration::from_millis(600);

/// A process that has the job; it is killed with the value.
struct Process(Child);

impl Process {
    fn start(database: &Database, folder: &Path) -> Self {
        let Database::Postgres(database) = database else { unreachable!("only PostgreSQL has nodes") };
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "jobs::fleet::a_node_of_its_own", "--ignored"]);
        command.env(DATABASE, database.url()).env(FOLDER, folder);
        Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap())
    }

    fn tell(&self, signal: Signal) {
        kill_process(Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap(), signal).unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        _ = self.0.kill();
        _ = self.0.wait();
    }
}

fn whoever_is_killed_or_frozen_loses_the_job_and_does_no_harm() {
    let home = tempfile::tempdir().unwrap();
    let database = Database::create(Backend::Postgres, home.path());
    let store = open(&database).unwrap();
    let held = |fence: i64| {
        poll::until(PATIENCE, "a node at work", || {
            row(&store, "slow").filter(|run| run.fence == fence && run.held.is_some()).map(drop)
        });
    };
    let taken_over = |fence: i64| {
        let jobs = Jobs::start(ground(&store, "heir", LEASE), &SLOW).unwrap();
        let done = || row(&store, "slow").filter(|run| run.result == "done by heir");
        let run = poll::until(PATIENCE, "run of the heir", done);
        drop(jobs);
        assert_eq!((run.fence, run.failures), (fence, 0));
        run
    };

    let killed = Process::start(&database, home.path());
    held(1);
    killed.tell(Signal::KILL);
    taken_over(2);

    database.alter("UPDATE jobs SET next_at = 1, result = '' WHERE name = 'slow'");
    let mut frozen = Process::start(&database, home.path());
    held(3);
    frozen.tell(Signal::STOP);
    let run = taken_over(4);
    for file in ["go", "end"] {
        std::fs::write(home.path().join(file), "").unwrap();
    }
    frozen.tell(Signal::CONT);
    let ended = poll::until(PATIENCE, "end of the frozen node", || frozen.0.try_wait().unwrap());
    assert!(ended.success(), "{ended}");
    assert_eq!(row(&store, "slow"), Some(run), "who was frozen has written something down");
}
