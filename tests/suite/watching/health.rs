//! Goal R25: what the box says of its health, in good and in bad times.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::backend::{on_both_backends, on_postgres_alone};
use crate::harness::http::Request;
use crate::harness::postgres::{Cluster, Shutdown};
use crate::harness::{Backend, Server, poll};

on_both_backends! {
    health_has_what_users_of_both_protocols_look_for,
    a_schema_that_is_too_old_is_no_readiness,
}

mod away {
    super::on_postgres_alone! { readiness_follows_the_database_and_liveness_does_not }

    fn readiness_follows_the_database_and_liveness_does_not() {
        super::readiness_follows_the_database_and_liveness_does_not();
    }
}

/// The names of the reasons that an answer tells.
#[track_caller]
fn reasons(body: &Value) -> Vec<&str> {
    let all = body["reasons"].as_array().unwrap_or_else(|| panic!("{body}"));
    assert!(all.iter().all(|one| one["message"].as_str().is_some_and(|text| text.ends_with('.'))), "{body}");
    all.iter().map(|one| one["name"].as_str().unwrap()).collect()
}

fn health_has_what_users_of_both_protocols_look_for(backend: Backend) {
    let launch = Server::with().backend(backend).setting("TALLYBOX_TEARDOWN_BUILD_ID", "9f3c2d1");
    let server = launch.setting("TALLYBOX_TEARDOWN_SERVICE_ID", "eu-1").start_fresh();
    let body = server.get("/health").expect(200).json();
    let names: BTreeSet<&str> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let expected = ["build_id", "ok", "reasons", "service_id", "status", "timestamp", "version"];
    assert_eq!(names, BTreeSet::from(expected));
    assert_eq!((&body["status"], &body["ok"]), (&json!("healthy"), &json!(true)));
    assert_eq!((&body["build_id"], &body["service_id"]), (&json!("9f3c2d1"), &json!("eu-1")));
    assert!(body["timestamp"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{body}");
    for (path, word) in [("/health", "healthy"), ("/health/live", "alive"), ("/health/ready", "ready")] {
        let reply = server.get(path).expect(200);
        assert_eq!((&reply.json()["status"], reasons(&reply.json())), (&json!(word), vec![]));
        assert!(server.send(&Request::head(path)).expect(200).body.is_empty());
    }
    assert_eq!(server.get("/td/health").expect(200).json()["status"], "ok");
}

fn a_schema_that_is_too_old_is_no_readiness(backend: Backend) {
    let server = Server::with().backend(backend).start_fresh();
    let kept = server.sql("SELECT max(number) FROM migrations");
    server
        .database()
        .alter("UPDATE migrations SET number = -number WHERE number = (SELECT max(number) FROM migrations)");
    server.await_status("/health/ready", 503);
    assert_eq!(reasons(&server.get("/health/ready").expect(503).json()), ["schema"]);
    server.get("/health/live").expect(200);
    server.database().alter("UPDATE migrations SET number = -number WHERE number < 0");
    server.await_status("/health/ready", 200);
    assert_eq!(server.sql("SELECT max(number) FROM migrations"), kept);
}

fn readiness_follows_the_database_and_liveness_does_not() {
    let mut cluster = Cluster::start();
    let server = Server::with().database(cluster.database()).start_fresh();
    for stop in [Shutdown::Fast, Shutdown::Fast] {
        cluster.stop(stop);
        server.turns(503, Instant::now(), "PostgreSQL's stop");
        poll::throughout(Duration::from_millis(1_500), || {
            let live = server.get("/health/live").expect(200).json();
            assert_eq!((&live["status"], reasons(&live)), (&json!("alive"), vec![]));
            let ready = server.get("/health/ready").expect(503).json();
            assert_eq!((&ready["status"], reasons(&ready)), (&json!("unready"), vec!["database_unavailable"]));
            let health = server.get("/health").expect(503).json();
            assert_eq!((&health["status"], &health["ok"]), (&json!("unhealthy"), &json!(false)));
            let figures = server.get("/metrics").expect(200).text();
            assert!(figures.contains("\ntallybox_ready{reason=\"database_unavailable\"} 0\n"), "{figures}");
        });
        cluster.restart();
        server.turns(200, Instant::now(), "PostgreSQL's restart");
    }
    // Told when it turns, not with every request.
    let (log, count) = (server.log(), |log: &str, part: &str| log.lines().filter(|line| line.contains(part)).count());
    let told = count(&log, "the box is not ready");
    assert!(told >= 2 && told < count(&log, "status=503") / 2, "{log}");
}
