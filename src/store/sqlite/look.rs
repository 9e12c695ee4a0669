//! A SQLite file that is only looked at, beside whoever uses it.

use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::open::{self, BUSY};
use super::read::{Conn, timed};
use crate::store::Result;
use crate::store::sql::{Cell, Line, Row, Sql};

/// Longest that reading may take that has no limit.
const EVER: Duration = Duration::from_secs(365 * 86_400);

pub(in crate::store) struct Looker(Connection);

impl Looker {
    /// A file without a log has nobody at it, nor anything to be written back: it is read as it lies there, and no log is
    /// made. Else it is read as its users read it.
    pub(in crate::store) fn open(path: &Path) -> Result<Self> {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = if Path::new(&log).exists() {
            Connection::open_with_flags(path, flags)?
        } else {
            let escaped: String = path.to_string_lossy().chars().map(escape).collect();
            let address = format!("file:{escaped}?immutable=1");
            Connection::open_with_flags(address, flags | OpenFlags::SQLITE_OPEN_URI)?
        };
        conn.busy_timeout(BUSY)?;
        open::harden(&conn)?;
        Ok(Self(conn))
    }

    /// The first damage that is found, where there is any; quickly where there is a limit.
    pub(in crate::store) fn damage(&self, limit: Option<Duration>) -> Result<Option<String>> {
        let check = if limit.is_some() { "PRAGMA quick_check(1)" } else { "PRAGMA integrity_check(1)" };
        let found: String =
            timed(&self.0, limit.unwrap_or(EVER), || Ok(self.0.query_row(check, [], |row| row.get(0))?))?;
        if found != "ok" || limit.is_some() {
            return Ok(Some(found).filter(|found| found != "ok"));
        }
        let mut statement = self.0.prepare("PRAGMA foreign_key_check")?;
        let stray: Option<String> = statement.query_map([], |row| row.get(0))?.next().transpose()?;
        Ok(stray.map(|table| format!("a row of {table} refers to nothing")))
    }
}

/// What may not stand in the address of a file.
fn escape(c: char) -> String {
    match c {
        '%' | '?' | '#' => format!("%{:02x}", u32::from(c)),
        other => other.to_string(),
    }
}

impl Sql for Looker {
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Row>> {
        Conn(&self.0).rows(sql, params)
    }

    fn stream(&self, sql: &str, params: &[Cell], visit: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()> {
        Conn(&self.0).stream(sql, params, visit)
    }

    fn run(&self, sql: &str, params: &[Cell]) -> Result<u64> {
        Conn(&self.0).run(sql, params)
    }
}
