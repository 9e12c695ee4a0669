//! Fields of forms and addresses, and the proof that a form was sent from one of our own pages.

use axum::http::HeaderMap;
use axum::http::header::{HOST, ORIGIN};

use super::state::Site;

/// Largest form that is read, in bytes.
pub const LIMIT: usize = 16 << 10;

/// Decoded `name=value` pairs.
#[derive(Clone, Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads `application/x-www-form-urlencoded` text; what is not UTF-8 is replaced.
    pub fn parse(bytes: &[u8]) -> Self {
        Self(form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The first value of that name.
    pub fn find(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The first value of that name, empty where there is none.
    pub fn get(&self, name: &str) -> &str {
        self.find(name).unwrap_or_default()
    }
}

/// Whether an unsafe request comes from a page of ours: what the browser says of it (Fetch Metadata), else an `Origin`
/// that equals the address we were reached at. A request that says neither is refused.
pub fn same_origin(headers: &HeaderMap, site: &Site, https: bool) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(relation) = text("sec-fetch-site") {
        return matches!(relation, "same-origin" | "none");
    }
    let Some(origin) = text(ORIGIN.as_str()) else { return false };
    let scheme = if https { "https" } else { "http" };
    let reached = text(HOST.as_str()).map(|host| format!("{scheme}://{host}"));
    Some(origin) == site.public_origin() || reached.is_some_and(|reached| reached.eq_ignore_ascii_case(origin))
}

/// A path of ours to return to after sign-in, without the base path; `None` for what could lead elsewhere.
pub fn return_path(next: &str) -> Option<&str> {
    let fits = next.len() <= 1_000
        && next.starts_with('/')
        && !next.starts_with("//")
        && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    fits.then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(axum::http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn only_our_own_pages_may_send_forms() {
        let site = Site { base_path: String::new(), public_url: Some("https://stats.example.org/tally".to_owned()) };
        let host = ("host", "box:3000");
        for (sent, https, expected) in [
            (vec![host, ("sec-fetch-site", "same-origin")], false, true),
            (vec![host, ("sec-fetch-site", "none")], false, true),
            (vec![host, ("sec-fetch-site", "same-site"), ("origin", "http://box:3000")], false, false),
            (vec![host, ("sec-fetch-site", "cross-site"), ("origin", "http://box:3000")], false, false),
            (vec![host, ("origin", "http://box:3000")], false, true),
            (vec![host, ("origin", "http://BOX:3000")], false, true),
            (vec![host, ("origin", "http://box:3000")], true, false),
            (vec![host, ("origin", "http://box")], false, false),
            (vec![host, ("origin", "http://evil.example")], false, false),
            (vec![host, ("origin", "null")], false, false),
            (vec![host, ("origin", "https://stats.example.org")], false, true),
            (vec![("origin", "http://")], false, false),
            (vec![host], false, false),
        ] {
            assert_eq!(same_origin(&headers(&sent), &site, https), expected, "{sent:?} {https}");
        }
    }

    #[test]
    fn sign_in_returns_only_to_our_own_paths() {
        for (next, expected) in [
            ("/apps/notes?range=7d", true),
            ("/", true),
            ("//evil.example", false),
            ("/\\evil.example", false),
            ("https://evil.example", false),
            ("javascript:alert(1)", false),
            ("/a\r\nSet-Cookie: x", false),
            ("", false),
        ] {
            assert_eq!(return_path(next).is_some(), expected, "{next:?}");
        }
    }

    #[test]
    fn fields_are_decoded() {
        let fields = Fields::parse(b"name=a+b%26c&empty=&name=second");
        assert_eq!((fields.get("name"), fields.find("empty"), fields.find("none")), ("a b&c", Some(""), None));
    }
}
