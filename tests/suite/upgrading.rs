//! Upgrading: a schema is tried on a copy, brought up to date by hand, and newer ones are worked with where they allow it;
//! nodes are restarted one after the other while clients send (goal R22).

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use sha2::{Digest, Sha256};

use crate::harness::backend::{on_both_backends, on_postgres_alone};
use crate::harness::http::Connection;
use crate::harness::kit::Credentials;
use crate::harness::{Backend, Database, Server, kit};

on_both_backends! {
    a_newer_schema_is_taken_where_it_says_so_and_refused_where_not,
}

mod nodes {
    super::on_postgres_alone! { nodes_are_restarted_one_after_the_other_and_nobody_is_refused }

    fn nodes_are_restarted_one_after_the_other_and_nobody_is_refused() {
        super::nodes_are_restarted_one_after_the_other_and_nobody_is_refused();
    }
}

/// Does what a newer program does that adds a column, and says that those with schema `lowest` can work with it.
fn expand(database: &Database, lowest: Option<i64>) {
    let newest = database.count("SELECT max(number) FROM migrations");
    let kind = match database {
        Database::Sqlite(_) => "INTEGER",
        Database::Postgres(_) => "BIGINT",
    };
    let lowest = lowest.map_or("NULL".to_owned(), |lowest| lowest.to_string());
    database.alter(&format!(
        "BEGIN; ALTER TABLE apps ADD COLUMN novelty_{newest} {kind}; INSERT INTO migrations (number, name, sha256, lowest) \
         VALUES ({}, 'made-up', 'x', {lowest}); COMMIT",
        newest + 1
    ));
}

fn a_newer_schema_is_taken_where_it_says_so_and_refused_where_not(backend: Backend) {
    let mut server = Server::over(backend);
    let app = server.app("Old");
    let known = server.count("SELECT max(number) FROM migrations");
    assert!(server.run(&["migrate", "status"]).contains("up to date"));
    assert!(server.run(&["migrate", "status"]).lines().count() > usize::try_from(known).unwrap());
    // Beside the server that knows nothing of it, and under one that starts on it.
    expand(server.database(), Some(known));
    server.accept(&app, &[kit::event("a")]);
    server.stop();
    server.restart();
    server.accept(&app, &[kit::event("b")]);
    server.accept(&server.app("New"), &[kit::event("c")]);
    assert_eq!(server.count("SELECT count(*) FROM events"), 3);
    assert_eq!(server.count("SELECT max(number) FROM migrations"), known + 1);
    let told = server.page("/box.json", &server.sign_in()).expect(200).json();
    assert_eq!(told["database"]["schema_known"], known);
    let status = server.run(&["migrate", "status"]);
    assert!(status.contains("made-up") && status.contains("can work with it"), "{status}");

    // What came first asks for more than the last.
    expand(server.database(), None);
    expand(server.database(), Some(known));
    server.stop();
    for arguments in [&["serve"][..], &["app", "list"], &["migrate", "status"], &["migrate", "up"]] {
        let refused = server.try_run(arguments, "");
        let said = String::from_utf8_lossy(&refused.stderr) + String::from_utf8_lossy(&refused.stdout);
        assert!(!refused.status.success() && said.contains("start the newer binary"), "{arguments:?}: {said}");
    }
}

/// A database as the first versions of the box made it, with a person in it.
fn old(folder: &Path) -> PathBuf {
    let database = folder.join("tallybox.db");
    let mut script = "CREATE TABLE migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, sha256 TEXT NOT NULL, \
                      applied_at TEXT NOT NULL DEFAULT (datetime('now'))) STRICT;\n"
        .to_owned();
    let mut files: Vec<_> = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations/sqlite"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    for (file, number) in files.iter().take(5).zip(1..) {
        let sql = fs::read_to_string(file).unwrap();
        let (name, hash) = (file.file_name().unwrap().to_str().unwrap(), hex::encode(Sha256::digest(&sql)));
        script.push_str(&format!(
            "{sql}\nINSERT INTO migrations (number, name, sha256) VALUES ({number}, '{name}', '{hash}');\n"
        ));
    }
    script.push_str(
        "INSERT INTO organizations (id, uuid, slug, name, created_at) VALUES (1, zeroblob(16), 'o', 'O', 1);
         INSERT INTO apps (id, organization_id, uuid, slug, name, zone, strict, salt, created_at)
         VALUES (1, 1, zeroblob(16), 'old-app', 'Old', 'UTC', 0, zeroblob(32), 1);
         INSERT INTO environments (id, app_id, slug) VALUES (1, 1, 'production');
         INSERT INTO users (id, env_id, hash, first_at, last_day) VALUES (1, 1, zeroblob(16), 1, 0);",
    );
    let made = Command::new("sqlite3").arg("-bail").arg(&database).arg(script).output().unwrap();
    assert!(made.status.success(), "{made:?}");
    database
}

#[track_caller]
fn refuses(server: &Server, arguments: &[&str], words: &str) {
    let output = server.try_run(arguments, "");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains(words), "{arguments:?}: {said}");
}

#[test]
fn a_change_of_the_schema_is_tried_on_a_copy_and_made_by_hand() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::with().data_dir(home.path()).prepare();
    let database = old(home.path());
    let before = fs::read(&database).unwrap();
    let file = database.to_str().unwrap();
    let status = server.run(&["migrate", "status"]);
    assert!(
        status.contains("0006-accounts.sql") && status.contains("not yet") && status.contains("are missing"),
        "{status}"
    );
    for arguments in [&["migrate", "dry-run"][..], &["upgrade", "--check", file]] {
        let told = server.run(arguments);
        for part in ["0006-accounts.sql", "1 apps, 0 events, 1 users", "Safe: every count is what it was."] {
            assert!(told.contains(part), "no {part} in {told}");
        }
    }
    assert!(fs::read(&database).unwrap() == before, "a trial has changed the database");

    // One that loses somebody on the way.
    let losing = tempfile::tempdir().unwrap();
    let copy = old(losing.path());
    let trigger = "CREATE TRIGGER loss AFTER INSERT ON migrations BEGIN DELETE FROM users; END";
    assert!(Command::new("sqlite3").arg(&copy).arg(trigger).status().unwrap().success());
    let told = server.try_run(&["upgrade", "--check", copy.to_str().unwrap()], "");
    let [said, why] = [&told.stdout, &told.stderr].map(|text| String::from_utf8_lossy(text).into_owned());
    assert!(!told.status.success() && why.contains("not safe: 1 numbers have changed"), "{said}{why}");
    assert!(said.lines().any(|line| line.split_whitespace().eq(["old-app", "users", "1", "0"])), "{said}");
    let left: Vec<_> = fs::read_dir(losing.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["tallybox.db"], "the copy was left there");
    fs::write(losing.path().join("box.dump"), b"PGDMP and so on").unwrap();
    let dump = losing.path().join("box.dump");
    refuses(&server, &["upgrade", "--check", dump.to_str().unwrap()], "pg_restore");
    refuses(&server, &["upgrade", "--check", "/nowhere"], "cannot be read");

    let told = server.run(&["migrate", "up"]);
    assert!(told.contains("0006-accounts.sql") && told.contains("Safe"), "{told}");
    assert!(server.run(&["migrate", "status"]).contains("up to date"));
    let kept = fs::read_dir(home.path().join("backups")).unwrap().next().unwrap().unwrap().path();
    let kept = fs::read_dir(kept).unwrap().next().unwrap().unwrap().path();
    assert!(server.run(&["upgrade", "--check", kept.to_str().unwrap()]).contains("Safe"), "a backup can be tried, too");
    server.launch();
    refuses(&server, &["migrate", "up"], "no server may run");
    let beside = server.run(&["migrate", "dry-run"]);
    assert!(beside.contains("none: it is up to date"), "{beside}");
}

#[test]
fn over_postgres_a_trial_is_explained() {
    let server = Server::over(Backend::Postgres);
    refuses(&server, &["migrate", "dry-run"], "createdb trial");
    let told = server.run(&["migrate", "up"]);
    assert!(told.contains("none: it is up to date") && told.contains("Safe"), "{told}");
}

/// What clients were told.
#[derive(Default)]
struct Told {
    stored: AtomicU64,
    refused: AtomicU64,
    /// Requests that went on to the other node, as a balancer does.
    passed_on: AtomicU64,
}

/// Sends events one by one, each to one node and, where that does not take it, to the other.
fn balance(nodes: [SocketAddr; 2], app: &Credentials, over: &AtomicBool, told: &Told) {
    let mut turn = 0;
    while !over.load(Ordering::Relaxed) {
        let request = app.sdk(&kit::batch(&[kit::event("rolling")]));
        let ask = |node: usize| Connection::open(nodes[node % 2]).ok()?.send(&request).ok();
        let took = |node: usize| ask(node).is_some_and(|reply| reply.status == 200);
        if !took(turn) {
            told.passed_on.fetch_add(1, Ordering::Relaxed);
            if !took(turn + 1) {
                told.refused.fetch_add(1, Ordering::Relaxed);
                continue;
            }
        }
        told.stored.fetch_add(1, Ordering::Relaxed);
        turn += 1;
    }
}

fn nodes_are_restarted_one_after_the_other_and_nobody_is_refused() {
    let mut one = Server::over(Backend::Postgres);
    let app = one.app("Rolling");
    let Database::Postgres(database) = one.database() else { unreachable!("it was made over PostgreSQL") };
    let mut other = Server::with().database(database.at(database.port())).start_fresh();
    let known = one.count("SELECT max(number) FROM migrations");
    let (over, told, nodes) = (AtomicBool::new(false), Told::default(), [one.address(), other.address()]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| balance(nodes, &app, &over, &told));
        }
        // The newer program comes first to one, then to the other, and goes again in the same order.
        for round in 0..2 {
            for node in [&mut one, &mut other] {
                let before = told.stored.load(Ordering::Relaxed);
                node.stop();
                if round == 0 && node.count("SELECT max(number) FROM migrations") == known {
                    expand(node.database(), Some(known));
                }
                node.restart();
                assert!(told.stored.load(Ordering::Relaxed) > before, "nothing was taken meanwhile");
            }
        }
        over.store(true, Ordering::Relaxed);
    });
    let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
    println!("{} stored, {} passed on", count(&told.stored), count(&told.passed_on));
    assert_eq!(count(&told.refused), 0, "{}\n{}", one.log(), other.log());
    assert!(count(&told.passed_on) > 0, "no node was ever away");
    assert_eq!(one.count("SELECT count(*) FROM events"), i64::try_from(count(&told.stored)).unwrap());
}
