//! PostHog's events as its batch exports and its API have them: one JSON object each.

use std::borrow::Cow;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use super::{Ids, Row, country, locale, moment, system};
use crate::model::{Earlier, Fact, RawError, RawEvent, RawPerson};

/// What says who somebody is, and is no event.
const STATES: [&str; 6] = ["$identify", "$set", "$set_once", "$unset", "$create_alias", "$merge_dangerously"];

/// What is neither an event nor of a person: groups, recordings, and what the SDKs do for themselves.
const OTHERS: [&str; 4] = ["$groupidentify", "$snapshot", "$$heatmap", "$$client_ingestion_warning"];

/// Properties that have places of their own here, that say who or where somebody is, or that repeat what the row says.
const LEFT_OUT: [&str; 30] = [
    "$os",
    "$os_name",
    "$os_version",
    "$app_version",
    "$app_build",
    "$device_model",
    "$locale",
    "$browser_language",
    "$lib",
    "$lib_version",
    "$ip",
    "$session_id",
    "$window_id",
    "$device_id",
    "$user_id",
    "distinct_id",
    "$anon_distinct_id",
    "token",
    "$set",
    "$set_once",
    "$sent_at",
    "$time",
    "$insert_id",
    "$raw_user_agent",
    "$user_agent",
    "$is_identified",
    "$process_person_profile",
    "$exception_list",
    "$active_feature_flags",
    "$lib_custom_api_host",
];

/// The event of an object, or what it tells of a person.
pub fn event(text: &str, ids: &mut Ids) -> Result<Row, String> {
    let row: Map<String, Value> = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
    if row.contains_key("results") {
        return Err("this is a page of the API: write its `results` to the file, one object on each line".to_owned());
    }
    let name = filled(row.get("event")).ok_or("there is no `event`")?;
    let at = row.get("timestamp").and_then(Value::as_str).and_then(moment).ok_or("`timestamp` is not a time")?;
    let mut props = match row.get("properties") {
        Some(Value::Object(props)) => props.clone(),
        Some(Value::String(text)) => serde_json::from_str(text).map_err(|_| "`properties` is not a JSON object")?,
        Some(Value::Null) | None => Map::new(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            return Err("`properties` is not a JSON object".to_owned());
        }
    };
    let who = filled(row.get("distinct_id")).or_else(|| filled(props.get("distinct_id")));
    if STATES.contains(&name.as_str()) {
        return Ok(person(&name, who, &props).map_or(Row::Other, |person| Row::Person(at, Box::new(person))));
    }
    if OTHERS.contains(&name.as_str()) {
        return Ok(Row::Other);
    }
    let own = [row.get("uuid"), row.get("id")].into_iter().flatten().filter_map(Value::as_str);
    let own = own.filter_map(|id| uuid::Uuid::try_parse(id).ok()).next();
    let mut raw = RawEvent {
        id: Some(own.map_or_else(|| ids.of([text]), Into::into)),
        claimed_at: Some(at),
        user: who.map(Cow::Owned),
        session: filled(props.get("$session_id")).map(Cow::Owned),
        error: (name == "$exception").then(|| error(&mut props)),
        ..RawEvent::default()
    };
    let text = |name: &str| filled(props.get(name));
    raw.facts.set(Fact::System, text("$os_name").or_else(|| text("$os")).map(|name| system(&name)));
    raw.facts.set(Fact::SystemVersion, text("$os_version"));
    raw.facts.set(Fact::Version, text("$app_version"));
    raw.facts.set(Fact::Build, text("$app_build"));
    raw.facts.set(Fact::Device, text("$device_model"));
    let language = text("$locale").or_else(|| text("$browser_language"));
    raw.facts.set(Fact::Locale, language.and_then(|language| locale(&language)));
    raw.facts.set(Fact::Country, text("$geoip_country_code").and_then(|code| country(&code)));
    let version = text("$lib_version");
    raw.facts.set(
        Fact::Sdk,
        text("$lib").map(|lib| match version {
            Some(version) => format!("{lib}/{version}"),
            None => lib,
        }),
    );
    props.retain(|name, _| {
        !LEFT_OUT.contains(&name.as_str()) && !name.starts_with("$geoip_") && !name.starts_with("$feature/")
    });
    raw.props = (!props.is_empty()).then(|| to_raw_value(&props).ok()).flatten().map(Cow::Owned);
    Ok(Row::Event(Box::new(RawEvent { name: name.into(), ..raw })))
}

/// A text that is not empty, or a number as it is written.
fn filled(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty()),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn person(name: &str, who: Option<String>, props: &Map<String, Value>) -> Option<RawPerson<'static>> {
    let anonymous = match name {
        "$identify" => filled(props.get("$anon_distinct_id")),
        "$create_alias" | "$merge_dangerously" => filled(props.get("alias")),
        _ => None,
    };
    let told = |set: &str, name: &str| filled(props.get(set)?.get(name)).map(Cow::Owned);
    let person = RawPerson {
        user: Some(who?.into()),
        anonymous: anonymous.map(Cow::Owned),
        email: told("$set", "email"),
        name: told("$set", "name"),
        email_once: told("$set_once", "email"),
        name_once: told("$set_once", "name"),
        // As the product of which it is an export takes them.
        earlier: if name == "$merge_dangerously" { Earlier::Anyone } else { Earlier::Unknown },
    };
    person.tells().then_some(person)
}

/// What was thrown, in the newer form a list of which the first is it; its stack becomes a property.
fn error(props: &mut Map<String, Value>) -> RawError<'static> {
    let first = props.get("$exception_list").and_then(|list| list.get(0)).cloned().unwrap_or(Value::Null);
    if let Some(frames) = first.pointer("/stacktrace/frames").and_then(Value::as_array) {
        let lines: Vec<Value> = frames.iter().rev().take(100).map(|frame| line(frame).into()).collect();
        props.insert("stack".to_owned(), lines.into());
    }
    let text = |new: &str, old: &str| filled(first.get(new)).or_else(|| filled(props.get(old))).map(Cow::Owned);
    RawError {
        kind: text("type", "$exception_type"),
        message: text("value", "$exception_message"),
        fingerprint: filled(props.get("$exception_fingerprint")).map(Cow::Owned),
        fatal: props.get("$exception_level").and_then(Value::as_str) == Some("fatal"),
    }
}

fn line(frame: &Value) -> String {
    let text = |name: &str| filled(frame.get(name)).unwrap_or_else(|| "?".to_owned());
    format!("{} ({}:{})", text("function"), text("filename"), text("lineno"))
}
