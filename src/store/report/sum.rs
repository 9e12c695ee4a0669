//! A sum of floating-point numbers that is exact, so that the order in which they come makes no difference.

/// The least number above zero: sums are kept as so many of it.
const LEAST: f64 = f64::from_bits(1);
/// The power of two that it is.
const POINT: i64 = -1_074;
/// What a number has of bits from that power up to its greatest, with 63 for how many there are of it, and a sign: 2,162.
const LIMBS: usize = 34;

/// The sum of all numbers that were added; it takes no room before the first.
#[derive(Debug, Default)]
pub(super) struct Sum {
    /// In two's complement, the lowest first.
    limbs: Vec<u64>,
}

impl Sum {
    /// Adds a number so many times. It has to be finite.
    pub(super) fn add(&mut self, number: f64, times: u64) {
        self.limbs.resize(LIMBS, 0);
        let (fraction, exponent) = (number.to_bits() & ((1 << 52) - 1), number.to_bits() >> 52 & 0x7ff);
        let (mantissa, shift) = match exponent {
            0 => (fraction, 0),
            exponent => (fraction | 1 << 52, exponent as usize - 1),
        };
        let product = u128::from(mantissa) * u128::from(times);
        let (place, within) = (shift / 64, shift % 64);
        let low = product << within;
        let high = product.checked_shr(128 - within as u32).unwrap_or(0);
        let words = [low as u64, (low >> 64) as u64, high as u64];
        let change = if number.is_sign_negative() { u64::overflowing_sub } else { u64::overflowing_add };
        let mut carried = false;
        for (at, limb) in self.limbs.iter_mut().skip(place).enumerate() {
            let (own, over) = change(*limb, words.get(at).copied().unwrap_or(0));
            let (own, again) = change(own, u64::from(carried));
            (*limb, carried) = (own, over || again);
            if at >= words.len() && !carried {
                break;
            }
        }
    }

    /// The number that is nearest; infinite beyond all numbers.
    pub(super) fn nearest(&self) -> f64 {
        let is_negative = self.limbs.last().is_some_and(|limb| limb >> 63 == 1);
        let mut limbs = self.limbs.clone();
        if is_negative {
            let mut carried = true;
            for limb in &mut limbs {
                (*limb, carried) = (!*limb).overflowing_add(u64::from(carried));
            }
        }
        let magnitude = match limbs.iter().rposition(|limb| *limb != 0) {
            None => 0.0,
            Some(0) => limbs[0] as f64 * LEAST,
            Some(top) => {
                let (zeros, lower) = (limbs[top].leading_zeros(), limbs[top - 1]);
                let bits = limbs[top] << zeros | lower.checked_shr(64 - zeros).unwrap_or(0);
                // Of what lies below them it matters only whether it is anything.
                let is_more = lower << zeros != 0 || limbs[..top - 1].iter().any(|limb| *limb != 0);
                (bits | u64::from(is_more)) as f64 * power(64 * top as i64 - i64::from(zeros) + POINT)
            }
        };
        if is_negative { -magnitude } else { magnitude }
    }
}

/// Two to a power that is no less than that of the least number.
fn power(exponent: i64) -> f64 {
    match exponent {
        1_024.. => f64::INFINITY,
        -1_022.. => f64::from_bits(((exponent + 1_023) as u64) << 52),
        _ => f64::from_bits(1 << (exponent - POINT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(numbers: impl IntoIterator<Item = (f64, u64)>) -> f64 {
        let mut sum = Sum::default();
        numbers.into_iter().for_each(|(number, times)| sum.add(number, times));
        sum.nearest()
    }

    #[test]
    fn what_is_added_is_what_it_comes_to() {
        const MAX: f64 = f64::MAX;
        const TINY: f64 = f64::MIN_POSITIVE;
        for (numbers, expected) in [
            (&[][..], 0.0),
            (&[(1.0, 1)], 1.0),
            (&[(-2.5, 1)], -2.5),
            (&[(0.1, 10)], 1.0),
            (&[(1e16, 1), (1.0, 2), (-1e16, 1)], 2.0),
            (&[(1e300, 1), (1e-300, 5), (-1e300, 1)], 5e-300),
            (&[(LEAST, 1)], LEAST),
            (&[(LEAST, 1 << 53), (LEAST, 1), (-LEAST, 1)], TINY * 2.0),
            (&[(TINY, 3), (-LEAST, 2)], TINY * 3.0 - LEAST * 2.0),
            (&[(MAX, 1)], MAX),
            (&[(MAX, u64::MAX >> 1), (-MAX, u64::MAX >> 1)], 0.0),
            (&[(MAX, 1), (MAX, 1)], f64::INFINITY),
            (&[(-MAX, u64::MAX >> 1)], f64::NEG_INFINITY),
            // Half way between two numbers, and a little more than that.
            (&[((1_u64 << 53) as f64, 1), (1.0, 1)], (1_u64 << 53) as f64),
            (&[((1_u64 << 53) as f64, 1), (1.0, 1), (1e-200, 1)], ((1_u64 << 53) + 2) as f64),
        ] {
            assert_eq!(sum(numbers.iter().copied()), expected, "{numbers:?}");
            assert_eq!(sum(numbers.iter().rev().copied()), expected, "{numbers:?} backwards");
            let negated = numbers.iter().map(|(number, times)| (-number, *times));
            assert_eq!(sum(negated), -expected, "{numbers:?} below zero");
        }
    }

    #[test]
    fn neither_order_nor_grouping_makes_a_difference() {
        let mut seed = 1_u64;
        let mut below = |limit: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 33) % limit
        };
        let mut numbers: Vec<f64> =
            (0..2_000).map(|_| (below(1 << 20) as f64 - 500_000.0) * 2.0_f64.powi(below(140) as i32 - 70)).collect();
        let whole = sum(numbers.iter().map(|number| (*number, 1)));
        assert!(numbers.iter().sum::<f64>() != whole, "as they come they are rounded");
        numbers.sort_unstable_by(f64::total_cmp);
        assert_eq!(sum(numbers.iter().map(|number| (*number, 1))), whole);
        let thrice = numbers.iter().flat_map(|number| [(*number, 1), (*number, 2)]);
        assert_eq!(sum(thrice), sum(numbers.iter().map(|number| (*number, 3))));
        let whole_numbers = (0..1_000).map(|_| below(1 << 40) as i64 - (1 << 39)).collect::<Vec<_>>();
        let exact = whole_numbers.iter().map(|number| i128::from(*number) * 7).sum::<i128>();
        assert_eq!(sum(whole_numbers.iter().map(|number| (*number as f64, 7))), exact as f64);
    }
}
