//! The published exporters themselves, unchanged.

use serde_json::{Value, json};

use super::{server_with_key, set_aside, stored};
use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Server, sdk};

on_both_backends! {
    a_thousand_records_of_the_python_exporter_are_stored_once,
}

fn a_thousand_records_of_the_python_exporter_are_stored_once(backend: Backend) {
    let (server, key) = server_with_key(backend);
    sdk::python("otlp.py", &server, &key, &[("COUNT", "1000")]);
    let own = json!({ "bytes": "AQL/", "whole": 1.0 });
    let events = assert_thousand(&server, "opentelemetry-python@1.45.2", &own);
    // The second exception is that of a span.
    let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["exception", "failed", "log"]);
    assert_eq!(events[2].1, json!({ "severity": "warn", "scope": "checkout", "body": "the cart is empty" }));
    assert_eq!(events[0].1["exception.message"], "no such cart");
    assert!(events[0].1["span_id"].as_str().is_some_and(|id| id.len() == 16), "{events:?}");
    assert_eq!(server.count("SELECT count(*) FROM events WHERE error_id IS NOT NULL"), 2);
}

#[test]
fn a_thousand_records_of_each_javascript_exporter_are_stored_once() {
    for form in ["json", "protobuf"] {
        let (server, key) = server_with_key(Backend::Sqlite);
        sdk::node("otlp.mjs", &server, &key, &[("COUNT", "1000"), ("FORM", form)]);
        let own = json!({ "nothing": null, "whole": 1 });
        let events = assert_thousand(&server, "opentelemetry-nodejs@3.1.0", &own);
        let names: Vec<&str> = events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["failed", "log"], "{form}");
        assert_eq!(server.count("SELECT count(*) FROM events WHERE error_id IS NOT NULL"), 1);
    }
}

#[test]
fn a_thousand_records_of_the_rust_exporter_are_stored_once_in_either_form() {
    for form in ["json", "protobuf"] {
        let (server, key) = server_with_key(Backend::Sqlite);
        sdk::rust(&["otlp", form], &server, &key, &[("COUNT", "1000")]);
        let own = json!({ "bytes": "AQL/", "whole": 1.0, "list": ["a", "b"], "least": i64::MIN, "most": i64::MAX });
        let events = assert_thousand(&server, "opentelemetry-rust@0.33.1", &own);
        assert_eq!(events.len(), 1, "{form}: {events:?}");
    }
}

/// Checks that each of the thousand events is there once, with all that was sent; the other events.
#[track_caller]
fn assert_thousand(server: &Server, sdk: &str, own: &Value) -> Vec<(String, Value)> {
    let (events, others): (Vec<_>, Vec<_>) = stored(server).into_iter().partition(|(name, _)| name == "checked_out");
    let mut numbers: Vec<i64> = events.iter().map(|(_, props)| props["number"].as_i64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (0..1_000).collect::<Vec<_>>());
    for (_, props) in &events {
        let mut expected = json!({
            "number": props["number"], "note": "naïve", "text": "größe 🦀 \0\"\\", "part": 0.5, "scope": "checkout",
            "list": ["a", 2, null], "nested": { "deep": { "deeper": [{ "yes": true }] } },
        });
        own.as_object().unwrap().iter().for_each(|(name, value)| expected[name] = value.clone());
        assert_eq!(props, &expected);
    }
    let query =
        "SELECT count(DISTINCT session_id), count(DISTINCT user_id) FROM events e JOIN strings s ON s.id = name_id
                 WHERE text = 'checked_out'";
    assert_eq!(server.sql(query), "7|1\n");
    for (fact, value) in [
        ("sdk", sdk),
        ("service", "shop"),
        ("version", "2.1.0"),
        ("system", "ios"),
        ("system_version", "19.1"),
        ("device", "iPhone18,2"),
    ] {
        let query = format!(
            "SELECT DISTINCT text FROM events e JOIN facts f ON f.id = facts_id LEFT JOIN strings s ON s.id = f.{fact}"
        );
        assert_eq!(server.sql(&query), format!("{value}\n"), "{fact}");
    }
    assert_eq!(set_aside(server), 0);
    others
}
