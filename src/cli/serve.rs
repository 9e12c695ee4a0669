//! The verb `serve`. This is a placeholder: the server is put together here.

use crate::config::Config;
use crate::http::Route;

/// Runs the server until it is told to stop.
pub fn run(_config: Config) -> anyhow::Result<()> {
    anyhow::bail!("this build has no server yet: cli/serve.rs is replaced when the parts are put together")
}

/// Everything that the server answers.
pub fn routes() -> Vec<Route> {
    Vec::new()
}
