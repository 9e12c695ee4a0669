//! Aptabase's export of a month: `CSVWithNames` of its database, newest first.

use std::borrow::Cow;

use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value};

use super::csv::Record;
use super::{Ids, Row, country, locale, moment, system};
use crate::model::{Fact, RawEvent};

/// Columns without which a file is no such export.
pub const WANTED: [&str; 4] = ["timestamp", "user_id", "session_id", "event_name"];

/// The event of a row.
pub fn event(row: &Record<'_>, ids: &mut Ids) -> Result<Row, String> {
    let name = row.get("event_name").ok_or("there is no `event_name`")?;
    let at = row.get("timestamp").and_then(moment).ok_or("`timestamp` is not a time")?;
    let text = |column: &str| row.get(column).map(str::to_owned);
    let mut raw = RawEvent {
        id: Some(ids.of(row.cells())),
        claimed_at: Some(at),
        name: name.to_owned().into(),
        user: text("user_id").map(Cow::Owned),
        session: text("session_id").map(Cow::Owned),
        props: props(row)?,
        ..RawEvent::default()
    };
    raw.facts.set(Fact::System, row.get("os_name").map(system));
    raw.facts.set(Fact::SystemVersion, text("os_version"));
    raw.facts.set(Fact::Locale, row.get("locale").and_then(locale));
    raw.facts.set(Fact::Version, text("app_version"));
    raw.facts.set(Fact::Build, text("app_build_number"));
    raw.facts.set(Fact::Device, text("device_model"));
    raw.facts.set(Fact::Sdk, text("sdk_version"));
    raw.facts.set(Fact::Country, row.get("country_code").and_then(country));
    Ok(Row::Event(Box::new(raw)))
}

/// Both kinds of properties together, with what the box has no place of its own for.
fn props(row: &Record<'_>) -> Result<Option<Cow<'static, RawValue>>, String> {
    let mut props = Map::new();
    for column in ["string_props", "numeric_props"] {
        let Some(text) = row.get(column) else { continue };
        let read = serde_json::from_str::<Map<String, Value>>(text).ok().or_else(|| single_quoted(text));
        props.extend(read.ok_or_else(|| format!("`{column}` is not a JSON object"))?);
    }
    for (column, name) in [("engine_name", "engineName"), ("engine_version", "engineVersion")] {
        if let Some(text) = row.get(column) {
            props.entry(name).or_insert_with(|| text.into());
        }
    }
    Ok((!props.is_empty()).then(|| to_raw_value(&props).ok()).flatten().map(Cow::Owned))
}

/// An object whose quotes are single ones: some versions of the export have replaced them all. Its values are strings.
fn single_quoted(text: &str) -> Option<Map<String, Value>> {
    let inside = text.strip_prefix("{'")?.strip_suffix("'}")?;
    inside
        .split("','")
        .map(|pair| {
            let (name, value) = pair.split_once("':'")?;
            Some((name.to_owned(), value.into()))
        })
        .collect()
}
