//! Where an invitation's link leads: somebody new chooses a name and password, a member just says yes.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect};

use crate::auth::login::SetupError;
use crate::auth::token;
use crate::model::{Accepting, Invitation, Organization};
use crate::store::StoreError;

use super::super::cookie;
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{Place, Posted, Visit};
use super::super::form::Fields;
use super::super::frame::Frame;
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/invitation.html")]
struct Open {
    frame: Frame,
    token: String,
    organization: String,
    role: &'static str,
    invited_by: String,
    name: String,
    /// Who is signed in in this browser, and the value for their form.
    member: Option<(String, String)>,
    problem: Option<String>,
}

#[derive(Template)]
#[template(path = "pages/invitation_over.html")]
struct Over {
    frame: Frame,
}

/// `GET /invitation?token=…`
pub async fn show(
    State(state): State<WebState>,
    place: Place,
    visit: Result<Visit, PageError>,
    RawQuery(query): RawQuery,
) -> Page {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let token = query.get("token");
    match state.logins.invitation(token).await? {
        None => over(&state, &place),
        Some(found) => page(&form(&state, &place, token, found, signed_in(visit)?)),
    }
}

/// `POST /invitation`
pub async fn accept(State(state): State<WebState>, visit: Result<Visit, PageError>, posted: Posted) -> Page {
    let Posted { place, fields } = posted;
    let token = fields.get("token");
    let visit = signed_in(visit)?;
    if let (Some(visit), "member") = (&visit, fields.get("as")) {
        // Who is signed in is told by the cookie: so the form must be of that very login.
        if !state.logins.csrf_matches(&visit.token, fields.get("csrf")) {
            return Err(PageError::ForeignForm);
        }
        return join(&state, &place, visit, token).await;
    }
    let Some(found) = state.logins.invitation(token).await? else { return over(&state, &place) };
    let (name, password) = (fields.get("name").trim(), fields.get("password"));
    let (status, problem) = match state.logins.accept(token, (name, password), &place.browser).await {
        Ok(signed_in) => {
            let cookie = cookie::set(&signed_in.token, place.wire, state.logins.times()).ok_or(PageError::BadForm)?;
            return Ok(([(SET_COOKIE, cookie)], Redirect::to(&state.site.link("/apps"))).into_response());
        }
        Err(SetupError::Spent) => return over(&state, &place),
        Err(SetupError::Store(error)) => return Err(error.into()),
        Err(problem @ SetupError::TooBusy { .. }) => (StatusCode::TOO_MANY_REQUESTS, problem.to_string()),
        Err(problem @ SetupError::Taken) => (StatusCode::CONFLICT, problem.to_string()),
        Err(problem) => (StatusCode::UNPROCESSABLE_ENTITY, problem.to_string()),
    };
    let again = Open { name: name.to_owned(), problem: Some(problem), ..form(&state, &place, token, found, visit) };
    page_with(status, &again)
}

async fn join(state: &WebState, place: &Place, visit: &Visit, token: &str) -> Page {
    let (hash, who, by) = (token::hash(token), Accepting::Member(visit.member.id), visit.by(state));
    match state.ask(move |store| store.accept_invitation(&hash, &who, &by)).await {
        Ok(_) => Ok(Redirect::to(&state.site.link("/apps")).into_response()),
        Err(StoreError::TokenSpent) => over(state, place),
        Err(error) => Err(error.into()),
    }
}

/// Who is signed in; nobody is no error here.
fn signed_in(visit: Result<Visit, PageError>) -> Result<Option<Visit>, PageError> {
    match visit {
        Ok(visit) => Ok(Some(visit)),
        Err(PageError::SignIn(_)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn form(
    state: &WebState,
    place: &Place,
    token: &str,
    (invitation, organization): (Invitation, Organization),
    visit: Option<Visit>,
) -> Open {
    Open {
        frame: Frame::open(state, place, "Invitation"),
        token: token.to_owned(),
        organization: organization.name,
        role: invitation.role.as_str(),
        invited_by: invitation.invited_by,
        name: String::new(),
        member: visit.map(|visit| (visit.member.name, visit.csrf)),
        problem: None,
    }
}

fn over(state: &WebState, place: &Place) -> Page {
    page_with(StatusCode::FORBIDDEN, &Over { frame: Frame::open(state, place, "Invitation") })
}
