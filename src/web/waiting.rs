//! An environment without any event yet: how to send one, on a page that becomes the overview by itself.

use askama::Template;
use axum::extract::State;

use crate::ingest::Refused;
use crate::model::{Environment, Millis};

use super::connect::arrivals;
use super::error::{Page, PageError, page};
use super::extract::{AppVisit, environment_path};
use super::format::{Calendar, When};
use super::frame::Frame;
use super::state::WebState;

/// For how long a request that was turned away is told of.
const RECENT: i64 = 10 * Millis::MINUTE;

/// For `parts/turned_away.html`: the last request that the box turned away, which may be one of the SDK that somebody is
/// about to connect.
pub struct TurnedAway {
    /// When.
    pub at: When,
    /// The protocol.
    pub protocol: &'static str,
    /// What was wrong with it.
    pub detail: String,
    /// The page that has all of them.
    pub all: String,
}

impl TurnedAway {
    /// Of the last minutes, for whoever owns the box: the key of such a request is mostly unknown, and so is its app.
    pub fn of(state: &WebState, on: &AppVisit) -> Option<Self> {
        let now = state.clock.now();
        let newest = state.intake.counters().refusals.newest().filter(|_| on.visit.member.owns_box)?;
        let Refused { at, protocol, detail } = newest;
        (now.since(at) < RECENT).then(|| Self {
            at: Calendar::new(on.app.zone.clone(), now).moment(at),
            protocol,
            detail,
            all: state.site.link("/box#refused"),
        })
    }
}

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
        elsewhere: elsewhere(&state, &on).await?,
    })
}

/// Other environments of the app that have events of late, by short name, with the address of their overview: debug
/// builds of some SDKs report into one of their own, whatever their key was made for.
async fn elsewhere(state: &WebState, on: &AppVisit) -> Result<Vec<(String, String)>, PageError> {
    let arrivals = arrivals(state, &on.app).await?;
    let others = arrivals.iter().filter(|(other, list)| other.id != on.environment.id && !list.rows.is_empty());
    let link = |environment: &Environment| state.site.link(&environment_path(&on.app, environment));
    Ok(others.map(|(other, _)| (other.slug.to_string(), link(other))).collect())
}
