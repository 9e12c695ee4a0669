//! Batches, and each call by itself.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tallybox::protocol::segment::{Form, Kind, Sender, decode};

fuzz_target!(|body: &[u8]| {
    let sender = Sender { key: None, browser: None, country: &|_| None };
    let single = Kind::ALL.into_iter().map(|(kind, _)| Form::One(kind));
    for form in [Form::Batch, Form::Import].into_iter().chain(single) {
        _ = decode(body, form, &sender, 1_000);
    }
});
