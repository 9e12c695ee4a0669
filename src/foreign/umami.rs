//! Umami's export of a website: the table `website_event` as CSV.

use std::borrow::Cow;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use super::csv::Record;
use super::{Ids, Row, country, locale, moment, system};
use crate::model::{Fact, RawEvent};

/// Columns without which a file is no such export.
pub const WANTED: [&str; 4] = ["session_id", "event_type", "event_name", "created_at"];

/// What a view of a page is called.
const VIEW: &str = "page_view";

/// Columns that become properties, and what they are called there. Cities are not kept.
const PROPS: [(&str, &str); 16] = [
    ("hostname", "host"),
    ("url_path", "path"),
    ("url_query", "query"),
    ("page_title", "title"),
    ("referrer_domain", "referrer"),
    ("referrer_path", "referrer_path"),
    ("browser", "browser"),
    ("device", "device"),
    ("screen", "screen"),
    ("utm_source", "utm_source"),
    ("utm_medium", "utm_medium"),
    ("utm_campaign", "utm_campaign"),
    ("utm_content", "utm_content"),
    ("utm_term", "utm_term"),
    ("tag", "tag"),
    ("region", "region"),
];

/// The event of a row.
pub fn event(row: &Record<'_>, ids: &mut Ids) -> Result<Row, String> {
    let name = match (row.get("event_type"), row.get("event_name")) {
        (_, Some(name)) => name,
        (Some("1"), None) => VIEW,
        (Some("2") | None, None) => return Err("there is no `event_name`".to_owned()),
        (Some(_), None) => return Ok(Row::Other),
    };
    let at = row.get("created_at").and_then(moment).ok_or("`created_at` is not a time")?;
    let own = row.get("event_id").and_then(|id| uuid::Uuid::try_parse(id).ok());
    // What Umami calls a session is a visitor, and a session a visit.
    let session = row.get("session_id").ok_or("there is no `session_id`")?;
    let props: Map<String, Value> =
        PROPS.iter().filter_map(|(column, name)| Some(((*name).to_owned(), row.get(column)?.into()))).collect();
    let mut raw = RawEvent {
        id: Some(own.map_or_else(|| ids.of(row.cells()), Into::into)),
        claimed_at: Some(at),
        name: name.to_owned().into(),
        user: Some(row.get("distinct_id").unwrap_or(session).to_owned().into()),
        session: Some(row.get("visit_id").unwrap_or(session).to_owned().into()),
        props: (!props.is_empty()).then(|| to_raw_value(&props).ok()).flatten().map(Cow::Owned),
        ..RawEvent::default()
    };
    raw.facts.set(Fact::System, row.get("os").map(system));
    raw.facts.set(Fact::Locale, row.get("language").and_then(locale));
    raw.facts.set(Fact::Country, row.get("country").and_then(country));
    Ok(Row::Event(Box::new(raw)))
}
