//! From requests to what handlers work with: where the request came in, who is signed in, which app is meant, and the
//! fields of a form that may be believed.

use std::collections::HashMap;
use std::pin::Pin;

use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::header::{HOST, REFERER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};

use crate::auth::login::Own;
use crate::model::{App, By, Environment, Login, Member, Organization, Origin, Role, Way};

use super::browser;
use super::cookie::{self, Wire};
use super::error::{PageError, Unproved};
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
    /// What the browser calls itself, in two words.
    pub browser: String,
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
    /// Why a dangerous act has to wait; `None` while a proof of who it is counts.
    unproved: Option<Unproved>,
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
    /// What the member may do there.
    pub role: Role,
}

/// A signed-in member's request about one organization of theirs: `{organization}`, by its short name.
#[derive(Clone, Debug)]
pub struct OrganizationVisit {
    /// Who and where.
    pub visit: Visit,
    /// Which.
    pub organization: Organization,
    /// What the member may do there.
    pub role: Role,
}

/// A request of the member who owns the box.
#[derive(Clone, Debug)]
pub struct BoxVisit(pub Visit);

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

/// The same of a member who may delete it for good.
#[derive(Debug)]
pub struct AppOwnerAction {
    /// Who, where and which app.
    pub on: AppVisit,
    /// What was filled in.
    pub fields: Fields,
}

/// A form of a member who may administer an organization, about it.
#[derive(Debug)]
pub struct OrganizationAction {
    /// Who, where and which organization.
    pub on: OrganizationVisit,
    /// What was filled in.
    pub fields: Fields,
}

/// The same of a member who owns it.
#[derive(Debug)]
pub struct OrganizationOwnerAction {
    /// Who, where and which organization.
    pub on: OrganizationVisit,
    /// What was filled in.
    pub fields: Fields,
}

/// A form of the member who owns the box.
#[derive(Debug)]
pub struct BoxAction {
    /// Who and where.
    pub visit: Visit,
    /// What was filled in.
    pub fields: Fields,
}

/// Puts what takes something out of a request into a box: otherwise every handler would hold all of it once more.
pub fn boxed<'a, T>(work: impl Future<Output = T> + Send + 'a) -> Pin<Box<dyn Future<Output = T> + Send + 'a>> {
    Box::pin(work)
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
        Ok(Self {
            origin,
            wire,
            address,
            exposed: !https && !is_loopback(host),
            browser: browser::words(&parts.headers),
        })
    }
}

impl FromRequestParts<WebState> for Visit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, PageError> {
        boxed(async move {
            let place = Place::from_request_parts(parts, state).await?;
            let found = match cookie::token(&parts.headers, place.wire) {
                Some(token) => state.logins.find(token).await?.map(|login| (login, token.to_owned())),
                None => None,
            };
            let found = found.filter(|(login, _)| is_of(login, place.origin.user.as_deref()));
            let Some((login, token)) = found else {
                let back = parts.uri.path_and_query().filter(|_| parts.method == Method::GET);
                return Err(PageError::SignIn(back.map_or("/apps", |path| path.as_str()).to_owned()));
            };
            let csrf = state.logins.csrf(&token);
            let proved = state.logins.is_proved(login.proved_at);
            let unproved = (!proved).then(|| way_back(parts, &state.site.base_path));
            Ok(Self { place, member: login.member, token, csrf, unproved })
        })
        .await
    }
}

/// Whether a login is good for a request in which a proxy names that user, or nobody.
fn is_of(login: &Login, user: Option<&str>) -> bool {
    match user {
        Some(user) => login.member.name.eq_ignore_ascii_case(user),
        None => login.way != Way::Proxy,
    }
}

/// Where somebody comes back to after proving who they are: to the page that they asked for, or to that with the form.
fn way_back(parts: &Parts, base: &str) -> Unproved {
    if parts.method == Method::GET {
        let path = parts.uri.path_and_query().map(|path| path.as_str());
        return Unproved::Page(path.and_then(form::return_path).unwrap_or("/apps").to_owned());
    }
    let from = parts.headers.get(REFERER).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let path = from.split_once("://").and_then(|(_, rest)| rest.find('/').map(|at| &rest[at..]));
    let path = path.and_then(|path| path.strip_prefix(base)).and_then(form::return_path);
    Unproved::Form(path.unwrap_or("/apps").to_owned())
}

impl Visit {
    /// An error unless the member has proved who they are within the last ten minutes: by signing in, or on `/confirm`,
    /// where the error leads. To be asked before anything that can do harm.
    pub fn proved(&self) -> Result<(), PageError> {
        self.unproved.clone().map_or(Ok(()), |unproved| Err(PageError::Unproved(unproved)))
    }

    /// The member, about their own account.
    pub fn own(&self, state: &WebState) -> Own<'_> {
        let address = self.place.origin.address;
        Own { member: &self.member, token: &self.token, by: self.by(state), address }
    }

    /// Who does what this request asks for, for the account.
    pub fn by(&self, state: &WebState) -> By {
        By { at: state.clock.now(), member: self.member.name.clone(), place: self.place.browser.clone() }
    }
}

impl FromRequestParts<WebState> for AppVisit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, PageError> {
        boxed(async move {
            let visit = Visit::from_request_parts(parts, state).await?;
            let mut path = path_of(parts, state).await?;
            let name = path.remove("app").ok_or(PageError::NotFound)?;
            let app = state.ask(move |store| store.find_app(&name)).await?.ok_or(PageError::NotFound)?;
            let role = visit.member.role_in(app.organization.id).ok_or(PageError::NotFound)?;
            let environment = match path.get("env") {
                Some(slug) => app.environment(slug),
                None => app.environments.first(),
            };
            let environment = environment.cloned().ok_or(PageError::NotFound)?;
            Ok(Self { visit, app, environment, role })
        })
        .await
    }
}

impl FromRequestParts<WebState> for OrganizationVisit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, PageError> {
        boxed(async move {
            let visit = Visit::from_request_parts(parts, state).await?;
            let slug = path_of(parts, state).await?.remove("organization").ok_or(PageError::NotFound)?;
            let found = state.ask(move |store| store.find_organization(&slug)).await?;
            let organization = found.ok_or(PageError::NotFound)?;
            let role = visit.member.role_in(organization.id).ok_or(PageError::NotFound)?;
            Ok(Self { visit, organization, role })
        })
        .await
    }
}

impl FromRequestParts<WebState> for BoxVisit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, state: &WebState) -> Result<Self, PageError> {
        boxed(async move {
            let visit = Visit::from_request_parts(parts, state).await?;
            if visit.member.owns_box { Ok(Self(visit)) } else { Err(PageError::Role) }
        })
        .await
    }
}

impl OrganizationVisit {
    /// An error unless the member may administer the organization.
    pub fn administers(&self) -> Result<(), PageError> {
        if self.role.may_administer() { Ok(()) } else { Err(PageError::Role) }
    }
}

async fn path_of(parts: &mut Parts, state: &WebState) -> Result<HashMap<String, String>, PageError> {
    let path: Result<Path<HashMap<String, String>>, _> = Path::from_request_parts(parts, state).await;
    path.map(|Path(path)| path).map_err(|_| PageError::NotFound)
}

impl AppVisit {
    /// Path of the app's overview in this environment, without the base path. The default one has no name there.
    pub fn path(&self) -> String {
        environment_path(&self.app, &self.environment)
    }

    /// Whether the member may change the app.
    pub fn administers(&self) -> bool {
        self.role.may_administer()
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
        boxed(async move {
            let (mut parts, body) = request.into_parts();
            let place = Place::from_request_parts(&mut parts, state).await?;
            let fields = fields(&parts, body, state, &place).await?;
            Ok(Self { place, fields })
        })
        .await
    }
}

impl FromRequest<WebState> for Action {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, PageError> {
        boxed(async move {
            let (mut parts, body) = request.into_parts();
            let visit = Visit::from_request_parts(&mut parts, state).await?;
            let fields = fields(&parts, body, state, &visit.place).await?;
            believe(&visit, &fields, state)?;
            Ok(Self { visit, fields })
        })
        .await
    }
}

impl FromRequest<WebState> for AppAction {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, PageError> {
        boxed(async move {
            let (on, fields) = app_form(request, state, Role::may_administer).await?;
            Ok(Self { on, fields })
        })
        .await
    }
}

impl FromRequest<WebState> for AppOwnerAction {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, PageError> {
        boxed(async move {
            let (on, fields) = app_form(request, state, Role::may_own).await?;
            Ok(Self { on, fields })
        })
        .await
    }
}

impl FromRequest<WebState> for OrganizationAction {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, PageError> {
        boxed(async move {
            let (on, fields) = organization_form(request, state, Role::may_administer).await?;
            Ok(Self { on, fields })
        })
        .await
    }
}

impl FromRequest<WebState> for OrganizationOwnerAction {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, PageError> {
        boxed(async move {
            let (on, fields) = organization_form(request, state, Role::may_own).await?;
            Ok(Self { on, fields })
        })
        .await
    }
}

impl FromRequest<WebState> for BoxAction {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &WebState) -> Result<Self, PageError> {
        boxed(async move {
            let Action { visit, fields } = Action::from_request(request, state).await?;
            if visit.member.owns_box { Ok(Self { visit, fields }) } else { Err(PageError::Role) }
        })
        .await
    }
}

/// A form about an app, of somebody whose role allows it.
async fn app_form(
    request: Request,
    state: &WebState,
    allows: impl Fn(Role) -> bool,
) -> Result<(AppVisit, Fields), PageError> {
    let (mut parts, body) = request.into_parts();
    let on = AppVisit::from_request_parts(&mut parts, state).await?;
    let fields = fields(&parts, body, state, &on.visit.place).await?;
    believe(&on.visit, &fields, state)?;
    if allows(on.role) { Ok((on, fields)) } else { Err(PageError::Role) }
}

/// A form about an organization, of somebody whose role allows it.
async fn organization_form(
    request: Request,
    state: &WebState,
    allows: impl Fn(Role) -> bool,
) -> Result<(OrganizationVisit, Fields), PageError> {
    let (mut parts, body) = request.into_parts();
    let on = OrganizationVisit::from_request_parts(&mut parts, state).await?;
    let fields = fields(&parts, body, state, &on.visit.place).await?;
    believe(&on.visit, &fields, state)?;
    if allows(on.role) { Ok((on, fields)) } else { Err(PageError::Role) }
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
