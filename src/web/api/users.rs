//! `GET /api/v1/apps/{app}/users/{user}`: one person, with sessions and events page by page.

use axum::extract::State;
use serde::Serialize;

use super::super::error::PageError;
use super::super::state::WebState;
use super::{Answer, ApiError, AppReader, Event, Params, Utc};
use crate::model::{DeviceRow, Person, Profile, SessionRow, Timeline, TimelineItem, TimelinePage, UserHash, date_of};

/// Items of a page where the address does not say.
const USUAL: u32 = 50;
/// Most items of a page.
const MOST: u32 = 200;

#[derive(Serialize)]
struct Shown<'a> {
    app: &'a str,
    environment: &'a str,
    /// Pseudonym.
    user: String,
    first_seen: Option<Utc>,
    /// Local day of the last event.
    last_day: Option<String>,
    days_seen: u64,
    profile: Option<Told<'a>>,
    devices: Vec<Device<'a>>,
    sessions: Vec<Session<'a>>,
    items: Vec<Item<'a>>,
    next: Option<String>,
}

/// What the app tells of the user.
#[derive(Serialize)]
struct Told<'a> {
    id: String,
    identifier: Option<&'a str>,
    email: Option<&'a str>,
    name: Option<&'a str>,
}

#[derive(Serialize)]
struct Device<'a> {
    id: String,
    name: &'a str,
    kind: &'a str,
    brand: &'a str,
    platform: &'a str,
    system: &'a str,
    system_version: &'a str,
    version: Option<&'a str>,
    build: Option<i64>,
    first_seen: Utc,
    last_seen: Utc,
}

/// One session of the items.
#[derive(Serialize)]
struct Session<'a> {
    from: Utc,
    to: Utc,
    /// All its events, wherever they are listed.
    events: i64,
    version: Option<&'a str>,
    build: Option<&'a str>,
    system: Option<&'a str>,
    system_version: Option<&'a str>,
    device: Option<&'a str>,
}

#[derive(Serialize)]
struct Item<'a> {
    at: Utc,
    /// Its place among the sessions.
    session: Option<usize>,
    /// Without one, a session began on a device.
    event: Option<Event<'a>>,
}

/// Answers with the person, and with the newest of what they did before a cursor.
pub async fn show(State(state): State<WebState>, on: AppReader, mut params: Params) -> Result<Answer, ApiError> {
    let user = on.path.get("user").and_then(|user| UserHash::parse(user)).ok_or(PageError::NotFound)?;
    let environment = params.environment(&on.app)?;
    let (before, limit) = (params.cursor()?, params.limit(USUAL, MOST)?);
    params.end()?;
    let (id, zone) = (environment.id, on.app.zone.clone());
    let wanted = TimelinePage { environment: id, zone, user, before, limit };
    let found = state.reports.look(move |store| match store.person(id, user)? {
        Some(person) => Ok(Some((person, store.timeline(&wanted)?))),
        None => Ok(None),
    });
    let (person, timeline) = found.await?.ok_or(PageError::NotFound)?;
    let answer = Answer::new(&shown((on.app.slug.as_str(), environment.slug.as_str()), &person, &timeline));
    Ok(answer.going_on(timeline.next.map(|next| params.going_on(&next))))
}

fn shown<'a>((app, environment): (&'a str, &'a str), person: &'a Person, timeline: &'a Timeline) -> Shown<'a> {
    Shown {
        app,
        environment,
        user: person.hash.to_string(),
        first_seen: person.seen.map(|seen| Utc(seen.first_at)),
        last_day: person.seen.map(|seen| date_of(seen.last_day).to_string()),
        days_seen: person.seen.map_or(0, |seen| seen.days),
        profile: person.profile.as_ref().map(told),
        devices: person.devices.iter().map(device).collect(),
        sessions: timeline.sessions.iter().map(session).collect(),
        items: timeline.items.iter().map(item).collect(),
        next: timeline.next.as_ref().map(ToString::to_string),
    }
}

fn told(profile: &Profile) -> Told<'_> {
    Told {
        id: profile.id.to_string(),
        identifier: profile.identifier.as_deref(),
        email: profile.email.as_deref(),
        name: profile.name.as_deref(),
    }
}

fn device(row: &DeviceRow) -> Device<'_> {
    Device {
        id: row.id.to_string(),
        name: &row.name,
        kind: &row.kind,
        brand: &row.brand,
        platform: &row.platform,
        system: &row.system_name,
        system_version: &row.system_version,
        version: row.version.as_ref().map(|(version, _)| version.as_str()),
        build: row.version.as_ref().map(|(_, build)| *build),
        first_seen: Utc(row.created_at),
        last_seen: Utc(row.seen_at),
    }
}

fn session(row: &SessionRow) -> Session<'_> {
    Session {
        from: Utc(row.started_at),
        to: Utc(row.ended_at),
        events: row.events,
        version: row.version.as_deref(),
        build: row.build.as_deref(),
        system: row.system.as_deref(),
        system_version: row.system_version.as_deref(),
        device: row.device.as_deref(),
    }
}

fn item(item: &TimelineItem) -> Item<'_> {
    Item { at: Utc(item.at), session: item.session, event: item.event.as_ref().map(Event::from) }
}
