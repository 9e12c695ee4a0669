//! Errors and crashes that events tell of, whatever the SDK: how they are recognised, and how they are grouped.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::normalize::bounded;
use crate::model::{EventError, RawError, RawEvent};

/// Names of events that tell of an error by themselves, and whether it is a crash.
const NAMES: [(&str, bool); 11] = [
    ("error", false),
    ("error_occurred", false),
    ("app_error", false),
    ("exception", false),
    ("app_exception", false),
    ("handled_error", false),
    ("unhandled_error", true),
    ("crash", true),
    ("app_crash", true),
    ("crashed", true),
    ("panic", true),
];

/// Categories that do, and whether they are of crashes.
const CATEGORIES: [(&str, bool); 4] = [("error", false), ("exception", false), ("crash", true), ("panic", true)];

/// How an event says of itself that something did not work; in compact JSON.
const FAILED: &str = r#""success":false"#;

/// Longest name of a group, in bytes.
pub(super) const GROUP: usize = 300;
/// Longest message, in bytes.
pub(super) const MESSAGE: usize = 1_000;

/// The members of an event's properties that tell of an error.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Told<'a> {
    #[serde(borrow, alias = "error_type", alias = "error_kind", alias = "exception", alias = "class")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, rename = "type")]
    type_: Option<&'a RawValue>,
    #[serde(borrow, alias = "error_message", alias = "reason", alias = "description")]
    message: Option<&'a RawValue>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
    #[serde(borrow, alias = "is_fatal", alias = "crashed")]
    fatal: Option<&'a RawValue>,
    #[serde(borrow, alias = "group")]
    fingerprint: Option<&'a RawValue>,
    #[serde(borrow)]
    success: Option<&'a RawValue>,
    #[serde(borrow, alias = "feature")]
    command: Option<&'a RawValue>,
    #[serde(borrow)]
    exit_code: Option<&'a RawValue>,
}

/// The error that an event tells of: its protocol says so, its name or category is one of a few, or its properties have
/// `"success": false`. `props` is compact JSON.
pub(super) fn error_of(raw: &RawEvent<'_>, props: Option<&str>) -> Option<EventError> {
    if let Some(error) = &raw.error {
        return Some(grouped(error, &raw.name));
    }
    let named = NAMES.iter().find(|(name, _)| raw.name.eq_ignore_ascii_case(name));
    let category = raw.category.as_deref();
    let named =
        named.or_else(|| CATEGORIES.iter().find(|(name, _)| category.is_some_and(|c| c.eq_ignore_ascii_case(name))));
    let failed = named.is_none() && props.is_some_and(|props| props.contains(FAILED));
    if named.is_none() && !failed {
        return None;
    }
    // What cannot be read, such as a member that occurs twice, tells nothing more.
    let object = props.filter(|props| props.starts_with('{'));
    let told: Told<'_> = object.and_then(|props| serde_json::from_str(props).ok()).unwrap_or_default();
    if failed && told.success.is_none_or(|success| success.get() != "false") {
        return None; // it stands somewhere within
    }
    let error = RawError {
        kind: told.kind.or(told.type_).and_then(text),
        message: told.message.or(told.error).and_then(text).or_else(|| failure(&told)),
        fingerprint: told.fingerprint.and_then(text),
        fatal: named.is_some_and(|(_, fatal)| *fatal) || told.fatal.is_some_and(|fatal| fatal.get() == "true"),
    };
    Some(grouped(&error, &raw.name))
}

/// What did not work, where nothing else is said: command or feature, and exit code.
fn failure<'a>(told: &Told<'a>) -> Option<Cow<'a, str>> {
    let what = told.command.and_then(text)?;
    Some(match told.exit_code.map(RawValue::get) {
        Some(code) if code.len() < 12 => format!("{what} failed with exit code {code}").into(),
        Some(_) | None => format!("{what} failed").into(),
    })
}

/// A string, or a number as it stands.
fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    let json = raw.get();
    let text: Cow<'_, str> = match json.as_bytes().first()? {
        b'"' => match serde_json::from_str::<&str>(json) {
            Ok(plain) => plain.into(),
            Err(_) => serde_json::from_str::<String>(json).ok()?.into(),
        },
        b'-' | b'0'..=b'9' => json.into(),
        _ => return None,
    };
    (!text.trim().is_empty()).then_some(text)
}

fn grouped(error: &RawError<'_>, event: &str) -> EventError {
    let message = error.message.as_deref().unwrap_or_default().trim();
    let line = message.lines().next().unwrap_or_default();
    let group = match (error.fingerprint.as_deref(), error.kind.as_deref()) {
        (Some(own), Some(kind)) => format!("{kind} [{own}]"),
        (Some(own), None) => format!("{event} [{own}]"),
        (None, Some(kind)) if line.is_empty() => kind.to_owned(),
        (None, Some(kind)) => format!("{kind}: {}", alike(line)),
        (None, None) if line.is_empty() => event.to_owned(),
        (None, None) => alike(line),
    };
    EventError {
        group: bounded(&group, GROUP).into_owned(),
        message: bounded(message, MESSAGE).into_owned(),
        fatal: error.fatal,
    }
}

/// A message without what differs from one time to the next: numbers, hexadecimal ids and addresses become `#`, and so
/// do quoted texts.
fn alike(message: &str) -> String {
    let mut kept = String::with_capacity(message.len().min(GROUP));
    let mut rest = message;
    while let Some(c) = rest.chars().next() {
        if kept.len() > GROUP {
            break;
        }
        if matches!(c, '"' | '\'' | '`')
            && !kept.ends_with(|before: char| before.is_alphanumeric())
            && let Some(end) = rest[1..].find(c)
        {
            kept.extend([c, '#', c]);
            rest = &rest[end + 2..];
            continue;
        }
        let end = rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len());
        if end == 0 {
            kept.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(end);
        kept.push_str(if differs(word) { "#" } else { word });
        rest = after;
    }
    // An id with hyphens is one thing.
    while let Some(at) = kept.find("#-#") {
        kept.replace_range(at..at + 3, "#");
    }
    kept
}

/// Whether a word is a number, or an id: digits alone, `0x…`, or at least eight hexadecimal digits with a digit in it.
fn differs(word: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let has_digit = word.bytes().any(|byte| byte.is_ascii_digit());
    let number = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = word.len() - number.len() <= 2;
    (!number.is_empty() && unit && number.bytes().all(|byte| byte.is_ascii_digit()))
        || word.strip_prefix("0x").is_some_and(hex)
        || (word.len() >= 4 && has_digit && hex(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, props: &str) -> Option<(String, String, bool)> {
        let raw = RawEvent { name: name.into(), ..RawEvent::default() };
        error_of(&raw, Some(props)).map(|error| (error.group, error.message, error.fatal))
    }

    #[test]
    fn events_tell_of_errors_by_name_category_or_failure() {
        for (name, props, group, fatal) in [
            ("error", r#"{"message":"no route to 10.0.0.7"}"#, Some("no route to #.#.#.#"), false),
            ("Exception", r#"{"type":"TypeError","message":"x is 12"}"#, Some("TypeError: x is #"), false),
            ("crash", "{}", Some("crash"), true),
            ("error", r#"{"fatal":true,"error":"boom"}"#, Some("boom"), true),
            ("error", r#"{"kind":"E","fingerprint":"f-1","message":"x"}"#, Some("E [f-1]"), false),
            (
                "command_execution",
                r#"{"command":"build","success":false,"exit_code":2}"#,
                Some("build failed with exit code #"),
                false,
            ),
            ("command_execution", r#"{"command":"build","success":true}"#, None, false),
            ("saved", r#"{"last":{"success":false}}"#, None, false),
            ("saved", r#"{"note":"\"success\":false"}"#, None, false),
            ("error", "[1]", Some("error"), false),
            ("opened", r#"{"error":"none"}"#, None, false),
        ] {
            let found = told(name, props);
            assert_eq!(found.as_ref().map(|(group, _, _)| group.as_str()), group, "{name} {props}");
            assert_eq!(found.is_some_and(|(_, _, fatal)| fatal), fatal, "{name} {props}");
        }
        let raw = RawEvent { name: "quit".into(), category: Some("crash".into()), ..RawEvent::default() };
        assert!(error_of(&raw, None).is_some_and(|error| error.fatal && error.group == "quit"));
    }

    #[test]
    fn what_differs_from_time_to_time_does_not_make_groups() {
        for (message, kept) in [
            ("timed out after 1500ms", "timed out after #"),
            ("user 'ana' has no \"key\"", "user '#' has no \"#\""),
            ("can't open it, won't try", "can't open it, won't try"),
            ("id 0f9d6c1e-7b0e-4c0b-8f0a-2b7f5f2f4c02 gone", "id # gone"),
            ("at 0x7ffee3a0 in main", "at # in main"),
            ("HTTP2 needs utf8", "HTTP2 needs utf8"),
            ("größe 5 ≠ 6", "größe # ≠ #"),
        ] {
            assert_eq!(alike(message), kept);
        }
    }

    #[test]
    fn long_messages_are_cut() {
        let long = "word ".repeat(1_000);
        let error = grouped(&RawError { message: Some(long.into()), ..RawError::default() }, "e");
        assert!(error.group.len() <= GROUP && error.message.len() <= MESSAGE);
    }
}
