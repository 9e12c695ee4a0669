//! Orders in the words of protocols that have some: PostHog's, Segment's and RudderStack's.

use std::time::Duration;

use serde_json::{Value, json};

use super::{counted, kept, lift_all, order};
use crate::harness::http::Request;
use crate::harness::kit::Credentials;
use crate::harness::{Backend, Server, poll, sdk};

const SOON: Duration = Duration::from_secs(20);

fn server_with_key(name: &str) -> (Server, Credentials, String) {
    let server = Server::over(Backend::Sqlite);
    let app = server.app(name);
    let key = server.public_key(&app.slug);
    (server, app, key)
}

fn post(server: &Server, path: &str, body: &Value) -> Value {
    let request = Request::post(path, body.to_string()).header("content-type", "application/json");
    server.send(&request).expect(200).json()
}

#[test]
fn posthogs_browsers_are_told_that_a_quota_is_used_up() {
    let (server, app, key) = server_with_key("Hog");
    let batch = |names: &[&str]| {
        let event = |name: &&str| json!({ "event": name, "distinct_id": "ada", "uuid": uuid::Uuid::new_v4() });
        post(&server, "/batch/", &json!({ "api_key": key, "batch": names.iter().map(event).collect::<Vec<_>>() }))
    };
    let clicks = || server.get(&format!("/array/{key}/config")).expect(200).json()["autocapture_opt_out"].clone();
    let (plain, quiet) = (json!({ "status": 1 }), json!({ "status": 1, "quota_limited": ["events"] }));
    assert_eq!((batch(&["a"]), clicks()), (plain.clone(), json!(false)));
    order(&server, &app, &[("names", "a")]);
    assert_eq!((batch(&["a", "b"]), clicks()), (plain.clone(), json!(false)), "a list makes nobody quiet");
    for (sending, outcome) in [("pause", "paused"), ("stop", "stopped")] {
        order(&server, &app, &[("sending", sending)]);
        assert_eq!((batch(&["a", "b"]), clicks(), counted(&server, outcome)), (quiet.clone(), json!(true), 2));
        let script = server.get(&format!("/array/{key}/config.js")).expect(200).text();
        assert!(script.contains(r#""autocapture_opt_out":true"#), "{script}");
    }
    // The newer form tells of each event. A drop would be an error to the app.
    let id = uuid::Uuid::new_v4().to_string();
    let event = json!({ "event": "a", "uuid": id, "distinct_id": "ada", "options": {}, "properties": {} });
    let newer = Request::post("/i/v1/analytics/events", json!({ "batch": [event] }).to_string());
    let told = server.send(&newer.header("authorization", &format!("Bearer {key}"))).expect(200).json();
    assert_eq!(told["results"][&id], json!({ "result": "ok", "details": "stopped" }));
    // The published SDK ends without an error, and nothing of it is kept.
    sdk::node("posthog.mjs", &server, &key, &[("COUNT", "40")]);
    assert_eq!((kept(&server), server.count("SELECT count(*) FROM profiles")), (2, 0));
    assert!(counted(&server, "stopped") > 40);
    server.get("/array/tkp_unknown/config").expect(200);
    lift_all(&server, &app);
    assert_eq!((batch(&["a"]), clicks()), (plain, json!(false)));
    assert_eq!(kept(&server), 3);
}

#[test]
fn rudderstacks_source_is_switched_off_and_segments_settings_stay() {
    let (server, app, key) = server_with_key("Streams");
    let source = || server.get(&format!("/sourceConfig/?writeKey={key}")).expect(200).json()["source"].clone();
    let settings = || {
        let settings = server.get(&format!("/v1/projects/{key}/settings")).expect(200).json();
        settings["integrations"]["Segment.io"].clone()
    };
    assert_eq!((&source()["enabled"], settings().get("deliveryStrategy")), (&json!(true), None));
    order(&server, &app, &[("sending", "stop"), ("flush", "90")]);
    assert_eq!(source()["enabled"], json!(false));
    let own = settings();
    assert_eq!(own["apiKey"], json!(key), "without it a browser would send everything to Segment");
    let strategy = json!({ "strategy": "batching", "config": { "size": 100, "timeout": 90_000 } });
    assert_eq!(own["deliveryStrategy"], strategy);
    sdk::node("segment.mjs", &server, &key, &[("COUNT", "40")]);
    assert_eq!((kept(&server), counted(&server, "stopped")), (0, 40));
    // For one version alone: those who ask do not tell theirs.
    lift_all(&server, &app);
    order(&server, &app, &[("sending", "stop"), ("versions", "exactly"), ("version", "1.0")]);
    assert_eq!(source()["enabled"], json!(true));
}

#[tokio::test(flavor = "multi_thread")]
async fn segments_sdk_for_browsers_gathers_as_long_as_it_is_told() {
    let (server, app, key) = server_with_key("Gathered");
    order(&server, &app, &[("flush", "1")]);
    let complaints = sdk::browser("segment.mjs", &server, &key, &[("COUNT", "10")]).await;
    assert_eq!(complaints, [] as [String; 0]);
    poll::until(SOON, "all events", || (kept(&server) == 22).then_some(()));
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("route=\"/v1/b\"") && !metrics.contains("route=\"/v1/t\""), "one by one: {metrics}");
}
