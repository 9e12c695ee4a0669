//! One event that tells of an error, with its message and its stack laid out.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::event::EventLine;
use super::format::Calendar;
use crate::model::EventRow;

/// Members of properties that hold a stack.
const STACKS: [&str; 7] = ["stack", "stacktrace", "stack_trace", "backtrace", "traceback", "trace", "callstack"];
/// Members that hold a message.
const MESSAGES: [&str; 5] = ["message", "error_message", "reason", "description", "error"];

/// How much of the texts of all occurrences on a page is shown, in bytes: a page stays under 60 KB as it travels.
pub const ROOM: usize = 40 << 10;

/// An event with its message and stack.
pub struct Occurrence {
    /// The event.
    pub event: EventLine,
    /// The message, whole.
    pub message: Option<String>,
    /// The stack, whole.
    pub stack: Option<String>,
}

/// Events as occurrences, newest first. Each is shown whole as long as there is room; `people` is where the pages of
/// users are.
pub fn occurrences(events: &[EventRow], calendar: &Calendar, people: &str) -> Vec<Occurrence> {
    let mut room = ROOM;
    let occurrence = |event: &EventRow| {
        let told: Map<String, Value> =
            event.props.as_deref().and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
        let mut text = |names: &[&str]| names.iter().find_map(|name| shown(told.get(*name)?, &mut room));
        Occurrence {
            message: text(&MESSAGES),
            stack: text(&STACKS),
            event: EventLine::new(event, calendar.moment(event.occurred_at), calendar, people),
        }
    };
    events.iter().map(occurrence).collect()
}

/// A text, or the lines of a list, cut where there is no more room.
fn shown(value: &Value, room: &mut usize) -> Option<String> {
    let text: Cow<'_, str> = match value {
        Value::String(text) => text.into(),
        Value::Array(lines) => lines.iter().map(line).collect::<Vec<_>>().join("\n").into(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return None,
    };
    let text = text.trim_end();
    if text.is_empty() {
        return None;
    }
    let end = (0..=text.len().min(*room)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    *room -= end;
    Some(if end < text.len() { format!("{}\n… cut", &text[..end]) } else { text.to_owned() })
}

fn line(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_lists_of_lines_are_shown_while_there_is_room() {
        for (json, room, text) in [
            (r#""at a\nat b\n""#, 100, Some("at a\nat b")),
            (r#"["at a", {"line": 3}]"#, 100, Some("at a\n{\"line\":3}")),
            (r#""äää""#, 3, Some("ä\n… cut")),
            (r#""  ""#, 100, None),
            ("3", 100, None),
            ("null", 100, None),
        ] {
            let mut left = room;
            let value: Value = serde_json::from_str(json).unwrap();
            assert_eq!(shown(&value, &mut left).as_deref(), text, "{json}");
            assert!(left <= room);
        }
    }
}
