//! The write-ahead log: when it is written back into the database, and when it is cut.

use std::time::Duration;

use rusqlite::Connection;

use super::open::BUSY;
use super::{PAGE, WAL_MAX};
use crate::store::Result;

/// How long a cut may wait for readers, while nobody can write.
const PATIENCE: Duration = Duration::from_millis(100);
/// Pages of a log that is cut.
const LONG: i64 = WAL_MAX / PAGE;
/// How often it is tried to begin the log anew, and how long is waited in between for another process that writes it back.
const TRIES: usize = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// Writes the log back once at least `due` of its pages wait for it; the pages in use. The size of the file would not
/// tell: a log that has been written back is filled again from its start, and keeps its length.
pub(super) fn write_back(conn: &Connection, due: i64) -> Result<i64> {
    let Log { pages, waiting } = checkpoint(conn, "PRAGMA wal_checkpoint(NOOP)")?;
    if waiting >= due.max(1) {
        checkpoint(conn, "PRAGMA wal_checkpoint(PASSIVE)")?;
    }
    Ok(pages)
}

/// When a long log is cut. So long a log has not begun anew for a while: one reader or another has always been in it.
pub(super) struct Cuts {
    /// The pages in use from which a cut waits for readers. Where one reader stays, all who commit would wait at each cut.
    patient_from: i64,
}

impl Default for Cuts {
    fn default() -> Self {
        Self { patient_from: LONG }
    }
}

impl Cuts {
    /// Cuts the log where it is long, after the writing back that found `pages` of it in use.
    pub(super) fn trim(&mut self, conn: &Connection, pages: i64) -> Result<()> {
        if pages <= LONG {
            return Ok(());
        }
        let is_patient = pages > self.patient_from;
        self.patient_from = if empty(conn, "TRUNCATE", if is_patient { PATIENCE } else { Duration::ZERO })? {
            LONG
        } else if is_patient {
            pages + LONG
        } else {
            self.patient_from
        };
        Ok(())
    }
}

/// Writes the log back and leaves nothing in its file; `false` where a reader is in it still.
pub(super) fn cut(conn: &Connection) -> Result<bool> {
    empty(conn, "TRUNCATE", PATIENCE)
}

/// Writes the log back and lets it begin anew within the length it has; `false` where others were in it all the time.
pub(super) fn begin_anew(conn: &Connection) -> Result<bool> {
    for _ in 0..TRIES {
        if empty(conn, "RESTART", PATIENCE)? {
            return Ok(true);
        }
        std::thread::sleep(PAUSE);
    }
    Ok(false)
}

/// Writes the log back in that mode, which needs all readers to be out of it; `false` where one stays for longer than
/// `patience`.
fn empty(conn: &Connection, mode: &str, patience: Duration) -> Result<bool> {
    conn.busy_timeout(patience)?;
    let busy = conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| row.get::<_, i64>(0));
    conn.busy_timeout(BUSY)?;
    Ok(busy? == 0)
}

/// What the log holds.
struct Log {
    /// Pages in use.
    pages: i64,
    /// Those of them that are not written back.
    waiting: i64,
}

fn checkpoint(conn: &Connection, sql: &str) -> Result<Log> {
    Ok(conn.prepare_cached(sql)?.query_row([], |row| {
        let (pages, written): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(Log { pages, waiting: pages - written })
    })?)
}

#[cfg(test)]
mod tests {
    use super::super::{Options, SqliteStore};
    use super::*;
    use crate::model::Millis;
    use crate::store::backend::Backend;

    const NOW: Millis = Millis(1_800_000_000_000);

    fn waiting(store: &SqliteStore) -> i64 {
        checkpoint(&store.reader().unwrap(), "PRAGMA wal_checkpoint(NOOP)").unwrap().waiting
    }

    fn put(store: &SqliteStore, bytes: i64) {
        let sql = "INSERT INTO members (name, password_hash, created_at) \
                   VALUES (random(), hex(zeroblob($1)), 0)";
        store.write(|db| db.run(sql, &[(bytes / 2).into()])).unwrap();
    }

    #[test]
    fn a_small_commit_waits_to_be_written_back_even_after_a_large_one() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("test.db"), Options::default()).unwrap();
        store.tend(NOW).unwrap();
        put(&store, 20 << 20);
        assert!(waiting(&store) > super::super::CHECKPOINT_PAGES);
        store.tend(NOW).unwrap();
        assert_eq!(waiting(&store), 0);
        put(&store, 10);
        store.tend(NOW.plus(1)).unwrap();
        assert!(waiting(&store) > 0, "every commit was written back at once");
        store.tend(NOW.plus(Millis::SECOND)).unwrap();
        assert_eq!(waiting(&store), 0);
    }

    #[test]
    fn a_clock_that_is_set_back_does_not_stop_housekeeping() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("test.db"), Options::default()).unwrap();
        store.tend(NOW).unwrap();
        put(&store, 10);
        store.tend(NOW.plus(-Millis::DAY)).unwrap();
        assert_eq!(waiting(&store), 0);
    }

    #[test]
    fn a_reader_in_a_long_log_holds_the_writer_up_only_briefly() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("test.db"), Options::default()).unwrap();
        put(&store, 10);
        let reader = store.reader().unwrap();
        reader.execute_batch("BEGIN; SELECT count(*) FROM members").unwrap();
        put(&store, WAL_MAX + (1 << 20));
        let begun = std::time::Instant::now();
        store.tend(NOW).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        // Once, and not at each commit that follows.
        let patient_from = || store.writer.lock().cuts.patient_from;
        let next = patient_from();
        assert!(next > 2 * LONG);
        put(&store, 10);
        store.tend(NOW).unwrap();
        assert_eq!(patient_from(), next);
        let length = || std::fs::metadata(store.wal_path()).unwrap().len();
        assert!(length() > WAL_MAX as u64);
        reader.execute_batch("COMMIT").unwrap();
        store.tend(NOW).unwrap();
        assert_eq!(length(), 0);
        assert_eq!(patient_from(), LONG);
    }
}
