//! A process that serves a database.

use super::Millis;

/// One of the processes that serve the same database, as it last said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Node {
    /// Random, made at its start.
    pub id: String,
    /// What its machine is called.
    pub name: String,
    /// Which version of the program it is.
    pub version: String,
    /// When it started, by its clock.
    pub started_at: Millis,
    /// When it last spoke, by its clock.
    pub seen_at: Millis,
}
