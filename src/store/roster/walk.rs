//! The search for a user's events. There is no index of events by user: the days and hours in which the user was seen
//! tell where to look, and within those the events are filtered.

use std::cmp::Reverse;
use std::time::Duration;

use super::sessions::Of;
use super::users::{days, sighted};
use crate::clock::Deadline;
use crate::model::{Cursor, CursorKey, Millis, TimeRange, TimelineItem, TimelinePage, Zone};
use crate::store::Result;
use crate::store::report::{EVENTS, event_row};
use crate::store::sql::{Cell, Row, Sql};

/// How far claimed times may be from ours where an event is looked for by them. Those that are further off have an index
/// of their own, by the time they occurred.
const NEAR: i64 = 10 * Millis::MINUTE;

/// No further hours are begun after so long: then the page is short.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Days whose hours are read together.
const CHUNK: i64 = 400;

/// Items at this place and later ones belong to an earlier page.
#[derive(Clone, Copy)]
pub(super) struct Bound {
    pub(super) at: i64,
    pub(super) id: [u8; 16],
}

impl Bound {
    pub(super) fn of(before: Option<&Cursor>) -> Self {
        match before {
            Some(Cursor { key: CursorKey::Number(at), id }) => Self { at: *at, id: *id },
            _ => Self { at: i64::MAX, id: [0xff; 16] },
        }
    }
}

/// An item whose session is not looked up yet.
pub(super) struct Found {
    pub(super) item: TimelineItem,
    pub(super) session: Option<Of>,
}

impl Found {
    pub(super) fn place(&self) -> (i64, [u8; 16]) {
        (self.item.at.0, self.item.id)
    }
}

/// The search, hour by hour into the past.
pub(super) struct Walk<'a> {
    db: &'a dyn Sql,
    page: &'a TimelinePage,
    bound: Bound,
    /// How many are wanted.
    limit: usize,
    /// Newest first.
    pub(super) found: Vec<Found>,
}

impl<'a> Walk<'a> {
    /// A search for one event more than the page has.
    pub(super) fn new(db: &'a dyn Sql, page: &'a TimelinePage) -> Self {
        let bound = Bound::of(page.before.as_ref());
        Self { db, page, bound, limit: page.limit as usize + 1, found: Vec::new() }
    }

    /// Looks until there are enough. Where looking took long, the instant before which it did not look any more.
    pub(super) fn run(&mut self) -> Result<Option<Millis>> {
        let Some(user) = sighted(self.db, self.page.environment, self.page.user)? else { return Ok(None) };
        let deadline = Deadline::after(PATIENCE);
        let latest = i64::from(self.page.zone.local(Millis(self.bound.at)).day);
        let mut last = user.last_day.min(latest);
        let mut looked = false;
        while last >= user.first_day {
            let first = user.first_day.max(last - CHUNK + 1);
            for (day, hours) in days(self.db, self.page.environment, user.row, (first, last))? {
                for range in stretches(&self.page.zone, day, hours) {
                    if range.from.0 > self.bound.at {
                        continue;
                    }
                    if looked && deadline.passed() {
                        return Ok(Some(range.to));
                    }
                    looked = true;
                    self.stretch(user.row, range)?;
                    if self.found.len() >= self.limit {
                        return Ok(None);
                    }
                }
            }
            last = first - 1;
        }
        Ok(None)
    }

    /// The newest events of hours that follow each other, as many as are wanted still.
    fn stretch(&mut self, user: i64, range: TimeRange) -> Result<()> {
        let wanted = self.limit - self.found.len();
        let mut found = self.near(user, range, wanted)?;
        found.extend(self.skewed(user, range, wanted)?);
        found.sort_unstable_by_key(|item| Reverse(item.place()));
        found.truncate(wanted);
        self.found.extend(found);
        Ok(())
    }

    /// Those whose clocks were about right.
    fn near(&self, user: i64, range: TimeRange, wanted: usize) -> Result<Vec<Found>> {
        let ends = [range.from.plus(-NEAR).0, range.to.plus(NEAR).0];
        let window = "WHERE e.env_id = $1 AND e.claimed_at >= $2 AND e.claimed_at < $3 \
                      AND e.skew >= -600000 AND e.skew <= 600000 \
                      AND e.user_id = $4 AND e.claimed_at + e.skew >= $5 AND e.claimed_at + e.skew < $6 \
                      AND (e.claimed_at + e.skew, e.event_id) < ($7, $8) \
                      ORDER BY e.claimed_at + e.skew DESC, e.event_id DESC LIMIT $9";
        self.events(window, (&ends, user, range), wanted)
    }

    /// The others.
    fn skewed(&self, user: i64, range: TimeRange, wanted: usize) -> Result<Vec<Found>> {
        let window = "WHERE e.env_id = $1 AND (e.skew < -600000 OR e.skew > 600000) \
                      AND e.user_id = $2 AND e.claimed_at + e.skew >= $3 AND e.claimed_at + e.skew < $4 \
                      AND (e.claimed_at + e.skew, e.event_id) < ($5, $6) \
                      ORDER BY e.claimed_at + e.skew DESC, e.event_id DESC LIMIT $7";
        self.events(window, (&[], user, range), wanted)
    }

    /// The newest events of a range that lie below the bound: `window` says by what they are found.
    fn events(
        &self,
        window: &str,
        (claimed, user, range): (&[i64], i64, TimeRange),
        wanted: usize,
    ) -> Result<Vec<Found>> {
        let occurred = [user, range.from.0, range.to.0, self.bound.at];
        let ends = claimed.iter().chain(&occurred);
        let mut params: Vec<Cell> =
            std::iter::once(&self.page.environment.0).chain(ends).copied().map(Cell::Int).collect();
        params.push(Cell::Uuid(self.bound.id));
        params.push(i64::try_from(wanted).unwrap_or(i64::MAX).into());
        Ok(self.db.rows(&[EVENTS, window].concat(), &params)?.iter().map(event).collect())
    }
}

/// The hours of a local day that are set, as stretches of those that follow each other, the latest first.
fn stretches(zone: &Zone, day: i32, hours: u32) -> Vec<TimeRange> {
    let (midnight, next) = (zone.midnight(day), zone.midnight(day + 1));
    let mut stretches: Vec<TimeRange> = Vec::new();
    for hour in (0..25).rev().filter(|hour| hours & (1 << hour) != 0) {
        let from = midnight.plus(hour * Millis::HOUR);
        match stretches.last_mut() {
            Some(last) if last.from == from.plus(Millis::HOUR) => last.from = from,
            _ => stretches.push(TimeRange { from, to: from.plus(Millis::HOUR).min(next) }),
        }
    }
    stretches
}

/// From a row of [`EVENTS`].
fn event(row: &Row) -> Found {
    let event = event_row(row);
    let item = TimelineItem { at: event.occurred_at, id: event.id.0, event: Some(event), session: None };
    Found { item, session: row.some_int(9).map(Of::Row) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_are_looked_through_once_each_whatever_the_day_is_like() {
        let hour = Millis::HOUR;
        for (zone, date, hours, expected) in [
            ("UTC", "2026-04-10", (1 << 3) | (1 << 9) | (1 << 10), vec![(9, 2 * hour), (3, hour)]),
            ("Europe/Zurich", "2026-10-25", 1 << 24, vec![(24, hour)]),
            // Its last hour has half an hour, since the night before was put back by as much.
            ("Australia/Lord_Howe", "2026-04-05", 1 << 24, vec![(24, hour / 2)]),
            ("UTC", "2026-04-10", (1 << 24) - 1, vec![(0, 24 * hour)]),
            ("UTC", "2026-04-10", 0, vec![]),
        ] {
            let zone = Zone::find(zone).unwrap();
            let day = crate::model::days_since_1970(date.parse().unwrap());
            let midnight = zone.midnight(day);
            let found = stretches(&zone, day, hours);
            let found: Vec<_> = found.iter().map(|range| (range.from.since(midnight) / hour, range.len())).collect();
            assert_eq!(found, expected, "{date} in {}", zone.name());
        }
    }
}
