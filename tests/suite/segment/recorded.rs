//! Requests recorded from the published SDKs, or built after the source of those that are not run, and such as no SDK should
//! send: reply and stored events.

use std::fs;
use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{basic, names, post, refused, server_with_key, set_aside, stored, taken, track};
use crate::harness::Backend;
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;

on_both_backends! { recorded_requests_are_taken_whole_and_once }

fn recorded_requests_are_taken_whole_and_once(backend: Backend) {
    let (server, key) = server_with_key(backend);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/protocol/segment");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 21, "{files:?}");
    let mut before: Vec<String> = Vec::new();
    for file in files {
        let fixture: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        for _ in 0..2 {
            let reply = server.send(&request(&fixture, &key));
            assert_eq!(json!({ "status": reply.status, "body": reply.json() }), fixture["reply"], "{name}");
        }
        let all = stored(&server);
        let mut new = all.clone();
        for row in &before {
            new.remove(new.iter().position(|known| known == row).expect("nothing goes away"));
        }
        let mut expected: Vec<String> = serde_json::from_value(fixture["stored"].clone()).unwrap();
        expected.sort();
        new.sort();
        assert_eq!(new, expected, "{name}");
        before = all;
    }
    assert_eq!(set_aside(&server), 0);
}

/// As it was recorded, with a key that works.
fn request(fixture: &Value, key: &str) -> Request {
    let text = |value: &Value| value.as_str().unwrap().replace("YOUR_KEY", key);
    let mut body = text(&fixture["body"]).into_bytes();
    if fixture["headers"]["content-encoding"] == "gzip" {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(&body).unwrap();
        body = encoder.finish().unwrap();
    }
    let headers = fixture["headers"].as_object().unwrap().iter();
    headers.fold(Request::post(&text(&fixture["path"]), body), |request, (name, value)| {
        request.header(name, &value.as_str().unwrap().replace("Basic BASIC", &basic(key)))
    })
}

#[test]
fn bad_messages_are_set_aside_and_the_rest_is_kept() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let batch = json!({ "batch": [
        track("before"),
        { "type": "track", "userId": "u-1" },
        { "type": "track", "event": 7.5, "properties": { "a": 1 } },
        { "type": "identify", "traits": { "email": "ana@example.com" } },
        { "type": "gossip", "userId": "u-1" },
        { "type": "alias", "userId": "u-1" },
        7, null, [], "text",
        { "type": "track", "event": "too long a name of a user", "userId": "u".repeat(300), "messageId": "m" },
        { "type": "group", "userId": "u-1", "groupId": "g-1" },
        track("after"),
    ] });
    taken(&server, &post("/v1/batch", &key, &batch));
    assert_eq!(names(&server), ["7.5", "after", "before"]);
    assert_eq!(set_aside(&server), 9);
    let details = server.sql("SELECT detail FROM set_aside ORDER BY id");
    for said in ["`event` is missing", "`userId` and `anonymousId` are missing", "`type` is none of", "not an object"] {
        assert!(details.contains(said), "{said}: {details}");
    }
    assert!(!server.sql("SELECT body FROM set_aside").contains("ana@example.com"));
}

#[test]
fn whole_requests_are_refused_in_words() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let secret = server.app("Secret").token;
    let batch = json!({ "batch": [track("a")] });
    let bare = Request::post("/v1/batch", batch.to_string());
    let of = |key: &str| server.send(&post("/v1/batch", key, &batch));
    refused(server.send(&bare), 401, "there is no write key");
    refused(server.send(&bare.clone().header("authorization", "Basic !")), 401, "there is no write key");
    refused(of("nobody's key"), 401, "not known");
    refused(of(&secret), 401, "secret key");
    refused(of(&key[..key.len() - 1]), 401, "mistyped");
    for text in ["", "{", "[]", "{}", r#"{"batch":{}}"#, r#"{"batch":[]"#, "text", "\u{0}"] {
        let request = Request::post("/v1/batch", text).header("authorization", &basic(&key));
        refused(server.send(&request), 400, "not JSON of the form");
        let request = Request::post("/v1/t", if text == "{}" { "[]" } else { text });
        let request = request.header("authorization", &basic(&key));
        if !text.starts_with("{\"") {
            refused(server.send(&request), 400, "not a JSON object");
        }
    }
    let many = json!({ "batch": vec![json!({}); 5_001] });
    refused(server.send(&post("/v1/batch", &key, &many)), 413, "5000");
    let brotli = post("/v1/batch", &key, &batch).header("content-encoding", "br");
    refused(server.send(&brotli), 415, "gzip");
    server.send(&Request::get("/v1/batch")).expect(405);
    server.send(&post("/v1/t/x", &key, &track("a"))).expect(404);
    assert_eq!((stored(&server).len(), set_aside(&server)), (0, 0));
    taken(&server, &post("/v1/batch", &key, &json!({ "batch": [] })));
    assert_eq!((stored(&server).len(), set_aside(&server)), (0, 0));
}
