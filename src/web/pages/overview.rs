//! The overview of one app and environment: what happened over time, the top lists, the newest events.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{Breakdown, Dimension, EventList, EventRow, Fact, Metric, Period};

use super::super::asking::Asking;
use super::super::board::{Board, Drawing};
use super::super::cards::{Card, cards, with_chosen};
use super::super::chart;
use super::super::error::{Page, PageError, page};
use super::super::event::EventLine;
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::Calendar;
use super::super::frame::{Frame, Tab};
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::table::{Form, Table};
use super::super::toolbar::Toolbar;
use super::super::tops::{Top, top};
use super::super::waiting;

/// The metrics with a card, in their order; that of devices only where there are any.
const CARDS: [Metric; 9] = [
    Metric::Events,
    Metric::Users,
    Metric::NewUsers,
    Metric::Sessions,
    Metric::SessionLength,
    Metric::EventsPerSession,
    Metric::ErrorRate,
    Metric::CrashFreeSessions,
    Metric::Devices,
];
/// Those in the table under the chart.
const COLUMNS: [Metric; 3] = [Metric::Events, Metric::Users, Metric::Sessions];
/// Rows of a top list.
const TOP: u32 = 8;
/// Newest events shown.
const NEWEST: u32 = 12;

/// The top lists that are always there, in their order on the page.
const TOPS: [(&str, Dimension); 3] = [
    ("Events", Dimension::Event),
    ("Versions", Dimension::Fact(Fact::Version)),
    ("Systems", Dimension::Fact(Fact::System)),
];
/// What the last list is of, where the address does not say.
const FURTHER: Dimension = Dimension::Fact(Fact::Locale);

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Overview {
    frame: Frame,
    environment: String,
    toolbar: Toolbar,
    cards: Vec<Card>,
    drawing: Drawing,
    tops: Vec<Top>,
    /// What the last list can be of instead.
    further: Vec<Tab>,
    /// Where all values of a dimension are listed, up to its name.
    breakdown: String,
    events: Vec<EventLine>,
}

/// What the store says of a selection.
struct Answers {
    board: Board,
    metrics: Vec<Metric>,
    /// For each metric, the whole range and the stretch that it is compared with.
    totals: Vec<Vec<Option<i64>>>,
    tops: [Breakdown; 4],
    events: Arc<EventList>,
}

/// `GET /apps/{app}` and `GET /apps/{app}/{env}`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let query = query.unwrap_or_default();
    let Some(selection) = Selection::read(&state, &on, &query).await? else {
        return waiting::show(State(state), on).await;
    };
    let (selection, further) = further(selection, &query);
    let asking = Asking::new(&state, on.environment.id, selection.filters.clone());
    let answers = ask(&asking, &selection, &further).await?;
    let calendar = Calendar::new(on.app.zone.clone(), selection.ground.now);
    let path = state.site.link(&on.path());
    let users = format!("{path}/users");
    let line = |event: &EventRow| EventLine::new(event, calendar.moment(event.occurred_at), &calendar, &users);
    let label = further.label();
    let lists = TOPS.iter().map(|(title, dimension)| (*title, dimension)).chain([(label.as_str(), &further)]);
    let tops = lists.zip(&answers.tops).map(|((title, of), list)| top(title, of, list, (&selection, &path)));
    let figures = format!("{path}/overview");
    let mut toolbar = Toolbar::new(&selection, &path).with_figures_at(&selection, &figures);
    toolbar.suggestions = answers.tops.iter().flat_map(|list| &list.rows).filter_map(|row| row.value.clone()).collect();
    page(&Overview {
        environment: on.environment.slug.to_string(),
        toolbar,
        cards: cards(&selection, &answers.metrics, &answers.totals, &path),
        drawing: answers.board.drawing(&selection, &calendar),
        tops: tops.collect(),
        further: choices(&selection, &further, &path),
        breakdown: format!("{path}/breakdown{}&dimension=", selection.with("break", "")),
        events: answers.events.rows.iter().map(line).collect(),
        frame: Frame::app(&state, &on, ""),
    })
}

/// `GET /apps/{app}/overview.csv` and its siblings: the metrics of each period.
pub async fn figures(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let Some(selection) = Selection::read(&state, &on, &query.unwrap_or_default()).await? else {
        return Table::new(["period", "start"]).answer(form, "overview");
    };
    let asking = Asking::new(&state, on.environment.id, selection.filters.clone());
    let board = Board::ask(&asking, &selection, with_chosen(&CARDS, selection.metric)).await?;
    board.table(&selection).answer(form, "overview")
}

/// The dimension of the last list, which the page's links keep.
fn further(selection: Selection, query: &str) -> (Selection, Dimension) {
    let fields = Fields::parse(query.as_bytes());
    let wanted = Dimension::parse(fields.get("break")).filter(|dimension| *dimension != Dimension::Total);
    match wanted {
        Some(dimension) => (selection.keeping("break", &dimension.to_string()), dimension),
        None => (selection, FURTHER),
    }
}

fn choices(selection: &Selection, further: &Dimension, path: &str) -> Vec<Tab> {
    let choice = |dimension: &Dimension| Tab {
        label: dimension.label(),
        href: format!("{path}{}", selection.with("break", &dimension.to_string())),
        current: dimension == further,
    };
    let listed = |dimension: &Dimension| TOPS.iter().any(|(_, top)| top == dimension);
    Dimension::OFFERED.iter().filter(|dimension| !listed(dimension)).map(choice).collect()
}

/// The metrics that are asked for together: what takes long comes beside the others, where there is a processor for it. Of
/// lengths there are many in a day, and devices are told apart, as users are.
fn part(metric: Metric) -> usize {
    match metric {
        Metric::SessionLength | Metric::SessionLengthP95 => 1,
        Metric::Devices => 2,
        _ => 0,
    }
}

async fn ask(asking: &Asking<'_>, selection: &Selection, further: &Dimension) -> Result<Answers, PageError> {
    let whole = selection.range.whole;
    let stretches: Vec<Period> =
        [Some(whole), selection.compared.as_ref().map(|earlier| earlier.whole)].into_iter().flatten().collect();
    let mut metrics = with_chosen(&CARDS, selection.metric);
    let of = |wanted: usize| metrics.iter().copied().filter(|metric| part(*metric) == wanted).collect::<Vec<_>>();
    let [others, lengths, devices] = [0, 1, 2].map(of);
    let list = |dimension: &Dimension| asking.breakdown(dimension.clone(), &[Metric::Events], whole, TOP);
    let columns = with_chosen(&COLUMNS, selection.metric);
    let (board, others, lengths, devices, first, second, third, last, events) = tokio::try_join!(
        Board::ask(asking, selection, columns),
        asking.series(&others, stretches.clone()),
        asking.series(&lengths, stretches.clone()),
        asking.series(&devices, stretches),
        list(&TOPS[0].1),
        list(&TOPS[1].1),
        list(&TOPS[2].1),
        list(further),
        asking.newest(None, None, NEWEST),
    )?;
    let mut parts = [others, lengths, devices].map(Vec::into_iter);
    let mut totals: Vec<_> = metrics.iter().filter_map(|metric| parts[part(*metric)].next()).collect();
    let unused = metrics.iter().position(|metric| *metric == Metric::Devices);
    let unused = unused.filter(|at| totals.get(*at).is_some_and(|row| row.iter().all(|count| count.unwrap_or(0) == 0)));
    if let Some(at) = unused.filter(|_| selection.metric != Metric::Devices) {
        metrics.remove(at);
        totals.remove(at);
    }
    Ok(Answers { board, metrics, totals, tops: [first, second, third, last], events })
}
