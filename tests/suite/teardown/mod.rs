//! The Teardown protocol, by a client that knows nothing but its specification.

mod acceptance;
mod cors;
mod examples;
mod figures;
mod refusals;
mod statuses;
mod tenancy;
mod together;
mod tokens;

pub mod client;

use serde_json::{Value, json};

use self::client::{Client, Identity, Release, SignOut, State, event, wait_until};
use crate::harness::kit::Credentials;
use crate::harness::{Backend, Server};

/// A server, an app on it, and a fresh install of that app.
fn server_with_client(backend: Backend) -> (Server, Credentials, Client) {
    let server = Server::over(backend);
    let app = server.app("Torn down");
    let client = Client::new(&server, &app);
    (server, app, client)
}

/// Somebody as an app names them.
fn ana() -> Value {
    json!({ "user_id": "user-123", "email": "ana@example.com", "name": "Ana" })
}

/// Checks that every release can tell its app why.
#[track_caller]
fn assert_readable(body: &Value) {
    assert_eq!(body["success"], false, "{body}");
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
    match &body["error"] {
        Value::String(kind) => {
            assert_eq!((kind.as_str(), &body["summary"]), ("VALIDATION", &body["message"]), "{body}");
            assert!(body["property"].is_string() && body["type"] == "validation", "{body}");
            assert!(body.get("found").is_none(), "{body}");
        }
        error => assert_eq!(error["message"], body["message"], "{body}"),
    }
}
