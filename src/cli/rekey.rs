//! The verb `rekey`: seals every secret anew under the first master key, so that the others may go.

use anyhow::bail;

use super::{open, table};
use crate::auth::seal::{self, Resealed};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::By;

/// Runs the verb on the configured database.
pub fn run(config: &Config) -> anyhow::Result<()> {
    let store = open::store(config)?;
    let master = open::master_key(config)?;
    let Resealed { sealed, changed, lost } =
        seal::reseal_all(&*store, &master, &By::command_line(Clock::system().now()))?;
    let told = format!("{sealed} secrets are sealed; {changed} of them were sealed anew under the first master key.\n");
    table::print(&told)?;
    if lost > 0 {
        bail!(
            "{lost} of them open with no key that is given: rotate those ingest keys, and let those members set up \
             their authenticator apps anew; until then keep every old key that may be theirs"
        );
    }
    table::print("All of them open with the first key alone, so the others may go, from every node.\n")
}
