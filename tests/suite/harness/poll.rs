//! Waiting for another process: the only place where a test may sleep.

use std::time::{Duration, Instant};

/// As long as a client waits at least before it tries again.
pub fn pause() {
    std::thread::sleep(Duration::from_millis(20));
}

/// Asks again and again until the time is over, once at least.
pub fn throughout(time: Duration, mut ask: impl FnMut()) {
    let end = Instant::now() + time;
    loop {
        ask();
        if Instant::now() >= end {
            return;
        }
        pause();
    }
}

/// Asks every few milliseconds until there is an answer; panics with `what` when the time is over.
#[track_caller]
pub fn until<T>(limit: Duration, what: &str, ask: impl FnMut() -> Option<T>) -> T {
    perhaps(limit, ask).unwrap_or_else(|| panic!("after {limit:?} still no {what}"))
}

/// As [`until`], for callers who have something to do when the time is over.
pub fn perhaps<T>(limit: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(3));
    }
}
