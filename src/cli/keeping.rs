//! The verb `app retention`: for how long an app's environments keep what.

use anyhow::{Context, bail};

use super::{app, table};
use crate::model::{App, By, Choice, EnvironmentId, Keeping, Kept, MOST_DAYS, Millis};
use crate::store::Store;

/// What is chosen on the command line.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Short name or UUID of the app.
    app: String,
    /// Only in this environment [default: in all].
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
    /// How long events are kept: a number of days, `forever`, or `box` for the box's setting.
    #[arg(long, value_name = "DAYS", value_parser = days)]
    events: Option<Days>,
    /// How long sessions are kept; never less than events.
    #[arg(long, value_name = "DAYS", value_parser = days)]
    sessions: Option<Days>,
    /// How long events that were set aside are kept.
    #[arg(long, value_name = "DAYS", value_parser = days)]
    set_aside: Option<Days>,
}

/// Days, 0 for ever; none as the box is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Days(Option<u32>);

fn days(text: &str) -> Result<Days, String> {
    match text {
        "box" => Ok(Days(None)),
        "forever" | "0" => Ok(Days(Some(0))),
        text => match text.parse() {
            Ok(days) if days <= MOST_DAYS => Ok(Days(Some(days))),
            _ => Err(format!("not a number of days up to {MOST_DAYS}, `forever` or `box`")),
        },
    }
}

/// Changes what is to be changed, and tells what holds then.
pub fn answer(store: &dyn Store, args: &Args, now: Millis) -> anyhow::Result<String> {
    let app = app::find(store, &args.app)?;
    let environments = environments(&app, args.env.as_deref())?;
    let wanted = [(Kept::Events, args.events), (Kept::Sessions, args.sessions), (Kept::SetAside, args.set_aside)];
    let kinds: Vec<_> = wanted.into_iter().filter_map(|(kind, days)| Some((kind, days?.0))).collect();
    if !kinds.is_empty() {
        let choice = Choice { app: app.id, environments: environments.clone(), kinds };
        store.choose_keeping(&choice, &By::command_line(now))?;
    }
    let kept = store.keeping()?;
    let rows =
        kept.iter().filter(|kept| environments.contains(&kept.environment)).map(|kept| row(&app, kept)).collect();
    Ok(table::columns(["ENVIRONMENT", "WHAT", "DAYS", "CHOSEN BY", "GONE BEFORE"], rows))
}

/// The environment of that name, or all.
pub fn environments(app: &App, slug: Option<&str>) -> anyhow::Result<Vec<EnvironmentId>> {
    let Some(slug) = slug else { return Ok(app.environments.iter().map(|environment| environment.id).collect()) };
    match app.environment(slug) {
        Some(environment) => Ok(vec![environment.id]),
        None => bail!("{} has no environment {slug}", app.slug),
    }
}

/// What an environment of an app is called.
pub fn slug_of(app: &App, environment: EnvironmentId) -> anyhow::Result<String> {
    let found = app.environments.iter().find(|one| one.id == environment);
    Ok(found.context("the app has no such environment")?.slug.to_string())
}

/// A UTC day since 1970 as it is written.
pub fn date(day: i64) -> String {
    Millis(day * Millis::DAY).timestamp().strftime("%Y-%m-%d").to_string()
}

fn row(app: &App, kept: &Keeping) -> [String; 5] {
    [
        slug_of(app, kept.environment).unwrap_or_default(),
        kept.kind.as_str().to_owned(),
        if kept.days == 0 { "forever".to_owned() } else { kept.days.to_string() },
        if kept.chosen.is_some() { "the app" } else { "the box" }.to_owned(),
        if kept.gone_before == 0 { "nothing".to_owned() } else { date(kept.gone_before) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_a_number_or_a_word() {
        for (text, found) in
            [("30", Some(Some(30))), ("forever", Some(Some(0))), ("0", Some(Some(0))), ("box", Some(None))]
        {
            assert_eq!(days(text).ok().map(|days| days.0), found, "{text}");
        }
        for text in ["", "-1", "36501", "ever", "1.5"] {
            assert!(days(text).is_err(), "{text}");
        }
    }
}
