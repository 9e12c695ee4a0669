//! The verb `version`.

use serde_json::json;

use super::table;
use crate::store::sqlite;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// As a JSON object.
    #[arg(long)]
    json: bool,
}

/// Prints the versions of this program and of the SQLite in it.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let (version, engine) = (env!("CARGO_PKG_VERSION"), sqlite::engine_version());
    table::print(&if args.json {
        format!("{}\n", json!({ "version": version, "sqlite": engine }))
    } else {
        format!("tallybox {version} (SQLite {engine})\n")
    })
}
