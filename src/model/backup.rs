//! How backups stand.

use super::Millis;

/// What the box knows of its own backups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackupStanding {
    /// Whether it makes any by itself.
    pub scheduled: bool,
    /// When the newest was made, of those in the folder.
    pub newest: Option<Millis>,
    /// When the last attempt failed and why, until one succeeds.
    pub failed: Option<(Millis, String)>,
}
