//! What SQLite itself can do here: rows of an event's size into a rowid table without an index, 2,000 a commit, synced.

use std::path::Path;
use std::time::Instant;

use rusqlite::Connection;

/// Rows measured.
const ROWS: usize = 600_000;
/// Rows of one commit.
const GROUP: usize = 2_000;

/// Rows a second.
pub fn measure(directory: &Path) -> f64 {
    let path = directory.join("floor.db");
    let mut conn = Connection::open(&path).expect("the database opens");
    conn.pragma_update(None, "journal_mode", "WAL").expect("WAL");
    conn.pragma_update(None, "synchronous", "FULL").expect("FULL");
    conn.execute_batch(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, env INTEGER, at INTEGER, event BLOB, name INTEGER, facts INTEGER, \
         user INTEGER, session INTEGER, props TEXT)",
    )
    .expect("the table is made");
    let props = r#"{"command":"build","flags":["--release"],"success":true,"duration_ms":1234}"#;
    let started = Instant::now();
    for group in 0..ROWS / GROUP {
        let tx = conn.transaction().expect("a transaction");
        {
            let sql = "INSERT INTO events (env, at, event, name, facts, user, session, props) \
                       VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
            let mut insert = tx.prepare_cached(sql).expect("it compiles");
            for row in 0..GROUP {
                let id = uuid::Uuid::new_v4();
                let at = 1_767_225_600_000_i64 + (group * GROUP + row) as i64 * 3;
                insert.execute((1, at, id.as_bytes(), 3, 17, 4_711, 81_234, props)).expect("a row");
            }
        }
        tx.commit().expect("the commit");
    }
    let rate = ROWS as f64 / started.elapsed().as_secs_f64();
    drop(conn);
    std::fs::remove_file(path).expect("the floor is removed");
    rate
}
