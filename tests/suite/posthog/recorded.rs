//! Requests recorded from the published SDKs, or built after the source of those that are not run, and some of them with a
//! wrong key or broken off: reply and stored events.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{gzip, server_with_key, sorted, stored};
use crate::harness::Backend;
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;

on_both_backends! { recorded_requests_are_taken_whole_and_once }

fn fixtures() -> Vec<Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/protocol/posthog");
    let files = fs::read_dir(folder).unwrap().map(|entry| fs::read(entry.unwrap().path()).unwrap());
    files.map(|file| serde_json::from_slice(&file).unwrap()).collect()
}

/// As it was recorded, with a key that works.
fn request(fixture: &Value, key: &str) -> Request {
    let text = |value: &Value| value.as_str().unwrap().replace("YOUR_KEY", key);
    let body = text(&fixture["body"]).into_bytes();
    let body = if fixture["gzip"] == true { gzip(&body) } else { body };
    let headers = fixture["headers"].as_object().unwrap();
    let request = Request::post(&text(&fixture["path"]), body);
    headers.iter().fold(request, |request, (name, value)| request.header(name, &text(value)))
}

fn recorded_requests_are_taken_whole_and_once(backend: Backend) {
    let (server, key) = server_with_key(backend);
    let fixtures = fixtures();
    assert!(fixtures.len() >= 17);
    let mut expected = Vec::new();
    // A second time as a client whose answer was lost.
    for again in [false, true] {
        for fixture in &fixtures {
            let request = request(fixture, &key);
            let status = fixture["status"].as_u64().map_or(200, |status| u16::try_from(status).unwrap());
            let mut reply = server.send(&request).expect(status).json();
            if let Some(id) = reply.as_object_mut().unwrap().remove("requestId") {
                assert!(id.as_str().is_some_and(|id| id.len() == 36));
            }
            assert_eq!(reply, fixture["reply"], "{}", fixture["path"]);
            if !again {
                expected.extend(fixture["stored"].as_array().unwrap().iter().cloned());
            }
        }
    }
    let stored = stored(&server);
    assert_eq!(json!(stored), json!(sorted(expected)));
    assert_eq!(server.count("SELECT count(*) FROM set_aside"), 0);
}
