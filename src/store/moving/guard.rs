//! Whether a destination may be written over: it holds nothing that the source does not have.

use std::collections::{BTreeMap, BTreeSet};

use super::MoveError;
use super::house::House;
use crate::model::Millis;
use crate::store::Result;
use crate::store::sql::{Cell, Row};

/// What names a thing that only its own database can have made.
const NAMES: [(&str, &str); 4] = [
    ("apps", "SELECT uuid, slug FROM apps"),
    ("members", "SELECT name, name FROM members"),
    ("ingest keys", "SELECT token_hash, hint FROM ingest_keys"),
    ("API tokens", "SELECT token_hash, hint FROM api_tokens"),
];

/// How many of the destination's newest events are looked for in the source, in each environment.
const NEWEST: i64 = 200;

/// Events whose clocks were not far off, so that they are forgotten about in the order of their claimed times.
const TIMELY: &str = "FROM events WHERE env_id = $1 AND skew BETWEEN -86400000 AND 86400000";

/// Refuses a destination with an app, a member, a key or a token that the source has not, or that has taken events by itself.
pub(super) fn check(source: &dyn House, destination: &dyn House) -> std::result::Result<(), MoveError> {
    check_names(source, destination)?;
    check_arrivals(source, destination)?;
    check_events(source, destination)
}

fn check_names(source: &dyn House, destination: &dyn House) -> std::result::Result<(), MoveError> {
    for (what, sql) in NAMES {
        let (mine, theirs) = read(source, destination, sql)?;
        // Never looked into, only compared.
        let mine: BTreeSet<String> = mine.iter().map(|row| format!("{:?}", row.0[0])).collect();
        let foreign: Vec<_> = theirs.iter().filter(|row| !mine.contains(&format!("{:?}", row.0[0]))).collect();
        if let Some(first) = foreign.first() {
            return Err(refused(&format!(
                "it holds {what} that the source does not have ({} of them, such as {})",
                foreign.len(),
                first.text(1)
            )));
        }
    }
    Ok(())
}

/// Counts of arrivals only grow, so a copy is never ahead of its source.
fn check_arrivals(source: &dyn House, destination: &dyn House) -> std::result::Result<(), MoveError> {
    let (mine, theirs) = read(source, destination, "SELECT app_id, day, outcome, events FROM intake_days")?;
    let earliest = mine.iter().map(|row| row.int(1)).min().unwrap_or(i64::MAX);
    let key = |row: &Row| (row.int(0), row.int(1), row.text(2));
    let mine: BTreeMap<_, _> = mine.iter().map(|row| (key(row), row.int(3))).collect();
    // What is older than all that the source still has was copied before the source forgot it.
    let ahead = |row: &&Row| row.int(1) >= earliest && row.int(3) > mine.get(&key(row)).copied().unwrap_or_default();
    match theirs.iter().find(ahead) {
        Some(_) => Err(refused("it has taken events that the source does not have")),
        None if mine.is_empty() && !theirs.is_empty() => {
            Err(refused("it has taken events, and the source has taken none"))
        }
        None => Ok(()),
    }
}

/// Both may have taken events since, and the source more of them: what the destination has taken by itself is among its
/// newest then. What the source has forgotten by now is no fault of the destination.
fn check_events(source: &dyn House, destination: &dyn House) -> std::result::Result<(), MoveError> {
    let newest = format!("SELECT claimed_at, event_id {TIMELY} ORDER BY claimed_at DESC, event_id DESC LIMIT {NEWEST}");
    let same_time = "SELECT event_id FROM events WHERE env_id = $1 AND claimed_at = $2";
    for environment in there(destination.rows("SELECT id FROM environments", &[]))? {
        let environment = Cell::Int(environment.int(0));
        let of_environment = std::slice::from_ref(&environment);
        let oldest = source.value(&format!("SELECT min(claimed_at) {TIMELY}"), of_environment);
        let Some(oldest) = oldest.map_err(MoveError::Source)?.some_int() else { continue };
        let remembered = oldest.saturating_add(2 * Millis::DAY);
        for event in there(destination.rows(&newest, of_environment))? {
            if event.int(0) < remembered {
                break;
            }
            let mine = source.rows(same_time, &[environment.clone(), Cell::Int(event.int(0))]);
            if !mine.map_err(MoveError::Source)?.iter().any(|row| row.0[0] == event.0[1]) {
                return Err(refused("it has taken events that the source does not have"));
            }
        }
    }
    Ok(())
}

/// The rows of both.
fn read(
    source: &dyn House,
    destination: &dyn House,
    sql: &str,
) -> std::result::Result<(Vec<Row>, Vec<Row>), MoveError> {
    Ok((source.rows(sql, &[]).map_err(MoveError::Source)?, there(destination.rows(sql, &[]))?))
}

fn there<T>(result: Result<T>) -> std::result::Result<T, MoveError> {
    result.map_err(MoveError::Destination)
}

fn refused(why: &str) -> MoveError {
    MoveError::Refused(format!(
        "the destination is no copy of the source: {why}. Nothing was changed. --overwrite replaces all that it holds"
    ))
}
