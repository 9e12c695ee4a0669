//! The sessions of an environment: what they come to, how long they last, and a list of them.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{
    Ask, Cursor, Dimension, EnvironmentId, LENGTH_STEPS, Metric, Millis, Query, Report, SessionFilters, SessionRow,
    SessionsAsk, SessionsPage, SessionsTold,
};
use crate::store::StoreError;

use super::super::bars::Bars;
use super::super::chart::{self, Point};
use super::super::error::{Page, PageError, page};
use super::super::event::short;
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{self, Calendar, ChangeText, When, grouped, length, share};
use super::super::frame::{Frame, Tab};
use super::super::listing::{ROWS, address};
use super::super::selection::Selection;
use super::super::session::facts;
use super::super::state::WebState;
use super::super::table::{Form, Table};
use super::super::toolbar::Toolbar;
use super::super::waiting;

/// Most rows of a file.
const FILE_ROWS: u32 = 1_000;

/// Lengths that the form offers, in seconds.
const LENGTHS: [(&str, &str); 6] =
    [("", "any length"), ("10", "10 s"), ("60", "1 min"), ("600", "10 min"), ("1800", "30 min"), ("3600", "1 h")];

#[derive(Template)]
#[template(path = "pages/sessions.html")]
struct Sessions {
    frame: Frame,
    environment: String,
    zone: String,
    toolbar: Toolbar,
    /// Whether there are filters that sessions have nothing for.
    idle_filters: bool,
    form: Narrow,
    cards: Vec<Card>,
    drawing: Bars,
    lengths: Vec<LengthRow>,
    rows: Vec<Row>,
    /// The list from its beginning, where this is a later page of it.
    first: Option<String>,
    next: Option<String>,
}

/// The form of conditions that sessions alone have.
struct Narrow {
    kept: Vec<(String, String)>,
    lengths: Vec<(&'static str, &'static str, bool)>,
    events: String,
    crashed: Vec<Tab>,
    /// The page without any of them, where there is one.
    cleared: Option<String>,
}

struct Card {
    label: &'static str,
    value: String,
    change: Option<ChangeText>,
    before: Option<String>,
}

/// One column of the distribution.
struct LengthRow {
    label: String,
    href: String,
    count: String,
    share: String,
}

struct Row {
    href: String,
    began: When,
    length: String,
    events: String,
    crashed: bool,
    facts: Vec<String>,
    user: Option<(String, String)>,
}

/// `GET /apps/{app}/sessions` and `GET /apps/{app}/{env}/sessions`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let query = query.unwrap_or_default();
    let Some(chosen) = Chosen::read(&state, &on, &query).await? else {
        return waiting::nothing(&state, &on, "/sessions");
    };
    let environment = on.environment.id;
    let Chosen { selection, filters, after } = &chosen;
    let told = told(&state, environment, &chosen).await?;
    let wanted = chosen.page(environment, ROWS);
    let found = state.reports.look(move |store| store.sessions(&wanted)).await?;
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let path = state.site.link(&format!("{}/sessions", on.path()));
    let users = state.site.link(&format!("{}/users", on.path()));
    let one = state.site.link(&format!("{}/session", on.path()));
    let mut toolbar = Toolbar::new(selection, &path);
    toolbar.dimensions.retain(|(name, _)| matches!(Dimension::parse(name), Some(Dimension::Fact(_))));
    let row = |session: &SessionRow| Row {
        href: session.name.map_or_else(String::new, |name| address(&one, &[("id", &name.to_string())])),
        began: calendar.moment(session.started_at),
        length: length(session.ended_at.since(session.started_at)),
        events: grouped(session.events),
        crashed: session.crashed,
        facts: facts(session).into_iter().map(|(_, text)| text).collect(),
        user: session.user.map(|user| (short(user), format!("{users}/{user}"))),
    };
    page(&Sessions {
        frame: Frame::app(&state, &on, "/sessions"),
        environment: on.environment.slug.to_string(),
        zone: on.app.zone.name().to_owned(),
        toolbar,
        idle_filters: selection.filters.iter().any(|filter| !matches!(filter.dimension, Dimension::Fact(_))),
        form: narrow(selection, filters, &path),
        cards: cards(&told.0, told.1.as_ref()),
        drawing: drawing(&told.0),
        lengths: lengths(&told.0, selection, &path),
        rows: found.rows.iter().map(row).collect(),
        first: after.as_ref().map(|_| format!("{path}{}", selection.query())),
        next: found.next.map(|next| format!("{path}{}", selection.with("after", &next.to_string()))),
    })
}

/// `GET /apps/{app}/sessions.csv` and `.json`, with an environment too: the newest thousand behind the cursor.
pub async fn file(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let mut table =
        Table::new(["id", "began", "ended", "events", "crashed", "version", "build", "system", "device", "user"]);
    if let Some(chosen) = Chosen::read(&state, &on, &query.unwrap_or_default()).await? {
        let wanted = chosen.page(on.environment.id, FILE_ROWS);
        let found = state.reports.look(move |store| store.sessions(&wanted)).await?;
        table.rows.extend(found.rows.into_iter().map(|row| {
            let at = |at: Millis| at.timestamp().to_string();
            vec![
                row.name.map(|name| name.to_string()).into(),
                at(row.started_at).into(),
                at(row.ended_at).into(),
                row.events.into(),
                i64::from(row.crashed).into(),
                row.version.into(),
                row.build.into(),
                row.system.into(),
                row.device.into(),
                row.user.map(|user| user.to_string()).into(),
            ]
        }));
    }
    table.answer(form, &format!("{}-sessions", on.app.slug))
}

/// What the address asks for.
struct Chosen {
    selection: Selection,
    filters: SessionFilters,
    after: Option<Cursor>,
}

impl Chosen {
    async fn read(state: &WebState, on: &AppVisit, query: &str) -> Result<Option<Self>, PageError> {
        let Some(selection) = Selection::read(state, on, query).await? else { return Ok(None) };
        let fields = Fields::parse(query.as_bytes());
        let number = |name: &str| fields.get(name).parse::<i64>().ok().filter(|n| (1..=1_000_000_000).contains(n));
        let filters = SessionFilters {
            facts: selection.filters.clone(),
            from_length: number("longer").map(|seconds| seconds * Millis::SECOND),
            below_length: number("shorter").map(|seconds| seconds * Millis::SECOND),
            from_events: number("events"),
            crashed: match fields.get("crashed") {
                "yes" => Some(true),
                "no" => Some(false),
                _ => None,
            },
        };
        let text = |number: Option<i64>| number.map_or_else(String::new, |number| number.to_string());
        let selection = selection
            .keeping("longer", &text(filters.from_length.map(|ms| ms / Millis::SECOND)))
            .keeping("shorter", &text(filters.below_length.map(|ms| ms / Millis::SECOND)))
            .keeping("events", &text(filters.from_events))
            .keeping("crashed", crashed_name(filters.crashed));
        let after = fields.find("after").and_then(Cursor::number);
        Ok(Some(Self { selection, filters: Self::of_facts(filters), after }))
    }

    /// Without conditions that sessions have nothing for, so that those do not keep the summaries from being used.
    fn of_facts(mut filters: SessionFilters) -> SessionFilters {
        let others: Vec<_> =
            filters.facts.iter().filter(|filter| !matches!(filter.dimension, Dimension::Fact(_))).cloned().collect();
        for other in others {
            filters.facts = filters.facts.without(&other.dimension, other.keep);
        }
        filters
    }

    fn page(&self, environment: EnvironmentId, limit: u32) -> SessionsPage {
        let (filters, after) = (self.filters.clone(), self.after.clone());
        SessionsPage { environment, range: self.selection.range.whole.range, filters, after, limit }
    }
}

fn crashed_name(crashed: Option<bool>) -> &'static str {
    match crashed {
        Some(true) => "yes",
        Some(false) => "no",
        None => "",
    }
}

/// What the sessions of the range come to, and those of the stretch that it is compared with.
async fn told(
    state: &WebState,
    environment: EnvironmentId,
    chosen: &Chosen,
) -> Result<(SessionsTold, Option<SessionsTold>), PageError> {
    let ask = |period| {
        let ask = Ask::Sessions(SessionsAsk { period, filters: chosen.filters.clone() });
        state.reports.report(Query { environment, ask })
    };
    let sessions = |report: &Report| match report {
        Report::Sessions(told) => Ok(*told),
        _ => Err(StoreError::Unexpected("a report of another shape than asked for".to_owned())),
    };
    let now = sessions(&*ask(chosen.selection.range.whole).await?)?;
    let before = match &chosen.selection.compared {
        Some(compared) => Some(sessions(&*ask(compared.whole).await?)?),
        None => None,
    };
    Ok((now, before))
}

fn cards(now: &SessionsTold, before: Option<&SessionsTold>) -> Vec<Card> {
    const SHOWN: [Metric; 5] = [
        Metric::Sessions,
        Metric::SessionLength,
        Metric::SessionLengthP95,
        Metric::EventsPerSession,
        Metric::CrashFreeSessions,
    ];
    let card = |metric: Metric| {
        let own = metric.value(&now.counts);
        let earlier = before.map(|before| metric.value(&before.counts));
        Card {
            label: match metric {
                Metric::SessionLength => "Median length",
                Metric::SessionLengthP95 => "Length, p95",
                Metric::CrashFreeSessions => "Crash-free",
                metric => metric.label(),
            },
            value: format::metric(metric, own),
            change: format::change_of(metric, own, earlier.flatten()),
            before: earlier.flatten().map(|before| format::metric(metric, Some(before))),
        }
    };
    SHOWN.into_iter().map(card).collect()
}

/// The names of the columns: `under 10 s`, `10–30 s`, `1–3 min`, `12 h and more`.
fn column(at: usize) -> String {
    let unit = |ms: i64| match ms {
        ms if ms < Millis::MINUTE => (ms / Millis::SECOND, "s"),
        ms if ms < Millis::HOUR => (ms / Millis::MINUTE, "min"),
        ms => (ms / Millis::HOUR, "h"),
    };
    let from = at.checked_sub(1).map(|at| unit(LENGTH_STEPS[at]));
    match (from, LENGTH_STEPS.get(at).map(|step| unit(*step))) {
        (None, Some((to, name))) => format!("under {to} {name}"),
        (Some((from, one)), Some((to, other))) if one == other => format!("{from}–{to} {one}"),
        (Some((from, one)), Some((to, other))) => format!("{from} {one} – {to} {other}"),
        (Some((from, name)), None) => format!("{from} {name} and more"),
        (None, None) => String::new(),
    }
}

/// The same, short enough to stand under a bar: where the column begins.
fn tick(at: usize) -> String {
    match at.checked_sub(1).map(|at| LENGTH_STEPS[at]) {
        None => "0 s+".to_owned(),
        Some(from) => format!("{}+", length(from)),
    }
}

fn drawing(told: &SessionsTold) -> Bars {
    let point = |(at, sessions): (usize, &i64)| Point {
        value: *sessions,
        tick: tick(at),
        title: format!("{}: {} sessions", column(at), grouped(*sessions)),
    };
    Bars::new("Sessions", "length", told.lengths.iter().enumerate().map(point).collect(), None)
}

fn lengths(told: &SessionsTold, selection: &Selection, path: &str) -> Vec<LengthRow> {
    let all: i64 = told.lengths.iter().sum();
    let seconds = |step: Option<&i64>| step.map_or_else(String::new, |ms| (ms / Millis::SECOND).to_string());
    let row = |(at, sessions): (usize, &i64)| {
        let longer = seconds(at.checked_sub(1).map(|at| &LENGTH_STEPS[at]));
        let shorter = seconds(LENGTH_STEPS.get(at));
        LengthRow {
            label: column(at),
            href: format!("{path}{}", selection.with_all(&[("longer", &longer), ("shorter", &shorter)])),
            count: grouped(*sessions),
            share: share(*sessions, all),
        }
    };
    told.lengths.iter().enumerate().map(row).collect()
}

fn narrow(selection: &Selection, filters: &SessionFilters, path: &str) -> Narrow {
    let longer = filters.from_length.map_or_else(String::new, |ms| (ms / Millis::SECOND).to_string());
    let mut kept = selection.pairs();
    kept.retain(|(name, _)| !["longer", "shorter", "events"].contains(&name.as_str()));
    let crashed = |(label, value): (&str, Option<bool>)| Tab {
        label: label.to_owned(),
        href: format!("{path}{}", selection.with("crashed", crashed_name(value))),
        current: filters.crashed == value,
    };
    let own = SessionFilters { facts: filters.facts.clone(), ..SessionFilters::default() };
    let none = [("longer", ""), ("shorter", ""), ("events", ""), ("crashed", "")];
    Narrow {
        kept,
        lengths: LENGTHS.iter().map(|(value, label)| (*value, *label, *value == longer)).collect(),
        events: filters.from_events.map_or_else(String::new, |events| events.to_string()),
        crashed: [("All", None), ("Crashed", Some(true)), ("Crash-free", Some(false))].map(crashed).into(),
        cleared: (own != *filters).then(|| format!("{path}{}", selection.with_all(&none))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_named_by_their_ends() {
        let names: Vec<String> = (0..=LENGTH_STEPS.len()).map(column).collect();
        assert_eq!(
            names,
            [
                "under 10 s",
                "10–30 s",
                "30 s – 1 min",
                "1–3 min",
                "3–10 min",
                "10–30 min",
                "30 min – 1 h",
                "1–3 h",
                "3–12 h",
                "12 h and more"
            ]
        );
        let ticks: Vec<String> = (0..=LENGTH_STEPS.len()).map(tick).collect();
        assert_eq!(ticks, ["0 s+", "10 s+", "30 s+", "1 m+", "3 m+", "10 m+", "30 m+", "1 h+", "3 h+", "12 h+"]);
    }
}
