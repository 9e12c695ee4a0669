//! Another master key, without a refusal: beside the old one first, then alone.

use super::*;
use crate::harness::Backend;
use crate::harness::backend::on_both_backends;
use crate::harness::kit;

on_both_backends! {
    a_master_key_gives_way_to_another_without_a_refusal,
    what_no_key_opens_is_told,
}

const OLD: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const NEW: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

fn set(server: &mut Server, keys: &str) {
    server.set("TALLYBOX_MASTER_KEY", keys);
    server.stop();
    server.restart();
}

fn a_master_key_gives_way_to_another_without_a_refusal(backend: Backend) {
    let mut server = Server::with().backend(backend).setting("TALLYBOX_MASTER_KEY", OLD).start();
    let before = server.app("Before");
    let (app, _) = turn_on(&mut Browser::signed_in(&server, "Firefox/140 Linux", MEMBER));
    let mut codes = 0;
    let mut all_is_well = |server: &Server| {
        server.accept(&before, &[kit::event("a")]);
        let mut browser = Browser::new(server, "curl/8");
        browser.give_password(MEMBER, PASSWORD).expect(303);
        browser.submit("/login/code", "/login/code", &[("code", &app.code(codes)), ("next", "/apps")]).expect(303);
        codes += 1;
    };
    set(&mut server, &format!("{NEW}\n{OLD}\n"));
    all_is_well(&server);
    let between = server.app("Between");
    let said = server.run(&["rekey"]);
    assert!(said.contains("3 secrets are sealed; 2 of them were sealed anew"), "{said}");
    assert!(said.contains("the others may go"), "{said}");
    server.accept(&between, &[kit::event("b")]);
    assert!(server.run(&["rekey"]).contains("3 secrets are sealed; 0 of them were sealed anew"));
    set(&mut server, NEW);
    all_is_well(&server);
    server.accept(&between, &[kit::event("c")]);
    let told = server.run(&["audit", "--action", "master_key."]);
    assert!(told.contains("2 secrets sealed anew") && told.lines().count() == 2, "{told}");
}

fn what_no_key_opens_is_told(backend: Backend) {
    let mut server = Server::with().backend(backend).setting("TALLYBOX_MASTER_KEY", OLD).start();
    server.app("Lost");
    set(&mut server, NEW);
    let output = server.command(&["rekey"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("1 of them open with no key"), "{said}");
}
