//! Answers to requests by hour, of all processes together: what objectives are judged by.

use super::Result;
use super::sql::Sql;
use crate::model::{Answers, BUDGET_HOURS, Traffic};

/// Adds to the hours, and forgets those that are over for good.
pub(super) fn count(db: &dyn Sql, counted: &[Answers]) -> Result<()> {
    for Answers { hour, traffic, requests, failed, slow } in counted {
        let number = |count: &u64| i64::try_from(*count).unwrap_or(i64::MAX).into();
        db.run(
            "INSERT INTO answered_hours (hour, traffic, requests, failed, slow) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (hour, traffic) DO UPDATE SET requests = answered_hours.requests + excluded.requests, \
             failed = answered_hours.failed + excluded.failed, slow = answered_hours.slow + excluded.slow",
            &[(*hour).into(), traffic.as_str().into(), number(requests), number(failed), number(slow)],
        )?;
    }
    if let Some(newest) = counted.iter().map(|answers| answers.hour).max() {
        // A day more than is needed, for a clock that was a little ahead.
        db.run("DELETE FROM answered_hours WHERE hour < $1", &[(newest - BUDGET_HOURS - 24).into()])?;
    }
    Ok(())
}

/// All of that hour and after.
pub(super) fn since(db: &dyn Sql, hour: i64) -> Result<Vec<Answers>> {
    let sql = "SELECT hour, traffic, requests, failed, slow FROM answered_hours WHERE hour >= $1 \
               ORDER BY hour, traffic LIMIT 10000";
    let rows = db.rows(sql, &[hour.into()])?;
    let read = |row: &super::sql::Row| {
        let count = |column| u64::try_from(row.int(column)).unwrap_or(0);
        let traffic = Traffic::parse(&row.text(1))?;
        Some(Answers { hour: row.int(0), traffic, requests: count(2), failed: count(3), slow: count(4) })
    };
    Ok(rows.iter().filter_map(read).collect())
}
