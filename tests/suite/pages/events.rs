//! The live page, the explorer, and the pages of sessions.

use super::*;
use crate::harness::kit::Credentials;

on_both_backends! {
    pages_of_an_app_without_events_wait_for_the_first,
    the_live_page_tells_the_last_half_hour,
    the_explorer_filters_pages_and_tells_no_other_environment,
    files_hold_what_the_explorer_shows,
    sessions_are_listed_and_lead_to_their_events,
    strangers_and_other_apps_see_none_of_it,
    hostile_properties_stay_text,
}

const PAGES: [&str; 3] = ["live", "explorer", "sessions"];

fn lines_of(page: &Reply) -> usize {
    page.text().matches("<details class=\"entry\">").count()
}

fn link(page: &Reply, label: &str) -> Option<String> {
    let text = page.text().replace("&#38;", "&").replace("&#x2F;", "/");
    let before = text.split_once(&format!(">{label}</a>"))?.0;
    Some(before.rsplit_once("href=\"")?.1.split('"').next().unwrap().to_owned())
}

/// An event of a session, so many minutes ago.
fn ago(minutes: i64, kind: &str, session: &str, data: serde_json::Value) -> serde_json::Value {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_mins(minutes);
    let mut event = kit::event_of(uuid::Uuid::new_v4(), at, kind);
    event["session_id"] = session.into();
    event["event"]["data"] = data;
    event
}

fn pages_of_an_app_without_events_wait_for_the_first(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Empty");
    let cookie = server.sign_in();
    for name in PAGES {
        for environment in ["", "/development"] {
            let page = server.page(&format!("/apps/{}{environment}/{name}", app.slug), &cookie).expect(200);
            let words = if name == "live" { "Waiting for the first event" } else { "No event in" };
            assert!(page.text().contains(words), "{}", page.text());
            lint(&page);
            let file = server.page(&format!("/apps/{}{environment}/{name}.csv", app.slug), &cookie).expect(200);
            assert_eq!(file.text().lines().count(), 1, "{}", file.text());
            let file = server.page(&format!("/apps/{}{environment}/{name}.json", app.slug), &cookie).expect(200);
            assert_eq!(file.json(), serde_json::json!([]));
        }
    }
    let lines = server.page(&format!("/apps/{}/explorer.ndjson", app.slug), &cookie).expect(200);
    assert_eq!(lines.text(), "");
}

fn the_live_page_tells_the_last_half_hour(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Lively");
    let cookie = server.sign_in();
    let none = serde_json::json!({});
    let mut events: Vec<_> = (1..4).map(|minutes| ago(minutes, "opened", "s", none.clone())).collect();
    events.extend([
        ago(12, "saved", "s", none.clone()),
        ago(13, "error", "s", none.clone()),
        ago(90, "old", "s", none),
    ]);
    server.accept(&app, &events);
    let path = format!("/apps/{}/live", app.slug);
    let page = server.page(&path, &cookie).expect(200);
    let text = page.text();
    for part in ["<span class=\"metric-total\">5</span>", "3 in 5 minutes", "opened", "saved", "1.2.3", "linux"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(!text.contains(">old<") && lines_of(&page) == 5, "{text}");
    assert!(text.contains("<noscript><meta http-equiv=\"refresh\""), "{text}");
    lint(&page);
    let filtered = server.page(&format!("{path}?event=saved"), &cookie).expect(200);
    assert_eq!(lines_of(&filtered), 1);
    assert!(filtered.text().contains("live/stream?") && filtered.text().contains("event=saved"), "{}", filtered.text());
    let quiet = server.page(&format!("{path}?event=old"), &cookie).expect(200);
    assert!(quiet.text().contains("Nothing like this has come"), "{}", quiet.text());
    lint(&quiet);
    let file = server.page(&format!("{path}.json"), &cookie).expect(200).json();
    let minutes: Vec<i64> = file.as_array().unwrap().iter().map(|row| row["events"].as_i64().unwrap()).collect();
    assert_eq!((minutes.len(), minutes.iter().sum::<i64>()), (30, 5));
}

fn the_explorer_filters_pages_and_tells_no_other_environment(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Explored");
    let cookie = server.sign_in();
    let plan = |n: i64| if n % 3 == 0 { "pro" } else { "free" };
    let events: Vec<_> = (0..90)
        .map(|n| {
            ago(n, if n % 2 == 0 { "opened" } else { "saved" }, "s", serde_json::json!({ "plan": plan(n), "n": n }))
        })
        .collect();
    server.accept(&app, &events);
    let base = format!("/apps/{}/explorer?range=7d", app.slug);
    for (filter, count) in [
        ("", 90),
        ("&prop:plan=pro", 30),
        ("&prop:plan!=pro", 60),
        ("&prop:plan=pro&event=opened", 15),
        ("&prop:n=7", 1),
        ("&prop:plan=", 0),
        ("&event=nothing", 0),
    ] {
        let (mut seen, mut next) = (0, Some(format!("{base}{filter}")));
        while let Some(address) = next {
            let page = server.page(&address, &cookie).expect(200);
            lint(&page);
            seen += lines_of(&page);
            next = link(&page, "Older");
        }
        assert_eq!(seen, count, "{filter}");
    }
    let page = server.page(&format!("{base}&prop:n=7"), &cookie).expect(200);
    let narrower = page.text().replace("&#38;", "&");
    assert!(narrower.contains("prop%3Aplan=free"), "{narrower}");
    let development = server.page(&format!("/apps/{}/development/explorer", app.slug), &cookie).expect(200);
    assert_eq!(lines_of(&development), 0);
    // From the person, and to them.
    assert!(page.text().contains(&format!("/apps/{}/users/", app.slug)), "{}", page.text());
}

fn files_hold_what_the_explorer_shows(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Filed");
    let cookie = server.sign_in();
    let events: Vec<_> = (0..1_200)
        .map(|n| ago(n / 60, "row", "s", serde_json::json!({ "n": n, "text": "=1+1, \"quoted\"" })))
        .collect();
    for batch in events.chunks(100) {
        server.accept(&app, batch);
    }
    let file = |suffix: &str| server.page(&format!("/apps/{}/explorer.{suffix}", app.slug), &cookie).expect(200);
    let list = file("json?range=7d").json();
    let numbers = |rows: &[serde_json::Value]| {
        let mut all: Vec<i64> = rows.iter().map(|row| row["properties"]["n"].as_i64().unwrap()).collect();
        all.sort_unstable();
        all
    };
    let expected: Vec<i64> = (0..1_200).collect();
    assert_eq!(numbers(list.as_array().unwrap()), expected);
    let lines = file("ndjson?range=7d").text();
    let lines: Vec<serde_json::Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(numbers(&lines), expected);
    assert_eq!(lines[0]["event"], "row");
    let csv = file("csv?range=7d");
    assert!(csv.header("content-disposition").unwrap().contains("-events.csv"), "{:?}", csv.headers);
    assert_eq!(csv.text().lines().count(), 1_201);
    assert_eq!(csv.text().matches("time,received,id").count(), 1);
    assert_eq!(file("ndjson?range=7d&prop:n=7").text().lines().count(), 1);
}

fn sessions_are_listed_and_lead_to_their_events(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Sessions");
    let cookie = server.sign_in();
    let none = || serde_json::json!({});
    server.accept(
        &app,
        &[
            ago(40, "opened", "long", none()),
            ago(28, "saved", "long", serde_json::json!({"pages": 3})),
            ago(28, "crash", "long", none()),
            ago(5, "opened", "short", none()),
        ],
    );
    let path = format!("/apps/{}/sessions?range=7d", app.slug);
    let page = server.page(&path, &cookie).expect(200);
    let text = page.text();
    for part in ["<span class=\"metric-total\">2</span>", "50%", "12 m", "0 s", "crashed", "1.2.3"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    lint(&page);
    for (filter, rows) in
        [("", 2), ("&crashed=yes", 1), ("&crashed=no", 1), ("&longer=60", 1), ("&shorter=60", 1), ("&events=4", 0)]
    {
        let page = server.page(&format!("{path}{filter}"), &cookie).expect(200);
        assert_eq!(page.text().matches("/session?id=").count(), rows, "{filter}: {}", page.text());
        lint(&page);
    }
    let crashed = server.page(&format!("{path}&crashed=yes"), &cookie).expect(200).text();
    let one = crashed.split("href=\"").find(|part| part.contains("/session?id=")).unwrap().split('"').next().unwrap();
    let session = server.page(one, &cookie).expect(200);
    let text = session.text();
    for part in ["12 minutes of nothing", "opened", "saved", "crash", "12 m", "/users/"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert!(text.find("opened").unwrap() < text.find("of nothing").unwrap(), "{text}");
    lint(&session);
    // The same from the person's page.
    let person = text.split("href=\"").find(|part| part.contains("/users/")).unwrap().split('"').next().unwrap();
    let person = server.page(person, &cookie).expect(200).text();
    assert!(person.contains(one), "{one} is not in {person}");
    let file = server.page(&format!("/apps/{}/sessions.json", app.slug), &cookie).expect(200).json();
    assert_eq!(file.as_array().unwrap().len(), 2);
    let file = server.page(&one.replace("/session?", "/session.json?"), &cookie).expect(200).json();
    let events = file.as_array().unwrap();
    assert_eq!(events.len(), 3);
    let saved = events.iter().find(|event| event["event"] == "saved").unwrap();
    assert_eq!(saved["properties"], serde_json::json!({"pages": 3}), "as the explorer's file has them");
    for nothing in ["session", "session?id=", "session?id=x", &format!("session?id={}", "0".repeat(32))] {
        lint(&server.page(&format!("/apps/{}/{nothing}", app.slug), &cookie).expect(404));
    }
}

fn strangers_and_other_apps_see_none_of_it(backend: Backend) {
    let server = Server::over(backend);
    let (app, other): (Credentials, Credentials) = (server.app("Mine"), server.app("Other"));
    server.accept(&app, &[ago(1, "secret_event", "s", serde_json::json!({}))]);
    server.accept(&other, &[ago(1, "of_others", "t", serde_json::json!({}))]);
    server.run_with(&["member", "create", "viewer@example.org", "--role", "viewer"], &format!("{PASSWORD}\n"));
    let form = Request::form("/login", &[("name", "viewer@example.org"), ("password", PASSWORD)]);
    let cookie = server.send(&form).expect(303).cookie().unwrap();
    let sessions = server.page(&format!("/apps/{}/sessions", app.slug), &cookie).expect(200).text();
    let id = sessions.split("session?id=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for name in PAGES {
        for suffix in ["", ".csv", ".json"] {
            let page = server.get(&format!("/apps/{}/{name}{suffix}", app.slug)).expect(303);
            assert!(page.header("location").unwrap().contains("/login"), "{:?}", page.headers);
        }
        let page = server.page(&format!("/apps/{}/{name}", app.slug), &cookie).expect(200).text();
        assert!(!page.contains("of_others"), "{page}");
        server.page(&format!("/apps/no-such-app/{name}"), &cookie).expect(404);
        server.page(&format!("/apps/{}/no-such-environment/{name}", app.slug), &cookie).expect(404);
    }
    server.page(&format!("/apps/{}/session?id={id}", app.slug), &cookie).expect(200);
    for elsewhere in [&other.slug, &format!("{}/development", app.slug)] {
        server.page(&format!("/apps/{elsewhere}/session?id={id}"), &cookie).expect(404);
    }
}

fn hostile_properties_stay_text(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Hostile");
    let cookie = server.sign_in();
    let noise = || (0..5).map(|_| format!("<{}>", uuid::Uuid::new_v4())).collect::<String>();
    let events: Vec<_> = (0..60)
        .map(|n| {
            let mut props: serde_json::Map<_, _> = (0..50).map(|p| (format!("p{p}"), noise().into())).collect();
            props.insert("<b>\"".to_owned(), "</pre><script>alert(1)</script>".into());
            ago(n % 20, &format!("<img src=x onerror=alert({n})>"), "s", props.into())
        })
        .collect();
    server.accept(&app, &events);
    let mut paths: Vec<_> = PAGES.iter().map(|name| format!("/apps/{}/{name}", app.slug)).collect();
    let sessions = server.page(&paths[2], &cookie).expect(200).text();
    let id = sessions.split("session?id=").nth(1).unwrap().split('"').next().unwrap().to_owned();
    paths.push(format!("/apps/{}/session?id={id}", app.slug));
    for path in paths {
        let page = server.page(&path, &cookie).expect(200);
        let text = page.text();
        assert!(!text.contains("<img") && !text.contains("<script>alert") && !text.contains("<b>\""), "{path}: {text}");
        lint(&page);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(text.as_bytes()).unwrap();
        let packed = packed.finish().unwrap().len();
        assert!(packed < 60_000, "{path}: {packed} of {}", text.len());
    }
}
