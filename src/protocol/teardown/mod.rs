//! Teardown: `POST /v1/identify` and `POST /v1/events`, which its published React Native client 2.0.40 calls, at the
//! root and under a prefix, where `GET /` and `GET /health` lie as well.

mod events;
mod fault;
mod headers;
mod identify;
mod shell;
mod tenant;
mod wire;

use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use self::fault::Fault;
use self::headers::Headers;
use self::tenant::Admitted;
use super::admission::unreadable;
use super::{Adapter, Gate, Ground};
use crate::auth::session_token::SessionTokens;
use crate::clock::Stopwatch;
use crate::http::body::{self, BodyLimits};
use crate::http::metrics::{IdentifyMetrics, Resolved};
use crate::http::told::{self, PageVerdict};
use crate::http::{Access, Routes};
use crate::ingest::{Credential, Knock, Roster};
use crate::model::{Millis, Origin, Refusal, SessionTimes, Words};

pub use shell::Origins;
pub use tenant::Tenancy;
pub use wire::events::read as decode;
pub use wire::identify::read as decode_identify;

/// This adapter.
pub const ADAPTER: Adapter = Adapter {
    name: NAME,
    slug: "teardown",
    prefix: "/td",
    routes,
    around: shell::around,
    reader: None,
    words: WORDS,
    guide: include_str!("../../../docs/teardown.md"),
};

/// As in the documentation.
const NAME: &str = "Teardown";

/// The protocol has no words for a client to be quiet; `DISABLED` would lock people out of their app.
const WORDS: Words = Words { pause: QUIET, stop: QUIET, flush: None };
const QUIET: &str = "Its events are answered as processed, and it goes on sending. Identify goes on, too: by its answer the \
                     app knows whether it must update.";

/// Largest body in bytes, where the box takes no less.
const BODY: usize = 1 << 20;

/// What this protocol needs besides the gate.
pub struct Teardown {
    /// How the app of a request is found.
    pub tenancy: Tenancy,
    /// Web pages that may use it.
    pub origins: Arc<Origins>,
    /// Signs what devices show to their app's own backend.
    pub tokens: SessionTokens,
    /// How long sessions and tokens last.
    pub times: SessionTimes,
    /// Devices and sessions of events.
    pub roster: Roster,
    /// Its figures.
    pub metrics: IdentifyMetrics,
    /// Batches with more events are told.
    pub high_volume: usize,
    /// Whether events of unknown devices are kept without them.
    pub lenient_devices: bool,
    /// Told at `GET /health`.
    pub build_id: Option<String>,
    /// Told at `GET /health`.
    pub service_id: Option<String>,
}

fn routes(ground: &Ground<'_>) -> Routes<Gate> {
    let limit = ground.limits.body_bytes.min(BODY);
    let routes = ground.routes().post("/v1/identify", Access::IngestKey, limit, identify);
    let routes = routes.post("/v1/events", Access::IngestKey, limit, events);
    if ground.under.is_empty() {
        return routes.nowhere("/v1/identify/{*rest}", shell::nowhere).nowhere("/v1/events/{*rest}", shell::nowhere);
    }
    let routes = routes.get("/", Access::Public, about).get("/health", Access::Public, health);
    routes.nowhere("", shell::nowhere).nowhere("/{*rest}", shell::nowhere)
}

async fn identify(State(gate): State<Gate>, origin: Origin, headers: HeaderMap, body: Body) -> Response {
    let watch = Stopwatch::start();
    let (call, mut resolved) = (Call::new(gate, origin, headers), Resolved::default());
    let outcome = identify::take(&call, body, &mut resolved).await;
    let created = outcome.as_ref().ok().map(|(_, created)| *created);
    call.gate.teardown.metrics.identify(&resolved, watch.elapsed(), created);
    call.answer(outcome.map(|(response, _)| response))
}

async fn events(State(gate): State<Gate>, origin: Origin, headers: HeaderMap, body: Body) -> Response {
    let watch = Stopwatch::start();
    let (call, mut seen) = (Call::new(gate, origin, headers), events::Seen::default());
    let outcome = events::take(&call, body, &mut seen).await;
    call.gate.teardown.metrics.events(&seen.resolved, watch.elapsed(), seen.batch);
    call.answer(outcome)
}

/// One request, its body not read yet.
struct Call {
    gate: Gate,
    origin: Origin,
    headers: HeaderMap,
    /// What its app says to the page that sends, once that is known.
    page: OnceLock<PageVerdict>,
}

impl Call {
    fn new(gate: Gate, origin: Origin, headers: HeaderMap) -> Self {
        Self { gate, origin, headers, page: OnceLock::new() }
    }

    /// Past the door of the app whose key was shown. A key of this protocol stands in every copy of the app.
    fn enter(&self, admitted: &Admitted) -> Result<(), Refusal> {
        if let Some(verdict) = PageVerdict::of(admitted.rules(), &self.headers) {
            _ = self.page.set(verdict);
        }
        let (key, address, origin) = (admitted.key(), self.origin.address, told::origin(&self.headers));
        let knock = Knock { credential: Credential::Public, key, address, origin };
        self.gate.intake.door().admit(admitted.app().id, admitted.rules(), knock).map(|_| ())
    }

    fn headers(&self) -> Headers<'_> {
        Headers::read(&self.headers)
    }

    fn asks_not_to_be_tracked(&self) -> bool {
        ["dnt", "sec-gpc"].iter().any(|name| self.headers.get(*name).is_some_and(|value| value == "1"))
    }

    /// The whole body, decompressed.
    async fn body(&self, body: Body) -> Result<Bytes, Fault> {
        let all = &self.gate.body;
        let limits = BodyLimits { wire: all.wire.min(BODY), decoded: all.decoded.min(BODY), ..all.clone() };
        body::read(&self.headers, body, limits).await.map_err(|error| Fault::Refused(unreadable(error)))
    }

    /// A refusal of the pipeline. Where the store knows of a revocation that we do not, keys are looked up anew.
    fn refused(&self, refusal: Refusal) -> Fault {
        if refusal == Refusal::Unauthorized {
            self.gate.keys.forget();
        }
        Fault::Refused(refusal)
    }

    fn answer(&self, outcome: Result<Response, Fault>) -> Response {
        let mut response = outcome.unwrap_or_else(|fault| {
            tracing::debug!(request = %self.origin.request_id, ?fault, "teardown request refused");
            self.gate.intake.note_refusal(NAME, &fault.refusal(), self.origin.received_at);
            fault.into_response()
        });
        if let Some(verdict) = self.page.get() {
            response.extensions_mut().insert(*verdict);
        }
        response
    }
}

#[derive(Serialize)]
struct About {
    message: &'static str,
    version: &'static str,
}

async fn about() -> Response {
    let about = About { message: "Teardown Ingest API", version: env!("CARGO_PKG_VERSION") };
    fault::json(StatusCode::OK, &about)
}

#[derive(Serialize)]
struct Health<'a> {
    status: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    build_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<&'a str>,
}

async fn health(State(gate): State<Gate>) -> Response {
    let Teardown { build_id, service_id, .. } = &*gate.teardown;
    let timestamp = iso(gate.clock.now());
    let (build_id, service_id) = (build_id.as_deref(), service_id.as_deref());
    fault::json(StatusCode::OK, &Health { status: "ok", timestamp, build_id, service_id })
}

/// A success of either route: `{"success":true,"data":...}`.
fn success(data: &impl Serialize) -> Response {
    #[derive(Serialize)]
    struct Success<'a, T> {
        success: bool,
        data: &'a T,
    }
    fault::json(StatusCode::OK, &Success { success: true, data })
}

/// As JavaScript writes a time: UTC, with milliseconds and `Z`.
fn iso(at: Millis) -> String {
    Timestamp::from_millisecond(at.0).map_or_else(|_| "1970-01-01T00:00:00.000Z".to_owned(), |at| format!("{at:.3}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_as_clients_read_them() {
        for (at, text) in [
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (1_767_225_790_120, "2026-01-01T00:03:10.120Z"),
            (i64::MAX, "1970-01-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso(Millis(at)), text);
        }
    }
}
