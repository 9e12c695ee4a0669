//! Opening the database: the engine gate, the writing connection, the pool of reading ones, the schema.

use std::fs;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::read::Conn;
use super::sound::{self, Mark};
use super::{Options, Synchronous, WAL_MAX};
use crate::store::migrate::{self, Migration};
use crate::store::{Result, StoreError, directory};

/// How long a connection waits for another one's lock.
pub(super) const BUSY: Duration = Duration::from_secs(5);

#[derive(rust_embed::Embed)]
#[folder = "migrations/sqlite"]
struct Migrations;

/// Refuses engines that can lose committed pages when a write races a checkpoint: all before 3.51.3, and 3.52.0.
pub(super) fn check_engine(version: i32) -> Result<()> {
    if version >= 3_051_003 && version != 3_052_000 {
        return Ok(());
    }
    Err(StoreError::Schema(format!("SQLite {version} can lose committed data: 3.51.3 or later but 3.52.0 is needed")))
}

/// The one connection that writes, and the mark of what it has written: looked at before anything is.
pub(super) fn writer(path: &Path, options: Options) -> Result<(Connection, Mark)> {
    // A database that begins anew has nothing that could be behind.
    if !path.exists() {
        _ = fs::remove_file(sound::mark_path(path));
    }
    fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .map_err(|e| StoreError::Unavailable(format!("{}: {e}", path.display())))?;
    sound::check_length(path)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut conn = Connection::open_with_flags(path, flags)?;
    conn.busy_timeout(BUSY)?;
    harden(&conn)?;
    // What is found wrong stays as it is: also the log is not written back when this connection ends.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    sound::check_owner(&conn)?;
    if !options.glance.is_zero() {
        sound::glance(&conn, options.glance)?;
    }
    let mark = Mark::open(path, &conn)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
    // Takes effect on a database that has no table yet. On others it would write, and on a full disk fail.
    if conn.pragma_query_value(None, "auto_vacuum", |row| row.get::<_, i64>(0))? != 2 {
        conn.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    conn.pragma_update(None, "journal_mode", "WAL")?;
    let synchronous = match options.synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    conn.pragma_update(None, "synchronous", synchronous)?;
    conn.pragma_update(None, "journal_size_limit", WAL_MAX)?;
    conn.pragma_update(None, "wal_autocheckpoint", 0)?;
    conn.pragma_update(None, "cache_size", -16_384)?;
    conn.pragma_update(None, "foreign_keys", true)?;
    set_overwriting(&conn, Overwriting::WhatIsWritten)?;
    conn.set_prepared_statement_cache_capacity(96);
    migrate(&mut conn)?;
    Ok((conn, mark))
}

pub(super) fn readers(path: &Path, options: Options) -> Result<r2d2::Pool<SqliteConnectionManager>> {
    let manager = SqliteConnectionManager::file(path)
        .with_flags(OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .with_init(|conn| {
            conn.busy_timeout(BUSY)?;
            conn.pragma_update(None, "wal_autocheckpoint", 0)?;
            conn.pragma_update(None, "cache_size", -4_096)?;
            conn.pragma_update(None, "query_only", true)?;
            conn.set_prepared_statement_cache_capacity(96);
            harden(conn)
        });
    r2d2::Pool::builder()
        .max_size(options.readers.max(1))
        .min_idle(Some(1))
        .connection_timeout(Duration::from_secs(5))
        .build(manager)
        .map_err(|e| StoreError::Unavailable(e.to_string()))
}

pub(super) fn harden(conn: &Connection) -> rusqlite::Result<()> {
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    conn.pragma_update(None, "cell_size_check", true)?;
    conn.pragma_update(None, "mmap_size", 0)?;
    Ok(())
}

/// Which of the bytes that are removed are overwritten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Overwriting {
    /// Those on pages that are written anyhow.
    WhatIsWritten,
    /// All, also on pages that are free from then on.
    Everything,
}

pub(super) fn set_overwriting(conn: &Connection, what: Overwriting) -> rusqlite::Result<()> {
    let mode = match what {
        Overwriting::WhatIsWritten => "FAST",
        Overwriting::Everything => "ON",
    };
    conn.pragma_update_and_check(None, "secure_delete", mode, |_| Ok(()))
}

/// Runs the migrations that are missing, each in a transaction, so that a kill leaves the old schema or the new one.
fn migrate(conn: &mut Connection) -> Result<()> {
    let known = known();
    conn.execute_batch(
        "CREATE TABLE IF NOT EXISTS migrations (number INTEGER PRIMARY KEY, name TEXT NOT NULL, \
         sha256 TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT (datetime('now'))) STRICT",
    )?;
    loop {
        let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let Some(next) = migrate::pending(&known, &migrate::applied(&Conn(&tx), &known)?)?.first() else {
            directory::ensure_organization(&Conn(&tx), crate::clock::Clock::system().now())?;
            tx.commit()?;
            return Ok(());
        };
        tx.execute_batch(&next.sql)?;
        migrate::remember(&Conn(&tx), next)?;
        tx.commit()?;
        tracing::info!(migration = next.name, "schema migrated");
    }
}

/// All migrations of this program.
pub(in crate::store) fn known() -> Vec<Migration> {
    migrate::embedded::<Migrations>()
}

/// Refuses a database that misses a migration by now, as one does that an older file was put in place of.
pub(super) fn check_not_behind(conn: &Connection) -> Result<()> {
    static NEWEST: LazyLock<i64> = LazyLock::new(|| migrate::newest(&migrate::embedded::<Migrations>()));
    let there = conn.prepare_cached("SELECT max(number) FROM migrations")?.query_row([], |row| row.get(0))?;
    migrate::check_not_behind(*NEWEST, there)
}

/// Refuses a database that is not up to date, without changing it.
pub(super) fn check_schema(conn: &Connection) -> Result<()> {
    let known = known();
    migrate::check_complete(&known, &migrate::applied(&Conn(conn), &known)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn opening_again_writes_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let _first = writer(&path, Options::default()).unwrap();
        let length = || fs::metadata(directory.path().join("test.db-wal")).unwrap().len();
        let before = length();
        let _second = writer(&path, Options::default()).unwrap();
        assert_eq!(length(), before);
    }

    #[test]
    fn engines_that_lose_commits_are_refused() {
        for (version, fine) in [
            (3_040_001, false),
            (3_051_002, false),
            (3_051_003, true),
            (3_052_000, false),
            (3_052_001, true),
            (3_053_002, true),
        ] {
            assert_eq!(check_engine(version).is_ok(), fine, "{version}");
        }
        assert!(check_engine(rusqlite::version_number()).is_ok());
    }
}
