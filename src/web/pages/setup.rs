//! The first minute: the home page before and after set-up, and the one-time form that makes the owner.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect};

use crate::auth::login::SetupError;

use super::super::cookie;
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{Place, Posted};
use super::super::form::Fields;
use super::super::frame::Frame;
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/locked.html")]
struct Locked {
    frame: Frame,
    /// Whether the reader came with a link that works no more.
    spent: bool,
}

#[derive(Template)]
#[template(path = "pages/setup.html")]
struct Setup {
    frame: Frame,
    token: String,
    name: String,
    problem: Option<String>,
}

/// `GET /`: the apps, or, before set-up, where to find the link.
pub async fn home(State(state): State<WebState>, place: Place) -> Page {
    if state.is_set_up().await? {
        return Ok(Redirect::to(&state.site.link("/apps")).into_response());
    }
    page(&Locked { frame: Frame::open(&state, &place, "Set up"), spent: false })
}

/// `GET /setup?token=…`
pub async fn show(State(state): State<WebState>, place: Place, RawQuery(query): RawQuery) -> Page {
    if state.is_set_up().await? {
        return Ok(Redirect::to(&state.site.link("/login")).into_response());
    }
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let token = query.get("token");
    if !state.logins.setup_token_valid(token).await? {
        return spent(&state, &place);
    }
    page(&Setup {
        frame: Frame::open(&state, &place, "Set up"),
        token: token.to_owned(),
        name: String::new(),
        problem: None,
    })
}

/// `POST /setup`: makes the owner, signs them in and leads to their first app.
pub async fn complete(State(state): State<WebState>, posted: Posted) -> Page {
    let Posted { place, fields } = posted;
    let (token, name) = (fields.get("token"), fields.get("name").trim());
    let (status, problem) =
        match state.logins.complete_setup(token, (name, fields.get("password")), &place.browser).await {
            Ok(signed_in) => {
                let cookie =
                    cookie::set(&signed_in.token, place.wire, state.logins.times()).ok_or(PageError::BadForm)?;
                let next = Redirect::to(&state.site.link("/apps/new"));
                return Ok(([(SET_COOKIE, cookie)], next).into_response());
            }
            Err(SetupError::Password(problem)) => (StatusCode::UNPROCESSABLE_ENTITY, problem.to_string()),
            Err(SetupError::Name) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "A name has 1 to 254 characters, none of them invisible.".to_owned())
            }
            Err(SetupError::Taken) => (StatusCode::CONFLICT, SetupError::Taken.to_string()),
            Err(SetupError::TooBusy { retry_after }) => {
                (StatusCode::TOO_MANY_REQUESTS, format!("Too many try at once. Try again in {retry_after} seconds."))
            }
            Err(SetupError::Spent) => return spent(&state, &place),
            Err(SetupError::Store(error)) => return Err(error.into()),
        };
    let form = Setup {
        frame: Frame::open(&state, &place, "Set up"),
        token: token.to_owned(),
        name: name.to_owned(),
        problem: Some(problem),
    };
    page_with(status, &form)
}

fn spent(state: &WebState, place: &Place) -> Page {
    page_with(StatusCode::FORBIDDEN, &Locked { frame: Frame::open(state, place, "Set up"), spent: true })
}
