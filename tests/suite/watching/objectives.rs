//! Objectives: what counts against them, that counts outlive the process and add up over nodes, and who is told.

use serde_json::Value;

use crate::harness::backend::{on_both_backends, on_postgres_alone};
use crate::harness::{Backend, Server, kit};

on_both_backends! { counts_outlive_the_process }

mod nodes {
    super::on_postgres_alone! { counts_of_all_nodes_add_up }

    fn counts_of_all_nodes_add_up() {
        super::counts_of_all_nodes_add_up();
    }
}

/// Requests and misses of an objective, as the status page has them.
#[track_caller]
fn counts(server: &Server, cookie: &str, traffic: &str, objective: &str) -> (u64, u64) {
    let told = server.page("/box.json", cookie).expect(200).json();
    let all = told["objectives"].as_array().unwrap();
    let found = all.iter().find(|one| one["traffic"] == traffic && one["objective"] == objective);
    let found = found.unwrap_or_else(|| panic!("{told}"));
    (found["requests"].as_u64().unwrap(), found["misses"].as_u64().unwrap())
}

fn counts_outlive_the_process(backend: Backend) {
    let mut server = Server::over(backend);
    let app = server.app("Objective");
    for n in 0..5 {
        server.accept(&app, &[kit::event(&format!("e{n}"))]);
    }
    // What is wrong with a request is no fault of the box, and whoever watches it is no user.
    server.send(&app.sdk(b"{")).expect(400);
    server.get("/health").expect(200);
    server.get("/metrics").expect(200);
    let cookie = server.sign_in();
    assert_eq!(counts(&server, &cookie, "ingest", "availability"), (6, 0));
    let (pages, _) = counts(&server, &cookie, "pages", "availability");
    assert!(server.stop().success());
    let stored = "SELECT sum(requests) FROM answered_hours WHERE traffic = 'ingest'";
    assert_eq!(server.count(stored), 6);
    server.restart();
    assert_eq!(counts(&server, &cookie, "ingest", "availability"), (6, 0));
    assert!(counts(&server, &cookie, "pages", "availability").0 > pages);
    server.accept(&app, &[kit::event("more")]);
    assert_eq!(counts(&server, &cookie, "ingest", "latency").0, 7);
    let page = server.page("/box", &cookie).expect(200).text();
    assert!(page.contains("of 7 requests") && page.contains("99.9%"), "{page}");
    let figures = server.get("/metrics").expect(200).text();
    let line = r#"tallybox_objective_requests{traffic="ingest",objective="availability"} 7"#;
    assert!(figures.lines().any(|found| found == line), "{figures}");
}

fn counts_of_all_nodes_add_up() {
    let mut one = Server::over(Backend::Postgres);
    let app = one.app("Fleet");
    let crate::harness::Database::Postgres(database) = one.database() else { unreachable!("it is over PostgreSQL") };
    let mut other = Server::with().database(database.at(database.port())).start_fresh();
    for server in [&one, &other] {
        server.accept(&app, &[kit::event("a")]);
    }
    assert!(other.stop().success() && one.stop().success());
    one.restart();
    let cookie = one.sign_in();
    assert_eq!(counts(&one, &cookie, "ingest", "availability"), (2, 0));
}

#[test]
fn a_budget_that_is_spent_is_told_once_and_shown() {
    let mut server = Server::with().setting("TALLYBOX_LOG_FORMAT", "json").start();
    let app = server.app("Spent");
    server.accept(&app, &[kit::event("a")]);
    assert!(server.stop().success());
    server.set("TALLYBOX_DISK_FLOOR_BYTES", "4000000GiB");
    server.launch();
    for n in 0..12 {
        server.send(&app.sdk(&kit::batch(&[kit::event(&format!("e{n}"))]))).expect(503);
    }
    let ready = server.get("/health/ready").expect(503).json();
    assert_eq!(ready["reasons"][0]["name"], "disk_full", "{ready}");
    assert!(server.stop().success());
    server.set("TALLYBOX_DISK_FLOOR_BYTES", "0");
    server.restart();
    let cookie = server.sign_in();
    assert_eq!(counts(&server, &cookie, "ingest", "availability"), (13, 12));
    let told = server.page("/box.json", &cookie).expect(200).json();
    let finding =
        told["findings"].as_array().unwrap().iter().find(|one| {
            one["what"].as_str().unwrap().contains("Requests of SDKs are answered with an error too often")
        });
    assert_eq!(finding.unwrap_or_else(|| panic!("{told}"))["level"], "look");
    let page = server.page("/box", &cookie).expect(200).text();
    assert!(page.contains("nothing, 12 misses too many"), "{page}");
    let lines: Vec<Value> = server.log().lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let told: Vec<_> = lines.iter().filter(|line| line["message"] == "the error budget of 30 days is spent").collect();
    let [line] = &told[..] else { panic!("{told:?}") };
    assert_eq!(
        (&line["traffic"], &line["objective"], &line["misses"]),
        (&"ingest".into(), &"availability".into(), &12.into())
    );
}
