//! OTLP over HTTP: `POST /v1/logs`, `/v1/traces` and `/v1/metrics`, which the exporters of OpenTelemetry call, and the
//! same below `/i`, which PostHog's SDKs call.

mod claim;
mod decode;
mod key;
mod reply;
mod wire;

use std::borrow::Cow;

use axum::Router;
use axum::body::{Body, HttpBody};
use axum::extract::{RawQuery, Request as HttpRequest, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use tower_http::catch_panic::CatchPanicLayer;

use super::admission::{Seen, unreadable};
use super::{Adapter, Gate, Ground, open_to_browsers, public};
use crate::http::body::{self, BodyLimits};
use crate::http::{Access, AnswerPanic, Routes};
use crate::ingest::{Request, Scope};
use crate::model::{Origin, Receipt, Refusal, Words};

pub use self::decode::{Batch, Form, Message, Signal, decode};

/// This adapter.
pub const ADAPTER: Adapter = Adapter {
    name: NAME,
    slug: "otlp",
    prefix: "",
    routes,
    around,
    reader: None,
    words: Words::NONE,
    guide: include_str!("../../../docs/otlp.md"),
};

/// As in the documentation.
const NAME: &str = "OTLP";

/// Largest body in bytes, where the box takes no less.
const BODY: usize = 10 << 20;

/// Spans are answered, not kept.
const NO_SPANS: &str = "this server keeps logs, events and the exceptions of spans, but no spans";
/// Metrics are answered, not kept.
const NO_METRICS: &str = "this server keeps logs and events, but no metrics";

fn routes(ground: &Ground<'_>) -> Routes<Gate> {
    let limit = ground.limits.body_bytes.min(BODY);
    let mut routes = ground.routes();
    for under in ["/v1", "/i/v1"] {
        let at = |signal: &str| [under, signal].concat();
        routes = routes.post(&at("/logs"), Access::IngestKey, limit, logs);
        routes = routes.post(&at("/traces"), Access::IngestKey, limit, traces);
        routes = routes.post(&at("/metrics"), Access::IngestKey, limit, metrics);
    }
    routes
}

fn around(router: Router<Gate>, _: &Gate) -> Router<Gate> {
    let router = router.method_not_allowed_fallback(no_method);
    open_to_browsers(router.route_layer(CatchPanicLayer::custom(AnswerPanic)).route_layer(from_fn(dress)))
}

async fn no_method(headers: HeaderMap) -> Response {
    reply::bare(said(&headers).unwrap_or(Form::Json), StatusCode::METHOD_NOT_ALLOWED)
}

/// Gives a body to failures that came without one.
async fn dress(request: HttpRequest, next: Next) -> Response {
    let form = said(request.headers()).unwrap_or(Form::Json);
    let response = next.run(request).await;
    let status = response.status();
    let bare = response.body().size_hint().exact() == Some(0);
    if bare && (status.is_client_error() || status.is_server_error()) { reply::bare(form, status) } else { response }
}

async fn logs(
    State(gate): State<Gate>,
    origin: Origin,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    Call { gate, origin, query, headers, signal: Signal::Logs }.answer(body).await
}

async fn traces(
    State(gate): State<Gate>,
    origin: Origin,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    Call { gate, origin, query, headers, signal: Signal::Traces }.answer(body).await
}

async fn metrics(
    State(gate): State<Gate>,
    origin: Origin,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Body,
) -> Response {
    Call { gate, origin, query, headers, signal: Signal::Metrics }.answer(body).await
}

/// How a request says that it is written. PostHog's browser SDK calls its JSON plain text, so that a page needs no leave to
/// send it.
fn said(headers: &HeaderMap) -> Option<Form> {
    let kind = headers.get(header::CONTENT_TYPE)?.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    match &*kind {
        "application/json" | "text/plain" => Some(Form::Json),
        "application/x-protobuf" | "application/protobuf" | "application/octet-stream" => Some(Form::Protobuf),
        _ => None,
    }
}

/// One request, its body not read yet.
struct Call {
    gate: Gate,
    origin: Origin,
    query: Option<String>,
    headers: HeaderMap,
    signal: Signal,
}

/// A request that was taken.
struct Taken {
    form: Form,
    rejected: u64,
    why: Cow<'static, str>,
}

impl Call {
    async fn answer(self, body: Body) -> Response {
        let mut seen = Seen::default();
        let said = said(&self.headers);
        let outcome = self.take(body, &mut seen).await;
        let mut response = match &outcome {
            Ok(taken) => reply::taken(said.unwrap_or(taken.form), self.signal, taken.rejected, &taken.why),
            Err(refusal) => {
                tracing::debug!(request = %self.origin.request_id, ?refusal, "OTLP request refused");
                self.gate.intake.note_refusal(NAME, refusal, self.origin.received_at);
                reply::refused(said.unwrap_or(Form::Json), refusal)
            }
        };
        seen.dress(&mut response, outcome.as_ref().err());
        response
    }

    async fn take(&self, body: Body, seen: &mut Seen) -> Result<Taken, Refusal> {
        let key = key::find(&self.headers, self.query.as_deref());
        let key = key.as_deref().map_err(|missing| *missing);
        let admitted = public::admit(&self.gate, key, (&self.origin, &self.headers), seen).await?;
        let all = &self.gate.body;
        let limits = BodyLimits { wire: all.wire.min(BODY), decoded: all.decoded.min(BODY), ..all.clone() };
        let body = body::read(&self.headers, body, limits).await.map_err(unreadable)?;
        let message = Message {
            body: &body,
            form: said(&self.headers).unwrap_or(Form::Protobuf),
            signal: self.signal,
            key: admitted.key.0,
            agent: self.header("user-agent"),
        };
        let batch = decode(message, self.gate.intake.limits())?;
        let (form, others) = (batch.form, batch.others);
        let receipt = self.accept(admitted.scope(&self.gate, &self.origin), batch).await?;
        let (rejected, why) = match self.signal {
            Signal::Logs => {
                let (rejected, why) = reply::set_aside(&receipt);
                (rejected, Cow::Owned(why))
            }
            Signal::Traces => (others, Cow::Borrowed(NO_SPANS)),
            Signal::Metrics => (others, Cow::Borrowed(NO_METRICS)),
        };
        Ok(Taken { form, rejected, why })
    }

    async fn accept(&self, scope: Scope, batch: Batch<'_>) -> Result<Receipt, Refusal> {
        let intake = &self.gate.intake;
        if batch.claims.is_empty() {
            return Ok(Receipt::default());
        }
        let untracked = self.header("dnt") == Some("1") || self.header("sec-gpc") == Some("1");
        if untracked && self.gate.respect_dnt {
            return Ok(intake.drop_all(&scope.app, batch.claims.len()));
        }
        let country = scope.country.filter(|_| !batch.is_server);
        let request =
            Request { claims: batch.claims, ..Request::new(Scope { country, ..scope }, self.origin.received_at) };
        intake.accept(request).await.inspect_err(|refusal| {
            if *refusal == Refusal::Unauthorized {
                // The store knows of a revocation that we do not.
                self.gate.keys.forget();
            }
        })
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
}
