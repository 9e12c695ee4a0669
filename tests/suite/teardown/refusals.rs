//! Point 9: every refusal is a JSON object, and both kinds of releases of the client can show their app its reason.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Client, Release, assert_readable, event, server_with_client};
use crate::harness::backend::on_both_backends;
use crate::harness::http::{Connection, Request};
use crate::harness::{Backend, poll};

on_both_backends! {
    every_refusal_of_identify_has_a_reason,
    headers_are_missed_in_their_order_and_before_the_key,
    every_refusal_of_events_has_a_reason,
    wrong_keys_are_limited_by_address_alone,
    a_server_that_stops_says_so,
    one_bad_event_is_kept_aside_and_told,
}

fn every_refusal_of_identify_has_a_reason(backend: Backend) {
    let (_server, _, client) = server_with_client(backend);
    type Change = fn(&mut Client);
    let rows: [(u16, &str, Change); 6] = [
        (401, "unknown API key", |client| client.key = "nope".to_owned()),
        (403, "another project", |client| client.project = "nope".to_owned()),
        (403, "another organization", |client| client.organization = "nope".to_owned()),
        (400, "has no environment 'qa'", |client| client.environment = "qa".to_owned()),
        (422, "device.os.name", |client| client.device["os"]["name"] = json!(7)),
        (422, "td-device-id", |client| client.device_id = "x".repeat(256)),
    ];
    for (status, reason, change) in rows {
        for release in [Release::Old, Release::Current] {
            let mut wrong = client.clone().of_release(release);
            change(&mut wrong);
            let refused = wrong.try_identify(None).unwrap_err();
            assert_eq!(refused.status, status, "{refused:?}");
            assert!(refused.text.contains(reason), "{refused:?}");
            let reply = wrong.send(&wrong.request("/v1/identify", &wrong.identify_body(None)));
            assert_readable(&reply.json());
        }
    }
    for body in [&b""[..], b"{", b"null", b"[]", b"\xff\xfe"] {
        let request = Request { body: body.to_vec(), ..client.request("/v1/identify", &Value::Null) };
        let refused = client.send(&request).expect(422).json();
        assert_readable(&refused);
        assert_eq!((&refused["property"], &refused["on"]), (&json!(""), &json!("body")));
    }
    let mut large = client.clone();
    large.device["extra"] = json!("x".repeat(1 << 20));
    let refused = large.try_identify(None).unwrap_err();
    assert_eq!(refused.status, 413, "{refused:?}");
    assert_readable(&large.send(&large.request("/v1/identify", &large.identify_body(None))).json());
}

fn headers_are_missed_in_their_order_and_before_the_key(backend: Backend) {
    let (_server, _, client) = server_with_client(backend);
    let all = [
        ("td-org-id", "MISSING_ORG_ID"),
        ("td-project-id", "MISSING_PROJECT_ID"),
        ("td-environment-slug", "MISSING_ENVIRONMENT_SLUG"),
        ("td-device-id", "MISSING_DEVICE_ID"),
    ];
    for first in 0..all.len() {
        let request = client.request("/v1/identify", &Value::Null).without("td-api-key");
        let request = all[first..].iter().fold(request, |request, (name, _)| request.without(name));
        let blank = client.request("/v1/identify", &Value::Null).without(all[first].0).header(all[first].0, "  ");
        for request in [request, blank] {
            let refused = client.send(&request).expect(400).json();
            assert_eq!(refused["error"]["code"], all[first].1);
            assert_readable(&refused);
        }
    }
    let keyless = client.request("/v1/identify", &Value::Null).without("td-api-key");
    assert_eq!(client.send(&keyless).expect(401).json()["message"], "header td-api-key is required");
    // The key goes before the body.
    let wrong = client.request("/v1/identify", &Value::Null).without("td-api-key").header("td-api-key", "nope");
    client.send(&wrong).expect(401);
}

fn every_refusal_of_events_has_a_reason(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    client.refresh();
    let send = |body: &Value, headers: &[(&str, &str)]| {
        let request = client.request("/v1/events", body);
        let change = |request: Request, (name, value): &(&str, &str)| request.without(name).header(name, value);
        client.send(&headers.iter().fold(request, change))
    };
    let good = json!({ "events": [event("a", None)] });
    type Row<'a> = (Value, &'a [(&'a str, &'a str)], u16, &'a str);
    let rows: [Row<'_>; 8] = [
        (good.clone(), &[("td-environment-slug", "qa")], 400, "EVENTS_PROCESSING_FAILED"),
        (good.clone(), &[("td-session-id", "no-uuid")], 400, "INVALID_SESSION"),
        (good.clone(), &[("td-device-id", "nobody")], 400, "INVALID_DEVICE"),
        (good.clone(), &[("td-org-id", "  ")], 400, "MISSING_ORG_ID"),
        (good, &[("td-api-key", "nope")], 401, "UNAUTHORIZED"),
        (json!({ "events": vec![json!({ "event_name": "a" }); 101] }), &[], 400, "BATCH_SIZE_EXCEEDED"),
        (json!({ "events": [{ "event_name": "a", "device_id": "nobody" }] }), &[], 400, "EVENTS_PROCESSING_FAILED"),
        (json!({ "events": [{ "event_name": "a" }], "device_id": "nobody" }), &[], 400, "INVALID_DEVICE"),
    ];
    for (body, headers, status, code) in rows {
        let refused = send(&body, headers).expect(status).json();
        assert_eq!(refused["error"]["code"], code, "{refused}");
        assert_readable(&refused);
    }
    assert_eq!(server.count("SELECT count(*) FROM events"), 0);
    // The device is optional here.
    let without = client.request("/v1/events", &json!({ "events": [event("a", None)] })).without("td-device-id");
    client.send(&without).expect(200);
}

fn wrong_keys_are_limited_by_address_alone(backend: Backend) {
    let (_server, _, mut client) = server_with_client(backend);
    let mut wrong = client.clone();
    wrong.key = "nope".to_owned();
    let limited =
        (0..200).map(|_| wrong.try_identify(None).unwrap_err()).find(|refused| refused.status != 401).unwrap();
    assert_eq!(limited.status, 429, "{limited:?}");
    let reply = wrong.send(&wrong.request("/v1/events", &Value::Null)).expect(429);
    let seconds: u64 = reply.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    assert_readable(&reply.json());
    assert_eq!(reply.json()["error"]["code"], "RATE_LIMITED");
    client.refresh();
}

fn a_server_that_stops_says_so(backend: Backend) {
    let (mut server, _, mut client) = server_with_client(backend);
    client.refresh();
    let mut connection = Connection::open(server.address()).unwrap();
    let request = client.request("/v1/identify", &client.identify_body(None));
    connection.send(&request).unwrap().expect(200);
    server.terminate();
    let refused = poll::until(Duration::from_secs(5), "refusal", || {
        Connection::open(server.address()).ok()?.send(&request).ok().filter(|reply| reply.status != 200)
    });
    assert_readable(&refused.clone().expect(503).json());
    assert!(refused.header("retry-after").is_some());
    server.ended(Duration::from_secs(30));
}

/// What the pipeline sets aside has failed, and the rest is stored in order.
fn one_bad_event_is_kept_aside_and_told(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    client.refresh();
    let deep = (0..40).fold(json!({}), |inner, _| json!({ "a": inner }));
    let events = [event("first", None), event("deep", Some(deep)), event("last", None)];
    let data = client.track(&events).unwrap().json()["data"].clone();
    assert_eq!((&data["processed_count"], &data["failed_count"]), (&json!(2), &json!(1)));
    assert_eq!(data["event_ids"].as_array().unwrap().len(), 2);
    assert_eq!(server.count("SELECT count(*) FROM set_aside"), 1);
}
