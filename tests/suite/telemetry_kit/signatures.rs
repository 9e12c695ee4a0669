//! Who may send: points 2 to 5 and 10 of the list.

use std::time::Duration;

use base64::Engine;
use jiff::Timestamp;
use uuid::Uuid;

use super::{assert_readable_error, server_with_app, stored};
use crate::harness::backend::on_both_backends;
use crate::harness::http::Request;
use crate::harness::{Backend, kit, poll};

on_both_backends! {
    the_guides_form_is_accepted_with_the_sdks_credential,
    only_the_right_credential_opens,
    apps_answer_to_uuid_and_short_name_under_any_number_of_slashes,
    a_captured_request_sent_again_is_refused_and_stores_nothing,
    a_nonce_is_used_up_only_by_a_request_that_was_taken,
    one_form_cannot_be_turned_into_the_other,
    the_clock_may_be_off_by_ten_minutes_and_no_more,
}

fn the_guides_form_is_accepted_with_the_sdks_credential(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let body = kit::batch(&[kit::event("a")]);
    server.send(&app.guide_form(&body, kit::now())).expect(200);
    server.accept(&app, &[kit::event("b")]);
    assert_eq!(stored(&server), 2);
}

#[test]
fn the_worked_values_of_the_protocol_verify() {
    let secret = "kIRV9eC/2+Dvqc4E9ubP9Cjzd0LG2/Dg0OVEfknKBPQ=";
    let (at, nonce, body) = (b"1700000000", b"7f9c24e8-3b1a-4c55-9d0e-6a2f1b8c4d3e", br#"{"events":[]}"#);
    assert_eq!(kit::sign(secret, &[at, body]), "25ba6472510569655bcc549ed614dc5610444f30de58f08ac3334ddbd99e65b5");
    assert_eq!(
        kit::sign(secret, &[at, nonce, body]),
        "4e351186f4911660fbcee23fbec814d17f6b5d30ed10222970ee2a18f7164cb2"
    );
    let decoded = base64::engine::general_purpose::STANDARD.decode(secret).unwrap();
    assert_eq!(
        kit::sign(decoded, &[at, nonce, body]),
        "5e6672510da9d318b53e8066326e1b03965a5dffd0d575ee8e70e8be6441f6b2"
    );
}

fn only_the_right_credential_opens(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let other = server.app("Other");
    let body = kit::batch(&[kit::event("a")]);
    let (now, nonce) = (kit::now(), Uuid::new_v4().to_string());
    let mut wrong_secret = app.clone();
    wrong_secret.secret = other.secret.clone();
    let mut wrong_token = app.clone();
    wrong_token.token = format!("{}0", app.token);
    let mut other_path = app.clone();
    other_path.app = other.app.clone();
    let nowhere = format!("/v1/ingest/{}/{}", Uuid::new_v4(), Uuid::new_v4());
    let signed = app.nonce_form(&body, now, &nonce);
    let rows: [(&str, Request, u16); 9] = [
        ("no signature", signed.clone().without("x-signature"), 401),
        ("no timestamp", signed.clone().without("x-timestamp"), 401),
        ("words as timestamp", signed.clone().without("x-timestamp").header("x-timestamp", "now"), 400),
        ("neither token nor nonce", signed.clone().without("x-nonce"), 401),
        ("a wrong secret", wrong_secret.nonce_form(&body, now, &nonce), 401),
        ("an unknown token", wrong_token.guide_form(&body, now), 401),
        ("an unknown app", Request { target: nowhere.clone(), ..signed.clone() }, 401),
        ("another app's path, no token", other_path.nonce_form(&body, now, &nonce), 401),
        ("another app's path, own token", other_path.guide_form(&body, now), 403),
    ];
    for (what, request, status) in rows {
        let reply = server.send(&request);
        assert_eq!(reply.status, status, "{what}: {}", reply.text());
        assert_readable_error(&reply.json());
    }
    let unauthorized = |request: &Request| server.send(request).expect(401).text();
    assert_eq!(
        unauthorized(&wrong_secret.nonce_form(&body, now, &nonce)),
        unauthorized(&Request { target: nowhere, ..signed.clone() }),
        "the answer tells whether the app exists"
    );
    assert_eq!(stored(&server), 0);
    server.send(&signed).expect(200);
}

fn apps_answer_to_uuid_and_short_name_under_any_number_of_slashes(backend: Backend) {
    let (server, app) = server_with_app(backend);
    for path in [
        format!("/v1/ingest/{}/{}", app.organization, app.slug),
        format!("//v1/ingest/{}/{}", app.organization, app.app),
        format!("/v1/ingest/{}/anything", app.slug),
        format!("/v1/ingest/{}/anything", app.app),
    ] {
        let request = app.sdk(&kit::batch(&[kit::event("a")]));
        let reply = server.send(&Request { target: path.clone(), ..request });
        assert_eq!(reply.status, 200, "{path}: {}", reply.text());
    }
    assert_eq!(stored(&server), 4);
}

fn a_captured_request_sent_again_is_refused_and_stores_nothing(backend: Backend) {
    let (mut server, app) = server_with_app(backend);
    let early = kit::now() + 540;
    let request = app.nonce_form(&kit::batch(&[kit::event("a")]), early, &Uuid::new_v4().to_string());
    server.send(&request).expect(200);
    assert_readable_error(&server.send(&request).expect(409).json());
    assert!(server.stop().success());
    server.restart();
    server.send(&request).expect(409);
    assert_eq!(stored(&server), 1);
}

fn a_nonce_is_used_up_only_by_a_request_that_was_taken(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let nonce = Uuid::new_v4().to_string();
    let mut forged = app.clone();
    forged.secret.push('x');
    let body = kit::batch(&[kit::event("a")]);
    server.send(&forged.nonce_form(&body, kit::now(), &nonce)).expect(401);
    server.send(&app.nonce_form(&body, kit::now(), &nonce)).expect(200);
}

fn one_form_cannot_be_turned_into_the_other(backend: Backend) {
    let (server, app) = server_with_app(backend);
    let body = String::from_utf8(kit::batch(&[kit::event("a")])).unwrap();
    let (front, rest) = body.split_once(':').unwrap();
    let mut split = app.guide_form(body.as_bytes(), kit::now()).header("x-nonce", front);
    split.body = rest.into();
    assert_readable_error(&server.send(&split).expect(400).json());

    let nonce = Uuid::new_v4().to_string();
    let bearer = format!("Bearer {}", app.token);
    let mut joined = app.nonce_form(body.as_bytes(), kit::now(), &nonce).without("x-nonce");
    joined.body = format!("{nonce}:{body}").into();
    assert_readable_error(&server.send(&joined.header("authorization", &bearer)).expect(400).json());
    assert_eq!(stored(&server), 0);
}

fn the_clock_may_be_off_by_ten_minutes_and_no_more(backend: Backend) {
    let (server, app) = server_with_app(backend);
    for (seconds, status) in [(-599, 200), (599, 200), (-601, 403), (601, 403)] {
        // Early in a second, so that both ends read the same one.
        poll::until(Duration::from_secs(2), "new second", || {
            (Timestamp::now().subsec_millisecond() < 300).then_some(())
        });
        let body = kit::batch(&[kit::event("a")]);
        for request in [
            app.nonce_form(&body, kit::now() + seconds, &Uuid::new_v4().to_string()),
            app.guide_form(&body, kit::now() + seconds),
        ] {
            let reply = server.send(&request);
            assert_eq!(reply.status, status, "{seconds} s off: {}", reply.text());
            if status == 403 {
                assert_eq!(reply.json()["error"], "timestamp_out_of_window");
                assert_readable_error(&reply.json());
            }
        }
    }
}
