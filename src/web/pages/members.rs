//! Everybody who can sign in on the box, for who owns it.

use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect};

use crate::model::{Member, MemberId, Zone};
use crate::store::StoreError;

use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{BoxAction, BoxVisit, Visit};
use super::super::format::{Calendar, When};
use super::super::frame::Frame;
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/members.html")]
struct Members {
    frame: Frame,
    action: String,
    csrf: String,
    rows: Vec<Row>,
    problem: Option<&'static str>,
}

struct Row {
    id: i64,
    name: String,
    owns_box: bool,
    places: Vec<String>,
    made: When,
    disabled: Option<When>,
}

/// `GET /box/members`
pub async fn show(State(state): State<WebState>, BoxVisit(visit): BoxVisit) -> Page {
    page(&view(&state, &visit).await?)
}

/// `POST /box/members`: shuts somebody out, lets them in again, forgets them, gives them the box.
pub async fn change(State(state): State<WebState>, action: BoxAction) -> Page {
    let BoxAction { visit, fields } = action;
    visit.proved()?;
    let id = fields.get("member").parse().map(MemberId).map_err(|_| PageError::BadForm)?;
    let by = visit.by(&state);
    let act = fields.get("act").to_owned();
    let is_named = |member: &Member| member.id == id && member.name == fields.get("confirm").trim();
    if matches!(act.as_str(), "delete" | "own") {
        let members = state.ask(|store| store.members(None)).await?;
        if !members.iter().any(is_named) {
            let problem = Some("Type the member's name to confirm.");
            return page_with(StatusCode::UNPROCESSABLE_ENTITY, &Members { problem, ..view(&state, &visit).await? });
        }
    }
    let done = match act.as_str() {
        "disable" => state.ask(move |store| store.disable_member(id, &by)).await,
        "enable" => state.ask(move |store| store.enable_member(id, &by)).await,
        "delete" => state.ask(move |store| store.delete_member(id, &by)).await,
        "own" => state.ask(move |store| store.hand_over_box(id, &by)).await,
        _ => return Err(PageError::BadForm),
    };
    match done {
        Err(StoreError::LastOwner) => {
            let problem = Some("The box is theirs. Give it to somebody else first.");
            page_with(StatusCode::CONFLICT, &Members { problem, ..view(&state, &visit).await? })
        }
        done => {
            done?;
            // Whoever has given the box away sees this page no more.
            let to = if act == "own" { "/apps" } else { "/box/members" };
            Ok(Redirect::to(&state.site.link(to)).into_response())
        }
    }
}

async fn view(state: &WebState, visit: &Visit) -> Result<Members, PageError> {
    let organizations = state.ask(|store| store.organizations()).await?;
    let members = state.ask(|store| store.members(None)).await?;
    let calendar = Calendar::new(Zone::utc().into(), state.clock.now());
    let row = |member: Member| {
        let place = |one: &crate::model::Membership| {
            let all = organizations.iter().map(|row| &row.organization);
            let name =
                all.filter(|organization| organization.id == one.organization).map(|found| &found.name).next()?;
            Some(format!("{} of {name}", one.role.as_str()))
        };
        Row {
            id: member.id.0,
            owns_box: member.owns_box,
            places: member.memberships.iter().filter_map(place).collect(),
            made: calendar.date_time(member.created_at),
            disabled: member.disabled_at.map(|at| calendar.date_time(at)),
            name: member.name,
        }
    };
    Ok(Members {
        frame: Frame::of_box(state, visit, "/members"),
        action: state.site.link("/box/members"),
        csrf: visit.csrf.clone(),
        rows: members.into_iter().map(row).collect(),
        problem: None,
    })
}
