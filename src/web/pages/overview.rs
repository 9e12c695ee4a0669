//! The overview of one app and environment: what happened over time, the top lists, the newest events.

use std::sync::Arc;

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{
    Ask, Breakdown, BreakdownAsk, Dimension, EnvironmentId, EventList, EventRow, EventsPage, Fact, Filters, Metric,
    Millis, Period, Query, Report,
};
use crate::query::{Range, compare};
use crate::store::StoreError;

use super::super::chart::{self, Chart};
use super::super::error::{Page, PageError, page};
use super::super::event::EventLine;
use super::super::extract::AppVisit;
use super::super::format::{self, Calendar, ChangeText, grouped};
use super::super::frame::Frame;
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::toolbar::Toolbar;
use super::super::waiting;

/// The metrics that can be chosen, in their order on the page.
const METRICS: [Metric; 3] = [Metric::Events, Metric::Users, Metric::Sessions];
/// Rows of a top list.
const TOP: u32 = 8;
/// Newest events shown.
const NEWEST: u32 = 12;

#[derive(Template)]
#[template(path = "pages/overview.html")]
struct Overview {
    frame: Frame,
    environment: String,
    zone: String,
    toolbar: Toolbar,
    cards: Vec<Card>,
    drawing: Drawing,
    tops: Vec<Top>,
    events: Vec<EventLine>,
}

/// A metric with its total.
struct Card {
    label: &'static str,
    href: String,
    current: bool,
    total: String,
    change: ChangeText,
    before: String,
}

/// The chart of the chosen metric, and the table beneath it.
struct Drawing {
    label: &'static str,
    interval: &'static str,
    chart: Chart,
    empty: bool,
    has_unfinished: bool,
    /// Whether the stretch before is cut at the hour that it is now.
    cut_comparison: bool,
    spoken: String,
    rows: Vec<TableRow>,
}

struct TableRow {
    name: String,
    unfinished: bool,
    counts: Vec<String>,
}

/// The values of a dimension with the most events.
struct Top {
    title: &'static str,
    rows: Vec<TopRow>,
    /// Events of the values that are not listed.
    rest: Option<(String, String)>,
}

struct TopRow {
    label: String,
    known: bool,
    count: String,
    share: String,
    /// Percent of the first row's.
    width: String,
}

/// What the store says of a range.
struct Answers {
    /// For each of [`METRICS`], one count for each period.
    series: Vec<Vec<i64>>,
    /// For each of [`METRICS`], the whole range and the stretch before.
    totals: Vec<Vec<i64>>,
    tops: Vec<(&'static str, Breakdown)>,
    events: Arc<EventList>,
}

/// The top lists, in their order on the page.
const TOPS: [(&str, Dimension); 3] = [
    ("Events", Dimension::Event),
    ("Versions", Dimension::Fact(Fact::Version)),
    ("Systems", Dimension::Fact(Fact::System)),
];

/// `GET /apps/{app}` and `GET /apps/{app}/{env}`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let environment = on.environment.id;
    let Some(selection) = Selection::read(&state, &on, &query.unwrap_or_default()).await? else {
        return waiting::show(State(state), on).await;
    };
    let now = state.clock.now();
    let answers = ask(&state, environment, &selection).await?;
    let calendar = Calendar::new(on.app.zone.clone(), now);
    let path = state.site.link(&on.path());
    let users = format!("{path}/users");
    let line = |event: &EventRow| EventLine::new(event, calendar.moment(event.occurred_at), &calendar, &users);
    let frame = Frame::app(&state, &on, "");
    page(&Overview {
        environment: on.environment.slug.to_string(),
        zone: on.app.zone.name().to_owned(),
        toolbar: Toolbar::new(&selection, &path),
        cards: cards(&selection, &answers, &path),
        drawing: drawing(&selection, &answers, &calendar),
        tops: answers.tops.iter().map(|(title, list)| top(title, list)).collect(),
        events: answers.events.rows.iter().map(line).collect(),
        frame,
    })
}

async fn ask(state: &WebState, environment: EnvironmentId, selection: &Selection) -> Result<Answers, PageError> {
    let range = &selection.range;
    let stretches = [Some(range.whole), selection.compared.as_ref().map(|earlier| earlier.whole)];
    let ask = |ask: Ask| state.reports.report(Query { environment, ask });
    let list = |dimension| {
        ask(Ask::Breakdown(BreakdownAsk {
            dimension,
            metrics: vec![Metric::Events],
            period: range.whole,
            filters: Filters::none(),
            limit: TOP,
        }))
    };
    let newest = EventsPage { environment, filters: Filters::none(), since: None, after: None, limit: NEWEST };
    let (series, totals, first, second, third, events) = tokio::try_join!(
        ask(Ask::Series(METRICS.to_vec(), range.periods.clone(), Filters::none())),
        ask(Ask::Series(METRICS.to_vec(), stretches.into_iter().flatten().collect(), Filters::none())),
        list(TOPS[0].1.clone()),
        list(TOPS[1].1.clone()),
        list(TOPS[2].1.clone()),
        state.reports.events(newest),
    )?;
    let tops = TOPS.iter().zip([first, second, third]);
    let tops = tops.map(|((title, _), report)| Ok((*title, breakdown(&report)?)));
    Ok(Answers {
        series: series.counts(),
        totals: totals.counts(),
        tops: tops.collect::<Result<_, StoreError>>()?,
        events,
    })
}

fn breakdown(report: &Report) -> Result<Breakdown, StoreError> {
    match report {
        Report::Breakdown(list) => Ok(list.clone()),
        Report::Series(_) | Report::Live(_) | Report::Sessions(_) | Report::Since(_) => Err(mismatch()),
    }
}

fn mismatch() -> StoreError {
    StoreError::Unexpected("a report of another shape than asked for".to_owned())
}

fn cards(selection: &Selection, answers: &Answers, path: &str) -> Vec<Card> {
    let total =
        |metric: usize, period: usize| answers.totals.get(metric).and_then(|row| row.get(period)).copied().unwrap_or(0);
    let card = |(at, metric): (usize, Metric)| Card {
        label: metric.label(),
        href: format!("{path}{}", selection.with_metric(metric)),
        current: metric == selection.metric,
        total: grouped(total(at, 0)),
        change: format::change(compare(total(at, 0), total(at, 1))),
        before: grouped(total(at, 1)),
    };
    METRICS.into_iter().enumerate().map(card).collect()
}

fn drawing(selection: &Selection, answers: &Answers, calendar: &Calendar) -> Drawing {
    let Selection { range, metric, .. } = selection;
    let chosen = METRICS.iter().position(|m| m == metric).unwrap_or(0);
    let count = |metric: usize, at: usize| answers.series.get(metric).and_then(|row| row.get(at)).copied().unwrap_or(0);
    let noun = metric.label().to_lowercase();
    let so_far = |at| if range.unfinished == Some(at) { " so far" } else { "" };
    let point = |(at, period): (usize, &Period)| chart::Point {
        value: count(chosen, at),
        tick: calendar.tick(range, period),
        title: format!(
            "{}: {} {noun}{}",
            calendar.period(range.interval, period),
            grouped(count(chosen, at)),
            so_far(at)
        ),
    };
    let points: Vec<_> = range.periods.iter().enumerate().map(point).collect();
    let row = |(at, period): (usize, &Period)| TableRow {
        name: calendar.period(range.interval, period),
        unfinished: range.unfinished == Some(at),
        counts: (0..METRICS.len()).map(|metric| grouped(count(metric, at))).collect(),
    };
    let ahead = range.ahead.iter().map(|period| calendar.tick(range, period));
    let highest = points.iter().max_by_key(|point| point.value);
    let spoken = highest.map_or(String::new(), |point| format!("Highest: {}.", point.title));
    Drawing {
        label: metric.label(),
        interval: range.interval.name(),
        empty: points.iter().all(|point| point.value == 0),
        has_unfinished: range.unfinished.is_some(),
        cut_comparison: selection.compared.is_some() && range.preset != crate::query::Preset::Hours24,
        spoken,
        rows: range.periods.iter().enumerate().rev().map(row).collect(),
        chart: chart::draw(&chart::Series { points, ahead: ahead.collect(), unfinished: range.unfinished }),
    }
}

fn top(title: &'static str, list: &Breakdown) -> Top {
    let events = |metrics: &[Option<i64>]| metrics.first().copied().flatten().unwrap_or(0);
    let (total, most) = (events(&list.together), list.rows.iter().map(|row| events(&row.metrics)).max().unwrap_or(0));
    let row = |row: &crate::model::BreakdownRow| TopRow {
        label: row.value.clone().unwrap_or_else(|| "not reported".to_owned()),
        known: row.value.is_some(),
        count: grouped(events(&row.metrics)),
        share: format::share(events(&row.metrics), total),
        width: format!("{:.1}%", events(&row.metrics) as f64 / most.max(1) as f64 * 100.0),
    };
    let rest = total - list.rows.iter().map(|row| events(&row.metrics)).sum::<i64>();
    Top {
        title,
        rows: list.rows.iter().map(row).collect(),
        rest: (rest > 0).then(|| (grouped(rest), format::share(rest, total))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::BreakdownRow;

    #[test]
    fn top_lists_account_for_every_event() {
        let rows = vec![
            BreakdownRow { value: Some("linux".to_owned()), metrics: vec![Some(60)] },
            BreakdownRow { value: None, metrics: vec![Some(30)] },
        ];
        let top = top("Systems", &Breakdown { rows, together: vec![Some(100)], values: 3 });
        let seen: Vec<_> = top.rows.iter().map(|r| (r.label.as_str(), r.share.as_str(), r.width.as_str())).collect();
        assert_eq!(seen, [("linux", "60%", "100.0%"), ("not reported", "30%", "50.0%")]);
        assert_eq!(top.rest, Some(("10".to_owned(), "10%".to_owned())));
    }
}
