//! From requests to what handlers work with: where the request came in, who is signed in, which app is meant, and the
//! fields of a form that may be believed.

use std::collections::HashMap;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

use crate::model::{App, Environment, Member, Origin};

use super::cookie::{self, Wire};
use super::error::PageError;
use super::form::{self, Fields};
use super::state::WebState;

/// Where a request came in.
#[derive(Clone, Debug)]
pub struct Place {
    /// Facts of the request.
    pub origin: Origin,
    /// How the browser reaches us.
    pub wire: Wire,
    /// Scheme, host and base path for SDKs and commands, without a slash at the end.
    pub address: String,
    /// Whether passwords and cookies travel readable over a network.
    pub exposed: bool,
}

/// A request of a signed-in member.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Where it came in.
    pub place: Place,
    /// Who.
    pub member: Member,
    /// The cookie's token.
    pub token: String,
    /// The value that forms of this login must carry.
    pub csrf: String,
}

/// A signed-in member's request about one app: `{app}` and, where the path has it, `{env}`.
#[derive(Clone, Debug)]
pub struct AppVisit {
    /// Who and where.
    pub visit: Visit,
    /// The app.
    pub app: App,
    /// The environment, the app's default where the path names none.
    pub environment: Environment,
}

/// A form of somebody who need not be signed in, sent from a page of ours.
#[derive(Debug)]
pub struct Posted {
    /// Where it came in.
    pub place: Place,
    /// What was filled in.
    pub fields: Fields,
}

/// A form of a signed-in member, sent from a page of that very login.
#[derive(Debug)]
pub struct Action {
    /// Who and where.
    pub visit: Visit,
    /// What was filled in.
    pub fields: Fields,
}

/// A form of a signed-in member who may administer, about one app.
#[derive(Debug)]
pub struct AppAction {
    /// Who, where and which app.
    pub on: AppVisit,
    /// What was filled in.
    pub fields: Fields,
}

impl FromRequestParts<WebState> for Place {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, PageError> {
        let origin = parts.extensions.get::<Origin>().cloned().ok_or(PageError::NoOrigin)?;
        let https = origin.https || state.site.public_https();
        let wire = if https { Wire::Encrypted } else { Wire::Plain };
        let host = host(&parts.headers);
        let address = match &state.site.public_url {
            // It may leave out the base path.
            Some(url) if url.ends_with(&state.site.base_path) => url.clone(),
            Some(url) => format!("{url}{}", state.site.base_path),
            None => format!("{}://{host}{}", if https { "https" } else { "http" }, state.site.base_path),
        };
        Ok(Self { origin, wire, address, exposed: !https && !is_loopback(host) })
    }
}

impl FromRequestParts<WebState> for Visit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, PageError> {
        let place = Place::from_request_parts(parts, state).await?;
        let found = match cookie::token(&parts.headers, place.wire) {
            Some(token) => state.logins.find(token).await?.map(|login| (login, token.to_owned())),
            None => None,
        };
        let Some((login, token)) = found else {
            let back = parts.uri.path_and_query().filter(|_| parts.method == Method::GET);
            return Err(PageError::SignIn(back.map_or("/apps", |path| path.as_str()).to_owned()));
        };
        let csrf = state.logins.csrf(&token);
        Ok(Self { place, member: login.member, token, csrf })
    }
}

impl Visit {
    /// An error unless the member may make and change apps and keys.
    pub fn administers(&self) -> Result<(), PageError> {
        if self.member.role.may_administer() { Ok(()) } else { Err(PageError::Role) }
    }
}

impl FromRequestParts<WebState> for AppVisit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, PageError> {
        let visit = Visit::from_request_parts(parts, state).await?;
        let path: Result<Path<HashMap<String, String>>, _> = Path::from_request_parts(parts, state).await;
        let Path(mut path) = path.map_err(|_| PageError::NotFound)?;
        let name = path.remove("app").ok_or(PageError::NotFound)?;
        let app = state.ask(move |store| store.find_app(&name)).await?.ok_or(PageError::NotFound)?;
        if app.organization.id != visit.member.organization {
            return Err(PageError::NotFound);
        }
        let environment = match path.get("env") {
            Some(slug) => app.environment(slug),
            None => app.environments.first(),
        };
        let environment = environment.cloned().ok_or(PageError::NotFound)?;
        Ok(Self { visit, app, environment })
    }
}

impl AppVisit {
    /// Path of the app's overview in this environment, without the base path. The default one has no name there.
    pub fn path(&self) -> String {
        environment_path(&self.app, &self.environment)
    }
}

/// Path of an app's overview in an environment, without the base path.
pub fn environment_path(app: &App, environment: &Environment) -> String {
    match app.environments.first() {
        Some(first) if first.id == environment.id => format!("/apps/{}", app.slug),
        _ => format!("/apps/{}/{}", app.slug, environment.slug),
    }
}

impl FromRequest<WebState> for Posted {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let place = Place::from_request_parts(&mut parts, state).await?;
        let fields = fields(&parts, body, state, &place).await?;
        Ok(Self { place, fields })
    }
}

impl FromRequest<WebState> for Action {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, state).await?;
        let fields = fields(&parts, body, state, &visit.place).await?;
        believe(&visit, &fields, state)?;
        Ok(Self { visit, fields })
    }
}

impl FromRequest<WebState> for AppAction {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, PageError> {
        let (mut parts, body) = request.into_parts();
        let on = AppVisit::from_request_parts(&mut parts, state).await?;
        let fields = fields(&parts, body, state, &on.visit.place).await?;
        believe(&on.visit, &fields, state)?;
        on.visit.administers()?;
        Ok(Self { on, fields })
    }
}

/// Reads a form, once it is known to come from a page of ours.
async fn fields(parts: &Parts, body: axum::body::Body, state: &WebState, place: &Place) -> Result<Fields, PageError> {
    if !form::same_origin(&parts.headers, &state.site, place.wire == Wire::Encrypted) {
        return Err(PageError::ForeignForm);
    }
    let bytes = axum::body::to_bytes(body, form::LIMIT).await.map_err(|_| PageError::BadForm)?;
    Ok(Fields::parse(&bytes))
}

fn believe(visit: &Visit, fields: &Fields, state: &WebState) -> Result<(), PageError> {
    if state.logins.csrf_matches(&visit.token, fields.get("csrf")) { Ok(()) } else { Err(PageError::ForeignForm) }
}

/// The request's host and port; `localhost` for what cannot be one, so that nothing odd gets into a shell command.
fn host(headers: &HeaderMap) -> &str {
    let text = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fits = (1..=260).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']'));
    if fits { text } else { "localhost" }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name == "localhost"
        || name.ends_with(".localhost")
        || name.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_hosts_may_go_without_encryption() {
        for (host, loopback) in [
            ("localhost", true),
            ("localhost:3000", true),
            ("127.0.0.1:3000", true),
            ("127.8.8.8", true),
            ("[::1]:3000", true),
            ("tally.localhost", true),
            ("192.168.1.5:3000", false),
            ("localhost.example.org", false),
            ("127.0.0.1.example.org", false),
            ("", false),
        ] {
            assert_eq!(is_loopback(host), loopback, "{host}");
        }
    }

    #[test]
    fn odd_hosts_never_reach_a_command() {
        for (sent, shown) in [
            ("box.example:3000", "box.example:3000"),
            ("[::1]:3000", "[::1]:3000"),
            ("$(reboot)", "localhost"),
            ("a b", "localhost"),
            ("x'y", "localhost"),
            ("", "localhost"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, sent.parse().unwrap());
            assert_eq!(host(&headers), shown, "{sent:?}");
        }
    }
}
