//! Figures sent to a collector, as the published reader of OTLP reads them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::traffic;
use crate::harness::collector::Collector;
use crate::harness::{Server, poll};

/// The points of a metric.
fn points<'a>(told: &'a Value, name: &str, kind: &str) -> &'a Vec<Value> {
    let metrics = told["metrics"].as_array().unwrap();
    let found = metrics.iter().find(|metric| metric["name"] == name).unwrap_or_else(|| panic!("no {name} in {told}"));
    assert_eq!(found["kind"], kind, "{name}");
    found["points"].as_array().unwrap()
}

#[test]
fn a_collector_is_sent_what_prometheus_reads_and_may_be_away() {
    let collector = Collector::start(0);
    let port = collector.port;
    let launch = Server::with()
        .setting("TALLYBOX_OTLP_METRICS_URL", format!("http://127.0.0.1:{port}/v1/metrics"))
        .setting("TALLYBOX_OTLP_METRICS_PERIOD_MS", 100)
        .setting("TALLYBOX_OTLP_HEADERS", "authorization=Bearer canary-of-the-collector, x-scope=box");
    let server = launch.start();
    let app = server.app("Pushed");
    traffic(&server, &app);
    let stored = json!([{ "app": "pushed", "outcome": "stored" }, "3"]);
    let told = loop {
        let told = collector.next();
        assert_eq!(told.get("error"), None, "{told}");
        let found = told["metrics"].as_array().unwrap().iter().find(|one| one["name"] == "tallybox_app_events_total");
        let settled =
            |points: &Value| points.as_array().unwrap().iter().any(|point| point[0] == stored[0] && point[1] == 3);
        if found.is_some_and(|metric| settled(&metric["points"])) {
            break told;
        }
    };
    assert_eq!(told["path"], "/v1/metrics");
    assert_eq!(told["headers"]["authorization"], "Bearer canary-of-the-collector");
    assert_eq!(
        (&told["headers"]["x-scope"], &told["headers"]["content-type"]),
        (&json!("box"), &json!("application/json"))
    );
    assert_eq!(
        (&told["resource"]["service.name"], told["resource"].as_object().unwrap().len()),
        (&json!("tallybox"), 3)
    );
    assert_eq!(points(&told, "events_ingested_total", "sum"), &vec![json!([{}, 3])]);
    assert_eq!(points(&told, "ingest.identify.count", "sum")[0][1], 1);
    assert!(points(&told, "tallybox_commit_duration_seconds", "histogram")[0][1].as_u64() > Some(2));
    assert_eq!(points(&told, "tallybox_ready", "gauge")[0][1], 1);
    // Nothing that has samples is left out.
    let text = server.get("/metrics").expect(200).text();
    let names = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split(['{', ' ']).next());
    let sent: BTreeSet<String> = told["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|metric| metric["name"].as_str().unwrap().replace('.', "_"))
        .collect();
    for name in names {
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(sent.contains(name) || sent.contains(family), "{name} is not sent");
    }

    drop(collector);
    poll::until(std::time::Duration::from_secs(20), "word of it in the log", || {
        server.log().contains("the collector of metrics does not take them").then_some(())
    });
    server.accept(&app, &[crate::harness::kit::event("while it is away")]);
    server.get("/health/ready").expect(200);
    let again = Collector::start(port);
    assert_eq!(again.next().get("error"), None);
    let log = server.log();
    assert_eq!(log.matches("does not take them").count(), 1, "said once\n{log}");
    assert!(!log.contains("canary-of-the-collector"), "{log}");
    let figures = server.get("/metrics").expect(200).text();
    assert!(!figures.contains("tallybox_metrics_pushes_total{result=\"failed\"} 0\n"), "{figures}");
}
