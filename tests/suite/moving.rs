//! Moving house: from one database to another and back, killed, under load, damaged, and to where it may not go.

mod contested;
pub mod look;
mod terminal;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::harness::backend::on_both_backends;
use crate::harness::kit::{self, Credentials};
use crate::harness::postgres::{Cluster, PgBouncer};
use crate::harness::random::Random;
use crate::harness::{Backend, Database, Launch, Server};

on_both_backends! {
    a_box_moves_there_and_back_and_nothing_is_different,
    a_killed_move_goes_on_from_where_it_was,
    what_is_taken_while_it_moves_comes_with_the_next_one,
    a_damaged_destination_is_found_and_repaired,
    a_destination_that_is_no_copy_is_refused,
}

const MASTER_KEY: &str = "0f1e2d3c4b5a69788796a5b4c3d2e1f00f1e2d3c4b5a69788796a5b4c3d2e1f0";

/// Its pages, at one moment of which everything lies in the past.
const PAGES: [&str; 6] = [
    "/apps",
    "/apps/first?from=DAY&to=DAY",
    "/apps/first?from=WEEK&to=DAY&by=day&metric=users",
    "/apps/second?from=WEEK&to=DAY",
    "/apps/first/keys",
    "/apps/first/set-aside",
];

fn launch(backend: Backend) -> Launch {
    Server::with().backend(backend).setting("TALLYBOX_MASTER_KEY", MASTER_KEY)
}

/// A box with two apps, both environments, users, sessions, events set aside, a second member, a revoked key.
fn furnished(backend: Backend) -> (Server, Credentials) {
    let server = launch(backend).start();
    let (first, second) = (server.app("First"), server.app("Second"));
    let told = server.run(&["key", "create", "first", "--env", "development"]);
    let development = Credentials::parse(&told);
    server.run(&["key", "create", "second", "--name", "old"]);
    server.run(&["key", "revoke", "4"]);
    for token in [&["first", "--expires", "9d"][..], &["--all-apps"]] {
        server.run(&[&["token", "create"], token].concat());
    }
    server.run_with(&["member", "create", "ada@example.org", "--role", "viewer"], "another quiet harbour\n");
    for (seed, app) in [&first, &second, &development].into_iter().enumerate() {
        server.accept(app, &events(seed as u64, 400));
    }
    let mut nameless = kit::event("x");
    nameless["event"] = json!({ "data": { "odd": "kept | \u{fc}ber" } });
    server.send(&first.sdk(&kit::batch(&[nameless]))).expect(200);
    (server, first)
}

/// Events of the eight days before today, of several users, sessions and versions.
fn events(seed: u64, count: u64) -> Vec<Value> {
    let mut random = Random::seeded(seed);
    let start = Timestamp::now() - SignedDuration::from_hours(8 * 24);
    (0..count)
        .map(|_| {
            let at = start + SignedDuration::from_millis(random.between(0, 6 * 86_400_000) as i64);
            let mut event = kit::event_of(random.uuid(), at, random.pick(&["start", "build", "\u{f6}ffnen"]));
            let user = random.between(0, 40);
            event["user_id"] = format!("client_{user:064x}").into();
            event["session_id"] = format!("sess_{:032x}", random.between(0, 4) * 1_000 + user).into();
            event["service"]["version"] = random.pick(&["1.0.0", "1.1.0", "2.0.0"]).into();
            event["event"]["data"] = json!({ "n": random.next(), "text": "a 'quoted' \u{1f600} text" });
            event
        })
        .collect()
}

fn url(database: &Database) -> String {
    match database {
        Database::Sqlite(path) => path.display().to_string(),
        Database::Postgres(database) => database.url(),
    }
}

fn other(backend: Backend) -> Backend {
    match backend {
        Backend::Sqlite => Backend::Postgres,
        Backend::Postgres => Backend::Sqlite,
    }
}

/// A new database of the other kind, in a directory of its own.
fn new_place(server: &Server, backend: Backend, name: &str) -> Database {
    let folder = server.home().join(name);
    fs::create_dir(&folder).unwrap();
    Database::create(backend, &folder)
}

fn arguments<'a>(from: &'a str, to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["move", "--from", from, "--to", to], more].concat()
}

/// Moves, which must end well; the account.
#[track_caller]
fn moved(server: &Server, from: &Database, to: &Database) -> String {
    let output = try_move(server, from, to, &[]);
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(!told.contains("DIFFERS"), "{told}");
    told
}

fn try_move(server: &Server, from: &Database, to: &Database, more: &[&str]) -> Output {
    server.try_run(&arguments(&url(from), &url(to), more), "")
}

/// Rows of a table and how many of them were copied, as the account tells.
#[track_caller]
fn figures(account: &str, table: &str) -> (i64, i64) {
    let line = account.lines().find(|line| line.split_whitespace().next() == Some(table));
    let line = line.unwrap_or_else(|| panic!("no {table} in {account}"));
    let mut words = line.split_whitespace().skip(1).map(|word| word.parse().unwrap());
    (words.next().unwrap(), words.next().unwrap())
}

/// What was copied, over all tables.
fn copied(account: &str) -> i64 {
    look::TABLES.iter().map(|(table, ..)| figures(account, table).1).sum()
}

/// The box of a server, served from another database with the same settings.
fn serve(database: Database) -> Server {
    let mut server = match database {
        Database::Postgres(database) => Server::with().database(database),
        Database::Sqlite(path) => Server::with().data_dir(path.parent().unwrap()),
    }
    .setting("TALLYBOX_MASTER_KEY", MASTER_KEY)
    .prepare();
    server.restart();
    server
}

/// All pages as one browser sees them; whoever is signed in at one place is at the other.
fn pages(server: &Server, cookie: &str) -> Vec<String> {
    let day = |ago: i64| (Timestamp::now() - SignedDuration::from_hours(24 * ago)).strftime("%Y-%m-%d").to_string();
    let read = |path: &&str| {
        let path = path.replace("DAY", &day(3)).replace("WEEK", &day(9));
        server.page(&path, cookie).expect(200).text().replace(&server.url(), "URL")
    };
    PAGES.iter().map(read).collect()
}

fn a_box_moves_there_and_back_and_nothing_is_different(backend: Backend) {
    let (mut server, first) = furnished(backend);
    let repeated = events(500, 30);
    server.accept(&first, &repeated);
    let cookie = server.sign_in();
    let before = pages(&server, &cookie);
    assert!(before[1].contains("build") && before[5].contains("kept |"), "{}", before[1]);
    server.stop();
    let digest = |database: &Database| match database {
        Database::Sqlite(path) => Some(Sha256::digest(fs::read(path).unwrap())),
        Database::Postgres(_) => None,
    };
    let untouched = digest(server.database());

    let there = new_place(&server, other(backend), "there");
    let account = moved(&server, server.database(), &there);
    look::same(server.database(), &there);
    assert_eq!(figures(&account, "events"), (1_230, 1_230), "{account}");
    assert!(figures(&account, "sessions").0 > 100 && figures(&account, "set_aside") == (1, 1), "{account}");
    let days = server.count("SELECT count(*) FROM (SELECT DISTINCT env_id, bucket / 96 FROM rollup_hours) AS d");
    assert!(account.contains(&format!("{days} days compared")) && days > 15, "{account}");
    assert_eq!(copied(&moved(&server, server.database(), &there)), 0, "the second move had something to copy");

    let back = new_place(&server, backend, "back");
    moved(&server, &there, &back);
    look::same(server.database(), &back);
    let again = new_place(&server, backend, "again");
    moved(&server, server.database(), &again);
    look::same(server.database(), &again);
    assert_eq!(digest(server.database()), untouched, "the source was written");
    assert!([&there, &back, &again].iter().all(|database| database.damage().is_empty()));

    let moved = serve(there);
    for (page, (was, is)) in PAGES.iter().zip(before.iter().zip(pages(&moved, &cookie))) {
        assert_eq!(*was, is, "{page}");
    }
    // New rows find free numbers, the old key still signs, and what came before counts once.
    moved.accept(&first, &repeated);
    assert_eq!(moved.count("SELECT count(*) FROM events"), 1_230);
    moved.accept(&first, &events(77, 50));
    assert_eq!(moved.count("SELECT count(*) FROM events"), 1_280);
    moved.app("Third");
}

fn a_killed_move_goes_on_from_where_it_was(backend: Backend) {
    let (mut server, first) = furnished(backend);
    for seed in 0..20 {
        server.accept(&first, &events(100 + seed, 1_000));
    }
    let there = new_place(&server, other(backend), "there");
    let kills = ["copied directory", "copied user_days", "copied sessions", "copied events", "compared strings"];
    for (at, line) in kills.iter().enumerate() {
        kill_at(&server, &there, line);
        if at == 2 {
            // What was written before the kill is kept; what was not begun is not there.
            assert!(there.count("SELECT count(*) FROM user_days") > 0);
            assert_eq!(there.count("SELECT count(*) FROM nonces"), 0);
        }
    }
    server.stop();
    let account = moved(&server, server.database(), &there);
    assert_eq!((figures(&account, "events").1, figures(&account, "user_days").1), (0, 0), "{account}");
    look::same(server.database(), &there);
}

/// Lets a move run until it says that, and not one step further.
#[track_caller]
fn kill_at(server: &Server, to: &Database, line: &str) {
    let (from, to) = (url(server.database()), url(to));
    let mut command = server.command(&arguments(&from, &to, &[]));
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    let seen = lines.find(|said| said.starts_with(line));
    child.kill().unwrap();
    assert!(seen.is_some(), "it never said {line}");
    assert_eq!(child.wait().unwrap().signal(), Some(9), "it ended before it was killed at {line}");
}

fn what_is_taken_while_it_moves_comes_with_the_next_one(backend: Backend) {
    let (mut server, first) = furnished(backend);
    let there = new_place(&server, other(backend), "there");
    let enough = AtomicBool::new(false);
    let sent = thread::scope(|scope| {
        let stop = Stop(&enough);
        let load = scope.spawn(|| {
            let mut sent = 0;
            while !enough.load(Ordering::Relaxed) {
                server.accept(&first, &events(1_000 + sent, 100));
                sent += 1;
            }
            sent
        });
        for _ in 0..3 {
            moved(&server, server.database(), &there);
        }
        drop(stop);
        load.join().unwrap()
    });
    assert!(sent > 3, "only {sent} requests came meanwhile");
    server.stop();
    let account = moved(&server, server.database(), &there);
    assert_eq!(figures(&account, "events").0, 1_200 + 100 * i64::try_from(sent).unwrap(), "{account}");
    look::same(server.database(), &there);
}

/// Dropped, also by a panic, it ends the load.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn a_damaged_destination_is_found_and_repaired(backend: Backend) {
    let (mut server, _) = furnished(backend);
    server.stop();
    let there = new_place(&server, other(backend), "there");
    moved(&server, server.database(), &there);
    there.alter("UPDATE events SET props = '{}' WHERE claimed_at = (SELECT max(claimed_at) FROM events)");
    there.alter("DELETE FROM users WHERE id = (SELECT min(id) FROM users)");
    there.alter("UPDATE rollup_hours SET events = events + 1 WHERE bucket = (SELECT min(bucket) FROM rollup_hours)");
    there.alter("INSERT INTO user_days (env_id, day, user_id, hours) VALUES (99, 1, 1, 1)");
    there.alter("UPDATE members SET owner = 7");
    let account = moved(&server, server.database(), &there);
    let events = figures(&account, "events");
    assert!(events.1 > 0 && events.1 < events.0, "a whole table was copied for one event: {account}");
    for (table, repaired) in
        [("users", true), ("rollup_hours", true), ("members", true), ("sessions", false), ("rollup_days", false)]
    {
        assert_eq!(figures(&account, table).1 > 0, repaired, "{table}: {account}");
    }
    look::same(server.database(), &there);
}

fn a_destination_that_is_no_copy_is_refused(backend: Backend) {
    let (mut server, first) = furnished(backend);
    server.stop();
    let from = server.database();
    let refused = |to: &Database, why: &str| {
        let output = try_move(&server, from, to, &[]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(why), "{said}");
    };
    refused(from, "the same");

    let mut foreign = launch(other(backend)).start();
    let app = foreign.app("Foreign");
    foreign.accept(&app, &events(5, 50));
    if backend == Backend::Postgres {
        refused(foreign.database(), "no server may use the destination");
    }
    foreign.stop();
    let before = look::all(foreign.database());
    refused(foreign.database(), "apps that the source does not have (1 of them, such as foreign)");
    assert_eq!(look::all(foreign.database()), before, "a destination was written that was refused");
    let output = try_move(&server, from, foreign.database(), &["--overwrite"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    look::same(from, foreign.database());

    // A copy that was served since is not overwritten by mistake.
    foreign.restart();
    foreign.send(&first.sdk(&kit::batch(&events(6, 10)))); // its master key may be another
    foreign.run(&["key", "create", "first"]);
    foreign.stop();
    refused(foreign.database(), "ingest keys that the source does not have");
}

#[test]
fn a_move_goes_through_a_bouncer_that_lends_connections_by_the_transaction() {
    let (mut server, _) = furnished(Backend::Sqlite);
    server.stop();
    let cluster = Cluster::start();
    let bouncer = PgBouncer::before(&cluster, 2);
    let database = cluster.database();
    let through = Database::Postgres(database.at(bouncer.port()));
    moved(&server, server.database(), &through);
    moved(&server, &through, &new_place(&server, Backend::Sqlite, "back"));
    look::same(server.database(), &Database::Postgres(database));
}

#[test]
fn a_file_that_a_server_has_open_is_refused_wherever_its_lock_is() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("elsewhere.db");
    let mut server = launch(Backend::Sqlite).start();
    let mut other = Server::with().setting("TALLYBOX_DATABASE_URL", file.display()).start_fresh();
    let there = Database::Sqlite(file);
    let output = try_move(&server, server.database(), &there, &[]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("stop its server"), "{said}");
    other.stop();
    server.stop();
    moved(&server, server.database(), &there);
    look::same(server.database(), &there);
}

#[test]
fn a_destination_that_does_not_keep_what_is_written_is_told() {
    let (mut server, _) = furnished(Backend::Sqlite);
    server.stop();
    let there = new_place(&server, Backend::Sqlite, "there");
    moved(&server, server.database(), &there);
    there.alter(
        "CREATE TRIGGER forgetful AFTER INSERT ON user_days BEGIN DELETE FROM user_days WHERE user_id = NEW.user_id; END;
         DELETE FROM user_days WHERE day = (SELECT max(day) FROM user_days)",
    );
    let output = try_move(&server, server.database(), &there, &[]);
    let (told, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{told}");
    let line = told.lines().find(|line| line.starts_with("user_days")).unwrap();
    assert!(line.ends_with("DIFFERS") && told.contains("do not use it"), "{told}");
    assert_eq!(told.matches("DIFFERS").count(), 1, "{told}");
    let day = server.sql("SELECT date(max(day) * 86400, 'unixepoch') FROM user_days");
    assert!(said.contains("these differ: user_days (env_id ") && said.contains(day.trim()), "{said}");
}

#[test]
fn secrets_are_in_files_and_in_no_output() {
    let mut server = launch(Backend::Sqlite).start();
    server.stop();
    let there = new_place(&server, Backend::Postgres, "there");
    let with_password = url(&there).replace("@", ":canary-password@");
    let from = url(server.database());
    let output = server.try_run(&arguments(&from, &with_password, &[]), "");
    let said = |output: &Output| [&output.stdout[..], &output.stderr].concat();
    let text = |output: &Output| String::from_utf8(said(output)).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("must not hold a password") && !text(&output).contains("canary"));

    let file = server.home().join("url");
    fs::write(&file, format!("{with_password}\n")).unwrap();
    let by_file = |from: &str| server.try_run(&["move", "--from", from, "--to-file", file.to_str().unwrap()], "");
    let output = by_file(&from);
    assert!(output.status.success() && !text(&output).contains("canary"), "{}", text(&output));
    look::same(server.database(), &there);

    fs::write(&file, with_password.replace("127.0.0.1:", "127.0.0.1:1")).unwrap();
    let nowhere = by_file(&from);
    assert!(!nowhere.status.success() && !text(&nowhere).contains("canary"), "{}", text(&nowhere));
    assert!(text(&nowhere).contains("the destination:"), "{}", text(&nowhere));
    let nothing = by_file("/nowhere/tallybox.db");
    assert!(text(&nothing).contains("there is no file") && !Path::new("/nowhere").exists(), "{}", text(&nothing));
}
