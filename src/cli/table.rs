//! What verbs print: aligned columns, labelled values, times.

use std::io::{self, Write};

use crate::model::Millis;

/// Rows under a header, columns aligned and two blanks apart.
pub fn columns<const N: usize>(header: [&str; N], rows: Vec<[String; N]>) -> String {
    let rows: Vec<[String; N]> = std::iter::once(header.map(str::to_owned)).chain(rows).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |row: &[String; N]| {
        let cells: String = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}  ")).collect();
        format!("{}\n", cells.trim_end())
    };
    rows.iter().map(line).collect()
}

/// Rows of any width under a header, two blanks apart: the first column to the left, the others to the right.
pub fn aligned(rows: &[Vec<String>]) -> String {
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let line = |row: &Vec<String>| {
        let cells = row.iter().enumerate().map(|(column, cell)| match (column, width(column).unwrap_or_default()) {
            (0, width) => format!("{cell:width$}"),
            (_, width) => format!("  {cell:>width$}"),
        });
        format!("{}\n", cells.collect::<String>().trim_end())
    };
    rows.iter().map(line).collect()
}

/// The same with one tab between cells, which have no tab or end of line in them.
pub fn tabbed(rows: &[Vec<String>]) -> String {
    let line = |row: &Vec<String>| row.iter().map(|cell| printable(cell)).collect::<Vec<_>>().join("\t") + "\n";
    rows.iter().map(line).collect()
}

/// A text from elsewhere, in which nothing moves the cursor, changes the terminal or turns the direction of writing.
pub fn printable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let moves = matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || moves { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// One value a line behind its label.
pub fn labelled(values: &[(&str, String)]) -> String {
    let width = values.iter().map(|(label, _)| label.len()).max().unwrap_or_default();
    values.iter().map(|(label, value)| format!("{label:width$}  {value}\n")).collect()
}

/// To the minute, in UTC.
pub fn time(at: Millis) -> String {
    at.timestamp().strftime("%Y-%m-%d %H:%M").to_string()
}

/// To standard output. A reader that went away (`| head`) is no error.
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_without_trailing_blanks() {
        let rows = vec![
            ["1".to_owned(), "größe".to_owned(), String::new()],
            ["22".to_owned(), "x".to_owned(), "y".to_owned()],
        ];
        assert_eq!(columns(["id", "name", "note"], rows), "id  name   note\n1   größe\n22  x      y\n");
        let rows = [["id", "n"], ["größe", "7"], ["x", "100"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(aligned(&rows), "id       n\ngröße    7\nx      100\n");
        assert_eq!(tabbed(&rows), "id\tn\ngröße\t7\nx\t100\n");
        assert_eq!(printable("a\tb\u{1b}[0m\u{202e}ü"), "a\\tb\\u{1b}[0m\\u{202e}ü");
        assert_eq!(labelled(&[("a", "1".to_owned()), ("long", "2".to_owned())]), "a     1\nlong  2\n");
        assert_eq!(time(Millis(1_800_000_000_000)), "2027-01-15 08:00");
    }
}
