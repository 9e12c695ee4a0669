//! Retention: of those who came in a day, week or month, how many came back in the ones after.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{Back, Born, Cohort, Period, RetentionAsk, date_of};
use crate::query::{COHORTS, Interval, cohorts};
use crate::store::StoreError;

use super::super::asking::Asking;
use super::super::chart::{self, Chart, Point, Series};
use super::super::error::{Page, PageError, page};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{Calendar, grouped, share};
use super::super::frame::{Frame, Tab};
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::steps::frequent;
use super::super::table::{Cell, Form, Table};
use super::super::toolbar::Toolbar;

#[derive(Template)]
#[template(path = "pages/retention.html")]
struct Retention {
    frame: Frame,
    environment: String,
    /// Nothing where no event has happened yet.
    board: Option<Board>,
}

/// The page where there is something to show.
struct Board {
    toolbar: Toolbar,
    lengths: Vec<Tab>,
    form: Events,
    interval: &'static str,
    spoken: Option<String>,
    drawing: Average,
    columns: Vec<usize>,
    average: Vec<Option<Shade>>,
    size: String,
    rows: Vec<Row>,
}

/// The form that chooses events.
struct Events {
    born: String,
    back: String,
    events: Vec<String>,
    kept: Vec<(String, String)>,
}

/// The average over the intervals, for `parts/chart.html`.
struct Average {
    label: &'static str,
    interval: &'static str,
    chart: Chart,
    spoken: String,
}

struct Row {
    label: String,
    /// The same where there is little room.
    short: String,
    size: String,
    cells: Vec<Shade>,
}

/// A share with its place among the eleven shades.
struct Shade {
    class: String,
    text: String,
    title: String,
}

/// What an address asks.
struct Asked {
    selection: Selection,
    interval: Interval,
    ask: RetentionAsk,
}

/// Users who were there in an interval after their coming, of those who could be; none where nobody could yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mean {
    back: i64,
    size: i64,
}

/// `GET /apps/{app}/retention` and `GET /apps/{app}/{env}/retention`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let board = match Asked::read(&state, &on, &query.unwrap_or_default()).await? {
        None => None,
        Some(asked) => {
            let found = asked.answer(&state, &on).await?;
            let events = frequent(&state, &on, &asked.selection).await?;
            let path = state.site.link(&format!("{}/retention", on.path()));
            let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
            Some(board(&asked, &found, (&path, events), &calendar))
        }
    };
    page(&Retention {
        frame: Frame::app(&state, &on, "/retention"),
        environment: on.environment.slug.to_string(),
        board,
    })
}

/// `GET /apps/{app}/retention.csv`, `.json` and the same by environment
pub async fn file(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let mut table = Table::new(["cohort", "size", "interval", "users", "share", "unfinished"]);
    let Some(asked) = Asked::read(&state, &on, &query.unwrap_or_default()).await? else {
        return table.answer(form, "retention");
    };
    let found = asked.answer(&state, &on).await?;
    for (place, (cohort, period)) in found.iter().zip(&asked.ask.cohorts).enumerate() {
        for (later, back) in cohort.back.iter().enumerate() {
            let part = if cohort.size > 0 { Cell::Decimal(*back as f64 / cohort.size as f64) } else { Cell::Empty };
            table.rows.push(vec![
                date_of(period.first.day).to_string().into(),
                cohort.size.into(),
                (later as i64).into(),
                (*back).into(),
                part,
                i64::from(place + later + 1 == found.len()).into(),
            ]);
        }
    }
    table.answer(form, "retention")
}

impl Asked {
    async fn read(state: &WebState, on: &AppVisit, query: &str) -> Result<Option<Self>, PageError> {
        let Some(selection) = Selection::read(state, on, query).await? else { return Ok(None) };
        let fields = Fields::parse(query.as_bytes());
        let wanted = Interval::parse(fields.get("cohort")).and_then(|i| COHORTS.into_iter().find(|(own, _)| *own == i));
        let (interval, count) = wanted.unwrap_or((Interval::Week, COHORTS[1].1));
        let [born, back] = ["born", "back"].map(|name| fields.get(name).trim());
        let length = if interval == Interval::Week { "" } else { interval.name() };
        let ask = RetentionAsk {
            cohorts: cohorts(interval, count, &on.app.zone, state.clock.now()),
            born: if born.is_empty() { Born::FirstSeen } else { Born::Event(born.into()) },
            back: if back.is_empty() { Back::AnyActivity } else { Back::Event(back.into()) },
            filters: selection.filters.clone(),
        };
        let selection = selection.keeping("cohort", length).keeping("born", born).keeping("back", back);
        Ok(Some(Self { selection, interval, ask }))
    }

    async fn answer(&self, state: &WebState, on: &AppVisit) -> Result<Vec<Cohort>, StoreError> {
        Asking::new(state, on.environment.id, self.selection.filters.clone()).retention(self.ask.clone()).await
    }

    fn born(&self) -> &str {
        match &self.ask.born {
            Born::FirstSeen => "",
            Born::Event(name) => name,
        }
    }

    fn back(&self) -> &str {
        match &self.ask.back {
            Back::AnyActivity => "",
            Back::Event(name) => name,
        }
    }
}

fn board(asked: &Asked, found: &[Cohort], (path, events): (&str, Vec<String>), calendar: &Calendar) -> Board {
    let Asked { selection, interval, ask } = asked;
    let means: Vec<_> = (0..found.len()).map(|later| mean(found, later)).collect();
    let length = |(own, _): (Interval, u8)| Tab {
        label: match own {
            Interval::Hour | Interval::Day => "Days",
            Interval::Week => "Weeks",
            Interval::Month => "Months",
        }
        .to_owned(),
        href: format!("{path}{}", selection.with("cohort", if own == Interval::Week { "" } else { own.name() })),
        current: own == *interval,
    };
    let days = ask.cohorts.first().map(|first| format!("since {}", calendar.date(first.range.from).text));
    let mut kept = selection.pairs();
    kept.retain(|(name, _)| name != "born" && name != "back");
    let row = |(place, (cohort, period)): (usize, (&Cohort, &Period))| Row {
        label: calendar.period(*interval, period),
        short: short(*interval, period),
        size: grouped(cohort.size),
        cells: cells(*interval, cohort, place + cohort.back.len() == found.len()),
    };
    Board {
        toolbar: Toolbar {
            presets: Vec::new(),
            compares: Vec::new(),
            problem: None,
            days: days.unwrap_or_default(),
            ..Toolbar::new(selection, path)
        },
        lengths: COHORTS.into_iter().map(length).collect(),
        form: Events { born: asked.born().to_owned(), back: asked.back().to_owned(), events, kept },
        interval: interval.name(),
        spoken: spoken(asked, &means),
        drawing: average(*interval, &means),
        columns: (0..found.len()).collect(),
        average: means.iter().enumerate().map(|(later, mean)| mean.map(|mean| mean.shade(*interval, later))).collect(),
        size: grouped(found.iter().map(|cohort| cohort.size).sum()),
        rows: found.iter().zip(&ask.cohorts).enumerate().rev().map(row).collect(),
    }
}

fn short(interval: Interval, period: &Period) -> String {
    let first = date_of(period.first.day);
    match interval {
        Interval::Hour | Interval::Day | Interval::Week => first.strftime("%-d %b").to_string(),
        Interval::Month => first.strftime("%b %Y").to_string(),
    }
}

/// The average of an interval, by the sizes of the cohorts, without those for whom it is not over.
fn mean(cohorts: &[Cohort], later: usize) -> Option<Mean> {
    let over = cohorts.iter().filter(|cohort| later + 1 < cohort.back.len());
    let mean = over.fold(Mean { back: 0, size: 0 }, |mean, cohort| Mean {
        back: mean.back + cohort.back[later],
        size: mean.size + cohort.size,
    });
    (mean.size > 0).then_some(mean)
}

impl Mean {
    fn shade(self, interval: Interval, later: usize) -> Shade {
        let title = format!("{} {later}: {} of {} users", interval.name(), grouped(self.back), grouped(self.size));
        Shade { class: class(self.back, self.size), text: share(self.back, self.size), title }
    }
}

fn cells(interval: Interval, cohort: &Cohort, is_last_open: bool) -> Vec<Shade> {
    let last = cohort.back.len() - 1;
    let cell = |(later, back): (usize, &i64)| {
        let mut shade = Mean { back: *back, size: cohort.size }.shade(interval, later);
        if is_last_open && later == last {
            shade.class.push_str(" open");
            shade.title.push_str(" so far");
        }
        if cohort.size == 0 {
            shade.text.clear();
        }
        shade
    };
    cohort.back.iter().enumerate().map(cell).collect()
}

/// One of eleven: a tenth of the whole each, with one of its own for nobody.
fn class(back: i64, size: i64) -> String {
    let tenth = if size > 0 && back > 0 { (back * 10 / size).clamp(0, 9) + 1 } else { 0 };
    format!("shade s{tenth}")
}

fn average(interval: Interval, means: &[Option<Mean>]) -> Average {
    let known = means.iter().enumerate().map_while(|(later, mean)| mean.map(|mean| (later, mean)));
    let points = known.map(|(later, mean)| Point {
        value: mean.back * 1_000 / mean.size,
        tick: later.to_string(),
        title: format!("{} {later}: {} came back", interval.name(), share(mean.back, mean.size)),
    });
    let points: Vec<_> = points.collect();
    let ahead = (points.len()..means.len()).map(|later| later.to_string()).collect();
    let lowest = points.last().map_or(String::new(), |point| format!("At the end: {}.", point.title));
    Average {
        label: "Users who came back, on average",
        interval: interval.name(),
        chart: chart::draw_share_curve(&Series { points, ahead, unfinished: None }),
        spoken: lowest,
    }
}

/// The first return in a sentence, and one a while later.
fn spoken(asked: &Asked, means: &[Option<Mean>]) -> Option<String> {
    let noun = asked.interval.name();
    let at = |later: usize| means.get(later).copied().flatten();
    let next = at(1)?;
    let came = match &asked.ask.born {
        Born::FirstSeen => "came".to_owned(),
        Born::Event(name) => format!("did “{name}” for the first time"),
    };
    let back = match &asked.ask.back {
        Back::AnyActivity => "were back".to_owned(),
        Back::Event(name) => format!("did “{name}”"),
    };
    let mut text = format!("Of those who {came}, {} {back} in the {noun} after", share(next.back, next.size));
    let later = [8, 4, 3].into_iter().find_map(|later| at(later).map(|mean| (later, mean)));
    if let Some((later, mean)) = later {
        text.push_str(&format!(", and {} in {noun} {later}", share(mean.back, mean.size)));
    }
    text.push('.');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cohort(size: i64, back: &[i64]) -> Cohort {
        Cohort { size, back: back.to_vec() }
    }

    #[test]
    fn averages_are_weighted_and_leave_out_what_is_not_over() {
        let cohorts = [cohort(100, &[100, 50, 10]), cohort(300, &[300, 30]), cohort(7, &[7])];
        for (later, expected) in
            [(0, Some(Mean { back: 400, size: 400 })), (1, Some(Mean { back: 50, size: 100 })), (2, None)]
        {
            assert_eq!(mean(&cohorts, later), expected, "{later}");
        }
    }

    #[test]
    fn shades_tell_nobody_from_few() {
        for (back, size, shade) in [(0, 10, "s0"), (1, 1_000, "s1"), (1, 10, "s2"), (99, 100, "s10"), (5, 5, "s10")] {
            assert_eq!(class(back, size), format!("shade {shade}"), "{back} of {size}");
        }
        assert_eq!(class(0, 0), "shade s0");
    }

    #[test]
    fn the_last_cell_is_open_and_empty_cohorts_say_nothing() {
        let cells = cells(Interval::Week, &cohort(4, &[4, 1]), true);
        assert_eq!((cells[0].text.as_str(), cells[0].class.as_str()), ("100%", "shade s10"));
        assert_eq!((cells[1].text.as_str(), cells[1].class.as_str()), ("25%", "shade s3 open"));
        assert_eq!(super::cells(Interval::Week, &cohort(0, &[0]), true)[0].text, "");
    }
}
