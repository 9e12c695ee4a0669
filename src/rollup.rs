//! Pure arithmetic: what stored events add to the summaries.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::model::{Dimension, EnvironmentId, Fact, LocalTime, Millis, Zone};

/// Quarters of an hour since 1970 UTC: the unit in which summaries name their buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bucket(pub i64);

impl Bucket {
    /// Length of the unit in milliseconds.
    pub const MS: i64 = 15 * Millis::MINUTE;
    /// Units in a UTC day.
    pub const PER_DAY: i64 = Millis::DAY / Self::MS;

    /// The bucket of an instant in an app's zone.
    pub fn of(at: Millis, zone: &Zone) -> Self {
        let grain = zone.grain() / Self::MS;
        Self(at.0.div_euclid(Self::MS).div_euclid(grain) * grain)
    }

    /// The bucket of a local hour's first instant, which is in the summaries whatever order events came in.
    pub fn of_hour(local: LocalTime, zone: &Zone) -> Self {
        Self::of(zone.midnight(local.day).plus(i64::from(local.hour) * Millis::HOUR), zone)
    }

    /// The first bucket at or after an instant.
    pub fn at_or_after(at: Millis) -> Self {
        Self(-(-at.0).div_euclid(Self::MS))
    }

    /// The first bucket of this one's UTC day.
    #[must_use]
    pub fn day(self) -> Self {
        Self(self.0.div_euclid(Self::PER_DAY) * Self::PER_DAY)
    }

    /// Its first instant.
    pub fn start(self) -> Millis {
        Millis(self.0 * Self::MS)
    }
}

/// The columns of a summary row that add up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measures {
    /// Events.
    pub events: i64,
    /// Sessions begun.
    pub sessions: i64,
    /// First sightings of a user in a local hour.
    pub users: i64,
    /// First sightings of a user in a local day.
    pub day_users: i64,
    /// First sightings of a user ever.
    pub new_users: i64,
}

impl Measures {
    /// One event.
    pub const EVENT: Self = Self { events: 1, sessions: 0, users: 0, day_users: 0, new_users: 0 };
    /// One session begun.
    pub const SESSION: Self = Self { events: 0, sessions: 1, users: 0, day_users: 0, new_users: 0 };
    /// A user's first sighting in a local hour.
    pub const USER: Self = Self { events: 0, sessions: 0, users: 1, day_users: 0, new_users: 0 };
    /// A user's first sighting in a local day.
    pub const DAY_USER: Self = Self { events: 0, sessions: 0, users: 0, day_users: 1, new_users: 0 };
    /// A user's first sighting ever.
    pub const NEW_USER: Self = Self { events: 0, sessions: 0, users: 0, day_users: 0, new_users: 1 };

    /// Whether adding it changes nothing.
    pub fn is_zero(self) -> bool {
        self == Self::default()
    }

    /// `times` of it: -1 takes back what was counted elsewhere.
    #[must_use]
    pub fn times(self, times: i64) -> Self {
        Self {
            events: self.events * times,
            sessions: self.sessions * times,
            users: self.users * times,
            day_users: self.day_users * times,
            new_users: self.new_users * times,
        }
    }

    fn add(&mut self, other: Self) {
        self.events += other.events;
        self.sessions += other.sessions;
        self.users += other.users;
        self.day_users += other.day_users;
        self.new_users += other.new_users;
    }
}

/// Names one summary row. The order is that of the tables' keys, so merging walks them once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Whose.
    pub environment: EnvironmentId,
    /// By what, as [`Dimension::code`] numbers it.
    pub dimension: i64,
    /// When.
    pub bucket: Bucket,
    /// The interned value, 0 where there is none.
    pub value: i64,
}

/// The interned values of a set of facts, 0 where there is none.
pub type FactIds = [i64; Fact::COUNT];

/// A set of facts as stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InternedFacts {
    /// Its row.
    pub id: i64,
    /// Its values.
    pub values: FactIds,
}

/// Collects what a commit adds, and gives it out as rows to be merged.
#[derive(Debug, Default)]
pub struct Fold {
    /// Events counted together until the end, since a batch repeats the same few names and facts.
    events: HashMap<(EnvironmentId, Bucket, i64, i64), (FactIds, i64)>,
    rows: BTreeMap<Key, Measures>,
}

/// Rows to be added to the two summary tables, each in key order.
#[derive(Clone, Debug, Default)]
pub struct Deltas {
    /// For `rollup_hours`.
    pub hours: BTreeMap<Key, Measures>,
    /// For `rollup_days`.
    pub days: BTreeMap<Key, Measures>,
}

impl Fold {
    /// Counts one newly stored event under its name and facts.
    pub fn event(&mut self, environment: EnvironmentId, bucket: Bucket, name: i64, facts: &InternedFacts) {
        self.events.entry((environment, bucket, name, facts.id)).or_insert((facts.values, 0)).1 += 1;
    }

    /// Adds a measure to the total.
    pub fn total(&mut self, environment: EnvironmentId, bucket: Bucket, measures: Measures) {
        self.row(Key { environment, dimension: 0, bucket, value: 0 }, measures);
    }

    /// Adds a measure to the total and to every dimension that is a fact.
    pub fn by_facts(&mut self, environment: EnvironmentId, bucket: Bucket, facts: &FactIds, measures: Measures) {
        for (dimension, code) in Dimension::SUMMARISED {
            let value = match dimension {
                Dimension::Total => 0,
                Dimension::Event => continue,
                Dimension::Fact(fact) => facts[fact as usize],
            };
            self.row(Key { environment, dimension: code, bucket, value }, measures);
        }
    }

    /// Everything collected. Rows that came to nothing are left out.
    pub fn into_deltas(mut self) -> Deltas {
        for ((environment, bucket, name, _), (facts, count)) in std::mem::take(&mut self.events) {
            let measures = Measures::EVENT.times(count);
            self.by_facts(environment, bucket, &facts, measures);
            let code = Dimension::Event.code().expect("events are summarised by name");
            self.row(Key { environment, dimension: code, bucket, value: name }, measures);
        }
        let mut hours = self.rows;
        hours.retain(|_, measures| !measures.is_zero());
        let mut days: BTreeMap<Key, Measures> = BTreeMap::new();
        for (key, measures) in &hours {
            days.entry(Key { bucket: key.bucket.day(), ..*key }).or_default().add(*measures);
        }
        days.retain(|_, measures| !measures.is_zero());
        Deltas { hours, days }
    }

    fn row(&mut self, key: Key, measures: Measures) {
        self.rows.entry(key).or_default().add(measures);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENV: EnvironmentId = EnvironmentId(1);

    #[test]
    fn buckets_follow_the_grain_of_the_zone() {
        let kolkata = Zone::find("Asia/Kolkata").unwrap();
        for (zone, ms, bucket) in [
            (&Zone::utc(), 0, 0),
            (&Zone::utc(), Millis::HOUR - 1, 0),
            (&Zone::utc(), Millis::HOUR, 4),
            (&kolkata, 40 * Millis::MINUTE, 2),
            (&Zone::utc(), -1, -4),
        ] {
            assert_eq!(Bucket::of(Millis(ms), zone), Bucket(bucket), "{ms} in {}", zone.name());
        }
        assert_eq!(Bucket::at_or_after(Millis(1)), Bucket(1));
        assert_eq!(Bucket::at_or_after(Millis(0)), Bucket(0));
    }

    #[test]
    fn events_add_up_in_every_dimension() {
        let mut fold = Fold::default();
        let mut facts = InternedFacts { id: 3, values: FactIds::default() };
        facts.values[Fact::Version as usize] = 7;
        fold.event(ENV, Bucket(4), 5, &facts);
        fold.event(ENV, Bucket(4), 5, &facts);
        fold.event(ENV, Bucket(8), 6, &facts);
        let deltas = fold.into_deltas();
        let of = |rows: &BTreeMap<Key, Measures>, dimension, value| -> i64 {
            rows.iter().filter(|(k, _)| k.dimension == dimension && k.value == value).map(|(_, m)| m.events).sum()
        };
        for rows in [&deltas.hours, &deltas.days] {
            assert_eq!(of(rows, 0, 0), 3);
            assert_eq!(of(rows, 1, 5), 2);
            assert_eq!(of(rows, 1, 6), 1);
            assert_eq!(of(rows, 2, 7), 3);
            assert_eq!(of(rows, 3, 0), 3);
        }
        assert_eq!(deltas.hours.len(), 2 * Dimension::SUMMARISED.len());
        assert_eq!(deltas.days.len(), Dimension::SUMMARISED.len() + 1);
    }

    #[test]
    fn what_moves_between_buckets_leaves_no_trace_in_its_day() {
        let mut fold = Fold::default();
        fold.total(ENV, Bucket(8), Measures::SESSION.times(-1));
        fold.total(ENV, Bucket(4), Measures::SESSION);
        let deltas = fold.into_deltas();
        assert_eq!(deltas.hours.len(), 2);
        assert!(deltas.days.is_empty());
    }
}
