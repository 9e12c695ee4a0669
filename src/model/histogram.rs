//! Durations and sizes counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// What a histogram counts: its buckets, and the unit in which it is told.
#[derive(Debug)]
pub struct Scale {
    /// Upper bounds of the buckets, rising: microseconds, or how many; a last bucket has none.
    bounds: &'static [u64],
    /// How many of those are one of what is told.
    unit: f64,
}

/// From half a millisecond to ten seconds.
const TIMES: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// Durations, told in seconds.
pub static SECONDS: Scale = Scale { bounds: &TIMES, unit: 1e6 };
/// Durations, told in milliseconds.
pub static MILLISECONDS: Scale = Scale { bounds: &TIMES, unit: 1e3 };
/// How many events, or requests, one commit takes.
pub static GROUPS: Scale = Scale { bounds: &[1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_000], unit: 1.0 };
/// How many there are in a batch.
pub static SIZES: Scale = Scale { bounds: &[1, 2, 5, 10, 25, 50, 100, 250, 1_000], unit: 1.0 };

/// What was counted since start, in fixed buckets: its size does not grow with that.
#[derive(Debug)]
pub struct Histogram {
    scale: &'static Scale,
    buckets: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Readout {
    /// For each bucket its upper bound, as it is told, and how many were at most that; the last has no bound.
    pub buckets: Vec<(Option<f64>, u64)>,
    /// How many there were.
    pub count: u64,
    /// All of them together, as it is told.
    pub sum: f64,
}

impl Default for Histogram {
    /// Of durations, told in seconds.
    fn default() -> Self {
        Self::new(&SECONDS)
    }
}

impl Histogram {
    /// With nothing counted.
    pub fn new(scale: &'static Scale) -> Self {
        let buckets = (0..=scale.bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self { scale, buckets, sum: AtomicU64::new(0) }
    }

    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        self.count(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// Counts one size, or a duration in microseconds.
    pub fn count(&self, value: u64) {
        let bucket = self.scale.bounds.partition_point(|bound| *bound < value);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// The state now. Its buckets always agree with its count; its sum may lag by what is being counted.
    pub fn read(&self) -> Readout {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.buckets.len());
        for (index, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            buckets.push((self.scale.bounds.get(index).map(|bound| self.told(*bound)), count));
        }
        Readout { buckets, count, sum: self.told(self.sum.load(Ordering::Relaxed)) }
    }

    fn told(&self, value: u64) -> f64 {
        value as f64 / self.scale.unit
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_inside_its_bucket_and_buckets_add_up() {
        let histogram = Histogram::default();
        for micros in [0, 500, 501, 1_000, 9_999_999, 10_000_000, 10_000_001, 60_000_000] {
            histogram.observe(Duration::from_micros(micros));
        }
        let read = histogram.read();
        let at = |bound: f64| read.buckets.iter().find(|(found, _)| *found == Some(bound)).unwrap().1;
        assert_eq!((at(0.0005), at(0.001), at(5.0), at(10.0)), (2, 4, 4, 6));
        assert_eq!((read.buckets.last(), read.count), (Some(&(None, 8)), 8));
        assert!((read.sum - 90.002_001).abs() < 1e-9, "{}", read.sum);
    }

    #[test]
    fn scales_tell_in_their_own_unit() {
        let times = Histogram::new(&MILLISECONDS);
        times.observe(Duration::from_micros(1_500));
        assert_eq!((times.read().buckets[2], times.read().sum), ((Some(2.5), 1), 1.5));
        let sizes = Histogram::new(&SIZES);
        sizes.count(100);
        assert_eq!((sizes.read().buckets[6], sizes.read().sum), ((Some(100.0), 1), 100.0));
    }

    #[test]
    fn bounds_rise() {
        for scale in [&SECONDS, &MILLISECONDS, &SIZES, &GROUPS] {
            assert!(scale.bounds.is_sorted_by(|a, b| a < b));
        }
    }
}
