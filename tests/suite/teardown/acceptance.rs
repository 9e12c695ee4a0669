//! The acceptance points of the specification's section 18; the seventh stands in `together`, the eighth in `statuses`,
//! the ninth in `refusals` and the tenth in `cors`.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Client, Identity, SignOut, State, ana, event, server_with_client, wait_until};
use crate::harness::backend::on_both_backends;
use crate::harness::http::Connection;
use crate::harness::{Backend, Server};

on_both_backends! {
    fresh_install_becomes_identified,
    restarts_keep_device_and_user_and_inside_its_life_the_session,
    whoever_logged_in_stays_and_shares_the_user_not_the_device,
    every_platform_and_an_unknown_build_are_taken,
    hundred_events_pass_and_what_breaks_the_schema_does_not,
    signing_out_keeps_the_device_and_never_brings_the_user_back,
    signing_out_counts_without_being_tracked,
    events_follow_the_user_at_once,
    events_count_with_the_users_sessions_and_versions_of_identify,
    what_was_answered_survives_the_end_of_the_process,
}

/// Point 1.
fn fresh_install_becomes_identified(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    let identity = client.refresh();
    assert_eq!((identity.status.as_str(), &identity.notes), ("up_to_date", &None));
    for id in [&identity.session, &identity.device, &identity.user] {
        assert!(uuid::Uuid::try_parse(id).is_ok_and(|id| !id.is_nil()), "{identity:?}");
    }
    assert_eq!(identity.token.split('.').count(), 3);
    assert_eq!(client.state().status, Some(("up_to_date".to_owned(), None)));
    assert_eq!(server.count("SELECT count(*) FROM devices"), 1);
}

/// Point 2. One server has sessions of a second.
fn restarts_keep_device_and_user_and_inside_its_life_the_session(backend: Backend) {
    let (_server, _, mut client) = server_with_client(backend);
    let first = client.refresh();
    for _ in 0..3 {
        assert_eq!(ids(&client.refresh()), ids(&first));
    }
    let short = ["SESSION_TTL_MS", "SESSION_TOKEN_EXPIRY_MS", "SESSION_REUSE_EXTEND_MS"];
    let short = short
        .iter()
        .fold(Server::with().backend(backend), |launch, name| launch.setting(&format!("TALLYBOX_{name}"), 1_000));
    let short = short.start();
    let app = short.app("Short");
    let mut client = Client::new(&short, &app);
    let first = client.refresh();
    wait_until(Timestamp::now() + Duration::from_millis(1_100));
    let second = client.refresh();
    assert_eq!((&second.device, &second.user), (&first.device, &first.user));
    assert_ne!(second.session, first.session);
}

fn ids(identity: &Identity) -> [&str; 3] {
    [&identity.session, &identity.device, &identity.user]
}

/// Point 3.
fn whoever_logged_in_stays_and_shares_the_user_not_the_device(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    let anonymous = client.refresh();
    let known = client.log_in(&ana());
    assert_eq!(ids(&known), ids(&anonymous), "whoever was nobody is filled in");
    assert_eq!(ids(&client.refresh()), ids(&known));
    let mut tablet = client.reinstalled();
    let before = tablet.refresh();
    let after = tablet.log_in(&json!({ "persona_id": "user-123" }));
    assert_eq!(after.user, known.user);
    assert_eq!(after.device, before.device);
    assert_ne!(after.device, known.device);
    assert_ne!(after.session, before.session, "another user is another session");
    assert_eq!(tablet.refresh().user, known.user);
    assert_eq!(server.sql("SELECT identifier, email, name FROM profiles").trim(), "user-123|ana@example.com|Ana");
}

/// Point 4; push platforms stand in the examples and the unit tests.
fn every_platform_and_an_unknown_build_are_taken(backend: Backend) {
    const PLATFORMS: &str = "IOS ANDROID WEB WINDOWS MACOS LINUX PHONE TABLET DESKTOP CONSOLE TV WEARABLE GAME_CONSOLE VR \
                             UNKNOWN OTHER";
    let (server, _, client) = server_with_client(backend);
    for platform in PLATFORMS.split_whitespace() {
        let mut install = client.reinstalled();
        install.device["os"]["platform"] = json!(platform);
        install.device["application"]["build_number"] = Value::Null;
        install.refresh();
    }
    assert_eq!(server.count("SELECT count(DISTINCT platform) FROM devices"), 16);
    for (platform, token) in [("APNS", json!("a")), ("FCM", json!("f")), ("EXPO", json!("e")), ("APNS", Value::Null)] {
        let mut install = client.reinstalled();
        let push = json!({ "enabled": true, "granted": !token.is_null(), "token": token, "platform": platform });
        install.device["notifications"] = json!({ "push": push });
        install.refresh();
    }
    assert_eq!(server.sql("SELECT platform FROM push_tokens ORDER BY platform").split_whitespace().count(), 3);
}

/// Point 5.
fn hundred_events_pass_and_what_breaks_the_schema_does_not(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    client.refresh();
    let events = |count: usize| vec![event("a", None); count];
    client.track(&events(100)).unwrap();
    assert_eq!(client.track(&events(101)).unwrap_err().status, 400);
    for broken in [json!({ "event_name": "" }), json!({ "event_name": "a", "event_type": "click" })] {
        let failure = client.track(&[event("good", None), broken]).unwrap_err();
        assert_eq!(failure.status, 422, "{failure:?}");
        assert!(failure.text.contains("events.1."), "{failure:?}");
    }
    assert_eq!(server.count("SELECT count(*) FROM events"), 100);
}

/// Point 6.
fn signing_out_keeps_the_device_and_never_brings_the_user_back(backend: Backend) {
    let (_server, _, mut client) = server_with_client(backend);
    let known = client.log_in(&ana());
    client.sign_out(SignOut::One).unwrap();
    assert_eq!(client.state(), &State::default());
    let after = client.refresh();
    assert_eq!(after.device, known.device);
    assert_ne!(after.user, known.user);
    assert_ne!(after.session, known.session);
    assert_eq!(client.log_in(&ana()).user, known.user, "who logs in again is the same user");

    let device = client.device_id.clone();
    client.sign_out(SignOut::All).unwrap();
    assert_ne!(client.device_id, device);
    let after = client.refresh();
    assert_ne!(after.device, known.device);
    assert_ne!(after.user, known.user);
    // The old install's own id, too, is free of its user.
    client.device_id = device;
    let old = client.refresh();
    assert_eq!(old.device, known.device);
    assert_ne!(old.user, known.user);
}

/// A browser that asks not to be tracked has its events dropped, and its user signed out all the same.
fn signing_out_counts_without_being_tracked(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    let known = client.log_in(&ana());
    for (name, event) in [("dnt", event("seen", None)), ("sec-gpc", event("user_signed_out", None))] {
        let request = client.request("/v1/events", &json!({ "events": [event] })).header(name, "1");
        let data = client.send(&request).expect(200).json()["data"].clone();
        assert_eq!((&data["processed_count"], &data["failed_count"]), (&json!(1), &json!(0)), "{data}");
        assert_eq!(data["event_ids"].as_array().unwrap().len(), 1);
    }
    assert_eq!(server.count("SELECT count(*) FROM events"), 0);
    assert_ne!(client.refresh().user, known.user);
}

/// What is remembered of a device is forgotten when it identifies itself or signs out.
fn events_follow_the_user_at_once(backend: Backend) {
    let (server, _, mut client) = server_with_client(backend);
    client.reinstalled().log_in(&ana());
    client.refresh();
    client.track(&[event("as nobody", None)]).unwrap();
    client.log_in(&ana());
    client.track(&[event("as ana", None)]).unwrap();
    client.sign_out(SignOut::One).unwrap();
    client.track(&[event("as nobody again", None)]).unwrap();
    let user = |name: &str| {
        let id = format!("SELECT id FROM strings WHERE kind = 'event' AND text = '{name}'");
        server.sql(&format!("SELECT coalesce(user_id, 0) FROM events WHERE name_id = ({id})")).trim().to_owned()
    };
    let (one, other) = (server.database().hex("p.hash"), server.database().hex("u.hash"));
    let ana = server
        .sql(&format!("SELECT u.id FROM users u JOIN profiles p ON {one} = {other} WHERE p.identifier IS NOT NULL"));
    assert_ne!(user("as nobody"), ana.trim());
    assert_eq!(user("as ana"), ana.trim());
    assert_eq!(user("user_signed_out"), ana.trim(), "it is hers who signs out");
    assert_eq!(user("as nobody again"), "0");
}

/// Events and identify speak of the same users and sessions, so that nobody counts twice.
fn events_count_with_the_users_sessions_and_versions_of_identify(backend: Backend) {
    let (server, app, mut client) = server_with_client(backend);
    let identity = client.log_in(&ana());
    client.track(&[event("a", None)]).unwrap();
    let by_body = json!({ "events": [event("b", None)], "device_id": identity.device, "session_id": identity.session });
    client.send(&client.request("/v1/events", &by_body).without("td-device-id")).expect(200);
    let own = json!({ "event_name": "c", "device_id": client.device_id, "session_id": identity.session });
    let request = client.request("/v1/events", &json!({ "events": [own] }));
    client.send(&request.without("td-device-id")).expect(200);
    let without = client.request("/v1/events", &json!({ "events": [event("d", None)] })).without("td-device-id");
    client.send(&without).expect(200);
    assert_eq!(server.count("SELECT count(*) FROM events"), 4);
    assert_eq!(server.count("SELECT count(*) FROM events WHERE user_id IS NOT NULL"), 3, "the last had no device");
    assert_eq!(server.count("SELECT count(*) FROM users"), 1);
    assert_eq!(server.count("SELECT count(*) FROM sessions"), 1);
    let cookie = server.sign_in();
    let page = server.page(&format!("/apps/{}", app.slug), &cookie).expect(200).text();
    for part in ["1.2.3", "ios"] {
        assert!(page.contains(part), "no {part} in {page}");
    }
}

/// What got a 200 is on the disk, and a wrong identify changes nothing.
fn what_was_answered_survives_the_end_of_the_process(backend: Backend) {
    let (mut server, _, mut client) = server_with_client(backend);
    let known = client.log_in(&ana());
    client.track(&[event("a", None)]).unwrap();
    server.crash();
    assert!(Connection::open(server.address()).is_err());
    server.restart();
    assert_eq!(ids(&client.refresh()), ids(&known));
    assert_eq!(server.count("SELECT count(*) FROM events"), 1);
}
