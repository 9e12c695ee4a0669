//! Tallybox: the box an app phones home to. The layers, from the bottom up, are in ARCHITECTURE.md.

pub mod auth;
pub mod backup;
pub mod calls;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod depot;
pub mod foreign;
pub mod http;
pub mod ingest;
pub mod jobs;
pub mod logging;
pub mod model;
pub mod protocol;
pub mod pruning;
pub mod query;
pub mod rollup;
pub mod store;
pub mod trail;
pub mod web;
