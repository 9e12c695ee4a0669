//! Bodies that no SDK should send.

use std::fmt::Write;

use serde_json::json;

use super::{batch, events, gzip, post, server_with_key};
use crate::harness::Backend;
use crate::harness::http::Request;

/// What the process may need beside what it starts with, in KiB: a few bodies as they come, and what is made of them.
const MEMORY: u64 = 120 << 10;

#[test]
fn hostile_bodies_are_refused_in_the_dialect_and_take_little_memory() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let good = json!({ "event": "x", "distinct_id": "a" });
    let whole = batch(&key, std::slice::from_ref(&good));
    let deep = "[".repeat(1 << 20);
    let mut many = String::new();
    for n in 0..6_000 {
        write!(many, r#"{}{{"event":"x","distinct_id":"{n}"}}"#, if n == 0 { "" } else { "," }).unwrap();
    }
    let lz_bomb = "B418ZXTt/DFOS1b0c17Pd/wYUcSaWeRZVdTbXTEA";
    let before = server.resident_kib();
    for (name, path, body, status) in [
        ("empty", "/e/", Vec::new(), 400),
        ("no JSON", "/e/", b"certainly not".to_vec(), 400),
        ("a number", "/e/", b"17".to_vec(), 400),
        ("null", "/batch/", b"null".to_vec(), 400),
        ("not UTF-8", "/batch/", vec![b'[', b'"', 0xff, b'"', b']'], 400),
        ("no events", "/batch/", batch(&key, &[]).into_bytes(), 400),
        ("cut", "/batch/", whole.as_bytes()[..whole.len() - 3].to_vec(), 400),
        ("more behind", "/batch/", format!("{whole}{whole}").into_bytes(), 400),
        ("wrong types", "/batch/", json!({ "api_key": [1], "batch": "x" }).to_string().into_bytes(), 400),
        ("deep", "/batch/", deep.clone().into_bytes(), 400),
        ("deep in gzip", "/batch/", gzip(deep.as_bytes()), 400),
        ("many events", "/batch/", format!(r#"{{"api_key":"{key}","batch":[{many}]}}"#).into_bytes(), 413),
        ("gzip bomb", "/e/", gzip(&vec![b' '; 64 << 20]), 413),
        ("gzip in gzip", "/e/", gzip(&gzip(&gzip(&gzip(&gzip(&gzip(whole.as_bytes())))))), 400),
        ("cut gzip", "/e/", gzip(whole.as_bytes())[..12].to_vec(), 400),
        ("LZ nonsense", "/e/?compression=lz64", b"////".to_vec(), 400),
        ("LZ of no event", "/e/?compression=lz64", lz_bomb.into(), 400),
        ("base64 nonsense", "/e/", "A".repeat(200).into_bytes(), 400),
        ("form without payload", "/e/", b"data=&compression=base64".to_vec(), 400),
        ("zstd", "/e/", vec![0x28, 0xb5, 0x2f, 0xfd, 0], 400),
        ("over 20 MiB", "/batch/", vec![b' '; (20 << 20) + 1], 413),
    ] {
        let reply = post(&server, path, body).expect(status);
        let told = reply.json();
        assert!(told["detail"].as_str().is_some_and(|text| !text.is_empty()), "{name}: {told}");
    }
    let newer = |body: &[u8]| {
        let request = Request::post("/i/v1/analytics/events", body).header("authorization", &format!("Bearer {key}"));
        server.send(&request)
    };
    for body in [b"".to_vec(), b"[]".to_vec(), b"{}".to_vec(), deep.into_bytes(), gzip(&vec![b' '; 64 << 20])] {
        let reply = newer(&body);
        assert!(matches!(reply.status, 400 | 413), "{}", reply.status);
        assert!(reply.json()["error"].is_string());
    }
    let grown = server.resident_kib().saturating_sub(before);
    assert!(grown < MEMORY, "{grown} KiB");
    post(&server, "/batch/", whole).expect(200);
    assert_eq!(events(&server), 1);
}

#[test]
fn one_bad_event_is_set_aside_and_the_others_are_stored() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let good = |name: &str| json!({ "event": name, "distinct_id": "a" });
    let mut deep = json!(1);
    for _ in 0..40 {
        deep = json!([deep]);
    }
    let body = batch(
        &key,
        &[
            good("first"),
            json!(17),
            json!({ "distinct_id": "a" }),
            json!({ "event": "nobody's" }),
            json!({ "event": "x", "distinct_id": "a", "properties": "none" }),
            json!({ "event": "deep", "distinct_id": "a", "properties": { "a": deep } }),
            json!({ "event": "large", "distinct_id": "a", "properties": { "a": "x".repeat(70_000) } }),
            good("last"),
        ],
    );
    post(&server, "/batch/", body).expect(200);
    assert_eq!(events(&server), 2);
    let reasons = server.sql("SELECT reason, count(*) FROM set_aside GROUP BY reason ORDER BY reason");
    assert_eq!(reasons, "invalid|4\ntoo_complex|1\ntoo_large|1\n");
}
