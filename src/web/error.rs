//! What can go wrong on a page, and how it is shown.

use askama::Template;
use axum::extract::{Request, State};
use axum::http::header::RETRY_AFTER;
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{Html, IntoResponse, Redirect, Response};

use crate::model::{Origin, RequestId};
use crate::store::StoreError;

use super::assets;
use super::state::WebState;

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// No such page, app, environment or key.
    #[error("not found")]
    NotFound,
    /// The page is not called with that method.
    #[error("method not allowed")]
    Method,
    /// Signed in, but the role does not allow it.
    #[error("not allowed for this role")]
    Role,
    /// A form that did not come from our own page, or from a page that is too old.
    #[error("form from elsewhere")]
    ForeignForm,
    /// A form that could not be read, or is too large.
    #[error("unreadable form")]
    BadForm,
    /// Nobody is signed in; the path to return to, without the base path.
    #[error("not signed in")]
    SignIn(String),
    /// A dangerous act without a fresh proof of who asks for it; how to come by one.
    #[error("not confirmed")]
    Unproved(Unproved),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A template failed.
    #[error("rendering failed: {0}")]
    Render(#[from] askama::Error),
    /// A handler panicked, saying so.
    #[error("a page panicked: {0}")]
    Panic(String),
    /// The request carries no [`Origin`]: the server is put together wrongly.
    #[error("the request has no origin")]
    NoOrigin,
}

/// Where somebody comes back to after confirming who they are; a path without the base path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unproved {
    /// Asked for a page: they are led to confirm, and then to the page.
    Page(String),
    /// Sent a form: they are told so first, since it has to be sent anew from this page.
    Form(String),
}

impl PageError {
    /// From what a panic carries.
    pub fn panic(payload: &(dyn std::any::Any + Send)) -> Self {
        let text = payload.downcast_ref::<&str>().copied();
        let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
        Self::Panic(text.unwrap_or("without a text").to_owned())
    }
}

/// What a page's handler answers.
pub type Page = Result<Response, PageError>;

/// Renders a page.
pub fn page(template: &impl Template) -> Page {
    Ok(Html(template.render()?).into_response())
}

/// Renders a page under a status of its own.
pub fn page_with(status: StatusCode, template: &impl Template) -> Page {
    Ok((status, Html(template.render()?)).into_response())
}

/// The failure of a response, until [`show`] gives it a body.
#[derive(Clone)]
enum Failure {
    Page(Shown),
    SignIn(String),
    Unproved(Unproved),
}

/// How a failure is told.
#[derive(Clone, Copy)]
struct Shown {
    status: StatusCode,
    title: &'static str,
    text: &'static str,
}

#[derive(Template)]
#[template(path = "pages/error.html")]
struct ErrorPage<'a> {
    style: String,
    icon: String,
    link: String,
    label: &'a str,
    status: u16,
    title: &'a str,
    text: &'a str,
    request: String,
}

impl IntoResponse for PageError {
    /// A response without a body, which [`show`] fills in.
    fn into_response(self) -> Response {
        let failure = match self {
            Self::SignIn(next) => Failure::SignIn(next),
            Self::Unproved(unproved) => Failure::Unproved(unproved),
            error => Failure::Page(error.shown()),
        };
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(failure);
        response
    }
}

impl PageError {
    /// Status and words; the cause of a failure of ours goes to the log, once.
    fn shown(&self) -> Shown {
        let shown = |status, title, text| Shown { status, title, text };
        match self {
            Self::NotFound => shown(
                StatusCode::NOT_FOUND,
                "There is nothing here",
                "The address is wrong, or what was here has been removed.",
            ),
            Self::Method => shown(
                StatusCode::METHOD_NOT_ALLOWED,
                "That does not work here",
                "This address exists, but it is used in another way.",
            ),
            Self::Role => shown(
                StatusCode::FORBIDDEN,
                "Your role does not allow this",
                "Ask an owner of this box to do it, or to give you the role.",
            ),
            Self::ForeignForm => shown(
                StatusCode::FORBIDDEN,
                "This form could not be trusted",
                "It was not sent from a current page of this box. Go back, reload the page and send it again.",
            ),
            Self::BadForm => shown(
                StatusCode::BAD_REQUEST,
                "This form could not be read",
                "Go back, reload the page and send it again.",
            ),
            Self::SignIn(_) => shown(StatusCode::UNAUTHORIZED, "Sign in first", "This page is for members only."),
            Self::Unproved(_) => shown(
                StatusCode::FORBIDDEN,
                "Confirm that it is you first",
                "Nothing was changed. What you have sent can do harm, so you are asked once more who you are. Then you \
                 come back to the form, to send it again.",
            ),
            Self::Store(error) => store_failure(error),
            Self::Render(_) | Self::Panic(_) | Self::NoOrigin => {
                tracing::error!(error = %self, "page failed");
                defect()
            }
        }
    }
}

fn defect() -> Shown {
    Shown {
        status: StatusCode::INTERNAL_SERVER_ERROR,
        title: "Something broke on our side",
        text: "The cause is in the server's log, under the number below.",
    }
}

fn store_failure(error: &StoreError) -> Shown {
    match error {
        StoreError::NotFound(_) => PageError::NotFound.shown(),
        StoreError::Full | StoreError::Unavailable(_) | StoreError::Io(_) => {
            tracing::error!(%error, "page failed");
            Shown {
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "The database cannot answer now",
                text: "This is usually over in a moment. If it is not, the server's log says why.",
            }
        }
        StoreError::Interrupted => {
            tracing::warn!(%error, "page failed");
            Shown {
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "That took too long",
                text: "The box is busy. Try again in a moment, or ask for a shorter range.",
            }
        }
        StoreError::TooMuch => {
            tracing::warn!(%error, "page failed");
            Shown {
                status: StatusCode::SERVICE_UNAVAILABLE,
                title: "That is too much to count",
                text: "Ask for a shorter range, or filter for fewer events.",
            }
        }
        StoreError::Corrupt(_) => {
            tracing::error!(%error, "page failed");
            Shown {
                status: StatusCode::INTERNAL_SERVER_ERROR,
                title: "The database is damaged",
                text: "The server's log says what was found. What can be trusted is the latest backup.",
            }
        }
        StoreError::Exists(_)
        | StoreError::InUse(_)
        | StoreError::LastOwner
        | StoreError::TakenOver
        | StoreError::NoRoom(_)
        | StoreError::TokenSpent
        | StoreError::Schema(_)
        | StoreError::Unexpected(_) => {
            tracing::error!(%error, "page failed");
            defect()
        }
    }
}

/// Gives failed responses their page, with the request's id, and sends strangers to sign in.
pub async fn show(State(state): State<WebState>, request: Request, next: Next) -> Response {
    let id = request.extensions().get::<Origin>().map(|origin| origin.request_id);
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Failure>() {
        None => response,
        Some(Failure::SignIn(next)) => Redirect::to(&to_page(&state, "/login", &next)).into_response(),
        Some(Failure::Unproved(Unproved::Page(next))) => {
            Redirect::to(&to_page(&state, "/confirm", &next)).into_response()
        }
        Some(Failure::Unproved(Unproved::Form(next))) => {
            let shown = PageError::Unproved(Unproved::Page(String::new())).shown();
            error_page(&state, shown, (to_page(&state, "/confirm", &next), "Confirm"), id)
        }
        Some(Failure::Page(shown)) => error_page(&state, shown, (state.site.link("/"), "Go to the start page"), id),
    }
}

/// A page that leads on to `next`.
fn to_page(state: &WebState, path: &str, next: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    state.site.link(&format!("{path}?{query}"))
}

fn error_page(state: &WebState, shown: Shown, (link, label): (String, &str), id: Option<RequestId>) -> Response {
    let asset = |file| state.site.link(&format!("/assets/{}", assets::served_name(file)));
    let page = ErrorPage {
        style: asset("style.css"),
        icon: asset("icon.svg"),
        link,
        label,
        status: shown.status.as_u16(),
        title: shown.title,
        text: shown.text,
        request: id.map(|id| id.to_string()).unwrap_or_default(),
    };
    // A template that fails here leaves the plain words, which need none.
    let body = page.render().unwrap_or_else(|_| shown.title.to_owned());
    let mut response = (shown.status, Html(body)).into_response();
    if shown.status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    }
    response
}
