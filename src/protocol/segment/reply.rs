//! What Segment's and RudderStack's SDKs are told. None reads the body of a success.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use crate::model::{Order, Refusal, Words};

/// Seconds after which to come back when no better figure is known: while another process takes over, while the
/// database is away, while somebody makes room on the disk. The SDKs honour up to 300.
const AFTER_RESTART: u32 = 2;
const AFTER_OUTAGE: u32 = 10;
const AFTER_FULL: u32 = 60;

/// What clients hear of orders.
pub const WORDS: Words = Words {
    pause: QUIET,
    stop: QUIET,
    flush: Some(
        "Segment's SDK for browsers, when it starts next, gathers messages for so long, or a hundred of them. Others cannot be \
         told.",
    ),
};
const QUIET: &str = "Its messages are answered as taken. RudderStack's SDKs for clients are told, when they start next, that \
                     their source is switched off, and send nothing; others go on sending.";

/// Messages that a browser gathers at the most where it is told how often to send; what they come to is kept small by
/// the SDK itself.
const GATHERED: u32 = 100;

/// An image of one transparent point.
const POINT: [u8; 42] = *b"GIF89a\x01\x00\x01\x00\x80\x00\x00\xff\xff\xff\x00\x00\x00!\xf9\x04\x01\x00\x00\x00\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01D\x00;";

/// 200: every message is in our charge, or was of a kind that is not kept.
pub fn taken() -> Response {
    json(StatusCode::OK, &json!({ "success": true }))
}

/// A whole request turned away. SDKs drop what they sent on 400, 401, 403, 413 and 415, and try again on 408, 429 and
/// 5xx; Swift's alone tries again always.
pub fn refused(refusal: &Refusal) -> Response {
    let (status, code, message) = explain(refusal);
    let mut response = json(status, &json!({ "success": false, "code": code, "message": message }));
    wait(&mut response, refusal);
    response
}

/// The answer to a pixel. A page shows an image whatever its status is.
pub fn pixel(refusal: Option<&Refusal>) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("image/gif")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let status = refusal.map_or(StatusCode::OK, |refusal| explain(refusal).0);
    let mut response = (status, HEADERS, &POINT[..]).into_response();
    if let Some(refusal) = refusal {
        wait(&mut response, refusal);
    }
    response
}

/// What Segment's client SDKs ask for when they start: where to send, as host and path. More than one integration would
/// make the SDK for browsers load code from elsewhere, without this one it would send everything to Segment itself, and unless
/// told otherwise it reports on itself there.
pub fn settings(key: &str, (scheme, place): (&str, &str), order: &Order) -> Response {
    let mut segment = json!({ "apiKey": key, "apiHost": place, "protocol": scheme });
    if let Some(seconds) = order.flush_interval {
        let config = json!({ "size": GATHERED, "timeout": u64::from(seconds) * 1_000 });
        segment["deliveryStrategy"] = json!({ "strategy": "batching", "config": config });
    }
    json(
        StatusCode::OK,
        &json!({ "integrations": { "Segment.io": segment }, "plan": {}, "metrics": { "sampleRate": 0 } }),
    )
}

/// What RudderStack's client SDKs ask for when they start.
pub fn source(key: &str, app: &str, order: &Order) -> Response {
    let off = json!({ "enabled": false });
    json(
        StatusCode::OK,
        &json!({ "source": {
            "id": app,
            "name": app,
            "writeKey": key,
            "enabled": order.quiet.is_none(),
            "workspaceId": "self",
            "connections": [],
            "destinations": [],
            "config": { "statsCollection": { "errors": off, "metrics": off } },
        } }),
    )
}

fn explain(refusal: &Refusal) -> (StatusCode, &'static str, Cow<'_, str>) {
    match refusal {
        Refusal::Malformed(problem) => (StatusCode::BAD_REQUEST, "malformed", problem.into()),
        Refusal::ClockSkew(_) => (StatusCode::BAD_REQUEST, "malformed", "the time of the request is wrong".into()),
        Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, "unknown_write_key", "the write key is not known".into()),
        Refusal::WrongCredential(problem) => (StatusCode::UNAUTHORIZED, "wrong_write_key", (*problem).into()),
        Refusal::Forbidden(problem) => (StatusCode::FORBIDDEN, "forbidden", problem.into()),
        Refusal::Banned => (StatusCode::FORBIDDEN, "forbidden", "banned from this app".into()),
        Refusal::Replayed => (StatusCode::CONFLICT, "taken_before", "this request was taken before".into()),
        Refusal::TooLarge(problem) => (StatusCode::PAYLOAD_TOO_LARGE, "too_large", problem.into()),
        Refusal::Timeout => (StatusCode::REQUEST_TIMEOUT, "too_slow", "the body did not arrive in time".into()),
        Refusal::UnsupportedEncoding => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_encoding", "gzip and deflate are understood".into())
        }
        Refusal::RateLimited(_) => {
            (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", "too many requests, try again later".into())
        }
        Refusal::OverLimit(over) => (StatusCode::TOO_MANY_REQUESTS, "too_many_requests", over.to_string().into()),
        Refusal::Busy(_) => unavailable("too busy, try again soon"),
        Refusal::Draining => unavailable("shutting down, try again soon"),
        Refusal::StorageFull => unavailable("there is no room left, try again later"),
        Refusal::StorageDown => unavailable("nothing can be stored now, try again later"),
        Refusal::Internal => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal", "something went wrong on the server".into())
        }
    }
}

fn unavailable(message: &'static str) -> (StatusCode, &'static str, Cow<'static, str>) {
    (StatusCode::SERVICE_UNAVAILABLE, "unavailable", message.into())
}

/// Says when to come back, where that is wanted.
fn wait(response: &mut Response, refusal: &Refusal) {
    let seconds = match refusal {
        Refusal::RateLimited(seconds) | Refusal::Busy(seconds) => *seconds,
        Refusal::OverLimit(over) => over.retry_after,
        Refusal::Draining => AFTER_RESTART,
        Refusal::StorageDown => AFTER_OUTAGE,
        Refusal::StorageFull => AFTER_FULL,
        Refusal::Malformed(_)
        | Refusal::ClockSkew(_)
        | Refusal::Unauthorized
        | Refusal::WrongCredential(_)
        | Refusal::Forbidden(_)
        | Refusal::Banned
        | Refusal::Replayed
        | Refusal::TooLarge(_)
        | Refusal::Timeout
        | Refusal::UnsupportedEncoding
        | Refusal::Internal => return,
    };
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let body = serde_json::to_vec(body).expect("plain values of strings and numbers always serialize");
    (status, HEADERS, body).into_response()
}
