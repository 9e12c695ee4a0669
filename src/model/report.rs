//! Answers of the store.

use super::{EventId, Millis, Reason, UserHash};

/// The answer to a [`Query`](super::Query), of the shape its [`Ask`](super::Ask) names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// For each metric asked, one count for each period asked.
    Series(Vec<Vec<i64>>),
    /// A top list.
    Breakdown(Breakdown),
    /// An instant.
    Since(Option<Millis>),
}

/// The values of a dimension with the most events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breakdown {
    /// Most events first; ties by value.
    pub rows: Vec<BreakdownRow>,
    /// Events of all values together, those not listed included.
    pub total: i64,
}

/// One value of a dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakdownRow {
    /// The value; `None` where the event did not say.
    pub value: Option<String>,
    /// Its events.
    pub events: i64,
}

/// The text under which values beyond a cardinality cap are counted.
pub const OTHER: &str = "(other)";

/// One stored event, as pages and exports show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its id.
    pub id: EventId,
    /// When it happened.
    pub occurred_at: Millis,
    /// When it came.
    pub received_at: Millis,
    /// What happened.
    pub name: String,
    /// Coarse class.
    pub category: Option<String>,
    /// The end user.
    pub user: Option<UserHash>,
    /// App version.
    pub version: Option<String>,
    /// Operating system.
    pub system: Option<String>,
    /// Properties, as JSON text.
    pub props: Option<String>,
}

/// One event kept aside, as the admin pages show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAsideRow {
    /// When it came.
    pub received_at: Millis,
    /// Why it was set aside.
    pub reason: Reason,
    /// What exactly.
    pub detail: String,
    /// Its text, cut.
    pub body: String,
}
