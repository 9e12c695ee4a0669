//! Statements of the parts that are written once, run on a connection; and reading with a limit of time.

use std::ops::ControlFlow;
use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::clock::Deadline;
use crate::store::Result;
use crate::store::sql::{Cell, Line, Row, Sql};

/// Virtual-machine steps between two looks at the time: some tenths of a millisecond.
const STEPS: i32 = 10_000;

/// Runs `read` on a connection, interrupting its statements once `limit` has passed.
pub(super) fn timed<T>(conn: &Connection, limit: Duration, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let deadline = Deadline::after(limit);
    until(conn, move || deadline.passed(), read)
}

/// The same once `is_over` says so.
pub(super) fn until<T>(
    conn: &Connection,
    is_over: impl FnMut() -> bool + Send + 'static,
    read: impl FnOnce() -> Result<T>,
) -> Result<T> {
    conn.progress_handler(STEPS, Some(is_over))?;
    let result = read();
    conn.progress_handler(0, None::<fn() -> bool>)?;
    result
}

/// A connection, or the transaction in it.
pub(in crate::store) struct Conn<'c>(pub(in crate::store) &'c Connection);

impl Sql for Conn<'_> {
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Row>> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(params))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push(self::row(row, columns)?);
        }
        Ok(all)
    }

    fn stream(&self, sql: &str, params: &[Cell], visit: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()> {
        let mut statement = self.0.prepare_cached(sql)?;
        let mut rows = statement.query(params_from_iter(params))?;
        while let Some(row) = rows.next()? {
            if visit(row).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn run(&self, sql: &str, params: &[Cell]) -> Result<u64> {
        Ok(self.0.prepare_cached(sql)?.execute(params_from_iter(params))? as u64)
    }
}

impl Line for rusqlite::Row<'_> {
    fn int(&self, column: usize) -> i64 {
        match self.get_ref(column) {
            Ok(ValueRef::Integer(value)) => value,
            _ => 0,
        }
    }

    fn text(&self, column: usize) -> Option<&str> {
        self.get_ref(column).ok()?.as_str_or_null().ok()?
    }

    fn bytes(&self, column: usize) -> &[u8] {
        match self.get_ref(column) {
            Ok(ValueRef::Blob(bytes)) => bytes,
            _ => &[],
        }
    }
}

/// A row in the form of the parts that are written once.
pub(super) fn row(row: &rusqlite::Row<'_>, columns: usize) -> rusqlite::Result<Row> {
    (0..columns).map(|i| row.get_ref(i).map(cell)).collect::<rusqlite::Result<_>>().map(Row)
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Int(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::Uuid(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
        })
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(value) => Cell::Int(value),
        #[expect(clippy::cast_possible_truncation, reason = "no column of ours is real; a sum that were is a count")]
        ValueRef::Real(value) => Cell::Int(value as i64),
        ValueRef::Text(text) => Cell::Text(String::from_utf8_lossy(text).into_owned()),
        ValueRef::Blob(bytes) => Cell::Bytes(bytes.to_vec()),
    }
}
