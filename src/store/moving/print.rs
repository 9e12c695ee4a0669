//! Fingerprints of rows: how many, and a checksum over all their cells, for each unit of a stretch.

use sha2::{Digest, Sha256};

use super::house::House;
use super::tables::{Stretch, Table};
use crate::store::Result;
use crate::store::sql::{Cell, Row};

/// The fingerprint of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) unit: i64,
    pub(super) rows: u64,
    pub(super) hash: [u8; 32],
}

/// Takes rows in the order of the key, and cuts them into units.
pub(super) struct Tally<'t> {
    table: &'t Table,
    prints: Vec<Print>,
    open: Option<(i64, u64)>,
    hash: Sha256,
    buffer: Vec<u8>,
    /// Bytes of all cells so far.
    pub(super) bytes: u64,
}

impl<'t> Tally<'t> {
    pub(super) fn new(table: &'t Table) -> Self {
        Self { table, prints: Vec::new(), open: None, hash: Sha256::new(), buffer: Vec::new(), bytes: 0 }
    }

    pub(super) fn add(&mut self, rows: &[Row]) {
        for row in rows {
            let unit = self.table.unit_of(row);
            match &mut self.open {
                Some((open, rows)) if *open == unit => *rows += 1,
                _ => {
                    self.close();
                    self.open = Some((unit, 1));
                }
            }
            encode(row, &mut self.buffer);
            if self.buffer.len() > 64 << 10 {
                self.flush();
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<Print> {
        self.close();
        self.prints
    }

    fn close(&mut self) {
        self.flush();
        if let Some((unit, rows)) = self.open.take() {
            self.prints.push(Print { unit, rows, hash: self.hash.finalize_reset().into() });
        }
    }

    fn flush(&mut self) {
        self.bytes += self.buffer.len() as u64;
        self.hash.update(&self.buffer);
        self.buffer.clear();
    }
}

/// Each cell with its kind, and texts and bytes with their length, so that no two rows are written alike.
fn encode(row: &Row, out: &mut Vec<u8>) {
    for cell in &row.0 {
        let (kind, bytes) = match cell {
            Cell::Null => {
                out.push(0);
                continue;
            }
            Cell::Int(value) => {
                out.push(1);
                out.extend(value.to_le_bytes());
                continue;
            }
            Cell::Text(text) => (2, text.as_bytes()),
            Cell::Bytes(bytes) => (3, bytes.as_slice()),
            Cell::Uuid(bytes) => (3, bytes.as_slice()),
        };
        out.push(kind);
        out.extend((bytes.len() as u64).to_le_bytes());
        out.extend(bytes);
    }
}

/// The fingerprints of a stretch, unit by unit; `seen` is told how many rows were read.
pub(super) fn of(house: &dyn House, table: &Table, stretch: &Stretch, seen: &mut dyn FnMut(u64)) -> Result<Vec<Print>> {
    let mut tally = Tally::new(table);
    house.scan(&table.select(stretch), &mut |rows| {
        tally.add(&rows);
        seen(rows.len() as u64);
        Ok(())
    })?;
    Ok(tally.finish())
}

/// Runs of units that follow each other in either list and are not the same in both, as first and last unit.
pub(super) fn differing(mine: &[Print], theirs: &[Print]) -> Vec<(i64, i64)> {
    let mut runs: Vec<(i64, i64)> = Vec::new();
    let (mut mine, mut theirs) = (mine.iter().peekable(), theirs.iter().peekable());
    let mut in_run = false;
    loop {
        let unit = match (mine.peek(), theirs.peek()) {
            (None, None) => return runs,
            (Some(one), None) | (None, Some(one)) => one.unit,
            (Some(one), Some(other)) => one.unit.min(other.unit),
        };
        let same = mine.next_if(|print| print.unit == unit) == theirs.next_if(|print| print.unit == unit);
        match runs.last_mut() {
            _ if same => {}
            Some(run) if in_run => run.1 = unit,
            _ => runs.push((unit, unit)),
        }
        in_run = !same;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn print(unit: i64, hash: u8) -> Print {
        Print { unit, rows: 1, hash: [hash; 32] }
    }

    #[test]
    fn runs_hold_what_is_missing_added_or_changed() {
        let [a, b, c, d] = [1, 2, 3, 5].map(|unit| print(unit, 0));
        let same = [a.clone(), b.clone(), c.clone(), d.clone()];
        assert_eq!(differing(&same, &same), []);
        assert_eq!(differing(&same, &[]), [(1, 5)]);
        assert_eq!(differing(&[], &same), [(1, 5)]);
        assert_eq!(differing(&same, &[a.clone(), print(2, 1), c.clone()]), [(2, 2), (5, 5)]);
        assert_eq!(differing(&[a, d], &[b, c]), [(1, 5)]);
    }

    #[test]
    fn no_two_rows_are_written_alike() {
        let cells = |cells: &[Cell]| {
            let mut out = Vec::new();
            encode(&Row(cells.to_vec()), &mut out);
            out
        };
        let text = |text: &str| Cell::Text(text.to_owned());
        let rows = [
            cells(&[text("ab"), text("")]),
            cells(&[text("a"), text("b")]),
            cells(&[Cell::Bytes(b"ab".to_vec()), text("")]),
            cells(&[text("ab"), Cell::Null]),
            cells(&[Cell::Int(0), Cell::Null]),
            cells(&[Cell::Null, Cell::Int(0)]),
        ];
        for (at, row) in rows.iter().enumerate() {
            assert!(!rows[at + 1..].contains(row));
        }
    }
}
