//! Other products' exports, brought in by the verb `import`.

use std::io::Write;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Server};

on_both_backends! { exports_of_every_product_are_taken_once }

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/foreign").join(name)
}

/// What was told on standard output and on standard error.
fn import(server: &Server, place: &Path, more: &[&str]) -> (String, String) {
    let place = place.display().to_string();
    let output = server.try_run(&[&["import", "old", place.as_str()], more].concat(), "");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

/// The number behind a label.
#[track_caller]
fn told(text: &str, label: &str) -> i64 {
    let line = text.lines().find(|line| line.starts_with(label)).unwrap_or_else(|| panic!("no {label} in {text}"));
    line[label.len()..].trim().parse().unwrap()
}

fn events(server: &Server) -> i64 {
    server.count("SELECT count(*) FROM events")
}

fn prepared(backend: Backend) -> Server {
    // Far more than the age of what is imported, whenever this is run; one row is older than any box.
    let server = Server::with().backend(backend).setting("TALLYBOX_RETENTION_DAYS", 20 * 365).prepare();
    server.run(&["app", "create", "Old", "--slug", "old"]);
    server
}

fn exports_of_every_product_are_taken_once(backend: Backend) {
    let server = prepared(backend);
    let mut sum = 0;
    for (product, file, stored, [people, others, unusable]) in [
        ("aptabase", "aptabase.csv", 4, [0, 0, 2]),
        ("posthog", "posthog.jsonl", 4, [1, 1, 1]),
        ("umami", "umami.csv", 3, [0, 0, 1]),
        ("app-center", "app-center.json", 3, [0, 1, 1]),
    ] {
        let place = fixture(file);
        let (dry, said) = import(&server, &place, &["--from", product, "--dry-run"]);
        assert_eq!((told(&dry, "would be taken"), told(&dry, "unusable")), (stored, unusable), "{dry}");
        assert!(said.contains(&format!("{file}, line ")), "{said}");
        assert_eq!(events(&server), sum, "a dry run writes nothing");
        let (done, _) = import(&server, &place, &["--from", product]);
        assert_eq!((told(&done, "stored"), told(&done, "there already")), (stored, 0), "{done}");
        let counts = ["about people", "no events", "unusable"].map(|label| told(&done, label));
        assert_eq!(counts, [people, others, unusable], "{done}");
        let (twice, _) = import(&server, &place, &["--from", product]);
        assert_eq!((told(&twice, "stored"), told(&twice, "there already")), (0, stored), "{twice}");
        sum += stored;
        assert_eq!(events(&server), sum);
    }
    assert_eq!(server.count("SELECT count(*) FROM set_aside"), 0);
    let days = server.sql("SELECT DISTINCT day FROM intake_days WHERE outcome = 'stored' ORDER BY day");
    assert_eq!(days, "18017\n20510\n20511\n20512\n", "each counts on its own day");
    assert!(server.run(&["rebuild"]).contains("all summaries are what was counted"));
}

#[test]
fn folders_and_compressed_files_are_read_into_the_named_environment() {
    let server = prepared(Backend::Sqlite);
    let away = tempfile::tempdir().unwrap();
    let deep = away.path().join("2026/02/26/04");
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::copy(fixture("app-center.json"), deep.join("logs.v1.data")).unwrap();
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&std::fs::read(fixture("app-center.json")).unwrap()).unwrap();
    std::fs::write(away.path().join("again.gz"), packed.finish().unwrap()).unwrap();
    let (done, _) = import(&server, away.path(), &["--from", "app-center", "--env", "staging"]);
    assert_eq!((told(&done, "files"), told(&done, "stored"), told(&done, "there already")), (2, 3, 3), "{done}");
    let slugs = server.sql("SELECT DISTINCT v.slug FROM events e JOIN environments v ON v.id = e.env_id");
    assert_eq!(slugs, "staging\n");
}

#[test]
fn what_the_app_would_not_keep_is_left_out() {
    let server = prepared(Backend::Sqlite);
    let mut csv = "timestamp,user_id,session_id,event_name\n".to_owned();
    let now = jiff::Timestamp::now();
    for (days, name) in [(1, "new"), (29, "month"), (40, "old"), (4_000, "ancient")] {
        let at = now - jiff::SignedDuration::from_hours(days * 24);
        csv += &format!("{},u,s,{name}\n", at.strftime("%Y-%m-%d %H:%M:%S"));
    }
    let file = server.home().join("some.csv");
    std::fs::write(&file, csv).unwrap();
    server.run(&["app", "retention", "old", "--events", "30"]);
    let (done, _) = import(&server, &file, &["--from", "aptabase"]);
    assert_eq!((told(&done, "stored"), told(&done, "too old")), (2, 2), "{done}");
    assert!(done.contains("    tallybox app retention old --events forever\n"), "{done}");
}

#[test]
fn what_is_wrong_with_a_file_is_told() {
    let server = prepared(Backend::Sqlite);
    let file = server.home().join("broken.csv");
    std::fs::write(&file, "timestamp,user_id,session_id,event_name\n2026-02-01 00:00:00,u,s,good\n1,2\n").unwrap();
    let refused = |place: &Path, more: &[&str]| {
        let place = place.display().to_string();
        let output = server.try_run(&[&["import", "old", place.as_str()], more].concat(), "");
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let said = refused(&file, &["--from", "aptabase"]);
    assert!(said.contains("broken.csv cannot be read as an export of aptabase: line 3: a row of 2 cells"), "{said}");
    assert_eq!(events(&server), 1, "what stands before is good");
    for (more, word) in [
        (&["--from", "umami"][..], "does not name the columns"),
        (&["--from", "posthog"], "no JSON object"),
        (&["--from", "mixpanel"], "aptabase, posthog, umami, app-center"),
        (&["--from", "aptabase", "--env", "nowhere"], "no environment nowhere"),
        (&["--dry-run"], "--from"),
        (&[], "an export of another product takes --from"),
    ] {
        let said = refused(&file, more);
        assert!(said.contains(word), "{more:?}: {said}");
    }
    let said = refused(&server.home().join("nothing"), &["--from", "aptabase"]);
    assert!(said.contains("cannot be read"), "{said}");
}
