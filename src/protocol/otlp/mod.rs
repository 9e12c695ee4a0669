//! OTLP over HTTP.

mod claim;
pub mod decode;
mod key;
mod reply;
mod wire;
