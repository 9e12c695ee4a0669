//! Pure arithmetic: what stored events add to the summaries.

use std::collections::BTreeMap;

use hashbrown::HashMap;

use crate::model::{Dimension, EnvironmentId, Fact, LENGTHS, LocalTime, Millis, Zone};

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

macro_rules! measures {
    ($($(#[$doc:meta])* $column:ident, $one:ident;)+) => {
        /// The columns of a summary row that add up.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Measures { $($(#[$doc])* pub $column: i64),+ }

        impl Measures {
            /// Names of the columns, in their order in the tables.
            pub const COLUMNS: [&'static str; [$(stringify!($column)),+].len()] = [$(stringify!($column)),+];

            const ZERO: Self = Self { $($column: 0),+ };
            $($(#[$doc])* pub const $one: Self = Self { $column: 1, ..Self::ZERO };)+

            /// Its numbers, in the order of the columns.
            pub fn values(self) -> [i64; Self::COLUMNS.len()] {
                [$(self.$column),+]
            }

            /// From its numbers, in the order of the columns.
            pub fn of([$($column),+]: [i64; Self::COLUMNS.len()]) -> Self {
                Self { $($column),+ }
            }

            /// `times` of it: -1 takes back what was counted elsewhere.
            #[must_use]
            pub fn times(self, times: i64) -> Self {
                Self { $($column: self.$column * times),+ }
            }

            /// The larger number of each column.
            #[must_use]
            pub fn at_least(self, other: Self) -> Self {
                Self { $($column: self.$column.max(other.$column)),+ }
            }

            /// Adds another row's.
            pub fn add(&mut self, other: Self) {
                $(self.$column += other.$column;)+
            }
        }
    };
}

measures! {
    /// Events.
    events, EVENT;
    /// Sessions begun.
    sessions, SESSION;
    /// First sightings of a user in a local hour.
    users, USER;
    /// First sightings of a user in a local day.
    day_users, DAY_USER;
    /// First sightings of a user ever.
    new_users, NEW_USER;
    /// Events that tell of an error, crashes included.
    errors, ERROR;
    /// Events that tell of a crash.
    crashes, CRASH;
    /// Sessions begun in which something has crashed.
    crashed_sessions, CRASHED_SESSION;
}

impl Measures {
    /// What is left of it.
    #[must_use]
    pub fn without(mut self, part: Self) -> Self {
        self.add(part.times(-1));
        self
    }

    /// Whether adding it changes nothing.
    pub fn is_zero(self) -> bool {
        self == Self::ZERO
    }
}

/// Parts into which each doubling of a session's length is cut.
const LENGTH_PARTS: i64 = 16;

/// The class of a session's length in milliseconds: as many for each doubling as to tell lengths apart that differ by 7
/// percent. Lengths up to 31 ms have a class each.
pub fn length_class(ms: i64) -> i64 {
    let ms = ms.max(0);
    match ms.checked_ilog2() {
        Some(power) if power >= 5 => {
            let shift = i64::from(power) - 4;
            shift * LENGTH_PARTS + (ms >> shift)
        }
        _ => ms,
    }
}

/// The middle of a class of lengths in milliseconds: within 4 percent of every length in it.
pub fn length_of(class: i64) -> i64 {
    if class < 2 * LENGTH_PARTS {
        return class.max(0);
    }
    let shift = (class / LENGTH_PARTS - 1).min(58);
    let low = (class % LENGTH_PARTS + LENGTH_PARTS) << shift;
    low + (1 << shift) / 2
}

/// The length that `percent` of the sessions do not exceed, from how many there are of each class, lowest class first.
/// `None` of no sessions.
pub fn length_quantile(classes: &[(i64, i64)], percent: i64) -> Option<i64> {
    let all: i64 = classes.iter().map(|(_, sessions)| sessions).sum();
    let rank = (all * percent + 99) / 100;
    let mut seen = 0;
    let found = classes.iter().find(|(_, sessions)| {
        seen += sessions;
        *sessions > 0 && seen >= rank
    });
    found.map(|(class, _)| length_of(*class))
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

/// The error that an event tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct InternedError {
    /// The number of its group.
    pub group: i64,
    /// Whether it is a crash.
    pub fatal: bool,
}

impl InternedError {
    fn measures(self) -> Measures {
        Measures { crashes: self.fatal.into(), ..Measures::ERROR }
    }
}

/// Names sessions that count alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionKey {
    /// Whose.
    pub environment: EnvironmentId,
    /// The UTC day since 1970 on which they began.
    pub day: i64,
    /// The row of their set of facts.
    pub facts: i64,
    /// The class of their lengths, as [`length_class`] numbers it.
    pub class: i64,
}

/// How many sessions there are, or how many more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCount {
    /// All of them.
    pub sessions: i64,
    /// Those in which something has crashed.
    pub crashed: i64,
}

impl SessionCount {
    /// Adds others.
    pub fn add(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.crashed += other.crashed;
    }
}

/// Collects what a commit adds, and gives it out as rows to be merged.
#[derive(Debug, Default)]
pub struct Fold {
    /// Events counted together until the end, since a batch repeats the same few names and facts.
    events: HashMap<(EnvironmentId, Bucket, i64, i64), (FactIds, Measures)>,
    rows: BTreeMap<Key, Measures>,
    sessions: BTreeMap<SessionKey, SessionCount>,
}

/// Rows to be added to the two summary tables, each in key order.
#[derive(Clone, Debug, Default)]
pub struct Deltas {
    /// For `rollup_hours`.
    pub hours: BTreeMap<Key, Measures>,
    /// For `rollup_days`.
    pub days: BTreeMap<Key, Measures>,
    /// The sessions that count otherwise than before: how many more there are of each kind.
    pub sessions: BTreeMap<SessionKey, SessionCount>,
}

impl Fold {
    /// Counts one newly stored event under its name and facts, and its error under its group.
    pub fn event(
        &mut self,
        (environment, bucket): (EnvironmentId, Bucket),
        name: i64,
        facts: &InternedFacts,
        error: Option<InternedError>,
    ) {
        let mut measures = Measures::EVENT;
        if let Some(error) = error {
            measures.add(error.measures());
            let code = Dimension::Error.code().expect("errors are summarised by group");
            self.row(Key { environment, dimension: code, bucket, value: error.group }, measures);
        }
        let key = (environment, bucket, name, facts.id);
        self.events.entry(key).or_insert((facts.values, Measures::default())).1.add(measures);
    }

    /// Counts one session of a length in milliseconds, or takes one back.
    pub fn length(&mut self, environment: EnvironmentId, bucket: Bucket, ms: i64, sessions: i64) {
        let value = length_class(ms);
        self.row(Key { environment, dimension: LENGTHS, bucket, value }, Measures::SESSION.times(sessions));
    }

    /// Counts sessions among those that are alike, or takes them back.
    pub fn sessions(&mut self, key: SessionKey, count: SessionCount) {
        self.sessions.entry(key).or_default().add(count);
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
                Dimension::Event | Dimension::Error | Dimension::Prop(_) => continue,
                // What does not say is the total without all that do: as a row it would cost a page of every commit.
                Dimension::Fact(fact) if facts[fact as usize] == 0 => continue,
                Dimension::Fact(fact) => facts[fact as usize],
            };
            self.row(Key { environment, dimension: code, bucket, value }, measures);
        }
    }

    /// Everything collected, but for what came to nothing.
    pub fn into_deltas(mut self) -> Deltas {
        for ((environment, bucket, name, _), (facts, measures)) in std::mem::take(&mut self.events) {
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
        let mut sessions = self.sessions;
        sessions.retain(|_, count| *count != SessionCount::default());
        Deltas { hours, days, sessions }
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
        fold.event((ENV, Bucket(4)), 5, &facts, None);
        fold.event((ENV, Bucket(4)), 5, &facts, Some(InternedError { group: 9, fatal: true }));
        fold.event((ENV, Bucket(8)), 6, &facts, None);
        let deltas = fold.into_deltas();
        let of = |rows: &BTreeMap<Key, Measures>, dimension, value| -> i64 {
            rows.iter().filter(|(k, _)| k.dimension == dimension && k.value == value).map(|(_, m)| m.events).sum()
        };
        for rows in [&deltas.hours, &deltas.days] {
            assert_eq!(of(rows, 0, 0), 3);
            assert_eq!(of(rows, 1, 5), 2);
            assert_eq!(of(rows, 1, 6), 1);
            assert_eq!(of(rows, 2, 7), 3);
            assert_eq!(of(rows, 3, 0), 0, "what does not say has no row");
            assert_eq!(of(rows, 8, 9), 1);
            let total = rows.iter().filter(|(key, _)| key.dimension == 0).map(|(_, m)| (m.errors, m.crashes));
            assert_eq!(total.fold((0, 0), |all, one| (all.0 + one.0, all.1 + one.1)), (1, 1));
        }
        assert_eq!(deltas.hours.len(), 2 * 3 + 1, "total, name and version in two hours, an error in one of them");
        assert_eq!(deltas.days.len(), 2 + 2 + 1);
    }

    #[test]
    fn classes_of_lengths_are_within_four_percent() {
        let mut last = 0;
        for ms in (0..70).chain([99, 1_000, 59_999, 60_000, 3_600_000, 86_400_000, i64::MAX]) {
            let class = length_class(ms);
            assert!(class >= last, "{ms}");
            last = class;
            let error = (length_of(class) as f64 - ms as f64).abs() / (ms.max(1) as f64);
            assert!(error <= 0.04, "{ms} is taken as {}", length_of(class));
        }
        assert!((0..200).all(|class| length_class(length_of(class)) == class));
    }

    #[test]
    fn quantiles_are_those_of_the_sessions() {
        for (classes, percent, length) in [
            (&[][..], 50, None),
            (&[(3, 1)], 50, Some(3)),
            (&[(3, 1), (4, 1)], 50, Some(3)),
            (&[(3, 1), (4, 2)], 50, Some(4)),
            (&[(0, 95), (7, 5)], 95, Some(0)),
            (&[(0, 94), (5, 0), (7, 6)], 95, Some(7)),
        ] {
            assert_eq!(length_quantile(classes, percent), length, "{classes:?}");
        }
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

    #[test]
    fn sessions_that_take_the_place_of_others_of_their_kind_leave_no_trace() {
        let mut fold = Fold::default();
        let count = |sessions| SessionCount { sessions, crashed: 0 };
        for (day, facts, sessions) in [(1, 3, -1), (1, 3, 1), (1, 4, 1), (2, 3, -1), (2, 4, 1)] {
            fold.sessions(SessionKey { environment: ENV, day, facts, class: 5 }, count(sessions));
        }
        let sessions: Vec<_> = fold.into_deltas().sessions.into_iter().collect();
        let left = [(1, 4, 1), (2, 3, -1), (2, 4, 1)];
        assert_eq!(
            sessions,
            left.map(|(day, facts, n)| (SessionKey { environment: ENV, day, facts, class: 5 }, count(n)))
        );
    }
}
