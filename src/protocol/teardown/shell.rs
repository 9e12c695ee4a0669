//! What every answer of the protocol shares: cross-origin headers, preflights, and a body for what came without one.

use std::sync::Arc;

use axum::Router;
use axum::body::HttpBody;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;

use super::super::Gate;
use super::fault;
use crate::auth::ingest_key::IngestKeys;
use crate::http::AnswerPanic;
use crate::http::told::{PageVerdict, is_listed};

/// Longest path that is said again, in bytes.
const TOLD_PATH: usize = 200;

/// Web pages that may use the protocol (`teardown`, section 14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// All.
    Any,
    /// These, as browsers write them.
    Listed(Vec<String>),
}

impl Origins {
    /// From a setting: `*` in it is any.
    pub fn from_list(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") { Self::Any } else { Self::Listed(origins.to_vec()) }
    }

    /// What an app lists counts before this.
    fn mark(&self, asked: Option<&HeaderValue>, verdict: Option<PageVerdict>, headers: &mut HeaderMap) {
        let allowed = match (verdict, self) {
            (None, Self::Any) => Some(HeaderValue::from_static("*")),
            (verdict, setting) => {
                // A cache must not hand one page's answer to another.
                headers.append(header::VARY, HeaderValue::from_static("origin"));
                let inside = match (verdict, setting) {
                    (Some(verdict), _) => verdict == PageVerdict::Listed,
                    (None, Self::Any) => true,
                    (None, Self::Listed(origins)) => {
                        asked.is_some_and(|asked| origins.iter().any(|origin| origin.as_bytes() == asked.as_bytes()))
                    }
                };
                asked.filter(|_| inside).cloned()
            }
        };
        if let Some(origin) = allowed {
            headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        }
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "content-type, authorization, td-api-key, td-org-id, td-project-id, td-environment-slug, td-device-id, \
                 td-session-id, td-sdk-version",
            ),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
            // Nothing here is a page; whoever opens one of these addresses sees text.
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// Puts all of it around the routes, with 404 for every method that they do not take.
pub fn around(router: Router<Gate>, gate: &Gate) -> Router<Gate> {
    wrap(router.method_not_allowed_fallback(nowhere), gate.teardown.origins.clone(), gate.keys.clone())
}

fn wrap<S: Clone + Send + Sync + 'static>(router: Router<S>, origins: Arc<Origins>, keys: IngestKeys) -> Router<S> {
    router.route_layer(CatchPanicLayer::custom(AnswerPanic)).route_layer(from_fn_with_state((origins, keys), dress))
}

/// For what is not there, under the paths of the protocol.
pub async fn nowhere(method: Method, uri: Uri) -> Response {
    let path = uri.path();
    let path = path.get(..path.floor_char_boundary(TOLD_PATH)).unwrap_or_default();
    fault::failure(StatusCode::NOT_FOUND, "NOT_FOUND", &format!("no route {method} {path}"))
}

async fn dress(State((origins, keys)): State<(Arc<Origins>, IngestKeys)>, request: Request, next: Next) -> Response {
    let asked = request.headers().get(header::ORIGIN).cloned();
    let (mut response, verdict) = match *request.method() {
        Method::OPTIONS => {
            let listed = *origins != Origins::Any && is_listed(&keys, request.headers()).await;
            (StatusCode::NO_CONTENT.into_response(), listed.then_some(PageVerdict::Listed))
        }
        _ => {
            let response = next.run(request).await;
            let verdict = response.extensions().get::<PageVerdict>().copied();
            (response, verdict)
        }
    };
    let status = response.status();
    if (status.is_client_error() || status.is_server_error()) && response.body().size_hint().exact() == Some(0) {
        response = fault::bare(status);
    }
    origins.mark(asked.as_ref(), verdict, response.headers_mut());
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::post;
    use serde_json::{Value, json};
    use tower::ServiceExt;

    use super::*;
    use crate::auth::ingest_key::tests::Shelf;
    use crate::auth::seal::MasterKey;
    use crate::clock::Clock;
    use crate::model::Millis;

    const PAGE: &str = "https://app.example";

    async fn boom() -> Response {
        panic!("a defect")
    }

    async fn ask(origins: Origins, method: &str, path: &str, origin: Option<&str>) -> (Response<()>, Value) {
        let router = Router::new().route("/x", post(|| async { "{}" })).route("/boom", post(boom));
        let keys = IngestKeys::over(Shelf::default(), MasterKey::generate(), Clock::manual(Millis(0)));
        let router = wrap(router.method_not_allowed_fallback(nowhere), Arc::new(origins), keys);
        let mut request = Request::builder().method(method).uri(path);
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        (Response::from_parts(parts, ()), body)
    }

    #[tokio::test]
    async fn origins_are_allowed_on_every_answer() {
        let listed = Origins::from_list(&[PAGE.to_owned()]);
        let any = Origins::from_list(&["https://b.example".to_owned(), "*".to_owned()]);
        for (origins, origin, allowed) in [
            (&any, Some(PAGE), Some("*")),
            (&any, None, Some("*")),
            (&listed, Some(PAGE), Some(PAGE)),
            (&listed, Some("https://app.example.evil"), None),
            (&listed, None, None),
            (&Origins::from_list(&[]), Some(PAGE), None),
        ] {
            for (method, path, status) in
                [("POST", "/x", 200), ("OPTIONS", "/x", 204), ("PUT", "/x", 404), ("POST", "/boom", 500)]
            {
                let (response, body) = ask(origins.clone(), method, path, origin).await;
                assert_eq!(response.status(), status, "{method} {path}");
                let header = response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
                assert_eq!(header.map(|value| value.to_str().unwrap()), allowed, "{method} {path} {origin:?}");
                assert_eq!(response.headers().contains_key(header::VARY), *origins != Origins::Any);
                assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
                assert_eq!(body.is_null(), status == 204, "{method} {path}");
            }
        }
    }

    #[tokio::test]
    async fn panic_is_told_in_the_protocols_words() {
        let (response, body) = ask(Origins::Any, "POST", "/boom", None).await;
        assert_eq!((response.status().as_u16(), &body["error"]["code"]), (500, &json!("INTERNAL_SERVER_ERROR")));
        assert!(body["message"].as_str().is_some_and(|text| !text.contains("defect")), "{body}");
    }

    #[tokio::test]
    async fn other_methods_are_no_routes() {
        let (response, body) = ask(Origins::Any, "GET", "/x", None).await;
        assert_eq!(response.status(), 404);
        assert_eq!(body["error"], json!({ "code": "NOT_FOUND", "message": "no route GET /x" }));
    }
}
