//! Logs, spans and metrics in both forms: the first byte says which.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tallybox::model::Limits;
use tallybox::protocol::otlp::{Form, Message, Signal, decode};

fuzz_target!(|bytes: &[u8]| {
    let Some((choice, body)) = bytes.split_first() else { return };
    let form = if choice & 1 == 0 { Form::Protobuf } else { Form::Json };
    let signal = [Signal::Logs, Signal::Traces, Signal::Metrics][usize::from(choice >> 1) % 3];
    let message = Message { body, form, signal, key: 1, agent: Some("fuzz/1.0") };
    _ = decode(message, &Limits::default());
});
