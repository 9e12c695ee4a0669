//! Funnels: how many users get from one event to the next, and the funnels that are saved by name.

use std::sync::Arc;

use uuid::Uuid;

use super::{By, Dimension, EnvironmentId, Filters, Millis, Period};

/// One step of a funnel: an event of that name that the filters keep.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FunnelStep {
    /// The event's name.
    pub event: Arc<str>,
    /// What else must hold for it.
    pub filters: Filters,
}

/// How many users take some steps in their order.
///
/// What a user did under one name in one instant is one event, which may be any step that one of them could be. Events
/// are in the order of their time; those of one instant in the order of the first step that each could be. A run begins
/// with any event of the first step that lies in the period. Its next step is the first event of that step behind the
/// one before, if that is at most `window` after the run's first event. A user has reached a step if one of their runs
/// has.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FunnelAsk {
    /// [`FunnelAsk::FEWEST`] to [`FunnelAsk::MOST`] steps.
    pub steps: Vec<FunnelStep>,
    /// Longest time from the first step to the last in milliseconds, [`FunnelAsk::SHORTEST`] to [`FunnelAsk::LONGEST`].
    pub window: i64,
    /// When a run may begin. It may end up to `window` later.
    pub period: Period,
    /// What must hold for the events of all steps.
    pub filters: Filters,
    /// What users are told apart by: the value of the first event of the run that first took them furthest.
    pub by: Option<Dimension>,
}

impl FunnelAsk {
    /// Fewest steps.
    pub const FEWEST: usize = 2;
    /// Most steps.
    pub const MOST: usize = 8;
    /// Shortest window in milliseconds.
    pub const SHORTEST: i64 = Millis::MINUTE;
    /// Longest window in milliseconds.
    pub const LONGEST: i64 = 90 * Millis::DAY;
    /// Most values that users are told apart by; all others are counted together.
    pub const VALUES: usize = 8;

    /// Whether steps and window are within their bounds.
    pub fn fits(&self) -> bool {
        (Self::FEWEST..=Self::MOST).contains(&self.steps.len())
            && (Self::SHORTEST..=Self::LONGEST).contains(&self.window)
    }
}

/// How far users got.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Funnel {
    /// Each step.
    pub steps: Vec<Reached>,
    /// The values with the most users at the first step, most first; empty where users are not told apart.
    pub values: Vec<FunnelRow>,
    /// The users of all other values together, and how many values that are; `None` where there are no others.
    pub others: Option<(u64, Vec<i64>)>,
}

/// Who reached a step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reached {
    /// Different users.
    pub users: i64,
    /// Half of them took at most so long from the step before, in milliseconds, in the run that first took them here
    /// (of several that did in the same event, the one that began last). `None` of the first step, and of no users.
    pub median: Option<i64>,
}

/// The users of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunnelRow {
    /// The value; `None` where events do not say.
    pub value: Option<String>,
    /// How many of them reached each step.
    pub users: Vec<i64>,
}

/// A funnel that is kept by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SavedFunnel {
    /// Its id.
    pub id: Uuid,
    /// What it is called; no other of its environment is called the same.
    pub name: String,
    /// What it asks, as the query string of an address.
    pub query: String,
    /// When it was saved last.
    pub saved_at: Millis,
}

/// Asks for a funnel to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaveFunnel {
    /// Where.
    pub environment: EnvironmentId,
    /// Which one is to change; without, the one of that name is replaced, or a new one made.
    pub id: Option<Uuid>,
    /// 1 to [`SaveFunnel::NAME`] characters.
    pub name: String,
    /// At most [`SaveFunnel::QUERY`] bytes.
    pub query: String,
    /// Who saves it, and when.
    pub by: By,
}

impl SaveFunnel {
    /// Longest name in characters.
    pub const NAME: usize = 80;
    /// Longest query string in bytes.
    pub const QUERY: usize = 4_000;
    /// Most funnels in one environment.
    pub const MOST: i64 = 100;
}
