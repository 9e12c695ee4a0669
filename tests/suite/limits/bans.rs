//! Banned users and devices: their events are answered as taken, and not kept.

use serde_json::json;
use uuid::Uuid;

use super::{post, set};
use crate::harness::backend::on_both_backends;
use crate::harness::kit;
use crate::harness::{Backend, Server};
use crate::teardown::client::{Client, event};

on_both_backends! {
    events_of_a_banned_user_are_taken_and_not_kept,
    a_banned_device_is_turned_away_when_it_says_who_it_is,
    a_user_is_banned_by_name_from_every_device_and_from_their_page,
    bans_are_wrong_forms_or_known_or_not_there,
}

fn kept(server: &Server) -> i64 {
    server.count("SELECT count(*) FROM events")
}

fn events_of_a_banned_user_are_taken_and_not_kept(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Quiet");
    let of = |user: &str| {
        let mut event = kit::event("a");
        event["user_id"] = json!(user);
        event
    };
    server.accept(&app, &[of("client_bad"), of("client_good")]);
    set(&server, &app, &[("act", "ban"), ("kind", "user"), ("id", "client_bad")]);
    server.accept(&app, &[of("client_bad"), of("client_good"), of("client_bad")]);
    let mut malformed = of("client_bad");
    malformed["event"]["type"] = json!("");
    server.accept(&app, &[malformed]);
    assert_eq!((kept(&server), server.count("SELECT count(*) FROM set_aside WHERE event_id IS NULL")), (3, 0));
    assert_eq!(server.count("SELECT coalesce(sum(events), 0) FROM intake_days WHERE outcome = 'banned'"), 2);
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains(r#"tallybox_events_total{outcome="banned"} 2"#), "{metrics}");
    let cookie = server.sign_in();
    let page = server.page(&format!("/apps/{}/limits", app.slug), &cookie).expect(200).text();
    assert!(page.contains("Of banned users and devices") && !page.contains("client_bad"), "{page}");
    assert!(!server.sql("SELECT label, member FROM bans").contains("client_bad"));
    // Another app has its own.
    let other = server.app("Other");
    server.accept(&other, &[of("client_bad")]);
    assert_eq!(kept(&server), 4);
    let id = server.sql("SELECT id FROM bans").trim().to_owned();
    set(&server, &app, &[("act", "lift"), ("id", &id)]);
    server.accept(&app, &[of("client_bad")]);
    assert_eq!(kept(&server), 5);
    let account = server.sql("SELECT action, subject FROM audit WHERE action LIKE 'ban.%' ORDER BY id");
    assert_eq!(account.trim(), "ban.made|user\nban.lifted|user");
}

fn a_banned_device_is_turned_away_when_it_says_who_it_is(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Phones");
    let mut client = Client::new(&server, &app);
    let identity = client.refresh();
    client.track(&[event("a", None)]).unwrap();
    set(&server, &app, &[("act", "ban"), ("kind", "device"), ("id", &client.device_id)]);
    let refused = client.try_identify(None).unwrap_err();
    assert_eq!(refused.status, 403);
    assert!(refused.text.contains("banned"), "{refused:?}");
    // Its events are taken whichever way they name it: by its own id, by ours, by a session, each for itself.
    let data = client.track(&[event("b", None), event("c", None)]).unwrap().json()["data"].clone();
    assert_eq!((&data["processed_count"], &data["failed_count"]), (&json!(2), &json!(0)));
    assert_eq!(data["event_ids"].as_array().unwrap().len(), 2);
    let mut other = client.reinstalled();
    other.refresh();
    let own = json!({ "event_name": "d", "device_id": identity.device });
    other.track(&[own, event("kept", None)]).unwrap();
    let by_session = other.request("/v1/events", &json!({ "events": [event("e", None)] })).without("td-device-id");
    other.send(&by_session.header("td-session-id", &identity.session)).expect(200);
    assert_eq!(kept(&server), 2, "one from before, and one of another device");
    // One that never said who it was is taken, too.
    let stranger = client.reinstalled();
    set(&server, &app, &[("act", "ban"), ("kind", "device"), ("id", &stranger.device_id)]);
    stranger.track(&[event("f", None)]).unwrap();
    assert_eq!(kept(&server), 2);
    let page = server.page(&format!("/apps/{}/devices", app.slug), &server.sign_in()).expect(200).text();
    assert!(page.contains(">banned<"), "{page}");
}

fn a_user_is_banned_by_name_from_every_device_and_from_their_page(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("People");
    let (ana, bob) = (json!({ "user_id": "ana" }), json!({ "user_id": "bob" }));
    let mut client = Client::new(&server, &app);
    client.log_in(&ana);
    let mut second = client.reinstalled();
    second.log_in(&bob);
    set(&server, &app, &[("act", "ban"), ("kind", "user"), ("id", "ana")]);
    assert_eq!(client.try_identify(Some(&ana)).unwrap_err().status, 403);
    assert_eq!(client.try_identify(None).unwrap_err().status, 403, "whose device it is");
    client.track(&[event("a", None)]).unwrap();
    assert_eq!(kept(&server), 0);
    let mut third = client.reinstalled();
    assert_eq!(third.try_identify(Some(&ana)).unwrap_err().status, 403, "a new device");
    third.refresh();
    // Somebody else on the same device is no banned user.
    client.log_in(&bob);
    client.track(&[event("b", None)]).unwrap();
    assert_eq!(kept(&server), 1);
    let (cookie, users) = (server.sign_in(), format!("/apps/{}/users", app.slug));
    let list = server.page(&users, &cookie).expect(200).text();
    let hash = server.sql(&format!("SELECT {} FROM profiles WHERE identifier = 'bob'", server.database().hex("hash")));
    let hash = hash.trim().to_lowercase();
    assert!(list.contains(&hash), "{list}");
    let person = format!("{users}/{hash}");
    assert!(server.page(&person, &cookie).expect(200).text().contains("Ban this user"));
    set(&server, &app, &[("act", "ban"), ("kind", "user"), ("pseudonym", &hash)]);
    assert!(server.page(&person, &cookie).expect(200).text().contains(">banned<"));
    assert_eq!(second.try_identify(Some(&bob)).unwrap_err().status, 403);
    second.track(&[event("c", None)]).unwrap();
    assert_eq!(kept(&server), 1);
}

fn bans_are_wrong_forms_or_known_or_not_there(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Forms");
    let (cookie, path) = (server.sign_in(), format!("/apps/{}/limits", app.slug));
    let long = "x".repeat(256);
    let unknown = Uuid::new_v4().simple().to_string();
    for (fields, status) in [
        (&[("act", "ban"), ("kind", "user"), ("id", "ana")][..], 303),
        (&[("act", "ban"), ("kind", "user"), ("id", "ana")], 409),
        (&[("act", "ban"), ("kind", "user"), ("id", "")], 422),
        (&[("act", "ban"), ("kind", "device"), ("id", "")], 422),
        (&[("act", "ban"), ("kind", "user"), ("id", &long)], 422),
        (&[("act", "ban"), ("kind", "user"), ("pseudonym", &unknown)], 303),
        (&[("act", "lift"), ("id", "999")], 303),
    ] {
        post(&server, &cookie, &path, fields).expect(status);
    }
    for fields in
        [&[("act", "ban"), ("kind", "cat"), ("id", "a")][..], &[("act", "nothing")], &[("act", "lift"), ("id", "x")]]
    {
        assert!((400..500).contains(&post(&server, &cookie, &path, fields).status), "{fields:?}");
    }
}
