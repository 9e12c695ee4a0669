//! The published SDKs themselves, unchanged.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{server_with_key, stored};
use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Server, sdk};

on_both_backends! { node_delivers_a_thousand_events_once }

const COUNT: usize = 1_000;

/// Each numbered event is there once, with all that it had.
#[track_caller]
fn assert_each_once(server: &Server, sdk: &str, props: impl Fn(u64) -> Value) -> Vec<Value> {
    let (numbered, others): (Vec<_>, Vec<_>) =
        stored(server).into_iter().partition(|event| event["props"]["n"].is_u64());
    let numbers: BTreeSet<u64> = numbered.iter().filter_map(|event| event["props"]["n"].as_u64()).collect();
    assert_eq!((numbered.len(), numbers.len()), (COUNT, COUNT));
    for event in &numbered {
        for (name, value) in props(event["props"]["n"].as_u64().unwrap()).as_object().unwrap() {
            assert_eq!(event["props"][name], *value, "{event}");
        }
        assert_eq!(event["facts"]["sdk"], sdk, "{event}");
    }
    assert_eq!(server.count("SELECT count(*) FROM set_aside"), 0);
    others
}

fn told(n: u64) -> Value {
    json!({ "n": n, "text": "Příliš žluťoučký 🐎", "nested": { "list": [1, null, { "deep": "ü" }], "no": false } })
}

/// The exception is an error; a server's system is nobody's; what tells of people is no event.
#[track_caller]
fn assert_server_side(server: &Server, others: &[Value], names: &[&str]) {
    let found: Vec<_> = others.iter().map(|event| event["name"].as_str().unwrap()).collect();
    assert_eq!(found, names);
    let exception = others.iter().find(|event| event["name"] == "$exception").unwrap();
    assert_eq!(exception["error"], "TypeError: it is \"#\" # times");
    assert!(exception["props"]["stack"][0].as_str().is_some_and(|line| line.contains("posthog")), "{exception}");
    assert!(stored(server).iter().all(|event| event["facts"].get("system").is_none()));
    assert_eq!(server.count("SELECT count(DISTINCT user_id) FROM events"), 11, "ten users and Ada");
}

fn node_delivers_a_thousand_events_once(backend: Backend) {
    let (server, key) = server_with_key(backend);
    sdk::node("posthog.mjs", &server, &key, &[("COUNT", "1000")]);
    let others = assert_each_once(&server, "posthog-node/5.70.0", told);
    assert_server_side(&server, &others, &["$exception"]);
}

#[test]
fn node_delivers_a_thousand_events_once_in_the_newer_form() {
    let (server, key) = server_with_key(Backend::Sqlite);
    sdk::node("posthog.mjs", &server, &key, &[("COUNT", "1000"), ("POSTHOG_CAPTURE_MODE", "v1")]);
    let others = assert_each_once(&server, "posthog-node/5.70.0", told);
    assert_server_side(&server, &others, &["$exception"]);
}

#[test]
fn python_delivers_a_thousand_events_once() {
    for more in [&[("COUNT", "1000")][..], &[("COUNT", "1000"), ("GZIP", "1")]] {
        let (server, key) = server_with_key(Backend::Sqlite);
        sdk::python("posthog_events.py", &server, &key, more);
        let others = assert_each_once(&server, "posthog-python/7.91.1", told);
        assert_server_side(&server, &others, &["$exception", "of nobody"]);
    }
}

#[test]
fn rust_delivers_a_thousand_events_once() {
    let (server, key) = server_with_key(Backend::Sqlite);
    sdk::rust(&["posthog"], &server, &key, &[("COUNT", "1000")]);
    let others = assert_each_once(&server, "posthog-rs/0.30.0", told);
    let [exception] = &others[..] else { panic!("{others:#?}") };
    assert!(exception["error"].as_str().is_some_and(|error| error.contains("no such cart")), "{exception}");
}

#[tokio::test]
async fn a_browser_delivers_a_thousand_events_once_from_a_page_of_another_origin() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let complaints = sdk::browser("posthog.mjs", &server, &key, &[("COUNT", "1000")]).await;
    assert!(complaints.is_empty(), "{complaints:#?}");
    let others = assert_each_once(
        &server,
        "posthog-js/1.449.2",
        |n| json!({ "n": n, "text": "Größe 🚀", "nested": { "a": [1, { "b": null }] } }),
    );
    // Leaving the page is told as well, if the browser has the time.
    let named = |name: &str| others.iter().filter(|event| event["name"] == name).count();
    assert_eq!((named("$pageview"), named("$exception"), named("known")), (1, 1, 1), "{others:#?}");
    let known = others.iter().find(|event| event["name"] == "known").unwrap();
    assert_eq!(known["facts"]["system"], "linux");
    assert_eq!(server.count("SELECT count(*) FROM events WHERE user_id IS NULL OR session_id IS NULL"), 0);
    assert_eq!(server.count("SELECT count(DISTINCT session_id) FROM events"), 1);
}
