//! One user: who they are, their devices, and what they did day by day.

use std::collections::HashMap;
use std::sync::Arc;

use askama::Template;
use axum::extract::{Path, RawQuery, State};

use crate::model::{Cursor, DeviceRow, Millis, Person, PushRow, SessionRow, Timeline, TimelinePage, UserHash, Zone};

use super::super::banning::{Bans, Form};
use super::super::error::{Page, PageError, page};
use super::super::event::EventLine;
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{Calendar, When, duration, grouped};
use super::super::frame::Frame;
use super::super::listing::{ROWS, address};
use super::super::person::{label, model, short_id, system};
use super::super::session::facts as session_facts;
use super::super::state::WebState;

/// Earlier names that are shown.
const EARLIER: usize = 5;

#[derive(Template)]
#[template(path = "pages/person.html")]
struct Shown {
    frame: Frame,
    zone: String,
    label: String,
    users: String,
    /// Where everything about them can be exported and erased.
    rights: String,
    facts: Vec<(&'static str, String)>,
    public_id: Option<String>,
    pseudonym: String,
    /// Earlier ones, each with until when.
    earlier: Vec<(String, String)>,
    /// The form that bans them, for who may.
    ban: Option<Form>,
    devices: Vec<Device>,
    days: Vec<Day>,
    /// This page without a cursor, where it has one.
    newest: Option<String>,
    older: Option<String>,
}

struct Device {
    name: String,
    model: String,
    install: String,
    /// Its own rights.
    rights: String,
    system: String,
    version: Option<(String, i64)>,
    first: When,
    seen: When,
    push: Vec<PushRow>,
    ban: Option<Form>,
}

/// What is told of one local day.
struct Day {
    title: String,
    sessions: Vec<Session>,
}

/// One session, as far as it lies in one day and one page.
struct Session {
    /// Its place in the timeline's sessions.
    place: Option<usize>,
    /// From when to when.
    span: Option<String>,
    /// Where its own page is.
    href: Option<String>,
    length: String,
    /// Of all its events, wherever they are shown.
    events: i64,
    facts: Vec<String>,
    lines: Vec<EventLine>,
}

impl Session {
    /// How long it was and how much happened.
    fn told(&self) -> String {
        let events = match self.events.max(i64::try_from(self.lines.len()).unwrap_or(i64::MAX)) {
            0 => return "app opened, no events".to_owned(),
            1 => "1 event".to_owned(),
            events => format!("{} events", grouped(events)),
        };
        let elsewhere = if self.lines.is_empty() { ", not in this list" } else { "" };
        format!("{} · {events}{elsewhere}", self.length)
    }
}

/// `GET /apps/{app}/users/{user}` and `GET /apps/{app}/{env}/users/{user}`
pub async fn show(
    State(state): State<WebState>,
    on: AppVisit,
    Path(path): Path<HashMap<String, String>>,
    RawQuery(query): RawQuery,
) -> Page {
    let user = path.get("user").and_then(|user| UserHash::parse(user)).ok_or(PageError::NotFound)?;
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let (environment, zone) = (on.environment.id, on.app.zone.clone());
    let before = query.find("before").and_then(Cursor::number);
    let wanted = TimelinePage { environment, zone: zone.clone(), user, before, limit: ROWS };
    let found = state.reports.look(move |store| match store.person(environment, user)? {
        Some(person) => Ok(Some((person, store.timeline(&wanted)?))),
        None => Ok(None),
    });
    let (person, timeline) = found.await?.ok_or(PageError::NotFound)?;
    let user = person.hash; // who was asked for by an earlier name has another by now
    let bans = Bans::of(&state, &on).await?;
    let calendar = Calendar::new(zone.clone(), state.clock.now());
    let users = state.site.link(&format!("{}/users", on.path()));
    let here = format!("{users}/{user}");
    let older = timeline.next.as_ref().map(|next| address(&here, &[("before", &next.to_string())]));
    let label = label(user, person.profile.as_ref());
    let mut frame = Frame::app(&state, &on, "/users");
    frame.title = format!("{label} · {}", on.app.name);
    page(&Shown {
        zone: zone.name().to_owned(),
        facts: facts(&person, &calendar),
        public_id: person.profile.as_ref().map(|told| told.id.to_string()),
        pseudonym: user.to_string(),
        earlier: earlier(&person, &calendar),
        ban: bans.of_user(&state, &on, user),
        rights: state.site.link(&format!("{}/people/one?user={user}", on.path())),
        devices: devices(&person, &calendar, &state.site.link(&format!("{}/people/one", on.path())), |install_id| {
            bans.of_device(&state, &on, install_id)
        }),
        days: days(timeline, (&zone, &calendar), &users, &state.site.link(&format!("{}/session", on.path()))),
        newest: query.find("before").map(|_| here),
        frame,
        label,
        users,
        older,
    })
}

/// The last names that they had before it was known who they are.
fn earlier(person: &Person, calendar: &Calendar) -> Vec<(String, String)> {
    let last = person.earlier.iter().rev().take(EARLIER);
    last.map(|(hash, at)| (hash.to_string(), calendar.date_time(*at).text)).collect()
}

fn facts(person: &Person, calendar: &Calendar) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if let Some(told) = &person.profile {
        let texts = [("Name", &told.name), ("E-mail", &told.email), ("Identifier", &told.identifier)];
        facts.extend(texts.into_iter().filter_map(|(label, text)| Some((label, text.clone()?))));
    }
    if let Some(seen) = person.seen {
        facts.push(("First seen", calendar.date_time(seen.first_at).text));
        facts.push(("Last seen", calendar.day(seen.last_day).text));
        facts.push(("Days seen", grouped(i64::try_from(seen.days).unwrap_or(i64::MAX))));
    }
    if person.earlier.len() > EARLIER {
        let more = i64::try_from(person.earlier.len() - EARLIER).unwrap_or(i64::MAX);
        facts.push(("More earlier pseudonyms", grouped(more)));
    }
    if person.sessions > 0 {
        facts.push(("Sessions on devices", grouped(i64::try_from(person.sessions).unwrap_or(i64::MAX))));
    }
    facts
}

fn devices(person: &Person, calendar: &Calendar, rights: &str, ban: impl Fn(&str) -> Option<Form>) -> Vec<Device> {
    let device = |device: &DeviceRow| Device {
        name: if device.name.is_empty() { "Unnamed device".to_owned() } else { device.name.clone() },
        model: model(device),
        install: short_id(&device.install_id),
        rights: format!("{rights}?device={}", device.id),
        system: system(device),
        version: device.version.clone(),
        first: calendar.date(device.created_at),
        seen: calendar.glance(device.seen_at),
        ban: ban(&device.install_id),
        push: person.push.iter().filter(|push| push.device == device.id).cloned().collect(),
    };
    person.devices.iter().map(device).collect()
}

/// Items by local day, and in each day by session, both in the order of their newest item.
fn days(timeline: Timeline, (zone, calendar): (&Arc<Zone>, &Calendar), users: &str, one: &str) -> Vec<Day> {
    let mut days: Vec<(i32, Day)> = Vec::new();
    for item in timeline.items {
        let day = zone.local(item.at).day;
        if days.last().is_none_or(|(last, _)| *last != day) {
            days.push((day, Day { title: calendar.day_title(day), sessions: Vec::new() }));
        }
        let Some((_, today)) = days.last_mut() else { continue };
        let at = today.sessions.iter().position(|session| session.place == item.session);
        let at = at.unwrap_or_else(|| {
            let row = item.session.and_then(|place| timeline.sessions.get(place));
            let mut session = session(item.session, row, (zone, calendar), day);
            let name = row.and_then(|row| row.name);
            session.href = name.map(|name| address(one, &[("id", &name.to_string())]));
            today.sessions.push(session);
            today.sessions.len() - 1
        });
        if let Some(event) = &item.event {
            let line = EventLine::new(event, calendar.time(item.at), calendar, users);
            // The session tells what would be the same in every line.
            today.sessions[at].lines.push(EventLine { version: None, system: None, user: None, ..line });
        }
    }
    days.into_iter().map(|(_, day)| day).collect()
}

fn session(place: Option<usize>, row: Option<&SessionRow>, (zone, calendar): (&Zone, &Calendar), day: i32) -> Session {
    let told = |at: Millis| if zone.local(at).day == day { calendar.hour_minute(at) } else { calendar.short(at) };
    let span = row.map(|row| match (told(row.started_at), told(row.ended_at)) {
        (from, to) if from == to => from,
        (from, to) => format!("{from} – {to}"),
    });
    let length = row.map_or_else(String::new, |row| duration(row.ended_at.since(row.started_at)));
    let facts = row.map(session_facts).unwrap_or_default().into_iter().map(|(_, text)| text).collect();
    Session { place, span, href: None, length, events: row.map_or(0, |row| row.events), facts, lines: Vec::new() }
}
