//! The verbs `etiquette list`, `etiquette set` and `etiquette lift`: what an app's clients are ordered to do.

use anyhow::{Context, bail};
use clap::Subcommand;

use super::{app, keeping, key, open, table};
use crate::clock::Clock;
use crate::config::Config;
use crate::model::{
    App, By, EnvironmentId, Millis, NewOrder, Order, OrderId, Quiet, Share, StandingOrder, VersionScope, parse_flush,
    parse_names,
};
use crate::store::{Store, StoreError};

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// List the orders to the clients of an app, or of all apps.
    List {
        /// Short name or UUID of the app.
        app: Option<String>,
    },
    /// Order the clients of an app what to send and when to be quiet, in place of the order for the same ones.
    Set(SetArgs),
    /// Lift an order.
    Lift {
        /// Short name or UUID of the app.
        app: String,
        /// Number of the order, as `etiquette list` shows it.
        order: i64,
    },
}

/// What is ordered, and to whom.
#[derive(Debug, clap::Args)]
pub struct SetArgs {
    /// Short name or UUID of the app.
    app: String,
    /// Only in this environment [default: in all].
    #[arg(long, value_name = "ENVIRONMENT")]
    env: Option<String>,
    /// Only to versions with a lower number than this one.
    #[arg(long, value_name = "VERSION", conflicts_with = "exactly")]
    below: Option<String>,
    /// Only to the version of this very name.
    #[arg(long, value_name = "VERSION")]
    exactly: Option<String>,
    /// Keep what this share of users does, else of sessions, else of events.
    #[arg(long, value_name = "PERCENT", value_parser = share)]
    sample: Option<Share>,
    /// Keep events of this name alone; may be given more than once.
    #[arg(long, value_name = "EVENT")]
    only: Vec<String>,
    /// Ask clients to send every so many seconds, where their protocol has words for it.
    #[arg(long, value_name = "SECONDS", value_parser = parse_flush)]
    flush: Option<u32>,
    /// Keep nothing for a while: for a time such as 90m, 24h or 7d, until an instant such as 2026-11-27T18:00:00Z, or
    /// until it is lifted.
    #[arg(
        long,
        value_name = "END",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "",
        conflicts_with = "stop"
    )]
    pause: Option<String>,
    /// Keep nothing any more, and tell clients to be quiet.
    #[arg(long)]
    stop: bool,
}

fn share(text: &str) -> Result<Share, String> {
    Share::parse(text).ok_or_else(|| "a share is more than 0 and less than 100 percent, such as 2.5".to_owned())
}

/// Runs the verb on the configured database.
pub fn run(config: &Config, verb: &Verb) -> anyhow::Result<()> {
    let store = open::store(config)?;
    table::print(&answer(&*store, verb, Clock::system().now())?)
}

fn answer(store: &dyn Store, verb: &Verb, now: Millis) -> anyhow::Result<String> {
    match verb {
        Verb::List { app: None } => list(store, &store.apps()?, now),
        Verb::List { app: Some(name) } => list(store, &[app::find(store, name)?], now),
        Verb::Set(args) => set(store, args, now),
        Verb::Lift { app: name, order } => {
            let app = app::find(store, name)?;
            match store.lift_order(app.id, OrderId(*order), &By::command_line(now)) {
                Err(StoreError::NotFound(_)) => {
                    bail!("{0} has no order {order}; `tallybox etiquette list {0}` shows all", app.slug)
                }
                done => done?,
            }
            Ok(format!("Order {order} is lifted; servers know within a second.\n"))
        }
    }
}

fn list(store: &dyn Store, apps: &[App], now: Millis) -> anyhow::Result<String> {
    let mut rows = Vec::new();
    for app in apps {
        for order in store.orders(app.id)?.0 {
            rows.push(row(app, &order, now)?);
        }
    }
    if rows.is_empty() {
        return Ok("nothing is ordered\n".to_owned());
    }
    Ok(table::columns(["ORDER", "APP", "ENVIRONMENT", "TO", "WHAT", "SINCE", "BY"], rows))
}

fn row(app: &App, order: &StandingOrder, now: Millis) -> anyhow::Result<[String; 7]> {
    let environment = match order.environment {
        None => "all".to_owned(),
        Some(environment) => keeping::slug_of(app, environment)?,
    };
    let what = told(&order.order);
    Ok([
        order.id.to_string(),
        app.slug.to_string(),
        environment,
        order.versions.to_string(),
        table::printable(&if order.is_over(now) { format!("{what} (over)") } else { what }),
        table::time(order.since),
        order.member.clone(),
    ])
}

fn set(store: &dyn Store, args: &SetArgs, now: Millis) -> anyhow::Result<String> {
    let app = app::find(store, &args.app)?;
    let new = NewOrder {
        app: app.id,
        environment: args.env.as_deref().map(|slug| environment(&app, slug)).transpose()?,
        versions: scope(args).map_err(anyhow::Error::msg)?,
        order: order(args, now)?,
    };
    if new.order.is_empty() {
        bail!("say what to order: --sample, --only, --flush, --pause or --stop");
    }
    let id = match store.give_order(&new, &By::command_line(now)) {
        Err(StoreError::NoRoom(_)) => bail!("{} has as many orders as there may be; lift some first", app.slug),
        done => done?,
    };
    Ok(format!(
        "Order {id} to {} of {}: {}.\nServers know within a second.\n",
        new.versions,
        app.slug,
        table::printable(&told(&new.order))
    ))
}

fn environment(app: &App, slug: &str) -> anyhow::Result<EnvironmentId> {
    let found = app.environment(slug).with_context(|| format!("{} has no environment {slug}", app.slug));
    Ok(found?.id)
}

fn scope(args: &SetArgs) -> Result<VersionScope, &'static str> {
    match (&args.below, &args.exactly) {
        (Some(version), _) => VersionScope::parse("below", version),
        (None, Some(version)) => VersionScope::parse("exactly", version),
        (None, None) => Ok(VersionScope::All),
    }
}

fn order(args: &SetArgs, now: Millis) -> anyhow::Result<Order> {
    let quiet = match &args.pause {
        _ if args.stop => Some(Quiet::Stopped),
        Some(end) => Some(Quiet::Paused(self::end(end, now)?)),
        None => None,
    };
    let names = parse_names(args.only.iter().map(String::as_str)).map_err(anyhow::Error::msg)?;
    Ok(Order { sampling: args.sample, names, flush_interval: args.flush, quiet })
}

/// When a pause ends, if it ends by itself.
fn end(text: &str, now: Millis) -> anyhow::Result<Option<Millis>> {
    if text.is_empty() {
        return Ok(None);
    }
    let end = match text.parse::<jiff::Timestamp>() {
        Ok(at) => Millis::from(at),
        Err(_) => {
            let length = key::duration(text).ok().and_then(|length| i64::try_from(length.as_millis()).ok());
            now.plus(length.with_context(|| format!("`{text}` is no time such as 24h or 2026-11-27T18:00:00Z"))?)
        }
    };
    if end <= now {
        bail!("the end of the pause is over already");
    }
    Ok(Some(end))
}

fn told(order: &Order) -> String {
    order.told(|at| format!("{} UTC", table::time(at))).join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = Millis(1_800_000_000_000);

    #[test]
    fn a_pause_ends_after_a_time_or_at_one() {
        for (text, ends) in [
            ("", None),
            ("90m", Some(NOW.plus(90 * Millis::MINUTE))),
            ("2027-01-15T09:00:00Z", Some(NOW.plus(Millis::HOUR))),
            ("2027-01-15T09:00:00+00:30", Some(NOW.plus(Millis::HOUR / 2))),
        ] {
            assert_eq!(end(text, NOW).unwrap(), ends, "{text}");
        }
        for text in ["0h", "2027-01-15T08:00:00Z", "soon", "1y", "2027-01-15"] {
            assert!(end(text, NOW).is_err(), "{text}");
        }
    }
}
