//! The backend for PostgreSQL, which other nodes may write to at the same time.

pub mod backup;
mod commit;
mod copy;
mod failure;
mod keeper;
mod link;
mod moving;
mod options;
mod partitions;
mod pool;
mod schema;
mod session;
mod statement;
mod target;
mod tls;
mod wanted;
mod writes;

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::runtime::Runtime;

use self::commit::{Known, Repeats};
use self::keeper::Keeper;
use self::link::Link;
use self::pool::Connection;
use self::session::{CALL, Session};
use super::backend::Backend;
use super::identify::VersionIds;
use super::intern::{Interner, Numbers};
use super::links::Roots;
use super::slow::SlowLog;
use super::sql::Sql;
use super::{
    Committed, Draft, EnvironmentId, Keeps, Limits, Millis, Result, StoreError, StoreStatus, UserHash, members,
};
use crate::clock::Deadline;
use crate::model::Lookups;

pub use options::PostgresOptions;

pub(super) use moving::PostgresHouse;
pub(super) use schema::known as known_migrations;

/// How often a transaction that lost against another one is run again.
const ATTEMPTS: u32 = 10;

/// For how many commits repeated events are looked for once there were some: a client that sends again what it did not
/// hear an answer to does so for a while.
const WARY: u32 = 100;

/// How long it may take to drop what is too old.
const RETIREMENT: Duration = Duration::from_secs(3_600);

/// Numbers of users and sessions come in blocks of this length, as the schema's sequences have it.
const BLOCK: i64 = 16_384;

/// A database on a PostgreSQL server.
pub struct PostgresStore {
    writers: [Mutex<Writer>; 2],
    purged_at: Mutex<Millis>,
    link: Arc<Link>,
    /// How well the writers' memories do.
    texts: Lookups,
    keeper: Option<Keeper>,
    runtime: Option<Runtime>,
}

/// What a commit works with, one at a time.
#[derive(Default)]
struct Writer {
    /// Its own connection, so that pages in a crowd do not keep events out.
    connection: Option<Connection>,
    interner: Interner,
    versions: VersionIds,
    roots: Roots,
    users: Block,
    sessions: Block,
    /// For how many commits repeated events are looked for.
    wary: u32,
}

/// Numbers that nobody else takes: from `next` to before `end`.
#[derive(Clone, Copy, Default)]
struct Block {
    next: i64,
    end: i64,
}

impl PostgresStore {
    /// Prepares the connections to a server, which may be away: then everything is [`StoreError::Unavailable`] until
    /// it is there and its schema is up to date. An error is about the options alone.
    pub fn open(options: &PostgresOptions) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("postgres")
            .enable_all()
            .build()
            .map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let link = Arc::new(Link::new(options, runtime.handle().clone())?);
        let keeper = Keeper::start(link.clone()).map_err(|error| StoreError::Unavailable(error.to_string()))?;
        let (writers, purged_at) = Default::default();
        let texts = Lookups::default();
        Ok(Self { writers, purged_at, link, texts, keeper: Some(keeper), runtime: Some(runtime) })
    }

    /// Waits until the server is there and the schema is up to date; otherwise says after `limit` why not.
    pub fn wait(&self, limit: Duration) -> Result<()> {
        self.link.wait(limit)
    }

    /// Runs `work` on the writer's connection, which is made where there is none.
    fn on_writer<T>(
        &self,
        writer: &mut Writer,
        deadline: Deadline,
        work: impl FnOnce(&mut Writer, &Session<'_>) -> Result<T>,
    ) -> Result<T> {
        let connection = match writer.connection.take() {
            Some(connection) if !connection.is_closed() => connection,
            _ => self.link.connect(&self.link.primary)?,
        };
        let session = Session::new(&connection, &self.link.runtime, deadline);
        let result = work(writer, &session);
        let lost = session.lost.get();
        if self.link.settle(&self.link.primary, &session, &result) {
            writer.connection = Some(connection);
        } else {
            connection.discard();
        }
        match result {
            Err(_) if lost => Err(StoreError::Unavailable(LOST.to_owned())),
            result => result,
        }
    }

    fn try_commit(
        &self,
        writer: &mut Writer,
        (drafts, limits): (&[Draft], &Limits),
        deadline: Deadline,
    ) -> Result<Vec<Committed>> {
        let interned = self.intern(writer, (drafts, limits), deadline)?;
        self.on_writer(writer, deadline, |writer, session| {
            let new = |draft: &Draft| draft.entries.len() + usize::from(draft.identify.is_some());
            let wanted = drafts.iter().map(new).sum::<usize>();
            writer.reserve(session, i64::try_from(wanted).unwrap_or(i64::MAX))?;
            let mut ids = (writer.users.next, writer.sessions.next);
            let repeats = if writer.wary > 0 { Repeats::Likely } else { Repeats::Unlikely };
            writer.wary = writer.wary.saturating_sub(1);
            let known = Known { ids: &mut ids, versions: &mut writer.versions, roots: &mut writer.roots };
            let result = commit::write(session, (drafts, limits), interned, known, repeats);
            if result.is_err() {
                writer.versions = VersionIds::default();
            }
            (writer.users.next, writer.sessions.next) = ids;
            result
        })
    }

    /// The numbers of all texts. New ones are written in a transaction of their own, in which no other node does the
    /// same for these apps: what is written there is true whatever becomes of the drafts.
    fn intern(
        &self,
        writer: &mut Writer,
        (drafts, limits): (&[Draft], &Limits),
        deadline: Deadline,
    ) -> Result<Numbers> {
        loop {
            let known = writer.interner.find(drafts, limits);
            self.texts.note(known.is_some());
            if let Some(interned) = known {
                return Ok(interned);
            }
            let learned = self.on_writer(writer, deadline, |writer, session| {
                session.batch("BEGIN; SET LOCAL statement_timeout = '4s'")?;
                let mut apps: Vec<_> = drafts.iter().map(|draft| draft.app.id).collect();
                apps.sort_unstable();
                apps.dedup();
                for app in apps {
                    let key = [link::LOCKS.into(), app.0.into()];
                    session.run("SELECT pg_advisory_xact_lock($1::int4, ($2::int8 % 2147483647)::int4)", &key)?;
                }
                writer.interner.learn(session, drafts, limits)?;
                session.batch("COMMIT")
            });
            if let Err(error) = learned {
                writer.interner = Interner::default();
                return Err(error);
            }
        }
    }
}

/// Why a transaction was rolled back that may succeed when it is run again.
const LOST: &str = "other nodes changed the same rows";

fn is_lost(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(text) if text == LOST)
}

/// Why a commit was rolled back that chose its rows by names that have been linked since.
const LINKED: &str = "other nodes linked the same names";

fn is_linked(error: &StoreError) -> bool {
    matches!(error, StoreError::Unavailable(text) if text == LINKED)
}

impl Writer {
    /// Makes sure that there are numbers for so many new users and sessions.
    fn reserve(&mut self, session: &Session<'_>, wanted: i64) -> Result<()> {
        for (block, sql) in
            [(&mut self.users, "SELECT nextval('users_id')"), (&mut self.sessions, "SELECT nextval('sessions_id')")]
        {
            if block.end - block.next < wanted {
                let next = session.value(sql, &[])?.int();
                *block = Block { next, end: next + BLOCK };
            }
        }
        Ok(())
    }
}

impl Backend for PostgresStore {
    /// While one waits for the disk, the server works for the other.
    const WRITERS: usize = 2;
    const SHARED: bool = true;
    // A commit locks them last, when its events are written: whoever waits here has nothing that is seen, and whoever
    // was before has everything.
    const HOLD_SUMMARIES: &'static [&'static str] = &["LOCK TABLE rollup_hours IN SHARE ROW EXCLUSIVE MODE"];

    fn now(db: &dyn Sql, _: Millis) -> Result<Millis> {
        Ok(Millis(db.value("SELECT (extract(epoch FROM clock_timestamp()) * 1000)::int8", &[])?.int()))
    }

    fn read<T>(&self, read: impl FnOnce(&dyn Sql) -> Result<T>) -> Result<T> {
        self.link.call(&self.link.primary, |session| read(session))
    }

    fn survey<T>(&self, read: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        let survey = |session: &Session<'_>| session.survey(|session| read(session));
        if let Some(replica) = self.link.replica() {
            match self.link.call(replica, survey) {
                Err(StoreError::Unavailable(reason)) => self.link.distrust_replica(&reason),
                answer => return answer,
            }
        }
        self.link.call(&self.link.primary, survey)
    }

    fn write<T>(&self, change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        let mut attempt = 1;
        loop {
            let result = self.link.call(&self.link.primary, |session| {
                session.batch(link::BEGIN)?;
                let value = change(session)?;
                session.batch("COMMIT")?;
                Ok(value)
            });
            match result {
                Err(error) if is_lost(&error) && attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }

    // A commit reads people anew each time. When the room of removed rows is used again is the server's to decide.
    fn erase<T>(&self, change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        Backend::write(self, change)
    }

    fn rewrite<T>(&self, _: &[(EnvironmentId, UserHash)], change: impl Fn(&dyn Sql) -> Result<T>) -> Result<T> {
        Backend::write(self, change)
    }

    fn cut_log(&self) -> Result<bool> {
        Ok(true)
    }

    fn believe(&self, _: i64) {}

    fn commit(&self, drafts: &[Draft], limits: &Limits) -> Result<Vec<Committed>> {
        let free = self.writers.iter().find_map(Mutex::try_lock);
        let mut writer = free.unwrap_or_else(|| self.writers[0].lock());
        self.link.check()?;
        let deadline = Deadline::after(CALL);
        let mut attempt = 1;
        loop {
            match self.try_commit(&mut writer, (drafts, limits), deadline) {
                Err(error) if is_linked(&error) && attempt < ATTEMPTS && !deadline.passed() => attempt += 1,
                Err(error) if is_lost(&error) && attempt < ATTEMPTS && !deadline.passed() => {
                    attempt += 1;
                    writer.wary = WARY;
                }
                result => return result,
            }
        }
    }

    fn commits(&self, _: EnvironmentId) -> Option<u64> {
        None
    }

    fn tend(&self, now: Millis) -> Result<()> {
        {
            let mut purged_at = self.purged_at.lock();
            // A clock that was set back makes an age negative: nothing waits until it has caught up.
            if (0..Millis::MINUTE).contains(&now.since(*purged_at)) || self.link.check().is_err() {
                return Ok(());
            }
            *purged_at = now;
        }
        self.write(|db| members::purge(db, now))
    }

    fn keeps(&self) -> Keeps {
        self.link.keeps
    }

    fn drop_whole(&self, before: Millis) -> Result<u64> {
        self.link.check()?;
        keeper::on(&self.link, &self.link.primary, RETIREMENT, |session| partitions::retire(session, before))
    }

    // The server makes room by itself, and a dropped partition is given back as it is dropped.
    fn give_back(&self) -> Result<bool> {
        Ok(false)
    }

    fn status(&self) -> Result<StoreStatus> {
        Ok(StoreStatus { caches: vec![("texts", self.texts.read())], ..self.link.status() })
    }

    fn probe(&self) -> Result<()> {
        self.link.call(&self.link.primary, |session| {
            session.batch("BEGIN; SET LOCAL statement_timeout = '2s'; SET LOCAL lock_timeout = '1s'")?;
            session.run("DELETE FROM nonces WHERE at = -1", &[])?;
            schema::check_not_behind(session)?;
            session.batch("ROLLBACK")
        })
    }

    fn slow_log(&self) -> &SlowLog {
        &self.link.slow
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        drop(self.keeper.take());
        if let Some(runtime) = self.runtime.take() {
            // May be dropped by an async task, which may not wait.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests;
