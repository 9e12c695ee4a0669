//! What answers of every protocol tell beside their bodies: how allowances stand, and whether a page may read them.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::Response;

use crate::auth::ingest_key::IngestKeys;
use crate::model::{Refusal, Rules, Standing};

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// Whether the app of a request lets pages of its origin read the answer; put into responses of apps that list origins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PageVerdict {
    /// It lists the origin.
    Listed,
    /// It lists others.
    Foreign,
}

impl PageVerdict {
    /// What an app with these rules says to a request with these headers, where it lists origins.
    pub fn of(rules: &Rules, request: &HeaderMap) -> Option<Self> {
        let origin = origin(request).filter(|_| !rules.origins.is_empty())?;
        Some(if rules.admit_origin(origin) { Self::Listed } else { Self::Foreign })
    }
}

/// The origin of the web page that sends, where a browser tells it.
pub fn origin(request: &HeaderMap) -> Option<&[u8]> {
    request.get(header::ORIGIN).map(HeaderValue::as_bytes)
}

/// Whether some app lists the origin of a request. A preflight does not say to which app its request will go.
pub async fn is_listed(keys: &IngestKeys, request: &HeaderMap) -> bool {
    let Some(origin) = request.get(header::ORIGIN).and_then(|origin| origin.to_str().ok()) else { return false };
    keys.origins().await.is_ok_and(|listed| listed.contains(origin))
}

/// Tells how an allowance stands.
pub fn standing(response: &mut Response, standing: Standing) {
    let headers = response.headers_mut();
    headers.insert(LIMIT, standing.limit.into());
    headers.insert(REMAINING, standing.remaining.into());
    headers.insert(RESET, standing.resets_at.into());
}

/// How the allowance stands for want of which a request is refused.
pub fn refused_for(refusal: &Refusal) -> Option<Standing> {
    if let Refusal::OverLimit(over) = refusal { Some(over.standing) } else { None }
}
