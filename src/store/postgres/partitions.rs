//! The monthly partitions of events: made ahead of time, and as far back as events are expected from.

use std::collections::BTreeSet;

use jiff::civil::Date;
use jiff::{Span, tz::TimeZone};

use super::link::{BEGIN, LOCKS};
use super::session::Session;
use crate::model::{EnvironmentId, Millis};
use crate::store::sql::Sql;
use crate::store::{Result, StoreError, keeping, settled};

/// Months before this one whose events have a partition: clients send what they kept while offline.
const BEHIND: i32 = 13;
/// Months after this one that are made already.
const AHEAD: i32 = 3;

/// One month of claimed time, in UTC.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Month(Date);

impl Month {
    fn of(now: Millis) -> Result<Self> {
        let now = jiff::Timestamp::from_millisecond(now.0).map_err(|e| StoreError::Unexpected(e.to_string()))?;
        Ok(Self(now.to_zoned(TimeZone::UTC).date().first_of_month()))
    }

    fn plus(&self, months: i32) -> Result<Self> {
        let date = self.0.checked_add(Span::new().months(months));
        date.map(Self).map_err(|error| StoreError::Unexpected(error.to_string()))
    }

    fn start(&self) -> Result<i64> {
        let start = self.0.to_zoned(TimeZone::UTC).map_err(|error| StoreError::Unexpected(error.to_string()))?;
        Ok(start.timestamp().as_millisecond())
    }

    /// Letters, digits and underscores only: it becomes part of a statement.
    fn table(&self) -> String {
        format!("events_{:04}_{:02}", self.0.year(), self.0.month())
    }
}

/// Makes the partitions that are missing around `now`. What the default partition holds of them moves there; how many
/// events still lie in it, up to 100,000.
///
/// Months of which nobody has anything any more are not made.
pub(super) fn ensure(session: &Session<'_>, now: Millis) -> Result<u64> {
    let this = Month::of(now)?;
    let around: Result<Vec<_>> = (-BEHIND..=AHEAD).map(|offset| this.plus(offset)).collect();
    let gone = keeping::gone_everywhere(session)? * Millis::DAY;
    let kept = |month: &Month| month.plus(1).is_ok_and(|next| next.start().is_ok_and(|end| end > gone));
    make_missing(session, &around?.into_iter().filter(kept).collect::<Vec<_>>())?;
    let outside =
        session.value("SELECT count(*) FROM (SELECT 1 FROM events_default LIMIT 100000) AS sample", &[])?.int();
    if outside > 0 {
        tracing::warn!(events = outside, "events lie outside of all monthly partitions: clocks of clients are off");
    }
    Ok(u64::try_from(outside).unwrap_or(0))
}

/// Makes the partitions that are missing for the months of these times.
pub(super) fn ensure_months(session: &Session<'_>, times: &[i64]) -> Result<()> {
    let months: Result<BTreeSet<_>> = times.iter().map(|at| Month::of(Millis(*at))).collect();
    make_missing(session, &months?.into_iter().collect::<Vec<_>>())
}

fn make_missing(session: &Session<'_>, months: &[Month]) -> Result<()> {
    let existing = session.rows(
        "SELECT c.relname::text FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
         WHERE i.inhparent = 'events'::regclass",
        &[],
    )?;
    for month in months {
        if !existing.iter().any(|row| row.text(0) == month.table()) {
            create(session, month)?;
        }
    }
    Ok(())
}

fn create(session: &Session<'_>, month: &Month) -> Result<()> {
    let (table, from, to) = (month.table(), month.start()?.to_string(), month.plus(1)?.start()?.to_string());
    session.batch(BEGIN)?;
    // Commits of events wait behind this for as long as it waits itself.
    session.batch("SET LOCAL lock_timeout = '1s'")?;
    session.run("SELECT pg_advisory_xact_lock($1::int4, 1)", &[LOCKS.into()])?;
    if session.value("SELECT to_regclass($1)::text", &[table.as_str().into()])? != crate::store::sql::Cell::Null {
        return session.batch("ROLLBACK"); // another node was first
    }
    let steps = [
        "CREATE TABLE ",
        &table,
        " (LIKE events INCLUDING ALL); \
         LOCK TABLE events_default IN SHARE ROW EXCLUSIVE MODE; \
         WITH moved AS (DELETE FROM events_default WHERE claimed_at >= ",
        &from,
        " AND claimed_at < ",
        &to,
        " RETURNING *) INSERT INTO ",
        &table,
        " SELECT * FROM moved; \
         ALTER TABLE events ATTACH PARTITION ",
        &table,
        " FOR VALUES FROM (",
        &from,
        ") TO (",
        &to,
        ")",
    ];
    session.batch(&steps.concat())?;
    session.batch("COMMIT")
}

/// Forgets the events that occurred before `before`, as far as they lie in months that were over by then: those go as a
/// whole; how many did.
pub(super) fn retire(session: &Session<'_>, before: Millis) -> Result<u64> {
    let mut dropped = 0;
    for (table, is_attached) in over(session, before)? {
        if is_attached {
            session.batch(BEGIN)?;
            // Commits of events wait behind this for as long as it waits itself.
            session.batch("SET LOCAL lock_timeout = '1s'")?;
            session.batch(&["ALTER TABLE events DETACH PARTITION ", &table].concat())?;
            unsettle(session, before)?;
            session.batch("COMMIT")?;
        }
        session.batch(BEGIN)?;
        session.batch("SET LOCAL statement_timeout = 0")?;
        // Clocks that were behind claimed a month long over for what occurred later: that stays.
        let keep =
            ["INSERT INTO events SELECT * FROM ", &table, " WHERE claimed_at + skew >= $1 ON CONFLICT DO NOTHING"];
        session.run(&keep.concat(), &[before.0.into()])?;
        let touched = [
            "UPDATE settled_days s SET state = 0 FROM ",
            &table,
            " e WHERE e.claimed_at + e.skew >= $1 AND s.env_id = e.env_id AND s.day = (e.claimed_at + e.skew) / 86400000",
        ];
        session.run(&touched.concat(), &[before.0.into()])?;
        session.batch(&["DROP TABLE ", &table].concat())?;
        session.batch("COMMIT")?;
        tracing::info!(table, "a month of events was older than events are kept, and is gone");
        dropped += 1;
    }
    Ok(dropped)
}

/// Forgets what is settled of days that have events to be forgotten. Behind the lock or the deletion that takes those
/// away: who begins to settle such a day later does not find them any more.
fn unsettle(session: &Session<'_>, before: Millis) -> Result<()> {
    for row in session.rows("SELECT id FROM environments", &[])? {
        settled::forget(session, EnvironmentId(row.int(0)), before.plus(-1))?;
    }
    Ok(())
}

/// The tables whose months were over by then, and whether they are partitions still: one that is not was on its way out
/// when a node died.
fn over(session: &Session<'_>, before: Millis) -> Result<Vec<(String, bool)>> {
    // Names of this form sort by time.
    let rows = session.rows(
        "SELECT c.relname::text, c.relispartition FROM pg_class c \
         JOIN pg_class parent ON parent.oid = 'events'::regclass AND parent.relnamespace = c.relnamespace \
         WHERE c.relkind = 'r' AND c.relname ~ '^events_[0-9]{4}_[0-9]{2}$' ORDER BY 1",
        &[],
    )?;
    let first = Month::of(before)?.table();
    Ok(rows.iter().map(|row| (row.text(0), row.int(1) != 0)).filter(|(table, _)| *table < first).collect())
}
