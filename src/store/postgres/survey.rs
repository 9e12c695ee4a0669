//! Reports, within a limit of time of their own: it is shorter than a call's, so that one that takes long is not taken for
//! a server that has gone silent.

use std::ops::ControlFlow;
use std::time::Duration;

use super::session::Session;
use crate::clock::Deadline;
use crate::store::sql::{Cell, Line, Row, Sql};
use crate::store::{Result, StoreError};

/// What all statements of a report may take together.
const LIMIT: Duration = Duration::from_millis(3_500);

/// The server is told anew how long a statement may take once so much of the limit is gone.
const STEP: Duration = Duration::from_millis(500);

/// A read-only transaction in which all statements see one state.
pub(super) struct Survey<'s, 'c> {
    session: &'s Session<'c>,
    deadline: Deadline,
}

impl<'s, 'c> Survey<'s, 'c> {
    /// Begins the transaction.
    pub(super) fn begin(session: &'s Session<'c>) -> Result<Self> {
        let begin = "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL jit = off; ";
        session.batch(&[begin, &limit(LIMIT)].concat())?;
        Ok(Self { session, deadline: Deadline::after(LIMIT) })
    }

    /// Fails where the time is over, and else lets the next statement take no more than what is left of it.
    fn next(&self) -> Result<()> {
        let left = self.deadline.left();
        match () {
            () if left.is_zero() => Err(StoreError::Interrupted),
            () if left + STEP < LIMIT => self.session.batch(&limit(left)),
            () => Ok(()),
        }
    }
}

fn limit(left: Duration) -> String {
    format!("SET LOCAL statement_timeout = {}", left.as_millis().max(1))
}

impl Sql for Survey<'_, '_> {
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Row>> {
        self.next()?;
        self.session.rows(sql, params)
    }

    fn stream(&self, sql: &str, params: &[Cell], visit: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()> {
        self.next()?;
        self.session.stream(sql, params, visit)
    }

    fn run(&self, sql: &str, params: &[Cell]) -> Result<u64> {
        self.next()?;
        self.session.run(sql, params)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::cluster::Cluster;
    use super::super::{Backend, PostgresOptions, PostgresStore};
    use super::*;
    use crate::clock::Stopwatch;

    #[test]
    fn a_report_that_takes_long_ends_and_the_server_is_still_trusted() {
        let cluster = Cluster::start();
        let store = PostgresStore::open(&PostgresOptions::new(cluster.url(""))).unwrap();
        store.wait(Duration::from_secs(30)).unwrap();
        let watch = Stopwatch::start();
        // Each statement alone would be within the limit.
        let report = store.survey(|db| (0..4).try_for_each(|_| db.rows("SELECT pg_sleep(1.3)::text", &[]).map(drop)));
        assert!(matches!(report, Err(StoreError::Interrupted)), "{report:?}");
        assert!(watch.elapsed() < super::super::session::CALL, "{:?}", watch.elapsed());
        assert_eq!(store.read(|db| db.value("SELECT 1", &[])).unwrap(), Cell::Int(1));
    }
}
