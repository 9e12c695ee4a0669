//! Why a request fails, and how its sender is told: every answer is a JSON object with its reason wherever a release of
//! the client looks for it (`teardown`, sections 1.1 and 4).

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::wire::Invalid;
use crate::http::told;
use crate::model::{Limit, Refusal};

/// Seconds after which to come back when no better figure is known: while another process takes over, while the
/// database is away, while somebody makes room on the disk.
const AFTER_RESTART: u32 = 2;
const AFTER_OUTAGE: u32 = 10;
const AFTER_FULL: u32 = 60;

/// Why a request fails.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// 400: what was asked cannot be done.
    Domain(Code, String),
    /// 401: no key, or none that is known; which, in words.
    Unauthorized(&'static str),
    /// 422: it breaks the schema.
    Invalid(Invalid),
    /// The box turns it away.
    Refused(Refusal),
}

/// Codes of status 400 (`teardown`, section 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The first four: a header is absent or blank.
    MissingOrgId,
    MissingProjectId,
    MissingEnvironmentSlug,
    MissingDeviceId,
    /// The app has no such environment.
    IdentifyFailed,
    /// The app has no such environment, or no event of the batch could be kept.
    EventsProcessingFailed,
    /// The session of the whole batch is not known.
    InvalidSession,
    /// The device of the whole batch is not known.
    InvalidDevice,
    /// Too many events.
    BatchSizeExceeded,
}

impl Code {
    fn as_str(self) -> &'static str {
        match self {
            Self::MissingOrgId => "MISSING_ORG_ID",
            Self::MissingProjectId => "MISSING_PROJECT_ID",
            Self::MissingEnvironmentSlug => "MISSING_ENVIRONMENT_SLUG",
            Self::MissingDeviceId => "MISSING_DEVICE_ID",
            Self::IdentifyFailed => "IDENTIFY_FAILED",
            Self::EventsProcessingFailed => "EVENTS_PROCESSING_FAILED",
            Self::InvalidSession => "INVALID_SESSION",
            Self::InvalidDevice => "INVALID_DEVICE",
            Self::BatchSizeExceeded => "BATCH_SIZE_EXCEEDED",
        }
    }
}

impl Fault {
    /// The same in the box's own words.
    pub fn refusal(&self) -> Refusal {
        match self {
            Self::Domain(_, message) => Refusal::Malformed(message.clone()),
            Self::Unauthorized(_) => Refusal::Unauthorized,
            Self::Invalid(invalid) => Refusal::Malformed(invalid.summary.clone()),
            Self::Refused(refusal) => refusal.clone(),
        }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Invalid> for Fault {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        match self {
            Self::Domain(code, message) => failure(StatusCode::BAD_REQUEST, code.as_str(), &message),
            Self::Unauthorized(message) => failure(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message),
            Self::Invalid(invalid) => validation(&invalid),
            Self::Refused(refusal) => refused(&refusal),
        }
    }
}

/// A failure in the shape of section 4.1.
pub fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    json(status, &Failure { success: false, error: Reason { code, message }, message })
}

/// A failure for which a status alone is known.
pub fn bare(status: StatusCode) -> Response {
    let (code, message) = match status {
        StatusCode::NOT_FOUND => ("NOT_FOUND", "there is nothing at this address"),
        StatusCode::PAYLOAD_TOO_LARGE => ("PAYLOAD_TOO_LARGE", "the body is larger than allowed"),
        StatusCode::TOO_MANY_REQUESTS => ("RATE_LIMITED", "too many requests; try again later"),
        StatusCode::SERVICE_UNAVAILABLE => (UNAVAILABLE, "the server cannot do this now; try again later"),
        status if status.is_server_error() => ("INTERNAL_SERVER_ERROR", "something went wrong on the server"),
        _ => ("REFUSED", "the request was refused"),
    };
    failure(status, code, message)
}

/// Any answer as JSON.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    const HEADERS: [(HeaderName, HeaderValue); 2] = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    ];
    let body = serde_json::to_vec(body).expect("plain structs of strings and numbers always serialize");
    (status, HEADERS, body).into_response()
}

/// The code of every 503, which the protocol does not name.
const UNAVAILABLE: &str = "SERVICE_UNAVAILABLE";

#[derive(Serialize)]
struct Failure<'a> {
    success: bool,
    error: Reason<'a>,
    message: &'a str,
}

#[derive(Serialize)]
struct Reason<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Validation<'a> {
    success: bool,
    error: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    on: &'a str,
    property: &'a str,
    summary: &'a str,
    message: &'a str,
}

/// Section 4.2.
fn validation(invalid: &Invalid) -> Response {
    let Invalid { on, property, summary } = invalid;
    let (error, kind) = ("VALIDATION", "validation");
    let body = Validation { success: false, error, kind, on, property, summary, message: summary };
    json(StatusCode::UNPROCESSABLE_ENTITY, &body)
}

fn refused(refusal: &Refusal) -> Response {
    let unavailable = |message, seconds| {
        let response = failure(StatusCode::SERVICE_UNAVAILABLE, UNAVAILABLE, message);
        come_back(response, seconds)
    };
    match refusal {
        Refusal::Malformed(problem) => validation(&Invalid::body(problem)),
        Refusal::UnsupportedEncoding => {
            validation(&Invalid::header("content-encoding", "must be gzip, deflate or absent"))
        }
        Refusal::Timeout => failure(StatusCode::REQUEST_TIMEOUT, "REQUEST_TIMEOUT", "the body took too long to arrive"),
        Refusal::Unauthorized => failure(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "unknown API key"),
        Refusal::WrongCredential(what) => failure(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", what),
        Refusal::Banned => failure(StatusCode::FORBIDDEN, "FORBIDDEN", "this device or user is banned from the app"),
        Refusal::Forbidden(reason) => failure(StatusCode::FORBIDDEN, "FORBIDDEN", reason),
        Refusal::TooLarge(what) => failure(StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE", what),
        Refusal::RateLimited(seconds) => {
            let message = "too many requests with a wrong key; try again later";
            come_back(failure(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", message), *seconds)
        }
        Refusal::OverLimit(over) => {
            let told = over.to_string();
            let response = match over.limit {
                Limit::Day => failure(StatusCode::FORBIDDEN, "QUOTA_EXHAUSTED", &told),
                Limit::Key | Limit::App | Limit::Network => {
                    failure(StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED", &told)
                }
            };
            let mut response = come_back(response, over.retry_after);
            told::standing(&mut response, over.standing);
            response
        }
        Refusal::Busy(seconds) => unavailable("the server is busy; try again soon", *seconds),
        Refusal::Draining => unavailable("the server is restarting; try again soon", AFTER_RESTART),
        Refusal::StorageDown => unavailable("the server cannot write now; try again later", AFTER_OUTAGE),
        Refusal::StorageFull => unavailable("the server has no room left; try again later", AFTER_FULL),
        // Requests of this protocol have neither a time of their own nor a nonce.
        Refusal::Internal | Refusal::ClockSkew(_) | Refusal::Replayed => bare(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

fn come_back(mut response: Response, seconds: u32) -> Response {
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    async fn read(response: Response) -> (u16, Value) {
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/json");
        let status = response.status().as_u16();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn every_refusal_has_its_reason_where_clients_look() {
        for (refusal, status, code, seconds) in [
            (Refusal::Timeout, 408, "REQUEST_TIMEOUT", None),
            (Refusal::Unauthorized, 401, "UNAUTHORIZED", None),
            (Refusal::Forbidden("why".into()), 403, "FORBIDDEN", None),
            (Refusal::TooLarge("why".into()), 413, "PAYLOAD_TOO_LARGE", None),
            (Refusal::RateLimited(17), 429, "RATE_LIMITED", Some("17")),
            (Refusal::Internal, 500, "INTERNAL_SERVER_ERROR", None),
            (Refusal::Busy(2), 503, "SERVICE_UNAVAILABLE", Some("2")),
            (Refusal::Draining, 503, "SERVICE_UNAVAILABLE", Some("2")),
            (Refusal::StorageDown, 503, "SERVICE_UNAVAILABLE", Some("10")),
            (Refusal::StorageFull, 503, "SERVICE_UNAVAILABLE", Some("60")),
        ] {
            let response = Fault::from(refusal.clone()).into_response();
            let header = response.headers().get(header::RETRY_AFTER).map(|header| header.to_str().unwrap().to_owned());
            assert_eq!(header.as_deref(), seconds, "{refusal:?}");
            let (found, body) = read(response).await;
            assert_eq!((found, &body["error"]["code"], &body["success"]), (status, &json!(code), &json!(false)));
            assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()), "{body}");
            assert_eq!(body["message"], body["error"]["message"]);
        }
        for (refusal, on, property) in [
            (Refusal::Malformed("why".into()), "body", ""),
            (Refusal::UnsupportedEncoding, "headers", "/content-encoding"),
        ] {
            let (status, body) = read(Fault::from(refusal).into_response()).await;
            assert_eq!((status, &body["on"], &body["property"]), (422, &json!(on), &json!(property)));
        }
    }

    #[tokio::test]
    async fn bodies_are_those_of_the_protocols_examples() {
        let device = Fault::Domain(Code::MissingDeviceId, "header td-device-id is required".to_owned());
        let response = device.into_response();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let example = concat!(
            r#"{"success":false,"error":{"code":"MISSING_DEVICE_ID","message":"header td-device-id is required"},"#,
            r#""message":"header td-device-id is required"}"#
        );
        assert_eq!(body, example);
        let place = "/device/os/platform".to_owned();
        let summary = "device.os.platform is not a known platform".to_owned();
        let response = Fault::Invalid(Invalid { on: "body", property: place, summary }).into_response();
        let body = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
        let example = concat!(
            r#"{"success":false,"error":"VALIDATION","type":"validation","on":"body","#,
            r#""property":"/device/os/platform","#,
            r#""summary":"device.os.platform is not a known platform","#,
            r#""message":"device.os.platform is not a known platform"}"#
        );
        assert_eq!(body, example);
    }
}
