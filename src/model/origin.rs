//! Facts of a request.

use std::net::IpAddr;

use super::Millis;

/// Where and when a request came from. The address serves limits only: nothing after normalization sees it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// When its head had arrived, by our clock.
    pub received_at: Millis,
    /// The client, as far as trusted proxies tell.
    pub address: IpAddr,
    /// Whether the client reached us, or a trusted proxy, over TLS.
    pub https: bool,
    /// The member whom a trusted proxy names, where it is asked to.
    pub user: Option<String>,
    /// Names this request in the log and in its response.
    pub request_id: RequestId,
}

/// 16 lower-case hex digits, fresh for each request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub u64);

impl std::fmt::Display for RequestId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}
