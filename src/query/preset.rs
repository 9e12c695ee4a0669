//! Ranges and intervals by name.

use super::Range;
use crate::model::{date_of, days_since_1970};

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
    /// This calendar month.
    Month,
    /// This month and the 11 before.
    Year,
    /// From the first event on.
    All,
    /// From and to a date of the reader's choice.
    Custom,
}

impl Preset {
    /// Every preset that has a name of its own, in the order of menus.
    pub const NAMED: [Self; 8] =
        [Self::Today, Self::Hours24, Self::Days7, Self::Days28, Self::Days90, Self::Month, Self::Year, Self::All];

    /// As in URLs.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Today => "today",
            Self::Hours24 => "24h",
            Self::Days7 => "7d",
            Self::Days28 => "28d",
            Self::Days90 => "90d",
            Self::Month => "month",
            Self::Year => "year",
            Self::All => "all",
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
            Self::Month => "Month",
            Self::Year => "Year",
            Self::All => "All",
            Self::Custom => "Custom",
        }
    }

    /// Its first day, seen from today; where the first event decides, or the hour, the nearest that can be said.
    pub(super) fn first_day(self, today: i32) -> i32 {
        match self {
            Self::Today | Self::All => today,
            Self::Hours24 => today - 1,
            Self::Days7 | Self::Custom => today - 6,
            Self::Days28 => today - 27,
            Self::Days90 => today - 89,
            Self::Month => first_of_month(today, 0),
            Self::Year => first_of_month(today, -11),
        }
    }

    /// The preset of that name; `custom` is none, since it needs dates.
    pub fn parse(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|preset| preset.name() == name)
    }
}

/// The first day of the month of a day, or of one so many months later.
pub(super) fn first_of_month(day: i32, later: i32) -> i32 {
    days_since_1970(date_of(day).first_of_month().saturating_add(jiff::Span::new().months(later)))
}

/// How many calendar months a range is: those of its name, or whole ones between the days of a custom one.
pub(super) fn months_of(range: &Range) -> Option<i32> {
    let (first, next) = (date_of(range.whole.first.day), date_of(range.whole.last_day() + 1));
    match range.preset {
        Preset::Month => Some(1),
        Preset::Year => Some(12),
        Preset::Custom if first.day() == 1 && next.day() == 1 => {
            let months = |date: jiff::civil::Date| i32::from(date.year()) * 12 + i32::from(date.month());
            Some(months(next) - months(first))
        }
        _ => None,
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
