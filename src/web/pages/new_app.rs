//! Making an app, and showing its first key the only time it can be shown.

use std::sync::LazyLock;

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;

use crate::auth::token;
use crate::model::{NewApp, Salt, Slug, Zone};

use super::super::credentials::{Shown, name_fits, shown};
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{Action, Visit};
use super::super::frame::Frame;
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/new_app.html")]
struct NewAppForm {
    frame: Frame,
    name: String,
    zone: String,
    zones: &'static [Region],
    problem: Option<&'static str>,
}

/// The time zones of a part of the world.
struct Region {
    name: &'static str,
    zones: Vec<String>,
}

static REGIONS: LazyLock<Vec<Region>> = LazyLock::new(|| {
    let parts =
        ["Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific"];
    let all: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    let region = |name: &'static str| {
        let inside = |zone: &&String| zone.strip_prefix(name).is_some_and(|rest| rest.starts_with('/'));
        let mut zones: Vec<String> = all.iter().filter(inside).cloned().collect();
        zones.sort();
        Region { name, zones }
    };
    parts.into_iter().map(region).collect()
});

/// `GET /apps/new`
pub async fn show(State(state): State<WebState>, visit: Visit) -> Page {
    visit.administers()?;
    page(&form(&state, &visit, "", "UTC", None))
}

/// `POST /apps/new`: makes the app and its first key, and shows that key.
pub async fn create(State(state): State<WebState>, action: Action) -> Page {
    let Action { visit, fields } = action;
    visit.administers()?;
    let (name, zone_name) = (fields.get("name").trim(), fields.get("zone"));
    let refuse =
        |problem| page_with(StatusCode::UNPROCESSABLE_ENTITY, &form(&state, &visit, name, zone_name, Some(problem)));
    if !name_fits(name) {
        return refuse("A name has 1 to 100 characters.");
    }
    let Some(zone) = Zone::find(zone_name) else {
        return refuse("Choose a time zone from the list.");
    };
    let new = NewApp {
        uuid: uuid::Uuid::new_v4(),
        slug: slug(name),
        slug_fixed: false,
        name: name.to_owned(),
        zone,
        salt: Salt(token::random()),
        strict: false,
    };
    let now = state.clock.now();
    let app = state.ask(move |store| store.create_app(&new, now)).await?;
    let environment = app.environments.first().ok_or(PageError::NotFound)?;
    let issued = state.keys.issue(environment.id, "First key");
    let key = issued.new;
    state.ask(move |store| store.create_key(&key, now)).await?;
    state.keys.forget();
    let shown = Shown {
        frame: Frame::member(&state, &visit, &app.name),
        heading: format!("{} is ready", app.name),
        note: None,
        environment: environment.slug.to_string(),
        overview: state.site.link(&format!("/apps/{}", app.slug)),
        ..shown(&app, &visit, issued.token, issued.secret, Frame::member(&state, &visit, ""))?
    };
    page(&shown)
}

fn form(state: &WebState, visit: &Visit, name: &str, zone: &str, problem: Option<&'static str>) -> NewAppForm {
    NewAppForm {
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

    #[test]
    fn every_zone_on_offer_exists() {
        assert!(REGIONS.iter().map(|region| region.zones.len()).sum::<usize>() > 400);
        for zone in REGIONS.iter().flat_map(|region| &region.zones) {
            assert!(Zone::find(zone).is_some(), "{zone}");
        }
    }
}
