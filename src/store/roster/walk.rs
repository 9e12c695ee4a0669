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
use crate::store::scan::CLOCKS;
use crate::store::sql::{Cell, Row, Sql};

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
        let mut found = Vec::new();
        for half in CLOCKS {
            found.extend(self.events(half, (user, range), wanted)?);
        }
        found.sort_unstable_by_key(|item| Reverse(item.place()));
        found.truncate(wanted);
        self.found.extend(found);
        Ok(())
    }

    /// The newest events of a range that lie below the bound, of one half of [`CLOCKS`].
    fn events(&self, (clock, at): (&str, &str), (user, range): (i64, TimeRange), wanted: usize) -> Result<Vec<Found>> {
        let sql = format!(
            "{EVENTS} WHERE e.env_id = $1 AND {clock} AND e.user_id = $2 AND {at} >= $3 AND {at} < $4 \
             AND ({at}, e.event_id) < ($5, $6) ORDER BY {at} DESC, e.event_id DESC LIMIT $7"
        );
        let ends = [self.page.environment.0, user, range.from.0, range.to.0, self.bound.at];
        let mut params: Vec<Cell> = ends.map(Cell::Int).to_vec();
        params.push(Cell::Uuid(self.bound.id));
        params.push(i64::try_from(wanted).unwrap_or(i64::MAX).into());
        Ok(self.db.rows(&sql, &params)?.iter().map(event).collect())
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
