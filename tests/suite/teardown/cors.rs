//! Point 10: browsers may use the protocol from the pages that are allowed, all by default, and errors say so too.

use serde_json::json;

use super::{Client, server_with_client};
use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::{Backend, Server};

on_both_backends! { preflights_pass_and_every_answer_is_marked, listed_pages_alone_are_allowed }

const PAGE: &str = "https://app.example.com";
const ASKED: &str = "authorization,content-type,td-api-key,td-device-id,td-environment-slug,td-org-id,td-project-id,\
                     td-sdk-version,td-session-id";

fn preflight(path: &str) -> Request {
    Request { method: "OPTIONS", ..Request::get(path) }
        .header("origin", PAGE)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", ASKED)
}

/// What a browser sends, whatever comes back.
fn answers(client: &Client) -> Vec<Reply> {
    let from = |request: Request| client.send(&request.header("origin", PAGE));
    let identify = || client.request("/v1/identify", &client.identify_body(None));
    vec![
        from(identify()).expect(200),
        from(client.request("/v1/events", &json!({ "events": [{ "event_name": "a" }] }))).expect(200),
        from(identify().without("td-device-id")).expect(400),
        from(identify().without("td-api-key")).expect(401),
        from(client.request("/v1/identify", &json!({}))).expect(422),
        from(Request::get("/v1/identify")).expect(404),
        from(Request::get("/td/nothing")).expect(404),
        from(Request::get("/td/health")).expect(200),
    ]
}

fn preflights_pass_and_every_answer_is_marked(backend: Backend) {
    let (_server, _, client) = server_with_client(backend);
    for path in ["/v1/identify", "/v1/events", "/td/v1/identify", "/td/health", "/td/anything/else"] {
        let reply = client.send(&preflight(path)).expect(204);
        assert!(reply.body.is_empty());
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
        let allowed: Vec<_> = reply.header("access-control-allow-headers").unwrap().split(", ").collect();
        for name in ASKED.split(',') {
            assert!(allowed.contains(&name), "{name} in {allowed:?}");
        }
    }
    for reply in answers(&client) {
        assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "{}", reply.text());
        assert_eq!(reply.header("access-control-allow-credentials"), None);
    }
    // The other protocol's setting is its own: off by default.
    assert_eq!(client.send(&preflight("/events/batch")).header("access-control-allow-origin"), None);
}

fn listed_pages_alone_are_allowed(backend: Backend) {
    for (listed, allowed) in [(PAGE, Some(PAGE)), ("https://other.example.com", None)] {
        let server = Server::with().backend(backend).setting("TALLYBOX_TEARDOWN_CORS_ORIGINS", listed).start();
        let app = server.app("Listed");
        let client = Client::new(&server, &app);
        for reply in answers(&client).into_iter().chain([client.send(&preflight("/v1/events"))]) {
            assert_eq!(reply.header("access-control-allow-origin"), allowed, "{}", reply.text());
            assert_eq!(reply.header("vary"), Some("origin"));
        }
    }
}
