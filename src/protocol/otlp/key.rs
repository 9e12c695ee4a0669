//! Where a key may stand: the protocol has no place of its own for one.

use std::borrow::Cow;

use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a client is told that shows no key.
const MISSING: &str = "no API key: send it as `authorization: Bearer KEY`, `x-api-key: KEY` or `?token=KEY`";

/// The key of a request, from the first place that has one: `Authorization` as a bearer token or as the name of a user,
/// `x-api-key`, `app-key`, or `token` in the query.
///
/// # Errors
/// In words, where there is none.
pub fn find<'a>(headers: &'a HeaderMap, query: Option<&'a str>) -> Result<Cow<'a, str>, &'static str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let plain = |name| text(name).map(Cow::Borrowed);
    let in_query = || {
        let mut pairs = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        pairs.find(|(name, _)| name == "token").map(|(_, key)| key)
    };
    let places = [text(header::AUTHORIZATION.as_str()).and_then(authorization), plain("x-api-key"), plain("app-key")];
    let key = places.into_iter().flatten().find(|key| !key.is_empty()).or_else(in_query);
    key.filter(|key| !key.is_empty()).ok_or(MISSING)
}

fn authorization(value: &str) -> Option<Cow<'_, str>> {
    let (scheme, rest) = value.split_once(' ')?;
    let rest = rest.trim();
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(Cow::Borrowed(rest));
    }
    let pair = STANDARD.decode(rest).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
    let pair = String::from_utf8(pair).ok()?;
    Some(pair.split(':').next().unwrap_or_default().to_owned().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_every_place_and_in_order() {
        let basic = format!("Basic {}", STANDARD.encode("tkp_b:x"));
        for (given, query, key) in [
            (vec![("authorization", "Bearer tkp_a"), ("x-api-key", "tkp_c")], Some("token=tkp_d"), Ok("tkp_a")),
            (vec![("authorization", "bearer  tkp_a ")], None, Ok("tkp_a")),
            (vec![("authorization", basic.as_str())], None, Ok("tkp_b")),
            (vec![("authorization", "Bearer"), ("x-api-key", "tkp_c")], None, Ok("tkp_c")),
            (vec![("authorization", "Digest tkp_a"), ("app-key", "A-SH-1")], None, Ok("A-SH-1")),
            (vec![("authorization", "Basic ***")], Some("a=1&token=tkp%5Fd"), Ok("tkp_d")),
            (vec![("x-api-key", "")], Some("token="), Err(MISSING)),
            (vec![], None, Err(MISSING)),
        ] {
            let mut headers = HeaderMap::new();
            for (name, value) in &given {
                headers.insert(*name, value.parse().unwrap());
            }
            assert_eq!(find(&headers, query).as_deref(), key.as_deref(), "{given:?} {query:?}");
        }
    }
}
