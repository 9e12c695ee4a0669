//! Brings the schema up to date. However many nodes start at once, each step is done by one of them.

use std::sync::LazyLock;

use super::link::{BEGIN, LOCKS};
use super::session::Session;
use crate::clock::Clock;
use crate::store::migrate::{self, Applied};
use crate::store::sql::Sql;
use crate::store::{Result, directory};

#[derive(rust_embed::Embed)]
#[folder = "migrations/postgres"]
struct Migrations;

/// Runs the migrations that are missing, each in a transaction, so that a kill leaves the old schema or the new one.
pub(super) fn migrate(session: &Session<'_>) -> Result<()> {
    let known = migrate::embedded::<Migrations>();
    loop {
        session.batch(BEGIN)?;
        session.batch("SET LOCAL statement_timeout = 0")?;
        session.run("SELECT pg_advisory_xact_lock($1::int4, 0)", &[LOCKS.into()])?;
        session.batch(
            "CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, name TEXT NOT NULL, \
             sha256 TEXT NOT NULL, applied_at TEXT NOT NULL DEFAULT now()::text)",
        )?;
        let Some(next) = migrate::pending(&known, &applied(session)?)?.first() else {
            directory::ensure_organization(session, Clock::system().now())?;
            return session.batch("COMMIT");
        };
        session.batch(&next.sql)?;
        let remember = "INSERT INTO migrations (number, name, sha256) VALUES ($1, $2, $3)";
        session.run(remember, &[next.number.into(), next.name.as_str().into(), next.sha256.as_str().into()])?;
        session.batch("COMMIT")?;
        tracing::info!(migration = next.name, "schema migrated");
    }
}

fn applied(session: &Session<'_>) -> Result<Vec<Applied>> {
    let applied = session.rows("SELECT number, sha256 FROM migrations ORDER BY number", &[])?;
    Ok(applied.iter().map(|row| Applied { number: row.int(0), sha256: row.text(1) }).collect())
}

/// Refuses a database that misses a migration by now, as one does that a backup was restored to.
pub(super) fn check_not_behind(session: &Session<'_>) -> Result<()> {
    static NEWEST: LazyLock<i64> = LazyLock::new(|| migrate::newest(&migrate::embedded::<Migrations>()));
    let there = session.value("SELECT max(number) FROM migrations", &[])?.some_int();
    migrate::check_not_behind(*NEWEST, there)
}

/// Refuses a database that is not up to date, without changing it.
pub(super) fn check(session: &Session<'_>) -> Result<()> {
    migrate::check_complete(&migrate::embedded::<Migrations>(), &applied(session)?)
}
