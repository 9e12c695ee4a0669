//! Adapters: each translates one SDK's wire protocol into requests of the pipeline, and receipts into its replies.
//! Beside them, what any program may ask.

pub mod admission;
pub mod aptabase;
mod cors;
mod event_id;
mod json;
mod moment;
pub mod otlp;
mod outside;
mod paths;
pub mod posthog;
pub mod public;
pub mod segment;
pub mod teardown;
pub mod telemetry_kit;
mod unity;
pub mod version_check;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::Response;
use axum::routing::any;

use crate::auth::ingest_key::IngestKeys;
use crate::clock::Clock;
use crate::http::body::BodyLimits;
use crate::http::limit::AddressLimiter;
use crate::http::{self, Part, Routes};
use crate::ingest::{Intake, Reader};
use crate::model::{Limits, Origin, Words};

pub use cors::Cors;
pub use outside::Outside;
pub use paths::Choice;

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
    /// Where clients find the box.
    pub outside: Arc<Outside>,
    /// How telemetry-kit clients are told of refusals.
    pub telemetry_kit_errors: telemetry_kit::ErrorShape,
    /// What Teardown's protocol needs besides.
    pub teardown: Arc<teardown::Teardown>,
}

/// What the routes of the protocols depend on.
#[derive(Clone, Debug)]
pub struct Ground<'a> {
    /// Bounds of requests.
    pub limits: &'a Limits,
    /// The prefix under which they lie: empty, or a path without a slash at its end.
    pub under: &'a str,
    /// Which of them are wanted.
    pub part: Part,
}

impl Ground<'_> {
    /// What an adapter adds its routes to.
    pub fn routes(&self) -> Routes<Gate> {
        Routes::under(self.under, self.part.clone())
    }
}

impl Gate {
    /// Lets web pages that may send use these routes: those of the setting, and those that apps list.
    fn open_to_pages(&self, router: Router<Self>) -> Router<Self> {
        let pages = cors::Pages { cors: self.cors.clone(), keys: self.keys.clone() };
        router.route_layer(from_fn_with_state(pages, cors::apply))
    }
}

/// Lets every web page use these routes, of whose key a page makes no secret: but those that an app's list leaves out.
pub fn open_to_browsers(router: Router<Gate>) -> Router<Gate> {
    router.route_layer(from_fn(cors::mirror))
}

/// One SDK's protocol.
pub struct Adapter {
    /// As in the documentation.
    pub name: &'static str,
    /// As in the setting `protocols`.
    pub slug: &'static str,
    /// Where it lies besides the root unless the setting says otherwise: empty, or a path without a slash at its end.
    pub prefix: &'static str,
    /// Its routes. Where two protocols claim one path, it is decided in `paths.rs`.
    pub routes: fn(&Ground<'_>) -> Routes<Gate>,
    /// Puts around its routes what their answers share.
    pub around: fn(Router<Gate>, &Gate) -> Router<Gate>,
    /// Reads the text of an event that could not be used, and was set aside under the adapter's name, once more.
    pub reader: Option<Reader>,
    /// What its clients hear of orders to be quiet or to send less often.
    pub words: Words,
    /// The page of the documentation that says which lines to change in an app.
    pub guide: &'static str,
}

/// Every protocol that is spoken.
pub const ALL: [Adapter; 6] =
    [telemetry_kit::ADAPTER, teardown::ADAPTER, aptabase::ADAPTER, posthog::ADAPTER, segment::ADAPTER, otlp::ADAPTER];

/// Those that can read again what they could not, by their names.
pub fn readers() -> impl Iterator<Item = (&'static str, Reader)> {
    ALL.into_iter().filter_map(|adapter| Some((adapter.name, adapter.reader?)))
}

/// What the clients of each protocol hear of orders, by its name.
pub fn words() -> Vec<(&'static str, Words)> {
    ALL.into_iter().map(|adapter| (adapter.name, adapter.words)).collect()
}

/// The routes of the chosen protocols, ready to be merged with those of the pages.
///
/// # Errors
/// In words, where the choice names what is not there.
pub fn router<S: Clone + Send + Sync + 'static>(gate: Gate, choice: &Choice) -> Result<Router<S>, String> {
    // What lies beside the paths of programs is refused in the programs' language, not with a page.
    let beside = Router::new().route("/v1/{*rest}", any(nowhere)).route("/events/{*rest}", any(nowhere));
    let beside = gate.open_to_pages(beside).merge(choice.silent(&gate)?);
    Ok(choice.routes(&gate)?.merge(beside).with_state(gate))
}

async fn nowhere(State(gate): State<Gate>, origin: Origin, method: Method, uri: Uri) -> Response {
    if method == Method::POST || method == Method::OPTIONS {
        gate.intake.note_stray(uri.path(), origin.received_at);
    }
    http::stray()
}
