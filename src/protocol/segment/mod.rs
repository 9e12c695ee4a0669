//! Segment and RudderStack: the tracking API that their SDKs call.

mod agent;
mod decode;
mod loose;
mod message;
mod props;
mod wire;

pub use decode::{Decoded, Form, Kind, Sender, claim, decode};

/// As in the documentation.
const NAME: &str = "Segment";
