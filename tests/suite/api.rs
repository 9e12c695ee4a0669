//! The read API: who may read what, counts, events page by page, people, and how it refuses.

mod document;
mod failures;
mod schema;
mod tokens;
mod verbs;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::kit::{self, Credentials};
use crate::harness::{Backend, Server};

on_both_backends! {
    counts_are_told_over_time_by_value_and_beside_earlier_ones,
    events_are_paged_without_gaps_or_repeats_while_others_come,
    events_are_filtered_and_begin_where_asked,
    a_person_is_told_with_sessions_and_events_page_by_page,
    a_funnel_is_counted_by_its_steps_or_by_its_id,
    retention_tells_who_came_and_who_came_back,
}

impl Server {
    /// Makes a token; the arguments follow `token create`.
    #[track_caller]
    fn token(&self, arguments: &[&str]) -> String {
        let told = self.run(&[&["token", "create"], arguments].concat());
        let line = told.lines().find_map(|line| line.strip_prefix("token "));
        line.unwrap_or_else(|| panic!("no token in {told}")).trim().to_owned()
    }

    /// What the API answers to the holder of a token.
    #[track_caller]
    fn read(&self, path: &str, token: &str) -> Reply {
        self.send(&with(token, path))
    }
}

fn with(token: &str, path: &str) -> Request {
    Request::get(path).header("authorization", &format!("Bearer {token}"))
}

fn of_version(version: &str, user: &str, kind: &str) -> Value {
    let mut event = kit::event(kind);
    event["service"]["version"] = version.into();
    event["user_id"] = user.into();
    event["session_id"] = format!("session of {user}").into();
    event
}

/// The sum of a metric over all periods.
fn sum(answer: &Value, metric: &str) -> i64 {
    let periods = answer["periods"].as_array().unwrap_or_else(|| panic!("no periods: {answer}"));
    periods.iter().map(|period| period["values"][metric].as_i64().unwrap()).sum()
}

fn counts_are_told_over_time_by_value_and_beside_earlier_ones(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Counted");
    let token = server.token(&[&app.slug]);
    let events = [("1.0", "ana"), ("1.0", "ben"), ("2.0", "ana")].map(|(version, user)| {
        let kind = if user == "ana" { "saved" } else { "opened" };
        of_version(version, user, kind)
    });
    server.accept(&app, &events);
    let ask = |query: &str| server.read(&format!("/api/v1/apps/{}/query?{query}", app.slug), &token).expect(200).json();

    let answer = ask("metric=events&metric=users&metric=session_length&metric=error_rate&range=7d&by=day");
    assert_eq!((sum(&answer, "events"), &answer["total"]["events"]), (3, &3.into()), "{answer}");
    assert_eq!((&answer["total"]["users"], &answer["total"]["error_rate"]), (&2.into(), &0.0.into()), "{answer}");
    assert_eq!(answer["units"]["session_length"], "milliseconds", "{answer}");
    assert_eq!(answer["periods"].as_array().unwrap().len(), 7, "{answer}");
    assert_eq!(answer["periods"][0]["values"]["error_rate"], Value::Null, "nothing to take a share of: {answer}");
    assert_eq!((&answer["range"], &answer["by"], &answer["unfinished"]), (&"7d".into(), &"day".into(), &true.into()));
    assert_eq!((&answer["breakdown"], &answer["compare"]), (&Value::Null, &Value::Null), "{answer}");

    let answer = ask("dimension=version&range=24h");
    let rows = answer["breakdown"]["rows"].as_array().unwrap();
    let rows: Vec<_> = rows.iter().map(|row| (row["value"].as_str(), row["values"]["events"].as_i64())).collect();
    assert_eq!(rows, [(Some("1.0"), Some(2)), (Some("2.0"), Some(1))], "{answer}");
    assert_eq!((&answer["breakdown"]["in_all"], &answer["periods"]), (&2.into(), &Value::Null), "{answer}");
    assert_eq!(ask("dimension=version&compare=year")["compare"]["periods"], Value::Null);
    assert_eq!(ask("dimension=version&limit=1")["breakdown"]["rows"].as_array().unwrap().len(), 1);

    for (filters, expected) in [
        ("event=saved", 2),
        ("event=saved&event=opened", 3),
        ("version=1.0", 2),
        ("version=9.9", 0),
        ("version!=1.0", 1),
        ("version=1.0&event=saved", 1),
        ("country=", 3),
        ("prop:success=true", 3),
        ("prop:success!=true", 0),
    ] {
        let answer = ask(&format!("range=today&{filters}"));
        assert_eq!(answer["total"]["events"], expected, "{filters}: {answer}");
    }

    for (how, compared) in [("previous", true), ("year", true), ("none", false)] {
        let answer = ask(&format!("compare={how}&range=28d"));
        assert_eq!(answer["compare"].is_object(), compared, "{answer}");
        if compared {
            assert_eq!(answer["compare"]["periods"].as_array().map(Vec::len), Some(28), "{answer}");
            assert_eq!((&answer["compare"]["with"], &answer["compare"]["total"]["events"]), (&how.into(), &0.into()));
        }
    }
    assert_eq!(ask("range=all")["total"]["events"], 3);
    assert_eq!(ask("environment=development&range=all")["total"]["events"], 0);
    let by_id = server.read(&format!("/api/v1/apps/{}/query", app.app), &token).expect(200).json();
    assert_eq!((&by_id["app"], &by_id["range"]), (&app.slug.as_str().into(), &"28d".into()), "{by_id}");
}

/// Ids of a page, with the address of the next.
fn page(server: &Server, token: &str, path: &str) -> (Vec<String>, Option<String>) {
    let reply = server.read(path, token).expect(200);
    let link = reply.header("link").map(|link| {
        let (address, rest) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
        assert_eq!(rest, "; rel=\"next\"");
        address.to_owned()
    });
    let answer = reply.json();
    let cursor = answer["next"].as_str().map(|next| format!("after={next}"));
    let linked = link.as_deref().and_then(|link| link.rsplit(['?', '&']).find(|pair| pair.starts_with("after=")));
    assert_eq!(cursor.as_deref(), linked, "the header and the body differ");
    let events = answer["events"].as_array().unwrap();
    (events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect(), link)
}

fn events_are_paged_without_gaps_or_repeats_while_others_come(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Paged");
    let token = server.token(&[&app.slug]);
    // Many of one millisecond, so that pages end within one.
    let start = jiff::Timestamp::now().checked_sub(jiff::Span::new().hours(2)).unwrap();
    let at = |second: i64| start.checked_add(jiff::Span::new().seconds(second)).unwrap();
    let sent: Vec<_> = (0..250).map(|n| (uuid::Uuid::new_v4(), at(n / 40))).collect();
    let events: Vec<_> = sent.iter().map(|(id, at)| kit::event_of(*id, *at, "there")).collect();
    server.accept(&app, &events);
    for limit in [1_000, 100, 33] {
        let path = format!("/api/v1/apps/{}/events?event=there&limit={limit}", app.slug);
        let (mut found, mut next) = (Vec::new(), Some(path));
        while let Some(address) = next {
            // Newer ones come all the time.
            server.accept(&app, &[kit::event("there")]);
            let (ids, further) = page(&server, &token, &address);
            assert!(ids.len() <= limit, "{address}");
            found.extend(ids);
            next = further;
        }
        let all: BTreeSet<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(all.len(), found.len(), "{limit}: some come twice");
        let missing = sent.iter().filter(|(id, _)| !all.contains(id.to_string().as_str())).count();
        assert_eq!(missing, 0, "{limit}: some are missing");
    }
    let newest = server.read(&format!("/api/v1/apps/{}/events?limit=1000", app.slug), &token).json();
    let times: Vec<_> = newest["events"].as_array().unwrap().iter().map(|event| event["at"].to_string()).collect();
    assert!(times.is_sorted_by(|one, next| one >= next), "{times:?}");
}

fn events_are_filtered_and_begin_where_asked(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Sifted");
    let token = server.token(&[&app.slug]);
    let mut old = of_version("1.0", "ana", "saved");
    old["timestamp"] = jiff::Timestamp::now().checked_sub(jiff::Span::new().hours(3)).unwrap().to_string().into();
    server.accept(&app, &[old, of_version("2.0", "ben", "opened"), of_version("2.0", "ben", "saved")]);
    let hour_ago = jiff::Timestamp::now().checked_sub(jiff::Span::new().hours(1)).unwrap();
    for (query, expected) in [
        (String::new(), 3),
        ("event=saved".to_owned(), 2),
        ("event!=saved".to_owned(), 1),
        ("version=2.0&event=saved".to_owned(), 1),
        ("prop:command=build".to_owned(), 3),
        ("prop:command=".to_owned(), 0),
        ("environment=staging".to_owned(), 0),
        (format!("since={hour_ago}"), 2),
        (format!("since={hour_ago}&event=saved"), 1),
    ] {
        let answer = server.read(&format!("/api/v1/apps/{}/events?{query}", app.slug), &token).expect(200).json();
        let events = answer["events"].as_array().unwrap();
        assert_eq!((events.len(), &answer["next"]), (expected, &Value::Null), "{query}: {answer}");
        for event in events {
            assert_eq!(event["properties"]["command"], "build", "{event}");
            assert_eq!(event["user"].as_str().map(str::len), Some(32), "{event}");
        }
    }
}

/// The pseudonym of whoever did what.
fn pseudonym(server: &Server, app: &Credentials, token: &str, kind: &str) -> String {
    let answer = server.read(&format!("/api/v1/apps/{}/events?event={kind}", app.slug), token).expect(200).json();
    answer["events"][0]["user"].as_str().unwrap_or_else(|| panic!("no user: {answer}")).to_owned()
}

fn a_person_is_told_with_sessions_and_events_page_by_page(backend: Backend) {
    let server = Server::over(backend);
    let (app, other) = (server.app("Person"), server.app("Stranger"));
    let token = server.token(&["--all-apps"]);
    server.accept(&app, &(0..7).map(|_| of_version("1.0", "ana", "mine")).collect::<Vec<_>>());
    server.accept(&app, &[of_version("1.0", "ben", "his")]);
    let ana = pseudonym(&server, &app, &token, "mine");
    let path = format!("/api/v1/apps/{}/users/{ana}", app.slug);
    let (mut found, mut next, mut pages) = (BTreeSet::new(), Some(format!("{path}?limit=3")), 0);
    while let Some(address) = next {
        let reply = server.read(&address, &token).expect(200);
        next = reply.header("link").map(|link| link[1..link.find('>').unwrap()].to_owned());
        let answer = reply.json();
        assert_eq!((&answer["user"], &answer["days_seen"]), (&ana.as_str().into(), &1.into()), "{answer}");
        assert_eq!(answer["sessions"][0]["events"], 7, "{answer}");
        for item in answer["items"].as_array().unwrap() {
            assert_eq!((&item["event"]["name"], &item["session"]), (&"mine".into(), &0.into()), "{item}");
            assert!(found.insert(item["event"]["id"].to_string()), "{item} comes twice");
        }
        pages += 1;
    }
    assert_eq!((found.len(), pages), (7, 3));
    for nobody in [
        format!("/api/v1/apps/{}/users/{ana}", other.slug),
        format!("{path}?environment=staging"),
        format!("/api/v1/apps/{}/users/{}", app.slug, "0".repeat(32)),
        format!("/api/v1/apps/{}/users/ana", app.slug),
    ] {
        assert_eq!(server.read(&nobody, &token).expect(404).json()["error"]["code"], "not_found", "{nobody}");
    }
}

/// An event of some minutes before an instant.
fn before(now: jiff::Timestamp, minutes: i64, user: &str, kind: &str) -> Value {
    let mut event = of_version(if user == "ana" { "1.0" } else { "2.0" }, user, kind);
    event["timestamp"] = now.checked_sub(jiff::Span::new().minutes(minutes)).unwrap().to_string().into();
    event
}

fn a_funnel_is_counted_by_its_steps_or_by_its_id(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Stepped");
    let token = server.token(&[&app.slug]);
    let events = [(50, "ana", "opened"), (40, "ana", "edited"), (30, "ana", "saved"), (50, "ben", "opened")];
    let now = jiff::Timestamp::now();
    server.accept(&app, &events.map(|(minutes, user, kind)| before(now, minutes, user, kind)));
    let ask =
        |query: &str| server.read(&format!("/api/v1/apps/{}/funnels?{query}", app.slug), &token).expect(200).json();
    let users = |answer: &Value| -> Vec<i64> {
        let steps = answer["funnel"]["steps"].as_array().unwrap_or_else(|| panic!("no steps: {answer}"));
        steps.iter().map(|step| step["users"].as_i64().unwrap()).collect()
    };
    let steps = "range=7d&step=opened&step=saved";
    let answer = ask(steps);
    assert_eq!(users(&answer), [2, 1], "{answer}");
    let second = &answer["funnel"]["steps"][1];
    assert_eq!((&second["of_first"], &second["median"]), (&0.5.into(), &(20 * 60_000).into()), "{answer}");
    assert_eq!((&answer["funnel"]["window"], &answer["funnel"]["name"]), (&604_800_000.into(), &Value::Null));
    assert_eq!(users(&ask(&format!("{steps}&window=10m"))), [2, 0]);
    assert_eq!(users(&ask(&format!("{steps}&2.version=2.0"))), [2, 0]);
    assert_eq!(users(&ask(&format!("{steps}&version=1.0"))), [1, 1]);
    let split = ask(&format!("{steps}&split=version"));
    let rows = split["funnel"]["values"].as_array().unwrap();
    let rows: BTreeSet<_> = rows.iter().map(|row| (row["value"].as_str().unwrap(), row["users"].to_string())).collect();
    assert_eq!(rows, [("1.0", "[1,1]".to_owned()), ("2.0", "[1,0]".to_owned())].into(), "{split}");

    assert_eq!((&ask("")["saved"], &ask("")["funnel"]), (&serde_json::json!([]), &Value::Null));
    let id = keep_funnel(&server, &app, "Saving", "step=opened&step=edited&step=saved&window=1h&version=1.0");
    let list = ask("");
    assert_eq!((&list["saved"][0]["name"], &list["saved"][0]["id"]), (&"Saving".into(), &id.as_str().into()), "{list}");
    let kept = ask(&format!("range=7d&id={id}"));
    assert_eq!((users(&kept), &kept["funnel"]["name"]), (vec![1, 1, 1], &"Saving".into()), "{kept}");
    assert_eq!(users(&ask(&format!("range=7d&id={id}&system=windows"))), [0, 0, 0]);
    for (query, status) in [
        (format!("id={}", uuid::Uuid::nil()), 404),
        (format!("id={id}&environment=staging"), 404),
        ("id=Saving".to_owned(), 400),
    ] {
        server.read(&format!("/api/v1/apps/{}/funnels?{query}", app.slug), &token).expect(status);
    }
}

/// Keeps a funnel of the app's first environment, behind the box's back; its id.
fn keep_funnel(server: &Server, app: &Credentials, name: &str, query: &str) -> String {
    let id = uuid::Uuid::new_v4();
    let environment =
        format!("(SELECT min(e.id) FROM environments e JOIN apps a ON a.id = e.app_id WHERE a.slug = '{}')", app.slug);
    let bytes = server.database().bytes(id.as_bytes());
    server.database().alter(&format!(
        "INSERT INTO funnels (env_id, uuid, name, query, saved_at) VALUES ({environment}, {bytes}, '{name}', '{query}', 1)"
    ));
    id.to_string()
}

fn retention_tells_who_came_and_who_came_back(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Retained");
    let token = server.token(&[&app.slug]);
    let day = 24 * 60;
    let events = [(2 * day, "ana", "opened"), (day, "ana", "opened"), (0, "ana", "saved"), (0, "ben", "opened")];
    let now = jiff::Timestamp::now();
    server.accept(&app, &events.map(|(minutes, user, kind)| before(now, minutes, user, kind)));
    let ask =
        |query: &str| server.read(&format!("/api/v1/apps/{}/retention?{query}", app.slug), &token).expect(200).json();
    let answer = ask("cohort=day");
    let cohorts = answer["cohorts"].as_array().unwrap();
    assert_eq!(cohorts.len(), 14, "{answer}");
    let row = |answer: &Value, from_end: usize| {
        let cohorts = answer["cohorts"].as_array().unwrap();
        let cohort = &cohorts[cohorts.len() - 1 - from_end];
        (cohort["size"].as_i64().unwrap(), cohort["users"].to_string(), cohort["shares"].to_string())
    };
    assert_eq!(row(&answer, 2), (1, "[1,1,1]".to_owned(), "[1.0,1.0,1.0]".to_owned()), "{answer}");
    assert_eq!(row(&answer, 1), (0, "[0,0]".to_owned(), "[null,null]".to_owned()), "{answer}");
    assert_eq!(row(&answer, 0), (1, "[1]".to_owned(), "[1.0]".to_owned()), "{answer}");
    let saved = ask("cohort=day&back=saved");
    assert_eq!((row(&saved, 2).1, &saved["back"]), ("[0,0,1]".to_owned(), &"saved".into()), "{saved}");
    let born = ask("cohort=day&born=saved&version=1.0");
    assert_eq!((row(&born, 0).0, row(&born, 2).0, &born["born"]), (1, 0, &"saved".into()), "{born}");
    let weeks = ask("");
    assert_eq!((&weeks["cohort"], weeks["cohorts"].as_array().unwrap().len()), (&"week".into(), 12), "{weeks}");
}
