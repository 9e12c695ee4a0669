//! The verbs `export` and `import`: an app's rows as files, and events out of such files.

mod erased;
mod foreign;
mod import;

use anyhow::{Context, bail};
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::{app, keeping, open, progress, table};
use crate::clock::Clock;
use crate::config::{Config, Place};
use crate::depot::Depot;
use crate::model::{Kept, Millis, RecordFormat, TimeRange};
use crate::pruning::{Archive, Parcel, lay};

pub use import::{Import, import};

#[derive(Debug, clap::Args)]
pub struct Export {
    /// Short name or UUID of the app.
    app: String,
    /// Where the files go: a folder, or s3://BUCKET/PREFIX.
    #[arg(value_name = "PLACE", value_parser = Place::parse)]
    into: Place,
    /// Only of this environment [default: of all].
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
    /// First day, in universal time [default: the oldest there is].
    #[arg(long, value_name = "DATE", value_parser = day)]
    from: Option<i64>,
    /// Last day, in universal time [default: today].
    #[arg(long, value_name = "DATE", value_parser = day)]
    to: Option<i64>,
    /// What: events, sessions or set-aside; may be said more than once.
    #[arg(long, value_name = "KIND", value_parser = kind, default_value = "events")]
    what: Vec<Kept>,
    /// How: ndjson, which `tallybox import` reads, or parquet, where that is built in.
    #[arg(long, value_name = "FORMAT", value_parser = RecordFormat::parse, default_value = "ndjson")]
    format: RecordFormat,
}

fn day(text: &str) -> Result<i64, String> {
    let date = text.parse::<Date>().and_then(|date| date.to_zoned(TimeZone::UTC));
    let midnight = date.map_err(|_| "not a day such as 2026-03-31".to_owned())?;
    Ok(midnight.timestamp().as_millisecond().div_euclid(Millis::DAY))
}

fn kind(text: &str) -> Result<Kept, String> {
    Kept::parse(text).ok_or_else(|| "not one of events, sessions, set-aside".to_owned())
}

/// The depot at a place, with the keys that the settings have.
fn depot(config: &Config, place: &Place) -> anyhow::Result<Depot> {
    Depot::open(place, config.storage_access().as_ref()).with_context(|| format!("{place} cannot be used"))
}

/// Runs the verb `export` on the configured database, beside a running server or without one.
pub fn export(config: &Config, args: &Export) -> anyhow::Result<()> {
    let store = open::store(config)?;
    let archive = Archive { depot: depot(config, &args.into)?, format: args.format };
    let app = app::find(&*store, &args.app)?;
    let chosen = keeping::environments(&app, args.env.as_deref())?;
    let today = Clock::system().now().0.div_euclid(Millis::DAY);
    let last = args.to.unwrap_or(today).min(today);
    let bar = progress::bar("days");
    let (mut rows, mut bytes, mut files) = (0, 0, 0);
    for environment in app.environments.iter().filter(|environment| chosen.contains(&environment.id)) {
        for kind in &args.what {
            let of = (environment.id, *kind);
            let Some(oldest) = store.oldest(of, Millis((last + 1) * Millis::DAY))? else { continue };
            let first = args.from.unwrap_or(i64::MIN).max(oldest.0.div_euclid(Millis::DAY));
            for day in first..=last {
                let range = TimeRange { from: Millis(day * Millis::DAY), to: Millis((day + 1) * Millis::DAY) };
                if let Some(laid) = lay(&*store, &archive, Parcel { app: &app, environment, kind: *kind, range })? {
                    (rows, bytes, files) = (rows + laid.rows, bytes + laid.bytes, files + 1);
                }
                if let Some(bar) = &bar {
                    bar.set_length(u64::try_from(last - first + 1).unwrap_or(0));
                    bar.set_position(u64::try_from(day - first + 1).unwrap_or(0));
                    bar.set_message(format!("{} {}", environment.slug, kind.as_str()));
                }
            }
        }
    }
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    if files == 0 {
        bail!("there is nothing of that in {}", app.slug);
    }
    table::print(&format!("{rows} rows, {files} files, {bytes} bytes: {}\n", archive.depot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_kinds_are_read_as_they_are_written() {
        assert_eq!(day("1970-01-11"), Ok(10));
        assert_eq!(kind("set-aside"), Ok(Kept::SetAside));
        for text in ["", "today", "2026-02-30"] {
            assert!(day(text).is_err() && kind(text).is_err(), "{text}");
        }
    }
}
