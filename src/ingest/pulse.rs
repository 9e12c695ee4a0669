//! Whether the writer gets on, for whoever has to tell a hung process from a living one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::Clock;

/// What a thread has while it waits for work.
const AT_REST: u64 = 0;

/// Since when each of the writer's threads is at what it does. Clones look at the same threads.
#[derive(Clone, Debug)]
pub struct Pulse {
    clock: Clock,
    /// Nanoseconds on the clock, or [`AT_REST`].
    since: Arc<[AtomicU64]>,
}

impl Pulse {
    pub(super) fn of(threads: usize, clock: Clock) -> Self {
        Self { clock, since: (0..threads).map(|_| AtomicU64::new(AT_REST)).collect() }
    }

    /// Counts the work as that thread's until it is done.
    pub(super) fn during<T>(&self, thread: usize, work: impl FnOnce() -> T) -> T {
        let since = &self.since[thread];
        since.store(self.clock.nanos().max(AT_REST + 1), Ordering::Relaxed);
        let done = work();
        since.store(AT_REST, Ordering::Relaxed);
        done
    }

    /// For how long the slowest thread has been at one commit and what follows it; zero while all wait for work.
    pub fn longest(&self) -> Duration {
        let now = self.clock.nanos();
        let ages = self.since.iter().map(|since| match since.load(Ordering::Relaxed) {
            AT_REST => 0,
            since => now.saturating_sub(since),
        });
        Duration::from_nanos(ages.max().unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Millis;

    #[test]
    fn the_slowest_thread_counts_until_its_work_is_done() {
        let clock = Clock::manual(Millis(1_000));
        let pulse = Pulse::of(2, clock.clone());
        assert_eq!(pulse.longest(), Duration::ZERO);
        pulse.during(0, || {
            clock.set(Millis(4_000));
            pulse.during(1, || {
                clock.set(Millis(5_000));
                assert_eq!(pulse.longest(), Duration::from_secs(4));
            });
            assert_eq!(pulse.longest(), Duration::from_secs(4));
        });
        assert_eq!(pulse.longest(), Duration::ZERO);
    }
}
