//! What settled days come to by the values of a property, as it was written beside their columns.

use std::ops::ControlFlow;

use super::super::scan::{Key, Scope, Value};
use super::super::sql::{Cell, Line, Sql};
use super::amounts::{Amount, Place, decode};
use super::coding::Damaged;
use super::people::People;
use super::{AMOUNTS, COMPLETE, HOLDS, LISTED, PEOPLE, Result, TOLD, beside, damage, day, of_day};
use crate::model::{Millis, TimeRange};

/// How much is told of values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::store) enum Tell {
    /// How many events there are.
    Amounts,
    /// Whose they are besides.
    People,
}

/// What is asked of days.
#[derive(Clone, Copy)]
pub(in crate::store) struct Wanted<'a> {
    pub(in crate::store) key: &'a Key,
    pub(in crate::store) tell: Tell,
    /// Whether a day may be told as a whole.
    pub(in crate::store) takes: &'a dyn Fn(TimeRange) -> bool,
}

/// The events of a day that have one value.
pub(in crate::store) struct Valued<'b> {
    /// `None` of those that have none.
    pub(in crate::store) value: Option<Value<'b>>,
    pub(in crate::store) amount: Amount,
    /// Where it was asked for.
    pub(in crate::store) whose: Option<People>,
}

/// Of which days was told.
#[derive(Default)]
pub(in crate::store) struct Told {
    /// What lies between them.
    pub(in crate::store) rest: Vec<TimeRange>,
    /// Those beside which events are listed.
    pub(in crate::store) listed: Vec<i64>,
}

/// The bodies of a day.
#[derive(Clone, Copy)]
pub(super) struct Bodies<'b> {
    pub(super) day: i64,
    pub(super) prop: &'b str,
    /// Amounts and people of all events, then those of the property; none of the property where no event has it.
    pub(super) all: [&'b [u8]; 2],
    pub(super) own: [&'b [u8]; 2],
}

/// Shows what the whole days of a range that are settled come to by a property: of names of events and values that pass
/// the sieve, which has to ask for nothing else; with the beginning of the day. Says of which days that was, unless it was
/// told to stop.
pub(in crate::store) fn told(
    db: &dyn Sql,
    Scope { environment, range, sieve }: Scope<'_>,
    wanted: Wanted<'_>,
    visit: &mut dyn FnMut(Millis, &Valued<'_>) -> ControlFlow<()>,
) -> Result<Option<Told>> {
    let (first, last) = (day(range.from.plus(Millis::DAY - 1)), day(range.to) - 1);
    let mut told = Told::default();
    let (mut behind, mut stopped, mut damaged) = (range.from, false, None);
    let (sql, params) = statement(environment.0, (first, last), wanted);
    let mut look = |line: &dyn Line| {
        let day = line.int(0);
        let whole = of_day(day);
        let begin = whole.from;
        if !(wanted.takes)(whole) {
            return ControlFlow::Continue(());
        }
        if behind < begin {
            told.rest.push(TimeRange { from: behind, to: begin });
        }
        behind = whole.to;
        if line.int(1) == LISTED {
            told.listed.push(day);
        }
        if line.int(2) == 0 {
            return ControlFlow::Continue(());
        }
        let mut bodies = Bodies { day, prop: wanted.key.name(), all: [line.bytes(3), &[]], own: [line.bytes(4), &[]] };
        if wanted.tell == Tell::People {
            (bodies.all[1], bodies.own[1]) = (line.bytes(5), line.bytes(6));
        }
        let Ok(values) = values(&bodies, wanted.tell, &|name| sieve.keeps_name(name)) else {
            damaged = Some(day);
            return ControlFlow::Break(());
        };
        let mut some =
            values.iter().filter(|valued| valued.amount.events > 0 && sieve.keeps_value(valued.value.as_ref()));
        let shown = some.try_for_each(|valued| visit(begin, valued));
        stopped = shown.is_break();
        shown
    };
    let takes_any = (first..=last).any(|day| (wanted.takes)(of_day(day)));
    if takes_any {
        db.stream(&sql, &params, &mut look)?;
    }
    if let Some(day) = damaged {
        return Err(damage(environment, day));
    }
    if behind < range.to {
        told.rest.push(TimeRange { from: behind, to: range.to });
    }
    Ok(if stopped { None } else { Some(told) })
}

/// One statement, so that a day holds and its rows are there, or neither.
fn statement(environment: i64, (first, last): (i64, i64), wanted: Wanted<'_>) -> (String, Vec<Cell>) {
    let join = |alias: &str, prop: &str, part: i64| {
        format!(
            " LEFT JOIN settled_columns {alias} ON {alias}.env_id = d.env_id AND {alias}.day = d.day \
             AND {alias}.token = d.token AND {alias}.prop = {prop} AND {alias}.part = {part}"
        )
    };
    let mut joins = join("a", "''", AMOUNTS) + &join("o", "$1", AMOUNTS);
    let (mut bodies, mut are_there) = ("a.body, o.body", "a.part < 0");
    if wanted.tell == Tell::People {
        joins += &(join("p", "''", PEOPLE) + &join("w", "$1", PEOPLE));
        bodies = "a.body, o.body, p.body, w.body";
        are_there = "a.part < 0 AND p.part < 0 AND (o.part IS NULL OR w.part < 0)";
    }
    // No event has it where all that any has is told of, or in columns, and it is not.
    let all_told = beside(&format!("h.prop = '' AND h.part = {TOLD}"));
    let complete = beside(&format!("h.prop = '' AND h.part = {COMPLETE}"));
    let column = beside("h.prop = $1 AND h.part >= 0");
    let sql = format!(
        "SELECT d.day, d.state, d.events, {bodies} FROM settled_days d{joins} \
         WHERE d.env_id = $2 AND d.day >= $3 AND d.day <= $4 AND d.state {HOLDS} \
         AND (d.events = 0 OR ({are_there} AND (o.part < 0 OR {all_told} OR ({complete} AND NOT {column})))) ORDER BY d.day"
    );
    let range = [environment, first, last].map(Cell::Int);
    (sql, std::iter::once(wanted.key.name().into()).chain(range).collect())
}

/// What a day comes to, of names that are kept: each value that any event has, and those that have none.
pub(super) fn values<'b>(
    bodies: &Bodies<'b>,
    tell: Tell,
    keeps: &dyn Fn(i64) -> bool,
) -> std::result::Result<Vec<Valued<'b>>, Damaged> {
    let Bodies { day, prop, all, own } = *bodies;
    let mut values: Vec<Valued<'b>> = Vec::new();
    let mut left = Amount::default();
    decode(&Place { day, prop: "", part: AMOUNTS }, all[0], &mut |_, _, name, amount| {
        if keeps(name) {
            left.join(amount);
        }
        Ok(())
    })?;
    if !own[0].is_empty() {
        decode(&Place { day, prop, part: AMOUNTS }, own[0], &mut |number, text, name, amount| {
            if number == values.len() {
                let value = Some(Value::of_marked(text).ok_or(Damaged)?);
                values.push(Valued { value, amount: Amount::default(), whose: None });
            }
            if keeps(name) {
                values[number].amount.join(amount);
                left.leave(amount);
            }
            Ok(())
        })?;
    }
    if !left.is_possible() {
        return Err(Damaged);
    }
    values.push(Valued { value: None, amount: left, whose: None });
    if tell == Tell::People {
        whose(bodies, &mut values)?;
    }
    Ok(values)
}

/// Adds whose events they are.
fn whose(bodies: &Bodies<'_>, values: &mut [Valued<'_>]) -> std::result::Result<(), Damaged> {
    let Bodies { day, prop, all, own } = *bodies;
    let mut bytes = Place { day, prop: "", part: PEOPLE }.open(all[1])?;
    let everybody = People::take(&mut bytes)?;
    let Some((without, with)) = values.split_last_mut() else { return Ok(()) };
    if own[0].is_empty() {
        without.whose = Some(everybody);
        return Ok(());
    }
    let mut bytes = Place { day, prop, part: PEOPLE }.open(own[1])?;
    for valued in with {
        valued.whose = Some(People::take(&mut bytes)?);
    }
    without.whose = Some(People::take_of(&everybody, &mut bytes)?);
    if bytes.is_empty() { Ok(()) } else { Err(Damaged) }
}
