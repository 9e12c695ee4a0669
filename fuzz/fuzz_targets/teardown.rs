//! Batches, and what installations say of themselves.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tallybox::protocol::teardown::{decode, decode_identify};

fuzz_target!(|body: &[u8]| {
    _ = decode(body);
    _ = decode_identify(body);
});
