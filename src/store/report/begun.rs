//! Sessions that were begun: those of whole settled days together by one fact, and all others one by one.

use std::ops::ControlFlow;

use super::super::Result;
use super::super::scan::{Of, Scope, Sieve};
use super::super::settled::{self, Sessions};
use super::super::sql::{Cell, Sql};
use crate::model::{Dimension, Fact, Millis, TimeRange};
use crate::rollup::{SessionCount, length_class};

/// The one fact that a question is about, where it is about nothing else.
pub(super) fn fact_of(sieve: &Sieve, dimension: &Dimension) -> Option<Fact> {
    match (dimension, sieve.only()) {
        (Dimension::Fact(fact), _) if sieve.is_of(Of::Fact(*fact)) => Some(*fact),
        (Dimension::Total, Some(Of::Fact(fact))) => Some(fact),
        _ => None,
    }
}

/// Shows every session of a scope, alone or with others of its day, with when it began, or its day did. `is_even` says
/// whether all those of a stretch may be shown together.
pub(super) fn look(
    db: &dyn Sql,
    Scope { environment, range, sieve }: Scope<'_>,
    (fact, is_even): (Option<Fact>, &dyn Fn(TimeRange) -> bool),
    visit: &mut dyn FnMut(Millis, Sessions<'_>),
) -> Result<()> {
    let mut keep = |at: Millis, sessions: Sessions<'_>| {
        let keeps = match sessions {
            Sessions::Alike(facts, ..) => sieve.keeps_facts(facts),
            Sessions::Many(value, _) => sieve.keeps_number(value),
        };
        if keeps {
            visit(at, sessions);
        }
    };
    let rest = match fact {
        None => vec![range],
        Some(fact) => settled::lengths(db, (environment, range), (fact, is_even), &mut keep)?,
    };
    let sql = "SELECT ended_at - started_at, crashed, started_at, facts_id FROM sessions \
               WHERE env_id = $1 AND started_at >= $2 AND started_at < $3";
    for range in rest {
        let params = [environment.0, range.from.0, range.to.0].map(Cell::Int);
        db.stream(sql, &params, &mut |line| {
            let count = SessionCount { sessions: 1, crashed: line.int(1) };
            keep(Millis(line.int(2)), Sessions::Alike(line.int(3), length_class(line.int(0)), count));
            ControlFlow::Continue(())
        })?;
    }
    Ok(())
}
