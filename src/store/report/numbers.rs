//! Numbers by how many there are of each: exact where they are few, in classes of 3 percent where they are not.

use std::collections::BTreeMap;

use super::sum::Sum;
use crate::model::PropNumbers;

/// Bits of a number that do not tell classes apart: five of its mantissa's do, so that a doubling has 32 classes.
const SHIFT: u32 = 47;

/// Numbers as they are counted. Neither their order nor how they are grouped makes a difference.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// Those that are told apart, and how many there are of each.
    apart: Vec<(f64, u64)>,
    /// How many there are of each class of all others.
    classes: BTreeMap<i32, u64>,
    count: u64,
    min: f64,
    max: f64,
    sum: Sum,
    /// Whether there was no room for a class.
    is_lost: bool,
}

impl Numbers {
    /// Counts a number so many times by itself. What is not finite is none.
    pub(super) fn put(&mut self, number: f64, times: u64) {
        if let Some(number) = self.note(number, times) {
            self.apart.push((number, times));
        }
    }

    /// Counts it in its class: then all are told in classes. `has_room` is asked for one more of these.
    pub(super) fn add(&mut self, number: f64, times: u64, has_room: impl FnOnce() -> bool) {
        let Some(number) = self.note(number, times) else { return };
        let class = class(number);
        match self.classes.get_mut(&class) {
            Some(own) => *own = own.saturating_add(times),
            None if has_room() => _ = self.classes.insert(class, times),
            None => self.is_lost = true,
        }
    }

    fn note(&mut self, number: f64, times: u64) -> Option<f64> {
        if !number.is_finite() || times == 0 {
            return None;
        }
        // So that zero has one sign.
        let number = number + 0.0;
        (self.min, self.max) = match self.count {
            0 => (number, number),
            _ => (self.min.min(number), self.max.max(number)),
        };
        self.count = self.count.saturating_add(times);
        self.sum.add(number, times);
        Some(number)
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What they come to; `None` of none, and where there was no room for their classes.
    pub(super) fn finish(mut self) -> Option<PropNumbers> {
        if self.count == 0 || self.is_lost {
            return None;
        }
        if self.classes.is_empty() {
            self.apart.sort_unstable_by(|(one, _), (other, _)| one.total_cmp(other));
        } else {
            for (number, times) in std::mem::take(&mut self.apart) {
                *self.classes.entry(class(number)).or_default() += times;
            }
            self.apart = self.classes.iter().map(|(class, times)| (middle(*class), *times)).collect();
        }
        let (median, p95) = (self.quantile(50), self.quantile(95));
        Some(PropNumbers { min: self.min, median, p95, max: self.max, sum: self.sum.nearest() })
    }

    /// The number that `percent` of them do not exceed.
    fn quantile(&self, percent: u128) -> f64 {
        let rank = (u128::from(self.count) * percent).div_ceil(100).max(1);
        let mut seen = 0;
        let found = self.apart.iter().find(|(_, times)| {
            seen += u128::from(*times);
            seen >= rank
        });
        found.map_or(self.max, |(number, _)| number.clamp(self.min, self.max))
    }
}

/// The class of a number: those of greater numbers are greater.
fn class(number: f64) -> i32 {
    let magnitude =
        i32::try_from(number.abs().to_bits() >> SHIFT).expect("sixteen bits are left of a number without its sign");
    if number < 0.0 { -1 - magnitude } else { magnitude }
}

/// The middle of a class.
fn middle(class: i32) -> f64 {
    let magnitude = u64::from(if class < 0 { -1 - class } else { class }.unsigned_abs());
    let middle = match magnitude {
        0 => 0.0,
        magnitude => f64::from_bits((magnitude << SHIFT) | (1 << (SHIFT - 1))),
    };
    if class < 0 { -middle } else { middle }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(numbers: impl IntoIterator<Item = f64>) -> Option<PropNumbers> {
        let mut all = Numbers::default();
        numbers.into_iter().for_each(|number| all.put(number, 1));
        all.finish()
    }

    fn classed(numbers: impl IntoIterator<Item = f64>) -> Option<PropNumbers> {
        let mut all = Numbers::default();
        numbers.into_iter().for_each(|number| all.add(number, 1, || true));
        all.finish()
    }

    #[test]
    fn numbers_that_are_told_apart_are_told_exactly() {
        assert_eq!(apart([]), None);
        assert_eq!(apart([f64::NAN, f64::INFINITY]), None);
        let one = PropNumbers { min: -2.5, median: -2.5, p95: -2.5, max: -2.5, sum: -2.5 };
        assert_eq!(apart([-2.5]), Some(one));
        let found = apart((1..=100).map(f64::from)).unwrap();
        assert_eq!(found, PropNumbers { min: 1.0, median: 50.0, p95: 95.0, max: 100.0, sum: 5_050.0 });
        assert_eq!(apart([1e16, 1.0, 1.0, -1e16]).unwrap().sum, 2.0);
        assert!(apart([-0.0]).is_some_and(|zero| zero.min.is_sign_positive() && zero.sum.is_sign_positive()));
    }

    #[test]
    fn how_many_there_are_of_each_says_as_much_as_each_of_them() {
        let numbers = [0.1, 7.0, 0.1, -3.5, 7.0, 0.1, 1e-9, 7.0, 7.0, 2.0];
        let grouped = [(7.0, 3), (2.0, 1), (0.1, 2), (1e-9, 1), (7.0, 1), (-3.5, 1), (0.1, 1)];
        let (mut by_itself, mut by_class) = (Numbers::default(), Numbers::default());
        for (number, times) in grouped {
            by_itself.put(number, times);
            by_class.add(number, times, || true);
        }
        assert_eq!((by_itself.count(), by_class.count()), (10, 10));
        assert_eq!(by_itself.finish(), apart(numbers));
        assert_eq!(by_class.finish(), classed(numbers));
    }

    #[test]
    fn in_classes_the_quantiles_are_near_and_all_else_is_exact() {
        for scale in [1.0, -1.0, 1e-9, 1e12] {
            let numbers = || (1..=1_000).map(|number| f64::from(number) * scale);
            let (exact, classed) = (apart(numbers()).unwrap(), classed(numbers()).unwrap());
            assert_eq!((classed.min, classed.max, classed.sum), (exact.min, exact.max, exact.sum));
            for (near, exact) in [(classed.median, exact.median), (classed.p95, exact.p95)] {
                assert!(((near - exact) / exact).abs() < 0.032, "{near} for {exact}");
            }
        }
    }

    #[test]
    fn one_in_a_class_puts_all_into_classes() {
        let (first, second) = (|| (1..400).map(f64::from), || (400..700).map(f64::from));
        let mut mixed = Numbers::default();
        first().for_each(|number| mixed.put(number, 1));
        second().for_each(|number| mixed.add(number, 1, || true));
        assert_eq!(mixed.finish(), classed(second().chain(first())));
    }

    #[test]
    fn without_room_for_a_class_nothing_is_told() {
        let mut all = Numbers::default();
        all.add(1.0, 2, || true);
        all.add(1.001, 2, || false);
        assert_eq!(all.count(), 4);
        all.add(9.0, 1, || false);
        assert_eq!((all.count(), all.finish()), (5, None));
    }

    #[test]
    fn classes_follow_the_order_of_numbers() {
        let numbers = [-1e300, -2.0, -1.0, -1e-300, 0.0, 1e-300, 0.5, 1.0, 1.1, 1e300];
        assert!(numbers.map(class).is_sorted());
        assert!(numbers.iter().all(|number| class(middle(class(*number))) == class(*number)));
    }
}
