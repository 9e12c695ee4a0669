//! Paths, forms and keys, and what becomes of times and people.

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use super::{batch, events, gzip, post, server_with_key, stored};
use crate::harness::Backend;
use crate::harness::http::Request;

const OLDER: [&str; 7] = ["/batch", "/e", "/i/v0/e", "/i/v0/ai/batch", "/capture", "/track", "/engage"];
const PAGE: &str = "https://app.example";

fn event(n: u64) -> Value {
    json!({ "event": "x", "distinct_id": "ada", "uuid": format!("00000000-0000-4000-8000-{n:012}"), "properties": { "n": n },
        "timestamp": "2026-11-20T10:00:00Z" })
}

#[test]
fn every_path_takes_every_form_with_and_without_a_slash() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let mut n = 0;
    for path in OLDER {
        for path in [path.to_owned(), format!("{path}/"), format!("/{path}/")] {
            n += 1;
            let of_key = |mut event: Value| {
                event["properties"]["token"] = json!(key);
                event
            };
            let body = match n % 4 {
                0 => batch(&key, &[event(n)]),
                1 => json!([of_key(event(n))]).to_string(),
                2 => of_key(event(n)).to_string(),
                _ => format!(
                    "data={}",
                    form_urlencoded::byte_serialize(BASE64_STANDARD.encode(of_key(event(n)).to_string()).as_bytes())
                        .collect::<String>()
                ),
            };
            let body = if n % 3 == 0 { gzip(body.as_bytes()) } else { body.into_bytes() };
            assert_eq!(post(&server, &path, body).expect(200).text(), r#"{"status":1}"#, "{path}");
        }
    }
    for path in ["/e", "/e/", "/capture/", "/track", "/engage/", "/i/v0/e/"] {
        n += 1;
        let mut event = event(n);
        event["token"] = json!(key);
        let data =
            form_urlencoded::byte_serialize(BASE64_STANDARD.encode(event.to_string()).as_bytes()).collect::<String>();
        server.send(&Request::get(&format!("{path}?data={data}&ip=1&_=1795000000000"))).expect(200);
    }
    n += 1;
    let beacon = Request::post("/e/?beacon=1", batch(&key, &[event(n)]));
    assert!(server.send(&beacon).expect(204).body.is_empty());
    assert_eq!(events(&server), i64::try_from(n).unwrap());
}

#[test]
fn the_newer_form_is_answered_event_by_event() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let id = |n: u64| format!("00000000-0000-4000-8000-{n:012}");
    let event = |n: u64, name: &str| {
        json!({ "event": name, "uuid": id(n), "distinct_id": "ada", "timestamp": "2026-11-20T10:00:00Z",
            "session_id": "s", "options": {}, "properties": { "$is_server": true } })
    };
    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!([deep]);
    }
    let mut too_deep = event(3, "deep");
    too_deep["properties"]["deep"] = deep;
    let body =
        json!({ "created_at": "2026-11-20T10:00:00Z", "batch": [event(1, "x"), event(2, "$identify"), too_deep] });
    let request = Request::post("/i/v1/analytics/events", gzip(body.to_string().as_bytes()))
        .header("authorization", &format!("Bearer {key}"))
        .header("content-encoding", "gzip")
        .header("posthog-sdk-info", "posthog-node/5.70.0");
    for _ in 0..2 {
        let reply = server.send(&request).expect(200).json();
        let ok = json!({ "result": "ok" });
        let aside = json!({ "result": "warning", "details": "too_complex" });
        assert_eq!(reply, json!({ "results": { id(1): ok, id(2): ok, id(3): aside } }));
    }
    let all = stored(&server);
    assert_eq!((all.len(), &all[0]["facts"]["sdk"]), (1, &json!("posthog-node/5.70.0")));
    assert_eq!(all[0]["session"], true);
    for (headers, status) in [
        (vec![], 401),
        (vec![("authorization", "Bearer nobody".to_owned())], 401),
        (vec![("authorization", format!("Bearer {key}")), ("content-encoding", "br".to_owned())], 415),
    ] {
        let request = headers
            .iter()
            .fold(Request::post("/i/v1/analytics/events/", "{}"), |request, (name, value)| request.header(name, value));
        let reply = server.send(&request).expect(status).json();
        assert!(reply["error"].is_string() && reply["error_description"].is_string(), "{reply}");
    }
}

#[test]
fn a_key_is_known_or_refused_in_words() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let secret = server.app("Secret").token;
    for (own, status, word) in [
        (key.as_str(), 200, ""),
        (&*format!(" {key}\n"), 200, ""),
        ("phc_unknown", 401, "not known"),
        ("phx_personal", 401, "personal"),
        (&*secret, 401, "secret"),
        (&key[..20], 401, "mistyped"),
        ("", 401, "empty"),
    ] {
        let reply = post(&server, "/batch/", batch(own, &[event(1)])).expect(status);
        let detail = reply.json()["detail"].as_str().unwrap_or_default().to_owned();
        assert!(detail.contains(word), "{own}: {detail}");
    }
    let missing = post(&server, "/batch/", json!({ "batch": [event(1)] }).to_string()).expect(401).json();
    assert!(missing["detail"].as_str().unwrap().contains("missing"), "{missing}");
    assert_eq!(events(&server), 1);
}

#[test]
fn a_wrong_clock_is_corrected_by_the_time_of_sending() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let two_days = 2 * 86_400_000_i64;
    let now = jiff::Timestamp::now().as_millisecond();
    let iso = |at: i64| jiff::Timestamp::from_millisecond(at).unwrap().to_string();
    let told = |n: u64, at: i64, properties: Value| {
        json!({ "event": "x", "distinct_id": "ada", "uuid": format!("00000000-0000-4000-8000-{n:012}"),
            "timestamp": iso(at), "properties": properties })
    };
    let late = now - two_days;
    for (sent_at, query, event) in [
        (json!(iso(late)), String::new(), told(1, late - 60_000, json!({}))),
        (Value::Null, format!("?_={late}"), told(2, late - 60_000, json!({}))),
        (json!(iso(late)), String::new(), told(3, now - 60_000, json!({ "$ignore_sent_at": true }))),
        (Value::Null, String::new(), told(4, now - 60_000, json!({}))),
    ] {
        let body = json!({ "api_key": key, "sent_at": sent_at, "batch": [event] });
        post(&server, &format!("/batch/{query}"), body.to_string()).expect(200);
    }
    let off = format!("SELECT count(*) FROM events WHERE abs(claimed_at + skew - {}) > 30000", now - 60_000);
    assert_eq!((events(&server), server.count(&off)), (4, 0));
}

#[test]
fn what_tells_no_time_but_an_id_counts_once_and_as_of_its_arrival() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let before = jiff::Timestamp::now().as_millisecond();
    let event = json!({ "event": "x", "distinct_id": "ada", "uuid": "3f0f3b63-6f1c-4a43-9a0b-0c3e7c1a5d11" });
    for _ in 0..3 {
        let sent_at = jiff::Timestamp::now().to_string();
        let body = json!({ "api_key": key, "sent_at": sent_at, "batch": [event] });
        post(&server, "/batch/", body.to_string()).expect(200);
    }
    let off = format!("SELECT count(*) FROM events WHERE claimed_at + skew < {before}");
    assert_eq!((events(&server), server.count(&off)), (1, 0));
}

#[test]
fn users_are_counted_as_their_client_knows_them() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let told = |id: &str, properties: Value| json!({ "event": "x", "distinct_id": id, "properties": properties });
    let known = [
        told("ada", json!({})),
        told("ada", json!({ "$is_identified": true })),
        told("0192d3c4-0000-7000-8000-000000000001", json!({ "$is_identified": false })),
    ];
    let nobody = [told("null", json!({})), told("Anonymous", json!({})), told("0", json!({}))];
    post(&server, "/batch/", batch(&key, &[known.to_vec(), nobody.to_vec()].concat())).expect(200);
    assert_eq!(server.count("SELECT count(DISTINCT user_id) FROM events"), 2);
    assert_eq!(server.count("SELECT count(*) FROM events WHERE user_id IS NULL"), 3);
    let cookieless = told("$posthog_cookieless", json!({ "$cookieless_mode": true }));
    for agent in ["Firefox", "Firefox", "Chromium"] {
        let request = Request::post("/e/", batch(&key, std::slice::from_ref(&cookieless))).header("user-agent", agent);
        server.send(&request).expect(200);
    }
    assert_eq!((events(&server), server.count("SELECT count(DISTINCT user_id) FROM events")), (9, 4));
}

#[test]
fn whoever_asks_not_to_be_tracked_is_not() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let request = Request::post("/e/", batch(&key, &[event(1)])).header("dnt", "1");
    assert_eq!(server.send(&request).expect(200).text(), r#"{"status":1}"#);
    assert_eq!(events(&server), 0);
}

#[test]
fn pages_of_any_origin_may_send_and_read_refusals() {
    let (server, key) = server_with_key(Backend::Sqlite);
    for (path, body, status) in [
        ("/e/", batch(&key, &[event(1)]), 200),
        ("/e/", batch("phc_unknown", &[event(1)]), 401),
        ("/batch", "nothing".to_owned(), 400),
        ("/flags/?v=2", "{}".to_owned(), 200),
        ("/s/", "x".to_owned(), 200),
    ] {
        let reply = server.send(&Request::post(path, body).header("origin", PAGE)).expect(status);
        assert_eq!(reply.header("access-control-allow-origin"), Some(PAGE), "{path}");
        let exposed = reply.header("access-control-expose-headers").unwrap_or_default();
        assert!(exposed.contains("retry-after"), "{path}: {exposed}");
    }
    let preflight = Request { method: "OPTIONS", ..Request::get("/flags/") }
        .header("origin", PAGE)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "x-mine");
    let reply = server.send(&preflight).expect(204);
    assert_eq!(reply.header("access-control-allow-headers"), Some("x-mine"));
}
