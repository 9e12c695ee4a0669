//! The verb `jobs`: how jobs of the background stand, and one of them done now.

use anyhow::{Context, bail};
use clap::Subcommand;

use super::{open, table};
use crate::clock::Clock;
use crate::config::Config;
use crate::jobs::{self, Progress};
use crate::model::{Job, JobRun, Millis};

/// What is asked of jobs.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the jobs, with how they went and when they are due; also what happens without either.
    List,
    /// Do a job now, whether or not it is due, and say what came of it.
    Run {
        /// Its name, as the list has it.
        name: String,
    },
}

/// Lists the jobs, or does one.
pub fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    match &args.verb {
        None | Some(Verb::List) => list(config),
        Some(Verb::Run { name }) => do_now(config, name),
    }
}

fn do_now(config: &Config, name: &str) -> anyhow::Result<()> {
    let Some(duty) = jobs::ALL.iter().find(|duty| duty.name == name) else {
        let names: Vec<_> = jobs::ALL.iter().map(|duty| duty.name).collect();
        bail!("there is no job {name}: there are {}", names.join(", "));
    };
    let (store, node) = (open::store(config)?, open::node(&Clock::system()));
    let ground = open::ground_of_jobs(config, store, &node, Progress::default())?;
    let result = jobs::run_now(&ground, duty).with_context(|| format!("the job {name} was not done"))?;
    table::print(&format!("{}\n", table::printable(&result)))
}

fn list(config: &Config) -> anyhow::Result<()> {
    let (runs, now) = (open::store(config)?.jobs()?, Clock::system().now());
    let mut rows = Vec::new();
    for job in jobs::ALL.iter().map(jobs::Duty::job) {
        let of_job: Vec<_> = runs.iter().filter(|run| run.name == job.name).collect();
        if of_job.is_empty() {
            rows.push([job.name, "", "", "", "", "never done"].map(str::to_owned));
        }
        rows.extend(of_job.into_iter().map(|run| row(&job, run, now)));
    }
    table::print(&table::columns(["JOB", "ON", "LAST", "TOOK", "NEXT", "RESULT"], rows))
}

fn row(job: &Job, run: &JobRun, now: Millis) -> [String; 6] {
    let node = run.node.as_ref().or(run.held.as_ref().map(|(holder, _)| holder));
    let name = node.map_or("", |node| node.rsplit_once(' ').map_or(node.as_str(), |(name, _)| name));
    let mut next = table::time(run.next_at);
    if run.held.is_some() {
        "at work".clone_into(&mut next);
    } else if job.is_overdue(run.next_at, now) {
        next.push_str(" overdue");
    }
    let failures = match run.failures {
        0 => String::new(),
        1 => "failed: ".to_owned(),
        more => format!("failed {more} times: "),
    };
    [
        run.name.clone(),
        table::printable(name),
        run.ended_at.map_or_else(String::new, table::time),
        if run.ended_at.is_some() { format!("{} ms", run.took) } else { String::new() },
        next,
        format!("{failures}{}", table::printable(&run.result)),
    ]
}
