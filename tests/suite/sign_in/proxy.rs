//! A proxy that names who is signed in with it.

use super::{Browser, age_proofs, audited, location};
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, MEMBER, PASSWORD, Server};
use crate::pages::hidden;

on_both_backends! {
    a_trusted_proxy_names_who_is_in,
    nobody_else_names_anybody,
}

const HEADER: &str = "remote-user";

fn behind(backend: Backend, trusted: &str) -> Server {
    let launch = Server::with().backend(backend).setting("TALLYBOX_TRUSTED_USER_HEADER", "Remote-User");
    launch.setting("TALLYBOX_TRUSTED_PROXIES", trusted).start()
}

fn named(path: &str, name: &str) -> Request {
    Request::get(path).header(HEADER, name)
}

fn a_trusted_proxy_names_who_is_in(backend: Backend) {
    let server = behind(backend, "127.0.0.1");
    server.member("eve", "viewer", "default");
    let mut browser = Browser::new(&server, "Firefox/140 Linux");
    assert_eq!(location(&browser.send(named("/account", "EVE"))), "/login?next=%2Faccount");
    assert_eq!(location(&browser.send(named("/login?next=%2Faccount", "EVE"))), "/account");
    let page = browser.send(named("/account", "EVE")).expect(200).text();
    assert!(page.contains("by proxy"), "{page}");
    assert_eq!(audited(&server, "login.signed_in"), ["eve|Firefox on Linux|eve|proxy"]);
    // The cookie is good for nobody else, and for nothing that has not passed the proxy.
    browser.send(named("/account", MEMBER)).expect(303);
    browser.get("/account").expect(303);
    // Forms need what they always need.
    let csrf = hidden(&page, "csrf");
    let out =
        |csrf: &str| Request::form("/account/sessions", &[("csrf", csrf), ("end", "others")]).header(HEADER, "eve");
    browser.send(out("x")).expect(403);
    browser.send(out(&csrf).without("sec-fetch-site").header("sec-fetch-site", "cross-site")).expect(403);
    browser.send(out(&csrf)).expect(303);
    // It proves nothing: dangerous acts ask for the password.
    assert!(location(&browser.send(named("/account/two-factor", "eve"))).starts_with("/confirm"));
    let csrf = hidden(&browser.send(named("/confirm", "eve")).expect(200).text(), "csrf");
    let proof = Request::form("/confirm", &[("csrf", &csrf), ("password", PASSWORD), ("next", "/account/two-factor")]);
    browser.send(proof.header(HEADER, "eve")).expect(303);
    browser.send(named("/account/two-factor", "eve")).expect(200);
    age_proofs(&server);
    // A member who does not exist, or is shut out, gets a page that says so.
    for name in ["nobody", "<b>x</b>"] {
        let told = Browser::new(&server, "curl/8").send(named("/login", name)).expect(403).text();
        assert!(told.contains("You are not known here") && !told.contains("<b>"), "{told}");
    }
    server.run(&["member", "disable", "eve"]);
    browser.send(named("/account", "eve")).expect(303);
    browser.send(named("/login", "eve")).expect(403);
    assert_eq!(audited(&server, "login.failed").len(), 3);
    // Who signs out is told that the proxy signs them in again.
    let mut owner = Browser::new(&server, "curl/8");
    owner.send(named("/login", MEMBER)).expect(303);
    let csrf = hidden(&owner.send(named("/account", MEMBER)).expect(200).text(), "csrf");
    let told = owner.send(Request::form("/logout", &[("csrf", &csrf)]).header(HEADER, MEMBER)).expect(200);
    assert!(told.text().contains("Signed out here") && owner.cookie("tallybox").is_none(), "{}", told.text());
}

fn nobody_else_names_anybody(backend: Backend) {
    let server = behind(backend, "127.0.0.2");
    let mut browser = Browser::new(&server, "curl/8");
    browser.send(named("/account", MEMBER)).expect(303);
    assert!(browser.send(named("/login", MEMBER)).expect(200).text().contains("name=\"password\""));
    // A login that a password has given is good without the header, and with it.
    browser.give_password(MEMBER, PASSWORD).expect(303);
    browser.send(named("/account", "somebody else")).expect(200);
    assert_eq!(server.count("SELECT count(*) FROM logins"), 1);
    // Two names are none, even from a trusted proxy.
    let server = behind(backend, "127.0.0.1");
    let mut browser = Browser::new(&server, "curl/8");
    let twice = named("/login", MEMBER).header(HEADER, MEMBER);
    assert!(browser.send(twice).expect(200).text().contains("name=\"password\""));
    // And where no header is set up, none is looked at.
    let server = Server::with().backend(backend).setting("TALLYBOX_TRUSTED_PROXIES", "127.0.0.1").start();
    assert!(server.send(&named("/login", MEMBER)).expect(200).text().contains("name=\"password\""));
}
