//! What one person or device may ask for: a file of everything about them, and to be erased.

use std::time::Duration;

use askama::Template;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::{IntoResponse, Redirect};
use futures_util::stream;
use uuid::Uuid;

use crate::clock::Deadline;
use crate::model::{AskErasure, AuditLine, Concerning, FileAsk, FilePlace, Subject, Who, WorkErasure};
use crate::query::Dossier;
use crate::store::{Store, StoreError};

use super::super::error::{Page, PageError, page, page_with};
use super::super::extract::{AppAction, AppVisit};
use super::super::form::Fields;
use super::super::format::Calendar;
use super::super::frame::Frame;
use super::super::rights::{Told, confirmation, named, subject};
use super::super::state::WebState;

/// For how long an erasure is worked on before its page is shown: a small one is done then.
const AT_ONCE: Duration = Duration::from_secs(2);

/// Longest name that is looked for in texts, in characters.
const NAME: usize = 1_000;

#[derive(Template)]
#[template(path = "pages/person_rights.html")]
struct Rights {
    frame: Frame,
    csrf: String,
    administers: bool,
    people: String,
    kind: &'static str,
    field: &'static str,
    id: String,
    confirm: String,
    environment: String,
    /// Their own page, where there is one.
    profile: Option<String>,
    file: String,
    erase: String,
    names: String,
    problem: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "pages/erasure.html")]
struct ErasurePage {
    frame: Frame,
    people: String,
    erasure: Told,
    again: bool,
}

/// `GET /apps/{app}/people/one` and `GET /apps/{app}/{env}/people/one`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let Some(subject) = subject(&on.environment, &fields) else {
        return Ok(Redirect::to(&people(&state, &on)).into_response());
    };
    let first = FileAsk { app: on.app.id, subject, at: FilePlace::begin(0) };
    match state.reports.look(move |store| store.file(&first)).await {
        Err(StoreError::NotFound(_)) => Err(PageError::NotFound),
        found => {
            found?;
            page(&view(&state, &on, subject, ("", None)))
        }
    }
}

/// `POST /apps/{app}/people/file` and `POST /apps/{app}/{env}/people/file`: everything about them, as it is read.
pub async fn file(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    on.visit.proved()?;
    let subject = subject(&on.environment, &fields).ok_or(PageError::BadForm)?;
    let dossier = Dossier::new(on.app.clone(), vec![subject], state.clock.now());
    let first = Some(step(&state, dossier).await.map_err(missing)?);
    let by = on.visit.by(&state);
    let line = AuditLine {
        by,
        of: Concerning::App(on.app.id),
        action: subject.who.exported(),
        subject: subject.who.digest(),
        detail: format!("from {}", on.environment.slug),
    };
    state.ask(move |store| store.record(&line)).await?;
    let name = format!("{}-{}-{}.json", on.app.slug, subject.who.kind().as_str(), confirmation(subject.who));
    let body = stream::unfold(first, move |ready| {
        let state = state.clone();
        async move {
            let (dossier, text) = ready?;
            let text = text?;
            match step(&state, dossier).await {
                Ok(next) => Some((Ok(Bytes::from(text)), Some(next))),
                Err(error) => {
                    tracing::warn!(%error, "a file about a person ends early");
                    Some((Err(error), None))
                }
            }
        }
    });
    let headers = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(body)).into_response())
}

/// The next piece of a file, and the file behind it.
async fn step(state: &WebState, mut dossier: Dossier) -> Result<(Dossier, Option<String>), StoreError> {
    let read = move |store: &dyn Store| {
        let text = dossier.next(store)?;
        Ok((dossier, text))
    };
    state.reports.look(read).await
}

/// `POST /apps/{app}/people/erase` and `POST /apps/{app}/{env}/people/erase`
pub async fn erase(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    on.visit.proved()?;
    let subject = subject(&on.environment, &fields).ok_or(PageError::BadForm)?;
    let names = fields.get("names");
    if fields.get("confirm").trim().to_ascii_lowercase() != confirmation(subject.who) {
        let view = view(&state, &on, subject, (names, Some("Type the eight characters that are shown to erase them.")));
        return page_with(StatusCode::UNPROCESSABLE_ENTITY, &view);
    }
    let ask = AskErasure {
        app: on.app.id,
        subject,
        names: names.lines().map(|name| name.trim().chars().take(NAME).collect()).collect(),
        by: on.visit.by(&state),
    };
    let clock = state.clock.clone();
    let begin = move |store: &dyn Store| {
        let erasure = store.ask_erasure(&ask)?;
        let deadline = Deadline::after(AT_ONCE);
        while !deadline.passed() {
            let work = WorkErasure::here(clock.now(), Some(erasure.id));
            if store.work_erasure(&work)?.is_none_or(|erasure| erasure.ended_at.is_some()) {
                break;
            }
        }
        Ok(erasure.id)
    };
    let id = state.ask(begin).await.map_err(missing)?;
    Ok(Redirect::to(&format!("{}/erasure?id={id}", people(&state, &on))).into_response())
}

/// `GET /apps/{app}/people/erasure`
pub async fn erasure(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let fields = Fields::parse(query.unwrap_or_default().as_bytes());
    let Some(id) = fields.find("id").and_then(|id| Uuid::try_parse(id).ok()) else {
        return Ok(Redirect::to(&people(&state, &on)).into_response());
    };
    let found = state.ask(move |store| store.erasure(id)).await?;
    let erasure = found.filter(|erasure| erasure.app == on.app.id).ok_or(PageError::NotFound)?;
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    page(&ErasurePage {
        frame: Frame::app(&state, &on, "/people"),
        people: people(&state, &on),
        again: erasure.ended_at.is_none(),
        erasure: Told::of(&state, &on, &calendar, &erasure),
    })
}

fn view(state: &WebState, on: &AppVisit, subject: Subject, (names, problem): (&str, Option<&'static str>)) -> Rights {
    let (field, id) = named(subject.who);
    let path = |page: &str| state.site.link(&format!("{}{page}", on.path()));
    let (kind, profile) = match subject.who {
        Who::User(hash) => ("person", Some(path(&format!("/users/{hash}")))),
        Who::Device(_) => ("device", None),
    };
    let mut frame = Frame::app(state, on, "/people");
    frame.title = format!("Rights of a {kind} · {}", on.app.name);
    Rights {
        frame,
        csrf: on.visit.csrf.clone(),
        administers: on.administers(),
        people: people(state, on),
        kind,
        field,
        id,
        confirm: confirmation(subject.who),
        environment: on.environment.slug.to_string(),
        profile,
        file: path("/people/file"),
        erase: path("/people/erase"),
        names: names.to_owned(),
        problem,
    }
}

fn people(state: &WebState, on: &AppVisit) -> String {
    state.site.link(&format!("/apps/{}/people", on.app.slug))
}

fn missing(error: StoreError) -> PageError {
    match error {
        StoreError::NotFound(_) => PageError::NotFound,
        error => error.into(),
    }
}
