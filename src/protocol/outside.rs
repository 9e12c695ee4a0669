//! Where clients find the box, for protocols whose answers say so.

use axum::http::{HeaderMap, header};

use crate::model::Origin;

/// What is set of the box's own address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outside {
    /// The whole of it, where that is set.
    pub public_url: Option<String>,
    /// Its path: empty, or with a leading slash and no trailing one.
    pub base_path: String,
}

impl Outside {
    /// The address without a slash at its end: as it is set, else as the client that asks has named it.
    pub fn address(&self, origin: &Origin, headers: &HeaderMap) -> Option<String> {
        let base = &self.base_path;
        match &self.public_url {
            // It may say the base path, or leave it to its own setting.
            Some(url) if url.ends_with(base.as_str()) => Some(url.clone()),
            Some(url) => Some([url.as_str(), base].concat()),
            None => {
                let host = headers.get(header::HOST)?.to_str().ok()?;
                Some([if origin.https { "https://" } else { "http://" }, host, base].concat())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use axum::http::HeaderValue;

    use super::*;
    use crate::model::{Millis, RequestId};

    #[test]
    fn what_is_set_counts_before_what_the_client_says() {
        let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static("box.example:8080"))]);
        for (url, base, https, address) in [
            (None, "", false, "http://box.example:8080"),
            (None, "/tally", true, "https://box.example:8080/tally"),
            (Some("https://b.example"), "", false, "https://b.example"),
            (Some("https://b.example/tally"), "/tally", false, "https://b.example/tally"),
            (Some("https://b.example"), "/tally", false, "https://b.example/tally"),
        ] {
            let outside = Outside { public_url: url.map(str::to_owned), base_path: base.to_owned() };
            let address_of = IpAddr::V4(Ipv4Addr::LOCALHOST);
            let (received_at, request_id) = (Millis(0), RequestId(0));
            let origin = Origin { received_at, address: address_of, https, user: None, request_id };
            assert_eq!(outside.address(&origin, &headers).as_deref(), Some(address), "{url:?} {base}");
        }
    }
}
