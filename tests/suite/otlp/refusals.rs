//! How exporters are refused: in the form in which they sent, and so that they send again only what can succeed.

use serde_json::{Value, json};

use super::{logs, post, server_with_key, set_aside, stored};
use crate::harness::Backend;
use crate::harness::http::{Reply, Request};

/// `google.rpc.Status` in either form: its code and message.
#[track_caller]
fn status(reply: &Reply) -> (u64, String) {
    if reply.header("content-type") == Some("application/json") {
        let body = reply.json();
        return (body["code"].as_u64().unwrap(), body["message"].as_str().unwrap().to_owned());
    }
    assert_eq!(reply.header("content-type"), Some("application/x-protobuf"));
    let [8, code, 18, length, message @ ..] = &reply.body[..] else { panic!("no status: {:?}", reply.body) };
    assert_eq!(usize::from(*length), message.len());
    (u64::from(*code), String::from_utf8(message.to_vec()).unwrap())
}

#[test]
fn every_refusal_is_a_status_in_the_form_of_the_request() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let secret = server.app("Other").token;
    let wrong = format!("tkp_{}", "0".repeat(40));
    for kind in ["application/json", "application/x-protobuf"] {
        let bare = |path: &str| Request::post(path, b"{}".to_vec()).header("content-type", kind);
        for (request, code, number) in [
            (bare("/v1/logs"), 401, 16),
            (bare("/v1/traces"), 401, 16),
            (bare("/i/v1/metrics"), 401, 16),
            (bare("/v1/logs").header("x-api-key", &wrong), 401, 16),
            (bare("/v1/logs").header("authorization", &format!("Bearer {secret}")), 401, 16),
            (post("/v1/logs", &key, kind, "{"), 400, 3),
            (post("/v1/logs", &key, kind, b"\x0a\x05abc".to_vec()), 400, 3),
            (post("/v1/logs", &key, kind, "x").header("content-encoding", "zstd"), 415, 3),
            (post("/v1/logs", &key, kind, "").header("content-length", "99999999"), 413, 3),
            (Request::get("/v1/logs").header("content-type", kind), 405, 12),
        ] {
            let reply = server.send(&request).expect(code);
            assert_eq!(reply.header("content-type"), Some(kind), "{} {}", request.method, request.target);
            let (found, message) = status(&reply);
            assert!(found == number && !message.is_empty(), "{found} {message}");
            assert!(reply.header("retry-after").is_none(), "{code}");
        }
    }
    assert!(stored(&server).is_empty());
}

#[test]
fn nothing_to_keep_is_a_success() {
    let (server, key) = server_with_key(Backend::Sqlite);
    for path in ["/v1/logs", "/v1/traces", "/v1/metrics", "/i/v1/logs", "/i/v1/traces", "/i/v1/metrics"] {
        for (kind, body, reply) in [
            ("application/json", "{}", "{}"),
            ("application/json", "", "{}"),
            ("application/json", r#"{"resourceLogs":[],"other":1}"#, "{}"),
            ("application/json; charset=utf-8", "{}", "{}"),
            ("text/plain", "{}", "{}"),
            ("application/x-protobuf", "", ""),
        ] {
            let found = server.send(&post(path, &key, kind, body)).expect(200);
            assert_eq!(found.text(), reply, "{path} {kind}");
        }
    }
}

#[test]
fn what_is_set_aside_is_told_as_rejected_and_the_rest_is_kept() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let mut deep = json!({ "stringValue": "x" });
    for _ in 0..40 {
        deep = json!({ "arrayValue": { "values": [deep] } });
    }
    let at = "1795749603371000000";
    let records = json!([
        { "timeUnixNano": at, "eventName": "good" },
        { "timeUnixNano": at, "eventName": "deep", "body": deep },
        { "timeUnixNano": at, "eventName": "large", "body": { "stringValue": "x".repeat(70_000) } },
        5,
        { "timeUnixNano": at, "eventName": "good" },
    ]);
    for _ in 0..2 {
        let told = server.send(&logs(&key, &records)).expect(200).json();
        assert_eq!(told["partialSuccess"]["rejectedLogRecords"], "3", "{told}");
        assert!(told["partialSuccess"]["errorMessage"].as_str().is_some_and(|text| text.contains("3 of 5")), "{told}");
    }
    assert_eq!(stored(&server), vec![("good".to_owned(), Value::Null); 2]);
    assert!(set_aside(&server) >= 3);
}

#[test]
fn spans_and_metrics_are_answered_and_exceptions_kept() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let error = json!([{ "key": "exception.type", "value": { "stringValue": "E" } }]);
    let event = json!({ "timeUnixNano": "1795749603371000000", "name": "exception", "attributes": error });
    let spans = json!({ "resourceSpans": [{ "scopeSpans": [{ "spans": [{ "name": "a", "events": [event] }, {}] }] }] });
    let told = server.send(&post("/v1/traces", &key, "application/json", spans.to_string())).expect(200).json();
    assert_eq!(told["partialSuccess"]["rejectedSpans"], "2", "{told}");
    let points = json!({ "sum": { "dataPoints": [{}, {}, {}] } });
    let metrics = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [points] }] }] });
    let told = server.send(&post("/v1/metrics", &key, "application/json", metrics.to_string())).expect(200).json();
    assert_eq!(told["partialSuccess"]["rejectedDataPoints"], "3", "{told}");
    let props = json!({ "severity": "error", "exception.type": "E" });
    assert_eq!(stored(&server), [("exception".to_owned(), props)]);
    assert_eq!(server.count("SELECT count(*) FROM events WHERE error_id IS NOT NULL"), 1);
}

#[test]
fn any_page_may_send_and_read_the_answer() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let page = "https://app.example";
    let asked = Request { method: "OPTIONS", ..Request::get("/v1/logs") }
        .header("origin", page)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "authorization,content-type");
    let granted = server.send(&asked).expect(204);
    assert_eq!(granted.header("access-control-allow-origin"), Some(page));
    assert_eq!(granted.header("access-control-allow-headers"), Some("authorization,content-type"));
    for request in [logs(&key, &json!([])), logs("wrong", &json!([]))] {
        let reply = server.send(&request.header("origin", page));
        assert_eq!(reply.header("access-control-allow-origin"), Some(page), "{}", reply.status);
        assert!(reply.header("access-control-expose-headers").is_some_and(|names| names.contains("retry-after")));
    }
}

#[test]
fn whoever_asks_not_to_be_tracked_is_not() {
    let (server, key) = server_with_key(Backend::Sqlite);
    server.send(&logs(&key, &json!([{ "eventName": "a" }])).header("dnt", "1")).expect(200);
    assert!(stored(&server).is_empty());
}

#[test]
fn no_word_that_names_a_person_is_kept_in_the_open() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let text = |name: &str, value: &str| json!({ "key": name, "value": { "stringValue": value } });
    let attributes = json!([
        text("user.id", "hidden-user"),
        text("app.installation.id", "hidden-install"),
        text("session.id", "hidden-session"),
        text("user.email", "hidden@example.org"),
        text("client.address", "203.0.113.99"),
    ]);
    let records = json!([{ "eventName": "a", "attributes": attributes }, { "body": 5, "attributes": attributes },
        { "eventName": "\u{0}", "attributes": [5, { "key": "user.id", "value": 5 }], "body": { "stringValue": "x".repeat(600_000) } }]);
    server.send(&logs(&key, &records)).expect(200);
    assert_eq!(stored(&server).len(), 2);
    let kept =
        server.sql("SELECT props FROM events UNION ALL SELECT body FROM set_aside UNION ALL SELECT text FROM strings");
    assert!(!kept.contains("hidden") && !kept.contains("203.0.113"), "{kept}");
    assert!(!server.log().contains("hidden"));
}
