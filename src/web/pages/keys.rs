//! Ingest keys of an app: list, create, rotate, revoke.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{EnvironmentId, IngestKey, IngestKeyId, Millis};

use super::super::credentials::{Shown, name_fits, shown};
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{AppAction, AppVisit, environment_path};
use super::super::format::{Calendar, When};
use super::super::frame::Frame;
use super::super::state::WebState;

/// For how many days an old key may go on after a rotation. Copies of a program in the field keep their key until they
/// are updated.
const OVERLAPS: [(&str, i64); 5] = [("1 day", 1), ("7 days", 7), ("30 days", 30), ("90 days", 90), ("1 year", 365)];

#[derive(Template)]
#[template(path = "pages/keys.html")]
struct Keys {
    frame: Frame,
    action: String,
    administers: bool,
    csrf: String,
    environments: Vec<String>,
    overlaps: &'static [(&'static str, i64)],
    keys: Vec<Row>,
    name: String,
    problem: Option<&'static str>,
}

struct Row {
    id: i64,
    name: String,
    hint: String,
    environment: String,
    created: When,
    used: Option<When>,
    works: Works,
}

/// How long a key works.
enum Works {
    Active,
    Until(When),
    Revoked(When),
}

impl Works {
    fn is_over(&self) -> bool {
        matches!(self, Self::Revoked(_))
    }
}

/// `GET /apps/{app}/keys`
pub async fn show(State(state): State<WebState>, on: AppVisit) -> Page {
    page(&list(&state, &on, "", None).await?)
}

/// `POST /apps/{app}/keys`: makes a key and shows it, the only time.
pub async fn create(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let name = fields.get("name").trim();
    if !name_fits(name) {
        let again = list(&state, &on, name, Some("A name has 1 to 100 characters.")).await?;
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let environment = on.app.environment(fields.get("environment")).ok_or(PageError::NotFound)?.id;
    let shown = issue(&state, &on, environment, name).await?;
    page(&Shown { heading: format!("Key “{name}”"), ..shown })
}

/// `POST /apps/{app}/keys/{key}/revoke`: the key stops at once.
pub async fn revoke(State(state): State<WebState>, Path(path): Path<KeyPath>, action: AppAction) -> Page {
    let key = find(&state, &action.on, &path).await?;
    let now = state.clock.now();
    state.ask(move |store| store.revoke_key(key.id, now)).await?;
    state.keys.forget();
    Ok(Redirect::to(&state.site.link(&format!("/apps/{}/keys", action.on.app.slug))).into_response())
}

/// `POST /apps/{app}/keys/{key}/rotate`: a new key of the same name and environment; the old one stops later.
pub async fn rotate(State(state): State<WebState>, Path(path): Path<KeyPath>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let old = find(&state, &on, &path).await?;
    let now = state.clock.now();
    if old.revoked_at.is_some_and(|at| at <= now) {
        return Err(PageError::NotFound);
    }
    let days = fields.get("overlap");
    let days = OVERLAPS.iter().map(|(_, days)| *days).find(|d| d.to_string() == days).ok_or(PageError::BadForm)?;
    let end = now.plus(days * Millis::DAY);
    let end = old.revoked_at.map_or(end, |at| at.min(end));
    let shown = issue(&state, &on, old.environment.id, &old.name).await?;
    state.ask(move |store| store.revoke_key(old.id, end)).await?;
    state.keys.forget();
    let until = Calendar::new(on.app.zone.clone(), now).date_time(end).text;
    let note = format!("The old key {}… keeps working until {until}.", old.hint);
    page(&Shown { heading: format!("New key “{}”", old.name), note: Some(note), ..shown })
}

/// `{app}` and `{key}` of a path.
pub type KeyPath = std::collections::HashMap<String, String>;

async fn issue(state: &WebState, on: &AppVisit, environment: EnvironmentId, name: &str) -> Result<Shown, PageError> {
    let issued = state.keys.issue(environment, name);
    let (key, now) = (issued.new, state.clock.now());
    state.ask(move |store| store.create_key(&key, now)).await?;
    state.keys.forget();
    let mut shown = shown(&on.app, &on.visit, issued.token, issued.secret, Frame::app(state, on, "/keys"))?;
    let environment = on.app.environments.iter().find(|e| e.id == environment).unwrap_or(&on.environment);
    shown.environment = environment.slug.to_string();
    shown.overview = state.site.link(&environment_path(&on.app, environment));
    Ok(shown)
}

/// The key that a path names, if it is this app's.
async fn find(state: &WebState, on: &AppVisit, path: &KeyPath) -> Result<IngestKey, PageError> {
    let id = path.get("key").and_then(|key| key.parse().ok()).map(IngestKeyId).ok_or(PageError::NotFound)?;
    let app = on.app.id;
    let keys = state.ask(move |store| store.keys(Some(app))).await?;
    keys.into_iter().find(|key| key.id == id && key.app == app).ok_or(PageError::NotFound)
}

async fn list(state: &WebState, on: &AppVisit, name: &str, problem: Option<&'static str>) -> Result<Keys, PageError> {
    let app = on.app.id;
    let keys = state.ask(move |store| store.keys(Some(app))).await?;
    let now = state.clock.now();
    let calendar = Calendar::new(on.app.zone.clone(), now);
    let row = |key: IngestKey| Row {
        id: key.id.0,
        hint: key.hint,
        environment: key.environment.slug.to_string(),
        created: calendar.date_time(key.created_at),
        used: key.last_used_at.map(|at| calendar.hour(at)),
        works: match key.revoked_at {
            None => Works::Active,
            Some(at) if at > now => Works::Until(calendar.date_time(at)),
            Some(at) => Works::Revoked(calendar.date_time(at)),
        },
        name: key.name,
    };
    Ok(Keys {
        frame: Frame::app(state, on, "/keys"),
        action: state.site.link(&format!("/apps/{}/keys", on.app.slug)),
        administers: on.administers(),
        csrf: on.visit.csrf.clone(),
        environments: on.app.environments.iter().map(|e| e.slug.to_string()).collect(),
        overlaps: &OVERLAPS,
        keys: keys.into_iter().map(row).collect(),
        name: name.to_owned(),
        problem,
    })
}
