//! The search for a user's events. There is no index of events by user: the days and hours in which the user was seen
//! tell where to look, and within those the events are filtered.

use std::cmp::Reverse;
use std::time::Duration;

use super::sessions::{Of, quiet};
use super::users::{days, sighted};
use crate::clock::Deadline;
use crate::model::{Cursor, CursorKey, Millis, TimeRange, TimelineItem, TimelinePage, Zone};
use crate::rollup::Bucket;
use crate::store::Result;
use crate::store::report::{EVENTS, event_row};
use crate::store::sql::{Cell, Row, Sql};

/// How far claimed times may be from ours where an event is looked for at first.
const NEAR: i64 = 10 * Millis::MINUTE;

/// How far at second, where an hour in which the user was seen has shown none: a clock on another zone's time.
const WIDE: i64 = 26 * Millis::HOUR;

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
    /// The row of what an app tells of the user, where it does.
    profile: Option<i64>,
    bound: Bound,
    /// How many are wanted.
    limit: usize,
    /// Events with claimed times of before or after all that is counted, once they were looked for.
    far: Option<Vec<Found>>,
    /// Newest first.
    pub(super) found: Vec<Found>,
}

impl<'a> Walk<'a> {
    /// A search for one event more than the page has.
    pub(super) fn new(db: &'a dyn Sql, page: &'a TimelinePage, profile: Option<i64>) -> Self {
        let bound = Bound::of(page.before.as_ref());
        Self { db, page, profile, bound, limit: page.limit as usize + 1, far: None, found: Vec::new() }
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

    /// The events of hours that follow each other.
    fn stretch(&mut self, user: i64, range: TimeRange) -> Result<()> {
        let wanted = self.limit - self.found.len();
        let mut found = self.events(user, Window::around(range, NEAR), range, wanted)?;
        // What lies before the last of a full page is the next page's.
        let from = if found.len() < wanted { range.from } else { found.last().map_or(range.from, |last| last.item.at) };
        let mut silent = self.silent(user, TimeRange { from, to: range.to }, &found)?;
        if !silent.is_empty()
            && let Some(profile) = self.profile
        {
            // A device that said who it is was seen, and nothing needs to have happened on it.
            let quiet = quiet(self.db, self.page.environment, profile, range)?;
            silent.retain(|hour| !quiet.iter().any(|span| span.from < hour.to && span.to >= hour.from));
        }
        if !silent.is_empty() {
            for window in Window::around(range, NEAR).within(range, WIDE) {
                let wide = self.events(user, window, range, wanted)?;
                silent.retain(|hour| !wide.iter().any(|event| hour.contains(event.item.at)));
                found.extend(wide);
            }
        }
        if !silent.is_empty() {
            found.extend(self.far(user, range)?);
        }
        found.sort_unstable_by_key(|item| Reverse(item.place()));
        found.truncate(wanted);
        self.found.extend(found);
        Ok(())
    }

    /// The hours of a stretch that have shown no event, though the user was seen in them.
    fn silent(&self, user: i64, range: TimeRange, found: &[Found]) -> Result<Vec<TimeRange>> {
        let mut silent = Vec::new();
        let mut from = range.to;
        while from > range.from {
            let hour = TimeRange { from: from.plus(-Millis::HOUR), to: from };
            from = hour.from;
            if hour.from.0 > self.bound.at || found.iter().any(|event| hour.contains(event.item.at)) {
                continue;
            }
            // In the hour that an earlier page has ended in, its events speak for it.
            if hour.to.0 > self.bound.at && self.is_heard(user, hour)? {
                continue;
            }
            silent.push(hour);
        }
        Ok(silent)
    }

    fn is_heard(&self, user: i64, hour: TimeRange) -> Result<bool> {
        let window = Window::around(hour, NEAR);
        let sql = "SELECT 1 FROM events WHERE env_id = $1 AND claimed_at >= $2 AND claimed_at < $3 AND user_id = $4 \
                   AND claimed_at + skew >= $5 AND claimed_at + skew < $6 LIMIT 1";
        let ends = [window.from, window.to, user, hour.from.0, hour.to.0];
        let params: Vec<Cell> = [self.page.environment.0].into_iter().chain(ends).map(Cell::Int).collect();
        Ok(self.db.row(sql, &params)?.is_some())
    }

    /// The newest events of a stretch that lie below the bound, of those claimed in a window.
    fn events(&self, user: i64, window: Window, range: TimeRange, wanted: usize) -> Result<Vec<Found>> {
        let sql = [
            EVENTS,
            "WHERE e.env_id = $1 AND e.claimed_at >= $2 AND e.claimed_at < $3 AND e.user_id = $4 \
             AND e.claimed_at + e.skew >= $5 AND e.claimed_at + e.skew < $6 \
             AND (e.claimed_at + e.skew, e.event_id) < ($7, $8) \
             ORDER BY e.claimed_at + e.skew DESC, e.event_id DESC LIMIT $9",
        ]
        .concat();
        let ends = [window.from, window.to, user, range.from.0, range.to.0, self.bound.at];
        let mut params: Vec<Cell> = [self.page.environment.0].into_iter().chain(ends).map(Cell::Int).collect();
        params.push(Cell::Uuid(self.bound.id));
        params.push(i64::try_from(wanted).unwrap_or(i64::MAX).into());
        Ok(self.db.rows(&sql, &params)?.iter().map(event).collect())
    }

    /// Those of a stretch whose clocks were never set, or run ahead of everything.
    fn far(&mut self, user: i64, range: TimeRange) -> Result<Vec<Found>> {
        let far = match self.far.take() {
            Some(far) => far,
            None => {
                let sql = "SELECT min(bucket), max(bucket) FROM rollup_hours \
                           WHERE env_id = $1 AND dimension = 0 AND events > 0";
                let ends = self.db.row(sql, &[self.page.environment.0.into()])?;
                let end = |column, by| ends.as_ref().map_or(0, |row| Bucket(row.int(column)).start().plus(by).0);
                let all = TimeRange { from: Millis(i64::MIN), to: Millis(i64::MAX) };
                let mut far = Vec::new();
                for (from, to) in [(i64::MIN, end(0, -WIDE)), (end(1, WIDE), i64::MAX)] {
                    let found = self.events(user, Window { from, to }, all, self.limit)?;
                    far.extend(found);
                }
                far
            }
        };
        let (inside, rest) = far.into_iter().partition(|found: &Found| range.contains(found.item.at));
        self.far = Some(rest);
        Ok(inside)
    }
}

/// Claimed times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Window {
    from: i64,
    to: i64,
}

impl Window {
    fn around(range: TimeRange, by: i64) -> Self {
        Self { from: range.from.plus(-by).0, to: range.to.plus(by).0 }
    }

    /// What lies around this window in a wider one.
    fn within(self, range: TimeRange, by: i64) -> [Self; 2] {
        let wide = Self::around(range, by);
        [Self { from: wide.from, to: self.from }, Self { from: self.to, to: wide.to }]
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
