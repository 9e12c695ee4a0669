//! Copies of a whole database while it is in use, and what such a copy holds.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::open::{harden, known};
use super::read::Conn;
pub use super::sound::mark_path;
use crate::model::STRIDE;
use crate::store::contents::Contents;
use crate::store::migrate;
use crate::store::{Result, StoreError};

/// Steps of the database's machine between two looks at how much of a copy waits for the disk.
const BEAT: std::ffi::c_int = 4_000;

/// Writes one state of the database at `from` into the file `to`, which must not be there, packed and without a log.
/// Readers and the writer go on meanwhile; the write-ahead log is not cut until it is done.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let conn = open(from, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    let Some(to) = to.to_str() else { return Err(StoreError::Unexpected("the path is no UTF-8 text".to_owned())) };
    let mut target = Target { path: to.into(), file: None, synced: 0 };
    conn.progress_handler(
        BEAT,
        Some(move || {
            target.sync();
            false
        }),
    )?;
    conn.execute("VACUUM INTO ?1", [to])?;
    Ok(())
}

/// What is being written. It is brought to the disk stride by stride: what waits for the disk at once, a commit beside
/// it has to wait for, too.
struct Target {
    path: PathBuf,
    file: Option<File>,
    /// Bytes.
    synced: u64,
}

impl Target {
    /// What goes wrong here goes wrong in the copy's own end, too.
    fn sync(&mut self) {
        if self.file.is_none() {
            self.file = File::open(&self.path).ok();
        }
        let Some(file) = &self.file else { return };
        let length = file.metadata().map_or(0, |about| about.len());
        if length >= self.synced + STRIDE {
            _ = file.sync_data();
            self.synced = length;
        }
    }
}

/// Reads a whole database, page by page, and counts what is in it. [`StoreError::Corrupt`] where it is damaged.
pub fn inspect(path: &Path) -> Result<Contents> {
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let found: String = conn.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if found != "ok" {
        return Err(StoreError::Corrupt(found));
    }
    let schema = conn.query_row("SELECT max(number) FROM migrations", [], |row| row.get(0))?;
    let sql =
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name";
    let names = conn.prepare(sql)?.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<Vec<String>>>()?;
    let mut tables = BTreeMap::new();
    for name in names {
        let quoted = name.replace('"', "\"\"");
        let rows = conn.query_row(&format!("SELECT count(*) FROM \"{quoted}\""), [], |row| row.get(0))?;
        tables.insert(name, rows);
    }
    Ok(Contents { schema, tables })
}

/// The schema of a database that this program would change when it opens it, else `None`: also where there is none.
pub fn outdated(path: &Path) -> Result<Option<i64>> {
    if !path.exists() {
        return Ok(None);
    }
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // It only looks: whether the log belongs to it is found out by who opens it to write.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    let sql = "SELECT count(*) FROM sqlite_schema WHERE name = 'migrations'";
    if conn.query_row(sql, [], |row| row.get::<_, i64>(0))? == 0 {
        return Ok(None);
    }
    let known = known();
    let applied = migrate::applied(&Conn(&conn), &known)?;
    let pending = migrate::pending(&known, &applied)?;
    Ok(applied.last().filter(|_| !pending.is_empty()).map(|last| last.number))
}

fn open(path: &Path, access: OpenFlags) -> Result<Connection> {
    let conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.busy_timeout(super::open::BUSY)?;
    harden(&conn)?;
    Ok(conn)
}
