//! Bodies of the Teardown protocol: from bytes to what they claim.

pub mod events;
pub mod identify;
mod json;

pub use json::Invalid;
