//! CSV with names in its first row (RFC 4180), read row by row.

use std::io::BufRead;

use super::ForeignError;

/// Rows of a text.
pub struct Records<R> {
    text: R,
    header: Vec<String>,
    /// Of the row that comes next.
    line: u64,
}

/// A row, its cells found by the names of their columns.
pub struct Record<'h> {
    header: &'h [String],
    cells: Vec<String>,
}

impl Record<'_> {
    /// The cell of that column, where it has anything in it. `\N` is how some write that there is nothing.
    pub fn get(&self, name: &str) -> Option<&str> {
        let at = self.header.iter().position(|column| column == name)?;
        self.cells.get(at).map(|cell| cell.trim()).filter(|cell| !cell.is_empty() && *cell != "\\N")
    }

    /// All cells, in order.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        self.cells.iter().map(String::as_str)
    }
}

impl<R: BufRead> Records<R> {
    /// Reads the names of the columns, all of which must be there that are wanted.
    pub fn open(text: R, wanted: &[&str]) -> Result<Self, ForeignError> {
        let mut records = Self { text, header: Vec::new(), line: 1 };
        let header = records.cells()?.map(|(_, cells)| cells).unwrap_or_default();
        let name = |cell: String| cell.trim_start_matches('\u{feff}').trim().to_ascii_lowercase();
        records.header = header.into_iter().map(name).collect();
        let missing: Vec<&str> =
            wanted.iter().copied().filter(|name| !records.header.iter().any(|column| column == name)).collect();
        if !missing.is_empty() {
            return Err(ForeignError::At(1, format!("the first row does not name the columns {}", missing.join(", "))));
        }
        Ok(records)
    }

    /// The next row with the number of its first line. Rows that repeat the names are left out: exports that were put
    /// together from pages have them.
    pub fn record(&mut self) -> Result<Option<(u64, Record<'_>)>, ForeignError> {
        loop {
            let Some((line, cells)) = self.cells()? else { return Ok(None) };
            let repeats = cells.iter().map(|cell| cell.to_ascii_lowercase()).eq(self.header.iter().cloned());
            if cells == [""] || repeats {
                continue;
            }
            if cells.len() != self.header.len() {
                let (has, wants) = (cells.len(), self.header.len());
                return Err(ForeignError::At(line, format!("a row of {has} cells, where the first row names {wants}")));
            }
            return Ok(Some((line, Record { header: &self.header, cells })));
        }
    }

    /// One row as it stands, quotes undone.
    fn cells(&mut self) -> Result<Option<(u64, Vec<String>)>, ForeignError> {
        let first = self.line;
        let (mut row, mut quotes) = (Vec::new(), 0);
        loop {
            let before = row.len();
            super::line(&mut self.text, &mut row, first)?;
            if row.len() == before {
                if row.is_empty() {
                    return Ok(None);
                }
                return Err(ForeignError::At(first, "a quote that is opened is never closed".to_owned()));
            }
            self.line += 1;
            // A line break inside of quotes belongs to the cell.
            quotes += row[before..].iter().filter(|byte| **byte == b'"').count();
            if quotes % 2 == 0 {
                break;
            }
        }
        let text = String::from_utf8(row).map_err(|_| ForeignError::At(first, "a row that is not UTF-8".to_owned()))?;
        let cells = split(text.trim_end_matches(['\n', '\r']));
        cells
            .map(|cells| Some((first, cells)))
            .ok_or_else(|| ForeignError::At(first, "a quote in the middle of a cell".to_owned()))
    }
}

fn split(row: &str) -> Option<Vec<String>> {
    let mut cells = Vec::new();
    let mut rest = row;
    loop {
        let Some(quoted) = rest.strip_prefix('"') else {
            let (cell, more) = rest.split_once(',').map_or((rest, None), |(cell, more)| (cell, Some(more)));
            cells.push(cell.to_owned());
            match more {
                Some(more) => rest = more,
                None => return Some(cells),
            }
            continue;
        };
        let mut cell = String::new();
        let mut inside = quoted;
        let behind = loop {
            let (part, after) = inside.split_once('"')?;
            cell.push_str(part);
            match after.strip_prefix('"') {
                Some(more) => {
                    cell.push('"');
                    inside = more;
                }
                None => break after,
            }
        };
        cells.push(cell);
        match behind.strip_prefix(',') {
            Some(more) => rest = more,
            None if behind.is_empty() => return Some(cells),
            None => return None,
        }
    }
}
