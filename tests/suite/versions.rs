//! Who must update: the public check as programs ask it, and the pages on which members decide it.

use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::kit::{self, Credentials};
use crate::harness::{Backend, MEMBER, PASSWORD, Server, poll};
use crate::pages::{hidden, lint};

on_both_backends! {
    an_app_without_a_policy_is_up_to_date_and_an_unknown_one_is_not_there,
    a_rule_set_on_its_page_is_told_to_programs_at_once,
    what_another_process_sets_is_told_within_seconds,
    a_broken_database_locks_nobody_out,
    pages_of_versions_are_empty_before_the_first,
    pages_of_versions_show_what_is_known,
    a_status_is_set_with_notes_and_told_in_the_account,
    what_is_wrong_with_a_form_is_said_and_nothing_written,
    viewers_see_versions_and_no_forms,
}

/// An event of a version, in a session of its own.
fn event_of(version: &str) -> Value {
    let mut event = kit::event_of(Uuid::new_v4(), Timestamp::now(), "opened");
    event["service"]["version"] = json!(version);
    event["session_id"] = json!(format!("sess_{}", Uuid::new_v4().simple()));
    event
}

fn check(server: &Server, app: &str, query: &str) -> Reply {
    server.get(&format!("/v1/apps/{app}/version-check?{query}"))
}

fn status(server: &Server, app: &str, query: &str) -> String {
    let reply = check(server, app, query).expect(200);
    reply.json()["status"].as_str().unwrap().to_owned()
}

/// Sends a form of the page at that path, which is there.
fn post(server: &Server, cookie: &str, path: &str, fields: &[(&str, &str)]) -> Reply {
    let csrf = hidden(&server.page("/apps", cookie).text(), "csrf");
    let fields: Vec<_> = [("csrf", csrf.as_str())].into_iter().chain(fields.iter().copied()).collect();
    server.send(&Request::form(path, &fields).header("cookie", cookie))
}

fn pages(app: &Credentials) -> [String; 3] {
    ["versions", "rules", "changes"].map(|page| format!("/apps/{}/{page}", app.slug))
}

fn an_app_without_a_policy_is_up_to_date_and_an_unknown_one_is_not_there(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Asked");
    let reply = check(&server, &app.slug, "platform=IOS&version=0.0.1&build=3&environment=production").expect(200);
    assert_eq!(
        reply.json(),
        json!({"status": "UP_TO_DATE", "target_version": null, "target_build": null, "notes": null, "store_url": null})
    );
    assert_eq!(reply.header("cache-control"), Some("public, max-age=60, stale-if-error=86400"));
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"));
    assert_eq!(check(&server, &app.app, "version=1").expect(200).header("etag"), reply.header("etag"));
    let missing = check(&server, "no-such-app", "version=1").expect(404);
    assert_eq!(missing.json()["error"], "not_found");
    check(&server, &app.slug, "platform=IOS").expect(400);
    let path = format!("/v1/apps/{}/version-check?version=1", app.slug);
    let head = server.send(&Request::head(&path)).expect(200);
    assert_eq!((head.header("etag"), head.body.len()), (reply.header("etag"), 0));
    let preflight = Request { method: "OPTIONS", ..Request::get(&path) }.header("origin", "https://app.example");
    let preflight = server.send(&preflight).expect(204);
    assert_eq!(preflight.header("access-control-allow-methods"), Some("GET, HEAD"));
}

fn a_rule_set_on_its_page_is_told_to_programs_at_once(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Ruled");
    let cookie = server.sign_in();
    let old = "platform=ios&version=1.9&build=3";
    let before = check(&server, &app.slug, old).expect(200);
    let [_, rules, changes] = pages(&app);
    let fields = [
        ("platform", ""),
        ("required", "2.0"),
        ("recommended", ""),
        ("notes", "Sync was rewritten."),
        ("store_url", "https://store.example/app"),
    ];
    assert_eq!(post(&server, &cookie, &rules, &fields).expect(303).header("location"), Some(rules.as_str()));
    let after = check(&server, &app.slug, old).expect(200);
    assert_eq!(
        after.json(),
        json!({
            "status": "UPDATE_REQUIRED",
            "target_version": "2.0",
            "target_build": null,
            "notes": "Sync was rewritten.",
            "store_url": "https://store.example/app",
        })
    );
    assert_ne!(after.header("etag"), before.header("etag"));
    let again = Request::get(&format!("/v1/apps/{}/version-check?{old}", app.slug));
    let again = server.send(&again.header("if-none-match", after.header("etag").unwrap())).expect(304);
    assert_eq!((again.body.len(), again.header("etag")), (0, after.header("etag")));
    assert_eq!(status(&server, &app.slug, "version=2.0"), "UP_TO_DATE");
    let page = server.page(&rules, &cookie).expect(200).text();
    assert!(page.contains("value=\"2.0\"") && page.contains("Sync was rewritten."), "{page}");
    assert!(server.page(&changes, &cookie).text().contains("required: nothing → “2.0”"));
    post(&server, &cookie, &rules, &[("platform", ""), ("required", " ")]).expect(303);
    assert_eq!(status(&server, &app.slug, old), "UP_TO_DATE");
}

fn what_another_process_sets_is_told_within_seconds(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Shared");
    assert_eq!(status(&server, &app.slug, "version=1.0"), "UP_TO_DATE");
    server.database().alter(
        "INSERT INTO version_rules (app_id, platform, required, updated_at) SELECT id, '', '2.0', 0 FROM apps; \
         UPDATE directory SET version = version + 1;",
    );
    poll::until(Duration::from_secs(5), "new status", || {
        (status(&server, &app.slug, "version=1.0") == "UPDATE_REQUIRED").then_some(())
    });
}

fn a_broken_database_locks_nobody_out(backend: Backend) {
    let server = Server::over(backend);
    let (known, unknown) = (server.app("Known"), server.app("Unknown"));
    let rule = "INSERT INTO version_rules (app_id, platform, required, updated_at) SELECT id, '', '2.0', 0 FROM apps";
    server.database().alter(&format!("{rule}; UPDATE directory SET version = version + 1;"));
    assert_eq!(status(&server, &known.slug, "version=1.0"), "UPDATE_REQUIRED");
    server.database().alter("ALTER TABLE version_rules RENAME TO lost; UPDATE directory SET version = version + 1;");
    let open = check(&server, &unknown.slug, "version=1.0").expect(200);
    assert_eq!((open.json()["status"].as_str(), open.header("cache-control")), (Some("UP_TO_DATE"), Some("no-store")));
    // What was known goes on being told, also once it is looked at again.
    poll::throughout(Duration::from_millis(1_500), || {
        assert_eq!(status(&server, &known.slug, "version=1.0"), "UPDATE_REQUIRED");
    });
    server.database().alter("ALTER TABLE lost RENAME TO version_rules;");
    assert_eq!(status(&server, &unknown.slug, "version=1.0"), "UPDATE_REQUIRED");
}

fn pages_of_versions_are_empty_before_the_first(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Empty");
    let cookie = server.sign_in();
    for (path, text) in pages(&app).iter().zip(["No version yet", "All platforms", "App made:"]) {
        let page = server.page(path, &cookie).expect(200);
        lint(&page);
        assert!(page.text().contains(text), "{path}");
        let tab = if path.ends_with("/changes") { "changes" } else { "versions" };
        assert!(page.text().contains(&format!("/apps/{}/{tab}\" aria-current=\"page\"", app.slug)), "{path}");
    }
    server.page(&format!("/apps/{}/version?name=1.0", app.slug), &cookie).expect(404);
    let bare = server.page(&format!("/apps/{}/version", app.slug), &cookie).expect(303);
    assert_eq!(bare.header("location"), Some(pages(&app)[0].as_str()));
}

fn pages_of_versions_show_what_is_known(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Seen");
    let cookie = server.sign_in();
    let [list, ..] = pages(&app);
    let odd = "3.0 <b>&\"+/ä";
    server.accept(&app, &[event_of("2.0"), event_of("2.0"), event_of("2.0"), event_of(odd)]);
    let many: Vec<_> = (0..30).map(|patch| event_of(&format!("1.0.{patch}"))).collect();
    server.accept(&app, &many);

    let page = server.page(&list, &cookie).expect(200);
    lint(&page);
    let text = page.text();
    assert!(text.contains("32 versions") && text.contains("<b>8.8%</b>"), "{text}");
    assert!(text.contains("1.0.29") && !text.contains("1.0.5<"), "the first page has the highest numbers");
    let next = text.split("href=\"").find(|rest| rest.contains(">Next page<")).unwrap();
    let next = next.split('"').next().unwrap().replace("&amp;", "&").replace("&#38;", "&");
    let second = server.page(&next, &cookie).expect(200).text();
    assert!(second.contains("1.0.5<") && !second.contains("1.0.29") && !second.contains("Next page"), "{second}");
    let found = server.page(&format!("{list}?search=1.0.2"), &cookie).expect(200).text();
    assert!(found.contains("11 of 32 versions"), "{found}");
    assert!(server.page(&format!("{list}?search=zzz"), &cookie).text().contains("No version has “zzz”"));
    let elsewhere = server.page(&format!("{list}?environment=development"), &cookie).expect(200).text();
    assert!(elsewhere.contains("No version was seen in development") && elsewhere.contains(">All<"), "{elsewhere}");

    let name = form_urlencoded::Serializer::new(String::new()).append_pair("name", odd).finish();
    assert!(text.contains(&format!("version?{name}\"")), "{name} in {text}");
    for query in [name.clone(), format!("{name}&range=7d"), format!("{name}&range=year&environment=production")] {
        let one = server.page(&format!("/apps/{}/version?{query}", app.slug), &cookie).expect(200);
        lint(&one);
        assert!(one.text().contains("1 of 34 sessions") && one.text().contains("1 of 1 users"), "{query}");
        assert!(one.text().contains("No build is known") && !one.text().contains("<b>&"), "{query}");
    }
}

fn a_status_is_set_with_notes_and_told_in_the_account(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Judged");
    let cookie = server.sign_in();
    server.accept(&app, &[event_of("1.0")]);
    let path = format!("/apps/{}/version", app.slug);
    assert_eq!(status(&server, &app.slug, "version=1.0"), "UP_TO_DATE");
    let fields = [("name", "1.0"), ("status", "DISABLED"), ("notes", "Withdrawn\r\nfor good")];
    let reply = post(&server, &cookie, &path, &fields).expect(303);
    assert_eq!(reply.header("location"), Some(format!("{path}?name=1.0").as_str()));
    assert_eq!(status(&server, &app.slug, "version=1.0"), "DISABLED");
    assert_eq!(status(&server, &app.slug, "version=1.0.0"), "UP_TO_DATE", "a status is one of a name");
    let page = server.page(&format!("{path}?name=1.0"), &cookie).expect(200);
    assert!(page.text().contains("<option value=\"DISABLED\" selected>"), "{}", page.text());
    assert!(page.text().contains("Withdrawn\nfor good"));
    let told = server.page(&pages(&app)[2], &cookie).expect(200);
    lint(&told);
    for text in [MEMBER, "Supported → Disabled", "Withdrawn"] {
        assert!(told.text().contains(text), "{text}");
    }
    assert!(server.log().contains("a status changed"), "the log is told of it");

    server.database().alter(&format!(
        "INSERT INTO builds (version_id, uuid, number, platform, status, created_at) \
         SELECT id, uuid, 7, 'IOS', 'SUPPORTED', {} FROM versions",
        kit::now() * 1_000
    ));
    let fields = [("name", "1.0"), ("build", "7"), ("platform", "IOS"), ("status", "UPDATE_REQUIRED"), ("notes", "")];
    post(&server, &cookie, &path, &fields).expect(303);
    let page = server.page(&format!("{path}?name=1.0"), &cookie).expect(200);
    lint(&page);
    assert!(page.text().contains("the version decides"), "{}", page.text());
    assert_eq!(server.sql("SELECT status FROM builds").trim(), "UPDATE_REQUIRED");
    post(&server, &cookie, &path, &[("name", "1.0"), ("status", "SUPPORTED")]).expect(303);
    assert_eq!(server.sql("SELECT status FROM builds").trim(), "SUPPORTED", "the version takes its builds along");
}

fn what_is_wrong_with_a_form_is_said_and_nothing_written(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Wrong");
    let cookie = server.sign_in();
    server.accept(&app, &[event_of("1.0")]);
    let (version, [_, rules, _]) = (format!("/apps/{}/version", app.slug), pages(&app));
    let long = "ä".repeat(501);
    for (path, fields, code, text) in [
        (&version, vec![("name", "1.0"), ("status", "DISABLED"), ("notes", &long)], 422, "at most 500 characters"),
        (&version, vec![("name", "1.0"), ("status", "BANNED")], 400, ""),
        (&version, vec![("name", "1.0"), ("status", "DISABLED"), ("build", "x"), ("platform", "IOS")], 400, ""),
        (&version, vec![("name", "7.7"), ("status", "DISABLED")], 404, ""),
        (&rules, vec![("platform", ""), ("required", "newest")], 422, "begins with a number"),
        (&rules, vec![("platform", "IOS"), ("store_url", "http://store.example")], 422, "begins with https://"),
        (&rules, vec![("platform", "TOASTER"), ("required", "1")], 400, ""),
    ] {
        let page = post(&server, &cookie, path, &fields).expect(code);
        lint(&page);
        assert!(page.text().contains(text), "{fields:?}: {}", page.text());
    }
    assert_eq!(server.count("SELECT count(*) FROM audit WHERE action LIKE 'version.%'"), 0);
    assert_eq!(server.count("SELECT count(*) FROM version_rules"), 0);
}

fn viewers_see_versions_and_no_forms(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Viewed");
    server.accept(&app, &[event_of("1.0")]);
    let owner = server.sign_in();
    let version = format!("/apps/{}/version", app.slug);
    let [list, rules, changes] = pages(&app);
    post(&server, &owner, &rules, &[("platform", "IOS"), ("required", "2.0")]).expect(303);
    server.run_with(&["member", "create", "viewer@example.org", "--role", "viewer"], &format!("{PASSWORD}\n"));
    let form = Request::form("/login", &[("name", "viewer@example.org"), ("password", PASSWORD)]);
    let viewer = server.send(&form).expect(303).cookie().unwrap();
    for path in [&list, &rules, &changes, &format!("{version}?name=1.0")] {
        let (seen, all) = (server.page(path, &viewer).expect(200), server.page(path, &owner).expect(200));
        lint(&seen);
        let forms = |page: &Reply| page.text().matches("method=\"post\"").count();
        assert_eq!(forms(&seen), 1, "{path}: signing out is all that is left to do");
        assert_eq!(forms(&all) > 1, !(path == &list || path == &changes), "{path}");
    }
    assert!(server.page(&rules, &viewer).text().contains("at least 2.0"));
    for (path, fields) in
        [(&version, vec![("name", "1.0"), ("status", "DISABLED")]), (&rules, vec![("platform", ""), ("required", "9")])]
    {
        post(&server, &viewer, path, &fields).expect(403);
    }
    assert_eq!(server.count("SELECT count(*) FROM audit WHERE action LIKE 'version.%'"), 1);
}

/// What a lock of somebody else makes slow, as only PostgreSQL can.
mod slow {
    use super::*;
    use crate::harness::Database;

    crate::harness::backend::on_postgres_alone! { a_version_whose_users_take_too_long_to_count_has_its_page }

    fn a_version_whose_users_take_too_long_to_count_has_its_page() {
        let server = Server::over(Backend::Postgres);
        let app = server.app("Crowded");
        let cookie = server.sign_in();
        server.accept(&app, &[event_of("1.0")]);
        let path = format!("/apps/{}/version?name=1.0", app.slug);
        let counted = "1 of 1 users";
        assert!(server.page(&path, &cookie).expect(200).text().contains(counted));
        let Database::Postgres(database) = server.database() else { unreachable!("it was started so") };
        let held = database.hold("LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE");
        let page = poll::until(Duration::from_secs(20), "an answer that is not kept", || {
            let page = server.page(&path, &cookie).expect(200).text();
            (!page.contains(counted)).then_some(page)
        });
        assert!(page.contains("too many in this range") && page.contains("Set status"), "{page}");
        drop(held);
    }
}
