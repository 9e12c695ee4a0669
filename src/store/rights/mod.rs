//! What people may ask of an app: to be found, to be given a file of everything about them, and to be erased. An erasure is
//! a row of `erasures` that is worked off in small steps: what a step changes is worked out outside of any transaction, and
//! written in one that commits hardly wait for.

mod app;
mod ask;
mod collects;
mod device;
mod errors;
mod file;
mod find;
mod job;
mod named;
mod person;
pub(super) mod their;

use super::sql::{Cell, Sql};
use super::{Result, audit};
use crate::model::{AppId, By, Concerning, EnvironmentId, ErasureKind, Millis, OrganizationId};
use job::Phase;

pub(super) use ask::{begin, begin_apps, has_apps, prepare};
pub(super) use collects::{collected, is_public, set_public};
pub(super) use file::{fact_texts, part};
pub(super) use find::find;
pub(super) use job::{Job, Step, hold, next, of_app, one, take};

/// What is to be done next. Reads what the last write left, never a replica.
pub(super) fn step(db: &dyn Sql, job: &Job) -> Result<Step> {
    match job.place.phase {
        Phase::Events => person::events(db, job),
        Phase::Sessions => person::sessions(db, job),
        Phase::Days => person::days(db, job),
        Phase::Visits => person::visits(db, job),
        Phase::Devices => person::devices(db, job),
        Phase::Roots => person::roots(db, job),
        Phase::DeviceVisits => device::visits(db, job),
        Phase::Machine => device::machine(db, job),
        Phase::App => app::everything(db, job),
        Phase::Log => Ok(Step::on(job.place)),
    }
}

/// Whether everything is removed, and only the log of the database may still have it.
pub(super) fn is_removed(job: &Job) -> bool {
    job.place.phase == Phase::Log
}

/// Ends an erasure, with a line of how much it was; nothing that names anybody stays.
pub(super) fn finish(db: &dyn Sql, job: &Job, (worker, now): (&str, Millis)) -> Result<()> {
    let ended = db.run(
        "UPDATE erasures SET ended_at = $1, changed_at = $1, user_id = NULL, profile_id = NULL, device_id = NULL, \
         worker = NULL, held_until = NULL WHERE id = $2 AND worker = $3 AND ended_at IS NULL AND phase = $4",
        &[now.0.into(), job.row.into(), worker.into(), Phase::Log.as_str().into()],
    )?;
    if ended == 1 {
        let detail = if job.counts.sum() == 0 { "nothing was stored".to_owned() } else { job.counts.to_string() };
        let by = By { at: now, member: job.member.clone(), place: job.from.clone() };
        audit::note(db, &by, owner(db, job)?, (&format!("{}.erased", job.kind.as_str()), &job.digest, &detail))?;
    }
    Ok(())
}

/// Whom an erasure concerns: an app that is gone was its organization's.
fn owner(db: &dyn Sql, job: &Job) -> Result<Concerning> {
    if job.kind != ErasureKind::App {
        return Ok(Concerning::App(AppId(job.app)));
    }
    let sql =
        "SELECT organization_id FROM audit WHERE app_id = $1 AND organization_id IS NOT NULL ORDER BY id DESC LIMIT 1";
    let organization = db.value(sql, &[job.app.into()])?.some_int();
    Ok(organization.map_or(Concerning::Box, |id| Concerning::Organization(OrganizationId(id))))
}

/// A number that changes when an erasure begins or ends: what is remembered of reports is true only until then.
pub(super) fn mark(db: &dyn Sql) -> Result<i64> {
    Ok(db.value("SELECT count(*) + count(ended_at) FROM erasures", &[])?.int())
}

/// Whether the summaries of a UTC day count somebody who is erased.
pub(super) fn is_erased_day(db: &dyn Sql, environment: EnvironmentId, day: i64) -> Result<bool> {
    let sql = "SELECT 1 FROM erased_days WHERE env_id = $1 AND day = $2";
    Ok(db.row(sql, &[Cell::Int(environment.0), day.into()])?.is_some())
}

/// How many such days an environment has.
pub(super) fn erased_days(db: &dyn Sql, environment: EnvironmentId) -> Result<u64> {
    let days = db.value("SELECT count(*) FROM erased_days WHERE env_id = $1", &[environment.0.into()])?;
    Ok(u64::try_from(days.int()).unwrap_or(0))
}
