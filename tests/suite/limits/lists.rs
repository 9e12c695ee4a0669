//! Networks and origins that an app lists.

use serde_json::json;

use super::{post, set};
use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::kit::{self, Credentials};
use crate::harness::{Backend, Server};
use crate::teardown::client::Client;

on_both_backends! {
    only_listed_networks_may_send,
    only_listed_origins_may_send_and_read_the_answer,
    what_is_no_network_or_origin_is_said,
}

const PAGE: &str = "https://app.example.com";
const OTHER: &str = "https://other.example.com";

fn only_listed_networks_may_send(backend: Backend) {
    let server = Server::with().backend(backend).setting("TALLYBOX_TRUSTED_PROXIES", "127.0.0.1").start();
    let app = server.app("Fenced");
    let client = Client::new(&server, &app);
    set(&server, &app, &[("act", "lists"), ("networks", "203.0.113.0/24\r\n 2001:db8::/32 \r\n"), ("origins", "")]);
    for (address, admitted) in
        [("203.0.113.9", true), ("2001:db8:5::1", true), ("203.0.114.1", false), ("2001:db9::1", false)]
    {
        let signed = app.sdk(&kit::batch(&[kit::event("a")])).header("x-forwarded-for", address);
        let reply = server.send(&signed);
        assert_eq!(reply.status, if admitted { 200 } else { 403 }, "{address}");
        assert!(admitted || reply.json()["error"] == "forbidden", "{}", reply.text());
        let shown = client.request("/v1/identify", &client.identify_body(None)).header("x-forwarded-for", address);
        let reply = client.send(&shown);
        assert_eq!(reply.status, if admitted { 200 } else { 403 }, "{address}");
        assert!(admitted || reply.json()["error"]["code"] == "FORBIDDEN", "{}", reply.text());
    }
    let unproved = Credentials { secret: "wrong".to_owned(), ..app.clone() };
    let stranger = unproved.sdk(&kit::batch(&[])).header("x-forwarded-for", "203.0.114.1");
    server.send(&stranger).expect(401);
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains(r#"tallybox_turned_away_total{reason="address"} 4"#), "{metrics}");
    let page = server.page(&format!("/apps/{}/limits", app.slug), &server.sign_in()).expect(200).text();
    assert!(page.contains("Address not in a listed network") && page.contains("2001:db8::/32"), "{page}");
}

fn allowed(reply: &Reply) -> Option<&str> {
    reply.header("access-control-allow-origin")
}

fn preflight(path: &str, origin: &str) -> Request {
    let request = Request { method: "OPTIONS", ..Request::get(path) };
    request.header("origin", origin).header("access-control-request-method", "POST")
}

fn only_listed_origins_may_send_and_read_the_answer(backend: Backend) {
    // The box lets no page send by telemetry-kit, and every page by Teardown: what an app lists comes before both.
    let server = Server::over(backend);
    let (app, open) = (server.app("Web"), server.app("Open"));
    let (client, free) = (Client::new(&server, &app), Client::new(&server, &open));
    let signed = |app: &Credentials, origin: &str| {
        server.send(&app.sdk(&kit::batch(&[kit::event("a")])).header("origin", origin))
    };
    let shown = |client: &Client, origin: &str| {
        client.send(&client.request("/v1/identify", &client.identify_body(None)).header("origin", origin))
    };
    let before = signed(&app, PAGE).expect(200);
    assert_eq!(allowed(&before), None);
    set(&server, &app, &[("act", "lists"), ("networks", ""), ("origins", "HTTPS://App.example.com/")]);
    assert_eq!(allowed(&signed(&app, PAGE).expect(200)), Some(PAGE));
    let refused = signed(&app, OTHER).expect(403);
    assert_eq!((allowed(&refused), refused.json()["error"].as_str()), (None, Some("forbidden")));
    assert_eq!(allowed(&shown(&client, PAGE).expect(200)), Some(PAGE));
    let refused = shown(&client, OTHER).expect(403);
    assert_eq!((allowed(&refused), &refused.json()["error"]["code"]), (None, &json!("FORBIDDEN")));
    // A program that is no browser tells no origin.
    server.accept(&app, &[kit::event("a")]);
    // Another app goes on as the box is set.
    assert_eq!(allowed(&signed(&open, OTHER).expect(200)), None);
    assert_eq!(allowed(&shown(&free, OTHER).expect(200)), Some("*"));
    // A preflight does not say to which app its request will go.
    for (path, origin, expected) in [
        (app.path(), PAGE, Some(PAGE)),
        (app.path(), OTHER, None),
        ("/events/batch".to_owned(), PAGE, Some(PAGE)),
        ("/v1/events".to_owned(), PAGE, Some("*")),
    ] {
        assert_eq!(allowed(&server.send(&preflight(&path, origin))), expected, "{path} {origin}");
    }
    set(&server, &app, &[("act", "lists"), ("networks", ""), ("origins", "")]);
    assert_eq!(allowed(&signed(&app, OTHER).expect(200)), None);
}

fn what_is_no_network_or_origin_is_said(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Typed");
    let (cookie, path) = (server.sign_in(), format!("/apps/{}/limits", app.slug));
    let many = "192.0.2.1\n".repeat(101);
    for (networks, origins, said) in [
        ("10.0.0.0/33", "", "10.0.0.0/33"),
        ("example.com", "", "neither an address nor a network"),
        ("", "app.example.com", "no origin"),
        ("", "*", "no origin"),
        (many.as_str(), "", "At most 100"),
    ] {
        let fields = [("act", "lists"), ("networks", networks), ("origins", origins)];
        let page = post(&server, &cookie, &path, &fields).expect(422).text();
        assert!(page.contains(said) && page.contains("problem"), "{networks} {origins}: {page}");
    }
    assert_eq!(server.count("SELECT count(*) FROM app_limits"), 0);
}
