//! The published SDKs themselves, unchanged.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{server_with_key, stored};
use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Server, sdk};

on_both_backends! { the_python_sdk_delivers_a_thousand_events_once }

/// Each event is there once, with all that it had.
#[track_caller]
fn assert_each_once(server: &Server, count: usize, environment: &str, props: impl Fn(u64) -> Value) {
    let stored = stored(server);
    let numbers: BTreeSet<u64> = stored.iter().map(|event| event["props"]["n"].as_u64().unwrap()).collect();
    assert_eq!((stored.len(), numbers.len()), (count, count));
    for event in &stored {
        assert_eq!(event["environment"], environment);
        let expected = props(event["props"]["n"].as_u64().unwrap());
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(event["props"][name], *value, "{event}");
        }
    }
    assert_eq!(server.count("SELECT count(*) FROM set_aside"), 0);
    assert_eq!(server.count("SELECT count(DISTINCT user_id) FROM events"), 1);
    assert_eq!(server.count("SELECT count(DISTINCT session_id) FROM events"), 1);
}

fn told(n: u64) -> Value {
    json!({ "n": n, "text": "Příliš žluťoučký 🐎", "nested": { "list": [1, null, { "deep": "ü" }], "no": false } })
}

fn the_python_sdk_delivers_a_thousand_events_once(backend: Backend) {
    let (server, key) = server_with_key(backend);
    sdk::python("aptabase_events.py", &server, &key, &[("COUNT", "1000")]);
    assert_each_once(&server, 1_000, "production", told);
    assert_eq!(stored(&server)[0]["facts"]["sdk"], "aptabase-python@0.1.0");
}

#[test]
fn the_web_sdk_delivers_a_thousand_events_once() {
    let (server, key) = server_with_key(Backend::Sqlite);
    sdk::node("aptabase.mjs", &server, &key, &[("COUNT", "1000")]);
    assert_each_once(&server, 1_000, "production", told);
    assert_eq!(stored(&server)[0]["facts"]["sdk"], "aptabase-web@0.5.0");
}

#[tokio::test]
async fn the_web_sdk_delivers_from_a_page_of_another_origin() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let complaints = sdk::browser("aptabase.mjs", &server, &key, &[("COUNT", "200")]).await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    // It calls a page on this machine a debug build.
    assert_each_once(
        &server,
        200,
        "development",
        |n| json!({ "n": n, "text": "Größe 🚀", "nested": { "a": [1] }, "engineName": "Chrome", "isDebug": true }),
    );
    let facts = stored(&server)[0]["facts"].clone();
    assert_eq!((&facts["system"], &facts["sdk"]), (&json!("linux"), &json!("aptabase-web@0.5.0")));
}
