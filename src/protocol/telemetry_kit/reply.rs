//! What telemetry-kit clients are told: receipts and refusals in shapes that the published SDK can read.

use std::borrow::Cow;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;

use crate::model::{Limit, Outcome, Reason, Receipt, Refusal, Withheld, Words};

/// Seconds after which to come back when no better figure is known: while another process takes over, while the
/// database is away, while somebody makes room on the disk.
const AFTER_RESTART: u32 = 2;
const AFTER_OUTAGE: u32 = 10;
const AFTER_FULL: u32 = 60;

/// What clients hear of orders. An answer that counted fewer events as accepted would be sent again for ever.
pub const WORDS: Words = Words { pause: QUIET, stop: QUIET, flush: None };
const QUIET: &str = "Its events are answered as accepted, so that it forgets them; the answer's message says how many were not \
                     kept, and why. The SDK knows no pause and goes on sending.";

/// How errors are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `{"error":"code","message":"text"}` \[sdk 0.3.0, reference server\].
    Flat,
    /// `{"error":{"code":"code","message":"text"}}` \[sdk main\].
    Nested,
}

/// 200: every event of the request is in our charge, stored, known already or set aside. Extra members are allowed.
pub fn taken(receipt: &Receipt) -> Response {
    let events = receipt.outcomes.len();
    let message = format!("{events} {} taken in charge{}", plural(events), withheld(receipt));
    json(StatusCode::OK, &Taken::of("success", receipt, events, 0, &message))
}

/// What was not kept by order of the app's owner, behind what was.
fn withheld(receipt: &Receipt) -> String {
    let of = |why: Withheld| (receipt.count(|outcome| *outcome == Outcome::Withheld(why)), why.as_str());
    let told: Vec<String> = Withheld::ALL
        .map(of)
        .into_iter()
        .filter(|(many, _)| *many > 0)
        .map(|(many, why)| format!("{many} {why}"))
        .collect();
    if told.is_empty() {
        String::new()
    } else {
        format!("; not kept, by order of the app's owner: {}", told.join(", "))
    }
}

/// 200 for Do Not Track: without it the SDK would send the same events for ever.
pub fn untracked(receipt: &Receipt) -> Response {
    let message = "Do Not Track: nothing was kept";
    json(StatusCode::OK, &Taken::of("success", receipt, receipt.outcomes.len(), 0, message))
}

/// The answer of a strict app, as the reference server's: 207 where some events were set aside, 400 where all were.
/// Known events count as accepted.
pub fn judged(receipt: &Receipt, shape: Shape) -> Response {
    let rejected = receipt.set_aside();
    let accepted = receipt.outcomes.len() - rejected;
    if rejected == 0 {
        return taken(receipt);
    }
    let message = format!("{rejected} {} could not be used", plural(rejected));
    if accepted == 0 {
        let problem = Problem { code: "validation_error", message: message.into(), retry_after: None };
        return error(StatusCode::BAD_REQUEST, problem, shape);
    }
    let errors = receipt.outcomes.iter().filter_map(EventError::of).collect();
    let partial = Partial { taken: Taken::of("partial", receipt, accepted, rejected, &message), errors };
    json(StatusCode::MULTI_STATUS, &partial)
}

/// A whole request turned away.
pub fn refused(refusal: &Refusal, shape: Shape) -> Response {
    let (status, problem) = explain(refusal);
    error(status, problem, shape)
}

#[derive(Serialize)]
struct Taken<'a> {
    status: &'static str,
    accepted: usize,
    rejected: usize,
    message: &'a str,
    stored: usize,
    duplicates: usize,
    quarantined: usize,
    #[serde(skip_serializing_if = "is_none")]
    withheld: usize,
}

fn is_none(many: &usize) -> bool {
    *many == 0
}

#[derive(Serialize)]
struct Partial<'a> {
    #[serde(flatten)]
    taken: Taken<'a>,
    errors: Vec<EventError>,
}

#[derive(Serialize)]
struct EventError {
    event_id: String,
    error: &'static str,
    message: &'static str,
}

#[derive(Serialize)]
struct Flat<'a> {
    error: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}

#[derive(Serialize)]
struct Nested<'a> {
    error: NestedError<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after: Option<u32>,
}

#[derive(Serialize)]
struct NestedError<'a> {
    code: &'static str,
    message: &'a str,
}

impl<'a> Taken<'a> {
    fn of(status: &'static str, receipt: &Receipt, accepted: usize, rejected: usize, message: &'a str) -> Self {
        let (stored, duplicates, quarantined) = (receipt.stored(), receipt.duplicates(), receipt.set_aside());
        let withheld = receipt.withheld();
        Self { status, accepted, rejected, message, stored, duplicates, quarantined, withheld }
    }
}

impl EventError {
    /// An event without a readable id is counted, and cannot be listed: the SDK reads the id as a UUID.
    fn of(outcome: &Outcome) -> Option<Self> {
        let Outcome::SetAside(reason, Some(id)) = outcome else { return None };
        // The first two codes are the reference server's.
        let (error, message) = match reason {
            Reason::UnsupportedSchema => ("unsupported_schema", "the schema version is not known"),
            Reason::Invalid => ("invalid_schema", "a member is missing or has a wrong value"),
            Reason::TooLarge => ("invalid_schema", "the event is too large"),
            Reason::TooComplex => ("invalid_schema", "the event is nested too deep or has too many members"),
            Reason::TooOld => ("invalid_schema", "the event is older than events are kept"),
        };
        Some(Self { event_id: id.to_string(), error, message })
    }
}

/// A refusal for programs and for people. The SDK shows both texts and compares neither.
struct Problem<'a> {
    code: &'static str,
    message: Cow<'a, str>,
    retry_after: Option<u32>,
}

fn explain(refusal: &Refusal) -> (StatusCode, Problem<'_>) {
    let (status, code, message): (_, _, Cow<'_, str>) = match refusal {
        Refusal::Malformed(problem) => (StatusCode::BAD_REQUEST, "bad_request", problem.into()),
        // The SDK reads no 408, but treats it as any other failure: it keeps the events and sends them again.
        Refusal::Timeout => {
            (StatusCode::REQUEST_TIMEOUT, "request_timeout", "the body did not arrive in time, try again".into())
        }
        // 415 is not among the statuses that the SDK can read.
        Refusal::UnsupportedEncoding => {
            (StatusCode::BAD_REQUEST, "bad_request", "this content encoding cannot be read".into())
        }
        Refusal::Unauthorized => {
            (StatusCode::UNAUTHORIZED, "unauthorized", "no valid credential and signature for this address".into())
        }
        Refusal::WrongCredential(problem) => (StatusCode::UNAUTHORIZED, "unauthorized", (*problem).into()),
        Refusal::Forbidden(problem) => (StatusCode::FORBIDDEN, "forbidden", problem.into()),
        Refusal::ClockSkew(now) => (StatusCode::FORBIDDEN, "timestamp_out_of_window", skew(*now).into()),
        Refusal::Replayed => (StatusCode::CONFLICT, "replayed_nonce", "this request was taken before".into()),
        Refusal::TooLarge(problem) => (StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", problem.into()),
        Refusal::RateLimited(_) => {
            (StatusCode::TOO_MANY_REQUESTS, "rate_limit_exceeded", "too many requests, try again later".into())
        }
        // The same status for rates and quotas: the SDK tries again on it, and keeps its events.
        Refusal::OverLimit(over) => {
            let code = if over.limit == Limit::Day { "quota_exhausted" } else { "rate_limit_exceeded" };
            (StatusCode::TOO_MANY_REQUESTS, code, over.to_string().into())
        }
        Refusal::Banned => (StatusCode::FORBIDDEN, "forbidden", "banned from this app".into()),
        Refusal::Busy(_) => unavailable("too busy, try again soon"),
        Refusal::Draining => unavailable("shutting down, try again soon"),
        Refusal::StorageFull => {
            (StatusCode::SERVICE_UNAVAILABLE, "storage_full", "there is no room left, try again later".into())
        }
        Refusal::StorageDown => unavailable("nothing can be stored now, try again later"),
        Refusal::Internal => {
            (StatusCode::INTERNAL_SERVER_ERROR, "internal_error", "something went wrong on the server".into())
        }
    };
    (status, Problem { code, message, retry_after: retry_after(refusal) })
}

fn unavailable(message: &'static str) -> (StatusCode, &'static str, Cow<'static, str>) {
    (StatusCode::SERVICE_UNAVAILABLE, "service_unavailable", message.into())
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
        | Refusal::Banned
        | Refusal::Forbidden(_)
        | Refusal::ClockSkew(_)
        | Refusal::Replayed
        | Refusal::TooLarge(_)
        | Refusal::Internal => None,
    }
}

/// A wrong clock of the client is the usual cause, so its owner is told ours.
fn skew(now: i64) -> String {
    let time = Timestamp::from_second(now).map(|time| time.to_string()).unwrap_or_default();
    format!("X-Timestamp is more than 600 seconds from this server's time, which is {now} ({time})")
}

fn plural(events: usize) -> &'static str {
    if events == 1 { "event" } else { "events" }
}

fn error(status: StatusCode, problem: Problem<'_>, shape: Shape) -> Response {
    let Problem { code, message, retry_after } = problem;
    let message = &*message;
    let mut response = match shape {
        Shape::Flat => json(status, &Flat { error: code, message, retry_after }),
        Shape::Nested => json(status, &Nested { error: NestedError { code, message }, retry_after }),
    };
    if let Some(seconds) = retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn json(status: StatusCode, body: &impl Serialize) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let body = serde_json::to_vec(body).expect("plain structs of strings and numbers always serialize");
    (status, HEADERS, body).into_response()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::EventId;

    async fn read(response: Response) -> (u16, Value) {
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    fn receipt(outcomes: &[Outcome]) -> Receipt {
        Receipt { outcomes: outcomes.to_vec(), identified: None }
    }

    fn aside(reason: Reason, id: Option<u8>) -> Outcome {
        Outcome::SetAside(reason, id.map(|id| EventId([id; 16])))
    }

    #[tokio::test]
    async fn everything_in_our_charge_counts_as_accepted() {
        let all = [Outcome::Stored, Outcome::Duplicate, Outcome::Duplicate, aside(Reason::Invalid, None)];
        assert_eq!(
            read(taken(&receipt(&all))).await,
            (
                200,
                json!({ "status": "success", "accepted": 4, "rejected": 0, "message": "4 events taken in charge",
                "stored": 1, "duplicates": 2, "quarantined": 1 })
            )
        );
        let (status, body) = read(untracked(&receipt(&[Outcome::Dropped; 3]))).await;
        assert_eq!((status, &body["status"], &body["accepted"]), (200, &json!("success"), &json!(3)));
        assert!(body["message"].as_str().unwrap().contains("nothing was kept"));
    }

    #[tokio::test]
    async fn what_is_not_kept_by_order_is_accepted_and_told() {
        let of = Outcome::Withheld;
        let some = [Outcome::Stored, of(Withheld::Sampled), of(Withheld::Paused), of(Withheld::Sampled)];
        let (status, body) = read(taken(&receipt(&some))).await;
        assert_eq!(
            (status, &body["accepted"], &body["rejected"], &body["withheld"]),
            (200, &json!(4), &json!(0), &json!(3))
        );
        let message = body["message"].as_str().unwrap();
        assert!(message.ends_with("by order of the app's owner: 2 sampled, 1 paused"), "{message}");
        // Also to a strict app.
        assert_eq!(read(judged(&receipt(&some), Shape::Flat)).await, (status, body));
    }

    #[tokio::test]
    async fn strict_app_answers_as_the_reference_server() {
        let some = [Outcome::Duplicate, aside(Reason::UnsupportedSchema, Some(0xab)), aside(Reason::Invalid, None)];
        let (status, body) = read(judged(&receipt(&some), Shape::Flat)).await;
        assert_eq!((status, &body["status"]), (207, &json!("partial")));
        assert_eq!((&body["accepted"], &body["rejected"]), (&json!(1), &json!(2)));
        let [error] = &body["errors"].as_array().unwrap()[..] else { panic!("{body}") };
        assert_eq!(error["event_id"], "abababab-abab-abab-abab-abababababab");
        assert_eq!(error["error"], "unsupported_schema");
        assert!(error["message"].is_string());
        let (status, body) = read(judged(&receipt(&some[1..]), Shape::Flat)).await;
        assert_eq!((status, &body["error"]), (400, &json!("validation_error")));
        let good = receipt(&[Outcome::Stored, Outcome::Duplicate]);
        assert_eq!(read(judged(&good, Shape::Flat)).await, read(taken(&good)).await);
    }

    #[tokio::test]
    async fn every_refusal_can_be_read_by_the_sdk_in_both_shapes() {
        for (refusal, status, code, seconds) in [
            (Refusal::Malformed("why".into()), 400, "bad_request", None),
            (Refusal::Timeout, 408, "request_timeout", None),
            (Refusal::UnsupportedEncoding, 400, "bad_request", None),
            (Refusal::Unauthorized, 401, "unauthorized", None),
            (Refusal::Forbidden("why".into()), 403, "forbidden", None),
            (Refusal::ClockSkew(1_700_000_000), 403, "timestamp_out_of_window", None),
            (Refusal::Replayed, 409, "replayed_nonce", None),
            (Refusal::TooLarge("why".into()), 413, "payload_too_large", None),
            (Refusal::RateLimited(17), 429, "rate_limit_exceeded", Some(17)),
            (Refusal::Internal, 500, "internal_error", None),
            (Refusal::Busy(2), 503, "service_unavailable", Some(2)),
            (Refusal::Draining, 503, "service_unavailable", Some(2)),
            (Refusal::StorageDown, 503, "service_unavailable", Some(10)),
            (Refusal::StorageFull, 503, "storage_full", Some(60)),
        ] {
            for shape in [Shape::Flat, Shape::Nested] {
                let response = refused(&refusal, shape);
                let header = response.headers().get(header::RETRY_AFTER).map(|h| h.to_str().unwrap().to_owned());
                assert_eq!(header, seconds.map(|seconds: u32| seconds.to_string()), "{refusal:?}");
                let (found, body) = read(response).await;
                let error = match shape {
                    Shape::Flat => json!({ "error": body["error"], "message": body["message"] }),
                    Shape::Nested => json!({ "error": body["error"]["code"], "message": body["error"]["message"] }),
                };
                assert_eq!((found, &error["error"]), (status, &json!(code)), "{refusal:?}");
                assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()), "{refusal:?}");
                assert_eq!(body.get("retry_after").and_then(Value::as_u64), seconds.map(u64::from), "{refusal:?}");
            }
        }
    }

    #[tokio::test]
    async fn wrong_clock_is_told_the_time() {
        let (_, body) = read(refused(&Refusal::ClockSkew(1_700_000_000), Shape::Flat)).await;
        let message = body["message"].as_str().unwrap();
        assert!(message.contains("1700000000") && message.contains("2023-11-14T22:13:20Z"), "{message}");
    }
}
