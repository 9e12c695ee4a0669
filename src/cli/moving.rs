//! The verb `move`: copies everything into another database, with a bar or lines, and prints an account.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use indicatif::ProgressBar;
use secrecy::{ExposeSecret, SecretString};

use super::{datadir, progress, table};
use crate::clock::Deadline;
use crate::config::{Config, Database, database};
use crate::store::moving::{self, Account, Foreign, Place, Progress, Stage, TableAccount};
use crate::store::postgres::PostgresOptions;

/// How long lines are silent within a table.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a PostgreSQL server is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database that is read, as `database_url` has it; it may be served meanwhile.
    #[arg(long, value_name = "URL", required_unless_present = "from_file")]
    from: Option<String>,
    /// File with that URL, so that a password may stand in it.
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    from_file: Option<PathBuf>,
    /// The database that is written, made where there is none; no server may use it.
    #[arg(long, value_name = "URL", required_unless_present = "to_file")]
    to: Option<String>,
    /// File with that URL, so that a password may stand in it.
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    to_file: Option<PathBuf>,
    /// Throw away what the destination holds where it is no copy of the source.
    #[arg(long)]
    overwrite: bool,
}

/// Runs the verb. The settings tell the password of a URL that holds none, and nothing else of the databases.
pub fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    let from = told("--from", args.from.as_deref(), args.from_file.as_deref())?;
    let to = told("--to", args.to.as_deref(), args.to_file.as_deref())?;
    if let Database::Sqlite(path) = &from
        && !path.is_file()
    {
        bail!("--from: there is no file {}", path.display());
    }
    let mut locks = Vec::new();
    if let Database::Sqlite(path) = &to {
        locks.extend(secure(config, path)?);
    }
    let foreign = if args.overwrite { Foreign::Overwrite } else { Foreign::Refuse };
    let mut display = Display::new();
    let moved =
        moving::run(&place(config, &from), &place(config, &to), foreign, &mut |progress| display.show(progress));
    display.clear();
    let account = moved.map_err(|error| match error {
        refused @ moving::MoveError::Refused(_) => anyhow!(refused),
        error => anyhow!(error).context("the move came to no end; run it again, and it goes on from there"),
    })?;
    drop(locks);
    table::print(&told_of(&account))?;
    if account.is_same() { Ok(()) } else { bail!("{}", differences(&account)) }
}

/// Which database a flag or its file names. What is wrong with a URL is told without it.
fn told(flag: &str, url: Option<&str>, file: Option<&Path>) -> anyhow::Result<Database> {
    let (flag, text) = match (url, file) {
        (Some(url), _) => (flag.to_owned(), url.to_owned()),
        (None, Some(file)) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
            (format!("{flag}-file"), text.trim().to_owned())
        }
        (None, None) => bail!("{flag} is missing"),
    };
    let found = database(&text).map_err(|problem| anyhow!("{flag} {problem}"))?;
    if url.is_some() && found.has_password() {
        bail!(
            "{flag} must not hold a password, which others on this machine could read: put the URL into a file and \
             give that as {flag}-file, or the password as database_password"
        );
    }
    Ok(found)
}

fn place(config: &Config, database: &Database) -> Place {
    match database {
        Database::Sqlite(path) => Place::Sqlite(path.clone()),
        Database::Postgres(url) => {
            let password = config.database_password.clone().filter(|_| !database.has_password());
            let url = SecretString::from(url.expose_secret());
            let options = PostgresOptions { password, acquire_timeout: PATIENCE, ..PostgresOptions::new(url) };
            Place::Postgres(Box::new(options))
        }
    }
}

/// Prepares the directory of a file that will be written, and takes the locks that a server on it would take.
fn secure(config: &Config, path: &Path) -> anyhow::Result<Vec<datadir::Lock>> {
    let dir = path.parent().context("--to: a file is meant")?;
    for warning in datadir::prepare_one(dir, config, Some(path))? {
        eprintln!("warning: {warning}");
    }
    let mut dirs = vec![dir];
    if config.database_path() == Some(path) {
        dirs.push(&config.data_dir);
    }
    dirs.dedup();
    // A directory without a lock has had no server.
    let dirs = dirs.into_iter().filter(|dir| datadir::lock_path(dir).exists());
    dirs.map(|dir| datadir::lock_dir(dir).context("--to: no server may use the destination")).collect()
}

/// A bar on a terminal that can draw one, lines elsewhere; both on standard error.
struct Display {
    bar: Option<ProgressBar>,
    read: u64,
    all: u64,
    silent: Deadline,
}

impl Display {
    fn new() -> Self {
        Self { bar: progress::bar("rows"), read: 0, all: 0, silent: Deadline::after(SILENCE) }
    }

    fn show(&mut self, progress: Progress) {
        match progress {
            Progress::Begin { rows } => {
                self.all = rows;
                if let Some(bar) = &self.bar {
                    bar.set_length(rows);
                    bar.set_message("copying");
                }
            }
            Progress::Rows(rows) => {
                self.read += rows;
                match &self.bar {
                    Some(bar) => {
                        // A source that grows meanwhile has more to read than was counted.
                        bar.set_length(self.all.max(self.read));
                        bar.set_position(self.read);
                    }
                    None if self.silent.passed() => self.line(&format!("{} of about {} rows", self.read, self.all)),
                    None => {}
                }
            }
            Progress::Table { pass, name, rows, copied } => {
                let line = match pass {
                    Stage::Copy => format!("copied {name}: {rows} rows, {copied} written"),
                    Stage::Compare => format!("compared {name}: {rows} rows, {copied} written"),
                };
                match &self.bar {
                    Some(bar) => {
                        bar.set_message(line.split(':').next().unwrap_or_default().to_owned());
                        bar.force_draw(); // every table is seen, however quick it was
                    }
                    None => self.line(&line),
                }
            }
        }
    }

    fn line(&mut self, line: &str) {
        eprintln!("{line}");
        self.silent = Deadline::after(SILENCE);
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn told_of(account: &Account) -> String {
    let row = |table: &TableAccount| {
        [
            table.name.to_owned(),
            table.rows.to_string(),
            table.copied.to_string(),
            table.checksum[..6].iter().map(|byte| format!("{byte:02x}")).collect(),
            if table.is_same() { "same" } else { "DIFFERS" }.to_owned(),
        ]
    };
    let tables =
        table::columns(["TABLE", "ROWS", "COPIED NOW", "CHECKSUM", ""], account.tables.iter().map(row).collect());
    let copied: u64 = account.tables.iter().map(|table| table.copied).sum();
    let seconds = account.took.as_secs_f64().max(0.001);
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = |count: u64| count as f64 / seconds;
    let values = table::labelled(&[
        ("from", account.from.clone()),
        ("to", account.to.clone()),
        ("moment", account.moment.timestamp().strftime("%Y-%m-%d %H:%M:%S%.3f UTC").to_string()),
        ("summaries", format!("{} days compared, each environment's by itself", account.rollup_days())),
        ("copied", format!("{copied} rows and {} bytes in {seconds:.1} s", account.bytes)),
        ("rate", format!("{:.0} rows/s, {:.1} MB/s, comparing included", rate(copied), rate(account.bytes) / 1e6)),
    ]);
    let end = if account.is_same() {
        "The destination holds exactly what the source held at that moment. What the source has taken since is not in\n\
         it: stop the source's server and run the same again, which copies the rest. The master key is not in the\n\
         database: give the new place the one of the old, or every ingest key has to be made anew.\n"
    } else {
        "The destination is not what the source was: do not use it.\n"
    };
    format!("{tables}\n{values}\n{end}")
}

fn differences(account: &Account) -> String {
    let units: Vec<&str> = account.tables.iter().flat_map(|table| &table.differing).map(String::as_str).collect();
    let more = if units.len() > 20 { format!(" and {} more", units.len() - 20) } else { String::new() };
    format!("these differ: {}{more}", units[..units.len().min(20)].join(", "))
}
