//! The second step: codes, each good once, in the browser that has taken the first.

use super::{Browser, audited, location, turn_on};
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, MEMBER, PASSWORD, Server};
use crate::pages::hidden;

on_both_backends! {
    after_the_password_a_code_is_asked_for_and_each_is_good_once,
    a_recovery_code_signs_in_once,
    the_second_step_belongs_to_the_browser_of_the_first,
    guessing_codes_is_stopped,
    a_planted_login_is_never_taken_over,
    the_operator_can_turn_a_second_factor_off,
    passwords_of_guessers_are_refused_and_failures_are_written_down,
}

/// The second step, after the first in the same browser.
#[track_caller]
fn give_code(browser: &mut Browser<'_>, code: &str) -> crate::harness::http::Reply {
    browser.submit("/login/code?next=/account", "/login/code", &[("code", code), ("next", "/apps/new")])
}

fn after_the_password_a_code_is_asked_for_and_each_is_good_once(backend: Backend) {
    let server = Server::over(backend);
    let mut desk = Browser::signed_in(&server, "Firefox/140 Linux", MEMBER);
    let (app, _) = turn_on(&mut desk);
    let mut phone = Browser::new(&server, "Mozilla/5.0 (iPhone) CriOS/140");
    let reply = phone.give_password(MEMBER, PASSWORD);
    assert_eq!(location(&reply), "/login/code?next=%2Faccount");
    assert!(!phone.is_in() && phone.cookie("tallybox").is_none(), "nobody is signed in yet");
    let cookie = reply.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly; SameSite=Lax") && cookie.contains("Max-Age=300"), "{cookie}");
    give_code(&mut phone, "000000").expect(401);
    let code = app.code(0);
    assert_eq!(location(&give_code(&mut phone, &code)), "/apps/new");
    assert!(phone.is_in() && phone.cookie("tallybox-step").is_none());
    let mut thief = Browser::new(&server, "curl/8");
    thief.give_password(MEMBER, PASSWORD).expect(303);
    give_code(&mut thief, &code).expect(401);
    assert!(!thief.is_in(), "the code was used");
    let shown = phone.get("/account").text();
    assert!(shown.contains("Chrome on iOS") && shown.contains("by password and code"), "{shown}");
    assert_eq!(
        audited(&server, "login.signed_in").last().unwrap(),
        &format!("{MEMBER}|Chrome on iOS|{MEMBER}|password and code")
    );
    assert_eq!(audited(&server, "login.two_factor_on"), [format!("{MEMBER}|Firefox on Linux|{MEMBER}|")]);
    assert_eq!(audited(&server, "login.failed").len(), 2);
    // What is kept of the secret cannot be read without the master key.
    assert_eq!(server.count("SELECT max(length(sealed_secret)) FROM two_factor"), 24 + 20 + 16);
}

fn a_recovery_code_signs_in_once(backend: Backend) {
    let server = Server::over(backend);
    let mut desk = Browser::signed_in(&server, "Firefox/140 Linux", MEMBER);
    let (_, codes) = turn_on(&mut desk);
    let page = desk.get("/account/two-factor").expect(200).text();
    assert!(page.contains("10 of 10 recovery codes") && codes.iter().all(|code| !page.contains(code)), "{page}");
    let mut phone = Browser::new(&server, "curl/8");
    for (given, status) in [(codes[0].to_uppercase().replace('-', " "), 303), (codes[0].clone(), 401)] {
        phone.give_password(MEMBER, PASSWORD).expect(303);
        give_code(&mut phone, &given).expect(status);
    }
    assert_eq!(audited(&server, "login.recovery_code_used"), [format!("{MEMBER}|curl|{MEMBER}|9 left")]);
    let fresh = desk.submit("/account/two-factor", "/account/two-factor/codes", &[]).expect(200).text();
    assert!(codes.iter().all(|code| !fresh.contains(code)), "they are new");
    phone.give_password(MEMBER, PASSWORD).expect(303);
    give_code(&mut phone, &codes[1]).expect(401);
    assert_eq!(audited(&server, "login.recovery_codes_renewed").len(), 1);
    let stored = server.sql("SELECT count(*) FROM recovery_codes");
    assert_eq!(stored.trim(), "10");
}

fn the_second_step_belongs_to_the_browser_of_the_first(backend: Backend) {
    let server = Server::over(backend);
    let (app, _) = turn_on(&mut Browser::signed_in(&server, "Firefox/140 Linux", MEMBER));
    let mut first = Browser::new(&server, "curl/8");
    first.give_password(MEMBER, PASSWORD).expect(303);
    let csrf = hidden(&first.get("/login/code").expect(200).text(), "csrf");
    // Another browser knows a code and even the form's value, and has no first step.
    let mut other = Browser::new(&server, "curl/8");
    assert_eq!(location(&other.get("/login/code")), "/login");
    let code = app.code(0);
    let form = || Request::form("/login/code", &[("code", &code), ("csrf", &csrf), ("next", "/apps")]);
    other.send(form()).expect(403);
    for planted in ["x", csrf.as_str(), &first.cookie("tallybox-step").unwrap()[1..]] {
        other.keep("tallybox-step", planted);
        other.send(form()).expect(403);
    }
    // Its own first step, as somebody else, does not fit the form.
    server.member("eve", "viewer", "default");
    let mut eve = Browser::signed_in(&server, "curl/8", "eve");
    eve.keep("tallybox-step", first.cookie("tallybox").unwrap_or("none"));
    eve.send(form()).expect(403);
    first
        .send(
            form()
                .header("sec-fetch-site", "cross-site")
                .without("sec-fetch-site")
                .header("sec-fetch-site", "cross-site"),
        )
        .expect(403);
    // A first step is no login, whatever cookie it is put into.
    let step = first.cookie("tallybox-step").unwrap().to_owned();
    other.keep("tallybox", &step);
    assert!(!other.is_in());
    first.send(form()).expect(303);
    // It is over when the password changes.
    let mut late = Browser::new(&server, "curl/8");
    late.give_password(MEMBER, PASSWORD).expect(303);
    server.run_with(&["member", "passwd", MEMBER], "entirely new secret words\n");
    late.send(form()).expect(403);
}

fn guessing_codes_is_stopped(backend: Backend) {
    let server = Server::over(backend);
    let (app, _) = turn_on(&mut Browser::signed_in(&server, "Firefox/140 Linux", MEMBER));
    let mut thief = Browser::new(&server, "curl/8");
    for _ in 0..5 {
        thief.give_password(MEMBER, PASSWORD).expect(303);
        give_code(&mut thief, "123456").expect(401);
    }
    // The right password again does not begin the count anew, and now even a right code has to wait.
    thief.give_password(MEMBER, PASSWORD).expect(303);
    let code = app.code(0);
    let refused = give_code(&mut thief, &code).expect(429);
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=16).contains(&wait), "{wait}");
    assert!(!thief.is_in());
}

fn a_planted_login_is_never_taken_over(backend: Backend) {
    let server = Server::over(backend);
    let mut browser = Browser::new(&server, "curl/8");
    let planted = "a".repeat(64);
    browser.keep("tallybox", &planted);
    browser.give_password(MEMBER, PASSWORD).expect(303);
    let first = browser.cookie("tallybox").unwrap().to_owned();
    assert!(first != planted && first.len() == 64);
    // Signing in again gives another login, and ends the one that this browser had.
    browser.give_password(MEMBER, PASSWORD).expect(303);
    assert_ne!(browser.cookie("tallybox").unwrap(), first);
    for token in [planted, first] {
        let mut other = Browser::new(&server, "curl/8");
        other.keep("tallybox", &token);
        assert!(!other.is_in());
    }
    assert_eq!(server.count("SELECT count(*) FROM logins"), 1);
}

fn the_operator_can_turn_a_second_factor_off(backend: Backend) {
    let server = Server::over(backend);
    turn_on(&mut Browser::signed_in(&server, "Firefox/140 Linux", MEMBER));
    assert!(server.run(&["member", "reset-2fa", MEMBER]).contains("by password alone"));
    assert!(server.run(&["member", "reset-2fa", MEMBER]).contains("no two-factor"));
    assert!(!server.try_run(&["member", "reset-2fa", "nobody"], "").status.success());
    assert!(Browser::signed_in(&server, "curl/8", MEMBER).is_in());
    assert_eq!(audited(&server, "login.two_factor_off"), [format!("operator|command line|{MEMBER}|")]);
    assert_eq!(server.count("SELECT count(*) FROM recovery_codes"), 0);
}

fn passwords_of_guessers_are_refused_and_failures_are_written_down(backend: Backend) {
    let server = Server::over(backend);
    for (password, said) in [
        ("elevenchars", "at least 12"),
        ("Mustang-2026!!", "most common"),
        ("letmein-dragon", "most common"),
        ("abcdefghijklmnop", "sequence"),
        ("tallybox is mine", "tallybox"),
    ] {
        let output = server.try_run(&["member", "create", "bob"], &format!("{password}\n"));
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(said), "{password}: {told}");
    }
    let mut browser = Browser::new(&server, "curl/8");
    let name = format!("{}\u{1F980}", "n".repeat(300));
    for given in [&name[..], MEMBER, "<script>alert(1)</script>"] {
        browser.give_password(given, "wrong").expect(401);
    }
    let failures = audited(&server, "login.failed");
    assert_eq!(failures[0], format!("{0}|curl|{0}|wrong name or password", "n".repeat(100)));
    assert_eq!((failures.len(), failures[1].contains(MEMBER)), (3, true));
    assert!(failures.iter().all(|line| !line.contains("127.0.0.1")), "{failures:?}");
}
