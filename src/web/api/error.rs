//! What can go wrong in the API, and how programs are told.

use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::error::PageError;
use crate::model::RequestId;
use crate::store::StoreError;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// A parameter that is not known or makes no sense.
    #[error("{name}: {message}")]
    Parameter {
        /// Its name as it was sent, cut.
        name: String,
        /// What is wrong with it, a sentence.
        message: String,
    },
    /// A query string that is too long.
    #[error("query too long")]
    QueryTooLong,
    /// No credentials.
    #[error("no credentials")]
    NoCredentials,
    /// A token that does not work, or no token where one should be.
    #[error("the token does not work")]
    BadToken,
    /// A key for sending events, which reads nothing.
    #[error("an ingest key")]
    IngestKey,
    /// The token does not allow this.
    #[error("not allowed")]
    Forbidden,
    /// A failure that pages have too.
    #[error(transparent)]
    Page(#[from] PageError),
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::Page(error.into())
    }
}

/// A failure, until [`finish`](super::finish) gives it a body.
#[derive(Clone)]
pub(super) struct Told {
    status: StatusCode,
    code: &'static str,
    message: String,
    parameter: Option<String>,
}

impl ApiError {
    /// From the name of a parameter and a sentence about it.
    pub(super) fn parameter(name: &str, message: impl Into<String>) -> Self {
        Self::Parameter { name: name.chars().take(100).collect(), message: message.into() }
    }

    /// Status and words; the cause of a failure of ours goes to the log, once.
    fn told(self) -> Told {
        let told = |status, code, message: &str| Told { status, code, message: message.to_owned(), parameter: None };
        match self {
            Self::Parameter { name, message } => {
                Told { parameter: Some(name), message, ..told(StatusCode::BAD_REQUEST, "invalid_parameter", "") }
            }
            Self::QueryTooLong => {
                told(StatusCode::URI_TOO_LONG, "query_too_long", "The query string is longer than 8,192 bytes.")
            }
            Self::NoCredentials => told(
                StatusCode::UNAUTHORIZED,
                "unauthorized",
                "Send a token of the read API: `Authorization: Bearer tka_...`.",
            ),
            Self::BadToken => {
                told(StatusCode::UNAUTHORIZED, "invalid_token", "The token is unknown, has ended or was revoked.")
            }
            Self::IngestKey => told(
                StatusCode::UNAUTHORIZED,
                "invalid_token",
                "This is a key for sending events. Reading takes a token of the read API (tka_...).",
            ),
            Self::Forbidden => told(StatusCode::FORBIDDEN, "forbidden", "The token is not for this app."),
            Self::Page(error) => of_page(error),
        }
    }
}

fn of_page(error: PageError) -> Told {
    let told = |status, code, message: &str| Told { status, code, message: message.to_owned(), parameter: None };
    match error {
        PageError::NotFound | PageError::Store(StoreError::NotFound(_)) => {
            told(StatusCode::NOT_FOUND, "not_found", "There is nothing at this address.")
        }
        PageError::Method => told(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "The API is for reading: GET."),
        PageError::SignIn(_) => ApiError::NoCredentials.told(),
        PageError::Store(StoreError::Interrupted) => {
            tracing::warn!(%error, "an API request failed");
            told(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_slow",
                "The answer took too long. Ask for a shorter range, for fewer filters, or for fewer metrics at once.",
            )
        }
        PageError::Store(StoreError::TooMuch) => {
            tracing::warn!(%error, "an API request failed");
            told(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_much",
                "There is too much to count. Ask for a shorter range, or for fewer events by filters.",
            )
        }
        PageError::Store(StoreError::Full | StoreError::Unavailable(_) | StoreError::Io(_)) => {
            tracing::error!(%error, "an API request failed");
            told(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "The database cannot answer now; try again later.")
        }
        error => {
            tracing::error!(%error, "an API request failed");
            let message = "Something broke on our side; the server's log has the cause under the request's id.";
            told(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
        }
    }
}

impl IntoResponse for ApiError {
    /// A response without a body, which [`finish`](super::finish) fills in.
    fn into_response(self) -> Response {
        let told = self.told();
        let mut response = told.status.into_response();
        response.extensions_mut().insert(told);
        response
    }
}

impl Told {
    /// The whole answer; what the router has added to the first one (the methods that there are) stays.
    pub(super) fn response(self, given: &Response, id: Option<RequestId>) -> Response {
        let mut error = json!({ "code": self.code, "message": self.message });
        if let Some(parameter) = self.parameter {
            error["parameter"] = parameter.into();
        }
        let body = json!({ "error": error, "request_id": id.map(|id| id.to_string()).unwrap_or_default() });
        let mut response = (self.status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response();
        let headers = response.headers_mut();
        if let Some(allow) = given.headers().get(ALLOW) {
            headers.insert(ALLOW, allow.clone());
        }
        match self.status {
            StatusCode::UNAUTHORIZED if self.code == "invalid_token" => {
                let challenge = HeaderValue::from_static("Bearer realm=\"tallybox\", error=\"invalid_token\"");
                headers.insert(WWW_AUTHENTICATE, challenge);
            }
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"tallybox\""));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            _ => {}
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_of_ours_say_what_can_be_done() {
        for (error, status, code, again) in [
            (StoreError::Interrupted, 503, "too_slow", true),
            (StoreError::TooMuch, 503, "too_much", true),
            (StoreError::Unavailable("x".to_owned()), 503, "unavailable", true),
            (StoreError::Full, 503, "unavailable", true),
            (StoreError::NotFound("app"), 404, "not_found", false),
            (StoreError::Corrupt("x".to_owned()), 500, "internal", false),
            (StoreError::Unexpected("x".to_owned()), 500, "internal", false),
        ] {
            let given = ApiError::from(error).into_response();
            let told = given.extensions().get::<Told>().cloned().unwrap();
            assert_eq!((given.status().as_u16(), told.code), (status, code));
            assert!(told.message.ends_with('.') && !told.message.contains(" x"), "{}", told.message);
            let response = told.response(&given, Some(RequestId(7)));
            assert_eq!(response.headers().contains_key(RETRY_AFTER), again, "{code}");
        }
    }
}
