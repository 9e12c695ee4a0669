//! The way to the servers: whether they can be used now, and what becomes of a connection after a call.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tokio::runtime::Handle;

use super::options::PostgresOptions;
use super::pool::{Connection, Pool};
use super::session::{CALL, Session};
use super::{LOST, keeper, schema};
use crate::clock::Deadline;
use crate::model::Keeps;
use crate::store::migrate;
use crate::store::slow::SlowLog;
use crate::store::{PoolStatus, Result, StoreError, StoreStatus};

/// The first half of the keys of all advisory locks: nobody else in the database takes these.
pub(super) const LOCKS: i64 = 0x7a11;
/// The same of those that are held while links of an environment are written.
pub(super) const LINK_LOCKS: i64 = 0x7a12;

/// Begins a change whose commit is on the disk before it is acknowledged, whatever the server has as its default.
pub(super) const BEGIN: &str = "BEGIN; SET LOCAL statement_timeout = '4s'; \
     SELECT set_config('synchronous_commit', 'on', true) \
     WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')";

/// The primary, perhaps a replica, and what is known of them.
pub(super) struct Link {
    pub(super) primary: Pool,
    replica: Option<Pool>,
    pub(super) replica_max_lag: Duration,
    replica_trusted: AtomicBool,
    pub(super) runtime: Handle,
    standing: Mutex<Standing>,
    /// Told whenever the standing changes.
    changed: Condvar,
    /// Told when the keeper should look at once.
    pub(super) attention: Condvar,
    pub(super) figures: Mutex<keeper::Figures>,
    pub(super) slow: SlowLog,
    /// For how long things are kept where nothing else was chosen.
    pub(super) keeps: Keeps,
    /// The newest schema that this program knows.
    schema_known: i64,
}

/// Whether the database can be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It can.
    Up,
    /// Not now, and why; it is looked at again and again.
    Down(String),
    /// Not by this program, and why.
    Refused(String),
}

impl Standing {
    /// What an error says of the database.
    pub(super) fn of(error: &StoreError) -> Self {
        match error {
            StoreError::Schema(reason) => Self::Refused(reason.clone()),
            StoreError::Unavailable(reason) => Self::Down(reason.clone()),
            other => Self::Down(other.to_string()),
        }
    }
}

impl Link {
    pub(super) fn new(options: &PostgresOptions, runtime: Handle) -> Result<Self> {
        let problem = StoreError::Schema;
        Ok(Self {
            primary: Pool::primary(options).map_err(problem)?,
            replica: Pool::replica(options).map_err(problem)?,
            replica_max_lag: options.replica_max_lag,
            replica_trusted: AtomicBool::new(false),
            runtime,
            standing: Mutex::new(Standing::Down("not connected yet".to_owned())),
            changed: Condvar::new(),
            attention: Condvar::new(),
            figures: Mutex::default(),
            slow: SlowLog::new(options.slow),
            keeps: options.keeps,
            schema_known: migrate::newest(&schema::known()),
        })
    }

    /// An error at once where the database is known to be away: nobody waits for what cannot come.
    pub(super) fn check(&self) -> Result<()> {
        match &*self.standing.lock() {
            Standing::Up => Ok(()),
            Standing::Down(reason) => Err(StoreError::Unavailable(reason.clone())),
            Standing::Refused(reason) => Err(StoreError::Schema(reason.clone())),
        }
    }

    /// Waits until the database can be used, at most for `limit`.
    pub(super) fn wait(&self, limit: Duration) -> Result<()> {
        let deadline = Deadline::after(limit);
        let mut standing = self.standing.lock();
        while matches!(*standing, Standing::Down(_)) && !deadline.passed() {
            self.changed.wait_for(&mut standing, deadline.left());
        }
        drop(standing);
        self.check()
    }

    /// Takes note of what the keeper found.
    pub(super) fn set(&self, now: Standing) {
        let mut standing = self.standing.lock();
        match (&*standing, &now) {
            (was, now) if was == now => return,
            (_, Standing::Up) => tracing::info!("PostgreSQL is there"),
            (Standing::Up, Standing::Down(reason)) => tracing::error!(reason, "PostgreSQL is away"),
            (_, Standing::Down(reason)) => tracing::debug!(reason, "PostgreSQL is still away"),
            (_, Standing::Refused(reason)) => tracing::error!(reason, "the database cannot be used"),
        }
        *standing = now;
        self.changed.notify_all();
    }

    /// From now on calls fail at once, until the keeper has had an answer. It looks now.
    fn suspect(&self, error: &StoreError) {
        self.set(Standing::of(error));
        self.attention.notify_all();
    }

    /// The keeper's pause; shorter while something is wrong.
    pub(super) fn pause(&self, limit: Duration) {
        let mut standing = self.standing.lock();
        self.attention.wait_for(&mut standing, limit);
    }

    /// The replica, where there is one that is not too far behind.
    pub(super) fn replica(&self) -> Option<&Pool> {
        self.replica.as_ref().filter(|_| self.replica_trusted.load(Ordering::Relaxed))
    }

    /// The replica, for the keeper's judgement.
    pub(super) fn any_replica(&self) -> Option<&Pool> {
        self.replica.as_ref()
    }

    pub(super) fn trust_replica(&self) {
        if !self.replica_trusted.swap(true, Ordering::Relaxed) {
            tracing::info!("reports are read from the replica");
        }
    }

    pub(super) fn distrust_replica(&self, reason: &str) {
        if self.replica_trusted.swap(false, Ordering::Relaxed) {
            tracing::warn!(reason, "reports are read from the primary");
        }
    }

    /// A connection of the pool.
    pub(super) fn connect(&self, pool: &Pool) -> Result<Connection> {
        let got = self.runtime.block_on(pool.get());
        if let Err(error) = &got
            && std::ptr::eq(pool, &raw const self.primary)
            && pool.figures().size == 0
        {
            self.suspect(error);
        }
        got
    }

    /// Runs `work` on a connection of a pool, where the database can be used, for a limited time.
    pub(super) fn call<T>(&self, pool: &Pool, work: impl FnOnce(&Session<'_>) -> Result<T>) -> Result<T> {
        self.check()?;
        let deadline = Deadline::after(CALL);
        let connection = self.connect(pool)?;
        let session = Session::new(&connection, &self.runtime, deadline);
        let result = work(&session);
        let lost = session.lost.get();
        if !self.settle(pool, &session, &result) {
            connection.discard();
        }
        match result {
            Err(_) if lost => Err(StoreError::Unavailable(LOST.to_owned())),
            result => result,
        }
    }

    /// Ends what a failed call began. `false` where the connection cannot be used again.
    pub(super) fn settle<T>(&self, pool: &Pool, session: &Session<'_>, result: &Result<T>) -> bool {
        let Err(error) = result else { return true };
        if session.stale.get() {
            pool.evict_all();
            if std::ptr::eq(pool, &raw const self.primary) {
                self.suspect(error);
            }
        }
        !session.broken.get() && session.batch("ROLLBACK").is_ok()
    }

    /// As the keeper last saw it: asking does not wait for the database.
    pub(super) fn status(&self) -> StoreStatus {
        let replica = self.replica.as_ref().map(|pool| pool_status("replica", pool));
        let figures = self.figures.lock().clone();
        StoreStatus {
            engine: figures.engine,
            schema: figures.schema,
            schema_known: self.schema_known,
            bytes: figures.bytes,
            wal_bytes: 0,
            pools: [pool_status("primary", &self.primary)].into_iter().chain(replica).collect(),
            slow: self.slow.count(),
            slow_queries: self.slow.last(),
            replica: self.replica.as_ref().map(|_| self.replica_trusted.load(Ordering::Relaxed)),
            outside_partitions: Some(figures.outside_partitions),
            free_bytes: None,
            floor_bytes: None,
            ballast_bytes: None,
            read_only: self.check().err().map(|error| error.to_string()),
            caches: Vec::new(),
            notes: figures.notes,
        }
    }
}

fn pool_status(name: &'static str, pool: &Pool) -> PoolStatus {
    let figures = pool.figures();
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    PoolStatus {
        name,
        max: count(figures.max),
        open: count(figures.size),
        active: count(figures.size.saturating_sub(figures.idle)),
        waiting: count(figures.waiting),
    }
}
