//! Raw events, newest first, and those that were set aside.

use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::time::Duration;

use super::super::Result;
use super::super::scan::{self, Beside, CLOCKS, Passing, Scope, Sieve};
use super::super::settled;
use super::super::sql::{Cell, Line, Row, Sql};
use crate::clock::Deadline;
use crate::model::{Cursor, CursorKey, EventId, EventList, EventRow, EventsPage, Millis, TimeRange, UserHash};

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

/// No further events are looked at after so long: then the page is short.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Events that are looked at together, at first and at the most.
const LOOKS: (i64, i64) = (500, 64_000);

/// Where so many were looked at and more are needed, those that pass are few, and settled days tell when each happened.
const RARE: i64 = 2_500;

/// Rows that are read together.
const ROWS: usize = 200;

/// A page of raw events.
pub fn events(db: &dyn Sql, page: &EventsPage) -> Result<EventList> {
    let sieve = Sieve::of(db, page.environment, &page.filters)?;
    if sieve.keeps_nothing() {
        return Ok(EventList::default());
    }
    let wanted = page.limit as usize;
    let search = Search { db, page, sieve, wanted: wanted + 1, deadline: Deadline::after(PATIENCE) };
    let (bound, floor) = (search.bound(), page.since.map_or(i64::MIN, |since| since.0));
    let (mut places, unseen) = match search.halves((bound, floor), Some(RARE))? {
        Some(found) => found,
        None => search.days((bound, floor))?,
    };
    places.sort_unstable_by_key(|place| Reverse(*place));
    // Where one half was not looked through, events of that time and before may be missing.
    places.retain(|place: &Place| unseen.is_none_or(|unseen| place.at > unseen));
    let mut next = unseen.map(|unseen| Cursor::before(Millis(unseen.saturating_add(1))));
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

/// The search for the newest events that pass, in the order of an index.
struct Search<'a> {
    db: &'a dyn Sql,
    page: &'a EventsPage,
    sieve: Sieve,
    wanted: usize,
    deadline: Deadline,
}

/// Events that were found, and, where looking took long, the time at which it ended: older ones may be missing.
type Found = (Vec<Place>, Option<i64>);

impl Search<'_> {
    /// The newest events that pass, below a place and down to a time, by the rows; none where more than `most` of a half would
    /// have to be looked at.
    fn halves(&self, (bound, floor): ((i64, [u8; 16]), i64), most: Option<i64>) -> Result<Option<Found>> {
        // Wrong clocks first: they alone stand in their index, while whoever looks for right ones passes by all. So those
        // are looked for only down to where the page is full.
        let [right, wrong] = CLOCKS;
        let Some((mut places, unseen)) = self.half(wrong, (bound, floor), most)? else { return Ok(None) };
        let full = places.get(self.wanted - 1).map(|place| place.at);
        let down_to = full.max(unseen).unwrap_or(floor).max(floor);
        let Some((others, until)) = self.half(right, (bound, down_to), most)? else { return Ok(None) };
        places.extend(others);
        Ok(Some((places, unseen.max(until))))
    }

    /// The same of one half of [`CLOCKS`].
    fn half(
        &self,
        half: (&str, &str),
        (mut bound, floor): ((i64, [u8; 16]), i64),
        most: Option<i64>,
    ) -> Result<Option<Found>> {
        let (mut found, mut all, mut next) = (Vec::new(), 0, LOOKS.0);
        loop {
            let (last, looked) = self.batch(half, (bound, floor, next), &mut found)?;
            if found.len() >= self.wanted || looked < next {
                return Ok(Some((found, None)));
            }
            if self.deadline.passed() {
                return Ok(Some((found, Some(last.0))));
            }
            all += looked;
            if most.is_some_and(|most| all >= most) {
                return Ok(None);
            }
            (bound, next) = (last, (next * 4).min(LOOKS.1));
        }
    }

    /// The same day by day, from the newest settled one to the first that is not settled.
    fn days(&self, (bound, floor): ((i64, [u8; 16]), i64)) -> Result<Found> {
        let environment = self.page.environment;
        let newest = settled::newest(self.db, environment)?.map_or(floor, |day| day.to.0.max(floor));
        let (mut found, unseen) = self.halves((bound, newest), None)?.unwrap_or_default();
        let mut bound = bound.min((newest.saturating_sub(1), [0xff; 16]));
        if unseen.is_some() {
            return Ok((found, unseen));
        }
        while bound.0 >= floor && found.len() < self.wanted {
            let begin = bound.0.div_euclid(Millis::DAY).saturating_mul(Millis::DAY).max(floor);
            let range = TimeRange { from: Millis(begin), to: Millis(bound.0.saturating_add(1)) };
            let Some(mut times) = scan::times(self.db, Scope { environment, range, sieve: &self.sieve })? else {
                let (others, unseen) = self.halves((bound, floor), None)?.unwrap_or_default();
                found.extend(others);
                return Ok((found, unseen));
            };
            times.sort_unstable_by_key(|at| Reverse(*at));
            times.dedup();
            self.named((bound, &times), &mut found)?;
            bound = (begin.saturating_sub(1), [0xff; 16]);
            if self.deadline.passed() && found.len() < self.wanted {
                return Ok((found, Some(bound.0)));
            }
        }
        Ok((found, None))
    }

    /// Adds the events of these times, newest first, that pass and stand below a place, until there are enough.
    fn named(&self, (bound, times): ((i64, [u8; 16]), &[Millis]), found: &mut Vec<Place>) -> Result<()> {
        for times in times.chunks(ROWS) {
            let marks: Vec<_> = (2..2 + times.len()).map(|number| format!("${number}")).collect();
            let params = std::iter::once(self.page.environment.0).chain(times.iter().map(|at| at.0));
            let params: Vec<_> = params.map(Cell::Int).collect();
            for (clock, at) in CLOCKS {
                let sql = format!(
                    "SELECT {} FROM events WHERE env_id = $1 AND {clock} AND {at} IN ({})",
                    self.columns(),
                    marks.join(", ")
                );
                self.db.stream(&sql, &params, &mut |line| {
                    let (place, passes) = self.place(line);
                    if passes && (place.at, place.id) < bound {
                        found.push(place);
                    }
                    ControlFlow::Continue(())
                })?;
            }
            if found.len() >= self.wanted {
                break;
            }
        }
        Ok(())
    }

    /// What is read of an event.
    fn columns(&self) -> String {
        let props = if self.sieve.wants_props() { ", props" } else { "" };
        [scan::COLUMNS, ", claimed_at, event_id", props].concat()
    }

    /// Where an event stands, and whether it passes.
    fn place(&self, line: &dyn Line) -> (Place, bool) {
        let passing = Passing::of(line, Beside::Place, &self.sieve);
        let (claimed_at, id) = passing.place();
        (Place { at: passing.glance.at.0, id, claimed_at }, self.sieve.passes(&passing))
    }

    /// Events at this place and later ones belong to an earlier page.
    fn bound(&self) -> (i64, [u8; 16]) {
        match &self.page.after {
            Some(Cursor { key: CursorKey::Number(at), id }) => (*at, *id),
            Some(Cursor { key: CursorKey::Text(_), .. }) | None => (i64::MAX, [0xff; 16]),
        }
    }

    /// Looks at the next events below a place, so many at the most: the last one's place, and how many there were.
    fn batch(
        &self,
        (clock, at): (&str, &str),
        (bound, floor, most): ((i64, [u8; 16]), i64, i64),
        found: &mut Vec<Place>,
    ) -> Result<((i64, [u8; 16]), i64)> {
        let mut params =
            vec![Cell::Int(self.page.environment.0), Cell::Int(bound.0), Cell::Uuid(bound.1), Cell::Int(floor)];
        let errors = self.sieve.errors_alone(&mut params);
        params.push(Cell::Int(most));
        let sql = format!(
            "SELECT {} FROM events WHERE env_id = $1 AND {clock} AND {at} <= $2 \
             AND ({at}, event_id) < ($2, $3) AND {at} >= $4{errors} ORDER BY {at} DESC, event_id DESC LIMIT ${}",
            self.columns(),
            params.len()
        );
        let (mut last, mut looked) = (bound, 0);
        self.db.stream(&sql, &params, &mut |line| {
            let (place, passes) = self.place(line);
            (last, looked) = ((place.at, place.id), looked + 1);
            if passes {
                found.push(place);
            }
            if found.len() >= self.wanted { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        Ok((last, looked))
    }
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
