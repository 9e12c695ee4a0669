//! Client etiquette: what an app's clients are ordered to send, how often, and what is kept of it.

mod scope;
mod share;

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{AppId, EnvironmentId, Millis, OrderId};

pub use scope::VersionScope;
pub use share::Share;

/// Most orders of one app.
pub const MOST_ORDERS: usize = 50;
/// Most names of events that one order lists.
pub const MOST_NAMES: usize = 100;
/// Longest of them, in bytes: names that are stored are no longer.
const LONGEST_NAME: usize = 200;
/// Longest time between two sendings that can be ordered, in seconds.
pub const LONGEST_FLUSH: u32 = 3_600;

/// Whether clients are to be quiet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quiet {
    /// For a while: until then, or until somebody lifts it.
    Paused(Option<Millis>),
    /// For good, as far as anybody knows.
    Stopped,
}

impl Quiet {
    /// Whether it holds at an instant.
    fn holds(self, now: Millis) -> bool {
        match self {
            Self::Paused(Some(until)) => now < until,
            Self::Paused(None) | Self::Stopped => true,
        }
    }

    /// The more severe the larger.
    fn severity(self) -> (u8, Millis) {
        match self {
            Self::Paused(Some(until)) => (0, until),
            Self::Paused(None) => (1, Millis(0)),
            Self::Stopped => (2, Millis(0)),
        }
    }
}

/// What is ordered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// Of how many people, sessions or events something is kept; of all without.
    pub sampling: Option<Share>,
    /// The names of the events that are kept; all without. Shared, since orders are put together for each request.
    pub names: Option<Arc<BTreeSet<String>>>,
    /// How long clients gather events before they send them, in seconds.
    pub flush_interval: Option<u32>,
    /// Whether nothing is kept, and clients are told to be quiet.
    pub quiet: Option<Quiet>,
}

impl Order {
    /// Whether it asks for nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether nothing is kept at an instant.
    pub fn is_quiet(&self, now: Millis) -> bool {
        self.quiet.is_some_and(|quiet| quiet.holds(now))
    }

    /// Until when nothing is kept, where that ends by itself.
    pub fn paused_until(&self) -> Option<Millis> {
        match self.quiet {
            Some(Quiet::Paused(until)) => until,
            Some(Quiet::Stopped) | None => None,
        }
    }

    /// Why an event is not kept, if it is not. Of one that could not be read there may be no name; `hash` is that of its
    /// user, else of its session, else of the event itself.
    pub fn withholds(&self, name: Option<&str>, hash: impl FnOnce() -> [u8; 16]) -> Option<Withheld> {
        match self.quiet {
            Some(Quiet::Stopped) => return Some(Withheld::Stopped),
            Some(Quiet::Paused(_)) => return Some(Withheld::Paused),
            None => {}
        }
        if let (Some(names), Some(name)) = (&self.names, name)
            && !names.contains(name)
        {
            return Some(Withheld::Unlisted);
        }
        self.sampling.is_some_and(|share| !share.holds(hash())).then_some(Withheld::Sampled)
    }

    /// The names that it lists, in order; none where all are kept.
    pub fn listed(&self) -> Vec<&str> {
        self.names.iter().flat_map(|names| names.iter()).map(String::as_str).collect()
    }

    /// The stricter of both in everything.
    fn and(self, other: &Self) -> Self {
        Self {
            sampling: [self.sampling, other.sampling].into_iter().flatten().min(),
            names: match (self.names, &other.names) {
                (Some(own), Some(others)) => Some(Arc::new(own.intersection(others).cloned().collect())),
                (own, others) => own.or_else(|| others.clone()),
            },
            flush_interval: self.flush_interval.max(other.flush_interval),
            quiet: [self.quiet, other.quiet].into_iter().flatten().max_by_key(|quiet| quiet.severity()),
        }
    }

    /// What is ordered, each in a few words; `time` writes an instant.
    pub fn told(&self, time: impl Fn(Millis) -> String) -> Vec<String> {
        let mut told = Vec::new();
        match self.quiet {
            Some(Quiet::Stopped) => told.push("stopped".to_owned()),
            Some(Quiet::Paused(None)) => told.push("paused until it is lifted".to_owned()),
            Some(Quiet::Paused(Some(until))) => told.push(format!("paused until {}", time(until))),
            None => {}
        }
        if let Some(share) = self.sampling {
            told.push(format!("a sample of {share}"));
        }
        if self.names.is_some() {
            told.push(format!("only {}", self.listed().join(", ")));
        }
        if let Some(seconds) = self.flush_interval {
            told.push(format!("sent every {seconds} s"));
        }
        told
    }
}

/// Reads names of events, one a line; none where there are none.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn parse_names<'a>(lines: impl Iterator<Item = &'a str>) -> Result<Option<Arc<BTreeSet<String>>>, String> {
    let names: BTreeSet<String> = lines.map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect();
    if names.len() > MOST_NAMES {
        return Err(format!("An order lists at most {MOST_NAMES} names of events."));
    }
    if names.iter().any(|name| name.len() > LONGEST_NAME || name.chars().any(char::is_control)) {
        return Err(format!("A name of an event has at most {LONGEST_NAME} bytes, and no control characters."));
    }
    Ok(Some(Arc::new(names)).filter(|names| !names.is_empty()))
}

/// Reads a flush interval in seconds.
///
/// # Errors
/// What is wrong, in a sentence.
pub fn parse_flush(text: &str) -> Result<u32, String> {
    let seconds = text.trim().parse().ok().filter(|seconds| (1..=LONGEST_FLUSH).contains(seconds));
    seconds.ok_or_else(|| format!("A flush interval is a whole number of seconds from 1 to {LONGEST_FLUSH}."))
}

/// An order to be given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// To the clients of which app.
    pub app: AppId,
    /// In which environment; in all without.
    pub environment: Option<EnvironmentId>,
    /// Of which versions.
    pub versions: VersionScope,
    /// What.
    pub order: Order,
}

/// An order that was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandingOrder {
    /// Row.
    pub id: OrderId,
    /// In which environment it holds; in all without.
    pub environment: Option<EnvironmentId>,
    /// For which versions.
    pub versions: VersionScope,
    /// What is ordered.
    pub order: Order,
    /// Since when.
    pub since: Millis,
    /// Who gave it.
    pub member: String,
}

impl StandingOrder {
    /// Whether nothing of it is left: it was a pause alone, and that is over.
    pub fn is_over(&self, now: Millis) -> bool {
        let rest = Order { quiet: None, ..self.order.clone() };
        rest.is_empty() && !self.order.is_quiet(now)
    }
}

/// All orders of an app, as requests are held against them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Orders(pub Vec<StandingOrder>);

impl Orders {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What holds at an instant for clients of a version in an environment: the strictest of all orders that are for
    /// them. A client that does not tell its version gets the orders for all.
    pub fn for_version(&self, environment: EnvironmentId, version: Option<&str>, now: Millis) -> Order {
        let for_them = self
            .0
            .iter()
            .filter(|order| order.environment.is_none_or(|own| own == environment) && order.versions.holds(version));
        for_them.fold(Order::default(), |all, one| {
            let quiet = one.order.quiet.filter(|quiet| quiet.holds(now));
            all.and(&Order { quiet, ..one.order.clone() })
        })
    }
}

/// Why an event is not kept, though nothing is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Withheld {
    /// It is not in the sample.
    Sampled,
    /// Its name is not listed.
    Unlisted,
    /// Its app is paused.
    Paused,
    /// Its app is stopped.
    Stopped,
}

impl Withheld {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Sampled, Self::Unlisted, Self::Paused, Self::Stopped];

    /// As counted in the store and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sampled => "sampled",
            Self::Unlisted => "unlisted",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }

    /// On pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Sampled => "Not in the sample",
            Self::Unlisted => "Not among the listed events",
            Self::Paused => "While paused",
            Self::Stopped => "While stopped",
        }
    }
}

/// What clients of one protocol hear of orders, in words for whoever gives them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words {
    /// What a client is told whose events are not kept, for a while.
    pub pause: &'static str,
    /// The same for good.
    pub stop: &'static str,
    /// What it is told of how often it sends, where it can be told.
    pub flush: Option<&'static str>,
}

impl Words {
    /// Those of a protocol without any words for it.
    pub const NONE: Self = Self {
        pause: "Its events are answered as taken. The protocol has no words for more, so it goes on sending.",
        stop: "Its events are answered as taken. The protocol has no words for more, so it goes on sending.",
        flush: None,
    };
}

#[cfg(test)]
mod tests;
