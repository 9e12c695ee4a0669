//! Tries out the newest backup once a month: restores it to scratch, checks all of it, and deletes it again.

use std::time::Duration;

use super::{Ground, Held, Turn};

/// How long it waits for a first backup.
const NONE_YET: Duration = Duration::from_secs(3_600);

/// Tries out the newest backup. One that cannot be used is an error of the log, told on the status page until one can.
pub(super) fn step(ground: &Ground, _: &Held) -> Turn {
    let Some(backups) = &ground.backups else { return Turn::Idle(NONE_YET) };
    match backups.shelf.drill() {
        Ok(Some(newest)) => {
            let made = crate::model::Millis(newest.manifest.made_at).timestamp().strftime("%Y-%m-%d %H:%M");
            let rows: i64 = newest.manifest.tables.values().sum();
            Turn::Done(format!("the backup of {made} UTC can be restored: {rows} rows, all as copied"))
        }
        Ok(None) => Turn::Idle(NONE_YET),
        Err(error) => Turn::Failed(format!("the newest backup could not be tried out: {error}")),
    }
}
