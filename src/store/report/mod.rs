//! Questions as SQL, written once for every backend.

mod breakdown;
mod events;
mod numbers;
mod props;
mod scanned;
mod series;
mod spans;
mod tally;
mod trends;
mod users;
mod values;

use super::sql::{Cell, Sql};
use super::{Result, versions};
use crate::model::{Ask, Millis, Query, Report};
use crate::rollup::Bucket;

pub(super) use events::{EVENTS, event_row, events, set_aside};
pub(super) use series::measures;

/// Answers a question.
pub fn answer(db: &dyn Sql, query: &Query) -> Result<Report> {
    let environment = query.environment;
    let known = |rows: Vec<Vec<i64>>| rows.into_iter().map(|row| row.into_iter().map(Some).collect()).collect();
    match &query.ask {
        Ask::Series(metrics, periods, filters) => {
            series::series(db, environment, (metrics, periods), filters).map(Report::Series)
        }
        Ask::Breakdown(ask) => breakdown::breakdown(db, environment, ask).map(Report::Breakdown),
        Ask::Adoption(version, periods) => {
            versions::sessions(db, environment, version, periods).map(|rows| Report::Series(known(rows)))
        }
        Ask::AdoptionUsers(version, period) => {
            let counts = versions::users(db, environment, version, period)?;
            Ok(Report::Series(known(counts.into_iter().map(|count| vec![count]).collect())))
        }
        Ask::Props(ask) => props::props(db, environment, ask).map(Report::Props),
        Ask::Since => {
            // A user's day is counted at its midnight, where no event may be.
            let sql = "SELECT min(bucket) FROM rollup_hours WHERE env_id = $1 AND dimension = 0 \
                       AND (events > 0 OR sessions > 0)";
            let first = db.value(sql, &[environment.0.into()])?.some_int();
            Ok(Report::Since(first.map(|bucket| Bucket(bucket).start())))
        }
        Ask::Trends(ask) => trends::trends(db, environment, ask).map(|rows| Report::Series(known(rows))),
        Ask::Arrivals(period) => trends::arrivals(db, environment, period).map(Report::Arrivals),
    }
}

fn bucket(at: Millis) -> Cell {
    Cell::Int(Bucket::at_or_after(at).0)
}
