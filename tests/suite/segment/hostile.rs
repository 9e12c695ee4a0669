//! Bodies that nobody sends in good faith: each is refused or set aside in words, and costs little.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::{basic, server_with_key, set_aside, stored, track};
use crate::harness::Backend;
use crate::harness::http::Request;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What to send, and the status of the answer.
fn bodies() -> Vec<(&'static str, Vec<u8>, u16)> {
    let good = json!({ "batch": [track("good")] }).to_string();
    let deep = |text: &str, depth: usize| text.replace("DEEP", &format!("{}1{}", "[".repeat(depth), "]".repeat(depth)));
    let message = r#"{"batch":[{"type":"track","event":"deep","userId":"u","properties":{"a":DEEP}}]}"#;
    let wide = (0..100_000).map(|n| format!(r#""p{n}":{n}"#)).collect::<Vec<_>>().join(",");
    let bomb = format!(r#"{{"batch":[{{"type":"track","event":"{}"}}]}}"#, " ".repeat(200 << 20));
    vec![
        ("deep properties", deep(message, 500_000).into_bytes(), 200),
        ("a deep context", deep(r#"{"batch":[{"type":"track","event":"x","context":DEEP}]}"#, 500_000).into_bytes(), 200),
        ("a deep user", deep(r#"{"batch":[{"type":"identify","userId":DEEP}]}"#, 500_000).into_bytes(), 200),
        ("a deep batch", deep(r#"{"batch":DEEP}"#, 500_000).into_bytes(), 200),
        ("never closed", vec![b'['; 3 << 20], 400),
        ("objects never closed", r#"{"batch":"#.repeat(300_000).into_bytes(), 400),
        ("many properties", format!(r#"{{"batch":[{{"type":"track","event":"x","properties":{{{wide}}}}}]}}"#).into_bytes(), 200),
        ("many traits", format!(r#"{{"batch":[{{"type":"identify","userId":"u","traits":{{{wide}}}}}]}}"#).into_bytes(), 200),
        ("many empty messages", format!(r#"{{"batch":[{}{{}}]}}"#, "{},".repeat(1_000_000)).into_bytes(), 413),
        ("a long name", json!({ "batch": [{ "type": "track", "event": "n".repeat(2 << 20) }] }).to_string().into_bytes(), 200),
        ("one half", good.as_bytes()[..good.len() / 2].to_vec(), 400),
        ("half compressed", gzip(good.as_bytes())[..40].to_vec(), 400),
        ("compressed junk", [&[0x1f, 0x8b, 8, 0], &[7_u8; 500][..]].concat(), 400),
        ("a bomb", gzip(bomb.as_bytes()), 413),
        ("a bomb of zeros", gzip(&vec![0; 100 << 20]), 413),
        ("too large", vec![b' '; (4_000 << 10) + 1], 413),
        ("no UTF-8", b"{\"batch\":[{\"type\":\"track\",\"event\":\"\xff\xfe\"}]}".to_vec(), 400),
        ("half a surrogate", br#"{"batch":[{"type":"track","event":"\ud83c"}]}"#.to_vec(), 200),
        ("numbers without end", format!(r#"{{"batch":[{{"type":"track","event":{},"userId":1e999}}]}}"#, "9".repeat(10_000)).into_bytes(), 200),
        ("wrong types", br#"{"batch":[{"type":["track"],"event":{},"userId":[],"context":[[]],"properties":7,"traits":"t"}],"sentAt":{},"context":"c"}"#.to_vec(), 200),
        ("members twice", br#"{"batch":[{"type":"track","event":"x","event":"y","messageId":"m"}]}"#.to_vec(), 200),
        ("zeros", br#"{"batch":[{"type":"track","event":"zero \u0000 byte","userId":"\u0000"}]}"#.to_vec(), 200),
    ]
}

#[test]
fn hostile_bodies_are_refused_in_words_and_cost_little() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let before = server.resident_kib();
    for (what, body, status) in bodies() {
        for path in ["/v1/batch", "/v1/t"] {
            let reply = server.send(&Request::post(path, body.clone()).header("authorization", &basic(&key)));
            let said = reply.json();
            if path == "/v1/batch" {
                assert_eq!(reply.status, status, "{what}: {said}");
            }
            assert!(matches!(reply.status, 200 | 400 | 413), "{what}: {} {said}", reply.status);
            assert_eq!(said["success"], reply.status == 200, "{what}: {said}");
            assert!(
                reply.status == 200 || said["message"].as_str().is_some_and(|text| text.len() < 300),
                "{what}: {said}"
            );
        }
        // The same without a key in the head, which is looked for in the body then.
        let reply = server.send(&Request::post("/v1/batch", body));
        assert!(matches!(reply.status, 400 | 401 | 413), "{what}: {}", reply.status);
    }
    let grown = server.resident_kib().saturating_sub(before) >> 10;
    assert!(grown < 128, "{grown} MiB more than before");
    assert!(set_aside(&server) > 5);
    let names: Vec<_> = stored(&server).into_iter().map(|row| row.chars().take(9).collect::<String>()).collect();
    assert!(names.iter().all(|name| !name.starts_with("good")), "{names:?}");
    assert!(server.is_running() && server.get("/health/ready").status == 200);
}
