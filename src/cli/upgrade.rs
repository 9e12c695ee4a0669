//! The verb `upgrade`, and what a change of the schema is tried on and measured with.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};

use super::{backup, table};
use crate::clock::Stopwatch;
use crate::config::Config;
use crate::store::look::{Census, Depth, Look};
use crate::store::sqlite::backup::copy;
use crate::store::sqlite::{Options, SqliteStore};

/// How a dump of PostgreSQL begins.
const DUMP: &[u8] = b"PGDMP";

/// What is to be tried.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Run this version's migrations on a copy of this SQLite file or backup, and tell what they change.
    #[arg(long, value_name = "FILE", required = true)]
    check: PathBuf,
    /// Folder for the copy [default: the folder of the file].
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
}

/// Tries on a copy what this version would make of a database.
pub fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    let file = if args.check.is_dir() {
        let manifest = backup::whole(config, &args.check)?;
        if manifest.encrypted.is_some() {
            bail!("that backup is encrypted: restore it to a folder of its own, and try the file there");
        }
        let dump = args.check.join("tallybox.dump");
        if dump.exists() { dump } else { args.check.join("tallybox.db") }
    } else {
        args.check.clone()
    };
    let mut head = [0; 5];
    let read = fs::File::open(&file).with_context(|| format!("{} cannot be read", file.display()))?.read(&mut head)?;
    if read == DUMP.len() && head == DUMP {
        bail!(
            "{} is a dump of PostgreSQL: restore it into a database of its own, and let this version change that: \
             createdb trial; pg_restore --no-owner --dbname=trial {}; tallybox migrate up \
             --database-url postgres://USER@HOST/trial",
            file.display(),
            file.display()
        );
    }
    let beside = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let trial = Trial::of_copy(&file, args.scratch.as_deref().unwrap_or(beside))?;
    trial.tell()
}

/// What came of bringing a database up to date.
pub struct Trial {
    /// The schema before, and what was run.
    pub from: i64,
    /// Names of the migrations that were run.
    pub run: Vec<String>,
    /// How long all of it took.
    pub took: Duration,
    /// Bytes before and after, where that is known.
    pub bytes: Option<(u64, u64)>,
    /// What was counted before and after.
    pub counts: (Census, Census),
    /// What is damaged afterwards, where that was looked for.
    pub damage: Option<String>,
}

impl Trial {
    /// Copies a SQLite file into a folder, brings the copy up to date, and takes it away again.
    pub fn of_copy(file: &Path, folder: &Path) -> anyhow::Result<Self> {
        let look = Look::sqlite(file).with_context(|| format!("{} cannot be read", file.display()))?;
        let schema = look.schema().with_context(|| format!("{} is no database of the box", file.display()))?;
        if let Some(why) = schema.refused {
            bail!("{why}");
        }
        if schema.applied.is_empty() {
            bail!("{} is no database of the box", file.display());
        }
        let before = look.census()?;
        drop(look);
        let scratch = Scratch::make(folder, file)?;
        let database = scratch.0.join("tallybox.db");
        copy(file, &database)?;
        let bytes = fs::metadata(&database)?.len();
        let watch = Stopwatch::start();
        drop(SqliteStore::open(&database, Options::default()).context("the migrations have failed")?);
        let took = watch.elapsed();
        let look = Look::sqlite(&database)?;
        Ok(Self {
            from: schema.applied.last().map_or(0, |(number, _, _)| *number),
            run: schema.pending,
            took,
            bytes: Some((bytes, fs::metadata(&database)?.len())),
            counts: (before, look.census()?),
            damage: look.damage(&database, Depth::Whole)?,
        })
    }

    /// Prints it, with a verdict; an error where that is bad.
    pub fn tell(&self) -> anyhow::Result<()> {
        let mut values = vec![
            ("schema", self.from.to_string()),
            ("migrations", if self.run.is_empty() { "none: it is up to date".to_owned() } else { self.run.join(", ") }),
            ("took", format!("{:.2} s", self.took.as_secs_f64())),
        ];
        if let Some((before, after)) = self.bytes {
            values.push(("bytes", format!("{before} before, {after} after")));
        }
        let (before, after) = &self.counts;
        let sum = |what: &str| {
            let of_app = |(_, counts): &(String, Vec<(&str, i64)>)| {
                counts.iter().find(|(name, _)| *name == what).map_or(0, |(_, count)| *count)
            };
            after.iter().map(of_app).sum::<i64>()
        };
        let [events, users, sessions] = ["events", "users", "sessions"].map(sum);
        values.push(("holds", format!("{} apps, {events} events, {users} users, {sessions} sessions", after.len())));
        let changed = changed(before, after);
        let mut text = table::labelled(&values);
        if !changed.is_empty() {
            text.push('\n');
            text.push_str(&table::columns(["APP", "COUNT", "BEFORE", "AFTER"], changed.clone()));
        }
        table::print(&text)?;
        if let Some(damage) = &self.damage {
            bail!("not safe: the database is damaged afterwards: {damage}");
        }
        if !changed.is_empty() {
            bail!("not safe: {} numbers have changed", changed.len());
        }
        table::print("\nSafe: every count is what it was.\n")
    }
}

/// What is counted otherwise than before.
fn changed(before: &Census, after: &Census) -> Vec<[String; 4]> {
    let slugs = before.iter().chain(after).map(|(slug, _)| slug.as_str());
    let slugs: std::collections::BTreeSet<&str> = slugs.collect();
    let mut changed = Vec::new();
    for slug in slugs {
        let of = |census: &Census| census.iter().find(|(name, _)| name == slug).map(|(_, counts)| counts.clone());
        let (old, new) = (of(before).unwrap_or_default(), of(after).unwrap_or_default());
        for (what, _) in if old.is_empty() { &new } else { &old } {
            let count = |counts: &[(&str, i64)]| counts.iter().find(|(name, _)| name == what).map(|(_, count)| *count);
            let (was, is) = (count(&old), count(&new));
            if was != is {
                let told = |count: Option<i64>| count.map_or_else(|| "not there".to_owned(), |count| count.to_string());
                changed.push([table::printable(slug), (*what).to_owned(), told(was), told(is)]);
            }
        }
    }
    changed
}

/// A folder that nobody else can look into, deleted when dropped.
struct Scratch(PathBuf);

impl Scratch {
    /// Makes it, where there is room for a copy of that file that grows to twice its size.
    fn make(folder: &Path, file: &Path) -> anyhow::Result<Self> {
        use std::os::unix::fs::DirBuilderExt;
        let needed = fs::metadata(file)?.len().saturating_mul(2);
        let stat = rustix::fs::statvfs(folder).with_context(|| format!("{} cannot be used", folder.display()))?;
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if free < needed {
            bail!(
                "a copy needs up to {needed} bytes, and {free} are free in {}: --scratch names another folder",
                folder.display()
            );
        }
        let path = folder.join(format!(".trial-{}", std::process::id()));
        let made = fs::DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("{} cannot be made", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it: it is a copy.
        _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_is_told_and_nothing_else() {
        let census = |apps: &[(&str, i64)]| -> Census {
            apps.iter().map(|(slug, events)| ((*slug).to_owned(), vec![("events", *events), ("users", 1)])).collect()
        };
        assert!(changed(&census(&[("a", 1), ("b", 2)]), &census(&[("b", 2), ("a", 1)])).is_empty());
        let row = |cells: [&str; 4]| cells.map(str::to_owned);
        assert_eq!(changed(&census(&[("a", 1)]), &census(&[("a", 2)])), [row(["a", "events", "1", "2"])]);
        assert_eq!(
            changed(&census(&[("a", 1)]), &census(&[])),
            [row(["a", "events", "1", "not there"]), row(["a", "users", "1", "not there"])]
        );
    }
}
