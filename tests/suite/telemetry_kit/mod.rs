//! The conformance list of the telemetry-kit protocol, point by point, over real connections.

mod batches;
mod metrics;
mod refusals;
mod sdk;
mod signatures;

use serde_json::Value;

use crate::harness::kit::Credentials;
use crate::harness::{Backend, Server};

/// A server and an app on it.
fn server_with_app(backend: Backend) -> (Server, Credentials) {
    let server = Server::over(backend);
    let credentials = server.app("Conformance");
    (server, credentials)
}

/// Rows of events.
#[track_caller]
fn stored(server: &Server) -> i64 {
    server.count("SELECT count(*) FROM events")
}

/// Rows of events kept aside.
#[track_caller]
fn set_aside(server: &Server) -> i64 {
    server.count("SELECT count(*) FROM set_aside")
}

/// Checks that the published SDK can read an error: two texts, and nothing that would break its decoding.
#[track_caller]
fn assert_readable_error(body: &Value) {
    assert!(body["error"].is_string() && body["message"].is_string(), "{body}");
    assert!(body.get("details").is_none_or(Value::is_string), "{body}");
}
