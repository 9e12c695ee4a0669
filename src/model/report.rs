//! Answers of the store.

use super::{Cohort, Cursor, ErrorGroup, ErrorRow, EventId, Funnel, Health, Live, Millis, SessionsTold, UserHash};

/// The answer to a [`Query`](super::Query), of the shape its [`Ask`](super::Ask) names.
#[derive(Clone, Debug, PartialEq)]
pub enum Report {
    /// For each metric asked, one value for each period asked; none where there is nothing to speak of.
    Series(Vec<Vec<Option<i64>>>),
    /// A top list.
    Breakdown(Breakdown),
    /// What happens now.
    Live(Live),
    /// What sessions come to.
    Sessions(SessionsTold),
    /// Properties, those that most events have first.
    Props(Vec<PropSummary>),
    /// Cohorts, one for each period asked.
    Cohorts(Vec<Cohort>),
    /// How far users got.
    Funnel(Funnel),
    /// An instant.
    Since(Option<Millis>),
    /// Groups of errors, most events first; ties in a fixed order.
    Errors(Vec<ErrorRow>),
    /// A group of errors; none where the environment has none of that title.
    ErrorGroup(Option<Box<ErrorGroup>>),
    /// How versions do.
    Health(Health),
    /// The versions with the most events of those first seen in a period, six at the most, oldest first: what clients
    /// call them, and the beginning of the bucket.
    Arrivals(Vec<(String, Millis)>),
}

impl Report {
    /// The rows of a series as counts, zero where there is nothing to speak of; none of another report.
    pub fn counts(&self) -> Vec<Vec<i64>> {
        match self {
            Self::Series(rows) => rows.iter().map(|row| row.iter().map(|count| count.unwrap_or(0)).collect()).collect(),
            _ => Vec::new(),
        }
    }
}

/// The values of a dimension with the most of the first metric asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Breakdown {
    /// Most first; ties in a fixed order.
    pub rows: Vec<BreakdownRow>,
    /// Each metric asked, of all values together, those not listed included.
    pub together: Vec<Option<i64>>,
    /// How many values there are, those not listed included.
    pub values: u64,
}

/// One value of a dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BreakdownRow {
    /// The value; `None` where events do not say.
    pub value: Option<String>,
    /// Each metric asked.
    pub metrics: Vec<Option<i64>>,
}

/// The text under which values beyond a cardinality cap are counted.
pub const OTHER: &str = "(other)";

/// What the events of one name have under the name of one top-level property. Null counts as nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PropSummary {
    /// Its name.
    pub name: String,
    /// How many events have it, objects and arrays included.
    pub events: i64,
    /// The values that most events have, most first; ten at the most. Objects and arrays are none, and where nearly all are
    /// numbers, more than 20,000 different ones, none is told by itself.
    pub values: Vec<PropValue>,
    /// How many different values were told apart, 20,000 at the most.
    pub different: u64,
    /// Events whose values were not told apart: they came after 20,000 others, or are longer than 500 bytes, or there was
    /// no room for them; or they are numbers, and more than are told by themselves.
    pub others: i64,
    /// What its numbers come to, where at least nine of ten events have one.
    pub numbers: Option<PropNumbers>,
}

/// One value of a property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PropValue {
    /// Numbers and truth values as they are written in JSON.
    pub value: String,
    /// How many events have it.
    pub events: i64,
}

/// What the numbers under one property come to. Where there are more than 20,000 different values, or no room for as many,
/// median and p95 are within 3.2 percent; all else is exact, the sum as near as floating point comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PropNumbers {
    /// The least.
    pub min: f64,
    /// Half of them do not exceed it.
    pub median: f64,
    /// 95 percent of them do not exceed it.
    pub p95: f64,
    /// The greatest.
    pub max: f64,
    /// All together.
    pub sum: f64,
}

/// Answer to an [`EventsPage`](super::EventsPage).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventList {
    /// Newest first.
    pub rows: Vec<EventRow>,
    /// Where the list goes on, if it does. A page may be short, or empty, where looking took long.
    pub next: Option<Cursor>,
}

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
