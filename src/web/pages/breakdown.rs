//! All values of a dimension, with several metrics of each.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{Breakdown, BreakdownRow, Dimension, Fact, Keep, Metric};

use super::super::asking::Asking;
use super::super::board::{cell, column};
use super::super::cards::with_chosen;
use super::super::error::{Page, PageError, page};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format;
use super::super::frame::{Frame, Tab};
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::table::{Form, Table};
use super::super::toolbar::Toolbar;
use super::super::waiting;

/// Most values that are listed.
const MOST: u32 = 200;
/// The columns of a fact, which a session has too.
const OF_FACTS: [Metric; 6] = [
    Metric::Events,
    Metric::Sessions,
    Metric::EventsPerSession,
    Metric::Errors,
    Metric::ErrorRate,
    Metric::CrashFreeSessions,
];
/// The columns of what only an event has.
const OF_EVENTS: [Metric; 4] = [Metric::Events, Metric::Errors, Metric::ErrorRate, Metric::Crashes];
/// The order of values rather than of a metric, as in addresses.
const BY_VALUE: &str = "value";

#[derive(Template)]
#[template(path = "pages/breakdown.html")]
struct BreakdownPage {
    frame: Frame,
    toolbar: Toolbar,
    dimensions: Vec<Tab>,
    label: String,
    /// Whether that is the app's own name for it.
    is_own: bool,
    by_value: Tab,
    columns: Vec<Tab>,
    /// Metrics that have no column.
    further: Vec<Tab>,
    rows: Vec<Row>,
    together: Vec<String>,
    /// What is said where there is no value and no filter.
    nothing: &'static str,
    /// How many values there are, where not all are listed.
    cut: Option<String>,
}

struct Row {
    label: String,
    known: bool,
    href: String,
    counts: Vec<String>,
    /// Percent of the chosen metric's greatest.
    width: String,
}

/// What an address asks for, and the answer.
struct Listed {
    selection: Selection,
    dimension: Dimension,
    metrics: Vec<Metric>,
    by_value: bool,
    list: Breakdown,
    problem: Option<&'static str>,
}

/// `GET /apps/{app}/breakdown?dimension=…` and `GET /apps/{app}/{env}/breakdown?dimension=…`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let query = query.unwrap_or_default();
    let Some(listed) = listed(&state, &on, &query).await? else {
        return waiting::nothing(&state, &on, "/breakdown");
    };
    let Listed { selection, dimension, metrics, by_value, list, problem } = listed;
    let path = state.site.link(&format!("{}/breakdown", on.path()));
    let mut toolbar = Toolbar::new(&selection, &path);
    toolbar.compares.clear();
    toolbar.problem = toolbar.problem.or(problem.map(str::to_owned));
    toolbar.suggestions = list.rows.iter().filter_map(|row| row.value.clone()).take(50).collect();
    let to = |query: String| format!("{path}{query}");
    let unsorted = Selection::parse(&query, selection.ground.clone()).keeping("dimension", &dimension.to_string());
    let column = |metric: &Metric| Tab {
        label: metric.label().to_owned(),
        href: to(unsorted.with_metric(*metric)),
        current: !by_value && *metric == selection.metric,
    };
    let choice = |one: &Dimension| Tab {
        label: one.label(),
        href: to(unsorted.with("dimension", &one.to_string())),
        current: *one == dimension,
    };
    let mut dimensions: Vec<Tab> = Dimension::OFFERED.iter().map(choice).collect();
    if !Dimension::OFFERED.contains(&dimension) {
        dimensions.push(choice(&dimension));
    }
    page(&BreakdownPage {
        label: dimension.label(),
        is_own: matches!(dimension, Dimension::Prop(_)),
        by_value: Tab { label: dimension.label(), href: to(unsorted.with("sort", BY_VALUE)), current: by_value },
        columns: metrics.iter().map(column).collect(),
        further: Metric::ALL.iter().filter(|metric| is_further(&metrics, **metric)).map(column).collect(),
        nothing: match dimension {
            Dimension::Error => "No event of this range tells of an error.",
            _ => "No event of this range can be listed.",
        },
        rows: rows(&list, (&metrics, selection.metric), |value| {
            link(&state, &on, &query, (&selection, &dimension, value))
        }),
        together: metrics.iter().zip(&list.together).map(|(metric, value)| format::metric(*metric, *value)).collect(),
        cut: (list.values > list.rows.len() as u64)
            .then(|| format::grouped(list.values.try_into().unwrap_or(i64::MAX))),
        frame: Frame::app(&state, &on, "/breakdown"),
        dimensions,
        toolbar,
    })
}

/// `GET /apps/{app}/breakdown.csv?dimension=…` and its siblings: the list.
pub async fn figures(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let Some(listed) = listed(&state, &on, &query.unwrap_or_default()).await? else {
        return Table::new(["value", "events"]).answer(form, "breakdown");
    };
    let mut table = Table::new(std::iter::once("value".to_owned()).chain(listed.metrics.iter().map(|m| column(*m))));
    for row in &listed.list.rows {
        let counts = listed.metrics.iter().zip(&row.metrics).map(|(metric, value)| cell(*metric, *value));
        table.rows.push(std::iter::once(row.value.clone().into()).chain(counts).collect());
    }
    table.answer(form, "breakdown")
}

async fn listed(state: &WebState, on: &AppVisit, query: &str) -> Result<Option<Listed>, PageError> {
    let Some(selection) = Selection::read(state, on, query).await? else { return Ok(None) };
    let fields = Fields::parse(query.as_bytes());
    let wanted = Dimension::parse(fields.get("dimension")).filter(|dimension| *dimension != Dimension::Total);
    let unknown = wanted.is_none() && !fields.get("dimension").is_empty();
    let dimension = wanted.unwrap_or(Dimension::Fact(Fact::Version));
    let by_value = fields.get("sort") == BY_VALUE;
    let selection =
        selection.keeping("dimension", &dimension.to_string()).keeping("sort", if by_value { BY_VALUE } else { "" });
    let columns: &[Metric] = match dimension {
        Dimension::Fact(_) => &OF_FACTS,
        Dimension::Event | Dimension::Error | Dimension::Prop(_) | Dimension::Total => &OF_EVENTS,
    };
    let mut metrics = with_chosen(columns, selection.metric);
    if !columns.contains(&selection.metric) {
        metrics.rotate_right(1);
    }
    // The list is cut by the first metric asked for, so that is the chosen one.
    let mut asked = metrics.clone();
    asked.sort_by_key(|metric| *metric != selection.metric);
    let asking = Asking::new(state, on.environment.id, selection.filters.clone());
    let mut list = asking.breakdown(dimension.clone(), &asked, selection.range.whole, MOST).await?;
    let arrange = |row: &[Option<i64>]| -> Vec<Option<i64>> {
        let place = |metric: &Metric| asked.iter().position(|one| one == metric).and_then(|at| row.get(at).copied());
        metrics.iter().map(|metric| place(metric).flatten()).collect()
    };
    list.together = arrange(&list.together);
    list.rows.iter_mut().for_each(|row| row.metrics = arrange(&row.metrics));
    if by_value {
        list.rows.sort_by(|a, b| (a.value.is_none(), &a.value).cmp(&(b.value.is_none(), &b.value)));
    }
    let problem = unknown.then_some("There is nothing of that name to break down by.");
    Ok(Some(Listed { selection, dimension, metrics, by_value, list, problem }))
}

/// Whether a metric is offered beside those that have a column. Which devices are those of a value is not known.
fn is_further(metrics: &[Metric], metric: Metric) -> bool {
    !metrics.contains(&metric) && metric != Metric::Devices
}

/// The rows with bars of the chosen metric, one of the columns.
fn rows(list: &Breakdown, (metrics, chosen): (&[Metric], Metric), link: impl Fn(Option<&str>) -> String) -> Vec<Row> {
    let place = metrics.iter().position(|metric| *metric == chosen).unwrap_or(0);
    let size = |row: &BreakdownRow| row.metrics.get(place).copied().flatten().unwrap_or(0).max(0);
    let most = list.rows.iter().map(size).max().unwrap_or(0).max(1);
    let row = |row: &BreakdownRow| Row {
        label: format::value(row.value.as_deref()),
        known: row.value.is_some(),
        href: link(row.value.as_deref()),
        counts: metrics.iter().zip(&row.metrics).map(|(metric, value)| format::metric(*metric, *value)).collect(),
        width: format!("{:.1}%", size(row) as f64 / most as f64 * 100.0),
    };
    list.rows.iter().map(row).collect()
}

/// Where a value leads: an event to its page, any other to the overview of what has it.
fn link(
    state: &WebState,
    on: &AppVisit,
    query: &str,
    (selection, dimension, value): (&Selection, &Dimension, Option<&str>),
) -> String {
    let plain = Selection::parse(query, selection.ground.clone());
    match (dimension, value) {
        (Dimension::Event, Some(name)) => {
            state.site.link(&format!("{}/event{}", on.path(), plain.keeping("name", name).query()))
        }
        _ => state.site.link(&format!("{}{}", on.path(), plain.with_filter(dimension, Keep::Is, value))),
    }
}
