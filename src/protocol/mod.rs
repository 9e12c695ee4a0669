//! Adapters: each translates one SDK's wire protocol into requests of the pipeline, and receipts into its replies.
//! Beside them, what any program may ask.

mod cors;
pub mod telemetry_kit;
pub mod version_check;

use std::sync::Arc;

use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::any;

use crate::auth::ingest_key::IngestKeys;
use crate::clock::Clock;
use crate::http::body::BodyLimits;
use crate::http::limit::AddressLimiter;
use crate::http::{self, Routes};
use crate::ingest::Intake;
use crate::model::Limits;

pub use cors::Cors;

/// What every adapter works with. It has no store: an adapter cannot go around the pipeline.
#[derive(Clone)]
pub struct Gate {
    /// The pipeline.
    pub intake: Intake,
    /// Credentials.
    pub keys: IngestKeys,
    /// Now.
    pub clock: Clock,
    /// How large a body may be, and how long it may take.
    pub body: BodyLimits,
    /// Failed proofs by address.
    pub failures: Arc<AddressLimiter>,
    /// Whether requests with `DNT: 1` are answered and not kept.
    pub respect_dnt: bool,
    /// Web pages that may send events from a browser.
    pub cors: Arc<Cors>,
    /// How telemetry-kit clients are told of refusals.
    pub telemetry_kit_errors: telemetry_kit::ErrorShape,
}

/// One SDK's protocol.
pub struct Adapter {
    /// As in the README.
    pub name: &'static str,
    /// Its routes; where two protocols claim one path, it is decided in this file.
    pub routes: fn(&Limits) -> Routes<Gate>,
}

/// Every protocol that is spoken.
pub const ALL: [Adapter; 1] = [telemetry_kit::ADAPTER];

/// The routes of all protocols, ready to be merged with those of the pages.
pub fn routes<S: Clone + Send + Sync + 'static>(gate: Gate) -> Routes<S> {
    let cors = gate.cors.clone();
    let limits = gate.intake.limits();
    let routes = ALL.iter().fold(Routes::default(), |routes, adapter| routes.merge((adapter.routes)(limits)));
    // What lies beside the paths of programs is refused in the programs' language, not with a page.
    routes.with_state(gate).map(|router| {
        let router = router.route("/v1/{*rest}", any(nowhere)).route("/events/{*rest}", any(nowhere));
        router.route_layer(from_fn_with_state(cors, cors::apply))
    })
}

async fn nowhere() -> Response {
    http::refuse(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}
