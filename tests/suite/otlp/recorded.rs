//! Requests recorded from published exporters: the reply and what is stored, compared.

use std::fs;
use std::io::Write;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{post, server_with_key, set_aside, stored};
use crate::harness::Backend;

/// Each names its package, its path and its headers, the body as it travelled, and what comes of it.
fn recordings() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/protocol/otlp");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: &Path| serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    files.map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), read(&path))).collect()
}

#[test]
fn recorded_requests_are_taken_whole_and_a_repeat_counts_once() {
    let recordings = recordings();
    assert!(recordings.len() >= 7, "only {}", recordings.len());
    for (name, recorded) in recordings {
        let (server, key) = server_with_key(Backend::Sqlite);
        let body = STANDARD.decode(recorded["body"].as_str().unwrap()).unwrap();
        let kind = recorded["headers"]["content-type"].as_str().unwrap();
        let mut request = post(recorded["path"].as_str().unwrap(), &key, kind, body);
        for header in ["user-agent", "content-encoding"] {
            if let Some(value) = recorded["headers"][header].as_str() {
                request = request.header(header, value);
            }
        }
        for _ in 0..2 {
            let reply = server.send(&request).expect(200);
            assert_eq!(reply.header("content-type"), Some(kind), "{name}");
            assert_eq!(STANDARD.encode(&reply.body), recorded["reply"].as_str().unwrap(), "{name}");
        }
        let mut events: Vec<Value> = stored(&server).into_iter().map(|(name, props)| json!([name, props])).collect();
        let mut expected = recorded["stored"].as_array().unwrap().clone();
        let by_text = |event: &Value| (event[0].to_string(), event[1].to_string());
        expected.sort_by_key(by_text);
        events.sort_by_key(by_text);
        assert_eq!(events, expected, "{name}");
        assert_eq!(set_aside(&server), 0, "{name}");
    }
}

#[test]
fn recorded_requests_are_read_however_they_are_packed() {
    let (server, key) = server_with_key(Backend::Sqlite);
    for (name, recorded) in recordings().into_iter().filter(|(name, _)| name.contains("logs")) {
        let mut body = STANDARD.decode(recorded["body"].as_str().unwrap()).unwrap();
        let kind = recorded["headers"]["content-type"].as_str().unwrap();
        if !body.starts_with(&[0x1f, 0x8b]) {
            let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
            packed.write_all(&body).unwrap();
            body = packed.finish().unwrap();
        }
        // PostHog's SDKs: another path, the key in the query, and no word of compression.
        let other = post("/i/v1/logs", &key, kind, body.clone()).without("authorization");
        let token = format!("/i/v1/logs?token={key}");
        for request in [
            post("/v1/logs", &key, kind, body.clone()).header("content-encoding", "gzip"),
            post("/v1/logs", &key, "application/octet-stream", body.clone()),
            crate::harness::http::Request { target: token, ..other.clone() },
            chunked(post("/v1/logs", &key, kind, body.clone()), &body),
        ] {
            server.send(&request).expect(200);
        }
        let events = recorded["stored"].as_array().unwrap().len();
        assert!(events > 0, "{name}");
    }
    let recorded: usize = recordings()
        .iter()
        .filter(|(name, _)| name.contains("logs"))
        .map(|(_, r)| r["stored"].as_array().unwrap().len())
        .sum();
    assert_eq!(stored(&server).len(), recorded, "each once, however it came");
}

/// The same in chunks of 100 bytes, as Node.js sends.
fn chunked(request: crate::harness::http::Request, body: &[u8]) -> crate::harness::http::Request {
    let mut chunks = Vec::new();
    for piece in body.chunks(100) {
        chunks.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
        chunks.extend_from_slice(piece);
        chunks.extend_from_slice(b"\r\n");
    }
    chunks.extend_from_slice(b"0\r\n\r\n");
    crate::harness::http::Request { body: chunks, ..request }.header("transfer-encoding", "chunked")
}
