//! What an app collects: for its members, and for everybody where that is wanted.

use std::sync::Arc;

use askama::Template;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::header::CACHE_CONTROL;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Redirect};

use crate::model::{App, Audience, Collected, CollectedEvent, Fact, Kept};

use super::super::error::{Page, PageError, page};
use super::super::extract::{AppAction, AppVisit, Place, Visit};
use super::super::format::{Calendar, When, grouped};
use super::super::frame::Frame;
use super::super::state::WebState;

/// For how long whoever stands between may keep the public page.
const PUBLIC: &str = "public, max-age=300";

#[derive(Template)]
#[template(path = "pages/collects.html")]
struct Collects {
    frame: Frame,
    app: String,
    /// For members: who may change what, and the public address.
    inside: Option<Inside>,
    asked: When,
    events: Vec<Event>,
    more_events: usize,
    facts: Vec<&'static str>,
    collected: Arc<Collected>,
    profiles: String,
    country: bool,
    retention: Option<String>,
    respects_dnt: bool,
}

struct Inside {
    csrf: String,
    action: String,
    administers: bool,
    public: bool,
    address: String,
}

struct Event {
    name: String,
    events: String,
    props: Vec<(String, String)>,
    more: usize,
}

/// `GET /apps/{app}/collects`
pub async fn show(State(state): State<WebState>, on: AppVisit) -> Page {
    let app = on.app.id;
    let public = state.ask(move |store| store.is_collects_public(app)).await?;
    let inside = Inside {
        csrf: on.visit.csrf.clone(),
        action: state.site.link(&format!("/apps/{}/collects", on.app.slug)),
        administers: on.administers(),
        public,
        address: format!("{}/collects/{}", on.visit.place.address, on.app.slug),
    };
    let frame = Frame::app(&state, &on, "/collects");
    page(&view(&state, &on.app, frame, Some(inside)).await?)
}

/// `POST /apps/{app}/collects`: who may read it.
pub async fn change(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let audience = match fields.get("audience") {
        "everybody" => Audience::Everybody,
        "members" => Audience::Members,
        _ => return Err(PageError::BadForm),
    };
    let (app, by) = (on.app.id, on.visit.by(&state));
    state.ask(move |store| store.set_collects_public(app, audience, &by)).await?;
    Ok(Redirect::to(&state.site.link(&format!("/apps/{}/collects", on.app.slug))).into_response())
}

/// Who asks for the public page: the app that they name, and whether they are a member who may see it anyhow.
pub struct Asked {
    place: Place,
    app: App,
    member: bool,
}

impl FromRequestParts<WebState> for Asked {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, PageError> {
        let place = Place::from_request_parts(parts, state).await?;
        let Path(name) = Path::<String>::from_request_parts(parts, state).await.map_err(|_| PageError::NotFound)?;
        let app = state.ask(move |store| store.find_app(&name)).await?.ok_or(PageError::NotFound)?;
        let visit = Visit::from_request_parts(parts, state).await;
        let member = visit.is_ok_and(|visit| visit.member.role_in(app.organization.id).is_some());
        Ok(Self { place, app, member })
    }
}

/// `GET /collects/{app}`: as if it did not exist, unless it is public. Members are led to their own page then.
pub async fn public(State(state): State<WebState>, asked: Asked) -> Page {
    let Asked { place, app, member } = asked;
    let id = app.id;
    if !state.ask(move |store| store.is_collects_public(id)).await? {
        let own = state.site.link(&format!("/apps/{}/collects", app.slug));
        return if member { Ok(Redirect::to(&own).into_response()) } else { Err(PageError::NotFound) };
    }
    let frame = Frame::open(&state, &place, &format!("What {} collects", app.name));
    let mut response = page(&view(&state, &app, frame, None).await?)?;
    response.headers_mut().insert(CACHE_CONTROL, axum::http::HeaderValue::from_static(PUBLIC));
    Ok(response)
}

async fn view(state: &WebState, app: &App, frame: Frame, inside: Option<Inside>) -> Result<Collects, PageError> {
    let now = state.clock.now();
    let (collected, at) = state.collects.find(app, now).await?;
    let kept = state.ask(|store| store.keeping()).await?;
    let usual = app.environments.first().map(|environment| environment.id);
    let kept = kept.iter().find(|kept| Some(kept.environment) == usual && kept.kind == Kept::Events);
    let event = |event: &CollectedEvent| Event {
        name: event.name.clone(),
        events: grouped(i64::try_from(event.events).unwrap_or(i64::MAX)),
        props: event.props.iter().map(|(name, kinds)| (name.clone(), kinds.labels().join(", "))).collect(),
        more: event.more_props,
    };
    let told = ["an identifier", "an e-mail address", "a name"].into_iter().zip(collected.profiles);
    let told: Vec<_> = told.filter(|(_, seen)| *seen).map(|(label, _)| label).collect();
    Ok(Collects {
        frame,
        app: app.name.clone(),
        inside,
        asked: Calendar::new(app.zone.clone(), now).date_time(at),
        events: collected.events.iter().map(event).collect(),
        more_events: collected.more_events,
        facts: collected.facts.iter().map(|fact| fact.label()).collect(),
        profiles: listed(&told),
        country: collected.facts.contains(&Fact::Country),
        retention: kept.filter(|kept| kept.days > 0).map(|kept| format!("{} days", grouped(kept.days.into()))),
        respects_dnt: state.keeping.respects_dnt,
        collected,
    })
}

/// `a, b and c`
fn listed(parts: &[&str]) -> String {
    match parts {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}
