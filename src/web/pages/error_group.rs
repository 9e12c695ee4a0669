//! One group of errors: over time, by version and system, and its newest events.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect};

use crate::model::{
    Ask, Breakdown, BreakdownRow, Dimension, ErrorGroup, ErrorGroupAsk, Fact, Keep, Metric, Query, Report,
};
use crate::store::StoreError;

use super::super::asking::Asking;
use super::super::board::{Board, Drawing};
use super::super::cards::{Card, cards, choosing};
use super::super::chart;
use super::super::error::{Page, PageError, page};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{Calendar, When, counted};
use super::super::frame::Frame;
use super::super::occurrence::{Occurrence, occurrences};
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::table::{Form, Table};
use super::super::toolbar::Toolbar;
use super::super::tops::{Top, top};

/// What is shown of a range.
const METRICS: [Metric; 2] = [Metric::Errors, Metric::Crashes];
/// Newest events shown.
const NEWEST: u32 = 10;

#[derive(Template)]
#[template(path = "pages/error_group.html")]
struct GroupPage {
    frame: Frame,
    toolbar: Toolbar,
    cards: Vec<Card>,
    drawing: Drawing,
    back: String,
    title: String,
    message: String,
    is_new: bool,
    crashes: bool,
    users: String,
    sessions: String,
    first: When,
    last: When,
    tops: Vec<Top>,
    occurrences: Vec<Occurrence>,
    /// How many events of the range are not shown.
    others: Option<String>,
}

/// `GET /apps/{app}/error?group=…`; without a group, the way to all of them.
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let (query, list) = (query.unwrap_or_default(), state.site.link(&format!("{}/errors", on.path())));
    let Some((selection, title)) = read(&state, &on, &query).await? else {
        return Ok(Redirect::to(&list).into_response());
    };
    let path = state.site.link(&format!("{}/error", on.path()));
    let asking = asking(&state, &on, &selection, &title);
    let stretches = [Some(selection.range.whole), selection.compared.as_ref().map(|earlier| earlier.whole)];
    let (board, totals, group) = tokio::try_join!(
        Board::ask(&asking, &selection, METRICS.to_vec()),
        asking.series(&METRICS, stretches.into_iter().flatten().collect()),
        ask(&state, &on, (&selection, &title)),
    )?;
    let Some(ErrorGroup { row, versions, systems, newest }) = group else { return Err(PageError::NotFound) };
    let calendar = Calendar::new(on.app.zone.clone(), selection.ground.now);
    let others = row.events - newest.len() as i64;
    let by = |title, fact, values: &[(Option<String>, i64)], all| {
        top(title, &Dimension::Fact(fact), &breakdown(values, row.events, all), (&selection, &path))
    };
    let frame = Frame::app(&state, &on, "/errors");
    page(&GroupPage {
        frame: Frame { title: format!("{title} · {}", on.app.name), ..frame },
        toolbar: Toolbar::new(&selection, &path),
        cards: cards(&selection, &METRICS, &totals, &path),
        drawing: board.drawing(&selection, &calendar),
        back: format!("{list}{}", selection.with("group", "")),
        is_new: row.is_new,
        crashes: row.crashes > 0,
        users: counted(row.users, "user", "users"),
        sessions: counted(row.sessions, "session", "sessions"),
        first: calendar.moment(row.first_at),
        last: calendar.moment(row.last_at),
        tops: vec![
            by("Versions", Fact::Version, &row.versions, versions),
            by("Systems", Fact::System, &systems, systems.len() as u64),
        ],
        occurrences: occurrences(&newest, &calendar, &state.site.link(&format!("{}/users", on.path()))),
        others: (others > 0).then(|| counted(others, "earlier event", "earlier events")),
        message: row.message,
        title,
    })
}

/// Its events over time as a file: `GET /apps/{app}/error.csv` and `.json`, with an environment or without.
pub async fn file(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let Some((selection, title)) = read(&state, &on, &query.unwrap_or_default()).await? else {
        return Table::new(["period", "start"]).answer(form, "error");
    };
    let asking = asking(&state, &on, &selection, &title);
    let (board, group) =
        tokio::try_join!(Board::ask(&asking, &selection, METRICS.to_vec()), ask(&state, &on, (&selection, &title)),)?;
    match group {
        Some(_) => board.table(&selection).answer(form, "error"),
        None => Err(PageError::NotFound),
    }
}

/// Range and group of an address; nothing where one is missing.
async fn read(state: &WebState, on: &AppVisit, query: &str) -> Result<Option<(Selection, String)>, PageError> {
    let fields = Fields::parse(query.as_bytes());
    let (group, search) = (fields.get("group").to_owned(), fields.get("q").to_owned());
    if group.is_empty() {
        return Ok(None);
    }
    let selection = Selection::read(state, on, query).await?.map(|selection| choosing(selection, &METRICS));
    Ok(selection.map(|selection| (selection.keeping("q", &search).keeping("group", &group), group)))
}

/// About the events of the group that the filters keep.
fn asking<'a>(state: &'a WebState, on: &AppVisit, selection: &Selection, title: &str) -> Asking<'a> {
    let others = selection.filters.clone().without(&Dimension::Error, Keep::Is);
    Asking::new(state, on.environment.id, others.with(Dimension::Error, Keep::Is, Some(title.into())))
}

async fn ask(
    state: &WebState,
    on: &AppVisit,
    (selection, title): (&Selection, &str),
) -> Result<Option<ErrorGroup>, StoreError> {
    let (period, filters) = (selection.range.whole, selection.filters.clone().without(&Dimension::Error, Keep::Is));
    let ask = Ask::ErrorGroup(ErrorGroupAsk { group: title.to_owned(), period, filters, newest: NEWEST });
    match state.reports.report(Query { environment: on.environment.id, ask }).await?.as_ref() {
        Report::ErrorGroup(group) => Ok(group.as_deref().cloned()),
        _ => Err(StoreError::Unexpected("a report of another shape than asked for".to_owned())),
    }
}

fn breakdown(values: &[(Option<String>, i64)], events: i64, all: u64) -> Breakdown {
    let row =
        |(value, count): &(Option<String>, i64)| BreakdownRow { value: value.clone(), metrics: vec![Some(*count)] };
    Breakdown { rows: values.iter().map(row).collect(), together: vec![Some(events)], values: all }
}
