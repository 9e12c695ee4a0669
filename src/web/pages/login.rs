//! Signing in, in one step or two, and out.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect};

use crate::auth::login::{Entrance, SecondStepError, SignInError};

use super::super::cookie::{self, Brief};
use super::super::entrance::{self, Next, Note};
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
    /// Name of the provider of sign-ins, and the way there.
    provider: Option<(String, String)>,
}

#[derive(Template)]
#[template(path = "pages/login_code.html")]
struct Code {
    frame: Frame,
    csrf: String,
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
    match (visit, &place.origin.user) {
        (Ok(_), _) => Ok(Redirect::to(&state.site.link(&next)).into_response()),
        (Err(PageError::SignIn(_)), Some(user)) => named(&state, &place, user, &next).await,
        (Err(PageError::SignIn(_)), None) => page(&form(&state, &place, "", &next)),
        (Err(error), _) => Err(error),
    }
}

/// `POST /login`
pub async fn sign_in(State(state): State<WebState>, before: Result<Visit, PageError>, posted: Posted) -> Page {
    let Posted { place, fields } = posted;
    let (name, next) = (fields.get("name").trim(), return_path(fields.get("next")).unwrap_or("/apps"));
    let form = |problem: String| Login { problem: Some(problem), ..form(&state, &place, name, next) };
    match state.logins.sign_in(name, fields.get("password"), &entrance::caller(&place)).await {
        Ok(Entrance::In(signed_in)) => {
            entrance::enter(&state, before, &signed_in, Next { place: &place, path: next, done: None }).await
        }
        Ok(Entrance::Code(sealed)) => {
            let cookie = cookie::set_brief(&sealed, place.wire, Brief::SecondStep).ok_or(PageError::BadForm)?;
            let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
            let to = Redirect::to(&state.site.link(&format!("/login/code?{query}")));
            Ok(([(SET_COOKIE, cookie)], to).into_response())
        }
        Err(SignInError::Wrong) => {
            page_with(StatusCode::UNAUTHORIZED, &form("That name and password do not match.".to_owned()))
        }
        Err(SignInError::TooMany { retry_after }) => {
            entrance::wait_page(retry_after, &form(entrance::too_many(retry_after)))
        }
        Err(SignInError::Store(error)) => Err(error.into()),
    }
}

/// `GET /login/code?next=…`: the second step, for a browser that has taken the first.
pub async fn show_code(
    State(state): State<WebState>,
    place: Place,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Page {
    let sealed = entrance::kept(&headers, &place, Brief::SecondStep);
    if !state.logins.awaits_code(&sealed) {
        return Ok(Redirect::to(&state.site.link("/login")).into_response());
    }
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let next = return_path(query.get("next")).unwrap_or("/apps");
    page(&code_form(&state, &place, &sealed, next))
}

/// `POST /login/code`
pub async fn check_code(
    State(state): State<WebState>,
    before: Result<Visit, PageError>,
    headers: HeaderMap,
    posted: Posted,
) -> Page {
    let Posted { place, fields } = posted;
    let sealed = entrance::kept(&headers, &place, Brief::SecondStep);
    if !state.logins.awaits_code(&sealed) {
        return begin_anew(&state, &place);
    }
    if !state.logins.csrf_matches(&sealed, fields.get("csrf")) {
        return Err(PageError::ForeignForm);
    }
    let next = return_path(fields.get("next")).unwrap_or("/apps");
    let form = |problem: String| Code { problem: Some(problem), ..code_form(&state, &place, &sealed, next) };
    match state.logins.second_step(&sealed, fields.get("code"), &entrance::caller(&place)).await {
        Ok(signed_in) => {
            let next = Next { place: &place, path: next, done: Some(Brief::SecondStep) };
            entrance::enter(&state, before, &signed_in, next).await
        }
        Err(SecondStepError::Stale) => begin_anew(&state, &place),
        Err(SecondStepError::SignIn(SignInError::Wrong)) => page_with(
            StatusCode::UNAUTHORIZED,
            &form("That is no code of now. Each code is good once: wait for the next one.".to_owned()),
        ),
        Err(SecondStepError::SignIn(SignInError::TooMany { retry_after })) => {
            entrance::wait_page(retry_after, &form(entrance::too_many(retry_after)))
        }
        Err(SecondStepError::SignIn(SignInError::Store(error))) => Err(error.into()),
    }
}

/// `POST /logout`
pub async fn sign_out(State(state): State<WebState>, action: Action) -> Page {
    let place = &action.visit.place;
    state.logins.sign_out(&action.visit.token).await?;
    let cookie = cookie::clear(place.wire);
    if place.origin.user.is_none() {
        return Ok(([(SET_COOKIE, cookie)], Redirect::to(&state.site.link("/login"))).into_response());
    }
    let said = Note {
        title: "Signed out here",
        text: "The proxy in front of this box still knows you, and signs you in again with the next page. \
               To sign out for good, do it there.",
        path: "/apps",
        label: "Sign in again",
    };
    Ok(([(SET_COOKIE, cookie)], entrance::note(&state, place, StatusCode::OK, said)?).into_response())
}

/// Whoever a trusted proxy names is signed in, if it is a member.
async fn named(state: &WebState, place: &Place, user: &str, next: &str) -> Page {
    match state.logins.sign_in_named(user, &entrance::caller(place)).await? {
        Some(signed_in) => {
            let next = Next { place, path: next, done: None };
            let nobody = Err(PageError::SignIn(String::new()));
            entrance::enter(state, nobody, &signed_in, next).await
        }
        None => {
            let text = format!(
                "The proxy in front of this box says that you are “{user}”. No member of that name may sign in here. \
                 Ask whoever owns the box."
            );
            let said = Note { title: "You are not known here", text: &text, path: "/login", label: "Try again" };
            entrance::note(state, place, StatusCode::FORBIDDEN, said)
        }
    }
}

fn form(state: &WebState, place: &Place, name: &str, next: &str) -> Login {
    let provider = state.oidc.as_ref().map(|oidc| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        (oidc.name().to_owned(), state.site.link(&format!("/login/oidc?{query}")))
    });
    let frame = Frame::open(state, place, "Sign in");
    Login { frame, name: name.to_owned(), next: next.to_owned(), problem: None, provider }
}

fn code_form(state: &WebState, place: &Place, sealed: &str, next: &str) -> Code {
    let frame = Frame::open(state, place, "Sign in");
    Code { frame, csrf: state.logins.csrf(sealed), next: next.to_owned(), problem: None }
}

fn begin_anew(state: &WebState, place: &Place) -> Page {
    let said = Note {
        title: "Begin with your password",
        text: "It was given too long ago, or in another browser. Nobody was signed in.",
        path: "/login",
        label: "Sign in",
    };
    entrance::note(state, place, StatusCode::FORBIDDEN, said)
}
