//! The whole box, tested from outside; one binary, so that it is linked once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod durability;
mod harness;
mod telemetry_kit;
