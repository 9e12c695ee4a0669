//! The verbs `erase` and `export-person`: one person or device of an app, gone for good or written to a file.

use std::fs::OpenOptions;
use std::io::{BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args as Arguments;

use super::{app, open, progress, table};
use crate::clock::{Clock, Stopwatch};
use crate::config::Config;
use crate::ingest::user_hash;
use crate::model::{App, AskErasure, AuditLine, By, Concerning, Erasure, FindPeople, Found, FoundBy, Who, WorkErasure};
use crate::query::Dossier;
use crate::store::Store;

/// Between two looks at an erasure that somebody else works on.
const PAUSE: Duration = Duration::from_millis(200);

/// Who is meant.
#[derive(Debug, Arguments)]
pub struct Whom {
    /// Short name or UUID of the app.
    #[arg(long)]
    app: String,
    /// The person: the user id that your app sends, the identifier or e-mail address that it told, or the pseudonym of the
    /// pages.
    #[arg(long, value_name = "ID", required_unless_present = "device", conflicts_with = "device")]
    user: Option<String>,
    /// The device: its installation id or its public id.
    #[arg(long, value_name = "ID")]
    device: Option<String>,
    /// Only in this environment [default: in all].
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
}

#[derive(Debug, Arguments)]
pub struct EraseArgs {
    #[command(flatten)]
    whom: Whom,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Before, write everything about them to this file.
    #[arg(long, value_name = "FILE")]
    export: Option<PathBuf>,
}

#[derive(Debug, Arguments)]
pub struct ExportArgs {
    #[command(flatten)]
    whom: Whom,
    /// The file to write, which must not be there yet.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

/// Runs the verb `erase` on the configured database, beside a running server or without one.
pub fn erase(config: &Config, args: &EraseArgs) -> anyhow::Result<()> {
    let store = open::store(config)?;
    let bench = Bench { store: &*store, clock: Clock::system() };
    let (app, found) = bench.find(&args.whom)?;
    table::print(&told(&app, &found))?;
    if !args.yes && !agreed(&mut std::io::stdin().lock())? {
        bail!("nothing was erased");
    }
    if let Some(file) = &args.export {
        table::print(&bench.export(&app, &found, file)?)?;
    }
    table::print(&bench.erase(&app, &found, &args.whom)?)
}

/// Runs the verb `export-person` on the configured database.
pub fn export(config: &Config, args: &ExportArgs) -> anyhow::Result<()> {
    let store = open::store(config)?;
    let bench = Bench { store: &*store, clock: Clock::system() };
    let (app, found) = bench.find(&args.whom)?;
    table::print(&bench.export(&app, &found, &args.file)?)
}

/// What the verbs work with.
struct Bench<'a> {
    store: &'a dyn Store,
    clock: Clock,
}

impl Bench<'_> {
    /// Everybody who is meant: in several environments, and by what SDKs send as by what the app tells.
    fn find(&self, whom: &Whom) -> anyhow::Result<(App, Vec<Found>)> {
        let app = app::find(self.store, &whom.app)?;
        let environments = match &whom.env {
            Some(slug) => {
                vec![app.environment(slug).with_context(|| format!("{} has no environment {slug}", app.slug))?.id]
            }
            None => app.environments.iter().map(|environment| environment.id).collect(),
        };
        let text = whom.user.as_ref().or(whom.device.as_ref()).cloned().unwrap_or_default();
        let ask = FindPeople { environments, hash: user_hash(&app.salt, &text), text };
        let mut found = self.store.find_people(&ask)?;
        found.retain(|found| matches!(found.subject.who, Who::Device(_)) == whom.device.is_some());
        // Ids that only begin so may be of somebody else.
        let beginning = found.iter().filter(|found| found.by == FoundBy::Pseudonym).count() > 1;
        match (found.is_empty(), beginning) {
            (true, _) => bail!("nobody is found by that in {}", app.slug),
            (false, true) if ask.text.len() < 32 => bail!("several begin so: give the whole pseudonym"),
            _ => Ok((app, found)),
        }
    }

    fn export(&self, app: &App, found: &[Found], file: &Path) -> anyhow::Result<String> {
        let now = self.clock.now();
        let subjects = found.iter().map(|found| found.subject).collect();
        let mut dossier = Dossier::new(app.clone(), subjects, now);
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
        let mut out = made.with_context(|| format!("{} cannot be made", file.display()))?;
        while let Some(text) = dossier.next(self.store)? {
            out.write_all(text.as_bytes()).with_context(|| format!("{} cannot be written", file.display()))?;
        }
        out.sync_all()?;
        for found in found {
            let line = AuditLine {
                by: By::command_line(now),
                of: Concerning::App(app.id),
                action: found.subject.who.exported(),
                subject: found.subject.who.digest(),
                detail: "to a file".to_owned(),
            };
            self.store.record(&line)?;
        }
        Ok(format!("Everything about them is in {}.\n", file.display()))
    }

    fn erase(&self, app: &App, found: &[Found], whom: &Whom) -> anyhow::Result<String> {
        let names: Vec<_> = whom.user.iter().chain(&whom.device).cloned().collect();
        let mut told = String::new();
        for found in found {
            let ask = AskErasure {
                app: app.id,
                subject: found.subject,
                names: names.clone(),
                by: By::command_line(self.clock.now()),
            };
            let asked = self.store.ask_erasure(&ask)?;
            let done = self.work(asked)?;
            let rows = if done.counts.sum() == 0 { "nothing was stored".to_owned() } else { done.counts.to_string() };
            told += &format!("Erased in {}: {rows} (receipt {})\n", environment(app, found), done.digest);
        }
        told += "Counts in summaries stay. Backups that were made before have them still.\n";
        Ok(told)
    }

    /// Works until it is done, or waits for whoever works on it already.
    fn work(&self, mut erasure: Erasure) -> anyhow::Result<Erasure> {
        let bar = progress::bar("rows");
        while erasure.ended_at.is_none() {
            let watch = Stopwatch::start();
            let work = WorkErasure::here(self.clock.now(), Some(erasure.id));
            let next = match self.store.work_erasure(&work)? {
                Some(next) => Some(next),
                None => self.store.erasure(erasure.id)?,
            };
            let next = next.context("the erasure is gone")?;
            // A server that writes to the same file has as much time as this step took.
            std::thread::sleep(if next == erasure { PAUSE } else { watch.elapsed() });
            erasure = next;
            if let Some(bar) = &bar {
                bar.set_message(erasure.doing);
                bar.set_length(erasure.counts.sum());
                bar.set_position(erasure.counts.sum());
            }
        }
        if let Some(bar) = bar {
            bar.finish_and_clear();
        }
        Ok(erasure)
    }
}

fn environment<'a>(app: &'a App, found: &Found) -> &'a str {
    let environment = app.environments.iter().find(|one| one.id == found.subject.environment);
    environment.map_or("", |environment| environment.slug.as_str())
}

/// Who was found, as a table.
fn told(app: &App, found: &[Found]) -> String {
    let row = |found: &Found| {
        let (kind, id) = match found.subject.who {
            Who::User(hash) => ("person", hash.to_string()),
            Who::Device(id) => ("device", id.to_string()),
        };
        let label = table::printable(found.label.as_deref().unwrap_or_default());
        [environment(app, found).to_owned(), kind.to_owned(), id, label, found.by.label().to_owned()]
    };
    table::columns(["ENVIRONMENT", "WHAT", "ID", "CALLED", "FOUND BY"], found.iter().map(row).collect())
}

fn agreed(input: &mut dyn BufRead) -> anyhow::Result<bool> {
    eprint!("Type erase to remove all of this for good: ");
    let mut line = String::new();
    input.read_line(&mut line)?;
    Ok(line.trim() == "erase")
}
