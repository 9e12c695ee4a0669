//! Every example exchange of the specification's section 17, answers letter by letter but for ids and the token.

use serde_json::{Value, json};

use super::{Client, server_with_client};
use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::{Backend, Server};

on_both_backends! {
    identify_answers_as_in_the_examples,
    refused_identifies_answer_as_in_the_examples,
    events_answer_as_in_the_examples,
    operators_and_browsers_are_answered_as_in_the_examples,
}

/// The ids of the examples, for whatever the server chose.
const SESSION: &str = "6f1d0b52-6c0a-4d0e-9a51-0f2f7f0f9a01";
const DEVICE: &str = "0f9d6c1e-7b0e-4c0b-8f0a-2b7f5f2f4c02";
const USER: &str = "b7b3f0a4-51b0-4c39-8d7e-6a4c1f9d3e03";

/// The answer's text with the server's ids replaced by those of the examples.
fn as_example(reply: &Reply, first: &Value) -> String {
    let data = &first["data"];
    let mut text = reply.text();
    for (key, example) in [("session_id", SESSION), ("device_id", DEVICE), ("user_id", USER)] {
        text = text.replace(data[key].as_str().unwrap(), example);
    }
    let token = reply.json()["data"]["token"].as_str().unwrap().to_owned();
    text.replace(&token, "TOKEN")
}

fn example(version: &str) -> String {
    [
        r#"{"success":true,"data":{"session_id":"6f1d0b52-6c0a-4d0e-9a51-0f2f7f0f9a01","#,
        r#""device_id":"0f9d6c1e-7b0e-4c0b-8f0a-2b7f5f2f4c02","user_id":"b7b3f0a4-51b0-4c39-8d7e-6a4c1f9d3e03","#,
        r#""token":"TOKEN","version_info":"#,
        version,
        "}}",
    ]
    .concat()
}

const UP_TO_DATE: &str = r#"{"status":"UP_TO_DATE","update":null}"#;

/// Numbers 3 to 8.
fn identify_answers_as_in_the_examples(backend: Backend) {
    let (server, _, client) = server_with_client(backend);
    let send = |body: &Value| client.send(&client.request("/v1/identify", body)).expect(200);
    let third = client.identify_body(None);
    let reply = send(&third);
    assert_eq!(reply.header("content-type"), Some("application/json"));
    let first = reply.json();
    assert_eq!(as_example(&reply, &first), example(UP_TO_DATE));

    let mut fourth = client.identify_body(Some(&super::ana()));
    fourth["device"]["notifications"] = json!({ "push": {
        "enabled": true, "granted": true, "token": "ExponentPushToken[x9]", "platform": "EXPO"
    } });
    assert_eq!(as_example(&send(&fourth), &first), example(UP_TO_DATE), "the same device, user and session");
    assert_eq!(server.sql("SELECT token, active FROM push_tokens").trim(), "ExponentPushToken[x9]|1");

    let newer = client.reinstalled().version("1.3.0", 52);
    newer.send(&newer.request("/v1/identify", &newer.identify_body(None))).expect(200);
    let set = "UPDATE versions SET status = 'UPDATE_REQUIRED', notes = 'Fixes a crash at launch' WHERE name = '1.2.3'";
    server.database().alter(set);
    let told = send(&third);
    let update = told.json()["data"]["version_info"]["update"].clone();
    let (id, date) = (update["update_id"].as_str().unwrap(), update["effective_date"].as_str().unwrap());
    let text = as_example(&told, &first);
    let text = text.replace(id, "c3a1f6de-93b0-4c51-9d59-6f1f0e5a7b04").replace(date, "2026-01-01T00:00:00.000Z");
    let required = concat!(
        r#"{"status":"UPDATE_REQUIRED","update":{"version":"1.3.0","build":"52","#,
        r#""update_id":"c3a1f6de-93b0-4c51-9d59-6f1f0e5a7b04","effective_date":"2026-01-01T00:00:00.000Z","#,
        r#""release_notes":"Fixes a crash at launch"}}"#,
    );
    assert_eq!(text, example(required));

    let number = "SELECT id FROM versions WHERE name = '1.2.3'";
    server.database().alter(&format!("UPDATE builds SET status = 'DISABLED' WHERE version_id = ({number})"));
    assert_eq!(as_example(&send(&third), &first), example(r#"{"status":"DISABLED","update":null}"#));
    server.database().alter("UPDATE versions SET status = 'SUPPORTED'; UPDATE builds SET status = 'SUPPORTED'");

    let mut seventh = third.clone();
    seventh["device"]["application"]["build_number"] = Value::Null;
    assert_eq!(send(&seventh).json()["data"]["version_info"]["status"], "UP_TO_DATE");
    assert_eq!(server.count(&format!("SELECT count(*) FROM builds WHERE version_id = ({number}) AND number = 0")), 1);

    let mut eighth = third;
    eighth["device"]["update"] = json!({
        "is_enabled": true, "update_id": "5e2b9d0c-2f53-4a0e-a1d3-1f6f2f2a9c05", "update_channel": "production",
        "runtime_version": "1.2.0", "emergency_launch": { "is_emergency_launch": true, "reason": "rollback" },
        "is_embedded_launch": false, "created_at": "2025-12-30T10:00:00.000Z"
    });
    send(&eighth);
}

/// Numbers 9 to 13 and 21.
fn refused_identifies_answer_as_in_the_examples(backend: Backend) {
    let (_server, _, client) = server_with_client(backend);
    let good = || client.request("/v1/identify", &client.identify_body(None));
    let with = |name: &str, value: &str| good().without(name).header(name, value);
    let mut lower = client.identify_body(None);
    lower["device"]["os"]["platform"] = json!("ios");
    let other = uuid::Uuid::new_v4().to_string();
    for (request, status, body) in [
        (good().without("td-device-id"), 400, domain("MISSING_DEVICE_ID", "header td-device-id is required")),
        (with("td-api-key", "nope"), 401, domain("UNAUTHORIZED", "unknown API key")),
        (with("td-project-id", &other), 403, domain("FORBIDDEN", "this API key belongs to another project")),
        (with("td-environment-slug", "qa"), 400, domain("IDENTIFY_FAILED", "project has no environment 'qa'")),
        (
            client.request("/v1/identify", &lower),
            422,
            invalid("/device/os/platform", "device.os.platform is not a known platform"),
        ),
        (Request::get("/v1/identify"), 404, domain("NOT_FOUND", "no route GET /v1/identify")),
    ] {
        let reply = client.send(&request).expect(status);
        assert_eq!(reply.text(), body);
        assert_eq!(reply.header("content-type"), Some("application/json"));
    }
}

fn domain(code: &str, message: &str) -> String {
    format!(r#"{{"success":false,"error":{{"code":"{code}","message":"{message}"}},"message":"{message}"}}"#)
}

fn invalid(property: &str, text: &str) -> String {
    let start = r#"{"success":false,"error":"VALIDATION","type":"validation","on":"body","property":""#;
    format!(r#"{start}{property}","summary":"{text}","message":"{text}"}}"#)
}

/// Numbers 14 to 20.
fn events_answer_as_in_the_examples(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    let identity = client.refresh();
    let send = |client: &Client, body: &Value| client.send(&client.request("/v1/events", body));
    let two = json!({ "events": [
        { "event_name": "purchase_completed", "event_type": "action",
          "properties": { "amount": 99.99, "currency": "USD" }, "timestamp": "2026-01-01T00:03:10.120Z" },
        { "event_name": "home", "event_type": "screen_view", "timestamp": "2026-01-01T00:03:11.004Z" }
    ] });
    let reply = send(&client, &two).expect(200);
    let ids = reply.json()["data"]["event_ids"].clone();
    let expected = format!(r#"{{"success":true,"data":{{"event_ids":{ids},"processed_count":2,"failed_count":0}}}}"#);
    assert_eq!((reply.text(), ids.as_array().unwrap().len()), (expected, 2));
    assert_kept(&server, &ids);

    let signed_out = json!({ "events": [{
        "event_name": "user_signed_out", "event_type": "action", "timestamp": "2026-01-01T00:10:00.000Z",
        "properties": { "sign_out_type": "sign_out", "session_id": identity.session, "user_id": identity.user }
    }] });
    let request = client.request("/v1/events", &signed_out).header("td-session-id", &identity.session);
    assert_eq!(client.send(&request).expect(200).json()["data"]["event_ids"].as_array().unwrap().len(), 1);

    let nobody = json!({ "events": [
        { "event_name": "a", "event_type": "custom" },
        { "event_name": "b", "event_type": "custom", "device_id": "nobody" }
    ] });
    let data = send(&client, &nobody).expect(200).json()["data"].clone();
    assert_eq!((&data["processed_count"], &data["failed_count"]), (&json!(1), &json!(1)));
    assert_eq!(data["event_ids"].as_array().unwrap().len(), 1);

    let many = json!({ "events": vec![json!({ "event_name": "a" }); 101] });
    let unknown = client.reinstalled();
    let foreign = client.request("/v1/events", &two).header("td-session-id", &uuid::Uuid::new_v4().to_string());
    for (reply, status, body) in [
        (send(&client, &many), 400, domain("BATCH_SIZE_EXCEEDED", "a batch holds at most 100 events")),
        (send(&client, &json!({ "events": [] })), 422, invalid("/events", "events must hold 1 to 100 entries")),
        (
            send(&unknown, &two),
            400,
            domain("INVALID_DEVICE", "device is not known in this environment; identify first"),
        ),
        (client.send(&foreign), 400, domain("INVALID_SESSION", "session is not known in this environment")),
    ] {
        assert_eq!(reply.expect(status).text(), body);
    }
}

/// Every answered id is that of an event, in the order of the request.
fn assert_kept(server: &Server, ids: &Value) {
    let column = server.database().hex("event_id");
    let sql = format!("SELECT {column} FROM events ORDER BY claimed_at");
    let kept = server.sql(&sql).to_lowercase();
    let answered: Vec<String> =
        ids.as_array().unwrap().iter().map(|id| id.as_str().unwrap().replace('-', "")).collect();
    assert_eq!(kept.split_whitespace().collect::<Vec<_>>(), answered);
}

/// Numbers 1, 2 and 22.
fn operators_and_browsers_are_answered_as_in_the_examples(backend: Backend) {
    let server = Server::with()
        .backend(backend)
        .setting("TALLYBOX_TEARDOWN_BUILD_ID", "9f3c2d1")
        .setting("TALLYBOX_TEARDOWN_SERVICE_ID", "eu-1")
        .start_fresh();
    let version = env!("CARGO_PKG_VERSION");
    let about = server.get("/td/").expect(200).text();
    assert_eq!(about, format!(r#"{{"message":"Teardown Ingest API","version":"{version}"}}"#));
    let health = server.get("/td/health").expect(200);
    let timestamp = health.json()["timestamp"].as_str().unwrap().to_owned();
    assert!(timestamp.parse::<jiff::Timestamp>().is_ok() && timestamp.len() == 24, "{timestamp}");
    let expected = r#"{"status":"ok","timestamp":"TIME","build_id":"9f3c2d1","service_id":"eu-1"}"#;
    assert_eq!(health.text().replace(&timestamp, "TIME"), expected);
    assert!(server.send(&Request::head("/td/health")).expect(200).body.is_empty());
    let preflight = Request { method: "OPTIONS", ..Request::get("/v1/events") };
    let preflight = preflight
        .header("origin", "https://app.example.com")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,td-api-key,td-device-id");
    let reply = server.send(&preflight).expect(204);
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", "GET, POST, OPTIONS"),
        (
            "access-control-allow-headers",
            "content-type, authorization, td-api-key, td-org-id, td-project-id, td-environment-slug, td-device-id, \
             td-session-id, td-sdk-version",
        ),
        ("access-control-max-age", "86400"),
    ] {
        assert_eq!(reply.header(name), Some(value));
    }
}
