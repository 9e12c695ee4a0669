//! Brings the schema up to date. However many nodes start at once, each step is done by one of them.

use std::sync::LazyLock;

use super::link::{BEGIN, LOCKS};
use super::session::Session;
use crate::clock::Clock;
use crate::store::migrate::{self, Migration};
use crate::store::sql::Sql;
use crate::store::{Result, directory};

#[derive(rust_embed::Embed)]
#[folder = "migrations/postgres"]
struct Migrations;

/// Runs the migrations that are missing, each in a transaction, so that a kill leaves the old schema or the new one.
pub(super) fn migrate(session: &Session<'_>) -> Result<()> {
    let known = known();
    loop {
        session.batch(BEGIN)?;
        session.batch("SET LOCAL statement_timeout = 0")?;
        session.run("SELECT pg_advisory_xact_lock($1::int4, 0)", &[LOCKS.into()])?;
        session.batch(
            "CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, \
             sha256 TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT now()::text)",
        )?;
        let Some(next) = migrate::pending(&known, &migrate::applied(session, &known)?)?.first() else {
            directory::ensure_organization(session, Clock::system().now())?;
            return session.batch("COMMIT");
        };
        session.batch(&next.sql)?;
        migrate::remember(session, next)?;
        session.batch("COMMIT")?;
        tracing::info!(migration = next.name, "schema migrated");
    }
}

/// All migrations of this program.
pub(in crate::store) fn known() -> Vec<Migration> {
    migrate::embedded::<Migrations>()
}

/// Refuses a database that misses a migration by now, as one does that a backup was restored to.
pub(super) fn check_not_behind(session: &Session<'_>) -> Result<()> {
    static NEWEST: LazyLock<i64> = LazyLock::new(|| migrate::newest(&migrate::embedded::<Migrations>()));
    let there = session.value("SELECT max(number) FROM migrations", &[])?.some_int();
    migrate::check_not_behind(*NEWEST, there)
}

/// Refuses a database that is not up to date, without changing it.
pub(super) fn check(session: &Session<'_>) -> Result<()> {
    let known = known();
    migrate::check_complete(&known, &migrate::applied(session, &known)?)
}
