//! Which lines an app changes for each SDK, and which SDKs' events have come: the page that can be read again, since it
//! shows no key.

use askama::Template;
use axum::extract::State;

use crate::model::{GuidePart, Span};

use super::super::connect::{Connect, Filling};
use super::super::error::{Page, page};
use super::super::extract::AppVisit;
use super::super::frame::Frame;
use super::super::state::WebState;
use super::super::waiting::TurnedAway;

#[derive(Template)]
#[template(path = "pages/connect.html")]
struct Shown {
    frame: Frame,
    app: String,
    keys: String,
    administers: bool,
    connect: Connect,
    turned_away: Option<TurnedAway>,
}

/// `GET /apps/{app}/connect`
pub async fn show(State(state): State<WebState>, on: AppVisit) -> Page {
    let filling = Filling {
        app: &on.app,
        address: &on.visit.place.address,
        environment: on.environment.slug.as_str(),
        public: None,
        signing: None,
    };
    let connect = Connect::new(&state, &filling).await?;
    let frame = Frame::app(&state, &on, "/keys");
    page(&Shown {
        frame: Frame { title: format!("Connect an SDK · {}", on.app.name), ..frame },
        app: on.app.name.clone(),
        keys: state.site.link(&format!("/apps/{}/keys", on.app.slug)),
        administers: on.administers(),
        connect,
        turned_away: TurnedAway::of(&state, &on),
    })
}
