//! Who did what: in an app, in an organization, on the whole box.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{AuditPage, AuditRow, Concerning, Zone};

use super::super::error::{Page, PageError, page};
use super::super::extract::{AppVisit, BoxVisit, OrganizationVisit};
use super::super::form::Fields;
use super::super::format::{Calendar, When};
use super::super::frame::{Frame, Tab};
use super::super::state::WebState;

/// Lines on one page.
const SHOWN: u32 = 50;

/// What the lines of a page can be narrowed to: label, and how their actions begin.
const KINDS: [(&str, &str); 17] = [
    ("Everything", ""),
    ("Sign-in", "login."),
    ("Members", "member."),
    ("Invitations", "invitation."),
    ("Organizations", "organization."),
    ("Apps", "app."),
    ("Keys", "key."),
    ("Tokens", "token."),
    ("Tiers", "tier."),
    ("Limits", "limits."),
    ("Bans", "ban."),
    ("Etiquette", "etiquette."),
    ("What is kept", "keeping."),
    ("Versions", "version."),
    ("People", "person."),
    ("Devices", "device."),
    ("Funnels", "funnel."),
];

/// Actions in words, what they are done to following.
const WORDS: &[(&str, &str)] = &[
    ("login.signed_in", "Signed in:"),
    ("login.failed", "Sign-in failed:"),
    ("login.signed_out", "Signed out:"),
    ("login.confirmed", "Confirmed:"),
    ("login.password_changed", "Password changed of"),
    ("login.two_factor_on", "Two-factor sign-in on for"),
    ("login.two_factor_off", "Two-factor sign-in off for"),
    ("login.recovery_code_used", "Recovery code used by"),
    ("login.recovery_codes_renewed", "New recovery codes for"),
    ("set_aside.retried", "Tried again, set aside:"),
    ("set_aside.discarded", "Discarded, set aside:"),
    ("organization.deleted", "Organization deleted:"),
    ("box.handed_over", "The box given to"),
    ("version.status", "Status of version"),
    ("build.status", "Status of build"),
    ("version.rule", "Rule for"),
    ("app.made", "App made:"),
    ("app.renamed", "App renamed:"),
    ("app.zone", "Time zone of"),
    ("app.strict", "Answers of"),
    ("app.archived", "App archived:"),
    ("app.restored", "App restored:"),
    ("app.deleted", "App deleted for good:"),
    ("member.made", "Member made:"),
    ("member.role", "Role of"),
    ("member.disabled", "Member shut out:"),
    ("member.enabled", "Member let in again:"),
    ("member.deleted", "Member deleted:"),
    ("invitation.made", "Invitation for"),
    ("invitation.withdrawn", "Invitation withdrawn for"),
    ("invitation.accepted", "Invitation accepted by"),
    ("organization.made", "Organization made:"),
    ("organization.renamed", "Organization renamed:"),
    ("app.collects", "What the app collects:"),
    ("app.erased", "App erased:"),
    ("person.erasing", "Erasure of person"),
    ("person.erased", "Person erased:"),
    ("person.exported", "Person exported:"),
    ("device.erasing", "Erasure of device"),
    ("device.erased", "Device erased:"),
    ("device.exported", "Device exported:"),
    ("funnel.saved", "Funnel saved:"),
    ("funnel.deleted", "Funnel deleted:"),
    ("key.made", "Key made:"),
    ("key.rotated", "Key rotated:"),
    ("master_key.changed", "Master key changed:"),
    ("key.revoked", "Key revoked:"),
    ("token.made", "Token made:"),
    ("token.revoked", "Token revoked:"),
    ("tier.made", "Tier made:"),
    ("tier.changed", "Tier changed:"),
    ("tier.usual", "Usual tier is now"),
    ("tier.deleted", "Tier deleted:"),
    ("limits.set", "Set:"),
    ("ban.made", "Banned:"),
    ("ban.lifted", "Ban lifted of"),
    ("etiquette.ordered", "Ordered:"),
    ("etiquette.lifted", "Order lifted:"),
    ("keeping.set", "What is kept of"),
    ("clock.confirmed", "Clock found right:"),
];

#[derive(Template)]
#[template(path = "pages/changes.html")]
struct Changes {
    frame: Frame,
    kinds: Vec<Tab>,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
    whole: bool,
}

struct Row {
    when: When,
    member: String,
    what: String,
    subject: String,
    detail: String,
    /// In which app, where the page is not about one, and from where.
    beside: String,
}

/// `GET /apps/{app}/changes`
pub async fn of_app(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let path = format!("/apps/{}/changes", on.app.slug);
    let of = (Concerning::App(on.app.id), path, Calendar::new(on.app.zone.clone(), state.clock.now()));
    show(&state, of, Frame::app(&state, &on, "/changes"), query).await
}

/// `GET /organizations/{organization}/changes`
pub async fn of_organization(State(state): State<WebState>, on: OrganizationVisit, RawQuery(query): RawQuery) -> Page {
    on.administers()?;
    let path = format!("/organizations/{}/changes", on.organization.slug);
    let of = (Concerning::Organization(on.organization.id), path, utc(&state));
    show(&state, of, Frame::organization(&state, &on, "/changes"), query).await
}

/// `GET /box/changes`
pub async fn of_box(State(state): State<WebState>, BoxVisit(visit): BoxVisit, RawQuery(query): RawQuery) -> Page {
    let of = (Concerning::Box, "/box/changes".to_owned(), utc(&state));
    show(&state, of, Frame::of_box(&state, &visit, "/changes"), query).await
}

fn utc(state: &WebState) -> Calendar {
    Calendar::new(Zone::utc().into(), state.clock.now())
}

async fn show(
    state: &WebState,
    (of, path, calendar): (Concerning, String, Calendar),
    frame: Frame,
    query: Option<String>,
) -> Result<axum::response::Response, PageError> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let before = query.get("before").parse().ok();
    let kind = KINDS.iter().map(|(_, kind)| *kind).find(|kind| *kind == query.get("kind")).unwrap_or_default();
    let asked = AuditPage { of, action: kind.to_owned(), member: String::new(), before, limit: SHOWN + 1 };
    let mut rows = state.ask(move |store| store.audit(&asked)).await?;
    let more = rows.len() > SHOWN as usize;
    rows.truncate(SHOWN as usize);
    let is_of_app = matches!(of, Concerning::App(_));
    let path = state.site.link(&path);
    let address = |kind: &str, before: Option<i64>| {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        if !kind.is_empty() {
            pairs.append_pair("kind", kind);
        }
        if let Some(before) = before {
            pairs.append_pair("before", &before.to_string());
        }
        let query = pairs.finish();
        if query.is_empty() { path.clone() } else { format!("{path}?{query}") }
    };
    let last = rows.last().map(|row| row.id).filter(|_| more);
    let tab = |(label, own): &(&str, &str)| Tab {
        label: (*label).to_owned(),
        href: address(own, None),
        current: *own == kind,
    };
    page(&Changes {
        frame,
        kinds: KINDS.iter().map(tab).collect(),
        rows: rows
            .into_iter()
            .map(|row| line(AuditRow { app: row.app.filter(|_| !is_of_app), ..row }, &calendar))
            .collect(),
        next: last.map(|last| address(kind, Some(last))),
        first: before.map(|_| address(kind, None)),
        whole: kind.is_empty(),
    })
}

fn line(row: AuditRow, calendar: &Calendar) -> Row {
    let words = WORDS.iter().find(|(action, _)| *action == row.action);
    let what = words.map_or_else(|| row.action.replace(['.', '_'], " "), |(_, words)| (*words).to_owned());
    let AuditRow { at, member, place, subject, detail, app, .. } = row;
    let beside: Vec<_> =
        app.filter(|app| *app != subject).into_iter().chain([place]).filter(|text| !text.is_empty()).collect();
    Row { when: calendar.moment(at), member, what, subject, detail, beside: beside.join(" · ") }
}
