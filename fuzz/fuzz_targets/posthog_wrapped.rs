//! Bodies in whatever they are wrapped in, LZ-String among it, and what comes out: the first byte says what the request does.

#![no_main]

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use libfuzzer_sys::fuzz_target;
use tallybox::http::body::{BodyLimits, Budget};
use tallybox::protocol::posthog::{Form, Hints, decode, unwrap};
use tokio::runtime::{Builder, Runtime};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Builder::new_current_thread().build().expect("a runtime"));

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, body)) = bytes.split_first() else { return };
    let query = ["", "compression=lz64", "compression=gzip-js", "compression=base64"][usize::from(choice & 3)];
    let coding = ["", "gzip", "deflate", "lz-string"][usize::from(choice >> 2 & 3)];
    let headers = HeaderMap::from_iter([(header::CONTENT_ENCODING, HeaderValue::from_static(coding))]);
    let limits = BodyLimits { budget: Budget::new(8 << 20), ..BodyLimits::new(1 << 20, 1 << 20) };
    let hints = Hints::read(query, &headers);
    if let Ok(body) = RUNTIME.block_on(unwrap(Bytes::copy_from_slice(body), &hints, &headers, &limits)) {
        _ = decode(&body, Form::Older { sent_at: None }, 1_000);
    }
});
