//! Sessions by one fact that they were begun under: those of whole settled days together, and all others one by one.

use std::ops::ControlFlow;

use super::super::Result;
use super::super::scan::Numbers;
use super::super::settled::{self, Lengths};
use super::super::sql::{Cell, Sql};
use super::tally::Session;
use crate::model::{Dimension, EnvironmentId, Fact, Filters, Millis, TimeRange};

/// What is looked at: one fact, and conditions on it.
pub(super) struct ByFact {
    fact: Fact,
    conditions: Vec<Numbers>,
}

/// Sessions that are shown.
#[derive(Clone, Copy)]
pub(super) enum Sessions<'s> {
    /// One.
    One(Session),
    /// All those of a day that have one value.
    Many(&'s Lengths),
}

impl ByFact {
    /// Where a question is about nothing but one fact; none where it is about none, or about something else.
    pub(super) fn of(
        db: &dyn Sql,
        environment: EnvironmentId,
        filters: &Filters,
        dimension: &Dimension,
    ) -> Result<Option<Self>> {
        let asked = filters.iter().map(|filter| &filter.dimension).chain([dimension]);
        let mut asked = asked.filter(|dimension| **dimension != Dimension::Total);
        let Some(Dimension::Fact(fact)) = asked.next() else { return Ok(None) };
        if !asked.all(|other| *other == Dimension::Fact(*fact)) {
            return Ok(None);
        }
        let conditions = filters.iter().map(|filter| Numbers::of(db, environment, filter)).collect::<Result<_>>()?;
        Ok(Some(Self { fact: *fact, conditions }))
    }

    /// Shows every session that was begun in a range and passes, alone or with others of its day and value, with when it
    /// began, or its day did, and its value. `is_even` says whether all those of a stretch may be shown together.
    pub(super) fn look(
        &self,
        db: &dyn Sql,
        (environment, range): (EnvironmentId, TimeRange),
        is_even: &dyn Fn(TimeRange) -> bool,
        visit: &mut dyn FnMut(Millis, i64, Sessions<'_>),
    ) -> Result<()> {
        let by = (self.fact, is_even);
        let rest = settled::lengths(db, (environment, range), by, &mut |begin, value, lengths| {
            if self.keeps(value) {
                visit(begin, value, Sessions::Many(lengths));
            }
        })?;
        let sql = [
            "SELECT s.ended_at - s.started_at, s.crashed, s.started_at, f.",
            self.fact.name(),
            " FROM sessions s LEFT JOIN facts f ON f.id = s.facts_id \
             WHERE s.env_id = $1 AND s.started_at >= $2 AND s.started_at < $3",
        ]
        .concat();
        for range in rest {
            let params = [environment.0, range.from.0, range.to.0].map(Cell::Int);
            db.stream(&sql, &params, &mut |line| {
                let value = line.int(3);
                if self.keeps(value) {
                    visit(Millis(line.int(2)), value, Sessions::One(Session::of(line)));
                }
                ControlFlow::Continue(())
            })?;
        }
        Ok(())
    }

    fn keeps(&self, value: i64) -> bool {
        self.conditions.iter().all(|numbers| numbers.keep(value))
    }
}
