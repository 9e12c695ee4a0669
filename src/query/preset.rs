//! Ranges and intervals by name.

/// A stretch of time by name, ending now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Since midnight.
    Today,
    /// The last 24 hours, the current one included.
    Hours24,
    /// Today and the 6 days before.
    Days7,
    /// Today and the 27 days before: four whole weeks, so that weekdays are even.
    Days28,
    /// Today and the 89 days before.
    Days90,
    /// This month and the 11 before.
    Year,
    /// From and to a date of the reader's choice.
    Custom,
}

impl Preset {
    /// Every preset that has a name of its own, shortest first.
    pub const NAMED: [Self; 6] = [Self::Today, Self::Hours24, Self::Days7, Self::Days28, Self::Days90, Self::Year];

    /// As in URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Hours24 => "24h",
            Self::Days7 => "7d",
            Self::Days28 => "28d",
            Self::Days90 => "90d",
            Self::Year => "year",
            Self::Custom => "custom",
        }
    }

    /// As on pages.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Today => "Today",
            Self::Hours24 => "24 hours",
            Self::Days7 => "7 days",
            Self::Days28 => "28 days",
            Self::Days90 => "90 days",
            Self::Year => "Year",
            Self::Custom => "Custom",
        }
    }

    /// The preset of that name; `custom` is none, since it needs dates.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|preset| preset.name() == name)
    }
}

/// Length of one period on the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interval {
    /// Hours since local midnight.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Sunday (ISO 8601).
    Week,
    /// Calendar months.
    Month,
}

impl Interval {
    /// Every interval, shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// As in URLs, and as a noun on pages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The interval of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|interval| interval.name() == name)
    }
}
