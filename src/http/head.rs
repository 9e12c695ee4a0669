//! The head of a request as raw bytes, judged before hyper sees it.
//!
//! hyper answers what it cannot parse with an empty body, takes bare line feeds and a missing `Host`, and forgets
//! `Content-Length` where `Transfer-Encoding` stands too. Whatever passes here parses there, and frames the same.

use std::mem::MaybeUninit;

use axum::http::StatusCode;
use axum::http::uri::{Authority, Uri};

use super::refuse::Turned;

/// Most header lines of a request; what hyper takes without allocating.
const MAX_HEADERS: usize = 100;
/// Longest body whose length is believed to be one, in bytes.
const MAX_LENGTH: u64 = i64::MAX as u64;

/// How the body after a head is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// So many bytes follow; zero where the head tells of no body.
    Sized(u64),
    /// In chunks.
    Chunked,
}

/// Length of the head at the front of `bytes`, its empty line included. The first `searched` bytes are known to
/// hold no end.
pub(crate) fn end_of(bytes: &[u8], searched: usize) -> Option<usize> {
    let mut from = searched.saturating_sub(2);
    while let Some(at) = bytes.get(from..)?.iter().position(|byte| *byte == b'\n') {
        from += at + 1;
        match bytes.get(from..)? {
            [b'\n', ..] => return Some(from + 1),
            [b'\r', b'\n', ..] => return Some(from + 2),
            _ => {}
        }
    }
    None
}

/// Judges one whole head, as [`end_of`] found it (RFC 9112; the refusals go beyond it where requests could be read
/// in two ways).
pub(crate) fn check(head: &[u8]) -> Result<Framing, Turned> {
    if head.iter().enumerate().any(|(at, byte)| *byte == b'\n' && (at == 0 || head[at - 1] != b'\r')) {
        return Err(bad("bad_line_ending", "Lines of a request end in CR LF."));
    }
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(head, &mut headers) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) => return Err(malformed()),
        Err(httparse::Error::TooManyHeaders) => return Err(too_large()),
        Err(httparse::Error::Version) => {
            let status = StatusCode::HTTP_VERSION_NOT_SUPPORTED;
            return Err(Turned { status, code: "http_version_not_supported", message: "This server speaks HTTP/1.1." });
        }
        Err(_) => return Err(malformed()),
    }
    let newer = request.version == Some(1);
    check_line(request.method.unwrap_or_default(), request.path.unwrap_or_default())?;
    check_host(request.headers, newer)?;
    framing(request.headers, newer)
}

/// The head is longer than allowed, or has too many lines.
pub(crate) fn too_large() -> Turned {
    let status = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    Turned { status, code: "head_too_large", message: "The request's headers are larger than allowed." }
}

/// The head did not arrive in time.
pub(crate) fn too_slow() -> Turned {
    let status = StatusCode::REQUEST_TIMEOUT;
    Turned { status, code: "request_timeout", message: "The request's headers took too long to arrive." }
}

fn check_line(method: &str, target: &str) -> Result<(), Turned> {
    if matches!(method, "CONNECT" | "TRACE") {
        let status = StatusCode::METHOD_NOT_ALLOWED;
        return Err(Turned { status, code: "method_not_allowed", message: "This server does not take this method." });
    }
    let parsed = Uri::try_from(target).map_err(|_| malformed())?;
    let origin_form = target.starts_with('/');
    let absolute_form = matches!(parsed.scheme_str(), Some("http" | "https"));
    let asterisk_form = target == "*" && method == "OPTIONS";
    if origin_form || absolute_form || asterisk_form { Ok(()) } else { Err(malformed()) }
}

fn check_host(headers: &[httparse::Header<'_>], required: bool) -> Result<(), Turned> {
    let mut hosts = headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
    match (hosts.next(), hosts.next()) {
        (None, None) if !required => Ok(()),
        (Some(host), None) => match Authority::try_from(host.value.trim_ascii()) {
            Ok(authority) if !authority.as_str().contains('@') => Ok(()),
            Ok(_) | Err(_) => Err(bad("bad_host", "The Host header is not the name of a host.")),
        },
        (None | Some(_), _) => Err(bad("bad_host", "A request has exactly one Host header.")),
    }
}

fn framing(headers: &[httparse::Header<'_>], newer: bool) -> Result<Framing, Turned> {
    let (mut length, mut chunked) = (None, false);
    for header in headers {
        if header.name.eq_ignore_ascii_case("content-length") {
            let digits = header.value.trim_ascii();
            if length.is_some() || digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                return Err(bad_framing());
            }
            let number = str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
            length = Some(number.filter(|n| *n <= MAX_LENGTH).ok_or_else(bad_framing)?);
        } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
            if chunked || !newer || !header.value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                return Err(bad_framing());
            }
            chunked = true;
        }
    }
    match (length, chunked) {
        (Some(_), true) => Err(bad_framing()),
        (None, true) => Ok(Framing::Chunked),
        (length, false) => Ok(Framing::Sized(length.unwrap_or(0))),
    }
}

fn bad_framing() -> Turned {
    bad("bad_framing", "The length of the request's body is not clear.")
}

fn malformed() -> Turned {
    bad("bad_request", "This is not an HTTP request.")
}

fn bad(code: &'static str, message: &'static str) -> Turned {
    Turned { status: StatusCode::BAD_REQUEST, code, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn end_is_found_whole_or_in_pieces() {
        for (bytes, end) in [
            ("", None),
            ("GET / HTTP/1.1\r\n", None),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r", None),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", Some(27)),
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\nbody", Some(27)),
            ("GET / HTTP/1.1\nhost: a\n\nbody", Some(24)),
        ] {
            assert_eq!(end_of(bytes.as_bytes(), 0), end, "{bytes:?}");
            for searched in 0..end.unwrap_or(0) {
                assert_eq!(end_of(bytes.as_bytes(), searched), end, "{bytes:?} after {searched}");
            }
        }
    }

    #[test]
    fn ordinary_heads_pass_with_their_framing() {
        for (head, framing) in [
            ("GET / HTTP/1.1\r\nhost: a\r\n\r\n", Framing::Sized(0)),
            ("GET / HTTP/1.0\r\n\r\n", Framing::Sized(0)),
            ("GET http://a.example/x?y HTTP/1.1\r\nHost: a.example\r\n\r\n", Framing::Sized(0)),
            ("OPTIONS * HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", Framing::Sized(0)),
            ("POST //v1//x HTTP/1.1\r\nHOST: a:80 \r\nContent-Length: 12 \r\n\r\n", Framing::Sized(12)),
            ("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: Chunked\r\n\r\n", Framing::Chunked),
        ] {
            assert_eq!(check(head.as_bytes()), Ok(framing), "{head:?}");
        }
    }

    #[test]
    fn doubtful_heads_are_refused() {
        for (status, head) in [
            (400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ncontent-length: 5\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5, 5\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: +5\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -5\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length:\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 99999999999999999999\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: xchunked\r\n\r\n"),
            (400, "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding : chunked\r\n\r\n"),
            (400, "POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nhost: a\r\nhost: a\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nhost:\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nhost: a b\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nhost: user@a\r\n\r\n"),
            (400, "GET / HTTP/1.1\nhost: a\n\n"),
            (400, "GET / HTTP/1.1\r\nhost: a\nx: y\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nhost: a\r\nx: y\r\n folded\r\n\r\n"),
            (400, "GET a.example:80 HTTP/1.1\r\nhost: a\r\n\r\n"),
            (400, "GET * HTTP/1.1\r\nhost: a\r\n\r\n"),
            (400, "GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n"),
            (400, "GET / HTTP/1.1 \r\nhost: a\r\n\r\n"),
            (400, "GET  / HTTP/1.1\r\nhost: a\r\n\r\n"),
            (400, "GET / HTTP/1.1\r\nhost: a\r\nx\u{0}y: z\r\n\r\n"),
            (400, "\u{16}\u{3}\u{1}\r\n\r\n"),
            (405, "CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\n"),
            (405, "TRACE / HTTP/1.1\r\nhost: a\r\n\r\n"),
            (505, "GET / HTTP/2.0\r\nhost: a\r\n\r\n"),
            (505, "PRI * HTTP/2.0\r\n\r\n"),
        ] {
            assert_eq!(check(head.as_bytes()).map_err(|turned| turned.status.as_u16()), Err(status), "{head:?}");
        }
        let many = format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(100));
        assert_eq!(check(many.as_bytes()), Err(too_large()));
    }
}
