//! Numbers of which there may be very many: exact while they are few, in classes of 3 percent once they are not.

use std::collections::BTreeMap;

use crate::model::PropNumbers;

/// Numbers that are kept one by one at the most.
const KEPT: usize = 200_000;

/// Bits of a number that do not tell classes apart: five of its mantissa's do, so that a doubling has 32 classes.
const SHIFT: u32 = 47;

/// Numbers as they are counted.
#[derive(Debug, Default)]
pub(super) struct Numbers {
    kept: Vec<f64>,
    /// How many there are of each class, in place of `kept`.
    classes: BTreeMap<i32, u64>,
    count: u64,
    min: f64,
    max: f64,
    sum: f64,
    /// What was lost of the sum to rounding.
    lost: f64,
}

impl Numbers {
    /// Counts a number. What is not finite is none.
    pub(super) fn add(&mut self, number: f64, room: &mut usize) {
        if !number.is_finite() {
            return;
        }
        (self.min, self.max) = match self.count {
            0 => (number, number),
            _ => (self.min.min(number), self.max.max(number)),
        };
        self.count += 1;
        let sum = self.sum + number;
        self.lost += if self.sum.abs() >= number.abs() { (self.sum - sum) + number } else { (number - sum) + self.sum };
        self.sum = sum;
        if self.classes.is_empty() && self.kept.len() < KEPT && *room > 0 {
            *room -= 1;
            self.kept.push(number);
            return;
        }
        *room += self.kept.len();
        for kept in std::mem::take(&mut self.kept).into_iter().chain([number]) {
            *self.classes.entry(class(kept)).or_insert(0) += 1;
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// What they come to; `None` of none.
    pub(super) fn finish(mut self) -> Option<PropNumbers> {
        if self.count == 0 {
            return None;
        }
        self.kept.sort_unstable_by(f64::total_cmp);
        let (median, p95) = (self.quantile(50), self.quantile(95));
        Some(PropNumbers { min: self.min, median, p95, max: self.max, sum: self.sum + self.lost })
    }

    /// The number that `percent` of them do not exceed.
    fn quantile(&self, percent: u64) -> f64 {
        let rank = (self.count * percent).div_ceil(100).max(1);
        if self.classes.is_empty() {
            let place = usize::try_from(rank - 1).unwrap_or(usize::MAX);
            return self.kept.get(place).copied().unwrap_or(self.max);
        }
        let mut seen = 0;
        let found = self.classes.iter().find(|(_, numbers)| {
            seen += **numbers;
            seen >= rank
        });
        found.map_or(self.max, |(class, _)| middle(*class)).clamp(self.min, self.max)
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

    fn of(numbers: impl IntoIterator<Item = f64>, mut room: usize) -> Option<PropNumbers> {
        let mut all = Numbers::default();
        numbers.into_iter().for_each(|number| all.add(number, &mut room));
        all.finish()
    }

    #[test]
    fn few_numbers_are_told_exactly() {
        assert_eq!(of([], 10), None);
        assert_eq!(of([f64::NAN, f64::INFINITY], 10), None);
        let one = PropNumbers { min: -2.5, median: -2.5, p95: -2.5, max: -2.5, sum: -2.5 };
        assert_eq!(of([-2.5], 10), Some(one));
        let found = of((1..=100).map(f64::from), 1_000).unwrap();
        assert_eq!(found, PropNumbers { min: 1.0, median: 50.0, p95: 95.0, max: 100.0, sum: 5_050.0 });
        assert_eq!(of([1e16, 1.0, 1.0, -1e16], 10).unwrap().sum, 2.0);
    }

    #[test]
    fn of_many_the_quantiles_are_within_their_class() {
        for scale in [1.0, -1.0, 1e-9, 1e12] {
            let numbers = || (1..=1_000).map(|number| f64::from(number) * scale);
            let (exact, classed) = (of(numbers(), 5_000).unwrap(), of(numbers(), 100).unwrap());
            assert_eq!((classed.min, classed.max), (exact.min, exact.max));
            for (near, exact) in [(classed.median, exact.median), (classed.p95, exact.p95)] {
                assert!(((near - exact) / exact).abs() < 0.032, "{near} for {exact}");
            }
        }
    }

    #[test]
    fn classes_follow_the_order_of_numbers() {
        let numbers = [-1e300, -2.0, -1.0, -1e-300, 0.0, 1e-300, 0.5, 1.0, 1.1, 1e300];
        assert!(numbers.map(class).is_sorted());
        assert!(numbers.iter().all(|number| class(middle(class(*number))) == class(*number)));
    }
}
