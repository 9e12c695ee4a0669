//! The facts of a request that handlers get as an argument.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use crate::model::{Origin, RequestId, TraceId};

/// The other end of the connection, put into the request's extensions by the listener. Where it is missing, as in
/// tests that call a router without one, the address reads as 0.0.0.0.
#[derive(Clone, Copy, Debug)]
pub struct Peer(pub IpAddr);

impl Default for Peer {
    fn default() -> Self {
        Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

/// A handler was mounted outside [`layers`](super::layers), so the request has no origin: a mistake of ours.
#[derive(Debug, thiserror::Error)]
#[error("the request has no origin: its router is not inside http::layers")]
pub struct NoOrigin;

impl IntoResponse for NoOrigin {
    fn into_response(self) -> Response {
        tracing::error!("{self}");
        StatusCode::INTERNAL_SERVER_ERROR.into_response()
    }
}

impl<S: Sync> FromRequestParts<S> for Origin {
    type Rejection = NoOrigin;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or(NoOrigin)
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Self>().copied().unwrap_or_default())
    }
}

/// Draws request ids: 64 bits that do not repeat within a run and do not follow each other in any visible order.
/// They name requests; they prove nothing.
#[derive(Debug)]
pub(crate) struct RequestIds(AtomicU64);

impl RequestIds {
    /// Starts at a random place.
    pub(crate) fn new() -> Self {
        // A system without random bytes still gets ids that differ within a run.
        Self(AtomicU64::new(getrandom::u64().unwrap_or_default()))
    }

    /// The next id (the SplitMix64 sequence: a bijection of a counter), never zero.
    pub(crate) fn next(&self) -> RequestId {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        match mixed ^ (mixed >> 31) {
            0 => self.next(),
            id => RequestId(id),
        }
    }
}

/// Draws names of traces that no caller has named: two sequences as those of request ids, each from a random place of
/// its own.
#[derive(Debug)]
pub(crate) struct TraceIds([RequestIds; 2]);

impl TraceIds {
    /// Starts at random places.
    pub(crate) fn new() -> Self {
        Self([RequestIds::new(), RequestIds::new()])
    }

    /// The next one, never zero.
    pub(crate) fn next(&self) -> TraceId {
        let [high, low] = [&self.0[0], &self.0[1]].map(|ids| u128::from(ids.next().0));
        TraceId((high << 64 | low).max(1))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn request_ids_do_not_repeat() {
        let ids = RequestIds::new();
        let drawn: HashSet<u64> = (0..10_000).map(|_| ids.next().0).collect();
        assert_eq!(drawn.len(), 10_000);
        assert_ne!(RequestIds::new().next(), RequestIds::new().next());
    }
}
