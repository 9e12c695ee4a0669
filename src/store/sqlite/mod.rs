//! The embedded backend: one SQLite file in WAL mode, one writing connection, a pool of reading ones.

pub mod backup;
mod commit;
mod disk;
mod look;
mod moving;
mod open;
#[cfg(test)]
mod plans;
mod read;
mod room;
mod sound;
mod wal;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard, RwLock};
use r2d2_sqlite::SqliteConnectionManager;
use rusqlite::{Connection, Transaction, TransactionBehavior};

use super::SLOW;
use super::backend::Backend;
use super::remembered::Remembered;
use super::slow::SlowLog;
use super::sql::Sql;
use super::{
    Committed, Draft, EnvironmentId, Keeps, Limits, Millis, PoolStatus, Result, StoreError, StoreStatus, UserHash,
    members, migrate,
};
use commit::Memory;
use disk::Disk;
use open::Overwriting;
use read::Conn;
use sound::Mark;

pub(super) use look::Looker;
pub(super) use moving::SqliteHouse;
pub(super) use open::known as known_migrations;

/// Bytes of a page.
const PAGE: i64 = 4_096;

/// Pages of the write-ahead log after which it is written back.
const CHECKPOINT_PAGES: i64 = 4_000;

/// The log is cut to nothing when this many bytes of it are in use.
const WAL_MAX: i64 = 64 << 20;

/// Longest report, in milliseconds.
const REPORT_MAX: Duration = Duration::from_secs(5);

/// How hard a commit is pressed onto the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Synchronous {
    /// Every commit is on the disk before it is acknowledged.
    #[default]
    Full,
    /// A power cut may lose acknowledged commits. Only for the drill that shows it.
    Normal,
}

/// How a database is opened.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// See [`Synchronous`].
    pub synchronous: Synchronous,
    /// Free space in bytes below which ingest is refused; zero means the larger of 64 MiB and 2 % of the file system.
    pub disk_floor: u64,
    /// Size in bytes of a file that is given up when the disk is full, so that housekeeping can free more.
    pub disk_ballast: u64,
    /// Reading connections: more than there are slow reports at once, so that a credential is looked up meanwhile.
    pub readers: u32,
    /// What takes this long is slow, and is told in the log.
    pub slow: Duration,
    /// For how long things are kept where nothing else was chosen.
    pub keeps: Keeps,
    /// How long it is looked for damage while it is opened.
    pub glance: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            synchronous: Synchronous::Full,
            disk_floor: 0,
            disk_ballast: 0,
            readers: 6,
            slow: SLOW,
            keeps: Keeps::FOREVER,
            glance: Duration::ZERO,
        }
    }
}

/// The SQLite library in this binary.
pub fn engine_version() -> &'static str {
    rusqlite::version()
}

/// One database file.
pub struct SqliteStore {
    path: PathBuf,
    options: Options,
    writer: Mutex<Writer>,
    /// `None` while the file is closed.
    readers: RwLock<Option<Readers>>,
    disk: Disk,
    slow: SlowLog,
    /// Commits since the start. Environments share a few counters: one that grows for another costs a report, no more.
    commits: [AtomicU64; COUNTERS],
    /// See [`Backend::believe`].
    believed: AtomicI64,
    /// Set by a second I/O error in a row, and by damage: why writes are refused until a restart.
    failed: OnceLock<String>,
    /// How well the writer's memory does.
    counts: Arc<Remembered>,
    /// The newest schema that this program knows.
    schema_known: i64,
}

/// See [`SqliteStore::commits`].
const COUNTERS: usize = 64;

type Readers = r2d2::Pool<SqliteConnectionManager>;

struct Writer {
    conn: Connection,
    mark: Mark,
    memory: Memory,
    cuts: wal::Cuts,
    tended_at: Millis,
    purged_at: Millis,
}

impl SqliteStore {
    /// Opens or makes the database at `path` and brings its schema up to date.
    pub fn open(path: &Path, options: Options) -> Result<Self> {
        open::check_engine(rusqlite::version_number())?;
        let directory = path.parent().map_or_else(PathBuf::new, Path::to_path_buf);
        let disk = Disk::new(directory, options.disk_floor, options.disk_ballast);
        let (conn, mark) = open_writer(path, options, &disk)?;
        // After a crash the log holds pages that the next writes, on a full disk, need the place of.
        if let Err(error) = wal::write_back(&conn, 1) {
            tracing::warn!(%error, "the log could not be written back");
        }
        disk.lay_ballast();
        let readers = RwLock::new(Some(open::readers(path, options)?));
        let memory = Memory::default();
        let counts = memory.counts.clone();
        let cuts = wal::Cuts::default();
        let writer = Writer { conn, mark, memory, cuts, tended_at: Millis(0), purged_at: Millis(0) };
        Ok(Self {
            path: path.to_path_buf(),
            options,
            writer: Mutex::new(writer),
            readers,
            disk,
            slow: SlowLog::new(options.slow),
            commits: std::array::from_fn(|_| AtomicU64::new(0)),
            believed: AtomicI64::new(0),
            failed: OnceLock::new(),
            counts,
            schema_known: migrate::newest(&open::known()),
        })
    }

    fn reader(&self) -> Result<r2d2::PooledConnection<SqliteConnectionManager>> {
        let pool = self.readers.read().clone();
        let pool = pool.ok_or_else(|| StoreError::Unavailable("the database is being opened anew".to_owned()))?;
        pool.get().map_err(|e| StoreError::Unavailable(e.to_string()))
    }

    fn healthy_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        let writer = self.writer.lock();
        // Asked last: whoever held the connection before may have left it unusable.
        if let Some(why) = self.failed.get() {
            return Err(StoreError::Unavailable(why.clone()));
        }
        Ok(writer)
    }

    /// Opens the database anew where the disk failed. Where that fails too, or the database is damaged, nothing is written
    /// until a restart.
    fn recover<T>(&self, writer: &mut Writer, result: &Result<T>) {
        match result {
            Err(StoreError::Io(error)) => {
                tracing::error!(error, "a commit failed on the disk; opening the database anew");
                match self.reopen(writer) {
                    Err(StoreError::Corrupt(found)) => self.damaged(&found),
                    Err(error) => {
                        tracing::error!(%error, "opening anew failed: no more writes until a restart");
                        _ = self.failed.set("the disk failed twice; restart after repairing it".to_owned());
                    }
                    Ok(()) => {}
                }
            }
            // What one commit has met may be a part of one table, or what a part says of itself: every page is asked.
            Err(StoreError::Corrupt(_)) => _ = self.look(|| false),
            _ => {}
        }
    }

    /// Looks at every page; where one is damaged nothing is written any more.
    fn look(&self, is_over: impl FnMut() -> bool + Send + 'static) -> Result<()> {
        sound::check(&self.path, is_over).inspect_err(|error| {
            if let StoreError::Corrupt(found) = error {
                self.damaged(found);
            }
        })
    }

    fn damaged(&self, found: &str) {
        let why =
            format!("the database is damaged ({found}): stop the box, move the database away, and `tallybox restore`");
        tracing::error!(
            found,
            "the database is damaged: no more writes; restore the newest backup with `tallybox restore`"
        );
        _ = self.failed.set(why);
    }

    /// After a failed sync nothing that the old connections hold can be trusted: all are closed and opened anew, and
    /// the file is checked.
    fn reopen(&self, writer: &mut Writer) -> Result<()> {
        writer.conn = Connection::open_in_memory()?;
        writer.memory.forget();
        *self.readers.write() = None;
        (writer.conn, writer.mark) = open_writer(&self.path, self.options, &self.disk)?;
        sound::look(&writer.conn)?;
        *self.readers.write() = Some(open::readers(&self.path, self.options)?);
        Ok(())
    }

    /// On the writing connection. Where the disk is full, the ballast makes room for it.
    fn transact<T>(&self, writer: &mut Writer, change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        let attempt = |conn: &mut Connection| {
            let tx = conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let value = change(&Conn(&tx))?;
            tx.commit()?;
            Ok(value)
        };
        let mut result = attempt(&mut writer.conn);
        if matches!(result, Err(StoreError::Full)) && wal::begin_anew(&writer.conn).is_ok() {
            result = attempt(&mut writer.conn); // in the length that the log has
        }
        let result = match result {
            // A full disk can also show as a failure, of the shared memory file that has no room.
            Err(StoreError::Full | StoreError::Io(_)) if self.disk.release_ballast() => {
                // The log goes home first: if it took up this room as well, the database could not grow by what waits there,
                // and nothing could ever be written again.
                _ = wal::begin_anew(&writer.conn);
                attempt(&mut writer.conn)
            }
            other => other,
        };
        self.note(writer, &result);
        result
    }

    /// Notes how far commits have come, and what one that failed tells of the disk.
    fn note<T>(&self, writer: &mut Writer, result: &Result<T>) {
        // Without a sync the mark could outlive what it tells of.
        if result.is_ok() && self.options.synchronous == Synchronous::Full {
            writer.mark.set(&writer.conn);
        }
        self.recover(writer, result);
    }

    fn counter(&self, environment: EnvironmentId) -> &AtomicU64 {
        &self.commits[environment.0.rem_euclid(COUNTERS as i64) as usize]
    }

    fn wal_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push("-wal");
        name.into()
    }
}

/// A full disk also has no room for the shared memory file: then the ballast is given up for it.
fn open_writer(path: &Path, options: Options, disk: &Disk) -> Result<(Connection, Mark)> {
    match open::writer(path, options) {
        Err(error) if disk.release_ballast() => {
            tracing::warn!(%error, "opening the database failed; the disk ballast was given up");
            let opened = open::writer(path, options)?;
            _ = wal::write_back(&opened.0, 1);
            Ok(opened)
        }
        other => other,
    }
}

impl Backend for SqliteStore {
    const WRITERS: usize = 1;
    const SHARED: bool = false;
    // Nobody else writes anyhow.
    const HOLD_SUMMARIES: &'static [&'static str] = &[];

    fn read<T>(&self, read: impl FnOnce(&dyn Sql) -> Result<T>) -> Result<T> {
        read(&Conn(&*self.reader()?))
    }

    fn survey<T>(&self, read: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        let conn = self.reader()?;
        // Dropped without a commit, it ends as well: nothing is written.
        let moment = Transaction::new_unchecked(&conn, TransactionBehavior::Deferred)?;
        read::timed(&moment, REPORT_MAX, || read(&Conn(&moment)))
    }

    fn write<T>(&self, change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        self.transact(&mut *self.healthy_writer()?, change)
    }

    fn erase<T>(&self, change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        let mut writer = self.healthy_writer()?;
        open::set_overwriting(&writer.conn, Overwriting::Everything)?;
        let result = self.transact(&mut writer, change);
        writer.memory.forget_people();
        open::set_overwriting(&writer.conn, Overwriting::WhatIsWritten)?;
        result
    }

    fn rewrite<T>(&self, users: &[(EnvironmentId, UserHash)], change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        let mut writer = self.healthy_writer()?;
        let result = self.transact(&mut writer, change);
        writer.memory.forget_users(users);
        for (environment, _) in users {
            self.counter(*environment).fetch_add(1, Ordering::Release);
        }
        result
    }

    fn cut_log(&self) -> Result<bool> {
        wal::cut(&self.healthy_writer()?.conn)
    }

    fn believe(&self, mark: i64) {
        if self.believed.swap(mark, Ordering::Relaxed) != mark {
            for counter in &self.commits {
                counter.fetch_add(1, Ordering::Release);
            }
        }
    }

    fn commit(&self, drafts: &[Draft], limits: &Limits) -> Result<Vec<Committed>> {
        let mut writer = self.healthy_writer()?;
        if let Err(full) = self.disk.check_floor() {
            // While there still is some room, all that waits in the log goes home, so that the log begins anew within
            // the length it has: sign-ins and housekeeping then need no more room, however full the disk becomes.
            wal::write_back(&writer.conn, 1)?;
            return Err(full);
        }
        let Writer { conn, memory, .. } = &mut *writer;
        let result = commit::commit(conn, memory, drafts, limits);
        for draft in drafts {
            self.counter(draft.environment).fetch_add(1, Ordering::Release);
        }
        self.note(&mut writer, &result);
        result
    }

    fn commits(&self, environment: EnvironmentId) -> Option<u64> {
        Some(self.counter(environment).load(Ordering::Acquire))
    }

    fn tend(&self, now: Millis) -> Result<()> {
        let mut writer = self.healthy_writer()?;
        // A clock that was set back makes an age negative: nothing waits until it has caught up.
        let over = |last: Millis, pause: i64| !(0..pause).contains(&now.since(last));
        let idle = over(writer.tended_at, Millis::SECOND);
        if idle {
            writer.tended_at = now;
            self.disk.lay_ballast();
        }
        // Near the floor the log goes home sooner, while the database still has room to grow by what waits in it.
        let affordable = self.disk.room() / (4 * PAGE);
        let due = if idle { 1 } else { affordable.min(CHECKPOINT_PAGES) };
        let Writer { conn, mark, cuts, .. } = &mut *writer;
        let written_back = wal::write_back(conn, due).and_then(|pages| cuts.trim(conn, pages));
        if idle && self.options.synchronous == Synchronous::Full {
            mark.set(conn);
        }
        if over(writer.purged_at, Millis::MINUTE) {
            writer.purged_at = now;
            drop(writer);
            self.write(|db| members::purge(db, now))?;
        }
        written_back
    }

    fn keeps(&self) -> Keeps {
        self.options.keeps
    }

    // A file has no part that belongs to one stretch of time alone.
    fn drop_whole(&self, _: Millis) -> Result<u64> {
        Ok(0)
    }

    fn give_back(&self) -> Result<bool> {
        let writer = self.healthy_writer()?;
        room::give_back(&writer.conn, self.disk.room())
    }

    fn status(&self) -> Result<StoreStatus> {
        let size = |path: &Path| fs::metadata(path).map_or(0, |m| m.len());
        let reading = self.readers.read().as_ref().map(r2d2::Pool::state);
        let (open, idle) = reading.map_or((0, 0), |pool| (pool.connections, pool.idle_connections));
        let readers = PoolStatus {
            name: "readers",
            max: self.options.readers,
            open,
            active: open.saturating_sub(idle),
            waiting: 0,
        };
        let writer =
            PoolStatus { name: "writer", max: 1, open: 1, active: u32::from(self.writer.is_locked()), waiting: 0 };
        let conn = self.reader()?;
        let read_only = match (self.failed.get(), self.disk.check_floor()) {
            (Some(why), _) => Some(why.clone()),
            (None, Err(error)) => Some(error.to_string()),
            (None, Ok(())) => None,
        };
        Ok(StoreStatus {
            engine: format!("SQLite {}", engine_version()),
            schema: conn.query_row("SELECT max(number) FROM migrations", [], |row| row.get(0))?,
            schema_known: self.schema_known,
            bytes: size(&self.path),
            wal_bytes: size(&self.wal_path()),
            pools: vec![readers, writer],
            slow: self.slow.count(),
            slow_queries: self.slow.last(),
            replica: None,
            outside_partitions: None,
            free_bytes: self.disk.free(),
            floor_bytes: self.disk.floor(),
            ballast_bytes: self.disk.ballast(),
            read_only,
            caches: self.counts.all(),
            notes: room::notes(&conn)?,
        })
    }

    fn probe(&self) -> Result<()> {
        let mut writer = self.healthy_writer()?;
        self.disk.check_floor()?;
        let tx = writer.conn.transaction_with_behavior(TransactionBehavior::Immediate)?;
        open::check_not_behind(&tx)?;
        tx.execute("UPDATE directory SET version = version", [])?;
        tx.rollback()?;
        Ok(())
    }

    fn check(&self, ended: &Arc<AtomicBool>) -> Result<&'static str> {
        let ended = ended.clone();
        self.look(move || ended.load(Ordering::Relaxed)).map(|()| "every page of the database is in order")
    }

    fn slow_log(&self) -> &SlowLog {
        &self.slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Accounts;
    use crate::store::Store;

    #[test]
    fn after_a_disk_failure_the_database_is_opened_anew_and_works() {
        let directory = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&directory.path().join("test.db"), Options::default()).unwrap();
        let failing = store.write::<()>(|_| Err(StoreError::Io("test".to_owned())));
        assert!(matches!(failing, Err(StoreError::Io(_))));
        assert!(!store.has_members().unwrap());
        Store::probe(&store).unwrap();
    }

    #[test]
    fn a_database_that_cannot_be_opened_anew_takes_no_more_writes_and_no_reads() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("test.db");
        let store = SqliteStore::open(&path, Options::default()).unwrap();
        let failing = store.write::<()>(|_| {
            fs::remove_file(&path).unwrap();
            fs::create_dir(&path).unwrap();
            Err(StoreError::Io("test".to_owned()))
        });
        assert!(matches!(failing, Err(StoreError::Io(_))));
        assert!(matches!(Store::probe(&store), Err(StoreError::Unavailable(_))));
        assert!(matches!(store.has_members(), Err(StoreError::Unavailable(_))));
    }
}
