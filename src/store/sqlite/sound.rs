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
use super::read::{timed, until};
use crate::store::{Result, StoreError};

/// Digits of a mark, with leading noughts.
const DIGITS: usize = 20;
/// How often a log begins anew at the most between two marks.
const RESTARTS: u32 = 1 << 16;

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

/// Looks at every page of the database at `path`, beside those who use it; not to the end where `is_over` says so.
pub(super) fn check(path: &Path, is_over: impl FnMut() -> bool + Send + 'static) -> Result<()> {
    let conn = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(BUSY)?;
    harden(&conn)?;
    until(&conn, is_over, || look(&conn))
}

/// Looks at every page of the database of a connection.
pub(super) fn look(conn: &Connection) -> Result<()> {
    let found: String = conn.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
    if found == "ok" { Ok(()) } else { Err(StoreError::Corrupt(found)) }
}

/// How far commits have come, and in which log, in a file beside the database: one that has less has lost what was
/// acknowledged, such as by a log that was taken away, and a log that does not follow on from the noted one is another's. It
/// is behind after a power cut, and never ahead.
pub(super) struct Mark {
    path: PathBuf,
    file: Option<File>,
    log: PathBuf,
    last: Noted,
}

/// What a mark says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Noted {
    /// The newest event.
    event: i64,
    /// What the header of the log says of itself: a number that grows by one whenever the log begins anew, from one that
    /// is drawn when its file is made.
    salt: Option<u32>,
}

impl Mark {
    /// The mark of a database that is being opened.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] where the database has less than was marked.
    pub(super) fn open(database: &Path, conn: &Connection) -> Result<Self> {
        let (path, log) = (mark_path(database), beside(database, "-wal"));
        let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'events'";
        let is_new = conn.query_row(sql, [], |row| row.get::<_, i64>(0))? == 0;
        let there = Noted { event: if is_new { 0 } else { newest(conn)? }, salt: salt(&log) };
        let noted = fs::read_to_string(&path).ok().and_then(|text| Noted::read(&text)).unwrap_or_default();
        let why = if noted.event > there.event {
            format!("it ends at event {}, and {} was committed", there.event, noted.event)
        } else if noted.is_not_before(there) {
            "its log is not the one that it was written with".to_owned()
        } else {
            return Ok(Self { path, file: None, log, last: noted });
        };
        Err(StoreError::Corrupt(format!(
            "{why}: the log was taken away or swapped, or an older copy was put in its place (if that was you, delete {})",
            path.display()
        )))
    }

    /// Notes how far commits have come. Where that cannot be written, less is noticed.
    pub(super) fn set(&mut self, conn: &Connection) {
        let Ok(event) = newest(conn) else { return };
        let now = Noted { event, salt: salt(&self.log) };
        if now == self.last {
            return;
        }
        if self.file.is_none() {
            let opened = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&self.path);
            self.file = opened.ok();
        }
        if let Some(file) = &self.file
            && file.write_all_at(now.text().as_bytes(), 0).is_ok()
        {
            self.last = now;
        }
    }
}

impl Noted {
    fn text(self) -> String {
        format!("{:0DIGITS$} {:08x}\n", self.event, self.salt.unwrap_or(0))
    }

    fn read(text: &str) -> Option<Self> {
        let (event, salt) = text.trim().split_once(' ')?;
        let salt = u32::from_str_radix(salt, 16).ok()?;
        Some(Self { event: event.parse().ok()?, salt: Some(salt).filter(|salt| *salt != 0) })
    }

    /// Whether there is a log that cannot have followed on from the noted one.
    fn is_not_before(self, there: Self) -> bool {
        let (Some(noted), Some(there)) = (self.salt, there.salt) else { return false };
        there.wrapping_sub(noted) > RESTARTS
    }
}

/// The number in the header of a log; `None` where there is none.
fn salt(log: &Path) -> Option<u32> {
    let mut bytes = [0; 4];
    File::open(log).and_then(|file| file.read_exact_at(&mut bytes, 16)).ok()?;
    Some(u32::from_be_bytes(bytes))
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::super::{Options, SqliteStore, wal};
    use super::*;
    use crate::store::Store;
    use crate::store::backend::Backend;

    #[test]
    fn a_look_at_every_page_ends_when_the_box_does() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("test.db"), Options::default()).unwrap();
        let sql = "INSERT INTO members (name, password_hash, created_at) \
                   WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many WHERE n < 20000) \
                   SELECT n, '', 0 FROM many";
        store.write(|db| db.run(sql, &[])).unwrap();
        let ended = Arc::new(AtomicBool::new(true));
        assert!(matches!(Store::check(&store, &ended), Err(StoreError::Interrupted)));
        Store::probe(&store).unwrap();
        ended.store(false, Ordering::Relaxed);
        Store::check(&store, &ended).unwrap();
    }

    #[test]
    fn a_database_that_is_found_damaged_is_read_and_not_written() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let store = SqliteStore::open(&path, Options::default()).unwrap();
        assert!(wal::cut(&store.writer.lock().conn).unwrap());
        let check = || Store::check(&store, &Arc::default());
        assert_eq!(check().unwrap(), "every page of the database is in order");
        // A commit that meets what is no damage of pages goes on.
        let failing = store.write::<()>(|_| Err(StoreError::Corrupt("a part of a day".to_owned())));
        assert!(matches!(failing, Err(StoreError::Corrupt(_))));
        Store::probe(&store).unwrap();
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let pages = file.metadata().unwrap().len() / 4_096;
        (2..pages).for_each(|page| file.write_all_at(&[0; 4_096], page * 4_096).unwrap());
        assert!(matches!(check(), Err(StoreError::Corrupt(_))));
        let before = fs::read(&path).unwrap();
        for _ in 0..3 {
            let refused = Store::probe(&store).unwrap_err();
            assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("tallybox restore")), "{refused}");
            assert!(matches!(store.write::<()>(|_| Ok(())), Err(StoreError::Unavailable(_))));
        }
        drop(store);
        assert!(fs::read(&path).unwrap() == before, "it was written further");
    }
}
