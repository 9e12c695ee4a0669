//! What is refused, in the protocol's words, and bodies that are meant to do harm.

use std::io::Write;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use super::{send, server_with_key};
use crate::harness::http::{Connection, Reply, Request};
use crate::harness::{Backend, Server, poll};

const PATIENCE: Duration = Duration::from_secs(10);

const EVENTS: [&str; 2] = ["/api/v0/event", "/api/v0/events"];
const REPORT: &str = "/api/v0/error";

/// A refusal that the protocol's clients can print.
#[track_caller]
fn assert_readable(path: &str, reply: &Reply) {
    let text = reply.text();
    if path == REPORT {
        let body: Value = serde_json::from_str(&text).unwrap();
        assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{text}");
    } else {
        assert!(!text.is_empty() && text.len() < 300, "{text}");
        assert!(reply.header("content-type").unwrap().starts_with("text/plain"), "{text}");
    }
}

#[test]
fn keys_that_are_none_are_refused_in_words() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let secret = server.app("Secret").token;
    let revoked = {
        let told = server.run(&["key", "create", "apt", "--public", "--name", "old"]);
        let token = told.lines().find_map(|line| line.strip_prefix("token  ")).unwrap().trim().to_owned();
        let list = server.run(&["key", "list", "apt"]);
        let id =
            list.lines().find(|line| line.contains(" old ")).unwrap().split_whitespace().next().unwrap().to_owned();
        server.run(&["key", "revoke", &id]);
        token
    };
    let mistyped = format!("{}0", &key[..key.len() - 1]);
    let mistyped = if mistyped == key { format!("{}1", &key[..key.len() - 1]) } else { mistyped };
    for path in EVENTS.into_iter().chain([REPORT]) {
        for (key, word) in [
            ("A-EU-0123456789", "another server"),
            ("A-SH-0123456789", "mistyped"),
            (mistyped.as_str(), "mistyped"),
            (secret.as_str(), "secret key"),
            (revoked.as_str(), "not known"),
            ("nothing", "not known"),
        ] {
            let reply = send(&server, key, path, r#"{"eventName":"a"}"#).expect(401);
            assert_readable(path, &reply);
            assert!(reply.text().contains(word), "{key}: {}", reply.text());
        }
        let reply = server.send(&Request::post(path, "{}")).expect(401);
        assert!(reply.text().contains("App-Key"), "{}", reply.text());
    }
    assert_eq!(server.count("SELECT count(*) FROM events"), 0);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Bodies that are meant to do harm, with the answers on the three paths.
fn hostile() -> Vec<(&'static str, Vec<u8>, [u16; 3])> {
    let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
    let props = |inside: &[u8]| [br#"[{"eventName":"a","props":"#, inside, b"}]"].concat();
    let many = |one: &str, count: usize| format!("[{}]", vec![one; count].join(",")).into_bytes();
    vec![
        ("nothing", Vec::new(), [400; 3]),
        ("an empty batch", b"[]".to_vec(), [400; 3]),
        ("no JSON", b"eventName=a".to_vec(), [400; 3]),
        ("no text", vec![0xff, 0xfe, 0x00], [400; 3]),
        ("half of a batch", br#"[{"eventName":"a"},{"eventNa"#.to_vec(), [400; 3]),
        ("a number", b"7".to_vec(), [200, 200, 400]),
        (
            "wrong types",
            br#"[{"eventName":{},"timestamp":[],"sessionId":true,"systemProps":7,"props":8}]"#.to_vec(),
            [200, 200, 400],
        ),
        ("a deep body", nested(200_000), [200, 200, 400]),
        ("deep properties", props(&nested(200_000)), [200, 200, 400]),
        ("a large event", props(format!("\"{}\"", "x".repeat(4 << 20)).as_bytes()), [200, 200, 400]),
        ("a large name", format!(r#"{{"eventName":"{}"}}"#, "x".repeat(4 << 20)).into_bytes(), [200, 200, 202]),
        ("more members than allowed", props(format!("[{}1]", "1,".repeat(100_000)).as_bytes()), [200, 200, 400]),
        ("more events than allowed", many("{}", 10_001), [413, 413, 400]),
        ("more than a body may have", vec![b' '; (32 << 20) + 1], [413; 3]),
        ("a bomb", gzip(&vec![b' '; 30 << 20]), [413; 3]),
        ("broken compression", gzip(b"[{}]")[..15].to_vec(), [400; 3]),
    ]
}

#[test]
fn hostile_bodies_are_refused_or_set_aside_and_cost_little() {
    let (server, key) = server_with_key(Backend::Sqlite);
    send(&server, &key, EVENTS[1], r#"[{"eventName":"before"}]"#).expect(200);
    for (what, body, statuses) in hostile() {
        for (path, status) in EVENTS.into_iter().chain([REPORT]).zip(statuses) {
            let reply = send(&server, &key, path, body.as_slice());
            assert_eq!(reply.status, status, "{what} to {path}: {}", reply.text());
            if status >= 400 {
                assert_readable(path, &reply);
            }
        }
    }
    // Memory for bodies has a bound of its own, and is given back.
    assert!(server.resident_kib() < 400 << 10, "{} KiB", server.resident_kib());
    send(&server, &key, EVENTS[1], r#"[{"eventName":"after"}]"#).expect(200);
    let named = "SELECT count(*) FROM events e JOIN strings s ON s.id = e.name_id WHERE text IN ('before', 'after')";
    assert_eq!(server.count(named), 2);
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

#[test]
fn a_box_that_can_take_nothing_says_when_to_come_back() {
    let (server, key) = server_with_key(Backend::Sqlite);
    server.run(&["app", "archive", "apt"]);
    let reply = send(&server, &key, EVENTS[0], r#"{"eventName":"a"}"#);
    assert_eq!((reply.status, reply.text().contains("archived")), (403, true), "{}", reply.text());
    draining(server, &key);
}

/// While it stops, requests on open connections are refused so that SDKs keep what they have.
fn draining(server: Server, key: &str) {
    server.run(&["app", "restore", "apt"]);
    let request = Request::post(EVENTS[1], r#"[{"eventName":"a"}]"#).header("app-key", key);
    let mut connection = Connection::open(server.address()).unwrap();
    poll::until(PATIENCE, "restored app", || (connection.send(&request).unwrap().status == 200).then_some(()));
    server.terminate();
    let refused = poll::until(PATIENCE, "refusal", || {
        let reply = connection.send(&request).ok()?;
        (reply.status != 200).then_some(reply)
    });
    assert_eq!(refused.status, 503);
    assert!(refused.header("retry-after").is_some());
    assert_readable(EVENTS[1], &refused);
}
