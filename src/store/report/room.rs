//! Memory for reports that tell many users apart: one report at a time has much of it, whoever asks.

use std::ops::ControlFlow;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::super::{Result, StoreError};
use crate::clock::Deadline;

/// What any report may remember: a few megabytes.
const LIGHT: usize = 100_000;
/// How long a report waits for another one to end.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether a report has much, of all in this process: it is the process whose memory is limited.
static HEAVY: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// How much a report may remember.
pub(super) struct Room {
    /// What is too much even for one alone.
    most: usize,
    /// Up to here it need not ask.
    granted: usize,
    heavy: Option<Heavy>,
    refused: Option<StoreError>,
}

/// Much of the memory, which the next one gets when this is dropped.
struct Heavy;

impl Room {
    /// For `most` things that are remembered, of some twenty bytes or so.
    pub(super) fn of(most: usize) -> Self {
        Self { most, granted: most.min(LIGHT), heavy: None, refused: None }
    }

    /// Goes on where so many may be remembered; perhaps after a while, when another report has ended.
    #[inline]
    pub(super) fn holds(&mut self, count: usize) -> ControlFlow<()> {
        if count <= self.granted { ControlFlow::Continue(()) } else { self.ask(count) }
    }

    fn ask(&mut self, count: usize) -> ControlFlow<()> {
        if count > self.most {
            self.refused = Some(StoreError::TooMuch);
        } else if self.heavy.is_none() {
            self.heavy = Heavy::wait(PATIENCE);
            match self.heavy {
                Some(_) => self.granted = self.most,
                None => self.refused = Some(StoreError::Interrupted),
            }
        }
        if self.refused.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// The error, where there was no room.
    pub(super) fn check(&mut self) -> Result<()> {
        self.refused.take().map_or(Ok(()), Err)
    }
}

impl Heavy {
    fn wait(patience: Duration) -> Option<Self> {
        let (taken, freed) = &HEAVY;
        let deadline = Deadline::after(patience);
        let mut taken = taken.lock();
        while *taken {
            if freed.wait_for(&mut taken, deadline.left()).timed_out() && *taken {
                return None;
            }
        }
        *taken = true;
        Some(Self)
    }
}

impl Drop for Heavy {
    fn drop(&mut self) {
        let (taken, freed) = &HEAVY;
        *taken.lock() = false;
        freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_report_at_a_time_has_much_room_and_none_has_too_much() {
        let mut light = Room::of(3);
        assert!(light.holds(3).is_continue() && light.check().is_ok());
        assert!(light.holds(4).is_break());
        assert!(matches!(light.check(), Err(StoreError::TooMuch)));

        let mut first = Room::of(10 * LIGHT);
        assert!(first.holds(LIGHT + 1).is_continue());
        std::thread::scope(|scope| {
            let second = scope.spawn(|| {
                let mut second = Room::of(10 * LIGHT);
                assert!(second.holds(LIGHT).is_continue());
                let is_given = second.holds(LIGHT + 1).is_continue();
                (is_given, second.check())
            });
            drop(first);
            let (is_given, checked) = second.join().unwrap();
            assert!(is_given && checked.is_ok());
        });
        let held = Heavy::wait(PATIENCE);
        assert!(held.is_some() && Heavy::wait(Duration::from_millis(1)).is_none());
    }
}
