//! Pages about a range: the overview, breakdowns, events and one event, with their files.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::harness::kit::Credentials;

on_both_backends! {
    pages_without_events_say_so,
    strangers_see_no_figures,
    filters_keep_what_they_name_and_can_be_removed,
    every_row_leads_to_its_own_events,
    an_event_tells_its_properties_and_its_users,
    events_are_found_and_sorted,
    breakdowns_sort_by_any_column,
    files_hold_the_figures_of_their_pages,
    senseless_addresses_say_what_is_wrong,
    steps_and_comparisons_stand_in_the_address,
    versions_are_marked_where_they_came,
    hostile_names_stay_text_on_every_page,
}

/// Paths of the pages, below that of an app.
const PAGES: [&str; 4] = ["", "/events", "/event?name=saved", "/breakdown?dimension=system"];

/// An event of a version and a user, so many hours ago.
fn event(kind: &str, hours: i64, (version, user): (&str, &str), data: Value) -> Value {
    let at = Timestamp::now() - SignedDuration::from_hours(hours);
    let mut event = kit::event_of(uuid::Uuid::new_v4(), at, kind);
    event["service"]["version"] = version.into();
    event["user_id"] = user.into();
    event["session_id"] = format!("session of {user}").into();
    event["event"]["data"] = data;
    event
}

/// Two versions, three users, an error; `opened` eight times and `saved` four.
fn seed(server: &Server, app: &Credentials) {
    let mut events = Vec::new();
    for (hours, user) in [(50, "ana"), (26, "ben"), (2, "ana"), (1, "cleo")] {
        let version = if hours < 10 { "2.0" } else { "1.0" };
        let plan = if user == "ana" { "pro" } else { "free" };
        events.push(event("opened", hours, (version, user), json!({ "plan": plan })));
        events.push(event("opened", hours, (version, user), json!({ "plan": plan })));
        events.push(event("saved", hours, (version, user), json!({ "plan": plan, "bytes": hours, "list": [1] })));
    }
    events.push(event("app_crash", 1, ("2.0", "cleo"), json!({ "message": "out of range" })));
    server.accept(app, &events);
}

fn pages_without_events_say_so(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Empty");
    let cookie = server.sign_in();
    for environment in ["", "/development"] {
        for page in &PAGES[1..] {
            let path = format!("/apps/{}{environment}{page}", app.slug);
            let reply = server.page(&path, &cookie).expect(200);
            assert!(reply.text().contains("No event in "), "{path}: {}", reply.text());
            lint(&reply);
        }
        for file in ["overview", "events", "event", "breakdown"] {
            let path = format!("/apps/{}{environment}/{file}", app.slug);
            assert_eq!(server.page(&format!("{path}.json"), &cookie).expect(200).text(), "[]\n", "{path}");
            assert_eq!(server.page(&format!("{path}.csv"), &cookie).expect(200).text().lines().count(), 1, "{path}");
        }
    }
    // What was said of the first app may be kept for half a second.
    let app = server.app("Elsewhen");
    seed(&server, &app);
    for page in ["/events", "/breakdown", "?version=9"] {
        let path = format!(
            "/apps/{}{page}{}from=2020-01-01&to=2020-01-07",
            app.slug,
            if page.contains('?') { '&' } else { '?' }
        );
        let reply = server.page(&path, &cookie).expect(200);
        assert!(reply.text().to_lowercase().contains("in this range"), "{path}: {}", reply.text());
        lint(&reply);
    }
    server.page(&format!("/apps/{}/event", app.slug), &cookie).expect(303);
}

fn strangers_see_no_figures(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Guarded");
    seed(&server, &app);
    for page in
        PAGES.iter().copied().chain(["/overview.csv", "/events.json", "/event.csv?name=saved", "/breakdown.json"])
    {
        let reply = server.get(&format!("/apps/{}{page}", app.slug)).expect(303);
        assert!(reply.header("location").unwrap().starts_with("/login"), "{page}");
        assert!(!reply.text().contains("opened"), "{page}");
    }
}

/// The links of a page, decoded.
fn links(page: &Reply) -> Vec<String> {
    let text = page.text().replace("&#38;", "&").replace("&amp;", "&");
    text.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
}

/// The total of the metric on the chart.
fn total(page: &Reply) -> String {
    let text = page.text();
    let card = text
        .split("aria-current=\"true\">")
        .find(|part| part.trim_start().starts_with("<span class=\"metric-label\">"));
    let card = card.unwrap_or_else(|| panic!("no chosen card in {text}"));
    card.split("metric-total\">").nth(1).unwrap().split('<').next().unwrap().to_owned()
}

fn filters_keep_what_they_name_and_can_be_removed(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Filtered");
    let cookie = server.sign_in();
    seed(&server, &app);
    let path = format!("/apps/{}", app.slug);
    for (query, events, chips) in [
        ("range=7d", "13", 0),
        ("range=7d&version=1.0", "6", 1),
        ("range=7d&version!=1.0", "7", 1),
        ("range=7d&version=1.0&version=2.0", "13", 2),
        ("range=7d&version=2.0&event=opened", "4", 2),
        ("range=7d&prop:plan=pro", "6", 1),
        ("range=7d&prop:plan=", "1", 1),
        ("range=7d&system=plan9", "0", 1),
        ("range=7d&add=version&keep=is&value=+2.0+&prop=", "7", 1),
        ("range=7d&add=prop&keep=not&value=pro&prop=plan", "7", 1),
        ("range=7d&version=2.0&metric=users", "2", 1),
    ] {
        let page = server.page(&format!("{path}?{query}"), &cookie).expect(200);
        assert_eq!(total(&page), events, "{query}: {}", page.text());
        assert_eq!(page.text().matches("class=\"chip\"").count(), chips, "{query}");
        lint(&page);
    }
    let page = server.page(&format!("{path}?range=7d&version=1.0&version=2.0"), &cookie).expect(200);
    let without = format!("{path}?range=7d&version=2.0");
    assert!(links(&page).contains(&without), "{:?}", links(&page));
    assert_eq!(total(&server.page(&without, &cookie)), "7");
}

fn every_row_leads_to_its_own_events(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Linked");
    let cookie = server.sign_in();
    seed(&server, &app);
    let path = format!("/apps/{}", app.slug);
    let page = server.page(&format!("{path}?range=7d&break=arch"), &cookie).expect(200);
    let rows: Vec<_> = page.text().split("<a class=\"top-link\"").skip(1).map(str::to_owned).collect();
    assert_eq!(rows.len(), 3 + 2 + 1 + 1, "{}", page.text());
    for row in rows {
        let href = row.split("href=\"").nth(1).unwrap().split('"').next().unwrap().replace("&#38;", "&");
        let count = row.split("top-count\">").nth(1).unwrap().split('<').next().unwrap();
        let filtered = server.page(&href, &cookie).expect(200);
        assert_eq!(total(&filtered), count, "{href}");
        assert!(href.contains("break=arch"), "{href}");
    }
}

fn an_event_tells_its_properties_and_its_users(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Single");
    let cookie = server.sign_in();
    seed(&server, &app);
    let path = format!("/apps/{}/event?name=saved&range=7d", app.slug);
    let page = server.page(&path, &cookie).expect(200);
    lint(&page);
    assert_eq!(total(&page), "4");
    let text = page.text();
    for part in [">plan<", ">bytes<", "<dt>median</dt>", "<dt>sum</dt><dd>79</dd>", "Lists and objects", "1.0", "2.0"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    let people: Vec<_> = links(&page).into_iter().filter(|link| link.contains("/users/")).collect();
    let different: std::collections::BTreeSet<_> = people.iter().collect();
    assert_eq!(different.len(), 3, "{people:?}");
    server.page(&people[0], &cookie).expect(200);
    let pro = links(&page).into_iter().find(|link| link.ends_with("prop%3Aplan=pro")).unwrap();
    assert_eq!(total(&server.page(&pro, &cookie).expect(200)), "2");
    let unknown = server.page(&format!("/apps/{}/event?name=never", app.slug), &cookie).expect(200);
    assert_eq!(total(&unknown), "0");
    lint(&unknown);
}

/// The texts of the row heads of a table, in their order.
fn heads(page: &Reply) -> Vec<String> {
    let text = page.text();
    let body = text.split("wide-table").nth(1).and_then(|table| table.split("<tbody>").nth(1)).unwrap_or_default();
    let rows = body.split("</tbody>").next().unwrap_or_default().split("<th scope=\"row\">").skip(1);
    let head = |row: &str| row.split("</a>").next().unwrap().rsplit('>').next().unwrap().to_owned();
    rows.map(head).collect()
}

fn events_are_found_and_sorted(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Listed");
    let cookie = server.sign_in();
    seed(&server, &app);
    for (query, names) in [
        ("range=7d", vec!["opened", "saved", "app_crash"]),
        ("range=7d&sort=name", vec!["app_crash", "opened", "saved"]),
        ("range=7d&sort=users", vec!["opened", "saved", "app_crash"]),
        ("range=7d&q=PE", vec!["opened"]),
        ("range=7d&q=nobody", vec![]),
        ("range=7d&version=2.0&prop:plan=free", vec!["opened", "saved"]),
        ("range=7d&sort=%3Cscript%3E", vec!["opened", "saved", "app_crash"]),
    ] {
        let page = server.page(&format!("/apps/{}/events?{query}", app.slug), &cookie).expect(200);
        assert_eq!(heads(&page), names, "{query}: {}", page.text());
        lint(&page);
    }
    let page = server.page(&format!("/apps/{}/production/events?range=7d", app.slug), &cookie).expect(200);
    assert_eq!(page.text().matches("class=\"spark\"").count(), 3, "{}", page.text());
}

fn breakdowns_sort_by_any_column(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Broken down");
    let cookie = server.sign_in();
    seed(&server, &app);
    for (query, values) in [
        ("dimension=version", vec!["2.0", "1.0"]),
        ("dimension=version&sort=value", vec!["1.0", "2.0"]),
        ("dimension=version&metric=users", vec!["1.0", "2.0"]),
        ("dimension=event&metric=crashes", vec!["app_crash", "opened", "saved"]),
        ("dimension=prop:plan", vec!["free", "pro", "not reported"]),
        ("dimension=error", vec!["out of range"]),
        ("", vec!["2.0", "1.0"]),
    ] {
        let page = server.page(&format!("/apps/{}/breakdown?range=7d&{query}", app.slug), &cookie).expect(200);
        lint(&page);
        let mut found = heads(&page);
        if query.contains("error") || query.contains("users") || query.contains("plan") {
            found.sort();
            let mut values = values.clone();
            values.sort_unstable();
            assert_eq!(found.len(), values.len(), "{query}: {}", page.text());
            continue;
        }
        assert_eq!(found, values, "{query}: {}", page.text());
    }
}

fn files_hold_the_figures_of_their_pages(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Filed");
    let cookie = server.sign_in();
    seed(&server, &app);
    server.accept(&app, &[event("=cmd|' /C calc'!A0", 1, ("2.0", "ana"), json!({}))]);
    let path = format!("/apps/{}", app.slug);
    let file = |name: &str| server.page(&format!("{path}/{name}"), &cookie).expect(200);
    let csv = file("events.csv?range=7d");
    assert_eq!(csv.header("content-type"), Some("text/csv; charset=utf-8"));
    assert!(csv.header("content-disposition").unwrap().contains("events.csv"));
    let lines: Vec<_> = csv.text().split("\r\n").map(str::to_owned).collect();
    assert_eq!(&lines[..3], ["event,events,share,users", "opened,8,0.5714,3", "saved,4,0.2857,3"]);
    assert!(lines.iter().any(|line| line.starts_with("'=cmd|' /C calc'!A0,1")), "{lines:?}");
    let list = file("breakdown.json?range=7d&dimension=version").json();
    assert_eq!((&list[0]["value"], &list[0]["events"], &list[0]["sessions"]), (&"2.0".into(), &8.into(), &1.into()));
    let days = file("overview.json?range=7d&metric=session_length_p95").json();
    let sum: i64 = days.as_array().unwrap().iter().map(|day| day["events"].as_i64().unwrap()).sum();
    assert_eq!((days.as_array().unwrap().len(), sum), (7, 14));
    assert!(days[6].get("session_length_p95_ms").is_some(), "{days}");
    let days = file("event.json?range=7d&name=saved&version=1.0&compare=none").json();
    let sum: i64 = days.as_array().unwrap().iter().map(|day| day["events"].as_i64().unwrap()).sum();
    assert_eq!((sum, days[0].get("before_events")), (2, None));
    for page in PAGES {
        let shown = server.page(&format!("{path}{page}"), &cookie).expect(200);
        for form in ["csv", "json"] {
            let link = links(&shown).into_iter().find(|link| link.contains(&format!(".{form}?")));
            server.page(&link.unwrap_or_else(|| panic!("{page} has no {form}")), &cookie).expect(200);
        }
    }
}

fn senseless_addresses_say_what_is_wrong(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Confused");
    let cookie = server.sign_in();
    seed(&server, &app);
    for page in ["", "/events", "/breakdown"] {
        for (query, words) in [
            ("range=fortnight", "There is no range of that name"),
            ("from=soon", "A date is written like"),
            ("from=2026-02-02&to=2026-02-01", "The first day comes after the last"),
            ("by=minute", "There is no interval of that name"),
            ("metric=luck", "There is no metric of that name"),
            ("compare=never", "There is no comparison of that name"),
            ("add=prop&value=x", "A filter needs something to look at"),
        ] {
            let page = server.page(&format!("/apps/{}{page}?{query}", app.slug), &cookie).expect(200);
            assert!(page.text().contains(words), "{query}: {}", page.text());
            lint(&page);
        }
    }
    let page = server.page(&format!("/apps/{}/breakdown?dimension=luck", app.slug), &cookie).expect(200);
    assert!(page.text().contains("There is nothing of that name to break down by"), "{}", page.text());
}

fn steps_and_comparisons_stand_in_the_address(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Stepping");
    let cookie = server.sign_in();
    seed(&server, &app);
    let path = format!("/apps/{}", app.slug);
    let step = |page: &Reply, rel: &str| {
        let text = page.text().replace("&#38;", "&");
        let before = text.split(&format!("\" rel=\"{rel}\"")).next().filter(|before| before.len() < text.len());
        before.map(|before| before.rsplit("href=\"").next().unwrap().to_owned())
    };
    let today = server.page(&format!("{path}?range=today&version!=9&metric=users&compare=year"), &cookie).expect(200);
    assert_eq!(step(&today, "next"), None, "no step leads into the future");
    let back = step(&today, "prev").unwrap();
    for kept in ["version%21=9", "metric=users", "compare=year"] {
        assert!(back.contains(kept), "{back}");
    }
    let yesterday = server.page(&back, &cookie).expect(200);
    let forward = step(&yesterday, "next").unwrap();
    assert!(forward.contains("range=today"), "{forward}");
    let none = server.page(&format!("{path}?range=today&compare=none"), &cookie).expect(200);
    assert!(!none.text().contains("metric-change"), "{}", none.text());
    let all = server.page(&format!("{path}?range=all"), &cookie).expect(200);
    assert_eq!((total(&all), step(&all, "prev")), ("13".to_owned(), None));
    server.page(&format!("{path}?range=month&by=day"), &cookie).expect(200);
}

fn versions_are_marked_where_they_came(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Marked");
    let cookie = server.sign_in();
    seed(&server, &app);
    let page = server.page(&format!("/apps/{}?range=7d", app.slug), &cookie).expect(200);
    let marks: Vec<_> = page
        .text()
        .split("class=\"mark-label\"")
        .skip(1)
        .map(|rest| rest.split(['>', '<']).nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(marks, ["1.0", "2.0"], "{}", page.text());
    let today = server.page(&format!("/apps/{}?range=24h", app.slug), &cookie).expect(200);
    assert!(
        today.text().contains("badge info\">2.0<") && !today.text().contains("badge info\">1.0<"),
        "{}",
        today.text()
    );
}

fn hostile_names_stay_text_on_every_page(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Hostile");
    let cookie = server.sign_in();
    let evil = "\"><script>alert(1)</script>&x=";
    server.accept(&app, &[event(evil, 1, (evil, evil), json!({ evil: evil, "n": 1 }))]);
    let name: String = form_urlencoded::byte_serialize(evil.as_bytes()).collect();
    for page in [
        "?range=7d".to_owned(),
        format!("?range=7d&version={name}&add=prop&prop={name}&value={name}"),
        format!("?range=7d&prop%3A{name}={name}"),
        format!("/events?q={name}"),
        format!("/event?name={name}"),
        format!("/event?name={name}&prop%3A{name}={name}"),
        format!("/breakdown?dimension=prop%3A{name}"),
        "/breakdown?dimension=event".to_owned(),
    ] {
        let reply = server.page(&format!("/apps/{}{page}", app.slug), &cookie).expect(200);
        assert!(!reply.text().contains("<script>alert"), "{page}: {}", reply.text());
        assert!(reply.text().contains("alert(1)"), "{page}: {}", reply.text());
        lint(&reply);
    }
}
