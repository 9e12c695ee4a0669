//! Bodies, and what is read from them.

use std::net::IpAddr;

use serde_json::{Value, json};

use super::*;
use crate::ingest::Claim;
use crate::model::{Country, Fact, IngestKeyId, Millis, RawEvent, RawPerson};

const MOST: usize = 10;
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

fn germany(_: IpAddr) -> Option<Country> {
    Country::parse("DE")
}

fn sender(browser: Option<&str>) -> Sender<'_> {
    Sender { key: Some(IngestKeyId(7)), browser, country: &germany }
}

fn read(text: &str, form: Form) -> Decoded<'_> {
    decode(text.as_bytes(), form, &sender(None), MOST).unwrap()
}

fn event<'d, 'a>(decoded: &'d Decoded<'a>, index: usize) -> &'d RawEvent<'a> {
    let Claim::Event(event) = &decoded.claims[index] else { panic!("{:?}", decoded.claims[index]) };
    event
}

/// What is said against a message, and whether it can be read again.
fn fault(text: &str) -> (String, bool) {
    let body = format!(r#"{{"batch":[{text}]}}"#);
    let decoded = decode(body.as_bytes(), Form::Batch, &sender(None), MOST).unwrap();
    match &decoded.claims[..] {
        [Claim::Unusable { detail, sent, body, .. }] if *body == text => (detail.clone(), sent.is_some()),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn an_event_has_all_that_its_call_says() {
    let text = json!({
        "type": "track", "event": "Order Completed", "userId": "u-1", "anonymousId": "a-1",
        "messageId": "f7a02f9e-fa2d-4197-9940-69beb207cd07",
        "timestamp": "2026-11-27T02:56:23.245Z", "properties": { "total": 12.5 },
        "context": {
            "app": { "name": "Shop", "version": "2.1.0", "build": 41, "namespace": "x" },
            "device": { "model": "iPhone17,1", "id": "d" }, "os": { "name": "iOS", "version": "26.1" },
            "library": { "name": "analytics-swift", "version": "1.9.1" }, "locale": "de-DE",
            "sessionId": 1_795_748_183, "ip": "2001:db8::1", "timezone": "Europe/Berlin",
        },
        "integrations": { "All": false },
    })
    .to_string();
    let decoded = read(&text, Form::One(Kind::Track));
    let event = event(&decoded, 0);
    assert_eq!(event.id.unwrap().to_string(), "f7a02f9e-fa2d-4197-9940-69beb207cd07");
    assert_eq!(event.claimed_at, Some(Millis(1_795_748_183_245)));
    assert_eq!((&*event.name, event.linked()), ("Order Completed", Some(("a-1", "u-1"))));
    assert_eq!(event.session.as_deref(), Some("a-1:1795748183"));
    assert_eq!(event.props.as_deref().unwrap().get(), r#"{"total":12.5}"#);
    let facts: Vec<_> = Fact::ALL.into_iter().filter_map(|fact| event.facts.get(fact)).collect();
    let expected = ["2.1.0", "41", "ios", "26.1", "iPhone17,1", "de-DE", "analytics-swift/1.9.1", "Shop", "DE"];
    assert_eq!(facts, expected);
    assert!(decoded.from_user && decoded.people.is_empty());
}

#[test]
fn pages_and_screens_are_events_and_who_somebody_is_is_none() {
    let text = r#"{"batch":[
        {"type":"page","name":"Start","category":"Docs","userId":7},
        {"type":"screen","name":"Settings","anonymousId":"a"},
        {"type":"identify","userId":"u","anonymousId":"a","traits":{"email":"ana@example.com","firstName":"Ana","lastName":"Lyn"}},
        {"type":"identify","anonymousId":"a","context":{"traits":{"name":"Ana"}}},
        {"type":"group","userId":"u","groupId":"g","traits":{"name":"Acme"}},
        {"type":"alias","userId":"u","previousId":"old","anonymousId":"a"}
    ]}"#;
    let decoded = read(text, Form::Batch);
    assert_eq!(decoded.claims.len(), 2);
    assert_eq!((&*event(&decoded, 0).name, event(&decoded, 0).whose()), ("$pageview", Some("7")));
    assert_eq!(event(&decoded, 0).props.as_deref().unwrap().get(), r#"{"name":"Start","category":"Docs"}"#);
    assert_eq!((&*event(&decoded, 1).name, event(&decoded, 1).whose()), ("$screen", Some("a")));
    let person = |user: Option<&'static str>, anonymous: Option<&'static str>| RawPerson {
        user: user.map(Into::into),
        anonymous: anonymous.map(Into::into),
        ..RawPerson::default()
    };
    let ana = RawPerson {
        email: Some("ana@example.com".into()),
        name: Some("Ana Lyn".into()),
        ..person(Some("u"), Some("a"))
    };
    let unknown = RawPerson { name: Some("Ana".into()), ..person(None, Some("a")) };
    let (group, alias) = (person(Some("u"), None), person(Some("u"), Some("old")));
    assert_eq!(decoded.people, [ana, unknown, group, alias, person(Some("u"), Some("a"))]);
}

#[test]
fn a_message_that_cannot_be_used_does_not_fail_the_others() {
    let text =
        r#"{"batch":[{"type":"track","event":"a","userId":"u"},{"type":"track"},7,{"type":"track","event":"b"}]}"#;
    let decoded = read(text, Form::Batch);
    assert_eq!((decoded.claims.len(), &*event(&decoded, 0).name, &*event(&decoded, 3).name), (4, "a", "b"));
    assert!(matches!(
        &decoded.claims[1..3],
        [Claim::Unusable { body: r#"{"type":"track"}"#, .. }, Claim::Unusable { body: "7", .. }]
    ));
    for (text, said, again) in [
        (r#"{"type":"track","userId":"u"}"#, "`event` is missing", true),
        (r#"{"type":"track","event":""}"#, "`event` is missing", true),
        (r#"{"type":"track","event":{}}"#, "`event` is missing", true),
        (r#"{"event":"a"}"#, "`type` is missing", false),
        (r#"{"type":"merge","event":"a"}"#, "`type` is none of", true),
        (r#"{"type":"identify","traits":{}}"#, "`userId` and `anonymousId` are missing", true),
        (r#"{"type":"alias","userId":"u"}"#, "`previousId` is missing", true),
        (r#"{"type":"track","event":"a","event":"b"}"#, "a member occurs twice", false),
        (r#"{"type":"track","event":"\ud800"}"#, "a member occurs twice", false),
        ("[]", "not an object", false),
        ("null", "not an object", false),
    ] {
        let (detail, kept) = fault(text);
        assert!(detail.contains(said) && kept == again, "{text}: {detail} {kept}");
    }
}

#[test]
fn one_message_goes_by_its_path() {
    let decoded = read(r#" {"event":"a","type":"identify"} "#, Form::One(Kind::Track));
    assert_eq!(&*event(&decoded, 0).name, "a");
    let decoded = read(r#"{"userId":"u"}"#, Form::One(Kind::Track));
    assert!(matches!(&decoded.claims[..], [Claim::Unusable { sent: None, .. }]), "its path is not kept");
    let Claim::Event(again) = claim(r#"{"type":"track","event":"a","userId":"u"}"#) else { panic!() };
    assert_eq!((&*again.name, again.whose()), ("a", Some("u")));
    for hopeless in [r#"{"type":"identify","userId":"u"}"#, r#"{"type":"track"}"#, "7"] {
        assert!(matches!(claim(hopeless), Claim::Unusable { .. }), "{hopeless}");
    }
}

#[test]
fn bodies_of_another_form_are_refused_as_a_whole() {
    let many = format!(r#"{{"batch":[{}{{}}]}}"#, "{},".repeat(MOST));
    let deep = format!(r#"{{"batch":{}"#, "[".repeat(100_000));
    for (body, form, too_large) in [
        ("", Form::Batch, false),
        ("[]", Form::Batch, false),
        ("{}", Form::Batch, false),
        (r#"{"batch":{}}"#, Form::Batch, false),
        (r#"{"batch":[]"#, Form::Batch, false),
        (r#"{"batch":[],"batch":[]}"#, Form::Batch, false),
        (r#"{"batch":[]}x"#, Form::Import, false),
        (&*many, Form::Batch, true),
        (&*deep, Form::Batch, false),
        ("[]", Form::One(Kind::Track), false),
        ("7", Form::One(Kind::Track), false),
        (r#"{"event":"a"}{}"#, Form::One(Kind::Track), false),
    ] {
        let refusal = decode(body.as_bytes(), form, &sender(None), MOST).map(|_| ()).unwrap_err();
        assert_eq!(matches!(refusal, Refusal::TooLarge(_)), too_large, "{body:.40} {form:?} {refusal:?}");
        assert!(too_large || matches!(refusal, Refusal::Malformed(_)), "{body:.40} {form:?} {refusal:?}");
    }
    assert!(decode(b"{\"batch\":[\"\xff\"]}", Form::Batch, &sender(None), MOST).is_err());
    assert!(read(r#"{"batch":[]}"#, Form::Batch).claims.is_empty());
    let deep = format!(r#"{{"type":"track","event":"a","properties":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"batch":[{deep}]}}"#);
    assert_eq!(read(&body, Form::Batch).claims.len(), 1, "depth is the pipeline's to judge");
}

#[test]
fn resends_have_the_same_id_and_time() {
    let both = |text: &str| {
        let ids = [0, 1].map(|_| {
            let decoded = read(text, Form::Batch);
            let event = event(&decoded, decoded.claims.len() - 1);
            (event.id, event.claimed_at)
        });
        assert_eq!(ids[0], ids[1], "{text}");
        ids[0]
    };
    let named = both(r#"{"batch":[{"type":"track","event":"a","messageId":"node-next-1-x"}]}"#);
    assert_eq!(named.1, Some(Millis(0)), "counts as of its arrival, and once");
    let timed = both(
        r#"{"batch":[{"type":"track","event":"a","messageId":"node-next-1-x","timestamp":"2026-11-27T00:00:00Z"}]}"#,
    );
    assert_eq!(timed.0, named.0);
    let first = both(r#"{"batch":[{"type":"track","event":"a","timestamp":"2026-11-27T00:00:00Z"}]}"#).0;
    let second = both(
        r#"{"batch":[{"type":"track","event":"a","timestamp":"2026-11-27T00:00:00Z"},{"type":"track","event":"a","timestamp":"2026-11-27T00:00:00Z"}]}"#,
    );
    assert!(first.is_some() && first != second.0);
    assert_eq!(both(r#"{"batch":[{"type":"track","event":"a"}]}"#), (None, None), "it may have happened again");
}

#[test]
fn the_time_of_sending_counts_where_it_can_be_right() {
    let message = r#"{"type":"track","event":"a","timestamp":"2026-11-27T10:00:00.000Z"}"#;
    let tens = Millis(1_795_773_600_000);
    for (rest, form, sent) in [
        (r#","sentAt":"2026-11-27T10:00:05.000Z""#, Form::Batch, Some(tens.plus(5_000))),
        (r#","sentAt":"2026-11-27T09:59:55.000Z""#, Form::Batch, Some(tens.plus(-5_000))),
        (r#","sentAt":"2026-11-27T09:59:54.000Z""#, Form::Batch, None),
        (r#","sentAt":"2026-11-27T10:00:05.000Z""#, Form::Import, None),
        (r#","sentAt":"yesterday""#, Form::Batch, None),
        (r#","timestamp":"2026-11-27T10:00:05.000Z""#, Form::Batch, None),
        ("", Form::Batch, None),
    ] {
        let body = format!(r#"{{"batch":[{message}]{rest}}}"#);
        assert_eq!(read(&body, form).sent_at, sent, "{rest}");
    }
    let own = r#"{"type":"track","event":"a","originalTimestamp":"2026-11-27T10:00:00.000Z","timestamp":"2020-01-01T00:00:00Z","sentAt":"2026-11-27T10:00:01.000Z"}"#;
    let decoded = read(own, Form::One(Kind::Track));
    assert_eq!((decoded.sent_at, event(&decoded, 0).claimed_at), (Some(tens.plus(1_000)), Some(tens)));
}

#[test]
fn servers_do_not_tell_where_users_are() {
    for (members, browser, from_user) in [
        (r#""context":{"library":{"name":"@segment/analytics-node"}}"#, None, false),
        (r#""context":{"library":{"name":"analytics-node"}},"channel":"server""#, None, false),
        (r#""context":{"library":{"name":"Analytics.NET"}}"#, None, false),
        (r#""context":{"library":{"name":"analytics-python"}}"#, Some(FIREFOX), false),
        (r#""context":{"library":{"name":"analytics.js"}}"#, None, true),
        (r#""context":{"library":{"name":"RudderLabs JavaScript SDK"}}"#, None, true),
        (r#""context":{"library":{"name":"go"}}"#, None, true),
        (r#""channel":"mobile""#, None, true),
        (r#""userId":"u""#, None, false),
        (r#""userId":"u""#, Some(FIREFOX), true),
    ] {
        let body = format!(r#"{{"batch":[{{"type":"track","event":"a",{members}}}]}}"#);
        let decoded = decode(body.as_bytes(), Form::Batch, &sender(browser), MOST).unwrap();
        assert_eq!(decoded.from_user, from_user, "{members} {browser:?}");
        let system = event(&decoded, 0).facts.get(Fact::System);
        assert_eq!(system, browser.map(|_| "linux"), "{members}");
    }
}

#[test]
fn what_a_batch_says_stands_in_for_its_messages() {
    let body = r#"{"batch":[
        {"type":"track","event":"a","context":{"locale":"fr","app":{"version":"2"}}},
        {"type":"track","event":"b","context":7}
    ],"context":{"locale":"de","app":{"build":"9"},"library":{"name":"analytics-ruby"},"page":{"path":"/x"}}}"#;
    let decoded = read(body, Form::Batch);
    let facts = |index, fact| event(&decoded, index).facts.get(fact).map(str::to_owned);
    assert_eq!((facts(0, Fact::Locale).as_deref(), facts(1, Fact::Locale).as_deref()), (Some("fr"), Some("de")));
    assert_eq!((facts(0, Fact::Version).as_deref(), facts(0, Fact::Build).as_deref()), (Some("2"), Some("9")));
    assert_eq!(facts(1, Fact::Sdk).as_deref(), Some("analytics-ruby"));
    assert_eq!(event(&decoded, 1).props.as_deref().unwrap().get(), r#"{"page_path":"/x"}"#);
    assert!(!decoded.from_user);
}

#[test]
fn an_sdk_is_not_taken_for_the_app_that_it_is_in() {
    for (app, version) in [("RudderLabs JavaScript SDK", None), ("Shop", Some("3.34.1"))] {
        let context = json!({
            "app": { "name": app, "version": "3.34.1" },
            "library": { "name": "RudderLabs JavaScript SDK", "version": "3.34.1" },
            "os": { "name": "", "version": "" }, "userAgent": FIREFOX
        });
        let text = json!({ "event": "a", "context": context }).to_string();
        let decoded = read(&text, Form::One(Kind::Track));
        let facts = &event(&decoded, 0).facts;
        assert_eq!((facts.get(Fact::Version), facts.get(Fact::System)), (version, Some("linux")));
        assert_eq!(facts.get(Fact::Sdk), Some("RudderLabs JavaScript SDK/3.34.1"));
    }
}

#[test]
fn the_write_key_stands_in_the_body_too() {
    for (body, key) in [
        (r#"{"writeKey":"k","batch":[]}"#, Some("k")),
        (r#"{"batch":[{"writeKey":"k"},{"writeKey":"l"}]}"#, Some("k")),
        (r#"{"batch":[7]}"#, None),
        (r#"{"event":"a","writeKey":"k"}"#, Some("k")),
        (r#"{"writeKey":""}"#, None),
        ("[]", None),
        ("", None),
    ] {
        assert_eq!(wire::key(body.as_bytes()).as_deref(), key, "{body}");
    }
}

#[tokio::test]
async fn answers_are_in_words_and_say_when_to_come_back() {
    for (refusal, status, wait) in [
        (Refusal::Unauthorized, 401, None),
        (Refusal::WrongCredential(NO_KEY), 401, None),
        (Refusal::Malformed("x".to_owned()), 400, None),
        (Refusal::TooLarge("x".to_owned()), 413, None),
        (Refusal::Timeout, 408, None),
        (Refusal::UnsupportedEncoding, 415, None),
        (Refusal::RateLimited(9), 429, Some("9")),
        (Refusal::Busy(2), 503, Some("2")),
        (Refusal::Draining, 503, Some("2")),
        (Refusal::StorageFull, 503, Some("60")),
        (Refusal::StorageDown, 503, Some("10")),
        (Refusal::Internal, 500, None),
    ] {
        for response in [reply::refused(&refusal), reply::pixel(Some(&refusal))] {
            assert_eq!(response.status().as_u16(), status, "{refusal:?}");
            let after = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
            assert_eq!(after.as_deref(), wait, "{refusal:?}");
            let image = response.headers()[header::CONTENT_TYPE] == "image/gif";
            let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
            let said = serde_json::from_slice::<Value>(&body).unwrap_or_default();
            assert!(image || (said["success"] == false && said["message"].is_string()), "{said}");
        }
    }
}
