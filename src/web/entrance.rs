//! What all ways to sign in have in common: the cookies, who calls, and pages that say why somebody is not let in.

use askama::Template;
use axum::http::header::{RETRY_AFTER, SET_COOKIE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect};

use crate::auth::login::{Caller, SignedIn};

use super::cookie::{self, Brief};
use super::error::{Page, PageError, page_with};
use super::extract::{Place, Visit};
use super::frame::Frame;
use super::state::WebState;

/// A page at the door with one thing to say and one way on.
#[derive(Template)]
#[template(path = "pages/door_note.html")]
struct DoorNote<'a> {
    frame: Frame,
    title: &'a str,
    text: &'a str,
    link: String,
    label: &'a str,
}

/// What such a page says.
#[derive(Clone, Copy, Debug)]
pub struct Note<'a> {
    /// Its heading.
    pub title: &'a str,
    /// What there is to know.
    pub text: &'a str,
    /// Path of ours to go on to.
    pub path: &'a str,
    /// In words.
    pub label: &'a str,
}

/// Says why, and where to go on.
pub fn note(state: &WebState, place: &Place, status: StatusCode, note: Note<'_>) -> Page {
    let Note { title, text, path, label } = note;
    let frame = Frame::open(state, place, title);
    page_with(status, &DoorNote { frame, title, text, link: state.site.link(path), label })
}

/// Who calls, as far as signing in is concerned.
pub fn caller(place: &Place) -> Caller<'_> {
    Caller { address: place.origin.address, place: &place.browser }
}

/// Gives the browser its login, ends the one that it had, and leads on.
pub async fn enter(state: &WebState, before: Result<Visit, PageError>, signed_in: &SignedIn, to: Next<'_>) -> Page {
    if let Ok(visit) = before {
        state.logins.sign_out(&visit.token).await?;
    }
    let Next { place, path, done } = to;
    let login = cookie::set(&signed_in.token, place.wire, state.logins.times()).ok_or(PageError::BadForm)?;
    let cookies = [Some(login), done.map(|brief| cookie::clear_brief(place.wire, brief))];
    let headers = AppendHeaders(cookies.into_iter().flatten().map(|cookie| (SET_COOKIE, cookie)).collect::<Vec<_>>());
    Ok((headers, Redirect::to(&state.site.link(path))).into_response())
}

/// Where somebody goes on to after signing in.
#[derive(Clone, Copy, Debug)]
pub struct Next<'a> {
    /// Where the request came in.
    pub place: &'a Place,
    /// Path of ours.
    pub path: &'a str,
    /// What the browser kept on the way, and needs no more.
    pub done: Option<Brief>,
}

/// The same page with a login under another token, as is due after each proof of who somebody is.
pub async fn renewed(state: &WebState, visit: &Visit) -> Result<(String, HeaderValue), PageError> {
    let token = state.logins.renew(&visit.token).await?;
    let cookie = cookie::set(&token, visit.place.wire, state.logins.times()).ok_or(PageError::BadForm)?;
    Ok((token, cookie))
}

/// That somebody has to wait.
pub fn too_many(retry_after: u32) -> String {
    let wait = match retry_after {
        0 | 1 => "a second".to_owned(),
        2..=90 => format!("{retry_after} seconds"),
        _ => format!("{} minutes", retry_after.div_ceil(60)),
    };
    format!("Too many attempts. Try again in {wait}.")
}

/// A page that says [`too_many`], for programs too.
pub fn wait_page(retry_after: u32, template: &impl Template) -> Page {
    let mut response = page_with(StatusCode::TOO_MANY_REQUESTS, template)?;
    response.headers_mut().insert(RETRY_AFTER, retry_after.into());
    Ok(response)
}

/// What a browser keeps for a step that it is in the middle of.
pub fn kept(headers: &HeaderMap, place: &Place, brief: Brief) -> String {
    cookie::brief(headers, place.wire, brief).unwrap_or_default().to_owned()
}
