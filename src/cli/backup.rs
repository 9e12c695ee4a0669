//! The verbs `backup`, `verify` and `restore`: copies of everything that the box keeps.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args as Arguments;
use secrecy::ExposeSecret;

use super::{datadir, open, table};
use crate::backup::age::Key;
use crate::backup::{Database, Found, Manifest, Shelf};
use crate::clock::{Clock, Stopwatch};
use crate::config::{Config, Place};
use crate::depot::Depot;
use crate::model::Millis;

/// Where a backup goes.
#[derive(Debug, Arguments)]
pub struct Backup {
    /// Folder of backups, or `s3://BUCKET/PREFIX` [default: the setting backup_dir, else `backups` in the data directory].
    into: Option<String>,
    /// Delete older ones that the rule does not keep: the newest of 7 days, 4 weeks and 6 months stay.
    #[arg(long)]
    prune: bool,
    /// List the backups that are there, and make none.
    #[arg(long, conflicts_with = "prune")]
    list: bool,
    /// Make a key for backup_key in a new file, and no backup.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["into", "prune", "list"])]
    make_key: Option<PathBuf>,
}

/// Which backup is checked.
#[derive(Debug, Arguments)]
pub struct Verify {
    #[command(flatten)]
    which: Which,
    /// Restore the newest to scratch beside the data as well, as the server does once a month, and delete it again.
    #[arg(long, conflicts_with = "backup")]
    drill: bool,
}

/// Which backup is meant.
#[derive(Debug, Arguments)]
pub struct Which {
    /// Its name as `tallybox backup --list` shows it, its own folder, or s3://BUCKET/PREFIX/NAME [default: the newest].
    backup: Option<String>,
}

/// Where backups lie: as configured, else beside the database.
pub fn shelf(config: &Config) -> anyhow::Result<Shelf> {
    let beside = || Place::Folder(config.data_dir.join("backups"));
    shelf_at(config, &config.backup_dir.clone().unwrap_or_else(beside))
}

/// The database that is copied.
pub fn database(config: &Config) -> Database {
    match (open::postgres_options(config), config.database_path()) {
        (None, Some(path)) => Database::Sqlite(path.to_owned()),
        (options, _) => Database::Postgres(Box::new(options.expect("a database is of one of two kinds"))),
    }
}

/// Makes a backup beside a running server, or lists those that are there.
pub fn run(config: &Config, args: &Backup) -> anyhow::Result<()> {
    if let Some(file) = &args.make_key {
        return make_key(file);
    }
    let shelf = match &args.into {
        Some(place) => shelf_at(config, &Place::parse(place).map_err(|why| anyhow::anyhow!("the place {why}"))?)?,
        None => shelf(config)?,
    };
    if args.list {
        return list(&shelf);
    }
    let database = database(config);
    if let Database::Sqlite(path) = &database
        && !path.exists()
    {
        bail!("there is no database at {}", path.display());
    }
    let made = shelf.make(&database, Clock::system().now())?;
    let mut text = told(&made.place, &made.manifest);
    if args.prune {
        for gone in shelf.prune()? {
            text.push_str(&format!("deleted {}\n", gone.place));
        }
    }
    text.push_str("\nThe master key is not in it: keep a copy of master.key somewhere else.\n");
    if made.manifest.encrypted.is_some() {
        text.push_str("Nor is backup_key, without which nobody opens it: keep a copy of that, too.\n");
    }
    table::print(&text)
}

/// Checks a backup to the last byte, or tries out the newest.
pub fn verify(config: &Config, args: &Verify) -> anyhow::Result<()> {
    if args.drill {
        let (shelf, watch) = (shelf(config)?, Stopwatch::start());
        let Some(newest) = shelf.drill()? else { bail!("there is no backup at {shelf}") };
        let took = watch.elapsed().as_secs_f64();
        let text = told(&newest.place, &newest.manifest);
        return table::print(&format!("{text}\nThe newest backup was tried out in {took:.1} s, and is whole.\n"));
    }
    let (shelf, name) = find(config, &args.which)?;
    let manifest = shelf.verify(&name)?;
    table::print(&format!("{}\nThe backup is whole.\n", told(&format!("{shelf}/{name}"), &manifest)))
}

/// The manifest of the backup in that folder, once it was checked to the last byte.
pub fn whole(config: &Config, folder: &Path) -> anyhow::Result<Manifest> {
    let which = Which { backup: Some(folder.display().to_string()) };
    let (shelf, name) = find(config, &which)?;
    Ok(shelf.verify(&name)?)
}

/// Puts a backup to where the database is to be.
pub fn restore(config: &Config, args: &Which) -> anyhow::Result<()> {
    let database = database(config);
    for warning in datadir::prepare(config)? {
        eprintln!("warning: {warning}");
    }
    let _lock = datadir::lock(config).context("no server may use the data directory")?;
    let (shelf, name) = find(config, args)?;
    let watch = Stopwatch::start();
    let manifest = shelf.restore(&name, &database)?;
    let place = match &database {
        Database::Sqlite(path) => path.display().to_string(),
        Database::Postgres(_) => "the PostgreSQL database".to_owned(),
    };
    let text = told(&place, &manifest);
    let took = watch.elapsed().as_secs_f64();
    let next = match database {
        Database::Sqlite(_) => {
            "Put the master.key of then beside it before you start the server: without it every ingest key has to be\n\
             made anew."
        }
        Database::Postgres(_) => {
            "Give the server the master_key of then: without it every ingest key has to be made anew."
        }
    };
    table::print(&format!("{text}\nRestored {name} from {shelf} in {took:.1} s, and checked.\n{next}\n"))
}

fn shelf_at(config: &Config, place: &Place) -> anyhow::Result<Shelf> {
    let depot = Depot::open(place, config.storage_access().as_ref())?;
    let key = match &config.backup_key {
        Some(text) => Some(Key::parse(text.expose_secret()).context(
            "backup_key is no key: a letter in it is wrong. Take it from where you keep a copy, or make a new one with \
             `tallybox backup --make-key FILE`, which opens no older backup",
        )?),
        None => None,
    };
    Ok(Shelf::new(depot, &config.data_dir, config.disk_floor_bytes, key))
}

/// The shelf and the name of the backup that is meant.
fn find(config: &Config, which: &Which) -> anyhow::Result<(Shelf, String)> {
    let Some(text) = &which.backup else {
        let shelf = shelf(config)?;
        let newest = shelf.list()?.into_iter().next();
        let newest = newest.with_context(|| format!("there is no backup at {shelf}"))?;
        return Ok((shelf, newest.name));
    };
    match Shelf::named(text) {
        Some((place, name)) => Ok((shelf_at(config, &place)?, name)),
        None => Ok((shelf(config)?, text.clone())),
    }
}

fn list(shelf: &Shelf) -> anyhow::Result<()> {
    let row = |one: Found| {
        let (at, rows) = (Millis(one.manifest.made_at), events(&one.manifest));
        let bytes = one.manifest.encrypted.as_ref().map_or(one.manifest.bytes, |sealed| sealed.bytes);
        let bytes = format!("{} MB", bytes.div_ceil(1_000_000));
        let encrypted = if one.manifest.encrypted.is_some() { "yes" } else { "no" };
        [table::time(at), rows.to_string(), bytes, encrypted.to_owned(), one.place]
    };
    let rows = shelf.list()?.into_iter().map(row).collect();
    table::print(&table::columns(["MADE", "EVENTS", "SIZE", "ENCRYPTED", "BACKUP"], rows))
}

/// A new file for its owner alone, as `age-keygen` writes it.
fn make_key(file: &Path) -> anyhow::Result<()> {
    let key = Key::generate();
    let recipient = key.recipient();
    let mut made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("{} cannot be made", file.display()))?;
    let text = zeroize::Zeroizing::new(format!("# public key: {recipient}\n{}\n", *key.identity()));
    made.write_all(text.as_bytes()).and_then(|()| made.sync_all())?;
    let place = file.display();
    table::print(&format!(
        "The key is in {place}. Set backup_key_file to it, and keep a copy somewhere else than the box and its backups:\n\
         without it nobody opens them. With it anybody does, also by 'age --decrypt --identity {place}'.\n"
    ))
}

/// All events: over PostgreSQL those of every partition.
fn events(manifest: &Manifest) -> i64 {
    let is_events = |table: &str| table == "events" || table.starts_with("events_");
    manifest.tables.iter().filter(|(table, _)| is_events(table)).map(|(_, rows)| rows).sum()
}

fn told(place: &str, manifest: &Manifest) -> String {
    let rows: i64 = manifest.tables.values().sum();
    let encrypted = match &manifest.encrypted {
        Some(sealed) => format!("to {}, {} bytes", sealed.recipient, sealed.bytes),
        None => "no".to_owned(),
    };
    table::labelled(&[
        ("at", place.to_owned()),
        ("made", table::time(Millis(manifest.made_at))),
        ("by version", manifest.program.clone()),
        ("schema", manifest.schema.to_string()),
        ("bytes", manifest.bytes.to_string()),
        ("rows", format!("{rows} in {} tables", manifest.tables.len())),
        ("events", events(manifest).to_string()),
        ("encrypted", encrypted),
        ("sha256", manifest.sha256.clone()),
    ])
}
