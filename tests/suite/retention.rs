//! What is too old is told, laid down, deleted and brought back by verbs and pages, and makes room on a full disk.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::durability::disk::{Disk, can_mount, fill};
use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::{Backend, MEMBER, PASSWORD, Server, kit, poll};
use crate::pages::{hidden, lint};

on_both_backends! {
    what_is_too_old_lies_in_the_archive_and_comes_back_counted_once,
    another_app_takes_an_export_once_and_nobody_who_was_erased_comes_back,
    the_owner_of_the_box_is_asked_and_admins_choose,
}

/// A made-up app of that many days.
fn story(server: &Server, days: &str, events: &str) {
    server.run(&["demo", "--days", days, "--users", "60", "--events", events]);
}

/// As if the last choice were older than a minute.
fn let_it_rest(server: &Server) {
    server.database().alter("UPDATE keeping SET changed_at = 0");
}

fn refused(server: &Server, arguments: &[&str]) -> String {
    let output = server.try_run(arguments, "");
    assert!(!output.status.success(), "{arguments:?} did it");
    String::from_utf8(output.stderr).unwrap()
}

/// The number behind a label.
fn told(text: &str, label: &str) -> i64 {
    let line = text.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("no {label} in {text}"));
    line[label.len()..].trim().parse().unwrap()
}

fn summaries(server: &Server) -> String {
    server.sql("SELECT * FROM rollup_hours ORDER BY 1, 2, 3, 4")
        + &server.sql("SELECT * FROM rollup_days ORDER BY 1, 2, 3, 4")
}

fn manifests(folder: &Path) -> Vec<Value> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        if entry.is_dir() {
            found.extend(manifests(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "json") {
            found.push(serde_json::from_slice(&fs::read(entry).unwrap()).unwrap());
        }
    }
    found
}

fn rows(manifests: &[Value], kind: &str) -> i64 {
    manifests.iter().filter(|one| one["kind"] == kind).map(|one| one["rows"].as_i64().unwrap()).sum()
}

fn what_is_too_old_lies_in_the_archive_and_comes_back_counted_once(backend: Backend) {
    let away = tempfile::tempdir().unwrap();
    let archive = away.path().join("archive");
    let server = Server::with().backend(backend).setting("TALLYBOX_ARCHIVE_DIR", archive.display()).prepare();
    story(&server, "60", "3000");
    let (events, before) = (server.count("SELECT count(*) FROM events"), summaries(&server));
    assert!(server.run(&["prune", "--dry-run"]).contains("nothing is older"), "a made-up app keeps its year");
    let shown = server.run(&["app", "retention", "demo", "--events", "30", "--set-aside", "box"]);
    assert!(shown.contains("forever") && shown.contains("the app"), "{shown}");
    let_it_rest(&server);

    let first = refused(&server, &["prune"]);
    assert!(first.contains("nothing was ever deleted") && first.contains("--confirm-clock"), "{first}");
    let dry = server.run(&["prune", "--dry-run", "--app", "demo"]);
    assert!(dry.contains("production") && dry.contains("events"), "{dry}");
    assert_eq!(server.count("SELECT count(*) FROM events"), events);
    let done = server.run(&["prune", "--confirm-clock"]);
    let left = server.count("SELECT count(*) FROM events");
    assert!(left < events && left > 0 && done.contains("in the archive"), "{left} of {events}: {done}");
    let laid = manifests(&archive);
    assert_eq!(rows(&laid, "events"), events - left);
    assert_eq!(summaries(&server), before);
    let again = server.run(&["prune"]);
    assert!(again.contains("nothing is older"), "{again}");
    assert!(server.run(&["rebuild"]).contains("all summaries are what was counted"));

    let place = archive.display().to_string();
    let early = refused(&server, &["import", "demo", &place]);
    assert!(early.contains("would be deleted again"), "{early}");
    server.run(&["app", "retention", "demo", "--events", "forever"]);
    let newest = laid.iter().filter(|one| one["kind"] == "events").max_by_key(|one| one["from"].as_i64()).unwrap();
    let hidden = archive.join(newest["file"].as_str().unwrap().replace(".ndjson.gz", ".json"));
    let kept = fs::read(&hidden).unwrap();
    fs::remove_file(&hidden).unwrap();
    let gap = refused(&server, &["import", "demo", &place]);
    assert!(gap.contains("without a gap"), "{gap}");
    fs::write(&hidden, kept).unwrap();
    let back = server.run(&["import", "demo", &place]);
    assert_eq!((told(&back, "brought back"), told(&back, "stored")), (events - left, 0), "{back}");
    let twice = server.run(&["import", "demo", &place]);
    assert_eq!((told(&twice, "there already"), told(&twice, "stored")), (events - left, 0), "{twice}");
    assert_eq!(server.count("SELECT count(*) FROM events"), events);
    assert_eq!(server.count("SELECT count(*) FROM events WHERE session_id IS NULL AND user_id IS NOT NULL"), 0);
    assert_eq!(summaries(&server), before);
    let rebuilt = server.run(&["rebuild"]);
    assert!(rebuilt.contains("all summaries are what was counted"), "{rebuilt}");

    // A file that was changed since is told of, and nothing of it is used.
    let file = archive.join(newest["file"].as_str().unwrap());
    let mut bytes = fs::read(&file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&file, bytes).unwrap();
    let changed = refused(&server, &["import", "demo", &place]);
    assert!(changed.contains("is not the file that its manifest tells of"), "{changed}");
}

#[test]
fn parquet_is_written_where_it_is_built_in_and_never_imported() {
    let away = tempfile::tempdir().unwrap();
    let server = Server::with().prepare();
    story(&server, "2", "200");
    let place = away.path().display().to_string();
    if cfg!(feature = "parquet") {
        server.run(&["export", "demo", &place, "--format", "parquet"]);
    } else {
        let said = refused(&server, &["export", "demo", &place, "--format", "parquet"]);
        assert!(said.contains("`cargo build --release --features parquet`"), "{said}");
        let checked = server.command(&["config", "check"]).env("TALLYBOX_ARCHIVE_FORMAT", "parquet").output().unwrap();
        let said = String::from_utf8_lossy(&checked.stderr);
        assert!(!checked.status.success() && said.contains("must be ndjson: this program was built without"), "{said}");
        server.run(&["export", "demo", &place]);
        for file in manifests(away.path()) {
            let path = away.path().join(file["file"].as_str().unwrap().replace(".ndjson.gz", ".json"));
            let text = fs::read_to_string(&path).unwrap();
            fs::write(&path, text.replace("tallybox-records/1", "tallybox-records-parquet/1")).unwrap();
        }
    }
    let laid = manifests(away.path());
    assert_eq!(rows(&laid, "events"), server.count("SELECT count(*) FROM events"));
    let said = refused(&server, &["import", "demo", &place]);
    assert!(said.contains("is Parquet, which is for other programs"), "{said}");
}

fn another_app_takes_an_export_once_and_nobody_who_was_erased_comes_back(backend: Backend) {
    let away = tempfile::tempdir().unwrap();
    let place = away.path().join("out").display().to_string();
    let server = Server::with().backend(backend).prepare();
    story(&server, "20", "1200");
    let (events, users) = (server.count("SELECT count(*) FROM events"), server.count("SELECT count(*) FROM users"));
    let out = server.run(&["export", "demo", &place, "--what", "events", "--what", "sessions"]);
    assert!(out.contains("files"), "{out}");
    let laid = manifests(Path::new(&place));
    assert_eq!(
        (rows(&laid, "events"), rows(&laid, "sessions")),
        (events, server.count("SELECT count(*) FROM sessions"))
    );

    server.run(&["app", "create", "Copy", "--slug", "copy"]);
    let copied = server.run(&["import", "copy", &place]);
    assert_eq!((told(&copied, "stored"), told(&copied, "unusable")), (events, 0), "{copied}");
    let twice = server.run(&["import", "copy", &place]);
    assert_eq!((told(&twice, "stored"), told(&twice, "there already")), (0, events), "{twice}");
    let of_copy = |table: &str| {
        let own = "env_id IN (SELECT e.id FROM environments e JOIN apps a ON a.id = e.app_id WHERE a.slug = 'copy')";
        server.count(&format!("SELECT count(*) FROM {table} WHERE {own}"))
    };
    assert_eq!(of_copy("events"), events);
    let named = "SELECT count(DISTINCT user_id) FROM events WHERE env_id IN (SELECT id FROM environments WHERE app_id = \
                 (SELECT id FROM apps WHERE slug = 'demo'))";
    assert_eq!(of_copy("users"), server.count(named), "somebody is one person still");
    assert_eq!(server.count("SELECT count(DISTINCT hash) FROM users"), users + of_copy("users"), "and nobody known");
    assert!(server.run(&["rebuild"]).contains("all summaries are what was counted"));

    let somebody = if backend == Backend::Sqlite { "lower(hex(hash))" } else { "replace(hash::text, '-', '')" };
    let most = format!(
        "SELECT {somebody} FROM users WHERE id = (SELECT user_id FROM events WHERE user_id IS NOT NULL AND env_id IN \
         (SELECT id FROM environments WHERE app_id = (SELECT id FROM apps WHERE slug = 'demo')) \
         GROUP BY user_id ORDER BY count(*) DESC, user_id LIMIT 1)"
    );
    let user = server.sql(&most).trim().to_owned();
    server.run(&["erase", "--app", "demo", "--user", &user, "--yes"]);
    let left = server.count("SELECT count(*) FROM events");
    let back = server.run(&["import", "demo", &place]);
    assert!(told(&back, "of erased people") > 0 && told(&back, "stored") == 0, "{back}");
    assert_eq!(server.count("SELECT count(*) FROM events"), left);
}

fn the_owner_of_the_box_is_asked_and_admins_choose(backend: Backend) {
    let mut server = Server::with().backend(backend).setting("TALLYBOX_RETENTION_DAYS", 30).prepare();
    story(&server, "60", "1500");
    server.run(&["app", "retention", "demo", "--events", "box"]);
    let_it_rest(&server);
    server.restart();
    server.run_with(&["member", "create", MEMBER, "--role", "owner"], &format!("{PASSWORD}\n"));
    let metric = |line: &str| server.get("/metrics").text().lines().any(|found| found == line);
    poll::until(std::time::Duration::from_secs(30), "the alarm", || metric("tallybox_prune_held 1").then_some(()));
    let owner = server.sign_in();
    let status = server.page("/box", &owner).expect(200);
    lint(&status);
    assert!(status.text().contains("Is the clock right?"), "{}", status.text());
    assert!(server.log().contains("nothing was ever deleted"), "{}", server.log());
    let events = server.count("SELECT count(*) FROM events");
    let csrf = |cookie: &str| hidden(&server.page("/apps", cookie).expect(200).text(), "csrf");
    let post = |cookie: &str, path: &str, fields: &[(&str, &str)]| -> Reply {
        let csrf = csrf(cookie);
        let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
        server.send(&Request::form(path, &fields).header("cookie", cookie))
    };
    let (admin, viewer) = (server.sign_in_as("admin"), server.sign_in_as("viewer"));
    post(&admin, "/box/clock", &[]).expect(403);
    assert_eq!(server.count("SELECT count(*) FROM events"), events);

    server.page("/apps/demo/keeping", &viewer).expect(403);
    let page = server.page("/apps/demo/keeping", &admin).expect(200);
    lint(&page);
    assert!(page.text().contains("Nothing is deleted now") && page.text().contains("Kept 30 days"), "{}", page.text());
    let choice = [("environment", "production"), ("events", "20"), ("sessions", ""), ("set-aside", "0")];
    post(&viewer, "/apps/demo/keeping", &choice).expect(403);
    for wrong in ["-1", "many", "99999"] {
        let fields = [("environment", "production"), ("events", wrong)];
        assert!(
            post(&admin, "/apps/demo/keeping", &fields).expect(422).text().contains("A number of days is"),
            "{wrong}"
        );
    }
    post(&admin, "/apps/demo/keeping", &choice).expect(303);
    let page = server.page("/apps/demo/keeping", &admin).expect(200).text();
    assert!(page.contains("Kept 20 days") && page.contains("Kept for ever"), "{page}");
    let changes = server.page("/apps/demo/changes", &admin).expect(200).text();
    assert!(changes.contains("events 20 days; sessions as the box is set; set-aside for ever"), "{changes}");

    post(&owner, "/box/clock", &[]).expect(303);
    assert!(!server.page("/box", &owner).expect(200).text().contains("Is the clock right?"));
    let_it_rest(&server);
    let pruned = server.run(&["prune"]);
    assert!(pruned.contains("deleted") || pruned.contains("nothing is older"), "{pruned}");
    poll::until(std::time::Duration::from_secs(90), "an end of what is too old", || {
        (server.count("SELECT count(*) FROM events") < events).then_some(())
    });
    let list = server.page("/apps/demo/events?range=all", &owner).expect(200);
    lint(&list);
    assert!(list.text().contains("are deleted. Totals stay"), "{}", list.text());
}

/// Goal R4: retention makes room on a disk that is full, beside a server that takes nothing for lack of it.
#[test]
fn deleting_what_is_too_old_makes_room_on_a_full_disk() {
    if !can_mount("full disk and retention") {
        return;
    }
    let disk = Disk::memory(128);
    let junk = disk.path().join("junk");
    let mut server = Server::with()
        .data_dir(&disk.path().join("box"))
        .setting("TALLYBOX_DISK_FLOOR_BYTES", 2 << 20)
        .setting("TALLYBOX_DISK_BALLAST_BYTES", 1 << 20)
        .prepare();
    story(&server, "60", "20000");
    server.run(&["app", "retention", "demo", "--events", "5"]);
    let_it_rest(&server);
    server.restart();
    server.run_with(&["member", "create", MEMBER, "--role", "owner"], &format!("{PASSWORD}\n"));
    let credentials = server.app("Drill");
    let send = |server: &Server| server.send(&credentials.sdk(&kit::batch(&[kit::event("probe")])));
    assert_eq!(send(&server).status, 200);
    fill(&junk, 0);
    poll::until(std::time::Duration::from_secs(20), "refusal", || (send(&server).status == 503).then_some(()));
    server.crash();
    fill(&junk, 0);
    server.launch();
    let refusal = send(&server);
    assert_eq!((refusal.status, refusal.json()["error"].as_str()), (503, Some("storage_full")));
    assert!(refusal.header("retry-after").is_some());
    assert_eq!(server.page("/apps/demo", &server.sign_in()).status, 200);
    let pruned = server.run(&["prune", "--confirm-clock"]);
    assert!(pruned.contains("deleted"), "{pruned}");
    poll::until(std::time::Duration::from_secs(20), "acceptance", || (send(&server).status == 200).then_some(()));
    assert!(server.stop().success());
}
