//! What `decode` makes of good, odd and hostile bodies.

use serde_json::{Value, json};

use super::*;
use crate::model::Millis;

const ID: &str = "0192d3c4-3b1a-4c55-9d0e-6a2f1b8c4d3e";

/// An event as the published SDK sends it.
fn event() -> Value {
    json!({
        "schema_version": "1.0.0",
        "event_id": ID,
        "timestamp": "2023-11-14T22:13:20.123456789Z",
        "service": { "name": "my-cli", "version": "1.2.3", "language": "rust", "language_version": "1.75.0" },
        "user_id": "client_1",
        "session_id": "sess_1",
        "environment": { "os": "linux", "os_version": "6.1", "arch": "x86_64", "ci": false, "shell": "bash" },
        "event": { "type": "command_execution", "category": "usage", "data": { "command": "build" } },
        "metadata": { "sdk_version": "telemetry-kit-rust/0.3.0", "batch_size": 1, "retry_count": 0 }
    })
}

/// That event with one member (`"service.name"`) set, or taken away.
fn with(path: &str, value: Option<Value>) -> String {
    let mut event = event();
    let (parent, name) = path.rsplit_once('.').map_or(("", path), |(parent, name)| (parent, name));
    let parent = if parent.is_empty() { &mut event } else { &mut event[parent] };
    match value {
        Some(value) => parent[name] = value,
        None => _ = parent.as_object_mut().unwrap().remove(name),
    }
    event.to_string()
}

fn body(events: &[&str]) -> String {
    format!(r#"{{"events":[{}]}}"#, events.join(","))
}

fn read(body: &str) -> Result<Vec<Claim<'_>>, Refusal> {
    decode(body.as_bytes(), Envelope::Object, 1_000)
}

#[track_caller]
fn only<'a>(body: &'a str) -> RawEvent<'a> {
    let mut claims = read(body).unwrap();
    assert_eq!(claims.len(), 1);
    match claims.remove(0) {
        Claim::Event(event) => event,
        Claim::Unusable { reason, detail, .. } => panic!("{reason:?}: {detail}"),
        Claim::Banned => panic!("nobody is banned"),
    }
}

#[test]
fn every_member_of_an_event_reaches_the_claim() {
    let body = body(&[&event().to_string()]);
    let raw = only(&body);
    assert_eq!(raw.id, Some(EventId::from(ID.parse::<Uuid>().unwrap())));
    assert_eq!(raw.claimed_at, Some(Millis(1_700_000_000_123)));
    assert_eq!((&*raw.name, raw.category.as_deref()), ("command_execution", Some("usage")));
    assert_eq!((raw.user.as_deref(), raw.session.as_deref()), (Some("client_1"), Some("sess_1")));
    assert_eq!(raw.props.unwrap().get(), r#"{"command":"build"}"#);
    for (fact, value) in [
        (Fact::Version, "1.2.3"),
        (Fact::System, "linux"),
        (Fact::SystemVersion, "6.1"),
        (Fact::Arch, "x86_64"),
        (Fact::Sdk, "telemetry-kit-rust/0.3.0"),
        (Fact::Service, "my-cli"),
        (Fact::Language, "rust 1.75.0"),
        (Fact::Shell, "bash"),
        (Fact::Ci, "false"),
    ] {
        assert_eq!(raw.facts.get(fact), Some(value), "{fact:?}");
    }
    for fact in [Fact::Build, Fact::Device, Fact::Locale] {
        assert_eq!(raw.facts.get(fact), None, "{fact:?}");
    }
}

#[test]
fn plain_strings_are_borrowed_from_the_body() {
    let body = body(&[&event().to_string()]);
    let raw = only(&body);
    assert!(matches!(raw.name, Cow::Borrowed(_)) && matches!(raw.user, Some(Cow::Borrowed(_))));
}

#[test]
fn what_is_not_insisted_on_may_be_absent_or_null() {
    let least = json!({
        "event_id": ID, "timestamp": "2023-11-14T22:13:20Z", "service": { "name": "" }, "user_id": "u",
        "event": { "type": "started" }
    });
    let body = body(&[&least.to_string()]);
    assert_eq!((&*only(&body).name, only(&body).props.is_none()), ("started", true));
    for member in [
        "schema_version",
        "session_id",
        "environment",
        "metadata",
        "service.version",
        "service.language",
        "service.language_version",
        "environment.os",
        "environment.os_version",
        "environment.arch",
        "environment.ci",
        "environment.shell",
        "event.category",
        "event.data",
        "metadata.sdk_version",
    ] {
        for value in [None, Some(Value::Null)] {
            only(&self::body(&[&with(member, value)]));
        }
    }
}

#[test]
fn unusable_event_says_why_without_its_values_and_spares_its_neighbours() {
    let good = event().to_string();
    let insisted = ["event_id", "timestamp", "user_id", "service", "event", "service.name", "event.type"];
    let missing = insisted.iter().flat_map(|m| [(*m, None), (*m, Some(Value::Null))]);
    let wrong = [
        "schema_version",
        "event_id",
        "timestamp",
        "user_id",
        "session_id",
        "service",
        "environment",
        "event",
        "metadata",
        "service.name",
        "service.version",
        "environment.os",
        "environment.ci",
        "event.type",
        "event.category",
        "metadata.sdk_version",
    ];
    let wrong = wrong.iter().flat_map(|m| [json!(4711), json!([4711]), json!("4711x")].map(|v| (*m, Some(v))));
    let text_is_right = |m: &str| !["environment.ci", "service", "environment", "event", "metadata"].contains(&m);
    let right = [
        "user_id",
        "session_id",
        "service.name",
        "service.version",
        "environment.os",
        "event.type",
        "event.category",
        "metadata.sdk_version",
    ];
    let mut rows = 0;
    for (member, value) in missing.chain(wrong) {
        if right.contains(&member) && text_is_right(member) && value.as_ref().is_some_and(Value::is_string) {
            continue;
        }
        let bad = with(member, value);
        let body = body(&[&good, &bad, &good]);
        let claims = read(&body).unwrap();
        let [Claim::Event(_), Claim::Unusable { reason, detail, id, body: kept, .. }, Claim::Event(_)] = &claims[..]
        else {
            panic!("{bad}: {claims:?}")
        };
        let expected = if member == "schema_version" && bad.contains("4711x") {
            Reason::UnsupportedSchema
        } else {
            Reason::Invalid
        };
        assert_eq!((*reason, *kept), (expected, bad.as_str()));
        assert_eq!(id.is_some(), member != "event_id", "{bad}");
        assert!(!detail.contains("4711") && detail.contains(member.split('.').next().unwrap()), "{detail}");
        rows += 1;
    }
    assert_eq!(rows, 14 + 48 - right.len());
}

#[test]
fn odd_events_are_set_aside() {
    let text = event().to_string();
    for (bad, reason) in [
        ("null".to_owned(), Reason::Invalid),
        ("17".to_owned(), Reason::Invalid),
        ("[]".to_owned(), Reason::Invalid),
        (r#"["1.0.0","x"]"#.to_owned(), Reason::Invalid),
        ("{}".to_owned(), Reason::Invalid),
        (with("service", Some(json!(["my-cli", "1.2.3"]))), Reason::Invalid),
        (with("user_id", Some(json!(""))), Reason::Invalid),
        (with("event.type", Some(json!(""))), Reason::Invalid),
        (with("event_id", Some(json!("42"))), Reason::Invalid),
        (with("timestamp", Some(json!("yesterday"))), Reason::Invalid),
        (with("schema_version", Some(json!("2.0.0"))), Reason::UnsupportedSchema),
        (with("schema_version", Some(json!("10.0"))), Reason::UnsupportedSchema),
        (text.replacen("\"user_id\"", "\"user_id\":\"other\",\"user_id\"", 1), Reason::Invalid),
        (text.replacen("client_1", "\\ud800", 1), Reason::Invalid),
    ] {
        let body = body(&[&bad]);
        let claims = read(&body).unwrap();
        assert!(matches!(&claims[..], [Claim::Unusable { reason: r, .. }] if *r == reason), "{bad}: {claims:?}");
    }
}

#[test]
fn data_is_any_json_and_kept_to_the_letter() {
    for data in [
        r#""text""#,
        "[]",
        "true",
        "18446744073709551615",
        "-9223372036854775808",
        "123456789012345678901234567890",
        "1e308",
        "1e999",
        r#"{"":1,"a.b":2,"$set":{"$x":3},"a":1,"a":2}"#,
        r#""a\u0000b""#,
        r#""\ud800""#,
        r#"{ "spaced" : [ 1 , 2 ] }"#,
    ] {
        let event = with("event.data", Some(json!("DATA"))).replace("\"DATA\"", data);
        let body = body(&[&event]);
        assert_eq!(only(&body).props.unwrap().get(), data);
    }
}

#[test]
fn depth_bombs_neither_overflow_the_stack_nor_fail_their_neighbours() {
    let deep = "[".repeat(200_000) + &"]".repeat(200_000);
    let good = event().to_string();
    let bomb = |member: &str| with(member, Some(json!("BOMB"))).replace("\"BOMB\"", &deep);
    for (member, usable) in [("event.data", true), ("extra", true), ("user_id", false), ("service", false)] {
        let body = body(&[&bomb(member), &good]);
        let claims = read(&body).unwrap();
        assert_eq!(matches!(claims[0], Claim::Event(_)), usable, "{member}");
        assert!(matches!(claims[1], Claim::Event(_)));
    }
    assert!(matches!(read(&deep), Err(Refusal::Malformed(_))));
    assert!(matches!(decode(deep.as_bytes(), Envelope::ObjectOrArray, 1_000), Ok(c) if c.len() == 1));
}

#[test]
fn spellings_are_brought_together() {
    for (member, value, check) in [
        ("event.type", "command_executed", (|e| e.name == "command_execution") as fn(&RawEvent<'_>) -> bool),
        ("user_id", NO_MACHINE, |e| e.user.is_none()),
        ("event_id", "{0192D3C4-3B1A-4C55-9D0E-6A2F1B8C4D3E}", |e| e.id.unwrap().to_string() == ID),
        ("event_id", "0192d3c43b1a4c559d0e6a2f1b8c4d3e", |e| e.id.unwrap().to_string() == ID),
        ("event_id", "urn:uuid:0192d3c4-3b1a-4c55-9d0e-6a2f1b8c4d3e", |e| e.id.unwrap().to_string() == ID),
        ("service.language_version", "", |e| e.facts.get(Fact::Language) == Some("rust")),
        ("schema_version", "1.9", |e| e.id.is_some()),
    ] {
        let body = body(&[&with(member, Some(json!(value)))]);
        assert!(check(&only(&body)), "{member} = {value}");
    }
    let body = body(&[&event().to_string().replace("\"user_id\"", "\"us\\u0065r_id\"")]);
    assert_eq!(only(&body).user.as_deref(), Some("client_1"));
}

#[test]
fn envelope_is_an_object_with_events_and_an_array_only_where_allowed() {
    let event = event().to_string();
    let object = format!(r#" {{"batch_id":[1,{{}}],"events":[{event}],"more":null}} "#);
    let array = format!("[{event}]");
    assert_eq!(read(&object).unwrap().len(), 1);
    assert_eq!(decode(object.as_bytes(), Envelope::ObjectOrArray, 9).unwrap().len(), 1);
    assert_eq!(decode(array.as_bytes(), Envelope::ObjectOrArray, 9).unwrap().len(), 1);
    let twice = format!(r#"{{"events":[{event}],"events":[]}}"#);
    let cut = &object[..object.len() - 9];
    let trailing = format!("{object}x");
    for bad in [
        "",
        "null",
        "7",
        "\"events\"",
        "{}",
        r#"{"events":null}"#,
        r#"{"events":{}}"#,
        r#"{"events":[]}"#,
        &array,
        &twice,
        cut,
        &trailing,
    ] {
        assert!(matches!(read(bad), Err(Refusal::Malformed(_))), "{bad}");
    }
    assert!(matches!(decode(b"[]", Envelope::ObjectOrArray, 9), Err(Refusal::Malformed(_))));
    assert!(matches!(decode(b"{\"events\":[\"\xff\"]}", Envelope::Object, 9), Err(Refusal::Malformed(_))));
}

#[test]
fn batch_over_the_limit_is_too_large_whatever_its_events_are() {
    let good = event().to_string();
    for one in [good.as_str(), "{}"] {
        assert_eq!(decode(body(&[one; 3]).as_bytes(), Envelope::Object, 3).unwrap().len(), 3);
        let four = body(&[one; 4]);
        assert!(matches!(decode(four.as_bytes(), Envelope::Object, 3), Err(Refusal::TooLarge(_))), "{one}");
    }
}
