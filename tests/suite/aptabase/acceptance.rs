//! What is taken, and as what.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::{send, server_with_key, sorted, stored};
use crate::harness::Backend;
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::poll;

on_both_backends! { recorded_requests_of_the_sdks_are_taken_whole_and_once }

fn fixtures() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/protocol/aptabase");
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files.map(|file| serde_json::from_slice(&file).unwrap()).collect()
}

fn recorded_requests_of_the_sdks_are_taken_whole_and_once(backend: Backend) {
    let (server, key) = server_with_key(backend);
    let fixtures = fixtures();
    assert!(fixtures.len() >= 11);
    let mut expected = Vec::new();
    // A second time as a client whose answer was lost.
    for again in [false, true] {
        for fixture in &fixtures {
            let body = fixture["body"].as_str().unwrap();
            let mut request = Request::post(fixture["path"].as_str().unwrap(), body).header("app-key", &key);
            for name in ["content-type", "user-agent"] {
                request = request.header(name, fixture["headers"][name].as_str().unwrap());
            }
            let reply = server.send(&request).expect(u16::try_from(fixture["status"].as_u64().unwrap()).unwrap());
            assert_eq!(json!(reply.text()), fixture["reply"], "{}", fixture["package"]);
            if !again {
                expected.extend(fixture["stored"].as_array().unwrap().iter().cloned());
            }
        }
    }
    assert_eq!(stored(&server), sorted(expected));
    assert_eq!(server.count("SELECT count(*) FROM set_aside"), 0);
    assert_eq!(server.count("SELECT count(*) FROM events WHERE user_id IS NULL OR session_id IS NULL"), 0);
}

#[test]
fn paths_and_keys_are_taken_as_sdks_write_them() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let public = tallybox::auth::token::from_aptabase(&key).unwrap();
    let event = json!({ "eventName": "a", "sessionId": "1", "timestamp": "2026-11-20T10:00:00Z" }).to_string();
    for path in ["/api/v0/event", "//api/v0/event", "/api//v0/events", "/api/v0/events"] {
        for key in [key.as_str(), &key.to_lowercase(), &public] {
            let reply = send(&server, key, path, event.as_str()).expect(200);
            assert_eq!(reply.text(), "{}");
        }
    }
    // Whole seconds do not tell a repeat from the next event of a program that sends one at a time; a batch is one.
    assert_eq!(server.count("SELECT count(*) FROM events"), 6 + 1);
    let preflight = Request { method: "OPTIONS", ..Request::get("/api/v0/event") }
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "app-key,content-type");
    let reply = server.send(&preflight).expect(204);
    assert_eq!(reply.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(reply.header("access-control-allow-headers"), Some("app-key,content-type"));
    assert!(reply.header("access-control-max-age").is_some());
}

#[test]
fn one_bad_event_is_set_aside_and_the_others_are_stored() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let good = |name: &str| json!({ "eventName": name, "sessionId": "1", "timestamp": "2026-11-20T10:00:00.5Z" });
    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!([deep]);
    }
    let bad = [json!({ "sessionId": "1" }), json!(7), json!({ "eventName": "deep", "props": { "a": deep } })];
    let batch = [vec![good("first")], bad.to_vec(), vec![good("last")]].concat();
    send(&server, &key, "/api/v0/events", json!(batch).to_string()).expect(200);
    let names: Vec<_> = stored(&server).iter().map(|event| event["name"].clone()).collect();
    assert_eq!(names, ["first", "last"]);
    assert_eq!(server.sql("SELECT reason FROM set_aside ORDER BY 1"), "invalid\ninvalid\ntoo_complex\n");
}

#[test]
fn debug_builds_count_in_development_and_errors_as_errors() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let event = |debug: bool| {
        let system =
            json!({ "isDebug": debug, "osName": "iOS", "osVersion": "26.1", "locale": "de_CH", "sdkVersion": "s@1" });
        json!({ "eventName": "opened", "sessionId": "1", "timestamp": "2026-11-20T10:00:00.123Z", "systemProps": system })
    };
    send(&server, &key, "/api/v0/events", json!([event(true), event(false)]).to_string()).expect(200);
    let report = json!({
        "errorMessage": "no route to 10.0.0.7", "errorType": "NetworkError", "stackTrace": "at a\n at b", "sessionId": "1",
        "timestamp": "2026-11-20T10:00:01Z", "platform": "Tauri", "osName": "iOS", "severity": "fatal", "kind": "crash"
    });
    let reply = send(&server, &key, "/api/v0/error", report.to_string()).expect(202);
    assert!(reply.body.is_empty());
    send(&server, &key, "/api/v0/error", report.to_string()).expect(202);
    let facts = json!({ "system": "ios", "system_version": "26.1", "locale": "de-CH", "sdk": "s@1" });
    let props = json!({
        "error_type": "NetworkError", "message": "no route to 10.0.0.7", "stack": "at a\n at b", "platform": "Tauri",
        "severity": "fatal", "kind": "crash"
    });
    let expected = vec![
        json!({ "name": "opened", "environment": "development", "facts": facts, "props": { "isDebug": true } }),
        json!({ "name": "opened", "environment": "production", "facts": facts, "props": null }),
        json!({ "name": "crash", "environment": "production", "facts": { "system": "ios" }, "props": props }),
    ];
    assert_eq!(stored(&server), sorted(expected));
    let group = server.sql("SELECT text, fatal FROM events e JOIN strings s ON s.id = e.error_id");
    assert_eq!(group, "NetworkError: no route to #.#.#.#|1\n");
    assert_eq!(server.count("SELECT count(*) FROM sessions"), 2, "events and error are of one session");
}

#[test]
fn whoever_tries_a_debug_build_is_told_where_its_events_are() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let cookie = server.sign_in();
    let overview = || server.page("/apps/apt", &cookie).expect(200).text();
    assert!(!overview().contains("class=\"elsewhere\""));
    let event = json!({ "eventName": "opened", "sessionId": "1", "systemProps": { "isDebug": true, "osName": "iOS" } });
    send(&server, &key, "/api/v0/events", json!([event]).to_string()).expect(200);
    let said = "Events have come for <a href=\"/apps/apt/development\">development</a>, where debug builds";
    // Reports may be a second old.
    poll::until(Duration::from_secs(10), "other environment", || overview().contains(said).then_some(()));
    assert!(overview().contains("Waiting for the first event"));
}

#[test]
fn people_of_a_day_are_told_apart_and_no_address_is_kept() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let event = |session: &str, model: &str| {
        let system = json!({ "osName": "Android", "osVersion": "16", "deviceModel": model });
        json!({ "eventName": "opened", "sessionId": session, "systemProps": system })
    };
    let batch = [event("1", "Pixel 9"), event("2", "Pixel 9"), event("3", "SM-S938B"), event("3", "another")];
    send(&server, &key, "/api/v0/events", json!(batch).to_string()).expect(200);
    assert_eq!(server.count("SELECT count(DISTINCT user_id) FROM events"), 2);
    for agent in ["Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0", "Mozilla/5.0 (Macintosh) Firefox/145.0"] {
        let body = json!({ "eventName": "viewed", "sessionId": agent }).to_string();
        let request = Request::post("/api/v0/event", body).header("app-key", &key).header("user-agent", agent);
        server.send(&request).expect(200);
    }
    assert_eq!(server.count("SELECT count(DISTINCT user_id) FROM events"), 4);
    assert_eq!(server.count("SELECT count(*) FROM visitor_salts"), 1);
}

#[test]
fn whoever_asks_not_to_be_tracked_is_not() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let request = Request::post("/api/v0/event", r#"{"eventName":"a"}"#).header("app-key", &key).header("dnt", "1");
    assert_eq!(server.send(&request).expect(200).text(), "{}");
    assert_eq!(server.count("SELECT count(*) FROM events"), 0);
}
