//! Retention: cohorts of users by when they came, and how many of each come back.

use std::sync::Arc;

use super::{Filters, Period};

/// What makes a user one of a cohort.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Born {
    /// Being seen for the first time ever.
    FirstSeen,
    /// Doing this for the first time, as far back as events are kept.
    Event(Arc<str>),
}

/// What counts as coming back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Back {
    /// Being seen at all.
    AnyActivity,
    /// Doing this.
    Event(Arc<str>),
}

/// Which cohorts, and who comes back.
///
/// Filters keep events. Who is born by an event does it in an event that is kept; who is born by being seen first is in
/// the cohort if an event is kept of the period in which that was; and who comes back is seen in an event that is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RetentionAsk {
    /// Whole local days that follow each other without a gap, oldest first, at most [`RetentionAsk::MOST`]: each is a
    /// cohort, by the birth of its users, and an interval in which those of the cohorts up to it may be seen.
    pub cohorts: Vec<Period>,
    /// Who belongs to a cohort.
    pub born: Born,
    /// Who comes back.
    pub back: Back,
    /// Which events count.
    pub filters: Filters,
}

impl RetentionAsk {
    /// Most cohorts in one question.
    pub const MOST: usize = 60;
}

/// Users who came in one period.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cohort {
    /// How many came.
    pub size: i64,
    /// How many of them were there in their own period, in the next one, and so on to the last period asked.
    pub back: Vec<i64>,
}
