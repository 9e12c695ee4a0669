//! The figures of a page as a file: the same table as CSV or as JSON.

use axum::extract::FromRequestParts;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::response::IntoResponse;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::error::{Page, PageError};
use super::state::WebState;

/// Named columns and rows of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// Names of the columns, as programs know them: lower case, without spaces, all different.
    pub columns: Vec<String>,
    /// As many cells in each as there are columns.
    pub rows: Vec<Vec<Cell>>,
}

/// One cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// Nothing to speak of.
    Empty,
    /// A whole number.
    Number(i64),
    /// A number with decimals, such as a share; one that is none, such as infinity, is empty.
    Decimal(f64),
    /// A text.
    Text(String),
    /// A JSON value as it was written: a text in CSV, and itself in JSON.
    Json(String),
}

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// RFC 4180, in UTF-8, with a row of names.
    Csv,
    /// A list of objects.
    Json,
}

impl Form {
    /// The form that the last segment of a path ends with: `.csv` or `.json`.
    pub fn of(path: &str) -> Option<Self> {
        match path.rsplit_once('.')?.1 {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            _ => None,
        }
    }
}

/// The form that a request asks for by the end of its path.
impl FromRequestParts<WebState> for Form {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &WebState) -> Result<Self, PageError> {
        Self::of(parts.uri.path()).ok_or(PageError::NotFound)
    }
}

impl Table {
    /// A table with those columns and no rows yet.
    pub fn new(columns: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { columns: columns.into_iter().map(Into::into).collect(), rows: Vec::new() }
    }

    /// As the answer to a request. A browser keeps CSV under `name`, with its ending, and shows JSON; `name` is ASCII
    /// without quotes.
    pub fn answer(&self, form: Form, name: &str) -> Page {
        let response = match form {
            Form::Csv => {
                let kept = format!("attachment; filename=\"{name}.csv\"");
                let headers = [(CONTENT_TYPE, "text/csv; charset=utf-8".to_owned()), (CONTENT_DISPOSITION, kept)];
                (headers, self.csv()).into_response()
            }
            Form::Json => ([(CONTENT_TYPE, "application/json")], self.json()).into_response(),
        };
        Ok(response)
    }

    /// RFC 4180. A text that a spreadsheet would take for a formula begins with an apostrophe.
    pub fn csv(&self) -> String {
        let mut text = String::new();
        line(&mut text, self.columns.iter().map(|name| quoted(name)));
        for row in &self.rows {
            line(&mut text, row.iter().map(csv_cell));
        }
        text
    }

    /// A list of objects, one for each row, with its members in the order of the columns.
    pub fn json(&self) -> String {
        let rows: Vec<_> = self.rows.iter().map(|cells| Line { names: &self.columns, cells }).collect();
        let mut text = serde_json::to_string(&rows).expect("names and cells are always JSON");
        text.push('\n');
        text
    }
}

/// A row of a table in JSON.
struct Line<'a> {
    names: &'a [String],
    cells: &'a [Cell],
}

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.names.iter().zip(self.cells))
    }
}

impl Serialize for Cell {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Empty => serializer.serialize_none(),
            Self::Number(number) => serializer.serialize_i64(*number),
            Self::Decimal(number) => serializer.serialize_f64(*number),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Json(text) => match serde_json::from_str::<&RawValue>(text) {
                Ok(value) => value.serialize(serializer),
                Err(_) => serializer.serialize_str(text),
            },
        }
    }
}

impl From<i64> for Cell {
    fn from(number: i64) -> Self {
        Self::Number(number)
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(cell: Option<T>) -> Self {
        cell.map_or(Self::Empty, Into::into)
    }
}

fn line(text: &mut String, cells: impl Iterator<Item = String>) {
    text.push_str(&cells.collect::<Vec<_>>().join(","));
    text.push_str("\r\n");
}

fn csv_cell(cell: &Cell) -> String {
    match cell {
        Cell::Empty => String::new(),
        Cell::Number(number) => number.to_string(),
        Cell::Decimal(number) if number.is_finite() => number.to_string(),
        Cell::Decimal(_) => String::new(),
        Cell::Text(text) | Cell::Json(text) => quoted(text),
    }
}

/// Guarded against spreadsheets that run what begins like a formula, and quoted where it must be.
fn quoted(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']) && text.parse::<f64>().is_err();
    let guarded = if is_formula { format!("'{text}") } else { text.to_owned() };
    if guarded.contains([',', '"', '\n', '\r']) || guarded.starts_with(' ') || guarded.ends_with(' ') {
        format!("\"{}\"", guarded.replace('"', "\"\""))
    } else {
        guarded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(texts: &[&str]) -> Table {
        let mut table = Table::new(["value", "events", "share"]);
        table.rows.extend(texts.iter().map(|text| vec![(*text).into(), 3.into(), Cell::Decimal(0.25)]));
        table
    }

    #[test]
    fn csv_is_quoted_where_it_must_be_and_holds_no_formula() {
        for (text, cell) in [
            ("plain", "plain"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            (" wide ", "\" wide \""),
            ("=1+1", "'=1+1"),
            ("=HYPERLINK(\"x\",\"y\")", "\"'=HYPERLINK(\"\"x\"\",\"\"y\"\")\""),
            ("+41 44", "'+41 44"),
            ("-x", "'-x"),
            ("@sum", "'@sum"),
            ("\tcmd", "'\tcmd"),
            ("-12.5", "-12.5"),
            ("+3", "+3"),
            ("", ""),
        ] {
            assert_eq!(table(&[text]).csv(), format!("value,events,share\r\n{cell},3,0.25\r\n"), "{text:?}");
        }
    }

    #[test]
    fn json_keeps_the_order_and_the_kinds() {
        let mut table = table(&["=\"x\""]);
        table.rows.push(vec![Cell::Empty, None::<i64>.into(), Cell::Decimal(f64::NAN)]);
        let told = "[{\"value\":\"=\\\"x\\\"\",\"events\":3,\"share\":0.25},{\"value\":null,\"events\":null,\"share\":null}]\n";
        assert_eq!(table.json(), told);
        assert_eq!(Table::new(["a"]).json(), "[]\n");
    }

    #[test]
    fn json_stands_in_json_as_it_was_written_and_in_csv_as_a_text() {
        let mut table = Table::new(["of"]);
        table.rows.extend([r#"{"b":1.50,"a":"x"}"#, "{cut"].map(|text| vec![Cell::Json(text.to_owned())]));
        assert_eq!(table.json(), "[{\"of\":{\"b\":1.50,\"a\":\"x\"}},{\"of\":\"{cut\"}]\n");
        assert_eq!(table.csv(), "of\r\n\"{\"\"b\"\":1.50,\"\"a\"\":\"\"x\"\"}\"\r\n{cut\r\n");
    }

    #[test]
    fn the_end_of_a_path_tells_the_form() {
        for (path, form) in [
            ("/apps/a/events.csv", Some(Form::Csv)),
            ("/apps/a.b/events.json", Some(Form::Json)),
            ("/apps/a.csv/x", None),
        ] {
            assert_eq!(Form::of(path), form, "{path}");
        }
    }
}
