//! Whether a destination may be written over: it holds nothing that the source does not have.

use std::collections::{BTreeMap, BTreeSet};

use super::MoveError;
use super::house::House;
use crate::store::Result;
use crate::store::sql::Row;

/// What names a thing that only its own database can have made.
const NAMES: [(&str, &str); 3] = [
    ("apps", "SELECT uuid, slug FROM apps"),
    ("members", "SELECT name, name FROM members"),
    ("ingest keys", "SELECT token_hash, hint FROM ingest_keys"),
];

/// Refuses a destination with an app, a member or a key that the source has not, or that has taken events by itself:
/// counts of arrivals only grow, so a copy is never ahead of its source.
pub(super) fn check(source: &dyn House, destination: &dyn House) -> std::result::Result<(), MoveError> {
    let read = |sql: &str| -> std::result::Result<(Vec<Row>, Vec<Row>), MoveError> {
        Ok((source.rows(sql, &[]).map_err(MoveError::Source)?, there(destination.rows(sql, &[]))?))
    };
    for (what, sql) in NAMES {
        let (mine, theirs) = read(sql)?;
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
    let (mine, theirs) = read("SELECT app_id, day, outcome, events FROM intake_days")?;
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

fn there<T>(result: Result<T>) -> std::result::Result<T, MoveError> {
    result.map_err(MoveError::Destination)
}

fn refused(why: &str) -> MoveError {
    MoveError::Refused(format!(
        "the destination is no copy of the source: {why}. Nothing was changed. --overwrite replaces all that it holds"
    ))
}
