//! The erasure of a device, step by step: its sessions with all that happened in them, then the device.

use super::super::Result;
use super::super::sql::{Cell, Sql};
use super::job::{Change, Job, Phase, Place, ROWS, Step};
use super::person::{removal, remove_device, remove_session};
use super::their::{PATIENCE, SESSION, START, Session};
use crate::clock::Deadline;

/// Sessions that are looked at together.
const VISITS: i64 = 50;

/// The sessions that it told of itself, whosever they were.
pub(super) fn visits(db: &dyn Sql, job: &Job) -> Result<Step> {
    let over = Place::begin(Phase::Machine);
    let Some(device) = job.device else { return Ok(Step::on(over)) };
    let sql = "SELECT id, hash FROM device_sessions WHERE device_id = $1 ORDER BY id LIMIT $2";
    let found = db.rows(sql, &[device.into(), VISITS.into()])?;
    if found.is_empty() {
        return Ok(Step::on(over));
    }
    let deadline = Deadline::after(PATIENCE);
    let (mut changes, mut left) = (Vec::new(), ROWS);
    for visit in &found {
        if left == 0 || (deadline.passed() && !changes.is_empty()) {
            break;
        }
        let hash = Cell::Uuid(visit.array(1).unwrap_or_default());
        let sql = [SESSION, "WHERE s.env_id = $1 AND s.hash = $2"].concat();
        if let Some(row) = db.row(&sql, &[job.environment.into(), hash])? {
            let session = Session::read(&row);
            let events = session.events(db, job.environment, START, left + 1)?;
            let whole = events.len() <= left;
            let events = &events[..events.len().min(left)];
            changes.extend(removal(db, job, events, ("session_id", session.row))?);
            left -= events.len();
            if !whole {
                break;
            }
            changes.extend(remove_session(job.environment, session));
        }
        let sql = "DELETE FROM device_sessions WHERE id = $1";
        changes.push(Change::removal("device_sessions", sql, vec![visit.int(0).into()]));
    }
    Ok(Step { changes, next: Place::begin(Phase::DeviceVisits) })
}

/// The device itself.
pub(super) fn machine(db: &dyn Sql, job: &Job) -> Result<Step> {
    let changes = job.device.map_or_else(|| Ok(Vec::new()), |device| remove_device(db, job, device))?;
    // Whoever had no other device, and no name, goes with it.
    let last = if job.user.is_some() || job.profile.is_some() { Phase::Events } else { Phase::Log };
    Ok(Step { changes, next: Place::begin(last) })
}
