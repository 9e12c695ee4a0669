//! Tokens of an organization for the read API: list, make, revoke.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::auth::api_token;
use crate::model::{ApiToken, ApiTokenId, App, Concerning, Millis, TokenReach, TokenScope, Zone};

use super::super::credentials::name_fits;
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{OrganizationAction, OrganizationVisit};
use super::super::format::{Calendar, When};
use super::super::frame::Frame;
use super::super::state::WebState;

/// For how many days a token may work; none is until it is revoked.
const LIVES: [(&str, Option<i64>); 5] = [
    ("7 days", Some(7)),
    ("30 days", Some(30)),
    ("90 days", Some(90)),
    ("1 year", Some(365)),
    ("until it is revoked", None),
];

#[derive(Template)]
#[template(path = "pages/tokens.html")]
struct Tokens {
    frame: Frame,
    action: String,
    csrf: String,
    organization: String,
    /// Short name and name of each app.
    apps: Vec<(String, String)>,
    lives: Vec<(&'static str, String)>,
    rows: Vec<Row>,
    /// A token that was just made, the only time that it is shown.
    fresh: Option<Fresh>,
    name: String,
    problem: Option<&'static str>,
}

struct Fresh {
    name: String,
    token: String,
    /// A command that tries it.
    trial: String,
}

struct Row {
    id: i64,
    name: String,
    hint: String,
    scopes: String,
    /// What it may read.
    reach: String,
    made: When,
    used: Option<When>,
    works: Works,
}

/// How long a token works.
enum Works {
    Active,
    Until(When),
    Ended(When),
    Revoked(When),
}

impl Works {
    fn is_over(&self) -> bool {
        matches!(self, Self::Ended(_) | Self::Revoked(_))
    }
}

/// `GET /organizations/{organization}/tokens`
pub async fn show(State(state): State<WebState>, on: OrganizationVisit) -> Page {
    on.administers()?;
    page(&view(&state, &on).await?)
}

/// `POST /organizations/{organization}/tokens`: makes a token and shows it, the only time; or revokes one.
pub async fn change(State(state): State<WebState>, action: OrganizationAction) -> Page {
    let OrganizationAction { on, fields } = action;
    match fields.get("act") {
        "make" => {
            on.visit.proved()?;
            let name = fields.get("name").trim();
            let days = LIVES.iter().find(|(_, days)| written(*days) == fields.get("life")).ok_or(PageError::BadForm)?.1;
            if !name_fits(name) {
                let problem = Some("A name has 1 to 100 characters.");
                let again = Tokens { problem, name: name.to_owned(), ..view(&state, &on).await? };
                return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
            }
            let reach = match fields.get("app") {
                "" => TokenReach::Organization(on.organization.id),
                slug => {
                    let apps = apps(&state, &on).await?;
                    let app = apps.into_iter().find(|app| app.slug.as_str() == slug).ok_or(PageError::BadForm)?;
                    TokenReach::App(app.id)
                }
            };
            let ends = days.map(|days| state.clock.now().plus(days * Millis::DAY));
            let issued = api_token::issue(reach, name, [TokenScope::Read].into_iter().collect(), ends);
            let (new, by) = (issued.new, on.visit.by(&state));
            state.ask(move |store| store.create_api_token(&new, &by)).await?;
            let trial = format!(
                "curl -H 'Authorization: Bearer {}' \\\n  {}/api/v1/apps",
                issued.token, on.visit.place.address
            );
            let fresh = Some(Fresh { name: name.to_owned(), token: issued.token, trial });
            page(&Tokens { fresh, ..view(&state, &on).await? })
        }
        "revoke" => {
            let id = fields.get("id").parse().map(ApiTokenId).map_err(|_| PageError::BadForm)?;
            let (of, by) = (Concerning::Organization(on.organization.id), on.visit.by(&state));
            let known = state.ask(move |store| store.api_tokens(of)).await?;
            let token = known.into_iter().find(|token| token.id == id).ok_or(PageError::NotFound)?;
            if token.revoked_at.is_none() {
                state.ask(move |store| store.revoke_api_token(token.id, &by)).await?;
            }
            Ok(Redirect::to(&state.site.link(&path(&on))).into_response())
        }
        _ => Err(PageError::BadForm),
    }
}

fn path(on: &OrganizationVisit) -> String {
    format!("/organizations/{}/tokens", on.organization.slug)
}

/// A life as forms have it.
fn written(days: Option<i64>) -> String {
    days.map_or_else(|| "none".to_owned(), |days| days.to_string())
}

async fn apps(state: &WebState, on: &OrganizationVisit) -> Result<Vec<App>, PageError> {
    let all = state.ask(|store| store.apps()).await?;
    Ok(all.into_iter().filter(|app| app.organization.id == on.organization.id).collect())
}

async fn view(state: &WebState, on: &OrganizationVisit) -> Result<Tokens, PageError> {
    let (of, now) = (Concerning::Organization(on.organization.id), state.clock.now());
    let (tokens, apps) = (state.ask(move |store| store.api_tokens(of)).await?, apps(state, on).await?);
    let calendar = Calendar::new(Zone::utc().into(), now);
    let row = |token: ApiToken| Row {
        id: token.id.0,
        reach: match token.app {
            None => "all apps".to_owned(),
            Some(id) => apps.iter().find(|app| app.id == id).map_or("an app that is gone", |app| &app.name).to_owned(),
        },
        name: token.name,
        hint: token.hint,
        scopes: token.scopes.to_string(),
        made: calendar.date_time(token.created_at),
        used: token.last_used_at.map(|at| calendar.hour(at)),
        works: match (token.revoked_at, token.expires_at) {
            (Some(at), _) => Works::Revoked(calendar.date_time(at)),
            (None, Some(at)) if at <= now => Works::Ended(calendar.date_time(at)),
            (None, Some(at)) => Works::Until(calendar.date_time(at)),
            (None, None) => Works::Active,
        },
    };
    Ok(Tokens {
        frame: Frame::organization(state, on, "/tokens"),
        action: state.site.link(&path(on)),
        csrf: on.visit.csrf.clone(),
        organization: on.organization.name.clone(),
        rows: tokens.into_iter().map(row).collect(),
        apps: apps.iter().map(|app| (app.slug.to_string(), app.name.clone())).collect(),
        lives: LIVES.iter().map(|(label, days)| (*label, written(*days))).collect(),
        fresh: None,
        name: String::new(),
        problem: None,
    })
}
