//! What `decode` makes of good, odd and hostile bodies.

use serde_json::{Value, json};

use super::*;
use crate::model::{Earlier, Fact, RawEvent};

const OLDER: Form<'_> = Form::Older { sent_at: None };
const ID: &str = "0192d3c4-3b1a-7c55-9d0e-6a2f1b8c4d3e";

fn read(body: &str) -> Result<Batch<'_>, Refusal> {
    decode(body.as_bytes(), OLDER, 1_000)
}

#[track_caller]
fn only(body: &str) -> Item<'_> {
    let mut batch = read(body).unwrap();
    assert_eq!(batch.items.len(), 1);
    batch.items.remove(0)
}

#[track_caller]
fn event(body: &str) -> RawEvent<'_> {
    match only(body).claim {
        Some(Claim::Event(event)) => event,
        other => panic!("{other:?}"),
    }
}

/// A single event with that name and those properties.
fn single(name: &str, properties: Value) -> String {
    json!({ "event": name, "distinct_id": "ada", "uuid": ID, "properties": properties }).to_string()
}

fn props(event: &RawEvent<'_>) -> Value {
    event.props.as_deref().map_or(Value::Null, |props| serde_json::from_str(props.get()).unwrap())
}

#[test]
fn every_member_of_a_browsers_event_reaches_the_claim() {
    let body = json!([{
        "uuid": ID, "event": "checked out", "timestamp": "2026-11-27T03:00:00.123Z",
        "properties": {
            "token": "tkp_x", "distinct_id": "0192d3c4-0000-7000-8000-000000000001", "$device_id": "d",
            "$session_id": "0192d3c4-0000-7000-8000-000000000002", "$window_id": "w", "$is_identified": false,
            "$process_person_profile": false, "$os": "Mac OS X", "$os_version": "10.15.7", "$browser": "Chrome",
            "$browser_language": "de-AT", "$lib": "web", "$lib_version": "1.449.2", "$insert_id": "i", "$time": 1.5,
            "$sdk_debug_retry_queue_size": 0, "cart": { "größe": ["☃", { "n": 1e2 }] }
        }
    }])
    .to_string();
    let batch = read(&body).unwrap();
    assert_eq!((batch.key.as_deref(), batch.sent_at), (Some("tkp_x"), None));
    let raw = event(&body);
    assert_eq!(raw.id.unwrap().to_string(), ID);
    assert_eq!(raw.claimed_at, Some(Millis(1_795_748_400_123)));
    assert_eq!((&*raw.name, raw.category.as_deref()), ("checked out", None));
    assert_eq!((raw.user.as_deref(), raw.anonymous.as_deref()), (None, Some("0192d3c4-0000-7000-8000-000000000001")));
    assert_eq!(raw.session.as_deref(), Some("0192d3c4-0000-7000-8000-000000000002"));
    for (fact, value) in [
        (Fact::System, "macos"),
        (Fact::SystemVersion, "10.15.7"),
        (Fact::Locale, "de-AT"),
        (Fact::Sdk, "posthog-js/1.449.2"),
    ] {
        assert_eq!(raw.facts.get(fact), Some(value), "{fact:?}");
    }
    assert_eq!(props(&raw), json!({ "$browser": "Chrome", "cart": { "größe": ["☃", { "n": 1e2 }] } }));
    assert_eq!(only(&body).place, Place::Sender);
}

#[test]
fn a_phone_tells_model_version_and_build() {
    let body = single(
        "Application Opened",
        json!({
            "$app_version": "2.1", "$app_build": 77, "$os_name": "iOS", "$os": "other", "$device_name": "iPhone16,1",
            "$locale": "en_GB", "$is_identified": true, "$lib": "posthog-ios", "$lib_version": "3.69.3"
        }),
    );
    let raw = event(&body);
    for (fact, value) in [
        (Fact::Version, "2.1"),
        (Fact::Build, "77"),
        (Fact::System, "ios"),
        (Fact::Device, "iPhone16,1"),
        (Fact::Locale, "en_GB"),
    ] {
        assert_eq!(raw.facts.get(fact), Some(value), "{fact:?}");
    }
    assert_eq!((raw.user.as_deref(), raw.category.as_deref()), (Some("ada"), Some("lifecycle")));
    assert!(raw.props.is_none());
}

#[test]
fn a_servers_own_system_is_nobodys() {
    for (properties, server) in [
        (json!({ "$is_server": true, "$os": "Linux", "$locale": "C" }), true),
        (json!({ "$lib": "posthog-python", "$os": "Linux" }), true),
        (json!({ "$lib": "posthog-python", "$is_server": false, "$os": "Linux" }), false),
        (json!({ "$lib": "web", "$os": "Linux" }), false),
    ] {
        let body = single("x", properties);
        let raw = event(&body);
        assert_eq!(raw.facts.get(Fact::System).is_none(), server, "{body}");
        assert_eq!(props(&raw).get("$os").is_some(), server, "{body}");
        assert_eq!(only(&body).place, if server { Place::Unknown } else { Place::Sender }, "{body}");
    }
    for (properties, place) in [
        (json!({ "$is_server": true, "$ip": "203.0.113.7" }), Place::At("203.0.113.7".parse().unwrap())),
        (json!({ "$ip": "203.0.113.7", "$geoip_disable": true }), Place::Unknown),
        (json!({ "$ip": "nowhere" }), Place::Sender),
    ] {
        let body = single("x", properties);
        assert_eq!(only(&body).place, place);
        assert!(event(&body).props.is_none(), "an address is kept nowhere");
    }
}

#[test]
fn users_are_known_anonymous_told_apart_or_nobody() {
    let id = "0192d3c4-0000-7000-8000-000000000001";
    for (distinct_id, properties, user, anonymous) in [
        (json!("ada"), json!({}), Some("ada"), None),
        (json!(42), json!({}), Some("42"), None),
        (json!({ "a": 1 }), json!({}), Some(r#"{"a":1}"#), None),
        (json!("ada"), json!({ "$is_identified": true }), Some("ada"), None),
        (json!("ada"), json!({ "$is_identified": false }), None, Some("ada")),
        (json!(id), json!({ "$process_person_profile": false, "$device_id": id }), None, Some(id)),
        (json!(id), json!({ "$process_person_profile": false, "$device_id": "other" }), Some(id), None),
        (json!(id), json!({ "$process_person_profile": false, "$is_server": true }), None, None),
        (json!("ada"), json!({ "$process_person_profile": false, "$is_server": true }), Some("ada"), None),
        (json!("Anonymous"), json!({}), None, None),
        (json!("0"), json!({}), None, None),
        (json!("null"), json!({}), None, None),
        (json!(0), json!({}), None, None),
        (json!(true), json!({}), None, None),
        (json!(" null "), json!({}), None, None),
        (json!("00000000-0000-0000-0000-000000000000"), json!({}), None, None),
        (json!("$posthog_cookieless"), json!({ "$cookieless_mode": true }), None, None),
    ] {
        let body = json!({ "event": "x", "distinct_id": distinct_id, "properties": properties }).to_string();
        let raw = event(&body);
        assert_eq!((raw.user.as_deref(), raw.anonymous.as_deref()), (user, anonymous), "{body}");
        assert_eq!(only(&body).cookieless.is_some(), body.contains("cookieless"), "{body}");
    }
    let long = json!({ "event": "x", "distinct_id": "☃".repeat(300) }).to_string();
    assert_eq!(event(&long).user.unwrap().len(), 255);
    let longer = json!({ "event": "x", "distinct_id": "x".repeat(300) }).to_string();
    assert_eq!(event(&longer).user.unwrap().len(), 200);
}

#[test]
fn what_tells_of_a_person_is_no_event() {
    let id = "0192d3c4-0000-7000-8000-000000000001";
    for (name, distinct_id, properties, expected) in [
        (
            "$identify",
            "ada",
            json!({ "$anon_distinct_id": id, "$set": { "email": "ada@example.org", "plan": "x" } }),
            Some(("ada", Some(id), Some("ada@example.org"), None)),
        ),
        ("$set", "ada", json!({ "$set": { "plan": "x" } }), None),
        ("$create_alias", id, json!({ "alias": "ada" }), Some(("ada", Some(id), None, None))),
        ("$create_alias", "ada", json!({ "alias": id }), Some(("ada", Some(id), None, None))),
        ("$create_alias", "ada", json!({ "alias": "undefined" }), None),
        ("$merge_dangerously", "ada", json!({ "alias": "old" }), Some(("ada", Some("old"), None, None))),
        ("$identify", "guest", json!({ "$anon_distinct_id": id }), None),
        ("$groupidentify", "ada", json!({ "$group_type": "company", "$group_key": "acme" }), None),
        ("$snapshot", "ada", json!({ "$snapshot_data": [1, 2] }), None),
    ] {
        let body = json!({ "event": name, "distinct_id": distinct_id, "properties": properties }).to_string();
        let item = only(&body);
        assert!(item.claim.is_none(), "{body}");
        let person = item.person.as_ref().map(|person| {
            let text = |text: &Option<Cow<'_, str>>| text.as_deref().map(str::to_owned);
            [text(&person.user), text(&person.anonymous), text(&person.email), text(&person.name)]
        });
        let expected = expected.map(|(user, anonymous, email, name)| {
            [Some(user), anonymous, email, name].map(|text: Option<&str>| text.map(str::to_owned))
        });
        assert_eq!(person, expected, "{body}");
    }
    let engaged = only(r#"{"distinct_id":"ada","token":"k","$set":{"email":"e@example.org"}}"#).person.unwrap();
    assert_eq!(engaged.email.as_deref(), Some("e@example.org"));
    for name in ["x", "$set_once", "$identify"] {
        let once = json!({ "event": name, "distinct_id": "ada", "properties": {
            "$set": { "email": "e@example.org" }, "$set_once": { "name": "A", "email": "first@example.org" } } })
        .to_string();
        let person = only(&once).person.unwrap();
        assert_eq!((person.email.as_deref(), person.name.as_deref()), (Some("e@example.org"), None), "{name}");
        let once = (person.email_once.as_deref(), person.name_once.as_deref());
        assert_eq!(once, (Some("first@example.org"), Some("A")), "{name}");
    }
    for (name, earlier) in
        [("$identify", Earlier::Unknown), ("$create_alias", Earlier::Unknown), ("$merge_dangerously", Earlier::Anyone)]
    {
        let body = json!({ "event": name, "distinct_id": "ada",
            "properties": { "alias": "bob", "$anon_distinct_id": "bob" } })
        .to_string();
        let person = only(&body).person.unwrap();
        assert_eq!((person.linked(), person.earlier), (Some(("bob", "ada")), earlier), "{name}");
    }
    let beside = r#"{"event":"x","distinct_id":"ada","$set":{"email":"new@example.org"},
        "properties":{"$set":{"email":"old@example.org","name":"Ada"}}}"#;
    let item = only(beside);
    assert!(matches!(item.claim, Some(Claim::Event(_))));
    let person = item.person.unwrap();
    assert_eq!((person.email.as_deref(), person.name.as_deref()), (Some("new@example.org"), Some("Ada")));
}

#[test]
fn exceptions_are_errors_with_a_stack() {
    let frame = json!({ "function": "work", "filename": "src/main.js", "lineno": 12, "colno": 5, "in_app": true });
    let body = single(
        "$exception",
        json!({
            "$exception_level": "fatal", "$exception_fingerprint": "f",
            "$exception_list": [
                { "type": "TypeError", "value": "x is \"null\"", "stacktrace": { "frames": [frame, { "module": "m" }] } },
                { "type": "Error", "value": "why", "stacktrace": null }
            ]
        }),
    );
    let raw = event(&body);
    let error = raw.error.as_ref().unwrap();
    assert_eq!((error.kind.as_deref(), error.message.as_deref()), (Some("TypeError"), Some("x is \"null\"")));
    assert_eq!((error.fingerprint.as_deref(), error.fatal), (Some("f"), true));
    assert_eq!(props(&raw), json!({ "stack": ["m", "work (src/main.js:12:5)", "caused by Error: why"] }));
    let older = single("$exception", json!({ "$exception_type": "E", "$exception_message": "m" }));
    let error = event(&older).error.unwrap();
    assert_eq!((error.kind.as_deref(), error.message.as_deref(), error.fatal), (Some("E"), Some("m"), false));
    let frames = vec![frame_of(400); 900];
    let huge =
        single("$exception", json!({ "$exception_list": [{ "type": "E", "stacktrace": { "frames": frames } }] }));
    assert!(event(&huge).props.unwrap().get().len() < 16 << 10);
    for list in [json!(null), json!([]), json!("x"), json!([1, "x", null]), json!([{ "stacktrace": { "frames": 1 } }])]
    {
        assert!(event(&single("$exception", json!({ "$exception_list": list }))).error.is_some());
    }
}

fn frame_of(length: usize) -> Value {
    json!({ "function": "f".repeat(length), "filename": "a".repeat(length) })
}

#[test]
fn times_come_from_the_event_its_age_or_its_id() {
    let v7 = Some(Millis(0x0192_d3c4_3b1a));
    let sent = 1_795_748_400_000;
    for (timestamp, offset, id, expected) in [
        (json!("2026-11-27T03:00:00.5Z"), json!(null), ID, Some(Millis(sent + 500))),
        (json!("2026-11-27T04:00:00.123456+01:00"), json!(null), ID, Some(Millis(sent + 123))),
        (json!("2026-11-27T03:00:00.123456789Z"), json!(null), ID, Some(Millis(sent + 123))),
        (json!("2026-11-27T03:00:00"), json!(null), ID, Some(Millis(sent))),
        (json!(null), json!(1500), ID, Some(Millis(sent - 1500))),
        (json!(null), json!(-5), ID, v7),
        (json!("soon"), json!(null), ID, v7),
        // The same on every resend, and so no time that anything happened at.
        (json!(null), json!(null), "0192d3c4-3b1a-4c55-9d0e-6a2f1b8c4d3e", Some(Millis(0))),
        (json!("soon"), json!(null), "not a uuid", Some(Millis(0))),
    ] {
        let body = json!({
            "api_key": "k", "sent_at": "2026-11-27T03:00:00.000Z",
            "batch": [{ "event": "x", "distinct_id": "a", "uuid": id, "timestamp": timestamp, "offset": offset }]
        })
        .to_string();
        assert_eq!(event(&body).claimed_at, expected, "{body}");
        assert!(event(&body).id.is_some());
        assert_eq!(read(&body).unwrap().sent_at, Some(Millis(sent)));
    }
    let nameless = event(r#"{"event":"x","distinct_id":"a","api_key":"k"}"#);
    assert_eq!((nameless.id, nameless.claimed_at), (None, None), "nothing tells it from another");
}

#[test]
fn times_stand_as_they_are_where_the_client_says_so() {
    let event = json!({ "event": "x", "distinct_id": "a" });
    let sure = json!({ "event": "x", "distinct_id": "a", "properties": { "$ignore_sent_at": true } });
    for (body, corrected) in [
        (json!({ "sent_at": "2026-11-27T03:00:00Z", "batch": [event] }), true),
        (json!({ "sent_at": "2026-11-27T03:00:00Z", "historical_migration": false, "batch": [event] }), true),
        (json!({ "sent_at": "2026-11-27T03:00:00Z", "historical_migration": true, "batch": [event] }), false),
        (json!({ "sent_at": "2026-11-27T03:00:00Z", "batch": [event, sure] }), false),
        (json!({ "sent_at": "whenever", "batch": [event] }), false),
        (json!({ "sent_at": null, "batch": [event] }), false),
    ] {
        let text = body.to_string();
        assert_eq!(read(&text).unwrap().sent_at.is_some(), corrected, "{body}");
        let by_address = decode(text.as_bytes(), Form::Older { sent_at: Some(Millis(5)) }, 9).unwrap().sent_at;
        assert_eq!(by_address.is_some(), !text.contains("true"), "{body}");
    }
}

#[test]
fn keys_are_found_wherever_they_stand() {
    let keyed = |key: &str| json!({ "event": "x", "distinct_id": "a", "properties": { "token": key } });
    for (body, key) in [
        (json!({ "api_key": "k", "token": "other", "batch": [keyed("third")] }), Ok(Some("k"))),
        (json!({ "token": "k", "batch": [keyed("other"), keyed("third")] }), Ok(Some("k"))),
        (json!({ "batch": [keyed("k")] }), Ok(Some("k"))),
        (json!([keyed("k"), keyed("k")]), Ok(Some("k"))),
        (json!([keyed("k"), keyed("other")]), Err(())),
        (json!([{ "event": "x", "distinct_id": "a", "$token": "k" }]), Ok(Some("k"))),
        (json!({ "event": "x", "distinct_id": "a", "api_key": "k" }), Ok(Some("k"))),
        (keyed("k"), Ok(Some("k"))),
        (json!({ "event": "x", "properties": { "token": "k" } }), Ok(Some("k"))),
        (json!({ "event": "x", "distinct_id": "a" }), Ok(None)),
        (json!({ "api_key": 7, "batch": [{ "event": "x", "distinct_id": "a" }] }), Ok(None)),
    ] {
        let text = body.to_string();
        let found = read(&text).map(|batch| batch.key.map(Cow::into_owned)).map_err(|_| ());
        assert_eq!(found, key.map(|key: Option<&str>| key.map(str::to_owned)), "{body}");
    }
}

#[test]
fn the_newer_form_says_more_outside_of_the_properties() {
    let body = json!({
        "created_at": "2026-11-27T03:00:00Z",
        "batch": [{
            "event": "x", "uuid": ID, "distinct_id": "a", "timestamp": "2026-11-27T03:00:00Z", "session_id": "s",
            "options": { "cookieless_mode": true, "disable_skew_correction": true }, "properties": { "n": 1 }
        }]
    })
    .to_string();
    let form = Form::Newer { sent_at: Some(Millis(5)), sdk: Some("posthog-node/5.70.0") };
    let mut batch = decode(body.as_bytes(), form, 9).unwrap();
    let item = batch.items.remove(0);
    assert_eq!((batch.sent_at, item.uuid.as_deref(), item.cookieless.is_some()), (None, Some(ID), true));
    let Some(Claim::Event(raw)) = item.claim else { panic!("{item:?}") };
    assert_eq!((raw.session.as_deref(), raw.facts.get(Fact::Sdk)), (Some("s"), Some("posthog-node/5.70.0")));
    assert!(decode(br#"{"event":"x","distinct_id":"a"}"#, form, 9).is_err(), "no batch");
}

#[test]
fn unusable_event_says_why_without_its_values_and_spares_its_neighbours() {
    let good = single("x", json!({}));
    for (bad, why, id) in [
        ("null", "`event` is missing", false),
        ("17", "not an object", false),
        ("[]", "not an object", false),
        ("{}", "`event` is missing", false),
        (r#"{"event":"x"}"#, "`distinct_id` is missing", false),
        (r#"{"event":"x","distinct_id":null}"#, "`distinct_id` is missing", false),
        (r#"{"event":"x","distinct_id":""}"#, "`distinct_id` is missing", false),
        (r#"{"event":"","distinct_id":"4711"}"#, "`event` is empty", false),
        (r#"{"event":4711,"distinct_id":"a","uuid":"0192d3c4-3b1a-7c55-9d0e-6a2f1b8c4d3e"}"#, "not a string", true),
        (r#"{"event":"x","distinct_id":"4711","properties":[1]}"#, "`properties` is not an object", false),
        (r#"{"event":"x","distinct_id":"4711","properties":"y"}"#, "`properties` is not an object", false),
        (r#"{"event":"x","distinct_id":"a","\ud800":1}"#, "not valid", false),
    ] {
        let body = format!(r#"{{"api_key":"k","batch":[{good},{bad},{good}]}}"#);
        let batch = read(&body).unwrap();
        let claims: Vec<_> = batch.items.iter().map(|item| item.claim.as_ref()).collect();
        let [Some(Claim::Event(_)), Some(Claim::Unusable { reason, detail, id: found, body: kept, .. }), Some(_)] =
            &claims[..]
        else {
            panic!("{bad}: {claims:?}")
        };
        assert_eq!((*reason, *kept, found.is_some()), (Reason::Invalid, bad, id));
        assert!(detail.contains(why) && !detail.contains("4711"), "{bad}: {detail}");
    }
    assert!(matches!(claim(&good), Claim::Event(_)));
    assert!(matches!(claim(r#"{"event":"$identify","distinct_id":"a"}"#), Claim::Unusable { .. }));
    let Claim::Unusable { sent: Some(sent), .. } = claim(r#"{"event":1,"distinct_id":"a","session_id":"s"}"#) else {
        panic!()
    };
    assert_eq!((sent.user.as_deref(), sent.session.as_deref()), (Some("a"), Some("s")));
}

#[test]
fn what_holds_no_events_is_refused() {
    let good = single("x", json!({}));
    for bad in
        ["", "null", "7", "\"x\"", "[", "[]", r#"{"batch":[]}"#, r#"{"batch":{}}"#, &good[..20], &format!("{good}x")]
    {
        assert!(matches!(read(bad), Err(Refusal::Malformed(_))), "{bad}");
    }
    assert!(matches!(decode(b"[\"\xff\"]", OLDER, 9), Err(Refusal::Malformed(_))));
    let four = format!(r#"{{"batch":[{}]}}"#, [&*good; 4].join(","));
    assert_eq!(decode(four.as_bytes(), OLDER, 4).unwrap().items.len(), 4);
    for many in [four, format!("[{}]", [&*good; 4].join(",")), format!("[{}]", ["{}"; 4].join(","))] {
        assert!(matches!(decode(many.as_bytes(), OLDER, 3), Err(Refusal::TooLarge(_))));
    }
}

#[test]
fn depth_bombs_neither_overflow_the_stack_nor_fail_their_neighbours() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let good = single("x", json!({}));
    for place in [
        r#"{"event":"x","distinct_id":"a","properties":{"p":BOMB}}"#,
        r#"{"event":"x","distinct_id":"a","properties":{"$set":BOMB}}"#,
        r#"{"event":"x","distinct_id":"a","more":BOMB}"#,
        r#"{"event":"x","distinct_id":"a","properties":BOMB}"#,
        r#"{"event":"$exception","distinct_id":"a","properties":{"$exception_list":BOMB}}"#,
        r#"{"event":"x","distinct_id":BOMB}"#,
        "BOMB",
    ] {
        let body = format!("[{},{good}]", place.replace("BOMB", &deep));
        let batch = read(&body).unwrap();
        assert!(matches!(batch.items[1].claim, Some(Claim::Event(_))), "{place}");
    }
    assert!(read(&deep).is_ok_and(|batch| batch.items.len() == 1));
}

#[test]
fn odd_spellings_are_read_as_they_are_meant() {
    let escaped = r#"{"\u0065vent":"gr\u00f6\u00dfer","distinct_id":"a\"b","properties":{"\u0024os":"Linux","a":"\ud83d\ude00"}}"#;
    let raw = event(escaped);
    assert_eq!((&*raw.name, raw.user.as_deref(), raw.facts.get(Fact::System)), ("größer", Some("a\"b"), Some("linux")));
    assert_eq!(props(&raw), json!({ "a": "😀" }));
    let twice = r#"{"event":"x","event":"y","distinct_id":"a","properties":{"$os":"x","$os":"Android"}}"#;
    assert_eq!((&*event(twice).name, event(twice).facts.get(Fact::System)), ("y", Some("android")));
    let plain = single("x", json!({ "n": 123_456_789_012_345_678_u64 }));
    assert!(matches!(event(&plain).name, Cow::Borrowed(_)));
    assert_eq!(event(&plain).props.unwrap().get(), r#"{"n":123456789012345678}"#);
}
