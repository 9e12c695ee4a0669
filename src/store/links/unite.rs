//! What was stored of somebody before it was known who they are is given to the user that they are, in small steps. After
//! each of them the summaries are what lies beneath.
//!
//! Looking takes no lock, and writing a short transaction. How far it is stands in the rows: whoever is killed is followed by
//! another, and two at once do the same work, once.

use super::super::backend::Backend;
use super::super::rights::their::{self, Calendar, START};
use super::super::sql::{Cell, Row, Sql};
use super::super::{Result, StoreError, keeping};
use super::moving::{Move, User};
use super::told;
use crate::model::{EnvironmentId, Kept, Millis, UserHash};

/// Events and sessions that are given together.
const TOGETHER: usize = 500;
/// Days that are given together.
const DAYS: usize = 30;
/// Another node's commit that had begun before it could know of a link is over after so long.
const GRACE: i64 = 15 * Millis::SECOND;
/// A time that lies farther ahead than any is set was set by a clock that is off.
const AHEAD: i64 = Millis::HOUR;

/// What came of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Uniting {
    /// There was nothing to do.
    Idle,
    /// Something was done, or somebody else was faster.
    Going,
    /// Of one link there is nothing left to do.
    Ended,
}

/// How far a link is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Events are given, with their sessions and days.
    Events,
    /// Sessions are, of which no event tells.
    Sessions,
    /// All was given. What others have written meanwhile is looked for once more.
    Again,
}

impl Stage {
    fn of(number: i64) -> Self {
        match number {
            0 => Self::Events,
            1 => Self::Sessions,
            _ => Self::Again,
        }
    }
}

/// A link of which there may be something to do.
struct Open {
    row: i64,
    app: i64,
    environment: EnvironmentId,
    from: UserHash,
    into: UserHash,
    stage: Stage,
    position: i64,
}

/// What there is to do.
enum Task {
    /// Nobody goes by the first name any more: what is told of them remains.
    Tell,
    /// Nobody goes by the second one yet: the user gets another name.
    Rename(i64),
    /// Both are there. The last one ends the first user.
    Give(Box<Move>),
}

/// One step, as it was worked out outside of any transaction.
struct Step {
    link: Open,
    task: Task,
    /// Where it goes on, where that is known before it is done.
    next: (Stage, i64),
}

/// Does one small step for the link that waits longest.
pub(in crate::store) fn unite<B: Backend>(store: &B, now: Millis) -> Result<Uniting> {
    let found = store.look(|db| {
        let now = B::now(db, now)?;
        match next(db, now)? {
            Some(link) => Ok(Some((step(db, link)?, now))),
            None => Ok(None),
        }
    })?;
    let Some((step, now)) = found else { return Ok(Uniting::Idle) };
    let users = [step.link.from, step.link.into].map(|hash| (step.link.environment, hash));
    match store.rewrite(&users, |db| step.take(db, now, B::SHARED.then_some(GRACE))) {
        // Where something has changed since it was worked out, it is worked out anew the next time.
        Err(StoreError::Interrupted) => Ok(Uniting::Going),
        done => done,
    }
}

/// The link that is due.
fn next(db: &dyn Sql, now: Millis) -> Result<Option<Open>> {
    const DUE: &str = "SELECT l.id, e.app_id, l.env_id, l.hash, l.into_hash, l.stage, l.position FROM links l \
                       JOIN environments e ON e.id = l.env_id WHERE l.due_at";
    let row = match db.row(&[DUE, " <= $1 ORDER BY l.due_at, l.id LIMIT 1"].concat(), &[now.0.into()])? {
        Some(row) => Some(row),
        None => db.row(&[DUE, " > $1 LIMIT 1"].concat(), &[now.plus(AHEAD).0.into()])?,
    };
    Ok(row.map(|row| Open {
        row: row.int(0),
        app: row.int(1),
        environment: EnvironmentId(row.int(2)),
        from: UserHash(row.array(3).unwrap_or_default()),
        into: UserHash(row.array(4).unwrap_or_default()),
        stage: Stage::of(row.int(5)),
        position: row.int(6),
    }))
}

fn step(db: &dyn Sql, link: Open) -> Result<Step> {
    let [from, into] = [link.from, link.into].map(|hash| User::find(db, link.environment, hash));
    let (from, into) = (from?, into?);
    let (task, next) = match (from, into) {
        (None, _) => (Task::Tell, (Stage::Again, i64::MIN)),
        (Some(from), None) => (Task::Rename(from.row), (Stage::Events, i64::MIN)),
        (Some(from), Some(into)) => {
            let (work, next) = give(db, &link, (from, into))?;
            (Task::Give(Box::new(work)), next)
        }
    };
    Ok(Step { link, task, next })
}

/// What of one user is given to the other next, and where that goes on.
fn give(db: &dyn Sql, link: &Open, (from, into): (User, User)) -> Result<(Move, (Stage, i64))> {
    let calendar = Calendar::of(db, link.app)?;
    let (environment, user) = (link.environment.0, from.row);
    let mut work = Move::new(link.environment, calendar, (from, into));
    if link.stage != Stage::Sessions {
        let position = if link.stage == Stage::Events { link.position } else { i64::MIN };
        let found = their::events(db, &work.calendar, (environment, user), (position, START), TOGETHER)?;
        let place = found.next.map(|(place, _)| place);
        // An event can lie in the UTC day beside its local one, where the zone was another.
        let is_over = |day: i32| place.is_none_or(|place| i64::from(day) + 1 < place.div_euclid(25));
        work.days = days(db, (environment, user), is_over)?;
        work.events = found.events;
        let goes_on = place.is_some() || !work.events.is_empty() || work.days.len() == DAYS;
        let next = match goes_on {
            true => (Stage::Events, place.unwrap_or(position)),
            false => (Stage::Sessions, i64::MIN),
        };
        return Ok((work, next));
    }
    let (sessions, behind) = sessions(db, link, user)?;
    work.sessions = sessions;
    work.is_last = behind.is_none();
    Ok((work, behind.map_or((Stage::Events, i64::MIN), |behind| (Stage::Sessions, behind))))
}

/// The first days of a user all events of which are found.
fn days(db: &dyn Sql, (environment, user): (i64, i64), is_over: impl Fn(i32) -> bool) -> Result<Vec<i32>> {
    let Some(seen) = their::seen(db, user)? else { return Ok(Vec::new()) };
    let mut all = Vec::new();
    let mut from = Some(seen.first_day);
    while let Some(first) = from.filter(|_| all.len() < DAYS) {
        let table = ("user_days", "user_id");
        let (found, next) = their::days(db, table, (environment, user), (first, seen.last_day))?;
        all.extend(found.into_iter().map(|(day, _)| day).take_while(|day| is_over(*day)));
        from = next;
    }
    all.truncate(DAYS);
    Ok(all)
}

/// The next sessions that are still the user's, and where they go on, if they do. Where events may be gone, or sessions
/// began without any, they are looked for among everybody's.
fn sessions(db: &dyn Sql, link: &Open, user: i64) -> Result<(Vec<i64>, Option<i64>)> {
    let environment = link.environment;
    let has_devices = "SELECT 1 FROM profiles p JOIN device_sessions s ON s.profile_id = p.id \
                       WHERE p.env_id = $1 AND p.hash = $2 LIMIT 1";
    let devices = db.row(has_devices, &[environment.0.into(), (&link.from.0).into()])?;
    if devices.is_some() || keeping::gone_before(db, environment, Kept::Events)? > 0 {
        let (found, next) = their::sessions(db, (environment.0, user), (link.position, TOGETHER))?;
        // More of them may have begun in one millisecond than are given together.
        let next = next.filter(|next| *next > link.position || !found.is_empty());
        return Ok((found.into_iter().map(|session| session.row).collect(), next));
    }
    let sql = "SELECT id FROM sessions WHERE user_id = $1 AND hash IS NULL ORDER BY started_at LIMIT $2";
    let limit = i64::try_from(TOGETHER).unwrap_or(i64::MAX);
    let found: Vec<_> = db.rows(sql, &[user.into(), limit.into()])?.iter().map(|row: &Row| row.int(0)).collect();
    let next = (found.len() == TOGETHER).then_some(i64::MIN);
    Ok((found, next))
}

impl Step {
    /// Writes it, in one transaction with how far the link is then. [`StoreError::Interrupted`] where the rows are not any
    /// more what they were. `grace` is for how long others may write what they cannot know of.
    fn take(&self, db: &dyn Sql, now: Millis, grace: Option<i64>) -> Result<Uniting> {
        let link = &self.link;
        let own = [Cell::Int(link.row), link.environment.0.into(), Cell::Uuid(link.from.0), Cell::Uuid(link.into.0)];
        let lock = "UPDATE links SET due_at = due_at WHERE id = $1 AND env_id = $2 AND hash = $3 AND into_hash = $4 \
                    AND due_at IS NOT NULL";
        if db.run(lock, &own)? == 0 {
            return Err(StoreError::Interrupted);
        }
        let mut goes_on = true;
        match &self.task {
            Task::Tell => goes_on = told::unite(db, link.environment, (link.from, link.into), now)?,
            Task::Rename(user) => {
                let sql = "UPDATE users SET hash = $1 WHERE id = $2 AND env_id = $3 AND hash = $4";
                let [from, into] = [link.from, link.into].map(|hash| Cell::Uuid(hash.0));
                if db.run(sql, &[into, (*user).into(), link.environment.0.into(), from])? == 0 {
                    return Err(StoreError::Interrupted);
                }
            }
            Task::Give(work) => work.write(db, (link.from, link.into))?,
        }
        let due = match grace.filter(|_| link.stage != Stage::Again) {
            _ if goes_on => Some(now),
            Some(grace) => Some(now.plus(grace)),
            None => None,
        };
        let (stage, position) = self.next;
        let sql = "UPDATE links SET due_at = $1, stage = $2, position = $3 WHERE id = $4";
        db.run(sql, &[due.map(|at| at.0).into(), (stage as i64).into(), position.into(), link.row.into()])?;
        Ok(if due.is_some() { Uniting::Going } else { Uniting::Ended })
    }
}
