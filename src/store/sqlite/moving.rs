//! A SQLite file that is moved from, beside its server, or moved to, alone.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, params_from_iter};

use super::open::{self, BUSY};
use super::read::{Conn, row};
use super::{Options, engine_version};
use crate::clock::Stopwatch;
use crate::store::moving::{self, CHUNK, House, Purpose, Table};
use crate::store::sql::{Cell, Line, Row, Sql};
use crate::store::{Result, StoreError};

/// How long a destination is waited for: a verb may be at work in it.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long at once.
const AT_ONCE: Duration = Duration::from_millis(100);

/// Pages of the write-ahead log after which a destination writes it back.
const CHECKPOINT_PAGES: i64 = 4_000;

pub(in crate::store) struct SqliteHouse {
    path: PathBuf,
    conn: Connection,
}

impl SqliteHouse {
    /// An existing file, which is only read.
    pub(in crate::store) fn source(path: &Path) -> Result<Self> {
        open::check_engine(rusqlite::version_number())?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(BUSY)?;
        open::harden(&conn)?;
        open::check_schema(&conn)?;
        Self::over(path, conn)
    }

    /// A file, made where there is none and brought up to date. Nobody else can use it until this is dropped.
    pub(in crate::store) fn destination(path: &Path) -> Result<Self> {
        open::check_engine(rusqlite::version_number())?;
        let in_use = |error| match error {
            StoreError::Unavailable(text) if text.contains("locked") => StoreError::Unavailable(format!(
                "somebody else uses {}: stop its server, or let another move come to its end ({text})",
                path.display()
            )),
            other => other,
        };
        drop(open::writer(path, Options::default()).map_err(in_use)?);
        let conn = Self::alone(path).map_err(in_use)?;
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update(None, "cache_size", -65_536)?;
        conn.pragma_update(None, "foreign_keys", true)?;
        open::harden(&conn)?;
        conn.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
        Self::over(path, conn)
    }

    /// A connection that keeps out everybody who has the file open, and is kept out by them. Two who come at once hinder each
    /// other, so each lets go, and tries again after a while of its own.
    fn alone(path: &Path) -> Result<Connection> {
        let watch = Stopwatch::start();
        loop {
            match Self::keeping_out(path) {
                Err(StoreError::Unavailable(text)) if text.contains("locked") && watch.elapsed() < PATIENCE => {
                    thread::sleep(AT_ONCE.mul_f64(f64::from(uuid::Uuid::new_v4().as_bytes()[0]) / 100.0));
                }
                other => return other,
            }
        }
    }

    fn keeping_out(path: &Path) -> Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let conn = Connection::open_with_flags(path, flags)?;
        conn.busy_timeout(AT_ONCE)?;
        // Said before the log is first looked at.
        conn.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        conn.execute_batch("BEGIN IMMEDIATE; UPDATE directory SET version = version; COMMIT")?;
        Ok(conn)
    }

    fn over(path: &Path, conn: Connection) -> Result<Self> {
        conn.set_prepared_statement_cache_capacity(64);
        let path = path.canonicalize().map_err(|error| StoreError::Unavailable(error.to_string()))?;
        Ok(Self { path, conn })
    }
}

impl Sql for SqliteHouse {
    fn rows(&self, sql: &str, params: &[Cell]) -> Result<Vec<Row>> {
        Conn(&self.conn).rows(sql, params)
    }

    fn stream(&self, sql: &str, params: &[Cell], visit: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()> {
        Conn(&self.conn).stream(sql, params, visit)
    }

    fn run(&self, sql: &str, params: &[Cell]) -> Result<u64> {
        Conn(&self.conn).run(sql, params)
    }
}

impl House for SqliteHouse {
    fn engine(&self) -> String {
        format!("SQLite {}, {}", engine_version(), self.path.display())
    }

    fn identity(&self) -> Result<String> {
        Ok(self.path.display().to_string())
    }

    fn begin(&self, purpose: Purpose) -> Result<()> {
        Ok(self.conn.execute_batch(match purpose {
            // The first statement that reads fixes what all of them see.
            Purpose::Read => "BEGIN; SELECT number FROM migrations LIMIT 1",
            Purpose::Write => "BEGIN IMMEDIATE",
        })?)
    }

    fn commit(&self) -> Result<()> {
        Ok(self.conn.execute_batch("COMMIT")?)
    }

    fn rollback(&self) {
        // Where there is no transaction any more, there is nothing to take back.
        _ = self.conn.execute_batch("ROLLBACK");
    }

    fn scan(&self, (sql, params): &(String, Vec<Cell>), take: &mut dyn FnMut(Vec<Row>) -> Result<()>) -> Result<()> {
        let mut statement = self.conn.prepare_cached(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.query(params_from_iter(params))?;
        let mut chunk = Vec::new();
        while let Some(found) = rows.next()? {
            chunk.push(row(found, columns)?);
            if chunk.len() == CHUNK {
                take(std::mem::take(&mut chunk))?;
            }
        }
        if chunk.is_empty() { Ok(()) } else { take(chunk) }
    }

    fn insert(&self, table: &Table, rows: Vec<Row>) -> Result<()> {
        let numbers: Vec<_> = (1..=table.columns.len()).map(|n| format!("?{n}")).collect();
        let sql = format!("INSERT INTO {} ({}) VALUES ({})", table.name, table.list(), numbers.join(", "));
        let mut statement = self.conn.prepare_cached(&sql)?;
        for row in rows {
            statement.execute(params_from_iter(row.0))?;
        }
        Ok(())
    }

    fn prepare_months(&self, _: &[i64]) -> Result<()> {
        Ok(())
    }

    fn empty(&self) -> Result<()> {
        self.begin(Purpose::Write)?;
        for table in moving::all().rev() {
            self.run(&format!("DELETE FROM {}", table.name), &[])?;
        }
        self.commit()
    }

    fn settle(&self) -> Result<()> {
        Ok(self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?)
    }
}
