//! Tiers: how much the apps in them may send.

use super::TierId;

/// The figures of a tier; without one there is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Requests with one key, a minute.
    pub key: Option<u32>,
    /// Requests to one app, a minute.
    pub app: Option<u32>,
    /// Requests with public keys of one app from one client network, a minute.
    pub network: Option<u32>,
    /// Events to one app, a UTC day.
    pub day: Option<u64>,
}

impl Figures {
    /// Largest figure of requests a minute: a million a second.
    pub const MOST_REQUESTS: u32 = 60_000_000;
    /// Largest figure of events a day.
    pub const MOST_EVENTS: u64 = 1_000_000_000_000;
}

/// A name for figures, which any number of apps share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Row.
    pub id: TierId,
    /// Unique on the box, without regard to case.
    pub name: String,
    /// What it allows.
    pub figures: Figures,
    /// Whether it is that of apps for which none was chosen. One tier is.
    pub usual: bool,
    /// Apps for which it was chosen.
    pub apps: u64,
}

/// A tier as somebody wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTier {
    /// The one to change; without it a new one is made.
    pub id: Option<TierId>,
    /// Its name, 1 to 40 characters.
    pub name: String,
    /// What it is to allow.
    pub figures: Figures,
}

/// What stands in the way of a tier's end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TierEnd {
    /// Nothing: it is gone.
    Deleted,
    /// Apps are in it.
    InUse,
    /// Apps for which none was chosen are in it.
    Usual,
}
