//! Raw events, newest first, and those that were set aside.

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::time::Duration;

use super::super::Result;
use super::super::scan::{Beside, Scope, Sieve, scan_beside};
use super::super::sql::{Cell, Row, Sql};
use crate::clock::Deadline;
use crate::model::{
    AppId, Cursor, CursorKey, EventId, EventList, EventRow, EventsPage, Millis, Reason, SetAsideRow, TimeRange,
    UserHash,
};
use crate::rollup::Bucket;

macro_rules! events_from {
    ($table:literal) => {
        concat!(
            "SELECT e.event_id, e.claimed_at + e.skew, e.claimed_at + e.skew + e.delay, n.text, \
             c.text, u.hash, v.text, s.text, e.props, e.session_id FROM ",
            $table,
            " JOIN strings n ON n.id = e.name_id JOIN facts f ON f.id = e.facts_id \
             LEFT JOIN strings c ON c.id = e.category_id LEFT JOIN users u ON u.id = e.user_id \
             LEFT JOIN strings v ON v.id = f.version LEFT JOIN strings s ON s.id = f.system "
        )
    };
}

/// Events with what [`event_row`] reads of them, and their session.
pub(in crate::store) const EVENTS: &str = events_from!("events e");

/// The same of those that are named in `k`. SQLite takes the tables of a CROSS JOIN in their order; else it would look
/// through all events for them.
const NAMED: &str = events_from!("k CROSS JOIN events e");

/// No further stretch is begun after so long: then the page is short.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Events of the first stretch that is looked through, of which a page mostly has enough.
const FEW: i64 = 1_000;
/// Events of a stretch at the most, as far as hours can be cut.
const MANY: i64 = 64_000;
/// Parts of an hour at the most.
const PARTS: i64 = 60;

/// Hours that are read together.
const CHUNK: i64 = 1_000;

/// Rows that are read together.
const ROWS: usize = 200;

/// A page of raw events.
pub fn events(db: &dyn Sql, page: &EventsPage) -> Result<EventList> {
    let sieve = Sieve::of(db, page.environment, &page.filters)?;
    if sieve.keeps_nothing() {
        return Ok(EventList::default());
    }
    let wanted = page.limit as usize;
    let mut search = Search { db, page, sieve, found: Vec::new() };
    let mut next = search.run(wanted + 1)?.map(Cursor::before);
    let mut places = search.found;
    if places.len() > wanted {
        places.truncate(wanted);
        next = places.last().map(|place| Cursor { key: CursorKey::Number(place.at), id: place.id });
    }
    Ok(EventList { rows: rows(db, page, &places)?, next })
}

/// Where an event stands in the list, and what leads to its row. Ordered as the list is, backwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    at: i64,
    id: [u8; 16],
    claimed_at: i64,
}

/// The search, stretch by stretch into the past.
struct Search<'a> {
    db: &'a dyn Sql,
    page: &'a EventsPage,
    sieve: Sieve,
    /// Newest first.
    found: Vec<Place>,
}

impl Search<'_> {
    /// Looks until there are so many. Where looking took long, the instant before which it did not look any more.
    fn run(&mut self, wanted: usize) -> Result<Option<Millis>> {
        let deadline = Deadline::after(PATIENCE);
        let (mut to, _) = self.bound();
        to = to.saturating_add(1);
        let mut looked = false;
        loop {
            let hours = self.hours(to)?;
            let Some((earliest, _)) = hours.last() else { return Ok(None) };
            for stretch in stretches(&hours, to) {
                if looked && deadline.passed() {
                    return Ok(Some(stretch.to));
                }
                looked = true;
                self.stretch(stretch, wanted)?;
                if self.found.len() >= wanted {
                    return Ok(None);
                }
            }
            to = *earliest;
        }
    }

    /// Events at this place and later ones belong to an earlier page.
    fn bound(&self) -> (i64, [u8; 16]) {
        match &self.page.after {
            Some(Cursor { key: CursorKey::Number(at), id }) => (*at, *id),
            Some(Cursor { key: CursorKey::Text(_), .. }) | None => (i64::MAX, [0xff; 16]),
        }
    }

    /// The latest hours before an instant in which something has happened, and how many events they have.
    fn hours(&self, to: i64) -> Result<Vec<(i64, i64)>> {
        let sql = "SELECT bucket, events FROM rollup_hours WHERE env_id = $1 AND dimension = 0 AND bucket > $2 \
                   AND bucket < $3 AND events > 0 ORDER BY bucket DESC LIMIT $4";
        let from = self.page.since.map_or(i64::MIN, |since| Bucket::at_or_after(since.plus(-Millis::HOUR)).0 - 1);
        let to = Bucket::at_or_after(Millis(to)).0;
        let params = [self.page.environment.0, from, to, CHUNK].map(Cell::Int);
        let read = |row: &Row| (Bucket(row.int(0)).start().0, row.int(1));
        Ok(self.db.rows(sql, &params)?.iter().map(read).collect())
    }

    fn stretch(&mut self, stretch: TimeRange, wanted: usize) -> Result<()> {
        let from = self.page.since.map_or(stretch.from, |since| since.max(stretch.from));
        let scope =
            Scope { environment: self.page.environment, range: TimeRange { from, to: stretch.to }, sieve: &self.sieve };
        let (bound, room) = (self.bound(), wanted - self.found.len());
        let mut found: Vec<Place> = Vec::new();
        scan_beside(self.db, scope, Beside::Place, &mut |event| {
            let (claimed_at, id) = event.place();
            let at = event.glance.at.0;
            if (at, id) < bound {
                if found.len() >= 2 * room + ROWS {
                    keep_newest(&mut found, room);
                }
                found.push(Place { at, id, claimed_at });
            }
            ControlFlow::Continue(())
        })?;
        keep_newest(&mut found, room);
        self.found.extend(found);
        Ok(())
    }
}

fn keep_newest(places: &mut Vec<Place>, most: usize) {
    places.sort_unstable_by_key(|place| Reverse(*place));
    places.truncate(most);
}

/// Cuts hours, the latest first, into stretches that end at `to`: of few events at first, then of more, and never of many
/// more than it takes a moment to look through.
fn stretches(hours: &[(i64, i64)], to: i64) -> Vec<TimeRange> {
    let mut stretches = Vec::new();
    let mut stretch = |from: i64, to: i64| stretches.push(TimeRange { from: Millis(from), to: Millis(to) });
    let (mut end, mut before, mut events, mut enough) = (to, to, 0, FEW);
    for (start, own) in hours {
        let own_end = before.min(start.saturating_add(Millis::HOUR));
        if *own > MANY {
            if events > 0 {
                stretch(before, end);
            }
            events = 0;
            let parts = (own / MANY + 1).min(PARTS);
            let edge = |part: i64| start + (own_end - start) * part / parts;
            (0..parts).rev().for_each(|part| stretch(edge(part), edge(part + 1)));
        } else {
            if events == 0 {
                end = own_end;
            }
            events += own;
            if events >= enough {
                stretch(*start, end);
                (events, enough) = (0, (enough * 4).min(MANY));
            }
        }
        before = *start;
    }
    if events > 0 {
        stretch(before, end);
    }
    stretches
}

/// The events at these places, in their order.
fn rows(db: &dyn Sql, page: &EventsPage, places: &[Place]) -> Result<Vec<EventRow>> {
    let mut found = Vec::with_capacity(places.len());
    for places in places.chunks(ROWS) {
        let mut params: Vec<Cell> = Vec::with_capacity(2 * places.len() + 1);
        let mut values = String::new();
        for place in places {
            params.extend([Cell::Int(place.claimed_at), Cell::Uuid(place.id)]);
            let comma = if values.is_empty() { "" } else { ", " };
            values.push_str(&format!("{comma}(${}, ${})", params.len() - 1, params.len()));
        }
        params.push(page.environment.0.into());
        let sql = [
            "WITH k (claimed_at, event_id) AS (VALUES ",
            &values,
            ") ",
            NAMED,
            "WHERE e.claimed_at = k.claimed_at AND e.event_id = k.event_id AND e.env_id = $",
            &params.len().to_string(),
        ]
        .concat();
        found.extend(db.rows(&sql, &params)?.iter().map(event_row));
    }
    found.sort_unstable_by_key(|row: &EventRow| Reverse((row.occurred_at, row.id)));
    Ok(found)
}

/// Events kept aside for an app, newest first, and how many there are.
pub fn set_aside(db: &dyn Sql, app: AppId, limit: u32) -> Result<(Vec<SetAsideRow>, u64)> {
    let count = db.value("SELECT count(*) FROM set_aside WHERE app_id = $1", &[app.0.into()])?.int();
    let sql = "SELECT received_at, reason, detail, body FROM set_aside WHERE app_id = $1 ORDER BY id DESC LIMIT $2";
    let read = |row: &Row| SetAsideRow {
        received_at: Millis(row.int(0)),
        reason: Reason::parse(&row.text(1)).unwrap_or(Reason::Invalid),
        detail: row.text(2),
        body: row.text(3),
    };
    let rows = db.rows(sql, &[app.0.into(), i64::from(limit).into()])?;
    Ok((rows.iter().map(read).collect(), u64::try_from(count).unwrap_or(0)))
}

/// From a row of [`EVENTS`].
pub(in crate::store) fn event_row(row: &Row) -> EventRow {
    EventRow {
        id: EventId(row.array(0).unwrap_or_default()),
        occurred_at: Millis(row.int(1)),
        received_at: Millis(row.int(2)),
        name: row.text(3),
        category: row.some_text(4),
        user: row.array(5).map(UserHash),
        version: row.some_text(6),
        system: row.some_text(7),
        props: row.some_text(8),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_hold_every_hour_with_events_once() {
        let hour = |number: i64| number * Millis::HOUR;
        for (hours, to, expected) in [
            (&[][..], hour(9), &[][..]),
            (&[(8, 5)], hour(8) + 1, &[(hour(8), hour(8) + 1)]),
            (&[(8, 5), (3, 5)], i64::MAX, &[(hour(3), hour(9))]),
            (&[(8, FEW), (3, FEW), (1, 1)], i64::MAX, &[(hour(8), hour(9)), (hour(1), hour(4))]),
            (
                &[(8, 1), (7, MANY + 1), (6, 1)],
                i64::MAX,
                &[
                    (hour(8), hour(9)),
                    (hour(7) + hour(1) / 2, hour(8)),
                    (hour(7), hour(7) + hour(1) / 2),
                    (hour(6), hour(7)),
                ],
            ),
        ] {
            let hours: Vec<_> = hours.iter().map(|(number, events)| (hour(*number), *events)).collect();
            let found: Vec<_> = stretches(&hours, to).iter().map(|range| (range.from.0, range.to.0)).collect();
            assert_eq!(found, expected, "{hours:?}");
        }
    }
}
