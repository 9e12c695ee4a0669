//! The users of an environment.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{Cursor, UserRow, UserSort, UsersPage};

use super::super::error::{Page, page};
use super::super::event::short;
use super::super::extract::AppVisit;
use super::super::format::{Calendar, When};
use super::super::frame::Frame;
use super::super::listing::{Listing, ROWS};
use super::super::person::{label, told_besides};
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/users.html")]
struct Users {
    frame: Frame,
    environment: String,
    listing: Listing,
    rows: Vec<Row>,
    /// Whether the search finds more than it can show.
    cut: bool,
    next: Option<String>,
}

struct Row {
    href: String,
    label: String,
    besides: Vec<String>,
    pseudonym: String,
    first: When,
    last: When,
}

/// `GET /apps/{app}/users` and `GET /apps/{app}/{env}/users`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let path = state.site.link(&format!("{}/users", on.path()));
    let sorts = UserSort::ALL.map(|sort| (sort.name(), sort.label()));
    let listing = Listing::parse(&query.unwrap_or_default(), &path, "Name, e-mail or id", &sorts);
    let sort = UserSort::ALL.into_iter().find(|sort| sort.name() == listing.sort).unwrap_or_default();
    let wanted = UsersPage {
        environment: on.environment.id,
        search: listing.search.clone(),
        sort,
        after: Cursor::number(listing.after()),
        limit: ROWS,
    };
    let found = state.reports.look(move |store| store.users(&wanted)).await?;
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let row = |user: UserRow| Row {
        href: format!("{path}/{}", user.hash),
        label: label(user.hash, user.profile.as_ref()),
        besides: user.profile.as_ref().map(told_besides).unwrap_or_default(),
        pseudonym: short(user.hash),
        first: calendar.date(user.first_at),
        last: calendar.day(user.last_day),
    };
    page(&Users {
        frame: Frame::app(&state, &on, "/users"),
        environment: on.environment.slug.to_string(),
        next: found.next.map(|next| listing.page(&next.to_string())),
        rows: found.rows.into_iter().map(row).collect(),
        cut: found.cut,
        listing,
    })
}
