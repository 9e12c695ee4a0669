//! A look at the raw events of a range, for whatever the summaries cannot tell.

mod props;
mod sieve;

use std::ops::ControlFlow;

use super::sql::{Cell, Line, Sql};
use super::{Result, settled};
use crate::model::{EnvironmentId, Millis, TimeRange};

pub(in crate::store) use props::{Key, Value, members};
pub(in crate::store) use sieve::{Sieve, fact_sets, numbers};

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Beside {
    /// Nothing: the fastest.
    Nothing,
    /// Its properties.
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
    /// Its row, where that was read.
    line: Option<&'l dyn Line>,
    props: Option<usize>,
}

impl<'l> Passing<'l> {
    /// From a row that begins with [`COLUMNS`], then has what `beside` names, and the properties where the sieve or
    /// `beside` wants those.
    pub(in crate::store) fn of(line: &'l dyn Line, beside: Beside, sieve: &Sieve) -> Self {
        let props = if beside == Beside::Place { WIDTH + 2 } else { WIDTH };
        let wants_props = beside == Beside::Props || sieve.wants_props();
        Self { glance: glance(line), line: Some(line), props: wants_props.then_some(props) }
    }

    /// Its properties as JSON text, where they were asked for and it has any.
    pub(in crate::store) fn props(&self) -> Option<&str> {
        self.line?.text(self.props?)
    }

    /// Claimed time and id, where [`Beside::Place`] was asked for.
    pub(in crate::store) fn place(&self) -> (i64, [u8; 16]) {
        let place = |line: &dyn Line| (line.int(WIDTH), line.bytes(WIDTH + 1).try_into().unwrap_or_default());
        self.line.map_or_else(Default::default, place)
    }
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

/// [`scan`], with more of each event. Where nothing more is asked for, days that are settled are read as such.
pub(in crate::store) fn scan_beside(
    db: &dyn Sql,
    scope: Scope<'_>,
    beside: Beside,
    visit: &mut dyn FnMut(&Passing<'_>) -> ControlFlow<()>,
) -> Result<()> {
    let Scope { range, sieve, .. } = scope;
    if range.is_empty() || sieve.keeps_nothing() {
        return Ok(());
    }
    if beside != Beside::Nothing || sieve.wants_props() {
        return rows(db, scope, beside, visit).map(|_| ());
    }
    let rest = settled::show(db, scope, &mut |event| {
        let passing = Passing { glance: *event, line: None, props: None };
        if sieve.passes(&passing) { visit(&passing) } else { ControlFlow::Continue(()) }
    })?;
    for range in rest {
        if rows(db, Scope { range, ..scope }, beside, visit)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// [`scan`] of everything, by the rows alone: for what has to be right whatever was made of them.
pub(in crate::store) fn scan_rows(
    db: &dyn Sql,
    environment: EnvironmentId,
    range: TimeRange,
    visit: &mut dyn FnMut(&Glance) -> ControlFlow<()>,
) -> Result<()> {
    let scope = Scope { environment, range, sieve: &Sieve::default() };
    rows(db, scope, Beside::Nothing, &mut |event| visit(&event.glance)).map(|_| ())
}

/// Shows the events of a range by their rows; whether it was told to stop.
fn rows(
    db: &dyn Sql,
    scope: Scope<'_>,
    beside: Beside,
    visit: &mut dyn FnMut(&Passing<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>> {
    let Scope { environment, range, sieve } = scope;
    let place = if beside == Beside::Place { ", claimed_at, event_id" } else { "" };
    let wants_props = beside == Beside::Props || sieve.wants_props();
    let mut params: Vec<Cell> = [environment.0, range.from.0, range.to.0].map(Cell::Int).to_vec();
    let conditions = sieve.conditions(&mut params);
    let sql = statement(&[COLUMNS, place, if wants_props { ", props" } else { "" }].concat(), &conditions);
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
