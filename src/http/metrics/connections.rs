//! Connections counted: those that are open, and those for which there was no room.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts connections. Clones count into one.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<Counts>);

#[derive(Debug, Default)]
struct Counts {
    open: AtomicU64,
    turned_away: AtomicU64,
}

/// One connection, open until this is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Connections);

impl Connections {
    /// Counts one that was taken.
    pub(crate) fn open(&self) -> OpenConnection {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        OpenConnection(self.clone())
    }

    /// Counts one for which there was no room.
    pub(crate) fn turn_away(&self) {
        self.0.turned_away.fetch_add(1, Ordering::Relaxed);
    }

    /// Those that are open now.
    pub fn count(&self) -> u64 {
        self.0.open.load(Ordering::Relaxed)
    }

    /// Those for which there was no room, since the start.
    pub fn turned_away(&self) -> u64 {
        self.0.turned_away.load(Ordering::Relaxed)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}
