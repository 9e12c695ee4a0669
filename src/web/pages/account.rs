//! A member's own account: where they are signed in, their password, their second factor.

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::SET_COOKIE;
use axum::response::{IntoResponse, Redirect};

use crate::auth::login::{ChangeError, SignInError};
use crate::auth::token;
use crate::model::{Ending, Login, Zone};

use super::super::cookie;
use super::super::entrance;
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{Action, Visit};
use super::super::form::Fields;
use super::super::format::{Calendar, When, duration};
use super::super::frame::Frame;
use super::super::state::WebState;

/// Bytes of a login's hash that name it in forms.
const HANDLE: usize = 16;

/// What is said after something was done, by its word in the address.
const DONE: [(&str, &str); 4] = [
    ("password", "Your password is changed. All other browsers are signed out."),
    ("session", "That browser is signed out."),
    ("others", "All other browsers are signed out."),
    ("two-factor-off", "Two-factor sign-in is off."),
];

#[derive(Template)]
#[template(path = "pages/account.html")]
struct Account {
    frame: Frame,
    csrf: String,
    name: String,
    done: Option<&'static str>,
    problem: Option<String>,
    browsers: Vec<Browser>,
    /// Recovery codes that are left, where two-factor sign-in is on.
    two_factor: Option<i64>,
    /// Name of the provider through which a member without a password signs in.
    provider: Option<String>,
    /// How long a session lasts without a visit, and at the most.
    idle: String,
    whole: String,
}

struct Browser {
    handle: String,
    this: bool,
    place: String,
    way: &'static str,
    since: When,
    seen: When,
}

/// `GET /account`
pub async fn show(State(state): State<WebState>, visit: Visit, RawQuery(query): RawQuery) -> Page {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let done = DONE.iter().find(|(word, _)| *word == query.get("done")).map(|(_, text)| *text);
    page(&Account { done, ..view(&state, &visit).await? })
}

/// `POST /account/sessions`: `end` is one browser, `others` or `all`.
pub async fn end_sessions(State(state): State<WebState>, action: Action) -> Page {
    let Action { visit, fields } = action;
    let own = visit.own(&state);
    let here = token::hash(&visit.token);
    let (which, to) = match fields.get("end") {
        "all" => (Ending::All, "/login"),
        "others" => (Ending::Others(here), "/account?done=others"),
        handle => {
            let all = state.logins.browsers(visit.member.id).await?;
            let named = all.iter().find(|login| handle_of(login) == handle);
            // One that has ended meanwhile is no error.
            let Some(login) = named else {
                return Ok(Redirect::to(&state.site.link("/account?done=session")).into_response());
            };
            (Ending::One(login.token_hash), "/account?done=session")
        }
    };
    state.logins.end(&own, which).await?;
    let to = Redirect::to(&state.site.link(to));
    match which {
        Ending::All => Ok(([(SET_COOKIE, cookie::clear(visit.place.wire))], to).into_response()),
        Ending::One(_) | Ending::Others(_) => Ok(to.into_response()),
    }
}

/// `POST /account/password`
pub async fn change_password(State(state): State<WebState>, action: Action) -> Page {
    let Action { visit, fields } = action;
    let failed = match state.logins.change_password(&visit.own(&state), fields.get("current"), fields.get("new")).await
    {
        Ok(()) => {
            let (_, cookie) = entrance::renewed(&state, &visit).await?;
            let to = Redirect::to(&state.site.link("/account?done=password"));
            return Ok(([(SET_COOKIE, cookie)], to).into_response());
        }
        Err(failed) => failed,
    };
    let with =
        async |problem: String| Ok::<_, PageError>(Account { problem: Some(problem), ..view(&state, &visit).await? });
    match failed {
        ChangeError::Password(problem) => {
            page_with(StatusCode::UNPROCESSABLE_ENTITY, &with(problem.to_string()).await?)
        }
        ChangeError::SignIn(SignInError::Wrong) => {
            page_with(StatusCode::UNAUTHORIZED, &with("The present password is another.".to_owned()).await?)
        }
        ChangeError::SignIn(SignInError::TooMany { retry_after }) => {
            entrance::wait_page(retry_after, &with(entrance::too_many(retry_after)).await?)
        }
        ChangeError::SignIn(SignInError::Store(error)) => Err(error.into()),
    }
}

async fn view(state: &WebState, visit: &Visit) -> Result<Account, PageError> {
    let calendar = Calendar::new(Zone::utc().into(), state.clock.now());
    let here = token::hash(&visit.token);
    let browser = |login: Login| Browser {
        handle: handle_of(&login),
        this: login.token_hash == here,
        place: if login.place.is_empty() { "unknown browser".to_owned() } else { login.place },
        way: login.way.as_str(),
        since: calendar.moment(login.created_at),
        seen: calendar.moment(login.seen_at),
    };
    let mut browsers: Vec<_> = state.logins.browsers(visit.member.id).await?.into_iter().map(browser).collect();
    browsers.sort_by_key(|browser| !browser.this);
    let two_factor = state.logins.two_factor(visit.member.id).await?.filter(|own| own.confirmed_at.is_some());
    let provider = state.oidc.as_ref().map_or("a provider", |oidc| oidc.name());
    let times = state.logins.times();
    Ok(Account {
        idle: duration(times.idle),
        whole: duration(times.whole),
        frame: Frame::member(state, visit, "Your account"),
        csrf: visit.csrf.clone(),
        name: visit.member.name.clone(),
        done: None,
        problem: None,
        browsers,
        two_factor: two_factor.map(|own| own.recovery_codes),
        provider: visit.member.password_hash.is_empty().then(|| provider.to_owned()),
    })
}

fn handle_of(login: &Login) -> String {
    hex::encode(&login.token_hash[..HANDLE])
}
