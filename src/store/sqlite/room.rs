//! Room in the file that nothing needs any more: what is kept for what will come, and what goes back to the disk.

use rusqlite::Connection;

use super::{PAGE, wal};
use crate::store::{Result, StoreError};

/// Free pages that stay: what comes next is written there, and the file need not grow for it.
const KEPT: i64 = (16 << 20) / PAGE;
/// Pages that are given back at a time: commits wait for no longer than one of theirs takes.
const STEP: i64 = 256;
/// The way in which a file must have been made so that it can be cut.
const INCREMENTAL: i64 = 2;

/// Cuts some free pages off the file; whether there are more to cut. All go where the disk has less `room` above its floor
/// than would stay.
pub(super) fn give_back(conn: &Connection, room: i64) -> Result<bool> {
    let is_short = room < KEPT * PAGE;
    let more = vacuum(conn, if is_short { 0 } else { KEPT })?;
    if is_short && !more {
        // The file is cut when the log is written back; and the log has grown by all that was changed.
        wal::cut(conn)?;
    }
    Ok(more)
}

fn vacuum(conn: &Connection, kept: i64) -> Result<bool> {
    if number(conn, "PRAGMA auto_vacuum")? != INCREMENTAL {
        return Ok(false);
    }
    let spare = number(conn, "PRAGMA freelist_count")? - kept;
    if spare <= 0 {
        return Ok(false);
    }
    let mut step = STEP.min(spare);
    loop {
        match cut(conn, step) {
            // What is moved goes to the log first, for which a full disk has little room.
            Err(StoreError::Full) if step > 1 => step = (step / 4).max(1),
            done => return done.map(|()| spare > step),
        }
        wal::write_back(conn, 1)?;
    }
}

fn cut(conn: &Connection, pages: i64) -> Result<()> {
    // One row for each page that is freed.
    let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({pages})"))?;
    let mut rows = statement.query([])?;
    while rows.next()?.is_some() {}
    Ok(())
}

/// What deserves a second look.
pub(super) fn notes(conn: &Connection) -> Result<Vec<String>> {
    let note = "this file was made in a way in which it cannot shrink: what is deleted makes room inside it, not on the \
                disk";
    Ok((number(conn, "PRAGMA auto_vacuum")? != INCREMENTAL).then(|| note.to_owned()).into_iter().collect())
}

fn number(conn: &Connection, sql: &str) -> Result<i64> {
    Ok(conn.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

#[cfg(test)]
mod tests {
    use super::super::{Options, SqliteStore};
    use super::*;
    use crate::store::backend::Backend;

    #[test]
    fn what_is_deleted_goes_back_to_the_disk_but_for_what_comes_next() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let store = SqliteStore::open(&path, Options::default()).unwrap();
        let sql = "INSERT INTO members (name, password_hash, created_at) VALUES (random(), hex(zeroblob(500000)), 0)";
        for _ in 0..40 {
            store.write(|db| db.run(sql, &[])).unwrap();
        }
        store.write(|db| db.run("DELETE FROM members", &[])).unwrap();
        let pages = |store: &SqliteStore| number(&store.reader().unwrap(), "PRAGMA page_count").unwrap();
        let before = pages(&store);
        let mut steps = 0;
        while Backend::give_back(&store).unwrap() {
            steps += 1;
        }
        assert!(steps > 10 && before - pages(&store) >= STEP * steps, "{before} {} {steps}", pages(&store));
        let free = number(&store.reader().unwrap(), "PRAGMA freelist_count").unwrap();
        assert!((KEPT - STEP..=KEPT).contains(&free), "{free}");
    }
}
