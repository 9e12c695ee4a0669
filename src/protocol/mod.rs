//! Adapters: each translates one SDK's wire protocol into requests of the pipeline, and receipts into its replies.
//! Beside them, what any program may ask.

mod cors;
pub mod otlp;
pub mod teardown;
pub mod telemetry_kit;
pub mod version_check;

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::any;

use crate::auth::ingest_key::IngestKeys;
use crate::clock::Clock;
use crate::http::body::BodyLimits;
use crate::http::limit::AddressLimiter;
use crate::http::{self, Routes};
use crate::ingest::{Intake, Reader};
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
    /// What Teardown's protocol needs besides.
    pub teardown: Arc<teardown::Teardown>,
}

/// What the routes of the protocols depend on.
#[derive(Clone, Copy, Debug)]
pub struct Ground<'a> {
    /// Bounds of requests.
    pub limits: &'a Limits,
    /// Where the Teardown protocol lies as well: a path without a slash at its end.
    pub teardown_prefix: &'a str,
}

impl Gate {
    /// Lets web pages that may send use these routes.
    fn open_to_pages(&self, router: Router<Self>) -> Router<Self> {
        let pages = cors::Pages { cors: self.cors.clone(), keys: self.keys.clone() };
        router.route_layer(from_fn_with_state(pages, cors::apply))
    }
}

/// One SDK's protocol.
pub struct Adapter {
    /// As in the documentation.
    pub name: &'static str,
    /// Its routes; where two protocols claim one path, it is decided in this file.
    pub routes: fn(&Ground<'_>) -> Routes<Gate>,
    /// Puts around its routes what their answers share.
    pub around: fn(Router<Gate>, &Gate) -> Router<Gate>,
    /// Reads the text of an event that could not be used, and was set aside under the adapter's name, once more.
    pub reader: Option<Reader>,
}

/// Every protocol that is spoken.
pub const ALL: [Adapter; 2] = [telemetry_kit::ADAPTER, teardown::ADAPTER];

/// Those that can read again what they could not, by their names.
pub fn readers() -> impl Iterator<Item = (&'static str, Reader)> {
    ALL.into_iter().filter_map(|adapter| Some((adapter.name, adapter.reader?)))
}

/// The routes of all protocols, ready to be merged with those of the pages.
pub fn routes<S: Clone + Send + Sync + 'static>(gate: Gate, teardown_prefix: &str) -> Routes<S> {
    let ground = Ground { limits: gate.intake.limits(), teardown_prefix };
    let dressed = |adapter: &Adapter| (adapter.routes)(&ground).map(|router| (adapter.around)(router, &gate));
    let routes = ALL.iter().fold(Routes::default(), |routes, adapter| routes.merge(dressed(adapter)));
    // What lies beside the paths of programs is refused in the programs' language, not with a page.
    let beside = Router::new().route("/v1/{*rest}", any(nowhere)).route("/events/{*rest}", any(nowhere));
    let beside = gate.open_to_pages(beside);
    routes.map(|router| router.merge(beside)).with_state(gate)
}

async fn nowhere() -> Response {
    http::refuse(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}
