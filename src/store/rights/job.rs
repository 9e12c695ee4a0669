//! An erasure as it is worked on: its row, one step of it, and how far it is.

use std::borrow::Cow;
use std::collections::BTreeSet;

use uuid::Uuid;

use super::super::sql::{Cell, Row, Sql};
use super::super::{Result, StoreError, settled};
use super::their::{Calendar, EventKey};
use crate::model::{AppId, EnvironmentId, Erasure, ErasureKind, Millis, RowCounts};

/// For how long a worker holds an erasure from step to step.
pub(super) const HOLD: i64 = 15 * Millis::SECOND;

/// Rows that are removed together: so few that commits hardly wait for them.
pub(super) const ROWS: usize = 500;

/// What is done at a time, in the order in which it is done. Those of people, then those of a device, then those of both
/// and of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Events,
    Sessions,
    Days,
    Visits,
    Devices,
    Roots,
    DeviceVisits,
    Machine,
    App,
    Log,
}

impl Phase {
    const ALL: [Self; 10] = [
        Self::Events,
        Self::Sessions,
        Self::Days,
        Self::Visits,
        Self::Devices,
        Self::Roots,
        Self::DeviceVisits,
        Self::Machine,
        Self::App,
        Self::Log,
    ];

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Sessions => "sessions",
            Self::Days => "days",
            Self::Visits => "visits",
            Self::Devices => "devices",
            Self::Roots => "roots",
            Self::DeviceVisits => "device_visits",
            Self::Machine => "machine",
            Self::App => "app",
            Self::Log => "log",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text)
    }

    /// As on pages.
    const fn doing(self) -> &'static str {
        match self {
            Self::Events => "looking for events and removing them",
            Self::Sessions => "removing sessions",
            Self::Days => "removing the days on which they were seen",
            Self::Visits | Self::DeviceVisits => "removing sessions of devices",
            Self::Devices | Self::Machine => "removing devices",
            Self::Roots => "removing who they are",
            Self::App => "removing everything, table by table",
            Self::Log => "overwriting what is removed in the database's log",
        }
    }
}

/// How far an erasure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) phase: Phase,
    pub(super) key: i64,
}

impl Place {
    /// The beginning of a phase.
    pub(super) const fn begin(phase: Phase) -> Self {
        Self { phase, key: i64::MIN }
    }
}

/// An erasure's row.
#[derive(Clone, Debug)]
pub(in crate::store) struct Job {
    pub(super) row: i64,
    pub(in crate::store) id: Uuid,
    pub(super) app: i64,
    pub(super) environment: i64,
    pub(super) kind: ErasureKind,
    pub(super) digest: String,
    pub(super) user: Option<i64>,
    pub(super) profile: Option<i64>,
    pub(super) device: Option<i64>,
    pub(super) place: Place,
    pub(super) counts: RowCounts,
    pub(super) member: String,
    pub(super) from: String,
    pub(super) calendar: Calendar,
}

const JOB: &str = "SELECT e.id, e.app_id, e.env_id, e.kind, e.digest, e.user_id, e.profile_id, e.device_id, e.phase, \
                   e.position, e.counts, e.member, e.place, e.uuid FROM erasures e ";

/// The open erasure that is asked for and that nobody else holds; else the oldest one.
pub(in crate::store) fn next(db: &dyn Sql, only: Option<Uuid>, (worker, now): (&str, Millis)) -> Result<Option<Job>> {
    let free = "WHERE e.ended_at IS NULL AND (e.worker = $1 OR e.held_until IS NULL OR e.held_until <= $2 \
                OR e.held_until > $3) ";
    // One that is held for longer than anybody holds any was taken by a clock that is far ahead.
    let mut params: Vec<Cell> = vec![worker.into(), now.0.into(), now.plus(4 * HOLD).0.into()];
    let named = match only {
        Some(id) => {
            params.push(id.as_bytes().into());
            "AND e.uuid = $4 "
        }
        None => "",
    };
    let row = db.row(&[JOB, free, named, "ORDER BY e.id LIMIT 1"].concat(), &params)?;
    row.map(|row| read(db, &row)).transpose()
}

fn read(db: &dyn Sql, row: &Row) -> Result<Job> {
    let odd = |what: &str| StoreError::Unexpected(format!("an erasure has {what} that is not known"));
    Ok(Job {
        row: row.int(0),
        id: Uuid::from_bytes(row.array(13).unwrap_or_default()),
        app: row.int(1),
        environment: row.int(2),
        kind: ErasureKind::parse(&row.text(3)).ok_or_else(|| odd("a kind"))?,
        digest: row.text(4),
        user: row.some_int(5),
        profile: row.some_int(6),
        device: row.some_int(7),
        place: Place { phase: Phase::parse(&row.text(8)).ok_or_else(|| odd("a phase"))?, key: row.int(9) },
        counts: RowCounts::parse(&row.text(10)),
        member: row.text(11),
        from: row.text(12),
        calendar: Calendar::of(db, row.int(1))?,
    })
}

const ERASURE: &str = "SELECT uuid, app_id, env_id, kind, digest, counts, phase, member, asked_at, changed_at, ended_at \
                       FROM erasures ";

/// The newest erasures of an app.
pub(in crate::store) fn of_app(db: &dyn Sql, app: AppId, limit: u32) -> Result<Vec<Erasure>> {
    let sql = [ERASURE, "WHERE app_id = $1 ORDER BY id DESC LIMIT $2"].concat();
    Ok(db.rows(&sql, &[app.0.into(), i64::from(limit).into()])?.iter().map(erasure).collect())
}

/// One erasure, by its public id.
pub(in crate::store) fn one(db: &dyn Sql, id: Uuid) -> Result<Option<Erasure>> {
    let sql = [ERASURE, "WHERE uuid = $1"].concat();
    Ok(db.row(&sql, &[id.as_bytes().into()])?.as_ref().map(erasure))
}

fn erasure(row: &Row) -> Erasure {
    let ended_at = row.some_int(10).map(Millis);
    let doing = Phase::parse(&row.text(6)).filter(|_| ended_at.is_none()).map_or("", Phase::doing);
    Erasure {
        id: Uuid::from_bytes(row.array(0).unwrap_or_default()),
        app: AppId(row.int(1)),
        environment: row.some_int(2).map(EnvironmentId),
        kind: ErasureKind::parse(&row.text(3)).unwrap_or(ErasureKind::Person),
        digest: row.text(4),
        counts: RowCounts::parse(&row.text(5)),
        doing,
        member: row.text(7),
        asked_at: Millis(row.int(8)),
        changed_at: Millis(row.int(9)),
        ended_at,
    }
}

/// One step, as it was worked out outside of any transaction: what is to be changed, and where it goes on then.
pub(in crate::store) struct Step {
    pub(super) changes: Vec<Change>,
    pub(super) next: Place,
}

/// One statement of a step.
pub(super) struct Change {
    /// The table whose rows it removes, where they count.
    pub(super) counted: Option<&'static str>,
    sql: Cow<'static, str>,
    params: Vec<Cell>,
    /// Whether the step is off where it changes nothing: then somebody was there meanwhile.
    must: bool,
    /// The environment and its UTC day of which nothing that is settled holds any more.
    unsettles: Option<(EnvironmentId, i64)>,
}

impl Change {
    /// One that counts as rows removed from a table.
    pub(super) fn removal(table: &'static str, sql: impl Into<Cow<'static, str>>, params: Vec<Cell>) -> Self {
        Self { counted: Some(table), sql: sql.into(), params, must: false, unsettles: None }
    }

    /// One that counts as nothing.
    pub(super) fn silent(sql: impl Into<Cow<'static, str>>, params: Vec<Cell>) -> Self {
        Self { counted: None, sql: sql.into(), params, must: false, unsettles: None }
    }

    /// Runs it; the number of rows that it changed.
    pub(super) fn run(&self, db: &dyn Sql) -> Result<u64> {
        db.run(&self.sql, &self.params)
    }

    /// The same, without which the step is off.
    pub(super) fn or_off(self) -> Self {
        Self { must: true, ..self }
    }
}

impl Step {
    /// Nothing to change: it goes on there.
    pub(super) fn on(next: Place) -> Self {
        Self { changes: Vec::new(), next }
    }
}

/// Takes an erasure into one's hands, or keeps it there. `false` where somebody else has it.
pub(in crate::store) fn hold(db: &dyn Sql, job: &Job, (worker, now): (&str, Millis)) -> Result<bool> {
    let held = db.run(
        "UPDATE erasures SET worker = $1, held_until = $2 WHERE id = $3 AND ended_at IS NULL \
         AND (worker = $1 OR held_until IS NULL OR held_until <= $4 OR held_until > $5)",
        &[worker.into(), now.plus(HOLD).0.into(), job.row.into(), now.0.into(), now.plus(4 * HOLD).0.into()],
    )?;
    Ok(held == 1)
}

/// Changes what a step changes, in one transaction with how far the erasure is then. [`StoreError::Interrupted`] where
/// somebody else has gone on with it, or the rows are not any more what they were.
pub(in crate::store) fn take(db: &dyn Sql, job: &Job, step: &Step, (worker, now): (&str, Millis)) -> Result<()> {
    let mine = "UPDATE erasures SET changed_at = $1, held_until = $2 WHERE id = $3 AND worker = $4 AND ended_at IS NULL \
                AND phase = $5 AND position = $6 AND counts = $7";
    let place = job.place;
    let held = db.run(
        mine,
        &[
            now.0.into(),
            now.plus(HOLD).0.into(),
            job.row.into(),
            worker.into(),
            place.phase.as_str().into(),
            place.key.into(),
            job.counts.to_string().as_str().into(),
        ],
    )?;
    if held == 0 {
        return Err(StoreError::Interrupted);
    }
    let mut counts = job.counts.clone();
    for change in &step.changes {
        if let Some((environment, day)) = change.unsettles {
            settled::discard(db, environment, day)?;
        }
        let rows = change.run(db)?;
        if rows == 0 && change.must {
            return Err(StoreError::Interrupted);
        }
        if let Some(table) = change.counted {
            counts.add(table, rows);
        }
    }
    db.run(
        "UPDATE erasures SET phase = $1, position = $2, counts = $3 WHERE id = $4",
        &[step.next.phase.as_str().into(), step.next.key.into(), counts.to_string().as_str().into(), job.row.into()],
    )?;
    Ok(())
}

/// Statements that remove events of an environment. One each: SQLite does not use the index for a list of pairs.
pub(super) fn remove_events(environment: i64, keys: &[EventKey]) -> Vec<Change> {
    let sql = "DELETE FROM events WHERE env_id = $1 AND claimed_at = $2 AND event_id = $3";
    let remove = |key: &EventKey| {
        Change::removal("events", sql, vec![environment.into(), key.claimed_at.into(), Cell::Uuid(key.id)])
    };
    keys.iter().map(remove).collect()
}

/// Statements that note UTC days whose summaries count what is removed; what is settled of them is thrown away.
pub(super) fn mark_days(environment: i64, days: impl IntoIterator<Item = i64>) -> Vec<Change> {
    let days: BTreeSet<i64> = days.into_iter().collect();
    let sql = "INSERT INTO erased_days (env_id, day) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    let mark = |day: i64| Change {
        unsettles: Some((EnvironmentId(environment), day)),
        ..Change::silent(sql, vec![environment.into(), day.into()])
    };
    days.into_iter().map(mark).collect()
}

/// `$n, $n+1, …` for so many values.
pub(super) fn places(from: usize, count: usize) -> String {
    (from..from + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}
