//! How well something that remembers does.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts look-ups since the start.
#[derive(Debug, Default)]
pub struct Lookups {
    hits: AtomicU64,
    misses: AtomicU64,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LookupCounts {
    /// Answered from memory.
    pub hits: u64,
    /// Looked up elsewhere.
    pub misses: u64,
}

impl Lookups {
    /// One was answered from memory.
    pub fn hit(&self) {
        self.hits.fetch_add(1, Ordering::Relaxed);
    }

    /// One was not.
    pub fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    /// One was, or was not.
    pub fn note(&self, known: bool) {
        if known { self.hit() } else { self.miss() }
    }

    /// Both.
    pub fn read(&self) -> LookupCounts {
        LookupCounts { hits: self.hits.load(Ordering::Relaxed), misses: self.misses.load(Ordering::Relaxed) }
    }
}
