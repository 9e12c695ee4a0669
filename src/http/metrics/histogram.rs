//! Durations counted in buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Upper bounds of the buckets in microseconds, from half a millisecond to ten seconds; a last bucket has none.
const BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000,
    10_000_000,
];

/// Durations since start, in fixed buckets: its size does not grow with what it counts.
#[derive(Debug, Default)]
pub struct Histogram {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// In microseconds.
    sum: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Readout {
    /// For each bucket its upper bound in seconds and how many were at most that long; the last has no bound.
    pub buckets: Vec<(Option<f64>, u64)>,
    /// How many there were.
    pub count: u64,
    /// All of them together, in seconds.
    pub sum: f64,
}

impl Histogram {
    /// Counts one duration.
    pub fn observe(&self, duration: Duration) {
        let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(micros, Ordering::Relaxed);
    }

    /// The state now. Its buckets always agree with its count; its sum may lag by what is being counted.
    pub fn read(&self) -> Readout {
        let mut count = 0;
        let mut buckets = Vec::with_capacity(self.buckets.len());
        for (index, bucket) in self.buckets.iter().enumerate() {
            count += bucket.load(Ordering::Relaxed);
            buckets.push((BOUNDS.get(index).map(|micros| seconds(*micros)), count));
        }
        Readout { buckets, count, sum: seconds(self.sum.load(Ordering::Relaxed)) }
    }
}

fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
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
    fn bounds_rise() {
        assert!(BOUNDS.is_sorted_by(|a, b| a < b));
    }
}
