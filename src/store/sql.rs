//! What the parts of the store that are written once ask of a backend: statements with parameters, and rows.

use std::ops::ControlFlow;

use super::Result;

/// A value of a row, or a parameter.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// SQL null.
    Null,
    /// An integer; truth values are 0 and 1.
    Int(i64),
    /// A text.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
    /// A parameter for a column of sixteen bytes that PostgreSQL keeps as a UUID. Rows have [`Cell::Bytes`].
    Uuid([u8; 16]),
}

/// One row of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Row(pub Vec<Cell>);

/// One row that passes by.
pub trait Line {
    /// The integer of a column, zero for null.
    fn int(&self, column: usize) -> i64;
    /// The text of a column, none for null.
    fn text(&self, column: usize) -> Option<&str>;
    /// The bytes of a column, empty for null.
    fn bytes(&self, column: usize) -> &[u8];
}

/// A connection in which statements run, inside or outside of a transaction. Parameters are numbered `$1`, `$2`, … in
/// the order in which they first appear, which SQLite and PostgreSQL read alike.
pub trait Sql {
    /// All rows of a statement.
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Row>>;

    /// Shows the rows of a statement one by one as they come, however many, until told to stop.
    fn stream(&self, sql: &str, params: &[Cell], visit: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()>;

    /// Runs a statement; the number of rows that it changed.
    fn run(&self, sql: &str, params: &[Cell]) -> Result<u64>;

    /// The first row of a statement.
    fn row(&self, sql: &str, params: &[Cell]) -> Result<Option<Row>> {
        Ok(self.rows(sql, params)?.into_iter().next())
    }

    /// The first value of a statement's first row; null where there is none.
    fn value(&self, sql: &str, params: &[Cell]) -> Result<Cell> {
        let row = self.row(sql, params)?;
        Ok(row.and_then(|row| row.0.into_iter().next()).unwrap_or(Cell::Null))
    }
}

impl Cell {
    /// The integer, zero for anything else.
    pub fn int(&self) -> i64 {
        self.some_int().unwrap_or(0)
    }

    /// The integer, none for null.
    pub fn some_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Null | Self::Text(_) | Self::Bytes(_) | Self::Uuid(_) => None,
        }
    }
}

impl Row {
    /// The integer of a column, zero for null.
    pub fn int(&self, column: usize) -> i64 {
        self.0[column].int()
    }

    /// The integer of a column, none for null.
    pub fn some_int(&self, column: usize) -> Option<i64> {
        self.0[column].some_int()
    }

    /// The text of a column, empty for null.
    pub fn text(&self, column: usize) -> String {
        self.some_text(column).unwrap_or_default()
    }

    /// The text of a column, none for null.
    pub fn some_text(&self, column: usize) -> Option<String> {
        match &self.0[column] {
            Cell::Text(text) => Some(text.clone()),
            Cell::Null | Cell::Int(_) | Cell::Bytes(_) | Cell::Uuid(_) => None,
        }
    }

    /// The bytes of a column, empty for null.
    pub fn bytes(&self, column: usize) -> &[u8] {
        match &self.0[column] {
            Cell::Bytes(bytes) => bytes,
            Cell::Uuid(bytes) => bytes,
            Cell::Null | Cell::Int(_) | Cell::Text(_) => &[],
        }
    }

    /// The bytes of a column where there are exactly so many.
    pub fn array<const N: usize>(&self, column: usize) -> Option<[u8; N]> {
        self.bytes(column).try_into().ok()
    }
}

impl From<i64> for Cell {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<bool> for Cell {
    fn from(value: bool) -> Self {
        Self::Int(value.into())
    }
}

impl From<&str> for Cell {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<&[u8]> for Cell {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl<const N: usize> From<&[u8; N]> for Cell {
    fn from(value: &[u8; N]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
