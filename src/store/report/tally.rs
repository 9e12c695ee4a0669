//! What raw events come to, counted one by one in cells: one for each period, or for each value of a dimension.

use std::ops::ControlFlow;

use hashbrown::HashMap;
use roaring::RoaringTreemap;

use super::super::Result;
use super::super::scan::Glance;
use super::super::settled::{Sessions, Tell, Valued};
use super::super::sql::{Cell as Param, Line, Sql};
use super::days::Seen;
use super::room::Room;
use crate::model::{Counts, EnvironmentId, Metric, Millis, TimeRange};
use crate::rollup::{SessionCount, length_class, length_quantile};

/// Different users and sessions of all cells together at the most. In the sets of cells with many of them each takes two
/// bytes or less; while lengths of sessions are looked up, some twenty.
const MOST: usize = 1_800_000;

/// Sessions that are read together where they lie close to each other.
const STRETCH: usize = 10_000;
/// Where they lie so close: one in so many is wanted.
const CLOSE: i64 = 8;
/// Sessions that are read together where they do not.
const CHUNK: usize = 500;

/// Where the sessions of a question come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionsBy {
    /// They are those begun, by the facts that they were begun under.
    Facts,
    /// They are those that have an event that counts.
    Events,
}

/// Cells that are being counted.
pub(super) struct Tally {
    metrics: Vec<Metric>,
    by: SessionsBy,
    /// Whether users have to be told apart.
    tells_users: bool,
    /// Whether the sessions of events have.
    tells_sessions: bool,
    cells: Vec<Cell>,
    /// How many users and sessions there are in the sets of all cells.
    held: usize,
    room: Room,
}

#[derive(Clone, Default)]
struct Cell {
    counts: Counts,
    /// How many sessions there are of each class of lengths.
    lengths: HashMap<i64, i64>,
    /// Who was seen, and of them those for whom something has crashed.
    users: RoaringTreemap,
    crashed: RoaringTreemap,
    /// The sessions that events have named.
    sessions: RoaringTreemap,
}

/// A row of sessions, and a cell: in parts that leave no gaps in memory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Pair {
    high: u32,
    low: u32,
    cell: u32,
}

/// One session, as far as it is counted.
#[derive(Clone, Copy)]
pub(super) struct Session {
    length: i64,
    crashed: bool,
}

impl Tally {
    pub(super) fn new(metrics: &[Metric], by: SessionsBy) -> Self {
        let wants = |which: fn(Metric) -> bool| metrics.iter().any(|metric| which(*metric));
        Self {
            metrics: metrics.to_vec(),
            by,
            tells_users: wants(is_of_users),
            tells_sessions: by == SessionsBy::Events && wants(is_of_sessions),
            cells: Vec::new(),
            held: 0,
            room: Room::of(MOST),
        }
    }

    /// Whether it has to be shown the events.
    pub(super) fn wants_events(&self) -> bool {
        let needed = |metric| match metric {
            Metric::Devices => false,
            Metric::EventsPerSession => true,
            metric => self.by == SessionsBy::Events || !is_of_sessions(metric),
        };
        self.wants(needed)
    }

    /// Whether it has to be shown the sessions that were begun.
    pub(super) fn wants_sessions(&self) -> bool {
        self.by == SessionsBy::Facts && self.wants(is_of_sessions)
    }

    /// What it has to be told of events that are counted together; none where it has to see each of them.
    pub(super) fn tells(&self) -> Option<Tell> {
        let tell = if self.tells_users { Tell::People } else { Tell::Amounts };
        (!self.tells_sessions).then_some(tell)
    }

    /// Counts what was seen in a cell; breaks off where there are too many different users and sessions.
    pub(super) fn seen(&mut self, cell: u32, seen: &Seen<'_, '_>) -> ControlFlow<()> {
        match seen {
            Seen::One(event) => self.event(cell, &event.glance),
            Seen::Many(_, many) => self.many(cell, many),
        }
    }

    /// Counts the events of a day that have one value, as [`Tally::event`] counts each.
    fn many(&mut self, cell: u32, many: &Valued<'_>) -> ControlFlow<()> {
        let tells_users = self.tells_users;
        let cell = self.cell(cell);
        cell.counts.events += many.amount.events;
        cell.counts.errors += many.amount.errors;
        cell.counts.crashes += many.amount.crashes;
        if let Some(whose) = many.whose.as_ref().filter(|_| tells_users) {
            let before = cell.users.len() + cell.crashed.len();
            whose.users.join(&mut cell.users);
            whose.crashed.join(&mut cell.crashed);
            let added = cell.users.len() + cell.crashed.len() - before;
            self.held += usize::try_from(added).unwrap_or(usize::MAX);
        }
        self.room.holds(self.held)
    }

    /// Counts an event in a cell; breaks off where there are too many different users and sessions.
    fn event(&mut self, cell: u32, event: &Glance) -> ControlFlow<()> {
        let (tells_users, tells_sessions) = (self.tells_users, self.tells_sessions);
        let (cell, mut added) = (self.cell(cell), 0);
        cell.counts.events += 1;
        cell.counts.errors += i64::from(event.error != 0);
        cell.counts.crashes += i64::from(event.fatal);
        if event.user != 0 && tells_users {
            let user = event.user.cast_unsigned();
            added += usize::from(cell.users.insert(user));
            added += usize::from(event.fatal && cell.crashed.insert(user));
        }
        if event.session != 0 && tells_sessions {
            added += usize::from(cell.sessions.insert(event.session.cast_unsigned()));
        }
        self.held += added;
        self.room.holds(self.held)
    }

    /// Counts sessions in a cell.
    pub(super) fn sessions(&mut self, cell: u32, sessions: Sessions<'_>) {
        match sessions {
            Sessions::Alike(_, class, count) => self.cell(cell).alike(class, count),
            Sessions::Many(_, many) => {
                let cell = self.cell(cell);
                cell.counts.crashed_sessions += many.crashed;
                for (class, sessions) in &many.classes {
                    cell.counts.sessions += sessions;
                    *cell.lengths.entry(*class).or_insert(0) += sessions;
                }
            }
        }
    }

    /// What each cell comes to. `range` is that of a cell; `all` holds them all.
    pub(super) fn finish(
        mut self,
        db: &dyn Sql,
        environment: EnvironmentId,
        all: TimeRange,
        range: impl Fn(u32) -> TimeRange,
    ) -> Result<Vec<Counts>> {
        self.room.check()?;
        let mut firsts = HashMap::new();
        if self.wants(|metric| metric == Metric::NewUsers) {
            self.first_sights(db, environment, all, &mut firsts)?;
        }
        for (number, cell) in (0..).zip(&mut self.cells) {
            let users = std::mem::take(&mut cell.users);
            let is_new =
                |user: &u64| firsts.get(&user.cast_signed()).is_some_and(|first| range(number).contains(*first));
            cell.counts.users += users.len().cast_signed();
            cell.counts.crashed_users += std::mem::take(&mut cell.crashed).len().cast_signed();
            if !firsts.is_empty() {
                cell.counts.new_users += users.iter().filter(is_new).count() as i64;
            }
        }
        self.look_up_sessions(db)?;
        Ok(self.cells.into_iter().map(Cell::finish).collect())
    }

    /// Those of the users seen who were seen for the first time ever in a range, and when.
    fn first_sights(
        &mut self,
        db: &dyn Sql,
        environment: EnvironmentId,
        range: TimeRange,
        firsts: &mut HashMap<i64, Millis>,
    ) -> Result<()> {
        // The sign keeps it off the index, which lacks the time: one walk over the users is faster.
        let sql = "SELECT id, first_at FROM users WHERE first_at >= $1 AND first_at < $2 AND +env_id = $3";
        let params = [range.from.0, range.to.0, environment.0].map(Param::Int);
        db.stream(sql, &params, &mut |line| {
            firsts.insert(line.int(0), Millis(line.int(1)));
            self.room.holds(self.held + firsts.len())
        })?;
        self.room.check()
    }

    /// Counts the sessions that events have named.
    fn look_up_sessions(&mut self, db: &dyn Sql) -> Result<()> {
        let sets: Vec<_> = self.cells.iter_mut().map(|cell| std::mem::take(&mut cell.sessions)).collect();
        let needs_rows = self.wants(|metric| {
            matches!(metric, Metric::SessionLength | Metric::SessionLengthP95 | Metric::CrashFreeSessions)
        });
        if !needs_rows {
            for (cell, sessions) in self.cells.iter_mut().zip(sets) {
                cell.counts.sessions += sessions.len().cast_signed();
            }
            return Ok(());
        }
        let mut pairs: Vec<Pair> = Vec::new();
        for (number, sessions) in (0..).zip(sets) {
            pairs.extend(sessions.iter().map(|row| Pair::new(row.cast_signed(), number)));
        }
        pairs.sort_unstable();
        let mut rows: Vec<_> = pairs.iter().map(Pair::row).collect();
        rows.dedup();
        let mut visit = |line: &dyn Line| {
            let row = line.int(2);
            let first = pairs.partition_point(|pair| pair.row() < row);
            for pair in pairs[first..].iter().take_while(|pair| pair.row() == row) {
                self.cell(pair.cell).session(Session::of(line));
            }
            ControlFlow::Continue(())
        };
        for stretch in rows.chunks(STRETCH) {
            sessions(db, stretch, &mut visit)?;
        }
        Ok(())
    }

    fn wants(&self, which: impl Fn(Metric) -> bool) -> bool {
        self.metrics.iter().any(|metric| which(*metric))
    }

    fn cell(&mut self, cell: u32) -> &mut Cell {
        let at = cell as usize;
        if at >= self.cells.len() {
            self.cells.resize(at + 1, Cell::default());
        }
        &mut self.cells[at]
    }
}

impl Cell {
    fn session(&mut self, session: Session) {
        let count = SessionCount { sessions: 1, crashed: session.crashed.into() };
        self.alike(length_class(session.length), count);
    }

    fn alike(&mut self, class: i64, count: SessionCount) {
        self.counts.sessions += count.sessions;
        self.counts.crashed_sessions += count.crashed;
        *self.lengths.entry(class).or_insert(0) += count.sessions;
    }

    fn finish(self) -> Counts {
        let mut classes: Vec<_> = self.lengths.into_iter().collect();
        classes.sort_unstable();
        let quantile = |percent| length_quantile(&classes, percent);
        Counts { median_length: quantile(50), p95_length: quantile(95), ..self.counts }
    }
}

impl Pair {
    #[expect(clippy::cast_sign_loss, clippy::cast_possible_truncation, reason = "both halves are kept, bit by bit")]
    fn new(row: i64, cell: u32) -> Self {
        Self { high: (row >> 32) as u32, low: row as u32, cell }
    }

    fn row(&self) -> i64 {
        (i64::from(self.high) << 32) | i64::from(self.low)
    }
}

impl Session {
    /// From a line that begins with length and crash.
    pub(super) fn of(line: &dyn Line) -> Self {
        Self { length: line.int(0), crashed: line.int(1) != 0 }
    }
}

/// Shows the sessions of these rows, in ascending order, and perhaps some between them.
fn sessions(db: &dyn Sql, rows: &[i64], visit: &mut dyn FnMut(&dyn Line) -> ControlFlow<()>) -> Result<()> {
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(()) };
    let columns = "SELECT ended_at - started_at, crashed, id FROM sessions WHERE id ";
    if last - first <= CLOSE * rows.len() as i64 {
        let sql = [columns, ">= $1 AND id <= $2"].concat();
        return db.stream(&sql, &[(*first).into(), (*last).into()], visit);
    }
    let marks: Vec<_> = (1..=CHUNK).map(|number| format!("${number}")).collect();
    let sql = [columns, "IN (", &marks.join(", "), ")"].concat();
    for chunk in rows.chunks(CHUNK) {
        // The last ones are asked for together with themselves, so that all chunks share a statement.
        let filling = std::iter::repeat(last);
        let params: Vec<_> = chunk.iter().chain(filling).take(CHUNK).copied().map(Param::Int).collect();
        db.stream(&sql, &params, visit)?;
    }
    Ok(())
}

fn is_of_users(metric: Metric) -> bool {
    matches!(metric, Metric::Users | Metric::NewUsers | Metric::CrashFreeUsers)
}

pub(super) fn is_of_sessions(metric: Metric) -> bool {
    match metric {
        Metric::Sessions
        | Metric::SessionLength
        | Metric::SessionLengthP95
        | Metric::EventsPerSession
        | Metric::CrashFreeSessions => true,
        Metric::Events
        | Metric::Users
        | Metric::NewUsers
        | Metric::Devices
        | Metric::Errors
        | Metric::ErrorRate
        | Metric::Crashes
        | Metric::CrashFreeUsers => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::StoreError;

    #[test]
    fn counting_breaks_off_where_there_are_too_many_users_and_sessions() {
        let event = |user, session| Glance { at: Millis(0), name: 1, facts: 1, user, session, error: 0, fatal: false };
        let mut tally = Tally::new(&[Metric::Users, Metric::Sessions], SessionsBy::Events);
        tally.room = Room::of(3);
        for (user, session, goes_on) in [(1, 1, true), (1, 1, true), (2, 0, true), (1_i64 << 40, 0, false)] {
            assert_eq!(tally.event(0, &event(user, session)).is_continue(), goes_on, "{user} {session}");
        }
        assert!(matches!(tally.room.check(), Err(StoreError::TooMuch)));
    }

    #[test]
    fn rows_beyond_32_bits_keep_apart() {
        for row in [0, 1, i64::from(u32::MAX), 1 << 32, (1 << 40) + 7, i64::MAX] {
            assert_eq!(Pair::new(row, 9).row(), row);
        }
        assert!(Pair::new(1 << 32, 0) > Pair::new(1, 5));
    }
}
