//! The read API: what pages show, as JSON for programs. One file for each resource; a new one is a file, its line in
//! [`routes`] and its path in `openapi.json`.

mod answer;
mod apps;
mod error;
mod events;
mod funnels;
mod openapi;
mod params;
mod query;
mod reader;
mod retention;
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
use error::Told;
use params::Params;
use reader::{AppReader, Reader};
use shape::{Event, Local, Step, Units, Utc, Values};

/// What all paths of the API begin with.
const ROOT: &str = "/api/";

/// The routes, of which each answers a defect of its own in JSON.
pub fn routes() -> Routes<WebState> {
    Routes::default()
        .get("/api/v1/openapi.json", Access::Public, openapi::show)
        .get("/api/v1/apps", Access::ApiToken, apps::list)
        .get("/api/v1/apps/{app}/query", Access::ApiToken, query::show)
        .get("/api/v1/apps/{app}/events", Access::ApiToken, events::list)
        .get("/api/v1/apps/{app}/funnels", Access::ApiToken, funnels::show)
        .get("/api/v1/apps/{app}/retention", Access::ApiToken, retention::show)
        .get("/api/v1/apps/{app}/users/{user}", Access::ApiToken, users::show)
        .map(|router| router.layer(CatchPanicLayer::custom(panicked)))
}

/// Whether a path lies where the read API does, and not where a protocol of the same first word does.
pub fn owns(path: &str) -> bool {
    path.starts_with("/api/v1/")
}

/// A failure that no route has answered, for programs under the API's own path and for people elsewhere.
pub fn refuse(path: &str, error: PageError) -> Response {
    if path.starts_with(ROOT) { ApiError::from(error).into_response() } else { error.into_response() }
}

fn panicked(payload: Box<dyn Any + Send>) -> Response {
    ApiError::from(PageError::panic(payload.as_ref())).into_response()
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use axum::middleware::from_fn;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_defect_is_told_as_json() {
        let broken = get(|| async {
            if true {
                panic!("a defect")
            }
        });
        let router = Router::new().route("/x", broken).layer(CatchPanicLayer::custom(panicked)).layer(from_fn(finish));
        let response = router.oneshot(Request::get("/x").body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status().as_u16(), 500);
        let body: serde_json::Value =
            serde_json::from_slice(&to_bytes(response.into_body(), 9_999).await.unwrap()).unwrap();
        assert_eq!(body["error"]["code"], "internal", "{body}");
        assert!(!body.to_string().contains("a defect"), "{body}");
    }
}
