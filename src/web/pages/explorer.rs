//! The raw events of a range, newest first: filtered by anything, each opens to its properties.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{RawQuery, State};
use axum::http::Uri;
use serde_json::value::RawValue;

use crate::model::{Cursor, Dimension, EnvironmentId, EventRow, EventsPage, Fact, Filters, Keep};

use super::super::error::{Page, PageError, page};
use super::super::event::EventLine;
use super::super::export::{self, Shape};
use super::super::extract::AppVisit;
use super::super::form::Fields;
use super::super::format::{Calendar, grouped};
use super::super::frame::Frame;
use super::super::selection::Selection;
use super::super::state::WebState;
use super::super::toolbar::Toolbar;
use super::super::waiting;

/// Events of a page: it stays under 60 KB.
const EVENTS: u32 = 40;
/// Properties of an event that are offered to filter by.
const NARROW: usize = 8;
/// Longest value that is, in bytes.
const NARROW_VALUE: usize = 60;

#[derive(Template)]
#[template(path = "pages/explorer.html")]
struct Explorer {
    frame: Frame,
    environment: String,
    zone: String,
    toolbar: Toolbar,
    /// Most events of a file.
    most: String,
    ndjson: String,
    events: Vec<EventLine>,
    /// The list from its beginning, where this is a later page of it.
    first: Option<String>,
    next: Option<String>,
}

/// `GET /apps/{app}/explorer` and `GET /apps/{app}/{env}/explorer`
pub async fn show(State(state): State<WebState>, on: AppVisit, RawQuery(query): RawQuery) -> Page {
    let query = query.unwrap_or_default();
    let Some(selection) = Selection::read(&state, &on, &query).await? else {
        return waiting::nothing(&state, &on, "/explorer");
    };
    let after = Fields::parse(query.as_bytes()).find("after").and_then(Cursor::number);
    let found = state.reports.events(wanted(on.environment.id, &selection, after.clone())).await?;
    let calendar = Calendar::new(on.app.zone.clone(), state.clock.now());
    let path = state.site.link(&format!("{}/explorer", on.path()));
    let users = state.site.link(&format!("{}/users", on.path()));
    let line = |event: &EventRow| EventLine {
        narrow: narrow(event, &selection, &path),
        ..EventLine::new(event, calendar.moment(event.occurred_at), &calendar, &users)
    };
    let mut toolbar = Toolbar::new(&selection, &path);
    toolbar.compares.clear();
    page(&Explorer {
        frame: Frame::app(&state, &on, "/explorer"),
        environment: on.environment.slug.to_string(),
        zone: on.app.zone.name().to_owned(),
        most: grouped(export::MOST.into()),
        ndjson: format!("{path}.ndjson{}", selection.query()),
        toolbar,
        events: found.rows.iter().map(line).collect(),
        first: after.as_ref().map(|_| format!("{path}{}", selection.query())),
        next: found.next.as_ref().map(|next| format!("{path}{}", selection.with("after", &next.to_string()))),
    })
}

/// `GET /apps/{app}/explorer.csv`, `.json` and `.ndjson`, with an environment too.
pub async fn file(State(state): State<WebState>, on: AppVisit, uri: Uri, RawQuery(query): RawQuery) -> Page {
    let shape = Shape::of(uri.path()).ok_or(PageError::NotFound)?;
    let query = query.unwrap_or_default();
    let after = Fields::parse(query.as_bytes()).find("after").and_then(Cursor::number);
    let environment = on.environment.id;
    let wanted = match Selection::read(&state, &on, &query).await? {
        Some(selection) => wanted(environment, &selection, after),
        None => EventsPage { environment, filters: Filters::none(), since: None, after, limit: EVENTS },
    };
    export::answer(state.reports.clone(), wanted, shape, &format!("{}-events", on.app.slug)).await
}

fn wanted(environment: EnvironmentId, selection: &Selection, after: Option<Cursor>) -> EventsPage {
    let range = selection.range.whole.range;
    EventsPage {
        environment,
        filters: selection.filters.clone(),
        since: Some(range.from),
        after: after.or(Some(Cursor::before(range.to))),
        limit: EVENTS,
    }
}

/// What an event offers to filter by: its name, version and system, and its properties that are short.
fn narrow(event: &EventRow, selection: &Selection, path: &str) -> Vec<(String, String, String)> {
    let mut all = vec![(Dimension::Event, event.name.clone())];
    let facts = [(Fact::Version, &event.version), (Fact::System, &event.system)];
    all.extend(facts.into_iter().filter_map(|(fact, value)| Some((Dimension::Fact(fact), value.clone()?))));
    all.extend(properties(event.props.as_deref()));
    let link = |(dimension, value): (Dimension, String)| {
        let href = format!("{path}{}", selection.with_filter(&dimension, Keep::Is, Some(&value)));
        (dimension.label(), value, href)
    };
    all.into_iter().map(link).collect()
}

/// Properties with a value that a filter can name, as filters read them: numbers as they are written.
fn properties(props: Option<&str>) -> Vec<(Dimension, String)> {
    let members: BTreeMap<String, &RawValue> =
        props.and_then(|props| serde_json::from_str(props).ok()).unwrap_or_default();
    let value = |json: &RawValue| match json.get().as_bytes().first()? {
        b'n' | b'{' | b'[' => None,
        b'"' => serde_json::from_str::<String>(json.get()).ok(),
        _ => Some(json.get().to_owned()),
    };
    let member = |(name, json): (String, &RawValue)| {
        let value = value(json).filter(|value| (1..=NARROW_VALUE).contains(&value.len()))?;
        Some((Dimension::parse(&Dimension::Prop(name.into()).to_string())?, value))
    };
    members.into_iter().filter_map(member).take(NARROW).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_values_at_the_top_are_offered_as_filters_read_them() {
        let long = "x".repeat(NARROW_VALUE + 1);
        let props = format!(r#"{{"b":1.50,"a":"x\ny","n":null,"o":{{"a":1}},"t":true,"e":"","long":"{long}"}}"#);
        let found: Vec<_> = properties(Some(&props)).into_iter().map(|(d, value)| (d.to_string(), value)).collect();
        let expected = [("prop:a", "x\ny"), ("prop:b", "1.50"), ("prop:t", "true")];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(properties(Some("[1]")), []);
        assert_eq!(properties(None), []);
    }
}
