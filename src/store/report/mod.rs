//! Questions as SQL, written once for every backend.

mod begun;
mod breakdown;
mod days;
mod errors;
mod events;
mod funnel;
mod health;
mod live;
mod numbers;
mod props;
mod retention;
mod room;
mod scanned;
mod series;
mod spans;
mod sum;
mod tally;
mod trends;
mod users;
mod values;
mod walk;

use std::sync::Arc;

use super::scan::{Sieve, numbers};
use super::sql::{Cell, Sql};
use super::{Result, roster, versions};
use crate::model::{Ask, Dimension, EnvironmentId, Filter, Filters, Keep, Millis, Query, Report};
use crate::rollup::Bucket;

pub(super) use events::{EVENTS, event_row, events};
pub(super) use series::{counts, length_classes, measures};
pub(super) use users::{distinct, listed};

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
        Ask::Live(ask) => live::live(db, environment, ask).map(Report::Live),
        Ask::Sessions(ask) => roster::sessions_told(db, environment, ask).map(Report::Sessions),
        Ask::Props(ask) => props::props(db, environment, ask).map(Report::Props),
        Ask::Retention(ask) => retention::retention(db, environment, ask).map(Report::Cohorts),
        Ask::Funnel(ask) => funnel::funnel(db, environment, ask).map(Report::Funnel),
        Ask::Since => {
            // A user's day is counted at its midnight, where no event may be.
            let sql = "SELECT min(bucket) FROM rollup_hours WHERE env_id = $1 AND dimension = 0 \
                       AND (events > 0 OR sessions > 0)";
            let first = db.value(sql, &[environment.0.into()])?.some_int();
            Ok(Report::Since(first.map(|bucket| Bucket(bucket).start())))
        }
        Ask::Errors(ask) => errors::errors(db, environment, ask).map(Report::Errors),
        Ask::ErrorGroup(ask) => errors::group(db, environment, ask).map(Report::ErrorGroup),
        Ask::Health(ask) => health::health(db, environment, ask).map(Report::Health),
        Ask::Trends(ask) => trends::trends(db, environment, ask).map(|rows| Report::Series(known(rows))),
        Ask::Arrivals(period) => trends::arrivals(db, environment, period).map(Report::Arrivals),
    }
}

fn bucket(at: Millis) -> Cell {
    Cell::Int(Bucket::at_or_after(at).0)
}

/// What passes the filters and has one of the names, where any is named.
fn named(db: &dyn Sql, environment: EnvironmentId, filters: &Filters, names: &[Arc<str>]) -> Result<Sieve> {
    let sieve = Sieve::of(db, environment, filters)?;
    if names.is_empty() {
        return Ok(sieve);
    }
    let one = |all: Filters, name: &Arc<str>| all.with(Dimension::Event, Keep::Is, Some(name.clone()));
    Ok(sieve.and(Sieve::of(db, environment, &names.iter().fold(Filters::none(), one))?))
}

/// The number of an event's name, where any event was called so.
fn number(db: &dyn Sql, environment: EnvironmentId, name: &Arc<str>) -> Result<Option<i64>> {
    let filter = Filter { dimension: Dimension::Event, keep: Keep::Is, values: vec![Some(name.clone())] };
    Ok(numbers(db, environment, &filter)?.first().copied())
}
