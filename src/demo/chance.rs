//! Chance that can be repeated: numbers that follow from what they are for, and the ways in which they are drawn.

/// A sequence of numbers without a pattern (`splitmix64`). The same key gives the same sequence, on every machine.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

/// Most that [`Chance::times`] is asked for on average: beyond that its method gives nothing.
const MOST_TIMES: f64 = 20.0;

impl Chance {
    /// The sequence that belongs to a key.
    pub(super) fn of(key: &[u64]) -> Self {
        key.iter().fold(Self(0), |chance, part| Self(Self(chance.0 ^ part).next()))
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// At least 0 and less than 1.
    pub(super) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// At least 0 and less than `limit`, which is positive.
    pub(super) fn below(&mut self, limit: i64) -> i64 {
        (self.unit() * limit as f64) as i64
    }

    /// From the first to the last, both included.
    pub(super) fn between(&mut self, first: i64, last: i64) -> i64 {
        first + self.below(last - first + 1)
    }

    /// Whether something of that probability happens.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// One of a list that is not empty.
    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as i64) as usize]
    }

    /// One of a list that is not empty, by weight.
    pub(super) fn weighed<'a, T>(&mut self, of: &'a [T], weight: impl Fn(&T) -> f64) -> &'a T {
        let mut rest = self.unit() * of.iter().map(&weight).sum::<f64>();
        let found = of.iter().find(|one| {
            rest -= weight(one);
            rest < 0.0
        });
        found.unwrap_or(&of[of.len() - 1])
    }

    /// One of a list of values with their weights.
    pub(super) fn pick<T: Copy>(&mut self, of: &[(T, u32)]) -> T {
        self.weighed(of, |(_, weight)| f64::from(*weight)).0
    }

    /// A wait for what comes without memory, on average `mean`.
    pub(super) fn wait(&mut self, mean: f64) -> f64 {
        -mean * (1.0 - self.unit()).ln()
    }

    /// How often something happens that happens `mean` times on average, each time by itself.
    pub(super) fn times(&mut self, mean: f64) -> u32 {
        let floor = (-mean.min(MOST_TIMES)).exp();
        let (mut left, mut times) = (self.unit(), 0);
        while left > floor {
            left *= self.unit();
            times += 1;
        }
        times
    }

    /// Around a median: two in three lie within a factor of `e` to the `spread`.
    pub(super) fn around(&mut self, median: f64, spread: f64) -> f64 {
        let (length, turn) = (self.unit(), self.unit());
        let normal = (-2.0 * (1.0 - length).ln()).sqrt() * (std::f64::consts::TAU * turn).cos();
        median * (spread * normal).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_gives_its_own_sequence_again() {
        let three = |key: &[u64]| {
            let mut chance = Chance::of(key);
            [chance.next(), chance.next(), chance.next()]
        };
        assert_eq!(three(&[1, 2]), three(&[1, 2]));
        assert_ne!(three(&[1, 2]), three(&[2, 1]));
        assert_ne!(three(&[0]), three(&[1]));
    }

    #[test]
    fn draws_have_the_mean_that_was_asked_for() {
        let mut chance = Chance::of(&[7]);
        let mut mean =
            |draw: &mut dyn FnMut(&mut Chance) -> f64| (0..20_000).map(|_| draw(&mut chance)).sum::<f64>() / 20_000.0;
        for (name, expected, draw) in [
            ("unit", 0.5, &mut (|c: &mut Chance| c.unit()) as &mut dyn FnMut(&mut Chance) -> f64),
            ("between", 5.0, &mut |c| c.between(1, 9) as f64),
            ("wait", 3.0, &mut |c| c.wait(3.0)),
            ("times", 2.5, &mut |c| f64::from(c.times(2.5))),
            ("rarely", 0.02, &mut |c| f64::from(c.times(0.02))),
            ("pick", 1.75, &mut |c| c.pick(&[(1.0, 1), (2.0, 3)])),
            ("around", 4.0_f64.ln(), &mut |c| c.around(4.0, 0.5).ln()),
        ] {
            let found = mean(draw);
            assert!((found - expected).abs() < 0.03 * expected.max(0.3), "{name}: {found} for {expected}");
        }
    }
}
