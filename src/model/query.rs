//! Questions to the store. A new chart is a new [`Query`], not a new method.

use super::{
    Cursor, Dimension, EnvironmentId, ErrorGroupAsk, ErrorsAsk, Filters, FunnelAsk, HealthAsk, LiveAsk, LocalTime,
    Metric, Millis, RetentionAsk, SessionsAsk, TimeRange,
};

/// A question about one environment.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Query {
    /// Whose events.
    pub environment: EnvironmentId,
    /// What is asked.
    pub ask: Ask,
}

/// The kinds of questions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// Each metric, once for each period, of what the filters keep; see [`Metric`]. Answered by
    /// [`Report::Series`](super::Report::Series).
    Series(Vec<Metric>, Vec<Period>, Filters),
    /// Metrics of each value of a dimension, of what the filters keep. Of an app's own property 20,000 values are told
    /// apart; others, values longer than 500 bytes, objects and arrays count as [`OTHER`](super::OTHER). Answered by [`Report::Breakdown`](super::Report::Breakdown).
    Breakdown(BreakdownAsk),
    /// Sessions of a version, and all, once for each period. Answered by [`Report::Series`](super::Report::Series).
    Adoption(String, Vec<Period>),
    /// Users who began a session of a version in a period, and all who began one, as two rows of one count each.
    /// That looks at each session of the period. Answered by [`Report::Series`](super::Report::Series).
    AdoptionUsers(String, Period),
    /// What happens now. Answered by [`Report::Live`](super::Report::Live).
    Live(LiveAsk),
    /// What sessions come to. Answered by [`Report::Sessions`](super::Report::Sessions).
    Sessions(SessionsAsk),
    /// The properties of one event. Answered by [`Report::Props`](super::Report::Props).
    Props(PropsAsk),
    /// Who comes back, of each cohort. Answered by [`Report::Cohorts`](super::Report::Cohorts).
    Retention(RetentionAsk),
    /// How many users take some steps in order. Answered by [`Report::Funnel`](super::Report::Funnel).
    Funnel(FunnelAsk),
    /// When the first event happened, if any. Answered by [`Report::Since`](super::Report::Since).
    Since,
    /// The groups of errors of a period. Answered by [`Report::Errors`](super::Report::Errors).
    Errors(ErrorsAsk),
    /// One group of errors. Answered by [`Report::ErrorGroup`](super::Report::ErrorGroup).
    ErrorGroup(ErrorGroupAsk),
    /// How each version does. Answered by [`Report::Health`](super::Report::Health).
    Health(HealthAsk),
    /// Events of single values in each period, for small charts. Answered by
    /// [`Report::Series`](super::Report::Series), one row for each value.
    Trends(TrendsAsk),
    /// Versions that were first seen in a period. Answered by [`Report::Arrivals`](super::Report::Arrivals).
    Arrivals(Period),
}

/// Which values' events are counted, and when.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TrendsAsk {
    /// By what; one that is summarised.
    pub dimension: Dimension,
    /// The values; `None` is that of events that do not say.
    pub values: Vec<Option<std::sync::Arc<str>>>,
    /// Oldest first, without gaps. Periods longer than a day are cut at UTC midnight, which a small chart does not show.
    pub periods: Vec<Period>,
}

/// Which values a breakdown lists.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BreakdownAsk {
    /// By what.
    pub dimension: Dimension,
    /// What of each value, at least one. Values are sorted by the first of them, most first.
    pub metrics: Vec<Metric>,
    /// When.
    pub period: Period,
    /// Of what.
    pub filters: Filters,
    /// At most so many values.
    pub limit: u32,
}

/// Whose properties are told.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PropsAsk {
    /// The name of the event.
    pub event: String,
    /// When.
    pub period: Period,
    /// Of what.
    pub filters: Filters,
    /// At most so many properties, and never more than fifty.
    pub limit: u32,
}

/// A stretch of time that begins and ends on the bucket borders of the app's zone, seen on both calendars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Period {
    /// In universal time.
    pub range: TimeRange,
    /// Local day and hour of its first hour.
    pub first: LocalTime,
    /// Local day and hour of the instant after it.
    pub next: LocalTime,
}

impl Period {
    /// Whether it is one whole local day.
    pub fn is_day(&self) -> bool {
        self.first.hour == 0 && self.next == (LocalTime { day: self.first.day + 1, hour: 0 })
    }

    /// Whether it is one local hour.
    pub fn is_hour(&self) -> bool {
        self.range.len() == Millis::HOUR
    }

    /// The last local day that it touches.
    pub fn last_day(&self) -> i32 {
        if self.next.hour == 0 { self.next.day - 1 } else { self.next.day }
    }
}

/// A page of raw events by the time they occurred, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EventsPage {
    /// Whose events.
    pub environment: EnvironmentId,
    /// Which of them.
    pub filters: Filters,
    /// Only those that occurred at or after this instant.
    pub since: Option<Millis>,
    /// Only those behind this place in the list: its key is a time, its id that of an event.
    pub after: Option<Cursor>,
    /// At most so many.
    pub limit: u32,
}
