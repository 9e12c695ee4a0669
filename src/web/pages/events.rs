//! The events of an environment by name: how many, by whom, and how they come and go.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{BreakdownRow, Dimension, Metric, TrendsAsk};

use super::super::asking::{Asking, optional};
use super::super::chart::{self, Bar};
use super::super::error::{Page, PageError, page};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{self, grouped};
use super::super::frame::{Frame, Tab};
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::table::{Cell, Form, Table};
use super::super::toolbar::Toolbar;
use super::super::waiting;

/// Most names that are listed.
const MOST: u32 = 200;
/// Most names that a search looks at.
const SEARCHED: u32 = 2_000;
/// Most rows with a small chart.
const TRENDS: usize = 60;
/// Where a range has more events, the users of each name are not counted: all of its events would have to be read.
const COUNTED: i64 = 1_000_000;

/// The orders, by name and label.
const SORTS: [(&str, &str); 3] = [("events", "Events"), ("users", "Users"), ("name", "Name")];

#[derive(Template)]
#[template(path = "pages/events.html")]
struct Events {
    frame: Frame,
    environment: String,
    toolbar: Toolbar,
    search: String,
    /// Hidden fields of the search.
    kept: Vec<(String, String)>,
    all: String,
    sorts: Vec<Tab>,
    rows: Vec<Row>,
    /// Whether users are counted.
    with_users: bool,
    /// How many names there are, where not all are listed.
    cut: Option<String>,
}

struct Row {
    name: String,
    href: String,
    events: String,
    share: String,
    users: String,
    trend: Vec<Bar>,
}

/// What an address asks for, and the answer.
struct Listed {
    selection: Selection,
    search: String,
    sort: &'static str,
    /// Name, events, and users where they are counted.
    names: Vec<(String, i64, Option<i64>)>,
    /// Events of all names.
    total: i64,
    with_users: bool,
    /// How many names match.
    found: usize,
}

/// `GET /apps/{app}/events` and `GET /apps/{app}/{env}/events`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let query = query.unwrap_or_default();
    let Some(listed) = listed(&state, &on, &query).await? else {
        return waiting::nothing(&state, &on, "/events");
    };
    let selection = &listed.selection;
    let trends = trends(&state, &on, &listed).await?;
    let path = state.site.link(&format!("{}/events", on.path()));
    let one = state.site.link(&format!("{}/event", on.path()));
    let plain = Selection::parse(&query, selection.ground.clone());
    let row = |(at, (name, events, users)): (usize, &(String, i64, Option<i64>))| Row {
        href: format!("{one}{}", plain.with("name", name)),
        events: grouped(*events),
        share: format::share(*events, listed.total),
        users: format::metric(Metric::Users, *users),
        trend: trends.get(at).map(|values| chart::sparkline(values)).unwrap_or_default(),
        name: name.clone(),
    };
    let sort = |(name, label): (&'static str, &str)| Tab {
        label: label.to_owned(),
        href: format!("{path}{}", selection.with("sort", name)),
        current: name == listed.sort,
    };
    let mut toolbar = Toolbar::new(selection, &path);
    toolbar.compares.clear();
    toolbar.suggestions = listed.names.iter().take(50).map(|(name, ..)| name.clone()).collect();
    let mut kept = selection.pairs();
    kept.retain(|(name, _)| name != "q");
    page(&Events {
        frame: Frame::app(&state, &on, "/events"),
        environment: on.environment.slug.to_string(),
        toolbar,
        kept,
        all: format!("{path}{}", selection.with("q", "")),
        sorts: SORTS.into_iter().filter(|(name, _)| listed.with_users || *name != "users").map(sort).collect(),
        rows: listed.names.iter().enumerate().map(row).collect(),
        with_users: listed.with_users,
        cut: (listed.found > listed.names.len()).then(|| grouped(listed.found.try_into().unwrap_or(i64::MAX))),
        search: listed.search.clone(),
    })
}

/// `GET /apps/{app}/events.csv` and its siblings: the list.
pub async fn figures(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let mut table = Table::new(["event", "events", "share", "users"]);
    if let Some(listed) = listed(&state, &on, &query.unwrap_or_default()).await? {
        let share =
            |events: i64| Cell::Decimal((events as f64 / listed.total.max(1) as f64 * 10_000.0).round() / 10_000.0);
        let row = |(name, events, users): &(String, i64, Option<i64>)| {
            vec![name.as_str().into(), (*events).into(), share(*events), (*users).into()]
        };
        table.rows.extend(listed.names.iter().map(row));
    }
    table.answer(form, "events")
}

async fn listed(state: &WebState, on: &AppVisit, query: &str) -> Result<Option<Listed>, PageError> {
    let Some(selection) = Selection::read(state, on, query).await? else { return Ok(None) };
    let fields = Fields::parse(query.as_bytes());
    let search = fields.get("q").trim().to_owned();
    let sort = SORTS.iter().map(|(name, _)| *name).find(|name| *name == fields.get("sort")).unwrap_or(SORTS[0].0);
    let selection = selection.keeping("q", &search).keeping("sort", if sort == SORTS[0].0 { "" } else { sort });
    let asking = Asking::new(state, on.environment.id, selection.filters.clone());
    let whole = selection.range.whole;
    let limit = if search.is_empty() { MOST } else { SEARCHED };
    let list = asking.breakdown(Dimension::Event, &[Metric::Events], whole, limit).await?;
    let first = |row: &[Option<i64>]| row.first().copied().flatten().unwrap_or(0);
    let total = first(&list.together);
    let users = match total <= COUNTED {
        true => optional(asking.breakdown(Dimension::Event, &[Metric::Users], whole, SEARCHED).await)?,
        false => None,
    };
    let users_of = |name: &Option<String>| {
        let row = users.as_ref()?.rows.iter().find(|row| row.value == *name)?;
        row.metrics.first().copied().flatten()
    };
    let read = |row: &BreakdownRow| (format::value(row.value.as_deref()), first(&row.metrics), users_of(&row.value));
    let mut names: Vec<_> = list.rows.iter().map(read).collect();
    let wanted = search.to_lowercase();
    names.retain(|(name, ..)| name.to_lowercase().contains(&wanted));
    let found = if search.is_empty() { usize::try_from(list.values).unwrap_or(usize::MAX) } else { names.len() };
    match sort {
        "name" => names.sort_by(|a, b| a.0.cmp(&b.0)),
        "users" => names.sort_by_key(|(_, events, users)| std::cmp::Reverse((*users, *events))),
        _ => {}
    }
    names.truncate(MOST as usize);
    Ok(Some(Listed { search, sort, names, total, with_users: users.is_some(), found, selection }))
}

/// Events of the first names in each period; none under filters, which the summaries of single names do not know.
async fn trends(state: &WebState, on: &AppVisit, listed: &Listed) -> Result<Vec<Vec<i64>>, PageError> {
    let selection = &listed.selection;
    if !selection.filters.is_empty() {
        return Ok(Vec::new());
    }
    let values = listed.names.iter().take(TRENDS).map(|(name, ..)| Some(Arc::from(name.as_str()))).collect();
    let ask = TrendsAsk { dimension: Dimension::Event, values, periods: selection.range.periods.clone() };
    Ok(Asking::new(state, on.environment.id, selection.filters.clone()).trends(ask).await?)
}
