//! The verb `prune`: tells what is older than it is kept, and deletes it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::bail;

use super::{keeping, open, progress, table};
use crate::clock::{Clock, Stopwatch};
use crate::config::Config;
use crate::model::{App, By, EnvironmentId, Kept, Millis, Outdated};
use crate::pruning::{self, Clearance, Guard, Pruner};
use crate::store::Store;

/// Between two steps, at least.
const BREATH: Duration = Duration::from_millis(20);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only tell what would be deleted.
    #[arg(long)]
    dry_run: bool,
    /// Only of this app, by short name or UUID.
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    /// Say that the clock is right, where the box has stopped deleting because it doubts it, or where it would delete for
    /// the first time.
    #[arg(long)]
    confirm_clock: bool,
}

/// Runs the verb on the configured database, beside a running server or without one.
pub fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    let store = open::store(config)?;
    let clock = Clock::system();
    let apps = match &args.app {
        Some(name) => vec![super::app::find(&*store, name)?],
        None => store.apps()?,
    };
    if args.confirm_clock && !args.dry_run {
        Guard::confirm(&*store, clock.now(), &By::command_line(clock.now()))?;
    }
    if args.dry_run {
        let now = clock.now();
        table::print(&told(&apps, &count(&*store, &apps, now)?)?)?;
        if store.keeping()?.iter().any(|kept| kept.rests(now)) {
            table::print("something was chosen within the last minute, and is not counted in yet\n")?;
        }
        return Ok(());
    }
    let now = match Guard::default().ask(&*store, clock.now())? {
        Clearance::By(at) => at,
        Clearance::Held(held) => {
            bail!("{}; look with --dry-run, and say --confirm-clock if that is right", held.told())
        }
    };
    let found = count(&*store, &apps, now)?;
    table::print(&told(&apps, &found)?)?;
    if found.is_empty() {
        return Ok(());
    }
    let pruner = Pruner::new(store.clone());
    let pruner = pruner.with_archive(open::archive(config)?).only(environments(&apps));
    table::print(&delete(pruner, &*store, &found, &clock)?)
}

fn environments(apps: &[App]) -> Vec<EnvironmentId> {
    apps.iter().flat_map(|app| app.environments.iter().map(|environment| environment.id)).collect()
}

/// What is too old in these apps, with how many rows.
fn count(store: &dyn Store, apps: &[App], now: Millis) -> anyhow::Result<Vec<Outdated>> {
    let bar = progress::bar("rows counted");
    let mut counted: BTreeMap<(EnvironmentId, Kept), u64> = BTreeMap::new();
    let mut found = pruning::counted(store, now, &mut |found| {
        counted.insert((found.keeping.environment, found.keeping.kind), found.rows);
        if let Some(bar) = &bar {
            let rows = counted.values().sum();
            bar.set_length(rows);
            bar.set_position(rows);
        }
    })?;
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let ours = environments(apps);
    found.retain(|found| ours.contains(&found.keeping.environment));
    Ok(found)
}

fn told(apps: &[App], found: &[Outdated]) -> anyhow::Result<String> {
    if found.is_empty() {
        return Ok("nothing is older than it is kept\n".to_owned());
    }
    let mut rows = Vec::new();
    for one in found {
        let app = apps.iter().find(|app| app.id == one.keeping.app);
        let Some(app) = app else { continue };
        rows.push([
            app.slug.to_string(),
            keeping::slug_of(app, one.keeping.environment)?,
            one.keeping.kind.as_str().to_owned(),
            one.rows.to_string(),
            one.oldest.map_or_else(String::new, table::time),
            keeping::date(one.before),
        ]);
    }
    Ok(table::columns(["APP", "ENVIRONMENT", "WHAT", "ROWS", "OLDEST", "BEFORE"], rows))
}

/// Deletes it, with rests as long as the work.
fn delete(mut pruner: Pruner, store: &dyn Store, found: &[Outdated], clock: &Clock) -> anyhow::Result<String> {
    let all: u64 = found.iter().map(|found| found.rows).sum();
    let bar = progress::bar("rows");
    if let Some(bar) = &bar {
        bar.set_length(all);
    }
    let mut guard = Guard::default();
    let (mut rows, mut whole, mut archived) = (0, 0, 0);
    loop {
        let watch = Stopwatch::start();
        let now = match guard.ask(store, clock.now())? {
            Clearance::By(at) => at,
            Clearance::Held(held) => bail!("{} rows are deleted; then {}", rows, held.told()),
        };
        let done = pruner.step(now)?;
        rows += done.removed.values().sum::<u64>();
        whole += done.whole;
        archived += done.archived;
        if let Some(bar) = &bar {
            bar.set_position(rows.min(all));
        }
        if !done.more {
            break;
        }
        std::thread::sleep(watch.elapsed().max(BREATH));
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    let mut told = format!("deleted {rows} rows");
    if whole > 0 {
        told += &format!(", and {whole} whole months of events");
    }
    if archived > 0 {
        told += &format!("; {archived} files are in the archive");
    }
    Ok(told + "\n")
}
