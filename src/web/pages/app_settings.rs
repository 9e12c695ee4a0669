//! What an app is called and how it counts; and its end.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{AppChange, Zone};
use crate::store::StoreError;

use super::super::credentials::name_fits;
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{AppAction, AppOwnerAction, AppVisit};
use super::super::format::{Calendar, When};
use super::super::frame::Frame;
use super::super::state::WebState;
use super::super::zones::{REGIONS, Region};

#[derive(Template)]
#[template(path = "pages/app_settings.html")]
struct Settings {
    frame: Frame,
    action: String,
    deletion: String,
    csrf: String,
    owns: bool,
    id: String,
    slug: String,
    organization: String,
    name: String,
    zone: String,
    zones: &'static LazyLock<Vec<Region>>,
    strict: bool,
    archived: Option<When>,
    problem: Option<&'static str>,
}

/// `GET /apps/{app}/settings`
pub async fn show(State(state): State<WebState>, on: AppVisit) -> Page {
    if !on.administers() {
        return Err(PageError::Role);
    }
    page(&view(&state, &on, None))
}

/// `POST /apps/{app}/settings`: name, zone, answers; archiving and restoring.
pub async fn change(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let refuse = |problem| page_with(StatusCode::UNPROCESSABLE_ENTITY, &view(&state, &on, Some(problem)));
    let changes = match fields.get("act") {
        "save" => {
            let (name, zone) = (fields.get("name").trim(), fields.get("zone"));
            if !name_fits(name) {
                return refuse("A name has 1 to 100 characters.");
            }
            if Zone::find(zone).is_none() {
                return refuse("Choose a time zone from the list.");
            }
            let strict = fields.get("strict") == "on";
            vec![AppChange::Name(name.to_owned()), AppChange::Zone(zone.to_owned()), AppChange::Strict(strict)]
        }
        "archive" => vec![AppChange::Archive],
        "restore" => vec![AppChange::Restore],
        _ => return Err(PageError::BadForm),
    };
    let (app, by) = (on.app.id, on.visit.by(&state));
    state.ask(move |store| changes.iter().try_for_each(|change| store.change_app(app, change, &by))).await?;
    state.keys.forget();
    Ok(Redirect::to(&state.site.link(&format!("/apps/{}/settings", on.app.slug))).into_response())
}

/// `POST /apps/{app}/delete`: gone for everybody at once, its data behind.
pub async fn delete(State(state): State<WebState>, action: AppOwnerAction) -> Page {
    let AppOwnerAction { on, fields } = action;
    on.visit.proved()?;
    let refuse = |status, problem| page_with(status, &view(&state, &on, Some(problem)));
    if fields.get("confirm").trim() != on.app.slug.as_str() {
        return refuse(StatusCode::UNPROCESSABLE_ENTITY, "Type the short name to delete the app.");
    }
    let (app, by) = (on.app.id, on.visit.by(&state));
    match state.ask(move |store| store.change_app(app, &AppChange::Delete, &by)).await {
        Err(StoreError::InUse(_)) => refuse(StatusCode::CONFLICT, "Archive it first."),
        done => {
            done?;
            state.keys.forget();
            Ok(Redirect::to(&state.site.link("/apps")).into_response())
        }
    }
}

fn view(state: &WebState, on: &AppVisit, problem: Option<&'static str>) -> Settings {
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let path = |page| state.site.link(&format!("/apps/{}/{page}", on.app.slug));
    Settings {
        frame: Frame::app(state, on, "/settings"),
        action: path("settings"),
        deletion: path("delete"),
        csrf: on.visit.csrf.clone(),
        owns: on.role.may_own(),
        id: on.app.uuid.to_string(),
        slug: on.app.slug.to_string(),
        organization: on.app.organization.name.clone(),
        name: on.app.name.clone(),
        zone: on.app.zone.name().to_owned(),
        zones: &REGIONS,
        strict: on.app.strict,
        archived: on.app.archived_at.map(|at| calendar.date_time(at)),
        problem,
    }
}
