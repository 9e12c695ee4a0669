//! The verb `migrate`: how far the schema is, bringing it up to date by hand, and trying that on a copy.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Subcommand;

use super::upgrade::Trial;
use super::{datadir, open, table};
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::store::look::SchemaStanding;
use crate::store::postgres::PostgresStore;
use crate::store::sqlite::{Options, SqliteStore};

/// How long migrations may take over PostgreSQL.
const PATIENCE: Duration = Duration::from_secs(3_600);

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the migrations that have run and those that this version would run; nothing is changed.
    Status,
    /// Run what is missing now, and tell how long it took and what has changed. A server does the same when it starts.
    Up,
    /// Run what is missing on a copy beside the database, and tell the same; the database stays as it is.
    DryRun,
}

/// Runs one of them.
pub fn run(config: &Config, verb: &Verb) -> anyhow::Result<()> {
    match verb {
        Verb::Status => status(config),
        Verb::Up => up(config),
        Verb::DryRun => dry_run(config),
    }
}

fn status(config: &Config) -> anyhow::Result<()> {
    let Some(look) = open::look(config).context("the database cannot be looked at")? else {
        return table::print("There is no database yet: the first start makes it.\n");
    };
    let schema = look.schema()?;
    let mut rows: Vec<_> = schema.applied.iter().map(|(_, name, at)| [name.clone(), at.clone()]).collect();
    rows.extend(schema.pending.iter().map(|name| [name.clone(), "not yet".to_owned()]));
    let list = table::columns(["MIGRATION", "RUN"], rows);
    table::print(&format!("{list}\n{}\n", verdict(&schema)?))
}

/// In a sentence; an error where this version cannot work with it.
fn verdict(schema: &SchemaStanding) -> anyhow::Result<String> {
    if let Some(why) = &schema.refused {
        bail!("{why}");
    }
    let newest = schema.applied.last().map_or(0, |(number, _, _)| *number);
    Ok(match schema.pending.len() {
        0 if newest > schema.known => {
            format!("The schema is {newest}. This version knows {}, and can work with it.", schema.known)
        }
        0 => "The schema is up to date.".to_owned(),
        1 => "One migration is missing: tallybox migrate up, or the next start, runs it.".to_owned(),
        more => format!("{more} migrations are missing: tallybox migrate up, or the next start, runs them."),
    })
}

fn up(config: &Config) -> anyhow::Result<()> {
    for warning in datadir::prepare(config)? {
        eprintln!("warning: {warning}");
    }
    let lock = config.database_path().map(|_| datadir::lock(config));
    let _lock = lock.transpose().context("no server may run while its schema changes")?;
    let Some(look) = open::look(config).context("the database cannot be looked at")? else {
        bail!("there is no database yet: the first start makes it");
    };
    let schema = look.schema()?;
    verdict(&schema)?;
    let before = look.census()?;
    drop(look);
    let size = || config.database_path().and_then(|path| fs::metadata(path).ok()).map(|file| file.len());
    let (bytes, mut watch) = (size(), Stopwatch::start());
    match (open::postgres_options(config), config.database_path()) {
        (Some(options), _) => PostgresStore::open(&options)?.wait(PATIENCE).context("the migrations have failed")?,
        (None, path) => {
            open::backup_before_migration(config)?;
            watch = Stopwatch::start();
            let path = path.context("the database is no SQLite file")?;
            drop(SqliteStore::open(path, Options::default()).context("the migrations have failed")?);
        }
    }
    let took = watch.elapsed();
    let look = open::look(config)?.context("the database has gone")?;
    let trial = Trial {
        from: schema.applied.last().map_or(0, |(number, _, _)| *number),
        run: schema.pending,
        took,
        bytes: bytes.zip(size()),
        counts: (before, look.census()?),
        damage: None,
    };
    trial.tell()
}

fn dry_run(config: &Config) -> anyhow::Result<()> {
    let Some(path) = config.database_path() else {
        bail!(
            "a copy of a PostgreSQL database is made by PostgreSQL's own tools: createdb trial; \
             pg_dump --no-owner DATABASE_URL | psql --quiet trial; then tallybox migrate up \
             --database-url postgres://USER@HOST/trial tells how long it takes and what changes"
        );
    };
    if !path.exists() {
        bail!("there is no database yet: the first start makes it");
    }
    Trial::of_copy(path, path.parent().context("the database has no folder")?)?.tell()
}
