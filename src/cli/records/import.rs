//! Events out of files: new ones through a commit like any, and those that were deleted by age back to where they were.

use std::sync::Arc;

use anyhow::{Context, bail};
use hashbrown::HashSet;
use indicatif::ProgressBar;

use super::super::{app, datadir, keeping, open, progress, table};
use super::erased::Erased;
use super::foreign::{self, Wanted, Writing};
use crate::clock::Clock;
use crate::config::{Config, Place};
use crate::depot::Depot;
use crate::foreign::Product;
use crate::ingest::{Names, vouch};
use crate::model::{App, Environment, Event, EventRecord, Kept, Limits, Millis, Outcome, age_of, first_kept_day};
use crate::pruning::{Manifest, Unpacked, manifests};
use crate::store::{Draft, Entry, Store};

/// Events of one commit.
const TOGETHER: usize = 1_000;

#[derive(Debug, clap::Args)]
pub struct Import {
    /// Short name or UUID of the app that the events go to.
    app: String,
    /// Where the files are: a folder, or s3://BUCKET/PREFIX.
    #[arg(value_name = "PLACE", value_parser = Place::parse)]
    place: Place,
    /// Only events of this environment [default: of all]; of another product's files, the one that all go to [default:
    /// production].
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
    /// What wrote the files, where this program did not: aptabase, posthog, umami or app-center. PLACE is a file then, or a
    /// folder of them.
    #[arg(long, value_name = "PRODUCT", value_parser = product)]
    from: Option<Product>,
    /// Only tell what would be taken out of another product's files.
    #[arg(long, requires = "from")]
    dry_run: bool,
}

fn product(text: &str) -> Result<Product, String> {
    Product::parse(text).ok_or_else(|| format!("not one of {}", Product::ALL.map(Product::name).join(", ")))
}

/// Runs the verb `import` on the configured database. A SQLite file may have no server meanwhile: whoever writes events to
/// one remembers how far numbers have been given.
pub fn import(config: &Config, args: &Import) -> anyhow::Result<()> {
    if let Some(product) = args.from {
        let writing = if args.dry_run { Writing::Nothing } else { Writing::Events };
        let (app, place, environment) = (args.app.as_str(), &args.place, args.env.as_deref());
        return foreign::import(config, &Wanted { product, app, place, environment, writing });
    }
    let store = open::store(config)?;
    let lock = config.database_path().map(|_| datadir::lock(config)).transpose();
    let _lock = lock.context("no server may use the database meanwhile")?;
    let app = app::find(&*store, &args.app)?;
    if matches!(&args.place, Place::Folder(path) if path.is_file()) {
        bail!("{} is a file, and an archive is a folder: an export of another product takes --from", args.place);
    }
    let depot = super::depot(config, &args.place)?;
    let mut files = manifests(&depot)?;
    files.retain(|file| file.kept() == Some(Kept::Events));
    files.retain(|file| args.env.as_ref().is_none_or(|env| *env == file.environment));
    let (mut files, columns): (Vec<_>, Vec<_>) = files.into_iter().partition(Manifest::is_of_lines);
    let same =
        |a: &Manifest, b: &Manifest| (a.app, &a.environment, a.from, a.to) == (b.app, &b.environment, b.from, b.to);
    if let Some(lone) = columns.iter().find(|one| !files.iter().any(|other| same(one, other))) {
        let name = depot.shown(&lone.file);
        bail!("{name} is Parquet, which is for other programs: only what was written as ndjson can be imported");
    }
    if files.is_empty() {
        bail!("no files of events are in {depot}");
    }
    // The newest first, so that what comes back is always next to what is there.
    files.sort_by_key(|file| std::cmp::Reverse(file.from));
    let bar = progress::bar("events");
    if let Some(bar) = &bar {
        bar.set_length(files.iter().map(|file| file.rows).sum());
    }
    let porter = Porter {
        store: &*store,
        depot: &depot,
        config,
        erased: Erased::of(&*store, app.id)?,
        limits: Limits { age: age_of(open::keeps(config).events).unwrap_or(i64::MAX), ..Limits::default() },
        now: Clock::system().now(),
        bar: bar.clone(),
        app: Arc::new(app),
    };
    let mut sum = Sum::default();
    for file in &files {
        porter.file(file, &files, &mut sum)?;
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    table::print(&sum.told(files.len()))
}

/// What became of the events.
#[derive(Default)]
struct Sum {
    stored: u64,
    restored: u64,
    duplicates: u64,
    too_old: u64,
    erased: u64,
    unusable: u64,
}

impl Sum {
    fn told(&self, files: usize) -> String {
        let mut told = table::labelled(&[
            ("files", files.to_string()),
            ("stored", self.stored.to_string()),
            ("brought back", self.restored.to_string()),
            ("there already", self.duplicates.to_string()),
            ("too old", self.too_old.to_string()),
            ("of erased people", self.erased.to_string()),
            ("unusable", self.unusable.to_string()),
        ]);
        told.push('\n');
        told
    }
}

/// How events of one file go in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As new ones, which count.
    New,
    /// As those that the summaries count still, though they were deleted by age.
    Back,
}

struct Porter<'a> {
    store: &'a dyn Store,
    depot: &'a Depot,
    config: &'a Config,
    app: Arc<App>,
    erased: Erased<'a>,
    limits: Limits,
    now: Millis,
    bar: Option<ProgressBar>,
}

impl Porter<'_> {
    fn file(&self, file: &Manifest, all: &[Manifest], sum: &mut Sum) -> anyhow::Result<()> {
        let environment = self.app.environment(&file.environment);
        let environment =
            environment.with_context(|| format!("{} has no environment {}", self.app.slug, file.environment))?;
        let way = self.way(file, environment, all)?;
        let mut lines = Unpacked::fetch(self.depot, file, &self.config.data_dir)?;
        let mut read = 0;
        while let Some((events, odd)) = lines.next(TOGETHER)? {
            read += events.len() as u64 + odd;
            sum.unusable += odd;
            self.batch(file, environment, (way, &events), sum)?;
            if let Some(bar) = &self.bar {
                bar.inc(events.len() as u64 + odd);
                bar.set_message(format!("{} {}", file.environment, file.day));
            }
        }
        if read != file.rows {
            bail!("{} has {read} lines, and its manifest tells of {}", self.depot.shown(&file.file), file.rows);
        }
        if way == Way::Back {
            let day = file.whole_day().context("it is a whole day")?;
            self.store.take_back(environment.id, day)?;
        }
        Ok(())
    }

    /// What was deleted by age in this very app is counted still. It may come back only where it stays, and next to what is
    /// there, so that no repeat of an event is ever taken for new.
    fn way(&self, file: &Manifest, environment: &Environment, all: &[Manifest]) -> anyhow::Result<Way> {
        let kept = self.store.keeping()?.into_iter();
        let mut kept = kept.filter(|kept| kept.environment == environment.id && kept.kind == Kept::Events);
        let kept = kept.next().context("the environment is not there any more")?;
        let Some(gone) = kept.gone().filter(|gone| file.from < gone.0 && file.is_of(&self.app)) else {
            return Ok(Way::New);
        };
        let name = &self.app.slug;
        let Some(day) = file.whole_day() else {
            bail!("{} is a part of a day that was deleted by age; only whole days come back", file.day)
        };
        if first_kept_day(kept.days, self.now).is_some_and(|first| day < first) {
            bail!(
                "{} would be deleted again: events are kept for {} days. First let the app keep them, such as with \
                 `tallybox app retention {name} --env {} --events forever`",
                file.day,
                kept.days,
                environment.slug
            );
        }
        let between = self.store.event_days(environment.id, (day + 1, gone.0.div_euclid(Millis::DAY) - 1))?;
        if let Some((missing, _)) = between.first() {
            let has =
                all.iter().any(|other| other.whole_day() == Some(*missing) && other.environment == file.environment);
            let why = if has { "cannot be used" } else { "is not there" };
            bail!("the file of {} {why}: days come back without a gap, the newest first", keeping::date(*missing));
        }
        Ok(Way::Back)
    }

    fn batch(
        &self,
        file: &Manifest,
        environment: &Environment,
        (way, records): (Way, &[EventRecord]),
        sum: &mut Sum,
    ) -> anyhow::Result<()> {
        let own = file.is_of(&self.app);
        let names = if own { Names::Own } else { Names::Other(&self.app.salt) };
        let oldest = match way {
            Way::New => self.store.app_rules(self.app.id)?.oldest(environment.id, self.now, self.limits.age),
            Way::Back => Millis(i64::MIN),
        };
        let mut events: Vec<(Millis, Event)> = Vec::with_capacity(records.len());
        for record in records {
            match vouch(record, names, &self.limits, self.now) {
                None => sum.unusable += 1,
                Some(event) if event.occurred_at() < oldest => sum.too_old += 1,
                Some(event) => events.push((record.received_at, event)),
            }
        }
        let before = events.len();
        self.leave_out_erased(environment, &mut events)?;
        sum.erased += (before - events.len()) as u64;
        for committed in self.store.commit(&self.drafts(environment, events, way), &self.limits)? {
            for outcome in committed.outcomes() {
                match (outcome, way) {
                    (Outcome::Stored, Way::New) => sum.stored += 1,
                    (Outcome::Stored, Way::Back) => sum.restored += 1,
                    (Outcome::Duplicate, _) => sum.duplicates += 1,
                    (Outcome::SetAside(..) | Outcome::Dropped | Outcome::Banned | Outcome::Withheld(_), _) => {
                        sum.unusable += 1;
                    }
                }
            }
        }
        Ok(())
    }

    /// Whoever was erased does not come back out of a file.
    fn leave_out_erased(&self, environment: &Environment, events: &mut Vec<(Millis, Event)>) -> anyhow::Result<()> {
        let users: HashSet<_> = events.iter().filter_map(|(_, event)| event.user()).collect();
        let gone = self.erased.among(environment.id, &users)?;
        events.retain(|(_, event)| !event.user().is_some_and(|user| gone.contains(&user)));
        Ok(())
    }

    /// One for each time at which events came together.
    fn drafts(&self, environment: &Environment, events: Vec<(Millis, Event)>, way: Way) -> Vec<Draft> {
        let mut drafts: Vec<Draft> = Vec::new();
        for (received_at, event) in events {
            let entry = match way {
                Way::New => Entry::Event(event),
                Way::Back => Entry::Restored(event),
            };
            match drafts.last_mut() {
                Some(last) if last.received_at == received_at => last.entries.push(entry),
                _ => drafts
                    .push(Draft { entries: vec![entry], ..Draft::new(self.app.clone(), environment.id, received_at) }),
            }
        }
        drafts
    }
}
