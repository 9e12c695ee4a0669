//! Makes a backup once a day, where a folder is set for them, and keeps as many as the rule says.

use std::time::Duration;

use super::{Backups, Ground, Held, Turn};
use crate::backup::{self, BackupError};
use crate::model::Millis;

/// How old the newest may become.
const PERIOD: i64 = Millis::DAY;
/// How often it looks at the folder, of which copies may have been taken away.
const LOOK: u64 = Millis::HOUR.unsigned_abs();

/// Why there are none.
pub(super) fn off(ground: &Ground) -> Option<&'static str> {
    ground.backups.is_none().then_some("no folder for backups is set (backup_dir), or PostgreSQL has the data")
}

/// Tells at the start of what was made before it.
pub(super) fn recall(ground: &Ground) {
    let Some(backups) = &ground.backups else { return };
    // A folder that cannot be read is told of by the first run.
    let made = backup::list(&backups.into).unwrap_or_default();
    let mut standing = ground.progress.backup.lock();
    standing.newest = newest(made.iter().map(|one| Millis(one.manifest.made_at)), ground.clock.now());
    standing.scheduled = standing.newest.is_some();
}

/// Makes a backup where the newest is a day old.
pub(super) fn step(ground: &Ground, held: &Held) -> Turn {
    let Some(backups) = &ground.backups else { return Turn::Idle(Duration::from_millis(LOOK)) };
    let now = ground.clock.now();
    let done = due(backups, now, held);
    let mut standing = ground.progress.backup.lock();
    standing.scheduled = true;
    match done {
        Ok(newest) => {
            standing.newest = newest;
            standing.failed = None;
            let age = newest.map_or(0, |at| now.since(at));
            let words = newest.map_or_else(
                || "there is no database to copy yet".to_owned(),
                |at| format!("the newest is of {} UTC", at.timestamp().strftime("%Y-%m-%d %H:%M")),
            );
            let next = (PERIOD - age).max(0).unsigned_abs().min(LOOK);
            Turn::Until(words, Duration::from_millis(next))
        }
        Err(error) => {
            standing.failed = Some((now, error.to_string()));
            Turn::Failed(format!("no backup could be made: {error}"))
        }
    }
}

/// When the newest was made, after what was due is done.
fn due(backups: &Backups, now: Millis, held: &Held) -> Result<Option<Millis>, BackupError> {
    let Backups { database, into } = backups;
    let newest = newest(backup::list(into)?.iter().map(|one| Millis(one.manifest.made_at)), now);
    if newest.is_some_and(|at| now.since(at) < PERIOD) || !database.exists() {
        return Ok(newest);
    }
    let made = backup::make(database, into, now)?;
    // Whoever has taken over decides what goes.
    let gone = if held.is_lost() { Vec::new() } else { backup::prune(into)? };
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
