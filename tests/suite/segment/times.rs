//! Clocks that are wrong, resends, sessions and who users are.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::{post, server_with_key, stored, taken};
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, Server};

on_both_backends! { a_resend_counts_once_whatever_it_says_of_times, wrong_clocks_are_corrected_by_the_time_of_sending }

/// Documentation's own networks: 203.0.113.0/24 is in CH, 2001:db8::/32 in NZ.
const COUNTRIES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/places/country.mmdb");

/// So many seconds from now, as SDKs write it.
fn at(seconds: i64) -> String {
    let now = Timestamp::now().as_millisecond() + seconds * 1_000;
    format!("{:.3}", Timestamp::from_millisecond(now).unwrap())
}

fn a_resend_counts_once_whatever_it_says_of_times(backend: Backend) {
    let (server, key) = server_with_key(backend);
    let time = at(-60);
    let message = |id: Option<&str>, time: Option<&str>| {
        let mut message = json!({ "type": "track", "event": "a", "userId": "u-1" });
        for (name, value) in [("messageId", id), ("timestamp", time)] {
            if let Some(value) = value {
                message[name] = json!(value);
            }
        }
        message
    };
    for (id, time, count) in [
        (Some("ajs-next-1-2"), Some(&*time), 1),
        (Some("f7a02f9e-fa2d-4197-9940-69beb207cd07"), Some(&*time), 1),
        (Some("without a time"), None, 1),
        (None, Some(&*time), 1),
        (None, None, 3), // nothing tells a resend from another event
    ] {
        let before = stored(&server).len();
        for _ in 0..3 {
            taken(&server, &post("/v1/batch", &key, &json!({ "batch": [message(id, time)] })));
        }
        assert_eq!(stored(&server).len() - before, count, "{id:?} {time:?}");
    }
}

fn wrong_clocks_are_corrected_by_the_time_of_sending(backend: Backend) {
    let (server, key) = server_with_key(backend);
    const DAY: i64 = 86_400;
    let told = |path: &str, event: &str, times: &[(&str, String)], sent_at: Option<String>| {
        let mut message = json!({ "type": "track", "event": event, "userId": "u-1", "messageId": event });
        for (name, time) in times {
            message[*name] = json!(time);
        }
        let body = json!({ "batch": [message], "sentAt": sent_at });
        taken(&server, &post(path, &key, &body));
    };
    let one = |name: &'static str, seconds: i64| vec![(name, at(seconds))];
    // A minute before it was sent, by a clock that is a day behind or ahead.
    told("/v1/batch", "behind", &one("timestamp", -DAY - 60), Some(at(-DAY)));
    told("/v1/batch", "ahead", &one("originalTimestamp", DAY - 60), Some(at(DAY)));
    let both = [("timestamp", at(-5 * DAY)), ("originalTimestamp", at(-DAY - 60))];
    told("/v1/batch", "both", &both, Some(at(-DAY)));
    told("/v1/batch", "right", &one("timestamp", -60), Some(at(0)));
    // As it says, where the time of sending is missing, impossible or of no use.
    told("/v1/batch", "unsent", &one("timestamp", -DAY - 60), None);
    told("/v1/batch", "impossible", &one("timestamp", -DAY - 60), Some(at(-3 * DAY)));
    told("/v1/import", "imported", &one("timestamp", -DAY - 60), Some(at(-3 * DAY + 60)));
    told("/v1/batch", "future", &one("timestamp", DAY), Some(at(0)));
    told("/v1/batch", "timeless", &[], None);
    let now = Timestamp::now().as_millisecond();
    let rows =
        server.sql("SELECT n.text, claimed_at + skew FROM events JOIN strings n ON n.id = name_id ORDER BY n.text");
    let ago = |row: &str| {
        let (name, time) = row.split_once('|').unwrap();
        (name.to_owned(), (now - time.parse::<i64>().unwrap()) / 1_000)
    };
    for (name, ago) in rows.lines().map(ago) {
        let expected = match &*name {
            "future" | "timeless" => 0,
            "unsent" | "impossible" | "imported" => DAY + 60,
            _ => 60,
        };
        assert!((expected..expected + 40).contains(&ago), "{name}: {ago} s ago, not {expected}");
    }
    assert_eq!(rows.lines().count(), 9);
}

#[test]
fn sessions_are_named_by_rudderstack_and_derived_for_segment() {
    let (server, key) = server_with_key(Backend::Sqlite);
    let message = |user: &str, minutes: i64, session: Value| {
        json!({
            "type": "track", "event": "a", "anonymousId": user, "messageId": format!("{user} {minutes}"),
            "timestamp": at(minutes * 60), "context": { "sessionId": session }
        })
    };
    let named = [message("a", -70, json!(1_795_748_183)), message("a", -10, json!(1_795_748_183))];
    let same_moment = [message("b", -70, json!("1795748183"))];
    let derived = [message("c", -70, Value::Null), message("c", -60, Value::Null), message("c", -10, json!([]))];
    let batch = [&named[..], &same_moment, &derived].concat();
    taken(&server, &post("/v1/batch", &key, &json!({ "batch": batch })));
    let sessions = server.sql("SELECT events FROM sessions ORDER BY events, started_at");
    assert_eq!(sessions, "1\n1\n2\n2\n", "one of a, one of b, two of c");
    assert_eq!(server.count("SELECT count(*) FROM sessions WHERE hash IS NOT NULL"), 2);
}

#[test]
fn a_server_does_not_tell_where_its_users_are() {
    let server = Server::with()
        .setting("TALLYBOX_COUNTRY_DATABASE", COUNTRIES)
        .setting("TALLYBOX_TRUSTED_PROXIES", "127.0.0.1")
        .start();
    let key = super::key_of(&server, "Placed");
    let message = |event: &str, library: &str, ip: Value| {
        let context = json!({ "library": { "name": library, "version": "1" }, "ip": ip });
        json!({ "type": "track", "event": event, "userId": "u-1", "messageId": event, "context": context })
    };
    for message in [
        message("client", "analytics.js", Value::Null),
        message("server", "@segment/analytics-node", Value::Null),
        message("told", "analytics-python", json!("2001:db8::7")),
    ] {
        let request: Request = post("/v1/batch", &key, &json!({ "batch": [message] }));
        taken(&server, &request.header("x-forwarded-for", "203.0.113.9"));
    }
    let countries = server.sql(
        "SELECT n.text, (SELECT text FROM strings WHERE id = f.country) FROM events e JOIN strings n ON n.id = e.name_id \
         JOIN facts f ON f.id = e.facts_id ORDER BY 1",
    );
    assert_eq!(countries, "client|CH\nserver|\ntold|NZ\n");
}
