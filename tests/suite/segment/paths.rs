//! Every path and every place of the key, and what SDKs ask when they start.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::{basic, key_of, names, post, server_with_key, set_aside, stored, taken, track};
use crate::harness::http::Request;
use crate::harness::{Backend, Server};

const PAGE: &str = "https://app.example.com";

#[test]
fn every_path_takes_its_calls() {
    let (server, key) = server_with_key(Backend::Sqlite);
    for path in ["/v1/batch", "/v1/b", "/v1/import", "/beacon/v1/batch", "//v1//batch"] {
        taken(&server, &post(path, &key, &json!({ "batch": [track(path)] })));
    }
    for (path, event) in [("/v1/track", "long"), ("/v1/t", "short")] {
        taken(&server, &post(path, &key, &json!({ "event": event, "anonymousId": "a-1", "messageId": path })));
    }
    for path in ["/v1/page", "/v1/p", "/v1/screen", "/v1/s"] {
        taken(&server, &post(path, &key, &json!({ "name": path, "userId": "u-1", "messageId": path })));
    }
    for path in ["/v1/identify", "/v1/i", "/v1/group", "/v1/g", "/v1/alias", "/v1/a"] {
        let body =
            json!({ "userId": "u-1", "previousId": "a-1", "groupId": "g-1", "traits": { "email": "a@example.com" } });
        taken(&server, &post(path, &key, &body));
    }
    taken(&server, &Request::post("/v1/m", r#"{"series":[{"type":"Counter","metric":"m","value":1}]}"#));
    assert_eq!(
        names(&server),
        [
            "$pageview",
            "$pageview",
            "$screen",
            "$screen",
            "//v1//batch",
            "/beacon/v1/batch",
            "/v1/b",
            "/v1/batch",
            "/v1/import",
            "long",
            "short"
        ]
    );
    assert_eq!(set_aside(&server), 0);
    assert_eq!(server.count("SELECT count(*) FROM users WHERE first_at > 0"), 2, "u-1 and a-1");
}

#[test]
fn the_key_is_found_wherever_it_stands() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let with = |request: Request, name: &str, value: &str| request.header(name, value);
    let batch = |event: &str| json!({ "batch": [track(event)] });
    let text = |event: &str| batch(event).to_string();
    let no_colon = format!("Basic {}", STANDARD.encode(&key));
    taken(&server, &post("/v1/batch", &key, &batch("basic")));
    taken(&server, &with(Request::post("/v1/batch", text("no colon")), "authorization", &no_colon));
    let beacon = Request::post(&format!("/beacon/v1/batch?writeKey={key}"), text("query"));
    taken(&server, &with(beacon, "content-type", "text/plain"));
    let mut envelope = batch("envelope");
    envelope["writeKey"] = json!(key);
    taken(&server, &with(Request::post("/v1/b", envelope.to_string()), "authorization", "Bearer something"));
    let mut item = batch("item");
    item["batch"][0]["writeKey"] = json!(key);
    taken(&server, &Request::post("/v1/b", item.to_string()));
    let mut single = track("single");
    single["writeKey"] = json!(key);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(single.to_string().as_bytes()).unwrap();
    // Kotlin's: compressed, with the type of plain text, its key in the body alone.
    let zipped = with(Request::post("/v1/t", encoder.finish().unwrap()), "content-type", "text/plain");
    taken(&server, &with(zipped, "content-encoding", "gzip"));
    assert_eq!(names(&server), ["basic", "envelope", "item", "no colon", "query", "single"]);
}

#[test]
fn settings_send_an_sdk_back_here() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let host = server.address().to_string();
    let settings = |key: &str| Request::get(&format!("/v1/projects/{key}/settings"));
    let told = server.send(&settings(&key).header("origin", PAGE)).expect(200);
    assert_eq!(told.header("access-control-allow-origin"), Some(PAGE));
    let segment = json!({ "apiKey": key, "apiHost": format!("{host}/v1"), "protocol": "http" });
    let told = told.json();
    assert_eq!((&told["integrations"], &told["plan"]), (&json!({ "Segment.io": segment }), &json!({})));
    assert_eq!(told["metrics"]["sampleRate"], 0, "it would report on itself to Segment");
    assert_eq!(server.send(&settings("unknown")).expect(401).json()["success"], false);

    let asked = Request::get(&format!("/sourceConfig/?p=npm&v=3.34.1&build=modern&writeKey={key}"));
    let source = server.send(&asked.header("authorization", &basic(&key))).expect(200).json();
    let source = &source["source"];
    assert_eq!((&source["id"], &source["enabled"]), (&json!("segmented"), &json!(true)));
    assert!(source["destinations"] == json!([]) && source["config"].is_object(), "{source}");
    let mobile = Request::get("/sourceConfig?p=android&v=1.0").header("authorization", &basic(&key));
    assert_eq!(&server.send(&mobile).expect(200).json()["source"], source);
    server.get("/sourceConfig/").expect(401);
    assert!(stored(&server).is_empty());
}

#[test]
fn settings_know_where_the_box_is() {
    let told = |settings: &[(&str, &str)], path: &str| -> Value {
        let launch = settings.iter().fold(Server::with(), |launch, (name, value)| launch.setting(name, value));
        let mut server = launch.prepare();
        server.launch();
        server.await_status("/stats/health/ready", 200);
        let key = key_of(&server, "Placed");
        let request = Request::get(&path.replace("KEY", &key)).header("host", "shown.example");
        server.send(&request).expect(200).json()["integrations"]["Segment.io"].clone()
    };
    let url = [("TALLYBOX_PUBLIC_URL", "https://box.example/stats"), ("TALLYBOX_PROTOCOLS", "all,segment=/sdk")];
    let segment = told(&url, "/stats/sdk/v1/projects/KEY/settings");
    assert_eq!((&segment["apiHost"], &segment["protocol"]), (&json!("box.example/stats/sdk/v1"), &json!("https")));
    let segment = told(&[("TALLYBOX_BASE_PATH", "/stats")], "/stats/v1/projects/KEY/settings");
    assert_eq!((&segment["apiHost"], &segment["protocol"]), (&json!("shown.example/stats/v1"), &json!("http")));
}

#[test]
fn pixels_are_images_whatever_becomes_of_them() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let see = |target: &str, status: u16| {
        let reply = server.get(target).expect(status);
        assert!(reply.header("content-type") == Some("image/gif") && reply.body.starts_with(b"GIF89a"), "{target}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    };
    let query = format!("writeKey={key}&anonymousId=a-1&properties.campaign=autumn%20news&messageId=1");
    see(&format!("/pixel/v1/track?event=Mail%20Opened&{query}"), 200);
    see(&format!("/pixel/v1/page?name=Start&{query}2"), 200);
    let data = json!({ "writeKey": key, "userId": "u-1", "event": "Größe 🎉", "messageId": "3" }).to_string();
    see(&format!("/v1/pixel/track?data={}", URL_SAFE_NO_PAD.encode(&data)), 200);
    let escaped: String = form_urlencoded::byte_serialize(STANDARD.encode(&data).as_bytes()).collect();
    see(&format!("/v1/pixel/track?data={escaped}"), 200); // once more the same
    see("/pixel/v1/track?event=a", 401);
    see("/pixel/v1/track", 401);
    see(&format!("/v1/pixel/page?writeKey={key}"), 400);
    server.send(&Request::head(&format!("/pixel/v1/track?event=Looked%20Up&{query}4"))).expect(200);
    assert_eq!(names(&server), ["$pageview", "Größe 🎉", "Mail Opened"]);
    let props = server.sql("SELECT props FROM events WHERE props LIKE '%campaign%' ORDER BY props");
    assert_eq!(props, "{\"campaign\":\"autumn news\",\"name\":\"Start\"}\n{\"campaign\":\"autumn news\"}\n");
}

#[test]
fn pages_of_any_origin_may_send_unless_the_app_says_which() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let asked = "authorization, content-type, anonymousid, x-retry-count";
    for path in ["/v1/t", "/v1/identify", "/v1/batch", "/sourceConfig/", &format!("/v1/projects/{key}/settings")] {
        let preflight = Request { method: "OPTIONS", ..Request::get(path) }.header("origin", PAGE);
        let preflight = preflight.header("access-control-request-method", "POST");
        let reply = server.send(&preflight.header("access-control-request-headers", asked));
        assert_eq!((reply.status, reply.header("access-control-allow-origin")), (204, Some(PAGE)), "{path}");
        assert_eq!(reply.header("access-control-allow-headers"), Some(asked), "{path}");
    }
    let refused = server.send(&Request::post("/v1/t", "{}").header("origin", PAGE)).expect(401);
    assert_eq!(refused.header("access-control-allow-origin"), Some(PAGE), "a page can read why");
    assert!(refused.header("access-control-expose-headers").is_some_and(|names| names.contains("retry-after")));
}

#[test]
fn who_asks_not_to_be_tracked_is_not_kept() {
    let (server, key) = server_with_key(Backend::Sqlite);
    for header in ["dnt", "sec-gpc"] {
        let batch = json!({ "batch": [track("a"), { "type": "identify", "userId": "u-1" }, {}] });
        taken(&server, &post("/v1/batch", &key, &batch).header(header, "1"));
    }
    assert_eq!((stored(&server).len(), set_aside(&server)), (0, 0));
    let figures = server.get("/metrics").text();
    assert!(figures.contains("tallybox_events_total{outcome=\"dropped\"} 4\n"), "{figures}");
}
