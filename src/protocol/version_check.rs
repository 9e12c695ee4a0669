//! The public version check: any app, whatever its SDK, asks whether its version must update.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH,
};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use percent_encoding::percent_decode_str;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::http::{self, Access, Routes};
use crate::model::{Platform, Slug, VersionAnswer, VersionQuestion};

/// Longest version and other values, in bytes as they travel decoded.
const VALUE: usize = 200;
/// Longest query, in bytes as it travels.
const QUERY: usize = 2_000;

/// For a minute anybody may keep an answer; where this box cannot be reached, for a day.
const KEEP: HeaderValue = HeaderValue::from_static("public, max-age=60, stale-if-error=86400");
const KEEP_NOT: HeaderValue = HeaderValue::from_static("no-store");

/// What [`Judge`] answers: `None` where there is no such app.
pub type Judged = Pin<Box<dyn Future<Output = Result<Option<VersionAnswer>, Unjudged>> + Send>>;

/// Who answers, for the app of a short name or UUID.
pub type Judge = Arc<dyn Fn(String, VersionQuestion) -> Judged + Send + Sync>;

/// There is no answer now; why is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unjudged;

/// The answer as it travels.
#[derive(Serialize)]
struct Wire<'a> {
    status: &'static str,
    target_version: Option<&'a str>,
    target_build: Option<i64>,
    notes: Option<&'a str>,
    store_url: Option<&'a str>,
}

/// The route, open to everybody and to every web page.
pub fn routes() -> Routes<Judge> {
    Routes::default()
        .get("/v1/apps/{app}/version-check", Access::Public, check)
        .map(|router| router.route_layer(from_fn(open_to_pages)))
}

/// `GET /v1/apps/{app}/version-check?platform=…&version=…&build=…&environment=…`. Statuses are those of the app in all
/// of its environments, so the last is taken and makes no difference.
async fn check(
    State(judge): State<Judge>,
    app: Result<Path<String>, PathRejection>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let question = match question(query.as_deref().unwrap_or_default()) {
        Ok(question) => question,
        Err(message) => return with(KEEP_NOT, http::refuse(StatusCode::BAD_REQUEST, "bad_request", message)),
    };
    // Every id of an app, a UUID as well, has the form of a short name.
    let app = app.map(|Path(app)| app).unwrap_or_default();
    let found = if Slug::parse(&app).is_some() { judge(app, question).await } else { Ok(None) };
    match found {
        Ok(Some(answer)) => answered(&answer, &headers),
        Ok(None) => with(KEEP_NOT, http::refuse(StatusCode::NOT_FOUND, "not_found", "there is no such app")),
        // Nobody is locked out because this box is in trouble.
        Err(Unjudged) => with(KEEP_NOT, json(body(&VersionAnswer::UP_TO_DATE))),
    }
}

/// What is asked, or what is wrong with the question. What we do not know is no error: it falls under no policy.
fn question(query: &str) -> Result<VersionQuestion, &'static str> {
    if query.len() > QUERY {
        return Err("the query is longer than 2000 bytes");
    }
    let mut question = VersionQuestion::default();
    // Not as forms write it: many clients leave the plus sign of `1.2.3+45` as it is.
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = percent_decode_str(value).decode_utf8_lossy();
        if value.len() > VALUE {
            return Err("a value is longer than 200 bytes");
        }
        match name {
            "version" => question.version = value.trim().to_owned(),
            "build" => question.build = value.parse().ok().filter(|build| *build >= 0),
            "platform" => question.platform = Platform::parse(&value.to_ascii_uppercase()),
            _ => {}
        }
    }
    if question.version.is_empty() { Err("the query names no version") } else { Ok(question) }
}

fn body(answer: &VersionAnswer) -> String {
    let wire = Wire {
        status: answer.status.answer(),
        target_version: answer.version.as_deref(),
        target_build: answer.build,
        notes: answer.notes.as_deref(),
        store_url: answer.store_url.as_deref(),
    };
    serde_json::to_string(&wire).expect("texts and a number can always be written as JSON")
}

fn answered(answer: &VersionAnswer, request: &HeaderMap) -> Response {
    let body = body(answer);
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..12]));
    let known = request.get_all(IF_NONE_MATCH).iter().any(|value| names(value, &tag));
    let mut response = if known { StatusCode::NOT_MODIFIED.into_response() } else { json(body) };
    if let Ok(tag) = HeaderValue::try_from(tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    with(KEEP, response)
}

/// Whether an `If-None-Match` names the tag, weak or strong (RFC 9110, section 13.1.2).
fn names(value: &HeaderValue, tag: &str) -> bool {
    let text = value.to_str().unwrap_or_default();
    text.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

fn json(body: String) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}

fn with(cache: HeaderValue, mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, cache);
    response
}

/// Lets web pages of any origin ask, answers their preflights, and marks every answer so.
async fn open_to_pages(request: Request, next: Next) -> Response {
    let preflight = request.method() == Method::OPTIONS;
    let mut response = if preflight { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("etag, x-request-id"));
    if preflight {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("if-none-match"));
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("86400"));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use tower::ServiceExt;

    use super::*;
    use crate::model::VersionStatus;

    async fn ask(method: &str, target: &str, tag: Option<&str>) -> Response {
        let judge: Judge = Arc::new(|app, question| {
            let required = VersionAnswer {
                status: VersionStatus::UpdateRequired,
                version: Some("2.0".to_owned()),
                build: question.build,
                notes: Some(format!("{:?}", question.platform)),
                store_url: None,
            };
            let found = match app.as_str() {
                "notes" => Ok(Some(required)),
                "broken" => Err(Unjudged),
                _ => Ok(None),
            };
            Box::pin(async move { found })
        });
        let router = routes().with_state::<()>(judge).into_router();
        let mut request = Request::builder().method(method).uri(target);
        if let Some(tag) = tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    async fn text(response: Response) -> String {
        String::from_utf8(to_bytes(response.into_body(), 10_000).await.unwrap().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn answers_have_a_tag_and_are_not_sent_twice() {
        const TARGET: &str = "/v1/apps/notes/version-check?platform=ios&version=1.0&build=7&environment=production";
        let first = ask("GET", TARGET, None).await;
        assert_eq!(first.status(), 200);
        assert_eq!(first.headers()[CACHE_CONTROL], "public, max-age=60, stale-if-error=86400");
        let tag = first.headers()[ETAG].to_str().unwrap().to_owned();
        assert_eq!(
            text(first).await,
            r#"{"status":"UPDATE_REQUIRED","target_version":"2.0","target_build":7,"notes":"Some(Ios)","store_url":null}"#
        );
        for (sent, status) in [
            (tag.clone(), 304),
            (format!("W/{tag}"), 304),
            (format!("\"x\", {tag}"), 304),
            ("*".to_owned(), 304),
            ("\"x\"".to_owned(), 200),
            (tag.trim_matches('"').to_owned(), 200),
        ] {
            let again = ask("GET", TARGET, Some(&sent)).await;
            assert_eq!(again.status(), status, "{sent}");
            assert_eq!(again.headers()[ETAG], tag.as_str());
            assert_eq!(again.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
            assert_eq!(text(again).await.is_empty(), status == 304);
        }
        let head = ask("HEAD", TARGET, None).await;
        assert_eq!((head.status(), head.headers()[ETAG].to_str().unwrap()), (StatusCode::OK, tag.as_str()));
        assert_eq!(text(head).await, "");
        assert_ne!(ask("GET", &TARGET.replace("=7", "=8"), None).await.headers()[ETAG], tag.as_str());
    }

    #[tokio::test]
    async fn trouble_of_ours_locks_nobody_out_and_is_not_kept() {
        let response = ask("GET", "/v1/apps/broken/version-check?version=1.0", None).await;
        assert_eq!((response.status(), &response.headers()[CACHE_CONTROL]), (StatusCode::OK, &KEEP_NOT));
        assert!(text(response).await.starts_with(r#"{"status":"UP_TO_DATE","target_version":null"#));
    }

    #[tokio::test]
    async fn senseless_questions_are_told_so_and_unknown_values_are_not() {
        let long = format!("version=1&environment={}", "x".repeat(201));
        let longer = format!("version=1&{}", "a=&".repeat(700));
        for (app, query, status) in [
            ("notes", "version=1.0&platform=TOASTER&build=many", 200),
            ("notes", "version=%20", 400),
            ("notes", "platform=IOS", 400),
            ("notes", "", 400),
            ("notes", &long, 400),
            ("notes", &longer, 400),
            ("other", "version=1.0", 404),
            ("%FF", "version=1.0", 404),
            ("a%2Fb", "version=1.0", 404),
        ] {
            let response = ask("GET", &format!("/v1/apps/{app}/version-check?{query}"), None).await;
            assert_eq!(response.status(), status, "{app} {query}");
            assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
            assert_eq!(response.headers()[CACHE_CONTROL] == KEEP, status == 200);
            let body = text(response).await;
            assert!(body.starts_with('{'), "{body}");
        }
    }

    #[test]
    fn questions_are_read_as_clients_write_them() {
        for (query, version, build, platform) in [
            ("version=1.2.3+45&build=45&platform=Android", "1.2.3+45", Some(45), Some(Platform::Android)),
            ("build=&version=1.2.3%2B45&platform=", "1.2.3+45", None, None),
            ("version=%20v1%20&build=-1&platform=IOS", "v1", None, Some(Platform::Ios)),
            ("&&x&version=1&build=99999999999999999999", "1", None, None),
        ] {
            let expected = VersionQuestion { version: version.to_owned(), build, platform };
            assert_eq!(question(query), Ok(expected), "{query}");
        }
    }

    #[tokio::test]
    async fn browsers_may_ask_from_anywhere() {
        let response = ask("OPTIONS", "/v1/apps/notes/version-check", None).await;
        assert_eq!(response.status(), 204);
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        assert_eq!(response.headers()[ACCESS_CONTROL_ALLOW_METHODS], "GET, HEAD");
        assert_eq!(ask("POST", "/v1/apps/notes/version-check", None).await.status(), 405);
    }
}
