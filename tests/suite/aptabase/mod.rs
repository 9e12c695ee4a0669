//! Aptabase's protocol: its published SDKs, requests recorded from them, and whatever else may come.

mod acceptance;
mod refusals;
mod sdk;

use serde_json::{Value, json};
use tallybox::auth::token::as_aptabase;

use crate::harness::http::{Reply, Request};
use crate::harness::{Backend, Server};

/// A server, and an app's public key as Aptabase's SDKs want it.
fn server_with_key(backend: Backend) -> (Server, String) {
    let server = Server::over(backend);
    let app = server.app("Apt");
    let key = as_aptabase(&server.public_key(&app.slug)).unwrap();
    (server, key)
}

fn send(server: &Server, key: &str, path: &str, body: impl Into<Vec<u8>>) -> Reply {
    server.send(&Request::post(path, body).header("content-type", "application/json").header("app-key", key))
}

/// Every event in the database: name, environment, facts and properties.
fn stored(server: &Server) -> Vec<Value> {
    const FACTS: [&str; 8] = ["version", "build", "system", "system_version", "device", "locale", "sdk", "country"];
    let texts = FACTS.map(|fact| format!("(SELECT text FROM strings WHERE id = f.{fact})")).join(", ");
    let sql = format!(
        "SELECT (SELECT text FROM strings WHERE id = e.name_id), v.slug, {texts}, e.props \
         FROM events e JOIN environments v ON v.id = e.env_id LEFT JOIN facts f ON f.id = e.facts_id"
    );
    let rows = server.sql(&sql);
    let row = |line: &str| {
        let cells: Vec<&str> = line.splitn(3 + FACTS.len(), '|').collect();
        let facts = FACTS.iter().zip(&cells[2..]).filter(|(_, text)| !text.is_empty());
        let facts: serde_json::Map<_, _> = facts.map(|(fact, text)| ((*fact).to_owned(), json!(text))).collect();
        let props = cells[2 + FACTS.len()];
        let props = if props.is_empty() { Value::Null } else { serde_json::from_str(props).unwrap() };
        json!({ "name": cells[0], "environment": cells[1], "facts": facts, "props": props })
    };
    sorted(rows.lines().map(row).collect())
}

fn sorted(mut rows: Vec<Value>) -> Vec<Value> {
    rows.sort_by_key(Value::to_string);
    rows
}
