//! What a move has to say at its end.

use std::collections::BTreeSet;
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::print::Print;
use super::tables::Table;
use crate::model::Millis;

/// What was moved, and how that was proved.
#[derive(Clone, Debug)]
pub struct Account {
    /// What the source is, without credentials.
    pub from: String,
    /// What the destination is.
    pub to: String,
    /// All tables, in the order in which they were moved.
    pub tables: Vec<TableAccount>,
    /// The destination is what the source was at this moment.
    pub moment: Millis,
    /// How long it took.
    pub took: Duration,
    /// Bytes of the cells that were written.
    pub bytes: u64,
    /// Environments and UTC days whose summaries were compared.
    pub(super) days: BTreeSet<(i64, i64)>,
}

/// The same of one table.
#[derive(Clone, Debug)]
pub struct TableAccount {
    /// Its name.
    pub name: &'static str,
    /// Rows that it had at the moment.
    pub rows: u64,
    /// Rows that this run has written, some of them perhaps twice.
    pub copied: u64,
    /// SHA-256 over the fingerprints of all its units at the source.
    pub checksum: [u8; 32],
    /// The same at the destination, of what was read back.
    pub found: [u8; 32],
    /// Units that are not the same at the end, in words.
    pub differing: Vec<String>,
}

impl Account {
    pub(super) fn new(from: String, to: String) -> Self {
        Self { from, to, tables: Vec::new(), moment: Millis(0), took: Duration::ZERO, bytes: 0, days: BTreeSet::new() }
    }

    /// Whether the destination is the same as the source was at the moment.
    pub fn is_same(&self) -> bool {
        self.tables.iter().all(TableAccount::is_same)
    }

    /// How many days of summaries were compared, each environment's by itself.
    pub fn rollup_days(&self) -> usize {
        self.days.len()
    }

    pub(super) fn table(&mut self, name: &'static str) -> &mut TableAccount {
        let at = self.tables.iter().position(|table| table.name == name).unwrap_or_else(|| {
            let new =
                TableAccount { name, rows: 0, copied: 0, checksum: [0; 32], found: [0; 32], differing: Vec::new() };
            self.tables.push(new);
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }
}

impl TableAccount {
    /// Whether the destination has the same rows.
    pub fn is_same(&self) -> bool {
        self.differing.is_empty() && self.checksum == self.found
    }
}

/// A checksum over the fingerprints of a table, in their order.
#[derive(Default)]
pub(super) struct Checksum(Sha256);

impl Checksum {
    pub(super) fn add(&mut self, prefix: &[i64], prints: &[Print]) {
        for print in prints {
            for value in prefix {
                self.0.update(value.to_le_bytes());
            }
            self.0.update(print.unit.to_le_bytes());
            self.0.update(print.rows.to_le_bytes());
            self.0.update(print.hash);
        }
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

/// Whether a table's units are days of summaries.
pub(super) fn is_summary(table: &Table) -> bool {
    table.name.starts_with("rollup_")
}
