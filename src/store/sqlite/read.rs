//! Reading for pages: the shared questions over a pooled connection, interrupted when they take too long.

use std::time::Duration;

use rusqlite::types::{ToSqlOutput, Value, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::clock::Deadline;
use crate::model::{AppId, EventRow, EventsPage, Millis, Query, Reason, Report, SetAsideRow};
use crate::store::Result;
use crate::store::report::{self, Cell, Rows};

/// Virtual-machine steps between two looks at the time: some tenths of a millisecond.
const STEPS: i32 = 10_000;

/// Runs `read` on a connection, interrupting its statements once `limit` has passed.
pub(super) fn timed<T>(conn: &Connection, limit: Duration, read: impl FnOnce() -> Result<T>) -> Result<T> {
    let deadline = Deadline::after(limit);
    conn.progress_handler(STEPS, Some(move || deadline.passed()))?;
    let result = read();
    conn.progress_handler(0, None::<fn() -> bool>)?;
    result
}

pub(super) fn report(conn: &Connection, query: &Query) -> Result<Report> {
    report::answer(&Reader(conn), query)
}

pub(super) fn events(conn: &Connection, page: &EventsPage) -> Result<Vec<EventRow>> {
    report::events(&Reader(conn), page)
}

pub(super) fn set_aside(conn: &Connection, app: AppId, limit: u32) -> Result<(Vec<SetAsideRow>, u64)> {
    let count = conn
        .prepare_cached("SELECT count(*) FROM set_aside WHERE app_id = ?1")?
        .query_row([app.0], |row| row.get::<_, i64>(0))?;
    let rows = conn
        .prepare_cached(
            "SELECT received_at, reason, detail, body FROM set_aside WHERE app_id = ?1 ORDER BY id DESC LIMIT ?2",
        )?
        .query_map((app.0, limit), |row| {
            let reason: String = row.get(1)?;
            Ok(SetAsideRow {
                received_at: Millis(row.get(0)?),
                reason: Reason::parse(&reason).unwrap_or(Reason::Invalid),
                detail: row.get(2)?,
                body: row.get(3)?,
            })
        })?
        .collect::<rusqlite::Result<_>>()?;
    Ok((rows, u64::try_from(count).unwrap_or(0)))
}

struct Reader<'c>(&'c Connection);

impl Rows for Reader<'_> {
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Vec<Cell>>> {
        let mut statement = self.0.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(params))?;
        let mut all = Vec::new();
        while let Some(row) = rows.next()? {
            all.push((0..columns).map(|i| row.get_ref(i).map(cell)).collect::<rusqlite::Result<_>>()?);
        }
        Ok(all)
    }
}

impl ToSql for Cell {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Owned(Value::Null),
            Self::Int(value) => ToSqlOutput::Owned(Value::Integer(*value)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
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
