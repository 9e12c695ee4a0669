//! Whether a database is sound: looked at when it is opened and once a day, so that one that is damaged is not written
//! any further.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::PAGE;
use super::open::{BUSY, harden};
use super::read::timed;
use crate::store::{Result, StoreError};

/// Digits of a mark, with leading noughts.
const DIGITS: usize = 20;

/// Refuses a database of another program, before anything is changed in it.
pub(super) fn check_owner(conn: &Connection) -> Result<()> {
    let sql = "SELECT count(*), count(CASE WHEN type = 'table' AND name = 'migrations' THEN 1 END) FROM sqlite_schema";
    let (all, ours): (i64, i64) = conn.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    if all == 0 || ours == 1 {
        return Ok(());
    }
    Err(StoreError::Corrupt("it is a database of another program".to_owned()))
}

/// Refuses a file that was cut off where SQLite would not notice, inside of its last page. Where there is a log, the
/// end of the file may still be in it.
pub(super) fn check_length(database: &Path) -> Result<()> {
    let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
    let over = length(database) % PAGE.unsigned_abs();
    if over == 0 || length(&beside(database, "-wal")) > 0 {
        return Ok(());
    }
    Err(StoreError::Corrupt("it ends in the middle of a page".to_owned()))
}

/// Looks at every page, for no longer than that: what could not be looked at is left for [`check`].
pub(super) fn glance(conn: &Connection, limit: Duration) -> Result<()> {
    match timed(conn, limit, || look(conn)) {
        Err(StoreError::Interrupted) => Ok(()),
        looked => looked,
    }
}

/// Looks at every page of the database at `path`, beside those who use it.
pub(super) fn check(path: &Path) -> Result<()> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY)?;
    harden(&conn)?;
    look(&conn)
}

fn look(conn: &Connection) -> Result<()> {
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Corrupt(found)) }
}

/// How far commits have come, in a file beside the database: a database that has less has lost what was acknowledged,
/// such as by a log that was taken away. It is behind after a power cut, and never ahead.
pub(super) struct Mark {
    path: PathBuf,
    file: Option<File>,
    last: i64,
}

impl Mark {
    /// The mark of a database that is being opened.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the database has less than was marked.
    pub(super) fn open(database: &Path, conn: &Connection) -> Result<Self> {
        let mut mark = Self { path: mark_path(database), file: None, last: 0 };
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'events'";
        let is_new = conn.query_row(sql, [], |row| row.get::<_, i64>(0))? == 0;
        let there = if is_new { 0 } else { newest(conn)? };
        let marked = fs::read_to_string(&mark.path).ok().and_then(|text| text.trim().parse::<i64>().ok());
        if let Some(marked) = marked.filter(|marked| *marked > there) {
            return Err(StoreError::Corrupt(format!(
                "it ends at event {there}, and {marked} was committed: its log was taken away, or an older copy was put \
                 in its place (if that was you, delete {})",
                mark.path.display()
            )));
        }
        mark.last = marked.unwrap_or(0);
        Ok(mark)
    }

    /// Notes how far commits have come. Where that cannot be written, less is noticed.
    pub(super) fn set(&mut self, conn: &Connection) {
        let Ok(now) = newest(conn) else { return };
        if now == self.last {
            return;
        }
        if self.file.is_none() {
            let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.path);
            self.file = opened.ok();
        }
        if let Some(file) = &self.file
            && file.write_all_at(format!("{now:0DIGITS$}\n").as_bytes(), 0).is_ok()
        {
            self.last = now;
        }
    }
}

/// Where the mark of a database lies.
pub fn mark_path(database: &Path) -> PathBuf {
    beside(database, "-mark")
}

fn beside(database: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(database);
    name.push(ending);
    name.into()
}

fn newest(conn: &Connection) -> Result<i64> {
    Ok(conn.prepare_cached("SELECT coalesce(max(id), 0) FROM events")?.query_row([], |row| row.get(0))?)
}
