//! One event, many, and reports of errors.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tallybox::protocol::aptabase::{Agent, Form, Sender, decode, decode_report};

fuzz_target!(|body: &[u8]| {
    for form in [Form::Single, Form::Batch] {
        let sender = Sender { key: 1, form, agent: Agent::read("Mozilla/5.0 (X11; Linux x86_64) Firefox/145.0") };
        _ = decode(body, &sender, 1_000);
    }
    _ = decode_report(body, 1);
    if let Ok(text) = std::str::from_utf8(body) {
        Agent::read(text);
    }
});
