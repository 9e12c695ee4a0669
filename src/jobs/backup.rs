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
    let newest = newest(backup::list(into)?.iter().map(|one| Millis(one.manifest.made_at)), now);
    if newest.is_some_and(|at| now.since(at) < PERIOD) || !database.exists() {
        return Ok(newest);
    }
    let made = backup::make(database, into, now)?;
    let gone = backup::prune(into)?;
    tracing::info!(bytes = made.manifest.bytes, deleted = gone.len(), "a backup was made and checked");
    Ok(Some(now))
}

/// The first of the times, newest first, that is not of a clock that was wrong: one from the future says nothing.
fn newest(mut times: impl Iterator<Item = Millis>, now: Millis) -> Option<Millis> {
    times.find(|at| *at <= now)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_of_a_clock_that_was_ahead_hides_none_that_was_made_since() {
        let now = Millis(1_800_000_000_000);
        let (ahead, since) = (now.plus(400 * Millis::DAY), now.plus(-Millis::HOUR));
        for (times, expected) in
            [(vec![ahead, since], Some(since)), (vec![ahead], None), (vec![now], Some(now)), (vec![], None)]
        {
            assert_eq!(newest(times.into_iter(), now), expected);
        }
    }
}
