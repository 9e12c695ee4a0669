//! One person or device of an app: found, with what they may ask for; and what was erased of late.

use askama::Template;
use axum::extract::State;
use axum::response::Response;

use crate::ingest::user_hash;
use crate::model::{FindPeople, Found, Who};

use super::super::error::{Page, PageError, page};
use super::super::extract::{AppAction, AppVisit};
use super::super::format::Calendar;
use super::super::frame::Frame;
use super::super::rights::{Told, address, environment};
use super::super::state::WebState;

/// Erasures that are listed.
const LISTED: u32 = 50;

#[derive(Template)]
#[template(path = "pages/people.html")]
struct People {
    frame: Frame,
    action: String,
    csrf: String,
    administers: bool,
    /// What was looked for, and what was found.
    search: Option<(String, Vec<Row>)>,
    erasures: Vec<Told>,
}

struct Row {
    href: String,
    label: String,
    kind: &'static str,
    environment: String,
    by: &'static str,
}

/// `GET /apps/{app}/people`
pub async fn show(State(state): State<WebState>, on: AppVisit) -> Page {
    view(&state, &on, None).await
}

/// `POST /apps/{app}/people`: a search. What is looked for names somebody, so it stands in no address and in no log.
pub async fn find(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let text = fields.get("who").trim().to_owned();
    let environments = on.app.environments.iter().map(|environment| environment.id).collect();
    let ask = FindPeople { environments, hash: user_hash(&on.app.salt, &text), text: text.clone() };
    let found = state.reports.look(move |store| store.find_people(&ask)).await?;
    let rows = found.iter().filter_map(|found| row(&state, &on, found)).collect();
    view(&state, &on, Some((text, rows))).await
}

async fn view(state: &WebState, on: &AppVisit, search: Option<(String, Vec<Row>)>) -> Result<Response, PageError> {
    let app = on.app.id;
    let erasures = state.ask(move |store| store.erasures(app, LISTED)).await?;
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    page(&People {
        frame: Frame::app(state, on, "/people"),
        action: state.site.link(&format!("/apps/{}/people", on.app.slug)),
        csrf: on.visit.csrf.clone(),
        administers: on.administers(),
        search,
        erasures: erasures.iter().map(|erasure| Told::of(state, on, &calendar, erasure)).collect(),
    })
}

fn row(state: &WebState, on: &AppVisit, found: &Found) -> Option<Row> {
    let (kind, name) = match found.subject.who {
        Who::User(hash) => ("person", format!("User {}", &hash.to_string()[..8])),
        Who::Device(id) => ("device", format!("Device {}", &id.to_string()[..8])),
    };
    Some(Row {
        href: address(state, &on.app, found.subject)?,
        label: found.label.clone().unwrap_or(name),
        kind,
        environment: environment(&on.app, found.subject.environment)?.slug.to_string(),
        by: found.by.label(),
    })
}
