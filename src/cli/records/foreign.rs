//! Events out of other products' exports.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, bail};
use hashbrown::HashSet;
use indicatif::ProgressBar;

use super::super::{app, datadir, open, progress, table};
use super::erased::Erased;
use crate::clock::Clock;
use crate::config::{Config, Place};
use crate::foreign::{Product, Row, Rows};
use crate::ingest::{History, Past, Scope};
use crate::model::{App, Environment, Limits, Millis, Outcome, age_of};
use crate::store::{Draft, Entry, Store};

/// Rows of one commit.
const TOGETHER: usize = 1_000;
/// Rows that are told of by their lines, at most; all are counted.
const TOLD: u64 = 20;
/// Most files, and how deep their folders lie.
const FILES: usize = 1_000_000;
const DEPTH: usize = 12;

/// What is to be imported.
pub struct Wanted<'a> {
    /// What wrote the files.
    pub product: Product,
    /// The app that the events go to.
    pub app: &'a str,
    /// Where the files are.
    pub place: &'a Place,
    /// Into which environment; the app's first where none is named.
    pub environment: Option<&'a str>,
    /// Whether anything is written.
    pub writing: Writing,
}

/// Whether anything is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// Every event that can be used.
    Events,
    /// Nothing: only what would be is told.
    Nothing,
}

/// Reads other products' files into an app.
pub fn import(config: &Config, wanted: &Wanted<'_>) -> anyhow::Result<()> {
    let Place::Folder(path) = wanted.place else { bail!("other products' files are read from a file or folder here") };
    let store = open::store(config)?;
    let writes = wanted.writing == Writing::Events;
    let lock = config.database_path().filter(|_| writes).map(|_| datadir::lock(config)).transpose();
    let _lock = lock.context("no server may use the database meanwhile")?;
    let app = Arc::new(app::find(&*store, wanted.app)?);
    let environment = environment(&app, wanted.environment)?;
    let files = files(path)?;
    let limits = Limits { age: age_of(open::keeps(config).events).unwrap_or(i64::MAX), ..Limits::default() };
    let rules = Arc::new(store.app_rules(app.id)?);
    let scope = Scope { app: app.clone(), environment: environment.id, key: None, rules, country: None };
    let read = Arc::new(AtomicU64::new(0));
    let bar = progress::bar("bytes");
    if let Some(bar) = &bar {
        bar.set_length(files.iter().map(|(_, bytes)| bytes).sum());
    }
    let mut importer = Importer {
        store: &*store,
        erased: Erased::of(&*store, app.id)?,
        history: History::new(scope, limits.clone(), Clock::system().now()),
        limits,
        environment,
        writing: wanted.writing,
        bar: bar.clone(),
        sum: Sum::default(),
    };
    for (file, _) in &files {
        importer.file(wanted.product, file, &read)?;
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    table::print(&importer.sum.told(files.len(), wanted.writing))?;
    if importer.sum.too_old > 0 {
        let (app, product) = (&app.slug, wanted.product.name());
        table::print(&format!(
            "What is too old is older than {app} keeps events. To have it, first type\n\n    tallybox app retention {app} \
             --events forever\n\nand import the files of {product} again: what is there already counts once.\n"
        ))?;
    }
    Ok(())
}

fn environment<'a>(app: &'a App, named: Option<&str>) -> anyhow::Result<&'a Environment> {
    match named {
        Some(slug) => app.environment(slug).with_context(|| format!("{} has no environment {slug}", app.slug)),
        None => app.environments.first().context("the app has no environment"),
    }
}

/// A file by itself, or all of a folder and the folders in it, by name; with their sizes.
fn files(path: &Path) -> anyhow::Result<Vec<(PathBuf, u64)>> {
    let mut found = Vec::new();
    gather(path, 0, &mut found).with_context(|| format!("{} cannot be read", path.display()))?;
    if found.is_empty() {
        bail!("no files are in {}", path.display());
    }
    found.sort();
    Ok(found)
}

fn gather(path: &Path, depth: usize, found: &mut Vec<(PathBuf, u64)>) -> anyhow::Result<()> {
    let about = std::fs::metadata(path)?;
    if !about.is_dir() {
        found.push((path.to_owned(), about.len()));
        return Ok(());
    }
    if depth == DEPTH || found.len() > FILES {
        bail!("there are too many files and folders");
    }
    for entry in std::fs::read_dir(path)? {
        gather(&entry?.path(), depth + 1, found)?;
    }
    Ok(())
}

/// What became of the rows.
#[derive(Default)]
struct Sum {
    rows: u64,
    stored: u64,
    duplicates: u64,
    people: u64,
    others: u64,
    too_old: u64,
    erased: u64,
    left_out: u64,
    unusable: u64,
    /// Times of the first and the last event that can be used.
    range: Option<(Millis, Millis)>,
}

impl Sum {
    fn told(&self, files: usize, writing: Writing) -> String {
        let count = |count: u64| count.to_string();
        let range = self.range.map_or_else(
            || "none can be used".to_owned(),
            |(first, last)| format!("{} to {}", table::time(first), table::time(last)),
        );
        let mut told = table::labelled(&[
            ("files", files.to_string()),
            ("rows", count(self.rows)),
            (if writing == Writing::Nothing { "would be taken" } else { "stored" }, count(self.stored)),
            ("there already", count(self.duplicates)),
            ("about people", count(self.people)),
            ("no events", count(self.others)),
            ("too old", count(self.too_old)),
            ("of erased people", count(self.erased)),
            ("left out by rules", count(self.left_out)),
            ("unusable", count(self.unusable)),
            ("events from", range),
        ]);
        told.push('\n');
        told
    }

    fn see(&mut self, at: Millis) {
        let (first, last) = self.range.unwrap_or((at, at));
        self.range = Some((first.min(at), last.max(at)));
    }
}

struct Importer<'a> {
    store: &'a dyn Store,
    erased: Erased<'a>,
    history: History,
    limits: Limits,
    environment: &'a Environment,
    writing: Writing,
    bar: Option<ProgressBar>,
    sum: Sum,
}

impl Importer<'_> {
    fn file(&mut self, product: Product, file: &Path, read: &Arc<AtomicU64>) -> anyhow::Result<()> {
        let name = file.display();
        let broken = || format!("{name} cannot be read as an export of {}", product.name());
        let mut rows = Rows::open(product, file, read.clone()).with_context(broken)?;
        let mut drafts = Vec::with_capacity(TOGETHER);
        loop {
            let row = rows.row().with_context(broken);
            let row = match row {
                Ok(row) => row,
                Err(error) => {
                    // What stands before it is good.
                    self.write(&mut drafts)?;
                    return Err(error);
                }
            };
            let Some((line, row)) = row else { break };
            self.sum.rows += 1;
            if let Some(draft) = self.row(row, &|why| format!("{name}, line {line}: {why}")) {
                drafts.push(draft);
            }
            if drafts.len() == TOGETHER {
                self.write(&mut drafts)?;
                if let Some(bar) = &self.bar {
                    bar.set_position(read.load(Ordering::Relaxed));
                }
            }
        }
        self.write(&mut drafts)
    }

    fn row(&mut self, row: Row, told: &dyn Fn(&str) -> String) -> Option<Draft> {
        match row {
            Row::Event(raw) => match self.history.event(*raw) {
                Past::Draft(draft) => {
                    self.sum.see(draft.received_at);
                    return Some(*draft);
                }
                Past::TooOld => self.sum.too_old += 1,
                Past::LeftOut => self.sum.left_out += 1,
                Past::Unusable(why) => self.odd(&told(&why)),
            },
            Row::Person(at, person) => {
                self.sum.people += 1;
                return Some(self.history.person(at, *person));
            }
            Row::Other => self.sum.others += 1,
            Row::Odd(why) => self.odd(&told(&why)),
        }
        None
    }

    fn odd(&mut self, told: &str) {
        self.sum.unusable += 1;
        let line = match self.sum.unusable {
            ..=TOLD => table::printable(told),
            more if more == TOLD + 1 => "further rows that cannot be used are only counted".to_owned(),
            _ => return,
        };
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    fn write(&mut self, drafts: &mut Vec<Draft>) -> anyhow::Result<()> {
        self.leave_out_erased(drafts)?;
        let events = drafts.iter().map(|draft| draft.entries.len() as u64).sum::<u64>();
        if self.writing == Writing::Nothing || drafts.is_empty() {
            self.sum.stored += events;
            drafts.clear();
            return Ok(());
        }
        for committed in self.store.commit(drafts, &self.limits)? {
            for outcome in committed.outcomes() {
                let count = if *outcome == Outcome::Stored {
                    &mut self.sum.stored
                } else if *outcome == Outcome::Duplicate {
                    &mut self.sum.duplicates
                } else {
                    &mut self.sum.left_out
                };
                *count += 1;
            }
        }
        drafts.clear();
        Ok(())
    }

    /// Whoever was erased does not come back out of a file.
    fn leave_out_erased(&mut self, drafts: &mut Vec<Draft>) -> anyhow::Result<()> {
        let of = |draft: &Draft| {
            let events = draft.entries.iter().filter_map(|entry| {
                if let Entry::Event(event) | Entry::Restored(event) = entry { event.user() } else { None }
            });
            let links = draft.links.iter().flat_map(|link| [link.from, link.into]);
            events.chain(links).chain(draft.people.iter().map(|told| told.user)).collect::<Vec<_>>()
        };
        let users: HashSet<_> = drafts.iter().flat_map(of).collect();
        let gone = self.erased.among(self.environment.id, &users)?;
        if !gone.is_empty() {
            let before = drafts.len();
            drafts.retain(|draft| !of(draft).iter().any(|user| gone.contains(user)));
            self.sum.erased += (before - drafts.len()) as u64;
        }
        Ok(())
    }
}
