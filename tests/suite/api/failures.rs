//! How the API refuses, and what it does not send twice.

use super::*;

on_both_backends! {
    every_wrong_parameter_is_named,
    failures_are_json_with_the_requests_id,
    an_answer_that_is_known_is_not_sent_again,
}

fn every_wrong_parameter_is_named(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Strict");
    let token = server.token(&[&app.slug]);
    server.accept(&app, &[kit::event("seen")]);
    let user = pseudonym(&server, &app, &token, "seen");
    let user = format!("users/{user}");
    let values = |count: usize| (0..count).map(|n| format!("version={n}")).collect::<Vec<_>>().join("&");
    let conditions = |count: usize| (0..count).map(|n| format!("prop:{n}=x")).collect::<Vec<_>>().join("&");
    for (resource, query, parameter) in [
        ("query", "metric=happiness", "metric"),
        ("query", "metric=", "metric"),
        ("query", "dimension=colour", "dimension"),
        ("query", "dimension=total", "dimension"),
        ("query", "dimension=prop:", "dimension"),
        ("query", "range=fortnight", "range"),
        ("query", "range=7d&range=28d", "range"),
        ("query", "by=decade", "by"),
        ("query", "compare=tomorrow", "compare"),
        ("query", "from=soon", "from"),
        ("query", "from=2026-02-02&to=2026-02-01", "from"),
        ("query", "from=2026-01-01&to=2026-02-30", "to"),
        ("query", "from=2001-01-01&to=2026-01-01", "from"),
        ("query", "from=2999-01-01", "from"),
        ("query", "to=2026-02-01", "from"),
        ("query", "limit=0", "limit"),
        ("query", "limit=1001", "limit"),
        ("query", "environment=moon", "environment"),
        ("query", "colour=red", "colour"),
        ("query", "total=1", "total"),
        ("query", "after=00000000000000000000000000000000.5", "after"),
        ("query", "event=%00", "event"),
        ("query", &values(51), "version"),
        ("query", &conditions(9), "prop:8"),
        ("events", "limit=1001", "limit"),
        ("events", "limit=many", "limit"),
        ("events", "after=yesterday", "after"),
        ("events", "since=yesterday", "since"),
        ("events", "metric=events", "metric"),
        ("events", "range=7d", "range"),
        ("funnels", "step=one", "step"),
        ("funnels", "step=&step=two", "step"),
        ("funnels", &"&step=x".repeat(9)[1..], "step"),
        ("funnels", "window=7d", "step"),
        ("funnels", "step=a&step=b&window=1y", "window"),
        ("funnels", "step=a&step=b&window=1d&window=2d", "window"),
        ("funnels", "step=a&step=b&window=91d", "window"),
        ("funnels", "step=a&step=b&split=colour", "split"),
        ("funnels", "step=a&step=b&3.version=1", "3.version"),
        ("funnels", "step=a&step=b&0.version=1", "0.version"),
        ("funnels", "step=a&step=b&1.colour=red", "1.colour"),
        ("funnels", "step=a&step=b&where=version", "where"),
        ("funnels", "step=a&step=b&range=fortnight", "range"),
        ("funnels", "step=a&step=b&id=00000000-0000-4000-8000-000000000000", "id"),
        ("retention", "cohort=hour", "cohort"),
        ("retention", "range=7d", "range"),
        ("retention", &format!("born={}", "x".repeat(201)), "born"),
        (&user, "limit=201", "limit"),
        (&user, "after=x", "after"),
        (&user, "version=1", "version"),
    ] {
        let path = format!("/api/v1/apps/{}/{resource}?{query}", app.slug);
        let answer = server.read(&path, &token).expect(400).json();
        let error = &answer["error"];
        assert_eq!((&error["code"], &error["parameter"]), (&"invalid_parameter".into(), &parameter.into()), "{query}");
        assert!(error["message"].as_str().is_some_and(|message| message.ends_with('.')), "{query}: {answer}");
    }
    assert_eq!(server.read("/api/v1/apps?x=1", &token).expect(400).json()["error"]["parameter"], "x");
    assert_eq!(server.get("/api/v1/openapi.json?x=1").expect(400).json()["error"]["parameter"], "x");
    for (resource, query) in
        [("query", values(50)), ("events", conditions(8)), ("query", "range=&by=&metric=users".into())]
    {
        server.read(&format!("/api/v1/apps/{}/{resource}?{query}", app.slug), &token).expect(200);
    }
}

fn failures_are_json_with_the_requests_id(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Refusing");
    let token = server.token(&[&app.slug]);
    let path = format!("/api/v1/apps/{}/query", app.slug);
    let long = format!("{path}?event={}", "x".repeat(8_192));
    let post = |path: &str| Request { method: "POST", ..with(&token, path) };
    let put = Request { method: "PUT", ..with(&token, &path) };
    for (request, status, code) in [
        (with(&token, "/api/v1/nothing"), 404, "not_found"),
        (with(&token, "/api/v2/apps"), 404, "not_found"),
        (with(&token, &format!("/api/v1/apps/{}/nothing", app.slug)), 404, "not_found"),
        (post(&path), 405, "method_not_allowed"),
        (put, 405, "method_not_allowed"),
        (with(&token, &long), 414, "query_too_long"),
        (Request::get(&path), 401, "unauthorized"),
    ] {
        let reply = server.send(&request).expect(status);
        assert_eq!(reply.header("content-type"), Some("application/json"), "{}", reply.text());
        let answer = reply.json();
        assert_eq!(answer["error"]["code"], code, "{answer}");
        assert_eq!(answer["request_id"].as_str(), reply.header("x-request-id"), "{answer}");
        assert_eq!(reply.header("allow").is_some(), status == 405);
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    // Pages of other sites are told nothing.
    let foreign = server.send(&with(&token, &path).header("origin", "https://evil.example")).expect(200);
    assert!(foreign.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{:?}", foreign.headers);
    assert_eq!(foreign.header("cross-origin-resource-policy"), Some("same-origin"));
    let preflight = Request { method: "OPTIONS", ..Request::get(&path) }.header("origin", "https://evil.example");
    let preflight = server.send(&preflight.header("access-control-request-method", "GET")).expect(405);
    assert!(preflight.headers.iter().all(|(name, _)| !name.starts_with("access-control-")), "{:?}", preflight.headers);
    // Elsewhere people are told.
    assert!(server.get("/nothing").expect(404).text().contains("<html"));
}

fn an_answer_that_is_known_is_not_sent_again(backend: Backend) {
    let server = Server::over(backend);
    let app = server.app("Known");
    let token = server.token(&[&app.slug]);
    server.accept(&app, &[kit::event("one")]);
    for path in [
        "/api/v1/apps".to_owned(),
        "/api/v1/openapi.json".to_owned(),
        format!("/api/v1/apps/{}/query?range=7d", app.slug),
        format!("/api/v1/apps/{}/events?limit=1", app.slug),
    ] {
        let first = server.read(&path, &token).expect(200);
        let tag = first.header("etag").unwrap().to_owned();
        assert_eq!(first.header("cache-control"), Some("private, no-cache"));
        assert_eq!(first.header("vary"), Some("authorization, cookie"));
        for known in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = server.send(&with(&token, &path).header("if-none-match", &known)).expect(304);
            assert_eq!((again.header("etag"), again.body.len()), (Some(tag.as_str()), 0), "{path}");
        }
        server.send(&with(&token, &path).header("if-none-match", "\"other\"")).expect(200);
        let head = server.send(&Request { method: "HEAD", ..with(&token, &path) }).expect(200);
        assert_eq!(head.header("etag"), Some(tag.as_str()), "{path}");
        // Who may not read is not told that nothing has changed.
        if path != "/api/v1/openapi.json" {
            server.send(&Request::get(&path).header("if-none-match", &tag)).expect(401);
        }
    }
    let path = format!("/api/v1/apps/{}/query?metric=events&range=7d", app.slug);
    let before = server.read(&path, &token).header("etag").unwrap().to_owned();
    server.accept(&app, &[kit::event("two")]);
    crate::harness::poll::until(std::time::Duration::from_secs(5), "another tag", || {
        let reply = server.send(&with(&token, &path).header("if-none-match", &before));
        (reply.status == 200 && reply.json()["total"]["events"] == 2).then_some(())
    });
}
