//! Judges a database by the plain `sqlite3` or `psql` program, never by our own code: against the ledger, and the
//! summaries against a recount of the events.

use std::collections::HashMap;

use uuid::Uuid;

use super::ledger::{Ledger, State};
use super::load::{Load, Shape};
use crate::harness::backend::on_both_backends;
use crate::harness::{Backend, Database, Server};

on_both_backends! { the_oracle_sees_what_it_is_there_for }

/// Each event with what the summaries count it by; time in universal time.
const SEEN: &str = "WITH seen AS (
    SELECT e.env_id, e.claimed_at + e.skew AS at, e.user_id, e.session_id, e.name_id, e.error_id, e.fatal, f.*
    FROM events e JOIN facts f ON f.id = e.facts_id)";

/// Summaries that count events by a column: number of the dimension, column of [`SEEN`].
const DIMENSIONS: [(u8, &str); 12] = [
    (0, "0"),
    (1, "name_id"),
    (2, "version"),
    (3, "system"),
    (4, "system_version"),
    (5, "arch"),
    (6, "sdk"),
    (7, "locale"),
    (8, "error_id"),
    (10, "build"),
    (11, "device"),
    (12, "country"),
];

/// Pairs of queries that must give the same rows (both are closed: [`SEEN`] stands before them).
const RECOUNTS: [(&str, &str, &str); 9] = [
    (
        "users by hour",
        "SELECT env_id, at / 3600000 * 4, count(DISTINCT user_id) FROM seen WHERE user_id NOTNULL GROUP BY 1, 2",
        "SELECT env_id, bucket, users FROM rollup_hours WHERE dimension = 0 AND users > 0",
    ),
    (
        "users by day",
        "SELECT env_id, at / 86400000, count(DISTINCT user_id) FROM seen WHERE user_id NOTNULL GROUP BY 1, 2",
        "SELECT env_id, bucket / 96, sum(day_users) FROM rollup_hours WHERE dimension = 0 GROUP BY 1, 2",
    ),
    (
        "user-days",
        "SELECT DISTINCT env_id, at / 86400000, user_id FROM seen WHERE user_id NOTNULL",
        "SELECT env_id, day, user_id FROM user_days",
    ),
    ("new users", "SELECT count(*) FROM users", "SELECT sum(new_users) FROM rollup_hours WHERE dimension = 0"),
    (
        "events of sessions",
        "SELECT session_id, count(*) FROM seen WHERE session_id NOTNULL GROUP BY 1",
        "SELECT id, events FROM sessions",
    ),
    ("sessions", "SELECT count(*) FROM sessions", "SELECT sum(sessions) FROM rollup_hours WHERE dimension = 0"),
    (
        "lengths of sessions",
        "SELECT count(*) FROM sessions",
        "SELECT sum(sessions) FROM rollup_hours WHERE dimension = 9",
    ),
    (
        "errors and crashes",
        "SELECT env_id, at / 3600000 * 4, count(error_id), sum(fatal) FROM seen GROUP BY 1, 2 HAVING count(error_id) > 0",
        "SELECT env_id, bucket, errors, crashes FROM rollup_hours WHERE dimension = 0 AND errors > 0",
    ),
    (
        "days against hours",
        "SELECT env_id, dimension, bucket / 96, value, sum(events), sum(sessions), sum(users), sum(day_users),
                sum(new_users), sum(errors), sum(crashes), sum(crashed_sessions) FROM rollup_hours GROUP BY 1, 2, 3, 4",
        "SELECT env_id, dimension, bucket / 96, value, events, sessions, users, day_users, new_users, errors, crashes, crashed_sessions
         FROM rollup_days",
    ),
];

/// What the oracle saw.
#[derive(Debug, Default)]
pub struct Findings {
    /// Rows of events.
    pub stored: usize,
    /// Events that the ledger calls acknowledged.
    pub acked: usize,
    /// Acknowledged, and not there.
    pub lost: Vec<Uuid>,
    /// There, and neither acknowledged nor of unknown fate.
    pub unexplained: Vec<Uuid>,
    /// There, and of unknown fate.
    pub unknown: usize,
    /// There more than once.
    pub repeated: Vec<Uuid>,
    /// Summaries that a recount contradicts, and damage that the engine itself reports.
    pub contradictions: Vec<String>,
}

impl Findings {
    /// Panics unless every acknowledged event is there, once, and nothing contradicts.
    #[track_caller]
    pub fn assert_sound(&self) {
        assert!(self.acked > 0, "nothing was acknowledged, so nothing was shown");
        let faults = [self.lost.len(), self.unexplained.len(), self.repeated.len(), self.contradictions.len()];
        assert_eq!(faults, [0; 4], "lost, unexplained, repeated, contradictions: {:?}", self.contradictions);
    }
}

/// Reads the database, whether or not a server has it open.
pub fn examine(database: &Database, ledger: &Ledger) -> Findings {
    let ledger = ledger.read();
    let mut rows: HashMap<Uuid, usize> = HashMap::new();
    for line in database.sql(&format!("SELECT {} FROM events", database.hex("event_id"))).lines() {
        *rows.entry(Uuid::try_parse(line).unwrap()).or_default() += 1;
    }
    let known = |wanted: State| ledger.iter().filter(move |(_, state)| **state == wanted).map(|(id, _)| *id);
    let state = |id: &Uuid| ledger.get(id).copied();
    Findings {
        stored: rows.values().sum(),
        acked: known(State::Acked).count(),
        lost: known(State::Acked).filter(|id| !rows.contains_key(id)).collect(),
        unexplained: rows.keys().filter(|id| matches!(state(id), None | Some(State::Refused))).copied().collect(),
        unknown: rows.keys().filter(|id| matches!(state(id), Some(State::Unknown | State::Sent))).count(),
        repeated: rows.iter().filter(|(_, times)| **times > 1).map(|(id, _)| *id).collect(),
        contradictions: contradictions(database),
    }
}

/// Damage, and differences between the summaries and a recount.
pub fn contradictions(database: &Database) -> Vec<String> {
    let mut found = Vec::new();
    let damage = database.damage();
    if !damage.is_empty() {
        found.push(format!("integrity: {damage}"));
    }
    for (number, column) in DIMENSIONS {
        let recount = format!(
            "SELECT env_id, at / 3600000 * 4, {column}, count(*) FROM seen WHERE {column} IS NOT NULL GROUP BY 1, 2, 3"
        );
        let kept =
            format!("SELECT env_id, bucket, value, events FROM rollup_hours WHERE dimension = {number} AND events > 0");
        compare(database, &format!("events by {column}"), &recount, &kept, &mut found);
    }
    for (what, recount, kept) in RECOUNTS {
        compare(database, what, recount, kept, &mut found);
    }
    found
}

fn compare(database: &Database, what: &str, recount: &str, kept: &str, found: &mut Vec<String>) {
    for (direction, left, right) in [("missing", recount, kept), ("invented", kept, recount)] {
        let rows =
            database.sql(&format!("{SEEN} SELECT * FROM ({left}) AS l EXCEPT SELECT * FROM ({right}) AS r LIMIT 3"));
        if !rows.is_empty() {
            found.push(format!("{what}, {direction}: {}", rows.trim()));
        }
    }
}

fn the_oracle_sees_what_it_is_there_for(backend: Backend) {
    let mut server = Server::over(backend);
    let credentials = server.app("Judged");
    let mut load = Load::new(1, server.home(), &credentials, Shape { events: 5, padding: 0 });
    load.run(server.address(), |progress| progress.await_acked(200));
    assert!(server.stop().success());
    examine(server.database(), &load.ledger).assert_sound();
    let tampered = |change: &str| {
        let copy = server.database().copy(server.home());
        copy.alter(change);
        examine(&copy, &load.ledger)
    };
    let (other_id, next_row) = match backend {
        Backend::Sqlite => ("randomblob(16)", "id = (SELECT max(id) + 1 FROM events), "),
        Backend::Postgres => ("gen_random_uuid()", ""),
    };
    let one = "event_id = (SELECT event_id FROM events ORDER BY event_id DESC LIMIT 1)";
    let lost = tampered(&format!("DELETE FROM events WHERE {one}"));
    assert!(lost.lost.len() == 1 && !lost.contradictions.is_empty(), "{lost:?}");
    let invented = tampered(&format!("UPDATE events SET event_id = {other_id} WHERE {one}"));
    assert_eq!((invented.lost.len(), invented.unexplained.len()), (1, 1), "{invented:?}");
    let doubled = tampered(&format!(
        "CREATE TEMP TABLE t AS SELECT * FROM events WHERE {one};
         UPDATE t SET {next_row}claimed_at = claimed_at + 1; INSERT INTO events SELECT * FROM t"
    ));
    assert_eq!(doubled.repeated.len(), 1, "{doubled:?}");
    for change in [
        "UPDATE rollup_hours SET events = events + 1 WHERE dimension = 3",
        "UPDATE rollup_days SET events = events + 1 WHERE dimension = 0",
        "UPDATE sessions SET events = events + 1 WHERE id = 1",
        "DELETE FROM user_days WHERE user_id = 1",
    ] {
        assert!(!tampered(change).contradictions.is_empty(), "{change} went unnoticed");
    }
}
