//! `GET /api/v1/apps/{app}/events`: raw events, newest first.

use axum::extract::State;
use serde::Serialize;

use super::super::state::WebState;
use super::{Answer, ApiError, AppReader, Event, Params};
use crate::model::{Cursor, CursorKey, EventList, EventRow, EventsPage};

/// Events of a page where the address does not say.
const USUAL: u32 = 100;
/// Most events of a page.
const MOST: u32 = 1_000;
/// Bytes of properties after which a page ends, whatever is left of it.
const BYTES: usize = 8 << 20;

#[derive(Serialize)]
struct List<'a> {
    app: &'a str,
    environment: &'a str,
    events: Vec<Event<'a>>,
    /// Where it goes on, if it does. A page may be short and go on, where looking took long.
    next: Option<String>,
}

/// Answers with a page, and with the cursor of the next.
pub async fn list(State(state): State<WebState>, on: AppReader, mut params: Params) -> Result<Answer, ApiError> {
    let environment = params.environment(&on.app)?;
    let (after, since, limit) = (params.cursor()?, params.instant("since")?, params.limit(USUAL, MOST)?);
    let filters = params.filters()?;
    params.end()?;
    let page = EventsPage { environment: environment.id, filters, since, after, limit };
    let found = state.reports.events(page).await?;
    let (rows, next) = within_bounds(&found);
    let list = List {
        app: on.app.slug.as_str(),
        environment: environment.slug.as_str(),
        events: rows.iter().map(Event::from).collect(),
        next: next.as_ref().map(ToString::to_string),
    };
    Ok(Answer::new(&list).going_on(next.map(|next| params.going_on(&next))))
}

/// As many events as may stand in one answer, one at least, and where the list goes on.
fn within_bounds(found: &EventList) -> (&[EventRow], Option<Cursor>) {
    let mut bytes = 0;
    let large = found.rows.iter().position(|row| {
        bytes += row.props.as_ref().map_or(0, String::len);
        bytes > BYTES
    });
    match large.map(|place| &found.rows[..place.max(1)]) {
        Some(rows) if rows.len() < found.rows.len() => {
            let place = |row: &EventRow| Cursor { key: CursorKey::Number(row.occurred_at.0), id: row.id.0 };
            (rows, rows.last().map(place))
        }
        Some(_) | None => (&found.rows, found.next.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{EventId, Millis};

    #[test]
    fn large_events_make_short_pages_that_go_on() {
        let row = |n: u8, bytes: usize| EventRow {
            id: EventId([n; 16]),
            occurred_at: Millis(100 - i64::from(n)),
            received_at: Millis(200),
            name: "e".to_owned(),
            category: None,
            user: None,
            version: None,
            system: None,
            props: Some("x".repeat(bytes)),
        };
        let cursor = |n: u8| Some(Cursor { key: CursorKey::Number(100 - i64::from(n)), id: [n; 16] });
        for (sizes, shown, next) in [
            (&[1, 1, 1][..], 3, cursor(9)),
            (&[BYTES, 1, 1], 1, cursor(0)),
            (&[BYTES + 1, 1], 1, cursor(0)),
            (&[BYTES / 2, BYTES / 2, 1], 2, cursor(1)),
            (&[BYTES + 1], 1, cursor(9)),
            (&[], 0, cursor(9)),
        ] {
            let rows = sizes.iter().zip(0..).map(|(bytes, n)| row(n, *bytes)).collect();
            let found = EventList { rows, next: cursor(9) };
            let (rows, goes_on) = within_bounds(&found);
            assert_eq!((rows.len(), goes_on), (shown, next), "{sizes:?}");
        }
    }
}
