//! Both forms of a batch.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tallybox::protocol::posthog::{Form, decode};

fuzz_target!(|body: &[u8]| {
    _ = decode(body, Form::Older { sent_at: None }, 1_000);
    _ = decode(body, Form::Newer { sent_at: None, sdk: Some("fuzz/1.0") }, 1_000);
});
