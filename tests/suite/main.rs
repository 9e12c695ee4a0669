//! The whole box, tested from outside; one binary, so that it is linked once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod accounts;
mod api;
mod aptabase;
mod architecture;
mod backup;
mod browser;
mod cli;
mod demo;
mod depot;
mod docs;
mod doctor;
mod durability;
mod etiquette;
mod foreign;
mod harness;
mod http;
mod jobs;
mod limits;
mod live;
mod matrix;
mod moving;
mod otlp;
mod packaging;
mod pages;
mod posthog;
mod privacy;
mod retention;
mod routes;
mod runbooks;
mod security;
mod segment;
mod sign_in;
mod store;
mod teardown;
mod telemetry_kit;
mod upgrading;
mod versions;
mod watching;
