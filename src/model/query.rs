//! Questions to the store. A new chart is a new [`Query`], not a new method.

use super::{EnvironmentId, Fact, LocalTime, Millis, TimeRange};

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Events.
    Events,
    /// Different end users, exact for any range.
    Users,
    /// Sessions begun.
    Sessions,
    /// End users seen for the first time ever.
    NewUsers,
}

impl Metric {
    /// Every metric.
    pub const ALL: [Self; 4] = [Self::Events, Self::Users, Self::Sessions, Self::NewUsers];

    /// As in URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Users => "users",
            Self::Sessions => "sessions",
            Self::NewUsers => "new_users",
        }
    }

    /// As on pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Events => "Events",
            Self::Users => "Users",
            Self::Sessions => "Sessions",
            Self::NewUsers => "New users",
        }
    }
}

/// What counts are broken down by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dimension {
    /// Not broken down.
    Total,
    /// By event name.
    Event,
    /// By a fact of the program.
    Fact(Fact),
}

impl Dimension {
    /// Every dimension that has a summary, with its number in the stored summaries. Numbers are never reused.
    pub const SUMMARISED: [(Self, i64); 8] = [
        (Self::Total, 0),
        (Self::Event, 1),
        (Self::Fact(Fact::Version), 2),
        (Self::Fact(Fact::System), 3),
        (Self::Fact(Fact::SystemVersion), 4),
        (Self::Fact(Fact::Arch), 5),
        (Self::Fact(Fact::Sdk), 6),
        (Self::Fact(Fact::Locale), 7),
    ];

    /// Its number in the stored summaries, if it has one.
    pub fn code(self) -> Option<i64> {
        Self::SUMMARISED.iter().find(|(dimension, _)| *dimension == self).map(|(_, code)| *code)
    }

    /// As in URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Total => "total",
            Self::Event => "event",
            Self::Fact(fact) => fact.name(),
        }
    }
}

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
    /// Each metric, once for each period. Answered by [`Report::Series`](super::Report::Series).
    Series(Vec<Metric>, Vec<Period>),
    /// The values of a dimension with the most events, and how many events there were in all.
    /// Answered by [`Report::Breakdown`](super::Report::Breakdown).
    Breakdown(Dimension, Period, u32),
    /// Sessions of a version, and all, once for each period. Answered by [`Report::Series`](super::Report::Series).
    Adoption(String, Vec<Period>),
    /// Users who began a session of a version in a period, and all who began one, as two rows of one count each.
    /// That looks at each session of the period. Answered by [`Report::Series`](super::Report::Series).
    AdoptionUsers(String, Period),
    /// When the first event happened, if any. Answered by [`Report::Since`](super::Report::Since).
    Since,
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

/// A page of raw events, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsPage {
    /// Whose events.
    pub environment: EnvironmentId,
    /// Only those of this name.
    pub name: Option<String>,
    /// Only those that occurred before this instant.
    pub before: Option<Millis>,
    /// At most so many.
    pub limit: u32,
}
