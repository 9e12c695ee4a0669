//! The pages: one file each. A new page is a file, its line in [`routes`] and, for an app, its tab.

pub mod account;
pub mod app_settings;
pub mod apps;
pub mod breakdown;
pub mod changes;
pub mod collects;
pub mod confirm;
pub mod connect;
pub mod devices;
pub mod error_group;
pub mod errors;
pub mod etiquette;
pub mod event;
pub mod events;
pub mod explorer;
pub mod funnel;
pub mod funnels;
pub mod invitation;
pub mod keeping;
pub mod keys;
pub mod limits;
pub mod live;
pub mod login;
pub mod members;
pub mod new_app;
pub mod organizations;
pub mod overview;
pub mod people;
pub mod person;
pub mod person_rights;
pub mod provider;
pub mod retention;
pub mod rules;
pub mod session;
pub mod sessions;
pub mod set_aside;
pub mod settings;
pub mod setup;
pub mod status;
pub mod team;
pub mod tiers;
pub mod tokens;
pub mod two_factor;
pub mod users;
pub mod version;
pub mod versions;

use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::Next;
use axum::response::{IntoResponse, Redirect, Response};

use crate::http::{Access, Routes};
use crate::model::Role;

use super::error::PageError;
use super::form;
use super::state::WebState;

/// The navigation of an app, in groups under their headings: label of each page, and what follows the app's own path.
pub const APP_TABS: &[(&str, &[(&str, &str)])] = &[
    (
        "Activity",
        &[
            ("Overview", ""),
            ("Live", "/live"),
            ("Events", "/events"),
            ("Breakdown", "/breakdown"),
            ("Explorer", "/explorer"),
            ("Funnels", "/funnels"),
        ],
    ),
    ("People", &[("Users", "/users"), ("Sessions", "/sessions"), ("Devices", "/devices"), ("Retention", "/retention")]),
    ("Quality", &[("Versions", "/versions"), ("Errors", "/errors")]),
    (
        "Set-up",
        &[
            ("Keys", "/keys"),
            ("Limits", "/limits"),
            ("Etiquette", "/etiquette"),
            ("Set aside", "/set-aside"),
            ("What is kept", "/keeping"),
            ("People's rights", "/people"),
            ("What it collects", "/collects"),
            ("Changes", "/changes"),
            ("Settings", "/settings"),
        ],
    ),
];

/// Those of them that are about one environment.
pub const BY_ENVIRONMENT: &[&str] = &[
    "",
    "/live",
    "/events",
    "/breakdown",
    "/explorer",
    "/funnels",
    "/users",
    "/sessions",
    "/devices",
    "/retention",
    "/errors",
];

/// The navigation of an organization: label, what follows its own path, and the weakest role that is shown it.
pub const ORGANIZATION_TABS: &[(&str, &str, Role)] = &[
    ("Members", "", Role::Viewer),
    ("Tokens", "/tokens", Role::Admin),
    ("Changes", "/changes", Role::Admin),
    ("Settings", "/settings", Role::Owner),
];

/// The navigation of the box.
pub const BOX_TABS: &[(&str, &str)] =
    &[("Status", ""), ("Settings", "/settings"), ("Members", "/members"), ("Tiers", "/tiers"), ("Changes", "/changes")];

/// Pages that open only after set-up.
pub fn routes() -> Routes<WebState> {
    Routes::default()
        .get("/", Access::Public, setup::home)
        .get("/login", Access::Public, login::show)
        .post("/login", Access::Public, form::LIMIT, login::sign_in)
        .get("/login/code", Access::Public, login::show_code)
        .post("/login/code", Access::Public, form::LIMIT, login::check_code)
        .get("/login/oidc", Access::Public, provider::sign_in)
        .get("/login/oidc/back", Access::Public, provider::arrive)
        .get("/confirm", Access::Member, confirm::show)
        .post("/confirm", Access::Member, form::LIMIT, confirm::confirm)
        .get("/confirm/oidc", Access::Member, provider::confirm)
        .get("/account", Access::Member, account::show)
        .post("/account/sessions", Access::Member, form::LIMIT, account::end_sessions)
        .post("/account/password", Access::Member, form::LIMIT, account::change_password)
        .get("/account/two-factor", Access::Member, two_factor::show)
        .post("/account/two-factor/begin", Access::Member, form::LIMIT, two_factor::begin)
        .post("/account/two-factor/confirm", Access::Member, form::LIMIT, two_factor::confirm)
        .post("/account/two-factor/codes", Access::Member, form::LIMIT, two_factor::renew)
        .post("/account/two-factor/off", Access::Member, form::LIMIT, two_factor::turn_off)
        .post("/logout", Access::Member, form::LIMIT, login::sign_out)
        .get("/apps", Access::Member, apps::show)
        .get("/apps/new", Access::Admin, new_app::show)
        .post("/apps/new", Access::Admin, form::LIMIT, new_app::create)
        .get("/apps/{app}", Access::Member, overview::show)
        .get("/apps/{app}/{env}", Access::Member, overview::show)
        .get("/apps/{app}/keys", Access::Member, keys::show)
        .post("/apps/{app}/keys", Access::Admin, form::LIMIT, keys::create)
        .post("/apps/{app}/keys/{key}/revoke", Access::Admin, form::LIMIT, keys::revoke)
        .post("/apps/{app}/keys/{key}/rotate", Access::Admin, form::LIMIT, keys::rotate)
        .get("/apps/{app}/connect", Access::Member, connect::show)
        .get("/apps/{app}/limits", Access::Member, limits::show)
        .post("/apps/{app}/limits", Access::Admin, form::LIMIT, limits::change)
        .get("/apps/{app}/etiquette", Access::Member, etiquette::show)
        .post("/apps/{app}/etiquette", Access::Admin, form::LIMIT, etiquette::change)
        .get("/apps/{app}/keeping", Access::Admin, keeping::show)
        .post("/apps/{app}/keeping", Access::Admin, form::LIMIT, keeping::change)
        .get("/organizations/{organization}/tokens", Access::Admin, tokens::show)
        .post("/organizations/{organization}/tokens", Access::Admin, form::LIMIT, tokens::change)
        .get("/box/tiers", Access::Box, tiers::show)
        .post("/box/tiers", Access::Box, form::LIMIT, tiers::change)
        .get("/apps/{app}/set-aside", Access::Member, set_aside::show)
        .post("/apps/{app}/set-aside/retry", Access::Admin, form::LIMIT, set_aside::retry)
        .post("/apps/{app}/set-aside/discard", Access::Admin, form::LIMIT, set_aside::discard)
        .get("/box", Access::Box, status::show)
        .get("/box.json", Access::Box, status::figures)
        .post("/box/clock", Access::Box, form::LIMIT, status::confirm_clock)
        .get("/box/settings", Access::Box, settings::show)
        .get("/apps/{app}/versions", Access::Member, versions::show)
        .get("/apps/{app}/versions.csv", Access::Member, versions::file)
        .get("/apps/{app}/versions.json", Access::Member, versions::file)
        .get("/apps/{app}/version", Access::Member, version::show)
        .post("/apps/{app}/version", Access::Admin, form::LIMIT, version::set)
        .get("/apps/{app}/rules", Access::Member, rules::show)
        .post("/apps/{app}/rules", Access::Admin, form::LIMIT, rules::set)
        .get("/apps/{app}/changes", Access::Member, changes::of_app)
        .get("/apps/{app}/settings", Access::Admin, app_settings::show)
        .post("/apps/{app}/settings", Access::Admin, form::LIMIT, app_settings::change)
        .post("/apps/{app}/delete", Access::Owner, form::LIMIT, app_settings::delete)
        .get("/organizations", Access::Member, organizations::show)
        .post("/organizations", Access::Box, form::LIMIT, organizations::create)
        .get("/organizations/{organization}", Access::Member, team::show)
        .post("/organizations/{organization}/members", Access::Owner, form::LIMIT, team::change)
        .post("/organizations/{organization}/invitations", Access::Owner, form::LIMIT, team::invite)
        .get("/organizations/{organization}/settings", Access::Owner, organizations::settings)
        .post("/organizations/{organization}/settings", Access::Owner, form::LIMIT, organizations::change)
        .get("/organizations/{organization}/changes", Access::Admin, changes::of_organization)
        .get("/invitation", Access::Public, invitation::show)
        .post("/invitation", Access::Public, form::LIMIT, invitation::accept)
        .get("/box/members", Access::Box, members::show)
        .post("/box/members", Access::Box, form::LIMIT, members::change)
        .get("/box/changes", Access::Box, changes::of_box)
        .get("/apps/{app}/errors", Access::Member, errors::show)
        .get("/apps/{app}/errors.csv", Access::Member, errors::file)
        .get("/apps/{app}/errors.json", Access::Member, errors::file)
        .get("/apps/{app}/error", Access::Member, error_group::show)
        .get("/apps/{app}/error.csv", Access::Member, error_group::file)
        .get("/apps/{app}/error.json", Access::Member, error_group::file)
        .get("/apps/{app}/users", Access::Member, users::show)
        .get("/apps/{app}/users/{user}", Access::Member, person::show)
        .get("/apps/{app}/devices", Access::Member, devices::show)
        .get("/apps/{app}/{env}/errors", Access::Member, errors::show)
        .get("/apps/{app}/{env}/errors.csv", Access::Member, errors::file)
        .get("/apps/{app}/{env}/errors.json", Access::Member, errors::file)
        .get("/apps/{app}/{env}/error", Access::Member, error_group::show)
        .get("/apps/{app}/{env}/error.csv", Access::Member, error_group::file)
        .get("/apps/{app}/{env}/error.json", Access::Member, error_group::file)
        .get("/apps/{app}/{env}/users", Access::Member, users::show)
        .get("/apps/{app}/{env}/users/{user}", Access::Member, person::show)
        .get("/apps/{app}/{env}/devices", Access::Member, devices::show)
        .get("/apps/{app}/people", Access::Member, people::show)
        .post("/apps/{app}/people", Access::Admin, form::LIMIT, people::find)
        .get("/apps/{app}/people/erasure", Access::Member, person_rights::erasure)
        .merge(by_environment("/people/one", person_rights::show))
        .post("/apps/{app}/people/file", Access::Admin, form::LIMIT, person_rights::file)
        .post("/apps/{app}/{env}/people/file", Access::Admin, form::LIMIT, person_rights::file)
        .post("/apps/{app}/people/erase", Access::Admin, form::LIMIT, person_rights::erase)
        .post("/apps/{app}/{env}/people/erase", Access::Admin, form::LIMIT, person_rights::erase)
        .get("/apps/{app}/collects", Access::Member, collects::show)
        .post("/apps/{app}/collects", Access::Admin, form::LIMIT, collects::change)
        .get("/collects/{app}", Access::Public, collects::public)
        .merge(figures("/overview", overview::figures))
        .merge(by_environment("/breakdown", breakdown::show))
        .merge(figures("/breakdown", breakdown::figures))
        .merge(by_environment("/events", events::show))
        .merge(figures("/events", events::figures))
        .merge(by_environment("/event", event::show))
        .merge(figures("/event", event::figures))
        .merge(by_environment("/retention", retention::show))
        .merge(figures("/retention", retention::file))
        .merge(by_environment("/funnels", funnels::show))
        .merge(by_environment("/funnel", funnel::show))
        .merge(figures("/funnel", funnel::file))
        .post("/apps/{app}/funnels", Access::Admin, form::LIMIT, funnel::change)
        .post("/apps/{app}/{env}/funnels", Access::Admin, form::LIMIT, funnel::change)
        .merge(by_environment("/live", live::show))
        .merge(figures("/live", live::file))
        .merge(by_environment("/live/stream", live::news))
        .merge(by_environment("/explorer", explorer::show))
        .merge(figures("/explorer", explorer::file))
        .merge(by_environment("/explorer.ndjson", explorer::file))
        .merge(by_environment("/sessions", sessions::show))
        .merge(figures("/sessions", sessions::file))
        .merge(by_environment("/session", session::show))
        .merge(figures("/session", session::file))
}

/// A page about an environment: the default one, and one that the path names.
fn by_environment<H: Handler<T, WebState>, T: 'static>(page: &str, handler: H) -> Routes<WebState> {
    ["", "/{env}"].into_iter().fold(Routes::default(), |routes, environment| {
        routes.get(&format!("/apps/{{app}}{environment}{page}"), Access::Member, handler.clone())
    })
}

/// What such a page shows, as CSV and as JSON.
fn figures<H: Handler<T, WebState>, T: 'static>(page: &str, handler: H) -> Routes<WebState> {
    let [csv, json] = ["csv", "json"].map(|form| by_environment(&format!("{page}.{form}"), handler.clone()));
    csv.merge(json)
}

/// Until the first member exists, every page but the home page leads there, where the way in is told.
pub async fn require_setup(State(state): State<WebState>, request: Request, next: Next) -> Result<Response, PageError> {
    if request.uri().path() == "/" || state.is_set_up().await? {
        return Ok(next.run(request).await);
    }
    Ok(Redirect::to(&state.site.link("/")).into_response())
}
