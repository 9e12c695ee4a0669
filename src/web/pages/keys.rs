//! Ingest keys of an app: list, create, rotate, revoke.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::auth::ingest_key::{IssuedKey, issue_public};
use crate::model::{EnvironmentId, IngestKey, IngestKeyId, KeyKind, Millis};

use super::super::credentials::{Shown, name_fits};
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{AppAction, AppVisit};
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
    /// Which lines to change.
    connect: String,
    administers: bool,
    csrf: String,
    environments: Vec<String>,
    /// Whether a public key was wanted.
    public: bool,
    overlaps: &'static [(&'static str, i64)],
    keys: Vec<Row>,
    name: String,
    problem: Option<&'static str>,
}

struct Row {
    id: i64,
    name: String,
    hint: String,
    kind: KeyKind,
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
    page(&list(&state, &on, ("", true), None).await?)
}

/// `POST /apps/{app}/keys`: makes a key and shows it, the only time.
pub async fn create(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let name = fields.get("name").trim();
    let public = match fields.get("kind") {
        "" | "secret" => false,
        "public" => true,
        _ => return Err(PageError::BadForm),
    };
    if !name_fits(name) {
        let again = list(&state, &on, (name, public), Some("A name has 1 to 100 characters.")).await?;
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let environment = on.app.environment(fields.get("environment")).ok_or(PageError::NotFound)?.id;
    let issued = issue(&state, public, environment, name);
    let (key, by) = (issued.new.clone(), on.visit.by(&state));
    state.ask(move |store| store.create_key(&key, &by)).await?;
    state.keys.forget();
    page(&show_once(&state, &on, issued).await?.titled(format!("Key “{name}”")))
}

/// `POST /apps/{app}/keys/{key}/revoke`: the key stops at once.
pub async fn revoke(State(state): State<WebState>, Path(path): Path<KeyPath>, action: AppAction) -> Page {
    let key = find(&state, &action.on, &path).await?;
    let by = action.on.visit.by(&state);
    state.ask(move |store| store.revoke_key(key.id, &by)).await?;
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
    let issued = issue(&state, old.kind == KeyKind::Public, old.environment.id, &old.name);
    let (key, by) = (issued.new.clone(), on.visit.by(&state));
    state.ask(move |store| store.rotate_key(old.id, &key, end, &by)).await?;
    state.keys.forget();
    let until = Calendar::new(on.app.zone.clone(), now).date_time(end).text;
    let note = format!("The old key {}… keeps working until {until}.", old.hint);
    let shown = show_once(&state, &on, issued).await?.titled(format!("New key “{}”", old.name));
    page(&shown.noting(note))
}

/// `{app}` and `{key}` of a path.
pub type KeyPath = std::collections::HashMap<String, String>;

fn issue(state: &WebState, public: bool, environment: EnvironmentId, name: &str) -> IssuedKey {
    if public { issue_public(environment, name) } else { state.keys.issue(environment, name) }
}

async fn show_once(state: &WebState, on: &AppVisit, issued: IssuedKey) -> Result<Shown, PageError> {
    let into = issued.new.environment;
    let environment = on.app.environments.iter().find(|e| e.id == into).unwrap_or(&on.environment);
    Shown::new(state, &on.visit, (&on.app, environment), vec![issued], Frame::app(state, on, "/keys")).await
}

/// The key that a path names, if it is this app's.
async fn find(state: &WebState, on: &AppVisit, path: &KeyPath) -> Result<IngestKey, PageError> {
    let id = path.get("key").and_then(|key| key.parse().ok()).map(IngestKeyId).ok_or(PageError::NotFound)?;
    let app = on.app.id;
    let keys = state.ask(move |store| store.keys(Some(app))).await?;
    keys.into_iter().find(|key| key.id == id && key.app == app).ok_or(PageError::NotFound)
}

async fn list(
    state: &WebState,
    on: &AppVisit,
    (name, public): (&str, bool),
    problem: Option<&'static str>,
) -> Result<Keys, PageError> {
    let app = on.app.id;
    let keys = state.ask(move |store| store.keys(Some(app))).await?;
    let now = state.clock.now();
    let calendar = Calendar::new(on.app.zone.clone(), now);
    let row = |key: IngestKey| Row {
        id: key.id.0,
        hint: key.hint,
        kind: key.kind,
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
        connect: state.site.link(&format!("/apps/{}/connect", on.app.slug)),
        administers: on.administers(),
        csrf: on.visit.csrf.clone(),
        environments: on.app.environments.iter().map(|e| e.slug.to_string()).collect(),
        public,
        overlaps: &OVERLAPS,
        keys: keys.into_iter().map(row).collect(),
        name: name.to_owned(),
        problem,
    })
}
