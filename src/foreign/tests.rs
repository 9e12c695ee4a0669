//! Exports as products write them, and files that are none.

use std::io::Cursor;

use serde_json::{Value, json};

use super::*;
use crate::model::Fact;

const APTABASE: &str = include_str!("../../tests/fixtures/foreign/aptabase.csv");
const POSTHOG: &str = include_str!("../../tests/fixtures/foreign/posthog.jsonl");
const UMAMI: &str = include_str!("../../tests/fixtures/foreign/umami.csv");
const APP_CENTER: &str = include_str!("../../tests/fixtures/foreign/app-center.json");

fn open(product: Product, text: &str) -> Result<Rows, ForeignError> {
    Rows::read(product, Box::new(Cursor::new(text.as_bytes().to_vec())))
}

/// Every row with its line; the error that ended it, if one did.
fn read(product: Product, text: &str) -> (Vec<(u64, Row)>, Option<String>) {
    let mut rows = match open(product, text) {
        Ok(rows) => rows,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut all = Vec::new();
    loop {
        match rows.row() {
            Ok(Some(row)) => all.push(row),
            Ok(None) => return (all, None),
            Err(error) => return (all, Some(error.to_string())),
        }
    }
}

fn events(product: Product, text: &str) -> Vec<RawEvent<'static>> {
    let event = |(_, row)| match row {
        Row::Event(raw) => Some(*raw),
        Row::Person(..) | Row::Other | Row::Odd(_) => None,
    };
    read(product, text).0.into_iter().filter_map(event).collect()
}

fn props(raw: &RawEvent<'_>) -> Value {
    raw.props.as_ref().map_or(Value::Null, |props| serde_json::from_str(props.get()).unwrap())
}

#[track_caller]
fn assert_facts(raw: &RawEvent<'_>, facts: &[(Fact, &str)]) {
    for fact in Fact::ALL {
        let expected = facts.iter().find(|(known, _)| *known == fact).map(|(_, text)| *text);
        assert_eq!(raw.facts.get(fact), expected, "{fact:?}");
    }
}

#[test]
fn aptabase_has_two_kinds_of_properties_and_repeats_its_header() {
    let (rows, error) = read(Product::Aptabase, APTABASE);
    assert_eq!(error, None);
    assert_eq!(rows.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 3, 4, 6, 8, 9]);
    let odd: Vec<_> = rows.iter().filter(|(_, row)| matches!(row, Row::Odd(_))).map(|(line, _)| *line).collect();
    assert_eq!(odd, [8, 9]);
    let all = events(Product::Aptabase, APTABASE);
    let first = &all[0];
    assert_eq!((&*first.name, first.claimed_at), ("exported", Some(Millis(1_772_323_198_000))));
    assert_eq!(
        (first.user.as_deref(), first.session.as_deref()),
        (Some("A7B1C09DF3E2415A"), Some("177232199812345678"))
    );
    let expected = json!({
        "format": "it's a ü, \\ and a ' quote", "folder": "C:\\\\tmp", "rows": 1200, "seconds": 1.5,
        "engineName": "WebKit", "engineVersion": "620.1"
    });
    assert_eq!(props(first), expected);
    assert_facts(
        first,
        &[
            (Fact::System, "macos"),
            (Fact::SystemVersion, "15.3.1"),
            (Fact::Locale, "en-US"),
            (Fact::Version, "2.4.1"),
            (Fact::Build, "241"),
            (Fact::Country, "DE"),
        ],
    );
    assert_ne!(all[0].id, all[1].id, "the second of two equal rows is another event");
    assert_eq!(all[3].name, "note\nsaved");
    assert_eq!(props(&all[3]), json!({ "kind": "single, quoted", "who": "it's me" }));
    let again = events(Product::Aptabase, APTABASE);
    assert_eq!(all.iter().map(|raw| raw.id).collect::<Vec<_>>(), again.iter().map(|raw| raw.id).collect::<Vec<_>>());
}

#[test]
fn posthog_tells_of_events_people_and_errors() {
    let (rows, error) = read(Product::PostHog, POSTHOG);
    assert_eq!((rows.len(), error), (7, None));
    let all = events(Product::PostHog, POSTHOG);
    assert_eq!(
        all.iter().map(|raw| &*raw.name).collect::<Vec<_>>(),
        ["$pageview", "invoice paid", "$exception", "old"]
    );
    let view = &all[0];
    assert_eq!(view.id, uuid::Uuid::try_parse("0195481a-93bb-7d2e-8a6b-8d7f8d6f8a01").ok().map(Into::into));
    assert_eq!(view.session.as_deref(), Some("0195481a-1111-7000-8000-000000000001"));
    let kept = json!({
        "$browser": "Chrome", "$browser_version": 141, "$current_url": "https://app.example/größe",
        "plan": { "name": "pro", "seats": [1, 2, null] }
    });
    assert_eq!(props(view), kept);
    assert_facts(
        view,
        &[
            (Fact::System, "macos"),
            (Fact::SystemVersion, "10.15.7"),
            (Fact::Locale, "de-CH"),
            (Fact::Sdk, "web/1.449.2"),
            (Fact::Country, "CH"),
        ],
    );
    let Row::Person(_, person) = &rows[1].1 else { panic!("{:?}", rows[1]) };
    assert_eq!((person.user.as_deref(), person.email.as_deref()), (Some("ada@example.org"), Some("ada@example.org")));
    assert_eq!(person.anonymous.as_deref(), Some("0195481a-0000-7000-8000-00000000beef"));
    assert_eq!(props(&all[1]), json!({ "amount": 99.5, "currency": "CHF" }));
    let error = all[2].error.as_ref().unwrap();
    assert_eq!((error.kind.as_deref(), error.message.as_deref()), (Some("TypeError"), Some("x is undefined")));
    assert_eq!(props(&all[2])["stack"], json!(["pay (b.js:42)", "main (a.js:1)"]));
    assert!(matches!(rows[4].1, Row::Other));
    assert!(matches!(&rows[5], (6, Row::Odd(why)) if why.contains("timestamp")));
    let array = format!("\u{feff}[\n{}]", POSTHOG.trim_end().replace('\n', ",\n"));
    assert_eq!(events(Product::PostHog, &array).len(), all.len());
}

#[test]
fn umami_has_views_of_visitors_in_visits() {
    let all = events(Product::Umami, UMAMI);
    assert_eq!(all.iter().map(|raw| &*raw.name).collect::<Vec<_>>(), ["page_view", "signup-click", "page_view"]);
    let expected = json!({
        "host": "example.org", "path": "/preise", "query": "?a=1", "title": "Preise, \"alle\"", "referrer": "duckduckgo.com",
        "referrer_path": "/", "browser": "chrome", "device": "desktop", "screen": "1920x1080", "utm_source": "newsletter",
        "utm_medium": "email", "utm_campaign": "spring", "region": "DE-BE"
    });
    assert_eq!(props(&all[0]), expected);
    assert_facts(&all[0], &[(Fact::System, "windows"), (Fact::Locale, "de-DE"), (Fact::Country, "DE")]);
    assert_eq!(all[0].user.as_deref(), Some("5b2c6a8e-0000-4000-8000-000000000001"));
    assert_eq!(all[0].session.as_deref(), Some("7c2c6a8e-0000-4000-8000-000000000001"));
    assert_eq!(all[2].user.as_deref(), Some("user-77"));
}

#[test]
fn app_center_has_logs_of_several_kinds() {
    let (rows, error) = read(Product::AppCenter, APP_CENTER);
    assert_eq!((rows.len(), error), (5, None));
    assert!(matches!(rows[3].1, Row::Other));
    assert!(matches!(&rows[4], (_, Row::Odd(why)) if why.contains("EventName")));
    let all = events(Product::AppCenter, APP_CENTER);
    assert_eq!(all.iter().map(|raw| &*raw.name).collect::<Vec<_>>(), ["log_out", "session_start", "crash"]);
    assert_eq!(props(&all[0]), json!({ "extra_00": "größer {\"als\"} [1]", "extra_01": "x" }));
    assert_facts(
        &all[0],
        &[
            (Fact::System, "android"),
            (Fact::SystemVersion, "15"),
            (Fact::Locale, "de-AT"),
            (Fact::Version, "1.1.0"),
            (Fact::Build, "17"),
            (Fact::Country, "AT"),
            (Fact::Device, "Samsung SM-S938B"),
            (Fact::Sdk, "appcenter.android/5.0.4"),
        ],
    );
    let crash = all[2].error.as_ref().unwrap();
    assert_eq!(crash.kind.as_deref(), Some("java.lang.IllegalStateException"));
    assert!(crash.fatal && props(&all[2])["stack"] == "at a\nat b");
}

#[test]
fn what_is_no_export_is_told_with_its_line() {
    let long = format!("{{\"event\":\"{}\"}}", "x".repeat(ROW));
    let wide = format!("timestamp,user_id,session_id,event_name\n{}", "x".repeat(ROW + 1));
    for (product, text, told) in [
        (Product::Aptabase, "", "line 1: the first row does not name the columns timestamp, user_id"),
        (
            Product::Aptabase,
            "timestamp,user_id\n",
            "line 1: the first row does not name the columns session_id, event_name",
        ),
        (Product::Aptabase, "timestamp,user_id,session_id,event_name\n1,2,3,4\n1,2\n", "line 3: a row of 2 cells"),
        (Product::Aptabase, "timestamp,user_id,session_id,event_name\n\"1,2\n", "line 2: a quote that is opened"),
        (
            Product::Aptabase,
            "timestamp,user_id,session_id,event_name\n\"1\"x,2,3,4\"\"\n",
            "line 2: a quote in the middle",
        ),
        (Product::Aptabase, wide.as_str(), "line 2: a row of more than"),
        (Product::PostHog, "{\"event\":\"a\"}\n{\"event\":", "line 2: an object that is begun"),
        (Product::PostHog, "event,timestamp\n", "line 1: what is no JSON object"),
        (Product::PostHog, long.as_str(), "line 1: an object of more than"),
    ] {
        let error = read(product, text).1.unwrap_or_default();
        assert!(error.starts_with(told), "{}: {error}", &text[..text.len().min(60)]);
    }
    assert_eq!(read(Product::PostHog, "").1, None);
    assert_eq!(read(Product::PostHog, "[]").0.len(), 0);
    let deep = format!("{}1{}", "{\"a\":".repeat(100_000), "}".repeat(100_000));
    assert!(matches!(&read(Product::PostHog, &deep).0[..], [(1, Row::Odd(_))]));
    let page = r#"{"next":null,"results":[{"event":"a"}]}"#;
    assert!(matches!(&read(Product::PostHog, page).0[..], [(1, Row::Odd(why))] if why.contains("results")));
}
