//! Signing in at a provider of OpenID Connect, and proving there once more who one is.

use axum::extract::{RawQuery, State};
use axum::http::header::SET_COOKIE;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{AppendHeaders, IntoResponse, Redirect};

use crate::auth::login::AdmitError;
use crate::auth::oidc::{Answer, Errand, Oidc, OidcError, Person};

use super::super::cookie::{self, Brief};
use super::super::entrance::{self, Next, Note};
use super::super::error::{Page, PageError};
use super::super::extract::{Place, Visit};
use super::super::form::{Fields, return_path};
use super::super::state::WebState;

/// Where the provider sends browsers back to.
const BACK: &str = "/login/oidc/back";

/// `GET /login/oidc?next=…`
pub async fn sign_in(State(state): State<WebState>, place: Place, RawQuery(query): RawQuery) -> Page {
    depart(&state, &place, Errand::SignIn, query).await
}

/// `GET /confirm/oidc?next=…`
pub async fn confirm(State(state): State<WebState>, visit: Visit, RawQuery(query): RawQuery) -> Page {
    depart(&state, &visit.place, Errand::Prove, query).await
}

async fn depart(state: &WebState, place: &Place, errand: Errand, query: Option<String>) -> Page {
    let Some(oidc) = &state.oidc else { return Ok(Redirect::to(&state.site.link("/login")).into_response()) };
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let next = return_path(query.get("next")).unwrap_or("/apps");
    match oidc.depart(errand, &format!("{}{BACK}", place.address), next).await {
        Ok(departure) => {
            let cookie = cookie::set_brief(&departure.sealed, place.wire, Brief::Journey);
            let cookie = cookie.ok_or(PageError::BadForm)?;
            Ok(([(SET_COOKIE, cookie)], Redirect::to(&departure.location)).into_response())
        }
        Err(error) => failed(state, place, oidc, &error),
    }
}

/// `GET /login/oidc/back`: whom the provider sends back.
pub async fn arrive(
    State(state): State<WebState>,
    place: Place,
    before: Result<Visit, PageError>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Page {
    let Some(oidc) = &state.oidc else { return Ok(Redirect::to(&state.site.link("/login")).into_response()) };
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let sealed = entrance::kept(&headers, &place, Brief::Journey);
    if let Some(word) = query.find("error") {
        return refused(&state, &place, oidc.next(&sealed, query.get("state")), word);
    }
    if let Err(wait) = state.returns.check(place.origin.address) {
        let text = entrance::too_many(wait.0);
        let said = Note { title: "Too many at once", text: &text, path: "/login", label: "Back to sign-in" };
        return entrance::note(&state, &place, StatusCode::TOO_MANY_REQUESTS, said);
    }
    let (state_given, code) = (query.get("state"), query.get("code"));
    let answer = Answer { sealed: &sealed, state: state_given, code, issuer: query.find("iss") };
    let arrival = match oidc.arrive(&answer).await {
        Ok(arrival) => arrival,
        Err(error) => return failed(&state, &place, oidc, &error),
    };
    let next = Next { place: &place, path: &arrival.next, done: Some(Brief::Journey) };
    match arrival.errand {
        Errand::Prove => proved(&state, before?, &arrival.person, &next).await,
        Errand::SignIn => {
            let name = arrival.person.name.clone();
            match state.logins.admit(oidc, arrival.person, &entrance::caller(&place)).await {
                Ok(signed_in) => entrance::enter(&state, before, &signed_in, next).await,
                Err(error) => not_admitted(&state, &place, &name, error),
            }
        }
    }
}

/// It must have been the very person who is signed in here.
async fn proved(state: &WebState, visit: Visit, person: &Person, next: &Next<'_>) -> Page {
    let own = state.logins.identity(visit.member.id).await?;
    if own.is_none_or(|own| own.issuer != person.issuer || own.subject != person.subject) {
        let said = Note {
            title: "That was somebody else",
            text: "Whoever signed in at the provider is not the member who is signed in here.",
            path: "/account",
            label: "To your account",
        };
        return entrance::note(state, next.place, StatusCode::FORBIDDEN, said);
    }
    state.logins.proved(&visit.own(state)).await?;
    let (_, cookie) = entrance::renewed(state, &visit).await?;
    let cookies = [cookie, cookie::clear_brief(next.place.wire, Brief::Journey)];
    let headers = AppendHeaders(cookies.map(|cookie| (SET_COOKIE, cookie)));
    Ok((headers, Redirect::to(&state.site.link(next.path))).into_response())
}

/// The provider sends somebody back without a code. Of what it says only a word of the standard is shown.
fn refused(state: &WebState, place: &Place, next: Option<String>, word: &str) -> Page {
    let Some(next) = next else { return stale(state, place) };
    let word: String = word.chars().filter(|c| c.is_ascii_lowercase() || *c == '_').take(60).collect();
    let text = format!("It said “{word}”. Nobody was signed in.");
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", &next).finish();
    let path = format!("/login?{query}");
    let said = Note { title: "The provider did not sign you in", text: &text, path: &path, label: "Try again" };
    entrance::note(state, place, StatusCode::FORBIDDEN, said)
}

fn failed(state: &WebState, place: &Place, oidc: &Oidc, error: &OidcError) -> Page {
    let (status, title, text) = match error {
        OidcError::Stale => return stale(state, place),
        OidcError::Provider(_) => (
            StatusCode::BAD_GATEWAY,
            "The provider does not answer as it should",
            "This may be over in a moment. If it is not, the server's log says what is wrong.",
        ),
        OidcError::Token(_) => (
            StatusCode::FORBIDDEN,
            "The provider's word could not be believed",
            "Nobody was signed in. The server's log says why.",
        ),
    };
    tracing::warn!(%error, provider = oidc.issuer(), "a sign-in at the provider failed");
    entrance::note(state, place, status, Note { title, text, path: "/login", label: "Back to sign-in" })
}

fn stale(state: &WebState, place: &Place) -> Page {
    let said = Note {
        title: "Begin anew",
        text: "This sign-in was not begun in this browser, or too long ago. Nobody was signed in.",
        path: "/login",
        label: "Sign in",
    };
    entrance::note(state, place, StatusCode::FORBIDDEN, said)
}

fn not_admitted(state: &WebState, place: &Place, name: &str, error: AdmitError) -> Page {
    let (title, text) = match error {
        AdmitError::NoRole => (
            "You have no role on this box",
            format!(
                "The provider knows you as “{name}”, and none of your groups there has a role here. Ask whoever owns the box."
            ),
        ),
        AdmitError::Disabled => {
            ("You may not sign in", format!("“{name}” has been shut out of this box. Ask whoever owns it."))
        }
        AdmitError::Taken => (
            "That name is taken",
            format!(
                "The provider knows you as “{name}”, and another member of this box signs in with that name. They are \
                 never taken for the same by their name alone. Ask whoever owns the box."
            ),
        ),
        AdmitError::Store(error) => return Err(error.into()),
    };
    let said = Note { title, text: &text, path: "/login", label: "Back to sign-in" };
    entrance::note(state, place, StatusCode::FORBIDDEN, said)
}
