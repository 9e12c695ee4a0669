//! The form in which an order to clients is written, and what they hear of it.

use crate::model::{
    App, EnvironmentId, Millis, NewOrder, Order, Quiet, Share, StandingOrder, VersionScope, Words, Zone, parse_flush,
    parse_names,
};

use super::form::Fields;

/// How a form writes an instant, in the app's time zone: as browsers do.
const TIME: &str = "%Y-%m-%dT%H:%M";

/// The fields of the form.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blank {
    /// Short name; empty for all.
    pub environment: String,
    /// `all`, `below` or `exactly`.
    pub versions: String,
    /// Which version.
    pub version: String,
    /// `go`, `pause` or `stop`.
    pub sending: String,
    /// When a pause ends, in the app's time zone; empty where somebody has to lift it.
    pub until: String,
    /// In percent.
    pub sample: String,
    /// One a line.
    pub names: String,
    /// In seconds.
    pub flush: String,
}

impl Blank {
    /// As it was sent.
    pub fn typed(fields: &Fields) -> Self {
        let text = |name: &str| fields.get(name).to_owned();
        Self {
            environment: text("environment"),
            versions: text("versions"),
            version: text("version"),
            sending: text("sending"),
            until: text("until"),
            sample: text("sample"),
            names: text("names"),
            flush: text("flush"),
        }
    }

    /// Filled in with an order that was given.
    pub fn of(order: &StandingOrder, app: &App) -> Self {
        let Order { sampling, flush_interval, quiet, .. } = &order.order;
        let (sending, until) = match quiet {
            None => ("go", None),
            Some(Quiet::Paused(until)) => ("pause", *until),
            Some(Quiet::Stopped) => ("stop", None),
        };
        let local = |at: Millis| at.timestamp().to_zoned(app.zone.tz().clone()).strftime(TIME).to_string();
        Self {
            environment: order.environment.map(|environment| slug(app, environment)).unwrap_or_default(),
            versions: order.versions.kind().to_owned(),
            version: order.versions.version().to_owned(),
            sending: sending.to_owned(),
            until: until.map(local).unwrap_or_default(),
            sample: sampling.map(|share| share.to_string()).unwrap_or_default(),
            names: order.order.listed().join("\n"),
            flush: flush_interval.map(|seconds| seconds.to_string()).unwrap_or_default(),
        }
    }
}

/// Reads the form.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn read(fields: &Fields, app: &App, now: Millis) -> Result<NewOrder, String> {
    let environment = match fields.get("environment") {
        "" => None,
        slug => Some(app.environment(slug).ok_or("There is no such environment.")?.id),
    };
    let versions = VersionScope::parse(fields.get("versions"), fields.get("version"))?;
    let given = |name| Some(fields.get(name).trim()).filter(|text| !text.is_empty());
    let quiet = match (fields.get("sending"), given("until")) {
        ("go", None) => None,
        ("pause", until) => Some(Quiet::Paused(until.map(|text| instant(text, &app.zone, now)).transpose()?)),
        ("stop", None) => Some(Quiet::Stopped),
        ("go" | "stop", Some(_)) => return Err("Only a pause has an end.".to_owned()),
        _ => return Err("Say whether clients go on, pause or stop.".to_owned()),
    };
    let sampling = given("sample").map(|text| {
        Share::parse(text).ok_or("A sample is more than 0 and less than 100 percent, with two decimals at the most.")
    });
    let order = Order {
        sampling: sampling.transpose()?,
        names: parse_names(fields.get("names").lines())?,
        flush_interval: given("flush").map(parse_flush).transpose()?,
        quiet,
    };
    if order.is_empty() {
        return Err("Order something: a sample, names of events, how often to send, a pause or a stop.".to_owned());
    }
    Ok(NewOrder { app: app.id, environment, versions, order })
}

fn instant(text: &str, zone: &Zone, now: Millis) -> Result<Millis, String> {
    let read = text.parse::<jiff::civil::DateTime>().ok().and_then(|at| at.to_zoned(zone.tz().clone()).ok());
    let at = read.ok_or_else(|| format!("`{text}` is no time such as 2026-11-27T18:00."))?;
    let at = Millis::from(at.timestamp());
    if at > now { Ok(at) } else { Err("The end of the pause is over already.".to_owned()) }
}

/// For whom an order is, in words.
pub fn whom(versions: &VersionScope, environment: Option<EnvironmentId>, app: &App) -> String {
    match environment {
        None => format!("{versions}, every environment"),
        Some(environment) => format!("{versions}, {}", slug(app, environment)),
    }
}

fn slug(app: &App, environment: EnvironmentId) -> String {
    let found = app.environments.iter().find(|own| own.id == environment);
    found.map(|environment| environment.slug.to_string()).unwrap_or_default()
}

/// What the clients of one protocol hear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heard {
    /// Its name.
    pub protocol: &'static str,
    /// One sentence or two each.
    pub words: Vec<&'static str>,
}

/// What clients hear of an order, by protocol. Nothing of a sample or a list: what is not kept is answered as taken.
pub fn heard(order: &Order, words: &[(&'static str, Words)]) -> Vec<Heard> {
    let by_protocol = words.iter().map(|(protocol, words)| {
        let quiet = order.quiet.map(|quiet| match quiet {
            Quiet::Paused(_) => words.pause,
            Quiet::Stopped => words.stop,
        });
        let flush = order.flush_interval.map(|_| words.flush.unwrap_or("It cannot be told how often to send."));
        Heard { protocol, words: quiet.into_iter().chain(flush).collect() }
    });
    by_protocol.filter(|heard| !heard.words.is_empty()).collect()
}

#[cfg(test)]
mod tests;
