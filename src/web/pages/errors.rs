//! The errors of an environment: how many, how many sessions and users they spoil, and which they are.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{Ask, ErrorRow, ErrorsAsk, Metric, Query, Report};
use crate::store::StoreError;

use super::super::asking::Asking;
use super::super::board::{Board, Drawing};
use super::super::cards::{Card, cards, choosing};
use super::super::chart;
use super::super::error::{Page, PageError, page};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{self, Calendar, When, counted, grouped};
use super::super::frame::Frame;
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::table::{Cell, Form, Table};
use super::super::toolbar::Toolbar;
use super::super::waiting;

/// What is shown of a range, in its order on the page.
const METRICS: [Metric; 5] =
    [Metric::Errors, Metric::ErrorRate, Metric::Crashes, Metric::CrashFreeSessions, Metric::CrashFreeUsers];
/// Groups on the page.
const SHOWN: u32 = 100;
/// Groups in a file: as many as an app may have, and the one of all others.
const ALL: u32 = 2_001;
/// Longest search, in characters.
const SEARCH: usize = 100;

#[derive(Template)]
#[template(path = "pages/errors.html")]
struct Errors {
    frame: Frame,
    environment: String,
    toolbar: Toolbar,
    cards: Vec<Card>,
    drawing: Drawing,
    search: String,
    /// Hidden fields of the search.
    kept: Vec<(String, String)>,
    /// The same page without a search.
    all: String,
    rows: Vec<Row>,
    /// Whether there are more groups than are shown.
    cut: bool,
}

struct Row {
    href: String,
    title: String,
    /// Where it says more than the title.
    message: Option<String>,
    is_new: bool,
    crashes: Option<String>,
    events: String,
    /// Percent of the first row's events.
    width: String,
    users: String,
    sessions: String,
    versions: Vec<(String, String)>,
    first: When,
    last: When,
}

/// `GET /apps/{app}/errors` and `GET /apps/{app}/{env}/errors`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let Some((selection, search)) = read(&state, &on, &query.unwrap_or_default()).await? else {
        return waiting::show(State(state), on).await;
    };
    let path = state.site.link(&format!("{}/errors", on.path()));
    let asking = Asking::new(&state, on.environment.id, selection.filters.clone());
    let stretches = [Some(selection.range.whole), selection.compared.as_ref().map(|earlier| earlier.whole)];
    let (board, totals, mut errors) = tokio::try_join!(
        Board::ask(&asking, &selection, METRICS.to_vec()),
        asking.series(&METRICS, stretches.into_iter().flatten().collect()),
        ask(&state, &on, (&selection, &search), SHOWN + 1),
    )?;
    let cut = errors.len() > SHOWN as usize;
    errors.truncate(SHOWN as usize);
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let group = state.site.link(&format!("{}/error", on.path()));
    let most = errors.iter().map(|row| row.events).max().unwrap_or(0);
    let row =
        |error: &ErrorRow| row(error, format!("{group}{}", selection.with("group", &error.group)), most, &calendar);
    let mut kept = selection.pairs();
    kept.retain(|(name, _)| name != "q");
    page(&Errors {
        frame: Frame::app(&state, &on, "/errors"),
        environment: on.environment.slug.to_string(),
        toolbar: Toolbar::new(&selection, &path),
        cards: cards(&selection, &METRICS, &totals, &path),
        drawing: board.drawing(&selection, &calendar),
        kept,
        all: format!("{path}{}", selection.with("q", "")),
        rows: errors.iter().map(row).collect(),
        cut,
        search,
    })
}

/// The groups as a file: `GET /apps/{app}/errors.csv` and `.json`, with an environment or without.
pub async fn file(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let mut table = Table::new([
        "group",
        "message",
        "events",
        "crashes",
        "users",
        "sessions",
        "new",
        "first_seen",
        "last_seen",
        "versions",
    ]);
    if let Some((selection, search)) = read(&state, &on, &query.unwrap_or_default()).await? {
        let errors = ask(&state, &on, (&selection, &search), ALL).await?;
        table.rows.extend(errors.iter().map(cells));
    }
    table.answer(form, "errors")
}

/// Range and search of an address; nothing where no event has happened yet.
async fn read(state: &WebState, on: &AppVisit, query: &str) -> Result<Option<(Selection, String)>, PageError> {
    let fields = Fields::parse(query.as_bytes());
    let search: String = fields.get("q").trim().chars().take(SEARCH).collect();
    let selection = Selection::read(state, on, query).await?.map(|selection| choosing(selection, &METRICS));
    Ok(selection.map(|selection| (selection.keeping("q", &search), search)))
}

async fn ask(
    state: &WebState,
    on: &AppVisit,
    (selection, search): (&Selection, &str),
    limit: u32,
) -> Result<Vec<ErrorRow>, StoreError> {
    let (period, filters) = (selection.range.whole, selection.filters.clone());
    let ask = Ask::Errors(ErrorsAsk { period, filters, search: search.to_owned(), limit });
    match state.reports.report(Query { environment: on.environment.id, ask }).await?.as_ref() {
        Report::Errors(rows) => Ok(rows.clone()),
        _ => Err(StoreError::Unexpected("a report of another shape than asked for".to_owned())),
    }
}

fn row(error: &ErrorRow, href: String, most: i64, calendar: &Calendar) -> Row {
    let line = error.message.lines().next().unwrap_or_default();
    Row {
        href,
        message: (!error.group.ends_with(line)).then(|| line.to_owned()),
        title: error.group.clone(),
        is_new: error.is_new,
        crashes: (error.crashes > 0).then(|| counted(error.crashes, "crash", "crashes")),
        events: grouped(error.events),
        width: format!("{:.1}%", error.events as f64 / most.max(1) as f64 * 100.0),
        users: counted(error.users, "user", "users"),
        sessions: counted(error.sessions, "session", "sessions"),
        versions: error.versions.iter().map(|(name, n)| (format::value(name.as_deref()), grouped(*n))).collect(),
        first: calendar.glance(error.first_at),
        last: calendar.glance(error.last_at),
    }
}

fn cells(error: &ErrorRow) -> Vec<Cell> {
    let at = |at: crate::model::Millis| Cell::Text(at.timestamp().to_string());
    let version = |(name, n): &(Option<String>, i64)| format!("{}: {n}", format::value(name.as_deref()));
    vec![
        error.group.as_str().into(),
        error.message.as_str().into(),
        error.events.into(),
        error.crashes.into(),
        error.users.into(),
        error.sessions.into(),
        i64::from(error.is_new).into(),
        at(error.first_at),
        at(error.last_at),
        error.versions.iter().map(version).collect::<Vec<_>>().join(", ").into(),
    ]
}
