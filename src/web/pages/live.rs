//! What happens now: the last half hour by minute, and the newest events as they come.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::IntoResponse;

use crate::model::{
    Breakdown, BreakdownRow, EnvironmentId, EventList, EventRow, EventsPage, Filters, LIVE_MINUTES, LIVE_TOPS, Live,
    LiveAsk, LiveCounts, LiveTop, Millis, Query, Report,
};
use crate::query::Reports;
use crate::store::StoreError;

use super::super::bars::Bars;
use super::super::chart::{self, Point};
use super::super::error::{Page, page};
use super::super::event::EventLine;
use super::super::extract::AppVisit;
use super::super::format::{Calendar, When, grouped};
use super::super::frame::Frame;
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::stream;
use super::super::table::{Form, Table};
use super::super::toolbar::Toolbar;
use super::super::tops::{Top, top};
use super::super::waiting;

/// Rows of a top list.
const TOP: u32 = 8;
/// Newest events shown.
const NEWEST: u32 = 20;

#[derive(Template)]
#[template(path = "pages/live.html")]
struct Shown {
    frame: Frame,
    environment: String,
    zone: String,
    toolbar: Toolbar,
    /// This page, with its filters.
    here: String,
    /// Where its news come from.
    stream: String,
    /// What the page shows, as the stream would call it.
    mark: String,
    /// When it was made.
    now: When,
    /// What was counted; `None` where that took too long.
    counted: Option<Counted>,
    events: Vec<EventLine>,
    /// All events like these.
    explorer: String,
}

/// What a half hour came to.
struct Counted {
    cards: [Card; 3],
    drawing: Bars,
    rows: Vec<(String, String)>,
    tops: Vec<Top>,
}

struct Card {
    label: &'static str,
    whole: String,
    recent: String,
}

/// `GET /apps/{app}/live` and `GET /apps/{app}/{env}/live`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let Some(selection) = Selection::read(&state, &on, &query.unwrap_or_default()).await? else {
        return waiting::show(State(state), on).await;
    };
    let now = state.clock.now();
    let Now { live, events } = look(&state.reports, on.environment.id, selection.filters.clone(), now).await?;
    let calendar = Calendar::new(on.app.zone.clone(), now);
    let link = |suffix: &str| state.site.link(&format!("{}{suffix}", on.path()));
    let (path, users) = (link("/live"), link("/users"));
    let line = |event: &EventRow| EventLine::new(event, calendar.time(event.occurred_at), &calendar, &users);
    let ask = ask(selection.filters.clone(), now);
    page(&Shown {
        environment: on.environment.slug.to_string(),
        zone: on.app.zone.name().to_owned(),
        toolbar: Toolbar::new(&selection, &path),
        here: format!("{path}{}", selection.query()),
        stream: format!("{}{}", link("/live/stream"), selection.query()),
        mark: stream::mark_text(mark(ask.until, &live, &events)),
        now: calendar.time(now),
        counted: (!live.cut).then(|| counted(&live, ask.begin(), &selection, (&path, &calendar))),
        events: events.rows.iter().map(line).collect(),
        explorer: format!("{}{}", link("/explorer"), selection.query()),
        frame: Frame::app(&state, &on, "/live"),
    })
}

/// `GET /apps/{app}/live/stream` and `GET /apps/{app}/{env}/live/stream`: says `news` whenever the page would differ from
/// what its reader has heard of.
pub async fn news(State(state): State<WebState>, on: AppVisit, headers: HeaderMap, RawQuery(query): RawQuery) -> Page {
    let filters = match Selection::read(&state, &on, &query.unwrap_or_default()).await? {
        Some(selection) => selection.filters,
        None => Filters::none(),
    };
    let (reports, clock, environment) = (state.reports.clone(), state.clock.clone(), on.environment.id);
    let look = move || {
        let (reports, filters, now) = (reports.clone(), filters.clone(), clock.now());
        async move {
            let until = ask(Filters::none(), now).until;
            let Now { live, events } = look(&reports, environment, filters, now).await?;
            Ok(mark(until, &live, &events))
        }
    };
    Ok(stream::news(&state, &on.visit.token, &headers, look).into_response())
}

/// `GET /apps/{app}/live.csv` and `.json`, with an environment too: events by minute.
pub async fn file(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let mut table = Table::new(["minute", "events"]);
    if let Some(selection) = Selection::read(&state, &on, &query.unwrap_or_default()).await? {
        let ask = ask(selection.filters, state.clock.now());
        let begin = ask.begin();
        let report = state.reports.report(Query { environment: on.environment.id, ask: crate::model::Ask::Live(ask) });
        let live = of(&*report.await?)?;
        table.rows.extend(
            live.minutes
                .iter()
                .enumerate()
                .map(|(at, events)| vec![minute(begin, at).timestamp().to_string().into(), (*events).into()]),
        );
    }
    table.answer(form, &format!("{}-live", on.app.slug))
}

/// What the store says of now.
struct Now {
    live: Live,
    events: Arc<EventList>,
}

fn ask(filters: Filters, now: Millis) -> LiveAsk {
    LiveAsk::at(now, filters, TOP)
}

async fn look(reports: &Reports, environment: EnvironmentId, filters: Filters, now: Millis) -> Result<Now, StoreError> {
    let ask = ask(filters.clone(), now);
    let newest = EventsPage { environment, filters, since: Some(ask.begin()), after: None, limit: NEWEST };
    let report = reports.report(Query { environment, ask: crate::model::Ask::Live(ask) });
    let (live, events) = tokio::join!(report, reports.events(newest));
    Ok(Now { live: of(&*live?)?, events: events? })
}

fn of(report: &Report) -> Result<Live, StoreError> {
    match report {
        Report::Live(live) => Ok(live.clone()),
        _ => Err(StoreError::Unexpected("a report of another shape than asked for".to_owned())),
    }
}

/// Equal where the page looks the same, and the same on every node.
fn mark(until: Millis, live: &Live, events: &EventList) -> u64 {
    let mut hasher = DefaultHasher::new();
    until.hash(&mut hasher);
    live.hash(&mut hasher);
    for event in &events.rows {
        event.id.hash(&mut hasher);
    }
    hasher.finish()
}

fn minute(begin: Millis, at: usize) -> Millis {
    begin.plus(at as i64 * Millis::MINUTE)
}

fn counted(live: &Live, begin: Millis, selection: &Selection, (path, calendar): (&str, &Calendar)) -> Counted {
    let card = |label, of: fn(&LiveCounts) -> i64| Card {
        label,
        whole: grouped(of(&live.whole)),
        recent: grouped(of(&live.recent)),
    };
    let name = |at: usize| calendar.hour_minute(minute(begin, at));
    let events = |count: i64| if count == 1 { "1 event".to_owned() } else { format!("{} events", grouped(count)) };
    let so_far = |at: usize| if at + 1 == LIVE_MINUTES { " so far" } else { "" };
    let point = |(at, count): (usize, &i64)| Point {
        value: *count,
        tick: name(at),
        title: format!("{}: {}{}", name(at), events(*count), so_far(at)),
    };
    let points = live.minutes.iter().enumerate().map(point).collect();
    let titles = ["Events", "Versions", "Systems"];
    Counted {
        cards: [
            card("Events", |counts| counts.events),
            card("Users", |counts| counts.users),
            card("Errors", |counts| counts.errors),
        ],
        drawing: Bars::new("Events", "minute", points, Some(LIVE_MINUTES - 1)),
        rows: live.minutes.iter().enumerate().rev().map(|(at, count)| (name(at), grouped(*count))).collect(),
        tops: (titles.into_iter().zip(&LIVE_TOPS).zip(&live.tops))
            .map(|((title, dimension), list)| top(title, dimension, &breakdown(list, live), (selection, path)))
            .collect(),
    }
}

/// A list as other pages have it.
fn breakdown(list: &LiveTop, live: &Live) -> Breakdown {
    let row =
        |(value, events): &(Option<String>, i64)| BreakdownRow { value: value.clone(), metrics: vec![Some(*events)] };
    Breakdown {
        rows: list.rows.iter().map(row).collect(),
        together: vec![Some(live.whole.events)],
        values: list.values,
    }
}
