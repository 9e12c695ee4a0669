//! What settled days come to by the values of a property, as it was written beside their columns.

use std::ops::ControlFlow;

use super::super::scan::{Of, Scope, Sieve, Value};
use super::super::sql::{Cell, Line, Sql};
use super::amounts::{Amount, Place, decode};
use super::coding::Damaged;
use super::people::People;
use super::{
    AMOUNTS, COMPLETE, DIMENSIONS, HOLDS, LISTED, PEOPLE, Result, TOLD, beside, damage, day, dimensions, of_day,
};
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
    pub(in crate::store) of: Of<'a>,
    pub(in crate::store) tell: Tell,
    /// Whether a day may be told as a whole.
    pub(in crate::store) takes: &'a dyn Fn(TimeRange) -> bool,
}

/// What events have.
pub(in crate::store) enum Has<'b> {
    /// An interned number, 0 of those that do not say.
    Number(i64),
    /// A property's value; `None` of those that have none.
    Value(Option<Value<'b>>),
}

/// The events of a day that have one value.
pub(in crate::store) struct Valued<'b> {
    pub(in crate::store) has: Has<'b>,
    pub(in crate::store) amount: Amount,
    /// Where it was asked for.
    pub(in crate::store) whose: Option<People>,
}

/// Of which days of a range was told.
pub(in crate::store) struct Told {
    /// What lies between them.
    pub(in crate::store) rest: Vec<TimeRange>,
    /// Those beside which events are listed.
    pub(in crate::store) listed: Vec<i64>,
    /// Up to here all is told, or lies between.
    behind: Millis,
}

impl Told {
    /// Of none so far.
    pub(super) fn from(from: Millis) -> Self {
        Self { rest: Vec::new(), listed: Vec::new(), behind: from }
    }

    /// Of this one, too, which is not before the last.
    pub(super) fn add(&mut self, day: i64, is_listed: bool) {
        let whole = of_day(day);
        if self.behind >= whole.to {
            return; // there is more of it
        }
        self.pass(whole.from);
        self.behind = whole.to;
        if is_listed {
            self.listed.push(day);
        }
    }

    /// Of no more before the end of the range.
    pub(super) fn end(mut self, to: Millis) -> Self {
        self.pass(to);
        self
    }

    fn pass(&mut self, to: Millis) {
        if self.behind < to {
            self.rest.push(TimeRange { from: self.behind, to });
        }
    }
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

/// Shows what the whole days of a range that are settled come to by what is wanted: of values that pass the sieve, which has
/// to ask for nothing else, but for names of events beside a property; with the beginning of the day. Says of which days that
/// was, unless it was told to stop.
pub(in crate::store) fn told(
    db: &dyn Sql,
    Scope { environment, range, sieve }: Scope<'_>,
    wanted: Wanted<'_>,
    visit: &mut dyn FnMut(Millis, &Valued<'_>) -> ControlFlow<()>,
) -> Result<Option<Told>> {
    let (first, last) = (day(range.from.plus(Millis::DAY - 1)), day(range.to) - 1);
    let mut told = Told::from(range.from);
    let (mut stopped, mut damaged) = (false, None);
    let (sql, params) = statement(environment.0, (first, last), wanted);
    let mut look = |line: &dyn Line| {
        let day = line.int(0);
        let whole = of_day(day);
        if !(wanted.takes)(whole) {
            return ControlFlow::Continue(());
        }
        told.add(day, line.int(1) == LISTED);
        if line.int(2) == 0 {
            return ControlFlow::Continue(());
        }
        let Ok(values) = of_line((day, line), wanted, sieve) else {
            damaged = Some(day);
            return ControlFlow::Break(());
        };
        let mut some = values.iter().filter(|valued| valued.amount.events > 0);
        let shown = some.try_for_each(|valued| visit(whole.from, valued));
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
    Ok((!stopped).then(|| told.end(range.to)))
}

/// What is read of a day, in SQL over `settled_days d`; $1 is a name.
struct Source {
    bodies: &'static str,
    joins: String,
    /// Whether it is there.
    is_there: String,
}

/// One statement, so that a day holds and its rows are there, or neither.
fn statement(environment: i64, (first, last): (i64, i64), wanted: Wanted<'_>) -> (String, Vec<Cell>) {
    let (name, Source { bodies, joins, is_there }) = match wanted.of {
        Of::Prop(key) => (key.name(), of_prop(wanted.tell)),
        of @ (Of::Name | Of::Error | Of::Fact(_)) => (dimensions::name(of), of_dimension(wanted.tell)),
    };
    let sql = format!(
        "SELECT d.day, d.state, d.events, {bodies} FROM settled_days d{joins} \
         WHERE d.env_id = $2 AND d.day >= $3 AND d.day <= $4 AND d.state {HOLDS} \
         AND (d.events = 0 OR ({is_there})) ORDER BY d.day"
    );
    let range = [environment, first, last].map(Cell::Int);
    (sql, std::iter::once(name.into()).chain(range).collect())
}

fn join(alias: &str, prop: &str, part: i64) -> String {
    format!(
        " LEFT JOIN settled_columns {alias} ON {alias}.env_id = d.env_id AND {alias}.day = d.day \
         AND {alias}.token = d.token AND {alias}.prop = {prop} AND {alias}.part = {part}"
    )
}

fn of_dimension(tell: Tell) -> Source {
    let joins = join("o", "$1", DIMENSIONS);
    match tell {
        Tell::Amounts => Source { bodies: "o.body", joins, is_there: "o.part < 0".to_owned() },
        Tell::People => {
            let joins = joins + &join("p", "''", PEOPLE);
            Source { bodies: "o.body, p.body", joins, is_there: "o.part < 0 AND p.part < 0".to_owned() }
        }
    }
}

fn of_prop(tell: Tell) -> Source {
    let joins = join("a", "''", AMOUNTS) + &join("o", "$1", AMOUNTS);
    let (bodies, joins, are_there) = match tell {
        Tell::Amounts => ("a.body, o.body", joins, "a.part < 0"),
        Tell::People => {
            let joins = joins + &join("p", "''", PEOPLE) + &join("w", "$1", PEOPLE);
            ("a.body, o.body, p.body, w.body", joins, "a.part < 0 AND p.part < 0 AND (o.part IS NULL OR w.part < 0)")
        }
    };
    // No event has it where all that any has is told of, or in columns, and it is not.
    let all_told = beside(&format!("h.prop = '' AND h.part = {TOLD}"));
    let complete = beside(&format!("h.prop = '' AND h.part = {COMPLETE}"));
    let column = beside("h.prop = $1 AND h.part >= 0");
    let is_there = format!("{are_there} AND (o.part < 0 OR {all_told} OR ({complete} AND NOT {column}))");
    Source { bodies, joins, is_there }
}

/// What a day comes to, from a line with its bodies: the values that pass.
fn of_line<'l>(
    (day, line): (i64, &'l dyn Line),
    wanted: Wanted<'l>,
    sieve: &Sieve,
) -> std::result::Result<Vec<Valued<'l>>, Damaged> {
    let body = |at: usize| line.bytes(3 + at);
    let has_people = wanted.tell == Tell::People;
    let people = |at: usize| if has_people { body(at) } else { &[] };
    if let Of::Prop(key) = wanted.of {
        let bodies = Bodies { day, prop: key.name(), all: [body(0), people(2)], own: [body(1), people(3)] };
        let mut values = values(&bodies, wanted.tell, &|name| sieve.keeps_name(name))?;
        values.retain(|valued| matches!(&valued.has, Has::Value(value) if sieve.keeps_value(value.as_ref())));
        return Ok(values);
    }
    let all = if has_people { Some(everybody(day, body(1))?) } else { None };
    let values = dimensions::decode((day, wanted.of), body(0), (all.as_ref(), &|number| sieve.keeps_number(number)))?;
    let valued = |(number, amount, whose)| Valued { has: Has::Number(number), amount, whose };
    Ok(values.into_iter().map(valued).collect())
}

/// Whoever has done anything on a day.
pub(super) fn everybody(day: i64, body: &[u8]) -> std::result::Result<People, Damaged> {
    People::take(&mut Place { day, prop: "", part: PEOPLE }.open(body)?)
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
                let has = Has::Value(Some(Value::of_marked(text).ok_or(Damaged)?));
                values.push(Valued { has, amount: Amount::default(), whose: None });
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
    values.push(Valued { has: Has::Value(None), amount: left, whose: None });
    if tell == Tell::People {
        whose(bodies, &mut values)?;
    }
    Ok(values)
}

/// Adds whose events they are.
fn whose(bodies: &Bodies<'_>, values: &mut [Valued<'_>]) -> std::result::Result<(), Damaged> {
    let Bodies { day, prop, all, own } = *bodies;
    let everybody = everybody(day, all[1])?;
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
