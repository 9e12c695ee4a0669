//! The verbs `backup`, `verify` and `restore`: copies of everything that the box keeps in SQLite.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args as Arguments;

use super::{datadir, table};
use crate::backup::{self, Manifest};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::Millis;

/// Where a backup goes.
#[derive(Debug, Arguments)]
pub struct Backup {
    /// Folder of backups [default: the setting backup_dir, else `backups` in the data directory].
    into: Option<PathBuf>,
    /// Delete older ones that the rule does not keep: the newest of 7 days, 4 weeks and 6 months stay.
    #[arg(long)]
    prune: bool,
    /// List the backups that are there, and make none.
    #[arg(long, conflicts_with = "prune")]
    list: bool,
}

/// Which backup is meant.
#[derive(Debug, Arguments)]
pub struct Which {
    /// The backup's own folder, such as `backups/tallybox-20261126T030000000Z`.
    folder: PathBuf,
}

/// The folder of backups: as configured, else beside the database.
pub fn folder(config: &Config) -> PathBuf {
    config.backup_dir.clone().unwrap_or_else(|| config.data_dir.join("backups"))
}

/// Makes a backup beside a running server, or lists those that are there.
pub fn run(config: &Config, args: &Backup) -> anyhow::Result<()> {
    let into = args.into.clone().unwrap_or_else(|| folder(config));
    if args.list {
        let row = |one: backup::Found| {
            let (at, rows) = (Millis(one.manifest.made_at), one.manifest.tables.get("events").copied());
            let bytes = format!("{} MB", one.manifest.bytes.div_ceil(1_000_000));
            [table::time(at), rows.unwrap_or_default().to_string(), bytes, one.folder.display().to_string()]
        };
        let rows = backup::list(&into)?.into_iter().map(row).collect();
        return table::print(&table::columns(["MADE", "EVENTS", "SIZE", "FOLDER"], rows));
    }
    let database = database(config)?;
    if !database.exists() {
        bail!("there is no database at {}", database.display());
    }
    let made = backup::make(database, &into, Clock::system().now())?;
    let mut text = told(&made.folder, &made.manifest);
    if args.prune {
        for gone in backup::prune(&into)? {
            text.push_str(&format!("deleted {}\n", gone.folder.display()));
        }
    }
    text.push_str("\nThe master key is not in it: keep a copy of master.key somewhere else.\n");
    table::print(&text)
}

/// Checks a backup to the last byte.
pub fn verify(args: &Which) -> anyhow::Result<()> {
    let manifest = backup::verify(&args.folder)?;
    table::print(&format!("{}\nThe backup is whole.\n", told(&args.folder, &manifest)))
}

/// Puts a backup to where the database is to be.
pub fn restore(config: &Config, args: &Which) -> anyhow::Result<()> {
    let database = database(config)?;
    for warning in datadir::prepare(config)? {
        eprintln!("warning: {warning}");
    }
    let _lock = datadir::lock(config).context("no server may use the data directory")?;
    let manifest = backup::restore(&args.folder, database)?;
    let text = told(database, &manifest);
    let next = "Put the master.key of then beside it before you start the server: without it every ingest key has to be\n\
                made anew.\n";
    table::print(&format!("{text}\n{next}"))
}

fn database(config: &Config) -> anyhow::Result<&Path> {
    config.database_path().context(
        "this box keeps its data in PostgreSQL, whose own tools make backups: pg_dump --format=custom --file=box.dump \
         DATABASE_URL, and pg_restore --dbname=DATABASE_URL box.dump into an empty database",
    )
}

fn told(place: &Path, manifest: &Manifest) -> String {
    let rows: i64 = manifest.tables.values().sum();
    table::labelled(&[
        ("at", place.display().to_string()),
        ("made", table::time(Millis(manifest.made_at))),
        ("by version", manifest.program.clone()),
        ("schema", manifest.schema.to_string()),
        ("bytes", manifest.bytes.to_string()),
        ("rows", format!("{rows} in {} tables", manifest.tables.len())),
        ("events", manifest.tables.get("events").copied().unwrap_or_default().to_string()),
        ("sha256", manifest.sha256.clone()),
    ])
}
