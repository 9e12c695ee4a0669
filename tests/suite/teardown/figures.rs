//! The nine figures of the specification's section 13, and what stands in the log.

use serde_json::{Value, json};

use super::{SignOut, ana, event, server_with_client};
use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Server};

on_both_backends! {
    figures_count_what_was_proved,
    log_lines_tell_decisions_and_nobody,
}

#[track_caller]
fn has(metrics: &str, line: &str) {
    assert!(metrics.lines().any(|found| found == line), "{line} in {metrics}");
}

fn metrics(server: &Server) -> String {
    server.get("/metrics").expect(200).text()
}

fn figures_count_what_was_proved(backend: Backend) {
    let (server, app, mut client) = server_with_client(backend);
    client.refresh();
    client.log_in(&ana());
    client.reinstalled().log_in(&ana());
    client.track(&vec![event("a", None); 60]).unwrap();
    client.track(&[event("b", None), json!({ "event_name": "c", "device_id": "nobody" })]).unwrap();
    client.track(&vec![event("a", None); 101]).unwrap_err();
    let mut wrong = client.clone();
    wrong.environment = "qa".to_owned();
    wrong.try_identify(None).unwrap_err();
    wrong.key = "nope".to_owned();
    wrong.project = "made-up".to_owned();
    wrong.try_identify(None).unwrap_err();
    wrong.track(&[event("a", None)]).unwrap_err();

    let text = metrics(&server);
    let ids = format!(r#"orgId="{}",projectId="{}""#, app.organization, app.app);
    let own = format!(r#"{ids},environment="production""#);
    for line in [
        format!(r#"ingest_identify_count{{{own},status="success"}} 3"#),
        format!(r#"ingest_identify_duration_count{{{own},status="success"}} 3"#),
        format!(r#"ingest_identify_count{{{ids},status="error"}} 1"#),
        r#"ingest_identify_count{status="error"} 1"#.to_owned(),
        format!("ingest_identify_session_created{{{own}}} 2"),
        format!("ingest_identify_user_created{{{own}}} 1"),
        format!("ingest_identify_device_created{{{own}}} 2"),
        format!(r#"ingest_events_count{{{own},status="success"}} 61"#),
        format!(r#"ingest_events_batch_size_sum{{{own},status="success"}} 62"#),
        format!(r#"ingest_events_batch_size_sum{{{ids},status="error"}} 101"#),
        format!(r#"ingest_events_duration_count{{{ids},status="error"}} 1"#),
        r#"ingest_events_duration_count{status="error"} 1"#.to_owned(),
        format!("ingest_events_high_volume{{{own}}} 1"),
    ] {
        has(&text, &line);
    }
    assert!(!text.contains("made-up") && !text.contains("qa\""), "{text}");
}

fn log_lines_tell_decisions_and_nobody(backend: Backend) {
    let server = Server::with().backend(backend).setting("TALLYBOX_LOG_FORMAT", "json").start();
    let app = server.app("Logged");
    let mut client = super::Client::new(&server, &app);
    let push = json!({ "enabled": true, "granted": true, "token": "ExponentPushToken[x9]", "platform": "EXPO" });
    client.device["notifications"] = json!({ "push": push });
    let identity = client.log_in(&ana());
    client.track(&vec![event("a", None); 51]).unwrap();
    client.sign_out(SignOut::One).unwrap();
    let log = server.log();
    let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let line = |message: &str| {
        let found = lines.iter().find(|line| line["message"] == message);
        found.unwrap_or_else(|| panic!("no {message} in {log}"))
    };
    let fields = |message: &str, names: &[&str]| -> Vec<Value> {
        names.iter().map(|name| line(message)[*name].clone()).collect()
    };
    assert_eq!(
        fields("identify", &["app", "environment", "device", "session", "status", "new_device"]),
        [
            json!("logged"),
            json!("production"),
            json!(identity.device),
            json!(identity.session),
            json!("UP_TO_DATE"),
            json!(true)
        ]
    );
    assert_eq!(
        fields("push", &["platform", "decision", "begins"]),
        [json!("EXPO"), json!("active"), json!("Exponent")]
    );
    assert_eq!(fields("events", &["processed", "failed"]), [json!(51), json!(0)]);
    assert_eq!(fields("high volume", &["events", "usual"]), [json!(51), json!(50)]);
    for secret in ["user-123", "ana@example.com", "ExponentPushToken", &app.token, &identity.token, &identity.user] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
}
