//! Adapters: each translates one SDK's wire protocol into requests of the pipeline, and receipts into its replies.

pub mod telemetry_kit;
