//! What orders keep out, in each protocol, and that all of it is counted.

use std::time::Duration;

use serde_json::{Value, json};

use super::{counted, kept, lift_all, order};
use crate::harness::backend::on_both_backends;
use crate::harness::kit::{self, Credentials};
use crate::harness::{Backend, Server, poll};
use crate::teardown::client::{Client, event};

on_both_backends! {
    each_order_keeps_out_what_it_says,
    a_sample_has_people_wholly_or_not_at_all,
    what_is_kept_and_what_is_not_is_all_that_came,
    teardown_clients_hear_a_success_and_identify_goes_on,
    a_pause_ends_by_itself,
}

const SOON: Duration = Duration::from_secs(20);

fn of_version(name: &str, version: &str) -> Value {
    let mut event = kit::event(name);
    event["service"]["version"] = json!(version);
    event
}

/// What the box answers to these events: how many it has accepted, and how many of them are not kept.
#[track_caller]
fn answer(server: &Server, app: &Credentials, events: &[Value]) -> (i64, i64, String) {
    let reply = server.send(&app.sdk(&kit::batch(events))).expect(200).json();
    assert_eq!((&reply["status"], &reply["rejected"]), (&json!("success"), &json!(0)), "{reply}");
    let withheld = reply.get("withheld").map_or(0, |many| many.as_i64().unwrap());
    (reply["accepted"].as_i64().unwrap(), withheld, reply["message"].as_str().unwrap().to_owned())
}

fn each_order_keeps_out_what_it_says(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Ordered");
    let development = Credentials::parse(&server.run(&["key", "create", &app.slug, "--env", "development"]));
    let mut before = 0;
    for (filled, why, own, others) in [
        (&[("names", "a\nb\n")][..], "unlisted", of_version("z", "1.2.3"), of_version("a", "1.2.3")),
        (&[("sending", "pause")], "paused", of_version("a", "1.2.3"), Value::Null),
        (
            &[("sending", "pause"), ("until", "2999-01-01T00:00"), ("versions", "below"), ("version", "1.2.0")],
            "paused",
            of_version("a", "1.1.9"),
            of_version("a", "1.2.0"),
        ),
        (
            &[("sending", "stop"), ("versions", "exactly"), ("version", "1.3.0-rc")],
            "stopped",
            of_version("a", "1.3.0-rc"),
            of_version("a", "1.3.0"),
        ),
    ] {
        order(&server, &app, filled);
        let was = counted(&server, why);
        let (accepted, withheld, message) = answer(&server, &app, &[own.clone(), own]);
        assert_eq!((accepted, withheld, counted(&server, why)), (2, 2, was + 2), "{filled:?}: {message}");
        assert!(message.ends_with(&format!("by order of the app's owner: 2 {why}")), "{message}");
        assert_eq!(kept(&server), before);
        if !others.is_null() {
            assert_eq!(answer(&server, &app, &[others]).1, 0, "{filled:?}");
            before += 1;
        }
        lift_all(&server, &app);
    }
    // In one environment alone.
    order(&server, &app, &[("sending", "stop"), ("environment", "development")]);
    assert_eq!(answer(&server, &development, &[kit::event("a")]).1, 1);
    assert_eq!(answer(&server, &app, &[kit::event("a")]).1, 0);
    assert_eq!(kept(&server), before + 1);
    // Nothing is set aside while nothing is kept, and another app goes its own way.
    let broken = || json!({ "schema_version": "1.0.0" });
    answer(&server, &development, &[broken()]);
    assert_eq!(server.count("SELECT count(*) FROM set_aside"), 0);
    let other = server.app("Other");
    assert_eq!(answer(&server, &other, &[kit::event("a")]).1, 0);
}

fn a_sample_has_people_wholly_or_not_at_all(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Sampled");
    order(&server, &app, &[("sample", "40%")]);
    let of = |person: usize, session: usize| {
        let mut event = kit::event("a");
        event["user_id"] = json!(format!("person {person}"));
        event["session_id"] = json!(format!("session {person} {session}"));
        event
    };
    for session in 0..5 {
        server.accept(&app, &(0..60).map(|person| of(person, session)).collect::<Vec<_>>());
    }
    let users = server.count("SELECT count(*) FROM users");
    assert!((5..45).contains(&users), "{users} of 60 are in a sample of 40%");
    assert_eq!((kept(&server), counted(&server, "sampled")), (users * 5, (60 - users) * 5));
    assert_eq!(server.count("SELECT min(n) FROM (SELECT count(*) AS n FROM events GROUP BY user_id) AS per"), 5);
}

fn what_is_kept_and_what_is_not_is_all_that_came(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Counted");
    for filled in [
        &[("sample", "50")][..],
        &[("names", "a\nb"), ("environment", "production")],
        &[("sending", "pause"), ("versions", "below"), ("version", "1.0.0")],
        &[("sending", "stop"), ("versions", "exactly"), ("version", "3.0.0")],
        &[("flush", "60"), ("versions", "below"), ("version", "9")],
    ] {
        order(&server, &app, filled);
    }
    let mut all = Vec::new();
    for number in 0..160 {
        let mut event = of_version(["a", "b", "c"][number % 3], ["0.9.0", "1.0.0", "2.0.0", "3.0.0"][number / 3 % 4]);
        event["user_id"] = json!(format!("person {}", number / 12));
        if number % 16 == 15 {
            event["timestamp"] = json!("never");
        }
        all.push(event);
    }
    all.push(all[1].clone());
    for batch in all.chunks(40) {
        let (accepted, ..) = answer(&server, &app, batch);
        assert_eq!(accepted, i64::try_from(batch.len()).unwrap());
    }
    let metrics = server.get("/metrics").text();
    let of = |outcome: &str| {
        let name = format!("tallybox_events_total{{outcome=\"{outcome}\"}} ");
        let line = metrics.lines().find_map(|line| line.strip_prefix(&name)).unwrap_or_else(|| panic!("no {outcome}"));
        line.parse::<i64>().unwrap()
    };
    let decided = [
        "stored",
        "duplicate",
        "set_aside",
        "dropped",
        "banned",
        "sampled",
        "unlisted",
        "paused",
        "stopped",
        "refused",
    ];
    assert_eq!((decided.map(of).iter().sum::<i64>(), of("received")), (161, 161));
    for outcome in ["stored", "sampled", "unlisted", "paused", "stopped"] {
        assert!(of(outcome) > 5, "{outcome}: {}", of(outcome));
        assert_eq!(of(outcome), counted(&server, outcome), "{outcome}");
    }
    assert_eq!(kept(&server), of("stored"));
    let own = |outcome: &str| format!("tallybox_app_events_total{{app=\"counted\",outcome=\"{outcome}\"}}");
    let rejected = 161 - of("stored") - of("duplicate");
    assert!(metrics.contains(&format!("{} {rejected}\n", own("rejected"))), "{metrics}");
}

fn teardown_clients_hear_a_success_and_identify_goes_on(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Phones");
    let mut client = Client::new(&server, &app);
    client.refresh();
    client.track(&[event("before", None)]).unwrap();
    order(&server, &app, &[("sending", "stop")]);
    let data = client.track(&[event("a", None), event("b", None)]).unwrap().json()["data"].clone();
    assert_eq!((&data["processed_count"], &data["failed_count"]), (&json!(2), &json!(0)));
    assert_eq!(data["event_ids"].as_array().unwrap().len(), 2);
    assert_eq!(client.refresh().status, "up_to_date", "an app still learns whether it must update");
    assert_eq!((kept(&server), counted(&server, "stopped")), (1, 2));
    lift_all(&server, &app);
    // The version of its own release, which identify told.
    let version = server.sql("SELECT name FROM versions").trim().to_owned();
    order(&server, &app, &[("names", "wanted"), ("versions", "exactly"), ("version", &version)]);
    client.track(&[event("wanted", None), event("other", None)]).unwrap();
    assert_eq!((kept(&server), counted(&server, "unlisted")), (2, 1));
}

fn a_pause_ends_by_itself(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Paused");
    server.accept(&app, &[kit::event("a")]);
    let told = server.run(&["etiquette", "set", &app.slug, "--pause=4s"]);
    assert!(told.contains("paused until") && told.contains("within a second"), "{told}");
    let (mut seen, mut paused) = (1, 0);
    poll::until(SOON, "the pause", || {
        paused = answer(&server, &app, &[kit::event("b")]).1;
        seen += 1 - paused;
        (paused == 1).then_some(())
    });
    poll::until(SOON, "its end", || (answer(&server, &app, &[kit::event("c")]).1 == 0).then_some(()));
    assert_eq!(kept(&server), seen + 1);
    assert!(server.run(&["etiquette", "list", &app.slug]).contains("(over)"));
}
