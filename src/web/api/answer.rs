//! An answer in JSON, with a tag by which a client that has it already is spared the body.

use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH, LINK, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::Told;
use crate::model::Origin;

/// A body, and the address where the list goes on.
pub struct Answer {
    body: String,
    next: Option<String>,
}

/// Marks the answers of the API among all others.
#[derive(Clone, Copy)]
struct Tagged;

impl Answer {
    /// Of something whose parts all have a form in JSON.
    pub fn new(value: &impl Serialize) -> Self {
        Self { body: serde_json::to_string(value).expect("texts, numbers and lists have a form in JSON"), next: None }
    }

    /// With the address of the next page, where there is one.
    #[must_use]
    pub fn going_on(self, next: Option<String>) -> Self {
        Self { next, ..self }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let tag = format!("\"{}\"", hex::encode(&Sha256::digest(self.body.as_bytes())[..16]));
        let mut response = (
            [
                (CONTENT_TYPE, "application/json"),
                (CACHE_CONTROL, "private, no-cache"),
                (VARY, "authorization, cookie"),
                (ETAG, tag.as_str()),
            ],
            self.body,
        )
            .into_response();
        // An address that no header can hold cannot come out of our own encoding.
        if let Some(next) = self.next.and_then(|next| HeaderValue::try_from(format!("<{next}>; rel=\"next\"")).ok()) {
            response.headers_mut().insert(LINK, next);
        }
        response.extensions_mut().insert(Tagged);
        response
    }
}

/// Gives failures of the API their body, with the request's id, and takes the body off answers that the client has.
pub async fn finish(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<Origin>().map(|origin| origin.request_id);
    let known: Vec<HeaderValue> = request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect();
    let mut response = next.run(request).await;
    if let Some(told) = response.extensions_mut().remove::<Told>() {
        return told.response(&response, id);
    }
    let tagged = response.extensions_mut().remove::<Tagged>().is_some();
    match response.headers().get(ETAG) {
        Some(tag) if tagged && known.iter().any(|list| names(list, tag)) => not_modified(response.headers()),
        _ => response,
    }
}

fn not_modified(answer: &HeaderMap) -> Response {
    let mut response = StatusCode::NOT_MODIFIED.into_response();
    for name in [ETAG, CACHE_CONTROL, VARY, LINK] {
        if let Some(value) = answer.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

/// Whether a list of tags names this one (RFC 9110, 13.1.2: weak comparison, `*` for any).
fn names(list: &HeaderValue, tag: &HeaderValue) -> bool {
    let (Ok(list), Ok(tag)) = (list.to_str(), tag.to_str()) else { return false };
    list.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}
