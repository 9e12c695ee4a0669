//! Who belongs to an organization, as what, and the ways in that are open.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{Invitation, Member, MemberId, Role, Zone};
use crate::store::StoreError;

use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{OrganizationOwnerAction, OrganizationVisit};
use super::super::format::{Calendar, When};
use super::super::frame::Frame;
use super::super::state::WebState;

/// Longest text that says whom an invitation is for, in characters.
const NOTE: usize = 100;

#[derive(Template)]
#[template(path = "pages/team.html")]
struct Team {
    frame: Frame,
    action: String,
    csrf: String,
    owns: bool,
    administers: bool,
    roles: [&'static str; 3],
    members: Vec<Person>,
    invitations: Vec<Open>,
    fresh: Option<Fresh>,
    problem: Option<&'static str>,
}

struct Person {
    id: i64,
    name: String,
    role: &'static str,
    is_me: bool,
    owns_box: bool,
    disabled: bool,
    made: When,
}

struct Open {
    id: i64,
    note: String,
    role: &'static str,
    invited_by: String,
    until: When,
}

/// An invitation that was just made: its link is shown this once.
struct Fresh {
    link: String,
    note: String,
    until: When,
}

/// `GET /organizations/{organization}`
pub async fn show(State(state): State<WebState>, on: OrganizationVisit) -> Page {
    page(&view(&state, &on).await?)
}

/// `POST /organizations/{organization}/members`: another role, or none.
pub async fn change(State(state): State<WebState>, action: OrganizationOwnerAction) -> Page {
    let OrganizationOwnerAction { on, fields } = action;
    on.visit.proved()?;
    let id = fields.get("member").parse().map(MemberId).map_err(|_| PageError::BadForm)?;
    let role = match fields.get("act") {
        "role" => Some(Role::parse(fields.get("role")).ok_or(PageError::BadForm)?),
        "remove" => None,
        _ => return Err(PageError::BadForm),
    };
    let (organization, by) = (on.organization.id, on.visit.by(&state));
    let members = state.ask(move |store| store.members(Some(organization))).await?;
    if !members.iter().any(|member| member.id == id) {
        return Err(PageError::NotFound);
    }
    match state.ask(move |store| store.set_role(id, organization, role, &by)).await {
        Err(StoreError::LastOwner) => {
            let problem = Some("Somebody has to own the organization. Make another member its owner first.");
            let again = Team { problem, ..view(&state, &on).await? };
            page_with(StatusCode::CONFLICT, &again)
        }
        done => {
            done?;
            let left = role.is_none() && id == on.visit.member.id && !on.visit.member.owns_box;
            let to = if left { "/organizations".to_owned() } else { path(&on) };
            Ok(Redirect::to(&state.site.link(&to)).into_response())
        }
    }
}

/// `POST /organizations/{organization}/invitations`: opens a way in and shows its link, or closes one.
pub async fn invite(State(state): State<WebState>, action: OrganizationOwnerAction) -> Page {
    let OrganizationOwnerAction { on, fields } = action;
    on.visit.proved()?;
    let by = on.visit.by(&state);
    if fields.get("act") == "withdraw" {
        let (id, organization) = (fields.get("id").parse().map_err(|_| PageError::BadForm)?, on.organization.id);
        state.ask(move |store| store.withdraw_invitation(organization, id, &by)).await?;
        return Ok(Redirect::to(&state.site.link(&path(&on))).into_response());
    }
    let role = Role::parse(fields.get("role")).ok_or(PageError::BadForm)?;
    let note = fields.get("note").trim();
    if note.is_empty() || note.chars().count() > NOTE || note.chars().any(char::is_control) {
        let problem = Some("Say in 1 to 100 characters whom it is for.");
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &Team { problem, ..view(&state, &on).await? });
    }
    match state.logins.invite(on.organization.id, role, note, &by).await {
        Ok((token, until)) => {
            let link = format!("{}/invitation?token={token}", on.visit.place.address);
            let fresh = Fresh { link, note: note.to_owned(), until: calendar(&state).date_time(until) };
            page(&Team { fresh: Some(fresh), ..view(&state, &on).await? })
        }
        Err(StoreError::NoRoom(_)) => {
            let problem = Some("There are 200 open invitations. Withdraw some first.");
            page_with(StatusCode::CONFLICT, &Team { problem, ..view(&state, &on).await? })
        }
        Err(error) => Err(error.into()),
    }
}

fn path(on: &OrganizationVisit) -> String {
    format!("/organizations/{}", on.organization.slug)
}

fn calendar(state: &WebState) -> Calendar {
    Calendar::new(Zone::utc().into(), state.clock.now())
}

async fn view(state: &WebState, on: &OrganizationVisit) -> Result<Team, PageError> {
    let (organization, now, calendar) = (on.organization.id, state.clock.now(), calendar(state));
    let members = state.ask(move |store| store.members(Some(organization))).await?;
    let invitations = match on.role.may_administer() {
        true => state.ask(move |store| store.invitations(organization, now)).await?,
        false => Vec::new(),
    };
    let person = |member: Member| Person {
        id: member.id.0,
        role: member
            .memberships
            .iter()
            .find(|one| one.organization == organization)
            .map_or("", |one| one.role.as_str()),
        is_me: member.id == on.visit.member.id,
        owns_box: member.owns_box,
        disabled: member.disabled_at.is_some(),
        made: calendar.date_time(member.created_at),
        name: member.name,
    };
    let open = |one: Invitation| Open {
        id: one.id,
        role: one.role.as_str(),
        invited_by: one.invited_by,
        until: calendar.date_time(one.expires_at),
        note: one.note,
    };
    Ok(Team {
        frame: Frame::organization(state, on, ""),
        action: state.site.link(&path(on)),
        csrf: on.visit.csrf.clone(),
        owns: on.role.may_own(),
        administers: on.role.may_administer(),
        roles: Role::ALL.map(Role::as_str),
        members: members.into_iter().map(person).collect(),
        invitations: invitations.into_iter().map(open).collect(),
        fresh: None,
        problem: None,
    })
}
