//! What Aptabase's clients are told: an empty object, or a short text. None of them reads what it was told, and most throw
//! their events away at whatever is no success.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::model::{Limit, Refusal};

/// Seconds after which to come back when no better figure is known: while another process takes over, while the
/// database is away, while somebody makes room on the disk.
const AFTER_RESTART: u32 = 2;
const AFTER_OUTAGE: u32 = 10;
const AFTER_FULL: u32 = 60;

/// Of which of its addresses an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Of events: a refusal is a text.
    Events,
    /// Of error reports: it is `{"error":…}`, and a client tries again on some statuses.
    Report,
}

/// All of it is in our charge.
pub fn taken(dialect: Dialect) -> Response {
    match dialect {
        Dialect::Events => answer(StatusCode::OK, JSON, "{}".into()),
        Dialect::Report => (StatusCode::ACCEPTED, [NO_STORE]).into_response(),
    }
}

/// A whole request turned away.
pub fn refused(refusal: &Refusal, dialect: Dialect) -> Response {
    let (status, message) = explain(refusal, dialect);
    let mut response = match dialect {
        Dialect::Events => answer(status, TEXT, message.into_owned()),
        Dialect::Report => answer(status, JSON, serde_json::json!({ "error": message }).to_string()),
    };
    if let Some(seconds) = retry_after(refusal).filter(|_| status != StatusCode::FORBIDDEN) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));

fn answer(status: StatusCode, kind: HeaderValue, body: String) -> Response {
    (status, [(header::CONTENT_TYPE, kind), NO_STORE], body).into_response()
}

fn explain(refusal: &Refusal, dialect: Dialect) -> (StatusCode, Cow<'_, str>) {
    match refusal {
        Refusal::Malformed(problem) => (StatusCode::BAD_REQUEST, problem.into()),
        Refusal::Timeout => (StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time, try again".into()),
        Refusal::UnsupportedEncoding => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "this content encoding cannot be read".into())
        }
        Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, "the App-Key is not known here".into()),
        Refusal::WrongCredential(problem) => (StatusCode::UNAUTHORIZED, (*problem).into()),
        Refusal::Forbidden(problem) => (StatusCode::FORBIDDEN, problem.into()),
        Refusal::Banned => (StatusCode::FORBIDDEN, "banned from this app".into()),
        // Nothing of this protocol is signed; both are answered for completeness.
        Refusal::ClockSkew(_) => (StatusCode::FORBIDDEN, "the clock is wrong".into()),
        Refusal::Replayed => (StatusCode::CONFLICT, "this request was taken before".into()),
        Refusal::TooLarge(problem) => (StatusCode::PAYLOAD_TOO_LARGE, problem.into()),
        Refusal::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "too many requests, try again later".into()),
        // Of reports, 429 means "soon again", and a quota that is used up 403: drop it.
        Refusal::OverLimit(over) if over.limit == Limit::Day && dialect == Dialect::Report => {
            (StatusCode::FORBIDDEN, over.to_string().into())
        }
        Refusal::OverLimit(over) => (StatusCode::TOO_MANY_REQUESTS, over.to_string().into()),
        Refusal::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "too busy, try again soon".into()),
        Refusal::Draining => (StatusCode::SERVICE_UNAVAILABLE, "shutting down, try again soon".into()),
        Refusal::StorageFull => (StatusCode::SERVICE_UNAVAILABLE, "there is no room left, try again later".into()),
        Refusal::StorageDown => (StatusCode::SERVICE_UNAVAILABLE, "nothing can be stored now, try again later".into()),
        Refusal::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong on the server".into()),
    }
}

fn retry_after(refusal: &Refusal) -> Option<u32> {
    match refusal {
        Refusal::RateLimited(seconds) | Refusal::Busy(seconds) => Some(*seconds),
        Refusal::OverLimit(over) => Some(over.retry_after),
        Refusal::Draining => Some(AFTER_RESTART),
        Refusal::StorageDown => Some(AFTER_OUTAGE),
        Refusal::StorageFull => Some(AFTER_FULL),
        Refusal::Malformed(_)
        | Refusal::Timeout
        | Refusal::UnsupportedEncoding
        | Refusal::Unauthorized
        | Refusal::WrongCredential(_)
        | Refusal::Forbidden(_)
        | Refusal::Banned
        | Refusal::ClockSkew(_)
        | Refusal::Replayed
        | Refusal::TooLarge(_)
        | Refusal::Internal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{OverLimit, Standing};

    async fn read(response: Response) -> (u16, Option<String>, String) {
        let after = response.headers().get(header::RETRY_AFTER).map(|value| value.to_str().unwrap().to_owned());
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, after, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn success_is_an_empty_object_or_nothing_at_all() {
        assert_eq!(read(taken(Dialect::Events)).await, (200, None, "{}".to_owned()));
        assert_eq!(read(taken(Dialect::Report)).await, (202, None, String::new()));
    }

    #[tokio::test]
    async fn every_refusal_has_a_status_and_a_text() {
        let over = |limit| {
            let standing = Standing { limit: 10, remaining: 0, resets_at: 1_800_000_000 };
            Refusal::OverLimit(OverLimit { limit, standing, retry_after: 9 })
        };
        for (refusal, status, report, seconds) in [
            (Refusal::Malformed("why".into()), 400, 400, None),
            (Refusal::Timeout, 408, 408, None),
            (Refusal::Unauthorized, 401, 401, None),
            (Refusal::WrongCredential("why"), 401, 401, None),
            (Refusal::Forbidden("why".into()), 403, 403, None),
            (Refusal::TooLarge("why".into()), 413, 413, None),
            (Refusal::UnsupportedEncoding, 415, 415, None),
            (Refusal::RateLimited(17), 429, 429, Some("17")),
            (over(Limit::Network), 429, 429, Some("9")),
            (over(Limit::Day), 429, 403, Some("9")),
            (Refusal::Internal, 500, 500, None),
            (Refusal::Busy(2), 503, 503, Some("2")),
            (Refusal::Draining, 503, 503, Some("2")),
            (Refusal::StorageDown, 503, 503, Some("10")),
            (Refusal::StorageFull, 503, 503, Some("60")),
        ] {
            let (found, after, body) = read(refused(&refusal, Dialect::Events)).await;
            assert_eq!((found, after.as_deref()), (status, seconds), "{refusal:?}");
            assert!(!body.is_empty() && !body.starts_with('{'), "{body}");
            let (found, after, body) = read(refused(&refusal, Dialect::Report)).await;
            assert_eq!((found, after.as_deref()), (report, seconds.filter(|_| report != 403)), "{refusal:?}");
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert!(body["error"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
        }
    }
}
