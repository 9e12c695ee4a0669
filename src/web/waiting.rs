//! An environment without any event yet: how to send one, on a page that becomes the overview by itself.

use askama::Template;
use axum::extract::State;

use super::connect::{self, TurnedAway};
use super::error::{Page, page};
use super::extract::AppVisit;
use super::frame::Frame;
use super::state::WebState;

#[derive(Template)]
#[template(path = "pages/waiting.html")]
struct Waiting {
    frame: Frame,
    environment: String,
    keys_href: String,
    /// Keys that send into this environment, by name and first characters.
    keys: Vec<(String, String)>,
    /// Which lines to change.
    connect: String,
    turned_away: Option<TurnedAway>,
    /// Other environments that have events, by short name, with the address of their overview.
    elsewhere: Vec<(String, String)>,
}

#[derive(Template)]
#[template(path = "pages/nothing.html")]
struct Nothing {
    frame: Frame,
    heading: String,
    environment: String,
    overview: String,
}

/// The answer of any other page about events while there is none; `suffix` is the page's own in the navigation.
pub fn nothing(state: &WebState, on: &AppVisit, suffix: &str) -> Page {
    let frame = Frame::app(state, on, suffix);
    page(&Nothing {
        heading: frame.title.split(" · ").next().unwrap_or_default().to_owned(),
        frame,
        environment: on.environment.slug.to_string(),
        overview: state.site.link(&on.path()),
    })
}

/// The overview's answer while there is nothing to show.
pub async fn show(State(state): State<WebState>, on: AppVisit) -> Page {
    let (app, now) = (on.app.id, state.clock.now());
    let mut keys = state.ask(move |store| store.keys(Some(app))).await?;
    keys.retain(|key| key.environment.id == on.environment.id && key.revoked_at.is_none_or(|at| at > now));
    page(&Waiting {
        frame: Frame::app(&state, &on, ""),
        environment: on.environment.slug.to_string(),
        keys_href: state.site.link(&format!("/apps/{}/keys", on.app.slug)),
        keys: keys.into_iter().map(|key| (key.name, key.hint)).collect(),
        connect: state.site.link(&format!("/apps/{}/connect", on.app.slug)),
        turned_away: TurnedAway::of(&state, &on),
        elsewhere: connect::elsewhere(&state, &on).await?,
    })
}
