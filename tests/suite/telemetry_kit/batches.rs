//! What becomes of events: points 6 to 9, 12 and 13 of the list.

use std::thread;

use serde_json::{Value, json};
use uuid::Uuid;

use super::{assert_readable_error, server_with_app, set_aside, stored};
use crate::harness::Backend;
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::kit::{self, Credentials};

on_both_backends! {
    duplicates_count_as_accepted_and_are_stored_once,
    the_answer_is_the_one_the_sdk_reads,
    the_same_id_belongs_to_each_app_separately,
    a_malformed_event_is_set_aside_and_its_neighbours_are_stored,
    a_batch_of_malformed_events_only_is_taken_and_set_aside,
    a_strict_app_tells_of_unusable_events_as_the_reference_server_does,
    batches_hold_one_to_a_thousand_events,
    a_stated_batch_size_must_be_true_if_it_is_a_number,
    do_not_track_keeps_nothing_and_silences_no_sdk,
    properties_may_be_any_json,
    times_may_have_nine_decimals_and_any_offset,
    only_five_members_of_an_event_are_required,
    the_alias_of_the_guide_takes_both_envelopes,
}

fn duplicates_count_as_accepted_and_are_stored_once(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let events: Vec<_> = (0..50).map(|_| kit::event("a")).collect();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| server.accept(&app, &events));
        }
    });
    server.accept(&app, &events);
    assert_eq!(stored(&server), 50);
    let twice = kit::event("b");
    server.accept(&app, &[twice.clone(), twice]);
    assert_eq!(stored(&server), 51);
}

fn the_answer_is_the_one_the_sdk_reads(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let reply = server.send(&app.sdk(&kit::batch(&[kit::event("a"), kit::event("b")]))).expect(200).json();
    assert_eq!(reply["status"], "success");
    assert_eq!((&reply["accepted"], &reply["rejected"]), (&json!(2), &json!(0)));
    assert!(reply["message"].is_string(), "{reply}");
}

fn the_same_id_belongs_to_each_app_separately(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let other = server.app("Other");
    let event = kit::event("a");
    server.accept(&app, std::slice::from_ref(&event));
    server.accept(&other, &[event]);
    assert_eq!(stored(&server), 2);
}

fn a_malformed_event_is_set_aside_and_its_neighbours_are_stored(backend: Backend) {
    let (server, app) = server_with_app(backend);
    server.accept(&app, &[kit::event("a"), malformed(0), kit::event("b")]);
    assert_eq!((stored(&server), set_aside(&server)), (2, 1));
}

fn a_batch_of_malformed_events_only_is_taken_and_set_aside(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let all: Vec<_> = (0..7).map(malformed).collect();
    server.accept(&app, &all);
    assert_eq!((stored(&server), set_aside(&server)), (0, 7));
}

fn a_strict_app_tells_of_unusable_events_as_the_reference_server_does(backend: Backend) {
    let (server, _) = server_with_app(backend);
    server.run(&["app", "create", "Strict", "--slug", "strict", "--strict"]);
    let app = Credentials::parse(&server.run(&["key", "create", "strict"]));
    let unusable = malformed(2);
    let some =
        server.send(&app.sdk(&kit::batch(&[kit::event("a"), unusable.clone(), malformed(1)]))).expect(207).json();
    assert_eq!((&some["status"], &some["accepted"], &some["rejected"]), (&json!("partial"), &json!(1), &json!(2)));
    // An id that is no UUID cannot be listed: the SDK could not read the answer.
    assert_eq!(some["errors"].as_array().unwrap().len(), 1, "{some}");
    assert_eq!(some["errors"][0]["event_id"], unusable["event_id"]);
    assert_readable_error(&server.send(&app.sdk(&kit::batch(&[malformed(0)]))).expect(400).json());
    let again = kit::event("b");
    server.accept(&app, std::slice::from_ref(&again));
    server.accept(&app, &[again]);
    assert_eq!(stored(&server), 2);
}

/// Unusable in one way or another.
fn malformed(how: usize) -> Value {
    let mut event = kit::event("a");
    match how {
        0 => _ = event.as_object_mut().unwrap().remove("event_id"),
        1 => event["event_id"] = json!("seven"),
        2 => event["timestamp"] = json!("yesterday"),
        3 => event["user_id"] = json!(["a"]),
        4 => event["event"] = json!(null),
        5 => event["schema_version"] = json!("2.0.0"),
        _ => event = json!([1, 2]),
    }
    event
}

fn batches_hold_one_to_a_thousand_events(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let events: Vec<_> = (0..1_001).map(|_| kit::event("a")).collect();
    server.accept(&app, &events[..1_000]);
    assert_eq!(stored(&server), 1_000);
    server.send(&app.sdk(&kit::batch(&events))).expect(413);
    server.send(&app.sdk(&kit::batch(&[]))).expect(400);
    assert_eq!(stored(&server), 1_000);
}

fn a_stated_batch_size_must_be_true_if_it_is_a_number(backend: Backend) {
    let (server, app) = server_with_app(backend);
    for (stated, status) in [("2", 200), ("1", 400), ("3", 400), ("two", 200)] {
        let body = kit::batch(&[kit::event("a"), kit::event("b")]);
        let reply = server.send(&app.sdk(&body).header("x-batch-size", stated));
        assert_eq!(reply.status, status, "{stated}: {}", reply.text());
    }
    assert_eq!(stored(&server), 4);
}

fn do_not_track_keeps_nothing_and_silences_no_sdk(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let body = kit::batch(&[kit::event("a"), kit::event("b")]);
    let reply = server.send(&app.sdk(&body).header("dnt", "1")).expect(200).json();
    assert_eq!(reply["accepted"], 2, "{reply}");
    server.send(&app.guide_form(&body, kit::now()).header("dnt", "1")).expect(204);
    assert_eq!((stored(&server), server.count("SELECT count(*) FROM users")), (0, 0));
    server.send(&app.sdk(&body).header("dnt", "0")).expect(200);
    assert_eq!(stored(&server), 2);
}

fn properties_may_be_any_json(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let values = [
        json!(null),
        json!(true),
        json!("text with \u{0} inside"),
        json!([1, [2, {"a": 3}]]),
        json!({"": 1, "$a.b": 2, "n\u{0}ul": "\u{0}", "big": u64::MAX, "small": i64::MIN, "huge": 1e308}),
        json!(-7),
    ];
    let events: Vec<_> = values
        .iter()
        .map(|data| {
            let mut event = kit::event("custom");
            event["event"]["data"] = data.clone();
            event
        })
        .collect();
    server.accept(&app, &events);
    assert_eq!((stored(&server), set_aside(&server)), (6, 0));
}

fn times_may_have_nine_decimals_and_any_offset(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap();
    let written = now.to_string();
    for (time, at) in [
        (written.replace('Z', ".123456789Z"), now.as_millisecond() + 123),
        (written.replace('Z', "+00:00"), now.as_millisecond()),
        (written.replace('Z', "+05:30"), now.as_millisecond() - 19_800_000),
    ] {
        let id = Uuid::new_v4();
        let mut event = kit::event("a");
        event["event_id"] = json!(id.to_string());
        event["timestamp"] = json!(time);
        server.accept(&app, &[event]);
        let stored = server.database().hex("event_id");
        let claimed = server.count(&format!("SELECT claimed_at FROM events WHERE {stored} = '{:X}'", id.simple()));
        assert_eq!(claimed, at, "{time}");
    }
}

fn only_five_members_of_an_event_are_required(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let least = json!({
        "event_id": Uuid::new_v4().to_string(),
        "timestamp": jiff::Timestamp::now().to_string(),
        "service": { "name": "drill" },
        "user_id": "client_1",
        "event": { "type": "a" }
    });
    server.accept(&app, &[least]);
    assert_eq!((stored(&server), set_aside(&server)), (1, 0));
}

fn the_alias_of_the_guide_takes_both_envelopes(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let event = kit::event("a");
    for body in [json!([event]), json!({ "events": [kit::event("b")] })] {
        let signed = app.guide_form(body.to_string().as_bytes(), kit::now());
        let reply = server.send(&Request { target: "/events/batch".to_owned(), ..signed }).expect(200).json();
        assert_eq!((&reply["accepted"], &reply["rejected"]), (&json!(1), &json!(0)), "{reply}");
    }
    let unnamed = app.sdk(&kit::batch(&[kit::event("c")]));
    server.send(&Request { target: "/events/batch".to_owned(), ..unnamed }).expect(401);
    assert_eq!(stored(&server), 2);
}
