//! One session: what is known of it, and its events in the order of time, with the gaps between them.

use askama::Template;
use axum::extract::{RawQuery, State};

use crate::model::{Cursor, EventRow, Millis, SessionDetail, SessionName, SessionPage, Zone};

use super::super::error::{Page, PageError, page};
use super::super::event::{EventLine, short};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{Calendar, grouped, length};
use super::super::frame::Frame;
use super::super::listing::address;
use super::super::session::facts;
use super::super::state::WebState;
use super::super::table::{Cell, Form, Table};

/// Events of a page.
const EVENTS: u32 = 100;
/// Most events of a file, which is made in memory.
const FILE_EVENTS: u32 = 300;
/// From how long on a time without events is told.
const GAP: i64 = Millis::MINUTE;

#[derive(Template)]
#[template(path = "pages/session.html")]
struct Shown {
    frame: Frame,
    zone: String,
    /// Where the other sessions are.
    sessions: String,
    began: String,
    crashed: bool,
    facts: Vec<(&'static str, String)>,
    /// What the user is called, and where their page is.
    user: Option<(String, String)>,
    items: Vec<Item>,
    csv: String,
    json: String,
    /// From the beginning, where this is a later stretch.
    first: Option<String>,
    next: Option<String>,
}

/// An event, and how long nothing happened before it, where that was long, and its day, where that is another.
struct Item {
    gap: Option<String>,
    day: Option<String>,
    event: EventLine,
}

/// `GET /apps/{app}/session` and `GET /apps/{app}/{env}/session`, with `?id=`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let (name, detail) = find(&state, &on, &fields, EVENTS).await?;
    let SessionDetail { session, events, next } = detail;
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let link = |suffix: &str| state.site.link(&format!("{}{suffix}", on.path()));
    let (here, users, id) = (link("/session"), link("/users"), name.to_string());
    let began = calendar.date_time(session.started_at).text;
    let mut frame = Frame::app(&state, &on, "/sessions");
    frame.title = format!("Session of {began} · {}", on.app.name);
    let mut known = vec![
        ("Began", began.clone()),
        ("Lasted", length(session.ended_at.since(session.started_at))),
        ("Events", grouped(session.events)),
    ];
    known.extend(facts(&session));
    let first = fields.find("after").map(|_| address(&here, &[("id", &id)]));
    page(&Shown {
        zone: on.app.zone.name().to_owned(),
        sessions: link("/sessions"),
        crashed: session.crashed,
        user: session.user.map(|user| (short(user), format!("{users}/{user}"))),
        items: items(&events, (&on.app.zone, &calendar), &users),
        csv: address(&format!("{here}.csv"), &[("id", &id)]),
        json: address(&format!("{here}.json"), &[("id", &id)]),
        next: next.map(|next| address(&here, &[("id", &id), ("after", &next.to_string())])),
        facts: known,
        began,
        first,
        frame,
    })
}

/// `GET /apps/{app}/session.csv` and `.json`, with an environment too: the first three hundred events behind the cursor.
pub async fn file(State(state): State<WebState>, on: AppVisit, form: Form, RawQuery(query): RawQuery) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let (_, detail) = find(&state, &on, &fields, FILE_EVENTS).await?;
    let mut table = Table::new(["time", "id", "event", "category", "properties"]);
    table.rows.extend(detail.events.into_iter().map(|event| {
        vec![
            event.occurred_at.timestamp().to_string().into(),
            event.id.to_string().into(),
            event.name.into(),
            event.category.into(),
            event.props.map_or(Cell::Empty, Cell::Json),
        ]
    }));
    table.answer(form, &format!("{}-session", on.app.slug))
}

/// The session that an address names, with its events from there on.
async fn find(
    state: &WebState,
    on: &AppVisit,
    fields: &Fields,
    limit: u32,
) -> Result<(SessionName, SessionDetail), PageError> {
    let name = SessionName::parse(fields.get("id")).ok_or(PageError::NotFound)?;
    let after = fields.find("after").and_then(Cursor::number);
    let wanted = SessionPage { environment: on.environment.id, name, after, limit };
    let detail = state.reports.look(move |store| store.session(&wanted)).await?;
    Ok((name, detail.ok_or(PageError::NotFound)?))
}

/// Events with the gaps before them.
fn items(events: &[EventRow], (zone, calendar): (&Zone, &Calendar), users: &str) -> Vec<Item> {
    let mut last: Option<Millis> = None;
    let item = |event: &EventRow| {
        let pause = last.map(|last| event.occurred_at.since(last)).filter(|pause| *pause >= GAP);
        let day = zone.local(event.occurred_at).day;
        let is_another = last.is_some_and(|last| zone.local(last).day != day);
        last = Some(event.occurred_at);
        let line = EventLine::new(event, calendar.time(event.occurred_at), calendar, users);
        // The session tells what would be the same in every line.
        let event = EventLine { version: None, system: None, user: None, ..line };
        Item {
            gap: pause.map(|pause| format!("{} of nothing", spelt(pause))),
            day: is_another.then(|| calendar.day_title(day)),
            event,
        }
    };
    events.iter().map(item).collect()
}

/// A pause in words: `1 minute`, `12 minutes`, `2 hours 5 minutes`, `3 days`.
fn spelt(ms: i64) -> String {
    let many = |count: i64, unit: &str| format!("{count} {unit}{}", if count == 1 { "" } else { "s" });
    let pair = |large: String, rest: i64, unit: &str| match rest {
        0 => large,
        rest => format!("{large} {}", many(rest, unit)),
    };
    match ms / Millis::MINUTE {
        minutes @ ..=59 => many(minutes, "minute"),
        minutes @ 60..=1_439 => pair(many(minutes / 60, "hour"), minutes % 60, "minute"),
        minutes => pair(many(minutes / 1_440, "day"), minutes % 1_440 / 60, "hour"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_spelt_out() {
        for (minutes, text) in [
            (1, "1 minute"),
            (12, "12 minutes"),
            (60, "1 hour"),
            (125, "2 hours 5 minutes"),
            (1_440, "1 day"),
            (3_001, "2 days 2 hours"),
        ] {
            assert_eq!(spelt(minutes * Millis::MINUTE + 59_999), text);
        }
    }
}
