//! Pages for people: set-up, sign-in, apps, the overview, users, devices, keys; with assets, health and metrics. The
//! same for programs: the read API.

mod api;
mod asking;
mod assets;
mod banning;
mod bars;
mod board;
mod browser;
mod cards;
mod chart;
mod condition;
mod connect;
mod cookie;
mod credentials;
mod entrance;
mod error;
mod event;
mod export;
mod extract;
mod figures;
mod form;
mod format;
mod frame;
mod headers;
mod health;
mod json;
mod listing;
mod metrics;
mod objectives;
mod occurrence;
mod ordering;
mod pages;
mod person;
mod qr;
mod reason;
mod release;
mod rights;
mod selection;
mod session;
mod stack;
mod standing;
mod state;
mod steps;
mod stream;
mod table;
mod toolbar;
mod tops;
mod waiting;
mod zones;

use std::any::Any;

use axum::extract::State;
use axum::http::header::ACCEPT;
use axum::http::{HeaderMap, Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use crate::http::{self, Access, Routes};

pub use condition::BoxParts;
pub use error::PageError;
pub use figures::gather;
pub use metrics::MetricsParts;
pub use state::{Keeping, Site, WebParts, WebState};

/// Every route of this module: pages, assets, health and metrics.
pub fn routes() -> Routes<WebState> {
    open_routes().merge(api::routes()).merge(pages::routes())
}

/// The routes ready to serve: pages wait for set-up, failures are shown in the design (to programs as JSON), and every
/// response carries the security headers. Paths that no route takes, and methods that a page does not have, get the design's error pages.
///
/// Mount it under the site's base path: paths here begin after it. Each request needs an
/// [`Origin`](crate::model::Origin) among its extensions.
pub fn mount(state: WebState) -> Routes<()> {
    let waiting = from_fn_with_state(state.clone(), pages::require_setup);
    let pages = pages::routes().map(|router| router.route_layer(waiting));
    open_routes()
        .merge(api::routes())
        .merge(pages)
        .map(|router| {
            router
                .fallback(stray)
                .method_not_allowed_fallback(async |uri: Uri| api::refuse(uri.path(), PageError::Method))
                .layer(CatchPanicLayer::custom(panicked))
                .layer(from_fn_with_state(state.clone(), error::show))
                .layer(from_fn(api::finish))
                .layer(from_fn(headers::secure))
        })
        .with_state(state)
}

/// What is open before set-up.
fn open_routes() -> Routes<WebState> {
    Routes::default()
        .get("/assets/{name}", Access::Public, assets::get)
        .get("/health", Access::Public, health::health)
        .get("/health/live", Access::Public, health::live)
        .get("/health/ready", Access::Public, health::ready)
        .get("/metrics", Access::Metrics, metrics::get)
        .get("/setup", Access::SetupToken, pages::setup::show)
        .post("/setup", Access::SetupToken, form::LIMIT, pages::setup::complete)
}

/// Where there is nothing: a page for people, and a line for programs, which most often have a wrong address.
async fn stray(State(state): State<WebState>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    let accepts = headers.get(ACCEPT).and_then(|accepts| accepts.to_str().ok()).unwrap_or_default();
    // A page of another origin asks before it sends.
    let sends = method == Method::POST || method == Method::OPTIONS;
    if !sends || accepts.contains("text/html") || api::owns(uri.path()) {
        return api::refuse(uri.path(), PageError::NotFound);
    }
    state.intake.note_stray(uri.path(), state.clock.now());
    http::stray()
}

fn panicked(payload: Box<dyn Any + Send>) -> Response {
    PageError::panic(payload.as_ref()).into_response()
}
