//! Pages of errors, and of how versions do.

use super::*;
use crate::harness::kit::Credentials;

on_both_backends! {
    an_environment_without_errors_says_how_to_report_them,
    errors_are_listed_by_group_and_told_one_by_one,
    hostile_errors_stay_text_and_fit,
    errors_of_another_app_are_not_there,
    versions_are_compared_with_the_one_before,
}

/// An event of a version that says that something went wrong, `days` ago.
fn error_of(version: &str, days: i64, number: usize, data: serde_json::Value) -> serde_json::Value {
    let mut event = used(version, days, number);
    event["event"] = serde_json::json!({ "type": "error", "data": data });
    event
}

/// An event of a user of their own in a session of its own, `days` ago.
fn used(version: &str, days: i64, number: usize) -> serde_json::Value {
    let at = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(24 * days);
    let mut event = kit::event_of(uuid::Uuid::new_v4(), at, "used");
    event["service"]["version"] = version.into();
    event["user_id"] = format!("client_{number:064x}").into();
    event["session_id"] = format!("sess_{:032x}", number * 1_000 + usize::try_from(days).unwrap()).into();
    event
}

fn an_environment_without_errors_says_how_to_report_them(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Calm");
    let cookie = server.sign_in();
    let path = format!("/apps/{}", app.slug);
    let page = server.page(&format!("{path}/errors"), &cookie).expect(200);
    assert!(page.text().to_lowercase().contains("waiting for the first event"), "{}", page.text());
    for file in ["errors.json", "error.json"] {
        assert_eq!(server.page(&format!("{path}/{file}"), &cookie).expect(200).text(), "[]\n", "{file}");
    }
    let app = server.app("Fine");
    let path = format!("/apps/{}", app.slug);
    server.accept(&app, &[kit::event("fine")]);
    for environment in ["", "/production"] {
        let page = server.page(&format!("{path}{environment}/errors"), &cookie).expect(200);
        for part in ["No error in this range", "track_custom", "success(false)", "fingerprint", "Crash-free users"] {
            assert!(page.text().contains(part), "no {part} in {}", page.text());
        }
        lint(&page);
    }
    let page = server.page(&format!("{path}/errors?q=nothing"), &cookie).expect(200);
    assert!(page.text().contains("has “nothing” in its title"), "{}", page.text());
    server.page(&format!("{path}/error?group=unheard-of"), &cookie).expect(404);
    server.page(&format!("{path}/error"), &cookie).expect(303);
    server.page(&format!("{path}/error.csv?group=unheard-of"), &cookie).expect(404);
}

fn errors_are_listed_by_group_and_told_one_by_one(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Failing");
    let boom = |version, days, number| {
        let data = serde_json::json!({
            "type": "TypeError", "message": format!("x is {number}"), "stack": "at save\n    at click", "fatal": number == 1
        });
        error_of(version, days, number, data)
    };
    server.accept(&app, &[boom("1.0", 0, 1), boom("1.0", 1, 2), boom("2.0", 1, 2), used("1.0", 0, 4)]);
    server.accept(
        &app,
        &[error_of("1.0", 40, 9, serde_json::json!({ "message": "no route" })), {
            error_of("1.0", 0, 9, serde_json::json!({ "message": "no route" }))
        }],
    );
    let cookie = server.sign_in();
    let path = format!("/apps/{}", app.slug);
    let page = server.page(&format!("{path}/errors?range=7d"), &cookie).expect(200);
    lint(&page);
    let text = page.text();
    for part in ["TypeError: x is #", "no route", "2 users, 2 sessions", "1 crash<", ">new<", "1.0 <b>2</b>"] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    assert_eq!(text.matches("badge info\">new<").count(), 1, "the other one was seen before: {text}");
    let found = server.page(&format!("{path}/errors?range=7d&q=ROUTE"), &cookie).expect(200).text();
    assert!(found.contains("no route") && !found.contains("TypeError"), "{found}");
    let file = server.page(&format!("{path}/errors.json?range=7d"), &cookie).expect(200).json();
    let told = |at: usize, name: &str| file[at][name].clone();
    assert_eq!(
        (told(0, "events"), told(0, "users"), told(0, "crashes"), told(1, "events")),
        (3.into(), 2.into(), 1.into(), 1.into())
    );
    assert_eq!((told(0, "new"), told(1, "new"), told(0, "versions")), (1.into(), 0.into(), "1.0: 2, 2.0: 1".into()));
    let csv = server.page(&format!("{path}/errors.csv?range=7d"), &cookie).expect(200).text();
    assert!(csv.starts_with("group,message,events,") && csv.contains("TypeError: x is #,x is "), "{csv}");

    let group = "group=TypeError%3A+x+is+%23&range=7d";
    let page = server.page(&format!("{path}/error?{group}"), &cookie).expect(200);
    lint(&page);
    for part in [
        "TypeError: x is #",
        "x is 2",
        "at save\n    at click",
        "new in this range",
        "2 users in 2 sessions",
        "2.0",
        "linux",
    ] {
        assert!(page.text().contains(part), "no {part} in {}", page.text());
    }
    assert!(!page.text().contains("no route"));
    let filtered = server.page(&format!("{path}/error?{group}&version=2.0"), &cookie).expect(200).text();
    assert!(filtered.contains("1 user in 1 session"), "{filtered}");
    let file = server.page(&format!("{path}/error.json?{group}"), &cookie).expect(200).json();
    let errors: i64 = file.as_array().unwrap().iter().filter_map(|row| row["errors"].as_i64()).sum();
    assert_eq!((file.as_array().unwrap().len(), errors), (7, 3), "{file}");
}

fn hostile_errors_stay_text_and_fit(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Attacked");
    let noise = || (0..900).map(|_| uuid::Uuid::new_v4().to_string()).collect::<String>();
    let hostile = "</pre><script>alert(1)</script>";
    let events: Vec<_> = (0..12)
        .map(|number| {
            let data =
                serde_json::json!({ "type": hostile, "message": noise(), "stack": noise(), "fingerprint": "same" });
            error_of("1.0", 0, number, data)
        })
        .collect();
    server.accept(&app, &events);
    let cookie = server.sign_in();
    let path = format!("/apps/{}", app.slug);
    let group =
        form_urlencoded::Serializer::new(String::new()).append_pair("group", &format!("{hostile} [same]")).finish();
    for path in [format!("{path}/errors"), format!("{path}/error?{group}")] {
        let page = server.page(&path, &cookie).expect(200);
        assert!(page.text().contains("&#60;script&#62;") && !page.text().contains(hostile), "{path}: {}", page.text());
        lint(&page);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(page.text().as_bytes()).unwrap();
        let packed = packed.finish().unwrap().len();
        assert!(packed < 60_000, "{path}: {packed}");
    }
}

fn errors_of_another_app_are_not_there(backend: Backend) {
    let server = Server::over(backend);
    let (mine, other) = (server.app("Mine"), server.app("Other"));
    server.accept(&mine, &[error_of("1.0", 0, 1, serde_json::json!({ "message": "secret mishap" }))]);
    server.accept(&other, &[kit::event("fine")]);
    let cookie = server.sign_in();
    let there = |app: &Credentials, path: &str| server.page(&format!("/apps/{}/{path}", app.slug), &cookie);
    assert!(there(&mine, "errors").expect(200).text().contains("secret mishap"));
    for page in ["errors", "errors?q=secret"] {
        let text = there(&other, page).expect(200).text();
        assert!(!text.contains("secret mishap"), "{page}: {text}");
    }
    there(&other, "error?group=secret+mishap").expect(404);
    there(&other, "error.json?group=secret+mishap").expect(404);
    there(&mine, "development/error?group=secret+mishap").expect(303);
    assert_eq!(
        server
            .get(&format!("/apps/{}/errors", mine.slug))
            .expect(303)
            .header("location")
            .map(|to| to.contains("/login")),
        Some(true)
    );
}

fn versions_are_compared_with_the_one_before(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Released");
    let cookie = server.sign_in();
    let path = format!("/apps/{}", app.slug);
    let mut events: Vec<_> = (0..100).map(|number| used("1.4.0", 10, number)).collect();
    events.extend((0..40).map(|number| used("1.4.0", 9, number)));
    events.extend((200..300).map(|number| used("1.5.0", 5, number)));
    let crash = |number| error_of("1.5.0", 5, number, serde_json::json!({ "message": "boom", "fatal": true }));
    events.extend((200..230).map(crash));
    events.extend((400..410).map(|number| used("1.6.0", 3, number)));
    for batch in events.chunks(100) {
        server.accept(&app, batch);
    }
    let page = server.page(&format!("{path}/versions?range=28d"), &cookie).expect(200);
    lint(&page);
    for part in [
        "worse than 1.4.0: 30% of sessions crash, 0% before",
        "too few sessions to tell",
        "no version before it",
        "class=\"part part-1\"",
        "Share of sessions",
    ] {
        assert!(page.text().contains(part), "no {part} in {}", page.text());
    }
    let one = server.page(&format!("{path}/version?name=1.5.0&range=28d"), &cookie).expect(200);
    lint(&one);
    for part in
        ["30 of 100 sessions crashed", "70%", "0 of 100 new users", "worse than 1.4.0: 0% of new users come back"]
    {
        assert!(one.text().contains(part), "no {part} in {}", one.text());
    }
    let file = server.page(&format!("{path}/versions.json?range=28d"), &cookie).expect(200).json();
    let names: Vec<_> = file.as_array().unwrap().iter().map(|row| row["version"].as_str().unwrap()).collect();
    assert_eq!(names, ["1.6.0", "1.5.0", "1.4.0"]);
    assert_eq!((file[2]["new_users"].clone(), file[2]["back_the_next_day"].clone()), (100.into(), 40.into()));
    assert_eq!(
        (file[1]["crash_free_sessions"].clone(), file[1]["compared_with"].clone()),
        (0.7.into(), "1.4.0".into())
    );
    let csv = server.page(&format!("{path}/versions.csv?range=28d&search=1.6"), &cookie).expect(200).text();
    assert_eq!(csv.lines().count(), 2, "{csv}");
    let nobody = server.page(&format!("{path}/versions?environment=development"), &cookie).expect(200);
    assert!(!nobody.text().contains("class=\"part"), "{}", nobody.text());
    lint(&nobody);
}
