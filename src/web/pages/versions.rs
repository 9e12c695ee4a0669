//! All versions of an app: who runs which, how each does beside the one before, and what is asked of them.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{KnownVersion, VersionsPage};
use crate::query::{Aspect, Release, releases};

use super::super::chart;
use super::super::error::{Page, PageError, page};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{self, Calendar, When, grouped};
use super::super::frame::{Frame, Tab};
use super::super::release::{self, Rate, Summary};
use super::super::stack::Stack;
use super::super::standing::{self, Environments, Standing};
use super::super::state::WebState;
use super::super::table::{Cell, Form, Table};

/// Versions on one page.
const SHOWN: u32 = 25;
/// Longest search, in characters.
const SEARCH: usize = 64;

#[derive(Template)]
#[template(path = "pages/versions.html")]
struct VersionList {
    frame: Frame,
    pages: Vec<Tab>,
    action: String,
    ranges: Vec<Tab>,
    range: &'static str,
    environments: Vec<Tab>,
    environment: String,
    search: String,
    days: String,
    zone: String,
    /// The figures as files.
    files: [String; 2],
    /// How many there are, in words.
    count: String,
    /// Whether the app has any at all, as far as was looked.
    known: bool,
    /// Shares over time, where there are sessions.
    stack: Option<Stack>,
    has_unfinished: bool,
    interval: &'static str,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

struct Row {
    name: String,
    href: String,
    standing: Standing,
    sessions: String,
    share: String,
    /// Percent of all sessions.
    width: String,
    seen: Option<(When, When)>,
    builds: i64,
    rates: Vec<Rate>,
    summary: Option<Summary>,
}

/// `GET /apps/{app}/versions`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let environments = Environments::of(&on, &fields);
    let search: String = fields.get("search").trim().chars().take(SEARCH).collect();
    let now = state.clock.now();
    let range = standing::range(&on, &fields, now);
    let wanted = VersionsPage {
        search: Some(search.clone()).filter(|search| !search.is_empty()),
        after: fields.find("after").map(str::to_owned),
        limit: SHOWN,
        ..environments.wanted(&on, range.whole.range.from)
    };
    let paged = wanted.after.is_some();
    let ask = async { state.ask(move |store| store.versions(&wanted)).await.map_err(PageError::from) };
    let (list, health) = tokio::try_join!(ask, release::health(&state, &environments, &range, &on.app.zone))?;
    let calendar = Calendar::new(on.app.zone.clone(), now);
    let action = state.site.link(&format!("/apps/{}/versions", on.app.slug));
    let address = Address { range: range.preset.name(), environment: &environments.chosen, search: &search };
    let one = |name: &str| {
        let path = state.site.link(&format!("/apps/{}/version", on.app.slug));
        let pairs = [("name", name), ("range", address.range), ("environment", address.environment)];
        format!("{path}{}", standing::query(&pairs))
    };
    let stack = release::adoption(&state, (&environments, &range), &health, &calendar, &one).await?;
    let last = list.rows.last().map(|row| row.name.clone()).filter(|_| list.more);
    let known = releases(&health.versions);
    let row = |version: &KnownVersion| {
        let release = known.iter().find(|one| one.version.version == version.name);
        row(version, one(&version.name), (release, health.sessions), &calendar)
    };
    page(&VersionList {
        frame: Frame::app(&state, &on, "/versions"),
        pages: standing::pages(&state, &on, "versions"),
        ranges: standing::ranges(range.preset, |range| Address { range, ..address }.after(&action, "")),
        range: range.preset.name(),
        environments: environments.tabs(&on, |environment| Address { environment, ..address }.after(&action, "")),
        days: format::days(&range.whole),
        zone: on.app.zone.name().to_owned(),
        files: ["csv", "json"].map(|form| address.after(&format!("{action}.{form}"), "")),
        count: count(list.found, list.known),
        // Whoever looks into one environment must find the way back.
        known: list.known > 0 || !environments.chosen.is_empty(),
        has_unfinished: range.unfinished.is_some(),
        interval: range.interval.name(),
        stack,
        rows: list.rows.iter().map(row).collect(),
        first: paged.then(|| address.after(&action, "")),
        next: last.map(|last| address.after(&action, &last)),
        environment: environments.chosen.clone(),
        action: action.clone(),
        search: search.clone(),
    })
}

/// The versions with their health as a file: `GET /apps/{app}/versions.csv` and `.json`.
pub async fn file(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let range = standing::range(&on, &fields, state.clock.now());
    let health = release::health(&state, &Environments::of(&on, &fields), &range, &on.app.zone).await?;
    let wanted = fields.get("search").trim().to_lowercase();
    let mut table = Table::new(COLUMNS);
    let found = releases(&health.versions).into_iter().rev();
    let found = found.filter(|one| one.version.version.to_lowercase().contains(&wanted));
    table.rows.extend(found.map(|release| cells(&release, health.sessions)));
    table.answer(form, "versions")
}

/// Columns of the file.
const COLUMNS: [&str; 16] = [
    "version",
    "first_day",
    "sessions",
    "share_of_sessions",
    "crashed_sessions",
    "crash_free_sessions",
    "events",
    "errors",
    "error_rate",
    "new_users",
    "back_the_next_day",
    "back_the_next_day_rate",
    "compared_with",
    "crashes_verdict",
    "errors_verdict",
    "returns_verdict",
];

fn cells(release: &Release<'_>, all: i64) -> Vec<Cell> {
    let one = release.version;
    let share = |part: i64, whole: i64| {
        if whole > 0 { Cell::Decimal(part as f64 / whole as f64) } else { Cell::Empty }
    };
    vec![
        one.version.as_str().into(),
        one.first_day.timestamp().strftime("%Y-%m-%d").to_string().into(),
        one.sessions.into(),
        share(one.sessions, all),
        one.crashed_sessions.into(),
        share(one.sessions - one.crashed_sessions, one.sessions),
        one.events.into(),
        one.errors.into(),
        share(one.errors, one.events),
        one.newcomers.into(),
        one.returned.into(),
        share(one.returned, one.newcomers),
        release.before.map(|before| before.version.as_str()).into(),
        release.words(Aspect::Crashes).into(),
        release.words(Aspect::Errors).into(),
        release.words(Aspect::Returns).into(),
    ]
}

/// What stands in the page's address.
#[derive(Clone, Copy)]
struct Address<'a> {
    range: &'a str,
    environment: &'a str,
    search: &'a str,
}

impl Address<'_> {
    /// The page behind a version, or the first one.
    fn after(self, path: &str, after: &str) -> String {
        let pairs =
            [("range", self.range), ("environment", self.environment), ("search", self.search), ("after", after)];
        format!("{path}{}", standing::query(&pairs))
    }
}

fn row(version: &KnownVersion, href: String, (release, all): (Option<&Release<'_>>, i64), calendar: &Calendar) -> Row {
    let sessions = release.map_or(0, |release| release.version.sessions);
    let active = release.filter(|release| release.version.sessions > 0 || release.version.events > 0);
    Row {
        href,
        name: version.name.clone(),
        standing: standing::standing(&version.judged),
        sessions: grouped(sessions),
        share: format::share(sessions, all),
        width: format!("{:.1}%", sessions.clamp(0, all.max(0)) as f64 / all.max(1) as f64 * 100.0),
        seen: version.seen.map(|(first, last)| (calendar.date(first), calendar.date(last))),
        builds: version.builds,
        rates: active.map(release::rates).unwrap_or_default(),
        summary: active.map(release::summary),
    }
}

fn count(found: usize, known: usize) -> String {
    let noun = if known == 1 { "version" } else { "versions" };
    if found == known { format!("{known} {noun}") } else { format!("{found} of {known} {noun}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_tell_what_a_search_left_out() {
        for (found, known, text) in [(1, 1, "1 version"), (0, 1, "0 of 1 version"), (3, 40, "3 of 40 versions")] {
            assert_eq!(count(found, known), text);
        }
    }
}
