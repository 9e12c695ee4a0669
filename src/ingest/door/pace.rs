//! The generic cell rate algorithm on one number: when all that was used up will have been earned anew.

use std::sync::atomic::{AtomicU64, Ordering};

const MINUTE: u64 = 60_000_000_000;

/// So many a minute, all at once if need be. A burst is earned back evenly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Pace {
    /// Nanoseconds that one costs.
    cost: u64,
    /// Nanoseconds that may be used up ahead of the clock.
    depth: u64,
    burst: u32,
}

/// How an allowance stands after a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Left {
    /// So many may follow at once.
    pub(super) remaining: u64,
    /// Nanoseconds until all are there again.
    pub(super) full_in: u64,
}

/// What is left is too little: nanoseconds until there is enough for one more, and until all is there again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    pub(super) one: u64,
    pub(super) full: u64,
}

impl Pace {
    /// None a minute counts as one.
    pub(super) fn per_minute(many: u32) -> Self {
        let burst = many.max(1);
        // Rounded up: never more than was asked for.
        let cost = MINUTE.div_ceil(u64::from(burst));
        Self { cost, depth: cost * u64::from(burst), burst }
    }

    pub(super) fn burst(self) -> u64 {
        self.burst.into()
    }

    /// What a use at `now` makes of an allowance that is used up until `until`.
    fn charge(self, until: u64, now: u64) -> Result<u64, Wait> {
        // Of a higher cost that counted before, or a clock that was set back, no more is held against anybody than fits.
        let from = until.clamp(now, now.saturating_add(self.depth));
        let next = from.saturating_add(self.cost);
        match (next - now).checked_sub(self.depth) {
            None | Some(0) => Ok(next),
            Some(one) => Err(Wait { one, full: from - now }),
        }
    }

    fn left(self, until: u64, now: u64) -> Left {
        let full_in = until.saturating_sub(now);
        Left { remaining: self.depth.saturating_sub(full_in) / self.cost, full_in }
    }
}

/// What was used up of one allowance. One atomic number, so that requests do not wait for each other.
#[derive(Debug, Default)]
pub(super) struct Used(AtomicU64);

impl Used {
    /// Whether one more would pass; nothing is charged.
    pub(super) fn peek(&self, pace: Pace, now: u64) -> Result<(), Wait> {
        pace.charge(self.0.load(Ordering::Relaxed), now).map(|_| ())
    }

    /// Charges one, where it passes.
    pub(super) fn charge(&self, pace: Pace, now: u64) -> Result<Left, Wait> {
        let mut until = self.0.load(Ordering::Relaxed);
        loop {
            let next = pace.charge(until, now)?;
            match self.0.compare_exchange_weak(until, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Ok(pace.left(next, now)),
                Err(other) => until = other,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;
    use crate::clock::Clock;
    use crate::model::Millis;

    const START: Millis = Millis(1_700_000_000_000);

    fn spend(used: &Used, pace: Pace, now: u64) -> u64 {
        (0..10_000).take_while(|_| used.charge(pace, now).is_ok()).count() as u64
    }

    /// A row of numbers that look random, the same in every run.
    fn random(seed: u64) -> impl FnMut(u64) -> u64 {
        let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        move |below| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        }
    }

    #[test]
    fn a_burst_passes_and_is_earned_back_with_time() {
        let clock = Clock::manual(START);
        let (used, pace) = (Used::default(), Pace::per_minute(6));
        assert_eq!(used.charge(pace, clock.nanos()), Ok(Left { remaining: 5, full_in: 10_000_000_000 }));
        assert_eq!(spend(&used, pace, clock.nanos()), 5);
        let wait = Wait { one: 10_000_000_000, full: MINUTE };
        assert_eq!((used.charge(pace, clock.nanos()), used.peek(pace, clock.nanos())), (Err(wait), Err(wait)));
        for (after, earned) in [(9_999, 0), (10_000, 1), (40_000, 3), (30 * Millis::MINUTE, 6)] {
            clock.set(START.plus(after));
            assert_eq!(spend(&used, pace, clock.nanos()), earned, "after {after} ms");
        }
    }

    /// Whatever the pace and whenever requests come, over every stretch of time.
    #[test]
    fn never_more_than_burst_and_rate_together_pass() {
        for seed in 0..200 {
            let mut random = random(seed);
            let many = [1, 2, 7, 60, 1_000, 1_000_003][random(6) as usize];
            let (used, pace, clock) = (Used::default(), Pace::per_minute(many), Clock::manual(START));
            let mut passed: Vec<u64> = Vec::new();
            let gap = 1 + 2 * (60_000 / u64::from(many)).max(1);
            for _ in 0..400 {
                let now = clock.now().plus(i64::try_from(random(gap)).unwrap());
                clock.set(now);
                for _ in 0..=random(4) {
                    if used.charge(pace, clock.nanos()).is_ok() {
                        passed.push(clock.nanos());
                    }
                }
            }
            for (first, from) in passed.iter().enumerate().step_by(7) {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let allowed = u64::from(many) + (to - from) / pace.cost;
                    assert!((last - first + 1) as u64 <= allowed, "seed {seed}: {many} a minute, {first} to {last}");
                }
            }
        }
    }

    #[test]
    fn what_is_refused_costs_nothing_and_what_is_left_is_told_truly() {
        for many in [1, 3, 10, 100, 12_345] {
            let (used, pace) = (Used::default(), Pace::per_minute(many));
            for left in (0..u64::from(many)).rev() {
                assert_eq!(used.charge(pace, 5).unwrap().remaining, left, "{many}");
            }
            let wait = used.charge(pace, 5).unwrap_err();
            for _ in 0..50 {
                assert_eq!(used.charge(pace, 5), Err(wait));
            }
            assert!(used.charge(pace, 5 + wait.one - 1).is_err() && used.charge(pace, 5 + wait.one).is_ok(), "{many}");
        }
    }

    #[test]
    fn a_clock_set_back_and_a_smaller_figure_lock_nobody_out() {
        let (used, slow, fast) = (Used::default(), Pace::per_minute(1), Pace::per_minute(600));
        assert_eq!(spend(&used, fast, MINUTE * 100), 600);
        assert!(used.charge(fast, MINUTE * 100 + 100_000_000).is_ok());
        assert!(used.peek(fast, MINUTE).unwrap_err().one <= fast.cost, "an hour and more earlier");
        assert!(used.peek(slow, MINUTE * 100).unwrap_err().one <= slow.cost);
    }

    #[test]
    fn threads_together_pass_no_more_than_one_alone() {
        let (used, pace, passed) = (Used::default(), Pace::per_minute(1_000), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        passed.fetch_add(u32::from(used.charge(pace, 7).is_ok()), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(passed.into_inner(), 1_000);
    }
}
