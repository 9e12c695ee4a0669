//! Statements that take long: counted, told in the log without their parameters, and the last of them remembered.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::sql::{Cell, Line, Row, Sql};
use super::{Result, SlowQuery};
use crate::clock::{Clock, Stopwatch};
use crate::trail;

/// How many are remembered.
const REMEMBERED: usize = 24;

/// How much of a statement is, in bytes.
const TEXT: usize = 600;

/// What takes less is no reason for a request to be slow.
const NOTED: Duration = Duration::from_millis(10);

/// Judges how long statements and commits take.
pub(super) struct SlowLog {
    limit: Duration,
    count: AtomicU64,
    last: Mutex<VecDeque<SlowQuery>>,
}

/// A connection whose statements are judged.
pub(super) struct Watched<'a> {
    pub(super) db: &'a dyn Sql,
    pub(super) log: &'a SlowLog,
}

impl SlowLog {
    pub(super) fn new(limit: Duration) -> Self {
        Self { limit, count: AtomicU64::new(0), last: Mutex::default() }
    }

    /// How many there were.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// The last of them, newest first.
    pub(super) fn last(&self) -> Vec<SlowQuery> {
        self.last.lock().iter().cloned().collect()
    }

    /// Does `work`, which `what` names: a statement without its values.
    pub(super) fn watch<T>(&self, what: &str, work: impl FnOnce() -> T) -> T {
        let watch = Stopwatch::start();
        let done = work();
        let took = watch.elapsed();
        let trail = if took >= NOTED.min(self.limit) { trail::current() } else { None };
        if let Some(trail) = &trail {
            trail.note_statement(took, what);
        }
        if took >= self.limit {
            self.count.fetch_add(1, Ordering::Relaxed);
            tracing::warn!(ms = took.as_millis(), what, "slow in the database");
            let what = what[..what.floor_char_boundary(TEXT)].split_whitespace().collect::<Vec<_>>().join(" ");
            let mut last = self.last.lock();
            last.truncate(REMEMBERED - 1);
            last.push_front(SlowQuery {
                at: Clock::system().now(),
                took,
                what,
                trace: trail.map(|trail| trail.trace()),
            });
        }
        done
    }
}

impl Sql for Watched<'_> {
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Row>> {
        self.log.watch(sql, || self.db.rows(sql, params))
    }

    fn stream(&self, sql: &str, params: &[Cell], visit: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()> {
        self.log.watch(sql, || self.db.stream(sql, params, visit))
    }

    fn run(&self, sql: &str, params: &[Cell]) -> Result<u64> {
        self.log.watch(sql, || self.db.run(sql, params))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Nothing;

    impl Sql for Nothing {
        fn rows(&self, _: &str, _: &[Cell]) -> Result<Vec<Row>> {
            Ok(Vec::new())
        }

        fn stream(&self, _: &str, _: &[Cell], _: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()> {
            Ok(())
        }

        fn run(&self, _: &str, _: &[Cell]) -> Result<u64> {
            Ok(0)
        }
    }

    #[test]
    fn what_takes_as_long_as_the_limit_is_counted() {
        for (limit, slow) in [(Duration::ZERO, 2), (Duration::from_secs(3_600), 0)] {
            let log = SlowLog::new(limit);
            let db = Watched { db: &Nothing, log: &log };
            db.rows("SELECT 1", &[]).unwrap();
            db.run("SELECT 1", &[]).unwrap();
            assert_eq!(log.count(), slow);
            let last = log.last();
            assert_eq!(
                last.iter().map(|query| query.what.as_str()).collect::<Vec<_>>(),
                vec!["SELECT 1"; slow as usize]
            );
        }
    }

    #[test]
    fn only_the_last_are_remembered_and_only_so_much_of_each() {
        let log = SlowLog::new(Duration::ZERO);
        for n in 0..100 {
            log.watch(&format!("SELECT  {n},\n {}", "é, ".repeat(1_000)), || ());
        }
        let last = log.last();
        assert_eq!((log.count(), last.len()), (100, REMEMBERED));
        assert!(last[0].what.starts_with("SELECT 99, é, é,") && last.iter().all(|query| query.what.len() <= TEXT));
    }
}
