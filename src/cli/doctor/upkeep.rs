//! What is done again and again: backups, jobs, forgetting.

use std::path::Path;

use super::Ground;
use super::finding::{Finding, length};
use crate::config::Place;
use crate::jobs;
use crate::model::{JobRun, Millis};
use crate::store::StoreError;
use crate::store::look::Look;

/// How old the newest backup may be.
const BACKUP: i64 = 2 * Millis::DAY;
/// How long events may stay beyond their time.
const BEHIND: i64 = 3 * Millis::DAY;

/// The newest backup, where the box can know of any.
pub fn backups(ground: &Ground<'_>) -> Vec<Finding> {
    const CHECK: &str = "backups";
    let config = ground.config;
    let database = config.database_path();
    if database.is_none() && config.backup_dir.is_none() {
        let text =
            "PostgreSQL's own tools make backups, or backup_dir is set: the box cannot see whether there are any.";
        return vec![Finding::ok(CHECK, text)];
    }
    let found = super::super::backup::shelf(config).and_then(|shelf| Ok((shelf.times()?, shelf)));
    let (times, shelf) = match found {
        Ok(found) => found,
        Err(error) => {
            let fix = "mend backup_dir and what belongs to it; tallybox config show tells what holds";
            return vec![Finding::problem(CHECK, format!("Backups cannot be looked for: {error:#}."), fix)];
        }
    };
    let newest = times.into_iter().find(|at| *at <= ground.now);
    let schedule =
        if config.backup_dir.is_some() { "tallybox jobs run backup" } else { "tallybox backup, and set backup_dir" };
    vec![match newest {
        _ if database.is_some_and(|path| !path.exists()) => Finding::ok(CHECK, "There is nothing to copy yet."),
        None => Finding::warning(CHECK, format!("There is no backup in {shelf}."), schedule),
        Some(at) if ground.now.since(at) > BACKUP => {
            let text = format!("The newest backup is {} old.", length(ground.now.since(at)));
            Finding::problem(CHECK, text, schedule)
        }
        Some(at) => {
            let folder = match &config.backup_dir {
                None => Some(config.data_dir.join("backups")),
                Some(Place::Folder(folder)) => Some(folder.clone()),
                Some(Place::Bucket { .. }) => None,
            };
            let beside = match database.zip(folder) {
                Some((database, folder)) if is_beside(database, &folder) => {
                    " It lies on the disk of the database: keep another elsewhere."
                }
                _ => "",
            };
            Finding::ok(CHECK, format!("The newest backup is {} old.{beside}", length(ground.now.since(at))))
        }
    }]
}

/// Whether both lie on one file system.
fn is_beside(database: &Path, folder: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let device = |path: &Path| std::fs::metadata(path).map(|found| found.dev()).ok();
    device(database).is_some() && device(database) == device(folder)
}

/// What the database tells of jobs and of events that should be forgotten.
pub fn of_database(ground: &Ground<'_>, look: &Look) -> Result<Vec<Finding>, StoreError> {
    let runs = look.jobs()?;
    // A server writes down how it does every minute.
    let heard = runs.iter().filter_map(|run| run.ended_at).any(|at| ground.now.since(at) < 5 * Millis::MINUTE);
    let is_running = ground.is_running || (ground.config.database_path().is_none() && heard);
    let mut findings: Vec<_> = runs.iter().filter_map(|run| of_job(ground, run, is_running)).collect();
    if findings.is_empty() {
        let text = if is_running {
            "No job is overdue, and none has failed."
        } else {
            "No server runs, so that no job is due; none has failed."
        };
        findings.push(Finding::ok("jobs", text));
    }
    findings.push(retention(ground, look, is_running)?);
    Ok(findings)
}

fn of_job(ground: &Ground<'_>, run: &JobRun, is_running: bool) -> Option<Finding> {
    let job = jobs::ALL.iter().map(jobs::Duty::job).find(|job| job.name == run.name)?;
    let fix = format!("tallybox jobs run {}", job.name);
    if run.failures > 0 {
        let text = format!("The job {} has failed {} times in a row: {}.", job.name, run.failures, run.result);
        return Some(Finding::warning("jobs", text, fix));
    }
    let is_overdue = is_running && job.is_overdue(run.next_at, ground.now);
    is_overdue.then(|| {
        let text = format!("The job {} is overdue by {}.", job.name, length(ground.now.since(run.next_at)));
        Finding::warning("jobs", text, fix)
    })
}

fn retention(ground: &Ground<'_>, look: &Look, is_running: bool) -> Result<Finding, StoreError> {
    const CHECK: &str = "retention";
    let days = ground.config.retention_days;
    if days == 0 {
        return Ok(Finding::ok(CHECK, "Events are kept for ever (retention_days)."));
    }
    let limit = i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(Millis::DAY);
    Ok(match look.oldest_event()? {
        Some(at) if is_running && ground.now.since(at).saturating_sub(limit) > BEHIND => {
            let text = format!(
                "Events are kept for {days} days, and one of {} ago is still there.",
                length(ground.now.since(at))
            );
            Finding::warning(CHECK, text, "look into the log of the server for what holds it up")
        }
        _ => Finding::ok(CHECK, format!("Events are kept for {days} days.")),
    })
}
