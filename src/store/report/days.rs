//! Events by a dimension: those of whole settled days together, and all others one by one.

use std::ops::ControlFlow;

use super::super::Result;
use super::super::scan::{Beside, Of, Passing, Scope, scan_beside, scan_listed};
use super::super::settled::{self, Tell, Valued, Wanted};
use super::super::sql::Sql;
use crate::model::{Millis, TimeRange};

/// What passes by.
pub(super) enum Seen<'s, 'l> {
    /// An event.
    One(&'s Passing<'l>),
    /// The events of the day that begins then that have one value.
    Many(Millis, &'s Valued<'l>),
}

impl Seen<'_, '_> {
    /// When, or on the day that begins when.
    pub(super) fn at(&self) -> Millis {
        match self {
            Self::One(event) => event.glance.at,
            Self::Many(begin, _) => *begin,
        }
    }
}

/// By what events are looked at.
#[derive(Clone, Copy)]
pub(super) struct By<'k> {
    pub(super) of: Of<'k>,
    /// What is needed of events that are shown together; none where each has to be seen.
    pub(super) tell: Option<Tell>,
    /// Whether all events of a stretch may be shown together.
    pub(super) is_even: &'k dyn Fn(TimeRange) -> bool,
}

/// Shows every event of a scope exactly once, as [`scan_beside`] does, with what it has of a dimension.
pub(super) fn look(
    db: &dyn Sql,
    scope: Scope<'_>,
    by: By<'_>,
    visit: &mut dyn FnMut(Seen<'_, '_>) -> ControlFlow<()>,
) -> Result<()> {
    let Scope { range, sieve, .. } = scope;
    let By { of, tell, is_even } = by;
    let beside = match of {
        Of::Prop(key) => Beside::Prop(key),
        Of::Name | Of::Error | Of::Fact(_) => Beside::Nothing,
    };
    // Whose events with a value are is not told by names.
    let by_names = sieve.wants_names() && !matches!(of, Of::Name);
    let tell = tell.filter(|tell| sieve.is_of(of) && !(*tell == Tell::People && by_names));
    let Some(tell) = tell.filter(|_| !range.is_empty() && !sieve.keeps_nothing() && settled::can_tell(of)) else {
        return scan_beside(db, scope, beside, &mut |event| visit(Seen::One(event)));
    };
    let wanted = Wanted { of, tell, takes: is_even };
    let told = settled::told(db, scope, wanted, &mut |begin, many| visit(Seen::Many(begin, many)))?;
    let Some(told) = told else { return Ok(()) };
    let mut last = ControlFlow::Continue(());
    let mut one = |event: &Passing<'_>| {
        last = visit(Seen::One(event));
        last
    };
    let listed = scan_listed(db, scope, (&told.listed, beside), &mut |event| match sieve.passes(event) {
        true => one(event),
        false => ControlFlow::Continue(()),
    })?;
    if listed.is_break() {
        return Ok(());
    }
    for range in told.rest {
        scan_beside(db, Scope { range, ..scope }, beside, &mut one)?;
    }
    Ok(())
}
