//! Proving once more who one is, before something that can do harm.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect};

use crate::auth::login::{Proof, SignInError};

use super::super::entrance;
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{Action, Visit};
use super::super::form::{Fields, return_path};
use super::super::frame::Frame;
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/confirm.html")]
struct Confirm {
    frame: Frame,
    csrf: String,
    name: String,
    next: String,
    problem: Option<String>,
    ask: Ask,
}

/// What somebody is asked for.
enum Ask {
    Password,
    Code,
    Provider { provider: String, link: String },
    Nothing,
}

/// `GET /confirm?next=…`
pub async fn show(State(state): State<WebState>, visit: Visit, RawQuery(query): RawQuery) -> Page {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let next = return_path(query.get("next")).unwrap_or("/account");
    if visit.proved().is_ok() {
        return Ok(Redirect::to(&state.site.link(next)).into_response());
    }
    page(&view(&state, &visit, next).await?)
}

/// `POST /confirm`
pub async fn confirm(State(state): State<WebState>, action: Action) -> Page {
    let Action { visit, fields } = action;
    let next = return_path(fields.get("next")).unwrap_or("/account");
    let proof = match fields.find("code") {
        Some(code) => Proof::Code(code),
        None => Proof::Password(fields.get("password")),
    };
    match state.logins.prove(&visit.own(&state), proof).await {
        Ok(()) => {
            let (_, cookie) = entrance::renewed(&state, &visit).await?;
            Ok(([(SET_COOKIE, cookie)], Redirect::to(&state.site.link(next))).into_response())
        }
        Err(SignInError::Wrong) => {
            let problem = Some("That is not right.".to_owned());
            page_with(StatusCode::UNAUTHORIZED, &Confirm { problem, ..view(&state, &visit, next).await? })
        }
        Err(SignInError::TooMany { retry_after }) => {
            let problem = Some(entrance::too_many(retry_after));
            entrance::wait_page(retry_after, &Confirm { problem, ..view(&state, &visit, next).await? })
        }
        Err(SignInError::Store(error)) => Err(error.into()),
    }
}

async fn view(state: &WebState, visit: &Visit, next: &str) -> Result<Confirm, PageError> {
    let two_factor = state.logins.two_factor(visit.member.id).await?;
    let ask = if two_factor.is_some_and(|own| own.confirmed_at.is_some()) {
        Ask::Code
    } else if !visit.member.password_hash.is_empty() {
        Ask::Password
    } else if let Some(oidc) = &state.oidc {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
        Ask::Provider { provider: oidc.name().to_owned(), link: state.site.link(&format!("/confirm/oidc?{query}")) }
    } else {
        Ask::Nothing
    };
    Ok(Confirm {
        frame: Frame::member(state, visit, "Confirm"),
        csrf: visit.csrf.clone(),
        name: visit.member.name.clone(),
        next: next.to_owned(),
        problem: None,
        ask,
    })
}
