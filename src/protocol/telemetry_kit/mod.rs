//! telemetry-kit.

mod wire;
