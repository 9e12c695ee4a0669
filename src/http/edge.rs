//! What every request passes on its way to the router, and every response on its way back.

use std::any::Any;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, Request};
use axum::http::uri::{PathAndQuery, Uri};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::time::Instant;
use tower::util::MapRequestLayer;
use tower::{Service, ServiceExt};
use tower_http::catch_panic::{CatchPanic, ResponseForPanic};
use tracing::Instrument;

use super::address::{client_of, user_of};
use super::metrics::{Answered, RequestMetrics};
use super::origin::{Peer, RequestIds, TraceIds};
use super::refuse;
use super::server::ServerOptions;
use crate::clock::Clock;
use crate::model::{IpNet, Origin, RequestId, TraceId, TraceParent};
use crate::trail::{self, Stage, Trail};

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACERESPONSE: HeaderName = HeaderName::from_static("traceresponse");

/// Time of a slow request that is none of a stage.
const OTHER: &str = "other";

/// Longest path that is logged, in bytes.
const LOGGED_PATH: usize = 200;

/// Puts around a whole router what all requests share: the base path taken off and repeated slashes made one before
/// routing, an [`Origin`] for handlers to take as an argument, a span and one log line a request (never its query,
/// headers, body or address), its count among `requests`, 500 instead of a panic, the headers that every response has,
/// and a JSON body for every error that comes without any.
pub fn layers(router: Router, clock: Clock, options: &ServerOptions, requests: RequestMetrics) -> Router {
    let noted = router.layer(MapRequestLayer::new(note_route));
    let edge = Edge {
        shared: Arc::new(Shared {
            clock,
            trusted: options.trusted_proxies.clone(),
            user_header: options.user_header.clone(),
            base: base_of(&options.base_path),
            ids: RequestIds::new(),
            traces: TraceIds::new(),
            slow: options.slow_request,
            requests,
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
    user_header: Option<HeaderName>,
    /// Empty, or with a leading slash and no trailing one.
    base: String,
    ids: RequestIds,
    traces: TraceIds,
    /// What takes this long is told with its cause.
    slow: Duration,
    requests: RequestMetrics,
}

/// Where the router leaves the template that matched, for the log and the count.
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
        let named = self.shared.user_header.as_ref();
        let user = named.and_then(|header| user_of(peer.0, request.headers(), header, &self.shared.trusted));
        let (received_at, request_id) = (self.shared.clock.now(), self.shared.ids.next());
        let origin = Origin { received_at, address, https, user, request_id };
        let parent = parent_of(request.headers());
        let trace = parent.map_or_else(|| self.shared.traces.next(), |parent| parent.trace);
        let told = traceresponse(trace, request_id, parent);
        // Of the highest level, so that it stands whatever level is logged.
        let span = tracing::error_span!("request", request_id = %origin.request_id, trace_id = %trace);
        let edge = self.clone();
        let trail = Trail::new(trace);
        let work = async move {
            let mut response = edge.pass(request, origin).await;
            if let Some(told) = told {
                response.headers_mut().insert(TRACERESPONSE, told);
            }
            Ok(response)
        };
        Box::pin(trail::follow(trail, work).instrument(span))
    }
}

impl Edge {
    async fn pass(self, mut request: Request, origin: Origin) -> Response {
        let started = Instant::now();
        let (id, https) = (origin.request_id, origin.https);
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
        if https {
            refuse::stay_encrypted(response.headers_mut());
        }
        let route = note.0.get().map(MatchedPath::as_str);
        let duration = started.elapsed();
        let trail = trail::current();
        let waited = trail.as_ref().map_or(Duration::ZERO, |trail| trail.spent(Stage::Body));
        self.shared.requests.record(&Answered { route, method: &method, status, duration, waited });
        let path = route.unwrap_or_else(|| shorten(original.path()));
        let duration_ms = millis(duration);
        let status = status.as_u16();
        if status >= 500 {
            tracing::warn!(%method, path, status, duration_ms, "request");
        } else {
            tracing::info!(%method, path, status, duration_ms, "request");
        }
        if let Some(trail) = trail.filter(|_| duration >= self.shared.slow) {
            self.shared.requests.record_slow(tell_slow(&trail, path, duration));
        }
        response
    }
}

/// Tells where the time of a slow request went, and says on what most of it was spent.
fn tell_slow(trail: &Trail, path: &str, duration: Duration) -> &'static str {
    let spent = Stage::ALL.map(|stage| trail.spent(stage));
    let [body, queue, commit, report, store] = spent;
    let other = duration.saturating_sub(spent.iter().sum());
    let stages = Stage::ALL.map(Stage::as_str).into_iter().chain([OTHER]).zip(spent.into_iter().chain([other]));
    let cause = stages.max_by_key(|(_, time)| *time).map_or(OTHER, |(cause, _)| cause);
    let slowest = trail.slowest();
    tracing::warn!(
        path,
        cause,
        duration_ms = millis(duration),
        body_ms = millis(body),
        queue_ms = millis(queue),
        commit_ms = millis(commit),
        report_ms = millis(report),
        store_ms = millis(store),
        other_ms = millis(other),
        slowest_statement_ms = slowest.as_ref().map(|slowest| millis(slowest.took)),
        slowest_statement = slowest.map(|slowest| slowest.what),
        "slow request"
    );
    cause
}

fn millis(time: Duration) -> f64 {
    time.as_micros() as f64 / 1_000.0
}

/// What the caller says of its trace. Two headers, or one that is not as the standard has it, say nothing.
fn parent_of(headers: &HeaderMap) -> Option<TraceParent> {
    let mut named = headers.get_all(TRACEPARENT).into_iter();
    let parent = named.next().filter(|_| named.next().is_none())?;
    TraceParent::parse(parent.as_bytes())
}

/// The answer's side of `traceparent` (<https://www.w3.org/TR/trace-context-2/>): the trace, and the request as its span.
fn traceresponse(trace: TraceId, request: RequestId, parent: Option<TraceParent>) -> Option<HeaderValue> {
    let flags = u8::from(parent.is_some_and(|parent| parent.sampled));
    HeaderValue::try_from(format!("00-{trace}-{request}-{flags:02x}")).ok()
}

fn note_route(request: Request) -> Request {
    let parts = request.extensions();
    if let (Some(path), Some(note)) = (parts.get::<MatchedPath>(), parts.get::<RouteNote>()) {
        // A nested router would note the same route again.
        _ = note.0.set(path.clone());
    }
    request
}

/// Turns a panic into a 500 without a body. Its payload is our own text; it is logged here and nowhere else in this
/// layer.
#[derive(Clone, Copy, Debug)]
pub struct AnswerPanic;

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
mod tests;
