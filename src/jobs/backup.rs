//! Makes a backup once a day, where a folder is set for them, and keeps as many as the rule says.

use std::path::Path;
use std::time::Duration;

use super::Ground;
use crate::backup::{self, BackupError};
use crate::model::Millis;

/// How often it looks whether one is due: so one that was missed is made soon after the start.
const REST: Duration = Duration::from_secs(60);
/// How old the newest may become.
const PERIOD: i64 = Millis::DAY;
/// How long it waits after one that failed.
const AFTER_FAILURE: i64 = Millis::HOUR;

/// Makes a backup where the newest is a day old.
pub(super) fn step(ground: &Ground) -> Duration {
    let Some(backups) = &ground.backups else { return REST };
    let now = ground.clock.now();
    let has_just_failed = |at: Millis| (0..AFTER_FAILURE).contains(&now.since(at));
    if ground.progress.backup.lock().failed.as_ref().is_some_and(|(at, _)| has_just_failed(*at)) {
        return REST;
    }
    let done = due(&backups.database, &backups.into, now);
    let mut standing = ground.progress.backup.lock();
    standing.scheduled = true;
    match done {
        Ok(newest) => {
            standing.newest = newest;
            standing.failed = None;
        }
        Err(error) => {
            tracing::error!(%error, "no backup could be made");
            standing.failed = Some((now, error.to_string()));
        }
    }
    REST
}

/// When the newest was made, after what was due is done.
fn due(database: &Path, into: &Path, now: Millis) -> Result<Option<Millis>, BackupError> {
    let newest = backup::list(into)?.first().map(|one| Millis(one.manifest.made_at));
    // One from the future is of a clock that was wrong.
    if newest.is_some_and(|at| (0..PERIOD).contains(&now.since(at))) || !database.exists() {
        return Ok(newest);
    }
    let made = backup::make(database, into, now)?;
    let gone = backup::prune(into)?;
    tracing::info!(bytes = made.manifest.bytes, deleted = gone.len(), "a backup was made and checked");
    Ok(Some(now))
}
