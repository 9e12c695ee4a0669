//! What PostHog's clients are told: receipts and refusals in the words of either form.

use std::borrow::Cow;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::json;

use crate::model::{Outcome, Reason, Refusal, Words};

/// Seconds after which to come back when no better figure is known: while another process takes over, while the
/// database is away, while somebody makes room on the disk.
const AFTER_RESTART: u32 = 2;
const AFTER_OUTAGE: u32 = 10;
const AFTER_FULL: u32 = 60;

/// What clients hear of orders.
pub const WORDS: Words = Words { pause: QUIET, stop: QUIET, flush: None };
const QUIET: &str = "Its events are answered as taken. Browsers are told that the quota of events is used up, on which they send \
                     none for a minute, and in their settings not to report clicks; other SDKs go on sending.";

/// Which form of the protocol a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// Every path but the newest.
    Older {
        /// Whether the page that sent it is gone and reads nothing.
        beacon: bool,
    },
    /// `/i/v1/`.
    Newer,
}

/// Everything is in our charge. The exact number matters: some clients send again on any other, even on 204.
pub fn taken(dialect: Dialect) -> Response {
    match dialect {
        Dialect::Older { beacon: true } => StatusCode::NO_CONTENT.into_response(),
        Dialect::Older { beacon: false } => told(StatusCode::OK, &json!({ "status": 1 })),
        Dialect::Newer => judged(&[], false),
    }
}

/// The same, to a client that is to be quiet: browsers send no events for a minute then.
pub fn hushed(dialect: Dialect) -> Response {
    match dialect {
        Dialect::Older { beacon: false } => told(StatusCode::OK, &json!({ "status": 1, "quota_limited": ["events"] })),
        dialect => taken(dialect),
    }
}

/// What became of each event, by its id.
pub fn judged(outcomes: &[(Cow<'_, str>, Option<Outcome>)], strict: bool) -> Response {
    #[derive(Serialize)]
    struct Results<'a> {
        results: Judged<'a>,
    }
    told(StatusCode::OK, &Results { results: Judged { outcomes, strict } })
}

struct Judged<'a> {
    outcomes: &'a [(Cow<'a, str>, Option<Outcome>)],
    /// Whether the app wants its SDK to be told of events that are set aside.
    strict: bool,
}

#[derive(Serialize)]
struct Verdict {
    result: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<&'static str>,
}

impl Serialize for Judged<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (uuid, outcome) in self.outcomes {
            map.serialize_entry(uuid, &self.verdict(*outcome))?;
        }
        map.end()
    }
}

impl Judged<'_> {
    /// An event that is set aside is in our charge; a strict app hears that it could not be used.
    fn verdict(&self, outcome: Option<Outcome>) -> Verdict {
        match outcome {
            Some(Outcome::SetAside(reason, _)) => {
                let result = if self.strict { "drop" } else { "warning" };
                Verdict { result, details: Some(Reason::as_str(reason)) }
            }
            // A drop would be told to the app as an error.
            Some(Outcome::Withheld(why)) => Verdict { result: "ok", details: Some(why.as_str()) },
            Some(Outcome::Stored | Outcome::Duplicate | Outcome::Dropped | Outcome::Banned) | None => {
                Verdict { result: "ok", details: None }
            }
        }
    }
}

/// A whole request turned away.
pub fn refused(refusal: &Refusal, dialect: Dialect) -> Response {
    let Problem { status, tag, message, retry_after } = Problem::of(refusal, dialect);
    let mut response = match dialect {
        // Browsers want JSON of every answer, and Python's client shows `detail`.
        Dialect::Older { .. } => told(status, &json!({ "type": kind(status), "code": tag, "detail": message })),
        Dialect::Newer => told(status, &json!({ "error": tag, "error_description": message })),
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

fn kind(status: StatusCode) -> &'static str {
    match status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::TOO_MANY_REQUESTS => "throttled_error",
        status if status.is_server_error() => "server_error",
        _ => "validation_error",
    }
}

struct Problem<'a> {
    status: StatusCode,
    tag: &'static str,
    message: Cow<'a, str>,
    retry_after: Option<u32>,
}

impl<'a> Problem<'a> {
    fn of(refusal: &'a Refusal, dialect: Dialect) -> Self {
        let newer = dialect == Dialect::Newer;
        let (status, tag, message, retry_after): (_, _, Cow<'_, str>, _) = match refusal {
            Refusal::Malformed(problem) => (StatusCode::BAD_REQUEST, "invalid_request", problem.into(), None),
            Refusal::Unauthorized => {
                (StatusCode::UNAUTHORIZED, "invalid_api_key", "the project API key is not known".into(), None)
            }
            Refusal::WrongCredential(what) => (StatusCode::UNAUTHORIZED, "invalid_api_key", (*what).into(), None),
            Refusal::Forbidden(why) => (StatusCode::FORBIDDEN, "forbidden", why.into(), None),
            Refusal::Banned => (StatusCode::FORBIDDEN, "forbidden", "this client is banned".into(), None),
            Refusal::ClockSkew(_) => {
                (StatusCode::BAD_REQUEST, "clock_skew", "the client's clock is wrong".into(), None)
            }
            Refusal::Replayed => (StatusCode::BAD_REQUEST, "replayed", "the request was sent before".into(), None),
            Refusal::TooLarge(limit) => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", limit.into(), None),
            Refusal::Timeout => {
                (StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time".into(), None)
            }
            // Only the newer form has a word for it; to the older one it is a body that cannot be read.
            Refusal::UnsupportedEncoding => {
                let status = if newer { StatusCode::UNSUPPORTED_MEDIA_TYPE } else { StatusCode::BAD_REQUEST };
                (status, "unsupported_encoding", "this content encoding cannot be read; use gzip or none".into(), None)
            }
            Refusal::RateLimited(seconds) => {
                (StatusCode::TOO_MANY_REQUESTS, "rate_limited", "too many unknown keys".into(), Some(*seconds))
            }
            Refusal::OverLimit(over) => {
                let seconds = Some(over.retry_after);
                (StatusCode::TOO_MANY_REQUESTS, "rate_limited", over.to_string().into(), seconds)
            }
            Refusal::Busy(seconds) => unavailable("the server is busy; try again", *seconds),
            Refusal::Draining => unavailable("the server is restarting; try again", AFTER_RESTART),
            Refusal::StorageFull => unavailable("the server's disk is full", AFTER_FULL),
            Refusal::StorageDown => unavailable("the server's database is away; try again", AFTER_OUTAGE),
            Refusal::Internal => {
                (StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong here".into(), None)
            }
        };
        Self { status, tag, message, retry_after }
    }
}

fn unavailable(message: &'static str, seconds: u32) -> (StatusCode, &'static str, Cow<'static, str>, Option<u32>) {
    (StatusCode::SERVICE_UNAVAILABLE, "unavailable", message.into(), Some(seconds))
}

/// What is not there.
pub fn missing() -> Response {
    told(
        StatusCode::NOT_FOUND,
        &json!({ "type": "invalid_request", "code": "not_found", "detail": "there is nothing here" }),
    )
}

/// An answer in JSON.
pub fn told(status: StatusCode, body: &impl Serialize) -> Response {
    let content = [(header::CONTENT_TYPE, "application/json")];
    match serde_json::to_string(body) {
        Ok(body) => (status, content, body).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::model::{Limit, OverLimit, Standing, Withheld};

    const OLDER: Dialect = Dialect::Older { beacon: false };

    async fn read(response: Response) -> (u16, Value) {
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn what_is_taken_is_told_in_the_words_of_each_form() {
        assert_eq!(read(taken(OLDER)).await, (200, json!({ "status": 1 })));
        assert_eq!(taken(Dialect::Older { beacon: true }).status(), 204);
        assert_eq!(read(hushed(OLDER)).await, (200, json!({ "status": 1, "quota_limited": ["events"] })));
        assert_eq!(hushed(Dialect::Older { beacon: true }).status(), 204);
        let outcomes = [
            ("a".into(), Some(Outcome::Stored)),
            ("b".into(), Some(Outcome::Duplicate)),
            ("c".into(), Some(Outcome::SetAside(Reason::TooLarge, None))),
            ("d".into(), None),
            ("e".into(), Some(Outcome::Banned)),
            ("f".into(), Some(Outcome::Withheld(Withheld::Sampled))),
        ];
        for (strict, result) in [(false, "warning"), (true, "drop")] {
            let (status, body) = read(judged(&outcomes, strict)).await;
            let ok = json!({ "result": "ok" });
            let aside = json!({ "result": result, "details": "too_large" });
            let sampled = json!({ "result": "ok", "details": "sampled" });
            let expected = json!({ "results": { "a": ok, "b": ok, "c": aside, "d": ok, "e": ok, "f": sampled } });
            assert_eq!((status, body), (200, expected));
        }
    }

    #[tokio::test]
    async fn every_refusal_has_a_status_that_clients_act_on_rightly() {
        let standing = Standing { limit: 5, remaining: 0, resets_at: 9 };
        let over = OverLimit { limit: Limit::Day, standing, retry_after: 7 };
        for (refusal, older, newer, seconds) in [
            (Refusal::Malformed("why".into()), 400, 400, None),
            (Refusal::Timeout, 408, 408, None),
            (Refusal::UnsupportedEncoding, 400, 415, None),
            (Refusal::Unauthorized, 401, 401, None),
            (Refusal::WrongCredential("why"), 401, 401, None),
            (Refusal::Forbidden("why".into()), 403, 403, None),
            (Refusal::Banned, 403, 403, None),
            (Refusal::TooLarge("why".into()), 413, 413, None),
            (Refusal::RateLimited(17), 429, 429, Some("17")),
            (Refusal::OverLimit(over), 429, 429, Some("7")),
            (Refusal::Internal, 500, 500, None),
            (Refusal::Busy(2), 503, 503, Some("2")),
            (Refusal::Draining, 503, 503, Some("2")),
            (Refusal::StorageDown, 503, 503, Some("10")),
            (Refusal::StorageFull, 503, 503, Some("60")),
        ] {
            for (dialect, status, text) in [(OLDER, older, "detail"), (Dialect::Newer, newer, "error_description")] {
                let response = refused(&refusal, dialect);
                let header = response.headers().get(header::RETRY_AFTER).map(|h| h.to_str().unwrap().to_owned());
                assert_eq!(header.as_deref(), seconds, "{refusal:?}");
                let (found, body) = read(response).await;
                assert_eq!(found, status, "{refusal:?}");
                assert!(body[text].as_str().is_some_and(|text| !text.is_empty()), "{body}");
            }
        }
    }
}
