//! How versions do: what is asked, and the answer, as counts that add up over environments.

use std::collections::BTreeMap;

use super::{Millis, Period, VersionNumber};

/// Of which time the health of versions is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HealthAsk {
    /// When sessions began, events happened and errors occurred.
    pub period: Period,
    /// Whole local days, oldest first, each over together with the one that follows it: whose new users are looked at
    /// for whether they came back. At most [`HealthAsk::DAYS`].
    pub days: Vec<Period>,
}

impl HealthAsk {
    /// Most days whose new users are looked at.
    pub const DAYS: usize = 90;
}

/// The answer to a [`HealthAsk`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Health {
    /// In the order in which they were first seen, those of one UTC day by their number. Of versions with nothing in
    /// the period, too, so that the one before is known.
    pub versions: Vec<VersionHealth>,
    /// Sessions of all versions together, and of clients that tell none.
    pub sessions: i64,
    /// How many of the days were looked at for who came back, the latest ones: where there are too many sessions, not
    /// all of them.
    pub days: u32,
}

/// How one version does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionHealth {
    /// Its name.
    pub version: String,
    /// The first UTC day on which events or sessions of it are counted, ever.
    pub first_day: Millis,
    /// Sessions begun.
    pub sessions: i64,
    /// Those of them in which something has crashed.
    pub crashed_sessions: i64,
    /// Events.
    pub events: i64,
    /// Those of them that tell of an error, crashes included.
    pub errors: i64,
    /// Users whose first session of the day on which they were first seen was of this version.
    pub newcomers: i64,
    /// Those of them who were seen on the next local day.
    pub returned: i64,
}

impl Health {
    /// The answers of several environments as one.
    #[must_use]
    pub fn joined(parts: impl IntoIterator<Item = Self>) -> Self {
        let (mut sessions, mut days) = (0, None::<u32>);
        let mut by_name: BTreeMap<String, VersionHealth> = BTreeMap::new();
        for part in parts {
            sessions += part.sessions;
            days = Some(days.map_or(part.days, |days| days.min(part.days)));
            for one in part.versions {
                match by_name.get_mut(&one.version) {
                    Some(known) => known.add(&one),
                    None => _ = by_name.insert(one.version.clone(), one),
                }
            }
        }
        Self { versions: in_order(by_name.into_values().collect()), sessions, days: days.unwrap_or(0) }
    }
}

impl VersionHealth {
    fn add(&mut self, other: &Self) {
        self.first_day = self.first_day.min(other.first_day);
        self.sessions += other.sessions;
        self.crashed_sessions += other.crashed_sessions;
        self.events += other.events;
        self.errors += other.errors;
        self.newcomers += other.newcomers;
        self.returned += other.returned;
    }
}

/// In the order in which they were first seen, those of one day by their number and then by name.
pub fn in_order(mut versions: Vec<VersionHealth>) -> Vec<VersionHealth> {
    versions.sort_by_cached_key(|one| (one.first_day, VersionNumber::of(&one.version), one.version.clone()));
    versions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn environments_add_up_by_version_in_the_order_of_first_sight() {
        let of = |version: &str, day: i64, sessions| VersionHealth {
            version: version.to_owned(),
            first_day: Millis(day * Millis::DAY),
            sessions,
            crashed_sessions: 1,
            events: 5,
            errors: 2,
            newcomers: 3,
            returned: 1,
        };
        let one = Health { versions: vec![of("1.9", 3, 10), of("1.10", 5, 20)], sessions: 31, days: 7 };
        let other = Health { versions: vec![of("1.10", 3, 1), of("1.11-rc", 4, 2)], sessions: 4, days: 5 };
        let both = Health::joined([one.clone(), other]);
        let told: Vec<_> = both.versions.iter().map(|one| (one.version.as_str(), one.sessions, one.returned)).collect();
        assert_eq!(told, [("1.9", 10, 1), ("1.10", 21, 2), ("1.11-rc", 2, 1)]);
        assert_eq!((both.sessions, both.days), (35, 5));
        assert_eq!(Health::joined([one.clone()]), one);
        assert_eq!(Health::joined([]), Health::default());
    }
}
