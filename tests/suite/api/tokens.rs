//! Who may read: tokens that work, end, are revoked, or are for another app; and members by their cookie.

use super::*;

on_both_backends! {
    a_token_opens_its_own_app_alone,
    a_token_stops_at_once_when_it_is_revoked_or_has_ended,
    what_is_no_token_opens_nothing,
    a_signed_in_member_reads_without_a_token,
    tokens_are_kept_and_logged_nowhere,
    the_last_use_is_noted_once_an_hour,
}

fn slugs(answer: &Value) -> Vec<&str> {
    answer["apps"].as_array().unwrap().iter().map(|app| app["app"].as_str().unwrap()).collect()
}

fn a_token_opens_its_own_app_alone(backend: Backend) {
    let server = Server::over(backend);
    let (mine, other) = (server.app("Mine"), server.app("Other"));
    let (own, all) = (server.token(&[&mine.slug]), server.token(&["--all-apps"]));
    let answer = server.read("/api/v1/apps", &own).expect(200).json();
    assert_eq!(slugs(&answer), ["mine"]);
    assert_eq!(answer["apps"][0]["environments"], serde_json::json!(["production", "staging", "development"]));
    assert_eq!(slugs(&server.read("/api/v1/apps", &all).expect(200).json()), ["mine", "other"]);
    for resource in ["query", "events", &format!("users/{}", "0".repeat(32))] {
        let ask = |app: &str, token: &str| {
            let reply = server.read(&format!("/api/v1/apps/{app}/{resource}"), token);
            (reply.status, reply.json()["error"]["code"].as_str().unwrap_or_default().to_owned())
        };
        let opened = if resource.starts_with("users") { (404, "not_found".to_owned()) } else { (200, String::new()) };
        assert_eq!(ask(&mine.slug, &own), opened, "{resource}");
        assert_eq!(ask(&other.slug, &all), opened, "{resource}");
        // Whether an app of that name exists is not for this token to know.
        assert_eq!(ask(&other.slug, &own), (403, "forbidden".to_owned()), "{resource}");
        assert_eq!(ask("nowhere", &own), (403, "forbidden".to_owned()), "{resource}");
        assert_eq!(ask("nowhere", &all), (404, "not_found".to_owned()), "{resource}");
        assert_eq!(ask("%00", &all), (404, "not_found".to_owned()), "{resource}");
    }
    assert_eq!(slugs(&server.read("/api/v1/apps", &all).json()).len(), 2);
    server.app("Later");
    assert_eq!(slugs(&server.read("/api/v1/apps", &all).json()), ["later", "mine", "other"]);
}

fn a_token_stops_at_once_when_it_is_revoked_or_has_ended(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Ended");
    let path = format!("/api/v1/apps/{}/events", app.slug);
    let (first, second) = (server.token(&[&app.slug]), server.token(&[&app.slug, "--expires", "1h"]));
    for token in [&first, &second] {
        server.read(&path, token).expect(200);
    }
    server.run(&["token", "revoke", "1"]);
    let refused = server.read(&path, &first).expect(401);
    assert_eq!(refused.json()["error"]["code"], "invalid_token");
    assert_eq!(refused.header("www-authenticate"), Some("Bearer realm=\"tallybox\", error=\"invalid_token\""));
    server.read(&path, &second).expect(200);
    server.database().alter("UPDATE api_tokens SET expires_at = 1 WHERE id = 2");
    server.read(&path, &second).expect(401);
    let list = server.run(&["token", "list", &app.slug]);
    assert!(list.contains("revoked ") && list.contains("ended 1970-01-01 00:00"), "{list}");
}

fn what_is_no_token_opens_nothing(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Shut");
    let (token, cookie) = (server.token(&[&app.slug]), server.sign_in());
    let path = format!("/api/v1/apps/{}/query", app.slug);
    let stranger = server.get(&path).expect(401);
    assert_eq!(stranger.json()["error"]["code"], "unauthorized");
    assert_eq!(stranger.header("www-authenticate"), Some("Bearer realm=\"tallybox\""));
    for header in [
        format!("Bearer tb_{}", "0".repeat(64)),
        format!("Bearer tka_{}", "0".repeat(72)),
        format!("Bearer {}x", token),
        format!("Bearer {}", &token[..75]),
        format!("Bearer {}", token.trim_start_matches("tka_")),
        format!("Bearer {}", app.token),
        format!("Basic {token}"),
        token.clone(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer \u{e4}".to_owned(),
    ] {
        // A cookie beside does not make up for it.
        let request = Request::get(&path).header("authorization", &header).header("cookie", &cookie);
        assert_eq!(server.send(&request).expect(401).json()["error"]["code"], "invalid_token", "{header}");
    }
    let twice = with(&token, &path).header("authorization", &format!("Bearer {token}"));
    server.send(&twice).expect(401);
    for name in ["token", "access_token", "api_key"] {
        let inside = format!("{path}?{name}={token}");
        server.get(&inside).expect(401);
        assert_eq!(server.read(&inside, &token).expect(400).json()["error"]["parameter"], name);
    }
    server.send(&Request::get(&path).header("authorization", &format!("bEARER {token}"))).expect(200);
    // It opens no page.
    assert_eq!(server.read("/apps", &token).expect(303).header("location"), Some("/login?next=%2Fapps"));
}

fn a_signed_in_member_reads_without_a_token(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Signed in");
    let cookie = server.sign_in();
    assert_eq!(slugs(&server.page("/api/v1/apps", &cookie).expect(200).json()), ["signed-in"]);
    server.page(&format!("/api/v1/apps/{}/query", app.slug), &cookie).expect(200);
    server.page("/api/v1/apps/nowhere/query", &cookie).expect(404);
    server.page("/api/v1/apps", "tallybox=nonsense").expect(401);
    let form = Request::form("/api/v1/apps", &[]).header("cookie", &cookie);
    server.send(&form).expect(405);
}

fn tokens_are_kept_and_logged_nowhere(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Hidden");
    let token = server.token(&[&app.slug, "--name", "for ci"]);
    let digits = token.trim_start_matches("tka_");
    assert_eq!(digits.len(), 72);
    server.read(&format!("/api/v1/apps/{}/query", app.slug), &token).expect(200);
    server.get(&format!("/api/v1/apps?token={token}")).expect(401);
    server.get(&format!("/api/v1/apps/{token}/query")).expect(401);
    server.get(&format!("/api/v1/{token}")).expect(404);
    let list = server.run(&["token", "list"]);
    assert!(list.contains("for ci") && list.contains(&token[..10]) && !list.contains(digits), "{list}");
    assert!(!server.log().contains(digits), "{}", server.log());
    let columns = "name || hint || scopes || coalesce(last_used_at, 0)";
    let kept = server.sql(&format!("SELECT {columns}, {} FROM api_tokens", server.database().hex("token_hash")));
    assert!(kept.contains("for ci") && !kept.to_lowercase().contains(digits), "{kept}");
}

fn the_last_use_is_noted_once_an_hour(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Used");
    let token = server.token(&[&app.slug]);
    let noted = || server.count("SELECT coalesce(max(last_used_at), 0) FROM api_tokens");
    let set = |at: i64| server.database().alter(&format!("UPDATE api_tokens SET last_used_at = {at}"));
    assert_eq!(noted(), 0);
    server.read("/api/v1/apps", &token).expect(200);
    let first = noted();
    assert!((kit::now() * 1_000 - first).abs() < 60_000, "{first}");
    let (recent, long_ago) = (first - 59 * 60_000, first - 61 * 60_000);
    set(recent);
    server.read("/api/v1/apps", &token).expect(200);
    assert_eq!(noted(), recent);
    set(long_ago);
    server.read("/api/v1/apps", &token).expect(200);
    assert!(noted() >= first);
}
