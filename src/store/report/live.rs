//! The last half hour by minute, from the raw events: no summary is as fine.

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::time::Duration;

use hashbrown::{HashMap, HashSet};

use super::super::Result;
use super::super::scan::{Glance, Sieve, fact_sets, scan};
use super::super::sql::Sql;
use super::breakdown::text;
use super::values::Shown;
use crate::clock::Deadline;
use crate::model::{
    Dimension, EnvironmentId, Fact, LIVE_MINUTES, LIVE_RECENT, LIVE_TOPS, Live, LiveAsk, LiveCounts, LiveTop, Millis,
    TimeRange,
};

/// Counting is given up after so long. What was counted by then says nothing: events pass in no order.
const PATIENCE: Duration = Duration::from_secs(2);
/// After so many events it is looked how long it has taken.
const LOOK: i64 = 4_096;

/// Events by an interned number.
type Tally = HashMap<i64, i64>;

pub(super) fn live(db: &dyn Sql, environment: EnvironmentId, ask: &LiveAsk) -> Result<Live> {
    let sieve = Sieve::of(db, environment, &ask.filters)?;
    let (mut found, deadline, mut cut) = (Found::default(), Deadline::after(PATIENCE), false);
    let range = TimeRange { from: ask.begin(), to: ask.until };
    scan(db, environment, range, &sieve, &mut |event| {
        found.see(event, range.from);
        cut = found.whole.events % LOOK == 0 && deadline.passed();
        if cut { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })?;
    if cut {
        return Ok(Live { cut, ..Live::default() });
    }
    let facts: Vec<Fact> =
        LIVE_TOPS.iter().filter_map(|one| if let Dimension::Fact(fact) = one { Some(*fact) } else { None }).collect();
    let mut by_fact: Vec<Tally> = vec![Tally::new(); facts.len()];
    if !found.facts.is_empty() {
        fact_sets(db, environment, &facts, &mut |set, values| {
            let Some(events) = found.facts.get(&set) else { return };
            for (tally, value) in by_fact.iter_mut().zip(values) {
                *tally.entry(*value).or_default() += events;
            }
        })?;
    }
    let mut by_fact = by_fact.into_iter();
    let mut tops: [LiveTop; LIVE_TOPS.len()] = Default::default();
    for (top, dimension) in tops.iter_mut().zip(&LIVE_TOPS) {
        let tally = match dimension {
            Dimension::Fact(_) => by_fact.next().unwrap_or_default(),
            _ => std::mem::take(&mut found.names),
        };
        *top = most(db, tally, ask.limit)?;
    }
    let recent = LiveCounts { users: found.recent_users.len() as i64, ..found.recent };
    let whole = LiveCounts { users: found.users.len() as i64, ..found.whole };
    Ok(Live { cut, minutes: found.minutes, recent, whole, tops })
}

/// What the events that have passed come to.
#[derive(Default)]
struct Found {
    minutes: [i64; LIVE_MINUTES],
    recent: LiveCounts,
    whole: LiveCounts,
    users: HashSet<i64>,
    recent_users: HashSet<i64>,
    names: Tally,
    facts: Tally,
}

impl Found {
    fn see(&mut self, event: &Glance, from: Millis) {
        let minute = usize::try_from(event.at.since(from) / Millis::MINUTE).unwrap_or(0).min(LIVE_MINUTES - 1);
        let is_recent = minute >= LIVE_MINUTES - LIVE_RECENT;
        let error = i64::from(event.error != 0);
        self.minutes[minute] += 1;
        self.whole.events += 1;
        self.whole.errors += error;
        if is_recent {
            self.recent.events += 1;
            self.recent.errors += error;
        }
        if event.user != 0 {
            self.users.insert(event.user);
            if is_recent {
                self.recent_users.insert(event.user);
            }
        }
        *self.names.entry(event.name).or_default() += 1;
        *self.facts.entry(event.facts).or_default() += 1;
    }
}

/// The values with the most events; of equal ones those that were heard of first.
fn most(db: &dyn Sql, tally: Tally, limit: u32) -> Result<LiveTop> {
    let mut values: Vec<(i64, i64)> = tally.into_iter().collect();
    let all = values.len() as u64;
    values.sort_unstable_by_key(|(value, events)| (Reverse(*events), *value));
    values.truncate(limit as usize);
    let rows = values
        .into_iter()
        .map(|(value, events)| Ok((text(db, Shown::Number(value))?, events)))
        .collect::<Result<_>>()?;
    Ok(LiveTop { rows, values: all })
}
