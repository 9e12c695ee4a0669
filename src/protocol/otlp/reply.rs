//! What exporters are told, in the form in which they sent: partial success, and `google.rpc.Status`
//! (<https://opentelemetry.io/docs/specs/otlp/#otlphttp-response>).

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde_json::json;

use super::wire::{Form, Signal};
use crate::model::{Outcome, Receipt, Refusal};

/// Seconds after which to come back when no better figure is known: while another process takes over, after a defect, while
/// the database is away, while somebody makes room on the disk.
const AFTER_RESTART: u32 = 2;
const AFTER_DEFECT: u32 = 5;
const AFTER_OUTAGE: u32 = 10;
const AFTER_FULL: u32 = 60;

/// 200: everything is in our charge but `rejected`, of which the exporter is told why. It must not send them again.
pub fn taken(form: Form, signal: Signal, rejected: u64, why: &str) -> Response {
    if rejected == 0 {
        let empty = if form == Form::Json { b"{}".to_vec() } else { Vec::new() };
        return told(form, StatusCode::OK, empty);
    }
    let body = match form {
        Form::Json => {
            let count = match signal {
                Signal::Logs => "rejectedLogRecords",
                Signal::Traces => "rejectedSpans",
                Signal::Metrics => "rejectedDataPoints",
            };
            json(&json!({ "partialSuccess": { count: rejected.to_string(), "errorMessage": why } }))
        }
        Form::Protobuf => {
            let mut partial = Vec::new();
            number(&mut partial, 1, rejected);
            bytes(&mut partial, 2, why.as_bytes());
            let mut body = Vec::new();
            bytes(&mut body, 1, &partial);
            body
        }
    };
    told(form, StatusCode::OK, body)
}

/// Records that were set aside, and why.
pub fn set_aside(receipt: &Receipt) -> (u64, String) {
    let rejected = receipt.set_aside();
    let first = receipt.outcomes.iter().find_map(|outcome| match outcome {
        Outcome::SetAside(reason, _) => Some(reason.as_str()),
        Outcome::Stored | Outcome::Duplicate | Outcome::Dropped | Outcome::Banned | Outcome::Withheld(_) => None,
    });
    let all = receipt.outcomes.len();
    let why = format!("{rejected} of {all} records could not be used, the first as {}", first.unwrap_or_default());
    (rejected as u64, why)
}

/// A whole request turned away. Exporters send again on 429 and 503 alone, so whatever can be made good is one of them.
pub fn refused(form: Form, refusal: &Refusal) -> Response {
    let (status, message): (_, &str) = match refusal {
        Refusal::Malformed(problem) => (StatusCode::BAD_REQUEST, problem),
        Refusal::UnsupportedEncoding => {
            (StatusCode::UNSUPPORTED_MEDIA_TYPE, "compress the body with gzip, or not at all")
        }
        Refusal::Unauthorized => (StatusCode::UNAUTHORIZED, "unknown API key"),
        Refusal::WrongCredential(what) => (StatusCode::UNAUTHORIZED, what),
        Refusal::Banned => (StatusCode::FORBIDDEN, "banned from this app"),
        Refusal::Forbidden(problem) => (StatusCode::FORBIDDEN, problem),
        Refusal::ClockSkew(_) => (StatusCode::FORBIDDEN, "the clock is wrong"),
        Refusal::Replayed => (StatusCode::CONFLICT, "this request was taken before"),
        Refusal::TooLarge(problem) => (StatusCode::PAYLOAD_TOO_LARGE, problem),
        Refusal::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "too many requests with a wrong key"),
        Refusal::OverLimit(over) => {
            return later(form, StatusCode::TOO_MANY_REQUESTS, &over.to_string(), over.retry_after);
        }
        Refusal::Timeout => (StatusCode::SERVICE_UNAVAILABLE, "the body took too long to arrive"),
        Refusal::Busy(_) => (StatusCode::SERVICE_UNAVAILABLE, "too busy"),
        Refusal::Draining => (StatusCode::SERVICE_UNAVAILABLE, "shutting down"),
        Refusal::StorageFull => (StatusCode::SERVICE_UNAVAILABLE, "there is no room left"),
        Refusal::StorageDown => (StatusCode::SERVICE_UNAVAILABLE, "nothing can be stored now"),
        Refusal::Internal => (StatusCode::SERVICE_UNAVAILABLE, "something went wrong on the server"),
    };
    let seconds = match refusal {
        Refusal::RateLimited(seconds) | Refusal::Busy(seconds) => *seconds,
        Refusal::Draining | Refusal::Timeout => AFTER_RESTART,
        Refusal::Internal => AFTER_DEFECT,
        Refusal::StorageDown => AFTER_OUTAGE,
        Refusal::StorageFull => AFTER_FULL,
        Refusal::Malformed(_)
        | Refusal::UnsupportedEncoding
        | Refusal::Unauthorized
        | Refusal::WrongCredential(_)
        | Refusal::Banned
        | Refusal::Forbidden(_)
        | Refusal::ClockSkew(_)
        | Refusal::Replayed
        | Refusal::TooLarge(_)
        | Refusal::OverLimit(_) => return failure(form, status, message),
    };
    later(form, status, message, seconds)
}

/// A failure for which a status alone is known.
pub fn bare(form: Form, status: StatusCode) -> Response {
    match status {
        StatusCode::NOT_FOUND => failure(form, status, "there is nothing at this address"),
        StatusCode::METHOD_NOT_ALLOWED => failure(form, status, "OTLP is sent with POST"),
        status if status.is_server_error() => refused(form, &Refusal::Internal),
        status => failure(form, status, "the request was refused"),
    }
}

fn later(form: Form, status: StatusCode, message: &str, seconds: u32) -> Response {
    let mut response = failure(form, status, message);
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

#[derive(Serialize)]
struct Status<'a> {
    code: u8,
    message: &'a str,
}

fn failure(form: Form, status: StatusCode, message: &str) -> Response {
    let code = code(status);
    let body = match form {
        Form::Json => json(&Status { code, message }),
        Form::Protobuf => {
            let mut body = Vec::new();
            number(&mut body, 1, u64::from(code));
            bytes(&mut body, 2, message.as_bytes());
            body
        }
    };
    told(form, status, body)
}

/// The number of a `google.rpc.Code` (<https://github.com/googleapis/googleapis/blob/master/google/rpc/code.proto>).
fn code(status: StatusCode) -> u8 {
    match status {
        StatusCode::UNAUTHORIZED => 16,
        StatusCode::FORBIDDEN => 7,
        StatusCode::NOT_FOUND => 5,
        StatusCode::CONFLICT => 6,
        StatusCode::METHOD_NOT_ALLOWED => 12,
        StatusCode::TOO_MANY_REQUESTS => 8,
        StatusCode::SERVICE_UNAVAILABLE => 14,
        _ => 3,
    }
}

fn json(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("plain structs of strings and numbers always serialize")
}

fn told(form: Form, status: StatusCode, body: Vec<u8>) -> Response {
    const JSON: HeaderValue = HeaderValue::from_static("application/json");
    const PROTOBUF: HeaderValue = HeaderValue::from_static("application/x-protobuf");
    const NO_STORE: (HeaderName, HeaderValue) = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let kind = if form == Form::Json { JSON } else { PROTOBUF };
    (status, [(header::CONTENT_TYPE, kind), NO_STORE], body).into_response()
}

fn number(message: &mut Vec<u8>, field: u8, number: u64) {
    message.push(field << 3);
    varint(message, number);
}

fn bytes(message: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    message.push(field << 3 | 2);
    varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}

fn varint(message: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        message.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    message.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Reason, Withheld};

    async fn read(response: Response) -> (u16, String, Option<String>, Vec<u8>) {
        let status = response.status().as_u16();
        let header = |name| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (kind, wait) = (header(header::CONTENT_TYPE).unwrap(), header(header::RETRY_AFTER));
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, kind, wait, body.to_vec())
    }

    #[tokio::test]
    async fn whole_and_partial_success_are_told_in_the_form_of_the_request() {
        let cases: [(Form, u64, &str, &[u8]); 4] = [
            (Form::Json, 0, "application/json", b"{}"),
            (Form::Protobuf, 0, "application/x-protobuf", b""),
            (
                Form::Json,
                300,
                "application/json",
                br#"{"partialSuccess":{"rejectedSpans":"300","errorMessage":"why"}}"#,
            ),
            (Form::Protobuf, 300, "application/x-protobuf", b"\x0a\x08\x08\xac\x02\x12\x03why"),
        ];
        for (form, rejected, kind, body) in cases {
            let told = read(taken(form, Signal::Traces, rejected, "why")).await;
            assert_eq!(told, (200, kind.to_owned(), None, body.to_vec()), "{form:?} {rejected}");
        }
        let outcomes = vec![Outcome::Stored, Outcome::SetAside(Reason::TooLarge, None)];
        let told = set_aside(&Receipt { outcomes, identified: None });
        assert_eq!(told, (1, "1 of 2 records could not be used, the first as too_large".to_owned()));
        // What is not kept by order is a whole success: exporters log a warning as an error, for every request.
        let outcomes = vec![Outcome::Stored, Outcome::Withheld(Withheld::Sampled), Outcome::Duplicate];
        assert_eq!(set_aside(&Receipt { outcomes, identified: None }).0, 0);
    }

    #[tokio::test]
    async fn refusals_are_retried_only_where_that_can_help() {
        for (refusal, status, code, wait) in [
            (Refusal::Malformed("why".into()), 400, 3, None),
            (Refusal::UnsupportedEncoding, 415, 3, None),
            (Refusal::Unauthorized, 401, 16, None),
            (Refusal::WrongCredential("why"), 401, 16, None),
            (Refusal::Forbidden("why".into()), 403, 7, None),
            (Refusal::TooLarge("why".into()), 413, 3, None),
            (Refusal::RateLimited(17), 429, 8, Some(17)),
            (Refusal::Timeout, 503, 14, Some(2)),
            (Refusal::Busy(3), 503, 14, Some(3)),
            (Refusal::Draining, 503, 14, Some(2)),
            (Refusal::StorageDown, 503, 14, Some(10)),
            (Refusal::StorageFull, 503, 14, Some(60)),
            (Refusal::Internal, 503, 14, Some(5)),
        ] {
            let (found, kind, retry, body) = read(refused(Form::Json, &refusal)).await;
            assert_eq!((found, kind.as_str()), (status, "application/json"), "{refusal:?}");
            assert_eq!(retry, wait.map(|wait: u32| wait.to_string()), "{refusal:?}");
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            let message = body["message"].as_str().unwrap();
            assert!(body["code"] == code && !message.is_empty(), "{body}");
            let (found, kind, retry, body) = read(refused(Form::Protobuf, &refusal)).await;
            assert_eq!((found, kind.as_str()), (status, "application/x-protobuf"), "{refusal:?}");
            assert_eq!(retry, wait.map(|wait| wait.to_string()), "{refusal:?}");
            assert_eq!(body, [&[8, code, 18, message.len() as u8], message.as_bytes()].concat(), "{refusal:?}");
        }
    }

    #[tokio::test]
    async fn what_comes_without_a_body_is_given_one() {
        for (status, told, wait) in [(404, 404, None), (405, 405, None), (400, 400, None), (500, 503, Some("5"))] {
            let (found, _, retry, body) = read(bare(Form::Json, StatusCode::from_u16(status).unwrap())).await;
            assert_eq!((found, retry.as_deref(), body.is_empty()), (told, wait, false), "{status}");
        }
    }
}
