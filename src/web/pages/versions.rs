//! All versions of an app: who runs which, and what is asked of them.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{KnownVersion, VersionsPage};

use super::super::error::{Page, page};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{self, Calendar, When, grouped};
use super::super::frame::{Frame, Tab};
use super::super::standing::{self, Environments, Standing, query};
use super::super::state::WebState;

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
    environments: Vec<Tab>,
    environment: String,
    search: String,
    days: i64,
    /// How many there are, in words.
    count: String,
    /// Whether the app has any at all, as far as was looked.
    known: bool,
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
}

/// `GET /apps/{app}/versions`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let environments = Environments::of(&on, &fields);
    let search: String = fields.get("search").trim().chars().take(SEARCH).collect();
    let now = state.clock.now();
    let wanted = VersionsPage {
        search: Some(search.clone()).filter(|search| !search.is_empty()),
        after: fields.find("after").map(str::to_owned),
        limit: SHOWN,
        ..environments.wanted(&on, now)
    };
    let paged = wanted.after.is_some();
    let list = state.ask(move |store| store.versions(&wanted)).await?;
    let calendar = Calendar::new(on.app.zone.clone(), now);
    let action = state.site.link(&format!("/apps/{}/versions", on.app.slug));
    let to = |environment: &str, after: &str| {
        let pairs = [("environment", environment), ("search", &search), ("after", after)];
        format!("{action}{}", standing::query(&pairs))
    };
    let last = list.rows.last().map(|row| row.name.clone()).filter(|_| list.more);
    page(&VersionList {
        frame: Frame::app(&state, &on, "/versions"),
        pages: standing::pages(&state, &on, "versions"),
        environments: environments.tabs(&on, |environment| to(environment, "")),
        days: standing::DAYS,
        count: count(list.found, list.known),
        // Whoever looks into one environment must find the way back.
        known: list.known > 0 || !environments.chosen.is_empty(),
        rows: list.rows.iter().map(|version| row(&state, &on, version, list.sessions, &calendar)).collect(),
        first: paged.then(|| to(&environments.chosen, "")),
        next: last.map(|last| to(&environments.chosen, &last)),
        environment: environments.chosen,
        action,
        search,
    })
}

fn row(state: &WebState, on: &AppVisit, version: &KnownVersion, all: i64, calendar: &Calendar) -> Row {
    let path = state.site.link(&format!("/apps/{}/version", on.app.slug));
    Row {
        href: format!("{path}{}", query(&[("name", &version.name)])),
        name: version.name.clone(),
        standing: standing::standing(&version.judged),
        sessions: grouped(version.sessions),
        share: format::share(version.sessions, all),
        width: format!("{:.1}%", version.sessions.clamp(0, all.max(0)) as f64 / all.max(1) as f64 * 100.0),
        seen: version.seen.map(|(first, last)| (calendar.date(first), calendar.date(last))),
        builds: version.builds,
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
