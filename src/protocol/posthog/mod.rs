//! PostHog: the paths to which its published SDKs send events, and those that they ask at start.

mod lz;
mod payload;
mod wire;

pub use wire::{Batch, Form, Item, decode};

/// As in the documentation.
const NAME: &str = "PostHog";
