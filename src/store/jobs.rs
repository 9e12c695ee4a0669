//! The table of jobs, written once for every backend: who does one, how it went, when it is due.

use super::sql::{Cell, Row, Sql};
use super::{Result, StoreError};
use crate::model::{JobClaim, JobClaimed, JobDue, JobEnd, JobLease, JobRun, JobVerdict, Millis, job_backoff};

/// For how long a node's own rows are told after it has last written any.
const REMEMBERED: i64 = Millis::HOUR;

/// Longest result that is kept, in characters.
const RESULT: usize = 500;

const RUN: &str = "SELECT name, node, started_at, ended_at, took, result, failures, next_at, holder, held_until, fence \
                   FROM jobs ";

/// All rows, by name.
pub(super) fn all(db: &dyn Sql) -> Result<Vec<JobRun>> {
    let rows = db.rows(&[RUN, "ORDER BY name, node LIMIT 1000"].concat(), &[])?;
    Ok(rows.iter().map(read).collect())
}

/// How a job of one of the fleet stands.
pub(super) fn of_fleet(db: &dyn Sql, name: &str) -> Result<Option<JobRun>> {
    Ok(db.row(&[RUN, "WHERE name = $1 AND node = ''"].concat(), &[name.into()])?.as_ref().map(read))
}

/// Whether it may be taken now.
pub(super) fn is_free(run: &JobRun, claim: &JobClaim<'_>) -> bool {
    match &run.held {
        // One that is held for longer than anybody holds any was taken by a clock that is far ahead. Whatever kills the
        // process that does it is tried less and less often.
        Some((_, until)) => {
            let rest = if run.failures == 0 { 0 } else { job_backoff(run.failures, claim.period) };
            claim.now >= until.plus(rest) || claim.now < until.plus(-4 * claim.lease)
        }
        None if claim.due == JobDue::Now => true,
        None => claim.now >= run.next_at || claim.now < run.next_at.plus(-claim.period.max(Millis::HOUR)),
    }
}

/// Takes a job where it is free. Whoever had it before is fenced off from then on.
pub(super) fn claim(db: &dyn Sql, claim: &JobClaim<'_>) -> Result<JobClaimed> {
    db.run("INSERT INTO jobs (name, node) VALUES ($1, '') ON CONFLICT DO NOTHING", &[claim.name.into()])?;
    let run = of_fleet(db, claim.name)?.ok_or(StoreError::NotFound("job"))?;
    if !is_free(&run, claim) {
        return Ok(JobClaimed::Waits(run));
    }
    // Whoever had it died of it, or is away: that counts as a failure.
    let (failures, result) = match &run.held {
        Some((holder, _)) => {
            (run.failures + 1, format!("{} was at it and has not been heard of since", name_of(holder)))
        }
        None => (run.failures, run.result.clone()),
    };
    let held = run.held.as_ref().map_or(-1, |(_, until)| until.0);
    let taken = db.value(
        "UPDATE jobs SET holder = $1, held_until = $2, started_at = $3, next_at = $4, failures = $5, result = $6, \
         fence = fence + 1 WHERE name = $7 AND node = '' AND fence = $8 AND coalesce(held_until, -1) = $9 RETURNING fence",
        &[
            claim.worker.into(),
            claim.now.plus(claim.lease).0.into(),
            claim.now.0.into(),
            claim.now.plus(claim.period).0.into(),
            failures.into(),
            result.as_str().into(),
            claim.name.into(),
            run.fence.into(),
            held.into(),
        ],
    )?;
    match taken.some_int() {
        Some(fence) => {
            let (name, worker) = (claim.name.to_owned(), claim.worker.to_owned());
            Ok(JobClaimed::Taken(JobLease { name, worker, fence, started_at: claim.now }))
        }
        // Somebody else was quicker.
        None => Ok(JobClaimed::Waits(of_fleet(db, claim.name)?.unwrap_or(run))),
    }
}

/// Makes sure that a job is still in these hands, and that nobody takes it before the transaction ends. To be called first
/// in a transaction that changes what must not be changed twice.
pub(super) fn hold(db: &dyn Sql, lease: &JobLease) -> Result<()> {
    let sql = "UPDATE jobs SET fence = fence WHERE name = $1 AND node = '' AND fence = $2 AND holder = $3";
    match db.run(sql, &key(lease))? {
        0 => Err(StoreError::TakenOver),
        _ => Ok(()),
    }
}

/// Keeps a job for so many milliseconds more.
pub(super) fn renew(db: &dyn Sql, lease: &JobLease, now: Millis, length: i64) -> Result<()> {
    let sql = "UPDATE jobs SET held_until = $1 WHERE name = $2 AND node = '' AND fence = $3 AND holder = $4";
    let [name, fence, holder] = key(lease);
    match db.run(sql, &[now.plus(length).0.into(), name, fence, holder])? {
        0 => Err(StoreError::TakenOver),
        _ => Ok(()),
    }
}

/// Gives a job back with what came of it.
pub(super) fn end(db: &dyn Sql, lease: &JobLease, now: Millis, end: &JobEnd<'_>) -> Result<JobRun> {
    hold(db, lease)?;
    let run = of_fleet(db, &lease.name)?.ok_or(StoreError::NotFound("job"))?;
    let (failures, next_at) = match end.verdict {
        JobVerdict::Done => (0, lease.started_at.plus(end.next)),
        JobVerdict::Failed => (run.failures + 1, now.plus(job_backoff(run.failures + 1, end.period))),
        JobVerdict::BrokenOff => (run.failures, now),
    };
    let result = end.result.chars().take(RESULT).collect();
    let done = JobRun { ended_at: Some(now), took: end.took, result, failures, next_at, held: None, ..run };
    let [name, fence, holder] = key(lease);
    db.run(
        "UPDATE jobs SET ended_at = $1, took = $2, result = $3, failures = $4, next_at = $5, holder = NULL, \
         held_until = NULL WHERE name = $6 AND node = '' AND fence = $7 AND holder = $8",
        &[
            now.0.into(),
            done.took.into(),
            done.result.as_str().into(),
            done.failures.into(),
            done.next_at.0.into(),
            name,
            fence,
            holder,
        ],
    )?;
    Ok(done)
}

/// Writes down how a job stands that every node does for itself, and forgets nodes that have long written nothing.
pub(super) fn note(db: &dyn Sql, run: &JobRun, node: &str) -> Result<()> {
    let result: String = run.result.chars().take(RESULT).collect();
    db.run(
        "INSERT INTO jobs (name, node, started_at, ended_at, took, result, failures, next_at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (name, node) DO UPDATE SET \
         started_at = excluded.started_at, ended_at = excluded.ended_at, took = excluded.took, result = excluded.result, \
         failures = excluded.failures, next_at = excluded.next_at",
        &[
            run.name.as_str().into(),
            node.into(),
            run.started_at.map(|at| at.0).into(),
            run.ended_at.map(|at| at.0).into(),
            run.took.into(),
            result.as_str().into(),
            run.failures.into(),
            run.next_at.0.into(),
        ],
    )?;
    let old = "DELETE FROM jobs WHERE name = $1 AND node <> '' AND node <> $2 AND next_at < $3";
    db.run(old, &[run.name.as_str().into(), node.into(), run.next_at.plus(-REMEMBERED).0.into()])?;
    Ok(())
}

/// The same where only one node can be: there were others before it.
pub(super) fn note_alone(db: &dyn Sql, run: &JobRun, node: &str) -> Result<()> {
    note(db, run, node)?;
    db.run("DELETE FROM jobs WHERE name = $1 AND node NOT IN ('', $2)", &[run.name.as_str().into(), node.into()])?;
    Ok(())
}

/// What a worker is called for people: without what makes it the only one of its name.
fn name_of(worker: &str) -> &str {
    worker.rsplit_once(' ').map_or(worker, |(name, _)| name)
}

fn key(lease: &JobLease) -> [Cell; 3] {
    [lease.name.as_str().into(), lease.fence.into(), lease.worker.as_str().into()]
}

fn read(row: &Row) -> JobRun {
    JobRun {
        name: row.text(0),
        node: row.some_text(1).filter(|node| !node.is_empty()),
        started_at: row.some_int(2).map(Millis),
        ended_at: row.some_int(3).map(Millis),
        took: row.int(4),
        result: row.text(5),
        failures: row.int(6),
        next_at: Millis(row.int(7)),
        held: row.some_text(8).zip(row.some_int(9).map(Millis)),
        fence: row.int(10),
    }
}
