//! Signing in and out.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::response::{IntoResponse, Redirect};

use crate::auth::login::SignInError;

use super::super::cookie;
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{Action, Place, Posted, Visit};
use super::super::form::{Fields, return_path};
use super::super::frame::Frame;
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/login.html")]
struct Login {
    frame: Frame,
    name: String,
    next: String,
    problem: Option<String>,
}

/// `GET /login?next=…`
pub async fn show(
    State(state): State<WebState>,
    place: Place,
    visit: Result<Visit, PageError>,
    RawQuery(query): RawQuery,
) -> Page {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let next = return_path(query.get("next")).unwrap_or("/apps").to_owned();
    match visit {
        Ok(_) => Ok(Redirect::to(&state.site.link(&next)).into_response()),
        Err(PageError::SignIn(_)) => {
            page(&Login { frame: Frame::open(&state, &place, "Sign in"), name: String::new(), next, problem: None })
        }
        Err(error) => Err(error),
    }
}

/// `POST /login`
pub async fn sign_in(State(state): State<WebState>, posted: Posted) -> Page {
    let Posted { place, fields } = posted;
    let (name, next) = (fields.get("name").trim(), return_path(fields.get("next")).unwrap_or("/apps"));
    let form = |problem: String| Login {
        frame: Frame::open(&state, &place, "Sign in"),
        name: name.to_owned(),
        next: next.to_owned(),
        problem: Some(problem),
    };
    match state.logins.sign_in(name, fields.get("password"), place.origin.address).await {
        Ok(signed_in) => {
            let cookie = cookie::set(&signed_in.token, place.wire).ok_or(PageError::BadForm)?;
            Ok(([(SET_COOKIE, cookie)], Redirect::to(&state.site.link(next))).into_response())
        }
        Err(SignInError::Wrong) => {
            page_with(StatusCode::UNAUTHORIZED, &form("That name and password do not match.".to_owned()))
        }
        Err(SignInError::TooMany { retry_after }) => {
            let problem = format!("Too many attempts. Try again in {}.", wait(retry_after));
            let mut response = page_with(StatusCode::TOO_MANY_REQUESTS, &form(problem))?;
            response.headers_mut().insert(RETRY_AFTER, retry_after.into());
            Ok(response)
        }
        Err(SignInError::Store(error)) => Err(error.into()),
    }
}

/// `POST /logout`
pub async fn sign_out(State(state): State<WebState>, action: Action) -> Page {
    state.logins.sign_out(&action.visit.token).await?;
    let cookie = cookie::clear(action.visit.place.wire);
    Ok(([(SET_COOKIE, cookie)], Redirect::to(&state.site.link("/login"))).into_response())
}

fn wait(seconds: u32) -> String {
    match seconds {
        0 | 1 => "a second".to_owned(),
        2..=90 => format!("{seconds} seconds"),
        _ => format!("{} minutes", seconds.div_ceil(60)),
    }
}
