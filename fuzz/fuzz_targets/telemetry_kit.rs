//! Batches in both of their envelopes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tallybox::protocol::telemetry_kit::{Envelope, decode};

fuzz_target!(|body: &[u8]| {
    for envelope in [Envelope::Object, Envelope::ObjectOrArray] {
        _ = decode(body, envelope, 1_000);
    }
});
