//! The verb `doctor`: looks whether all is well with the box and what it stands on, says so in one line for each thing, and
//! prints the fix. It works beside a running server and without one, and changes nothing.

mod database;
mod finding;
mod house;
mod proxy;
mod server;
mod upkeep;

use std::process::ExitCode;

use serde_json::json;

use super::{datadir, table};
use crate::clock::Clock;
use crate::config::{Config, ConfigError};
use crate::model::Millis;

use finding::{Finding, Level};

/// How it looks, and how it tells.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Read the whole database for damage, however long that takes; without it, for half a minute at the most.
    #[arg(long)]
    deep: bool,
    /// Ask the box under this address, through its proxy, and look at what arrives.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

/// What all checks are made with.
struct Ground<'a> {
    config: &'a Config,
    now: Millis,
    /// Whether a server uses the data directory.
    is_running: bool,
}

/// Looks at everything, also where the settings are wrong: then at them alone.
pub fn run(config: Result<Config, ConfigError>, args: &Args) -> anyhow::Result<ExitCode> {
    let findings = match config {
        Ok(config) => examine(&config, args),
        Err(error) => error
            .problems
            .iter()
            .map(|problem| Finding::problem("settings", problem.clone(), "tallybox config check says it again"))
            .collect(),
    };
    let worst = findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok);
    let text = if args.json { as_json(&findings, worst) } else { as_lines(&findings, worst) };
    table::print(&text)?;
    Ok(ExitCode::from(worst.exit_code()))
}

fn examine(config: &Config, args: &Args) -> Vec<Finding> {
    let ground = Ground { config, now: Clock::system().now(), is_running: datadir::is_locked(&config.data_dir) };
    let mut findings = proxy::settings(config);
    findings.extend(house::all(&ground));
    findings.extend(database::all(&ground, args.deep));
    findings.extend(upkeep::backups(&ground));
    findings.push(server::answers(&ground));
    if let Some(url) = &args.url {
        findings.extend(proxy::through(&ground, url));
    }
    findings
}

fn as_lines(findings: &[Finding], worst: Level) -> String {
    let width = findings.iter().map(|finding| finding.check.len()).max().unwrap_or_default();
    let mut text = String::new();
    for finding in findings {
        let (level, said) = (finding.level.as_str(), table::printable(&finding.text));
        text.push_str(&format!("{level:7}  {:width$}  {said}\n", finding.check));
        if let Some(fix) = &finding.fix {
            text.push_str(&format!("{:7}  {:width$}  fix: {}\n", "", "", table::printable(fix)));
        }
    }
    let count = |level| findings.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    let verdict = match worst {
        Level::Ok => "All is well.".to_owned(),
        Level::Warning | Level::Problem => format!("{problems} problems, {warnings} warnings."),
    };
    format!("{text}\n{verdict}\n")
}

fn as_json(findings: &[Finding], worst: Level) -> String {
    let tell = |finding: &Finding| {
        json!({
            "check": finding.check, "level": finding.level.as_str(), "text": finding.text, "fix": finding.fix,
        })
    };
    let checks: Vec<_> = findings.iter().map(tell).collect();
    format!("{:#}\n", json!({ "verdict": worst.as_str(), "checks": checks }))
}
