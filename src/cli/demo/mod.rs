//! The verb `demo`: an app with made-up people, releases and errors, through the same pipeline as real events.

mod send;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use uuid::Uuid;

use super::{datadir, open, progress, table};
use crate::auth::token;
use crate::clock::{Clock, Deadline, Stopwatch};
use crate::config::Config;
use crate::demo::{Plan, Story};
use crate::ingest::{Intake, QueueSize, Scope};
use crate::model::{App, By, Choice, Kept, Limits, Millis, NewApp, Receipt, Refusal, Rules, Salt, Slug, Zone, age_of};
use crate::store::Store;

/// What the app is called.
const NAME: &str = "Quill (made up)";
/// Requests under way at once: enough for full commits, and fewer than the queue holds.
const UNDER_WAY: usize = 400;
/// Events of each user where nothing is said.
const EACH: u64 = 50;
/// How long lines are silent.
const SILENCE: Duration = Duration::from_secs(10);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long the story lasts, in days.
    #[arg(long, value_name = "N", default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    days: u32,
    /// How many people there are in all.
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1..=500_000))]
    users: u32,
    /// About how many events they send; everybody opens the app once [default: 50 for each of them].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    events: Option<u64>,
    /// The same seed and end give the same story.
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// When the story ends, as 2026-03-31 or 2026-03-31T12:00:00Z [default: now].
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Millis>,
    /// Short name of the app, which is made where there is none.
    #[arg(long, value_name = "APP", default_value = "demo")]
    app: String,
    /// Add to an app that has events.
    #[arg(long)]
    add: bool,
}

/// Runs the verb on the configured database. A SQLite file may have no server meanwhile: whoever writes events to one
/// remembers how far numbers have been given.
pub fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    let clock = Clock::system();
    let now = clock.now();
    let until = args.until.unwrap_or(now);
    if until > now {
        bail!("--until lies in the future");
    }
    let events = args.events.unwrap_or(u64::from(args.users) * EACH);
    let plan = Plan { until, days: args.days, users: args.users, events, seed: args.seed };
    let store = open::store(config)?;
    let lock = config.database_path().map(|_| datadir::lock(config)).transpose();
    let lock = lock.context("no server may use the database meanwhile")?;
    let app = app(&*store, args, &plan)?;
    let ages = store.app_rules(app.id)?.ages;
    let limits = Limits { age: age_of(open::keeps(config).events).unwrap_or(i64::MAX), ..Limits::default() };
    let rules = Rules { ages, ..Rules::default() };
    let environment = app.environments.first().context("the app has no environment")?.id;
    let oldest = rules.oldest(environment, now, limits.age);
    if oldest > plan.range().from {
        let day = oldest.timestamp().strftime("%Y-%m-%d");
        eprintln!(
            "warning: events of before {day} are set aside: the app keeps none that are older (`tallybox app retention`)"
        );
    }
    let story = Story::of(plan);
    let versions: Vec<_> = story.versions().map(|(version, bad)| (version.to_owned(), bad)).collect();
    let took = Stopwatch::start();
    let scope = Scope { app: Arc::new(app.clone()), environment, key: None, rules: Arc::new(rules), country: None };
    let tally = tell((store, clock), (scope, limits), story, events).with_context(|| {
        let until = until.timestamp();
        format!("the story came to no end; tell it again with --add --until {until}, and what is there counts once")
    })?;
    drop(lock);
    let tally = Tally { seconds: took.elapsed().as_secs_f64(), ..tally };
    table::print(&account(&app, &plan, &versions, &tally))
}

/// A moment, or the midnight before a day in universal time.
fn moment(text: &str) -> Result<Millis, String> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment.into());
    }
    let midnight = text.parse::<Date>().and_then(|date| date.to_zoned(TimeZone::UTC));
    midnight.map(|midnight| midnight.timestamp().into()).map_err(|_| "not a time such as 2026-03-31".to_owned())
}

/// The app of that name; one that has events only if more are wanted.
fn app(store: &dyn Store, args: &Args, plan: &Plan) -> anyhow::Result<App> {
    match store.find_app(&args.app)? {
        Some(app) if app.first_event_at.is_some() && !args.add => {
            bail!("the app {} has events: name another with --app, or add to it with --add", app.slug)
        }
        Some(app) => Ok(app),
        None => {
            let slug = Slug::parse(&args.app);
            let slug = slug.with_context(|| format!("`{}` is no short name: 1 to 64 of A-Z a-z 0-9 _ -", args.app))?;
            let new = NewApp {
                organization: None,
                uuid: Uuid::new_v4(),
                slug,
                slug_fixed: true,
                name: NAME.to_owned(),
                zone: Zone::utc(),
                salt: Salt(token::random()),
                strict: false,
            };
            let by = By::command_line(plan.range().from);
            let made = store.create_app(&new, &by)?;
            // A year that somebody wants to look at should not go while they do.
            let kinds = Kept::ALL.map(|kind| (kind, Some(0))).to_vec();
            let environments = made.environments.iter().map(|environment| environment.id).collect();
            store.choose_keeping(&Choice { app: made.id, environments, kinds }, &by)?;
            Ok(made)
        }
    }
}

/// What became of the events.
#[derive(Debug, Default)]
struct Tally {
    requests: u64,
    events: u64,
    stored: u64,
    duplicates: u64,
    set_aside: u64,
    seconds: f64,
}

impl Tally {
    fn add(&mut self, receipt: &Receipt) {
        self.requests += 1;
        self.events += receipt.outcomes.len() as u64;
        self.stored += receipt.stored() as u64;
        self.duplicates += receipt.duplicates() as u64;
        self.set_aside += receipt.set_aside() as u64;
    }
}

/// Sends a story of about so many events through the pipeline.
fn tell(
    (store, clock): (Arc<dyn Store>, Clock),
    (scope, limits): (Scope, Limits),
    story: Story,
    events: u64,
) -> anyhow::Result<Tally> {
    let (intake, writer) =
        Intake::start(store, Arc::new(limits), clock, QueueSize::default()).context("the writer cannot start")?;
    let runtime = tokio::runtime::Builder::new_current_thread().build().context("the runtime cannot start")?;
    let mut display = Display::new(events);
    let told = runtime.block_on(async {
        let mut tally = Tally::default();
        let answers = stream::iter(story).map(|parcel| send::send(&intake, &scope, parcel));
        let mut answers = answers.buffer_unordered(UNDER_WAY);
        while let Some(answer) = answers.next().await {
            let (at, receipt) = answer.map_err(|refusal| anyhow!(words(&refusal)))?;
            tally.add(&receipt);
            display.show(tally.events, at);
        }
        Ok(tally)
    });
    display.clear();
    drop(intake);
    writer.join();
    told
}

fn words(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::StorageFull => "there is no room left on the disk",
        Refusal::StorageDown => "the database cannot be written now",
        Refusal::Busy(_) | Refusal::Draining | Refusal::RateLimited(_) | Refusal::OverLimit(_) => {
            "the pipeline takes no more"
        }
        Refusal::Malformed(_)
        | Refusal::Unauthorized
        | Refusal::WrongCredential(_)
        | Refusal::Banned
        | Refusal::Forbidden(_)
        | Refusal::ClockSkew(_)
        | Refusal::Replayed
        | Refusal::TooLarge(_)
        | Refusal::Timeout
        | Refusal::UnsupportedEncoding
        | Refusal::Internal => "the pipeline has refused a request that it should take",
    }
}

/// A bar on a terminal that can draw one, lines elsewhere; both on standard error.
struct Display {
    bar: Option<ProgressBar>,
    all: u64,
    day: i64,
    silent: Deadline,
}

impl Display {
    fn new(all: u64) -> Self {
        Self { bar: progress::bar("events"), all, day: i64::MIN, silent: Deadline::after(SILENCE) }
    }

    /// So many events are taken, the last at that time of the story.
    fn show(&mut self, events: u64, at: Millis) {
        let day = at.0.div_euclid(Millis::DAY);
        match &self.bar {
            Some(bar) => {
                bar.set_length(self.all.max(events));
                bar.set_position(events);
                if day > self.day {
                    self.day = day;
                    bar.set_message(at.timestamp().strftime("%Y-%m-%d").to_string());
                }
            }
            None if self.silent.passed() => {
                eprintln!("{events} of about {} events, {}", self.all, at.timestamp().strftime("%Y-%m-%d"));
                self.silent = Deadline::after(SILENCE);
            }
            None => {}
        }
    }

    fn clear(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn account(app: &App, plan: &Plan, versions: &[(String, bool)], tally: &Tally) -> String {
    let range = plan.range();
    let bad = versions.iter().find(|(_, bad)| *bad).map_or("none", |(version, _)| version.as_str());
    let rate = tally.events as f64 / tally.seconds.max(0.001);
    let values = table::labelled(&[
        ("app", app.slug.to_string()),
        ("from", table::time(range.from)),
        ("to", table::time(range.to)),
        ("seed", plan.seed.to_string()),
        ("versions", format!("{}, of which {bad} crashes", versions.len())),
        ("requests", tally.requests.to_string()),
        ("events", tally.events.to_string()),
        ("stored", tally.stored.to_string()),
        ("duplicates", tally.duplicates.to_string()),
        ("set aside", tally.set_aside.to_string()),
        ("took", format!("{:.1} s, {rate:.0} events/s", tally.seconds)),
    ]);
    format!("{values}\nNext: start the server and look at /apps/{}\n", app.slug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_a_moment_or_a_day() {
        let at = Millis(1_774_915_200_000);
        for text in ["2026-03-31", "2026-03-31T00:00:00Z", "2026-03-31T02:00:00+02:00"] {
            assert_eq!(moment(text), Ok(at), "{text}");
        }
        for text in ["", "yesterday", "2026-02-30"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
