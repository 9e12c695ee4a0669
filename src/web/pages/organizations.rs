//! Organizations of a member, and what one of them is called.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{NewOrganization, OrganizationRow, Slug};
use crate::store::StoreError;

use super::super::credentials::name_fits;
use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{BoxAction, OrganizationOwnerAction, OrganizationVisit, Visit};
use super::super::frame::Frame;
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/organizations.html")]
struct Organizations {
    frame: Frame,
    rows: Vec<Row>,
    csrf: String,
    /// Whether one can be made here.
    owns_box: bool,
    name: String,
    problem: Option<&'static str>,
}

struct Row {
    name: String,
    slug: String,
    href: String,
    role: &'static str,
    apps: i64,
    members: i64,
}

#[derive(Template)]
#[template(path = "pages/organization.html")]
struct Settings {
    frame: Frame,
    action: String,
    csrf: String,
    id: String,
    slug: String,
    name: String,
    problem: Option<&'static str>,
}

/// `GET /organizations`
pub async fn show(State(state): State<WebState>, visit: Visit) -> Page {
    page(&list(&state, &visit, "", None).await?)
}

/// `POST /organizations`: makes one.
pub async fn create(State(state): State<WebState>, action: BoxAction) -> Page {
    let BoxAction { visit, fields } = action;
    let name = fields.get("name").trim();
    if !name_fits(name) {
        let again = list(&state, &visit, name, Some("A name has 1 to 100 characters.")).await?;
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &again);
    }
    let (new, by) = (NewOrganization { slug: Slug::from_name(name), name: name.to_owned() }, visit.by(&state));
    match state.ask(move |store| store.create_organization(&new, &by)).await {
        Ok(made) => {
            let made = format!("/organizations/{}", made.slug);
            Ok(Redirect::to(&state.site.link(&made)).into_response())
        }
        Err(StoreError::Exists(_)) => {
            let again = list(&state, &visit, name, Some("Another organization has a name like that.")).await?;
            page_with(StatusCode::CONFLICT, &again)
        }
        Err(error) => Err(error.into()),
    }
}

/// `GET /organizations/{organization}/settings`
pub async fn settings(State(state): State<WebState>, on: OrganizationVisit) -> Page {
    if !on.role.may_own() {
        return Err(PageError::Role);
    }
    page(&form(&state, &on, &on.organization.name, None))
}

/// `POST /organizations/{organization}/settings`: another name, or its end.
pub async fn change(State(state): State<WebState>, action: OrganizationOwnerAction) -> Page {
    let OrganizationOwnerAction { on, fields } = action;
    if fields.get("act") == "delete" {
        on.visit.proved()?;
    }
    let (id, by) = (on.organization.id, on.visit.by(&state));
    let refuse = |status, problem| page_with(status, &form(&state, &on, fields.get("name").trim(), Some(problem)));
    let to = match fields.get("act") {
        "rename" => {
            let name = fields.get("name").trim().to_owned();
            if !name_fits(&name) {
                return refuse(StatusCode::UNPROCESSABLE_ENTITY, "A name has 1 to 100 characters.");
            }
            state.ask(move |store| store.rename_organization(id, &name, &by)).await?;
            format!("/organizations/{}/settings", on.organization.slug)
        }
        "delete" => {
            if fields.get("confirm").trim() != on.organization.slug.as_str() {
                return refuse(StatusCode::UNPROCESSABLE_ENTITY, "Type the short name to delete it.");
            }
            match state.ask(move |store| store.delete_organization(id, &by)).await {
                Err(StoreError::InUse(_)) => {
                    let problem = "It still has apps, or is the only organization. Delete its apps for good first.";
                    return refuse(StatusCode::CONFLICT, problem);
                }
                done => done?,
            }
            "/organizations".to_owned()
        }
        _ => return Err(PageError::BadForm),
    };
    state.keys.forget();
    Ok(Redirect::to(&state.site.link(&to)).into_response())
}

async fn list(
    state: &WebState,
    visit: &Visit,
    name: &str,
    problem: Option<&'static str>,
) -> Result<Organizations, PageError> {
    let all = state.ask(|store| store.organizations()).await?;
    let row = |row: OrganizationRow| {
        let OrganizationRow { organization, apps, members, .. } = row;
        let role = visit.member.role_in(organization.id)?;
        let href = state.site.link(&format!("/organizations/{}", organization.slug));
        let slug = organization.slug.to_string();
        Some(Row { name: organization.name, slug, href, role: role.as_str(), apps, members })
    };
    Ok(Organizations {
        frame: Frame::member(state, visit, "Organizations"),
        rows: all.into_iter().filter_map(row).collect(),
        csrf: visit.csrf.clone(),
        owns_box: visit.member.owns_box,
        name: name.to_owned(),
        problem,
    })
}

fn form(state: &WebState, on: &OrganizationVisit, name: &str, problem: Option<&'static str>) -> Settings {
    Settings {
        frame: Frame::organization(state, on, "/settings"),
        action: state.site.link(&format!("/organizations/{}/settings", on.organization.slug)),
        csrf: on.visit.csrf.clone(),
        id: on.organization.uuid.to_string(),
        slug: on.organization.slug.to_string(),
        name: name.to_owned(),
        problem,
    }
}
