//! What every request passes on its way to the router, and every response on its way back.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tower::util::MapRequestLayer;
use tower::{Service, ServiceExt};
use tower_http::catch_panic::{CatchPanic, ResponseForPanic};
use tracing::Instrument;

use super::address::{IpNet, client_of};
use super::origin::{Peer, RequestIds};
use super::refuse;
use super::server::ServerOptions;
use crate::clock::Clock;
use crate::model::Origin;

/// Longest path that is logged, in bytes.
const LOGGED_PATH: usize = 200;

/// Puts around a whole router what all requests share: the base path taken off and repeated slashes made one before
/// routing, an [`Origin`] for handlers to take as an argument, a span and one log line a request (never its query,
/// headers, body or address), 500 instead of a panic, the headers that every response has, and a JSON body for
/// every error that comes without any.
pub fn layers(router: Router, clock: Clock, options: &ServerOptions) -> Router {
    let noted = router.layer(MapRequestLayer::new(note_route));
    let edge = Edge {
        shared: Arc::new(Shared {
            clock,
            trusted: options.trusted_proxies.clone(),
            base: base_of(&options.base_path),
            ids: RequestIds::new(),
        }),
        inner: CatchPanic::custom(noted, AnswerPanic),
    };
    Router::new().fallback_service(edge)
}

#[derive(Clone)]
struct Edge {
    shared: Arc<Shared>,
    inner: CatchPanic<Router, AnswerPanic>,
}

struct Shared {
    clock: Clock,
    trusted: Vec<IpNet>,
    /// Empty, or with a leading slash and no trailing one.
    base: String,
    ids: RequestIds,
}

/// Where the router leaves the template that matched, for the log.
#[derive(Clone, Default)]
struct RouteNote(Arc<OnceLock<MatchedPath>>);

impl Service<Request> for Edge {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let peer = request.extensions().get::<Peer>().copied().unwrap_or_default();
        let (address, https) = client_of(peer.0, request.headers(), &self.shared.trusted);
        let origin =
            Origin { received_at: self.shared.clock.now(), address, https, request_id: self.shared.ids.next() };
        // Of the highest level, so that it stands whatever level is logged.
        let span = tracing::error_span!("request", request_id = %origin.request_id);
        let edge = self.clone();
        Box::pin(async move { Ok(edge.pass(request, origin).await) }.instrument(span))
    }
}

impl Edge {
    async fn pass(self, mut request: Request, origin: Origin) -> Response {
        let started = Instant::now();
        let id = origin.request_id;
        let method = request.method().clone();
        let note = RouteNote::default();
        let original = request.uri().clone();
        let mut response = match local_uri(&original, &self.shared.base) {
            Some(rewritten) => {
                localize(&mut request, &original, rewritten);
                request.extensions_mut().insert(origin);
                request.extensions_mut().insert(note.clone());
                // The error is `Infallible`.
                self.inner.oneshot(request).await.map_or_else(|never| match never {}, |r| r.map(Body::new))
            }
            None => StatusCode::NOT_FOUND.into_response(),
        };
        let status = response.status();
        if (status.is_client_error() || status.is_server_error()) && method != Method::HEAD && is_empty(&response) {
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response.headers_mut().remove(header::CONTENT_LENGTH);
            *response.body_mut() = Body::from(refuse::explain(status, id));
        }
        refuse::mark(response.headers_mut(), id);
        let path = note.0.get().map_or_else(|| shorten(original.path()), MatchedPath::as_str);
        let duration_ms = started.elapsed().as_micros() as f64 / 1_000.0;
        let status = status.as_u16();
        if status >= 500 {
            tracing::warn!(%method, path, status, duration_ms, "request");
        } else {
            tracing::info!(%method, path, status, duration_ms, "request");
        }
        response
    }
}

fn note_route(request: Request) -> Request {
    let parts = request.extensions();
    if let (Some(path), Some(note)) = (parts.get::<MatchedPath>(), parts.get::<RouteNote>()) {
        // A nested router would note the same route again.
        _ = note.0.set(path.clone());
    }
    request
}

/// Turns a panic into a response. Its payload is our own text; it is logged here and nowhere else in this layer.
#[derive(Clone, Copy)]
struct AnswerPanic;

impl ResponseForPanic for AnswerPanic {
    type ResponseBody = Body;

    fn response_for_panic(&mut self, payload: Box<dyn Any + Send>) -> Response {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        tracing::error!(panic = text.unwrap_or("without a text"), "a handler panicked");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

fn is_empty(response: &Response) -> bool {
    response.body().size_hint().exact() == Some(0)
}

fn shorten(path: &str) -> &str {
    path.get(..path.floor_char_boundary(LOGGED_PATH)).unwrap_or_default()
}

/// The base path in the form that [`local_uri`] wants.
fn base_of(path: &str) -> String {
    let inside = path.split('/').filter(|part| !part.is_empty());
    inside.flat_map(|part| ["/", part]).collect()
}

/// The address as routers know it: `Some(None)` where nothing changes, `None` where it lies outside the base path.
fn local_uri(uri: &Uri, base: &str) -> Option<Option<Uri>> {
    let path = uri.path();
    if base.is_empty() && !path.contains("//") && uri.scheme().is_none() {
        return Some(None);
    }
    let mut short = String::with_capacity(path.len());
    for character in path.chars() {
        if character != '/' || !short.ends_with('/') {
            short.push(character);
        }
    }
    let rest = short.strip_prefix(base)?;
    let mut local = match rest {
        "" => "/".to_owned(),
        rest if rest.starts_with('/') || base.is_empty() => rest.to_owned(),
        _ => return None,
    };
    if let Some(query) = uri.query() {
        local.push('?');
        local.push_str(query);
    }
    PathAndQuery::try_from(local).ok().map(|path| Some(Uri::from(path)))
}

/// Gives the request its local address. One that came with a whole URL has its host from there (RFC 9112, 3.2.2).
fn localize(request: &mut Request, original: &Uri, local: Option<Uri>) {
    if let Some(host) = original.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        request.headers_mut().insert(header::HOST, host);
    }
    if let Some(local) = local {
        *request.uri_mut() = local;
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::{get, post};

    use super::*;
    use crate::model::Millis;

    fn router(base_path: &str) -> Router {
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
        layers(router, Clock::manual(Millis(5)), &options)
    }

    async fn call(base_path: &str, method: &str, uri: &str) -> (u16, String, Response) {
        let mut request = Request::builder().method(method).uri(uri).body(Body::empty()).unwrap();
        request.extensions_mut().insert(Peer([10, 0, 0, 1].into()));
        for (name, value) in [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")] {
            request.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        let (parts, body) = router(base_path).oneshot(request).await.unwrap().into_parts();
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
    async fn log_names_the_route_and_the_request_but_neither_query_nor_address() {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        let guard = tracing::subscriber::set_default(subscriber);
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
}
