//! What a body is wrapped in, taken off: gzip, base64, a form, LZ-String, in whatever order. The bytes are trusted, not
//! the headers: published clients send gzip as `text/plain`, and say so nowhere.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;

use super::lz::{self, LzError};
use crate::http::body::{self, BodyError, BodyLimits, Charge};

/// Most wrappings of one body. Published clients make two.
const WRAPPINGS: usize = 5;

/// Longest text in base64 or in a form, in bytes: browsers send no more than 64 KiB that way.
const WRAPPED: usize = 4 << 20;

/// Longest text out of LZ-String, in UTF-16 units; what it takes to get there is at most five bytes for each, and ten
/// for each byte of the input.
const UNPACKED: usize = 1 << 20;

/// How far into a body the field of a form is looked for.
const FIELD: usize = 1 << 10;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What a request says beside its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Whether a text in base64 is one of LZ-String.
    lz: bool,
    /// The payload itself, where it stands in the address.
    data: Option<String>,
    /// The client's clock when it sent, in milliseconds.
    pub sent_at: Option<i64>,
    /// The key, where it stands in the address.
    pub token: Option<String>,
    /// Whether the page is going away, and reads no answer.
    pub beacon: bool,
}

impl Hints {
    /// Reads the query of an address, and the header that names an encoding.
    pub fn read(query: &str, headers: &HeaderMap) -> Self {
        let mut hints = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "compression" => hints.lz = is_lz(&value),
                "data" => hints.data = Some(value.replace(' ', "+")).filter(|data| !data.is_empty()),
                "_" | "sent_at" => hints.sent_at = value.parse().ok().or(hints.sent_at),
                "token" | "api_key" => hints.token = Some(value.into_owned()).filter(|token| !token.is_empty()),
                "beacon" => hints.beacon = value == "1",
                _ => {}
            }
        }
        hints.lz |= headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding.to_str().is_ok_and(is_lz));
        hints
    }
}

fn is_lz(coding: &str) -> bool {
    ["lz64", "lz-string"].iter().any(|name| coding.eq_ignore_ascii_case(name))
}

/// The text behind a body, as JSON or whatever else it turns out to be. An encoding that this protocol has no word for
/// is none that can be read.
pub async fn unwrap(wire: Bytes, hints: &Hints, headers: &HeaderMap, limits: &BodyLimits) -> Result<Bytes, BodyError> {
    let mut lz = hints.lz;
    let mut layer = hints.data.as_ref().map_or(wire, |data| Bytes::from(data.clone()));
    let headers = spoken(headers);
    for _ in 0..WRAPPINGS {
        // Of the encodings that a header can name, this undoes gzip and deflate.
        layer = body::decode(&headers, layer, limits).await?;
        let text = layer.trim_ascii();
        if matches!(text.first(), None | Some(b'{' | b'[')) {
            break;
        }
        let within = match field(text) {
            Some((data, compression)) => {
                lz |= compression.as_deref().is_some_and(is_lz);
                data.into_bytes()
            }
            None if lz => {
                lz = false;
                unpacked(text, limits)?.into_bytes()
            }
            None if is_base64(text) && text.len() <= WRAPPED => {
                BASE64.decode(text).map_err(|_| BodyError::BadEncoding)?
            }
            None => break,
        };
        let mut charge = Charge::new(&limits.budget);
        charge.cover(within.len())?;
        layer = charge.hold(Bytes::from(within));
    }
    Ok(layer)
}

/// Headers without the names that only this protocol has for encodings: those are known by their bytes.
fn spoken(headers: &HeaderMap) -> HeaderMap {
    const OWN: [&str; 5] = ["gzip-js", "base64", "b64", "lz64", "lz-string"];
    let foreign = |value: &&HeaderValue| {
        !value.to_str().is_ok_and(|value| OWN.iter().any(|own| own.eq_ignore_ascii_case(value.trim())))
    };
    let codings = headers.get_all(header::CONTENT_ENCODING).iter().filter(foreign);
    codings.map(|value| (header::CONTENT_ENCODING, value.clone())).collect()
}

/// The payload of a form, and what it says of its compression. A payload in base64 may have lost its plus signs.
fn field(text: &[u8]) -> Option<(String, Option<String>)> {
    let head = &text[..text.len().min(FIELD)];
    let has_data = head.starts_with(b"data=") || head.windows(6).any(|window| window == b"&data=");
    if !has_data || text.len() > WRAPPED {
        return None;
    }
    let (mut data, mut compression) = (None, None);
    for (name, value) in form_urlencoded::parse(text) {
        match &*name {
            "data" => data = Some(value.into_owned()),
            "compression" => compression = Some(value.into_owned()),
            _ => {}
        }
    }
    let data = data?;
    Some((if data.starts_with(['{', '[']) { data } else { data.replace(' ', "+") }, compression))
}

fn unpacked(text: &[u8], limits: &BodyLimits) -> Result<String, BodyError> {
    let limit = UNPACKED.min(limits.decoded);
    let text = std::str::from_utf8(text).map_err(|_| BodyError::BadEncoding)?;
    if text.len() > WRAPPED {
        return Err(BodyError::TooLarge { limit });
    }
    let mut charge = Charge::new(&limits.budget);
    charge.cover(5 * limit + 10 * text.len())?;
    lz::decompress(text, limit).map_err(|error| match error {
        LzError::TooLong => BodyError::TooLarge { limit },
        LzError::Corrupt => BodyError::BadEncoding,
    })
}

fn is_base64(text: &[u8]) -> bool {
    let letter = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=');
    text.iter().take(128).all(letter)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use base64::prelude::BASE64_STANDARD;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;
    use crate::http::body::Budget;

    const TEXT: &str = r#"{"event":"größer ☃ 𝄞","distinct_id":"x"}"#;
    const LZ: &str = "N4IgpgbmB2AuIC4QHMBOA3g+2VACQwGS6AsG4Hi7IANCACYCWAzrDdAMawD6NViIAHiAL5A=";

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn form(fields: &[(&str, &str)]) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish()
    }

    async fn opened(query: &str, coding: &'static str, body: &[u8]) -> Result<Bytes, BodyError> {
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]);
        let limits = BodyLimits { budget: Budget::new(8 << 20), ..BodyLimits::new(1 << 20, 1 << 20) };
        let hints = Hints::read(query, &headers);
        unwrap(Bytes::copy_from_slice(body), &hints, &headers, &limits).await
    }

    #[tokio::test]
    async fn every_wrapping_of_every_client_is_taken_off() {
        let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
        let plain = base64(TEXT.as_bytes());
        let zipped = base64(&gzip(TEXT.as_bytes()));
        let unpadded = plain.trim_end_matches('=').to_owned();
        for (query, coding, body) in [
            ("", "", TEXT.as_bytes().to_vec()),
            ("", "gzip", gzip(TEXT.as_bytes())),
            ("", "", gzip(TEXT.as_bytes())),
            ("compression=gzip", "gzip", gzip(TEXT.as_bytes())),
            ("compression=gzip-js&ip=0&_=1700000000000&ver=1.0", "", gzip(TEXT.as_bytes())),
            ("compression=gzip-js", "gzip-js", gzip(TEXT.as_bytes())),
            ("compression=gzip-js", "", TEXT.as_bytes().to_vec()),
            ("compression=base64", "", form(&[("data", &plain)]).into_bytes()),
            ("", "", form(&[("data", &plain), ("compression", "base64")]).into_bytes()),
            ("", "", form(&[("ip", "1"), ("data", TEXT)]).into_bytes()),
            ("", "", format!("data={plain}").into_bytes()),
            ("", "", form(&[("data", &zipped)]).into_bytes()),
            ("", "", plain.clone().into_bytes()),
            ("", "b64", unpadded.into_bytes()),
            ("", "", zipped.into_bytes()),
            ("", "", gzip(plain.as_bytes())),
            ("compression=lz64", "", LZ.into()),
            ("", "lz64", LZ.into()),
            ("compression=lz64", "", form(&[("data", LZ)]).into_bytes()),
            ("", "", form(&[("compression", "lz-string"), ("data", LZ)]).into_bytes()),
            ("compression=lz64", "", TEXT.as_bytes().to_vec()),
            (&*form(&[("data", &plain)]), "", Vec::new()),
            (&*format!("data={plain}"), "", b"ignored".to_vec()),
            (&*form(&[("data", LZ), ("compression", "lz64")]), "", Vec::new()),
        ] {
            let found = opened(query, coding, &body).await;
            assert_eq!(found.as_deref(), Ok(TEXT.as_bytes()), "{query:?} {coding:?} {body:?}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_opened_says_so_and_takes_no_memory() {
        let nested = (0..8).fold(TEXT.as_bytes().to_vec(), |inner, _| gzip(&inner));
        let blown = |size: usize| gzip(&vec![b' '; size]);
        for (query, coding, body, expected) in [
            ("", "br", TEXT.as_bytes().to_vec(), Err(BodyError::UnsupportedEncoding)),
            ("", "", vec![0x28, 0xb5, 0x2f, 0xfd], Err(BodyError::UnsupportedEncoding)),
            ("", "gzip", vec![0x1f, 0x8b, 8, 0], Err(BodyError::BadEncoding)),
            ("compression=lz64", "", b"////".to_vec(), Err(BodyError::BadEncoding)),
            ("", "", b"QUJ*".repeat(100), Ok(b"QUJ*".repeat(100))),
            ("", "", [b"A".repeat(200), b"*".to_vec()].concat(), Err(BodyError::BadEncoding)),
            ("", "", blown(9 << 20), Err(BodyError::TooLarge { limit: 1 << 20 })),
            ("", "", b"not JSON at all".to_vec(), Ok(b"not JSON at all".to_vec())),
            ("", "", Vec::new(), Ok(Vec::new())),
        ] {
            let found = opened(query, coding, &body).await.map(|bytes| bytes.to_vec());
            assert_eq!(found, expected, "{query:?} {coding:?}");
        }
        assert!(!opened("", "", &nested).await.unwrap().starts_with(b"{"), "wrapped more often than anybody does");
    }

    #[test]
    fn the_address_tells_what_the_body_does_not() {
        let hints = Hints::read("token=phc_x&_=1700000000000&beacon=1&v=2&flags", &HeaderMap::new());
        assert_eq!(
            (hints.token.as_deref(), hints.sent_at, hints.beacon),
            (Some("phc_x"), Some(1_700_000_000_000), true)
        );
        let none = Hints::read("token=&data=&_=soon", &HeaderMap::new());
        assert_eq!(none, Hints::default());
    }
}
