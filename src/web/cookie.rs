//! The cookie that holds a login's token.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

/// How long a browser keeps it, in seconds: seven days. The login itself may end earlier.
const MAX_AGE: u32 = 7 * 24 * 3_600;

/// Whether the browser reaches us over TLS, which decides the cookie's name and flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wire {
    /// Over TLS: the `__Host-` prefix binds the cookie to this host and to `Secure` (RFC 6265bis).
    Encrypted,
    /// Plain HTTP.
    Plain,
}

impl Wire {
    fn cookie(self) -> &'static str {
        match self {
            Self::Encrypted => "__Host-tallybox",
            Self::Plain => "tallybox",
        }
    }

    fn flags(self) -> &'static str {
        match self {
            Self::Encrypted => "Path=/; HttpOnly; SameSite=Lax; Secure",
            Self::Plain => "Path=/; HttpOnly; SameSite=Lax",
        }
    }
}

/// The token in a request's cookies.
pub fn token(headers: &HeaderMap, wire: Wire) -> Option<&str> {
    let texts = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wire.cookie()).map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// `Set-Cookie` for a fresh login; `None` for a token that no header can hold.
pub fn set(token: &str, wire: Wire) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{}={token}; Max-Age={MAX_AGE}; {}", wire.cookie(), wire.flags())).ok()
}

/// `Set-Cookie` that makes the browser forget.
pub fn clear(wire: Wire) -> HeaderValue {
    match wire {
        Wire::Encrypted => {
            HeaderValue::from_static("__Host-tallybox=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax; Secure")
        }
        Wire::Plain => HeaderValue::from_static("tallybox=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_cookie_of_the_wire_is_read() {
        for (cookies, wire, expected) in [
            ("tallybox=abc", Wire::Plain, Some("abc")),
            ("a=b; tallybox=abc; c=d", Wire::Plain, Some("abc")),
            ("tallybox=abc", Wire::Encrypted, None),
            ("__Host-tallybox=abc; tallybox=planted", Wire::Encrypted, Some("abc")),
            ("tallybox=", Wire::Plain, None),
            ("xtallybox=abc", Wire::Plain, None),
            ("", Wire::Plain, None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(COOKIE, cookies.parse().unwrap());
            assert_eq!(token(&headers, wire), expected, "{cookies} {wire:?}");
        }
    }

    #[test]
    fn encrypted_cookies_are_bound_to_host_and_tls() {
        let cookie = set("abc", Wire::Encrypted).unwrap();
        let cookie = cookie.to_str().unwrap();
        for part in ["__Host-tallybox=abc", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.split("; ").any(|p| p == part), "{part} in {cookie}");
        }
        assert!(!set("abc", Wire::Plain).unwrap().to_str().unwrap().contains("Secure"));
        assert!(set("a\nb", Wire::Plain).is_none());
    }
}
