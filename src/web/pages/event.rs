//! One event: how often it comes, what it says, who did it, and the newest of them.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect};

use crate::model::{
    Breakdown, Cursor, Dimension, EventRow, Fact, Keep, Metric, Millis, Period, PropNumbers, PropSummary, TimeRange,
    UserHash,
};
use crate::store::StoreError;

use super::super::asking::{Asking, optional};
use super::super::board::{Board, Drawing};
use super::super::cards::{Card, cards, with_chosen};
use super::super::chart;
use super::super::error::{Page, PageError, page};
use super::super::event::{EventLine, short};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{self, Calendar, When, grouped};
use super::super::frame::Frame;
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::table::{Form, Table};
use super::super::toolbar::Toolbar;
use super::super::tops::{Top, top};
use super::super::waiting;

/// The metrics with a card.
const CARDS: [Metric; 4] = [Metric::Events, Metric::Users, Metric::Errors, Metric::Crashes];
/// Rows of a top list.
const TOP: u32 = 8;
/// Newest events shown.
const NEWEST: usize = 12;
/// Numbers of more different values than this are told by what they come to alone.
const MEASURED: u64 = 24;
/// Most users shown.
const USERS: usize = 20;
/// So many events are looked at for their users at a time, and so many times.
const LOOKED_AT: u32 = 200;
const LOOKS: usize = 3;

const VERSION: Dimension = Dimension::Fact(Fact::Version);
const SYSTEM: Dimension = Dimension::Fact(Fact::System);

#[derive(Template)]
#[template(path = "pages/event.html")]
struct EventPage {
    frame: Frame,
    environment: String,
    name: String,
    /// All events.
    events_href: String,
    toolbar: Toolbar,
    cards: Vec<Card>,
    drawing: Drawing,
    tops: Vec<Top>,
    /// Nothing where there are too many to read them all.
    props: Option<Vec<Prop>>,
    users: Vec<User>,
    events: Vec<EventLine>,
}

/// What one property says.
struct Prop {
    name: String,
    /// To all its values; none of a name that no address can hold.
    href: Option<String>,
    events: String,
    values: Vec<PropRow>,
    /// Different values that are not listed.
    further: String,
    numbers: Vec<(&'static str, String)>,
}

struct PropRow {
    value: String,
    href: String,
    count: String,
    share: String,
    width: String,
}

/// Somebody who did it.
struct User {
    label: String,
    href: String,
    when: When,
}

/// What the store says of an event.
struct Answers {
    board: Board,
    totals: Vec<Vec<Option<i64>>>,
    versions: Breakdown,
    systems: Breakdown,
    props: Option<Vec<PropSummary>>,
    newest: Vec<EventRow>,
}

/// `GET /apps/{app}/event?name=…` and `GET /apps/{app}/{env}/event?name=…`; without a name, the way to all of them.
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let query = query.unwrap_or_default();
    let events_href = state.site.link(&format!("{}/events", on.path()));
    let name = Fields::parse(query.as_bytes()).get("name").to_owned();
    if name.is_empty() {
        return Ok(Redirect::to(&events_href).into_response());
    }
    let Some(selection) = Selection::read(&state, &on, &query).await? else {
        return waiting::nothing(&state, &on, "/events");
    };
    let others = selection.query();
    let selection = selection.keeping("name", &name);
    let asking = asking(&state, &on, &selection, &name);
    let metrics = with_chosen(&CARDS, selection.metric);
    let answers = ask(&asking, &selection, (&name, &metrics)).await?;
    let calendar = Calendar::new(on.app.zone.clone(), selection.ground.now);
    let path = state.site.link(&format!("{}/event", on.path()));
    let people = state.site.link(&format!("{}/users", on.path()));
    let line = |event: &EventRow| EventLine::new(event, calendar.moment(event.occurred_at), &calendar, &people);
    let here = (&selection, path.as_str());
    let breakdown = |dimension: &Dimension| {
        let by = Selection::parse(&query, selection.ground.clone()).keeping("dimension", &dimension.to_string());
        let query = by.with_filter(&Dimension::Event, Keep::Is, Some(&name));
        state.site.link(&format!("{}/breakdown{query}", on.path()))
    };
    let lists = [("Versions", &VERSION, &answers.versions), ("Systems", &SYSTEM, &answers.systems)];
    let frame = Frame::app(&state, &on, "/events");
    page(&EventPage {
        environment: on.environment.slug.to_string(),
        events_href: format!("{events_href}{others}"),
        toolbar: Toolbar::new(&selection, &path),
        cards: cards(&selection, &metrics, &answers.totals, &path),
        drawing: answers.board.drawing(&selection, &calendar),
        tops: lists.into_iter().map(|(title, of, list)| top(title, of, list, here)).collect(),
        props: answers.props.map(|props| props.iter().map(|summary| prop(summary, here, &breakdown)).collect()),
        users: users(&answers.newest, &people, &calendar),
        events: answers.newest.iter().take(NEWEST).map(line).collect(),
        frame: Frame { title: format!("{name} · {}", on.app.name), ..frame },
        name,
    })
}

/// `GET /apps/{app}/event.csv?name=…` and its siblings: the metrics of each period.
pub async fn figures(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let query = query.unwrap_or_default();
    let name = Fields::parse(query.as_bytes()).get("name").to_owned();
    let selection = Selection::read(&state, &on, &query).await?.filter(|_| !name.is_empty());
    let Some(selection) = selection else { return Table::new(["period", "start"]).answer(form, "event") };
    let asking = asking(&state, &on, &selection, &name);
    let board = Board::ask(&asking, &selection, with_chosen(&CARDS, selection.metric)).await?;
    board.table(&selection).answer(form, "event")
}

fn asking<'a>(state: &'a WebState, on: &AppVisit, selection: &Selection, name: &str) -> Asking<'a> {
    let filters = selection.filters.clone().without(&Dimension::Event, Keep::Is);
    Asking::new(state, on.environment.id, filters.with(Dimension::Event, Keep::Is, Some(name.into())))
}

async fn ask(
    asking: &Asking<'_>,
    selection: &Selection,
    (name, metrics): (&str, &[Metric]),
) -> Result<Answers, PageError> {
    let whole = selection.range.whole;
    let stretches: Vec<Period> =
        [Some(whole), selection.compared.as_ref().map(|earlier| earlier.whole)].into_iter().flatten().collect();
    let list = |dimension: Dimension| asking.breakdown(dimension, &[Metric::Events], whole, TOP);
    let columns = with_chosen(&[Metric::Events], selection.metric);
    let props = async { optional(asking.props(name, whole).await) };
    let (board, totals, versions, systems, props, newest) = tokio::try_join!(
        Board::ask(asking, selection, columns),
        asking.series(metrics, stretches),
        list(VERSION),
        list(SYSTEM),
        props,
        newest(asking, whole.range),
    )?;
    Ok(Answers { board, totals, versions, systems, props, newest })
}

/// The newest events of a range, until they are of enough users.
async fn newest(asking: &Asking<'_>, within: TimeRange) -> Result<Vec<EventRow>, StoreError> {
    let (mut found, mut after) = (Vec::new(), Some(Cursor::before(within.to)));
    for _ in 0..LOOKS {
        let page = asking.newest(Some(within.from), after, LOOKED_AT).await?;
        found.extend(page.rows.iter().cloned());
        after = page.next.clone();
        if after.is_none() || different_users(&found).len() >= USERS {
            break;
        }
    }
    Ok(found)
}

/// Users with their newest event, the latest first.
fn different_users(events: &[EventRow]) -> Vec<(UserHash, Millis)> {
    let mut users: Vec<(UserHash, Millis)> = Vec::new();
    for event in events {
        let Some(user) = event.user else { continue };
        if users.len() < USERS && !users.iter().any(|(there, _)| *there == user) {
            users.push((user, event.occurred_at));
        }
    }
    users
}

fn users(events: &[EventRow], people: &str, calendar: &Calendar) -> Vec<User> {
    let user = |(user, at): (UserHash, Millis)| User {
        label: short(user),
        href: format!("{people}/{user}"),
        when: calendar.glance(at),
    };
    different_users(events).into_iter().map(user).collect()
}

fn prop(
    summary: &PropSummary,
    (selection, path): (&Selection, &str),
    breakdown: &dyn Fn(&Dimension) -> String,
) -> Prop {
    let most = summary.values.iter().map(|value| value.events).max().unwrap_or(0).max(1);
    let dimension = Dimension::parse(&format!("prop:{}", summary.name));
    let link = |value: &str| match &dimension {
        Some(dimension) => format!("{path}{}", selection.with_filter(dimension, Keep::Is, Some(value))),
        None => format!("{path}{}", selection.query()),
    };
    let row = |value: &crate::model::PropValue| PropRow {
        href: link(&value.value),
        count: grouped(value.events),
        share: format::share(value.events, summary.events),
        width: format!("{:.1}%", value.events as f64 / most as f64 * 100.0),
        value: value.value.clone(),
    };
    // Measurements say something by what they come to, and hardly by single values.
    let measured = summary.numbers.is_some() && summary.different > MEASURED;
    let hidden = summary.different.saturating_sub(summary.values.len() as u64);
    Prop {
        name: summary.name.clone(),
        href: dimension.as_ref().map(breakdown),
        events: grouped(summary.events),
        values: summary.values.iter().filter(|_| !measured).map(row).collect(),
        further: match (hidden, summary.others) {
            (0, 0) => String::new(),
            (0, others) => format!("{} events with values that were not told apart", grouped(others)),
            (hidden, 0) => format!("{} further values", grouped(hidden.try_into().unwrap_or(i64::MAX))),
            (hidden, _) => format!("over {} further values", grouped(hidden.try_into().unwrap_or(i64::MAX))),
        },
        numbers: summary.numbers.as_ref().map(numbers).unwrap_or_default(),
    }
}

fn numbers(of: &PropNumbers) -> Vec<(&'static str, String)> {
    let PropNumbers { min, median, p95, max, sum } = *of;
    [("least", min), ("median", median), ("p95", p95), ("greatest", max), ("sum", sum)]
        .map(|(name, value)| (name, format::decimal(value)))
        .to_vec()
}
