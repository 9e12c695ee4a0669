//! Groups of errors: what is asked of them, and the answers.

use super::{EventRow, Filters, Millis, Period};

/// Which groups of errors are listed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ErrorsAsk {
    /// When.
    pub period: Period,
    /// Of what.
    pub filters: Filters,
    /// Only those with this in their title or message, whatever the case. Empty for all.
    pub search: String,
    /// At most so many groups.
    pub limit: u32,
}

/// One group of errors, looked at closely.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ErrorGroupAsk {
    /// Its title.
    pub group: String,
    /// When.
    pub period: Period,
    /// Of what.
    pub filters: Filters,
    /// At most so many of its newest events.
    pub newest: u32,
}

/// A group of errors and what a period has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// Its title: class and message without what differs from one time to the next.
    pub group: String,
    /// The message of the first one that came.
    pub message: String,
    /// Its events, crashes included.
    pub events: i64,
    /// Those of them that tell of a crash.
    pub crashes: i64,
    /// Different users to whom it happened.
    pub users: i64,
    /// Different sessions in which it happened.
    pub sessions: i64,
    /// When it was first seen, ever.
    pub first_at: Millis,
    /// When it was last seen, ever.
    pub last_at: Millis,
    /// Whether it was first seen in the period.
    pub is_new: bool,
    /// The versions with the most of its events, at most [`ErrorRow::VERSIONS`]; `None` where events do not say.
    pub versions: Vec<(Option<String>, i64)>,
}

impl ErrorRow {
    /// Most versions that a row of a list names.
    pub const VERSIONS: usize = 3;
}

/// A group of errors with its parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorGroup {
    /// As in lists, though with up to [`ErrorGroup::VALUES`] versions, and with no events where the period has none.
    pub row: ErrorRow,
    /// How many versions there are, those not listed included.
    pub versions: u64,
    /// The systems with the most of its events.
    pub systems: Vec<(Option<String>, i64)>,
    /// Its newest events of the period.
    pub newest: Vec<EventRow>,
}

impl ErrorGroup {
    /// Most versions, and most systems, that are listed.
    pub const VALUES: usize = 10;
}
