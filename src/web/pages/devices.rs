//! The devices of an environment.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{DeviceRow, DeviceSort, DevicesPage};

use super::super::banning::Bans;
use super::super::error::{Page, page};
use super::super::extract::AppVisit;
use super::super::format::{Calendar, When};
use super::super::frame::Frame;
use super::super::listing::{Listing, ROWS};
use super::super::person::{label, model, short_id, system};
use super::super::state::WebState;

#[derive(Template)]
#[template(path = "pages/devices.html")]
struct Devices {
    frame: Frame,
    environment: String,
    /// Where the users are.
    users: String,
    listing: Listing,
    rows: Vec<Row>,
    next: Option<String>,
}

struct Row {
    name: String,
    /// Where everything about it can be exported and erased.
    rights: String,
    model: String,
    install_id: String,
    install: String,
    system: String,
    platform: String,
    version: Option<(String, i64)>,
    /// What the user is called, and where their page is.
    user: Option<(String, String)>,
    first: When,
    seen: When,
    /// As far as the reader may know.
    banned: bool,
}

/// `GET /apps/{app}/devices` and `GET /apps/{app}/{env}/devices`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let path = state.site.link(&format!("{}/devices", on.path()));
    let people = state.site.link(&format!("{}/users", on.path()));
    let sorts = DeviceSort::ALL.map(|sort| (sort.name(), sort.label()));
    let hint = "Name, brand, system or install id";
    let listing = Listing::parse(&query.unwrap_or_default(), &path, hint, &sorts);
    let sort = DeviceSort::ALL.into_iter().find(|sort| sort.name() == listing.sort).unwrap_or_default();
    let wanted = DevicesPage {
        environment: on.environment.id,
        search: listing.search.clone(),
        sort,
        after: sort.cursor(listing.after()),
        limit: ROWS,
    };
    let found = state.reports.look(move |store| store.devices(&wanted)).await?;
    let bans = Bans::of(&state, &on).await?;
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let rights = state.site.link(&format!("{}/people/one", on.path()));
    let row = |device: DeviceRow| Row {
        rights: format!("{rights}?device={}", device.id),
        name: if device.name.is_empty() { "Unnamed device".to_owned() } else { device.name.clone() },
        model: model(&device),
        install: short_id(&device.install_id),
        system: system(&device),
        user: device.user.as_ref().map(|(hash, told)| (label(*hash, Some(told)), format!("{people}/{hash}"))),
        first: calendar.date(device.created_at),
        seen: calendar.glance(device.seen_at),
        banned: bans.hold_device(&on, &device.install_id),
        install_id: device.install_id,
        platform: device.platform,
        version: device.version,
    };
    page(&Devices {
        frame: Frame::app(&state, &on, "/devices"),
        environment: on.environment.slug.to_string(),
        next: found.next.map(|next| listing.page(&next.to_string())),
        rows: found.rows.into_iter().map(row).collect(),
        users: people,
        listing,
    })
}
