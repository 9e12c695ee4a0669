//! Rows of one user that become another's, and what that changes in the summaries.

use std::collections::{BTreeMap, BTreeSet};

use super::super::rights::their::{Calendar, EventKey};
use super::super::sql::{Cell, Row, Sql};
use super::super::{Result, StoreError, settled};
use crate::model::{EnvironmentId, LocalTime, Millis, UserHash};
use crate::rollup::{Bucket, Deltas, Fold, Measures};

/// Events that one statement names.
const NAMED: usize = 100;

/// A row of `users`.
#[derive(Clone, Copy, Debug)]
pub(super) struct User {
    pub(super) row: i64,
    first_at: Millis,
    last_day: i64,
}

impl User {
    /// The user of that name, if there is one.
    pub(super) fn find(db: &dyn Sql, environment: EnvironmentId, hash: UserHash) -> Result<Option<Self>> {
        let sql = "SELECT id, first_at, last_day FROM users WHERE env_id = $1 AND hash = $2";
        let row = db.row(sql, &[environment.0.into(), Cell::Uuid(hash.0)])?;
        Ok(row.map(|row| Self { row: row.int(0), first_at: Millis(row.int(1)), last_day: row.int(2) }))
    }

    /// The same, which nobody else changes until the end of the transaction.
    fn hold(self, db: &dyn Sql, environment: EnvironmentId, hash: UserHash) -> Result<Self> {
        let sql = "UPDATE users SET last_day = last_day WHERE id = $1 AND env_id = $2 AND hash = $3";
        let held = db.run(sql, &[self.row.into(), environment.0.into(), Cell::Uuid(hash.0)])?;
        let held = if held == 1 { Self::find(db, environment, hash)? } else { None };
        held.ok_or(StoreError::Interrupted)
    }
}

/// Hours of a user's day, as bits: when they were seen, and when something crashed for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hours {
    seen: i64,
    crashed: i64,
}

/// What is given in one step.
pub(super) struct Move {
    pub(super) environment: EnvironmentId,
    pub(super) calendar: Calendar,
    from: User,
    into: User,
    pub(super) events: Vec<EventKey>,
    /// Local days all events of which are given by then.
    pub(super) days: Vec<i32>,
    pub(super) sessions: Vec<i64>,
    /// Whether nothing is left of the first user then.
    pub(super) is_last: bool,
}

impl Move {
    pub(super) fn new(environment: EnvironmentId, calendar: Calendar, (from, into): (User, User)) -> Self {
        let (events, days, sessions) = (Vec::new(), Vec::new(), Vec::new());
        Self { environment, calendar, from, into, events, days, sessions, is_last: false }
    }

    /// Writes it. Users are held in the order in which commits do so, the summaries after all rows and what is settled last.
    pub(super) fn write(&self, db: &dyn Sql, (from, into): (UserHash, UserHash)) -> Result<()> {
        let mut users = [(from, self.from), (into, self.into)];
        users.sort_unstable_by_key(|(hash, _)| *hash);
        let mut held = Vec::with_capacity(users.len());
        for (hash, user) in users {
            held.push(user.hold(db, self.environment, hash)?);
        }
        let of = |row: i64| held.iter().find(|user| user.row == row).copied().ok_or(StoreError::Interrupted);
        let (from, into) = (of(self.from.row)?, of(self.into.row)?);
        let mut fold = Fold::default();
        self.give_events(db)?;
        self.give_sessions(db)?;
        self.give_days(db, &mut fold)?;
        self.widen(db, (from, into), &mut fold)?;
        if self.is_last {
            db.run("DELETE FROM users WHERE id = $1", &[from.row.into()])?;
            let bucket = Bucket::of(from.first_at, self.calendar.zone());
            fold.total(self.environment, bucket, Measures::NEW_USER.times(-1));
        }
        add(db, &fold.into_deltas())?;
        self.unsettle(db)
    }

    fn give_events(&self, db: &dyn Sql) -> Result<()> {
        for some in self.events.chunks(NAMED) {
            let mut params: Vec<Cell> = Vec::new();
            let mut pairs = Vec::new();
            for key in some {
                params.extend([key.claimed_at.into(), Cell::Uuid(key.id)]);
                pairs.push(format!("(${}, ${})", params.len() - 1, params.len()));
            }
            let place = params.len();
            let (into, env_id, from) = (place + 1, place + 2, place + 3);
            let sql = format!(
                "WITH k (claimed_at, event_id) AS (VALUES {}) UPDATE events SET user_id = ${into} FROM k \
                 WHERE events.env_id = ${env_id} AND events.claimed_at = k.claimed_at AND events.event_id = k.event_id \
                 AND events.user_id = ${from}",
                pairs.join(", ")
            );
            params.extend([self.into.row, self.environment.0, self.from.row].map(Cell::Int));
            db.run(&sql, &params)?;
        }
        Ok(())
    }

    /// Sessions of these events, and those that were found by themselves.
    fn give_sessions(&self, db: &dyn Sql) -> Result<()> {
        let of_events = self.events.iter().filter_map(|event| event.session);
        let sessions: BTreeSet<i64> = of_events.chain(self.sessions.iter().copied()).collect();
        if sessions.is_empty() {
            return Ok(());
        }
        let sql =
            format!("UPDATE sessions SET user_id = $1 WHERE user_id = $2 AND id IN ({})", places(3, sessions.len()));
        let params = [self.into.row, self.from.row].into_iter().chain(sessions).map(Cell::Int);
        db.run(&sql, &params.collect::<Vec<_>>()).map(drop)
    }

    /// Days become one: whoever was seen twice in an hour or on a day was seen once. A day of which not all events are given
    /// yet is both users' until they are, so that the days of each tell of all their events, whatever comes between.
    fn give_days(&self, db: &dyn Sql, fold: &mut Fold) -> Result<()> {
        let over: BTreeSet<i32> = self.days.iter().copied().collect();
        let begun = self.events.iter().flat_map(|event| self.calendar.local_days(event.at));
        let all: Vec<i32> = over.iter().copied().chain(begun).collect::<BTreeSet<_>>().into_iter().collect();
        if all.is_empty() {
            return Ok(());
        }
        let theirs = self.read_days(db, self.from.row, &all)?;
        let own = self.read_days(db, self.into.row, &all)?;
        let (zone, environment) = (self.calendar.zone(), self.environment);
        let mut rows: Vec<Cell> = vec![environment.0.into(), self.into.row.into()];
        let mut lines = Vec::new();
        for (day, given) in &theirs {
            let had = own.get(day).copied();
            let seen = had.unwrap_or_default().seen;
            let (hours, days) = match over.contains(day) {
                true => (given.seen & seen, -i64::from(had.is_some())),
                false => (given.seen & !seen, i64::from(had.is_none())),
            };
            let sign = if over.contains(day) { -1 } else { 1 };
            for hour in (0..25).filter(|hour| hours & (1 << hour) != 0) {
                let bucket = Bucket::of_hour(LocalTime { day: *day, hour }, zone);
                fold.total(environment, bucket, Measures::USER.times(sign));
            }
            fold.total(environment, Bucket::of(zone.midnight(*day), zone), Measures::DAY_USER.times(days));
            let crashed = given.crashed | had.unwrap_or_default().crashed;
            let first = rows.len() + 1;
            rows.extend([i64::from(*day), given.seen | seen, crashed].map(Cell::Int));
            lines.push(format!("($1, $2, ${}, ${}, ${})", first, first + 1, first + 2));
        }
        if lines.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "INSERT INTO user_days (env_id, user_id, day, hours, crashes) VALUES {} ON CONFLICT (env_id, day, user_id) \
             DO UPDATE SET hours = excluded.hours, crashes = excluded.crashes",
            lines.join(", ")
        );
        db.run(&sql, &rows)?;
        if over.is_empty() {
            return Ok(());
        }
        let sql =
            format!("DELETE FROM user_days WHERE env_id = $1 AND user_id = $2 AND day IN ({})", places(3, over.len()));
        let params = [environment.0, self.from.row].into_iter().chain(over.iter().map(|day| i64::from(*day)));
        db.run(&sql, &params.map(Cell::Int).collect::<Vec<_>>()).map(drop)
    }

    fn read_days(&self, db: &dyn Sql, user: i64, days: &[i32]) -> Result<BTreeMap<i32, Hours>> {
        let sql = format!(
            "SELECT day, hours, crashes FROM user_days WHERE env_id = $1 AND user_id = $2 AND day IN ({})",
            places(3, days.len())
        );
        let params = [self.environment.0, user].into_iter().chain(days.iter().map(|day| i64::from(*day)));
        let rows = db.rows(&sql, &params.map(Cell::Int).collect::<Vec<_>>())?;
        let read = |row: &Row| Some((i32::try_from(row.int(0)).ok()?, Hours { seen: row.int(1), crashed: row.int(2) }));
        Ok(rows.iter().filter_map(read).collect())
    }

    /// Both were seen by the first who was, from the first step on: so whatever goes by a user's days finds all of theirs.
    fn widen(&self, db: &dyn Sql, (from, into): (User, User), fold: &mut Fold) -> Result<()> {
        let (first_at, last_day) = (into.first_at.min(from.first_at), into.last_day.max(from.last_day));
        if (first_at, last_day) == (into.first_at, into.last_day) {
            return Ok(());
        }
        let sql = "UPDATE users SET first_at = $1, last_day = $2 WHERE id = $3";
        db.run(sql, &[first_at.0, last_day, into.row].map(Cell::Int))?;
        let [was, now] = [into.first_at, first_at].map(|at| Bucket::of(at, self.calendar.zone()));
        if was != now {
            fold.total(self.environment, was, Measures::NEW_USER.times(-1));
            fold.total(self.environment, now, Measures::NEW_USER);
        }
        Ok(())
    }

    /// Takes their marks from the UTC days of which something was said of the user that is no more.
    fn unsettle(&self, db: &dyn Sql) -> Result<()> {
        let events = self.events.iter().map(|event| event.at.0.div_euclid(Millis::DAY));
        let days = self.days.iter().flat_map(|day| self.calendar.utc_days(*day));
        let touched: BTreeSet<i64> = events.chain(days).collect();
        touched.into_iter().try_for_each(|day| settled::discard(db, self.environment, day))
    }
}

/// Adds to the totals of users. Whoever settles something waits for the end of this transaction from here on, also where
/// nothing is added.
fn add(db: &dyn Sql, deltas: &Deltas) -> Result<()> {
    db.run("UPDATE rollup_hours SET users = users WHERE env_id = -1", &[])?;
    for (table, rows) in [("rollup_hours", &deltas.hours), ("rollup_days", &deltas.days)] {
        let sql = format!(
            "UPDATE {table} SET users = users + $1, day_users = day_users + $2, new_users = new_users + $3 \
             WHERE env_id = $4 AND dimension = $5 AND bucket = $6 AND value = $7"
        );
        for (key, sums) in rows {
            let own = [sums.users, sums.day_users, sums.new_users];
            let place = [key.environment.0, key.dimension, key.bucket.0, key.value];
            db.run(&sql, &own.into_iter().chain(place).map(Cell::Int).collect::<Vec<_>>())?;
        }
    }
    Ok(())
}

/// `$n, $n+1, …` for so many values.
fn places(from: usize, count: usize) -> String {
    (from..from + count).map(|place| format!("${place}")).collect::<Vec<_>>().join(", ")
}
