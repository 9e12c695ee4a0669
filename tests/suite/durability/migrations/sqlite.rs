//! SQLite: killed before each kind of call that changes a file, since only these make a difference to the next start.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};

use super::{Steps, spread};
use crate::harness::random::Random;
use crate::harness::{Backend, Database, PROGRAM, Server};

/// Calls that change what the next start will find.
const CALLS: &str = "pwrite64,ftruncate,unlink";

/// From how many of them a first kill is made, and how many kills follow each other.
const POINTS: u64 = 20;
const KILLS: usize = 3;
const SEED: u64 = 0x7a11_0022;

#[test]
fn a_start_killed_while_it_migrates_leaves_the_old_schema_or_the_new_one() {
    let home = tempfile::tempdir().unwrap();
    let steps = Steps::to_newest(Backend::Sqlite, home.path());
    let calls = calls_of_a_start();
    let mut random = Random::seeded(SEED);
    println!("seed {SEED}: {} calls", calls.len());
    let (mut killed, mut old) = (0_u64, 0_u64);
    for point in spread(calls.len() as u64, POINTS, &mut random) {
        let mut server = Server::with().prepare();
        for kill in 0..KILLS {
            let at = if kill == 0 { point } else { random.between(1, calls.len() as u64) };
            let (call, nth) = &calls[usize::try_from(at - 1).unwrap()];
            let output = traced(&server, &format!("--inject={call}:signal=KILL:when={nth}"));
            // A later start has less to do, and may come to its end; which thread closes the files is up to chance.
            let was_killed = output.status.signal() == Some(9);
            assert!(was_killed || output.status.success(), "{at}: {output:?}");
            killed += u64::from(was_killed);
            old += u64::from(steps.assert_one_of_them(&untouched(&server)) < steps.0.len() - 1);
        }
        steps.assert_start_completes(&mut server);
        assert_eq!(server.database().damage(), "", "killed at {point}");
    }
    println!("{killed} kills, {old} of them with the old schema left");
    assert!(killed > POINTS && old > 0 && old < killed, "all kills were on one side of the change, or there were few");
}

/// The calls of a start from nothing by its first thread, in order: each with how many of its kind there were by then.
fn calls_of_a_start() -> Vec<(String, usize)> {
    let server = Server::with().prepare();
    let output = traced(&server, "--quiet=all");
    assert!(output.status.success(), "{output:?}");
    let log = fs::read_to_string(server.home().join("calls")).unwrap();
    let mut calls: Vec<(String, usize)> = Vec::new();
    let thread = log.split_whitespace().next();
    for line in log.lines() {
        // Each thread is counted by itself; a line without a bracket tells no call.
        let mut words = line.split_whitespace();
        let of_thread = words.next() == thread;
        let Some((name, _)) = words.next().filter(|_| of_thread).and_then(|call| call.split_once('(')) else {
            continue;
        };
        let before = calls.iter().filter(|(known, _)| known == name).count();
        calls.push((name.to_owned(), before + 1));
    }
    assert!(calls.len() > 30, "{log}");
    calls
}

/// A verb that opens the database as a server does, under strace with that option.
fn traced(server: &Server, option: &str) -> Output {
    let plain = server.command(&["app", "list"]);
    let mut command = Command::new("strace");
    command.args(["--follow-forks", "--trace", CALLS, option]);
    command.arg("--output").arg(server.home().join("calls")).arg(PROGRAM).args(plain.get_args());
    command.env_clear().envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
    command.stdin(Stdio::null()).current_dir(server.home());
    command.output().expect("strace is installed by tests/run")
}

/// A copy of the database's files: to look at them is to repair them.
fn untouched(server: &Server) -> Database {
    let folder = tempfile::Builder::new().prefix("copy").tempdir_in(server.home()).unwrap().keep();
    let copy = folder.join("tallybox.db");
    fs::write(&copy, "").unwrap(); // an empty database, where it was killed before it made one
    for file in fs::read_dir(server.data()).unwrap().map(Result::unwrap) {
        let name = file.file_name();
        if name.to_string_lossy().starts_with("tallybox.db") {
            fs::copy(file.path(), folder.join(name)).unwrap();
        }
    }
    let copy = Database::Sqlite(copy);
    // Killed before the file had its log, it has a journal, which whoever may not write cannot play back.
    copy.alter("SELECT count(*) FROM sqlite_schema");
    copy
}
