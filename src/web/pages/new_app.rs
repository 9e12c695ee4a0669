//! Making an app, and showing its first keys the only time they can be shown.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;

use crate::auth::ingest_key::issue_public;
use crate::auth::token;
use crate::model::{NewApp, Role, Salt, Slug, Zone};

use super::super::credentials::{Shown, name_fits};
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{Action, Visit};
use super::super::frame::Frame;
use super::super::state::WebState;
use super::super::zones::{REGIONS, Region};

#[derive(Template)]
#[template(path = "pages/new_app.html")]
struct NewAppForm {
    frame: Frame,
    name: String,
    zone: String,
    zones: &'static [Region],
    /// Short name, name, and whether it is chosen, of each organization that may get one.
    organizations: Vec<(String, String, bool)>,
    problem: Option<&'static str>,
}

/// `GET /apps/new`
pub async fn show(State(state): State<WebState>, visit: Visit) -> Page {
    let organizations = organizations(&state, &visit, "").await?;
    page(&form(&state, &visit, ("", "UTC", organizations), None))
}

/// `POST /apps/new`: makes the app and its first keys, one of each kind, and shows them. So whoever has just made an app
/// need not know yet which SDK wants which kind: each tab of the page has the right one filled in.
pub async fn create(State(state): State<WebState>, action: Action) -> Page {
    let Action { visit, fields } = action;
    let (name, zone_name, wanted) = (fields.get("name").trim(), fields.get("zone"), fields.get("organization"));
    let organizations = organizations(&state, &visit, wanted).await?;
    let (slug, _, _) = organizations.iter().find(|(_, _, chosen)| *chosen).ok_or(PageError::NotFound)?.clone();
    let organization = state.ask(move |store| store.find_organization(&slug)).await?.ok_or(PageError::NotFound)?;
    let refuse = |problem| {
        let again = form(&state, &visit, (name, zone_name, organizations.clone()), Some(problem));
        page_with(StatusCode::UNPROCESSABLE_ENTITY, &again)
    };
    if !name_fits(name) {
        return refuse("A name has 1 to 100 characters.");
    }
    let Some(zone) = Zone::find(zone_name) else {
        return refuse("Choose a time zone from the list.");
    };
    let new = NewApp {
        organization: Some(organization.id),
        uuid: uuid::Uuid::new_v4(),
        slug: self::slug(name),
        slug_fixed: false,
        name: name.to_owned(),
        zone,
        salt: Salt(token::random()),
        strict: false,
    };
    let by = visit.by(&state);
    let app = state.ask(move |store| store.create_app(&new, &by)).await?;
    let environment = app.environments.first().ok_or(PageError::NotFound)?;
    let keys =
        vec![issue_public(environment.id, "First public key"), state.keys.issue(environment.id, "First secret key")];
    for key in &keys {
        let (key, by) = (key.new.clone(), visit.by(&state));
        state.ask(move |store| store.create_key(&key, &by)).await?;
    }
    state.keys.forget();
    let frame = Frame::member(&state, &visit, &app.name);
    let shown = Shown::new(&state, &visit, (&app, environment), keys, frame).await?;
    page(&shown.titled(format!("{} is ready", app.name)))
}

/// Those in which the member may make apps; one of them is chosen: the wanted one, else the first.
async fn organizations(
    state: &WebState,
    visit: &Visit,
    wanted: &str,
) -> Result<Vec<(String, String, bool)>, PageError> {
    let mut all = state.ask(|store| store.organizations()).await?;
    all.retain(|row| visit.member.role_in(row.organization.id).is_some_and(Role::may_administer));
    if all.is_empty() {
        return Err(PageError::Role);
    }
    let chosen = match all.iter().position(|row| row.organization.slug.as_str() == wanted) {
        Some(chosen) => chosen,
        None if wanted.is_empty() => 0,
        None => return Err(PageError::NotFound),
    };
    let each = all.into_iter().enumerate();
    Ok(each.map(|(at, row)| (row.organization.slug.to_string(), row.organization.name, at == chosen)).collect())
}

fn form(
    state: &WebState,
    visit: &Visit,
    (name, zone, organizations): (&str, &str, Vec<(String, String, bool)>),
    problem: Option<&'static str>,
) -> NewAppForm {
    NewAppForm {
        organizations,
        frame: Frame::member(state, visit, "New app"),
        name: name.to_owned(),
        zone: zone.to_owned(),
        zones: &REGIONS,
        problem,
    }
}

/// The app's short name, none that a page of ours has already.
fn slug(name: &str) -> Slug {
    let slug = Slug::from_name(name);
    if slug.as_str() == "new" { Slug::from_name("new-app") } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_app_hides_behind_a_page() {
        for (name, expected) in [("New", "new-app"), ("News", "news"), ("My App!", "my-app")] {
            assert_eq!(slug(name).as_str(), expected);
        }
    }
}
