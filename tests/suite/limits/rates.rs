//! Rates and quotas, as each protocol tells them.

use serde_json::json;

use super::{limit, number, stay_within_a_day};
use crate::harness::backend::on_both_backends;
use crate::harness::http::{Reply, Request};
use crate::harness::kit::{self, Credentials};
use crate::harness::{Backend, Server};
use crate::teardown::client::{Client, event};

on_both_backends! {
    without_limits_nothing_is_told_of_them,
    a_key_is_limited_and_told_in_the_words_of_telemetry_kit,
    keys_of_one_app_share_what_the_app_may,
    teardown_is_limited_by_key_and_client_network,
    what_is_refused_for_want_of_proof_uses_up_nothing,
    a_quota_of_events_holds_for_the_day_whoever_restarts,
    an_app_far_beyond_its_quota_takes_nothing_from_others,
}

fn one(app: &Credentials) -> Request {
    app.sdk(&kit::batch(&[kit::event("a")]))
}

/// The first of many that is not taken.
#[track_caller]
fn refusal(mut send: impl FnMut() -> Reply) -> Reply {
    (0..60).map(|_| send()).find(|reply| reply.status != 200).expect("sixty requests passed")
}

fn without_limits_nothing_is_told_of_them(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Free");
    for _ in 0..50 {
        let reply = server.send(&one(&app)).expect(200);
        assert!(reply.header("x-ratelimit-limit").is_none(), "{:?}", reply.headers);
    }
}

fn a_key_is_limited_and_told_in_the_words_of_telemetry_kit(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Limited");
    limit(&server, &app, ["3", "", "", ""]);
    let first = server.send(&one(&app)).expect(200);
    assert_eq!((number(&first, "x-ratelimit-limit"), number(&first, "x-ratelimit-remaining")), (3, 2));
    let ahead = number(&first, "x-ratelimit-reset") - kit::now();
    assert!((15..=21).contains(&ahead), "{ahead}");
    let refused = refusal(|| server.send(&one(&app))).expect(429);
    assert_eq!((number(&refused, "x-ratelimit-limit"), number(&refused, "x-ratelimit-remaining")), (3, 0));
    let seconds = number(&refused, "retry-after");
    assert!((1..=20).contains(&seconds), "{seconds}");
    let body = refused.json();
    assert_eq!((body["error"].as_str(), body["retry_after"].as_i64()), (Some("rate_limit_exceeded"), Some(seconds)));
    assert!(body["message"].as_str().unwrap().contains("3 requests a minute"), "{body}");
    // Another key of the app has its own.
    let told = server.run(&["key", "create", &app.slug, "--name", "other"]);
    server.send(&one(&Credentials::parse(&told))).expect(200);
    let metrics = server.get("/metrics").text();
    assert!(!metrics.contains(r#"tallybox_turned_away_total{reason="key_rate"} 0"#), "{metrics}");
    assert!(metrics.contains(r#"tallybox_turned_away_total{reason="quota"} 0"#), "{metrics}");
    let page = server.page(&format!("/apps/{}/limits", app.slug), &server.sign_in()).expect(200).text();
    assert!(page.contains("Too many requests with one key"), "{page}");
}

fn keys_of_one_app_share_what_the_app_may(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Shared");
    let other = Credentials::parse(&server.run(&["key", "create", &app.slug, "--name", "other"]));
    limit(&server, &app, ["", "4", "", ""]);
    let mut turn = 0;
    let refused = refusal(|| {
        turn += 1;
        server.send(&one(if turn % 2 == 0 { &app } else { &other }))
    });
    assert_eq!(refused.expect(429).json()["error"], "rate_limit_exceeded");
    assert!((5..=8).contains(&turn), "{turn}");
    // What one app uses up is no other's.
    let elsewhere = server.app("Elsewhere");
    server.send(&one(&elsewhere)).expect(200);
}

fn teardown_is_limited_by_key_and_client_network(backend: Backend) {
    let server = Server::with().backend(backend).setting("TALLYBOX_TRUSTED_PROXIES", "127.0.0.1").start();
    let app = server.app("Phones");
    let client = Client::new(&server, &app);
    limit(&server, &app, ["", "", "3", ""]);
    let from = |address: &str| {
        let body = client.identify_body(None);
        client.send(&client.request("/v1/identify", &body).header("x-forwarded-for", address))
    };
    let refused = refusal(|| from("203.0.113.1")).expect(429);
    let body = refused.json();
    assert_eq!((&body["success"], &body["error"]["code"]), (&json!(false), &json!("RATE_LIMITED")));
    assert_eq!(body["message"], body["error"]["message"]);
    assert!(body["message"].as_str().unwrap().contains("your network"), "{body}");
    assert!((1..=20).contains(&number(&refused, "retry-after")));
    assert_eq!(number(&refused, "x-ratelimit-remaining"), 0);
    from("203.0.113.2").expect(200);
    // An IPv6 network is a /64.
    refusal(|| from("2001:db8::1")).expect(429);
    from("2001:db8::ffff").expect(429);
    from("2001:db8:0:1::1").expect(200);
    // What is signed comes from whoever knows a secret: networks are not counted there.
    for _ in 0..10 {
        server.send(&one(&app).header("x-forwarded-for", "203.0.113.1")).expect(200);
    }
    limit(&server, &app, ["2", "", "", ""]);
    let refused = refusal(|| from(&format!("203.0.113.{}", kit::now() % 200))).expect(429).json();
    assert!(refused["message"].as_str().unwrap().contains("this key"), "{refused}");
}

/// The path alone names the app: strangers must not use up what is its own.
fn what_is_refused_for_want_of_proof_uses_up_nothing(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Guarded");
    limit(&server, &app, ["3", "3", "", "3"]);
    let forged = Credentials { secret: "wrong".to_owned(), ..app.clone() };
    for _ in 0..20 {
        server.send(&one(&forged)).expect(401);
    }
    assert_eq!(number(&server.send(&one(&app)).expect(200), "x-ratelimit-remaining"), 2);
}

fn a_quota_of_events_holds_for_the_day_whoever_restarts(backend: Backend) {
    stay_within_a_day();
    let mut server = Server::over(backend);
    let app = server.app("Counted");
    let mut client = Client::new(&server, &app);
    client.refresh();
    server.accept(&app, &[kit::event("before the quota")]);
    limit(&server, &app, ["", "", "", "6"]);
    let again = kit::event("again");
    let first = server.send(&app.sdk(&kit::batch(std::slice::from_ref(&again)))).expect(200);
    assert_eq!((number(&first, "x-ratelimit-limit"), number(&first, "x-ratelimit-remaining")), (6, 5));
    // What is known already uses up nothing; a batch that finds anything left is taken whole.
    for _ in 0..5 {
        server.accept(&app, std::slice::from_ref(&again));
    }
    let two = [event("c", None), event("d", None)];
    client.track(&two).unwrap();
    let many: Vec<_> = (0..5).map(|_| kit::event("many")).collect();
    server.accept(&app, &many);
    assert_eq!(server.count("SELECT count(*) FROM events"), 9);
    for restarted in [false, true] {
        if restarted {
            server.stop();
            server.restart();
        }
        let refused = server.send(&one(&app)).expect(429);
        let body = refused.json();
        assert_eq!(body["error"], "quota_exhausted", "{body}");
        assert!(body["message"].as_str().unwrap().contains("6 events"), "{body}");
        assert!((1..=60).contains(&number(&refused, "retry-after")));
        let midnight = (kit::now() / 86_400 + 1) * 86_400;
        assert_eq!(number(&refused, "x-ratelimit-reset"), midnight);
        let refused = client.track(&two).unwrap_err();
        assert_eq!(refused.status, 403, "{refused:?}");
        assert!(refused.text.contains("6 events"), "{refused:?}");
        // Who an installation is, and whether it must update, is no event.
        client.refresh();
    }
    assert_eq!(server.count("SELECT count(*) FROM events"), 9);
    let cookie = server.sign_in();
    let page = server.page(&format!("/apps/{}/limits", app.slug), &cookie).expect(200).text();
    assert!(page.contains("9 of 6 events") && page.contains("The events of the day were used up"), "{page}");
    limit(&server, &app, ["", "", "", "20"]);
    server.accept(&app, &[kit::event("more")]);
}

fn an_app_far_beyond_its_quota_takes_nothing_from_others(backend: Backend) {
    stay_within_a_day();
    let server = Server::over(backend);
    let (loud, quiet) = (server.app("Loud"), server.app("Quiet"));
    limit(&server, &loud, ["", "", "", "20"]);
    let batch = || kit::batch(&(0..10).map(|_| kit::event("a")).collect::<Vec<_>>());
    let (taken, refused) = std::thread::scope(|scope| {
        let shouting: Vec<_> = (0..4)
            .map(|_| scope.spawn(|| (0..10).map(|_| server.send(&loud.sdk(&batch())).status).collect::<Vec<_>>()))
            .collect();
        for _ in 0..20 {
            server.accept(&quiet, &[kit::event("b")]);
        }
        let statuses: Vec<_> = shouting.into_iter().flat_map(|one| one.join().unwrap()).collect();
        let count = |status: u16| statuses.iter().filter(|one| **one == status).count();
        (count(200), count(429))
    });
    assert_eq!(taken + refused, 40, "something else was answered");
    // Each of those who ask at once may find the last of it.
    assert!((2..=6).contains(&taken), "{taken} of 40 batches");
    let of = |name: &str| {
        server.count(&format!(
            "SELECT count(*) FROM events WHERE name_id IN (SELECT id FROM strings WHERE text = '{name}')"
        ))
    };
    assert_eq!((of("a"), of("b")), (10 * i64::try_from(taken).unwrap(), 20));
}
