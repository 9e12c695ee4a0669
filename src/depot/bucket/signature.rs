//! Signatures of requests to S3-compatible storage, as Amazon's "Signature Version 4" defines them.

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::config::StorageAccess;
use crate::model::Millis;

/// What stays as it is in paths and parameters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What is signed of a request.
#[derive(Debug)]
pub(super) struct Signed<'a> {
    /// `GET` and so on.
    pub(super) method: &'a str,
    /// As it travels: see [`path`].
    pub(super) path: &'a str,
    /// As it travels: see [`query`].
    pub(super) query: &'a str,
    /// Host and port, as the header says them.
    pub(super) host: &'a str,
    /// SHA-256 of the body, in hex.
    pub(super) body: &'a str,
}

/// The headers that prove a request.
#[derive(Debug)]
pub(super) struct Proof {
    /// For `x-amz-date`.
    pub(super) date: String,
    /// For `authorization`.
    pub(super) authorization: String,
}

/// A path as it travels: segments encoded, slashes left.
pub(super) fn path(segments: &str) -> String {
    segments.split('/').map(|segment| utf8_percent_encode(segment, ENCODED).to_string()).collect::<Vec<_>>().join("/")
}

/// Parameters as they travel: encoded, and in the order that signatures want.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let encode = |text| utf8_percent_encode(text, ENCODED);
    let mut pairs: Vec<_> = pairs.iter().map(|(key, value)| format!("{}={}", encode(key), encode(value))).collect();
    pairs.sort();
    pairs.join("&")
}

/// Signs a request at an instant.
pub(super) fn sign(request: &Signed<'_>, access: &StorageAccess, now: Millis) -> Proof {
    let date = now.timestamp().strftime("%Y%m%dT%H%M%SZ").to_string();
    let Signed { method, path, query, host, body } = request;
    let names = "host;x-amz-content-sha256;x-amz-date";
    let canonical = format!(
        "{method}\n{path}\n{query}\nhost:{host}\nx-amz-content-sha256:{body}\nx-amz-date:{date}\n\n{names}\n{body}"
    );
    let scope = format!("{}/{}/s3/aws4_request", &date[..8], access.region);
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex::encode(Sha256::digest(canonical)));
    let mut key = Zeroizing::new(format!("AWS4{}", access.secret_key.expose_secret()).into_bytes());
    for part in [&date[..8], &access.region, "s3", "aws4_request"] {
        key = Zeroizing::new(mac(&key, part));
    }
    let signature = hex::encode(mac(&key, &text));
    let authorization = format!(
        "AWS4-HMAC-SHA256 Credential={}/{scope},SignedHeaders={names},Signature={signature}",
        access.access_key
    );
    Proof { date, authorization }
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length is good");
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    /// The example of Amazon's documentation, "GET Bucket (List Objects)".
    #[test]
    fn the_published_example_is_signed_as_published() {
        let access = StorageAccess {
            endpoint: "https://examplebucket.s3.amazonaws.com".to_owned(),
            region: "us-east-1".to_owned(),
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        };
        let query = query(&[("prefix", "J"), ("max-keys", "2")]);
        let host = "examplebucket.s3.amazonaws.com";
        let request = Signed { method: "GET", path: "/", query: &query, host, body: EMPTY };
        let proof = sign(&request, &access, Millis(1_369_353_600_000));
        assert_eq!(proof.date, "20130524T000000Z");
        let expected = "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7";
        assert!(proof.authorization.ends_with(&format!("Signature={expected}")), "{}", proof.authorization);
    }

    #[test]
    fn paths_and_parameters_are_encoded_once() {
        assert_eq!(path("/bucket/a b/c=d+e~f"), "/bucket/a%20b/c%3Dd%2Be~f");
        assert_eq!(query(&[("uploads", ""), ("a", "x/y=")]), "a=x%2Fy%3D&uploads=");
    }
}
