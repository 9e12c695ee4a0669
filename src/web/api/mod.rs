//! The read API: what pages show, as JSON for programs. One file for each resource; a new one is a file, its line in
//! [`routes`] and its path in `openapi.json`.

mod answer;
mod apps;
mod error;
mod events;
mod openapi;
mod params;
mod query;
mod reader;
mod shape;
mod users;

use std::any::Any;

use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::error::PageError;
use super::state::WebState;
use crate::http::{Access, Routes};

use answer::Answer;
pub use answer::finish;
pub use error::ApiError;
use params::Params;
use reader::{AppReader, Reader};
use shape::{Event, Step, Units, Utc, Values};

/// What all paths of the API begin with.
const ROOT: &str = "/api/";

/// The routes, of which each answers a defect of its own in JSON.
pub fn routes() -> Routes<WebState> {
    Routes::default()
        .get("/api/v1/openapi.json", Access::Public, openapi::show)
        .get("/api/v1/apps", Access::ApiToken, apps::list)
        .get("/api/v1/apps/{app}/query", Access::ApiToken, query::show)
        .get("/api/v1/apps/{app}/events", Access::ApiToken, events::list)
        .get("/api/v1/apps/{app}/users/{user}", Access::ApiToken, users::show)
        .map(|router| router.layer(CatchPanicLayer::custom(panicked)))
}

/// A failure that no route has answered, for programs under the API's own path and for people elsewhere.
pub fn refuse(path: &str, error: PageError) -> Response {
    if path.starts_with(ROOT) { ApiError::from(error).into_response() } else { error.into_response() }
}

fn panicked(payload: Box<dyn Any + Send>) -> Response {
    ApiError::from(PageError::panic(payload.as_ref())).into_response()
}
