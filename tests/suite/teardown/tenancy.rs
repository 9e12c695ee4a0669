//! Whose app a request is for: by key with headers that agree, or one app for everybody; at the root and under a prefix.

use serde_json::json;

use super::{Client, ana, assert_readable, event, server_with_client};
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, Server};

on_both_backends! {
    key_and_headers_agree_in_ids_or_short_names,
    environments_are_apart_whatever_the_key_was_made_for,
    single_tenant_needs_no_key_and_no_names,
    single_tenant_says_what_to_configure,
    clients_find_the_server_under_its_prefix_too,
    unknown_devices_may_be_let_pass,
}

fn key_and_headers_agree_in_ids_or_short_names(backend: Backend) {
    let (server, app, mut client) = server_with_client(backend);
    let first = client.refresh();
    client.organization = "default".to_owned();
    client.project = app.slug.clone();
    client.key = format!("Bearer {}", client.key);
    assert_eq!(client.refresh().device, first.device);
    let bearer = client.request("/v1/identify", &client.identify_body(None)).without("td-api-key");
    client.send(&bearer.header("authorization", &client.key)).expect(200);

    let other = server.app("Other");
    for (field, value, status) in [
        ("td-project-id", other.app.as_str(), 403),
        ("td-project-id", "torn", 403),
        ("td-org-id", "elsewhere", 403),
        ("td-org-id", &uuid::Uuid::new_v4().to_string(), 403),
        ("td-api-key", &app.secret, 401),
        ("td-api-key", &server.public_key(&other.slug), 403),
        ("td-api-key", &app.token, 401),
        ("td-api-key", "unknown", 401),
    ] {
        let body = client.identify_body(None);
        let request = client.request("/v1/identify", &body).without(field).header(field, value);
        assert_readable(&client.send(&request).expect(status).json());
    }
    server.run(&["key", "revoke", "2"]);
    let refused = client.try_identify(None).unwrap_err();
    assert_eq!((refused.status, refused.text.as_str()), (401, "unknown API key"));
}

fn environments_are_apart_whatever_the_key_was_made_for(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    let mut seen = Vec::new();
    for environment in ["production", "staging", "development"] {
        client.environment = environment.to_owned();
        let identity = client.log_in(&ana());
        client.track(&[event("a", None)]).unwrap();
        assert!(!seen.contains(&identity.device) && !seen.contains(&identity.user), "{environment}");
        seen.extend([identity.device, identity.user]);
    }
    assert_eq!(server.count("SELECT count(DISTINCT env_id) FROM events"), 3);
    assert_eq!(server.count("SELECT count(*) FROM versions"), 1, "versions belong to the app");
    let session = client.refresh().session;
    client.environment = "production".to_owned();
    let foreign = client.request("/v1/events", &json!({ "events": [event("b", None)] }));
    let refused = client.send(&foreign.header("td-session-id", &session)).expect(400).json();
    assert_eq!(refused["error"]["code"], "INVALID_SESSION");
}

fn single_tenant_needs_no_key_and_no_names(backend: Backend) {
    for tenant in ["torn-down", "default/torn-down"] {
        let server = Server::with().backend(backend).setting("TALLYBOX_TEARDOWN_TENANT", tenant).start();
        let app = server.app("Torn down");
        let client = Client::new(&server, &app);
        let bare = |path: &str, body| {
            let request = client.request(path, &body);
            ["td-api-key", "td-org-id", "td-project-id"].iter().fold(request, |request, name| request.without(name))
        };
        let first = client.send(&bare("/v1/identify", client.identify_body(None))).expect(200).json();
        let mut wrong = client.clone();
        (wrong.key, wrong.organization, wrong.project) = ("nope".to_owned(), "nope".to_owned(), "nope".to_owned());
        assert_eq!(wrong.refresh().device, first["data"]["device_id"], "what is sent is ignored");
        client.send(&bare("/v1/events", json!({ "events": [event("a", None)] }))).expect(200);
        assert_eq!(server.count("SELECT count(*) FROM events"), 1);
        for (missing, code) in
            [("td-environment-slug", "MISSING_ENVIRONMENT_SLUG"), ("td-device-id", "MISSING_DEVICE_ID")]
        {
            let request = bare("/v1/identify", client.identify_body(None)).without(missing);
            assert_eq!(client.send(&request).expect(400).json()["error"]["code"], code);
        }
        assert!(server.log().contains("teardown_tenant is set"), "{}", server.log());
    }
}

fn single_tenant_says_what_to_configure(backend: Backend) {
    let server = Server::with().backend(backend).setting("TALLYBOX_TEARDOWN_TENANT", "elsewhere/mine").start();
    let app = server.app("Mine");
    let mut client = Client::new(&server, &app);
    let refused = client.try_identify(None).unwrap_err();
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("teardown_tenant") && refused.text.contains("mine"), "{refused:?}");
    for wrong in ["a/b/c", "no spaces", "/app"] {
        let output = server.command(&["config", "check"]).env("TALLYBOX_TEARDOWN_TENANT", wrong).output().unwrap();
        assert!(String::from_utf8_lossy(&output.stderr).contains("teardown_tenant must be"), "{wrong}");
    }
}

fn clients_find_the_server_under_its_prefix_too(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    let first = client.refresh();
    for base in ["/td", "/td/"] {
        client.base = base.to_owned();
        assert_eq!(client.refresh().device, first.device);
        client.track(&[event("a", None)]).unwrap();
    }
    for (method, path) in [
        ("GET", "/td/v1/identify"),
        ("PUT", "/td/v1/events"),
        ("POST", "/td/health"),
        ("GET", "/td/v1"),
        ("POST", "/td/other"),
        ("GET", "/td"),
        ("DELETE", "/v1/events"),
        ("POST", "/v1/identify/more"),
    ] {
        let reply = server.send(&Request { method, ..Request::get(path) }).expect(404).json();
        assert_readable(&reply);
        assert_eq!(reply["error"]["code"], "NOT_FOUND");
        assert_eq!(reply["message"], format!("no route {method} {path}"));
    }
    let elsewhere = Server::with().backend(backend).setting("TALLYBOX_PROTOCOLS", "all,teardown=/sdk/td").start();
    let app = elsewhere.app("Elsewhere");
    let mut client = Client::new(&elsewhere, &app);
    client.base = "/sdk/td".to_owned();
    client.refresh();
    elsewhere.get("/sdk/td/health").expect(200);
    assert!(elsewhere.run(&["routes"]).contains("/sdk/td/v1/identify"));
    let mut taken = elsewhere.command(&["serve"]);
    let output =
        taken.env("TALLYBOX_PROTOCOLS", "all,teardown=/apps").env("TALLYBOX_DATA_DIR", elsewhere.home().join("t"));
    let said = String::from_utf8_lossy(&output.output().unwrap().stderr).into_owned();
    assert!(said.contains("the prefix /apps of teardown is taken"), "{said}");
}

fn unknown_devices_may_be_let_pass(backend: Backend) {
    let server = Server::with().backend(backend).setting("TALLYBOX_TEARDOWN_LENIENT_DEVICES", "true").start();
    let app = server.app("Lenient");
    let client = Client::new(&server, &app);
    let named = json!({ "event_name": "b", "device_id": "nobody" });
    let data = client.track(&[event("a", None), named]).unwrap().json()["data"].clone();
    assert_eq!((&data["processed_count"], &data["failed_count"]), (&json!(2), &json!(0)));
    assert_eq!(server.count("SELECT count(*) FROM events WHERE user_id IS NULL"), 2);
}
