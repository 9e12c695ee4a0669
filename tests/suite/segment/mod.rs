//! Segment's and RudderStack's protocol: recorded requests, and the published SDKs themselves.

mod contested;
mod hostile;
mod paths;
mod people;
mod recorded;
mod sdks;
mod times;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::http::{Reply, Request};
use crate::harness::{Backend, Server};

/// A server, and the public key of an app on it.
fn server_with_key(backend: Backend) -> (Server, String) {
    let server = Server::over(backend);
    let key = key_of(&server, "Segmented");
    (server, key)
}

/// The public key of a new app.
fn key_of(server: &Server, name: &str) -> String {
    let app = server.app(name);
    server.public_key(&app.slug)
}

/// As the SDKs name their key: the user name of Basic authentication, without a password.
fn basic(key: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{key}:")))
}

/// A request with its key in the head.
fn post(path: &str, key: &str, body: &Value) -> Request {
    Request::post(path, body.to_string()).header("authorization", &basic(key))
}

/// A message that the box keeps as an event.
fn track(event: &str) -> Value {
    json!({ "type": "track", "event": event, "userId": "u-1", "messageId": format!("id of {event}") })
}

/// Sends and insists on the answer that every SDK takes as success.
#[track_caller]
fn taken(server: &Server, request: &Request) {
    assert_eq!(server.send(request).expect(200).json(), json!({ "success": true }));
}

/// A refusal in the words of the protocol.
#[track_caller]
fn refused(reply: Reply, status: u16, said: &str) {
    let reply = reply.expect(status);
    let body = reply.json();
    let message = body["message"].as_str().unwrap_or_default();
    assert!(body["success"] == false && message.contains(said), "{body}");
    assert_eq!(reply.header("retry-after").is_some(), matches!(status, 429 | 503), "{:?}", reply.headers);
}

/// Every event: name, SDK, system, version of the app, locale and properties.
fn stored(server: &Server) -> Vec<String> {
    let fact = |name: &str| format!("(SELECT text FROM strings WHERE id = f.{name})");
    let facts = ["sdk", "system", "version", "locale"].map(fact).join(", ");
    let rows = server.sql(&format!(
        "SELECT n.text, {facts}, e.props FROM events e JOIN strings n ON n.id = e.name_id JOIN facts f ON f.id = e.facts_id \
         ORDER BY e.claimed_at, n.text, e.props"
    ));
    rows.lines().map(str::to_owned).collect()
}

/// Names of all events, in order.
fn names(server: &Server) -> Vec<String> {
    let mut names: Vec<_> =
        stored(server).iter().map(|row| row.split('|').next().unwrap_or_default().to_owned()).collect();
    names.sort();
    names
}

/// Rows of events kept aside.
fn set_aside(server: &Server) -> i64 {
    server.count("SELECT count(*) FROM set_aside")
}
