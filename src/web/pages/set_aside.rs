//! Events that could not be used, kept aside with the reason: by reason, page by page, tried again or discarded.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Redirect, Response};

use crate::model::{AsideFilter, AsideList, AsidePage, AsideRow, AsideStretch, AuditLine, Concerning, Reason, Tried};

use super::super::error::{Page, PageError, page};
use super::super::extract::{AppAction, AppVisit};
use super::super::form::Fields;
use super::super::format::{Calendar, When, grouped};
use super::super::frame::{Frame, Tab};
use super::super::json::pretty;
use super::super::reason::words;
use super::super::state::WebState;

/// How many are shown.
const SHOWN: u32 = 25;
/// How much of one's text is shown, in bytes: a page stays under 60 KB.
const BODY: usize = 1_200;
/// How many are tried again or discarded in one step.
const STEP: u32 = 100;

#[derive(Template)]
#[template(path = "pages/set_aside.html")]
struct SetAside {
    frame: Frame,
    action: String,
    csrf: String,
    administers: bool,
    /// An archived app takes nothing, old or new.
    archived: bool,
    reasons: Vec<Tab>,
    rows: Vec<Row>,
    /// How many the filter keeps.
    count: String,
    /// What the forms are about.
    reason: &'static str,
    /// The newest that is shown: what came later is not touched.
    until: i64,
    done: Option<String>,
    /// Whether what was asked for was not finished.
    stopped: bool,
    first: Option<String>,
    next: Option<String>,
}

struct Row {
    id: i64,
    when: When,
    environment: String,
    reason: &'static str,
    detail: Vec<Piece>,
    body: String,
    /// Whether it can be tried again.
    whole: bool,
}

/// A part of a sentence.
struct Piece {
    text: String,
    /// Whether it names something in the event, rather than being prose.
    quoted: bool,
}

/// `GET /apps/{app}/set-aside`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let reason = Reason::parse(query.get("reason"));
    let before = query.get("before").parse().ok();
    let filter = AsideFilter { app: on.app.id, reason, id: None };
    let list = state.ask(move |store| store.set_aside(&AsidePage { filter, before, limit: SHOWN })).await?;
    let path = state.site.link(&format!("/apps/{}/set-aside", on.app.slug));
    let here = |before: Option<i64>| address(&path, reason, before);
    let next = list.rows.last().filter(|_| list.more).map(|last| here(Some(last.id)));
    let kept = list.counts.iter().filter(|(of, _)| reason.is_none_or(|reason| reason == *of));
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    page(&SetAside {
        reasons: reasons(&path, reason, &list),
        count: grouped(i64::try_from(kept.map(|(_, count)| count).sum::<u64>()).unwrap_or(i64::MAX)),
        until: list.rows.first().map_or(0, |row| row.id),
        rows: list.rows.into_iter().map(|row| shown(row, &on, &calendar)).collect(),
        reason: reason.map_or("", Reason::as_str),
        done: done(&query),
        stopped: query.find("stopped").is_some(),
        first: before.map(|_| here(None)),
        next,
        administers: on.administers(),
        archived: on.app.archived_at.is_some(),
        csrf: on.visit.csrf.clone(),
        action: path,
        frame: Frame::app(&state, &on, "/set-aside"),
    })
}

/// `POST /apps/{app}/set-aside/retry`: what can be used under today's rules leaves the list and counts, once.
pub async fn retry(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let mut stretch = stretch(&on, &fields)?;
    let app = Arc::new(on.app.clone());
    let line = AuditLine {
        by: on.visit.by(&state),
        of: Concerning::App(on.app.id),
        action: "set_aside.retried",
        subject: subject(&stretch),
        detail: String::new(),
    };
    state.ask(move |store| store.record(&line)).await?;
    let app_id = app.id;
    let rules = state.ask(move |store| store.app_rules(app_id)).await?;
    let (mut total, mut stopped) = (Tried::default(), false);
    loop {
        let kept = state.ask(move |store| store.kept_aside(&stretch)).await?;
        let Some(last) = kept.last() else { break };
        stretch.after = last.id;
        match state.intake.again((&app, &rules), &kept, state.clock.now()).await {
            Ok(tried) => total = sum(total, tried),
            Err(refusal) => {
                tracing::warn!(?refusal, "events that were set aside were not tried to the end");
                stopped = true;
                break;
            }
        }
    }
    let Tried { stored, duplicates, stayed, gone } = total;
    let told = format!("stored={stored}&duplicates={duplicates}&stayed={stayed}&gone={gone}");
    Ok(back(&state, &on, &fields, &format!("{told}{}", if stopped { "&stopped" } else { "" })))
}

/// `POST /apps/{app}/set-aside/discard`: they are forgotten.
pub async fn discard(State(state): State<WebState>, action: AppAction) -> Page {
    let AppAction { on, fields } = action;
    let mut stretch = stretch(&on, &fields)?;
    if stretch.filter.id.is_none() && fields.get("sure") != "yes" {
        return Err(PageError::BadForm);
    }
    let mut count = 0;
    loop {
        let (by, what) = (on.visit.by(&state), subject(&stretch));
        let gone = state.ask(move |store| store.discard_aside(&stretch, &by, &what)).await?;
        let Some(last) = gone.iter().max() else { break };
        stretch.after = *last;
        count += gone.len() as u64;
        state.intake.counters().discarded.fetch_add(gone.len() as u64, Ordering::Relaxed);
    }
    Ok(back(&state, &on, &fields, &format!("discarded={count}")))
}

/// What a form means: one event by its number, or all of a reason up to the newest that its sender saw.
fn stretch(on: &AppVisit, fields: &Fields) -> Result<AsideStretch, PageError> {
    let number = |name: &str| fields.find(name).map(|text| text.parse::<i64>().map_err(|_| PageError::BadForm));
    let id = number("id").transpose()?;
    let until = match id {
        Some(id) => id,
        None => number("until").transpose()?.ok_or(PageError::BadForm)?,
    };
    let reason = match fields.get("reason") {
        "" => None,
        name => Some(Reason::parse(name).ok_or(PageError::BadForm)?),
    };
    let filter = AsideFilter { app: on.app.id, reason: reason.filter(|_| id.is_none()), id };
    Ok(AsideStretch { filter, after: 0, until, limit: STEP })
}

/// What a form is about, for the account.
fn subject(stretch: &AsideStretch) -> String {
    match (stretch.filter.id, stretch.filter.reason) {
        (Some(id), _) => format!("event {id}"),
        (None, Some(reason)) => format!("events that are set aside: {}", words(reason).to_lowercase()),
        (None, None) => "events that are set aside".to_owned(),
    }
}

fn sum(one: Tried, other: Tried) -> Tried {
    Tried {
        stored: one.stored + other.stored,
        duplicates: one.duplicates + other.duplicates,
        stayed: one.stayed + other.stayed,
        gone: one.gone + other.gone,
    }
}

/// To the list, which tells what was done.
fn back(state: &WebState, on: &AppVisit, fields: &Fields, told: &str) -> Response {
    let path = state.site.link(&format!("/apps/{}/set-aside", on.app.slug));
    let path = address(&path, Reason::parse(fields.get("reason")), None);
    let join = if path.contains('?') { '&' } else { '?' };
    Redirect::to(&format!("{path}{join}{told}")).into_response()
}

fn address(path: &str, reason: Option<Reason>, before: Option<i64>) -> String {
    let reason = reason.map(|reason| format!("reason={}", reason.as_str()));
    let before = before.map(|before| format!("before={before}"));
    let query: Vec<_> = reason.into_iter().chain(before).collect();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{}", query.join("&")) }
}

/// The list of each reason that there is, and of all.
fn reasons(path: &str, current: Option<Reason>, list: &AsideList) -> Vec<Tab> {
    let count = |count: u64| grouped(i64::try_from(count).unwrap_or(i64::MAX));
    let tab = |reason: Option<Reason>, label: &str, events: u64| Tab {
        label: format!("{label} {}", count(events)),
        href: address(path, reason, None),
        current: reason == current,
    };
    let total = list.counts.iter().map(|(_, count)| count).sum();
    let known = list.counts.iter().map(|(reason, _)| *reason).chain(current);
    let mut all = vec![tab(None, "All", total)];
    for reason in Reason::ALL.into_iter().filter(|reason| known.clone().any(|known| known == *reason)) {
        let events = list.counts.iter().find(|(of, _)| *of == reason).map_or(0, |(_, count)| *count);
        all.push(tab(Some(reason), words(reason), events));
    }
    all
}

/// What was done by the form that led here.
fn done(query: &Fields) -> Option<String> {
    let number = |name: &str| query.find(name).and_then(|text| text.parse::<u32>().ok()).map(i64::from);
    let events = |count: i64| match count {
        1 => "1 event".to_owned(),
        count => format!("{} events", grouped(count)),
    };
    if let Some(count) = number("discarded") {
        return Some(format!("Discarded: {}.", events(count)));
    }
    let (stored, stayed) = (number("stored")?, number("stayed").unwrap_or(0));
    let mut told = format!("Tried again: {} now counted, {} still of no use.", events(stored), grouped(stayed));
    match number("duplicates").unwrap_or(0) {
        0 => {}
        count => told.push_str(&format!(" {} had come a second time and was counted already.", events(count))),
    }
    match number("gone").unwrap_or(0) {
        0 => {}
        count => told.push_str(&format!(" {} was dealt with by somebody else.", events(count))),
    }
    Some(told)
}

fn shown(row: AsideRow, on: &AppVisit, calendar: &Calendar) -> Row {
    let environment = on.app.environments.iter().find(|known| known.id == row.environment);
    Row {
        id: row.id,
        when: calendar.moment(row.received_at),
        environment: environment.map(|known| known.slug.to_string()).unwrap_or_default(),
        reason: words(row.reason),
        detail: pieces(&row.detail),
        body: pretty(&row.body, BODY),
        whole: row.whole,
    }
}

/// Cuts a text at its back quotes: every second piece stands between two of them.
fn pieces(text: &str) -> Vec<Piece> {
    text.split('`').enumerate().map(|(at, text)| Piece { text: text.to_owned(), quoted: at % 2 == 1 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_between_back_quotes_are_set_apart() {
        for (text, quoted) in [("`a` is missing", vec!["a"]), ("plain", vec![]), ("`a` lacks `b.c`", vec!["a", "b.c"])]
        {
            let pieces = pieces(text);
            let found: Vec<_> = pieces.iter().filter(|piece| piece.quoted).map(|piece| piece.text.as_str()).collect();
            assert_eq!(found, quoted, "{text}");
            assert_eq!(
                pieces.iter().map(|piece| piece.text.as_str()).collect::<String>(),
                text.replace('`', ""),
                "{text}"
            );
        }
    }

    #[test]
    fn what_was_done_is_told_in_words_and_only_numbers_are_believed() {
        for (query, told) in [
            ("", None),
            ("discarded=12", Some("Discarded: 12 events.")),
            ("discarded=<b>", None),
            ("stored=1&stayed=2", Some("Tried again: 1 event now counted, 2 still of no use.")),
            (
                "stored=0&stayed=0&duplicates=1&gone=1",
                Some(
                    "Tried again: 0 events now counted, 0 still of no use. 1 event had come a second time and was \
                     counted already. 1 event was dealt with by somebody else.",
                ),
            ),
        ] {
            assert_eq!(done(&Fields::parse(query.as_bytes())).as_deref(), told, "{query}");
        }
    }
}
