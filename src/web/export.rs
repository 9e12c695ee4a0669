//! Raw events as a file, sent page by page as they are read, so that no more than a page is in memory.

use std::collections::VecDeque;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::response::IntoResponse;
use futures_util::stream;
use serde::Serialize;
use serde_json::value::RawValue;

use crate::model::{EventList, EventRow, EventsPage};
use crate::query::Reports;
use crate::store::StoreError;

use super::error::{Page, PageError};
use super::table::Table;

/// Most events of a file.
pub const MOST: u32 = 10_000;
/// Events that are read together.
const TOGETHER: u32 = 500;

/// Names of the columns, in the order of the members of [`Line`].
const COLUMNS: [&str; 9] = ["time", "received", "id", "event", "category", "user", "version", "system", "properties"];

/// The form of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// RFC 4180, as [`Table::csv`] writes it; properties as JSON text.
    Csv,
    /// A list of objects.
    Json,
    /// An object on each line.
    Ndjson,
}

impl Shape {
    /// The one that a path ends with.
    pub fn of(path: &str) -> Option<Self> {
        match path.rsplit_once('.')?.1 {
            "csv" => Some(Self::Csv),
            "json" => Some(Self::Json),
            "ndjson" => Some(Self::Ndjson),
            _ => None,
        }
    }

    const fn media(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
        }
    }

    const fn ending(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Ndjson => "ndjson",
        }
    }
}

/// The events of a page and those behind it, up to [`MOST`], as a file of that name. What goes wrong at the first page is an
/// error; later, the file ends without its end, so that nobody takes it for whole.
pub async fn answer(reports: Reports, page: EventsPage, shape: Shape, name: &str) -> Page {
    let ready = VecDeque::new();
    let mut reading = Reading { reports, page, shape, left: MOST, begun: false, some: false, ended: false, ready };
    reading.read().await?;
    let body = stream::unfold(Some(reading), |reading| async move {
        let mut reading = reading?;
        match reading.next().await {
            Ok(Some(text)) => Some((Ok(Bytes::from(text)), Some(reading))),
            Ok(None) => None,
            Err(error) => {
                tracing::warn!(%error, "a file of events ends early");
                Some((Err(error), None))
            }
        }
    });
    let kept = format!("attachment; filename=\"{name}.{}\"", shape.ending());
    let headers = [(CONTENT_TYPE, shape.media().to_owned()), (CONTENT_DISPOSITION, kept)];
    Ok::<_, PageError>((headers, Body::from_stream(body)).into_response())
}

/// A file that is being read.
struct Reading {
    reports: Reports,
    page: EventsPage,
    shape: Shape,
    left: u32,
    /// Whether the beginning is laid out, and whether there has been an event.
    begun: bool,
    some: bool,
    /// Whether all is read.
    ended: bool,
    ready: VecDeque<String>,
}

impl Reading {
    async fn next(&mut self) -> Result<Option<String>, StoreError> {
        while self.ready.is_empty() && !self.ended {
            self.read().await?;
        }
        Ok(self.ready.pop_front())
    }

    /// Reads the next page and lays it out.
    async fn read(&mut self) -> Result<(), StoreError> {
        self.page.limit = self.left.min(TOGETHER);
        let wanted = self.page.clone();
        let EventList { rows, next } = self.reports.look(move |store| store.events(&wanted)).await?;
        self.left = self.left.saturating_sub(u32::try_from(rows.len()).unwrap_or(u32::MAX));
        self.ended = next.is_none() || self.left == 0;
        self.page.after = next;
        let text = match self.shape {
            Shape::Csv => self.csv(&rows),
            Shape::Json => self.json(&rows)?,
            Shape::Ndjson => lines(&rows)?.iter().map(|line| format!("{line}\n")).collect(),
        };
        (self.begun, self.some) = (true, self.some || !rows.is_empty());
        if !text.is_empty() {
            self.ready.push_back(text);
        }
        Ok(())
    }

    fn csv(&self, rows: &[EventRow]) -> String {
        let mut table = Table::new(COLUMNS);
        table.rows.extend(rows.iter().map(|event| {
            vec![
                event.occurred_at.timestamp().to_string().into(),
                event.received_at.timestamp().to_string().into(),
                event.id.to_string().into(),
                event.name.as_str().into(),
                event.category.clone().into(),
                event.user.map(|user| user.to_string()).into(),
                event.version.clone().into(),
                event.system.clone().into(),
                event.props.clone().into(),
            ]
        }));
        let text = table.csv();
        match text.split_once("\r\n") {
            Some((_, rows)) if self.begun => rows.to_owned(),
            _ => text,
        }
    }

    fn json(&self, rows: &[EventRow]) -> Result<String, StoreError> {
        let lines = lines(rows)?.join(",\n");
        let begin = if self.begun { "" } else { "[" };
        let between = if self.some && !rows.is_empty() { ",\n" } else { "" };
        let end = if self.ended { "]\n" } else { "" };
        Ok([begin, between, &lines, end].concat())
    }
}

/// One event as programs read it. Members that it does not have are null.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    received: String,
    id: String,
    event: &'a str,
    category: Option<&'a str>,
    user: Option<String>,
    version: Option<&'a str>,
    system: Option<&'a str>,
    properties: Option<&'a RawValue>,
}

fn lines(rows: &[EventRow]) -> Result<Vec<String>, StoreError> {
    let line = |event: &EventRow| {
        let line = Line {
            time: event.occurred_at.timestamp().to_string(),
            received: event.received_at.timestamp().to_string(),
            id: event.id.to_string(),
            event: &event.name,
            category: event.category.as_deref(),
            user: event.user.map(|user| user.to_string()),
            version: event.version.as_deref(),
            system: event.system.as_deref(),
            properties: event.props.as_deref().and_then(|props| serde_json::from_str(props).ok()),
        };
        serde_json::to_string(&line).map_err(|error| StoreError::Unexpected(error.to_string()))
    };
    rows.iter().map(line).collect()
}
