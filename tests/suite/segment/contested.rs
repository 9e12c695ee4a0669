//! `POST /v1/identify`, which Teardown's client and Segment's SDKs both call: on one port each is understood.

use serde_json::json;

use super::{basic, key_of, post, set_aside, taken};
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, Server};
use crate::teardown::client::Client;

on_both_backends! { both_claimants_of_one_path_are_understood }

const PAGE: &str = "https://app.example.com";

fn both_claimants_of_one_path_are_understood(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Torn down");
    let teardown = Client::new(&server, &app);
    let segment = key_of(&server, "Segmented");

    let identified = teardown.send(&teardown.request("/v1/identify", &teardown.identify_body(None))).expect(200).json();
    assert!(identified["success"] == true && identified["data"]["session_id"].is_string(), "{identified}");

    let body = json!({ "userId": "u-1", "anonymousId": "a-1", "traits": { "email": "ana@example.com" } });
    let mut keyed = body.clone();
    keyed["writeKey"] = json!(segment);
    taken(&server, &post("/v1/identify", &segment, &body));
    taken(&server, &Request::post(&format!("/v1/identify?writeKey={segment}"), body.to_string()));
    taken(&server, &Request::post("/v1/identify", keyed.to_string()).header("content-type", "text/plain"));
    taken(&server, &post("/v1/i", &segment, &body));

    // What shows neither is refused as Teardown's has always been; a key that is not known, as Segment's.
    let nobody = server.send(&Request::post("/v1/identify", body.to_string())).expect(400).json();
    assert_eq!(nobody["error"]["code"], "MISSING_ORG_ID", "{nobody}");
    let unknown = server.send(&post("/v1/identify", "unknown", &body)).expect(401).json();
    assert_eq!((&unknown["success"], &unknown["code"]), (&json!(false), &json!("unknown_write_key")), "{unknown}");
    // A header of Teardown's outweighs a key of Segment's.
    let both =
        teardown.request("/v1/identify", &teardown.identify_body(None)).header("authorization", &basic(&segment));
    assert_eq!(server.send(&both).expect(200).json()["data"]["device_id"], identified["data"]["device_id"]);

    let preflight = |asked: &str| {
        let request = Request { method: "OPTIONS", ..Request::get("/v1/identify") }.header("origin", PAGE);
        let request = request.header("access-control-request-method", "POST");
        server.send(&request.header("access-control-request-headers", asked)).expect(204)
    };
    let (teardowns, segments) = (preflight("content-type,td-api-key"), preflight("anonymousid,authorization"));
    assert!(teardowns.header("access-control-allow-headers").unwrap().contains("td-api-key"));
    assert_eq!(segments.header("access-control-allow-headers"), Some("anonymousid,authorization"));
    assert_eq!(teardowns.header("access-control-allow-origin"), Some("*"));
    assert_eq!(segments.header("access-control-allow-origin"), Some(PAGE));
    assert_eq!((server.count("SELECT count(*) FROM events"), set_aside(&server)), (0, 0));
}

#[test]
fn where_one_is_switched_off_the_other_has_the_path() {
    for (protocols, status, said) in [("all,-teardown", 401, "write key"), ("all,-segment", 400, "td-org-id")] {
        let server = Server::with().setting("TALLYBOX_PROTOCOLS", protocols).start();
        let reply = server.send(&Request::post("/v1/identify", "{}"));
        assert!(
            reply.status == status && reply.text().contains(said),
            "{protocols}: {} {}",
            reply.status,
            reply.text()
        );
    }
}
