//! The cookie that holds a login's token, and those that a browser keeps for a few minutes on its way to one.

use axum::http::header::COOKIE;
use axum::http::{HeaderMap, HeaderValue};

use crate::auth::login::LoginTimes;
use crate::model::Millis;

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

/// What is kept for a few minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Brief {
    /// That the password was right, until the code is.
    SecondStep,
    /// A journey to the provider of sign-ins and back.
    Journey,
}

impl Brief {
    fn name(self, wire: Wire) -> String {
        let suffix = match self {
            Self::SecondStep => "step",
            Self::Journey => "journey",
        };
        format!("{}-{suffix}", wire.cookie())
    }

    /// Seconds; what it holds has a life of its own that is no longer.
    fn age(self) -> u32 {
        match self {
            Self::SecondStep => 300,
            Self::Journey => 600,
        }
    }
}

/// The token in a request's cookies.
pub fn token(headers: &HeaderMap, wire: Wire) -> Option<&str> {
    value(headers, wire.cookie())
}

/// What was kept with [`set_brief`].
pub fn brief(headers: &HeaderMap, wire: Wire, which: Brief) -> Option<&str> {
    value(headers, &which.name(wire))
}

fn value<'a>(headers: &'a HeaderMap, wanted: &str) -> Option<&'a str> {
    let texts = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value).filter(|value| !value.is_empty())
}

/// `Set-Cookie` for something to be kept for a few minutes; `None` for what no header can hold.
pub fn set_brief(value: &str, wire: Wire, which: Brief) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("{}={value}; Max-Age={}; {}", which.name(wire), which.age(), wire.flags())).ok()
}

/// `Set-Cookie` that makes the browser forget it.
pub fn clear_brief(wire: Wire, which: Brief) -> HeaderValue {
    let text = format!("{}=; Max-Age=0; {}", which.name(wire), wire.flags());
    HeaderValue::try_from(text).expect("names and flags are plain ASCII")
}

/// `Set-Cookie` for a fresh login; `None` for a token that no header can hold.
pub fn set(token: &str, wire: Wire, times: LoginTimes) -> Option<HeaderValue> {
    let age = times.whole / Millis::SECOND;
    HeaderValue::try_from(format!("{}={token}; Max-Age={age}; {}", wire.cookie(), wire.flags())).ok()
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
        let cookie = set("abc", Wire::Encrypted, LoginTimes::default()).unwrap();
        let cookie = cookie.to_str().unwrap();
        for part in ["__Host-tallybox=abc", "Secure", "HttpOnly", "SameSite=Lax", "Path=/"] {
            assert!(cookie.split("; ").any(|p| p == part), "{part} in {cookie}");
        }
        assert!(!set("abc", Wire::Plain, LoginTimes::default()).unwrap().to_str().unwrap().contains("Secure"));
        assert!(set("a\nb", Wire::Plain, LoginTimes::default()).is_none());
        let brief = set_brief("abc", Wire::Encrypted, Brief::Journey).unwrap();
        assert!(brief.to_str().unwrap().starts_with("__Host-tallybox-journey=abc; Max-Age=600; Path=/; HttpOnly;"));
        let cleared = clear_brief(Wire::Plain, Brief::SecondStep);
        assert_eq!(cleared, "tallybox-step=; Max-Age=0; Path=/; HttpOnly; SameSite=Lax");
    }
}
