//! One group of errors: over time, by version and system, and its newest events.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect};

use crate::model::{Ask, Dimension, ErrorGroup, ErrorGroupAsk, Fact, Filters, Keep, Metric, Query, Report};
use crate::store::StoreError;

use super::super::chart;
use super::super::error::{Page, PageError, page};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{self, Calendar, When, grouped};
use super::super::frame::Frame;
use super::super::occurrence::{Occurrence, occurrences};
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::table::{Cell, Form, Table};
use super::super::toolbar::Toolbar;
use super::super::trend::{Asked, Trend};
use super::errors::count;

/// What is shown of a range.
const METRICS: [Metric; 2] = [Metric::Errors, Metric::Crashes];
/// Newest events shown.
const NEWEST: u32 = 10;

#[derive(Template)]
#[template(path = "pages/error_group.html")]
struct GroupPage {
    frame: Frame,
    toolbar: Toolbar,
    trend: Trend,
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

/// Events of the group by a fact.
struct Top {
    title: &'static str,
    rows: Vec<TopRow>,
    /// How many values are not listed.
    rest: Option<String>,
}

struct TopRow {
    href: String,
    label: String,
    count: String,
    share: String,
    /// Percent of the first row's.
    width: String,
}

/// `GET /apps/{app}/error?group=…`; without a group, the way to all of them.
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let (query, list) = (query.unwrap_or_default(), state.site.link(&format!("{}/errors", on.path())));
    let Some((selection, title)) = read(&state, &on, &query).await? else {
        return Ok(Redirect::to(&list).into_response());
    };
    let path = state.site.link(&format!("{}/error", on.path()));
    let filters = of_group(&selection, &title);
    let asked = asked(&on, &selection, &filters);
    let (trend, group) = tokio::try_join!(asked.trend(&state, &path), ask(&state, &on, (&selection, &title)))?;
    let ErrorGroup { row, versions, systems, newest } = group;
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let others = row.events - newest.len() as i64;
    let by = |title, fact, values: &[(Option<String>, i64)], all| {
        top(title, (values, all, row.events), |value| {
            format!("{path}{}", selection.with_filter(&Dimension::Fact(fact), Keep::Is, value))
        })
    };
    let frame = Frame::app(&state, &on, "/errors");
    page(&GroupPage {
        frame: Frame { title: format!("{title} · {}", on.app.name), ..frame },
        toolbar: Toolbar::new(&selection, &path),
        trend,
        back: format!("{list}{}", selection.with("group", "")),
        is_new: row.is_new,
        crashes: row.crashes > 0,
        users: count(row.users, "user", "users"),
        sessions: count(row.sessions, "session", "sessions"),
        first: calendar.moment(row.first_at),
        last: calendar.moment(row.last_at),
        tops: vec![
            by("Versions", Fact::Version, &row.versions, versions),
            by("Systems", Fact::System, &systems, systems.len() as u64),
        ],
        occurrences: occurrences(&newest, &calendar, &state.site.link(&format!("{}/users", on.path()))),
        others: (others > 0).then(|| count(others, "earlier event", "earlier events")),
        message: row.message,
        title,
    })
}

/// Its events over time as a file: `GET /apps/{app}/error.csv` and `.json`, with an environment or without.
pub async fn file(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let (selection, title) = read(&state, &on, &query.unwrap_or_default()).await?.ok_or(PageError::NotFound)?;
    ask(&state, &on, (&selection, &title)).await?;
    let filters = of_group(&selection, &title);
    let series = asked(&on, &selection, &filters).series(&state).await?;
    let mut table = Table::new(["from", "errors", "crashes"]);
    let row = |(at, period): (usize, &crate::model::Period)| {
        let count = |metric: usize| Cell::from(series.get(metric).and_then(|row| row.get(at)).copied().flatten());
        vec![period.range.from.timestamp().to_string().into(), count(0), count(1)]
    };
    table.rows.extend(selection.range.periods.iter().enumerate().map(row));
    table.answer(form, "error")
}

/// Range and group of an address; nothing where one is missing.
async fn read(state: &WebState, on: &AppVisit, query: &str) -> Result<Option<(Selection, String)>, PageError> {
    let fields = Fields::parse(query.as_bytes());
    let (group, search) = (fields.get("group").to_owned(), fields.get("q").to_owned());
    if group.is_empty() {
        return Ok(None);
    }
    let selection = Selection::read(state, on, query).await?;
    Ok(selection.map(|selection| (selection.keeping("q", &search).keeping("group", &group), group)))
}

/// The filters of the page, with the group itself.
fn of_group(selection: &Selection, title: &str) -> Filters {
    let others = selection.filters.clone().without(&Dimension::Error, Keep::Is);
    others.with(Dimension::Error, Keep::Is, Some(title.into()))
}

fn asked<'a>(on: &AppVisit, selection: &'a Selection, filters: &'a Filters) -> Asked<'a> {
    Asked { environment: on.environment.id, selection, filters, metrics: &METRICS }
}

async fn ask(state: &WebState, on: &AppVisit, (selection, title): (&Selection, &str)) -> Result<ErrorGroup, PageError> {
    let (period, filters) = (selection.range.whole, selection.filters.clone().without(&Dimension::Error, Keep::Is));
    let ask = Ask::ErrorGroup(ErrorGroupAsk { group: title.to_owned(), period, filters, newest: NEWEST });
    match state.reports.report(Query { environment: on.environment.id, ask }).await?.as_ref() {
        Report::ErrorGroup(Some(group)) => Ok(group.as_ref().clone()),
        Report::ErrorGroup(None) => Err(PageError::NotFound),
        _ => Err(StoreError::Unexpected("a report of another shape than asked for".to_owned()).into()),
    }
}

fn top(
    title: &'static str,
    (values, all, events): (&[(Option<String>, i64)], u64, i64),
    href: impl Fn(Option<&str>) -> String,
) -> Top {
    let most = values.first().map_or(1, |(_, count)| *count).max(1);
    let row = |(value, count): &(Option<String>, i64)| TopRow {
        href: href(value.as_deref()),
        label: format::value(value.as_deref()),
        count: grouped(*count),
        share: format::share(*count, events),
        width: format!("{:.1}%", *count as f64 / most as f64 * 100.0),
    };
    let rest = all.saturating_sub(values.len() as u64);
    Top {
        title,
        rows: values.iter().map(row).collect(),
        rest: (rest > 0).then(|| format!("and {}", count(rest.try_into().unwrap_or(i64::MAX), "other", "others"))),
    }
}
