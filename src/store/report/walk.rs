//! How far users get along the steps of a funnel: pure arithmetic over what they did, stretch by stretch of time.

use hashbrown::HashMap;

use super::super::Result;
use super::room::Room;
use crate::model::{FunnelAsk, Millis, TimeRange};

/// Most steps of most users that a walk remembers: some 50 MB.
const MOST: usize = 2_000_000;
/// Room for so many more is made at once.
const MORE: usize = 250_000;

/// What a user did that may be a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    /// Whose.
    pub(super) user: i64,
    /// When.
    pub(super) at: Millis,
    /// The number of its name.
    pub(super) name: i64,
    /// What its user is told apart by, should a run begin with it.
    pub(super) value: u32,
    /// A bit for each step that it may be.
    pub(super) steps: u8,
}

/// Where users are, after all that was shown so far.
pub(super) struct Walk {
    steps: usize,
    window: i64,
    period: TimeRange,
    users: HashMap<i64, usize>,
    furthest: Vec<Furthest>,
    /// For each user, for each step: the run that began last of those that have reached it, as it got there first.
    runs: Vec<Run>,
    /// For each step but the first, how long each user took to it.
    took: Vec<Vec<i64>>,
    /// The deeds of a stretch, those of a user together.
    gathered: Vec<Deed>,
    room: Room,
}

/// How far a user has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Furthest {
    /// How many steps.
    pub(super) steps: usize,
    /// Of the run that got there first.
    pub(super) value: u32,
}

/// A run at a step.
#[derive(Clone, Copy)]
struct Run {
    /// Before all times where there is none.
    start: Millis,
    at: Millis,
    value: u32,
}

impl Run {
    const NONE: Self = Self { start: Millis(i64::MIN), at: Millis(i64::MIN), value: 0 };
}

impl Walk {
    /// Nobody has done anything yet.
    pub(super) fn new(ask: &FunnelAsk) -> Self {
        Self {
            steps: ask.steps.len(),
            window: ask.window,
            period: ask.period.range,
            users: HashMap::new(),
            furthest: Vec::new(),
            runs: Vec::new(),
            took: vec![Vec::new(); ask.steps.len().saturating_sub(1)],
            gathered: Vec::new(),
            room: Room::of(MOST),
        }
    }

    /// Walks on with what was done in the next stretch of time, in any order: all of it lies behind what was shown before.
    pub(super) fn go(&mut self, deeds: &mut Vec<Deed>) -> Result<()> {
        let mut gathered = std::mem::take(&mut self.gathered);
        let heaps = gather(deeds, &mut gathered);
        deeds.clear();
        let mut instant = Vec::new();
        for heap in heaps.windows(2) {
            let heap = &mut gathered[heap[0]..heap[1]];
            heap.sort_unstable_by_key(|deed| (deed.user, deed.at, deed.name));
            for own in heap.chunk_by(|deed, next| deed.user == next.user) {
                let Some(user) = self.user(own)? else { continue };
                for same in own.chunk_by(|deed, next| deed.at == next.at) {
                    if let [deed] = same {
                        self.take(user, deed);
                        continue;
                    }
                    once(same, &mut instant);
                    instant.iter().for_each(|deed| self.take(user, deed));
                }
            }
        }
        self.gathered = gathered;
        Ok(())
    }

    /// The place of a user, who is remembered from the first step on.
    fn user(&mut self, deeds: &[Deed]) -> Result<Option<usize>> {
        let Some(first) = deeds.first() else { return Ok(None) };
        if let Some(place) = self.users.get(&first.user) {
            return Ok(Some(*place));
        }
        if !deeds.iter().any(|deed| deed.steps & 1 == 1 && self.period.contains(deed.at)) {
            return Ok(None);
        }
        if self.room.holds(self.runs.len() + self.steps).is_break() {
            self.room.check()?;
        }
        if self.runs.capacity() < self.runs.len() + self.steps {
            self.runs.reserve_exact(MORE);
        }
        let place = self.furthest.len();
        self.users.insert(first.user, place);
        self.furthest.push(Furthest::default());
        self.runs.resize(self.runs.len() + self.steps, Run::NONE);
        Ok(Some(place))
    }

    fn take(&mut self, user: usize, deed: &Deed) {
        let runs = &mut self.runs[user * self.steps..][..self.steps];
        // From the last step to the first, so that no deed is two steps of a run.
        for step in (0..runs.len()).rev().filter(|step| deed.steps >> step & 1 == 1) {
            let before = step.checked_sub(1).map(|before| runs[before]);
            let run = match before {
                None if self.period.contains(deed.at) => Run { start: deed.at, at: deed.at, value: deed.value },
                Some(run) if run.start != Run::NONE.start && deed.at.since(run.start) <= self.window => {
                    Run { at: deed.at, ..run }
                }
                None | Some(_) => continue,
            };
            // A run that began later has more time left, whatever follows.
            if runs[step].start < run.start {
                runs[step] = run;
            }
            let furthest = &mut self.furthest[user];
            if furthest.steps == step {
                *furthest = Furthest { steps: step + 1, value: run.value };
                if let Some(before) = before {
                    self.took[step - 1].push(deed.at.since(before.at));
                }
            }
        }
    }

    /// Whether what is done from now on can make a difference at an instant and after.
    pub(super) fn is_over(&self, at: Millis) -> bool {
        at >= self.period.to && self.users.is_empty()
    }

    /// How far each user got, who took the first step.
    pub(super) fn furthest(&self) -> impl Iterator<Item = Furthest> {
        self.furthest.iter().copied()
    }

    /// For each step but the first, the time that half of its users took at most.
    pub(super) fn medians(&mut self) -> Vec<Option<i64>> {
        let median = |took: &mut Vec<i64>| {
            let middle = took.len().checked_sub(1)? / 2;
            Some(*took.select_nth_unstable(middle).1)
        };
        self.took.iter_mut().map(median).collect()
    }
}

/// Most heaps into which deeds are sorted.
const HEAPS: usize = 4_096;

/// Puts deeds on heaps, all of a user on one, since many small sorts are quicker than a large one. Where each heap begins,
/// and where the last one ends.
fn gather(deeds: &[Deed], gathered: &mut Vec<Deed>) -> Vec<usize> {
    let heaps = (deeds.len() / 16).next_power_of_two().min(HEAPS);
    // Users have numbers that follow each other.
    let heap = |deed: &Deed| usize::try_from(deed.user.rem_euclid(heaps as i64)).unwrap_or_default();
    let mut ends = vec![0; heaps + 1];
    deeds.iter().for_each(|deed| ends[heap(deed) + 1] += 1);
    for at in 1..ends.len() {
        ends[at] += ends[at - 1];
    }
    gathered.clear();
    gathered.extend_from_slice(deeds);
    let mut next = ends.clone();
    for deed in deeds {
        let place = &mut next[heap(deed)];
        gathered[*place] = *deed;
        *place += 1;
    }
    ends
}

/// What a user did at an instant, each thing once, in the order of the steps.
fn once(same: &[Deed], instant: &mut Vec<Deed>) {
    instant.clear();
    instant.extend_from_slice(same);
    instant.dedup_by(|other, deed| {
        let repeated = other.name == deed.name;
        if repeated {
            deed.value = match (deed.steps & 1, other.steps & 1) {
                (1, 1) => deed.value.min(other.value),
                (1, _) => deed.value,
                _ => other.value,
            };
            deed.steps |= other.steps;
        }
        repeated
    });
    instant.sort_unstable_by_key(|deed| (deed.steps.trailing_zeros(), deed.steps, deed.name));
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::{Filters, FunnelStep, LocalTime, Period};
    use crate::store::StoreError;

    fn ask(steps: &str, window: i64) -> FunnelAsk {
        let step = |event: char| FunnelStep { event: Arc::from(event.to_string()), filters: Filters::none() };
        let (first, next) = (LocalTime { day: 0, hour: 0 }, LocalTime { day: 1, hour: 0 });
        FunnelAsk {
            steps: steps.chars().map(step).collect(),
            window,
            period: Period { range: TimeRange { from: Millis(0), to: Millis(100) }, first, next },
            filters: Filters::none(),
            by: None,
        }
    }

    fn deed(ask: &FunnelAsk, user: i64, name: char, at: i64) -> Deed {
        let steps = ask.steps.iter().zip(0..).filter(|(step, _)| *step.event == *name.to_string());
        let steps = steps.fold(0, |steps, (_, bit)| steps | 1 << bit);
        Deed { user, at: Millis(at), name: i64::from(u32::from(name)), value: at as u32, steps }
    }

    /// How far one user gets who does `a` at 1, `b` at 2, …, and how long the steps took.
    fn furthest(steps: &str, window: i64, deeds: &[(char, i64)]) -> (usize, Vec<Option<i64>>) {
        let ask = ask(steps, window);
        let mut walk = Walk::new(&ask);
        let mut deeds = deeds.iter().map(|(name, at)| deed(&ask, 7, *name, *at)).collect();
        walk.go(&mut deeds).unwrap();
        let furthest = walk.furthest().next().map_or(0, |furthest| furthest.steps);
        (furthest, walk.medians())
    }

    #[test]
    fn steps_count_in_order_within_the_window_of_a_run() {
        for (steps, window, deeds, reached) in [
            ("ab", 10, &[('a', 1), ('b', 11)][..], 2),
            ("ab", 10, &[('a', 1), ('b', 12)], 1),
            ("ab", 10, &[('b', 1), ('a', 2)], 1),
            ("ab", 10, &[('b', 1)], 0),
            ("ab", 10, &[('a', 1), ('a', 5), ('b', 14)], 2), // the later run still has time
            ("abc", 10, &[('a', 1), ('b', 2), ('a', 8), ('c', 11)], 3), // and the earlier one is not forgotten
            ("abc", 10, &[('a', 1), ('b', 2), ('a', 8), ('c', 15)], 2),
            ("abc", 10, &[('a', 1), ('b', 2), ('a', 8), ('b', 9), ('c', 15)], 3),
            ("ab", 10, &[('a', 99), ('b', 105)], 2), // a run may end behind the period
            ("ab", 10, &[('a', 100), ('b', 105)], 0), // and does not begin there
            ("aa", 10, &[('a', 1)], 1),
            ("aa", 10, &[('a', 1), ('a', 2)], 2),
            ("aba", 10, &[('a', 1), ('b', 2), ('a', 3)], 3),
        ] {
            assert_eq!(furthest(steps, window, deeds).0, reached, "{steps} {window} {deeds:?}");
        }
    }

    #[test]
    fn an_instant_goes_in_the_order_of_the_steps_and_repeats_count_once() {
        for (steps, deeds, reached) in [
            ("ab", &[('b', 1), ('a', 1)][..], 2),
            ("abc", &[('c', 1), ('b', 1), ('a', 1)], 3),
            ("aa", &[('a', 1), ('a', 1)], 1),
            ("aba", &[('a', 1), ('b', 1)], 2),
            ("ba", &[('a', 1), ('a', 2), ('b', 2)], 2),
        ] {
            assert_eq!(furthest(steps, 10, deeds).0, reached, "{steps} {deeds:?}");
        }
    }

    #[test]
    fn times_are_those_of_the_first_arrival_at_a_step() {
        for (deeds, median) in [
            (&[('a', 1), ('b', 4)][..], Some(3)),
            (&[('a', 1), ('a', 3), ('b', 4), ('b', 9)], Some(1)),
            (&[('a', 1)], None),
        ] {
            assert_eq!(furthest("ab", 10, deeds).1, [median], "{deeds:?}");
        }
    }

    #[test]
    fn stretches_of_time_are_as_good_as_all_at_once() {
        let ask = ask("abc", 40);
        let mut seed = 1_u64;
        let mut below = |limit: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % limit
        };
        let deeds: Vec<_> = (0..3_000)
            .map(|_| deed(&ask, below(300) as i64, ['a', 'b', 'c'][below(3) as usize], below(160) as i64))
            .collect();
        let walked = |stretch: i64| {
            let mut walk = Walk::new(&ask);
            for from in (0..160).step_by(stretch as usize) {
                let within = |deed: &&Deed| (from..from + stretch).contains(&deed.at.0);
                walk.go(&mut deeds.iter().filter(within).copied().collect()).unwrap();
            }
            let mut users: Vec<_> = walk.users.iter().map(|(user, place)| (*user, walk.furthest[*place])).collect();
            users.sort_unstable_by_key(|(user, _)| *user);
            (users, walk.medians())
        };
        let whole = walked(160);
        assert!(whole.0.iter().any(|(_, furthest)| furthest.steps == 3));
        for stretch in [1, 7, 40, 100] {
            assert_eq!(walked(stretch), whole, "{stretch}");
        }
    }

    #[test]
    fn more_users_than_fit_are_refused_and_those_who_never_begin_take_no_room() {
        let ask = ask("abcdefgh", 10);
        let fit = (MOST / ask.steps.len()) as i64;
        let mut walk = Walk::new(&ask);
        let mut idle = (0..2 * fit).map(|user| deed(&ask, user, 'b', 1)).collect();
        walk.go(&mut idle).unwrap();
        let mut begin = (0..fit).map(|user| deed(&ask, user, 'a', 2)).collect();
        walk.go(&mut begin).unwrap();
        assert_eq!(walk.furthest().count() as i64, fit);
        assert!(matches!(walk.go(&mut vec![deed(&ask, fit, 'a', 3)]), Err(StoreError::TooMuch)));
    }
}
