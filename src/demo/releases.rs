//! The app's releases: one every few weeks, one of them bad, and how they reach people.

use super::chance::Chance;
use crate::model::Millis;

/// A version from its day on.
#[derive(Debug)]
pub(super) struct Release {
    pub(super) version: String,
    pub(super) build: i64,
    pub(super) at: Millis,
    /// Whether it is the one that crashes.
    pub(super) bad: bool,
}

/// How somebody comes to a new version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    /// By itself, within days.
    Automatic,
    /// When they think of it.
    ByHand,
    /// Hardly ever.
    Laggard,
}

/// Shares of the habits.
pub(super) const HABITS: [(Habit, u32); 3] = [(Habit::Automatic, 68), (Habit::ByHand, 23), (Habit::Laggard, 9)];

/// Days between two releases.
const PAUSE: (i64, i64) = (14, 27);
/// Minor versions of one major version.
const MINORS: u32 = 8;
/// Where in the story the bad release comes, as a share of it.
const BAD: f64 = 0.62;
/// Days until it is fixed.
const FIX: i64 = 4;
/// Stories that are shorter than so many days are told faster.
const LONG: f64 = 100.0;

/// All releases of a story, oldest first. The first is older than the story.
#[derive(Debug)]
pub(super) struct Releases {
    list: Vec<Release>,
    seed: u64,
    /// How long a day is for them.
    pace: f64,
}

impl Releases {
    pub(super) fn between(begin: Millis, until: Millis, seed: u64) -> Self {
        let mut chance = Chance::of(&[seed, 1]);
        let span = until.since(begin) as f64;
        let pace = (span / Millis::DAY as f64 / LONG).min(1.0);
        let day = Millis::DAY as f64 * pace;
        let mut list =
            vec![Release { version: "1.0.0".to_owned(), build: 100, at: begin.plus(-Millis::DAY), bad: false }];
        let (mut major, mut minor) = (1, 0);
        let mut at = begin;
        let mut bad_at = begin.plus((span * BAD) as i64);
        loop {
            at = at.plus((chance.between(PAUSE.0, PAUSE.1) as f64 * day) as i64 + chance.below((day / 4.0) as i64));
            if at >= until {
                break;
            }
            (major, minor) = if minor + 1 == MINORS { (major + 1, 0) } else { (major, minor + 1) };
            let bad = at >= bad_at;
            let mut release = |patch: u32, at: Millis, bad: bool| {
                let build = list.last().map_or(100, |last: &Release| last.build) + chance.between(7, 31);
                list.push(Release { version: format!("{major}.{minor}.{patch}"), build, at, bad });
            };
            release(0, at, bad);
            if bad {
                bad_at = Millis(i64::MAX);
                release(1, at.plus((FIX as f64 * day) as i64), false);
            }
        }
        list.retain(|release| release.at < until);
        Self { list, seed, pace }
    }

    pub(super) fn list(&self) -> &[Release] {
        &self.list
    }

    /// What somebody runs: the newest that has reached them. They began with the newest of their first day.
    pub(super) fn running(&self, person: u64, habit: Habit, (since, at): (Millis, Millis)) -> &Release {
        let reached = |(number, release): (usize, &Release)| {
            release.at <= since || release.at.plus(self.delay(person, habit, number)) <= at
        };
        let newest =
            self.list.iter().enumerate().rev().filter(|(_, release)| release.at <= at).find(|found| reached(*found));
        newest.map_or(&self.list[0], |(_, release)| release)
    }

    /// How long a release takes to reach somebody, in milliseconds.
    fn delay(&self, person: u64, habit: Habit, release: usize) -> i64 {
        let mut chance = Chance::of(&[self.seed, 2, person, release as u64]);
        let days = match habit {
            Habit::Automatic => chance.unit() + chance.wait(1.3),
            Habit::ByHand => 2.0 + chance.wait(20.0),
            Habit::Laggard => 30.0 + chance.wait(300.0),
        };
        (days * self.pace * Millis::DAY as f64) as i64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Millis = Millis(1_750_000_000_000);

    fn year() -> (Releases, Millis) {
        let until = BEGIN.plus(365 * Millis::DAY);
        (Releases::between(BEGIN, until, 1), until)
    }

    #[test]
    fn one_release_is_bad_and_soon_fixed() {
        for days in [3, 14, 90, 365, 2_000] {
            let releases = Releases::between(BEGIN, BEGIN.plus(days * Millis::DAY), 5);
            let list = releases.list();
            let bad: Vec<_> = list.iter().enumerate().filter(|(_, release)| release.bad).collect();
            let [(at, bad)] = bad[..] else { panic!("{days}: {list:?}") };
            let fix = &list[at + 1];
            assert!(fix.version == format!("{}1", bad.version.trim_end_matches('0')), "{list:?}");
            assert!(list.is_sorted_by_key(|release| (release.at, release.build)), "{list:?}");
            assert!(list.iter().all(|release| release.at < BEGIN.plus(days * Millis::DAY)));
        }
        assert!((14..30).contains(&year().0.list().len()));
    }

    #[test]
    fn automatic_updates_are_there_within_days_and_laggards_hardly_ever() {
        let (releases, until) = year();
        let list = releases.list();
        let fresh = &list[list.len() / 2];
        let share = |habit, days: i64| {
            let at = fresh.at.plus(days * Millis::DAY).min(until);
            let run = (0..1_000).filter(|n| releases.running(*n, habit, (BEGIN, at)).build >= fresh.build).count();
            run as f64 / 1_000.0
        };
        assert!(share(Habit::Automatic, 1) < 0.7 && share(Habit::Automatic, 8) > 0.9);
        assert!((0.1..0.6).contains(&share(Habit::ByHand, 8)));
        assert!(share(Habit::Laggard, 20) < 0.1);
        let newcomer = releases.running(1, Habit::Laggard, (until, until));
        assert_eq!(newcomer.build, list[list.len() - 1].build);
    }
}
