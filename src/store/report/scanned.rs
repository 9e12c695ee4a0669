//! Metrics from the raw events, in one pass over them for all periods, values and metrics.

use std::ops::ControlFlow;

use super::super::Result;
use super::super::scan::{Beside, Key, Of, Scope, Sieve, scan_beside};
use super::super::sql::Sql;
use super::begun;
use super::days::{By, Seen, look};
use super::series;
use super::spans::Spans;
use super::tally::{SessionsBy, Tally, is_of_sessions};
use super::values::{Shown, Values};
use crate::model::{BreakdownAsk, Counts, Dimension, EnvironmentId, Filters, Metric, Period};

/// The cell in which a breakdown counts everything; its values come after it.
const WHOLE: u32 = 0;

/// What each period comes to, as far as the metrics need it.
pub(super) fn counts(
    db: &dyn Sql,
    environment: EnvironmentId,
    (metrics, periods): (&[Metric], &[Period]),
    filters: &Filters,
) -> Result<Vec<Counts>> {
    let spans = Spans::of(periods);
    let mut tally = Tally::new(metrics, sessions_by(filters, &Dimension::Total));
    let sieve = Sieve::of(db, environment, filters)?;
    let fact = begun::fact_of(&sieve, &Dimension::Total);
    let is_even = |stretch| spans.are_even(stretch);
    for range in spans.ranges() {
        let scope = Scope { environment, range, sieve: &sieve };
        if tally.wants_events() {
            let by = sieve.only().map(|of| By { of, tell: tally.tells(), is_even: &is_even });
            let mut count =
                |seen: Seen<'_, '_>| spans.at(seen.at()).iter().try_for_each(|cell| tally.seen(*cell, &seen));
            match by {
                Some(by) => look(db, scope, by, &mut count)?,
                None => scan_beside(db, scope, Beside::Nothing, &mut |event| count(Seen::One(event)))?,
            }
        }
        if tally.wants_sessions() {
            begun::look(db, scope, (fact, &is_even), &mut |at, sessions| {
                spans.at(at).iter().for_each(|cell| tally.sessions(*cell, sessions));
            })?;
        }
    }
    let mut counts = tally.finish(db, environment, spans.whole(), |cell| periods[cell as usize].range)?;
    counts.resize(periods.len(), Counts::default());
    Ok(counts)
}

/// What all values of a dimension come to together, and what each does.
type Found = (Counts, Vec<(Shown, Counts)>);

/// Looks at every event.
pub(super) fn breakdown(db: &dyn Sql, environment: EnvironmentId, ask: &BreakdownAsk) -> Result<Found> {
    let sieve = Sieve::of(db, environment, &ask.filters)?;
    let scope = Scope { environment, range: ask.period.range, sieve: &sieve };
    let key;
    let of = match &ask.dimension {
        Dimension::Prop(name) => {
            key = Key::of(name);
            Some(Of::Prop(&key))
        }
        Dimension::Event => Some(Of::Name),
        Dimension::Error => Some(Of::Error),
        Dimension::Fact(fact) => Some(Of::Fact(*fact)),
        Dimension::Total => None,
    };
    let mut found = by_value(db, ask, scope, of)?;
    if found.is_none() {
        // There are more values than are told apart: the rows say which ones, by their order.
        found = by_value(db, ask, scope, None)?;
    }
    Ok(found.unwrap_or_default())
}

/// One pass: of whole days, where it is said by what they may be told, or else in the order of the rows. None where it was
/// broken off because that order matters.
fn by_value(db: &dyn Sql, ask: &BreakdownAsk, scope: Scope<'_>, of: Option<Of<'_>>) -> Result<Option<Found>> {
    let Scope { environment, range, sieve } = scope;
    let mut tally = Tally::new(&ask.metrics, sessions_by(&ask.filters, &ask.dimension));
    let mut values = Values::of(db, environment, &ask.dimension)?;
    let counts_whole = is_counted_along(ask);
    let (is_unordered, beside) = (of.is_some(), values.beside());
    if tally.wants_events() {
        let tell = tally.tells();
        let mut count = |seen: Seen<'_, '_>| {
            let cell = WHOLE + 1 + values.of_seen(&seen);
            if counts_whole {
                tally.seen(WHOLE, &seen)?;
            }
            tally.seen(cell, &seen)?;
            if is_unordered && values.are_too_many() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        match of {
            Some(of) => look(db, scope, By { of, tell, is_even: &|_| true }, &mut count)?,
            None => scan_beside(db, scope, beside, &mut |event| count(Seen::One(event)))?,
        }
    }
    if is_unordered && values.are_too_many() {
        return Ok(None);
    }
    if tally.wants_sessions() {
        let fact = begun::fact_of(sieve, &ask.dimension);
        begun::look(db, scope, (fact, &|_| true), &mut |_, sessions| {
            if counts_whole {
                tally.sessions(WHOLE, sessions);
            }
            tally.sessions(WHOLE + 1 + values.of_sessions(sessions), sessions);
        })?;
    }
    let mut counts = tally.finish(db, environment, range, |_| range)?.into_iter();
    let mut whole = counts.next().unwrap_or_default();
    if !counts_whole {
        let counts = series::counts(db, environment, (&ask.metrics, &[ask.period]), &ask.filters)?;
        whole = counts.into_iter().next().unwrap_or_default();
    }
    Ok(Some((whole, values.into_shown().into_iter().zip(counts).collect())))
}

/// Whether everything together is counted in the pass over the events: it is not where the summaries can tell it, or
/// where its sessions are others than those of the values.
fn is_counted_along(ask: &BreakdownAsk) -> bool {
    let wants = |which: fn(Metric) -> bool| ask.metrics.iter().any(|metric| which(*metric));
    let same_sessions = sessions_by(&ask.filters, &ask.dimension) == sessions_by(&ask.filters, &Dimension::Total);
    !series::is_summarised(&ask.filters, &ask.metrics) && (same_sessions || !wants(is_of_sessions))
}

/// A session has facts of its own, but not one event, error or property.
fn sessions_by(filters: &Filters, dimension: &Dimension) -> SessionsBy {
    let mut dimensions = filters.iter().map(|filter| &filter.dimension).chain([dimension]);
    match dimensions.all(|dimension| matches!(dimension, Dimension::Fact(_) | Dimension::Total)) {
        true => SessionsBy::Facts,
        false => SessionsBy::Events,
    }
}
