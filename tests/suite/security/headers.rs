//! What browsers are told with every answer: of every route, signed in and not, and of everything that goes wrong.

use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::{Backend, Server};
use crate::routes::{Route, routes};

on_both_backends! {
    every_answer_of_every_route_is_guarded,
    over_tls_browsers_are_told_to_stay_there,
}

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; \
                      connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'; \
                      object-src 'none'; require-trusted-types-for 'script'";

/// That of answers which are no pages.
const NOTHING: &str = "default-src 'none'; frame-ancestors 'none'";

#[track_caller]
fn guarded(reply: &Reply, what: &str) {
    let has = |name: &str| reply.header(name).unwrap_or_else(|| panic!("{what}: no {name} in {:?}", reply.headers));
    let policy = has("content-security-policy");
    assert!([POLICY, NOTHING].contains(&policy), "{what}: {policy}");
    let html = reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    assert!(!html || policy == POLICY, "{what}: a page under {policy}");
    assert_eq!(has("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(has("x-frame-options"), "DENY", "{what}");
    assert_eq!(has("referrer-policy"), "same-origin", "{what}");
    // Pages of any origin load what PostHog's SDK for browsers asks first.
    let policy = if what.contains("/config.js (200)") { "cross-origin" } else { "same-origin" };
    assert_eq!(has("cross-origin-resource-policy"), policy, "{what}");
    assert!(has("permissions-policy").contains("camera=()"), "{what}");
    assert!(!has("x-request-id").is_empty(), "{what}");
    for name in ["content-security-policy", "x-frame-options", "cache-control", "referrer-policy"] {
        let count = reply.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).count();
        assert!(count <= 1, "{what}: {name} {count} times");
    }
    assert!(reply.header("server").is_none() && reply.header("x-powered-by").is_none(), "{what}");
    let kept = has("cache-control");
    let public = kept.contains("immutable") || kept.contains("max-age") || kept == "private, no-cache";
    assert!(kept.contains("no-store") || public, "{what}: {kept}");
    if html {
        assert!(kept.contains("no-store"), "{what}: a page may be kept: {kept}");
    }
    if (300..400).contains(&reply.status) {
        let place = reply.header("location").unwrap_or_default();
        assert!(place.starts_with('/') && !place.starts_with("//"), "{what} leads to {place}");
    }
}

fn every_answer_of_every_route_is_guarded(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Headers");
    let cookie = server.sign_in();
    let mut seen = std::collections::BTreeSet::new();
    for route in routes(&server, &app) {
        for request in variants(&route, &cookie) {
            let reply = server.send(&request);
            guarded(&reply, &format!("{} {} ({})", request.method, request.target, reply.status));
            seen.insert(reply.status);
        }
    }
    for request in [
        Request::get("/no/such/page"),
        Request::get("/assets/none.css"),
        Request::get("/api/no-such-thing"),
        Request::get("/v1/nowhere"),
        Request::get(&format!("/apps/{}/no-such-page/at-all", app.slug)),
        Request::post("/login", vec![b'x'; 64 << 10]).header("sec-fetch-site", "same-origin"),
        Request::post("/login", "name=a").header("content-length", "99999999999"),
        app.sdk(&vec![b' '; 34 << 20]),
        app.sdk(b"{"),
        Request { method: "OPTIONS", ..Request::get(&app.path()) },
        Request { method: "DELETE", ..Request::get("/apps") },
        Request::get("/apps").header("host", ""),
    ] {
        let reply = server.send(&request);
        guarded(&reply, &format!("{} {} ({})", request.method, request.target, reply.status));
        seen.insert(reply.status);
    }
    for status in [200, 303, 400, 401, 403, 404, 405, 413] {
        assert!(seen.contains(&status), "no answer was {status}: {seen:?}");
    }
    // What a page fails with when its database is away is as guarded as all else.
    if let crate::harness::Database::Sqlite(_) = server.database() {
        server.database().alter("ALTER TABLE apps RENAME TO gone");
        let reply = server.page("/apps", &cookie);
        assert_eq!(reply.status, 500, "{}", reply.text());
        guarded(&reply, "a failing page");
    }
}

/// The route as it is meant, by a stranger, and by a method that it does not have.
fn variants(route: &Route, cookie: &str) -> Vec<Request> {
    let plain = route.request();
    let other =
        if route.post { Request::get(&route.path) } else { Request { method: "PUT", ..Request::get(&route.path) } };
    vec![plain.clone().header("cookie", cookie), plain, other.header("cookie", cookie)]
}

fn over_tls_browsers_are_told_to_stay_there(backend: Backend) {
    let launch = Server::with().backend(backend).setting("TALLYBOX_TRUSTED_PROXIES", "127.0.0.1/32");
    let server = launch.start();
    let app = server.app("Encrypted");
    for route in routes(&server, &app) {
        let secure =
            server.send(&route.request().header("x-forwarded-proto", "https").header("x-forwarded-for", "203.0.113.9"));
        assert_eq!(secure.header("strict-transport-security"), Some("max-age=31536000"), "{}", route.path);
        let plain = server.send(&route.request());
        assert_eq!(plain.header("strict-transport-security"), None, "{}", route.path);
    }
    let page = server.send(&Request::get("/login").header("x-forwarded-proto", "https")).expect(200);
    assert_eq!(page.header("cross-origin-opener-policy"), Some("same-origin"));
}
