//! Who changed what in an app.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::AuditRow;

use super::super::error::{Page, page};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{Calendar, When};
use super::super::frame::{Frame, Tab};
use super::super::standing;
use super::super::state::WebState;

/// Lines on one page.
const SHOWN: u32 = 50;

#[derive(Template)]
#[template(path = "pages/changes.html")]
struct Changes {
    frame: Frame,
    pages: Vec<Tab>,
    rows: Vec<Row>,
    first: Option<String>,
    next: Option<String>,
}

struct Row {
    when: When,
    member: String,
    what: String,
    subject: String,
    detail: String,
}

/// `GET /apps/{app}/changes`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let before = Fields::parse(query.unwrap_or_default().as_bytes()).get("before").parse().ok();
    let app = on.app.id;
    let mut rows = state.ask(move |store| store.audit(app, before, SHOWN + 1)).await?;
    let more = rows.len() > SHOWN as usize;
    rows.truncate(SHOWN as usize);
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let path = state.site.link(&format!("/apps/{}/changes", on.app.slug));
    let last = rows.last().map(|row| row.id).filter(|_| more);
    let frame = Frame::app(&state, &on, "/versions");
    page(&Changes {
        frame: Frame { title: format!("Changes · {}", on.app.name), ..frame },
        pages: standing::pages(&state, &on, "changes"),
        rows: rows.into_iter().map(|row| line(row, &calendar)).collect(),
        next: last.map(|last| format!("{path}?before={last}")),
        first: before.map(|_| path),
    })
}

fn line(row: AuditRow, calendar: &Calendar) -> Row {
    let what = match row.action.as_str() {
        "version.status" => "Status of version".to_owned(),
        "build.status" => "Status of build".to_owned(),
        "version.rule" => "Rule for".to_owned(),
        other => other.to_owned(),
    };
    Row { when: calendar.moment(row.at), member: row.member, what, subject: row.subject, detail: row.detail }
}
