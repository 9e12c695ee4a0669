//! Bodies as SDKs write them, and whatever else may come.

use serde_json::{Value, json};

use super::*;

const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

fn sender(form: Form) -> Sender<'static> {
    Sender { key: 7, form, agent: Agent::read(AGENT) }
}

fn read(body: &str, form: Form) -> Result<Vec<Told<'_>>, Refusal> {
    decode(body.as_bytes(), &sender(form), 100)
}

#[track_caller]
fn event(body: &str, form: Form) -> RawEvent<'_> {
    let told = read(body, form).unwrap().remove(0);
    let Claim::Event(raw) = told.claim else { panic!("{told:?}") };
    raw
}

fn props(raw: &RawEvent<'_>) -> Value {
    raw.props.as_ref().map_or(Value::Null, |props| serde_json::from_str(props.get()).unwrap())
}

#[test]
fn event_of_a_program_is_read_whatever_the_case_of_its_keys() {
    let body = r#"[{"EVENTNAME":"saved","timeStamp":"2026-11-20T10:00:00.1234567Z","sessionid":"176300000012345678",
        "SystemProps":{"osname":"macOS","OSVersion":"26.1","Locale":"en_US","appVersion":"1.4.0","appBuildNumber":"77",
        "engineName":"WebKit","engineVersion":"620.1","sdkVersion":"tauri-plugin-aptabase@1.3.0",
        "deviceModel":"MacBookPro18,1","more":[1]},"props":{"a":{"b":[1,null]}},"more":{"x":1}}]"#;
    let raw = event(body, Form::Batch);
    assert_eq!((&*raw.name, raw.session.as_deref()), ("saved", Some("176300000012345678")));
    assert_eq!(raw.claimed_at, Some(Millis(1_795_168_800_123)));
    assert!(raw.user.is_none(), "the pipeline names visitors");
    for (fact, text) in [
        (Fact::System, "macos"),
        (Fact::SystemVersion, "26.1"),
        (Fact::Locale, "en-US"),
        (Fact::Version, "1.4.0"),
        (Fact::Build, "77"),
        (Fact::Sdk, "tauri-plugin-aptabase@1.3.0"),
        (Fact::Device, "MacBookPro18,1"),
    ] {
        assert_eq!(raw.facts.get(fact), Some(text), "{fact:?}");
    }
    assert_eq!(props(&raw), json!({ "engineName": "WebKit", "engineVersion": "620.1", "a": { "b": [1, null] } }));
}

#[test]
fn browser_is_read_from_its_agent_on_the_single_address_alone() {
    let body =
        r#"{"eventName":"a","timestamp":"2026-11-20T10:00:00.123Z","sessionId":"1","systemProps":{"osName":""}}"#;
    let raw = event(body, Form::Single);
    assert_eq!(raw.facts.get(Fact::System), Some("linux"));
    assert_eq!(props(&raw), json!({ "engineName": "Firefox", "engineVersion": "145" }));
    let raw = event(body, Form::Batch);
    assert!(raw.facts.get(Fact::System).is_none() && raw.props.is_none());
}

#[test]
fn properties_come_as_object_as_text_or_not_at_all() {
    for (sent, kept) in [
        (r#"{"a":1}"#, json!({ "a": 1 })),
        (r#""{\"a\":\"\\u00fc\"}""#, json!({ "a": "ü" })),
        (r#""[1]""#, json!([1])),
        (r#""just words""#, json!("just words")),
        (r#""7""#, json!("7")),
        ("[1,{}]", json!([1, {}])),
        ("null", Value::Null),
        ("{}", json!({})),
    ] {
        let body = format!(r#"[{{"eventName":"a","props":{sent}}}]"#);
        assert_eq!(props(&event(&body, Form::Batch)), kept, "{sent}");
    }
    assert_eq!(props(&event(r#"[{"eventName":"a"}]"#, Form::Batch)), Value::Null);
}

#[test]
fn what_is_added_never_takes_the_place_of_what_the_app_calls_so() {
    let body = r#"[{"eventName":"a","systemProps":{"isDebug":true,"engineName":"E"},"props":{ "isDebug":"mine" }}]"#;
    let told = read(body, Form::Batch).unwrap();
    assert!(told[0].is_debug);
    assert_eq!(props(&event(body, Form::Batch)), json!({ "engineName": "E", "isDebug": "mine" }));
    let body = r#"[{"eventName":"a","systemProps":{"isDebug":true},"props":{}}]"#;
    assert_eq!(props(&event(body, Form::Batch)), json!({ "isDebug": true }));
}

#[test]
fn times_have_no_to_nine_decimals_and_bad_ones_are_none() {
    for (text, at) in [
        ("2026-11-20T10:00:00Z", Some(0)),
        ("2026-11-20T10:00:00.1Z", Some(100)),
        ("2026-11-20T10:00:00.123456Z", Some(123)),
        ("2026-11-20T10:00:00.123456789Z", Some(123)),
        ("2026-11-20T12:00:00.5+02:00", Some(500)),
        ("2026-11-20T10:00:00 AM", None),
        ("20.11.2026 10:00", None),
        ("", None),
    ] {
        let body = json!([{ "eventName": "a", "timestamp": text }]).to_string();
        let at = at.map(|more: i64| Millis(1_795_168_800_000 + more));
        assert_eq!(event(&body, Form::Batch).claimed_at, at, "{text}");
    }
    assert_eq!(event(r#"[{"eventName":"a","timestamp":1795168800}]"#, Form::Batch).claimed_at, None);
}

#[test]
fn a_resent_body_has_the_same_ids_and_each_of_its_events_another() {
    let body = r#"[{"eventName":"a"},{"eventName":"a"}]"#;
    let ids = |key| -> Vec<_> {
        let told = decode(body.as_bytes(), &Sender { key, ..sender(Form::Batch) }, 100).unwrap();
        let id = |told: Told<'_>| match told.claim {
            Claim::Event(raw) => raw.id.unwrap(),
            other => panic!("{other:?}"),
        };
        told.into_iter().map(id).collect()
    };
    assert_eq!(ids(7), ids(7));
    assert!(ids(7)[0] != ids(7)[1] && ids(7)[0] != ids(8)[0]);
    // A single event of whole seconds may be followed by its like, and its SDK does not send again.
    for (at, known) in [("2026-11-20T10:00:00Z", false), ("2026-11-20T10:00:00.000Z", true), ("", false)] {
        let body = json!({ "eventName": "a", "timestamp": at }).to_string();
        assert_eq!(event(&body, Form::Single).id.is_some(), known, "{at}");
    }
}

#[test]
fn one_bad_event_does_not_fail_the_others() {
    let body = r#"[{"eventName":"good","sessionId":176300000012345678},7,{"eventName":" ","sessionId":"s"},{"eventName":null},
        {"eventName":"\ud800"},[],"x",null,{},{"eventName":"good","sessionId":{},"systemProps":[],"timestamp":{}}]"#;
    let told = read(body, Form::Batch).unwrap();
    assert_eq!(told.len(), 10);
    let good = |told: &Told<'_>| matches!(told.claim, Claim::Event(_));
    assert_eq!(
        told.iter().map(good).collect::<Vec<_>>(),
        [true, false, false, false, false, false, false, false, false, true]
    );
    let Claim::Event(first) = &told[0].claim else { panic!() };
    assert_eq!(first.session.as_deref(), Some("176300000012345678"));
    let Claim::Unusable { reason, body, sent, id, .. } = &told[2].claim else { panic!() };
    assert_eq!((*reason, *body), (Reason::Invalid, r#"{"eventName":" ","sessionId":"s"}"#));
    assert_eq!(sent.as_ref().unwrap().session.as_deref(), Some("s"));
    assert!(id.is_some());
}

#[test]
fn either_address_takes_one_or_many() {
    let one = r#" {"eventName":"a"} "#;
    let many = r#" [ {"eventName":"a"} , {"eventName":"b"} ] "#;
    for form in [Form::Single, Form::Batch] {
        assert_eq!(read(one, form).unwrap().len(), 1);
        assert_eq!(read(many, form).unwrap().len(), 2);
    }
}

#[test]
fn what_is_no_request_is_refused() {
    for body in ["", "[]", " [ ] ", "[", "{", "[{\"eventName\":\"a\"}", "[{}]x", "nothing", "\u{feff}[{}]"] {
        assert!(matches!(read(body, Form::Batch), Err(Refusal::Malformed(_))), "{body}");
    }
    assert!(matches!(decode(b"[\xff]", &sender(Form::Batch), 100), Err(Refusal::Malformed(_))));
    let many = format!("[{}]", vec!["{}"; 101].join(","));
    assert!(matches!(read(&many, Form::Batch), Err(Refusal::TooLarge(_))));
    let many = format!("[{}]", vec![r#"{"eventName":"a"}"#; 101].join(","));
    assert!(matches!(read(&many, Form::Batch), Err(Refusal::TooLarge(_))));
    let deep = format!(r#"[{{"eventName":"a","props":{}{}}}]"#, "[".repeat(100_000), "]".repeat(100_000));
    // What is nested too deep is judged by the pipeline, which looks at it without recursion.
    assert!(read(&deep, Form::Batch).is_ok_and(|told| told.len() == 1));
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert!(read(&deep, Form::Batch).is_ok_and(|told| matches!(told[0].claim, Claim::Unusable { .. })));
}

#[test]
fn long_session_ids_are_cut_at_a_character() {
    let body = json!([{ "eventName": "a", "sessionId": "é".repeat(200) }]).to_string();
    assert_eq!(event(&body, Form::Batch).session.map(|id| id.len()), Some(SESSION));
}
