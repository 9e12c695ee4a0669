//! One run of a job: what a step says of itself, and a panic that is no more than a failure.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::super::Duty;
use crate::model::JobLease;
use crate::store::StoreError;

/// What a step says when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Turn {
    /// The run is done, with what came of it in words; the next is due a period after its beginning.
    Done(String),
    /// The same, where the next is due so long after its beginning.
    Until(String, Duration),
    /// There was nothing to do; it is looked for again after this pause.
    Idle(Duration),
    /// Some of it is done; it goes on after this pause.
    More(Duration),
    /// The run has failed, and why. It is tried again, later each time.
    Failed(String),
}

impl From<Duration> for Turn {
    /// Of a step that tells nothing but its pause.
    fn from(pause: Duration) -> Self {
        Self::Idle(pause)
    }
}

/// A job of one of the fleet in this process' hands.
pub struct Held {
    lease: JobLease,
    lost: AtomicBool,
}

impl Held {
    pub(super) fn new(lease: JobLease) -> Self {
        Self { lease, lost: AtomicBool::new(false) }
    }

    /// What the store asks for where something must not be done by two nodes.
    pub fn lease(&self) -> &JobLease {
        &self.lease
    }

    /// Whether another node may be at it by now. From then on nothing may be taken away.
    pub fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn lose(&self) {
        self.lost.store(true, Ordering::Relaxed);
    }
}

/// Why a job was not done that somebody wanted done now.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It is not done here.
    #[error("{0}")]
    Off(&'static str),
    /// Another process is at it.
    #[error("{0} is at it")]
    Held(String),
    /// It failed.
    #[error("{0}")]
    Failed(String),
    /// Whose it is could not be found out.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One step, of which a panic is a failure.
pub(super) fn attempt(step: impl FnOnce() -> Turn) -> Turn {
    catch_unwind(AssertUnwindSafe(step)).unwrap_or_else(|panic| Turn::Failed(format!("it panicked: {}", said(&*panic))))
}

/// What a panic says.
fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("it does not say why")
}

/// Tells of a failure.
pub(super) fn tell(duty: &Duty, failures: i64, why: &str) {
    tracing::error!(job = duty.name, failures, why, "a job has failed; it is tried again");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_a_failure() {
        let text = |turn| match turn {
            Turn::Failed(why) => why,
            other => panic!("{other:?}"),
        };
        assert_eq!(text(attempt(|| panic!("no"))), "it panicked: no");
        assert_eq!(text(attempt(|| panic!("number {}", 7))), "it panicked: number 7");
        assert_eq!(attempt(|| Turn::More(Duration::ZERO)), Turn::More(Duration::ZERO));
    }
}
