//! `GET /api/v1/apps/{app}/events`: raw events, newest first.

use axum::extract::State;
use serde::Serialize;

use super::super::state::WebState;
use super::{Answer, ApiError, AppReader, Event, Params};
use crate::model::EventsPage;

/// Events of a page where the address does not say.
const USUAL: u32 = 100;
/// Most events of a page.
const MOST: u32 = 1_000;

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
    let list = List {
        app: on.app.slug.as_str(),
        environment: environment.slug.as_str(),
        events: found.rows.iter().map(Event::from).collect(),
        next: found.next.as_ref().map(ToString::to_string),
    };
    Ok(Answer::new(&list).going_on(found.next.as_ref().map(|next| params.going_on(next))))
}
