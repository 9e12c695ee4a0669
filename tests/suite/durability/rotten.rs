//! Goal R14: a database that is damaged, cut off, foreign, or without its log is told of at the start, is not written any
//! further, and the message says how to go on.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use super::load::{Load, Shape};
use crate::harness::{Database, Server};

const PAGE: u64 = 4_096;
/// Pages that are zeroed, one at a time.
const PAGES: usize = 16;

/// A copy of a box's files, for one kind of damage.
struct Mutant(tempfile::TempDir);

impl Mutant {
    fn of(files: &Path) -> Self {
        let copy = tempfile::tempdir().unwrap();
        for entry in fs::read_dir(files).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() && path.file_name().unwrap() != "tallybox.addr" {
                fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
            }
        }
        Self(copy)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Starts a server over it, which must end by itself, say what to do, and leave the database as it is.
    #[track_caller]
    fn assert_refused(&self, what: &str) {
        let before = fs::read(self.file("tallybox.db")).unwrap();
        let server = Server::with().data_dir(self.0.path()).prepare();
        let log = self.file("log");
        let output = fs::File::create(&log).unwrap();
        let mut command: Command = server.command(&["serve"]);
        command.env("TALLYBOX_PORT", "0").stdin(Stdio::null()).stdout(output.try_clone().unwrap()).stderr(output);
        let mut child = command.spawn().unwrap();
        let begun = Instant::now();
        let status = loop {
            match child.try_wait().unwrap() {
                Some(status) => break Some(status),
                None if begun.elapsed() > Duration::from_secs(20) || self.file("tallybox.addr").exists() => break None,
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        };
        _ = child.kill();
        _ = child.wait();
        let said = fs::read_to_string(&log).unwrap();
        assert!(status.is_some_and(|status| !status.success()), "{what}: it serves: {said}");
        assert!(said.contains("tallybox restore"), "{what}: {said}");
        assert!(fs::read(self.file("tallybox.db")).unwrap() == before, "{what}: it was written: {said}");
    }
}

/// A box that was killed with commits in its log that are nowhere else.
fn killed() -> (Server, i64) {
    let mut server = Server::start();
    let credentials = server.app("Drill");
    let mut load = Load::new(0x7a11_0014, server.home(), &credentials, Shape { events: 20, padding: 100 });
    // Once a second the log is written back: a kill just behind that has nothing to lose, and is tried again.
    for _ in 0..10 {
        load.run(server.address(), |progress| {
            progress.await_acked(500);
            server.crash();
        });
        let mark = fs::read_to_string(server.data().join("tallybox.db-mark")).unwrap();
        let marked = mark.split(' ').next().unwrap().parse().unwrap();
        let without = Mutant::of(server.data());
        fs::remove_file(without.file("tallybox.db-wal")).unwrap();
        _ = fs::remove_file(without.file("tallybox.db-shm"));
        let newest = Database::Sqlite(without.file("tallybox.db")).count("SELECT coalesce(max(id), 0) FROM events");
        if newest < marked {
            return (server, marked);
        }
        server.restart();
    }
    panic!("every commit was written back at once");
}

#[test]
fn a_database_that_is_not_sound_is_not_served() {
    let (mut server, marked) = killed();
    let (other, _) = killed();

    let log_gone = Mutant::of(server.data());
    fs::remove_file(log_gone.file("tallybox.db-wal")).unwrap();
    log_gone.assert_refused("a log that was deleted");
    let log_swapped = Mutant::of(server.data());
    fs::copy(other.data().join("tallybox.db-wal"), log_swapped.file("tallybox.db-wal")).unwrap();
    _ = fs::remove_file(log_swapped.file("tallybox.db-shm"));
    log_swapped.assert_refused("a log of another database");

    // With its own log all is there.
    server.restart();
    assert!(server.count("SELECT max(id) FROM events") >= marked, "its own log has not brought back all");
    assert!(server.stop().success());
    let whole = fs::read(server.data().join("tallybox.db")).unwrap();
    let pages = Database::Sqlite(server.data().join("tallybox.db"))
        .sql("SELECT pageno FROM dbstat WHERE pagetype <> 'overflow' AND pageno > 1 ORDER BY pageno");
    let pages: Vec<u64> = pages.lines().map(|line| line.parse().unwrap()).collect();
    let zeroed = pages.iter().step_by(pages.len().div_ceil(PAGES)).copied();
    let mutants: Vec<(String, Vec<u8>)> = zeroed
        .map(|page| {
            let mut bytes = whole.clone();
            let at = usize::try_from((page - 1) * PAGE).unwrap();
            bytes[at..at + 4_096].fill(0);
            (format!("page {page} zeroed"), bytes)
        })
        .chain(
            [0, 100, 4_096, whole.len() / 2, whole.len() - 4_096, whole.len() - 1]
                .map(|length| (format!("cut to {length} of {} bytes", whole.len()), whole[..length].to_vec())),
        )
        .chain([(0, 16), (0, 100), (18, 20), (20, 24)].map(|(from, to)| {
            let mut bytes = whole.clone();
            bytes[from..to].fill(0xa5);
            (format!("header from {from} to {to}"), bytes)
        }))
        .chain([("a text".to_owned(), b"not a database at all\n".repeat(500))])
        .collect();
    for (what, bytes) in mutants {
        let mutant = Mutant::of(server.data());
        fs::write(mutant.file("tallybox.db"), bytes).unwrap();
        mutant.assert_refused(&what);
    }
    let foreign = Mutant::of(server.data());
    fs::remove_file(foreign.file("tallybox.db")).unwrap();
    Database::Sqlite(foreign.file("tallybox.db")).alter("CREATE TABLE other (x); INSERT INTO other VALUES (1)");
    foreign.assert_refused("a database of another program");
}

#[test]
fn damage_under_a_running_server_is_answered_and_does_not_end_it() {
    let server = Server::start();
    let credentials = server.app("Drill");
    let cookie = server.sign_in();
    server.accept(&credentials, &[crate::harness::kit::event("opened")]);
    // All that was committed is in the file once it was idle for a second; then every page but the first is gone.
    let file = OpenOptions::new().write(true).open(server.data().join("tallybox.db")).unwrap();
    crate::harness::poll::until(Duration::from_secs(10), "written back", || {
        let copy = Mutant::of(server.data());
        fs::remove_file(copy.file("tallybox.db-wal")).ok()?;
        _ = fs::remove_file(copy.file("tallybox.db-shm"));
        let database = Database::Sqlite(copy.file("tallybox.db"));
        (database.count("SELECT count(*) FROM events") == 1).then_some(())
    });
    for page in 1..file.metadata().unwrap().len() / PAGE {
        file.write_all_at(&[0; PAGE as usize], page * PAGE).unwrap();
    }
    // The next look at what the writer has not in memory finds it; from then on nothing is taken.
    crate::harness::poll::until(Duration::from_secs(30), "refusal", || {
        let body = crate::harness::kit::batch(&[crate::harness::kit::event(&uuid::Uuid::new_v4().to_string())]);
        let reply = server.send(&credentials.sdk(&body));
        server.try_run(&["jobs"], "");
        (reply.status == 503).then_some(())
    });
    assert!(server.page("/box", &cookie).status >= 200);
    server.await_status("/health/ready", 503);
    assert_eq!(server.get("/health/live").status, 200);
}
