//! A made-up app: made by the verb through the real pipeline, counted and shown as any other.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, MEMBER, PASSWORD, Server, poll};

on_both_backends! {
    a_made_up_app_is_conserved_and_shown,
    the_same_seed_and_end_count_the_same_and_a_repeat_counts_once,
}

/// Small enough for a test, and long enough for a bad release and its fix.
const SMALL: [&str; 6] = ["--days", "40", "--users", "90", "--events", "4000"];

fn a_made_up_app_is_conserved_and_shown(backend: Backend) {
    let mut server = Server::with().backend(backend).prepare();
    let told = tell(&server, &[]);
    assert_eq!(told["events"], told["stored"] + told["duplicates"] + told["set aside"], "{told:?}");
    assert!((3_000..5_000).contains(&told["events"]), "{told:?}");
    assert_eq!(server.count("SELECT count(*) FROM events"), told["stored"]);
    for (outcome, name) in [("stored", "stored"), ("duplicate", "duplicates"), ("set_aside", "set aside")] {
        let counted =
            server.count(&format!("SELECT coalesce(sum(events), 0) FROM intake_days WHERE outcome = '{outcome}'"));
        assert_eq!(counted, told[name], "{told:?}");
    }
    for (what, least) in [
        ("users", 60),
        ("sessions", 200),
        ("devices", 5),
        ("events WHERE error_id IS NOT NULL", 10),
        ("events WHERE skew > 60000 OR skew < -60000", 1),
        ("events WHERE delay > 86400000", 1),
    ] {
        let found = server.count(&format!("SELECT count(*) FROM {what}"));
        assert!(found >= least, "{found} {what}");
    }
    let rebuilt = server.run(&["rebuild"]);
    assert!(rebuilt.contains("all summaries are what was counted"), "{rebuilt}");
    let opened = "SELECT count(*) FROM events WHERE name_id IN (SELECT id FROM strings WHERE text = 'app_opened')";
    let opened = server.count(opened);
    server.restart();
    server.run_with(&["member", "create", MEMBER, "--role", "owner"], &format!("{PASSWORD}\n"));
    let page = server.page("/apps/demo?range=year", &server.sign_in()).expect(200).text();
    for figure in [thousands(told["stored"]), thousands(opened), "app_opened".to_owned()] {
        assert!(page.contains(&figure), "no {figure} in {page}");
    }
    // The server settles what is over, tells when it has, and nothing looks different then.
    let waits = || server.get("/metrics").text();
    poll::until(Duration::from_secs(60), "an end of settling", || {
        let text = waits();
        let done = |name: &str| text.lines().any(|line| line == format!("{name} 0"));
        (done("tallybox_unsettled_days") && done("tallybox_unsettled_counts")).then_some(())
    });
    assert!(server.count("SELECT count(*) FROM settled_days WHERE state = 2") > 30);
    assert!(server.count("SELECT count(*) FROM settled_counts WHERE state = 2") > 8);
    let kept = server.count("SELECT sum(events) FROM settled_events");
    assert!(kept > told["stored"] / 2, "{kept}");
    let settled = server.run(&["rebuild"]);
    assert_eq!(settled, rebuilt);
}

/// Pages of an app with much to show. None may weigh more than 60 KB on its way to the browser.
const HEAVY: &[&str] = &[
    "",
    "?range=year&by=day&compare=year",
    "?range=28d&system=windows&version!=1.0.0&metric=crash_free_sessions",
    "?range=28d&prop:template=blank",
    "/live",
    "/events?range=28d",
    "/event?name=note_created&range=28d",
    "/breakdown?dimension=device&range=28d",
    "/breakdown?dimension=prop:template&metric=users&range=28d",
    "/explorer?range=28d",
    "/funnels",
    "/funnel?step=app_opened&step=note_created&step=note_shared&window=7d&range=28d&split=system",
    "/users",
    "/sessions?range=28d",
    "/devices",
    "/retention?cohort=day",
    "/retention?cohort=week&born=note_created&back=note_shared",
    "/errors?range=28d",
    "/versions",
    "/version?name=1.1.0",
];

#[test]
fn no_page_of_a_well_filled_app_weighs_more_than_60_kb() {
    let mut server = Server::with().prepare();
    server.run(&["demo", "--days", "40", "--users", "400", "--events", "20000"]);
    server.restart();
    server.run_with(&["member", "create", MEMBER, "--role", "owner"], &format!("{PASSWORD}\n"));
    let cookie = server.sign_in();
    for path in HEAVY {
        let page = server.page(&format!("/apps/demo{path}"), &cookie).expect(200).text();
        let mut packed = GzEncoder::new(Vec::new(), Compression::default());
        packed.write_all(page.as_bytes()).unwrap();
        let packed = packed.finish().unwrap().len();
        assert!(packed < 60_000, "{path}: {packed} of {} bytes", page.len());
    }
}

fn the_same_seed_and_end_count_the_same_and_a_repeat_counts_once(backend: Backend) {
    let server = Server::with().backend(backend).prepare();
    let end = ["--until", "2026-06-30", "--seed", "7"];
    let one = tell(&server, &end);
    let other = tell(&server, &[&end[..], &["--app", "other"]].concat());
    assert_eq!(one, other);
    let counts = |app: &str| {
        let of_app = format!(
            "env_id IN (SELECT e.id FROM environments e JOIN apps a ON a.id = e.app_id WHERE a.slug = '{app}')"
        );
        // Two writers commit in an order of their own, on which sessions depend that pauses tell apart.
        let tables: &[&str] = match backend {
            Backend::Sqlite => &["events", "users", "user_days", "devices", "sessions", "rollup_hours"],
            Backend::Postgres => &["events", "users", "user_days", "devices"],
        };
        let count = |table: &&str| server.count(&format!("SELECT count(*) FROM {table} WHERE {of_app}"));
        tables.iter().map(count).collect::<Vec<_>>()
    };
    assert_eq!(counts("demo"), counts("other"));
    let elsewhere = tell(&server, &["--until", "2026-06-30", "--seed", "8", "--app", "third"]);
    assert_ne!(one, elsewhere);

    let again = server.try_run(&[&["demo"], &SMALL[..], &end].concat(), "");
    let said = String::from_utf8_lossy(&again.stderr);
    assert!(!again.status.success() && said.contains("the app demo has events"), "{said}");
    let again = tell(&server, &[&end[..], &["--add"]].concat());
    assert_eq!((again["events"], again["stored"]), (one["events"], 0), "{again:?}");
    assert_eq!(server.count("SELECT count(*) FROM apps"), 3);
}

#[test]
fn a_file_that_a_server_uses_is_left_alone() {
    let server = Server::start();
    let refused = server.try_run(&[&["demo"], &SMALL[..]].concat(), "");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("another server (process "), "{said}");
    assert_eq!(server.count("SELECT count(*) FROM apps"), 0);
}

#[test]
fn what_cannot_be_told_is_refused_before_anything_is_made() {
    let server = Server::with().prepare();
    for (arguments, reason) in [
        (["--until", "2099-01-01"], "lies in the future"),
        (["--until", "soon"], "not a time"),
        (["--days", "0"], "0 is not in 1..=3650"),
        (["--users", "0"], "0 is not in 1..=500000"),
        (["--events", "0"], "0 is not in 1..=100000000"),
    ] {
        let refused = server.try_run(&[&["demo"], &arguments[..]].concat(), "");
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(!refused.status.success() && said.contains(reason), "{arguments:?}: {said}");
        assert!(!server.data().exists(), "{arguments:?} made a data directory");
    }
}

/// Tells a small story; the numbers that the verb prints, but for how long it took.
#[track_caller]
fn tell(server: &Server, arguments: &[&str]) -> BTreeMap<String, i64> {
    let told = server.run(&[&["demo"], &SMALL[..], arguments].concat());
    let number = |line: &str| {
        let (name, value) = line.split_once("  ")?;
        Some((name.to_owned(), value.trim().parse().ok()?))
    };
    let mut numbers: BTreeMap<String, i64> = told.lines().filter_map(number).collect();
    numbers.remove("seed");
    assert!(numbers.len() >= 5, "{told}");
    numbers
}

fn thousands(number: i64) -> String {
    if number < 1_000 { number.to_string() } else { format!("{},{:03}", number / 1_000, number % 1_000) }
}
