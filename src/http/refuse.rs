//! What a caller is told when a request does not reach a handler, as a response and as raw bytes.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::model::RequestId;

/// Names the request in a response and in the log.
pub(crate) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// On every response that says nothing else. The first keeps a name alive (<http://www.gnuterrypratchett.com>) and is
/// part of the telemetry-kit protocol; the others keep browsers from guessing types, from telling other sites our
/// addresses, from keeping an answer, and from taking what is meant for programs for a page.
const ALWAYS: [(&str, &str); 8] = [
    ("x-clacks-overhead", "GNU Terry Pratchett"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "same-origin"),
    ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
    ("x-frame-options", "DENY"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=(), payment=(), usb=(), browsing-topics=()"),
    ("cache-control", "no-store"),
];

/// For a year, from one request over TLS on.
const STAY_ENCRYPTED: HeaderValue = HeaderValue::from_static("max-age=31536000");

/// Why the connection itself turns a request away, before any router.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turned {
    /// The HTTP status.
    pub(crate) status: StatusCode,
    /// For programs.
    pub(crate) code: &'static str,
    /// For people.
    pub(crate) message: &'static str,
}

/// A refusal in the box's own form, `{"error":code,"message":message}`. Protocols with a form of their own
/// use that instead.
pub fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = serde_json::json!({ "error": code, "message": message }).to_string();
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// For a program that has sent something to where there is nothing: most often its SDK was given a wrong address.
pub fn stray() -> Response {
    let told = "there is nothing at this address; the page Connect an SDK of an app says which one an SDK is given";
    refuse(StatusCode::NOT_FOUND, "not_found", told)
}

/// The same for a response that has a status and nothing else: its sentence comes from the status. Faults of ours
/// carry the request's id.
pub(crate) fn explain(status: StatusCode, id: RequestId) -> String {
    let (code, message) = sentence(status);
    if status.is_server_error() {
        serde_json::json!({ "error": code, "message": message, "request_id": id.to_string() }).to_string()
    } else {
        serde_json::json!({ "error": code, "message": message }).to_string()
    }
}

/// A whole HTTP/1.1 response that closes the connection. `retry_after` is in seconds.
pub(crate) fn raw(turned: Turned, retry_after: Option<u32>, id: RequestId) -> Vec<u8> {
    let Turned { status, code, message } = turned;
    let body = serde_json::json!({ "error": code, "message": message }).to_string();
    let reason = status.canonical_reason().unwrap_or("Refused");
    let mut text = format!("HTTP/1.1 {} {reason}\r\n", status.as_u16());
    for (name, value) in ALWAYS {
        text += &format!("{name}: {value}\r\n");
    }
    if let Some(seconds) = retry_after {
        text += &format!("retry-after: {seconds}\r\n");
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        text += "allow: GET, HEAD, POST, OPTIONS\r\n";
    }
    text += &format!("x-request-id: {id}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
    text += "connection: close\r\n\r\n";
    text += &body;
    text.into_bytes()
}

/// Tells browsers to come over TLS from now on.
pub(crate) fn stay_encrypted(headers: &mut HeaderMap) {
    headers.insert(header::STRICT_TRANSPORT_SECURITY, STAY_ENCRYPTED);
}

/// Adds what every response carries, where it has nothing of its own.
pub(crate) fn mark(headers: &mut HeaderMap, id: RequestId) {
    for (name, value) in ALWAYS {
        headers.entry(HeaderName::from_static(name)).or_insert(HeaderValue::from_static(value));
    }
    if let Ok(value) = HeaderValue::try_from(id.to_string()) {
        headers.insert(X_REQUEST_ID, value);
    }
}

fn sentence(status: StatusCode) -> (&'static str, &'static str) {
    match status {
        StatusCode::BAD_REQUEST => ("bad_request", "The request could not be understood."),
        StatusCode::UNAUTHORIZED => ("unauthorized", "This needs credentials."),
        StatusCode::FORBIDDEN => ("forbidden", "These credentials do not allow this."),
        StatusCode::NOT_FOUND => ("not_found", "There is nothing at this address."),
        StatusCode::METHOD_NOT_ALLOWED => ("method_not_allowed", "This address does not take this method."),
        StatusCode::REQUEST_TIMEOUT => ("request_timeout", "The request took too long to arrive."),
        StatusCode::PAYLOAD_TOO_LARGE => ("payload_too_large", "The request is larger than allowed."),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported_media_type", "This kind of content is not taken here."),
        StatusCode::TOO_MANY_REQUESTS => ("rate_limit_exceeded", "Too many requests; try again later."),
        StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "The server cannot do this now; try again later."),
        status if status.is_server_error() => ("internal", "Something went wrong here; the log has the details."),
        _ => ("refused", "The request was refused."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_refusal_is_one_whole_response() {
        let turned = Turned { status: StatusCode::SERVICE_UNAVAILABLE, code: "busy", message: "Full." };
        let text = String::from_utf8(raw(turned, Some(2), RequestId(7))).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 503 Service Unavailable\r\nx-clacks-overhead: GNU Terry Pratchett\r\n"));
        for line in ["retry-after: 2", "x-request-id: 0000000000000007", "connection: close", "content-length: 34"] {
            assert!(head.lines().any(|l| l == line), "{line} in {head}");
        }
        assert_eq!((body, body.len()), (r#"{"error":"busy","message":"Full."}"#, 34));
    }

    #[test]
    fn only_our_own_faults_name_the_request() {
        assert!(explain(StatusCode::INTERNAL_SERVER_ERROR, RequestId(255)).contains("00000000000000ff"));
        assert!(!explain(StatusCode::NOT_FOUND, RequestId(255)).contains("00000000000000ff"));
    }
}
