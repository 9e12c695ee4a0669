//! A look at the raw events of a range, for whatever the summaries cannot tell.

mod props;
mod sieve;

use std::ops::ControlFlow;

use super::sql::{Cell, Line, Sql};
use super::{Result, settled};
use crate::model::{EnvironmentId, Millis, TimeRange};

pub(in crate::store) use props::{Key, Value, members};
pub(in crate::store) use sieve::{Of, Sieve, fact_sets, numbers, one_of};

/// The two halves of all events, each with the time at which they occurred, and an index that has them in its order: those
/// of right clocks by what was claimed, the others by `events_skewed`. Every event is in one of them.
pub(in crate::store) const CLOCKS: [(&str, &str); 2] =
    [("skew = 0", "claimed_at"), ("skew <> 0", "(claimed_at + skew)")];

/// What is read of every event: its interned numbers, zero where there is none.
pub(in crate::store) const COLUMNS: &str = "claimed_at + skew, name_id, facts_id, user_id, session_id, error_id, fatal";
/// How many those are.
const WIDTH: usize = 7;

/// One event, by its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) struct Glance {
    /// When it happened.
    pub(in crate::store) at: Millis,
    /// Its name's row in `strings`.
    pub(in crate::store) name: i64,
    /// Its row in `facts`.
    pub(in crate::store) facts: i64,
    /// Its user's row, 0 for none.
    pub(in crate::store) user: i64,
    /// Its session's row, 0 for none.
    pub(in crate::store) session: i64,
    /// The row in `strings` of the group of errors that it belongs to, 0 for none.
    pub(in crate::store) error: i64,
    /// Whether it is a crash.
    pub(in crate::store) fatal: bool,
}

/// What is read of every event beside its numbers.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) enum Beside<'k> {
    /// Nothing: the fastest.
    Nothing,
    /// One of its properties.
    Prop(&'k Key),
    /// All its properties, as they stand in its row.
    Props,
    /// Claimed time and id, which name its row.
    Place,
}

/// Which events are looked at.
#[derive(Clone, Copy)]
pub(in crate::store) struct Scope<'a> {
    pub(in crate::store) environment: EnvironmentId,
    pub(in crate::store) range: TimeRange,
    pub(in crate::store) sieve: &'a Sieve,
}

/// One event that passes by.
pub(in crate::store) struct Passing<'l> {
    pub(in crate::store) glance: Glance,
    from: From<'l>,
}

/// What an event was read from.
enum From<'l> {
    /// Its row, with the number of the column in which the properties are, where those were asked for.
    Row(&'l dyn Line, Option<usize>),
    /// A settled day.
    Settled(&'l settled::Columns<'l>),
}

impl<'l> Passing<'l> {
    /// From a row that begins with [`COLUMNS`], then has what `beside` names, and the properties where the sieve or
    /// `beside` wants those.
    pub(in crate::store) fn of(line: &'l dyn Line, beside: Beside<'_>, sieve: &Sieve) -> Self {
        let props = if matches!(beside, Beside::Place) { WIDTH + 2 } else { WIDTH };
        Self { glance: glance(line), from: From::Row(line, wants_props(beside, sieve).then_some(props)) }
    }

    /// From a settled day.
    pub(in crate::store) fn settled(glance: Glance, columns: &'l settled::Columns<'l>) -> Self {
        Self { glance, from: From::Settled(columns) }
    }

    /// Its properties as JSON text, where [`Beside::Props`] was asked for and it has any.
    pub(in crate::store) fn props(&self) -> Option<&str> {
        match self.from {
            From::Row(line, props) => line.text(props?),
            From::Settled(_) => None,
        }
    }

    /// What it has under the name of a property that was asked for.
    pub(in crate::store) fn prop(&self, key: &Key) -> Option<Value<'_>> {
        match self.from {
            From::Row(..) => key.find(self.props()),
            From::Settled(columns) => columns.find(key),
        }
    }

    /// Claimed time and id, where [`Beside::Place`] was asked for.
    pub(in crate::store) fn place(&self) -> (i64, [u8; 16]) {
        match self.from {
            From::Row(line, _) => (line.int(WIDTH), line.bytes(WIDTH + 1).try_into().unwrap_or_default()),
            From::Settled(_) => Default::default(),
        }
    }
}

/// Whether the properties of rows have to be read.
fn wants_props(beside: Beside<'_>, sieve: &Sieve) -> bool {
    matches!(beside, Beside::Prop(_) | Beside::Props) || sieve.wants_props()
}

/// Shows every event of an environment that occurred in a range and passes the sieve exactly once, in no order, until told
/// to stop.
pub(in crate::store) fn scan(
    db: &dyn Sql,
    environment: EnvironmentId,
    range: TimeRange,
    sieve: &Sieve,
    visit: &mut dyn FnMut(&Glance) -> ControlFlow<()>,
) -> Result<()> {
    let scope = Scope { environment, range, sieve };
    scan_beside(db, scope, Beside::Nothing, &mut |event| visit(&event.glance))
}

/// [`scan`], with more of each event. Days that are settled are read as such, unless more is asked for than they hold.
pub(in crate::store) fn scan_beside(
    db: &dyn Sql,
    scope: Scope<'_>,
    beside: Beside<'_>,
    visit: &mut dyn FnMut(&Passing<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let Scope { range, sieve, .. } = scope;
    if range.is_empty() || sieve.keeps_nothing() {
        return Ok(());
    }
    let mut keys = sieve.keys();
    let is_settled = match beside {
        Beside::Nothing => settled::can_have(&keys),
        Beside::Prop(key) => {
            if !keys.iter().any(|own| own.name() == key.name()) {
                keys.push(key);
            }
            settled::can_have(&keys)
        }
        Beside::Props | Beside::Place => false,
    };
    if !is_settled {
        return rows(db, scope, beside, visit).map(|_| ());
    }
    let rest = settled::show(db, scope, &keys, &mut |event| match sieve.passes(event) {
        true => visit(event),
        false => ControlFlow::Continue(()),
    })?;
    for range in rest {
        if rows(db, Scope { range, ..scope }, beside, visit)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// When the events of a range happened that pass the sieve, in no order; none where not all of them stand in settled days.
pub(in crate::store) fn times(db: &dyn Sql, scope: Scope<'_>) -> Result<Option<Vec<Millis>>> {
    let keys = scope.sieve.keys();
    if !settled::can_have(&keys) {
        return Ok(None);
    }
    let mut times = Vec::new();
    let rest = settled::show(db, scope, &keys, &mut |event| {
        if scope.sieve.passes(event) {
            times.push(event.glance.at);
        }
        ControlFlow::Continue(())
    })?;
    Ok(rest.is_empty().then_some(times))
}

/// [`scan`] of everything, by the rows alone: for what has to be right whatever was made of them.
pub(in crate::store) fn scan_rows(
    db: &dyn Sql,
    environment: EnvironmentId,
    range: TimeRange,
    visit: &mut dyn FnMut(&Glance) -> ControlFlow<()>,
) -> Result<()> {
    scan_rows_beside(db, (environment, range), Beside::Nothing, &mut |event| visit(&event.glance))
}

/// [`scan_rows`], with more of each event.
pub(in crate::store) fn scan_rows_beside(
    db: &dyn Sql,
    (environment, range): (EnvironmentId, TimeRange),
    beside: Beside<'_>,
    visit: &mut dyn FnMut(&Passing<'_>) -> ControlFlow<()>,
) -> Result<()> {
    rows(db, Scope { environment, range, sieve: &Sieve::default() }, beside, visit).map(|_| ())
}

/// Days that are named in a statement together.
const DAYS: usize = 200;

/// Shows the events of a range that are listed beside these settled days, with their properties where anything is asked for
/// beside them; whether it was told to stop.
pub(in crate::store) fn scan_listed(
    db: &dyn Sql,
    scope: Scope<'_>,
    (days, beside): (&[i64], Beside<'_>),
    visit: &mut dyn FnMut(&Passing<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let Scope { environment, range, sieve } = scope;
    let wants_props = wants_props(beside, sieve);
    let (beside, props) = if wants_props { (Beside::Props, ", props") } else { (Beside::Nothing, "") };
    let mut last = ControlFlow::Continue(());
    for days in days.chunks(DAYS) {
        let mut params: Vec<Cell> = [environment.0, range.from.0, range.to.0].map(Cell::Int).to_vec();
        let mut conditions = sieve.conditions(&mut params);
        one_of(&mut conditions, "l.day", days.iter(), &mut params);
        // SQLite takes the tables of a CROSS JOIN in their order.
        let sql = format!(
            "SELECT {COLUMNS}{props} FROM settled_late l CROSS JOIN events e WHERE l.env_id = $1 \
             AND e.env_id = l.env_id AND e.claimed_at = l.claimed AND e.event_id = l.event \
             AND claimed_at + skew >= $2 AND claimed_at + skew < $3{conditions}"
        );
        db.stream(&sql, &params, &mut |line| {
            last = visit(&Passing::of(line, beside, sieve));
            last
        })?;
        if last.is_break() {
            break;
        }
    }
    Ok(last)
}

/// Shows every event of a range of a day, by the rows alone and with all its properties, but for those that are listed
/// beside the day: by anybody, or only what was listed during somebody's work.
pub(in crate::store) fn scan_unlisted(
    db: &dyn Sql,
    (environment, range): (EnvironmentId, TimeRange),
    (day, during): (i64, Option<i64>),
    visit: &mut dyn FnMut(&Passing<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let params: Vec<_> =
        [environment.0, range.from.0, range.to.0, day].into_iter().chain(during).map(Cell::Int).collect();
    let during = if during.is_some() { " AND l.during = $5" } else { "" };
    let unlisted = format!(
        " AND NOT EXISTS (SELECT 1 FROM settled_late l WHERE l.env_id = $1 AND l.day = $4{during} \
         AND l.claimed = claimed_at AND l.event = event_id)"
    );
    let sieve = Sieve::default();
    db.stream(&statement(&[COLUMNS, ", props"].concat(), &unlisted), &params, &mut |line| {
        visit(&Passing::of(line, Beside::Props, &sieve))
    })
}

/// Shows the events of a range by their rows; whether it was told to stop.
fn rows(
    db: &dyn Sql,
    scope: Scope<'_>,
    beside: Beside<'_>,
    visit: &mut dyn FnMut(&Passing<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let Scope { environment, range, sieve } = scope;
    let place = if matches!(beside, Beside::Place) { ", claimed_at, event_id" } else { "" };
    let props = if wants_props(beside, sieve) { ", props" } else { "" };
    let mut params: Vec<Cell> = [environment.0, range.from.0, range.to.0].map(Cell::Int).to_vec();
    let conditions = sieve.conditions(&mut params);
    let sql = statement(&[COLUMNS, place, props].concat(), &conditions);
    let mut last = ControlFlow::Continue(());
    db.stream(&sql, &params, &mut |line| {
        let passing = Passing::of(line, beside, sieve);
        if sieve.passes(&passing) {
            last = visit(&passing);
        }
        last
    })?;
    Ok(last)
}

/// Both halves. What holds for one never holds for the other.
fn statement(columns: &str, conditions: &str) -> String {
    let half = |(clock, at): (&str, &str)| {
        format!("SELECT {columns} FROM events WHERE env_id = $1 AND {at} >= $2 AND {at} < $3 AND {clock}{conditions}")
    };
    CLOCKS.map(half).join(" UNION ALL ")
}

fn glance(line: &dyn Line) -> Glance {
    Glance {
        at: Millis(line.int(0)),
        name: line.int(1),
        facts: line.int(2),
        user: line.int(3),
        session: line.int(4),
        error: line.int(5),
        fatal: line.int(6) != 0,
    }
}
