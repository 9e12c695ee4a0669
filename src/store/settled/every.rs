//! What settled days come to by the values of every property, where it is told of all of them.

use std::ops::ControlFlow;

use super::super::scan::{Scope, Value};
use super::super::sql::{Cell, Line, Sql};
use super::amounts::{Place, totals};
use super::coding::Damaged;
use super::told::Told;
use super::{AMOUNTS, HOLDS, LISTED, Result, TOLD, beside, damage, day};
use crate::model::{Millis, TimeRange};

/// Shows what the settled days of a range that is told of by all their properties come to: each property, each of its
/// values, and how many events of names that pass the sieve have it; the sieve has to ask for nothing else. Of a day all
/// settled events lie in the range. Says of which days that was, unless it was told to stop.
pub(in crate::store) fn every(
    db: &dyn Sql,
    Scope { environment, range, sieve }: Scope<'_>,
    visit: &mut dyn FnMut(&str, &Value<'_>, i64) -> ControlFlow<()>,
) -> Result<Option<Told>> {
    let mut told = Told::from(range.from);
    let (mut stopped, mut damaged) = (false, None);
    let (sql, params) = statement(environment.0, range);
    db.stream(&sql, &params, &mut |line| {
        let day = line.int(0);
        told.add(day, line.int(1) == LISTED);
        match values(line, &|name| sieve.keeps_name(name), visit) {
            Ok(ControlFlow::Continue(())) => return ControlFlow::Continue(()),
            Ok(ControlFlow::Break(())) => stopped = true,
            Err(Damaged) => damaged = Some(day),
        }
        ControlFlow::Break(())
    })?;
    if let Some(day) = damaged {
        return Err(damage(environment, day));
    }
    Ok((!stopped).then(|| told.end(range.to)))
}

/// One statement, so that a day holds and its rows are there, or neither. Of the days at both ends it takes those of which
/// nothing that is settled lies outside of the range, such as the day that goes on.
fn statement(environment: i64, range: TimeRange) -> (String, Vec<Cell>) {
    let all_told = beside(&format!("h.prop = '' AND h.part = {TOLD}"));
    let sql = format!(
        "SELECT d.day, d.state, c.prop, c.part, c.body FROM settled_days d LEFT JOIN settled_columns c \
         ON c.env_id = d.env_id AND c.day = d.day AND c.token = d.token AND c.part IN ({AMOUNTS}, {TOLD}) \
         AND (c.prop > '' OR c.part = {TOLD}) \
         WHERE d.env_id = $1 AND d.day >= $2 AND d.day <= $3 AND d.state {HOLDS} AND (d.events = 0 OR {all_told}) \
         AND ((d.day >= $4 AND d.day <= $5) OR NOT EXISTS (SELECT 1 FROM settled_events e WHERE e.env_id = d.env_id \
         AND e.day = d.day AND e.token = d.token AND (e.first_at < $6 OR e.last_at >= $7))) ORDER BY d.day"
    );
    let whole = (day(range.from.plus(Millis::DAY - 1)), day(range.to) - 1);
    let touched = (day(range.from), day(range.to.plus(-1)));
    let params = [environment, touched.0, touched.1, whole.0, whole.1, range.from.0, range.to.0];
    (sql, params.map(Cell::Int).to_vec())
}

/// Shows what stands in a row; where no event has a property without a name, nothing stands in that of it.
fn values(
    line: &dyn Line,
    keeps: &dyn Fn(i64) -> bool,
    visit: &mut dyn FnMut(&str, &Value<'_>, i64) -> ControlFlow<()>,
) -> std::result::Result<ControlFlow<()>, Damaged> {
    let (day, prop, part, body) = (line.int(0), line.text(2).unwrap_or_default(), line.int(3), line.bytes(4));
    if body.is_empty() && part != AMOUNTS {
        return Ok(ControlFlow::Continue(()));
    }
    let mut is_damaged = false;
    let shown = totals(&Place { day, prop, part }, body, keeps, |text, events| match Value::of_marked(text) {
        Some(value) => visit(prop, &value, events),
        None => {
            is_damaged = true;
            ControlFlow::Break(())
        }
    })?;
    if is_damaged { Err(Damaged) } else { Ok(shown) }
}
