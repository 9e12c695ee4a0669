//! Setting up, renewing and turning off a member's second factor.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{AppendHeaders, IntoResponse, Redirect};

use crate::auth::login::SignInError;
use crate::model::{TwoFactor as Known, Zone};
use crate::store::StoreError;

use super::super::entrance;
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{Action, Visit};
use super::super::format::{Calendar, When};
use super::super::frame::Frame;
use super::super::qr::{self, Square};
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/two_factor.html")]
struct TwoFactor {
    frame: Frame,
    csrf: String,
    name: String,
    step: Step,
    problem: Option<String>,
}

/// How far it is.
enum Step {
    Off,
    Begun { secret: String, square: Option<Square> },
    On { left: i64, since: When },
}

#[derive(Template)]
#[template(path = "pages/recovery_codes.html")]
struct Codes {
    frame: Frame,
    codes: Vec<String>,
}

/// `GET /account/two-factor`
pub async fn show(State(state): State<WebState>, visit: Visit) -> Page {
    if visit.member.password_hash.is_empty() {
        return Ok(Redirect::to(&state.site.link("/account")).into_response());
    }
    visit.proved()?;
    page(&view(&state, &visit).await?)
}

/// `POST /account/two-factor/begin`
pub async fn begin(State(state): State<WebState>, action: Action) -> Page {
    let visit = &action.visit;
    may_change(visit)?;
    match state.logins.begin_two_factor(visit.member.id).await {
        // It is on, in another tab; the page says so.
        Ok(()) | Err(StoreError::Exists(_)) => {
            Ok(Redirect::to(&state.site.link("/account/two-factor")).into_response())
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/two-factor/confirm`
pub async fn confirm(State(state): State<WebState>, action: Action) -> Page {
    let Action { visit, fields } = action;
    may_change(&visit)?;
    match state.logins.confirm_two_factor(&visit.own(&state), fields.get("code")).await {
        Ok(codes) => shown_once(&state, visit, codes).await,
        Err(SignInError::Wrong) => {
            let problem = Some("That is no code of now. Is the clock of the phone right?".to_owned());
            page_with(StatusCode::UNPROCESSABLE_ENTITY, &TwoFactor { problem, ..view(&state, &visit).await? })
        }
        Err(SignInError::TooMany { retry_after }) => {
            let problem = Some(entrance::too_many(retry_after));
            entrance::wait_page(retry_after, &TwoFactor { problem, ..view(&state, &visit).await? })
        }
        Err(SignInError::Store(error)) => Err(error.into()),
    }
}

/// `POST /account/two-factor/codes`: fresh recovery codes.
pub async fn renew(State(state): State<WebState>, action: Action) -> Page {
    let visit = action.visit;
    may_change(&visit)?;
    match state.logins.renew_recovery_codes(&visit.own(&state)).await {
        Ok(codes) => shown_once(&state, visit, codes).await,
        // It was turned off meanwhile; the page says so.
        Err(StoreError::NotFound(_)) => Ok(Redirect::to(&state.site.link("/account/two-factor")).into_response()),
        Err(error) => Err(error.into()),
    }
}

/// `POST /account/two-factor/off`
pub async fn turn_off(State(state): State<WebState>, action: Action) -> Page {
    let visit = &action.visit;
    may_change(visit)?;
    state.logins.drop_two_factor(&visit.own(&state)).await?;
    Ok(Redirect::to(&state.site.link("/account?done=two-factor-off")).into_response())
}

/// A fresh proof, and a password that the second factor can stand beside.
fn may_change(visit: &Visit) -> Result<(), PageError> {
    if visit.member.password_hash.is_empty() {
        return Err(PageError::Role);
    }
    visit.proved()
}

/// Recovery codes, in the only answer that ever holds them; the login goes on under another token.
async fn shown_once(state: &WebState, mut visit: Visit, codes: Vec<String>) -> Page {
    let (token, cookie) = entrance::renewed(state, &visit).await?;
    visit.csrf = state.logins.csrf(&token);
    let shown = Codes { frame: Frame::member(state, &visit, "Recovery codes"), codes };
    Ok((AppendHeaders([(SET_COOKIE, cookie)]), page(&shown)?).into_response())
}

async fn view(state: &WebState, visit: &Visit) -> Result<TwoFactor, PageError> {
    let calendar = Calendar::new(Zone::utc().into(), state.clock.now());
    let step = match state.logins.two_factor(visit.member.id).await? {
        Some(Known { confirmed_at: Some(since), recovery_codes, .. }) => {
            Step::On { left: recovery_codes, since: calendar.moment(since) }
        }
        Some(Known { confirmed_at: None, .. }) | None => {
            let secret = state.logins.unconfirmed_secret(visit.member.id).await?;
            secret.map_or(Step::Off, |secret| Step::Begun {
                secret: secret.text(),
                square: qr::draw(&secret.address(&visit.member.name)),
            })
        }
    };
    Ok(TwoFactor {
        frame: Frame::member(state, visit, "Two-factor sign-in"),
        csrf: visit.csrf.clone(),
        name: visit.member.name.clone(),
        step,
        problem: None,
    })
}
