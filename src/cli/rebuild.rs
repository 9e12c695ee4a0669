//! The verb `rebuild`: counts the summaries anew from what they summarise, holds what is settled against its events, tells
//! what differs, and mends it if asked to.

use anyhow::bail;

use super::{app, open, table};
use crate::config::Config;
use crate::model::{App, Dimension, Environment, LENGTHS};
use crate::rollup::Measures;
use crate::store::{Recount, Store, SummaryDifference};

/// Rows that are told one by one of each environment.
const TOLD: usize = 20;

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only this app, by short name or UUID.
    #[arg(long, value_name = "APP")]
    app: Option<String>,
    /// Write what was counted where it differs. Without it nothing is changed.
    #[arg(long)]
    write: bool,
}

/// Runs the verb on the configured database, beside a running server or without one. Ends with an error where something
/// differs and was not mended.
pub fn run(config: &Config, args: &Args) -> anyhow::Result<()> {
    let store = open::store(config)?;
    let apps = match &args.app {
        Some(name) => vec![app::find(&*store, name)?],
        None => store.apps()?,
    };
    let mut found = 0;
    for app in &apps {
        for environment in &app.environments {
            let account = environment_of(&*store, (app, environment), args)?;
            table::print(&account.text)?;
            found += account.differences;
        }
    }
    match (found, args.write) {
        (0, _) => table::print("all summaries are what was counted\n"),
        (_, true) => table::print("mended\n"),
        (_, false) => {
            bail!("rows and settled days that differ: {found}; `tallybox rebuild --write` writes what was counted")
        }
    }
}

struct Account {
    text: String,
    /// Rows, and settled days.
    differences: usize,
}

fn environment_of(store: &dyn Store, (app, environment): (&App, &Environment), args: &Args) -> anyhow::Result<Account> {
    let mut text = String::new();
    let (mut differences, mut settled) = (0, 0);
    let (first, last) = store.summary_days(environment.id)?.unwrap_or((0, -1));
    for day in first..=last {
        let asked = Recount { environment: environment.id, zone: app.zone.clone(), day };
        let found = if args.write { store.mend(&asked)? } else { store.recount(&asked)? };
        for difference in found.iter().take(TOLD.saturating_sub(differences)) {
            text += &told(difference);
        }
        differences += found.len();
        // What was mended is made anew anyway.
        settled += usize::from(!args.write && !store.settled_holds(environment.id, day)?);
    }
    if differences > TOLD {
        text += &format!("  and {} more\n", differences - TOLD);
    }
    let days = last - first + 1;
    let erased = match store.erased_days(environment.id)? {
        0 => String::new(),
        days => format!(", days with erased people {days}, whose counts stay"),
    };
    let unlike = if settled == 0 { String::new() } else { format!(", settled days that differ {settled}") };
    let head =
        format!("{}/{}: days {days}, rows that differ {differences}{unlike}{erased}\n", app.slug, environment.slug);
    Ok(Account { text: head + &text, differences: differences + settled })
}

/// One line: where, and each number that differs.
fn told(difference: &SummaryDifference) -> String {
    let key = &difference.key;
    let dimension = Dimension::SUMMARISED.iter().find(|(_, code)| *code == key.dimension);
    let dimension = match dimension {
        Some((dimension, _)) => dimension.to_string(),
        None if key.dimension == LENGTHS => "session length".to_owned(),
        None => key.dimension.to_string(),
    };
    let at = key.bucket.start().timestamp();
    let pairs = Measures::COLUMNS.iter().zip(difference.stored.values()).zip(difference.counted.values());
    let numbers: Vec<_> = pairs
        .filter(|((_, stored), counted)| stored != counted)
        .map(|((column, stored), counted)| format!("{column} {stored}, counted {counted}"))
        .collect();
    format!("  {} {at} {dimension} {}: {}\n", difference.table.name(), key.value, numbers.join("; "))
}
