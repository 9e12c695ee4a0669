//! Cross-origin requests: which web pages may send events from a browser.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::auth::ingest_key::IngestKeys;
use crate::http::told::{PageVerdict, is_listed};

/// Request headers of all protocols (`telemetry-kit`, section 3).
const HEADERS: HeaderValue = HeaderValue::from_static(
    "authorization, content-type, content-encoding, dnt, x-batch-size, x-clacks-overhead, x-nonce, x-schema-version, \
     x-sdk-version, x-signature, x-timestamp",
);
const METHODS: HeaderValue = HeaderValue::from_static("GET, POST");
/// Response headers that a page may read.
const EXPOSED: HeaderValue =
    HeaderValue::from_static("retry-after, x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-request-id");
/// Seconds for which a browser remembers the answer to a preflight: two hours, the most that all take.
const MAX_AGE: HeaderValue = HeaderValue::from_static("7200");

/// The origins from which browsers may send. No credentials of a browser (cookies) are ever allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cors {
    /// None: programs are not browsers and do not ask.
    #[default]
    Off,
    /// Any.
    Any,
    /// These, as browsers write them: `https://example.com`, without a path or a slash at the end.
    Origins(Vec<String>),
}

impl Cors {
    /// From a setting: an empty list is off, `*` in it is any.
    pub fn from_list(origins: &[String]) -> Self {
        if origins.iter().any(|origin| origin == "*") {
            Self::Any
        } else if origins.is_empty() {
            Self::Off
        } else {
            Self::Origins(origins.to_vec())
        }
    }

    /// What to answer to that origin, if it may send.
    fn allow(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let origin = request.get(header::ORIGIN)?;
        match self {
            Self::Off => None,
            Self::Any => Some(HeaderValue::from_static("*")),
            Self::Origins(origins) => origins.iter().any(|o| o.as_bytes() == origin.as_bytes()).then(|| origin.clone()),
        }
    }
}

/// Who decides about pages: the box's setting, and the apps that list origins of their own.
#[derive(Clone)]
pub struct Pages {
    /// The setting.
    pub cors: Arc<Cors>,
    /// Knows what apps list.
    pub keys: IngestKeys,
}

/// Answers preflights, and marks the other responses. What an app lists counts before the setting.
pub async fn apply(State(Pages { cors, keys }): State<Pages>, request: Request, next: Next) -> Response {
    let Some(origin) = request.headers().get(header::ORIGIN).cloned() else {
        let mut response = next.run(request).await;
        if *cors != Cors::Off {
            response.headers_mut().append(header::VARY, HeaderValue::from_static("origin"));
        }
        return response;
    };
    let mut allowed = cors.allow(request.headers());
    let asks = request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let preflight = request.method() == Method::OPTIONS && asks;
    if preflight && allowed.is_none() && is_listed(&keys, request.headers()).await {
        allowed = Some(origin.clone());
    }
    let known = *cors != Cors::Off || allowed.is_some();
    let mut response =
        if preflight && known { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    match response.extensions().get::<PageVerdict>() {
        Some(PageVerdict::Listed) => allowed = Some(origin),
        Some(PageVerdict::Foreign) => allowed = None,
        None if *cors == Cors::Off && !preflight => return response,
        None => {}
    }
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
        if preflight {
            headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
            headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        }
    }
    response
}

/// Most bytes of names of headers that a page asks for and gets told again.
const MIRRORED: usize = 1_024;

/// For protocols whose key stands in the page: any origin may send, unless the app lists others, with the headers that it
/// asks for. A preflight does not say for which app it is, so it is granted, and the request itself is judged.
pub async fn mirror(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let origin = headers.get(header::ORIGIN).cloned();
    let wanted = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).filter(|asked| asked.len() <= MIRRORED).cloned();
    let asks = headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let options = *request.method() == Method::OPTIONS;
    let mut response = if options { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let foreign = response.extensions().get::<PageVerdict>() == Some(&PageVerdict::Foreign);
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    let Some(origin) = origin.filter(|_| !foreign) else { return response };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    if options && asks {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
        if let Some(wanted) = wanted {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::middleware::{from_fn, from_fn_with_state};
    use axum::routing::post;
    use axum::{Extension, Router};
    use tower::ServiceExt;

    use super::*;
    use crate::auth::ingest_key::tests::Shelf;
    use crate::auth::seal::MasterKey;
    use crate::clock::Clock;
    use crate::model::Millis;

    const PAGE: &str = "https://app.example";

    fn pages(cors: &Cors) -> Pages {
        let keys = IngestKeys::over(Shelf::default(), MasterKey::generate(), Clock::manual(Millis(0)));
        Pages { cors: Arc::new(cors.clone()), keys }
    }

    async fn ask(cors: &Cors, method: &str, origin: &str) -> Response {
        let router = Router::new().route("/x", post(|| async { "taken" }));
        let router = router.route_layer(from_fn_with_state(pages(cors), apply));
        let request = Request::builder().method(method).uri("/x").header("origin", origin);
        let request = request.header("access-control-request-method", "POST").body(Body::empty()).unwrap();
        router.oneshot(request).await.unwrap()
    }

    #[tokio::test]
    async fn only_named_origins_are_allowed_and_off_is_silent() {
        let named = Cors::from_list(&[PAGE.to_owned()]);
        for (cors, origin, allowed) in [
            (&Cors::Off, PAGE, None),
            (&Cors::from_list(&[]), PAGE, None),
            (&named, PAGE, Some(PAGE)),
            (&named, "https://app.example.evil", None),
            (&named, "http://app.example", None),
            (&Cors::from_list(&[PAGE.to_owned(), "*".to_owned()]), "https://any.example", Some("*")),
        ] {
            for method in ["POST", "OPTIONS"] {
                let response = ask(cors, method, origin).await;
                let header = response.headers().get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
                assert_eq!(header.map(|h| h.to_str().unwrap()), allowed, "{method} {cors:?} {origin}");
                assert!(!response.headers().contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
            }
        }
    }

    #[tokio::test]
    async fn any_page_may_send_with_a_key_that_stands_in_it() {
        let foreign = || async { (Extension(PageVerdict::Foreign), "refused") };
        let router = Router::new().route("/x", post(|| async { "taken" })).route("/y", post(foreign));
        let router = router.route_layer(from_fn(mirror));
        let ask = |method: &str, path: &str| {
            let request = Request::builder().method(method).uri(path).header("origin", PAGE);
            let request = request.header("access-control-request-method", "POST");
            request.header("access-control-request-headers", "app-key, x-other").body(Body::empty()).unwrap()
        };
        for (method, path, status, allowed) in
            [("POST", "/x", 200, Some(PAGE)), ("OPTIONS", "/x", 204, Some(PAGE)), ("POST", "/y", 200, None)]
        {
            let response = router.clone().oneshot(ask(method, path)).await.unwrap();
            assert_eq!(response.status(), status, "{method} {path}");
            let text = |name: header::HeaderName| response.headers().get(name).map(|value| value.to_str().unwrap());
            assert_eq!(text(header::ACCESS_CONTROL_ALLOW_ORIGIN), allowed, "{method} {path}");
            assert_eq!(text(header::VARY), Some("origin"));
            let asked = (method == "OPTIONS").then_some("app-key, x-other");
            assert_eq!(text(header::ACCESS_CONTROL_ALLOW_HEADERS), asked);
            assert_eq!(text(header::ACCESS_CONTROL_ALLOW_CREDENTIALS), None);
        }
    }

    #[tokio::test]
    async fn preflight_is_answered_with_the_signing_headers_and_never_reaches_the_handler() {
        let response = ask(&Cors::Any, "OPTIONS", PAGE).await;
        assert_eq!(response.status(), StatusCode::NO_CONTENT);
        let headers = response.headers()[header::ACCESS_CONTROL_ALLOW_HEADERS].to_str().unwrap();
        for name in ["authorization", "content-type", "x-signature", "x-timestamp", "x-nonce", "x-batch-size"] {
            assert!(headers.split(", ").any(|header| header == name), "{name} in {headers}");
        }
        assert_eq!(ask(&Cors::Off, "OPTIONS", PAGE).await.status(), StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(ask(&Cors::Any, "POST", PAGE).await.status(), StatusCode::OK);
        assert_eq!(ask(&Cors::Any, "GET", PAGE).await.headers()[header::ALLOW], "POST");
    }
}
