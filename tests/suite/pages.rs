//! Pages as browsers get them: before set-up, empty, filled and forbidden.

mod connect;
mod errors;
mod events;
mod journeys;
mod of_box;
mod people;
mod ranges;
mod rights;
mod snapshots;
mod still;
mod year;

use std::io::Write;
use std::sync::Mutex;
use std::thread;

use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::{Backend, MEMBER, PASSWORD, Server, kit};

on_both_backends! {
    nothing_is_open_before_set_up,
    the_printed_link_makes_the_first_account_once,
    a_token_from_a_file_opens_set_up_without_a_person,
    a_hundred_takers_at_once_yield_one_account,
    strangers_are_sent_to_sign_in_and_back,
    a_wrong_password_and_an_unknown_name_look_alike,
    cookies_are_guarded_and_end_with_the_login,
    an_app_without_events_waits_for_the_first,
    the_overview_shows_what_was_sent,
    hostile_events_stay_text,
    a_full_overview_packs_into_60_kb,
    set_aside_events_are_shown_with_their_reason,
    keys_are_made_rotated_and_revoked_on_their_page,
    viewers_look_and_do_not_touch,
    every_error_has_a_page_of_its_own,
}

fn nothing_is_open_before_set_up(backend: Backend) {
    let server = Server::with().backend(backend).start_fresh();
    for path in ["/apps", "/apps/new", "/apps/any/keys", "/login"] {
        let reply = server.get(path);
        assert_eq!((reply.status, reply.header("location")), (303, Some("/")), "{path}: {}", reply.text());
    }
    let home = server.get("/").expect(200);
    assert!(!home.text().contains("type=\"password\""), "the home page asks for a password");
    lint(&home);
    server.send(&Request::form("/login", &[("name", MEMBER), ("password", PASSWORD)])).expect(303);
    server.get("/no/such/page").expect(404);
    server.get("/health/live").expect(200);
    server.get("/health/ready").expect(200);
    for path in ["/setup", "/setup?token=guess", "/setup?token="] {
        let page = server.get(path).expect(403);
        assert!(!page.text().contains("type=\"password\""), "{path} opens without the token");
        lint(&page);
    }
}

fn the_printed_link_makes_the_first_account_once(backend: Backend) {
    let server = Server::with().backend(backend).start_fresh();
    let link = server.setup_link();
    let page = server.get(&link).expect(200).text();
    assert!(page.contains("type=\"password\""), "{page}");
    assert_eq!(set_up(&server, "weak@example.org", "short").status, 422, "a weak password");
    let reply = set_up(&server, MEMBER, PASSWORD).expect(303);
    server.page("/apps", &reply.cookie().unwrap()).expect(200);
    assert_ne!(set_up(&server, "second@example.org", PASSWORD).status, 303);
    server.get(&link).expect(303);
    server.page("/apps", &server.sign_in()).expect(200);
    assert_eq!(server.count("SELECT count(*) FROM members"), 1);
}

fn a_token_from_a_file_opens_set_up_without_a_person(backend: Backend) {
    let token = "bootstrap-4f1c9a0be25d7738a6";
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{token}\n")).unwrap();
    let server =
        Server::with().backend(backend).setting("TALLYBOX_SETUP_TOKEN_FILE", file.path().display()).start_fresh();
    assert!(!server.log().contains(token), "{}", server.log());
    let fields = [("token", token), ("name", MEMBER), ("password", PASSWORD)];
    server.send(&Request::form("/setup", &fields)).expect(303);
}

fn a_hundred_takers_at_once_yield_one_account(backend: Backend) {
    let server = Server::with().backend(backend).start_fresh();
    let statuses = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for taker in 0..100 {
            let (server, statuses) = (&server, &statuses);
            scope.spawn(move || {
                let reply = set_up(server, &format!("taker{taker}@example.org"), PASSWORD);
                statuses.lock().unwrap().push(reply.status);
            });
        }
    });
    let statuses = statuses.into_inner().unwrap();
    assert_eq!(statuses.iter().filter(|status| **status == 303).count(), 1, "{statuses:?}");
    assert!(statuses.iter().all(|status| *status < 500 || *status == 503), "{statuses:?}");
    assert_eq!(server.count("SELECT count(*) FROM members"), 1);
}

fn set_up(server: &Server, name: &str, password: &str) -> Reply {
    let link = server.setup_link();
    let token = link.split_once("token=").unwrap().1;
    let fields = [("token", token), ("name", name), ("password", password)];
    server.send(&Request::form("/setup", &fields))
}

fn strangers_are_sent_to_sign_in_and_back(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Mine");
    let reply = server.get(&format!("/apps/{}", app.slug)).expect(303);
    let place = reply.header("location").unwrap();
    assert!(place.starts_with("/login?next=") && place.contains(&app.slug), "{place}");
    let fields = [("name", MEMBER), ("password", PASSWORD), ("next", &format!("/apps/{}", app.slug))];
    let reply = server.send(&Request::form("/login", &fields)).expect(303);
    assert_eq!(reply.header("location"), Some(format!("/apps/{}", app.slug).as_str()));
}

fn a_wrong_password_and_an_unknown_name_look_alike(backend: Backend) {
    let server = Server::over(backend);
    let attempt = |name, password| {
        let reply = server.send(&Request::form("/login", &[("name", name), ("password", password)]));
        assert!(reply.cookie().is_none());
        (reply.status, reply.text().replace(name, "NAME"))
    };
    let wrong = attempt(MEMBER, "not the password at all");
    assert_eq!(wrong, attempt("nobody@example.org", "not the password at all"));
    assert_ne!(wrong.0, 303);
}

fn cookies_are_guarded_and_end_with_the_login(backend: Backend) {
    let server = Server::over(backend);
    let form = Request::form("/login", &[("name", MEMBER), ("password", PASSWORD)]);
    let planted = form.header("cookie", "tallybox=planted");
    let reply = server.send(&planted).expect(303);
    let cookie = reply.header("set-cookie").unwrap();
    for flag in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(cookie.contains(flag), "{cookie}");
    }
    assert!(!cookie.contains("planted"), "{cookie}");
    let cookie = reply.cookie().unwrap();
    let page = server.page("/apps", &cookie).expect(200).text();
    let fields = [("csrf", hidden(&page, "csrf"))];
    let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    server.send(&Request::form("/logout", &fields).header("cookie", &cookie)).expect(303);
    assert_ne!(server.page("/apps", &cookie).status, 200);
}

/// Value of a hidden field.
pub fn hidden(page: &str, name: &str) -> String {
    let tag = page.split('<').find(|tag| tag.contains(&format!("name=\"{name}\"")));
    let tag = tag.unwrap_or_else(|| panic!("no field {name} in {page}"));
    tag.split_once("value=\"").unwrap().1.split('"').next().unwrap().to_owned()
}

fn an_app_without_events_waits_for_the_first(backend: Backend) {
    let server = Server::over(backend);
    let cookie = server.sign_in();
    lint(&server.page("/apps", &cookie).expect(200));
    let app = server.app("Quiet");
    let overview = server.page(&format!("/apps/{}", app.slug), &cookie).expect(200);
    assert!(overview.text().to_lowercase().contains("waiting for the first event"), "{}", overview.text());
    lint(&overview);
}

fn the_overview_shows_what_was_sent(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Lively");
    let events: Vec<_> = (0..7).map(|_| kit::event("export_finished")).collect();
    server.accept(&app, &events);
    server.accept(&app, &[kit::event("rare_thing")]);
    let cookie = server.sign_in();
    let path = format!("/apps/{}", app.slug);
    for path in [path.clone(), format!("{path}?range=7d"), format!("{path}?range=today")] {
        let overview = server.page(&path, &cookie).expect(200);
        let text = overview.text();
        for part in ["export_finished", "rare_thing", "1.2.3", "linux", "<svg", "<table"] {
            assert!(text.contains(part), "{path}: no {part} in {text}");
        }
        lint(&overview);
    }
    let development = server.page(&format!("{path}/development"), &cookie);
    assert!(!development.text().contains("export_finished"), "events of one environment count in another");
}

fn hostile_events_stay_text(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Hostile <b>&\"");
    let payloads =
        ["<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "{{7*7}}", "</svg><svg onload=alert(1)>"];
    let events: Vec<_> = payloads
        .iter()
        .map(|payload| {
            let mut event = kit::event(payload);
            for pointer in ["/service/version", "/environment/os", "/environment/arch", "/event/data/command"] {
                *event.pointer_mut(pointer).unwrap() = (*payload).into();
            }
            event
        })
        .collect();
    server.accept(&app, &events);
    let cookie = server.sign_in();
    for path in ["/apps".to_owned(), format!("/apps/{}", app.slug)] {
        let page = server.page(&path, &cookie).expect(200);
        for payload in payloads.iter().filter(|payload| payload.contains('<')).chain(&["Hostile <b>"]) {
            assert!(!page.text().contains(payload), "{path} holds {payload} as markup");
        }
        lint(&page);
    }
}

fn a_full_overview_packs_into_60_kb(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Full");
    let noise = || (0..5).map(|_| format!("<{}>", uuid::Uuid::new_v4())).collect::<String>();
    let events: Vec<_> = (0..40)
        .map(|_| {
            let mut event = kit::event(&noise());
            let props: serde_json::Map<_, _> = (0..100).map(|n| (format!("{n}"), noise().into())).collect();
            event["event"]["data"] = props.into();
            event
        })
        .collect();
    server.accept(&app, &events);
    let cookie = server.sign_in();
    for range in ["", "?range=90d", "?range=year&by=day"] {
        let page = server.page(&format!("/apps/{}{range}", app.slug), &cookie).expect(200);
        lint(&page);
        assert!(page.text().contains("Newest events"), "{}", page.text());
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        packed.write_all(page.text().as_bytes()).unwrap();
        let packed = packed.finish().unwrap().len();
        assert!(packed < 60_000 && page.text().len() < 120_000, "{range}: {packed} of {}", page.text().len());
    }
}

fn set_aside_events_are_shown_with_their_reason(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Careless");
    let cookie = server.sign_in();
    let path = format!("/apps/{}/set-aside", app.slug);
    assert!(server.page(&path, &cookie).expect(200).text().contains("Nothing set aside"));
    let mut nameless = kit::event("x");
    nameless["event"] = serde_json::json!({ "data": { "<script>": "kept" } });
    server.send(&app.sdk(&kit::batch(&[nameless]))).expect(200);
    let page = server.page(&path, &cookie).expect(200);
    for part in ["Not a valid event:", "<code>event.type</code> is missing", "kept", ">All 1<"] {
        assert!(page.text().contains(part), "no {part} in {}", page.text());
    }
    assert!(!page.text().contains("\"<script>"), "{}", page.text());
    lint(&page);
}

fn keys_are_made_rotated_and_revoked_on_their_page(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Locked");
    let cookie = server.sign_in();
    let path = format!("/apps/{}/keys", app.slug);
    let csrf = hidden(&server.page(&path, &cookie).expect(200).text(), "csrf");
    let post = |path: &str, fields: &[(&str, &str)]| {
        let fields: Vec<_> = fields.iter().copied().chain([("csrf", csrf.as_str())]).collect();
        server.send(&Request::form(path, &fields).header("cookie", &cookie))
    };
    let key_in = |page: &str, action: &str| -> String {
        let before = page.split(&format!("/{action}\"")).next().unwrap();
        before.rsplit('/').next().unwrap().to_owned()
    };
    let shown = post(&path, &[("name", "Nightly <builds>"), ("environment", "development")]).expect(200);
    lint(&shown);
    assert!(shown.text().contains("<dd>development</dd>"), "{}", shown.text());
    let newest = key_in(&server.page(&path, &cookie).text(), "rotate");
    let shown = post(&format!("{path}/{newest}/rotate"), &[("overlap", "7")]).expect(200);
    assert!(shown.text().contains("keeps working until"), "{}", shown.text());
    let rotated = server.page(&path, &cookie).expect(200);
    assert_eq!(rotated.text().matches("Nightly &#60;builds&#62;</strong>").count(), 2, "{}", rotated.text());
    assert_eq!(rotated.text().matches("badge warn").count(), 1, "only the old one ends");
    let newest = key_in(&rotated.text(), "revoke");
    post(&format!("{path}/{newest}/revoke"), &[]).expect(303);
    let revoked = server.page(&path, &cookie).expect(200);
    assert_eq!(revoked.text().matches(">revoked<").count(), 1, "{}", revoked.text());
    lint(&revoked);
    assert_eq!(post(&path, &[("name", "  "), ("environment", "production")]).status, 422);
}

fn viewers_look_and_do_not_touch(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Looked at");
    server.run_with(&["member", "create", "viewer@example.org", "--role", "viewer"], &format!("{PASSWORD}\n"));
    let form = Request::form("/login", &[("name", "viewer@example.org"), ("password", PASSWORD)]);
    let cookie = server.send(&form).expect(303).cookie().unwrap();
    server.page(&format!("/apps/{}", app.slug), &cookie).expect(200);
    let refused = server.page("/apps/new", &cookie).expect(403);
    lint(&refused);
    let csrf = hidden(&server.page("/apps", &cookie).text(), "csrf");
    for path in
        ["/apps/new".to_owned(), format!("/apps/{}/keys", app.slug), format!("/apps/{}/keys/1/revoke", app.slug)]
    {
        let form = Request::form(&path, &[("csrf", &csrf), ("name", "Mine")]);
        server.send(&form.header("cookie", &cookie)).expect(403);
    }
    server.accept(&app, &[kit::event("still taken")]);
}

fn every_error_has_a_page_of_its_own(backend: Backend) {
    let server = Server::over(backend);
    let cookie = server.sign_in();
    for path in ["/no/such/page", "/apps/no-such-app", "/assets/none.css"] {
        let page = server.page(path, &cookie).expect(404);
        assert!(!page.text().is_empty(), "{path}");
        lint(&page);
    }
    lint(&server.get("/login").expect(200));
}

/// Nothing inline that the policy would forbid, and the bones that every page needs.
#[track_caller]
pub fn lint(page: &Reply) {
    let text = page.text();
    assert!(page.header("content-type").is_some_and(|kind| kind.starts_with("text/html")), "{:?}", page.headers);
    for bone in ["<!doctype html>", "<html lang=", "<title>", "name=\"viewport\""] {
        assert!(text.to_lowercase().contains(bone), "no {bone} in {text}");
    }
    for tag in text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default()) {
        let inline = tag.split_whitespace().skip(1).any(|word| word.starts_with("on") && word.contains("=\""));
        assert!(!inline && !tag.contains(" style=") && !tag.contains("javascript:"), "inline code in <{tag}>");
        assert!(!tag.starts_with("style"), "a style sheet inside the page");
        assert!(!tag.starts_with("script") || tag.contains(" src=\"/"), "a script inside the page: <{tag}>");
        let foreign = tag.contains("src=\"http") || (tag.starts_with("link") && tag.contains("href=\"http"));
        assert!(!foreign, "something from elsewhere: <{tag}>");
    }
}
