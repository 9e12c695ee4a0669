//! The thread that looks after the database: finds out whether it is there, brings its schema up to date, makes
//! partitions ahead of time, and judges the replica.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::link::{Link, Standing};
use super::pool::{Connection, Pool};
use super::session::Session;
use super::{partitions, schema};
use crate::clock::{Clock, Deadline};
use crate::store::sql::Sql;
use crate::store::{Result, StoreError};

/// How often it looks while all is well.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it looks while the database is away.
const SHORT_PAUSE: Duration = Duration::from_millis(200);
/// How long one look may take.
const LOOK: Duration = Duration::from_secs(2);
/// How long bringing the schema up to date may take.
const MIGRATION: Duration = Duration::from_secs(3_600);
/// How often partitions and figures are looked after.
const CHORES: Duration = Duration::from_secs(60);

/// What was last read of the database.
#[derive(Clone, Debug, Default)]
pub(super) struct Figures {
    pub(super) engine: String,
    pub(super) schema: i64,
    pub(super) bytes: u64,
    pub(super) outside_partitions: u64,
    pub(super) notes: Vec<String>,
}

/// The running thread; dropped, it ends.
pub(super) struct Keeper {
    link: Arc<Link>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(super) fn start(link: Arc<Link>) -> std::io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut watch = Watch { link: link.clone(), migrated: false, chores: None, positions: VecDeque::new() };
        let stopped = stop.clone();
        let thread = std::thread::Builder::new().name("keeper".to_owned()).spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let pause = watch.look();
                if !stopped.load(Ordering::Relaxed) {
                    watch.link.pause(pause);
                }
            }
        })?;
        Ok(Self { link, stop, thread: Some(thread) })
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.link.attention.notify_all();
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was told already.
            _ = thread.join();
        }
    }
}

/// What it remembers from one look to the next.
struct Watch {
    link: Arc<Link>,
    migrated: bool,
    /// When chores are due.
    chores: Option<Deadline>,
    /// Where the primary's log stood, each with the moment by which the replica must have reached it.
    positions: VecDeque<(i64, Deadline)>,
}

impl Watch {
    /// One look; the pause until the next.
    fn look(&mut self) -> Duration {
        self.link.primary.trim();
        let standing = match self.examine() {
            Ok(()) => Standing::Up,
            Err(error) => Standing::of(&error),
        };
        let pause = if standing == Standing::Up { PAUSE } else { SHORT_PAUSE };
        self.link.set(standing);
        pause
    }

    fn examine(&mut self) -> Result<()> {
        let link = self.link.clone();
        let limit = if self.migrated { LOOK } else { MIGRATION };
        let position = on(&link, &link.primary, limit, |session| {
            if !self.migrated {
                schema::migrate(session)?;
                self.migrated = true;
            }
            // A demoted primary still answers what only reads.
            let position = session.row(
                "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN 0 \
                 ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::int8 END, \
                 current_setting('default_transaction_read_only') = 'on'",
                &[],
            )?;
            let position = position.ok_or_else(|| StoreError::Unavailable("no answer".to_owned()))?;
            if position.int(0) != 0 || position.int(2) != 0 {
                // Nothing would ever fail on its connections while calls are turned away, so they are given up here:
                // new ones find the server that has taken over.
                session.stale.set(true);
                return Err(StoreError::Unavailable("the server only reads".to_owned()));
            }
            Ok(position.int(1))
        })?;
        self.judge_replica(position);
        if self.chores.is_none_or(Deadline::passed) {
            self.chores = Some(Deadline::after(CHORES));
            let done = on(&link, &link.primary, MIGRATION, |session| {
                let now = Clock::system().now();
                let outside_partitions = partitions::ensure(session, now)?;
                *link.figures.lock() = Figures { outside_partitions, ..read_figures(session)? };
                Ok(())
            });
            if let Err(error) = done {
                // Events find their place in the default partition meanwhile.
                tracing::warn!(%error, "partitions could not be looked after");
            }
        }
        Ok(())
    }

    /// Trusts the replica while it has replayed all that the primary had written some seconds ago.
    fn judge_replica(&mut self, position: i64) {
        let link = self.link.clone();
        let Some(pool) = link.any_replica() else { return };
        pool.trim();
        if self.positions.back().is_none_or(|(last, _)| *last < position) {
            self.positions.push_back((position, Deadline::after(link.replica_max_lag)));
        }
        let replayed = on(&link, pool, LOOK, |session| {
            let sql = "SELECT CASE WHEN pg_is_in_recovery() \
                       THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')::int8 END";
            Ok(session.value(sql, &[])?.some_int())
        });
        match replayed {
            // No standby any more: it has been promoted, and will not follow.
            Ok(None) => link.distrust_replica("the replica is no standby"),
            Ok(Some(replayed)) => {
                while self.positions.front().is_some_and(|(position, _)| *position <= replayed) {
                    self.positions.pop_front();
                }
                match self.positions.front() {
                    Some((_, due)) if due.passed() => link.distrust_replica("the replica is too far behind"),
                    _ => link.trust_replica(),
                }
            }
            Err(error) => link.distrust_replica(&error.to_string()),
        }
    }
}

/// Runs `work` on a connection, whatever the standing of the database.
pub(super) fn on<T>(
    link: &Link,
    pool: &Pool,
    limit: Duration,
    work: impl FnOnce(&Session<'_>) -> Result<T>,
) -> Result<T> {
    let connection: Connection = link.runtime.block_on(pool.get())?;
    let session = Session::new(&connection, &link.runtime, Deadline::after(limit));
    let result = work(&session);
    if !link.settle(pool, &session, &result) {
        connection.discard();
    }
    result
}

fn read_figures(session: &Session<'_>) -> Result<Figures> {
    let row = session.row(
        "SELECT current_setting('server_version'), (SELECT max(number) FROM migrations), \
         pg_database_size(current_database()), current_setting('fsync'), \
         (SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'async'), \
         (SELECT count(*) FROM pg_stat_replication WHERE sync_state IN ('sync', 'quorum'))",
        &[],
    )?;
    let row = row.ok_or_else(|| StoreError::Unavailable("no answer".to_owned()))?;
    let mut notes = Vec::new();
    if row.text(3) == "off" {
        let note = "this PostgreSQL runs with fsync=off: what is acknowledged can be lost";
        tracing::warn!("{note}");
        notes.push(note.to_owned());
    }
    if row.int(4) > 0 && row.int(5) == 0 {
        let note = "the standbys of this PostgreSQL follow asynchronously: what was acknowledged in the last moments \
                    before one takes over can be lost (synchronous_standby_names)";
        notes.push(note.to_owned());
    }
    Ok(Figures {
        engine: format!("PostgreSQL {}", row.text(0)),
        schema: row.int(1),
        bytes: u64::try_from(row.int(2)).unwrap_or(0),
        outside_partitions: 0,
        notes,
    })
}
