//! Bodies that nobody sends by mistake: refused in the protocol's words, at a bounded cost.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{logs, post, server_with_key, stored};
use crate::harness::Backend;

fn packed(plain: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(plain).unwrap();
    packed.finish().unwrap()
}

fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![number << 3 | 2];
    let mut length = bytes.len();
    while length >= 0x80 {
        field.push((length & 0x7f) as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend_from_slice(bytes);
    field
}

#[test]
fn hostile_bodies_cost_little_and_are_refused_in_words() {
    let (server, key) = server_with_key(Backend::Sqlite);
    server.send(&logs(&key, &serde_json::json!([{ "eventName": "warm" }]))).expect(200);
    let before = server.resident_kib();
    let (json, protobuf) = ("application/json", "application/x-protobuf");
    let mut nested = Vec::new();
    for _ in 0..2_000 {
        nested = field(5, &field(1, &nested));
    }
    let within = |item: &[u8]| field(1, &field(2, item));
    let nested = within(&field(2, &field(5, &nested)));
    let (open, close) = (r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":["#, "]}]}]}");
    for (what, kind, body, status) in [
        ("cut short", protobuf, nested[..nested.len() - 1].to_vec(), 400),
        ("a length of 2^63", protobuf, [&[0x0a][..], &[0xff; 9], &[0x01]].concat(), 400),
        ("groups", protobuf, vec![0x0b; 1_000_000], 400),
        ("a number without end", protobuf, vec![0xff; 1_000_000], 400),
        ("nested values", protobuf, nested, 200),
        ("nested lists", json, [open.as_bytes(), &vec![b'['; 5_000_000]].concat(), 400),
        ("a deep record", json, [open, &"[".repeat(100_000), &"]".repeat(100_000), close].concat().into_bytes(), 200),
        ("nested objects", json, br#"{"resourceLogs":"#.repeat(300_000), 400),
        ("many groups", json, [br#"{"resourceLogs":["#, &b"0,".repeat(4_000_000)[..], b"0]}"].concat(), 413),
        ("many records in JSON", json, [open, &"5,".repeat(4_000_000), "5", close].concat().into_bytes(), 413),
        ("many records", protobuf, within(&field(2, &[]).repeat(4_000_000)), 413),
        ("many groups in protobuf", protobuf, field(1, &[]).repeat(4_000_000), 413),
        ("attributes of a resource", protobuf, field(1, &field(1, &field(1, &[]).repeat(4_000_000))), 200),
        ("attributes of a record", protobuf, within(&field(2, &field(6, &[]).repeat(4_000_000))), 200),
        ("characters that grow", protobuf, within(&field(2, &field(5, &field(1, &[1; 500_000]))).repeat(15)), 413),
        (
            "random bytes",
            protobuf,
            (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect(),
            400,
        ),
        ("too large once unpacked", protobuf, vec![b'x'; 11 << 20], 413),
        ("a bomb", protobuf, packed(&vec![0; 64 << 20]), 413),
        ("a bomb in JSON", json, packed(" ".repeat(9 << 20).as_bytes()), 413),
        ("half a gzip", json, packed(b"{}")[..12].to_vec(), 400),
    ] {
        let reply = server.send(&post("/v1/logs", &key, kind, body)).expect(status);
        assert_eq!(reply.header("content-type"), Some(kind), "{what}");
        let grown = server.resident_kib().saturating_sub(before);
        assert!(grown < 160 << 10, "{what}: {grown} KiB more");
    }
    server.send(&logs(&key, &serde_json::json!([{ "eventName": "still here" }]))).expect(200);
    assert!(stored(&server).iter().any(|(name, _)| name == "still here"));
}
