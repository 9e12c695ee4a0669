//! Who reads: the holder of a token, or a member whose browser is signed in.

use std::collections::HashMap;

use axum::extract::{FromRequestParts, Path};
use axum::http::HeaderValue;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use super::super::error::PageError;
use super::super::extract::{Visit, boxed};
use super::super::state::WebState;
use super::ApiError;
use crate::auth::token::TokenKind;
use crate::model::{ApiToken, App, Member, TokenScope};

/// Whoever may read something.
pub enum Reader {
    /// By a token.
    Token(ApiToken),
    /// By the cookie of a page.
    Member(Box<Member>),
}

/// A reader's request about one app.
pub struct AppReader {
    /// The app of `{app}`.
    pub app: App,
    /// All that the path names.
    pub path: HashMap<String, String>,
}

impl Reader {
    /// Whether the app may be read.
    pub fn may_read(&self, app: &App) -> bool {
        match self {
            Self::Token(token) => token.covers(app),
            Self::Member(member) => member.role_in(app.organization.id).is_some(),
        }
    }

    /// What is said of an app that may not be read, or that is not there. A token of one app is not told which of the
    /// two it is.
    fn refusal(&self) -> ApiError {
        match self {
            Self::Token(token) if token.app.is_some() => ApiError::Forbidden,
            Self::Token(_) | Self::Member(_) => PageError::NotFound.into(),
        }
    }
}

impl FromRequestParts<WebState> for Reader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        boxed(async move {
            let mut given = parts.headers.get_all(AUTHORIZATION).iter();
            let token = match (given.next(), given.next()) {
                // Whoever sends a token means that, whatever cookies a client keeps.
                (Some(header), None) => bearer(header).ok_or(ApiError::BadToken)?,
                (Some(_), Some(_)) => return Err(ApiError::BadToken),
                (None, _) => {
                    let visit = Visit::from_request_parts(parts, state).await?;
                    return Ok(Self::Member(Box::new(visit.member)));
                }
            };
            if matches!(TokenKind::of(token), Some(TokenKind::SecretKey | TokenKind::PublicKey)) {
                return Err(ApiError::IngestKey);
            }
            let found = state.api_tokens.find(token).await?.ok_or(ApiError::BadToken)?;
            if found.scopes.allow(TokenScope::Read) { Ok(Self::Token(found)) } else { Err(ApiError::Forbidden) }
        })
        .await
    }
}

impl FromRequestParts<WebState> for AppReader {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, ApiError> {
        boxed(async move {
            let reader = Reader::from_request_parts(parts, state).await?;
            let path: Result<Path<HashMap<String, String>>, _> = Path::from_request_parts(parts, state).await;
            let Path(path) = path.map_err(|_| PageError::NotFound)?;
            let name = path.get("app").cloned().ok_or(PageError::NotFound)?;
            let app = if name.contains('\0') { None } else { state.ask(move |store| store.find_app(&name)).await? };
            let app = app.filter(|app| reader.may_read(app)).ok_or_else(|| reader.refusal())?;
            Ok(Self { app, path })
        })
        .await
    }
}

/// The token of a header; the name of the scheme is read in any case (RFC 9110, 11.1).
fn bearer(header: &HeaderValue) -> Option<&str> {
    let (scheme, token) = header.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}
