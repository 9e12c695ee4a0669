//! Decompression of request bodies within bounds of size and ratio.

use std::io::{Cursor, Read};

use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};

use super::body::{BodyError, BodyLimits, Charge};
use crate::trail;

/// What is decompressed where the request is handled; more moves to a thread that may block.
const INLINE: usize = 64 << 10;
/// Bytes between two looks at the bounds.
const STEP: usize = 256 << 10;
/// Decompressed size above which the ratio counts, and the ratio.
const RATIO_FROM: usize = 1 << 20;
const RATIO: usize = 100;
/// Most members of a gzip file: blocked gzip has one for every 64 KiB.
const MEMBERS: usize = 1_024;

/// The body as its sender had it before compression.
///
/// Headers lie, so gzip is known by its first bytes; a `Content-Encoding` of gzip or deflate over something that is
/// not is ignored. The input's own bytes come back where nothing is compressed.
pub(crate) async fn decode(headers: &HeaderMap, wire: Bytes, limits: &BodyLimits) -> Result<Bytes, BodyError> {
    let limit = limits.decoded;
    let source = match coding(headers, &wire)? {
        Coding::None if wire.len() > limit => return Err(BodyError::TooLarge { limit }),
        Coding::None => return Ok(wire),
        Coding::Gzip => Source::Gzip(GzDecoder::new(Cursor::new(wire.clone())), 1),
        Coding::Zlib => Source::Zlib(ZlibDecoder::new(Cursor::new(wire.clone()))),
        Coding::Deflate => Source::Deflate(DeflateDecoder::new(Cursor::new(wire.clone()))),
    };
    let mut inflation =
        Inflation { source, compressed: wire.len(), limit, charge: Charge::new(&limits.budget), out: Vec::new() };
    if wire.len() <= INLINE && inflation.run(INLINE)? {
        return Ok(inflation.finish());
    }
    let decoders = limits.budget.decoders();
    let Ok(_permit) = decoders.acquire().await else { return Err(BodyError::Busy) };
    // Room for all of it at once: what is not written to takes no memory, and a piece as large as this goes back to the
    // system, where one that grows leaves its smaller selves behind. Without it, it grows.
    _ = inflation.out.try_reserve_exact(limit.saturating_add(1).saturating_sub(inflation.out.len()));
    let work = trail::blocking(move || inflation.run(usize::MAX).map(|_| inflation.finish()));
    // Only a runtime that is being torn down, or a panic in the decoder, gets here.
    work.await.unwrap_or(Err(BodyError::Broken))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Coding {
    None,
    Gzip,
    Zlib,
    /// Without the zlib frame, as some clients understand "deflate".
    Deflate,
}

fn coding(headers: &HeaderMap, wire: &[u8]) -> Result<Coding, BodyError> {
    let mut claimed = None;
    for line in headers.get_all(header::CONTENT_ENCODING) {
        for name in line.to_str().map_err(|_| BodyError::UnsupportedEncoding)?.split(',').map(str::trim) {
            if name.is_empty() || name.eq_ignore_ascii_case("identity") {
                continue;
            }
            if claimed.replace(name).is_some() {
                return Err(BodyError::UnsupportedEncoding);
            }
        }
    }
    if wire.starts_with(&[0x1f, 0x8b]) {
        return Ok(Coding::Gzip);
    }
    if wire.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        return Err(BodyError::UnsupportedEncoding); // zstd
    }
    match claimed {
        None => Ok(Coding::None),
        Some(name) if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") => Ok(Coding::None),
        Some(name) if name.eq_ignore_ascii_case("deflate") => Ok(match wire {
            [] | [b'{' | b'[', ..] => Coding::None,
            [method, flags, ..] if method & 0x0f == 8 && u16::from_be_bytes([*method, *flags]).is_multiple_of(31) => {
                Coding::Zlib
            }
            _ => Coding::Deflate,
        }),
        Some(_) => Err(BodyError::UnsupportedEncoding),
    }
}

enum Source {
    /// With the number of members begun.
    Gzip(GzDecoder<Cursor<Bytes>>, usize),
    Zlib(ZlibDecoder<Cursor<Bytes>>),
    Deflate(DeflateDecoder<Cursor<Bytes>>),
}

struct Inflation {
    source: Source,
    compressed: usize,
    limit: usize,
    charge: Charge,
    out: Vec<u8>,
}

impl Inflation {
    /// Goes on until the end (`true`), or until `pause` bytes are there.
    fn run(&mut self, pause: usize) -> Result<bool, BodyError> {
        let too_large = BodyError::TooLarge { limit: self.limit };
        while self.out.len() < pause {
            let room = self.limit.saturating_sub(self.out.len()) + 1;
            let step = STEP.min(room).min(pause - self.out.len());
            self.charge.cover(self.out.len() + step)?;
            let read = self.read(step)?;
            let size = self.out.len();
            if size > self.limit || (size > RATIO_FROM && size / RATIO > self.compressed) {
                return Err(too_large);
            }
            if read < step && !self.next_member()? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read(&mut self, step: usize) -> Result<usize, BodyError> {
        let out = &mut self.out;
        let step = step as u64;
        let read = match &mut self.source {
            Source::Gzip(source, _) => source.take(step).read_to_end(out),
            Source::Zlib(source) => source.take(step).read_to_end(out),
            Source::Deflate(source) => source.take(step).read_to_end(out),
        };
        read.map_err(|_| BodyError::BadEncoding)
    }

    /// Whether another gzip member follows; zeros after the last one are padding.
    fn next_member(&mut self) -> Result<bool, BodyError> {
        let Source::Gzip(source, members) = &mut self.source else { return Ok(false) };
        let input = source.get_ref();
        let position = usize::try_from(input.position()).unwrap_or(usize::MAX);
        let rest = input.get_ref().get(position..).unwrap_or_default();
        if rest.iter().all(|byte| *byte == 0) {
            return Ok(false);
        }
        if *members == MEMBERS {
            return Err(BodyError::BadEncoding);
        }
        *members += 1;
        let input = input.clone();
        source.reset(input);
        Ok(true)
    }

    fn finish(self) -> Bytes {
        self.charge.hold(Bytes::from(self.out))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

    use super::super::body::Budget;
    use super::*;

    const TEXT: &[u8] = br#"{"events":[]}"#;

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn deflate(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn limits(decoded: usize) -> BodyLimits {
        BodyLimits { budget: Budget::new(64 << 20), ..BodyLimits::new(32 << 20, decoded) }
    }

    async fn decoded(encoding: &'static str, wire: &[u8], limits: &BodyLimits) -> Result<Bytes, BodyError> {
        let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(encoding))]);
        decode(&headers, Bytes::copy_from_slice(wire), limits).await
    }

    /// Bytes that do not compress.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        std::iter::repeat_with(next).take(length).collect()
    }

    #[tokio::test]
    async fn encodings_are_found_by_what_the_bytes_are() {
        let padded = [gzip(TEXT), vec![0; 9]].concat();
        let halves = [gzip(&TEXT[..5]), gzip(b""), gzip(&TEXT[5..])].concat();
        let zstd = [0x28, 0xb5, 0x2f, 0xfd, 0, 0];
        for (encoding, wire, expected) in [
            ("", TEXT.to_vec(), Ok(())),
            ("identity", TEXT.to_vec(), Ok(())),
            ("gzip", TEXT.to_vec(), Ok(())),
            ("deflate", TEXT.to_vec(), Ok(())),
            ("", gzip(TEXT), Ok(())),
            ("gzip", gzip(TEXT), Ok(())),
            ("X-GZIP", gzip(TEXT), Ok(())),
            ("br", gzip(TEXT), Ok(())),
            ("deflate", gzip(TEXT), Ok(())),
            ("gzip", halves, Ok(())),
            ("gzip", padded, Ok(())),
            ("deflate", zlib(TEXT), Ok(())),
            ("deflate", deflate(TEXT), Ok(())),
            ("br", TEXT.to_vec(), Err(BodyError::UnsupportedEncoding)),
            ("zstd", zstd.to_vec(), Err(BodyError::UnsupportedEncoding)),
            ("", zstd.to_vec(), Err(BodyError::UnsupportedEncoding)),
            ("gzip, gzip", gzip(&gzip(TEXT)), Err(BodyError::UnsupportedEncoding)),
            ("gzip", gzip(TEXT)[..20].to_vec(), Err(BodyError::BadEncoding)),
            ("gzip", vec![0x1f, 0x8b], Err(BodyError::BadEncoding)),
            ("gzip", [gzip(TEXT), b"junk".to_vec()].concat(), Err(BodyError::BadEncoding)),
            ("gzip", gzip(b"").repeat(MEMBERS + 1), Err(BodyError::BadEncoding)),
            ("deflate", zlib(TEXT)[..10].to_vec(), Err(BodyError::BadEncoding)),
        ] {
            let found = decoded(encoding, &wire, &limits(1_000)).await;
            assert_eq!(found, expected.map(|()| Bytes::from_static(TEXT)), "{encoding:?} {wire:?}");
        }
        let mut corrupt = gzip(TEXT);
        let last = corrupt.len() - 5;
        corrupt[last] ^= 1;
        assert_eq!(decoded("", &corrupt, &limits(1_000)).await, Err(BodyError::BadEncoding), "checksum");
    }

    #[tokio::test]
    async fn decompressed_size_is_bounded_exactly() {
        for size in [999, 1_000, 200_000, 3_000_000] {
            let plain = noise(size);
            for limit in [size, size - 1] {
                let found = decoded("", &gzip(&plain), &limits(limit)).await;
                let expected = if limit == size { Ok(size) } else { Err(BodyError::TooLarge { limit }) };
                assert_eq!(found.map(|bytes| bytes.len()), expected, "{size} within {limit}");
            }
            assert_eq!(decoded("deflate", &zlib(&plain), &limits(size)).await.unwrap(), plain);
        }
        assert_eq!(decoded("", TEXT, &limits(5)).await, Err(BodyError::TooLarge { limit: 5 }));
    }

    #[tokio::test]
    async fn bomb_is_refused_after_little_more_than_a_mebibyte() {
        let limits = limits(32 << 20);
        let bomb = gzip(&vec![0; 30 << 20]);
        let headers = HeaderMap::new();
        assert_eq!(decode(&headers, bomb.clone().into(), &limits).await, Err(BodyError::TooLarge { limit: 32 << 20 }));
        let mut inflation = Inflation {
            source: Source::Gzip(GzDecoder::new(Cursor::new(bomb.clone().into())), 1),
            compressed: bomb.len(),
            limit: limits.decoded,
            charge: Charge::new(&limits.budget),
            out: Vec::new(),
        };
        let ratio_stop = RATIO_FROM.max(bomb.len() * RATIO) + STEP;
        assert!(inflation.run(usize::MAX).is_err());
        assert!(inflation.out.len() <= ratio_stop, "{} bytes", inflation.out.len());
        assert_eq!(decode(&headers, gzip(&vec![0; 1 << 20]).into(), &limits).await.unwrap().len(), 1 << 20);
    }

    #[tokio::test]
    async fn decompression_is_taken_from_the_budget() {
        let small = BodyLimits { budget: Budget::new(1_000_000), ..limits(8 << 20) };
        assert_eq!(decoded("", &gzip(&noise(2_000_000)), &small).await, Err(BodyError::Busy));
        let held = decoded("", &gzip(&noise(500_000)), &small).await.unwrap();
        assert_eq!(small.budget.free(), 500_000);
        drop(held);
        assert_eq!(small.budget.free(), 1_000_000);
    }
}
