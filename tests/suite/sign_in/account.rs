//! A member's own account: sessions, password, second factor, and what asks for a proof.

use super::{Browser, age_proofs, audited, location, turn_on};
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, MEMBER, PASSWORD, Server};
use crate::pages::hidden;

on_both_backends! {
    own_sessions_are_listed_and_ended,
    a_new_password_ends_all_other_sessions,
    wrong_passwords_of_a_member_who_is_in_are_stopped,
    dangerous_acts_want_a_fresh_proof,
    a_proof_gives_the_login_another_token,
    who_is_shut_out_is_out_at_once,
    a_secret_is_drawn_and_shown_until_it_counts,
}

const NEW: &str = "four sober lighthouse words";

/// The value that a form of the page gives to end a session.
fn handles(page: &str) -> Vec<String> {
    let values = page.split("name=\"end\" value=\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    values.filter(|value| value.len() == 32).collect()
}

fn own_sessions_are_listed_and_ended(backend: Backend) {
    let server = Server::over(backend);
    let mut desk = Browser::signed_in(&server, "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0", MEMBER);
    let mut phone = Browser::signed_in(&server, "Mozilla/5.0 (Linux; Android 15) Chrome/140", MEMBER);
    let mut tablet = Browser::signed_in(&server, "Mozilla/5.0 (iPad) Safari/605", MEMBER);
    server.member("eve", "viewer", "default");
    let mut eve = Browser::signed_in(&server, "curl/8", "eve");
    let page = desk.get("/account").expect(200).text();
    for words in ["Firefox on Linux", "Chrome on Android", "Safari on iPadOS", "this one", "by password", "last seen"] {
        assert!(page.contains(words), "{words} in {page}");
    }
    assert!(!page.contains("127.0.0.1") && !page.contains(phone.cookie("tallybox").unwrap()), "{page}");
    let ends = handles(&page);
    assert_eq!(ends.len(), 2, "all but this one");
    // The newest stands first: that of the tablet.
    assert_eq!(location(&desk.submit("/account", "/account/sessions", &[("end", &ends[0])])), "/account?done=session");
    assert!(!tablet.is_in() && phone.is_in() && desk.is_in());
    // Nobody ends the sessions of somebody else.
    eve.submit("/account", "/account/sessions", &[("end", &ends[1])]).expect(303);
    assert!(phone.is_in());
    desk.submit("/account", "/account/sessions", &[("end", "others")]).expect(303);
    assert!(!phone.is_in() && desk.is_in() && eve.is_in());
    phone.give_password(MEMBER, PASSWORD).expect(303);
    assert_eq!(location(&desk.submit("/account", "/account/sessions", &[("end", "all")])), "/login");
    assert!(!phone.is_in() && !desk.is_in() && eve.is_in());
    assert!(desk.cookie("tallybox").is_none());
    let lines = audited(&server, "login.signed_out");
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert_eq!(lines[2], format!("{MEMBER}|Firefox on Linux|{MEMBER}|everywhere"));
}

fn a_new_password_ends_all_other_sessions(backend: Backend) {
    let server = Server::over(backend);
    let mut desk = Browser::signed_in(&server, "Firefox/140 Linux", MEMBER);
    let mut phone = Browser::signed_in(&server, "curl/8", MEMBER);
    let before = desk.cookie("tallybox").unwrap().to_owned();
    let change = |browser: &mut Browser<'_>, current: &str, new: &str| {
        browser.submit("/account", "/account/password", &[("current", current), ("new", new)])
    };
    let short = change(&mut desk, PASSWORD, "short").expect(422).text();
    assert!(short.contains("at least 12 characters"), "{short}");
    assert!(change(&mut desk, "another one entirely", NEW).expect(401).text().contains("present password is another"));
    assert!(phone.is_in());
    let done = change(&mut desk, PASSWORD, NEW);
    assert_eq!(location(&done), "/account?done=password");
    assert!(desk.get("/account?done=password").text().contains("Your password is changed"));
    assert!(desk.is_in() && !phone.is_in());
    let mut old = Browser::new(&server, "curl/8");
    old.keep("tallybox", &before);
    assert!(!old.is_in(), "the login goes on under another token");
    old.give_password(MEMBER, PASSWORD).expect(401);
    old.give_password(MEMBER, NEW).expect(303);
    assert_eq!(audited(&server, "login.password_changed"), [format!("{MEMBER}|Firefox on Linux|{MEMBER}|")]);
}

fn wrong_passwords_of_a_member_who_is_in_are_stopped(backend: Backend) {
    let server = Server::over(backend);
    // Strangers who fail with the name do not keep its member, who is in, from it.
    let mut desk = Browser::signed_in(&server, "Firefox/140 Linux", MEMBER);
    let mut thief = Browser::new(&server, "curl/8");
    for _ in 0..5 {
        thief.give_password(MEMBER, "wrong").expect(401);
    }
    thief.give_password(MEMBER, PASSWORD).expect(429);
    desk.submit("/account", "/account/password", &[("current", PASSWORD), ("new", NEW)]).expect(303);
    for _ in 0..5 {
        desk.submit("/account", "/account/password", &[("current", "wrong"), ("new", PASSWORD)]).expect(401);
    }
    desk.submit("/account", "/account/password", &[("current", NEW), ("new", PASSWORD)]).expect(429);
    assert!(desk.is_in());
}

fn dangerous_acts_want_a_fresh_proof(backend: Backend) {
    let server = Server::over(backend);
    let mut desk = Browser::signed_in(&server, "Firefox/140 Linux", MEMBER);
    let (app, _) = turn_on(&mut desk);
    let csrf = hidden(&desk.get("/account").text(), "csrf");
    age_proofs(&server);
    assert!(desk.is_in(), "looking goes on");
    assert_eq!(location(&desk.get("/account/two-factor")), "/confirm?next=%2Faccount%2Ftwo-factor");
    // A form that was open all the while is told, and nothing happens.
    let from = format!("{}/account/two-factor", server.url());
    let form = Request::form("/account/two-factor/off", &[("csrf", &csrf)]);
    let told = desk.send(form.clone().header("referer", &from)).expect(403).text();
    assert!(told.contains("Nothing was changed") && told.contains("/confirm?next=%2Faccount%2Ftwo-factor"), "{told}");
    for elsewhere in ["https://evil.example//evil.example/x", "nonsense", "https://evil.example"] {
        let told = desk.send(form.clone().header("referer", elsewhere)).expect(403).text();
        assert!(told.contains("/confirm?next=%2Fapps\""), "{elsewhere}: {told}");
    }
    assert_eq!(server.count("SELECT count(*) FROM two_factor"), 1);
    let page = desk.get("/confirm?next=/account/two-factor").expect(200).text();
    assert!(page.contains("name=\"code\"") && !page.contains("name=\"password\""), "{page}");
    let give = |browser: &mut Browser<'_>, field: &str, value: &str| {
        let fields = [(field, value), ("next", "/account/two-factor")];
        browser.submit("/confirm", "/confirm", &fields)
    };
    give(&mut desk, "code", "000000").expect(401);
    give(&mut desk, "password", PASSWORD).expect(401);
    assert_eq!(location(&give(&mut desk, "code", &app.code(0))), "/account/two-factor");
    desk.get("/account/two-factor").expect(200);
    let off = desk.submit("/account/two-factor", "/account/two-factor/off", &[]);
    assert_eq!(location(&off), "/account?done=two-factor-off");
    assert_eq!(audited(&server, "login.two_factor_off").len(), 1);
    assert_eq!(audited(&server, "login.confirmed").len(), 1);
    // Without a second factor the password is the proof.
    age_proofs(&server);
    give(&mut desk, "password", PASSWORD).expect(303);
    assert_eq!(location(&desk.get("/confirm?next=//evil.example")), "/account");
}

fn a_proof_gives_the_login_another_token(backend: Backend) {
    let server = Server::over(backend);
    let mut desk = Browser::signed_in(&server, "Firefox/140 Linux", MEMBER);
    let before = desk.cookie("tallybox").unwrap().to_owned();
    age_proofs(&server);
    let fields = [("password", PASSWORD), ("next", "/account")];
    desk.submit("/confirm?next=/account", "/confirm", &fields).expect(303);
    assert_ne!(desk.cookie("tallybox").unwrap(), before);
    let mut old = Browser::new(&server, "curl/8");
    old.keep("tallybox", &before);
    assert!(!old.is_in() && desk.is_in());
    assert_eq!(server.count("SELECT count(*) FROM logins"), 1);
}

fn who_is_shut_out_is_out_at_once(backend: Backend) {
    let server = Server::over(backend);
    server.member("eve", "admin", "default");
    let mut eve = Browser::signed_in(&server, "curl/8", "eve");
    assert!(eve.is_in());
    let cookie = eve.cookie("tallybox").unwrap().to_owned();
    server.run(&["member", "disable", "eve"]);
    assert!(!eve.is_in());
    eve.give_password("eve", PASSWORD).expect(401);
    server.run(&["member", "enable", "eve"]);
    eve.keep("tallybox", &cookie);
    assert!(!eve.is_in(), "the old login stays dead");
    eve.give_password("eve", PASSWORD).expect(303);
}

fn a_secret_is_drawn_and_shown_until_it_counts(backend: Backend) {
    let server = Server::over(backend);
    let mut desk = Browser::signed_in(&server, "Firefox/140 Linux", MEMBER);
    assert!(desk.get("/account/two-factor").expect(200).text().contains("Begin"));
    desk.submit("/account/two-factor", "/account/two-factor/begin", &[]).expect(303);
    let page = desk.get("/account/two-factor").expect(200).text();
    assert!(page.contains("<svg class=\"qr\" viewBox=\"0 0 ") && !page.contains(" style="), "{page}");
    let secret = |page: &str| page.split("<code data-copy>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    let first = secret(&page);
    assert_eq!(first.replace(' ', "").len(), 32);
    let wrong =
        desk.submit("/account/two-factor", "/account/two-factor/confirm", &[("code", "000000")]).expect(422).text();
    assert!(secret(&wrong) == first, "the same is shown again");
    // Nothing is asked for yet, and what is stored cannot be read.
    Browser::signed_in(&server, "curl/8", MEMBER);
    let stored = server.sql(&format!("SELECT {} FROM two_factor", server.database().hex("sealed_secret")));
    assert!(!stored.contains(&first.replace(' ', "")) && stored.trim().len() == 120, "{stored}");
    let (_, codes) = turn_on(&mut desk);
    let page = desk.get("/account/two-factor").expect(200).text();
    assert!(!page.contains("<svg class=\"qr\"") && !page.contains(&codes[0]), "{page}");
}
