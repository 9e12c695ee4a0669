//! Where the head of a request names its write key.

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Longest key that is looked at, in bytes.
const LONGEST: usize = 512;

/// Base64 with or without its padding.
pub const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The user name of Basic authentication, else `writeKey` of the query. The password is empty and does not count, and some
/// clients leave out the colon.
pub fn of_head(headers: &HeaderMap, query: Option<&str>) -> Option<String> {
    of_basic(headers).or_else(|| of_query(query?))
}

fn of_basic(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = text.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") || credentials.len() > LONGEST {
        return None;
    }
    let decoded = LENIENT.decode(credentials.trim()).ok()?;
    let text = String::from_utf8(decoded).ok()?;
    let name = text.split_once(':').map_or(&*text, |(name, _)| name);
    (!name.is_empty()).then(|| name.to_owned())
}

fn of_query(query: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let key = pairs.find(|(name, value)| name == "writeKey" && !value.is_empty() && value.len() <= LONGEST)?;
    Some(key.1.into_owned())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    #[test]
    fn the_key_is_the_user_name_or_stands_in_the_query() {
        for (authorization, query, key) in [
            ("Basic a2V5Og==", None, Some("key")),
            ("basic a2V5Og", None, Some("key")),
            ("Basic a2V5", None, Some("key")),
            ("Basic a2V5OnNlY3JldA==", None, Some("key")),
            ("Basic Og==", Some("writeKey=q"), Some("q")),
            ("Basic !!", Some("a=b&writeKey=q%20r"), Some("q r")),
            ("Bearer a2V5Og==", None, None),
            ("Basic", Some("writeKey="), None),
            ("", Some("writekey=q"), None),
            ("", None, None),
        ] {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static(authorization))]);
            assert_eq!(of_head(&headers, query).as_deref(), key, "{authorization:?} {query:?}");
        }
        let long = format!("writeKey={}", "k".repeat(LONGEST + 1));
        assert_eq!(of_head(&HeaderMap::new(), Some(&long)), None);
    }
}
