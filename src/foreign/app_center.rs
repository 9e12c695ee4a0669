//! Visual Studio App Center's export to Azure: logs of devices, arrays of JSON objects in files named `logs.v1.data`.

use std::borrow::Cow;

use serde_json::value::to_raw_value;
use serde_json::{Map, Value};

use super::{Ids, Row, country, locale, moment, system};
use crate::model::{Fact, RawError, RawEvent};

/// The event of a log.
pub fn event(text: &str, ids: &mut Ids) -> Result<Row, String> {
    let row: Map<String, Value> = serde_json::from_str(text).map_err(|_| "it is not JSON")?;
    // The export's members begin with a capital letter, those of the SDK's own logs do not.
    let text_of = |names: &[&str]| names.iter().find_map(|name| filled(find(&row, name)?));
    let kind = text_of(&["MessageType", "type"]).ok_or("there is no `MessageType`")?;
    let at = text_of(&["Timestamp"]).and_then(|text| moment(&text)).ok_or("`Timestamp` is not a time")?;
    let error = match kind.as_str() {
        "EventLog" | "event" | "StartSessionLog" | "startSession" | "PageLog" | "page" => None,
        kind if kind.ends_with("ErrorLog") || kind.ends_with("Error") => Some(thrown(&row, kind)),
        _ => return Ok(Row::Other),
    };
    let name = match (kind.as_str(), &error) {
        (_, Some(error)) => if error.fatal { "crash" } else { "error" }.to_owned(),
        ("StartSessionLog" | "startSession", _) => "session_start".to_owned(),
        ("PageLog" | "page", _) => text_of(&["PageName", "Name", "EventName"]).ok_or("there is no `PageName`")?,
        _ => text_of(&["EventName", "Name"]).ok_or("there is no `EventName`")?,
    };
    let own = text_of(&["EventId", "ErrorId", "MessageId", "Id"]).and_then(|id| uuid::Uuid::try_parse(&id).ok());
    let mut raw = RawEvent {
        id: Some(own.map_or_else(|| ids.of([text]), Into::into)),
        claimed_at: Some(at),
        name: name.into(),
        // Who an app says it is, else the installation.
        user: text_of(&["UserId", "InstallId"]).map(Cow::Owned),
        session: text_of(&["SessionId", "Sid"]).map(Cow::Owned),
        props: props(&row)?.map(Cow::Owned),
        error,
        ..RawEvent::default()
    };
    raw.facts.set(Fact::System, text_of(&["OsName"]).map(|name| system(&name)));
    raw.facts.set(Fact::SystemVersion, text_of(&["OsVersion"]));
    raw.facts.set(Fact::Version, text_of(&["AppVersion"]));
    raw.facts.set(Fact::Build, text_of(&["AppBuild"]));
    raw.facts.set(Fact::Locale, text_of(&["Locale"]).and_then(|text| locale(&text)));
    raw.facts.set(Fact::Country, text_of(&["CountryCode"]).and_then(|text| country(&text)));
    let model = text_of(&["Model"]).map(|model| match text_of(&["OemName"]) {
        Some(oem) if !model.starts_with(&oem) => format!("{oem} {model}"),
        Some(_) | None => model,
    });
    raw.facts.set(Fact::Device, model);
    raw.facts.set(
        Fact::Sdk,
        text_of(&["SdkName"]).map(|name| match text_of(&["SdkVersion"]) {
            Some(version) => format!("{name}/{version}"),
            None => name,
        }),
    );
    Ok(Row::Event(Box::new(raw)))
}

fn find<'r>(row: &'r Map<String, Value>, name: &str) -> Option<&'r Value> {
    row.get(name).or_else(|| row.iter().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}

/// A text with anything in it. `None` is how the export writes that there is nothing.
fn filled(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.trim().to_owned()).filter(|text| !text.is_empty() && text != "None"),
        Value::Number(number) => Some(number.to_string()),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

fn thrown(row: &Map<String, Value>, kind: &str) -> RawError<'static> {
    let exception = find(row, "Exception").unwrap_or(&Value::Null);
    let inside = |name: &str| exception.as_object().and_then(|exception| filled(find(exception, name)?));
    let text = |name: &str| find(row, name).and_then(filled);
    let handled = kind.to_ascii_lowercase().contains("handled");
    let fatal = find(row, "Fatal").and_then(Value::as_bool).unwrap_or(!handled);
    RawError {
        kind: text("ExceptionType").or_else(|| inside("Type")).map(Cow::Owned),
        message: text("ExceptionMessage")
            .or_else(|| text("ExceptionReason"))
            .or_else(|| inside("Message"))
            .map(Cow::Owned),
        fingerprint: None,
        fatal,
    }
}

/// An event's own properties: an object, or the text of one. Of an error its stack.
fn props(row: &Map<String, Value>) -> Result<Option<Box<serde_json::value::RawValue>>, String> {
    let mut props = match find(row, "Properties") {
        Some(Value::Object(props)) => props.clone(),
        Some(Value::String(text)) if !text.trim().is_empty() && text != "None" => {
            serde_json::from_str(text).map_err(|_| "`Properties` is not a JSON object")?
        }
        Some(Value::Null | Value::String(_)) | None => Map::new(),
        Some(Value::Bool(_) | Value::Number(_) | Value::Array(_)) => {
            return Err("`Properties` is not a JSON object".to_owned());
        }
    };
    let exception = find(row, "Exception").and_then(Value::as_object);
    let stack = find(row, "StackTrace").or_else(|| find(exception?, "StackTrace"));
    if let Some(stack) = stack.and_then(filled) {
        props.entry("stack").or_insert_with(|| stack.into());
    }
    Ok((!props.is_empty()).then(|| to_raw_value(&props).ok()).flatten())
}
