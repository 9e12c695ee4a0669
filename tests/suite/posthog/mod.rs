//! PostHog's protocol: its published SDKs, requests recorded from them, and whatever else may come.

mod beside;
mod hostile;
mod paths;
mod recorded;
mod sdks;

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::harness::http::{Reply, Request};
use crate::harness::{Backend, Server};

/// A server, and an app's public key.
fn server_with_key(backend: Backend) -> (Server, String) {
    let server = Server::over(backend);
    let app = server.app("Hog");
    let key = server.public_key(&app.slug);
    (server, key)
}

fn post(server: &Server, path: &str, body: impl Into<Vec<u8>>) -> Reply {
    server.send(&Request::post(path, body).header("content-type", "application/json"))
}

/// A batch of events as older forms have it.
fn batch(key: &str, events: &[Value]) -> String {
    json!({ "api_key": key, "batch": events }).to_string()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Every event in the database: name, category, facts, properties, error, and whether it has user and session.
fn stored(server: &Server) -> Vec<Value> {
    const FACTS: [&str; 8] = ["version", "build", "system", "system_version", "device", "locale", "sdk", "country"];
    let text = |id: &str| format!("(SELECT text FROM strings WHERE id = {id})");
    let texts = FACTS.map(|fact| text(&format!("f.{fact}"))).join(", ");
    let sql = format!(
        "SELECT {}, {}, {}, e.user_id IS NOT NULL, e.session_id IS NOT NULL, {texts}, e.props \
         FROM events e LEFT JOIN facts f ON f.id = e.facts_id",
        text("e.name_id"),
        text("e.category_id"),
        text("e.error_id")
    );
    let rows = server.sql(&sql);
    let row = |line: &str| {
        let cells: Vec<&str> = line.splitn(6 + FACTS.len(), '|').collect();
        let facts = FACTS.iter().zip(&cells[5..]).filter(|(_, text)| !text.is_empty());
        let facts: serde_json::Map<_, _> = facts.map(|(fact, text)| ((*fact).to_owned(), json!(text))).collect();
        let props = cells[5 + FACTS.len()];
        let props = if props.is_empty() { Value::Null } else { serde_json::from_str(props).unwrap() };
        let said = |at: usize| Some(cells[at]).filter(|text| !text.is_empty());
        let told = |at: usize| matches!(cells[at], "1" | "t" | "true");
        json!({
            "name": cells[0], "category": said(1), "error": said(2), "user": told(3), "session": told(4),
            "facts": facts, "props": props
        })
    };
    sorted(rows.lines().map(row).collect())
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(Value::to_string);
    rows
}

fn events(server: &Server) -> i64 {
    server.count("SELECT count(*) FROM events")
}
