//! From values to the lines of a chart and their labels.

use crate::model::{Metric, Millis, Unit, Wish};

use super::super::format::{self, compact};

/// How values become heights and texts.
pub(super) struct Scale {
    unit: Unit,
    /// The value on the ground.
    pub(super) floor: i64,
    pub(super) label: fn(i64) -> String,
}

impl Scale {
    /// Of counts.
    pub(super) const COUNTS: Self = Self { unit: Unit::Count, floor: 0, label: compact };
    /// Of shares in thousandths.
    pub(super) const THOUSANDTHS: Self = Self { unit: Unit::Count, floor: 0, label: percent_of };

    /// Of a metric whose lowest value that one is.
    pub(super) fn of(metric: Metric, lowest: Option<i64>) -> Self {
        // Shares that should be all are near to it: what matters is how near.
        let floor = match (metric.unit(), metric.wish(), lowest) {
            (Unit::Share, Wish::More, Some(9_900..)) => 9_900,
            (Unit::Share, Wish::More, Some(9_000..)) => 9_000,
            _ => 0,
        };
        let label = match metric.unit() {
            Unit::Count => compact,
            Unit::Duration => format::length,
            Unit::Hundredths => format::hundredths,
            Unit::Share => format::percent,
        };
        Self { unit: metric.unit(), floor, label }
    }

    /// Values for horizontal lines, lowest first, the last not below `top`.
    pub(super) fn steps(&self, top: i64) -> Vec<i64> {
        match self.unit {
            Unit::Duration => time_scale(top),
            Unit::Share if self.floor > 0 => (0..=5).map(|at| self.floor + at * (10_000 - self.floor) / 5).collect(),
            Unit::Share => nice_scale(top).into_iter().filter(|step| *step <= 10_000 || top > 10_000).collect(),
            Unit::Count | Unit::Hundredths => nice_scale(top),
        }
    }
}

/// Thousandths as percent: `4%`, `0.5%`.
fn percent_of(thousandths: i64) -> String {
    match thousandths % 10 {
        0 => format!("{}%", thousandths / 10),
        tenth => format!("{}.{tenth}%", thousandths / 10),
    }
}

/// Values for horizontal lines: 0 and up to five steps of 1, 2 or 5 times a power of ten, whole numbers only, the last
/// not below `top`.
pub(super) fn nice_scale(top: i64) -> Vec<i64> {
    let top = top.max(1);
    let mut power = 1_i64;
    loop {
        for factor in [1, 2, 5] {
            let step = power.saturating_mul(factor);
            let steps = top / step + i64::from(top % step != 0);
            if steps <= 5 {
                return (0..=steps).map(|at| step.saturating_mul(at)).collect();
            }
        }
        power = power.saturating_mul(10);
    }
}

/// Values for the lines of a chart of times: 0 and up to five steps that clocks know, in milliseconds.
fn time_scale(top: i64) -> Vec<i64> {
    const SECONDS: [i64; 19] =
        [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800];
    let top = top.max(Millis::SECOND);
    let steps = |step: i64| top / step + i64::from(top % step != 0);
    let step = SECONDS.into_iter().map(|seconds| seconds * Millis::SECOND).find(|step| steps(*step) <= 5);
    match step {
        Some(step) => (0..=steps(step)).map(|at| at * step).collect(),
        None => nice_scale(top / Millis::DAY + 1).into_iter().map(|days| days * Millis::DAY).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scales_have_few_round_steps_and_hold_the_top() {
        for (top, scale) in [
            (0, vec![0, 1]),
            (1, vec![0, 1]),
            (3, vec![0, 1, 2, 3]),
            (6, vec![0, 2, 4, 6]),
            (7, vec![0, 2, 4, 6, 8]),
            (11, vec![0, 5, 10, 15]),
            (99, vec![0, 20, 40, 60, 80, 100]),
            (1_234, vec![0, 500, 1_000, 1_500]),
            (-5, vec![0, 1]),
        ] {
            assert_eq!(nice_scale(top), scale, "{top}");
        }
        assert!(nice_scale(i64::MAX).len() <= 6);
    }

    #[test]
    fn times_are_counted_in_steps_that_clocks_know() {
        for (top, step, last) in [
            (0, 1_000, 1_000),
            (4_200, 1_000, 5_000),
            (130_000, 30_000, 150_000),
            (3 * Millis::HOUR, Millis::HOUR, 3 * Millis::HOUR),
            (30 * Millis::DAY, 10 * Millis::DAY, 40 * Millis::DAY),
        ] {
            let scale = time_scale(top);
            assert!(scale.len() <= 6, "{top}: {scale:?}");
            assert_eq!((scale[1], scale.last().copied()), (step, Some(last)), "{top}");
        }
    }
}
