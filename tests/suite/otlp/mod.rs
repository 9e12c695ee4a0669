//! OTLP over HTTP: the published exporters, requests recorded from them, and whatever else may come.

mod hostile;
mod recorded;
mod refusals;
mod sdk;

use serde_json::{Value, json};

use crate::harness::http::Request;
use crate::harness::{Backend, Server};

/// A server, and a public key of an app on it.
fn server_with_key(backend: Backend) -> (Server, String) {
    let server = Server::over(backend);
    server.app("Shop");
    let key = server.public_key("shop");
    (server, key)
}

/// A request of records in JSON.
fn logs(key: &str, records: &Value) -> Request {
    let body = json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": records }] }] });
    post("/v1/logs", key, "application/json", body.to_string())
}

fn post(path: &str, key: &str, kind: &str, body: impl Into<Vec<u8>>) -> Request {
    Request::post(path, body).header("content-type", kind).header("authorization", &format!("Bearer {key}"))
}

/// Every event that is stored, by name: that and its properties.
#[track_caller]
fn stored(server: &Server) -> Vec<(String, Value)> {
    let query = "SELECT text, coalesce(props, 'null') FROM events e JOIN strings s ON s.id = name_id";
    let read = |line: &str| {
        let (name, props) = line.split_once('|').unwrap();
        (name.to_owned(), serde_json::from_str(props).unwrap())
    };
    let rows = server.sql(query);
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.sort_unstable();
    rows.into_iter().map(read).collect()
}

#[track_caller]
fn set_aside(server: &Server) -> i64 {
    server.count("SELECT count(*) FROM set_aside")
}
