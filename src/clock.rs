//! The only place that reads the time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::model::Millis;

/// From when the monotonic clock is counted.
static BEGINNING: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Where "now" comes from: the system, or a hand that tests move.
#[derive(Clone, Debug)]
pub struct Clock(Source);

#[derive(Clone, Debug)]
enum Source {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The wall clock of the machine.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// A clock that stands at `now` until [`Clock::set`] moves it. Clones share the same hand.
    pub fn manual(now: Millis) -> Self {
        Self(Source::Manual(Arc::new(AtomicI64::new(now.0))))
    }

    /// Milliseconds since 1970-01-01 UTC. A machine whose clock stands before 1970 reads as zero.
    pub fn now(&self) -> Millis {
        match &self.0 {
            Source::System => {
                let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Millis(i64::try_from(elapsed.as_millis()).unwrap_or(i64::MAX))
            }
            Source::Manual(hand) => Millis(hand.load(Ordering::SeqCst)),
        }
    }

    /// Nanoseconds from some instant on, for rates: jumps of the wall clock do not move it. A manual clock's hand does.
    pub fn nanos(&self) -> u64 {
        match &self.0 {
            Source::System => u64::try_from(BEGINNING.elapsed().as_nanos()).unwrap_or(u64::MAX),
            Source::Manual(hand) => hand.load(Ordering::SeqCst).max(0).unsigned_abs().saturating_mul(1_000_000),
        }
    }

    /// Moves a manual clock; a system clock is left alone.
    pub fn set(&self, now: Millis) {
        if let Source::Manual(hand) = &self.0 {
            hand.store(now.0, Ordering::SeqCst);
        }
    }
}

/// Measures how long something takes, on the monotonic clock.
#[derive(Clone, Copy, Debug)]
pub struct Stopwatch(Instant);

impl Stopwatch {
    /// Begins now.
    pub fn start() -> Self {
        Self(Instant::now())
    }

    /// What has passed since.
    pub fn elapsed(self) -> Duration {
        self.0.elapsed()
    }
}

/// A moment on the monotonic clock, for limits on how long something may take: jumps of the wall clock do not move it.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// The moment `limit` from now.
    pub fn after(limit: Duration) -> Self {
        Self(Instant::now() + limit)
    }

    /// How long it is until then; nothing once it has come.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Whether it has come.
    pub fn passed(self) -> bool {
        Instant::now() >= self.0
    }
}
