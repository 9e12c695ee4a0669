//! Events that were set aside, as people look at them, try them again and discard them.

use super::{AppId, EnvironmentId, Millis, Reason};

/// Some of the events that are set aside for an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsideFilter {
    /// Whose.
    pub app: AppId,
    /// Those of one reason.
    pub reason: Option<Reason>,
    /// The one with this number.
    pub id: Option<i64>,
}

/// A page of them, newest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsidePage {
    /// Which.
    pub filter: AsideFilter,
    /// Those before this number.
    pub before: Option<i64>,
    /// How many at the most.
    pub limit: u32,
}

/// What is found of a page.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AsideList {
    /// Newest first.
    pub rows: Vec<AsideRow>,
    /// Whether older ones follow.
    pub more: bool,
    /// How many the app has of each reason that there is, whatever the filter.
    pub counts: Vec<(Reason, u64)>,
}

/// One event that is set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsideRow {
    /// Grows with time.
    pub id: i64,
    /// Into which environment it was sent.
    pub environment: EnvironmentId,
    /// When it came.
    pub received_at: Millis,
    /// Why it was set aside, or could not be used when it was last tried.
    pub reason: Reason,
    /// What exactly.
    pub detail: String,
    /// Its text, cut.
    pub body: String,
    /// Whether enough of it is kept to try it again.
    pub whole: bool,
}

/// A stretch of them, oldest first, to be tried again or discarded step by step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsideStretch {
    /// Which.
    pub filter: AsideFilter,
    /// Those behind this number.
    pub after: i64,
    /// Those up to this number.
    pub until: i64,
    /// How many at the most.
    pub limit: u32,
}

/// One of them with what it takes to try it again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptAside {
    /// Its number.
    pub id: i64,
    /// Into which environment it was sent.
    pub environment: EnvironmentId,
    /// What the pipeline wrote down for this; none where that cannot work.
    pub again: Option<String>,
}

/// What became of events that were tried again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tried {
    /// They are events now.
    pub stored: u64,
    /// Their senders had sent them again, and that had worked: they were events already.
    pub duplicates: u64,
    /// They still cannot be used.
    pub stayed: u64,
    /// Somebody else was faster.
    pub gone: u64,
}

/// Events of one reason that are set aside, in one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AsideCount {
    /// Whose.
    pub app: AppId,
    /// Why.
    pub reason: Reason,
    /// How many.
    pub events: u64,
    /// What exactly was wrong with the newest.
    pub detail: String,
    /// When the newest came.
    pub newest: Millis,
}
