//! What SDKs ask beside sending events.

use serde_json::{Value, json};

use super::{events, gzip, post, server_with_key};
use crate::harness::Backend;
use crate::harness::http::Request;

#[test]
fn every_question_is_answered_so_that_clients_stay_quiet() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let config = server.get(&format!("/array/{key}/config")).expect(200).json();
    for (name, value) in [
        ("supportedCompression", json!(["gzip", "gzip-js"])),
        ("hasFeatureFlags", json!(false)),
        ("sessionRecording", json!(false)),
        ("surveys", json!(false)),
        ("autocapture_opt_out", json!(false)),
    ] {
        assert_eq!(config[name], value, "{name}");
    }
    assert!(config.get("analytics").is_none(), "it would send events elsewhere");
    for path in ["/flags/?v=2", "/flags?v=2&config=true", "/decide/?v=3", "/decide"] {
        for body in [b"{}".to_vec(), gzip(br#"{"token":"x"}"#), Vec::new()] {
            let flags = post(&server, path, body).expect(200).json();
            for (name, value) in [
                ("flags", json!({})),
                ("featureFlags", json!({})),
                ("featureFlagPayloads", json!({})),
                ("errorsWhileComputingFlags", json!(false)),
                ("sessionRecording", json!(false)),
            ] {
                assert_eq!(flags[name], value, "{path} {name}");
            }
            assert!(flags["requestId"].is_string() && flags.get("quotaLimited").is_none());
        }
    }
    for (path, expected) in [
        ("/flags/definitions?token=x&send_cohorts", json!({ "flags": [], "group_type_mapping": {}, "cohorts": {} })),
        ("/api/feature_flag/local_evaluation/", json!({ "flags": [], "group_type_mapping": {}, "cohorts": {} })),
        ("/api/surveys/?token=x", json!({ "surveys": [] })),
        ("/api/web_experiments/", json!({ "experiments": [] })),
        ("/api/early_access_features/?token=x", json!({ "earlyAccessFeatures": [] })),
        ("/api/product_tours", json!({ "product_tours": [] })),
    ] {
        assert_eq!(server.get(path).expect(200).json(), expected, "{path}");
    }
    let script = server.get(&format!("/array/{key}/config.js")).expect(200);
    assert_eq!(script.header("cross-origin-resource-policy"), Some("cross-origin"));
    assert!(script.header("content-type").unwrap().starts_with("text/javascript"));
    assert!(script.text().contains(&key) && script.text().contains(r#""hasFeatureFlags":false"#));
    for strange in ["%22);alert(1)//", "a.b", &"x".repeat(65)] {
        let reply = server.get(&format!("/array/{strange}/config.js")).expect(404);
        assert!(reply.json().get("detail").is_some_and(Value::is_string));
    }
}

#[test]
fn recordings_are_taken_from_their_client_and_not_kept() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let snapshot =
        json!({ "event": "$snapshot", "distinct_id": "ada", "token": key, "properties": { "$snapshot_data": [1] } });
    for path in ["/s", "/s/?compression=gzip-js"] {
        let reply = server.send(&Request::post(path, gzip(snapshot.to_string().as_bytes()))).expect(200);
        assert_eq!(reply.text(), r#"{"status":1}"#);
    }
    post(&server, "/e/", snapshot.to_string()).expect(200);
    // Nor are tokens for push messages, as the SDK for Android tells them, read in its source.
    let told =
        json!({ "api_key": key, "distinct_id": "ada", "device_token": "t-1", "platform": "android", "app_id": "p" });
    let request = Request::post("/api/push_subscriptions/", gzip(told.to_string().as_bytes()));
    assert_eq!(server.send(&request.header("content-encoding", "gzip")).expect(200).text(), r#"{"status":1}"#);
    assert_eq!(events(&server), 0);
}
