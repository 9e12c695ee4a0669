//! What requests meet on their way in and out, through [`layers`] alone.

use std::sync::LazyLock;

use axum::routing::{get, post};

use super::super::metrics::Exposition;
use super::*;
use crate::model::Millis;

fn router(base_path: &str, requests: RequestMetrics) -> Router {
    let facts = |origin: Origin, request: Request| async move {
        let host = request.headers().get(header::HOST).map_or("none", |host| host.to_str().unwrap());
        format!("{} {} {} {} {host}", origin.received_at.0, origin.address, origin.https, request.uri())
    };
    let own = || async { (StatusCode::NOT_FOUND, "nothing of mine") };
    let router = Router::new()
        .route("/facts", get(facts))
        .route("/facts/{id}", get(facts))
        .route("/form", post(|| async { "taken" }))
        .route("/own", get(own))
        .route("/strict", get(|| async { ([("referrer-policy", "no-referrer")], "strict") }))
        .route(
            "/panic",
            get(|| async {
                if true {
                    panic!("on purpose")
                }
            }),
        );
    let options = ServerOptions {
        base_path: base_path.to_owned(),
        trusted_proxies: vec!["10.0.0.1".parse().unwrap()],
        ..ServerOptions::default()
    };
    layers(router, Clock::manual(Millis(5)), &options, requests)
}

async fn call(base_path: &str, method: &str, uri: &str) -> (u16, String, Response) {
    call_on(router(base_path, RequestMetrics::default()), method, uri).await
}

async fn call_on(router: Router, method: &str, uri: &str) -> (u16, String, Response) {
    let mut request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
    request.extensions_mut().insert(Peer([10, 0, 0, 1].into()));
    for (name, value) in [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")] {
        request.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let text = axum::body::to_bytes(body, 10_000).await.unwrap();
    let text = String::from_utf8(text.to_vec()).unwrap();
    (parts.status.as_u16(), text, Response::from_parts(parts, Body::empty()))
}

#[tokio::test]
async fn paths_reach_their_routes_without_base_or_repeated_slashes() {
    for (base, uri, seen) in [
        ("/", "/facts?a=//b", Some("/facts?a=//b none")),
        ("/", "//facts", Some("/facts none")),
        ("/", "///facts//1?q", Some("/facts/1?q none")),
        ("", "/facts", Some("/facts none")),
        ("/", "/facts/a%2F%2Fb", Some("/facts/a%2F%2Fb none")),
        ("/", "http://b.example:81//facts?q", Some("/facts?q b.example:81")),
        ("/box", "/box/facts", Some("/facts none")),
        ("box/", "//box//facts", Some("/facts none")),
        ("/a/b", "/a/b/facts?q", Some("/facts?q none")),
        ("/box", "/facts", None),
        ("/box", "/boxfacts", None),
        ("/box", "/box", None),
        ("/box", "/", None),
    ] {
        let (status, text, _) = call(base, "GET", uri).await;
        match seen {
            Some(seen) => assert_eq!((status, text.as_str()), (200, &*format!("5 192.0.2.7 true {seen}")), "{uri}"),
            None => assert_eq!(status, 404, "{base} {uri}: {text}"),
        }
    }
}

#[tokio::test]
async fn every_response_is_marked_and_every_error_says_something() {
    for (method, uri, status, error) in [
        ("GET", "/facts", 200, None),
        ("GET", "/absent", 404, Some("not_found")),
        ("GET", "/form", 405, Some("method_not_allowed")),
        ("DELETE", "/facts", 405, Some("method_not_allowed")),
        ("GET", "/own", 404, None),
        ("HEAD", "/absent", 404, None),
        ("GET", "/panic", 500, Some("internal")),
    ] {
        let (found, text, response) = call("/", method, uri).await;
        let headers = response.headers();
        assert_eq!(found, status, "{method} {uri}");
        assert_eq!(headers["x-clacks-overhead"], "GNU Terry Pratchett", "{uri}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{uri}");
        assert_eq!(headers["referrer-policy"], "same-origin", "{uri}");
        assert_eq!(headers["x-request-id"].len(), 16, "{uri}");
        assert_eq!(headers.contains_key(header::ALLOW), status == 405, "{uri}");
        if let Some(error) = error {
            let json: serde_json::Value = serde_json::from_str(&text).unwrap();
            assert_eq!(json["error"], error, "{uri}");
            assert_eq!(json.get("request_id").is_some(), status == 500, "{uri}");
            assert!(!text.contains("on purpose"), "{text}");
        }
    }
    let (_, text, _) = call("/", "GET", "/own").await;
    assert_eq!(text, "nothing of mine");
    let (_, _, response) = call("/", "GET", "/strict").await;
    assert_eq!(response.headers()["referrer-policy"], "no-referrer");
    let (_, text, response) = call("/", "GET", "/panic").await;
    assert!(text.contains(response.headers()["x-request-id"].to_str().unwrap()), "{text}");
}

/// Collects what is logged, as text.
#[derive(Clone, Default)]
struct Lines(Arc<parking_lot::Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn every_answer_is_counted_under_its_route() {
    let requests = RequestMetrics::default();
    let router = router("/box", requests.clone());
    for (method, uri) in [
        ("GET", "/box/facts/kitten"),
        ("GET", "//box/facts/puppy?q"),
        ("DELETE", "/box/form"),
        ("GET", "/box/panic"),
        ("GET", "/box/absent"),
        ("GET", "/outside/facts"),
    ] {
        call_on(router.clone(), method, uri).await;
    }
    let mut text = Exposition::default();
    requests.expose(&mut text);
    let text = text.into_text();
    let risen = |line: &&str| line.starts_with("http_requests_total") && !line.ends_with(" 0");
    let lines: Vec<_> = text.lines().filter(risen).map(|line| &line["http_requests_total".len()..]).collect();
    assert_eq!(
        lines,
        [
            r#"{method="GET",route="/facts/{id}",status="200"} 2"#,
            r#"{method="DELETE",route="/form",status="405"} 1"#,
            r#"{method="GET",route="/panic",status="500"} 1"#,
            r#"{method="GET",route="unmatched",status="404"} 2"#,
        ]
    );
}

/// Collects what this thread logs until the guard is dropped.
fn listen(least: tracing::Level) -> (Lines, tracing::subscriber::DefaultGuard) {
    // With one listener alone, tracing would ask whichever thread comes first whether a line is of interest, and
    // remember its answer for all.
    static ANOTHER: LazyLock<tracing::Dispatch> = LazyLock::new(|| tracing_subscriber::registry().into());
    LazyLock::force(&ANOTHER);
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false);
    (lines, tracing::subscriber::set_default(subscriber.with_max_level(least).finish()))
}

#[tokio::test]
async fn request_is_named_even_where_only_warnings_are_logged() {
    let (lines, guard) = listen(tracing::Level::WARN);
    let (_, _, response) = call("/", "GET", "/panic").await;
    call("/", "GET", "/facts").await;
    drop(guard);
    let text = String::from_utf8(lines.0.lock().clone()).unwrap();
    let id = response.headers()["x-request-id"].to_str().unwrap();
    assert!(text.lines().count() == 2 && text.lines().all(|line| line.contains(id)), "{text}");
}

#[tokio::test]
async fn log_names_the_route_and_the_request_but_neither_query_nor_address() {
    let (lines, guard) = listen(tracing::Level::INFO);
    let (_, _, first) = call("/", "GET", "/facts/kitten?token=secret").await;
    let (_, _, second) = call("/", "GET", "/panic").await;
    call("/", "GET", "/absent?token=secret").await;
    drop(guard);
    let text = String::from_utf8(lines.0.lock().clone()).unwrap();
    let all: Vec<&str> = text.lines().collect();
    assert_eq!(all.len(), 4, "{text}");
    for (line, response) in [(all[0], &first), (all[1], &second), (all[2], &second)] {
        assert!(line.contains(response.headers()["x-request-id"].to_str().unwrap()), "{line}");
    }
    assert!(all[0].contains(r#"path="/facts/{id}" status=200 duration_ms="#), "{text}");
    assert!(all[1].contains("on purpose") && all[2].contains("status=500"), "{text}");
    assert!(all[3].contains(r#"path="/absent" status=404"#), "{text}");
    for never in ["secret", "kitten", "192.0.2.7", "10.0.0.1"] {
        assert!(!text.contains(never), "{never}: {text}");
    }
}
