//! What a whole database holds, for copies of it.

use std::collections::BTreeMap;

/// What a database holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents {
    /// Number of its last migration.
    pub schema: i64,
    /// Rows of each table.
    pub tables: BTreeMap<String, i64>,
}
